"""What a session is doing: one document of its thread."""

from __future__ import annotations

from fsstore import clock, layout
from fsstore.disk import document
from fsstore.errors import CorruptError, ThreadNotFoundError
from fsstore.records.sessions import RUNNING, SessionState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.resources.place import Place


class State:
    """The state of one thread."""

    __slots__ = ("_path", "_place")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = place.path(layout.STATE)

    def get(self) -> SessionState | None:
        """Read the state: idle where nobody set one, None where there is no thread.

        Raises:
            CorruptError: state.json cannot be read.
        """
        shown = self._shown(document.read_any(self._path))
        return SessionState() if shown is None and self._place.is_there() else shown

    def set(self, state: str, turn_id: str | None = None, *, instead_of: SessionState | None = None) -> bool:
        """Set the state and the turn; say whether that was done: not where there is no thread.

        Args:
            state: `running` notes the time as the start of the turn; any other word leaves it without.
            turn_id: The turn; None for none.
            instead_of: The only state that may be replaced; None for any.

        Raises:
            ValueError: A state that is no text.
            CorruptError: The state.json that stands there cannot be read; it was not overwritten.

        On disk: state.json, replaced whole.
        Crash: The old state or the new one.
        Concurrency: The last one counts.
        """
        started = clock.now() if state == RUNNING else None
        new = SessionState(state=state, turn_id=turn_id, turn_started_at=started)
        for name, value in (("state", state), ("turn_id", turn_id)):
            if not isinstance(value, str) and (name, value) != ("turn_id", None):
                raise ValueError(f"{name} must be a string, not {type(value).__name__}")
        new.over(None)
        try:
            with self._place.lock_existing():
                old = document.read_any(self._path)
                shown = self._shown(old) or SessionState()
                if instead_of is not None and shown != instead_of:
                    return False
                document.write(self._place.root, self._path, {**new.over(old), "id": self._place.id}, old)
        except ThreadNotFoundError:
            return False
        return True

    def _shown(self, fields: Object | None) -> SessionState | None:
        """Give the state that a state.json says, None where there is none."""
        if fields is None or fields.get("deleted") is True:
            return None
        wrong = flaw(fields)
        if wrong:
            raise CorruptError(self._path, wrong)
        return SessionState.from_json({name: value for name, value in document.content(fields).items() if name != "id"})


def flaw(fields: Object) -> str | None:
    """Say what is wrong with a state.json, None where nothing is."""
    if not isinstance(fields.get("state"), str) or not isinstance(fields.get("turn_id"), str | None):
        return "the state or the turn is no text"
    started = fields.get("turn_started_at")
    return None if started is None or type(started) is int else "the start of the turn is no integer"
