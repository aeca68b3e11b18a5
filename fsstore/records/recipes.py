"""Recipes: with which prompt, tools and settings models are asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore.records.nested import NestedRecord, each, many, one, parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeConstraints(NestedRecord):
    """How much a model may do. `timeout` is a duration such as `5m0s`, or seconds."""

    max_steps: int = 0
    timeout: str | float = ""
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeModelParams(NestedRecord):
    """How a model is sampled."""

    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeContext(NestedRecord):
    """How much of a conversation a model is given."""

    max_history_turns: int = 0
    strategy: str = ""
    compact_threshold: float = 0
    task_mode: str = ""
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReminder(NestedRecord):
    """What a model is reminded of, and when."""

    name: str
    trigger: str = ""
    content: str = ""
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule(NestedRecord):
    """How much of a tool's output a model is given."""

    max_lines: int = 0
    max_tokens: int = 0
    truncation: str = ""
    truncation_message: str = ""
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile(NestedRecord):
    """What is particular to a model."""

    context_budget: int = 0
    tool_format: str = ""
    system_role: str = ""
    mid_convo_system: bool | str = ""
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSnapshot(NestedRecord):
    """A recipe, whole."""

    PARTS = parts(
        constraints=one(RecipeConstraints),
        model_params=one(RecipeModelParams),
        context=one(RecipeContext),
        system_reminders=many(one(SystemReminder)),
        output_processing=each(one(OutputRule)),
        model_profiles=each(one(ModelProfile)),
    )

    version: int = 0
    name: str = ""
    system_prompt: str = ""
    tool_guidance: dict[str, str] = field(default_factory=dict)
    tools: list[str] = field(default_factory=list)
    bash_prefixes: list[str] = field(default_factory=list)
    tool_descriptions: dict[str, str] = field(default_factory=dict)
    constraints: RecipeConstraints | None = None
    model_params: RecipeModelParams | None = None
    context: RecipeContext | None = None
    system_reminders: list[SystemReminder] = field(default_factory=list)
    output_processing: dict[str, OutputRule] = field(default_factory=dict)
    summarization_prompt: str = ""
    model_profiles: dict[str, ModelProfile] = field(default_factory=dict)
    extra: Object = field(default_factory=dict)
