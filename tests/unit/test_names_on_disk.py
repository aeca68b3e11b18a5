"""Hostile ids of every kind on a real disk: none takes another's place, none leaves the root, each is listed back."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_ids import HOSTILE, mutants

from fsstore import (
    BranchRun,
    ChatMessage,
    ControlNodeRun,
    DataStore,
    DataStoreOptions,
    JobStateRecord,
    LeafRun,
    SessionStore,
    Store,
    TeacherCandidate,
    layout,
)
from fsstore.disk import fs

KINDS = ("branches", "leaves", "control_nodes", "candidates")


def sample(seed: int, count: int) -> list[str]:
    """Draw ids: hostile ones, and others close to them."""
    chance = random.Random(seed)
    return chance.sample(sorted(mutants(chance, max(2 * count, len(HOSTILE)))), count)


def make_part(run: Any, kind: str, id: str) -> None:
    of_run = {"id": id, "workflow_run_id": run.id}
    made = {
        "branches": lambda: BranchRun(**of_run, branch_id=id),
        "leaves": lambda: LeafRun(**of_run, leaf_id=id),
        "control_nodes": lambda: ControlNodeRun(**of_run, node_id=id),
        "candidates": lambda: TeacherCandidate(**of_run, candidate_id=id),
    }
    getattr(run, kind).put(made[kind]())


#: For each kind of id: makes one of an id, and gives all that there are.
OF_EACH_KIND: dict[str, tuple[Callable[[Store, str], Any], Callable[[Store], list[str]]]] = {
    "threads": (lambda s, one: s.threads.create(one), lambda s: [info.id for info in s.threads if info.id != "t"]),
    "checkpoints": (lambda s, one: s.thread("t").checkpoints.save(one, one), lambda s: s.thread("t").checkpoints.ids()),
    "runs": (lambda s, one: s.thread("t").runs.create(one), lambda s: [run.id for run in s.thread("t").runs if run.id != "r"]),
    "steps": (
        lambda s, one: s.thread("t").runs["r"].steps.create(one),
        lambda s: [i.id for i in s.thread("t").runs["r"].steps],
    ),
    "jobs": (lambda s, one: s.jobs.put(JobStateRecord(id=one)), lambda s: [job.id for job in s.jobs]),
    "workflows": (lambda s, one: s.workflows.create("w", id=one), lambda s: [run.id for run in s.workflows if run.id != "w"]),
    **{
        kind: (
            lambda s, one, kind=kind: make_part(s.workflows["w"], kind, one),
            lambda s, kind=kind: [part.id for part in getattr(s.workflows["w"], kind)],
        )
        for kind in KINDS
    },
}


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for sync in ("sync", "sync_directory"):
        monkeypatch.setattr(fs, sync, lambda _: None)  # what is on the medium is no matter here


@pytest.mark.usefixtures("fast")
@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_hostile_ids_of_every_kind_are_kept_apart_and_listed_back(
    root: Path, seed: int, campaign: bool, figures: Callable[[str], None]
) -> None:
    ids = sample(seed, 2000 if campaign else 60)
    with Store.open(root, durability="process") as store:
        store.threads.create("t").runs.create("r")
        store.workflows.create("w", id="w")
        own = {"t", "r", "w"}
        for make, _ in OF_EACH_KIND.values():
            for id in set(ids) - own:
                make(store, id)
    with Store.open(root, read_only=True) as store:
        for kind, (_, found) in OF_EACH_KIND.items():
            assert sorted(found(store)) == sorted(set(ids) - own), kind
        assert list(store.check()) == []
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    assert {path.name for path in root.iterdir()} <= {
        *(layout.FORMAT_FILE, layout.OWN, layout.THREADS, layout.JOBS, layout.WORKFLOWS, layout.INDEX, *layout.CARRIER_FILES)
    }
    figures(f"names on disk: {len(ids)} hostile ids of each of {len(OF_EACH_KIND)} kinds")


@pytest.mark.usefixtures("fast")
def test_hostile_session_keys_are_kept_apart_and_listed_back(root: Path, seed: int, campaign: bool) -> None:
    ids = sample(seed + 1, 1000 if campaign else 40)
    with SessionStore(root, durability="process") as sessions:
        for id in ids:
            sessions.append(id, ChatMessage.user(id))
        assert sorted(sessions.list_sessions()) == sorted(ids)
        for id in ids:
            assert [message.content for message in sessions.load(id)] == [id]
    for id in ids[:50]:
        with DataStore(DataStoreOptions(root, id, cwd=root.parent, durability="process")) as data:
            data.set_last_active_tools([id])
            assert data.last_active_tools() == [id]
    with Store.open(root, read_only=True) as store:
        assert sorted(store.data.ids()) == sorted(ids[:50])


DISKS = {
    "vfat": (["mkfs.vfat"], ["-o", "utf8"]),
    "ext4 that folds case": (["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"], []),
}


@pytest.fixture(params=DISKS)
def folding_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory in which `a` and `A` are one name."""
    (make, options), image, place = DISKS[request.param], tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    if shutil.which(make[0]) is None or subprocess.run([*make, image], capture_output=True).returncode:
        pytest.skip(f"no {make[0]} here that makes a disk of {request.param}")
    if subprocess.run(["mount", "-o", "loop", *options, image, place], capture_output=True).returncode:
        pytest.skip(f"this system mounts no {request.param}")
    try:
        directory = place / "d"
        directory.mkdir()
        subprocess.run(["chattr", "+F", directory], capture_output=True)
        (directory / "a").touch()
        if not (directory / "A").exists():
            pytest.skip(f"{request.param} does not fold case here")
        (directory / "a").unlink()
        yield directory
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_hostile_names_are_as_many_on_a_disk_that_folds_case(folding_disk: Path, seed: int, campaign: bool) -> None:
    ids = sample(seed + 2, 5000 if campaign else 300)
    for id in ids:
        (folding_disk / layout.encode_name(id)).mkdir()  # fails where there is one
    assert sorted(path.name for path in folding_disk.iterdir()) == sorted(map(layout.encode_name, ids))
