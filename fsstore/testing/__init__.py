"""Fault injection, for the project's own tests and for others.

* `trace.Recorder` records every changing system call of an operation, can leave out or fail a sync, and can let the process
  "die" before a call.
* `crash_states.power_cuts` and `crash_states.kills` give everything that a disk may hold after a crash in it.
* `image.Image` is such a disk; `Image.write` puts it into a directory, to be opened and looked at.

    with Recorder(base) as recorder:
        Store.open(f"{base}/store").thread("t").messages.append("user", "hello")
    for state in power_cuts(recorder.before, recorder.calls):
        state.image.write(fresh_directory)
        ...  # open it: is what was acknowledged there?
"""
