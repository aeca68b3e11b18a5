"""The dynamic tools of a thread: a set, replaced as a whole."""

from __future__ import annotations

from fsstore import codec, layout
from fsstore.disk import document
from fsstore.errors import CorruptError
from fsstore.records.tools import DynamicToolRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fsstore.codec import Json, Object
    from fsstore.resources.place import Place


class Tools:
    """The dynamic tools of one thread."""

    __slots__ = ("_path", "_place")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = place.path(layout.TOOLS)

    def all(self) -> list[DynamicToolRecord]:
        """Give the tools by position; none where there is no set or no thread.

        Raises:
            CorruptError: tools.json cannot be read.
        """
        rows = self._rows_of(document.read_any(self._path))
        return sorted(map(DynamicToolRecord.from_json, rows), key=lambda tool: tool.position)

    def replace(self, tools: Iterable[DynamicToolRecord]) -> None:
        """Put a set of tools in the place of the old one.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            ValueError: A position that is no integer of 0 or more or stands twice, a name that is no text, a schema that is no
                JSON object; the old set stays.
            CorruptError: The tools.json that stands there cannot be read; it was not overwritten.

        On disk: tools.json, replaced whole.
        Crash: The old set or the new one.
        Concurrency: The last set counts, whole.
        """
        rows = _rows(tools)
        with self._place.lock_existing():
            old = document.read_any(self._path)
            self._rows_of(old)
            kept = document.content(old) if old else {}
            document.write(self._place.root, self._path, {**kept, "id": self._place.id, "tools": rows}, old)

    def insert(self, tools: Iterable[DynamicToolRecord], version: str) -> bool:
        """Give the thread a set of tools where it never had one; say whether. `version` is the id of the write.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            ValueError: As `replace`.

        On disk: tools.json.
        Crash: The set is there, or not.
        Concurrency: Of two at once one says True.
        """
        rows = _rows(tools)
        with self._place.lock_existing():
            return document.insert(self._place.root, self._path, {"id": self._place.id, "tools": rows}, version)

    def _rows_of(self, fields: Object | None) -> list[Object]:
        """Give the tools that a tools.json holds, none where there is none."""
        if fields is None or fields.get("deleted") is True:
            return []
        wrong = flaw(fields)
        if wrong:
            raise CorruptError(self._path, wrong)
        rows: list[Object] = fields["tools"]
        return rows


def _rows(tools: Iterable[DynamicToolRecord]) -> list[Object]:
    rows = list(map(checked, tools))
    positions = [row["position"] for row in rows]
    twice = sorted({position for position in positions if positions.count(position) > 1})
    if twice:
        raise ValueError(f"position {twice[0]} is given twice: each tool needs one of its own")
    return rows


def checked(tool: DynamicToolRecord) -> Object:
    """Give a tool as tools.json has it.

    Raises:
        ValueError: As `Tools.replace`.
    """
    what = f"tool {str(tool.name)[:60]!r}"
    if type(tool.position) is not int or tool.position < 0:
        raise ValueError(f"{what}: position must be an integer of 0 or more, not {tool.position!r}")
    if not isinstance(tool.name, str):
        raise ValueError(f"{what}: name must be a string, not {type(tool.name).__name__}")
    if not isinstance(tool.description, (str, type(None))):
        raise ValueError(f"{what}: description must be a string or None, not {type(tool.description).__name__}")
    if not isinstance(tool.input_schema, dict):
        raise ValueError(f"{what}: input_schema must be a JSON object, not {type(tool.input_schema).__name__}")
    fields = tool.to_json()
    codec.check_json(fields, what)
    return fields


def flaw(fields: Json) -> str | None:
    """Say what is wrong with a tools.json, None where nothing is."""
    tools = fields.get("tools")
    return None if isinstance(tools, list) and all(map(_is_tool, tools)) else "it holds no list of tools"


def _is_tool(fields: Json) -> bool:
    return isinstance(fields, dict) and type(fields.get("position")) is int and isinstance(fields.get("name"), str)
