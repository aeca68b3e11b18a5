"""CodeWhale's `session_index.jsonl`: what threads are called, the last line of each thread."""

from __future__ import annotations

import os.path

from fsstore import codec, layout
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fsstore.codec import Object


def read_names(database: str, refuse: Callable[[str, str, str], None]) -> dict[str, Object]:
    """Give what the session index beside a database says last of each thread; nothing where there is no index.

    Args:
        database: The database's path.
        refuse: Takes the index, a line of it, and why the line says nothing.
    """
    names = {}
    try:
        data = fs.read_foreign(os.path.join(os.path.dirname(database), layout.INDEX))
    except FileNotFoundError:
        return {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                noted = _noted(line)
            except ValueError as error:
                refuse(layout.INDEX, f"line {number}", str(error))
            else:
                names[noted["thread_id"]] = noted
    return names


def renamed(fields: Object, names: dict[str, Object]) -> Object:
    """Give a thread's fields with what the session index calls it, unless the thread was put later."""
    noted = names.get(fields["id"])
    if noted is None or noted["updated_at"] < fields["updated_at"]:
        return fields
    paths = {} if noted["rollout_path"] is None else {"rollout_path": noted["rollout_path"]}
    return {**fields, "name": noted["thread_name"], **paths}


def _noted(line: bytes) -> Object:
    """Read a line.

    Raises:
        ValueError: It names no thread, or is no such line at all.
    """
    fields = codec.decode_object(line)
    noted: Object = {name: fields.get(name) for name in ("thread_id", "thread_name", "updated_at", "rollout_path")}
    layout.encode_name(noted["thread_id"])
    codec.check_json(noted, "the line")
    texts = (noted["thread_name"], noted["rollout_path"])
    if type(noted["updated_at"]) is not int or not all(isinstance(text, (str, type(None))) for text in texts):
        raise ValueError("its name, time or path is none")
    return noted
