"""The reference in memory with nothing atomic but single writes: the core coordinates its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence

from daystore.abc import Consistency, Outcome, Page, Query, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.target import MemoryTarget

__all__ = ["SingleWritesAdapter", "SingleWritesTarget"]


class SingleWritesAdapter(MemoryAdapter):
    """Keeps intents, and applies one operation after the other. It lets the event loop turn before each."""

    one_unit: bool = False

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return collection, key

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found: list[Record | None] = []
        for key in keys:
            await asyncio.sleep(0)
            found += await super()._read(collection, (key,), consistency)
        return found

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        await asyncio.sleep(0)
        return await super()._query(query, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if len(batch.operations) > 1 and batch.atomic:
            raise AssertionError("a batch of several records came to an adapter that cannot apply it")
        outcomes: list[Outcome] = []
        for operation in batch.operations:
            await asyncio.sleep(0)
            outcomes += await super()._write(WriteBatch((operation,), atomic=batch.atomic))
        return outcomes


class SingleWritesTarget(MemoryTarget):
    """The reference in memory with coordinated batches."""

    name = "memory-singles"
    adapter: type[MemoryAdapter] = SingleWritesAdapter
