"""The recipes of a store: each once, under the hash of what it says."""

from __future__ import annotations

from fsstore import codec, layout
from fsstore.disk import document
from fsstore.disk.collection import Collection
from fsstore.errors import CorruptError, NotFoundError
from fsstore.records.recipes import RecipeSnapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsstore.codec import Json, Object
    from fsstore.disk.root import Root


def recipe_hash(recipe: RecipeSnapshot) -> str:
    """Give the hash of what a recipe says, whatever it is called.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    import hashlib  # loads OpenSSL, which few programs need

    said = recipe.to_json()
    codec.check_json(said, "the recipe")
    return f"cfg_v{recipe.version}_{hashlib.sha256(codec.encode_compact({**said, 'name': ''})).hexdigest()}"


class Recipes:
    """The recipes of a store. Iterating gives each that can be read."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self.directory = f"{root.path}/{layout.RECIPES}"
        self._documents = Collection(root, self.directory)

    def put(self, recipe: RecipeSnapshot) -> str:
        """Keep a recipe; give its hash. One that is there already, under any name, stays as it is.

        Raises:
            ValueError: It holds what JSON cannot.

        On disk: recipes/<hash>.json, where it is not there yet.
        Crash: The recipe is there, or not.
        Concurrency: Of several puttings of one recipe the first one counts.
        """
        id = recipe_hash(recipe)
        if id not in self._documents:
            self._root.check_writable()
            with self._root.locks[layout.store_lock(layout.RECIPES)]:
                if id not in self._documents:
                    self._documents.put(id, lambda _: {"recipe": recipe.to_json()})
        return id

    def get(self, hash: str) -> RecipeSnapshot | None:
        """Read a recipe by its hash, or None where there is none.

        Raises:
            CorruptError: It cannot be read, or it is not the one that its hash names.
        """
        fields = self._documents.get(hash)
        return None if fields is None else self._recipe(fields)

    def __getitem__(self, hash: str) -> RecipeSnapshot:
        """Read a recipe that is there.

        Raises:
            NotFoundError: It is not.
        """
        recipe = self.get(hash)
        if recipe is None:
            raise NotFoundError(hash, "recipe")
        return recipe

    def __iter__(self) -> Iterator[RecipeSnapshot]:
        return iter(self.all().values())

    def all(self) -> dict[str, RecipeSnapshot]:
        """Give every recipe that can be read by its hash; `damage` says what of the others."""
        whole = (fields for fields in self._documents.all() if flaw(fields) is None)
        return {fields["id"]: _recipe(fields) for fields in whole}

    def hashes_for_name(self, name: str) -> list[str]:
        """Give the hashes of the recipes of a name."""
        return [hash for hash, recipe in self.all().items() if recipe.name == name]

    def name_of(self, hash: str) -> str:
        """Give the name of the recipe of a hash, nothing where there is none.

        Raises:
            CorruptError: It cannot be read.
        """
        recipe = self.get(hash) if hash else None
        return recipe.name if recipe else ""

    def damage(self) -> list[CorruptError]:
        """Say of each recipe that cannot be read, and so is listed nowhere, why."""
        broken = [(fields["id"], flaw(fields)) for fields in self._documents.all()]
        found = [CorruptError(self._documents.path(id), wrong) for id, wrong in broken if wrong]
        return [*self._documents.damage(), *found]

    def _recipe(self, fields: Object) -> RecipeSnapshot:
        wrong = flaw(fields)
        if wrong:
            raise CorruptError(self._documents.path(fields["id"]), wrong)
        return _recipe(fields)


def flaw(fields: Json) -> str | None:
    """Say what is wrong with the document of a recipe, None where nothing is."""
    if not isinstance(fields.get("recipe"), dict):
        return "it holds no recipe"
    try:
        same = recipe_hash(_recipe(fields)) == fields.get("id")
    except (ValueError, TypeError, RecursionError):
        same = False
    return None if same else "the recipe is not the one that its hash names"


def _recipe(fields: Object) -> RecipeSnapshot:
    return RecipeSnapshot.from_json(document.content(fields)["recipe"])
