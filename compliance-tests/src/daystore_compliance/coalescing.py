"""An adapter behind the core's coalescing, and what reaches it."""

from __future__ import annotations

from collections.abc import Sequence

from daystore.abc import Consistency, Outcome, Record, StorageAdapter, WriteBatch
from daystore.abc.coalescing import Coalescer
from daystore_compliance.wrappers import Latency, Wrapper

__all__ = ["Coalescing", "Requests"]


class Requests(Latency):
    """Notes what is read by key and what is written, and is as slow as `Latency`, so that calls meet.

    Args:
        adapter: Any adapter.

    Attributes:
        reads: The keys of each request to read, and its consistency.
        writes: The keys of each request to write.
    """

    def __init__(self, adapter: StorageAdapter) -> None:
        super().__init__(adapter)
        self.reads: list[tuple[list[str], Consistency]] = []
        self.writes: list[list[str]] = []

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        self.reads.append((list(keys), consistency))
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.writes.append([operation.key for operation in batch.operations])
        return await super()._write(batch)


class Coalescing(Wrapper):
    """Coalesces single calls to an adapter, in the way of that adapter's class. It is made closed.

    Closing it leaves the adapter open.

    Args:
        adapter: Any adapter.
    """

    coalesce: bool = True

    def __init__(self, adapter: StorageAdapter) -> None:
        super().__init__(adapter)
        self._is_open = False
        while isinstance(adapter, Wrapper):
            adapter = adapter.adapter
        self._kind: type[StorageAdapter] = type(adapter)

    def _new_coalescer(self) -> Coalescer | None:
        return self._kind._new_coalescer(self)

    async def _close(self) -> None:
        pass
