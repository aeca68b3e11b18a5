"""The usual form of a message's line, which tells id and parent by its first bytes without being decoded."""

from __future__ import annotations

from operator import lt

from fsstore import clock, codec

#: How a line begins and goes on whose only keys before `role` are `id` and `parent_id`.
HEAD, PARENT, ROLE = codec.HEAD, b'","parent_id":"', b'","role":"'
ROOT_ROLE = b'","parent_id":null,"role":"'
_CLOSED = ord("}")
_LAST_ID = clock.LAST_ID.encode()


def is_usual(raw: bytes) -> bool:
    """Say whether a line has the usual form; decoded, it may still turn out to be damaged."""
    return (
        raw[:7] == HEAD
        and raw[-2:] == b"}\n"
        and (raw[43:70] == ROOT_ROLE or (raw[43:58] == PARENT and raw[94:104] == ROLE))
        and not codec.may_be_glued(raw)
    )


def chain(data: bytes, newest: bytes) -> list[bytes]:
    """Give the ids of some lines, if all are whole messages in the usual form, each below the one before and younger.

    If not, none.

    Args:
        data: Whole lines, one at least.
        newest: The id of the message before them, which the first one must be below; empty where it must be a root.
    """
    lines = data.split(b"\n")
    if lines.pop():
        return []
    ids = [line[7:43] for line in lines]
    above = [newest, *ids[:-1]]
    heads = [HEAD + id + PARENT + parent + ROLE for id, parent in zip(ids, above, strict=True)]
    if not newest:
        heads[0] = HEAD + ids[0] + ROOT_ROLE
    if not (all(map(bytes.startswith, lines, heads)) and all(map(lt, above, ids)) and ids[-1] <= _LAST_ID):
        return []
    whole = {line[-1] for line in lines} == {_CLOSED} and {line.rfind(codec.QUOTED_ID) for line in lines} == {1}
    return ids if whole else []  # a line whose last such key is not its first one may hold a second record


def last_usual(data: bytes, begin: int, newest: bytes) -> int:
    """Give where the last line starts, if from `begin` on all are whole messages in the usual form that ascend from an id.

    If not, -1.
    """
    find, end = data.find, len(data)
    start, stop, count = -1, begin, 0
    if data[-1:] != b"\n":
        return -1
    while stop < end:
        start = stop
        id = data[start + 7 : start + 43]
        if id <= newest or data[start : start + 7] != HEAD or data[start + 94 : start + 104] != ROLE:
            return -1
        newest, count = id, count + 1
        stop = find(b"\n", start) + 1
        if data[stop - 2] != _CLOSED:
            return -1
    return start if data.count(codec.QUOTED_ID, begin) == count else -1  # else one of them holds a second record
