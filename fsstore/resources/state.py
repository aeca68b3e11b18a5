"""What a session is doing: one document of its thread."""

from __future__ import annotations

from fsstore import clock, layout
from fsstore.disk import document
from fsstore.errors import ThreadNotFoundError
from fsstore.records.sessions import SessionState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.resources.place import Place

RUNNING = "running"


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
        fields = document.read(self._path)
        if fields is None:
            return SessionState() if self._place.is_there() else None
        return _state(fields)

    def set(self, state: str, turn_id: str | None = None) -> bool:
        """Set the state and the turn; say whether there is a thread.

        Args:
            state: `running` notes the time as the start of the turn; any other word leaves it without.
            turn_id: The turn; None for none.

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
                document.write(self._place.root, self._path, {**new.over(old), "id": self._place.id}, old)
        except ThreadNotFoundError:
            return False
        return True


def _state(fields: Object) -> SessionState:
    return SessionState.from_json({name: value for name, value in document.content(fields).items() if name != "id"})
