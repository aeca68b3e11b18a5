"""FORMAT.md's examples: a file of each kind, with a record of each type."""

from __future__ import annotations

import re
from pathlib import Path

import fsstore
from fsstore import Store, layout

PAGE = (Path(fsstore.__file__).parent / "FORMAT.md").read_text()
EXAMPLES = dict(re.findall(r"^```jsonl? (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
#: The thread of the examples.
THREAD = "thread_7f3a"
_OF_THE_STORE = (layout.INDEX, layout.PROMPTS, *(f"{part}/" for part in (layout.JOBS, layout.WORKFLOWS, layout.RECIPES)))


def below(name: str) -> str:
    """Give the path below the root where the file of an example belongs: what is no store's belongs to the thread."""
    return name if name.startswith(_OF_THE_STORE) else f"{layout.THREADS}/{THREAD}/{name}"


def make(root: Path) -> None:
    """Make the store of the examples."""
    Store.open(root).close()
    for name, text in EXAMPLES.items():
        path = root / below(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
