"""What holds the project together: layers, bans, thin facades, the contract's signatures, documentation."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

import fsstore
from fsstore import DataStore, DynamicToolRecord, JobStateRecord, SessionStore, StateStore, Store, ThreadStore, layout

REPO = Path(__file__).resolve().parents[1]
PACKAGE = REPO / "fsstore"

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

# The table of design.md: a module imports only from rows above its own; within a package, modules of one row know each other.
LAYERS = (
    ("errors", "clock"),
    ("codec", "layout", "tree", "merging"),
    ("records",),
    ("disk",),
    ("resources",),
    ("store",),
    ("stores", "upkeep", "testing"),
    ("cli", "adapters"),
)

#: Imports from a row below, each with its reason.
UPWARD = {
    ("store", "upkeep.check"): "store.check() is the front door of check; imported when called",
    ("store", "upkeep.repair"): "store.repair() is the front door of repair; imported when called",
    ("store", "upkeep.problems"): "the type of what check() gives",
    ("store", "upkeep.secrets"): "store.secrets() is the front door of the search for secrets, in the same way",
    ("store", "upkeep.gc"): "store.gc() is the front door of gc; imported when called, and for its type",
    ("store", "upkeep.sizes"): "store.sizes() is the front door of sizes; imported when called, and for its type",
    ("testing.sessions", "stores.backend"): "the suite is about that class",
}

#: The doors to the system: files, and the machine.
DOORS = {"disk.fs", "disk.machine"}
#: What another module does to the system by itself, each with its reason.
SYSTEM_CALLS = {
    ("clock", "os.urandom"): "ids need chance, and stand below the doors",
    ("store", "os.path.abspath"): "open() makes its root absolute",
    ("store", "os.path.expanduser"): "open() expands the tilde",
    ("cli.options", "os.path.abspath"): "the command line names the root as open() would",
    ("cli.options", "os.path.expanduser"): "the command line names the root as open() would",
    ("cli.app", "os.dup2"): "what nobody reads any more goes to the null device",
    ("cli.app", "os.open"): "what nobody reads any more goes to the null device",
    ("cli.output", "open"): "what nobody reads any more goes to the null device",
    ("testing.sessions", "pathlib"): "the suite is given its directories by pytest",
    ("cli.demo", "tempfile"): "the demo makes a directory to play in",
    ("cli.demo_race", "subprocess"): "the demo starts writers, and kills one",
}

#: Pure functions of os.path, and what of os is no call; the environment has a test of its own.
PURE_PATH = {"basename", "dirname", "join", "relpath", "splitext"}
PURE_OS = {"", "path", "environ", "PathLike", "stat_result", "fspath", "devnull", "strerror"}
#: Modules that reach the system around the doors.
SYSTEM_MODULES = {"fcntl", "mmap", "multiprocessing", "pathlib", "pty", "select", "shutil", "signal", "socket", "subprocess"}
SYSTEM_MODULES |= {"tempfile", "termios", "glob", "fileinput"}
FILE_METHODS = {"read_text", "write_text", "read_bytes", "write_bytes", "touch", "unlink", "rmdir", "iterdir", "glob", "rglob"}

#: Calls of other modules' methods that take a lock, by the end of their name.
LOCKING_CALLS = ("_log.append", "usage.accrue", "_workflows.delete")
LOCKING_CALLS += tuple(f"_threads.{method}" for method in ("add", "call", "delete", "move", "put", "update"))
PROMISES = ("On disk:", "Crash:", "Concurrency:")

STATE_STORE = {
    "open": "(root=None, *, durability='full', lock_timeout=10.0) -> Self",
    "db_path": "() -> Path",
    "upsert_thread": "(thread) -> None",
    "get_thread": "(thread_id) -> ThreadMetadata | None",
    "list_threads": "(filters=ThreadListFilters(include_archived=False, limit=50)) -> list[ThreadMetadata]",
    "mark_archived": "(thread_id) -> None",
    "mark_unarchived": "(thread_id) -> None",
    "delete_thread": "(thread_id) -> bool",
    "set_thread_memory_mode": "(thread_id, mode) -> None",
    "get_thread_memory_mode": "(thread_id) -> str | None",
    "upsert_thread_goal": "(goal) -> None",
    "record_thread_goal_usage": "(thread_id, token_delta, time_delta_seconds, now) -> ThreadGoalRecord | None",
    "record_thread_goal_continuation": "(thread_id, now) -> ThreadGoalRecord | None",
    "get_thread_goal": "(thread_id) -> ThreadGoalRecord | None",
    "delete_thread_goal": "(thread_id) -> bool",
    "list_leaf_messages": "(thread_id) -> list[MessageRecord]",
    "set_current_leaf_id": "(thread_id, current_leaf_id) -> None",
    "persist_dynamic_tools": "(thread_id, tools) -> None",
    "get_dynamic_tools": "(thread_id) -> list[DynamicToolRecord]",
    "append_message": "(thread_id, role, content, item=ABSENT) -> str",
    "list_messages": "(thread_id, limit=500) -> list[MessageRecord]",
    "fork_at_message": "(message_id, role, content, item=ABSENT, *, thread_id=None) -> str",
    "clear_messages": "(thread_id) -> int",
    "save_checkpoint": "(thread_id, checkpoint_id, state) -> None",
    "load_checkpoint": "(thread_id, checkpoint_id=None) -> CheckpointRecord | None",
    "list_checkpoints": "(thread_id, limit=100) -> list[CheckpointRecord]",
    "delete_checkpoint": "(thread_id, checkpoint_id) -> bool",
    "upsert_job": "(job) -> None",
    "get_job": "(job_id) -> JobStateRecord | None",
    "list_jobs": "(limit=100) -> list[JobStateRecord]",
    "delete_job": "(job_id) -> bool",
    "find_rollout_path_by_id": "(thread_id) -> str | None",
    "append_thread_name": "(thread_id, thread_name, updated_at, rollout_path=None) -> None",
    "find_thread_name_by_id": "(thread_id) -> str | None",
    "find_thread_names_by_ids": "(ids) -> dict[str, str | None]",
    "find_thread_path_by_name_str": "(name) -> str | None",
}
THREAD_STORE = {
    "__init__": "(root, *, durability='full', lock_timeout=10.0) -> None",
    "create_thread": "(thread) -> None",
    "get_thread": "(thread_id) -> Thread",
    "list_thread_ids": "() -> list[str]",
    "append_message": "(thread_id, msg) -> ThreadMessage",
    "list_messages": "(thread_id) -> list[ThreadMessage]",
    "create_run": "(thread_id, run) -> None",
    "get_run": "(thread_id, run_id) -> Run",
    "update_run_status": "(thread_id, run_id, status, error=None) -> None",
    "force_update_run_status": "(thread_id, run_id, status, error=None) -> None",
    "steps_dir": "(thread_id, run_id) -> Path",
    "append_step": "(thread_id, run_id, step) -> None",
    "list_steps": "(thread_id, run_id) -> list[RunStep]",
    "get_step": "(thread_id, run_id, step_id) -> RunStep",
    "update_step_status": "(thread_id, run_id, step_id, status, error=None) -> None",
    "thread_dir": "(thread_id) -> Path",
    "list_run_ids": "(thread_id) -> list[str]",
    "run_dir": "(thread_id, run_id) -> Path",
}

DATA_STORE = {
    "__init__": "(options) -> None",
    "histories": "() -> dict[str, list[ConversationTurn]]",
    "append_histories": "(panel_ids, responses, user_prompt) -> dict[str, int]",
    "set_histories": "(histories) -> None",
    "truncate_histories": "(lengths) -> None",
    "clear_histories": "() -> None",
    "prompt_history": "() -> list[str]",
    "record_prompt": "(prompt) -> bool",
    "metadata": "() -> DataSessionMetadata",
    "content": "() -> SessionContent",
    "save_initial_meta": "() -> None",
    "persist_run_state": "(last_prompt, responses, collector=None, tool_names=()) -> None",
    "update_last_run_note": "(note) -> None",
    "record_selection": "(params) -> None",
    "push_rewind_entry": "(entry) -> None",
    "push_file_snapshots": "(snapshots) -> None",
    "can_rewind": "() -> bool",
    "clear_rewind_stack": "() -> None",
    "rewind_stack_len": "() -> int",
    "rewind": "(*, force=False) -> RewindResult",
    "checkpoint_path": "() -> Path",
    "load_checkpoint": "() -> Checkpoint | None",
    "save_checkpoint": "(checkpoint) -> None",
    "checkpoint_saver": "(prompt, adapter_ids, *, verbose=False, run_id=None) -> CheckpointSaver",
    "clear_checkpoint": "() -> None",
    "accumulate_cost": "(model_id, cost) -> None",
    "total_cost": "() -> float",
    "cost_per_model": "() -> dict[str, float]",
    "session_id": "() -> str",
    "metadata_path": "() -> Path",
    "content_path": "() -> Path",
    "session_recipe_path": "() -> Path",
    "sessions_dir": "() -> Path",
    "recipes_dir": "() -> Path",
    "recipe_store": "() -> Recipes",
    "recipe_name_lookup": "() -> Callable[[str], str]",
    "last_active_tools": "() -> list[str]",
    "set_last_active_tools": "(names) -> None",
    "base_recipe": "() -> RecipeSnapshot | None",
    "session_recipe": "() -> RecipeSnapshot | None",
    "set_session_recipe": "(recipe) -> None",
    "active_recipe": "() -> RecipeSnapshot | None",
    "build_recipe_snapshot": "() -> RecipeSnapshot",
    "recipe_hash": "() -> str",
}
SESSION_STORE = {
    "__init__": "(root, *, durability='full', lock_timeout=10.0) -> None",
    "load": "(session_key) -> list[ChatMessage]",
    "append": "(session_key, message) -> None",
    "remove_last": "(session_key) -> bool",
    "compact": "(session_key) -> Compacted",
    "delete_session": "(session_key) -> bool",
    "list_sessions": "() -> list[str]",
    "list_sessions_with_metadata": "() -> list[SessionMetadata]",
    "cleanup_stale": "(ttl_hours) -> int",
    "search": "(query) -> list[SessionMetadata]",
    "set_session_name": "(session_key, name) -> bool",
    "get_session_name": "(session_key) -> str | None",
    "set_session_state": "(session_key, state, turn_id=None) -> bool",
    "get_session_state": "(session_key) -> SessionState | None",
    "list_running_sessions": "() -> list[SessionMetadata]",
    "list_stuck_sessions": "(threshold_secs) -> list[SessionMetadata]",
    "update_last": "(session_key, message) -> bool",
    "clear_messages": "(session_key) -> int",
    "session_exists": "(session_key) -> bool",
    "get_session_metadata": "(session_key) -> SessionMetadata | None",
    "rename_session": "(session_key, new_key) -> None",
    "close_interrupted": "() -> list[str]",
    "rollback_turn": "(session_key) -> bool",
}


# The sources


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name below it; `""` is the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def row(module: str) -> int:
    top = module.split(".", maxsplit=1)[0]
    return next(number for number, names in enumerate(LAYERS) if top in names)


def imports(module: str) -> Iterator[str]:
    """What a module imports of the package: dotted names below it."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name[8:] for alias in node.names if alias.name.split(".")[0] == "fsstore")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            if node.module and node.module.split(".")[0] == "fsstore":
                base = node.module[8:]
                for alias in node.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    yield inner if inner in modules() else base


def imported_names(module: str) -> set[str]:
    """Every module, own or foreign, that a module imports anything of."""
    found = set()
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def dotted(node: ast.AST) -> str:
    """Give an attribute's full name as far as it is one: `os.path.isdir`, `self._log.append`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def names_used(tree: ast.AST) -> set[str]:
    """Every name and dotted name that is used."""
    return {dotted(node) for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Name))}


def literals(tree: ast.AST) -> Iterator[str]:
    """Every string but docstrings, `__slots__`, `__all__` and annotations."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.Assign) and dotted(node.targets[0]) in ("__slots__", "__all__"):
            skipped |= {id(inner) for inner in ast.walk(node.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def functions(tree: ast.AST) -> Iterator[tuple[str, Function]]:
    """Every function and method that is not inside another function, by its name: `Class.method`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{name}", inner) for name, inner in functions(node))


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def public(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Every public function or class of public modules, by its name below the package."""
    for module, tree in modules().items():
        if is_public(module or "x"):
            rows: Iterator[tuple[str, ast.AST]] = functions(tree) if kind is ast.FunctionDef else _classes(tree)
            yield from ((f"{module}.{name}", node) for name, node in rows if is_public(name))


def _classes(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    return ((node.name, node) for node in tree.body if isinstance(node, ast.ClassDef))


def parameters(node: Function) -> list[ast.arg]:
    spec = node.args
    found = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
    return [one for one in found if one.arg not in ("self", "cls")]


# Layers


def test_every_module_has_its_place_in_a_layer() -> None:
    tops = {module.split(".")[0] for module in modules()} - {""}
    assert tops <= {name for names in LAYERS for name in names}
    assert {"errors", "clock", "codec", "layout", "tree", "records", "disk", "resources", "store", "stores", "upkeep"} <= tops


def test_modules_import_only_from_layers_above_their_own() -> None:
    wrong = []
    for module in modules():
        for other in imports(module) if module else ():
            if (module, other) in UPWARD or (not other and row(module) == len(LAYERS) - 1):
                continue
            same_package = other.split(".")[0] == module.split(".")[0]
            if not other or (row(other) >= row(module) and not same_package):
                wrong.append(f"{module} imports {other or 'the package itself'}")
    assert wrong == []


def test_every_exception_from_the_layers_is_still_needed() -> None:
    assert [pair for pair in UPWARD if pair[1] not in set(imports(pair[0]))] == []


def test_no_import_goes_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in imports(module):
                if other and (module, other) not in UPWARD:
                    visit(other, (*path, module))
            done.add(module)

    for module in filter(None, modules()):
        visit(module, ())


# Bans


def _reaches_out(name: str) -> bool:
    """Say whether a dotted name is of the system: all of os but its types, its constants and the pure half of os.path."""
    first, _, rest = name.partition(".")
    if rest.startswith("path."):
        return first == "os" and rest[5:] not in PURE_PATH
    return name in ("open", "io.open") or (first == "os" and rest.split(".")[0] not in PURE_OS and not rest.isupper())


def _system_calls(module: str) -> Iterator[str]:
    tree = modules()[module]
    yield from filter(_reaches_out, names_used(tree))
    for called in _calls(tree):
        owner, _, method = called.rpartition(".")
        if method in FILE_METHODS and owner not in ("", "fs"):
            yield f"{called}()"
    for name in imported_names(module):
        if name.startswith("os.") and name != "os.path":
            yield f"from {name}"
        elif name in SYSTEM_MODULES and not (name == "pathlib" and module.startswith("stores.")):
            yield name  # a facade gives paths, and only gives them


def test_only_the_doors_call_the_system() -> None:
    found = [(module, call) for module in modules() for call in sorted(set(_system_calls(module))) if module not in DOORS]
    assert [pair for pair in found if pair not in SYSTEM_CALLS] == []
    assert [pair for pair in SYSTEM_CALLS if pair not in found] == []  # each exception is still needed


def test_calls_of_the_doors_go_through_the_module_so_that_a_test_can_replace_them() -> None:
    doors = tuple(f"fsstore.{door}." for door in DOORS)
    assert [module for module in modules() if any(name.startswith(doors) for name in imported_names(module))] == []


@pytest.mark.parametrize(("library", "home"), [("filelock", "disk.lock"), ("orjson", "codec")])
def test_each_dependency_has_one_home(library: str, home: str) -> None:
    users = [module for module in modules() if any(name.split(".")[0] == library for name in imported_names(module))]
    assert users == [home]


def _makes_a_name(text: str, module: str) -> bool:
    if re.search(r"\s", text) or text.startswith("/proc/"):
        return False  # a sentence for people, or the kernel's
    names = {value for key, value in vars(layout).items() if key.isupper() and isinstance(value, str)}
    words = {part for name in names for part in name.split("/")} | {".json", ".jsonl", ".tmp", ".stamp"}
    parts = text.split("/")
    if len(parts) == 1 and row(module) == len(LAYERS) - 1 and "." not in text:
        return False  # a word of the command line, `threads` and the like
    return any(part in words for part in parts) or text.endswith((".json", ".jsonl"))


def test_only_layout_makes_names_of_files() -> None:
    assert _makes_a_name("meta.json", "store")
    assert _makes_a_name("/threads/", "cli.app")
    assert not _makes_a_name("threads", "cli.app")
    wrong = {
        (module, text)
        for module, tree in modules().items()
        if module not in ("layout", "")
        for text in literals(tree)
        if _makes_a_name(text, module)
    }
    assert sorted(wrong) == []


def test_only_the_command_line_prints() -> None:
    speakers = {"print", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "input", "sys.stdin"}
    wrong = [module for module, tree in modules().items() if row(module or "cli") < 7 and speakers & names_used(tree)]
    assert wrong == []


def test_only_the_command_line_and_default_root_read_the_environment() -> None:
    def readers(tree: ast.AST) -> set[str]:
        return names_used(tree) & {"os.environ", "os.environb", "os.getenv", "os.putenv"}

    wrong = [module for module, tree in modules().items() if module != "store" and row(module or "cli") < 7 and readers(tree)]
    assert wrong == []
    assert [name for name, node in functions(modules()["store"]) if readers(node)] == ["default_root"]


def test_no_public_signature_says_any_but_by_the_name_of_json() -> None:
    wrong = []
    for name, node in public(ast.FunctionDef):
        assert isinstance(node, ast.FunctionDef)
        annotations = [one.annotation for one in parameters(node)] + [node.returns]
        if any("Any" in names_used(one) or "typing.Any" in names_used(one) for one in annotations if one):
            wrong.append(name)
    assert wrong == []
    assert "typing.Any" in imported_names("codec")  # Json is Any, once


# Facades


def _facade_methods() -> Iterator[tuple[str, Function]]:
    for module, tree in modules().items():
        if module.startswith("stores.") and module != "stores.backend":  # the defaults of a class that anybody may derive from
            yield from functions(tree)


def test_a_facades_method_has_at_most_four_statements_and_no_control_flow() -> None:
    seen = 0
    for name, method in _facade_methods():
        seen += 1
        statements = [node for node in ast.walk(method) if isinstance(node, ast.stmt) and node is not method]
        if ast.get_docstring(method):
            statements.remove(method.body[0])
        assert len(statements) <= 4, name
        banned = [node for node in statements if isinstance(node, (ast.For, ast.While, ast.Try, ast.TryStar, ast.With))]
        assert banned == [], name
    assert seen > 30


@pytest.mark.parametrize(
    ("store", "expected"),
    [(StateStore, STATE_STORE), (ThreadStore, THREAD_STORE), (SessionStore, SESSION_STORE), (DataStore, DATA_STORE)],
)
def test_every_method_of_the_contract_is_there_with_its_signature(store: type, expected: dict[str, str]) -> None:
    assert {name: signature(store, name) for name in expected} == expected


def signature(store: type, name: str) -> str:
    """Give a method's parameters without their types, and what it returns."""
    method = inspect.getattr_static(store, name)
    method = method.__func__ if isinstance(method, classmethod) else method
    assert inspect.isfunction(method), f"{name} is a method, and no property"
    found = inspect.signature(method)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in list(found.parameters.values())[1:]]
    return f"{inspect.Signature(bare)} -> {found.return_annotation}"


def test_the_state_store_has_the_36_methods_of_its_original_and_no_other() -> None:
    methods = {name for name, member in vars(StateStore).items() if is_public(name) and callable(getattr(StateStore, name))}
    assert methods == set(STATE_STORE)
    assert len(STATE_STORE) == 36


def test_open_is_a_class_method() -> None:
    assert isinstance(inspect.getattr_static(StateStore, "open"), classmethod)


# Documentation and types


def test_everything_public_has_a_docstring() -> None:
    assert [module for module, tree in modules().items() if not ast.get_docstring(tree)] == []
    for kind in (ast.ClassDef, ast.FunctionDef):
        found = list(public(kind))
        assert len(found) > 30
        assert [name for name, node in found if not ast.get_docstring(node)] == []  # type: ignore[arg-type]


def test_everything_public_and_every_magic_method_is_annotated_in_full() -> None:
    wrong = []
    for module, tree in modules().items():
        for name, node in functions(tree):
            last = name.rpartition(".")[2]
            if is_public(name) or (last.startswith("__") and is_public(name.removesuffix(last))):
                bare = [one.arg for one in parameters(node) if one.annotation is None]
                if bare or node.returns is None:
                    wrong.append(f"{module}.{name}: {bare or 'return'}")
    assert wrong == []


def _locking_methods() -> dict[str, Function]:
    """Give the methods in resources/ that take a lock, themselves or by another method of their class."""
    trees = [tree for module, tree in modules().items() if module.startswith("resources.")]
    methods = {name: node for tree in trees for name, node in functions(tree)}
    locking: dict[str, Function] = {}
    more = {name: node for name, node in methods.items() if _takes_lock(node)}
    while more:
        locking |= more
        more = {name: node for name, node in methods.items() if name not in locking and _own_calls(name, node) & locking.keys()}
    return locking


def _own_calls(name: str, node: Function) -> set[str]:
    """Give the methods of its own class that a method calls: `Class.method`."""
    return {f"{name.rpartition('.')[0]}.{called[5:]}" for called in _calls(node) if called.startswith("self.")}


def _calls(node: ast.AST) -> list[str]:
    return [dotted(inner.func) for inner in ast.walk(node) if isinstance(inner, ast.Call)]


def _takes_lock(node: ast.AST) -> bool:
    held = [item.context_expr for inner in ast.walk(node) if isinstance(inner, ast.With) for item in inner.items]
    taken = any(
        name.endswith((".locks", "._locked", ".lock", ".locked", ".lock_existing"))
        for expression in held
        for name in names_used(expression)
    )
    return taken or any(called.endswith(LOCKING_CALLS) for called in _calls(node))


def test_every_method_that_takes_a_lock_says_what_it_does_on_disk_in_a_crash_and_beside_others() -> None:
    methods = _locking_methods()
    docs = {name: ast.get_docstring(node) or "" for name, node in methods.items()}
    promising = {name for name, text in docs.items() if all(word in text for word in PROMISES)}
    assert {"Messages.append", "Messages.clear", "Threads.delete", "RunHandle.update", "Steps.create", "Runs.add"} <= promising
    assert {"Goal.accrue", "Goal.put", "Checkpoints.save", "Tools.replace", "Jobs.update", "Workflows.delete"} <= promising
    wrong = []
    for name, text in docs.items():
        if is_public(name) and name not in promising:
            seen = re.search(r"[Ss]ee `([\w.]+)`", text)  # a shorthand may name the method that says it
            if not (seen and seen[1] in promising):
                wrong.append(name)
    assert sorted(wrong) == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "FORMAT.md").is_file()


def test_every_public_name_can_be_imported() -> None:
    assert fsstore.__all__ == sorted(fsstore.__all__)
    assert {name for name in fsstore.__all__ if getattr(fsstore, name, None) is None} == set()
    assert set(fsstore.__all__) <= set(dir(fsstore))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = fsstore.no_such_name


def test_files_and_functions_are_small() -> None:
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")]
    assert statistics.median(lines) < 200
    sizes = [(node.end_lineno or 0) - node.lineno + 1 for tree in modules().values() for _, node in functions(tree)]
    assert statistics.median(sizes) < 10


# The package as it is used


def _fresh(code: str, *args: object) -> str:
    command = [sys.executable, "-c", code, *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_neither_importing_nor_reading_a_store_imports_filelock(root: Path) -> None:
    store = Store.open(root)
    thread = store.threads.create(name="one", rollout_path="/one")
    thread.messages.append("user", "hi")
    thread.goal.set("Ship")
    thread.goal.accrue(tokens=5)
    thread.checkpoints.save("c", 1)
    thread.tools.replace([DynamicToolRecord(position=0, name="grep")])
    store.jobs.put(JobStateRecord(id="j"))
    store.workflows.create("w").leaves.create(leaf_id="l")
    run = thread.runs.create()
    run.steps.create()
    read = """
import sys, fsstore
assert "filelock" not in sys.modules
with fsstore.StateStore.open(sys.argv[1]) as state, fsstore.ThreadStore(sys.argv[1]) as threads:
    found = state.list_threads()
    texts = [message.content for message in state.list_messages(found[0].id)]
    leaves = state.list_leaf_messages(found[0].id)
    run = threads.get_run(found[0].id, threads.list_run_ids(found[0].id)[0])
    steps = threads.list_steps(found[0].id, run.id)
    print(state.get_thread_goal(found[0].id).tokens_used, state.load_checkpoint(found[0].id).state)
    print(len(state.list_checkpoints(found[0].id)), state.get_dynamic_tools(found[0].id)[0].name, state.list_jobs()[0].id)
    print(state.find_thread_name_by_id(found[0].id), state.find_thread_path_by_name_str("ONE"))
store = fsstore.Store.open(sys.argv[1])
print(store.threads.with_message(leaves[0].id).id == found[0].id)
print([leaf.leaf_id for run in store.workflows for leaf in store.workflows.handle(run.id).leaves])
problems = list(store.check())
assert "filelock" not in sys.modules
print(len(found), texts, len(leaves), len(steps), problems)
state.append_message(found[0].id, "user", "a write")
assert "filelock" in sys.modules
"""
    assert _fresh(read, root).splitlines() == ["5 1", "1 grep j", "one /one", "True", "['l']", "1 ['hi'] 1 1 []"]


def test_the_project_file_says_what_was_decided() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(re.match(r"[\w.-]+", one)[0] for one in project["dependencies"]) == ["filelock", "orjson"]  # type: ignore[index]
    assert project["requires-python"] == ">=3.11"
    assert {"cli", "test"} <= set(project["optional-dependencies"])
    assert project["scripts"] == {"fsstore": "fsstore.cli:main"}
    assert project["license"] == "MIT"
    assert (REPO / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def _blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (REPO / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_the_readmes_two_commands_are_one_line_each_and_ci_runs_the_second() -> None:
    commands = _blocks("sh")
    assert [command.count("\n") for command in commands] == [1, 1]
    assert "fsstore demo" in commands[0]
    assert all(tool in commands[1] for tool in ("ruff check", "mypy", "pytest"))
    last = (REPO / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    chosen = re.fullmatch(r'sh -c "\$\((.*)\)"', last)
    assert chosen, last
    assert subprocess.run(["sh", "-c", chosen[1]], cwd=REPO, check=True, capture_output=True, text=True).stdout == commands[1]


def test_the_readmes_json_examples_are_json() -> None:
    for block in _blocks("json"):
        assert json.loads(block) is not None
    for block in _blocks("jsonl"):
        assert all(isinstance(json.loads(line), dict) for line in block.splitlines())


def _tracked() -> list[Path]:
    command = ["git", "-C", str(REPO), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := REPO / name).is_file()]


def test_no_file_names_a_home_or_the_place_where_it_was_written() -> None:
    places = {str(REPO), str(REPO.parent), str(Path.home()), sys.prefix if sys.prefix != sys.base_prefix else str(REPO)}
    here = "|".join(re.escape(place) for place in places if len(place) > 1)
    pattern = re.compile(rf"(?<![\w.}}>~])(?:(?:{here})(?![\w.-])|/(?:home|Users)/(?!(?:me|you|user)\b)\w)")
    assert pattern.search(f"cd {REPO}")
    assert pattern.search("'/home/" + "somebody/project'")
    assert not pattern.search("/home/me/.agents and <root>/threads and .fsstore/tmp")
    found = []
    for path in _tracked():
        data = path.read_bytes()
        text = "" if b"\0" in data else data.decode("utf-8", "replace")
        found += [f"{path.relative_to(REPO)}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []
