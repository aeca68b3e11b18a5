"""The document: one JSON object in one file, replaced whole, never changed in place."""

from __future__ import annotations

import os.path
import re

from fsstore import clock, codec
from fsstore.disk import fs
from fsstore.errors import CorruptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fsstore.codec import Json, Object
    from fsstore.disk.root import Root

VERSIONS = "versions"
#: Keys of a document that are the store's own.
OWN_KEYS = frozenset((VERSIONS, "deleted"))
#: More bytes than stand behind the state of a document in the usual form, or before `"deleted"` in what a deletion leaves.
_EDGE = 4096
# A newline inside a JSON string is escaped, so that this stands nowhere else.
_NEWEST = re.compile(rb'\n  "versions": \{\n    "": "([0-9a-f-]{36})"')


def content(fields: Object) -> Object:
    """Give what a document says, without what the store keeps in it for itself."""
    return {name: value for name, value in fields.items() if name not in OWN_KEYS}


def read(path: str) -> Object | None:
    """Read a document; None where there is none or it was deleted.

    Raises:
        CorruptError: It is no JSON object, or says nothing of its versions. It was left as it is.
    """
    fields = read_any(path)
    return None if fields is None or fields.get("deleted") is True else fields


def read_any(path: str) -> Object | None:
    """Read a document, or what a deletion left in its place; None where there is nothing."""
    try:
        data = fs.read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fields = codec.decode_object(data)
    except ValueError as error:
        raise CorruptError(path, str(error) if data else "the file is empty") from None
    if not clock.is_id(newest(fields)):
        raise CorruptError(path, 'no valid "versions"')
    return fields


def read_newest(path: str) -> str:
    """Give the id of a document's last write, as a rule from the end of the file alone; empty where it cannot be read."""
    try:
        found = _NEWEST.search(fs.read_end(path, _EDGE))
        version = found[1].decode() if found else newest(read_any(path) or {})
    except (FileNotFoundError, NotADirectoryError, CorruptError):
        return ""
    return version if clock.is_id(version) else ""


def is_there(path: str) -> bool:
    """Say whether a document stands here, readable or not, and was not deleted; as a rule from the file's start alone."""
    try:
        return b'"deleted"' not in fs.read_start(path, _EDGE) or read(path) is not None
    except (CorruptError, OSError):
        return fs.is_file(path)


def newest(fields: Object) -> str:
    """Give the id of a document's last write, empty where it has none."""
    versions = fields.get(VERSIONS)
    version = versions.get("") if isinstance(versions, dict) else None
    return version if isinstance(version, str) else ""


def created(fields: Object) -> str:
    """Give the id of the write that created a document: what orders documents of one second."""
    version = fields[VERSIONS].get("id")
    return version if isinstance(version, str) else newest(fields)


def write(
    root: Root,
    path: str,
    fields: Mapping[str, Json],
    old: Object | None,
    version: str | None = None,
    created: str | None = None,
    before: Callable[[], object] | None = None,
) -> Object:
    """Put a document in its place; give it as stored.

    Args:
        root: The store's directory.
        path: The document. Its directory exists.
        fields: All that it is to say, without `versions`.
        old: What stands there now (`read_any`), or None for nothing.
        version: The id of this write, greater than that of `old`; minted where None.
        created: The id of the write that creates it; this one where None. Of use only where there is no document.
        before: What is to be done first, but not where the disk has no room for the document.

    On disk: A temporary file, synced, renamed; its directory is synced too, but not by a creation at durability "process".
    Crash: The old document or the new one.
    Concurrency: The caller holds the lock.
    """
    version = version or clock.new_id(newest(old) if old else clock.FIRST_ID)
    versions: Object = {"": version}
    if old is not None:
        changed = {name for name in {*fields, *old} if name != VERSIONS and not _same(fields, old, name)}
        versions = {**old[VERSIONS], **dict.fromkeys(changed, version), "": version}
    if old is None or old.get("deleted") is True:
        versions["id"] = created or version
    stored = {**fields, VERSIONS: versions}
    root.replace(path, codec.encode_document(stored), sync_directory=root.full or old is not None, before=before)
    return stored


def insert(root: Root, path: str, fields: Mapping[str, Json], version: str) -> bool:
    """Put a document where nothing stands, not even what a deletion left; say whether. See `write`.

    On disk: As `write`.
    Crash: The document is there, or not.
    Concurrency: The caller holds the lock.
    """
    if fs.is_file(path):
        return False
    root.make_directories(os.path.dirname(path))
    write(root, path, fields, None, version)
    return True


def delete(root: Root, path: str, id: str, after: str = clock.FIRST_ID) -> str:
    """Take a document away, readable or not; give the id of this write (greater than `after`), empty where nothing was there.

    On disk: A copy of its bytes goes to the trash, synced; then what stands in its place says that it was deleted.
    Crash: The document is there, or it is deleted; a copy may be in the trash before that.
    Concurrency: The caller holds the lock.
    """
    try:
        old = read_any(path)
    except CorruptError:
        old = {VERSIONS: {"": read_newest(path) or clock.FIRST_ID}}
    if old is None or old.get("deleted") is True:
        return ""
    version = clock.new_id(max(newest(old), after))
    root.copy_to_trash(path, version)
    write(root, path, {"deleted": True, "id": id}, old, version)
    return version


def _same(fields: Mapping[str, Json], old: Object, name: str) -> bool:
    if name not in fields or name not in old:
        return name not in fields and name not in old
    if fields[name] != old[name]:
        return False
    # 1, 1.0 and True are equal in Python, and not on disk.
    return codec.encode_document({"": fields[name]}) == codec.encode_document({"": old[name]})
