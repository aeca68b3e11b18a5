"""Redaction: texts replaced in what a message says, in its values as they are decoded and never in its bytes."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fsstore.codec import Json, Object
    from fsstore.records.messages import Draft


class Redactor:
    """Some texts to be replaced. No error that it raises shows them.

    Args:
        values: The texts.
        replacement: What stands in their place.

    Attributes:
        count: How many places changed in the draft redacted last.

    Raises:
        ValueError: No text, or an empty one.
    """

    def __init__(self, values: Sequence[str], replacement: str) -> None:
        if not values or not all(isinstance(value, str) and value for value in values):
            raise ValueError("redact needs the texts to replace, each of at least one character")
        # of two that begin alike the longer one, so that nothing of it is left
        self._pattern = re.compile("|".join(map(re.escape, sorted(values, key=len, reverse=True))))
        self._replacement = replacement
        self.count = 0

    def redact(self, draft: Draft) -> int:
        """Replace the texts in all that a message says but its role, its run and its ids; give in how many places.

        Raises:
            ValueError: One of them would still be there, or two keys of an object would be one.
        """
        self.count = 0
        draft.content, draft.item, draft.extra = map(self._changed, (draft.content, draft.item, draft.extra))
        return self.count

    def _changed(self, value: Json) -> Json:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return list(map(self._changed, value))
        return self._object(value) if isinstance(value, dict) else value

    def _object(self, value: Object) -> Object:
        changed = {self._text(name): self._changed(one) for name, one in value.items()}
        if len(changed) < len(value):
            raise ValueError("two keys of an object would become one: redact one value at a time, with other replacements")
        return changed

    def _text(self, text: str) -> str:
        changed, count = self._pattern.subn(lambda _: self._replacement, text)
        self.count += count
        if count and self._pattern.search(changed):
            raise ValueError("after the replacement a text to redact would still be there: choose another replacement")
        return changed
