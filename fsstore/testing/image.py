"""What a disk holds, inode by inode: files with bytes, directories with entries."""

from __future__ import annotations

import os.path
import stat as _stat

from fsstore import layout
from fsstore.disk import fs, trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import TypeAlias

    #: What tells one inode from another on a real disk: device and number.
    Inode: TypeAlias = tuple[int, int]

#: The node of the directory that an image was read from.
BASE = 0


class Image:
    """A directory tree in memory. A node that no directory names is lost, as it is on a disk.

    Lock files are no part of it: they hold nothing, and a store makes them again.

    Attributes:
        directories: The entries of each directory: names to nodes.
        files: The bytes written to each file, without regard to its size.
        sizes: The size of each file: less than its bytes cuts them off, more is filled with NUL.
    """

    __slots__ = ("directories", "files", "sizes")

    def __init__(self) -> None:
        self.directories: dict[int, dict[str, int]] = {BASE: {}}
        self.files: dict[int, bytes] = {}
        self.sizes: dict[int, int] = {}

    @classmethod
    def read(cls, base: str) -> tuple[Image, dict[Inode, int]]:
        """Read a directory; give the image, and the node of each inode."""
        image = cls()
        nodes = {inode_of(fs.stat(base)): BASE}
        for path, status in trees.walk(base):
            if is_lock(path):
                continue
            inode = inode_of(status)
            if inode not in nodes:
                nodes[inode] = image.add_directory() if _stat.S_ISDIR(status.st_mode) else image.add_file(fs.read_file(path))
            image.directories[nodes[inode_of(fs.stat(os.path.dirname(path)))]][os.path.basename(path)] = nodes[inode]
        return image, nodes

    def add_file(self, data: bytes = b"") -> int:
        """Add a file that nothing names yet; give its node."""
        node = len(self.directories) + len(self.files)
        self.files[node], self.sizes[node] = data, len(data)
        return node

    def add_directory(self) -> int:
        """Add a directory that nothing names yet; give its node."""
        node = len(self.directories) + len(self.files)
        self.directories[node] = {}
        return node

    def copy(self) -> Image:
        """Give a copy that can be changed."""
        copy = Image()
        copy.directories = {node: dict(entries) for node, entries in self.directories.items()}
        copy.files, copy.sizes = dict(self.files), dict(self.sizes)
        return copy

    def content(self, file: int) -> bytes:
        """Give the bytes that a reader of a file sees."""
        data, size = self.files[file], self.sizes[file]
        return data[:size].ljust(size, b"\0")

    def tree(self) -> dict[str, bytes | None]:
        """Give all that can be reached: a path for each entry, with a file's bytes, or None for a directory."""
        return {path: None if node in self.directories else self.content(node) for path, node in self._walk()}

    def paths(self) -> dict[int, str]:
        """Give a path for each node that can be reached."""
        return {node: path for path, node in self._walk()}

    def _walk(self) -> Iterator[tuple[str, int]]:
        rest = [("", BASE)]
        while rest:
            above, directory = rest.pop()
            for name, node in sorted(self.directories[directory].items()):
                yield f"{above}{name}", node
                if node in self.directories:
                    rest.append((f"{above}{name}/", node))

    def write(self, base: str) -> None:
        """Write all that can be reached into a new directory."""
        fs.mkdir(base, 0o700)
        for path, data in self.tree().items():
            if data is None:
                fs.mkdir(f"{base}/{path}", 0o700)
            else:
                fs.create_temp(f"{base}/{path}", data, synced=False)


def inode_of(status: os.stat_result) -> Inode:
    """Give what tells an inode from all others that exist at the same time."""
    return status.st_dev, status.st_ino


def is_lock(path: str) -> bool:
    """Say whether a path is that of a lock file."""
    return os.path.dirname(path).endswith(f"/{layout.LOCKS}")
