"""A recipe as Markdown, for people: `recipe.md` of a session."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsstore.codec import Json
    from fsstore.records.recipes import RecipeSnapshot


def markdown(recipe: RecipeSnapshot) -> str:
    """Give a recipe as Markdown: a section for each thing that it says."""
    said = recipe.to_json()
    title = said.pop("name", "") or "default"
    version = said.pop("version", None)
    about = [f"# {title}"] + ([f"Version {version}"] if version is not None else [])
    return "\n\n".join([*about, *(f"## {_words(name)}\n\n{_body(value)}" for name, value in said.items())]) + "\n"


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _body(value: Json) -> str:
    if isinstance(value, (dict, list)):
        return "\n".join(_items(value, ""))
    return str(value)


def _items(value: Json, indent: str) -> Iterator[str]:
    """Give the items of a list or an object as a list of Markdown, each deeper one by two columns."""
    for name, item in value.items() if isinstance(value, dict) else enumerate(value, 1):
        label = f"{indent}- **{name}**" if isinstance(value, dict) else f"{indent}-"
        if isinstance(item, (dict, list)):
            yield label
            yield from _items(item, f"{indent}  ")
        else:
            text = str(item).replace("\n", f"\n{indent}  ")
            yield f"{label}: {text}" if isinstance(value, dict) else f"{label} {text}"
