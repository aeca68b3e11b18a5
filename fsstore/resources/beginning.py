"""A session that its first write begins."""

from __future__ import annotations

from contextlib import suppress

from fsstore.errors import AlreadyExistsError, ThreadNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from fsstore.codec import Json
    from fsstore.resources.threads import Threads

    T = TypeVar("T")


def beginning(threads: Threads, id: str, call: Callable[[], T], **fields: Json) -> T:
    """Call what writes into a thread; where there is no such thread, begin it with some fields and call again.

    On disk: As `call`, and as `Threads.create` where the thread is missing.
    Crash: As `call`; before that there may be a thread in which nothing is.
    Concurrency: As `call`. Where the thread is deleted in between, it is begun again, empty.
    """
    while True:
        try:
            return call()
        except ThreadNotFoundError:
            with suppress(AlreadyExistsError):
                threads.create(id, **fields)
