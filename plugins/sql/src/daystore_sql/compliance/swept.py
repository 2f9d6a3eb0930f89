"""Waiting for what an adapter does beside its writes."""

from __future__ import annotations

import asyncio

from daystore.abc import StorageAdapter
from daystore_sql.adapter import SQLAdapter
from daystore_sql.network.engine import NetworkEngine

__all__ = ["swept"]


async def swept(adapter: StorageAdapter) -> None:
    """Wait until the search for expired records that an open adapter has begun has ended.

    A place that an atomic batch has held against others expired when it was made, and goes with them.
    """
    engine = adapter._engine if isinstance(adapter, SQLAdapter) else None
    if isinstance(engine, NetworkEngine) and engine.sweeper.task is not None:
        await asyncio.wait([engine.sweeper.task])
