"""`fsstore goal`: what a thread is to reach, and what was spent on it."""

from __future__ import annotations

import click

from fsstore.cli.exits import WrongUsageError
from fsstore.cli.options import find_thread, open_store, refuse_beside, writing_options
from fsstore.cli.output import emit, how_long, make_console, name_of, number, one_line, print_fields, print_head, when
from fsstore.records.enums import ThreadGoalStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json, Object
    from fsstore.records.goals import ThreadGoalRecord
    from fsstore.resources.thread import ThreadHandle

_STATUSES = [status.value for status in ThreadGoalStatus]


@click.command(short_help="Show a thread's goal, or change it.")
@click.argument("thread")
@click.option("--set", "objective", metavar="TEXT", help="Begin a new goal: what is to be reached.")
@click.option("--status", type=click.Choice(_STATUSES), metavar="WORD", help=f"Where it stands: {', '.join(_STATUSES)}.")
@click.option("--budget", type=click.IntRange(min=0), metavar="N", help="How many tokens it may cost.")
@click.option("--no-budget", is_flag=True, help="It may cost any number of tokens.")
@click.option("--clear", is_flag=True, help="Take the goal away.")
@writing_options
def goal(
    thread: str,
    objective: str | None,
    status: str | None,
    budget: int | None,
    no_budget: bool,
    clear: bool,
    root: str,
    as_json: bool,
    lock_timeout: float,
) -> None:
    """Show a thread's goal and what was spent on it, or change it.

    A goal that is begun takes the place of any other, and nothing is spent on it yet. Without options nothing is changed.
    """
    if no_budget:
        refuse_beside("--no-budget", {"--budget": budget})
    if clear:
        refuse_beside("--clear", {"--set": objective, "--status": status, "--budget": budget, "--no-budget": no_budget})
    if objective is not None and not objective.strip():
        raise WrongUsageError("the TEXT of --set is empty: say what is to be reached, or take the goal away with --clear")
    changes: Object = {} if status is None else {"status": status}
    if budget is not None or no_budget:
        changes["token_budget"] = budget
    writes = clear or objective is not None or changes
    with open_store(root, lock_timeout=lock_timeout if writes else None) as store:
        handle = find_thread(store, thread)
        had = clear and handle.goal.delete()
        found = None if clear else _changed(handle, objective, changes)
        if as_json:
            emit({"thread_id": handle.id, "goal": found.to_json() if found else None})
        elif found:
            _show(handle, found)
        else:
            gone = " any more; a copy is in the store's trash" if had else ""
            make_console().print(f"{one_line(handle.id)} has no goal{gone}.")


def _changed(thread: ThreadHandle, objective: str | None, changes: Object) -> ThreadGoalRecord | None:
    if objective is not None:
        return thread.goal.set(objective, **changes)
    return thread.goal.update(**changes) if changes else thread.goal.get()


def _show(thread: ThreadHandle, goal: ThreadGoalRecord) -> None:
    console = make_console()
    print_head(console, thread.id, name_of(thread), goal.objective)
    print_fields(
        console,
        {
            "status": one_line(goal.status, 40),
            "tokens": _spent(goal.tokens_used, goal.token_budget),
            "time": how_long(goal.time_used_seconds),
            "continuations": number(goal.continuation_count),
            "begun": when(goal.created_at),
            "updated": when(goal.updated_at),
        },
    )


def _spent(used: int, budget: Json) -> str:
    if budget is None:
        return f"{number(used)}, no budget"
    part = f" ({100 * used // budget}%)" if type(budget) is int and budget > 0 else ""
    return f"{number(used)} of {number(budget)}{part}"
