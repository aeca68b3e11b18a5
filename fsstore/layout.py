"""Every name on disk, both ways; the only module that makes or parses a file name.

An id becomes a name by one injective encoding (FORMAT.md, *Names*): lower-case letters, digits, `.`, `_` and `-` stay,
every other byte of its UTF-8 becomes `%xx`. The output is ASCII in lower case, so it is the same name on disks that fold
case or normalise Unicode, and it never holds a separator.
"""

from __future__ import annotations

import os.path
import re
import zlib

from fsstore.errors import InvalidNameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeGuard

FORMAT_FILE = "fsstore.json"
THREADS = "threads"
RUNS = "runs"
STEPS = "steps"
META = "meta.json"
MESSAGES = "messages.jsonl"
STATUS = "status.json"
GOAL = "goal.json"
USAGE = "usage.jsonl"
TOOLS = "tools.json"
STATE = "state.json"
CHECKPOINTS = "checkpoints"
SESSION = "session_metadata.json"
CONTENT = "session_content.jsonl"
REWIND = "rewind.jsonl"
CHECKPOINT = "checkpoint.json"
RECIPE_TEXT = "recipe.md"
RECIPES = "recipes"
PROMPTS = "prompt_history.jsonl"
JOBS = "jobs"
WORKFLOWS = "workflows"
RUN = "run.json"
BRANCHES, LEAVES, CONTROL_NODES, CANDIDATES = "branches", "leaves", "control_nodes", "candidates"
_PART_KINDS = {
    BRANCHES: "branch run",
    LEAVES: "leaf run",
    CONTROL_NODES: "control node run",
    CANDIDATES: "teacher candidate",
}
INDEX = "session_index.jsonl"
OWN = ".fsstore"
LOCKS, TMP, TRASH, CACHE, TAINTED, QUARANTINE = (
    f"{OWN}/{name}" for name in ("locks", "tmp", "trash", "cache", "tainted", "quarantine")
)
#: Directories of `.fsstore` that a store is opened with.
OWN_DIRECTORIES = (OWN, LOCKS, TMP, TRASH, CACHE, TAINTED)
#: Files beside `fsstore.json` that tell git and rsync how to carry the store.
CARRIER_FILES = {
    ".gitattributes": "*.jsonl merge=union -text\n*.json merge=binary -text\n",
    ".gitignore": f"/{OWN}/\n",
    ".rsync-filter": f"- /{OWN}/\n",
}
DOCUMENT_SUFFIX = ".json"
#: What of a root's directory is the store's.
TOP_LEVEL = frozenset((FORMAT_FILE, *CARRIER_FILES, THREADS, JOBS, WORKFLOWS, RECIPES, INDEX, PROMPTS, OWN))
STRIPES = 256
#: The longest id, in characters.
ID_LIMIT = 1000
#: The longest name: with a sync tool's suffix for conflict copies it still fits in the 143 bytes of an encrypted home.
NAME_LIMIT = 100
_HASH_MARK = "%%"

_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9_-])?")
_ESCAPE = re.compile(rb"[^a-z0-9._-]")
# Syncthing; Dropbox and Nextcloud; rsync's backups, and what a killed rsync leaves; git's merge tools. None is an id's name.
_CONFLICT_COPY = re.compile(
    r"(?=.*[A-Z]).*\.sync-conflict-\d{8}-\d{6}-[A-Z0-9]{7}(?:\..*)?"
    r"|.*\((?:.* )?(?:[Cc]onflicted [Cc]opy|[Cc]ase [Cc]onflict)\b.*\).*"
    r"|.*\.jsonl?~|\..+\.jsonl?\.[A-Za-z0-9]{6}"
    r"|.*[._](?:BASE|LOCAL|REMOTE|BACKUP)[._]\d+\.jsonl?"
)
_DIRECTORY = re.compile(
    rf"{JOBS}|{RECIPES}|{THREADS}(?:/[^/]+/(?:{CHECKPOINTS}|{RUNS}(?:/[^/]+/{STEPS})?))?"
    rf"|{WORKFLOWS}(?:/[^/]+/(?:{'|'.join(_PART_KINDS)}))?"
    rf"|{'|'.join(map(re.escape, (*OWN_DIRECTORIES, QUARANTINE)))}"
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$|clock\$)(?:\.|$)")


def encode_name(id: str) -> str:
    """Give the file name of an id.

    Raises:
        InvalidNameError: It is empty, longer than 1,000 characters, or no Unicode text.
    """
    if isinstance(id, str) and _is_plain(id):
        return id
    data = _utf8(id)
    name = _ESCAPE.sub(lambda found: b"%%%02x" % found[0][0], data).decode("ascii")
    if name[0] in ".-_" or _RESERVED.match(name):
        name = f"%{ord(name[0]):02x}{name[1:]}"
    if name.endswith("."):
        name = f"{name[:-1]}%2e"
    if len(name) > NAME_LIMIT:
        import hashlib  # loads OpenSSL, which few ids need

        digest = hashlib.sha256(data).hexdigest()[:40]
        name = f"{name[: NAME_LIMIT - len(_HASH_MARK) - len(digest)].rstrip('%.')}{_HASH_MARK}{digest}"
    return name


def _is_plain(id: str) -> bool:
    return _PLAIN.fullmatch(id) is not None and len(id) <= NAME_LIMIT and not _RESERVED.match(id)


def is_id(text: object) -> TypeGuard[str]:
    """Say whether something can be an id."""
    try:
        return bool(_utf8(text))  # type: ignore[arg-type]  # it says so of what is no string
    except InvalidNameError:
        return False


def _utf8(id: str) -> bytes:
    if not isinstance(id, str):
        raise InvalidNameError(str(id), f"an id is a string, not {type(id).__name__}")
    if not id:
        raise InvalidNameError(id, "an id has at least one character")
    if len(id) > ID_LIMIT:
        raise InvalidNameError(id, f"an id has at most {ID_LIMIT} characters, not {len(id)}")
    try:
        return id.encode()
    except UnicodeEncodeError:
        raise InvalidNameError(id, "a lone surrogate cannot be stored") from None


def decode_name(name: str) -> str | None:
    """Give the id of a file name, or None where the name ends in a hash (the id then stands in the document).

    Raises:
        InvalidNameError: No id has this name.
    """
    if _is_plain(name):
        return name
    if _HASH_MARK in name:
        if re.fullmatch(r"[0-9a-f]{40}", name.rpartition(_HASH_MARK)[2]):
            return None
        raise InvalidNameError(name, "not a name that the store makes")
    try:
        data = re.sub(rb"%([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), name.encode())
        id = data.decode()
        same = encode_name(id) == name
    except (UnicodeError, InvalidNameError):
        same = False
    if not same:
        raise InvalidNameError(name, "not a name that the store makes")
    return id


def is_conflict_copy(name: str) -> bool:
    """Say whether a file name is one that sync tools and editors give to a copy; no id has such a name."""
    return _CONFLICT_COPY.fullmatch(name) is not None


def is_directory_place(below: str) -> bool:
    """Say whether the store keeps nothing but a directory at a path below the root."""
    return _DIRECTORY.fullmatch(below) is not None


def stripe(name: str) -> str:
    """Give the lock file of a directory of a thread or a workflow run: one of 256, `thread-00` to `thread-ff`."""
    return f"thread-{zlib.crc32(name.encode()) % STRIPES:02x}"


def store_lock(file: str) -> str:
    """Give the lock file of a store-wide log or collection."""
    return file.removesuffix(".jsonl")


def lock_of(below: str) -> str:
    """Give the lock file of what stands at a path below the root."""
    first, _, rest = below.partition("/")
    if first == THREADS:
        return stripe(rest.partition("/")[0])
    if first == WORKFLOWS:
        return stripe(f"{WORKFLOWS}/{rest.partition('/')[0]}")
    return store_lock(first)


def document_id(file: str) -> str | None:
    """Give the id of a document `<name>.json`, or None where its name ends in a hash.

    Raises:
        InvalidNameError: It is no document's name.
    """
    if not file.endswith(DOCUMENT_SUFFIX):
        raise InvalidNameError(file, "a document's name ends in .json")
    return decode_name(file.removesuffix(DOCUMENT_SUFFIX))


def trash_path(below: str, deletion: str) -> str:
    """Give the place in the trash, below the root, of what stood at a path below the root; unique by the deletion's id."""
    return f"{TRASH}/{deletion}/{below}"


def trashed_kind(below: str) -> str:
    """Say what was deleted, from its path below the root; `other` where the store deletes nothing of the kind."""
    match below.split("/"):
        case [first, _]:
            return {THREADS: "thread", JOBS: "job", WORKFLOWS: "workflow run"}.get(first, "other")
        case ["threads", _, file]:
            return {GOAL: "goal", CHECKPOINT: "checkpoint of a run"}.get(file, "other")
        case ["threads", _, "checkpoints", _]:
            return "checkpoint"
        case ["workflows", _, part, _]:
            return _PART_KINDS.get(part, "other")
    return "other"


def quarantine_paths(id: str) -> tuple[str, str]:
    """Give the places below the root of bytes taken out of a file, and of the document that says where they came from."""
    return f"{QUARANTINE}/{id}.raw", f"{QUARANTINE}/{id}{DOCUMENT_SUFFIX}"


def temp_name(file: str, host: str, pid: int, salt: str) -> str:
    """Give a name under `.fsstore/tmp` that no other writer uses, on this machine or another."""
    return f"{salt}.{pid}.{temp_host(host)}.{os.path.basename(file)[:NAME_LIMIT]}.tmp"


def temp_host(host: str) -> str:
    """Spell a machine's name within the name of a temporary file."""
    return encode_name(host).replace(".", "%2e")


def parse_temp_name(name: str) -> tuple[str, int] | None:
    """Give the host (spelled by `temp_host`) and the process that made a temporary file; None for a name of another make."""
    found = re.fullmatch(r"[0-9a-f]+\.(\d+)\.((?:[a-z0-9_-]|%[0-9a-f]{2})+)\..*\.tmp", name)
    return (found[2], int(found[1])) if found else None


def taint_name(below: str) -> str:
    """Give the name under `.fsstore/tainted` of a log, from its path below the root."""
    return below.replace("/", ",")


def tainted_log(name: str) -> str:
    """Give the path below the root of a log from its name under `.fsstore/tainted`; no name on disk holds a comma."""
    return name.replace(",", "/")


def cache_name(thread_name: str) -> str:
    """Give the name of a thread's stamp under `.fsstore/cache`."""
    return f"{thread_name}.stamp"


def restoring_name(name: str, entry_id: str) -> str:
    """Give the name of the file that will take the place of one that is restored, beside it; the same in every attempt."""
    return f".{name[:NAME_LIMIT]}.{entry_id}.fsstore"


def stamped_name(name: str) -> str:
    """Give the thread name of a stamp's file name."""
    return name.removesuffix(".stamp")
