"""Rewinding files: nothing outside the working directory is touched, nothing of anybody's is lost, and what failed is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import processes
import pytest
import rewind_children as children

from fsstore import CorruptError, FileSnapshot, ModelResponse, RewindEntry, RewindResult, Store, snapshot_files
from fsstore.disk import fs
from fsstore.resources.data_session import DataSession

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


@pytest.fixture
def session(store: Store, work: Path) -> DataSession:
    return store.data.session("s", cwd=work)


def kept(session: DataSession, work: Path, *paths: str, write: bool = True) -> None:
    """Let the files be written, and remember them as they were before."""
    session.rewinds.push(RewindEntry(prompt="p"))
    snapshots = snapshot_files(paths, work)
    for path in paths if write else ():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text("new")
    session.rewinds.push_files(snapshots)


def failed(result: RewindResult, path: str) -> str:
    """Give why one file failed, which the message for people tells too; the entry stays for another try."""
    assert path in result.failed
    assert f"{path}: {result.failed[path]}" in result.file_msg
    return result.failed[path]


# Outside the working directory


def test_a_path_outside_is_refused_when_it_is_pushed_and_nothing_is_written(session: DataSession, work: Path, tmp_path: Path):
    for path in (str(tmp_path / "outside"), "../outside", "/etc/passwd"):
        for push in (
            lambda snapshot: session.rewinds.push(RewindEntry(file_snapshots=[snapshot])),
            lambda snapshot: session.rewinds.push_files([snapshot]),
        ):
            session.rewinds.push(RewindEntry())
            count = len(session.rewinds)
            with pytest.raises(ValueError, match="outside the working directory"):
                push(FileSnapshot(path=path, content=b"x"))
            assert len(session.rewinds) == count
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", "a/../../outside", "", ".", "a//b", "./a", "nul\0byte"])
def test_a_path_that_somebody_wrote_into_the_log_leads_nowhere(
    session: DataSession, store: Store, work: Path, tmp_path: Path, path: str
):
    (tmp_path / "outside").write_text("mine")
    (work / "a").mkdir()
    session.rewinds.push(RewindEntry(prompt="p", file_snapshots=[FileSnapshot(path="x", content=b"evil")]))
    log = Path(store.thread("s").directory) / "rewind.jsonl"
    log.write_text(log.read_text().replace('"path":"x"', f'"path":{json.dumps(path)}'))
    result = session.rewinds.rewind()
    assert "no path below the working directory" in failed(result, path)
    assert (tmp_path / "outside").read_text() == "mine"
    assert [entry.name for entry in work.iterdir()] == ["a"]


def test_a_link_put_in_the_place_of_a_file_is_not_followed(session: DataSession, work: Path, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (work / "a").write_text("old")
    kept(session, work, "a")
    (work / "a").unlink()
    (work / "a").symlink_to(outside)
    assert failed(session.rewinds.rewind(), "a")
    assert (outside.read_text(), (work / "a").is_symlink()) == ("mine", True)
    assert failed(session.rewinds.rewind(force=True), "a")
    assert (outside.read_text(), len(session.rewinds)) == ("mine", 0)


def test_a_link_put_in_the_place_of_a_directory_is_not_followed(session: DataSession, work: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a").write_text("mine")
    (work / "deep").mkdir()
    (work / "deep" / "a").write_text("old")
    kept(session, work, "deep/a")
    (work / "deep").rename(tmp_path / "moved")
    (work / "deep").symlink_to(elsewhere)
    assert failed(session.rewinds.rewind(force=True), "deep/a")
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("a", "mine")]


def test_a_link_put_in_at_the_last_moment_is_not_followed(
    session: DataSession, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (work / "deep").mkdir()
    (work / "deep" / "a").write_text("old")
    kept(session, work, "deep/a")
    real = fs.read_in

    def swapped(directory: int, name: str) -> tuple[bytes, int]:
        found = real(directory, name)
        if (work / "deep").is_dir() and not (work / "deep").is_symlink():
            (work / "deep").rename(tmp_path / "moved")
            (work / "deep").symlink_to(elsewhere)
        return found

    monkeypatch.setattr(fs, "read_in", swapped)
    assert failed(session.rewinds.rewind(), "deep/a")
    assert list(elsewhere.iterdir()) == []


def test_links_that_stay_inside_are_followed_when_a_file_is_taken(session: DataSession, work: Path):
    (work / "real").mkdir()
    (work / "link").symlink_to("real")
    (work / "real" / "a").write_text("old")
    kept(session, work, "link/a")
    assert session.rewinds.rewind().restored == ["real/a"]
    assert (work / "real" / "a").read_text() == "old"
    assert (work / "link").is_symlink()


def test_a_working_directory_reached_by_a_link_is_the_same(store: Store, work: Path, tmp_path: Path):
    (tmp_path / "here").symlink_to(work)
    (work / "a").write_text("old")
    session = store.data.session("s", cwd=tmp_path / "here")
    kept(session, tmp_path / "here", "a")
    assert store.data.session("s", cwd=work).rewinds.rewind().restored == ["a"]


def test_without_one_the_working_directory_is_the_process_s_own(store: Store, work: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(work)
    session = store.data.session("s")
    monkeypatch.chdir("/")
    (work / "a").write_text("old")
    kept(session, work, "a")
    assert session.rewinds.rewind().restored == ["a"]


# What is no file


def a_directory(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("mine")


@pytest.mark.parametrize("make", [a_directory, os.mkfifo], ids=["directory", "fifo"])
@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_file_is_left_and_told(session: DataSession, work: Path, make: Callable[[Path], None], force: bool):
    (work / "a").write_text("old")
    kept(session, work, "a", "b")
    for name in ("a", "b"):
        (work / name).unlink()
        make(work / name)
    result = session.rewinds.rewind(force=force)
    assert [failed(result, name) for name in ("a", "b")]
    assert not (work / "a").is_file()
    assert len(session.rewinds) == (0 if force else 1)
    with pytest.raises(IsADirectoryError):
        snapshot_files(["a"], work)


# Changed since


def test_a_file_that_is_gone_since_is_not_made_again_without_force(session: DataSession, work: Path):
    (work / "a").write_text("old")
    kept(session, work, "a")
    (work / "a").unlink()
    result = session.rewinds.rewind()
    assert (result.left, result.copies, (work / "a").exists()) == (["a"], {}, False)
    assert "it was deleted" in result.file_msg


def test_a_file_that_is_as_it_was_already_is_no_change(session: DataSession, work: Path):
    (work / "a").write_text("old")
    kept(session, work, "a", "b")
    (work / "a").write_text("old")
    (work / "b").unlink()
    before = (work / "a").stat().st_ino
    result = session.rewinds.rewind()
    assert (result.restored, result.left, result.file_msg) == ([], [], "")
    assert (work / "a").stat().st_ino == before


def test_a_mode_that_was_changed_is_restored(session: DataSession, work: Path):
    (work / "a").write_text("old")
    (work / "a").chmod(0o640)
    kept(session, work, "a", write=False)
    (work / "a").chmod(0o666)
    assert session.rewinds.rewind().restored == ["a"]
    assert (work / "a").stat().st_mode & 0o777 == 0o640


def test_a_snapshot_without_a_mode_keeps_that_of_the_file(session: DataSession, work: Path):
    (work / "a").write_text("new")
    (work / "a").chmod(0o700)
    session.rewinds.push(
        RewindEntry(file_snapshots=[FileSnapshot(path="a", content=b"old"), FileSnapshot(path="b", content=b"b")])
    )
    session.rewinds.rewind()
    assert (work / "a").stat().st_mode & 0o777 == 0o700
    assert (work / "b").stat().st_mode & 0o777 == 0o644


def test_a_mode_never_gives_more_than_rights(session: DataSession, work: Path):
    session.rewinds.push(RewindEntry(file_snapshots=[FileSnapshot(path="a", content=b"old", mode=0o6755)]))
    session.rewinds.rewind()
    assert (work / "a").stat().st_mode & 0o7777 == 0o755


def test_a_file_pushed_before_it_was_written_is_copied_aside_and_restored(session: DataSession, work: Path):
    (work / "a").write_text("old")
    session.rewinds.push(RewindEntry(file_snapshots=snapshot_files(["a"], work)))
    (work / "a").write_text("written afterwards")
    result = session.rewinds.rewind()
    assert (work / "a").read_text() == "old"
    assert Path(result.copies["a"]).read_text() == "written afterwards"
    assert "a was overwritten" in result.file_msg


def test_what_was_copied_aside_says_where_it_comes_from(session: DataSession, work: Path):
    (work / "a").write_text("old")
    kept(session, work, "a")
    (work / "a").write_bytes(b"\0mine")
    copy = Path(session.rewinds.rewind().copies["a"])
    assert copy.read_bytes() == b"\0mine"
    assert json.loads(copy.with_suffix(".json").read_text())["path"] == str(work / "a")


def test_of_several_snapshots_of_one_file_the_first_counts(session: DataSession, work: Path):
    (work / "a").write_text("old")
    session.rewinds.push(RewindEntry(prompt="p"))
    snapshots = []
    for content in ("first write", "second write"):
        snapshots += snapshot_files(["a", "./a"], work)
        (work / "a").write_text(content)
    session.rewinds.push_files(snapshots)
    result = session.rewinds.rewind(force=True)
    assert (result.restored, result.left, result.file_msg) == (["a"], [], "")
    assert (work / "a").read_text() == "old"


# Half-way


def test_a_file_that_cannot_be_restored_keeps_no_other_and_is_tried_again(session: DataSession, work: Path):
    for path in ("a", "blocked/b", "c"):
        (work / path).parent.mkdir(exist_ok=True)
        (work / path).write_text("old")
    session.histories.append(["p"], [answer()], "q")
    kept(session, work, "a", "blocked/b", "c")
    (work / "blocked").rename(work / "aside")
    (work / "blocked").write_text("a file where a directory was")
    first = session.rewinds.rewind()
    (work / "blocked").unlink()
    (work / "aside").rename(work / "blocked")
    assert first.restored == ["a", "c"]
    assert failed(first, "blocked/b")
    assert len(session.rewinds) == 1
    (work / "a").write_text("mine by now")
    session.histories.append(["p"], [answer()], "later")
    second = session.rewinds.rewind()
    assert (second.restored, second.file_msg, second.note) == (["blocked/b"], "", "")
    assert [(work / path).read_text() for path in ("a", "blocked/b", "c")] == ["mine by now", "old", "old"]
    assert [run.type for run in session.metadata().runs] == ["rewind"], "it is marked once"
    assert len(session.histories.all()["p"]) == 4, "and the histories are shortened once"
    assert len(session.rewinds) == 0


@pytest.mark.skipif(AS_ROOT, reason="nothing is read-only to root")
def test_a_file_in_a_read_only_directory_is_told_and_tried_again(session: DataSession, work: Path):
    (work / "locked").mkdir()
    (work / "locked" / "a").write_text("old")
    kept(session, work, "locked/a")
    (work / "locked").chmod(0o500)
    try:
        assert "ermission" in failed(session.rewinds.rewind(), "locked/a")
    finally:
        (work / "locked").chmod(0o700)
    assert session.rewinds.rewind().restored == ["locked/a"]


def answer() -> ModelResponse:
    return ModelResponse(model_id="m", text="t")


def test_a_file_whose_directory_is_a_file_by_now_fails_and_force_goes_on(session: DataSession, work: Path):
    (work / "deep").mkdir()
    (work / "deep" / "a").write_text("old")
    kept(session, work, "deep/a")
    (work / "deep" / "a").unlink()
    (work / "deep").rmdir()
    (work / "deep").write_text("a file")
    assert failed(session.rewinds.rewind(), "deep/a")
    assert len(session.rewinds) == 1
    assert failed(session.rewinds.rewind(force=True), "deep/a")
    assert len(session.rewinds) == 0


def test_a_full_disk_leaves_the_file_as_it_is_and_the_entry_to_be_tried_again(store: Store, work: Path):
    (work / "a").write_bytes(b"old " * 50_000)
    (work / "b").write_text("old")
    session = store.data.session("s", cwd=work)
    kept(session, work, "a", "b")
    result = processes.run(children.rewinds_with_little_room, Path(store.root), "s", work, 100_000)
    assert "too large" in failed(result, "a")
    assert result.restored == ["b"]
    assert [(work / name).read_text() for name in ("a", "b")] == ["new", "old"]
    assert sorted(path.name for path in work.iterdir()) == ["a", "b"]
    assert session.rewinds.rewind().restored == ["a"]
    assert (work / "a").read_bytes() == b"old " * 50_000


def test_what_an_attempt_left_that_was_cut_short_goes(session: DataSession, work: Path):
    (work / "a").write_text("old")
    kept(session, work, "a")
    entry = session.rewinds._entries()[-1].id
    (work / f".a.{entry}.fsstore").write_text("half of i")
    assert session.rewinds.rewind().restored == ["a"]
    assert [path.name for path in work.iterdir()] == ["a"]


def test_a_snapshot_that_is_no_base64_fails_alone(session: DataSession, store: Store, work: Path):
    (work / "a").write_text("old")
    (work / "b").write_text("old")
    kept(session, work, "a", "b")
    log = Path(store.thread("s").directory) / "rewind.jsonl"
    log.write_text(log.read_text().replace('"path":"a","content":"b2xk"', '"path":"a","content":"?"'))
    result = session.rewinds.rewind()
    assert failed(result, "a")
    assert result.restored == ["b"]


# The stack


def test_entries_are_taken_last_first_by_whoever_asks(session: DataSession, store: Store, work: Path):
    other = store.data.session("s", cwd=work)
    for index in range(3):
        session.rewinds.push(RewindEntry(prompt=str(index), feed_index=index))
    found = [one.rewinds.rewind().feed_index for one in (session, other, session)]
    assert found == [2, 1, 0]
    assert (len(session.rewinds), len(other.rewinds)) == (0, 0)


def test_clearing_leaves_what_is_pushed_later(session: DataSession):
    session.rewinds.push(RewindEntry(feed_index=1))
    session.rewinds.clear()
    session.rewinds.push(RewindEntry(feed_index=2))
    assert (len(session.rewinds), session.rewinds.rewind().feed_index) == (1, 2)


@pytest.mark.parametrize(
    "entry",
    [
        {"history_lengths": {"a": -1}},
        {"history_lengths": {"a": "1"}},
        {"feed_index": 1.5},
        {"prompt": "\ud800"},
    ],
    ids=str,
)
def test_an_entry_that_cannot_be_kept_is_refused(session: DataSession, store: Store, entry: dict[str, object]):
    with pytest.raises(ValueError, match=r"."):
        session.rewinds.push(RewindEntry(**entry))  # type: ignore[arg-type]
    assert "s" not in store.threads


@pytest.mark.damaged
def test_a_record_of_files_that_is_lost_is_an_error_and_nothing_changes(session: DataSession, store: Store, work: Path):
    (work / "a").write_text("old")
    kept(session, work, "a")
    log = Path(store.thread("s").directory) / "rewind.jsonl"
    first, second = log.read_text().splitlines(keepends=True)
    assert len(session.rewinds) == 1
    real = session._files.rewind.find
    log.write_text(first)
    with pytest.raises(CorruptError, match="not there any more"):
        real(json.loads(second)["id"])
    assert session.rewinds.rewind().file_msg == ""
    assert (work / "a").read_text() == "new"
