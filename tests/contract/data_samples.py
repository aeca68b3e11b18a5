"""What the tests of `DataStore` keep."""

from __future__ import annotations

from pathlib import Path

from fsstore import (
    ConversationTurn,
    DataStore,
    DataStoreOptions,
    EventEntry,
    FileWrite,
    ModelProfile,
    ModelResponse,
    OutputRule,
    RecipeConstraints,
    RecipeContext,
    RecipeModelParams,
    RecipeSnapshot,
    StopReason,
    SystemReminder,
)

SESSION = "ses_0190a5b0-0000-7000-8000-000000000001"
PANELS = ("a", "b")
ANSWERS = (
    ModelResponse(
        model_id="claude",
        text="Rayleigh scattering.",
        latency_ms=120,
        input_tokens=10,
        output_tokens=20,
        reasoning_tokens=5,
        cost_usd=0.25,
        proposed_writes=[FileWrite(path="foo.go", content="package foo"), FileWrite(path="old.go", delete=True)],
        tool_calls={"bash": 2},
        steps=3,
        stop_reason=StopReason.COMPLETE,
    ),
    ModelResponse(model_id="gpt", text="Air.", latency_ms=80, cost_usd=0.5),
)
FAILED = ModelResponse(model_id="gpt", text="half an answer", error="overloaded")
RECIPE = RecipeSnapshot(
    version=2,
    name="fast",
    system_prompt="Be brief.",
    tool_guidance={"bash": "Ask first."},
    tools=["bash"],
    bash_prefixes=["git"],
    tool_descriptions={"bash": "Runs a command"},
    constraints=RecipeConstraints(max_steps=10, timeout="5m0s"),
    model_params=RecipeModelParams(temperature=0.5, max_tokens=1000, seed=7),
    context=RecipeContext(max_history_turns=20, strategy="tail", compact_threshold=0.8, task_mode="code"),
    system_reminders=[SystemReminder(name="tests", trigger="write", content="Run the tests.")],
    output_processing={"bash": OutputRule(max_lines=50, max_tokens=500, truncation="head", truncation_message="cut")},
    summarization_prompt="Sum it up.",
    model_profiles={
        "gpt": ModelProfile(context_budget=8000, tool_format="json", system_role="developer", mid_convo_system=True)
    },
)


class Collector:
    """What knows the events of each model, as a caller's own class would."""

    def events(self, model_id: str) -> list[EventEntry]:
        return [EventEntry(type="reading", data="foo.go"), EventEntry(type="bash", data={"command": "ls", "of": model_id})]


def data_store(root: Path, session: str = SESSION, **options: object) -> DataStore:
    return DataStore(DataStoreOptions(root=root, session_id=session, **{"cwd": root.parent / "work", **options}))  # type: ignore[arg-type]


def turn(role: str, content: str) -> ConversationTurn:
    return ConversationTurn(role=role, content=content)


def turns(*texts: str) -> list[ConversationTurn]:
    return [turn(("user", "assistant")[at % 2], text) for at, text in enumerate(texts)]
