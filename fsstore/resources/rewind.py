"""The rewind stack of a session: what it can go back to, and going back."""

from __future__ import annotations

from fsstore import clock
from fsstore.errors import StoreError
from fsstore.records.rewind import RewindResult
from fsstore.records.session_runs import RunSummary, prompt_hash
from fsstore.resources.limits import whole
from fsstore.resources.restoring import Restoring, kept_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fsstore.codec import Object
    from fsstore.disk.workdir import WorkDirectory
    from fsstore.records.rewind import FileSnapshot, RewindEntry
    from fsstore.resources.rewind_log import Kept, RewindView
    from fsstore.resources.session_files import SessionFiles

#: What stands before the note of a run that was rewound.
MARK = "[rewound]"
_EMPTY = "nothing to rewind"


class RewindStack:
    """The rewind stack of one session.

    What can be gone back to is pushed to `rewind.jsonl`; that it was gone back to is said in `session_content.jsonl`, in the
    same record that shortens the histories: so a crash leaves both or none.
    """

    __slots__ = ("_files", "_work")

    def __init__(self, files: SessionFiles, work: WorkDirectory) -> None:
        self._files = files
        self._work = work

    def __len__(self) -> int:
        return len(self._entries())

    def push(self, entry: RewindEntry) -> str:
        """Put an entry on the stack; give its id.

        Raises:
            ValueError: A length or an index that is none; a file outside the working directory.
            OSError: A file cannot be read.

        On disk: One line at the end of rewind.jsonl, in one write.
        Crash: The entry is there, or not.
        Concurrency: The entries of several processes are all there, the last one uppermost.
        """
        said = {
            "type": "push",
            "prompt": entry.prompt,
            "lengths": dict(entry.history_lengths),
            "feed_index": whole("feed_index", entry.feed_index),
            "run_id": entry.run_id,
            "files": kept_files(entry.file_snapshots, self._work),
            "at": clock.now(),
        }
        fields = self._files.rewind.checked(said)
        return self._files.write(lambda: self._files.rewind.append(lambda _: fields))[0]

    def push_files(self, snapshots: Sequence[FileSnapshot]) -> None:
        """Put files in the place of those of the uppermost entry; no entry, or no files, is no matter.

        To be called after the files were written: what they are now is what a rewind expects to find.

        Raises:
            ValueError: A file outside the working directory.
            OSError: A file cannot be read.

        On disk: One line at the end of rewind.jsonl, in one write.
        Crash: The entry has the new files, or the old ones.
        Concurrency: They belong to the entry that is uppermost under the lock.
        """
        if not snapshots or not self:
            return
        files = self._files.rewind.checked({"type": "snapshots", "files": kept_files(snapshots, self._work)})

        def describe(view: RewindView) -> Object | None:
            entries = self._entries(view)
            return {**files, "entry_id": entries[-1].id} if entries else None

        self._files.write_there(lambda: self._files.rewind.append(describe))

    def clear(self) -> None:
        """Take every entry from the stack.

        On disk: One line at the end of rewind.jsonl, in one write; nothing where the stack is empty.
        Crash: All entries are there, or none.
        Concurrency: An entry that another process pushes later stays.
        """
        if self:
            self._files.write_there(
                lambda: self._files.rewind.append(
                    lambda view: {"type": "clear", "entry_ids": [one.id for one in self._entries(view)]}
                )
            )

    def rewind(self, *, force: bool = False) -> RewindResult:
        """Go back to before the run of the uppermost entry, and take the entry from the stack.

        Its files are given back, the histories shortened, the run is marked as rewound. A file that is not what was written
        then was changed since: it is copied aside and left. A file that cannot be restored keeps none of the rest from being
        done; then the entry stays, and the next rewind restores what is left of it and does nothing else.

        Args:
            force: Overwrite files that were changed since, once they are copied aside; and take the entry from the stack
                though a file cannot be restored.

        Raises:
            StoreError: The stack is empty.
            CorruptError: The entry's record is not there any more.

        On disk: The files, each replaced whole; then one line at the end of session_content.jsonl, in one write.
        Crash: Some files are restored; the rest is as before. Rewinding again finishes it.
        Concurrency: Of two rewinds at once each takes one entry. The session is locked while the files are restored.
        """
        if not self:
            raise StoreError(_EMPTY)
        files = self._files
        with files.place.lock_existing():
            entry, missing = self._uppermost()
            restoring = Restoring(files.place.root, self._work, entry.id, force)
            rows = files.rewind.find(entry.files_id)["files"]
            restoring.run(row for row in rows if missing is None or row["path"] in missing)
            failed = [] if force else list(restoring.failed)
            said = {"type": "restored"} if missing is not None else self._mark(entry)
            files.content.append_locked(lambda _: {**said, "entry_id": entry.id, "failed": failed})
        return RewindResult(
            file_msg=restoring.message(),
            feed_index=entry.feed_index,
            note=said.get("note", ""),
            restored=restoring.restored,
            left=restoring.left,
            copies=restoring.copies,
            failed=restoring.failed,
        )

    def _entries(self, view: RewindView | None = None) -> list[Kept]:
        """Give the entries on the stack, the uppermost one last."""
        if view is None:
            with self._files.rewind.reading() as read:
                return self._entries(read)
        with self._files.content.reading() as content:
            done = content.taken_back
            return [entry for id, entry in view.entries.items() if id not in done or done[id]]

    def _uppermost(self) -> tuple[Kept, list[str] | None]:
        """Give the uppermost entry, and the files that are left of it where it was gone back to already."""
        entries = self._entries()
        if not entries:
            raise StoreError(_EMPTY)
        with self._files.content.reading() as content:
            return entries[-1], content.taken_back.get(entries[-1].id)

    def _mark(self, entry: Kept) -> Object:
        """Give what is said of a rewind where it goes back."""
        with self._files.content.reading() as content:
            run = content.last_run(rewound=False) if entry.run_id is None else content.runs.get(entry.run_id)
        known = run is not None and not run.is_rewind
        mark = RunSummary(prompt_hash=run.prompt_hash if run and not entry.prompt else prompt_hash(entry.prompt))
        return {
            "type": "rewind",
            "run_id": run.id if run and known else None,
            "note": f"{MARK} {run.note}".rstrip() if run and known else "",
            "lengths": entry.lengths,
            "summary": mark.to_json(),
        }
