"""redact, and what `check --secrets` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Result, everything, fsstore, terminal

from fsstore import Store
from fsstore.cli.secrets import print_secrets

KEY = "AKI" + "ASQ7ZJ2LMN4PBRTWX"
OTHER = "npm" + "_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3gH5"


@pytest.fixture
def said(store: Store) -> list[str]:
    """The ids of two messages with secrets in them, and of one without."""
    messages = store.threads.create("sky-1").messages
    texts = (f"The key is {KEY}, I say {KEY}.", f"{OTHER} and {KEY}", "Nothing here.")
    return [messages.append("user", text).id for text in texts]


def contents(store: Store) -> list[str]:
    return [message.content for message in store.thread("sky-1").messages]


def log(store: Store) -> bytes:
    return Path(store.thread("sky-1").messages.path).read_bytes()


def test_redact_replaces_a_value_and_says_in_how_many_places(store: Store, said: list[str]) -> None:
    arguments = ("redact", "sky", said[0], "--value", KEY, "--root", store.root)
    assert fsstore(*arguments) == Result(0, f"Redacted 2 places in {said[0]}.\n", "")
    assert contents(store)[0] == "The key is [redacted], I say [redacted]."
    assert fsstore(*arguments) == Result(0, "There was nothing to redact.\n", "")
    assert KEY.encode() in log(store)


def test_redact_reads_the_value_from_the_standard_input(store: Store, said: list[str]) -> None:
    options = ("--value", "-", "--value", "Nothing at all", "--with", "***", "--root", store.root)
    assert fsstore("redact", "sky-1", said[1], *options, stdin=f"{KEY}\n".encode()).out == f"Redacted 1 place in {said[1]}.\n"
    assert contents(store)[1] == f"{OTHER} and ***"


def test_redact_takes_all_secrets_of_a_message_out_of_the_log(store: Store, said: list[str]) -> None:
    done = fsstore("redact", "sky-1", said[1], "--secrets", "--compact", "--root", store.root)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"Redacted 2 places in {said[1]}.",
        "sky-1 is compacted: the old bytes are not in its log any more.",
    ]
    assert contents(store)[1] == "[redacted] and [redacted]"
    assert OTHER.encode() not in log(store)
    assert fsstore("redact", "sky-1", said[0], "--secrets", "--compact", "--json", "--root", store.root).lines() == [
        {"thread_id": "sky-1", "message_id": said[0], "redacted": 2, "compacted": True}
    ]
    assert not any(KEY.encode() in (data or b"") for _, data in everything(store.root).values())


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "about"),
    [
        ([], b"", 2, "give --value TEXT, or --secrets."),
        (["--value", KEY, "--secrets"], b"", 2, "--value and --secrets exclude each other."),
        (["--value", ""], b"", 1, "at least one character"),
        (["--value", "-"], b"\n", 1, "at least one character"),
        (["--value", "-"], KEY.encode() + b"\xff", 2, "no UTF-8 text"),
        (["--value", KEY, "--with", f"-{KEY}-"], b"", 1, "choose another replacement"),
    ],
)
def test_redact_refuses_what_makes_no_sense_without_showing_the_value(
    store: Store, said: list[str], arguments: list[str], stdin: bytes, code: int, about: str
) -> None:
    before = log(store)
    error = fsstore("redact", "sky-1", said[0], *arguments, "--root", store.root, stdin=stdin).error(code)
    assert about in error
    assert KEY not in error
    assert log(store) == before


def test_redact_of_what_is_not_there_finds_nothing(store: Store, said: list[str]) -> None:
    for thread, message in (("sky-1", "nobody"), ("nobody", said[0])):
        for options in (("--value", KEY), ("--secrets",)):
            assert "nobody" in fsstore("redact", thread, message, *options, "--root", store.root).error(3)


def test_redact_for_people_fits_a_terminal(store: Store, said: list[str]) -> None:
    shown = terminal("redact", "sky-1", said[0], "--secrets", "--root", store.root, columns=60)
    assert (shown.code, shown.out.replace("\n", " ").split()) == (0, f"Redacted 2 places in {said[0]}.".split())


def test_print_secrets_says_where_and_what_kind_and_never_the_secret(
    store: Store, said: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    store.thread("sky-1").messages.redact(said[0], KEY)
    assert print_secrets(store, as_json=False) == 3
    out = capfdbinary.readouterr().out.decode()
    assert out.splitlines() == [
        f"sky-1 {said[0]}: aws-access-key-id, not shown any more: the bytes go when the thread is compacted",
        f"sky-1 {said[1]}: aws-access-key-id",
        f"sky-1 {said[1]}: npm-token",
    ]
    assert print_secrets(store, as_json=True) == 3
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert rows[0] == {"thread_id": "sky-1", "message_id": said[0], "kind": "aws-access-key-id", "shown": False}
    assert [row["kind"] for row in rows[1:]] == ["aws-access-key-id", "npm-token"]
    for id in said:
        store.thread("sky-1").messages.remove(id)
    store.thread("sky-1").messages.compact()
    assert print_secrets(store, as_json=False) == 0
    assert capfdbinary.readouterr().out == b""


@pytest.mark.damaged
def test_a_log_that_cannot_be_read_ends_the_search_for_secrets_with_2(store: Store, said: list[str]) -> None:
    path = Path(store.thread("sky-1").messages.path)
    path.unlink()
    path.mkdir()
    assert fsstore("check", "--secrets", "--root", store.root) == Result(2, "", f"fsstore: not a regular file: {path}\n")
