"""The conversation of the demo: a coding agent and a date that is read wrongly."""

from __future__ import annotations

import itertools

from fsstore.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.resources.thread import ThreadHandle

NAME = "fix-the-date-parser"
_LOOK = [
    {"type": "text", "text": "Let me look at the code that splits the date."},
    {"type": "tool_use", "name": "read_file", "input": {"path": "dates/parser.py"}},
]


def tell(store: Store) -> tuple[ThreadHandle, list[str]]:
    """Keep the conversation in a thread of its own; give the thread and the ids of its messages."""
    thread = store.threads.create(_free_id(store), name="Fix the date parser", cwd="/src/dates", model_provider="demo")
    say = thread.messages.append
    ids = [say("user", "03/04/2026 is read as the 4th of March, but we write the day first. Please fix it.").id]
    ids.append(say("assistant", _LOOK).id)
    found = say("tool", "41: month, day, year = text.split('/')")
    ids += [found.id, say("assistant", "I swap day and month in line 41.").id]
    ids.append(say("user", "Then our American customers get it wrong.").id)
    other = "parse() gets a parameter day_first, and the two callers pass what the user's locale says."
    ids.append(thread.messages.fork(found.id, "assistant", other).id)
    ids.append(say("user", "Yes, like that. Run the tests too.").id)
    ids.append(_run_the_tests(thread))
    return thread, ids


def _run_the_tests(thread: ThreadHandle) -> str:
    run = thread.runs.create("run-1", model="demo-model", status="in_progress")
    tests = {"tool": "shell", "command": "pytest", "exit_code": 0}
    run.steps.create("step-1", step_type="tool_calls", status="completed", step_details=tests)
    answer = thread.messages.append("assistant", "Done: all 14 tests pass, two of them new.", run_id=run.id)
    run.steps.create("step-2", step_type="message_creation", status="completed", step_details={"message_id": answer.id})
    run.finish("completed")
    return answer.id


def _free_id(store: Store) -> str:
    """Give the demo's thread a readable id that no thread of the store has yet."""
    names = itertools.chain([NAME], (f"{NAME}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in store.threads)
