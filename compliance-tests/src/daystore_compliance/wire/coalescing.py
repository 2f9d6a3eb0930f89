"""The wire target with coalescing, and the reference in memory with it: what the core does for any backend."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daystore.abc import Consistency, Outcome, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.target import MemoryTarget
from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.target import WireTarget

__all__ = [
    "CoalescingMemoryAdapter",
    "CoalescingMemoryTarget",
    "CoalescingWireAdapter",
    "CoalescingWireTarget",
]


class CoalescingWireAdapter(WireAdapter):
    """The wire adapter with coalescing."""

    coalesce: bool = True


class CoalescingWireTarget(WireTarget):
    """The wire target with coalescing."""

    name = "wire-coalescing"
    adapter: type[WireAdapter] = CoalescingWireAdapter


class CoalescingMemoryAdapter(MemoryAdapter):
    """The reference with coalescing. It lets the event loop turn, so that calls meet."""

    coalesce: bool = True

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        await asyncio.sleep(0)
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        await asyncio.sleep(0)
        return await super()._write(batch)


class CoalescingMemoryTarget(MemoryTarget):
    """The reference in memory with coalescing."""

    name = "memory-coalescing"
    adapter: type[MemoryAdapter] = CoalescingMemoryAdapter
