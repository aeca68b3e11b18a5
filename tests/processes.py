"""Real processes for the tests: each runs one function in a fresh interpreter and can be spoken with, waited for and killed.

with start(writes_for_ever, root) as child:
    child.hear()        # what the function gave to say()
    child.kill()        # SIGKILL; also at the end of the block
run(appends, root)      # starts, waits, gives what the function returned, or raises what it raised
"""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any

#: Seconds after which a child that says nothing is taken for hung.
PATIENCE = 60.0

_parent: Connection
#: The children that nobody waited for yet.
_running: set[Process] = set()


class Process:
    """A running child."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], under: tuple[str, ...]) -> None:
        self._pipe, theirs = Pipe()
        command = [*under, sys.executable, __file__, str(theirs.fileno())]
        self._child = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        _running.add(self)
        theirs.close()
        self.pid = self._child.pid
        self.tell((sys.path, function.__module__, function.__qualname__, args))

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no child behind, whatever the test did with it."""
        if not self._pipe.closed:
            self.kill()

    def tell(self, value: Any) -> None:
        """Give the child something that its `hear()` returns."""
        self._pipe.send(value)

    def hear(self) -> Any:
        """Wait for what the child gives to `say()`; raise what it raised instead."""
        kind, value = self._receive()
        if kind == "raised":
            raise value
        assert kind == "said", f"it returned {value!r}"
        return value

    def result(self) -> Any:
        """Wait for the end; give what the function returned, or raise what it raised."""
        kind, value = self._receive()
        self.wait()
        if kind == "raised":
            raise value
        assert kind == "returned", f"it said {value!r}, which nobody heard"
        return value

    def kill(self) -> int:
        """Kill the child with SIGKILL where it still runs; give its exit code."""
        self._child.send_signal(signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """Wait until the child has ended by itself; give its exit code."""
        try:
            return self._child.wait(PATIENCE)
        finally:
            self._pipe.close()
            _running.discard(self)

    def _receive(self) -> tuple[str, Any]:
        if not self._pipe.poll(PATIENCE):
            self.kill()
            raise TimeoutError(f"process {self.pid} said nothing for {PATIENCE:g} s")
        try:
            kind, value = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise EOFError(f"process {self.pid} ended with code {self.wait()} and said nothing") from None
        return kind, value


def start(function: Callable[..., Any], *args: Any, under: tuple[str, ...] = ()) -> Process:
    """Start a module-level function with picklable arguments; `under` is a command that runs the child, such as strace."""
    return Process(function, args, under)


def kill_all() -> None:
    """Kill every child that a test left, so that what it does or leaves open is the matter of no later test."""
    for child in list(_running):
        child.kill()


def run(function: Callable[..., Any], *args: Any, under: tuple[str, ...] = ()) -> Any:
    """Start a function, wait, and give what it returned."""
    return start(function, *args, under=under).result()


def run_all(function: Callable[..., Any], all_args: list[tuple[Any, ...]]) -> list[Any]:
    """Run a function in as many processes as there are argument tuples; all begin it at the same time."""
    children = [start(_begin_together, function.__module__, function.__qualname__, args) for args in all_args]
    for child in children:
        child.hear()
    for child in children:
        child.tell("go")
    return [child.result() for child in children]


def say(value: Any) -> None:
    """In a child: give the parent something."""
    _parent.send(("said", value))


def hear() -> Any:
    """In a child: wait for something from the parent."""
    return _parent.recv()


def _begin_together(module: str, name: str, args: tuple[Any, ...]) -> Any:
    function = getattr(importlib.import_module(module), name)
    say("ready")
    hear()
    return function(*args)


def _main() -> None:
    global _parent
    _parent = Connection(int(sys.argv[1]))
    sys.modules["processes"] = sys.modules["__main__"]  # one pipe, whoever imports this module
    path, module, name, args = _parent.recv()
    sys.path[:] = path
    try:
        answer = ("returned", getattr(importlib.import_module(module), name)(*args))
    except BaseException as error:
        error.add_note(f"in the child:\n{traceback.format_exc()}")
        answer = ("raised", error)
    _parent.send(answer)


if __name__ == "__main__":
    _main()
