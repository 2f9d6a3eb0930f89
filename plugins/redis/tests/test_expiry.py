"""Expiry by the server itself: never before the adapter's clock says so, and with nothing left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import redis

from daystore.abc import (
    Aggregate,
    Aggregation,
    Compare,
    Function,
    Op,
    Prepare,
    Put,
    Query,
    WriteBatch,
    system_clock,
)
from daystore_redis.adapter import RedisAdapter
from daystore_redis.scripts import GRACE

from .conftest import TestClock, command

INTENT = b"of a transaction"
COUNT = Aggregation({"n": Aggregate(Function.COUNT)})


def _soon(seconds: int) -> int:
    return (int(time.time()) + seconds) * 1_000_000


def _kept(raw: redis.Redis, prefix: str) -> dict[str, int]:
    """Return how many entries of each kind there are beside records."""
    found: dict[str, int] = {}
    for name in raw.scan_iter(f"{prefix}*"):
        kind = name.decode().removeprefix(prefix)[0]
        size: Any = raw.zcard(name) if kind in "kcufx" else raw.hlen(name) if kind == "s" else 1
        found[kind] = found.get(kind, 0) + size
    return {kind: number for kind, number in found.items() if kind in "kcufxsr"}


def test_the_server_expires_records_later_than_they_end(
    make: Callable[..., RedisAdapter], raw: redis.Redis, prefix: str
) -> None:
    """Its own deadline is a little later, so that clocks may differ; overwriting takes it away."""

    async def main() -> None:
        async with make(clock=system_clock) as adapter:
            end = _soon(3600)
            await adapter.set("c", "k", b"v", expires_at=end)
            assert command(raw, "PEXPIRETIME", f"{prefix}r:c:k") == end // 1000 + GRACE
            await adapter.set("c", "k", b"v")
            assert command(raw, "PEXPIRETIME", f"{prefix}r:c:k") == -1
            await adapter.set("c", "k", b"v", expires_at=end)
            await adapter.write(WriteBatch([Prepare("c", "k", INTENT)]))
            assert command(raw, "PEXPIRETIME", f"{prefix}r:c:k") == -1, "an intent would be lost"

    asyncio.run(main())


def test_a_clock_of_ones_own_is_the_only_one(
    make: Callable[..., RedisAdapter], raw: redis.Redis, prefix: str
) -> None:
    """With another clock than the system's, the server never expires anything by itself."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"v", expires_at=1_700_000_000_001_000)
            assert command(raw, "PEXPIRETIME", f"{prefix}r:c:k") == -1
            assert await adapter.get("c", "k") is not None

    asyncio.run(main())


def test_what_the_server_has_expired_leaves_nothing_behind(
    make: Callable[..., RedisAdapter], raw: redis.Redis, prefix: str
) -> None:
    """Records that the server took away are found by nothing, counted by nothing, and their entries are swept."""

    async def main() -> None:
        async with make(clock=system_clock, sweep_interval=0.0) as adapter:
            await adapter.set("c", "stays", b"v", fields={"n": 1, "tags": ("a",)})
            alone = _kept(raw, prefix)
            past = _soon(0) - GRACE * 1000 - 5_000_000
            puts = [
                Put("c", f"k{n}", b"v", fields={"n": n, "tags": ("a", f"t{n}")}, expires_at=past)
                for n in range(20)
            ]
            adapter._writer._sweep_at = [2**62]  # type: ignore[union-attr]
            await adapter.set_batch(puts)
            assert _kept(raw, prefix)["r"] == 1, "the server has not taken the records away"
            assert _kept(raw, prefix)["k"] == 21
            for where in (None, Compare("n", Op.LT, 50), Compare("tags", Op.CONTAINS, "a")):
                assert [r.key for r in (await adapter.query(Query("c", where))).records] == ["stays"]
                assert await adapter.count(Query("c", where)) == 1
                (row,) = await adapter.aggregate(Query("c", where), COUNT)
                assert row.values == {"n": 1}
            await adapter.set("c", "k3", b"again", fields={"n": 1})
            assert [r.key for r in (await adapter.query(Query("c", Compare("n", Op.EQ, 3)))).records] == []
            assert await adapter.delete("c", "k3") is True
            adapter._writer._sweep_at = [0]  # type: ignore[union-attr]
            await adapter.delete("c", "occasion")
            assert _kept(raw, prefix) == alone

    asyncio.run(main())


def test_many_expired_records_go_with_the_next_writes(
    make: Callable[..., RedisAdapter], raw: redis.Redis, prefix: str, clock: TestClock
) -> None:
    """A search that finds more than it takes at once is followed by another one with the very next write."""

    async def main() -> None:
        async with make(sweep_interval=3600.0) as adapter:
            end = clock.now + 1_000_000
            await adapter.set_batch(
                [Put("c", f"k{n}", b"v", fields={"n": n}, expires_at=end) for n in range(500)]
            )
            await adapter.set("c", "prepared", b"v", expires_at=end)
            await adapter.write(WriteBatch([Prepare("c", "prepared", INTENT)]))
            clock.now = end + 3_600_000_000
            left = []
            for _ in range(4):
                await adapter.delete("c", "occasion")
                left.append(_kept(raw, prefix)["r"])
            assert left == [301, 101, 1, 1], "one that carries an intent stays"

    asyncio.run(main())
