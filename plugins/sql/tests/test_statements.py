"""What operations cost: statements, plans and steps, the same for a thousand records as for a hundred thousand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    EVENTUAL,
    Aggregate,
    Aggregation,
    And,
    Check,
    Compare,
    Delete,
    Explanation,
    Function,
    Not,
    Op,
    Or,
    Order,
    Predicate,
    Put,
    Query,
    WriteBatch,
)
from daystore_sql.adapter import SQLAdapter
from daystore_sql.session import Session

Make = Callable[..., SQLAdapter]


class Meter:
    """Counts the statements and the steps of SQLite's machine that operations take."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.steps = 0

    def watch(self, session: Session) -> None:
        connection: Any = session.connection
        connection.set_trace_callback(self.statements.append)
        connection.set_progress_handler(self._step, 1)

    def _step(self) -> bool:
        self.steps += 1
        return False

    async def cost(self, operation: Callable[[], Awaitable[object]]) -> tuple[int, int]:
        """Run an operation that has run before; return its statements and its steps."""
        await operation()
        self.statements.clear()
        self.steps = 0
        await operation()
        return len(self.statements), self.steps


@asynccontextmanager
async def metered(make: Make, **options: Any) -> AsyncIterator[tuple[SQLAdapter, Meter, Meter]]:
    """An open adapter, and what its reader and its writer do."""
    async with make(readers=1, sweep_interval=1e9, **options) as adapter:
        reads, writes = Meter(), Meter()
        await adapter.set("things", "first", b"", fields={"f": 1})  # sweeps, and makes the names
        await adapter._opened.read("test", EVENTUAL, reads.watch)
        await adapter._opened.ask_writer("test", writes.watch)
        yield adapter, reads, writes


TOPIC = Compare("topic", Op.EQ, "rare")

READS: dict[str, tuple[Callable[[SQLAdapter], Awaitable[object]], list[str]]] = {
    "get": (lambda a: a.get("things", "k1"), ["SELECT"]),
    "get missing": (lambda a: a.get("things", "missing"), ["SELECT"]),
    "get 2,000": (lambda a: a.get_batch("things", [f"k{n}" for n in range(2000)]), ["SELECT"]),
    "first page": (lambda a: a.query(Query("things", limit=10)), ["BEGIN", "SELECT", "SELECT", "COMMIT"]),
    "by field": (
        lambda a: a.query(Query("things", where=TOPIC, limit=10)),
        ["BEGIN", "SELECT", "SELECT", "COMMIT"],
    ),
    "count": (lambda a: a.count(Query("things", where=TOPIC)), ["BEGIN", "SELECT", "COMMIT"]),
    "sum": (
        lambda a: a.aggregate(
            Query("things", where=TOPIC), Aggregation({"s": Aggregate(Function.SUM, "score")}, ("topic",))
        ),
        ["BEGIN", "SELECT", "SELECT", "COMMIT"],  # the first asks whether there are floats
    ),
}


@pytest.mark.parametrize("name", READS)
def test_statements_of_a_read(make: Make, name: str) -> None:
    async def main() -> list[str]:
        async with metered(make) as (adapter, reads, _):
            puts = [Put("things", f"k{n}", b"", fields={"topic": "rare", "score": n}) for n in range(20)]
            await adapter.set_batch(puts)
            await reads.cost(lambda: READS[name][0](adapter))
            return [text.split()[0] for text in reads.statements]

    assert asyncio.run(main()) == READS[name][1]


def _puts(size: int, value: int) -> list[Put]:
    return [Put("things", f"k{n}", b"", fields={"topic": str(n + value), "f": 1}) for n in range(size)]


def test_statements_of_writes(make: Make) -> None:
    """A batch takes as many statements as a single write; SQLite traces each row of one separately."""

    async def main() -> None:
        async with metered(make) as (adapter, _, writes):

            async def texts(batch: WriteBatch) -> list[str]:
                writes.statements.clear()
                await adapter.write(batch)
                return list(dict.fromkeys(" ".join(t.split()[:3]) for t in writes.statements))

            plain = ["BEGIN IMMEDIATE", 'SELECT CAST(ds_record."key" AS', "COMMIT"]
            begin, find, commit = plain
            highest = "SELECT max(ds_record.id) AS"
            add, entries = "INSERT INTO ds_record", "INSERT INTO ds_field"
            first = await texts(WriteBatch(_puts(1, 0)))
            assert first[-1] == commit
            assert await texts(WriteBatch([replace(p, key="x" + p.key) for p in _puts(500, 0)])) == [
                begin, find, highest, add, entries, commit,
            ]  # fmt: skip
            assert await texts(WriteBatch(_puts(1, 0))) == [begin, find, "UPDATE ds_record SET", commit]
            assert await texts(WriteBatch(_puts(1, 7))) == [
                begin, find, "UPDATE ds_record SET", "DELETE FROM ds_field", entries, commit,
            ]  # fmt: skip
            assert await texts(WriteBatch([Delete("things", p.key) for p in _puts(500, 0)])) == [
                begin, find, "DELETE FROM ds_field", "DELETE FROM ds_record", commit,
            ]  # fmt: skip
            assert await texts(WriteBatch([Check("things", "none", ABSENT)], atomic=True)) == plain

    asyncio.run(main())


def test_one_statement_finds_the_keys_of_a_batch(make: Make) -> None:
    async def main() -> None:
        async with metered(make) as (adapter, _, writes):
            await adapter.write(WriteBatch([Check("things", f"k{n}", ABSENT) for n in range(5000)]))
            writes.statements.clear()
            await adapter.write(WriteBatch([Check("things", f"k{n}", ABSENT) for n in range(5000)]))
            assert len(writes.statements) == 3

    asyncio.run(main())


def test_keys_that_no_list_can_hold_come_64_at_a_time(make: Make) -> None:
    async def main() -> None:
        async with metered(make) as (adapter, reads, writes):
            keys = [f"\x00{n}" for n in range(200)]
            await adapter.set_batch([Put("things", key, b"") for key in keys])
            writes.statements.clear()
            await adapter.write(WriteBatch([Check("things", key, ABSENT) for key in keys]))
            assert len(writes.statements) == 2 + 4
            assert list(await adapter.get_batch("things", keys)) == keys
            assert (await reads.cost(lambda: adapter.get_batch("things", keys)))[0] == 2 + 4

    asyncio.run(main())


# --- The same at any size ------------------------------------------------------------------------------------

AND = And((TOPIC, Compare("score", Op.GE, 0)))
QUERIES = {
    "all by key": Query("things", limit=10),
    "field": Query("things", where=TOPIC, limit=10),
    "field, sorted by another": Query("things", where=TOPIC, order=Order("score"), limit=10),
    "order by field": Query("things", order=Order("score"), limit=10),
    "order by field, descending": Query("things", order=Order("score", descending=True), limit=10),
    "order by field with ties, descending": Query("things", order=Order("parity", descending=True), limit=10),
    "order by field that some lack": Query("things", order=Order("some"), limit=10),
    "order by time, descending": Query("things", order=Order("updated_at", descending=True), limit=10),
    "range": Query("things", where=Compare("score", Op.LT, 15), order=Order("score"), limit=10),
    "two fields": Query("things", where=AND, limit=10),
    "many match, ordered by another": Query(
        "things", where=Compare("parity", Op.EQ, 1), order=Order("score", descending=True), limit=10
    ),
    "starts with": Query("things", where=Compare("topic", Op.STARTSWITH, "ra"), limit=10),
    "prefix": Query("things", where=Compare("key", Op.STARTSWITH, "k0000"), limit=10),
    "contains": Query("things", where=Compare("tags", Op.CONTAINS, "rare"), limit=10),
    "exists": Query("things", where=Compare("special", Op.EXISTS, True), limit=10),
    "exists, ordered by it": Query(
        "things", where=Compare("some", Op.EXISTS, True), order=Order("some", descending=True), limit=10
    ),
    "field and prefix": Query("things", where=And((TOPIC, Compare("key", Op.STARTSWITH, "k00000"))), limit=5),
    "in": Query("things", where=Compare("topic", Op.IN, ("rare", "none")), limit=10),
    "or": Query("things", where=Or((TOPIC, Compare("tags", Op.CONTAINS, "rare"))), limit=10),
    "not exists": Query("things", where=Not(Compare("topic", Op.EXISTS, True)), limit=10),
}


ADAPTIVE = {"many match, ordered by another"}
"""Those that sort what they find while it is little, and walk in the order that is wanted when it is much.

How much it is takes some statements more to find out where it is more.
"""

CHECKED = {*ADAPTIVE, "two fields"}
"""Those that look at records which they may not return: here they do not look at many, but others might."""


def growing(size: int) -> list[Put]:
    """Return the records of a collection: 20 are rare, everything else grows with the size."""
    puts = []
    for n in range(size):
        rare = n < 20
        fields: dict[str, Any] = {
            "topic": "rare" if rare else f"t{n % 7}",
            "score": n,
            "parity": n % 2,
            "tags": ("rare", "x") if rare else ("x",),
        }
        if rare:
            fields["special"] = True
        if n % 5:
            fields["some"] = n
        puts.append(Put("things", f"k{n:06}", b"v" * 50, fields=fields))
    return puts


async def _fill(adapter: SQLAdapter, size: int) -> None:
    puts = growing(size)
    for start in range(0, size, 10_000):
        await adapter.set_batch(puts[start : start + 10_000])


async def _measure(make: Make, name: str, size: int) -> dict[str, tuple[Explanation, tuple[int, int]]]:
    costs: dict[str, tuple[Explanation, tuple[int, int]]] = {}
    async with make(name) as adapter:
        await _fill(adapter, size)
    async with metered(make, name=name) as (adapter, reads, _):
        for kind, query in QUERIES.items():
            costs[kind] = await adapter.explain(query), await reads.cost(partial(adapter.query, query))
            page = await adapter.query(query)
            if page.cursor is not None:
                later = replace(query, cursor=page.cursor)
                costs[f"{kind}, page 2"] = (
                    await adapter.explain(later),
                    await reads.cost(partial(adapter.query, later)),
                )
        got = Explanation(indexed=True, strategy="")
        costs["get"] = got, await reads.cost(lambda: adapter.get("things", "k000007"))
        costs["count"] = got, await reads.cost(lambda: adapter.count(Query("things", where=TOPIC)))
    return costs


@pytest.mark.slow
def test_a_query_costs_the_same_among_a_thousand_and_a_hundred_thousand(make: Make) -> None:
    small = asyncio.run(_measure(make, "small.db", 1000))
    large = asyncio.run(_measure(make, "large.db", 100_000))
    assert small.keys() == large.keys()
    for kind, (explained, (statements, steps)) in small.items():
        explained_large, (statements_large, steps_large) = large[kind]
        simple = kind.removesuffix(", page 2")
        assert explained_large.indexed is (simple not in CHECKED), kind
        assert explained_large == explained or simple in ADAPTIVE, kind
        assert not [line for line in explained_large.detail if line.startswith(("SCAN d", "SCAN r"))], kind
        assert statements_large == statements or simple in ADAPTIVE, kind
        assert steps_large <= steps * 1.5 + 200, (kind, steps, steps_large)


FEW_OF_MANY: dict[str, Predicate] = {
    "rare": Compare("tags", Op.CONTAINS, "rare"),
    "keys": Compare("key", Op.LT, "k000005"),
    "large and rare": And((Compare("parity", Op.GE, 0), Compare("tags", Op.CONTAINS, "rare"))),
    "large, rare, and large": And(
        (Compare("parity", Op.GE, 0), TOPIC, Compare("score", Op.GE, 0), Compare("tags", Op.CONTAINS, "x"))
    ),
    "a large place and rare": And((Compare("parity", Op.EQ, 1), Compare("tags", Op.CONTAINS, "rare"))),
}
"""Conditions one of which few records fulfil, however many there are."""


@pytest.mark.parametrize("order", [Order(), Order("score", descending=True), Order("updated_at")], ids=str)
def test_a_rare_condition_makes_up_for_large_ones(make: Make, order: Order) -> None:
    """Large sets are not counted far beyond the size of the smallest one."""

    async def measured(size: int) -> dict[str, int]:
        async with make(f"{size}.db") as adapter:
            await _fill(adapter, size)
        async with metered(make, name=f"{size}.db") as (adapter, reads, _):
            queries = {kind: Query("things", where, order, limit=5) for kind, where in FEW_OF_MANY.items()}
            return {kind: (await reads.cost(partial(adapter.query, q)))[1] for kind, q in queries.items()}

    small, large = asyncio.run(measured(200)), asyncio.run(measured(3000))
    assert {kind: large[kind] for kind in large if large[kind] > small[kind] + 100} == {}


def test_records_that_are_looked_at_in_vain_are_told(make: Make) -> None:
    """Whatever is called indexed looks at what it returns and at nothing else."""
    rare, large = Compare("tags", Op.CONTAINS, "rare"), Compare("parity", Op.EQ, 1)
    keys, score = Compare("key", Op.LT, "k000100"), Order("score", descending=True)
    served = {
        Query("things", rare, limit=5): "index on tags",
        Query("things", rare, score, limit=5): "index on tags, sorted",
        Query("things", And((large, keys)), limit=5): "index on parity",
        Query("things", And((large, Compare("created_at", Op.EXISTS, True))), limit=5): "index on parity",
        Query("things", And((keys, Compare("key", Op.GT, "k"))), score, limit=5): "index on key, sorted",
        Query("things", Compare("score", Op.EXISTS, True), score, limit=5): "index on score",
        Query("things", And((Or((large, rare)), keys)), limit=5): "indexes on parity, tags, united",
        Query("things", Or((rare, Compare("score", Op.LT, 9)))): "indexes on tags, score, united, sorted",
        Query("things", Compare("parity", Op.IN, (0, 1)), score): "index on parity, sorted",
    }
    checked = {
        Query(
            "things", And((large, rare)), limit=5
        ): "index on tags, each record found there checked for parity",
        Query("things", And((Or((large, rare)), keys)), score, limit=5): (
            "index on key, each record found there checked for parity, tags, sorted"
        ),
        Query("things", large, score, limit=5): "index on score, each record found there checked for parity",
        Query("things", Not(large), limit=5): (
            "scan of the collection by key, each record found there checked for parity"
        ),
        Query("things", Or((And((rare, keys)), TOPIC))): (
            "indexes on topic, tags, united, each record found there checked for topic, key, tags"
        ),
    }

    async def main() -> None:
        async with make() as adapter:
            await _fill(adapter, 3000)
            for query, strategy in {**served, **checked}.items():
                explained = await adapter.explain(query)
                assert (explained.indexed, explained.strategy) == (query in served, strategy)
                page = await adapter.query(query)
                if page.cursor is not None:
                    again = await adapter.explain(replace(query, cursor=page.cursor))
                    assert again.indexed is explained.indexed, strategy

    asyncio.run(main())


def test_a_scan_says_that_it_is_one(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            await adapter.set("things", "k", b"", fields={"f": 1, "g": 2})
            scan = await adapter.explain(Query("things", where=Not(Compare("f", Op.EQ, 1)), limit=3))
            assert not scan.indexed
            assert scan.strategy.startswith("scan of the collection")
            found = await adapter.explain(Query("things", where=Compare("f", Op.EQ, 1), limit=3))
            assert found.indexed
            assert found.strategy == "index on f"
            assert found.detail
            nothing = await adapter.explain(Query("things", where=Compare("unknown", Op.EQ, 1)))
            assert nothing == Explanation(indexed=True, strategy="nothing can match")

    asyncio.run(main())


def test_users_data_is_never_part_of_a_statement(make: Make) -> None:
    hostile = "'; DROP TABLE ds_record; --"

    async def main() -> None:
        async with make() as adapter:
            dialect = (await adapter._opened.ask_writer("test", lambda session: session)).dialect
            await adapter.set("things", hostile, hostile.encode(), fields={hostile: hostile})
            where = And((Compare(hostile, Op.EQ, hostile), Compare("key", Op.STARTSWITH, hostile)))
            query = Query("things", where=where, order=Order(hostile, descending=True), limit=3)
            assert [r.key for r in (await adapter.query(query)).records] == [hostile]
            rows = await adapter.aggregate(
                query, Aggregation({hostile: Aggregate(Function.MAX, hostile)}, (hostile,))
            )
            assert [(row.group, row.values) for row in rows] == [((hostile,), {hostile: hostile})]
            assert "DROP" not in "".join(text for text, _ in dialect._texts.values())

    asyncio.run(main())
