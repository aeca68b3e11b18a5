"""Every error of the store: fields first, the sentence in `__str__`.

    StoreError
    ├── NotFoundError (LookupError)
    │   ├── ThreadNotFoundError
    │   ├── SessionNotFoundError
    │   ├── AmbiguousPrefixError
    │   ├── MessageNotFoundError
    │   ├── CheckpointNotFoundError
    │   ├── RunNotFoundError
    │   └── RunStepNotFoundError
    ├── AlreadyExistsError (FileExistsError)
    ├── InvalidNameError (ValueError)
    ├── RunInTerminalStateError (RuntimeError)
    ├── LockTimeoutError (TimeoutError)
    ├── SyncFailedError (OSError)
    ├── CorruptError (ValueError)
    ├── FormatError (ValueError)
    └── ReadOnlyError (PermissionError)

Bad values (a negative limit, NaN in content) are a plain `ValueError`. What the operating system refuses (no permission,
no space) is its own `OSError`, passed through unchanged: it is never reported as "not found".
"""

from __future__ import annotations


class StoreError(Exception):
    """The root of every error that the store itself raises. All of them survive pickling."""

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple[object, ...]:
        fields = dict(self.__dict__)
        if isinstance(self, OSError):
            fields["errno"] = self.errno  # no entry of the instance's dict
        return _rebuild, (type(self), fields)


def _rebuild(kind: type[StoreError], fields: dict[str, object]) -> StoreError:
    error = kind.__new__(kind)
    for name, value in fields.items():
        setattr(error, name, value)
    return error


class NotFoundError(StoreError, LookupError):
    """Nothing has this id."""

    kind = "record"

    def __init__(self, id: str, kind: str | None = None) -> None:
        super().__init__()
        self.id = id
        if kind is not None:
            self.kind = kind

    def __str__(self) -> str:
        return f"{self.kind} {self.id} not found"


class ThreadNotFoundError(NotFoundError):
    """No thread has this id, or it was deleted."""

    kind = "thread"


class SessionNotFoundError(NotFoundError):
    """No session has this key, or it was deleted; an empty `id` stands for any session."""

    kind = "session"

    def __str__(self) -> str:
        return super().__str__() if self.id else "no sessions found"


class AmbiguousPrefixError(NotFoundError):
    """Several ids begin so."""

    #: How many of them are named.
    SHOWN = 3

    def __init__(self, id: str, kind: str, matches: list[str]) -> None:
        super().__init__(id, kind)
        self.matches = matches

    def __str__(self) -> str:
        more = len(self.matches) - self.SHOWN
        shown = ", ".join(match[:60] for match in self.matches[: self.SHOWN])
        return f"{len(self.matches)} {self.kind}s begin with {self.id!r}: {shown}{f' and {more} more' if more > 0 else ''}"


class MessageNotFoundError(NotFoundError):
    """No message of the thread has this id, or it was removed."""

    kind = "message"


class CheckpointNotFoundError(NotFoundError):
    """The thread has no checkpoint of this id."""

    kind = "checkpoint"


class RunNotFoundError(NotFoundError):
    """The thread has no run of this id."""

    kind = "run"


class RunStepNotFoundError(NotFoundError):
    """The run has no step of this id."""

    kind = "run step"


class AlreadyExistsError(StoreError, FileExistsError):
    """Something has this id already; nothing was changed."""

    def __init__(self, kind: str, id: str, way_out: str = "") -> None:
        super().__init__()
        self.kind = kind
        self.id = id
        self.way_out = way_out

    def __str__(self) -> str:
        return f"{self.kind} {self.id} already exists{': ' if self.way_out else ''}{self.way_out}"


class InvalidNameError(StoreError, ValueError):
    """An id or key that the store cannot keep."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name

    def __str__(self) -> str:
        shown = self.name if len(self.name) <= 60 else f"{self.name[:57]}..."
        return f"invalid id {shown!r}: {self.reason}"


class RunInTerminalStateError(StoreError, RuntimeError):
    """The run has ended; its status no longer changes without force."""

    def __init__(self, id: str, status: str) -> None:
        super().__init__()
        self.id = id
        self.status = status

    def __str__(self) -> str:
        return f"run is in terminal state: {self.id} is already in terminal state {self.status}"


class LockTimeoutError(StoreError, TimeoutError):
    """Another writer held the lock all the time that was allowed; nothing was changed."""

    def __init__(self, path: str, seconds: float, holder: str | None) -> None:
        super().__init__()
        self.path = path
        self.seconds = seconds
        self.holder = holder

    def __str__(self) -> str:
        return f"lock {self.path} not free within {self.seconds:g} s: held by {self.holder or 'an unknown process'}"


class SyncFailedError(StoreError, OSError):
    """The disk refused to confirm a write: whether it survives a power cut is unknown.

    The one error whose outcome is unknown. What was written is still visible to every process; the next writer copies
    the file to a fresh one before it acknowledges anything more.
    """

    def __init__(self, path: str, ids: tuple[str, ...], cause: str, errno: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.ids = ids
        self.cause = cause
        self.errno = errno

    def __str__(self) -> str:
        written = f" (written, not confirmed: {', '.join(self.ids)})" if self.ids else ""
        return f"sync of {self.path} failed: {self.cause}{written}"


class CorruptError(StoreError, ValueError):
    """A document that cannot be read as what it must be; it was left as it is."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path

    def __str__(self) -> str:
        return f"corrupt: {self.path}: {self.reason}"


class FormatError(StoreError, ValueError):
    """Not a store, or one of a newer format than this version understands; nothing was touched."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ReadOnlyError(StoreError, PermissionError):
    """The store was opened with `read_only=True`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} was opened read-only"
