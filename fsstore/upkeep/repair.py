"""repair: mend what `check` calls fixable, and lose nothing by it."""

from __future__ import annotations

import contextlib
import os.path

from fsstore import clock, layout
from fsstore.disk import document, fs, trees
from fsstore.disk.log import Log
from fsstore.errors import FormatError
from fsstore.resources import stamp
from fsstore.resources.compaction import Compaction, Folded
from fsstore.upkeep.problems import LINE_KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.disk.root import Root
    from fsstore.store import Store
    from fsstore.upkeep.problems import Problem


def repair(store: Store, root: Root, *, dry_run: bool) -> list[Problem]:
    """Mend a store; see `Store.repair`."""
    found = [problem for problem in store.check() if problem.fixable]
    if not dry_run:
        root.check_writable()
        for path in dict.fromkeys(problem.path for problem in found if problem.kind in LINE_KINDS):
            _mend_log(root, path)
        for problem in found:
            _mend(store, root, problem)
    return found


def _mend(store: Store, root: Root, problem: Problem) -> None:
    path = root.path if problem.path == "." else f"{root.path}/{problem.path}"
    root.check_no_link(os.path.dirname(path))
    with contextlib.suppress(FileNotFoundError):  # somebody was faster
        if problem.kind == "permissions":
            fs.make_private(path)
        elif problem.kind == "stale-cache":
            trees.discard(path)
        elif problem.kind == "leftover-temp":
            for file in filter(fs.is_regular, (path, *(below for below, _ in trees.walk(path)))):
                root.quarantine(file, clock.new_id(), [(0, fs.read_file(file), problem.detail)])
            trees.discard(path)
        elif problem.kind == "index-differs":
            fields = document.read(path)
            if fields:
                store.threads.note_again(fields["id"])


def _mend_log(root: Root, below: str) -> None:
    """Rewrite a log without what is no record, which goes to quarantine."""
    path, id = f"{root.path}/{below}", clock.new_id()

    def change(data: bytes) -> bytes | None:
        left = Compaction(data, Folded())
        if left.pieces:
            root.quarantine(path, id, left.pieces)
        return None if left.data == data else left.data

    Log(root, path, layout.lock_of(below), path, lambda: FormatError(path, "the log is gone")).mend(change)
    if below.endswith(f"/{layout.MESSAGES}"):
        stamp.remove(root, below.split("/")[1])
