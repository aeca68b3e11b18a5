"""File systems of their own for tests that fill a disk, cut it off or make it read-only; unmounted whatever happens.

with mounted("ext4", tmp_path, megabytes=64) as disk:
    Store.open(disk.directory / "store")
    disk.shut_down()    # as a power cut: what was not synced is gone
    disk.mount_again()
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

#: ioctl(2) of ext4 and xfs (FS_IOC_SHUTDOWN), and whether the journal is written before everything stops.
_SHUTDOWN, LOG_FLUSHED, LOG_DROPPED = 0x8004587D, 1, 2
_MAKE = {"ext4": ("mkfs.ext4", "-q", "-m", "0"), "xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}


class Mount:
    """A file system, in memory or on a loop device that goes with the last unmounting."""

    def __init__(self, kind: str, place: Path, megabytes: int) -> None:
        self.directory = place / kind
        self._image = place / f"{kind}-image"
        self._megabytes = megabytes
        self._kind = kind

    def make(self) -> None:
        """Make and mount it; skip the test where this machine cannot."""
        if os.geteuid():
            pytest.skip("not root here: nothing can be mounted")
        if self._kind != "tmpfs":
            command = _MAKE[self._kind]
            if not shutil.which(command[0]):
                pytest.skip(f"no {command[0]} here")
            with self._image.open("wb") as image:
                image.truncate(self._megabytes << 20)
            subprocess.run([*command, self._image], check=True, capture_output=True)
        self.directory.mkdir()
        try:
            self.mount()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{self._kind} cannot be mounted here: {error.stderr.decode().strip()}")

    def mount(self) -> None:
        options, what = ("loop,noatime", self._image) if self._kind != "tmpfs" else (f"size={self._megabytes}m", "tmpfs")
        self._run("mount", "-t", self._kind, "-o", options, what, self.directory)

    def mount_again(self) -> None:
        """Unmount and mount; nobody has a file open there."""
        self._run("umount", self.directory)
        self.mount()

    def remount(self, options: str) -> None:
        """Change how it is mounted."""
        self._run("mount", "-o", f"remount,{options}", self.directory)

    def shut_down(self, how: int = LOG_DROPPED) -> None:
        """Have the file system stop between two writes to its disk, as a power cut would; every call fails from then on."""
        fd = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(fd)

    def leave_free(self, count: int) -> None:
        """Fill the disk with one file of ballast so that so many bytes are free; 0 bytes of ballast where there are fewer."""
        self.free()
        free = os.statvfs(self.directory)
        with (self.directory / "ballast").open("wb") as file:
            size = free.f_bavail * free.f_frsize - count
            if size > 0:
                os.posix_fallocate(file.fileno(), 0, size)

    def free(self) -> None:
        """Take the ballast away, where there is any."""
        (self.directory / "ballast").unlink(missing_ok=True)

    def limit_by_quota(self, count: int | None) -> None:
        """Give a btrfs room for so many bytes more; None for as many as there are."""
        if count is None:
            self._run("btrfs", "qgroup", "limit", "none", self.directory)
            return
        self._run("btrfs", "quota", "enable", self.directory)
        os.sync()
        self._run("btrfs", "quota", "rescan", "-w", self.directory)
        used = self._run("btrfs", "qgroup", "show", "--raw", self.directory).stdout.split()
        self._run("btrfs", "qgroup", "limit", str(int(used[used.index(b"0/5") + 1]) + count), self.directory)

    def _run(self, *command: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, check=True, capture_output=True)


@contextmanager
def mounted(kind: str, place: Path, *, megabytes: int) -> Iterator[Mount]:
    """Make a file system of a kind (`tmpfs`, `ext4`, `xfs`, `btrfs`), mounted while the block runs."""
    with ExitStack() as below:
        if kind != "tmpfs":  # its image lies in memory: the disk of this machine adds nothing but time
            place = below.enter_context(mounted("tmpfs", place, megabytes=megabytes + 1)).directory
        mount = Mount(kind, place, megabytes)
        mount.make()
        try:
            yield mount
        finally:
            subprocess.run(["umount", "-l", mount.directory], check=True, capture_output=True)
