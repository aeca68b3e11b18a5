"""What every command has in common: its help, its root, its errors and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import COMMAND, begun, environment, fsstore, terminal

from fsstore import Store

COMMANDS = [
    "append",
    "archive",
    "check",
    "checkpoints",
    "compact",
    "demo",
    "du",
    "gc",
    "goal",
    "import",
    "jobs",
    "ls",
    "prompts",
]
COMMANDS += ["redact", "rename", "repair", "rm", "search", "sessions", "show", "stats", "trash", "tree", "workflows"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_without_a_command_the_help_is_shown() -> None:
    assert fsstore().out == fsstore("--help").out
    assert re.findall(r"^  (\w+)  +\S", fsstore().out.partition("Commands:")[2].partition("Exit codes:")[0], re.M) == COMMANDS


def test_the_help_lists_every_exit_code() -> None:
    listed = fsstore("--help").out.partition("Exit codes:\n")[2]
    assert re.findall(r"^ +(\d+) +\S", listed, re.M) == ["0", "1", "2", "3", "4", "130", "141"]


def test_the_version_is_the_packages() -> None:
    import fsstore as package

    assert fsstore("--version").out == f"fsstore, version {package.__version__}\n"


@pytest.mark.parametrize("command", [*COMMANDS, "trash ls", "trash restore", "trash empty"])
def test_every_command_has_root_and_json_and_its_help_fits_80_columns(command: str) -> None:
    shown = fsstore(*command.split(), "--help")
    if command == "trash":  # which is a group of commands
        assert max(map(len, shown.out.splitlines())) <= 80
        return
    assert "--root DIR" in shown.out
    assert "--json" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert terminal(*command.split(), "-h").out.split() == shown.out.split()


def test_the_root_is_that_of_the_environment_or_of_the_users_data_and_help_says_which(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data" / "fsstore")
    store.threads.create("mine")
    by_name, by_data = {"FSSTORE_ROOT": store.root}, {"XDG_DATA_HOME": str(tmp_path / "data"), "FSSTORE_ROOT": "  "}
    for env in (by_name, by_data):
        assert [row["id"] for row in fsstore("ls", "--json", **env).lines()] == ["mine"]
        assert store.root in "".join(fsstore("ls", "--help", **env).out.split())
    assert "~/.local/share/fsstore" in fsstore("ls", "--help").out
    assert fsstore("ls").error(2).startswith("no store at /nonexistent/.local/share/fsstore: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["ls", "--nothing"],
        ["ls", "extra"],
        ["ls", "--root"],
        ["ls", "--root", ""],
        ["show"],
        ["tree"],
        ["append", "t"],
        ["import", "oasst"],
        ["show", "t", "--last", "many"],
        ["append", "t", "user", "x", "--lock-timeout", "-1"],
        ["demo", "a", "--root", "b"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str]) -> None:
    assert fsstore(*arguments).error(2)


def test_a_store_of_a_newer_format_is_refused(store: Store) -> None:
    format_file = Path(store.root, "fsstore.json")
    known = format_file.read_text()
    format_file.write_text('{"format": "fsstore", "version": 99}')
    results = [fsstore(*command, "--root", store.root) for command in (["ls"], ["append", "t", "user", "x", "--create"])]
    format_file.write_text(known)
    assert all("format version 99" in result.error(1) for result in results)
    assert store.threads.ids() == []


@pytest.mark.damaged
def test_what_the_system_refuses_is_said_with_its_path(store: Store) -> None:
    thread = store.threads.create("t")
    Path(thread.messages.path).mkdir()
    assert fsstore("show", "t", "--root", store.root).error(1) == f"not a regular file: {thread.messages.path}"


@pytest.mark.damaged
def test_a_corrupt_document_is_said_with_its_path(store: Store) -> None:
    thread = store.threads.create("t")
    meta = Path(thread.directory, "meta.json")
    meta.write_text('{"id": \x1b')
    error = fsstore("show", "t", "--root", store.root).error(1)
    assert error.startswith(f"corrupt: {meta}: ")


def test_an_error_carries_no_control_characters_and_stays_on_one_line(store: Store) -> None:
    assert fsstore("show", "a\x1b[31m\nb", "--root", store.root).error(3) == r"thread a\x1b[31m b not found"


def test_a_mistake_of_ours_is_one_line_too(store: Store) -> None:
    code = "import fsstore.cli.reading as r; r.emit = None; from fsstore.cli import main; main()"
    store.threads.create("t")
    assert fsstore("ls", "--json", "--root", store.root, command=python(code)).error(1).startswith("unexpected TypeError: ")


@pytest.mark.parametrize("library", ["click", "rich"])
def test_without_its_libraries_the_command_says_in_one_line_how_to_install_them(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from fsstore.cli import main; main()"
    error = fsstore("ls", command=python(code)).error(1)
    assert error == "the command line needs click and rich: pip install 'fsstore[cli]'"


def test_importing_the_package_imports_neither_library() -> None:
    code = (
        "import sys, fsstore.cli; print([name for name in sys.modules if name.startswith(('click', 'rich', 'fsstore.store'))])"
    )
    assert fsstore(command=python(code)).out == "[]\n"


@pytest.mark.parametrize("arguments", [["ls"], ["ls", "--json"], ["--help"], ["show", "t1"], ["tree", "t1"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(store: Store, arguments: list[str]) -> None:
    for number in range(3):
        store.threads.create(f"t{number}").messages.append("user", "word " * 50_000)
    root = ["--root", store.root] if arguments != ["--help"] else []
    with begun(*arguments, *root) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full here")
def test_an_output_that_is_full_is_an_error_of_one_line(store: Store) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "ls", "--root", store.root], stdout=full, stderr=subprocess.PIPE, env=environment())
    assert (done.returncode, done.stderr) == (1, b"fsstore: No space left on device\n")


def test_an_output_that_is_closed_is_no_error(store: Store) -> None:
    store.threads.create("t")
    line = ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *COMMAND]
    assert fsstore("append", "t", "user", "said", "--root", store.root, command=line).code == 0
    assert [message.content for message in store.thread("t").messages] == ["said"]


@pytest.mark.skipif(not Path(sys.executable).with_name("fsstore").exists(), reason="the script is not installed here")
def test_the_installed_script_is_the_same(store: Store) -> None:
    script = [str(Path(sys.executable).with_name("fsstore"))]
    assert fsstore("ls", "--root", store.root, command=script) == fsstore("ls", "--root", store.root)
