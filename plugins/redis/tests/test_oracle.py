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
    ABSENT,
    ANY,
    KEEP,
    STRONG,
    Aggregate,
    Aggregation,
    And,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Function,
    GroupRow,
    Holds,
    Not,
    Op,
    Or,
    Order,
    Page,
    Predicate,
    Prepare,
    Put,
    Query,
    Release,
    StorageAdapter,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import DaystoreError, VersionConflict
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
TRANSACTIONS = [b"a" * 16, b"b" * 16]
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

    def change(self) -> Operation:
        """Return a change of one record, or of its intent."""
        key, how = self.choice(KEYS), self.random()
        holds = Holds(self.choice(TRANSACTIONS))
        expect: Any = holds if self.random() < 0.2 else self.choice([ANY, ANY, ANY, ABSENT])
        if how < 0.1:
            return Prepare("things", key, holds.transaction + self.choice([b"", b"1", b"2" * 2000]))
        if how < 0.2:
            return Release("things", key, holds)
        if how < 0.3:
            return Delete("things", key, expect)
        if how < 0.35:
            return Check("things", key, self.choice([ANY, ABSENT]))
        fields = {name: self.value() for name in self.sample(NAMES[:3], self.randrange(4))}
        expires: Any = self.choice([None, None, None, START + 1000, START + 2000, KEEP])
        return Put(
            "things",
            key,
            self.randbytes(self.choice([0, 9, 2000])),
            expect,
            fields=fields,
            expires_at=expires,
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


async def _write(memory: StorageAdapter, adapter: StorageAdapter, batch: WriteBatch) -> None:
    """Apply a batch to both, below everything that resolves intents; it ends in the same way."""
    results: list[object] = []
    for one in (memory, adapter):
        try:
            found = await one._write(batch)
        except VersionConflict as error:
            results.append(_told(error))
        else:
            results.append([(outcome.version, outcome.existed, _told(outcome.error)) for outcome in found])
    assert results[1] == results[0], batch


def _told(error: DaystoreError | None) -> object:
    if not isinstance(error, VersionConflict):
        return error
    return type(error), error.key, error.collection, error.current, error.index


async def _agree_on_records(memory: StorageAdapter, adapter: StorageAdapter) -> None:
    """Read all records, and all that carry an intent."""
    expected, found = [await one._read("things", KEYS, STRONG) for one in (memory, adapter)]
    assert found == expected
    for collection in ("things", None, "other"):
        expected_ones, ones = [
            sorted(await one._prepared(collection), key=lambda pair: pair[1].key) for one in (memory, adapter)
        ]
        assert ones == expected_ones


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


async def _check(memory: StorageAdapter, adapter: StorageAdapter, chance: Chance) -> None:
    """Have a batch depend on what a query has found, and on something else."""
    query = chance.query()
    found = [(r.key, r.version) for r in (await adapter.query(query)).records]
    wrong = [
        [*found, ("zz", "v")],
        [(key, "other") for key, _ in found[:1]] + found[1:],
        found[1:],
        found[::-1],
    ]
    for seen in (found, *wrong):
        for own in (None, *TRANSACTIONS):
            if query.limit != 0:
                checks = [CheckQuery(query, seen)]
                await _write(memory, adapter, WriteBatch([], atomic=True, queries=checks, own=own))


def _agree(make: Callable[[TestClock], RedisAdapter], seed: int, rounds: int) -> None:
    async def main() -> None:
        clock = TestClock()
        chance = Chance(seed)
        adapter = make(clock)
        async with adapter, MemoryAdapter(clock=clock) as memory:
            for turn in range(rounds):
                changes = {change.key: change for change in (chance.change() for _ in range(6))}
                atomic = adapter.one_unit and chance.random() < 0.3
                await _write(memory, adapter, WriteBatch(list(changes.values()), atomic=atomic))
                if turn % 5 == 0:  # most of the time nothing is prepared
                    for _, record in await memory._prepared(None):
                        holds = Holds((record.intent or b"")[:16])
                        await _write(memory, adapter, WriteBatch([Release("things", record.key, holds)]))
                clock.now += chance.choice([0, 1, 100])
                for _ in range(5):
                    await _ask(memory, adapter, chance)
                await _agree_on_records(memory, adapter)
                if adapter.one_unit and turn % 5 in (0, 3):
                    await _check(memory, adapter, chance)

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
