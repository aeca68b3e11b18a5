"""What the processes of the race tests do to `DataStore` sessions."""

from __future__ import annotations

from pathlib import Path

import processes
from race_workers import Barrier

from fsstore import DataStore, DataStoreOptions, ModelResponse, RewindEntry, SelectionParams, StoreError


def opened(root: Path, session: str, durability: str = "process") -> DataStore:
    options = DataStoreOptions(root=root, session_id=session, cwd=root.parent, durability=durability, lock_timeout=60)
    return DataStore(options)


def answers(text: str) -> list[ModelResponse]:
    return [ModelResponse(model_id="m", text=text)]


def runs_and_histories(root: Path, session: str, me: int, count: int, durability: str) -> list[dict[str, int]]:
    """Keep runs and turns, each marked as one's own; give what each append said of the length before it."""
    data = opened(root, session, durability)
    lengths = []
    for number in range(count):
        lengths.append(data.append_histories([f"own {me}", "shared"], answers(f"{me} {number}") * 2, f"{me} {number}"))
        data.persist_run_state(f"{me} {number}", answers(f"{me} {number}"), tool_names=[f"tool {me}"])
        data.record_selection(SelectionParams(selected_model_id=f"by {me}"))
        data.accumulate_cost("m", 0.25)
    return lengths


def begins(root: Path, barrier: Path, me: int, rounds: int) -> None:
    """Write first into sessions that all others write first into at the same time."""
    begin = Barrier(barrier, me)
    data = [opened(root, f"s{number}") for number in range(rounds)]
    for number in range(rounds):
        begin.wait()
        data[number].persist_run_state(f"by {me}", answers("x"))


def prompts(root: Path, barrier: Path, me: int, rounds: int) -> list[int]:
    """Note the same prompt as all others in each round; give the rounds in which it was noted."""
    data, begin, noted = opened(root, "s"), Barrier(barrier, me), []
    for number in range(rounds):
        begin.wait()
        if data.record_prompt(f"prompt {number}"):
            noted.append(number)
        begin.wait()
    return noted


def pushes_and_rewinds(root: Path, session: str, me: int, count: int) -> list[int]:
    """Push entries, and go back as often; give the indexes of the entries gone back to."""
    data, found = opened(root, session), []
    for number in range(count):
        data.push_rewind_entry(RewindEntry(prompt="p", feed_index=me * 1000 + number))
        try:
            found.append(data.rewind().feed_index)
        except StoreError:
            continue
    return found


def writes_to_what_may_vanish(root: Path, session: str, me: int, stop: Path) -> list[str]:
    """Keep runs until `stop` appears, whatever becomes of the session; give the prompts of those that were acknowledged."""
    data, prompts = opened(root, session), [f"{me} begins"]
    data.persist_run_state(prompts[0], answers("x"))
    processes.say("begun")
    while not stop.exists():
        prompts.append(f"{me} {len(prompts)}")
        data.persist_run_state(prompts[-1], answers("x"))
        data.set_last_active_tools([f"{me}"])
        data.checkpoint_saver("p", ["m"]).update(ModelResponse(model_id="m"))
    return prompts
