"""Moving a thread to another id: a copy that names the new one, made apart and put in its place whole."""

from __future__ import annotations

import os.path
import stat as _stat

from fsstore import clock, codec, layout
from fsstore.disk import document, fs, trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fsstore.codec import Object
    from fsstore.disk.root import Root
    from fsstore.resources.deletions import Deletions
    from fsstore.resources.thread import ThreadHandle

#: Keys by which the documents of a thread name it; `id` only those that stand in its own directory.
_NAMING = ("thread_id", "session_id")


class Moves:
    """Copies of threads under other ids. Whoever calls a method holds the locks of both threads and that of the index."""

    def __init__(self, root: Root, deletions: Deletions) -> None:
        self._root = root
        self._deletions = deletions

    def origin(self, thread: ThreadHandle) -> Object:
        """Give what a copy remembers of the thread that it was made of: while that is the same, nobody wrote to it since."""
        import hashlib  # loads OpenSSL, which little else needs

        seen = codec.encode_document(self._deletions.seen(thread))
        return {"id": thread.id, "seen": hashlib.sha256(seen).hexdigest()}

    def copy(self, old: ThreadHandle, new: ThreadHandle, note: Callable[[], object] | None) -> None:
        """Put a copy of a thread into the place of another id, where there is no thread.

        On disk: All of it is made in `.fsstore/tmp` and synced; then its name is noted, the directory is renamed, and both
            above it are synced.
        """
        root, temp = self._root, self._root.temp(new.directory)
        root.check_no_link(new.directory)
        root.with_own_directories(temp, fs.make_directory)
        try:
            self._fill(old, new, temp)
            if fs.names(new.directory):
                root.move_to_trash(new.directory, clock.new_id())  # what a creation left that was cut short
            if note is not None:
                note()
            fs.rename(temp, new.directory)
        except BaseException:
            trees.remove_tree(temp)
            raise
        for place in (new.directory, temp):
            root.sync_up(os.path.dirname(place), always=True)

    def _fill(self, old: ThreadHandle, new: ThreadHandle, temp: str) -> None:
        after = self._deletions.version_after(new.id, None)
        directories = [temp]
        for path, status in trees.walk(old.directory):
            below = path.removeprefix(f"{old.directory}/")
            if _stat.S_ISDIR(status.st_mode):
                directories.append(f"{temp}/{below}")
                fs.make_directory(directories[-1])
            elif _stat.S_ISREG(status.st_mode):
                data = fs.read_file(path)
                if below.endswith(layout.DOCUMENT_SUFFIX):
                    data = self._renamed(old, new, below, data, after)
                elif below == layout.MESSAGES:
                    data += self._clear(old, new, data)
                fs.create_temp(f"{temp}/{below}", data)
        for directory in reversed(directories):
            fs.sync_directory(directory)

    def _renamed(self, old: ThreadHandle, new: ThreadHandle, below: str, data: bytes, after: str | None) -> bytes:
        """Give a document's bytes with the new id in them, later than all that was deleted under it; a corrupt one as it is."""
        try:
            fields = codec.decode_object(data)
        except ValueError:
            return data
        if not clock.is_id(document.newest(fields)):
            return data
        naming = _NAMING if "/" in below else ("id", *_NAMING)
        fields.update({name: new.id for name in naming if fields.get(name) == old.id})
        versions = fields[document.VERSIONS]
        if after is not None:
            versions.update(dict.fromkeys({*fields, *versions} - {document.VERSIONS}, after))
        if below == layout.META:
            fields["moved_from"] = self.origin(old)
            versions[""] = versions["moved_from"] = clock.new_id(versions[""])
        return codec.encode_document(fields)

    def _clear(self, old: ThreadHandle, new: ThreadHandle, data: bytes) -> bytes:
        """Give the line that keeps the messages gone which were deleted under the new id before; nothing where none were.

        A thread that is given back an id that it had once holds the messages that it had then; they stay.
        """
        deleted = self._deletions.leaves_of(new.id)
        held = old.messages.held(deleted)
        leaves = [leaf for leaf in deleted if leaf not in held]
        if not leaves:
            return b""
        seal = b"" if data.endswith(b"\n") or not data else codec.SEAL
        id = clock.new_id(max(old.messages.seen()[1], *leaves))
        return seal + codec.encode_line({"id": id, "type": "clear", "leaf_ids": leaves})
