"""Many at once on PostgreSQL: cancellations, conflicts between writers, and replies that are lost."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from daystore.abc import ABSENT, Check, CheckQuery, Compare, Delete, Op, Put, Query, WriteBatch
from daystore.errors import VersionConflict
from daystore_compliance.proxy import REQUEST, FaultProxy
from daystore_sql.adapter import SQLAdapter
from daystore_sql.network.changes import Changes, Stale, TooLate
from daystore_sql.network.driver import Refused
from daystore_sql.network.planning import plan

DRIVERS = ("asyncpg", "psycopg")


@pytest.fixture(params=DRIVERS)
def url(postgresql: str, request: pytest.FixtureRequest) -> str:
    return postgresql.replace("postgresql", f"postgresql+{request.param}", 1)


def adapter_of(url: str, **options: Any) -> SQLAdapter:
    options = {"namespace": os.urandom(6).hex(), "connections": 4, **options}
    return SQLAdapter.from_url(url, **options)


async def idle_in_transaction(url: str, name: str) -> int:
    """Count the sessions of an adapter that hold a transaction open."""
    connection = await asyncpg.connect(url)
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state LIKE 'idle in%'", name
    )
    await connection.close()
    return found


def test_five_hundred_cancellations(url: str, postgresql: str) -> None:
    """Nobody gets another's answer, no transaction stays open, and no connection is lost to the pool."""
    rng, name = random.Random(7), os.urandom(6).hex()
    keys = [f"k{n:02}" for n in range(20)]

    async def main() -> None:
        async with adapter_of(f"{url}?application_name={name}") as adapter:
            await adapter.set_batch([Put("things", key, key.encode(), fields={"n": 1}) for key in keys])
            query = Query("things", where=Compare("n", Op.EQ, 1), limit=5)
            page = await adapter.query(query)
            check = CheckQuery(query, [(record.key, record.version) for record in page.records])

            def operation(n: int) -> Any:
                key = keys[n % 20]
                checked = WriteBatch([Put("others", key, b"")], atomic=True, queries=[check])
                return rng.choice(  # type: ignore[no-untyped-call]
                    [
                        lambda: adapter.get("things", key),
                        lambda: adapter.get_batch("things", keys),
                        lambda: adapter.query(query),
                        lambda: adapter.set("others", key, b"%d" % n, fields={"m": n}),
                        lambda: adapter.write(WriteBatch([Delete("others", key)])),
                        lambda: adapter.write(checked),
                    ]
                )()

            cancelled, latest = 0, 0.002
            for n in range(5000):
                victim = asyncio.ensure_future(operation(n))
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                await asyncio.sleep(rng.uniform(0, latest))
                victim.cancel()
                await asyncio.wait([victim])
                cancelled += victim.cancelled()
                latest *= 1.1 if victim.cancelled() else 0.9  # as long as operations take here
                key = keys[n % 20]
                found = await adapter.get("things", key)
                assert found is not None
                assert found.value == key.encode()
                if cancelled == 500:
                    break
            assert cancelled == 500
            assert await idle_in_transaction(postgresql, name) == 0
            pool: Any = adapter._opened.primary.pool  # type: ignore[attr-defined]
            assert len(pool._idle) <= 4
            assert not pool._busy
            assert not pool._turns.locked()

    asyncio.run(main())


def test_a_cancelled_write_never_arrives_after_a_later_one(url: str) -> None:
    async def main() -> None:
        namespace = os.urandom(6).hex()
        async with adapter_of(url, namespace=namespace) as plain:
            await plain.set("things", "k", b"first")
            address = _address(url)
            async with FaultProxy(*address) as proxy:
                behind = url.replace(f"{address[0]}:{address[1]}", f"{proxy.host}:{proxy.port}")
                async with adapter_of(behind, namespace=namespace) as adapter:
                    await adapter.get("things", "k")
                    for n in range(5):
                        with proxy.delay(REQUEST):
                            late = asyncio.ensure_future(adapter.set("things", "k", b"late"))
                            await asyncio.sleep(0.02)
                            late.cancel()
                            await asyncio.wait([late])
                        version = await adapter.set("things", "k", b"%d" % n)
                        await asyncio.sleep(0.05)
                        found = await plain.get("things", "k")
                        assert found is not None
                        assert found.version == version

    asyncio.run(main())


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("@")[2].partition("/")[0].partition(":")
    return host, int(port)


def test_sixteen_writers_of_one_counter(url: str) -> None:
    """Conditional writes with an index entry that changes each time: nothing is lost, the index is right."""

    async def main() -> None:
        async with adapter_of(url, connections=8) as adapter:
            await adapter.set("things", "n", b"0", fields={"n": 0})

            async def add() -> None:
                for _ in range(10):
                    while True:
                        record = await adapter.get("things", "n")
                        assert record is not None
                        number = int(record.value) + 1
                        put = Put("things", "n", b"%d" % number, record.version, fields={"n": number})
                        (outcome,) = await adapter.write(WriteBatch([put]))
                        if outcome.error is None:
                            break
                        assert isinstance(outcome.error, VersionConflict)

            await asyncio.gather(*(add() for _ in range(16)))
            record = await adapter.get("things", "n")
            assert record is not None
            assert record.value == b"160"
            counts = [await adapter.count(Query("things", where=Compare("n", Op.EQ, n))) for n in (159, 160)]
            assert counts == [0, 1]

    asyncio.run(main())


def test_batches_in_opposite_orders_do_not_deadlock(url: str) -> None:
    """Rows are locked in the order of their keys, new ones too, whatever order a batch has."""

    async def main() -> None:
        async with adapter_of(url, connections=8) as adapter:
            keys = [f"k{n:02}" for n in range(30)]

            async def work(number: int) -> None:
                for turn in range(8):
                    some = keys if number % 2 else keys[::-1]
                    if (number + turn) % 3:
                        puts = [Put("things", key, b"", fields={"n": number}) for key in some]
                        await adapter.write(WriteBatch(puts, atomic=True))
                    else:
                        await adapter.write(WriteBatch([Delete("things", key) for key in some], atomic=True))

            await asyncio.gather(*(work(number) for number in range(8)))
            live = await adapter.count(Query("things"))
            assert live in (0, 30), "a batch was torn"
            found = [await adapter.count(Query("things", where=Compare("n", Op.EQ, n))) for n in range(8)]
            assert sum(found) == live, "entries of the index were left behind"

    asyncio.run(main())


def test_two_batches_that_need_each_others_keys_absent(url: str) -> None:
    """Of two that each write what the other needs to be missing only one succeeds."""

    async def main() -> None:
        async with adapter_of(url, connections=8) as adapter:
            for turn in range(40):
                a, b = f"a{turn}", f"b{turn}"
                batches = [
                    WriteBatch([Check("things", a, ABSENT), Put("things", b, b"")], atomic=True),
                    WriteBatch([Check("things", b, ABSENT), Put("things", a, b"")], atomic=True),
                ]
                ended = await asyncio.gather(*map(adapter.write, batches), return_exceptions=True)
                failed = [error for error in ended if isinstance(error, BaseException)]
                assert [type(error) for error in failed] == [VersionConflict]
            assert await adapter.count(Query("things")) == 40

    asyncio.run(main())


def test_a_ticket_that_was_looked_for_is_refused(url: str) -> None:
    """What arrives after somebody has looked for it in vain changes nothing, and neither does what is too late."""

    async def main() -> None:
        async with adapter_of(url) as adapter:
            await adapter.set("things", "k", b"first", fields={"f": 1})
            engine: Any = adapter._opened
            batch = WriteBatch([Put("things", "k", b"late", fields={"f": 1})])
            changes = Changes(plan(engine.primary.knowing, batch)[0], atomic=False, now=adapter.clock())
            ticket, late = (
                engine.writer.ticket(engine.primary.deadline()),
                engine.writer.ticket(engine.primary.deadline() - 60),
            )
            async with engine.primary.pool.connection() as connection:
                dialect = engine.primary.dialect
                assert await dialect.look(connection, changes, ticket) is None
                for refused in (ticket, late):
                    with pytest.raises(TooLate):
                        await dialect.write(connection, changes, refused, inside=False)
                kept = engine.writer.ticket(engine.primary.deadline())
                verdicts = await dialect.write(connection, changes, kept, inside=False)
                assert await dialect.look(connection, changes, kept) == verdicts
            record = await adapter.get("things", "k")
            assert record is not None
            assert record.value == b"late"

    asyncio.run(main())


@pytest.mark.parametrize("failure", [Stale(), Refused("40001"), Refused("40P01")], ids=repr)
def test_what_others_were_in_the_way_of_is_sent_again(
    url: str, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also inside the transaction of a batch with checked queries."""

    async def main() -> None:
        async with adapter_of(url) as adapter:
            await adapter.set("things", "k", b"first")
            engine: Any = adapter._opened
            write, failures = engine.primary.dialect.write, [failure, failure]

            async def failing(*arguments: Any, **options: Any) -> Any:
                if failures:
                    raise failures.pop()
                return await write(*arguments, **options)

            monkeypatch.setattr(engine.primary.dialect, "write", failing)
            await adapter.set("things", "k", b"second")
            assert not failures
            failures += [failure]
            query = Query("things")
            found = [(record.key, record.version) for record in (await adapter.query(query)).records]
            batch = WriteBatch(
                [Put("things", "k", b"third")], atomic=True, queries=[CheckQuery(query, found)]
            )
            await adapter.write(batch)
            assert not failures

    asyncio.run(main())


def test_a_session_that_the_server_ends_is_replaced(url: str, postgresql: str) -> None:
    async def main() -> None:
        name = os.urandom(6).hex()
        async with adapter_of(f"{url}?application_name={name}") as adapter:
            await asyncio.gather(*(adapter.set("things", f"k{n}", b"v") for n in range(20)))
            connection = await asyncpg.connect(postgresql)
            for n in range(5):
                await connection.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name
                )
                version = await adapter.set("things", "k", b"%d" % n)
                record = await adapter.get("things", "k")
                assert record is not None
                assert record.version == version
            await connection.close()

    asyncio.run(main())


def test_a_checked_query_keeps_others_out(url: str) -> None:
    """16 batches each add one record if there are as many as they saw: each number is used once."""

    async def main() -> None:
        async with adapter_of(url, connections=8) as adapter:
            await adapter.set("things", "k-0", b"", fields={"n": 0})
            query = Query("things", where=Compare("n", Op.GE, 0))

            async def add(name: int) -> None:
                for turn in range(3):
                    while True:
                        found = [(r.key, r.version) for r in (await adapter.query(query)).records]
                        put = Put("things", f"k{name}-{turn}", b"%d" % len(found), fields={"n": len(found)})
                        batch = WriteBatch([put], atomic=True, queries=[CheckQuery(query, found)])
                        try:
                            await adapter.write(batch)
                        except VersionConflict:
                            continue
                        break

            await asyncio.gather(*(add(name) for name in range(6)))
            values = sorted(record.fields["n"] for record in (await adapter.query(query)).records)
            assert values == list(range(19))

    asyncio.run(main())


def test_fields_that_another_adapter_has_brought_are_found(url: str, postgresql: str) -> None:
    """Also where, as far as was known, no record could have them, so that nothing would have to be looked up."""
    name = f"shapes_{os.urandom(6).hex()}"  # in which nothing was ever written

    async def main() -> None:
        there = urlsplit(url)._replace(path=f"/{name}").geturl()
        async with adapter_of(there, namespace="ns") as one, adapter_of(there, namespace="ns") as other:
            for writer, reader, field in ((one, one, "f"), (one, other, "g"), (other, one, "h")):
                where = Compare(field, Op.EXISTS, True)
                await writer.set("things", field, b"", fields={field: 1})
                assert await reader.count(Query("things", where=where)) == 1
                (record,) = (await reader.query(Query("things", where=where))).records
                assert record.key == field

    asyncio.run(execute(postgresql, f"CREATE DATABASE {name}"))
    try:
        asyncio.run(main())
    finally:
        asyncio.run(execute(postgresql, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(url: str, text: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(text)
    finally:
        await connection.close()
