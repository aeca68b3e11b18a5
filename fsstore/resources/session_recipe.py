"""The recipe of a session: the one it was begun with, the one that it has instead, and its text for people."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from fsstore import clock, layout
from fsstore.disk import document, fs
from fsstore.errors import CorruptError
from fsstore.records.base import Record
from fsstore.records.recipes import RecipeConstraints, RecipeSnapshot
from fsstore.resources.recipe_text import markdown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from fsstore.codec import Json, Object
    from fsstore.records.nested import NestedRecord
    from fsstore.resources.session_files import SessionFiles

    Part = TypeVar("Part", bound=NestedRecord)

DEFAULT_NAME = "default"


class SessionRecipe:
    """The recipe of one session, and its document `session_metadata.json`.

    Args:
        files: The session's files.
        base: The recipe that it was begun with, if any.

    Attributes:
        path: The document.
        text_path: The recipe as text.
    """

    __slots__ = ("_files", "base", "path", "text_path")

    def __init__(self, files: SessionFiles, base: RecipeSnapshot | None) -> None:
        self.base = base
        self.path = files.place.path(layout.SESSION)
        self.text_path = files.place.path(layout.RECIPE_TEXT)
        self._files = files

    def own(self) -> RecipeSnapshot | None:
        """Give the recipe that the session has instead of the one it was begun with; None where it has none.

        Raises:
            CorruptError: session_metadata.json cannot be read.
        """
        recipe = self.fields().get("recipe")
        return None if recipe is None else RecipeSnapshot.from_json(recipe)

    def set(self, recipe: RecipeSnapshot | None) -> None:
        """Give the session a recipe of its own, or take that away.

        Raises:
            ValueError: It holds what JSON cannot.
            CorruptError: The session_metadata.json that stands there cannot be read; it was not overwritten.

        On disk: session_metadata.json, replaced whole.
        Crash: The old recipe or the new one.
        Concurrency: The last one counts.
        """
        said = {} if recipe is None else {"recipe": recipe.over(None)}
        self._files.write(lambda: self._write(lambda old: {**{key: old[key] for key in old if key != "recipe"}, **said}))

    def active(self) -> RecipeSnapshot | None:
        """Give the session's own recipe, else the one it was begun with, if any."""
        return self.own() or self.base

    def snapshot(self, tools: list[str]) -> RecipeSnapshot:
        """Give the active recipe with the tools that were active last; where there is none, an empty one named `default`."""
        recipe = self.active() or RecipeSnapshot()
        return replace(
            recipe,
            name=recipe.name or DEFAULT_NAME,
            tools=tools or recipe.tools,
            constraints=_with_duration(_or_none(recipe.constraints)),
            model_params=_or_none(recipe.model_params),
            context=_or_none(recipe.context),
        )

    def begin(self) -> None:
        """Note that the session was begun, now, unless that is noted already.

        Raises:
            CorruptError: The session_metadata.json that stands there cannot be read; it was not overwritten.

        On disk: session_metadata.json, where it is not there yet.
        Crash: It is there, or not.
        Concurrency: The first one counts.
        """
        self._files.write(lambda: self._write(lambda old: old))

    def created_at(self) -> int | None:
        """Give the time at which the session was begun, None where nobody noted it.

        Raises:
            CorruptError: session_metadata.json, or meta.json, cannot be read.
        """
        noted = self.fields().get("created_at")
        if type(noted) is int:
            return noted
        meta = document.read(self._files.place.meta)
        began = meta.get("created_at") if meta else None
        return began if type(began) is int else None

    def fields(self) -> Object:
        """Give what session_metadata.json says, nothing where it is not there.

        Raises:
            CorruptError: It cannot be read.
        """
        return self._checked(document.read(self.path) or {})

    def keep_text(self) -> None:
        """Write the active recipe as text, where there is one that was not written yet.

        On disk: recipe.md, replaced whole.
        Crash: The old text or the new one; it is for people, and nothing reads it back.
        Concurrency: The last one counts.
        """
        recipe = self.active()
        if recipe is None:
            return
        data = markdown(recipe).encode()
        if not self._has_text(data):
            self._files.write(lambda: self._replace_text(data))

    def _has_text(self, data: bytes) -> bool:
        try:
            return fs.read_file(self.text_path) == data
        except FileNotFoundError:
            return False

    def _replace_text(self, data: bytes) -> None:
        place = self._files.place
        with place.lock_existing():
            place.root.replace(self.text_path, data, sync_directory=place.root.full)

    def _write(self, change: Callable[[Object], Object]) -> None:
        place = self._files.place
        with place.lock_existing():
            before = document.read_any(self.path)
            old = self._checked(document.content(before) if before else {})
            new = {"created_at": clock.now(), **change(old), "id": place.id}
            if new != old:
                document.write(place.root, self.path, new, before)

    def _checked(self, fields: Object) -> Object:
        wrong = flaw(fields)
        if wrong:
            raise CorruptError(self.path, wrong)
        return fields


def flaw(fields: Json) -> str | None:
    """Say what is wrong with a session_metadata.json, None where nothing is."""
    return None if isinstance(fields.get("recipe", {}), dict) else "its recipe is no object"


def _or_none(part: Part | None) -> Part | None:
    """Give a part of a recipe that says anything; one that is no record as it is."""
    return part if not isinstance(part, Record) or part.to_json() else None


def _with_duration(constraints: RecipeConstraints | None) -> RecipeConstraints | None:
    """Give constraints with the time-out as text."""
    timeout = constraints.timeout if isinstance(constraints, RecipeConstraints) else None
    if constraints is None or not isinstance(timeout, (int, float)) or not isfinite(timeout):
        return constraints
    return replace(constraints, timeout=duration(timeout))


def duration(seconds: float) -> str:
    """Spell a duration as recipes do: `5m0s`, `1h0m0.5s`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{tail}" if hours else f"{minutes}m{tail}" if minutes else tail
