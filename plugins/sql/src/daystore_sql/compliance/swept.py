"""Waiting for what an adapter does beside its writes."""

from __future__ import annotations

import asyncio

from daystore.abc import StorageAdapter

__all__ = ["swept"]


async def swept(adapter: StorageAdapter) -> None:
    """Wait until the search for expired records that an open adapter has begun has ended.

    A place that an atomic batch has held against others expired when it was made, and goes with them.
    """
    sweeper = getattr(getattr(adapter, "_engine", None), "sweeper", None)
    if sweeper is not None and sweeper.task is not None:
        await asyncio.wait([sweeper.task])
