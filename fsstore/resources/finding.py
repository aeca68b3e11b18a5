"""Finding the thread that holds a message, by the message's id alone, without an index of the whole store."""

from __future__ import annotations

import re
from collections import OrderedDict

from fsstore import clock, codec, layout
from fsstore.disk import document, fs
from fsstore.disk.follow import raw_lines
from fsstore.errors import CorruptError, InvalidNameError, MessageNotFoundError
from fsstore.resources.tail import find_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fsstore.codec import Object
    from fsstore.records.messages import Message
    from fsstore.resources.thread import ThreadHandle

#: Answers kept ready.
_ANSWERS = 4096
_BUFFER = 1 << 20
#: An id that every JSON writer spells alike (those made for web pages escape quotes, `<`, `&` and the like).
_PLAIN = re.compile(r"[\w .:@#=-]+", re.ASCII)


class Finder:
    """Finds the thread of a message: among those used lately, else by going over the bytes of all logs.

    Args:
        directory: Where the threads are.
        handle: Gives a thread's handle.
        recent: Gives the handles used lately, the last one first.
    """

    def __init__(
        self, directory: str, handle: Callable[[str], ThreadHandle], recent: Callable[[], Iterable[ThreadHandle]]
    ) -> None:
        self._directory = directory
        self._handle = handle
        self._recent = recent
        self._answers: OrderedDict[str, str] = OrderedDict()

    def find(self, message_id: str) -> ThreadHandle:
        """Give the thread of a message, by the id it shows or its record id.

        The answer to a record id is kept as long as the thread has the message; an id that a caller gave may come to stand in
        another thread at any time. Without an answer every log's bytes are searched, and only lines with the id in them are
        decoded.

        Raises:
            MessageNotFoundError: No thread has it.
            ValueError: Several threads have a message to which their callers gave this id.
        """
        if not isinstance(message_id, str):
            raise MessageNotFoundError(str(message_id))
        known = self._answers.get(message_id)
        if known is not None and message_id in self._handle(known).messages:
            return self._handle(known)
        thread = self._among_recent(message_id) or self._among_all(message_id)
        message = thread.messages.get(message_id)
        if message and message.record_id == message_id:
            self._answers[message_id] = thread.id
            while len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        return thread

    def _among_recent(self, message_id: str) -> ThreadHandle | None:
        """Look where it costs next to nothing; only a record id is the same in no other thread."""
        if clock.is_id(message_id):
            for thread in self._recent():
                message = thread.messages.get(message_id) if _stands_in(thread.messages.path, message_id) else None
                if message and message.record_id == message_id and thread.place.is_there():
                    return thread
        return None

    def _among_all(self, message_id: str) -> ThreadHandle:
        found: list[ThreadHandle] = []
        looked: set[str] = set()
        # New names are looked at, too: a thread that was given another id meanwhile was seen under neither.
        while not found and (names := [name for name in fs.names(self._directory) if name not in looked]):
            for thread, message in self._holders(names, message_id):
                if message.record_id == message_id:
                    return thread
                found.append(thread)
            looked.update(names)
        if not found:
            raise MessageNotFoundError(message_id)
        if len(found) > 1:
            shown = ", ".join(thread.id for thread in found[:3])
            raise ValueError(f"message id {message_id!r} stands in several threads ({shown}): name the thread as well")
        return found[0]

    def _holders(self, names: list[str], message_id: str) -> Iterator[tuple[ThreadHandle, Message]]:
        try:
            needle = codec.encode_line({"": message_id})[4:-2]  # with its quotes
        except ValueError:
            return  # no text that JSON can hold
        sieves = (needle,) if _PLAIN.fullmatch(message_id) else (needle, b"\\")  # it may be spelled with escapes
        buffer = bytearray(_BUFFER)
        for name in names:
            path = f"{self._directory}/{name}/{layout.MESSAGES}"
            if not fs.contains(path, sieves, buffer) or not _holds(path, sieves, message_id):
                continue
            thread = self._thread_of(name)
            message = thread and thread.messages.get(message_id)  # it may have been removed
            if thread and message:
                yield thread, message

    def _thread_of(self, name: str) -> ThreadHandle | None:
        try:
            id = layout.decode_name(name)
            if id is None:
                id = (document.read(f"{self._directory}/{name}/{layout.META}") or {}).get("id")
        except (InvalidNameError, CorruptError):
            return None
        thread = self._handle(id) if isinstance(id, str) else None
        return thread if thread and thread.place.name == name and thread.place.is_there() else None


def _stands_in(path: str, id: str) -> bool:
    """Say whether a record stands in a log where the order of the ids would have it."""
    try:
        fd = fs.open_read(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return find_line(fd, id.encode(), fs.fstat(fd).st_size) >= 0
    finally:
        fs.close(fd)


def _holds(path: str, sieves: tuple[bytes, ...], message_id: str) -> bool:
    """Say whether a record of a log has an id, as its own or as its caller's."""
    try:
        fd = fs.open_read(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        lines = (raw for _, raw in raw_lines(fd, 0, fs.fstat(fd).st_size) if any(sieve in raw for sieve in sieves))
        return any(_names(piece.record, message_id) for raw in lines for piece in codec.read_line(raw).records)
    finally:
        fs.close(fd)


def _names(record: Object, message_id: str) -> bool:
    return message_id in (record["id"], record.get("given_id"))
