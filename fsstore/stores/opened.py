"""What every vocabulary is: a view of one open store."""

from __future__ import annotations

from fsstore.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self


class OpenedStore:
    """A view of a store that is open; a `with` block closes it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store.close()


class RootedStore(OpenedStore):
    """A view of the store in a directory.

    Args:
        root: The store's directory; see `Store.open` for this and the rest.
        durability: `"full"` or `"process"`.
        lock_timeout: Seconds to wait for another writer.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        *,
        durability: str = "full",
        lock_timeout: float | None = 10.0,
    ) -> None:
        super().__init__(Store.open(root, durability=durability, lock_timeout=lock_timeout))
