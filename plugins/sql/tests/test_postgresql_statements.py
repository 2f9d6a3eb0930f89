"""What operations cost on PostgreSQL: round trips, and pages of the database among few and many records."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from daystore.abc import (
    ABSENT,
    Aggregate,
    Aggregation,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Function,
    Not,
    Op,
    Order,
    Put,
    Query,
    WriteBatch,
)
from daystore_sql.adapter import SQLAdapter
from daystore_sql.network.planning import plan

from .test_statements import AND, QUERIES, TOPIC, growing

DRIVERS = ("asyncpg", "psycopg")


class Meter:
    """Counts the requests of an adapter, and the pages that the server looks at for them."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.pages = 0
        self.plans: list[Any] = []

    def watch(self, adapter: SQLAdapter) -> None:
        """Count what goes over the connections that the adapter has."""
        for connection in adapter._opened.primary.pool._idle:  # type: ignore[attr-defined]
            fetch = connection.fetch
            connection.fetch = partial(self._fetch, fetch)

    async def _fetch(self, fetch: Any, text: str, parameters: Any = ()) -> Any:
        self.requests.append(text)
        return await fetch(text, parameters)

    async def explained(self, adapter: SQLAdapter) -> None:
        """Have the server tell how it runs each statement."""
        (connection,) = adapter._opened.primary.pool._idle  # type: ignore[attr-defined]
        await connection._connection.execute(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; "
            "SET auto_explain.log_buffers = on; SET auto_explain.log_format = json; "
            "SET auto_explain.log_timing = off; SET client_min_messages = log"
        )
        connection._connection.add_log_listener(self._told)

    def _told(self, _: Any, message: Any) -> None:
        plan = json.loads(message.message[message.message.index("{") :])["Plan"]
        self.plans.append(plan)
        self.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

    async def cost(self, operation: Callable[[], Awaitable[object]]) -> tuple[int, int]:
        """Run an operation that has run before; return its requests and the pages that were looked at."""
        await operation()
        self.requests.clear()
        self.plans.clear()
        self.pages = 0
        await operation()
        return len(self.requests), self.pages


@pytest.fixture
def database(postgresql: str) -> Callable[[str], str]:
    """Return the URL of a new namespace's database, by a driver."""
    return lambda driver: postgresql.replace("postgresql", f"postgresql+{driver}", 1)


@asynccontextmanager
async def metered(url: str, **options: Any) -> AsyncIterator[tuple[SQLAdapter, Meter]]:
    """An open adapter with one connection, and what goes over it."""
    options = {"namespace": os.urandom(6).hex(), "connections": 1, "sweep_interval": 1e9, **options}
    async with SQLAdapter.from_url(url, **options) as adapter:
        await adapter.set("things", "first", b"", fields={"f": 1})
        await asyncio.wait([adapter._opened.sweeper.task])  # type: ignore[attr-defined]
        meter = Meter()
        meter.watch(adapter)
        yield adapter, meter


SUM = Aggregation({"s": Aggregate(Function.SUM, "score")}, ("topic",))
READS: dict[str, Callable[[SQLAdapter], Awaitable[object]]] = {
    "get": lambda a: a.get("things", "k1"),
    "get missing": lambda a: a.get("things", "missing"),
    "get 2,000": lambda a: a.get_batch("things", [f"k{n}" for n in range(2000)]),
    "first page": lambda a: a.query(Query("things", limit=10)),
    "by field": lambda a: a.query(Query("things", where=TOPIC, limit=10)),
    "the latest": lambda a: a.query(Query("things", where=TOPIC, order=Order("score", True), limit=10)),
    "count": lambda a: a.count(Query("things", where=TOPIC)),
    "sum": lambda a: a.aggregate(Query("things", where=TOPIC), SUM),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_read_is_one_round_trip(database: Callable[[str], str], driver: str) -> None:
    async def main() -> dict[str, int]:
        async with metered(database(driver)) as (adapter, meter):
            puts = [Put("things", f"k{n}", b"", fields={"topic": "rare", "score": n}) for n in range(20)]
            await adapter.set_batch(puts)
            return {name: (await meter.cost(partial(read, adapter)))[0] for name, read in READS.items()}

    # Of two indexes the better one is found out first: by the size of one, and then of the other.
    assert asyncio.run(main()) == dict.fromkeys(READS, 1) | {"the latest": 3}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_write_is_one_round_trip_and_a_batch_is_one(database: Callable[[str], str], driver: str) -> None:
    def puts(size: int, value: int) -> list[Put]:
        return [Put("things", f"k{n}", b"", fields={"topic": str(n + value), "f": 1}) for n in range(size)]

    async def main() -> None:
        async with metered(database(driver)) as (adapter, meter):
            await adapter.set_batch(puts(1, 0))

            async def requests(batch: WriteBatch) -> int:
                meter.requests.clear()
                await adapter.write(batch)
                return len(meter.requests)

            assert await requests(WriteBatch(puts(1, 1))) == 1
            assert await requests(WriteBatch(puts(500, 2))) == 1
            assert await requests(WriteBatch(puts(500, 3), atomic=True)) == 1
            assert await requests(WriteBatch([Check("things", "none", ABSENT)], atomic=True)) == 1
            assert await requests(WriteBatch([Delete("things", p.key) for p in puts(500, 0)])) == 1
            found = await adapter.query(query := Query("things", where=Not(TOPIC), limit=5))
            check = CheckQuery(query, [(record.key, record.version) for record in found.records])
            batch = WriteBatch(puts(1, 4), atomic=True, queries=[check])
            assert await requests(batch) == 6  # begin, lock, look for intents, ask again, write, commit

    asyncio.run(main())


# --- The same at any size ------------------------------------------------------------------------------------

FEWEST, FEW, MANY = 30, 1000, 100_000


@pytest.fixture
def own(postgresql: str) -> Iterator[str]:
    """The URL of a database of its own, in which the server gathers statistics only when it is told to."""
    name = f"growth_{os.urandom(6).hex()}"
    asyncio.run(_ask(postgresql, f"CREATE DATABASE {name}"))
    yield urlsplit(postgresql)._replace(path=f"/{name}").geturl()
    asyncio.run(_ask(postgresql, f"DROP DATABASE {name} WITH (FORCE)"))


async def _ask(url: str, *texts: str) -> None:
    connection = await asyncpg.connect(url)
    for text in texts:
        await connection.execute(text)
    await connection.close()


async def _copy(adapter: SQLAdapter, url: str, puts: list[Put]) -> None:
    """Put records beside those that are there, all of whose names are known, as quickly as can be."""
    changes, _ = plan(adapter._opened.primary.knowing, WriteBatch(puts))  # type: ignore[attr-defined]
    connection = await asyncpg.connect(url)
    last, now = await connection.fetchval("SELECT max(id) FROM ds_record"), adapter.clock()
    records = [
        (n, c.scope, c.key, c.shape, c.version, now, now, None, c.meta, c.fields, None, c.value)
        for n, c in enumerate(changes, last + 1)
    ]
    entries = [
        (n, *entry, c.key, *numbers)
        for n, c in enumerate(changes, last + 1)
        for entry, numbers in c.entries.items()
    ]
    await connection.copy_records_to_table("ds_record", records=records)
    await connection.copy_records_to_table("ds_field", records=entries)
    await connection.execute(f"SELECT setval('ds_record_id_seq', {last + len(changes)})")
    await connection.close()


def _written() -> dict[str, Any]:
    return {"topic": "written", "score": random.randrange(100, 500)}


async def _deleted(adapter: SQLAdapter) -> None:
    await adapter.set("things", "deleted", b"", fields=_written())
    await adapter.delete("things", "deleted")


OPERATIONS: dict[str, Callable[[SQLAdapter], Awaitable[object]]] = {
    "get": lambda a: a.get("things", "k000007"),
    "get many": lambda a: a.get_batch("things", [f"k{n:06}" for n in range(10)]),
    "set": lambda a: a.set("things", "written", b"", fields=_written()),
    "set many": lambda a: a.set_batch(
        [Put("things", f"same{n}", b"", fields={"score": n}) for n in range(9)]
    ),
    "move many": lambda a: a.set_batch(
        [Put("things", f"moved{n}", b"", fields=_written()) for n in range(9)]
    ),
    "set without fields": lambda a: a.set_batch([Put("things", f"bare{n}", b"") for n in range(9)]),
    "set and delete": _deleted,
    "count": lambda a: a.count(Query("things", where=TOPIC)),
    "count of two fields": lambda a: a.count(Query("things", where=AND)),
    "sum": lambda a: a.aggregate(Query("things", where=TOPIC), SUM),
}


async def _measure(adapter: SQLAdapter, meter: Meter) -> dict[str, int]:
    """Return the pages that are looked at for each operation, and for the first two pages of each query."""
    pages: dict[str, int] = {}
    for kind, query in QUERIES.items():
        _, pages[kind] = await meter.cost(partial(adapter.query, query))
        page = await adapter.query(query)
        if page.cursor is not None:
            later = replace(query, cursor=page.cursor)
            _, pages[f"{kind}, page 2"] = await meter.cost(partial(adapter.query, later))
    for kind, operation in OPERATIONS.items():
        _, pages[kind] = await meter.cost(partial(operation, adapter))
    return pages


@pytest.mark.slow
def test_an_operation_costs_the_same_among_a_thousand_and_a_hundred_thousand(own: str) -> None:
    """Whether the statements were planned among few records or many, with or without statistics."""

    async def main() -> dict[str, dict[str, int]]:
        async with metered(own) as (adapter, meter):
            await _ask(
                own,
                *(f"ALTER TABLE {t} SET (autovacuum_enabled = off)" for t in ("ds_record", "ds_field")),
                *(f"ALTER TABLE {t} SET UNLOGGED" for t in ("ds_record", "ds_field")),
            )
            puts = growing(MANY)
            await adapter.set_batch(puts[:FEWEST])
            await _measure(adapter, meter)  # so that all is planned
            await adapter.set_batch(puts[FEWEST:FEW])
            await meter.explained(adapter)
            costs = {"few": await _measure(adapter, meter)}
            await _copy(adapter, own, puts[FEW:])
            costs["many, planned among the fewest"] = await _measure(adapter, meter)
            await _ask(own, "VACUUM ANALYZE")
            costs["many, analysed"] = await _measure(adapter, meter)
            return costs

    costs = asyncio.run(main())
    few = costs.pop("few")
    grown = {
        f"{kind}: {when}": (few[kind], pages)
        for when, found in costs.items()
        for kind, pages in found.items()
        if pages > few[kind] * 2 + 50
    }
    assert grown == {}


def test_users_data_is_never_part_of_a_statement(postgresql: str) -> None:
    hostile = "'; DROP TABLE ds_record; --"

    async def main() -> None:
        async with metered(postgresql) as (adapter, meter):
            await adapter.set("things", hostile, hostile.encode(), fields={hostile: hostile})
            where = Compare(hostile, Op.EQ, hostile)
            query = Query("things", where=where, order=Order(hostile, descending=True), limit=3)
            assert [r.key for r in (await adapter.query(query)).records] == [hostile]
            await adapter.aggregate(
                query, Aggregation({hostile: Aggregate(Function.MAX, hostile)}, (hostile,))
            )
            assert "DROP" not in "".join(meter.requests)

    asyncio.run(main())
