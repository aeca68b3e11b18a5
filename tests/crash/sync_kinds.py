"""The kinds of sync that the store makes, and what each is for: see `test_syncs.py`."""

from __future__ import annotations

import sys
from types import FrameType

from fsstore.testing.trace import Sync, SyncDirectory

#: The functions that decide to sync. The one nearest to the system call counts.
DECIDING = frozenset(
    f"fsstore.{name}"
    for name in (
        "disk.document.write",
        "disk.log.Log.append",
        "disk.renewal._renew_from",
        "disk.renewal._copy_appended",
        "disk.renewal._copy_overtaken",
        "disk.root.Root.copy_to_trash",
        "disk.root.Root.move_from_trash",
        "disk.root.Root.move_to_trash",
        "disk.root.Root.quarantine",
        "disk.fs.make_directory_in",
        "disk.fs.replace_in",
        "disk.fs.unlink_in",
        "resources.deletions.Deletions._clear",
        "resources.deletions.Deletions._move_away",
        "resources.goal.Goal._confirm",
        "resources.moving.Moves._fill",
        "resources.moving.Moves.copy",
        "resources.returning.Returns._restore_document",
        "resources.session_index.SessionIndex._begin",
        "resources.session_index.SessionIndex.confirm",
        "resources.session_index.SessionIndex.note",
        "resources.session_index.SessionIndex.note_deletion",
        "resources.session_index.SessionIndex.note_restoration",
        "resources.session_recipe.SessionRecipe._replace_text",
        "resources.trash.Trash._delete",
        "resources.viewed_log.ViewedLog.append_locked",
        "store._create",
        "store._sync_above",
    )
)


class Kinds:
    """Names the kind of each sync while it is made: who decides it, the how-manieth of its own, and of what.

    `move_to_trash 2 above` is what the second sync of `Root.move_to_trash` does to a directory above the one it is for.
    """

    def __init__(self) -> None:
        self._lines: dict[FrameType, list[int]] = {}
        self._begun: set[FrameType] = set()

    def of(self, call: Sync | SyncDirectory) -> str:
        what = "file" if isinstance(call, Sync) else "directory"
        frame = sys._getframe(1)
        while frame is not None:
            name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
            if name == "fsstore.disk.root.Root.sync_up":
                what = "above" if frame in self._begun else what
                self._begun.add(frame)
            elif name in DECIDING:
                lines = self._lines.setdefault(frame, [])
                if frame.f_lineno not in lines:
                    lines.append(frame.f_lineno)
                return f"{frame.f_code.co_name} {lines.index(frame.f_lineno) + 1} {what}"
            frame = frame.f_back
        raise AssertionError(f"nobody known decides to sync {call.path}")


#: The kinds that nobody can do without, each with an operation that loses something where it is left out.
NEEDED = {
    "append 1 file": "append",
    "append 1 directory": "first and second append",
    "write 1 file": "put over a thread",
    "write 1 directory": "save over a checkpoint",
    "write 1 above": "first checkpoint",
    "note 1 file": "rename to the name of others",
    "note_deletion 1 file": "delete thread",
    "note_restoration 1 file": "restore thread",
    "note_restoration 1 directory": "restore what stood in directories that are gone",
    "_clear 1 file": "create a deleted thread again",
    "append_locked 1 file": "rewind",
    "_begin 1 file": "open without a session index",
    "_begin 1 directory": "open without a session index",
    "copy_to_trash 1 file": "delete checkpoint",
    "copy_to_trash 2 directory": "delete checkpoint",
    "copy_to_trash 2 above": "delete checkpoint",
    "move_to_trash 1 above": "delete thread",
    "move_to_trash 2 directory": "delete thread",
    "move_from_trash 1 above": "restore a workflow run without a sync where its directory is gone",
    "move_from_trash 2 directory": "restore thread",
    "_delete 1 directory": "empty the trash",
    "_fill 1 file": "rename a session",
    "_fill 2 directory": "rename a session",
    "copy 1 directory": "rename a session",
    "quarantine 1 file": "compact a session",
    "quarantine 2 file": "compact a session",
    "quarantine 3 directory": "compact a session",
    "quarantine 3 above": "compact a session",
    "_renew_from 1 file": "append to a tainted log",
    "_renew_from 2 directory": "compact a session",
    "_copy_appended 1 file": "compact while another appends",
    "_copy_overtaken 1 file": "compact while somebody writes without the lock",
    "make_directory_in 1 directory": "rewind into a directory that is gone",
    "replace_in 1 file": "rewind",
    "replace_in 2 directory": "rewind",
    "unlink_in 1 directory": "rewind",
    "_create 1 file": "create store",
    "_create 2 directory": "create store",
    "_create 3 file": "create store",
    "_create 3 directory": "create store",
    "_sync_above 1 directory": "create store",
}
#: The kinds that somebody needs who goes on where another one did not sync; each with what both do (`test_syncs.py`).
NEEDED_AFTER_ANOTHER = {
    "append 1 above": "append to a thread that was not synced",
    "_move_away 1 directory": "delete a thread while another appends",
    "_confirm 1 directory": "spend on a goal that was not synced",
    "append_locked 1 directory": "rewind a session that was not synced",
    "confirm 1 file": "finish a deletion that was not synced",
    "_renew_from 2 above": "compact a thread that was not synced",
    "_restore_document 1 directory": "restore a job without a sync where its directory is gone",
    "_restore_document 1 above": "restore a job without a sync where its directory is gone",
}
#: The kinds that change nothing here, and why they are made all the same.
SPARE = {
    "_clear 1 directory": "the new meta.json's own syncs follow",
    "_clear 1 above": "the new meta.json's own syncs follow",
    "_confirm 1 above": "only where the thread was not synced either; the accrual's own syncs follow, but for the goal's",
    "_replace_text 1 file": "recipe.md is for people, and nothing reads it back",
    "_replace_text 1 directory": "recipe.md is for people, and nothing reads it back",
    "_replace_text 1 above": "recipe.md is for people, and nothing reads it back",
    "append_locked 1 above": "who put the entry on the stack did it",
    "confirm 1 directory": "the index was renamed into its place, and its directory synced, when it was begun",
    "note 1 directory": "the index was renamed into its place, and its directory synced, when it was begun",
    "note_deletion 1 directory": "the index was renamed into its place, and its directory synced, when it was begun",
    "copy 1 above": "the directory of all threads was synced when the store was made",
    "_move_away 1 above": "the rename's own syncs follow",
    "move_to_trash 1 directory": "nothing is in it until the rename",
    "move_to_trash 2 above": "the first sync did it",
    "move_to_trash 3 directory": "what is in its new place cannot be in the old one as well",
    "move_to_trash 3 above": "a directory that was not synced loses what is to go from it as well",
    "move_from_trash 1 directory": "the second sync does it again, with what is moved into it",
    "move_from_trash 2 above": "the first sync did it",
    "move_from_trash 3 directory": "what is in its new place cannot be in the old one as well",
    "move_from_trash 3 above": "a directory that was not synced loses what is to go from it as well",
    "_delete 2 directory": "what is in its new place cannot be in the old one as well",
}
