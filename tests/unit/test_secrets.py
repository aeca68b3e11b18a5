"""Looking for secrets: what is told, what is not taken for one, and that no answer holds one.

The secrets are put together when the tests run, so that no program which looks for secrets in repositories finds these.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
from damage import LogBench, line_of

from fsstore import MessageNotFoundError, Secret, Store
from fsstore.resources.messages import Messages
from fsstore.upkeep import secrets
from fsstore.upkeep.secrets import redact_secrets

RANDOM = random.Random(7)
WORD = string.ascii_letters + string.digits


def chars(count: int, alphabet: str = WORD) -> str:
    return "".join(RANDOM.choices(alphabet, k=count))


def pem(kind: str, headers: str = "", end: str = "") -> str:
    lines = "\n".join(chars(64, WORD + "+/") for _ in range(5))
    return f"-----BEGIN {kind}PRIVATE KEY{end}-----\n{headers}{lines}\n-----END {kind}PRIVATE KEY{end}-----"


def segment(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


HEX, DASHED = string.digits + "abcdef", WORD + "-_"
SECRETS = [
    ("anthropic-key", "sk-ant-" + "api03-" + chars(93, DASHED) + "AA"),
    ("openai-key", "sk-" + "proj-" + chars(60, DASHED) + "T3Blbk" + "FJ" + chars(60, DASHED)),
    ("openai-key", "sk-" + "svcacct-" + chars(80, DASHED)),
    ("openai-key", "sk-" + chars(20) + "T3Blbk" + "FJ" + chars(20)),
    ("openai-key", "sk-" + chars(48)),
    ("openrouter-key", "sk-" + "or-v1-" + chars(64, HEX)),
    ("aws-access-key-id", "AKI" + "A" + chars(16, string.ascii_uppercase + "234567")),
    ("aws-access-key-id", "ASI" + "A" + chars(16, string.ascii_uppercase + "234567")),
    *(("github-token", f"gh{kind}_" + chars(36)) for kind in "pousr"),
    ("github-token", "github" + "_pat_" + chars(22) + "_" + chars(59)),
    ("gitlab-token", "glpat" + "-" + chars(20, DASHED)),
    ("slack-token", "xoxb" + "-" + chars(12, string.digits) + "-" + chars(12, string.digits) + "-" + chars(24)),
    ("slack-token", "xoxp" + "-" + chars(12, string.digits) + "-" + chars(12, string.digits) + "-" + chars(32, HEX)),
    ("google-key", "AI" + "za" + chars(35, DASHED)),
    ("stripe-key", "sk" + "_live_" + chars(24)),
    ("stripe-key", "rk" + "_live_" + chars(99)),
    ("npm-token", "npm" + "_" + chars(36)),
    ("huggingface-token", "hf" + "_" + chars(34, string.ascii_letters)),
    *(("private-key", pem(kind)) for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")),
    ("private-key", pem("RSA ", f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{chars(32, HEX)}\n\n")),
    ("private-key", pem("PGP ", "Version: GnuPG v2 - of a person\n\n", " BLOCK")),
    ("jwt", ".".join((segment({"alg": "HS256", "typ": "JWT"}), segment({"sub": "a person", "iat": "1"}), chars(43, DASHED)))),
]
IN_CONTEXT = [
    ("aws-secret-key", "aws_secret_access_key = {}", chars(40, WORD + "/+")),
    ("aws-secret-key", 'AWS_SECRET_ACCESS_KEY="{}"', chars(40, WORD + "/+")),
    ("aws-secret-key", '{{"SecretAccessKey": "{}"}}', chars(40, WORD + "/+")),
    ("url-password", "postgres://ada:{}@db.internal:5432/app", "V3ry-h.rd"),
    ("url-password", "clone https://oauth2:{}@git.internal/x.git", chars(20)),
    ("url-password", "amqp://ada:{}@mq", "p%40ss%2Fw0rd"),
    ("url-password", "redis://:{}@10.0.0.1:6379", chars(32, HEX)),
]
NO_SECRETS = [
    "Read the task-force's risk-assessment of sk-learn, sk-ant, sk-proj- and hf_hub_download().",
    "Put sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx or sk-ant-your-key-goes-here-between-the-quotes there.",
    "export OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "AKIA" + "IOSFODNN7EXAMPLE and aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY are in every manual.",
    "ghp_" + "x" * 36 + " ghp_short ghp_" + "1234567890" * 4,
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY----- is how a file with a PRIVATE KEY begins and ends",
    "-----BEGIN RSA PRIVATE KEY-----, which is followed by some lines of base64, and then by the end of the key, is what it is",
    "-----BEGIN PUBLIC KEY-----\n" + "A1b2C3d4" * 30 + "\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----\n" + "A1b2C3d4" * 30 + "\n-----END CERTIFICATE-----",
    "eyJhbGciOiJIUzI1NiJ9 alone is no token, nor is eyJ.eyJ.x",
    "postgres://user:password@localhost/db postgres://postgres:postgres@localhost mysql://srv:${PASS}@db http://u:***@h/",
    "http://localhost:8080/@scope/pkg https://example.org:443/a@b https://ada@example.org ssh://git@host:22/x",
    "https://[::1]:8080/x@y mailto:ada@example.org https://<user>:<password>@host http://user:%PASS%@host",
    "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 40,
    "01a1fb9f-b7ec-787d-9601-c7b722d7b782 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "xoxb-not-a-token, xoxo-hugs-and-kisses, glpat-short, npm_config_registry, sk_live_ and hf_transfer",
]


@pytest.fixture
def messages(store: Store) -> Messages:
    return store.threads.create("t").messages


def found(store: Store) -> list[tuple[str, str, str, bool]]:
    return [dataclasses.astuple(secret) for secret in store.secrets()]


@pytest.mark.parametrize(("kind", "secret"), SECRETS, ids=lambda value: value[:14])
def test_a_key_is_told_by_its_pattern_wherever_it_stands(store: Store, messages: Messages, kind: str, secret: str) -> None:
    for text in (secret, f"It is {secret}.", f'KEY="{secret}"\nnext', f"<{secret}>", f"key={secret}&more", f"`{secret}`,"):
        messages.append("user", text)
    messages.append("tool", [{"type": "text", "text": secret}], item={"deep": [{secret: 1}]}, extra={"note": ["x", secret]})
    ids = [message.id for message in messages]
    assert found(store) == [("t", id, kind, True) for id in ids]
    assert [redact_secrets(messages, id) for id in ids] == [1] * 6 + [3]
    assert {message.content for message in messages.branch()[:2]} == {"[redacted]", "It is [redacted]."}
    assert found(store) == [("t", id, kind, False) for id in ids]
    messages.compact()
    assert found(store) == []


@pytest.mark.parametrize(("kind", "text", "secret"), IN_CONTEXT)
def test_of_a_secret_that_only_its_context_tells_nothing_else_is_redacted(
    store: Store, messages: Messages, kind: str, text: str, secret: str
) -> None:
    sent = messages.append("user", f"Look: {text.format(secret)} there")
    assert found(store) == [("t", sent.id, kind, True)]
    assert redact_secrets(messages, sent.id, replacement="***") == 1
    assert messages[sent.id].content == f"Look: {text.format('***')} there"


@pytest.mark.parametrize("text", NO_SECRETS, ids=lambda text: text[:20])
def test_what_only_looks_like_a_secret_is_none(store: Store, messages: Messages, text: str) -> None:
    sent = messages.append("user", text)
    assert found(store) == []
    before = Path(messages.path).read_bytes()
    assert redact_secrets(messages, sent.id) == 0
    assert Path(messages.path).read_bytes() == before


def test_a_key_that_was_cut_short_is_told_and_redacted_to_the_end(store: Store, messages: Messages) -> None:
    whole = pem("RSA ")
    sent = messages.append("user", "key: " + whole[:200])
    json_in_text = messages.append("user", json.dumps({"key": whole}))
    assert [secret.kind for secret in store.secrets()] == ["private-key"] * 2
    for message in (sent, json_in_text):
        redact_secrets(messages, message.id)
    assert [message.content for message in messages] == ["key: [redacted]", '{"key": "[redacted]"}']


def test_the_secrets_of_all_threads_are_told_in_order_and_by_the_ids_that_messages_show(store: Store) -> None:
    (_, one), (_, two) = SECRETS[0], SECRETS[6]
    for name in ("b", "a"):
        messages = store.threads.create(name).messages
        messages.append("user", "nothing")
        messages.append("user", f"{two} {one} {one}", given_id=f"mine {name}")
        messages.append("user", two)
    expected = [(name, kind) for name in "ab" for kind in ("anthropic-key", "aws-access-key-id", "aws-access-key-id")]
    assert [(secret.thread_id, secret.kind) for secret in store.secrets()] == expected
    assert [secret.message_id for secret in store.secrets()][:2] == ["mine a"] * 2


def test_what_is_not_shown_any_more_is_told_until_it_is_compacted(store: Store, messages: Messages) -> None:
    kind, secret = SECRETS[0]
    removed = messages.append("user", secret, given_id="mine")
    messages.remove(removed.id)
    sent = messages.append("user", f"{secret} and {SECRETS[6][1]}")
    messages.redact(sent.id, secret)
    assert found(store) == [
        ("t", removed.record_id, kind, False),
        ("t", sent.id, kind, False),
        ("t", sent.id, SECRETS[6][0], True),
    ]
    with pytest.raises(MessageNotFoundError):
        redact_secrets(messages, removed.id)
    messages.compact()
    assert found(store) == [("t", sent.id, SECRETS[6][0], True)]


@pytest.mark.parametrize("spelling", ["escapes", "slashes", "blanks"])
def test_a_secret_in_a_line_of_another_program_is_told_however_that_spells_it(root: Path, spelling: str) -> None:
    bench = LogBench(root, count=1)
    record = {"id": "01ffffff-b7ec-787d-9601-c7b722d7b781", "parent_id": None, "role": "user", "content": "redis://:fz8.Qx@h"}
    raw = json.dumps(record).encode() + b"\n" if spelling == "blanks" else line_of(record)
    raw = raw.replace(b"://", b":\\/\\/") if spelling == "slashes" else raw
    raw = raw.replace(b"://", b":\\u002f\\u002F") if spelling == "escapes" else raw
    bench.append_bytes(raw)
    assert [secret.kind for secret in Store.open(root).secrets()] == ["url-password"]


@pytest.mark.damaged
def test_a_secret_that_a_redaction_left_is_told_even_where_its_message_is_not_here(root: Path) -> None:
    bench = LogBench(root)
    kind, secret = SECRETS[6]
    with Store.open(root) as store:
        store.thread("t").messages.redact(bench.sent[4].id, "message", replacement=secret)
    bench.drop_line(4)
    assert found(Store.open(root)) == [("t", bench.sent[4].id, kind, False)]


@pytest.mark.damaged
def test_damage_hides_no_secret_behind_it(root: Path) -> None:
    bench = LogBench(root)
    bench.change(3, content=SECRETS[0][1])
    bench.change(1, content=SECRETS[8][1])
    bench.tear_line(0)
    bench.swap_lines(1, 2)
    bench.glue(3)
    bench.cut_last()
    store = Store.open(root, read_only=True)
    assert [secret.message_id for secret in store.secrets()] == bench.ids(1, 3)


def test_a_finding_holds_no_secret_and_nothing_is_changed_by_looking(store: Store, messages: Messages) -> None:
    for _, secret in SECRETS:
        messages.append("user", secret)
    before = Path(messages.path).stat()
    told = list(store.secrets())
    assert len(told) == len(SECRETS)
    assert [field.name for field in dataclasses.fields(Secret)] == ["thread_id", "message_id", "kind", "shown"]
    assert not any(secret in repr(told) + str(told) for _, secret in SECRETS)
    after = Path(messages.path).stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ctime_ns, before.st_ino)


def test_lines_without_anything_like_a_secret_are_not_decoded(store: Store, messages: Messages, monkeypatch: Any) -> None:
    messages.extend({"role": "user", "content": f"{n} plain words, é\n"} for n in range(500))
    messages.append("user", SECRETS[0][1])
    decoded = []
    real = secrets.codec.read_line
    monkeypatch.setattr(secrets.codec, "read_line", lambda raw: decoded.append(raw) or real(raw))
    assert len(list(secrets._kinds_in_log(messages.path))) == len(decoded) == 1


@pytest.mark.parametrize(
    "text",
    [
        "sk-" * 50_000,
        "eyJ-" * 50_000,
        "eyJaaaaaaaaaa-" * 10_000 + ".eyJ-" * 20_000,
        "://a:" * 30_000,
        "eyJ" * 50_000,
        "-----BEGIN PRIVATE KEY-----" * 5_000,
    ],
)
def test_no_text_takes_longer_than_its_length_allows(store: Store, messages: Messages, text: str) -> None:
    messages.append("user", text + "T3BlbkFJ @ PRIVATE KEY eyJ")
    assert found(store) == []  # what were quadratic here would run into the time limit of all tests
