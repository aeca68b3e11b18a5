"""Files of a working directory, which are not the store's own: read and replaced without a way out of it.

A path below the directory is walked from one open directory to the next (openat(2), O_NOFOLLOW), so that a symbolic link
that somebody puts in its way leads nowhere.
"""

from __future__ import annotations

import os.path
from contextlib import contextmanager

from fsstore.disk import fs, machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class WorkDirectory:
    """A working directory.

    Args:
        path: Where it is; the process's own where None.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = fs.real_path(os.fspath(path) if path is not None else machine.current_directory())

    def below(self, path: str | os.PathLike[str]) -> str:
        """Give a path, absolute or from the working directory, as it is below it when all links are followed.

        Raises:
            ValueError: It leads outside the working directory.
        """
        real = fs.real_path(os.path.join(self.path, os.fspath(path)))
        start = self.path.rstrip("/") + "/"
        if not real.startswith(start):
            raise ValueError(f"{os.fspath(path)} is outside the working directory {self.path}")
        return real.removeprefix(start)

    def read(self, below: str) -> tuple[bytes, int] | None:
        """Give a file's bytes and mode, None where there is none.

        Raises:
            ValueError: The path is none below the working directory.
            OSError: What the system says; also that it is no regular file, or that a link stands in the way.
        """
        try:
            with self._parent(below) as (directory, name):
                return fs.read_in(directory, name)
        except FileNotFoundError:
            return None

    def write(self, below: str, data: bytes, mode: int, temp: str) -> None:
        """Put a file in its place, whole, synced, with the directories above it where they are missing.

        Raises:
            ValueError: The path is none below the working directory.
            OSError: What the system says; also that a link stands in the way.
        """
        with self._parent(below, make=True) as (directory, name):
            fs.replace_in(directory, name, temp, data, mode)

    def remove(self, below: str) -> None:
        """Take a file away; see `write`."""
        with self._parent(below) as (directory, name):
            fs.unlink_in(directory, name)

    @contextmanager
    def _parent(self, below: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the directory that a path lies in; give it, and the last part of the path."""
        *above, name = below.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in (*above, name)):
            raise ValueError(f"{below!r} is no path below the working directory")
        directory = fs.open_directory(self.path)
        try:
            for part in above:
                if make:
                    fs.make_directory_in(directory, part)
                inner = fs.open_directory(part, directory)
                fs.close(directory)
                directory = inner
            yield directory, name
        finally:
            fs.close(directory)
