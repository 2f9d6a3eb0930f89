"""How often the server is asked, and how much it looks at, by its own statistics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from daystore.abc import (
    ABSENT,
    Aggregate,
    Aggregation,
    Check,
    Compare,
    Function,
    Op,
    Order,
    Put,
    Query,
    StorageAdapter,
    WriteBatch,
)
from daystore_redis.adapter import RedisAdapter

Do = Callable[[StorageAdapter], Awaitable[Any]]

FROM_CLIENTS = frozenset(("get", "mget", "evalsha", "eval", "script|load", "config|get", "info"))


def _calls(raw: redis.Redis) -> dict[str, int]:
    """Return how often each command was called since the last reset, but for those that ask."""
    stats: Any = raw.info("commandstats")
    counts = {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items()}
    return {name: n for name, n in counts.items() if name not in ("info", "config|resetstat")}


def _sent(raw: redis.Redis) -> dict[str, int]:
    """Return the commands that came from clients: what only scripts call is left out."""
    return {name: n for name, n in _calls(raw).items() if name in FROM_CLIENTS}


GROUPS = Aggregation({"n": Aggregate(Function.SUM, "n")}, ("s",))
PUTS = [Put("c", f"k{n}", b"v", fields={"n": n}) for n in range(500)]


@pytest.mark.parametrize(
    ("do", "sent"),
    [
        (lambda a: a.get("c", "k1"), {"get": 1}),
        (lambda a: a.exists("c", "k1"), {"get": 1}),
        (lambda a: a.get_batch("c", [f"k{n}" for n in range(500)]), {"mget": 1}),
        (lambda a: a.set("c", "k1", b"v", fields={"n": 1, "s": "x"}), {"evalsha": 1, "get": 1}),
        (lambda a: a.delete("c", "k1"), {"evalsha": 1, "get": 1}),
        (lambda a: a.set_batch(PUTS), {"evalsha": 1, "get": 1}),
        (lambda a: a.set_batch(PUTS, atomic=True), {"evalsha": 1, "get": 1}),
        (lambda a: a.delete_batch("c", [f"k{n}" for n in range(500)]), {"evalsha": 1, "get": 1}),
        (lambda a: a.write(WriteBatch([Check("c", "x", ABSENT)], atomic=True)), {"evalsha": 1, "get": 1}),
        (lambda a: a.query(Query("c", Compare("n", Op.LT, 9), Order("n"), limit=5)), {"evalsha": 1}),
        (lambda a: a.query(Query("c")), {"evalsha": 1}),
        (lambda a: a.count(Query("c", Compare("n", Op.LT, 9))), {"evalsha": 1}),
        (lambda a: a.aggregate(Query("c"), GROUPS), {"evalsha": 1}),
        (lambda a: a.explain(Query("c")), {"evalsha": 1}),
        (lambda a: a.get_batch("c", []), {}),
        (lambda a: a.set_batch([]), {}),
    ],
)
def test_an_operation_is_one_round_trip(
    make: Callable[..., RedisAdapter], raw: redis.Redis, do: Do, sent: dict[str, int]
) -> None:
    """Every operation is one command; the "get" of a write is the one in its script."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set_batch(PUTS[:100])
            await do(adapter)
            raw.config_resetstat()
            await do(adapter)
            assert _sent(raw) == sent

    asyncio.run(main())


def test_a_transaction_is_one_round_trip_beyond_its_reads(
    make: Callable[..., RedisAdapter], raw: redis.Redis
) -> None:
    """A read, a query with the look for what is prepared before it, and the commit are four commands."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set_batch(PUTS[:10])
            for _ in range(2):
                raw.config_resetstat()
                async with adapter.transaction() as tx:
                    await tx.read("c", ["k1", "k2"])
                    await tx.query(Query("c", Compare("n", Op.LT, 5), limit=3))
                    await tx.write([Put("c", "k1", b"w", fields={"n": 1})])
            assert _sent(raw) == {"mget": 1, "evalsha": 3, "get": 1}

    asyncio.run(main())


FLAT: dict[str, Do] = {
    "get": lambda a: a.get("c", "k00500"),
    "equal": lambda a: a.query(Query("c", Compare("few", Op.EQ, "f5"), limit=10)),
    "range, ordered": lambda a: a.query(Query("c", Compare("n", Op.GE, 500), Order("n"), limit=10)),
    "last by a field": lambda a: a.query(Query("c", order=Order("n", descending=True), limit=10)),
    "newest": lambda a: a.query(Query("c", order=Order("updated_at", descending=True), limit=10)),
    "same, by key": lambda a: a.query(Query("c", Compare("kind", Op.EQ, "chat"), limit=10)),
    "same, last keys": lambda a: a.query(
        Query("c", Compare("kind", Op.EQ, "chat"), Order("key", descending=True), limit=10)
    ),
    "ties, descending": lambda a: a.query(Query("c", order=Order("kind", descending=True), limit=10)),
    "count": lambda a: a.count(Query("c", Compare("kind", Op.EQ, "chat"))),
    "count all": lambda a: a.count(Query("c")),
    "set": lambda a: a.set("c", "k00500", b"v", fields={"n": 500, "kind": "chat"}),
}


def test_costs_do_not_grow(make: Callable[..., RedisAdapter], raw: redis.Redis) -> None:
    """With a hundred times the records every one of these calls as many commands, those in its script included."""
    sizes = (1_000, 100_000)

    async def costs(number: int) -> dict[str, dict[str, int]]:
        async with make(namespace=f"growth-{number}", sweep_interval=1e9) as adapter:
            for start in range(0, number, 5_000):
                puts = [
                    Put("c", f"k{n:05}", b"v", fields={"n": n, "kind": "chat", "few": f"f{min(n, 99)}"})
                    for n in range(start, min(start + 5_000, number))
                ]
                await adapter.set_batch(puts)
            found = {}
            for name, do in FLAT.items():
                await do(adapter)
                raw.config_resetstat()
                await do(adapter)
                found[name] = _calls(raw)
            return found

    small, large = (asyncio.run(costs(number)) for number in sizes)
    assert small == large
    assert max(sum(calls.values()) for calls in large.values()) < 60
