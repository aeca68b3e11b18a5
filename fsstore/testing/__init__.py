"""Contract suites and fault injection, for the project's own tests and for others.

* `SessionBackendTests` is the contract of a `SessionBackend` as a suite for pytest; derive a class from it.
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

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.testing.sessions import SessionBackendTests as SessionBackendTests

__all__ = ["SessionBackendTests"]  # when it is asked for: it needs pytest


def __getattr__(name: str) -> object:
    if name != "SessionBackendTests":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fsstore.testing.sessions import SessionBackendTests

    return SessionBackendTests
