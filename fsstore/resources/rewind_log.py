"""What a session can go back to: what its `rewind.jsonl` says."""

from __future__ import annotations

from dataclasses import dataclass

from fsstore.disk.folding import View
from fsstore.resources.shapes import a_list, a_text, an_object, counts, take_by_type, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json, Object


@dataclass(slots=True)
class Kept:
    """An entry of the stack.

    Attributes:
        id: The id of its record.
        prompt: The prompt of the run that would be undone.
        lengths: How long each panel's history was before it.
        feed_index: The caller's own.
        run_id: The run that would be undone; None for the last one that is not rewound yet.
        files_id: The id of the record that holds its files: they may be large, and are read when they are needed.
    """

    id: str
    prompt: str
    lengths: dict[str, int]
    feed_index: int
    run_id: str | None
    files_id: str


class RewindView(View):
    """What `rewind.jsonl` says, but for the bytes of the files.

    Attributes:
        entries: The entries that were not cleared, by id, oldest first; those that were taken back are among them.
    """

    entries: dict[str, Kept]

    def begin(self) -> None:
        """Forget all that was kept."""
        self.entries = {}

    def take(self, record: Object) -> None:
        """Keep what a record says."""
        take_by_type(record, {"push": self._take_push, "snapshots": self._take_snapshots, "clear": self._take_clear})

    def _take_push(self, record: Object) -> None:
        check_files(record["files"])
        id, index, run_id = record["id"], record["feed_index"], record["run_id"]
        if type(index) is not int:
            raise TypeError("feed_index is no integer")
        run_id = None if run_id is None else a_text(run_id)
        self.entries[id] = Kept(id, a_text(record["prompt"]), counts(record["lengths"]), index, run_id, id)

    def _take_snapshots(self, record: Object) -> None:
        check_files(record["files"])
        entry = self.entries.get(a_text(record["entry_id"]))
        if entry is not None:
            entry.files_id = record["id"]

    def _take_clear(self, record: Object) -> None:
        for id in texts(record["entry_ids"]):
            self.entries.pop(id, None)


def check_files(files: Json) -> None:
    """Refuse what is no list of kept files.

    Raises:
        TypeError: It is none.
        ValueError: As well.
    """
    for file in map(an_object, a_list(files)):
        a_text(file["path"])
        a_text(file.get("content", ""))
        if type(file.get("mode", 0)) is not int or not isinstance(file.get("after", ""), (str, type(None))):
            raise TypeError("a file's mode or hash is none")
