from __future__ import annotations

import gc
import os
import threading
import weakref
from pathlib import Path

import pytest
from damage import line_of

from fsstore import Store, clock
from fsstore.disk.folding import View
from fsstore.resources.usage import UsageView
from fsstore.resources.views import Views


class Counted(View):
    """Knows only how many records there are."""

    count: int

    def begin(self) -> None:
        self.count = 0

    def take(self, record: dict[str, object]) -> None:
        self.count += 1


def test_a_view_is_kept_and_given_again():
    views = Views()
    first = views.get("a", UsageView)
    assert views.get("a", UsageView) is first
    assert views.get("b", UsageView) is not first
    assert first.path == "a"


def test_of_more_views_than_are_kept_those_used_last_stay():
    views = Views(2)
    first, second = views.get("a", UsageView), views.get("b", UsageView)
    assert views.get("a", UsageView) is first
    views.get("c", UsageView)
    assert views.get("a", UsageView) is first
    assert views.get("b", UsageView) is not second


def test_views_hold_no_more_of_logs_than_allowed_together(tmp_path: Path):
    views = Views(size=1000)
    for name, id in zip("abcdef", clock.next_ids(0, clock.random_suffix(), 6)[1], strict=True):
        (tmp_path / name).write_bytes(line_of({"id": id, "type": "goal", "padding": "x" * 300}))
        views.get(str(tmp_path / name), Counted).refresh()
    assert [path[-1] for path in views._views] == ["d", "e", "f"]
    (tmp_path / "f").write_bytes(b"x" * 5000 + b"\n")
    views.get(str(tmp_path / "f"), Counted).refresh()  # one in use may hold more than all may
    other = views.get(str(tmp_path / "d"), UsageView)
    assert list(views._views.values()) == [other]


def test_a_view_that_was_dropped_costs_no_memory():
    views = Views(1)
    gone = weakref.ref(views.get("a", UsageView))
    views.get("b", UsageView)
    gc.collect()
    assert gone() is None


def test_a_view_of_another_kind_is_made_anew():
    views = Views()
    usage = views.get("a", UsageView)
    counted = views.get("a", Counted)
    assert (type(usage), type(counted)) == (UsageView, Counted)
    assert views.get("a", Counted) is counted


def test_a_view_made_anew_says_the_same(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line_of({"id": id}) for id in clock.next_ids(0, clock.random_suffix(), 50)[1]))
    views, counts = Views(1), []
    for _ in range(3):
        view = views.get(str(path), Counted)
        view.refresh()
        counts.append(view.count)
        views.get("other", Counted)
    assert counts == [50, 50, 50]


def test_threads_that_ask_at_once_get_the_same_view():
    views, found = Views(1_000), []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        found.append([views.get(str(number), UsageView) for number in range(200)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == found[0] for one in found)
    assert len(found) == 8


def test_forgetting_drops_them_and_frees_a_mutex_that_was_held():
    views = Views()
    kept = views.get("a", UsageView)
    views._mutex.acquire()
    views.forget()
    assert views.get("a", UsageView) is not kept


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_reads_a_goal_though_a_thread_of_its_parent_was_reading_it(store: Store):
    goal = store.threads.create("t").goal
    goal.set("Ship")
    goal.accrue(tokens=5)
    view = store.threads._views.get(goal.usage.path, UsageView)
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with view.mutex, store.threads._views._mutex:
            held.set()
            free.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        os._exit(store.thread("t").goal.get().tokens_used + store.thread("t").goal.accrue(tokens=1).tokens_used)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
    free.set()
    holder.join()
    assert goal.get().tokens_used == 6
