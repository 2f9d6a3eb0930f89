"""Writes on MariaDB: round trips, what others may do at the same time, and replies that are lost."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest

from daystore.abc import (
    ABSENT,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Op,
    Order,
    Outcome,
    Put,
    Query,
    WriteBatch,
    new_version,
)
from daystore.errors import OutcomeUnknown, VersionConflict
from daystore_compliance.proxy import REPLY, FaultProxy
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.mysql import ask
from daystore_sql.dialects import mysql_texts
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection


def adapter_of(url: str, **options: Any) -> SQLAdapter:
    options = {"namespace": os.urandom(6).hex(), "connections": 4, **options}
    return SQLAdapter.from_url(url, **options)


def a_put(key: str, value: bytes = b"v", **options: Any) -> Put:
    return Put("things", key, value, **options)


@asynccontextmanager
async def proxied(url: str, **options: Any) -> AsyncIterator[tuple[SQLAdapter, FaultProxy]]:
    """Yield an adapter that is connected through a proxy."""
    parts = urlsplit(url)
    credentials = parts.netloc.rpartition("@")[0]
    assert parts.hostname
    assert parts.port
    async with FaultProxy(parts.hostname, parts.port) as proxy:
        there = parts._replace(netloc=f"{credentials}@{proxy.host}:{proxy.port}").geturl()
        async with adapter_of(there, **options) as adapter:
            yield adapter, proxy


@pytest.fixture(params=["compound", "single"])
def statements(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether several statements are sent as one, or one by one, as MySQL needs it."""
    kind: str = request.param
    if kind == "single":
        made = AsyncmyConnection.__init__

        def init(self: AsyncmyConnection, *arguments: Any) -> None:
            made(self, *arguments)
            self.compounds = False

        monkeypatch.setattr(AsyncmyConnection, "__init__", init)
    return kind


# --- Round trips -------------------------------------------------------------------------------------------------


def test_round_trips(mariadb: str) -> None:
    """Every operation takes as many round trips as are written here, once its statements are prepared."""

    async def main() -> None:
        async with proxied(mariadb, connections=1, sweep_interval=1e6) as (adapter, proxy):
            many = [a_put(f"k{n:03}", fields={"n": n}) for n in range(500)]
            query = Query("things", where=Compare("n", Op.LT, 100), limit=10)
            ordered = Query("things", order=Order("n", descending=True), limit=10)
            taken: dict[str, int] = {}

            async def trips(name: str, do: Callable[[], Any]) -> None:
                for _ in range(2):  # the first time statements are prepared
                    before = proxy.traffic.requests
                    await do()
                    taken[name] = proxy.traffic.requests - before

            def a_set(key: str, **fields: int) -> Any:
                return adapter.set("things", key, os.urandom(4), fields=fields)

            keys = [put.key for put in many]
            atomic: list[Any] = [a_put("k001"), Delete("things", "k002"), Check("things", "gone", ABSENT)]
            fresh, there = count(), iter(["f2", "f3"])
            await a_set("warm", n=1)
            await trips("set, new", lambda: a_set(f"new{next(fresh)}"))
            await trips("set, new, with fields", lambda: a_set(f"f{next(fresh)}", n=1))
            await trips("set, replaced", lambda: a_set("f2", n=1))
            await trips("set, other fields", lambda: a_set("f2", n=next(fresh)))
            await trips("delete", lambda: adapter.delete("things", next(there)))
            await trips("set_batch", lambda: adapter.set_batch(many))
            await trips("set_batch, replaced", lambda: adapter.set_batch([remade(put) for put in many]))
            await trips("get", lambda: adapter.get("things", "k007"))
            await trips("get_batch", lambda: adapter.get_batch("things", keys))
            await trips("query", lambda: adapter.query(query))
            await trips("query, in the order of an index", lambda: adapter.query(ordered))
            await trips("count", lambda: adapter.count(query))
            await trips("atomic", lambda: adapter.write(WriteBatch(atomic, atomic=True)))
            assert taken == {
                "set, new": 2,
                "set, new, with fields": 2,
                "set, replaced": 2,
                "set, other fields": 2,
                "delete": 2,
                "set_batch": 3,  # lock and look; records; the note and the end
                "set_batch, replaced": 3,
                "get": 1,
                "get_batch": 1,
                "query": 3,  # two to find out that the field's index is worth it
                "query, in the order of an index": 1,
                "count": 1,
                "atomic": 2,
            }

    asyncio.run(main())


def remade(put: Put) -> Put:
    return replace(put, version=new_version())


# --- Others at the same time -------------------------------------------------------------------------------------


def test_five_hundred_cancellations(mariadb: str, statements: str) -> None:
    """Nobody gets another's answer, no transaction stays open, and no connection is lost to the pool."""
    rng = random.Random(7)
    keys = [f"k{n:02}" for n in range(20)]

    async def main() -> None:
        async with adapter_of(mariadb) as adapter:
            await adapter.set_batch([a_put(key, key.encode(), fields={"n": 1}) for key in keys])
            query = Query("things", where=Compare("n", Op.EQ, 1), limit=5)
            page = await adapter.query(query)
            check = CheckQuery(query, [(record.key, record.version) for record in page.records])

            def operation(n: int) -> Any:
                key = keys[n % 20]
                checked = WriteBatch([Put("others", key, b"")], atomic=True, queries=[check])
                choices: list[Callable[[], Any]] = [
                    lambda: adapter.get("things", key),
                    lambda: adapter.get_batch("things", keys),
                    lambda: adapter.query(query),
                    lambda: adapter.set("others", key, b"%d" % n, fields={"m": n}),
                    lambda: adapter.write(WriteBatch([Delete("others", key)])),
                    lambda: adapter.write(checked),
                ]
                return rng.choice(choices)()

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
            await adapter.set("others", "last", b"")
            assert len(await asyncio.gather(*(adapter.get("things", key) for key in keys))) == 20
        await asyncio.to_thread(nobody_is_left, mariadb)

    asyncio.run(main())


def nobody_is_left(url: str) -> None:
    """Wait until the server has noticed that connections have ended; none may hold a transaction open."""
    text = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    )
    for _ in range(500):
        ((found,),) = ask(url, text)
        if not found:
            return
    raise AssertionError("a connection is left behind")


def test_deadlocks_are_tried_again(mariadb: str, statements: str) -> None:
    """Batches over the same keys in any order, replacing, deleting and making them, all succeed."""

    async def main() -> None:
        async with adapter_of(mariadb, connections=8) as one, adapter_of(mariadb, connections=8) as two:
            two.namespace = one.namespace

            async def work(adapter: SQLAdapter, n: int) -> None:
                rng = random.Random(n)
                keys = [f"k{number}" for number in range(10)]
                for _ in range(10):
                    some = rng.sample(keys, 5)
                    puts = [a_put(key, fields={"n": rng.randrange(5)}) for key in some[:3]]
                    deletes = [Delete("things", key) for key in some[3:]]
                    outcomes = await adapter.write(WriteBatch([*puts, *deletes], atomic=rng.random() < 0.5))
                    assert all(outcome.error is None for outcome in outcomes)

            await asyncio.gather(*(work(adapter, n) for n, adapter in enumerate([one, two] * 6)))
            page = await one.query(Query("things"))
            for record in page.records:  # the index knows what the records have
                found = await one.query(Query("things", where=Compare("n", Op.EQ, record.fields["n"])))
                assert record.key in [other.key for other in found.records]
            counted = [await one.count(Query("things", where=Compare("n", Op.EQ, n))) for n in range(5)]
            assert sum(counted) == len(page.records)

    asyncio.run(main())


@pytest.mark.parametrize("by", ["check", "delete", "query"])
def test_absence_is_kept(mariadb: str, statements: str, by: str) -> None:
    """Of two batches each of which writes what the other depends on not to be there, one is a conflict."""

    async def main() -> None:
        async with adapter_of(mariadb, connections=4) as adapter:
            await adapter.set("things", "m", b"", fields={"n": 0})

            async def attempt(turn: int, own: int) -> bool:
                name, other = f"{turn}-{own}", f"{turn}-{1 - own}"
                operations: list[Any] = [a_put(name, fields={"n": 10 + turn})]
                queries = []
                if by == "query":
                    queries = [CheckQuery(Query("things", where=Compare("n", Op.EQ, 10 + turn)), [])]
                elif by == "check":
                    operations.append(Check("things", other, ABSENT))
                else:
                    operations.append(Delete("things", other, ABSENT))
                try:
                    await adapter.write(WriteBatch(operations, atomic=True, queries=queries))
                except VersionConflict:
                    return False
                return True

            for turn in range(30):
                done = await asyncio.gather(attempt(turn, 0), attempt(turn, 1))
                assert sum(done) == 1

    asyncio.run(main())


# --- Replies that are lost ---------------------------------------------------------------------------------------

WRITES: dict[str, tuple[list[Any], bool]] = {
    "put": ([a_put("a", b"new")], False),
    "put_new": ([a_put("z", b"new", fields={"n": 1})], False),
    "delete": ([Delete("things", "a")], False),
    "delete_missing": ([Delete("things", "z")], False),
    "batch": ([a_put("a", b"new"), a_put("y", b"new"), Delete("things", "b")], False),
    "atomic": ([a_put("a", b"new"), Delete("things", "b"), Check("things", "z", ABSENT)], True),
}


@pytest.mark.parametrize("name", WRITES)
def test_lost_replies(mariadb: str, statements: str, name: str) -> None:
    """Whichever reply is lost, the outcome is told exactly, also of what leaves no trace."""
    operations, atomic = WRITES[name]

    async def main() -> None:
        async with adapter_of(mariadb) as other:
            await other.set_batch([a_put("a"), a_put("b")])
            expected = await other.write(WriteBatch(operations, atomic=atomic))
            for nth in range(1, 60):
                await other.delete_batch("things", ["a", "b", "y", "z"])
                await other.set_batch([a_put("a"), a_put("b")])
                async with proxied(mariadb, namespace=other.namespace, connections=2) as (adapter, proxy):
                    await adapter.get("things", "a")
                    await adapter.write(WriteBatch([Delete("things", "nothing")]))
                    with proxy.drop_reply(nth) as fault:
                        found = await adapter.write(WriteBatch(operations, atomic=atomic))
                assert [told(outcome) for outcome in found] == [told(outcome) for outcome in expected]
                if not fault.hits:
                    assert nth > 2
                    return
        raise AssertionError("a write never ends")

    asyncio.run(main())


def told(outcome: Outcome) -> tuple[object, ...]:
    return outcome.version, outcome.existed, outcome.error


def test_a_given_up_write_holds_nobody_up(mariadb: str, statements: str) -> None:
    """Wherever a write is given up, the locks that it may hold are taken from it before the next write."""

    async def main() -> None:
        async with adapter_of(mariadb) as other:
            await other.set("things", "a", b"old")
            for nth in range(1, 60):
                async with proxied(mariadb, namespace=other.namespace) as (adapter, proxy):
                    await adapter.get("things", "a")
                    adapter.timeout = 0.2
                    with proxy.delay(REPLY, nth) as fault:  # the server goes on, and nobody is told
                        with suppress(OutcomeUnknown):
                            await adapter.set("things", "a", b"late")
                        if not fault.hits:
                            assert nth > 2
                            return
                        adapter.timeout = 4.0  # less than the server waits for a lock
                        await adapter.set("things", "a", b"newer")
                found = await other.get("things", "a")
                assert found is not None
                assert found.value == b"newer"
        raise AssertionError("a write never ends")

    asyncio.run(main())


# --- Texts -------------------------------------------------------------------------------------------------------


def test_chunks_are_of_few_sizes() -> None:
    """Every row is in a chunk of one of the sizes, and what is heavy is neither joined nor repeated."""
    for number in (1, 2, 5, 7, 11, 100, 500, 1023, 1025, 3000):
        rows = list(range(number))
        light = list(mysql_texts.chunks(rows, lambda _: 10, 10_000_000))
        assert {row for chunk in light for row in chunk} == set(rows)
        assert all(len(chunk) in mysql_texts.SIZES for chunk in light)
        assert sum(map(len, light)) < 1.5 * number + 1
        heavy = list(mysql_texts.chunks(rows, lambda _: 1_000_000, 8_000_000))
        assert sorted(row for chunk in heavy for row in chunk) == rows
        assert max(map(len, heavy)) <= 8
