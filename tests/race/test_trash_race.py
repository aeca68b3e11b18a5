"""Real processes around the trash: what is deleted, brought back and emptied at once is somewhere, and once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import processes
import trash_workers as work

from fsstore import Store


def test_no_message_of_a_thread_that_is_deleted_and_restored_all_the_time_is_lost(store: Store, root: Path, campaign: bool):
    store.threads.create("t", name="Comes and goes")
    count, stop = 300 if campaign else 25, root.with_name("stop")
    others = [
        processes.start(work.deletes, root, stop),
        processes.start(work.restores, root, stop, 1),
        processes.start(work.empties, root, stop, "job"),
    ]
    try:
        for other in others:
            other.hear()
        told = processes.run_all(work.appends, [(root, me, count) for me in range(3)])
    finally:
        stop.touch()
    deleted, restored, emptied = (other.result() for other in others)
    assert (deleted > 0, len(restored) > 0, emptied) == (True, True, [])
    with Store.open(root) as after:
        work.restore_all(after)
        found = Counter(message.content for message in after.thread("t").messages)
        assert found == Counter(content for one in told for content in one)
        assert after.names.get("t") == "Comes and goes"
        assert list(after.trash) == []
    assert deleted - len(restored) in (0, 1)


def test_no_message_of_a_session_that_is_deleted_and_begun_anew_all_the_time_stands_twice(root: Path, campaign: bool):
    count, stop = 300 if campaign else 25, root.with_name("stop")
    Store.open(root).close()
    other = processes.start(work.deletes, root, stop)
    try:
        other.hear()
        told = processes.run_all(work.appends_anew, [(root, me, count) for me in range(3)])
    finally:
        stop.touch()
    assert other.result() > 0
    logs = b"".join(log.read_bytes() for log in root.rglob("messages.jsonl"))
    assert {content: logs.count(f'"{content}"'.encode()) for one in told for content in one} == {
        content: 1 for one in told for content in one
    }


def test_each_deletion_is_either_brought_back_or_emptied(store: Store, root: Path, campaign: bool):
    count, stop = 200 if campaign else 20, root.with_name("stop")
    ends = [processes.start(work.restores, root, stop) for _ in range(2)]
    ends += [processes.start(work.empties, root, stop, "job") for _ in range(2)]
    try:
        for end in ends:
            end.hear()
        made = processes.run_all(work.deletes_jobs, [(root, me, count) for me in range(2)])
    finally:
        stop.touch()
    *restored, first, second = (end.result() for end in ends)
    back = [id for one in restored for id in one] + work.restore_all(store)
    gone = [*first, *second]
    assert Counter(back + gone).most_common(1)[0][1] == 1, "a deletion ended twice"
    assert len(back) + len(gone) == len([id for one in made for id in one])
    assert len(store.jobs.recent(None)) == len(back)
    assert list(store.trash) == []
    store.gc()
    assert not list((root / ".fsstore/trash").iterdir())
