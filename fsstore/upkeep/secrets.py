"""Secrets: keys that somebody pasted into a message, found by the patterns that their makers gave them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO

from fsstore import codec
from fsstore.disk import fs
from fsstore.disk.follow import whole_lines
from fsstore.records.messages import draft_from, has_body, is_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from fsstore.codec import Json, Object
    from fsstore.records.messages import Draft, Message
    from fsstore.resources.messages import Messages
    from fsstore.store import Store

    #: The kinds of secret in each message of a log, by its record id.
    Kinds: TypeAlias = dict[str, set[str]]

_WORD, _DASHED = "[0-9A-Za-z]", "[0-9A-Za-z_-]"
_PEM = r"(?:[0-9A-Z]{2,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_INSIDE = "(?:[^-]|-(?!----))"
#: What the name and the password in a URL are made of; what manuals have there (`<password>`, `$PASS`, `***`) is none.
_PLAIN = r"(?:[^\s:/?#@\"'<>\[\]{}()$%*\\]|%[0-9A-Fa-f]{2})"
#: Kinds of secret: texts of which every secret of the kind has one, and its pattern; where that has groups, the last one is
#: the secret. Each runs in linear time over any text.
_KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "anthropic-key": (("sk-",), rf"sk-ant-{_WORD}{{2,12}}-{_DASHED}{{24,}}"),
    "openai-key": (
        ("sk-",),
        rf"sk-(?:proj|svcacct|admin)-{_DASHED}{{32,}}|sk-{_WORD}{{48}}(?!{_DASHED})|sk-{_DASHED}{{16,80}}?T3BlbkFJ{_DASHED}{{16,}}",
    ),
    "openrouter-key": (("sk-",), r"sk-or-v1-[0-9a-f]{64}"),
    "aws-access-key-id": (("AKIA", "ASIA"), r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![0-9A-Za-z])"),
    "aws-secret-key": (
        ("ecret_access_key", "ECRET_ACCESS_KEY", "ecretAccessKey"),
        r"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY|[sS]ecretAccessKey)"
        r"[\"'\\\s]{0,4}[:=][\"'\\\s]{0,4}([0-9A-Za-z/+]{40})(?![0-9A-Za-z/+=])",
    ),
    "github-token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        rf"gh[pousr]_{_WORD}{{36,255}}|github_pat_{_WORD}{{22}}_{_WORD}{{59}}",
    ),
    "gitlab-token": (("glpat-",), rf"glpat-{_DASHED}{{20,}}"),
    "slack-token": (("xox",), r"xox[abprs]-[0-9]{8,}-[0-9A-Za-z-]{16,}|xoxe(?:\.xox[bp])?-[0-9]-[0-9A-Za-z]{100,}"),
    "google-key": (("AIza",), rf"AIza{_DASHED}{{35}}(?!{_DASHED})"),
    "stripe-key": (("k_live_",), rf"[sr]k_live_{_WORD}{{20,}}"),
    "npm-token": (("npm_",), rf"npm_{_WORD}{{36}}(?!{_WORD})"),
    "huggingface-token": (("hf_",), rf"hf_{_WORD}{{34}}(?!{_WORD})"),
    "private-key": (
        ("PRIVATE KEY",),
        # a line of base64 follows soon, so that a key which is only spoken of is none; one that was cut short has no end
        rf"-----BEGIN {_PEM}(?={_INSIDE}{{0,400}}?[0-9A-Za-z+/=]{{40}}){_INSIDE}{{0,20000}}(?:-----END {_PEM})?",
    ),
    "jwt": (("eyJ",), rf"eyJ{_DASHED}{{10,2000}}\.eyJ{_DASHED}{{10,20000}}\.{_DASHED}{{20,}}"),
    "url-password": (
        ("://",),
        rf"://({_PLAIN}{{0,64}}):({_PLAIN}{{4,128}})@[0-9A-Za-z\[]",
    ),
}
#: Nothing that could belong to a secret stands before it, but that what stands before `://` is not looked at.
_PATTERNS = {
    kind: re.compile(pattern if kind == "url-password" else rf"(?<![0-9A-Za-z_])(?:{pattern})")
    for kind, (_, pattern) in _KINDS.items()
}
#: What a line of a log with a secret holds: one of their texts, or characters spelled by their numbers, or `/` as `\/`.
_NEEDLES = [*sorted({text.encode() for texts, _ in _KINDS.values() for text in texts}), b"\\u00", b":\\/"]
#: Fewer different characters than this are what a secret is spelled with in a manual: `xxxx`, `1234`.
_CHARACTERS = 8
_MADE_UP = re.compile(r"(?i)example|your|redacted|placeholder|dummy|changeme|xxxx|\.\.\.|1234567890|abcdefgh")
#: Passwords that stand in everybody's manual.
_NO_PASSWORD = frozenset(("password", "passwd", "pass", "pwd", "pw", "secret", "token", "user", "admin", "root", "test"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One finding: what is likely to be a secret, told without it.

    Attributes:
        thread_id: The thread.
        message_id: What the message answers to; of one that is gone its record id.
        kind: One of a few words: `anthropic-key`, `private-key`, `url-password`, ...
        shown: Whether the message shows it. Where not, it stands in bytes that a compaction will drop: of a message that is
            gone, or was redacted.
    """

    thread_id: str
    message_id: str
    kind: str
    shown: bool


def find_secrets(store: Store) -> Iterator[Secret]:
    """Give what is likely to be a secret in the messages of a store, each kind once for each message.

    Only messages are looked at: their content, their item and their other keys, as they are decoded, whether the message is
    there or is gone and not compacted yet. A log's bytes are sieved first, so that few lines are decoded.
    """
    for thread_id, path in store.threads.logs():
        kept = _kinds_in_log(path)
        messages = store.thread(thread_id).messages
        for record_id in sorted(kept):
            message = messages.get(record_id)
            shown = {kind for kind, _ in secrets_in(message)} if message else set()
            name = message.id if message else record_id
            for kind in sorted(kept[record_id] | shown):
                yield Secret(thread_id=thread_id, message_id=name, kind=kind, shown=kind in shown)


def redact_secrets(messages: Messages, message_id: str, *, replacement: str = "[redacted]") -> int:
    """Redact all that is likely to be a secret in a message; give how many places changed. See `Messages.redact`.

    Raises:
        MessageNotFoundError: The thread has no message of that id.

    On disk: One line that says what the message is from now on.
    Crash: All places are redacted, or none.
    Concurrency: As `Messages.redact`.
    """
    values = {value for _, value in secrets_in(messages[message_id])}
    return messages.redact(message_id, *values, replacement=replacement) if values else 0


def secrets_in(message: Message | Draft) -> Iterator[tuple[str, str]]:
    """Give the kind of each likely secret in a message, and the secret itself: to be redacted, never to be shown."""
    for text in _texts([message.content, message.item, message.extra]):
        for kind, (needles, _) in _KINDS.items():
            if not any(needle in text for needle in needles):
                continue
            pattern = _PATTERNS[kind]
            for found in pattern.finditer(text):
                value = found[pattern.groups]
                if not _is_made_up(kind, value, found[1] if pattern.groups > 1 else ""):
                    yield kind, value


def _is_made_up(kind: str, value: str, user: str) -> bool:
    if kind == "private-key":
        return False
    if kind == "url-password":
        return value == user or value.lower() in _NO_PASSWORD or len(set(value)) < 3 or bool(_MADE_UP.search(value))
    return len(set(value[-32:])) < _CHARACTERS or bool(_MADE_UP.search(value))


def _texts(value: Json) -> Iterator[str]:
    """Give all text in a value, at any depth, keys of objects included."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += [*one, *one.values()]


def _kinds_in_log(path: str) -> Kinds:
    """Give the kinds of secret in all bytes of a log, by the message that says them, or said them once."""
    try:
        fd = fs.open_read(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: Kinds = {}
    try:
        for data in whole_lines(fd):
            for raw in _suspects(data):
                for piece in codec.read_line(raw).records:
                    _note(piece.record, found)
    finally:
        fs.close(fd)
    return found


def _suspects(data: bytes) -> Iterator[bytes]:
    """Give those of some lines that may hold a secret."""
    needles = [needle for needle in _NEEDLES if needle in data]
    for raw in BytesIO(data) if needles else ():
        if any(needle in raw for needle in needles):
            yield raw


def _note(record: Object, found: Kinds) -> None:
    message_id = record["id"] if is_message(record) else record.get("message_id")
    if isinstance(message_id, str) and has_body(record):
        kinds = {kind for kind, _ in secrets_in(draft_from(record))}
        if kinds:
            found.setdefault(message_id, set()).update(kinds)
