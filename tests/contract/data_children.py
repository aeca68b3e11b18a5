"""What the processes and threads of the tests of `DataStore` do."""

from __future__ import annotations

from pathlib import Path

from fsstore import CheckpointSaver, ModelResponse, Store


def answers(saver: CheckpointSaver, model: str, count: int) -> None:
    """Tell what a model has answered so far, again and again, and that it is done."""
    for number in range(count):
        saver.update(ModelResponse(model_id=model, text=f"{model} {number}"))
    saver.mark_completed(ModelResponse(model_id=model, text=f"{model} {count - 1}"))


def answers_elsewhere(root: Path, session: str, prompt: str, models: list[str], run_id: str, model: str, count: int) -> None:
    checkpoint = Store.open(root, lock_timeout=60).data.session(session).checkpoint
    answers(checkpoint.saver(prompt, models, run_id=run_id), model, count)
