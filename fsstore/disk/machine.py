"""This machine as the system describes it: its name, its processes, its mounts."""

from __future__ import annotations

import os
import re
import time

from fsstore.disk import fs

#: File systems of which the kernel keeps the only cache, so that a descriptor held open cannot go stale.
LOCAL_FILE_SYSTEMS = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "overlay", "zfs", "f2fs", "bcachefs", "vfat", "exfat", "ntfs3")
)


def host() -> str:
    """Give this machine's name."""
    return os.uname().nodename or "localhost"


def pid() -> int:
    """Give this process's id."""
    return os.getpid()


def is_running(pid: int) -> bool:
    """Say whether a process of this machine exists (kill(2), signal 0)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def salt() -> str:
    """Give 16 hexadecimal digits that nobody else has."""
    return os.urandom(8).hex()


def after_fork(call: object) -> None:
    """Have `call` called in every forked child (os.register_at_fork)."""
    os.register_at_fork(after_in_child=call)  # type: ignore[arg-type]  # any callable without arguments


def pause(seconds: float) -> None:
    """Let some time go by."""
    time.sleep(seconds)


def current_directory() -> str:
    """Give this process's working directory."""
    return os.getcwd()


def lock_holder(fd: int) -> str | None:
    """Name the process that holds a lock on an open file, where the system knows it (proc_locks(5))."""
    status = fs.fstat(fd)
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        table = read_pseudo_file("/proc/locks")
    except OSError:
        return None
    for row in table.splitlines():
        words = row.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == wanted:
            return _describe(int(words[4]))
    return None


def _describe(pid: int) -> str | None:
    if pid <= 0:  # a process of another container
        return None
    try:
        command = read_pseudo_file(f"/proc/{pid}/comm").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({command})"


def read_pseudo_file(path: str) -> str:
    """Give the text of a file that the kernel makes up (their size reads as 0)."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def is_local(path: str) -> bool:
    """Say whether a directory is known to lie on a local file system (proc_pid_mountinfo(5)).

    Where the system does not tell (macOS), it is not known, and the store takes the careful way.
    """
    try:
        table = read_pseudo_file("/proc/self/mountinfo")
    except OSError:
        return False
    real = os.path.realpath(path) + "/"
    best, kind = "", ""
    for row in table.splitlines():
        left, _, right = row.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), left.split()[4]).rstrip("/") + "/"
        if real.startswith(point) and len(point) >= len(best):  # a later mount covers an earlier one
            best, kind = point, right.split()[0]
    return kind in LOCAL_FILE_SYSTEMS
