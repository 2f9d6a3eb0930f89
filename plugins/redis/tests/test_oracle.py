"""Random histories and questions: every answer is that of the adapter in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daystore.abc import (
    KEEP,
    Aggregate,
    Aggregation,
    And,
    CheckQuery,
    Compare,
    Delete,
    Function,
    GroupRow,
    Not,
    Op,
    Or,
    Order,
    Page,
    Predicate,
    Put,
    Query,
    StorageAdapter,
    WriteBatch,
)
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore_redis import searching
from daystore_redis.adapter import RedisAdapter
from daystore_redis.compliance import RedisShardsTarget

from .conftest import START, TestClock

KEYS = [
    "a",
    "b",
    "a\0",
    "a\0b",
    "A",
    "ä",
    "a%",
    "z\U0010ffff",
    "é",
    "\U0001f600",
    *(f"k{n:02}" for n in range(30)),
]
NAMES = ["f", "g", "x:y", "key", "created_at", "updated_at"]
MOMENT = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
STRINGS = ["", "a", "ab", "a\0", "A", "\0", "é", "\U0010ffff", "1"]
SCALARS: list[Any] = [
    *(0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)),
    *(0.0, -0.0, 1.0, -1.5, 5e-324, 1e308),
    *(False, True, MOMENT, MOMENT + timedelta(microseconds=1), datetime.fromtimestamp(START / 1e6, UTC)),
    *STRINGS,
]


class Chance(random.Random):
    """What is written and asked."""

    def value(self) -> Any:
        """Return the value of a field."""
        return (
            self.choice(SCALARS) if self.random() < 0.8 else tuple(self.choices(STRINGS, k=self.randrange(3)))
        )

    def change(self) -> Put | Delete:
        """Return a write of one record."""
        key = self.choice(KEYS)
        if self.random() < 0.15:
            return Delete("things", key)
        fields = {name: self.value() for name in self.sample(NAMES[:3], self.randrange(4))}
        expires: Any = self.choice([None, None, None, START + 1000, START + 2000, KEEP])
        intent = self.choice([None, None, b"prepared"])
        return Put(
            "things",
            key,
            self.randbytes(self.choice([0, 9, 2000])),
            fields=fields,
            expires_at=expires,
            intent=intent,
        )

    def compare(self) -> Compare:
        """Return a comparison."""
        name, op = self.choice(NAMES), self.choice(list(Op))
        wide = [*SCALARS, 2**63, -(10**40), *KEYS[:12]]
        if op is Op.IN:
            return Compare(name, op, tuple(self.choices(wide, k=self.randrange(5))))
        if op is Op.EXISTS:
            return Compare(name, op, True)
        if op in (Op.STARTSWITH, Op.CONTAINS):
            return Compare(name, op, self.choice([*STRINGS, "k", "k0"]))
        return Compare(name, op, self.choice(wide))

    def predicate(self, depth: int = 3) -> Predicate:
        """Return a predicate."""
        how = self.randrange(6) if depth else 0
        if how < 3:
            return self.compare()
        if how == 3:
            return Not(self.predicate(depth - 1))
        terms = tuple(self.predicate(depth - 1) for _ in range(self.randrange(4)))
        return And(terms) if how == 4 else Or(terms)

    def query(self) -> Query:
        """Return a query."""
        return Query(
            "things",
            where=self.predicate() if self.random() < 0.85 else None,
            order=Order(self.choice(NAMES), self.random() < 0.5),
            limit=self.choice([None, 0, 1, 2, 3, 7, 10**30]),
            offset=self.choice([0, 0, 0, 1, 5, 10**30]),
        )

    def aggregation(self) -> Aggregation:
        """Return an aggregation."""
        functions = {f.value: Aggregate(f, self.choice(NAMES)) for f in Function} | {
            "n": Aggregate(Function.COUNT)
        }
        return Aggregation(functions, tuple(self.sample(NAMES, self.randrange(3))))


async def _write(adapters: list[StorageAdapter], chance: Chance) -> None:
    operations = {operation.key: operation for operation in (chance.change() for _ in range(6))}
    found = [await adapter.write(WriteBatch(list(operations.values()))) for adapter in adapters]
    assert found[0] == found[1]


def _shown(page: Page) -> tuple[list[str], str | None]:
    return [
        repr((r.key, r.value, r.version, r.created_at, r.updated_at, r.expires_at, r.intent))
        for r in page.records
    ], (page.cursor)


async def _ask(memory: StorageAdapter, adapter: StorageAdapter, chance: Chance) -> None:
    query = chance.query()
    for _ in range(20):
        expected, found = await memory.query(query), await adapter.query(query)
        assert _shown(found) == _shown(expected), query
        assert [dict(r.fields) for r in found.records] == [dict(r.fields) for r in expected.records]
        if expected.cursor is None:
            break
        query = replace(query, cursor=expected.cursor, offset=0)
    assert await adapter.count(query) == await memory.count(query), query
    aggregation = chance.aggregation()
    rows = await adapter.aggregate(query, aggregation), await memory.aggregate(query, aggregation)
    assert _rows(rows[0]) == _rows(rows[1]), (query, aggregation)


def _rows(rows: list[GroupRow]) -> list[object]:
    return [(row.group, [(name, type(value), value) for name, value in row.values.items()]) for row in rows]


async def _check(adapter: StorageAdapter, chance: Chance) -> None:
    """Have a batch depend on what a query has found: it holds, and does not if a version is another one."""
    query = chance.query()
    found = [(r.key, r.version) for r in (await adapter.query(query)).records]
    await adapter.write(WriteBatch([], atomic=True, queries=[CheckQuery(query, found)]))
    wrong = [
        [*found, ("zz", "v")],
        [(key, "other") for key, _ in found[:1]] + found[1:],
        found[1:],
        found[::-1],
    ]
    for other in wrong:
        if other != found and query.limit != 0:
            with pytest.raises(VersionConflict):
                await adapter.write(WriteBatch([], atomic=True, queries=[CheckQuery(query, other)]))


def _agree(make: Callable[[TestClock], RedisAdapter], seed: int, rounds: int) -> None:
    async def main() -> None:
        clock = TestClock()
        chance = Chance(seed)
        adapter = make(clock)
        async with adapter, MemoryAdapter(clock=clock) as memory:
            for turn in range(rounds):
                await _write([memory, adapter], chance)
                clock.now += chance.choice([0, 1, 100])
                for _ in range(5):
                    await _ask(memory, adapter, chance)
                if adapter.capabilities.transactions and turn % 3 == 0:
                    await _check(adapter, chance)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(4))
def test_one_server_agrees(make: Callable[..., RedisAdapter], seed: int) -> None:
    """Pages, cursors, counts and aggregates over random histories are those of the adapter in memory."""
    _agree(lambda clock: make(clock=clock, sweep_interval=0.0), seed, 40)


def test_answers_in_parts_agree(make: Callable[..., RedisAdapter], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where a script looks at no more than three entries, so that every answer has several parts."""
    monkeypatch.setattr(searching, "BUDGET", 3)
    _agree(lambda clock: make(clock=clock), 11, 25)


def test_shards_agree(cluster: RedisShardsTarget, namespace: str) -> None:
    """The same where the records are in several shards of a cluster."""
    _agree(
        lambda clock: RedisAdapter.from_url(cluster.url, namespace=namespace, clock=clock, shards=4), 21, 20
    )
