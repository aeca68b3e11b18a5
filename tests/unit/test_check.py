"""check() finds what is wrong, each with its word, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import LogBench, line_of

from fsstore import DataStore, DataStoreOptions, ModelResponse, Problem, Store, clock, layout
from fsstore.disk import fs, machine
from fsstore.upkeep.problems import FIXABLE

pytestmark = pytest.mark.damaged

THREAD = "threads/t"
LOG = "threads/t/messages.jsonl"
META = "threads/t/meta.json"
STATUS = "threads/t/runs/r/status.json"
STEP = "threads/t/runs/r/steps/s.json"
NAMES = "session_index.jsonl"


class Bench(LogBench):
    """A store of everything: a named thread with messages, a run and a step, and a long thread with a stamp."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        with Store.open(root, durability="process") as store:
            store.threads.update("t", name="one")
            store.threads.update("t", name="two")
            store.thread("t").runs.create("r").steps.create("s")
            store.threads.create("long").messages.extend({"role": "user", "content": "x" * 1000} for _ in range(100))
            store.threads.create("gone", name="gone")
            store.threads.delete("gone")

    def file(self, below: str) -> Path:
        return self.root / below

    def edit(self, below: str, **fields: Any) -> None:
        path = self.file(below)
        path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))

    def check(self) -> list[Problem]:
        """Check with a reader, which must leave the whole store as it is."""
        before = snapshot(self.root)
        with Store.open(self.root, read_only=True) as store:
            problems = list(store.check())
        assert snapshot(self.root) == before
        for problem in problems:
            assert problem.fixable == (problem.kind in FIXABLE)
            assert problem.detail
            assert str(problem).startswith(problem.path)
            assert problem.kind in str(problem)
        return problems

    def found(self) -> list[tuple[str, str]]:
        return [(problem.path, problem.kind) for problem in self.check()]


def snapshot(root: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else None
        found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_ino, data)
    return found


@pytest.fixture
def bench(root: Path) -> Bench:
    return Bench(root)


def test_a_whole_store_has_no_problem(bench: Bench) -> None:
    assert bench.file(".fsstore/cache/long.stamp").exists()
    assert bench.check() == []


def test_an_empty_store_has_no_problem(store: Store) -> None:
    assert list(store.check()) == []


def next_id(bench: LogBench) -> str:
    return clock.new_id(bench.sent[-1].id)


LOGS: dict[str, Callable[[Bench], Any]] = {
    "torn": lambda bench: bench.tear_line(4),
    "glued": lambda bench: bench.glue(3),
    "nul": lambda bench: bench.put_nul(2, 0),
    "utf8": lambda bench: bench.set_bytes(4, b"message", b"\xff"),
    "not-json": lambda bench: bench.append_bytes(b"words\n"),
    "no-object": lambda bench: bench.append_bytes(b"[1]\n"),
    "conflict-marker": lambda bench: bench.append_bytes(b"=======\n"),
    "bad-id": lambda bench: bench.append_bytes(b'{"id":"x"}\n'),
    "no-message": lambda bench: bench.append_record(id=next_id(bench)),
    "unknown-type": lambda bench: bench.append_record(id=next_id(bench), type="later"),
    "duplicate-id": lambda bench: bench.duplicate_line(4),
    "conflicting-id": lambda bench: bench.insert_line(2, line_of({**bench.record(2), "content": "other"})),
    "shared-id": lambda bench: bench.append_record(id=bench.sent[4].id, type="leaf", leaf_id=bench.sent[4].id),
    "missing-parent": lambda bench: bench.change(4, parent_id=clock.FIRST_ID),
    "cycle": lambda bench: bench.change(2, parent_id=bench.sent[3].id),
    "dangling": lambda bench: bench.append_record(id=next_id(bench), type="leaf", leaf_id=clock.FIRST_ID),
    "unsorted": lambda bench: bench.swap_lines(1, 2),
    "format": lambda bench: bench.append_record(id=next_id(bench), type="!later"),
}


@pytest.mark.parametrize("kind", LOGS)
def test_a_problem_of_a_log_is_found_by_its_word(bench: Bench, kind: str) -> None:
    LOGS[kind](bench)
    assert bench.found() == [(LOG, kind)]


@pytest.mark.parametrize("kind", ["torn", "glued", "nul", "not-json", "bad-id", "unknown-type", "dangling", "cycle"])
def test_a_problem_of_a_line_says_where_it_is(bench: Bench, kind: str) -> None:
    LOGS[kind](bench)
    place = {"torn": 4, "glued": 3, "nul": 2, "cycle": 2}.get(kind, 5)
    (problem,) = bench.check()
    assert problem.offset == bench.offset(place)
    assert f"{LOG} at byte {problem.offset}: {kind}: " in str(problem)


def test_every_kind_that_a_repair_can_mend_is_found_by_a_test() -> None:
    assert set(LOGS) | {"leftover-temp", "stale-cache", "permissions", "index-differs"} >= FIXABLE


@pytest.mark.parametrize("kind", LOGS)
def test_a_repair_mends_what_is_fixable_loses_no_byte_and_the_second_one_changes_nothing(bench: Bench, kind: str) -> None:
    LOGS[kind](bench)
    with Store.open(bench.root, read_only=True) as store:
        before = bench.data if kind == "format" else list(store.thread("t").messages)
        assert [problem.kind for problem in store.repair(dry_run=True)] == [kind] * (kind in FIXABLE)
    lines = bench.lines
    with Store.open(bench.root) as store:
        assert [problem.kind for problem in store.repair()] == [kind] * (kind in FIXABLE)
        after = bench.data if kind == "format" else list(store.thread("t").messages)
        store.close()
        mended = snapshot(bench.root)
        assert store.repair() == []
        assert snapshot(bench.root) == mended
    assert after == before
    kept = bench.data + b"".join(path.read_bytes() for path in bench.file(".fsstore").glob("quarantine/*.raw"))
    for line in b"".join(lines).replace(b"}{", b"}\n{").split(b"\n"):
        assert line.strip(b"\0~") in kept
    assert [found for _, found in bench.found()] == [kind] * (kind not in FIXABLE)


def test_a_fragment_at_the_end_goes_to_quarantine_as_it_was(bench: Bench) -> None:
    bench.cut_last(10)
    fragment = bench.lines[4]
    with Store.open(bench.root) as store:
        assert [problem.kind for problem in store.repair()] == ["torn"]
    assert bench.data == b"".join(bench.lines[:4])
    (raw,) = bench.file(".fsstore").glob("quarantine/*.raw")
    assert raw.read_bytes() == fragment
    about = json.loads(raw.with_suffix(".json").read_bytes())
    assert about["path"] == LOG
    assert [(piece["offset"], piece["length"]) for piece in about["pieces"]] == [(bench.offset(4), len(fragment))]


@pytest.mark.parametrize("name", ["strange", "x.tmp"])
def test_a_leftover_goes_to_quarantine_and_a_stale_cache_goes(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = clock.now() + 100_000
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    bench.file(f".fsstore/tmp/{name}").write_bytes(b"left")
    bench.file(".fsstore/cache/long.stamp").write_bytes(b"x")
    with Store.open(bench.root) as store:
        assert {problem.kind for problem in store.repair()} == {"leftover-temp", "stale-cache"}
    assert [raw.read_bytes() for raw in bench.file(".fsstore").glob("quarantine/*.raw")] == [b"left"]
    assert not bench.file(f".fsstore/tmp/{name}").exists()
    assert not bench.file(".fsstore/cache/long.stamp").exists()


def test_what_is_no_file_among_temporary_files_and_caches_is_mended_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = clock.now() + 100_000
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    left = bench.file(".fsstore/tmp/01.7.another.gone.tmp/threads/gone")  # a trash that another machine did not come to empty
    left.mkdir(parents=True)
    (left / "meta.json").write_bytes(b"one")
    (left / "messages.jsonl").write_bytes(b"two")
    os.mkfifo(bench.file(".fsstore/tmp/fifo"))
    bench.file(".fsstore/cache/x.stamp").mkdir()
    with Store.open(bench.root) as store:
        assert {"leftover-temp", "stale-cache"} <= {problem.kind for problem in store.repair()}
        assert store.repair() == []
    kept = {
        raw.read_bytes(): json.loads(raw.with_suffix(".json").read_bytes()) for raw in bench.root.glob("*/quarantine/*.raw")
    }
    assert {data: about["path"].rpartition("/gone/")[2] for data, about in kept.items()} == {
        b"one": "meta.json",
        b"two": "messages.jsonl",
    }
    assert list(bench.file(".fsstore/tmp").iterdir()) == []


@pytest.mark.parametrize("own", ["tmp", "cache", "."])
def test_what_a_planted_link_leads_to_is_neither_read_nor_mended(
    bench: Bench, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = clock.now() + 100_000
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    with Store.open(bench.root) as store:
        place, aside = bench.file(f".fsstore/{own}"), bench.root.parent / "elsewhere"
        place.rename(aside)
        place.symlink_to(aside)
        for directory in ("tmp", "cache") if own == "." else ("",):
            (aside / directory / "mine").write_bytes(b"mine")
        assert bench.found() == [(f".fsstore/{own}".removesuffix("/."), "symlink")]
        assert store.repair() == []
    assert all(path.read_bytes() == b"mine" for path in aside.rglob("mine"))


@pytest.mark.parametrize("spoil", [b"words\n", b'{"id":"x"}\n', b"=======\n"])
@pytest.mark.parametrize("log", [NAMES, "prompt_history.jsonl", "threads/d/session_content.jsonl", "threads/d/usage.jsonl"])
def test_every_log_is_mended(bench: Bench, log: str, spoil: bytes) -> None:
    with DataStore(DataStoreOptions(root=bench.root, session_id="d")) as data:
        data.record_prompt("why?")
        data.accumulate_cost("m", 1.5)
        data.append_histories(["p"], [ModelResponse(model_id="m", text="so")], "why?")
    path = bench.file(log)
    whole = path.read_bytes()
    path.write_bytes(spoil + whole)
    assert len(bench.check()) == 1
    with Store.open(bench.root) as store:
        assert len(store.repair()) == 1
    assert path.read_bytes() == whole
    assert bench.check() == []


def test_a_repair_beside_writers_loses_nothing(bench: Bench) -> None:
    work = (
        "import sys; from fsstore import Store\n"
        "messages = Store.open(sys.argv[1], durability='process').thread('t').messages\n"
        "for n in range(300): messages.append('user', f'{sys.argv[2]} {n}')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", work, str(bench.root), name]) for name in "ab"]
    mended = 0
    with Store.open(bench.root) as store:
        while any(writer.poll() is None for writer in writers):
            with bench.path.open("ab") as file:
                file.write(b"rubbish\n")
            mended += len(store.repair())
            store.thread("t").messages.compact()
        mended += len(store.repair())
    assert [writer.wait() for writer in writers] == [0, 0]
    assert mended > 0
    assert bench.check() == []
    with Store.open(bench.root) as store:
        said = [message.content for message in store.thread("t").messages]
    for name in "ab":
        assert [text for text in said if text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(300)]


def test_a_fragment_at_the_end_is_torn(bench: Bench) -> None:
    bench.cut_last(10)
    (problem,) = bench.check()
    assert (problem.path, problem.kind, problem.offset) == (LOG, "torn", bench.offset(4))


def test_a_missing_newline_and_blank_lines_are_no_problem(bench: Bench) -> None:
    bench.put(b"\n" + bench.data.replace(b"\n", b"\r\n\n")[:-3])
    assert bench.check() == []


def test_problems_of_one_file_come_in_the_order_of_their_places(bench: Bench) -> None:
    bench.insert_line(0, b"words\n")
    bench.insert_line(3, b"[]\n")
    bench.append_bytes(b"~\n")
    offsets = [problem.offset for problem in bench.check()]
    assert offsets == [0, bench.offset(3), bench.offset(7)]


def test_a_given_id_given_twice_is_reported(bench: Bench) -> None:
    with Store.open(bench.root, durability="process") as store:
        for _ in range(2):
            store.thread("t").messages.append("user", "x", given_id="same")
    (problem,) = bench.check()
    assert problem.path == LOG
    assert "same" in problem.detail


def test_a_given_id_given_twice_is_reported_past_one_that_is_gone(bench: Bench) -> None:
    with Store.open(bench.root) as store:
        messages = store.thread("t").messages
        first, second, _ = (messages.append("user", "hi", given_id="mine") for _ in range(3))
        messages.remove(second.record_id)
    assert bench.found() == [(LOG, "duplicate-given-id")]
    with Store.open(bench.root) as store:
        store.thread("t").messages.remove(first.record_id)
    assert bench.found() == []


@pytest.mark.parametrize("path", [META, STATUS, STEP])
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\0" * 200, b"\xff", b"{}", b'{"versions":{}}', b'{"versions":{"":"x"}}', b'{"versions":7}']
)
def test_a_document_that_cannot_be_read_is_corrupt(bench: Bench, path: str, data: bytes) -> None:
    bench.file(path).write_bytes(data)
    assert bench.found() == [(path, "corrupt")]


@pytest.mark.parametrize("path", [META, STATUS, STEP])
@pytest.mark.parametrize("id", ["other", None, 7, ""])
def test_a_document_that_names_another_id_is_misplaced(bench: Bench, path: str, id: Any) -> None:
    bench.edit(path, id=id)
    assert bench.found() == [(path, "misplaced")]


@pytest.mark.parametrize(
    ("path", "field"), [(META, "status"), (META, "source"), (STATUS, "status"), (STEP, "status"), (STEP, "step_type")]
)
@pytest.mark.parametrize("value", ["later", None, 7, ["idle"], {}])
def test_an_unknown_enum_value_is_reported(bench: Bench, path: str, field: str, value: Any) -> None:
    bench.edit(path, **{field: value})
    assert bench.found() == [(path, "unknown-value")]


def test_a_document_of_a_hashed_name_is_held_against_the_id_in_it(bench: Bench) -> None:
    with Store.open(bench.root, durability="process") as store:
        directory = Path(store.threads.create("X" * 500).directory)
    assert bench.check() == []
    path = f"threads/{directory.name}/meta.json"
    bench.edit(path, id="X" * 501)
    assert bench.found() == [(path, "misplaced")]


def test_a_thread_without_its_meta_is_reported(bench: Bench) -> None:
    bench.file(META).unlink()
    assert bench.found() == [(THREAD, "no-meta")]


def test_a_run_without_its_status_is_reported(bench: Bench) -> None:
    bench.file(STATUS).unlink()
    assert [path for path, _ in bench.found()] in (["threads/t/runs/r"], [STATUS])


@pytest.mark.parametrize("name", ["Upper", "a b", ".hidden", "con", "x%zz", "a."])
def test_a_name_that_the_store_does_not_make_is_reported(bench: Bench, name: str) -> None:
    bench.file(f"threads/{name}").mkdir()
    bench.file(f"threads/t/runs/{name}").mkdir()
    bench.file(f"threads/t/runs/r/steps/{name}.json").write_bytes(b"{}")
    problems = bench.check()
    assert {problem.kind for problem in problems} == {"name"}
    assert len(problems) == 3


def test_a_file_among_the_steps_that_is_no_document_is_reported(bench: Bench) -> None:
    bench.file("threads/t/runs/r/steps/notes.txt").write_bytes(b"x")
    assert bench.found() == [("threads/t/runs/r/steps/notes.txt", "name")]


def test_what_is_no_directory_among_the_threads_is_a_stranger(bench: Bench) -> None:
    bench.file("threads/x").write_bytes(b"x")
    assert bench.found() == [("threads/x", "stranger")]


@pytest.mark.parametrize("target", [THREAD, "nowhere", "/etc"])
@pytest.mark.parametrize("place", ["threads/x", "threads/t/notes", "threads/t/runs/r/steps/x.json", "jobs", ".fsstore/tmp/x"])
def test_a_link_inside_the_store_is_reported_and_not_followed(bench: Bench, place: str, target: str) -> None:
    bench.file(place).symlink_to(target if target == "/etc" else bench.file(target))
    assert ("symlink" in [kind for path, kind in bench.found() if path == place]) is True
    assert {path for path, _ in bench.found()} == {place}


@pytest.mark.parametrize(
    "name",
    [
        *("messages.sync-conflict-20261128-101112-ABCDEF7.jsonl", "meta (conflicted copy 2026-11-28).json", "meta.json~"),
        *("messages (Ada's conflicted copy 2026-11-28).jsonl", ".messages.jsonl.Xy12Zw", "meta_LOCAL_4711.json"),
        "meta.REMOTE.4711.json",
    ],
)
@pytest.mark.parametrize("directory", [THREAD, "threads/t/runs/r/steps", "threads", "."])
def test_a_copy_that_a_sync_tool_left_is_reported_once(bench: Bench, directory: str, name: str) -> None:
    path = bench.file(directory) / name
    path.write_bytes(b"{}")
    assert bench.found() == [(str(path.relative_to(bench.root)), "conflict-copy")]


def test_no_name_of_an_id_is_taken_for_a_copy() -> None:
    ids = (
        "x.sync-conflict-20261128-101112-ABCDEF7",
        "a (conflicted copy)",
        "a.json~",
        ".a.json.abc123",
        "a_LOCAL_1.json",
        "a.orig",
    )
    assert not any(layout.is_conflict_copy(f"{layout.encode_name(id)}{end}") for id in ids for end in ("", ".json"))


@pytest.mark.parametrize("rights", [0o644, 0o660, 0o604, 0o777])
@pytest.mark.parametrize(
    "place", [META, LOG, STEP, NAMES, "fsstore.json", ".gitignore", THREAD, "threads", ".fsstore/locks", "."]
)
def test_rights_of_others_are_reported_and_taken_away(bench: Bench, place: str, rights: int) -> None:
    rights |= 0o700 * bench.file(place).is_dir()
    bench.file(place).chmod(rights)
    assert bench.found() == [(place, "permissions")]
    assert f"{rights:04o}" in bench.check()[0].detail
    Store.open(bench.root).repair()
    assert bench.check() == []
    assert bench.file(place).stat().st_mode & 0o7777 == rights & 0o700


def test_what_is_not_the_stores_in_its_root_is_no_matter(bench: Bench) -> None:
    for name in (".git", "notes"):
        bench.file(name).mkdir(mode=0o755)
        bench.file(f"{name}/README").write_bytes(b"x")
    bench.file("link").symlink_to("/etc")
    assert bench.check() == []


def test_a_document_of_an_id_that_has_its_own_is_named_so(bench: Bench) -> None:
    bench.file("threads/copy").mkdir()
    bench.file("threads/copy/meta.json").write_bytes(bench.file(META).read_bytes())
    bench.file("threads/t/runs/r/steps/copy.json").write_bytes(bench.file(STEP).read_bytes())
    assert bench.found() == [("threads/copy/meta.json", "two-names"), ("threads/t/runs/r/steps/copy.json", "two-names")]


def test_a_name_that_the_index_lost_is_reported_and_noted_again(bench: Bench) -> None:
    path = bench.file(NAMES)
    path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True) if b'"two"' not in line))
    with Store.open(bench.root) as store:
        store.threads.update("t", rollout_path="/r")
        path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True) if b'"two"' not in line))
    assert bench.found() == [(META, "index-differs")]
    with Store.open(bench.root) as store:
        assert [problem.kind for problem in store.repair()] == ["index-differs"]
    assert bench.check() == []
    assert b'"two"' in path.read_bytes()


def test_a_run_that_its_process_left_in_progress_is_reported(bench: Bench) -> None:
    work = (
        "from fsstore import Store; import sys; Store.open(sys.argv[1]).thread('t').runs.create('left', status='in_progress')"
    )
    subprocess.run([sys.executable, "-c", work, bench.root], check=True)
    assert bench.found() == [("threads/t/runs/left/status.json", "abandoned-run")]
    with Store.open(bench.root) as store:
        run = store.thread("t").runs["left"]
        run.update("in_progress")
        assert bench.check() == []  # this process took it over
        run.finish("failed")
        run.steps.create("s")
        store.thread("t").runs.create("other", status="in_progress")
    bench.edit("threads/t/runs/other/status.json", process={"host": "elsewhere", "pid": 1 << 22})
    assert bench.check() == []
    for pid in (0, -1, 1 << 40, 10**30, "1", None, True):  # what no process has tells nothing, and harms nothing
        bench.edit("threads/t/runs/other/status.json", process={"host": machine.host(), "pid": pid})
        assert bench.check() == []


def test_what_a_writer_is_about_is_no_problem(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fragment, and a directory without its document, of which the rest comes before the second look."""
    whole = bench.data
    bench.put(whole[:-10])
    bench.file("threads/new/runs/r2").mkdir(parents=True)
    bench.file("threads/new/messages.jsonl").write_bytes(b"")

    def go_on(seconds: float) -> None:
        bench.put(whole)
        os.utime(bench.path)
        bench.file("threads/new").rename(bench.root.parent / "gone")

    monkeypatch.setattr(machine, "pause", go_on)
    with Store.open(bench.root, read_only=True) as store:
        assert list(store.check()) == []


def test_progress_is_told_from_none_to_all(bench: Bench) -> None:
    told: list[tuple[int, int]] = []
    with Store.open(bench.root) as store:
        assert list(store.check(lambda done, total: told.append((done, total)))) == []
    assert [done for done, _ in told] == list(range(told[0][1] + 1))


def test_a_directory_that_may_not_be_read_is_unreadable(bench: Bench) -> None:
    bench.file("threads/t/runs").chmod(0)
    try:
        list(os.scandir(bench.file("threads/t/runs")))
    except PermissionError:
        assert ("threads/t/runs", "unreadable") in bench.found()
    else:
        pytest.skip("this user may read everything")
    finally:
        bench.file("threads/t/runs").chmod(0o700)


@pytest.mark.parametrize("place", ["threads/long", "threads/long/runs", ".fsstore/tmp", ".fsstore/cache", ".fsstore"])
def test_what_may_not_be_looked_at_is_unreadable_and_hides_no_other_problem(
    bench: Bench, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.append_record(id=next_id(bench), type="later")
    bench.file("threads/long/runs").mkdir(0o700)
    refused = str(bench.file(place))

    def refuse(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: str, *args: Any, **more: Any) -> Any:
            if str(path).startswith(f"{refused}/") or (path == refused and real is os.listdir):
                raise PermissionError(13, "Permission denied", path)
            return real(path, *args, **more)

        return call

    for name in ("stat", "own_status", "list_names", "open_fd"):
        monkeypatch.setattr(fs, name, refuse(getattr(fs, name)))
    found = bench.found()
    assert (LOG, "unknown-type") in found
    assert {kind for path, kind in found if path.startswith(place)} == {"unreadable"}


@pytest.mark.parametrize(
    "place", ["jobs", "recipes", "threads/t/checkpoints", "threads/t/runs/r/steps", "workflows", ".fsstore/trash"]
)
def test_a_file_in_the_place_of_a_directory_is_a_stranger(bench: Bench, place: str) -> None:
    if bench.file(place).exists():
        shutil.rmtree(bench.file(place))
    bench.file(place).touch(0o600)
    assert bench.found() == [(place, "stranger")]


@pytest.mark.parametrize("path", [LOG, META, STATUS, STEP, NAMES])
@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_what_is_no_file_in_a_files_place_is_unreadable_and_never_hangs(bench: Bench, path: str, kind: str) -> None:
    place = bench.file(path)
    aside = place.rename(bench.file("aside"))
    if kind == "directory":
        place.mkdir()
    elif kind == "link":
        place.symlink_to(aside)
    else:
        os.mkfifo(place)
    assert bench.found() == [(path, "symlink" if kind == "link" else "unreadable")]


@pytest.mark.parametrize("kind", ["torn", "not-json", "no-object", "bad-id", "unsorted", "duplicate-id"])
def test_the_session_index_is_checked_like_every_log(bench: Bench, kind: str) -> None:
    path = bench.file(NAMES)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > 3
    spoiled = {
        "torn": b"".join(lines)[:-5],
        "not-json": b"words\n" + b"".join(lines),
        "no-object": b"[]\n" + b"".join(lines),
        "bad-id": b'{"id":7}\n' + b"".join(lines),
        "unsorted": b"".join([lines[1], lines[0], *lines[2:]]),
        "duplicate-id": b"".join([lines[0], *lines]),
    }
    path.write_bytes(spoiled[kind])
    assert bench.found() == [(NAMES, kind)]


def test_a_type_of_the_session_index_that_must_be_understood_is_reported(bench: Bench) -> None:
    path = bench.file(NAMES)
    last = json.loads(path.read_bytes().splitlines()[-1])["id"]
    with path.open("ab") as file:
        file.write(line_of({"id": clock.new_id(last), "type": "!later"}))
    assert bench.found() == [(NAMES, "format")]


@pytest.mark.parametrize("name", ["0123.999999999.host.meta.json.tmp", "strange", "x.tmp"])
def test_a_temporary_file_of_nobody_is_reported(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.file(f".fsstore/tmp/{name}").write_bytes(b"x")
    assert bench.found() == []  # of which nobody can tell whether its writer lives
    tomorrow = clock.now() + 100_000
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    assert bench.found() == [(f".fsstore/tmp/{name}", "leftover-temp")]


def test_a_temporary_file_of_a_living_writer_is_no_problem(bench: Bench) -> None:
    with Store.open(bench.root) as store:
        Path(store._root.temp("meta.json")).write_bytes(b"x")
    assert bench.check() == []


@pytest.mark.parametrize(
    "spoil", [lambda data: b"", lambda data: data[:-9], lambda data: b"\0" * len(data), lambda data: b"x" + data]
)
def test_a_stamp_that_does_not_fit_is_a_stale_cache(bench: Bench, spoil: Callable[[bytes], bytes]) -> None:
    path = bench.file(".fsstore/cache/long.stamp")
    path.write_bytes(spoil(path.read_bytes()))
    assert bench.found() == [(".fsstore/cache/long.stamp", "stale-cache")]


def test_a_stamp_of_no_thread_is_a_stale_cache(bench: Bench) -> None:
    bench.file(".fsstore/cache/nobody.stamp").write_bytes(b"{}\nx")
    assert bench.found() == [(".fsstore/cache/nobody.stamp", "stale-cache")]


def test_one_thread_that_cannot_be_read_does_not_hide_the_problems_of_the_next(bench: Bench) -> None:
    bench.append_record(id=next_id(bench), type="!later")
    bench.file("threads/long/meta.json").write_bytes(b"")
    bench.file(".fsstore/cache/x.stamp").write_bytes(b"")
    assert bench.found() == [("threads/long/meta.json", "corrupt"), (LOG, "format"), (".fsstore/cache/x.stamp", "stale-cache")]


def test_a_missing_threads_directory_is_no_crash(bench: Bench) -> None:
    bench.file("threads").rename(bench.file("elsewhere"))
    assert {path for path, _ in bench.found()} <= {".fsstore/cache/long.stamp", "threads"}


def test_a_problem_is_a_value_that_can_be_read_by_people_and_programs(bench: Bench) -> None:
    LOGS["not-json"](bench)
    (problem,) = bench.check()
    assert problem == Problem(path=LOG, offset=problem.offset, kind="not-json", detail=problem.detail, fixable=True)
    assert "\n" not in str(problem)
    with pytest.raises(AttributeError):
        problem.kind = "other"  # type: ignore[misc]


def test_checking_finds_problems_one_by_one_and_can_stop_early(bench: Bench) -> None:
    LOGS["not-json"](bench)
    with Store.open(bench.root, read_only=True) as store:
        found = store.check()
        assert next(iter(found)).kind == "not-json"
        found.close()  # type: ignore[attr-defined]


def test_a_thread_that_is_deleted_while_check_looks_is_no_problem(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    names, deleted = fs.names, []

    def delete_once_listed(path: str) -> list[str]:
        found = names(path)
        if path.endswith("/threads") and not deleted:
            deleted.append(path)
            with Store.open(bench.root) as other:
                other.threads.delete("t")
        return found

    with Store.open(bench.root, read_only=True) as store:
        monkeypatch.setattr(fs, "names", delete_once_listed)
        assert list(store.check()) == []
    assert deleted
