"""What the demo runs and shows: each function's body is printed as it stands here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from daystore.query.aggregates import Avg, Count, Max, Min, Sum
from daystore.storage import Storage
from daystore.stores.contexts import Context

__all__ = ["increment", "outcomes", "recent", "rewards", "types", "window"]


async def types(storage: Storage) -> list[dict[str, Any]]:
    """Tell which types of contexts there are, how many, and from when."""
    totals = storage.contexts.aggregate(
        contexts=Count(),
        first=Min("last_active"),
        last=Max("last_active"),
    )
    return await totals.group_by("type").execute()


async def recent(storage: Storage, kind: str, since: datetime) -> list[Context]:
    """Find the latest contexts of a type."""
    query = storage.contexts.where("type", "=", kind).where("last_active", ">=", since)
    return await query.order_by("last_active", "desc").limit(5).execute()


async def window(storage: Storage, context: Context) -> list[dict[str, Any]]:
    """Read the end of a memory."""
    return await storage.memories.window(context.id, 6)


async def outcomes(storage: Storage) -> list[dict[str, Any]]:
    """Count and add up by type and status."""
    totals = storage.contexts.aggregate(
        runs=Count(),
        messages=Sum("message_count"),
        average=Avg("message_count"),
    )
    return await totals.group_by("type", "status").execute()


async def rewards(storage: Storage) -> list[dict[str, Any]]:
    """Average what no index holds."""
    totals = storage.contexts.all(allow_scan=True).aggregate(
        runs=Count("metadata.run.reward"),
        average=Avg("metadata.run.reward"),
    )
    return await totals.group_by("type").execute()


async def increment(storage: Storage, key: str) -> None:
    """Change a value that others change too."""

    def one_more(context: Context) -> Context:
        return replace(context, message_count=context.message_count + 1)

    await storage.contexts.update(key, one_more)
