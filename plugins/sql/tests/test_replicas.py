"""Replicas: what is read from them and what never is, how stale that may be, and what they may fail at.

The replica follows its primary by itself; a test that needs it to lag pauses its replay. The servers wait for each
other where a commit asks for it, which those to the databases of these tests do not.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from daystore.abc import (
    EVENTUAL,
    STRONG,
    Aggregate,
    Aggregation,
    Compare,
    Consistency,
    Function,
    Op,
    Order,
    Prepare,
    Put,
    Query,
    Release,
    WriteBatch,
    bounded,
)
from daystore.abc.record import Holds
from daystore.errors import BackendUnavailable, ConfigError
from daystore_compliance.proxy import FaultProxy
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.postgresql import ask, waited
from daystore_sql.compliance.replica import replica_of
from daystore_sql.config import SQLConfig
from daystore_sql.network.positions import Position, Samples

DRIVERS = ("asyncpg", "psycopg")


@dataclass(frozen=True)
class Servers:
    """A database on a primary and on its replica."""

    primary: str
    replica: str

    async def caught_up(self) -> None:
        """Wait until the replica has replayed what the primary has written so far."""
        ((place,),) = await ask(self.primary, "SELECT pg_current_wal_flush_lsn()::text")

        async def is_there() -> bool:
            ((there,),) = await ask(
                self.replica, "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", place
            )
            return bool(there)

        await until(is_there)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have the replica replay nothing."""
        await self.caught_up()
        await ask(self.replica, "SELECT pg_wal_replay_pause()")

        async def is_paused() -> bool:
            ((state,),) = await ask(self.replica, "SELECT pg_get_wal_replay_pause_state()")
            return bool(state == "paused")

        try:
            await until(is_paused)
            yield
        finally:
            await ask(self.replica, "SELECT pg_wal_replay_resume()")

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[None]:
        """Have the replica hear nothing of the primary, and have all replayed that it has heard."""
        receiving = "SELECT count(*) FROM pg_stat_wal_receiver"
        ((before,),) = await ask(self.replica, "SELECT current_setting('primary_conninfo')")
        await self.caught_up()
        await configure(self.replica, "ALTER SYSTEM SET primary_conninfo = ''")

        async def is_apart() -> bool:
            ((count,),) = await ask(self.replica, receiving)
            return not count

        async def follows() -> bool:
            return not await is_apart()

        try:
            await until(is_apart)
            yield
        finally:
            await configure(self.replica, f"ALTER SYSTEM SET primary_conninfo = '{before}'")
            await until(follows)


async def configure(url: str, text: str) -> None:
    """Change the configuration of a server, and have it read it."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(text)
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds, for so long and no longer."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 -- it is the server's
            await asyncio.sleep(0.01)


@pytest.fixture
def servers(replicated: str) -> Iterator[Servers]:
    """A new database, in which a commit waits for nobody."""
    name = f"replicas_{os.urandom(6).hex()}"
    plain = replicated.partition("?")[0]
    waited(configure(plain, f"CREATE DATABASE {name} TEMPLATE template0"))
    waited(configure(plain, f"ALTER DATABASE {name} SET synchronous_commit = local"))
    primary, replica = (
        urlsplit(url)._replace(path=f"/{name}").geturl() for url in (plain, replica_of(replicated))
    )
    yield Servers(primary, replica)
    waited(configure(plain, f"DROP DATABASE {name} WITH (FORCE)"))


class Time:
    """The time by which an adapter measures staleness, which a test can move."""

    def __init__(self, adapter: SQLAdapter) -> None:
        self.passed = 0.0
        replicas = replicas_of(adapter)
        self._real = replicas._now
        for one in (replicas, *replicas._replicas):
            one._now = self

    def __call__(self) -> float:
        return float(self._real()) + self.passed


def replicas_of(adapter: SQLAdapter) -> Any:
    """The replicas of an open adapter."""
    return adapter._opened.replicas  # type: ignore[attr-defined]


def adapter_of(servers: Servers, driver: str = "asyncpg", **options: Any) -> SQLAdapter:
    """A closed adapter that reads from the replica, or from others that are named."""
    options.setdefault("replicas", [servers.replica])
    options["replicas"] = [by(driver, url) for url in options["replicas"]]
    return SQLAdapter.from_url(by(driver, servers.primary), namespace="ns", **options)


def by(driver: str, url: str) -> str:
    return url.replace("postgresql", f"postgresql+{driver}", 1)


@asynccontextmanager
async def through(url: str) -> AsyncIterator[tuple[str, FaultProxy]]:
    """A way to a server that can be broken, as a URL and a proxy."""
    parts = urlsplit(url)
    async with FaultProxy(parts.hostname or "", parts.port or 0) as proxy:
        netloc = f"{parts.netloc.rpartition('@')[0]}@{proxy.host}:{proxy.port}"
        yield parts._replace(netloc=netloc).geturl(), proxy


async def read(adapter: SQLAdapter, level: Consistency) -> bytes | None:
    """The value of the record that these tests write."""
    record = await adapter.get("things", "k", level)
    return None if record is None else record.value


async def write(adapter: SQLAdapter, value: bytes) -> None:
    """Write it."""
    await adapter.set("things", "k", value, fields={"n": len(value)})


SUM = Aggregation({"s": Aggregate(Function.SUM, "n")})
BY_N = Query("things", where=Compare("n", Op.GT, 0), order=Order("n"))


async def looked(adapter: SQLAdapter, level: Consistency) -> list[object]:
    """What each way to read finds of records whose values are as long as their field says."""
    (record,) = (await adapter.query(BY_N, level)).records
    (both,) = (await adapter.get_batch("things", ["k", "missing"], level)).values()
    return [
        await read(adapter, level),
        both.value,
        record.value,
        await adapter.count(Query("things", where=Compare("n", Op.EQ, 2)), level),
        (await adapter.aggregate(BY_N, SUM, level))[0].values["s"],
    ]


# --- Where reads go ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_eventual_reads_go_to_the_replica_and_strong_ones_do_not(servers: Servers, driver: str) -> None:
    """While nothing is replayed the replica shows what was there before, by every way to read."""

    async def main() -> None:
        async with adapter_of(servers, driver) as adapter:
            await write(adapter, b"1")
            async with servers.paused():
                await write(adapter, b"22")
                old, new = [b"1", b"1", b"1", 0, 1], [b"22", b"22", b"22", 1, 2]
                assert await looked(adapter, EVENTUAL) == old
                assert await looked(adapter, STRONG) == new
                assert await looked(adapter, bounded(0)) == new
                assert await looked(adapter, EVENTUAL) == old
            await servers.caught_up()
            assert await looked(adapter, EVENTUAL) == new

    asyncio.run(main())


def test_a_transaction_reads_nothing_from_a_replica(servers: Servers) -> None:
    async def main() -> None:
        async with adapter_of(servers) as adapter:
            await write(adapter, b"1")
            async with servers.paused():
                await write(adapter, b"22")
                assert await read(adapter, EVENTUAL) == b"1"
                async with adapter.transaction() as tx:
                    (record,) = await tx.read("things", ["k"])
                    assert record is not None
                    assert record.value == b"22"
                    assert [found.value for found in (await tx.query(BY_N)).records] == [b"22"]

    asyncio.run(main())


def test_names_that_the_replica_has_not_got_yet(servers: Servers) -> None:
    """A collection, a field and a set of fields that are new are read there like what is not there."""

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            await write(adapter, b"1")
            await servers.caught_up()
            assert await read(adapter, EVENTUAL) == b"1"
            async with servers.paused():
                await adapter.set("things", "new", b"", fields={"n": 7, "m": ("x", "y")})
                await adapter.set("others", "k", b"", fields={"n": 1})
                by_m = Query("things", order=Order("m"))
                assert await adapter.get("others", "k") is None
                assert await adapter.count(Query("others")) == 0
                assert await adapter.count(Query("things", where=Compare("n", Op.EQ, 7))) == 0
                for _ in range(2):
                    assert len((await adapter.query(by_m, STRONG)).records) == 2
                    assert len((await adapter.query(by_m)).records) == 1
            await servers.caught_up()
            assert await adapter.count(Query("things", where=Compare("n", Op.EQ, 7))) == 1
            assert await adapter.get("others", "k") is not None

    asyncio.run(main())


def test_what_a_transaction_of_several_backends_holds_is_read_from_the_primary(servers: Servers) -> None:
    """With all that is read with it: together with what settled it, older records would be a torn state."""

    async def main() -> None:
        transaction = os.urandom(16)
        async with adapter_of(servers) as adapter:
            await write(adapter, b"1")
            await adapter.set("things", "other", b"1")
            await adapter._write(WriteBatch([Prepare("things", "k", transaction + b"intent")]))
            async with servers.paused():
                await adapter._write(WriteBatch([Release("things", "k", Holds(transaction))]))
                puts = [Put("things", "k", b"22"), Put("things", "other", b"22")]
                await adapter.write(WriteBatch(puts, atomic=True))
                assert [r and r.value for r in await adapter.read("things", ["other"])] == [b"1"]
                found = await adapter.read("things", ["k", "other"])
                assert [r and r.value for r in found] == [b"22", b"22"]

    asyncio.run(main())


def test_replicas_take_turns(servers: Servers) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            ways = [await stack.enter_async_context(through(servers.replica)) for _ in range(3)]
            adapter = adapter_of(servers, replicas=[url for url, _ in ways], connections=1)
            await stack.enter_async_context(adapter)
            await write(adapter, b"1")
            for _ in range(3):
                await read(adapter, EVENTUAL)
            before = [proxy.traffic.requests for _, proxy in ways]
            for _ in range(9):
                await read(adapter, EVENTUAL)
            assert [proxy.traffic.requests - n for (_, proxy), n in zip(ways, before, strict=True)] == [3] * 3

    asyncio.run(main())


# --- Staleness ---------------------------------------------------------------------------------------------------


async def is_read_from(adapter: SQLAdapter, proxy: FaultProxy, level: Consistency) -> bool:
    """Read, and tell whether that went through a proxy."""
    before = proxy.traffic.requests
    await read(adapter, level)
    return proxy.traffic.requests > before


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_bounded_read_is_never_staler_than_it_may_be(servers: Servers, driver: str) -> None:
    """The replica serves it as long as what it shows is new enough, and the primary from then on."""

    async def main() -> None:
        async with adapter_of(servers, driver) as adapter:
            time = Time(adapter)
            await write(adapter, b"1")
            await servers.caught_up()
            assert await read(adapter, bounded(60)) == b"1"  # which measures
            async with servers.paused():
                await write(adapter, b"22")
                assert await read(adapter, bounded(60)) == b"1", "it was not read from the replica"
                assert await read(adapter, bounded(0.09)) == b"22"
                time.passed = 55
                assert await read(adapter, bounded(60)) == b"1"
                time.passed = 61
                assert await read(adapter, bounded(60)) == b"22"
                assert await read(adapter, bounded(120)) == b"1"
                time.passed = 130
                assert await read(adapter, bounded(120)) == b"22"
                assert await looked(adapter, bounded(120)) == [b"22", b"22", b"22", 1, 2]
            await servers.caught_up()
            time.passed = 1000
            assert await read(adapter, bounded(60)) == b"22"
            async with servers.paused():
                await write(adapter, b"333")
                assert await read(adapter, bounded(60)) == b"22", "it did not come back"

    asyncio.run(main())


def test_measuring_takes_no_privilege(servers: Servers) -> None:
    """A user who may do what the documentation asks for, and no more, reads from a replica that is measured."""
    name = f"agent_{os.urandom(6).hex()}"

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            await write(adapter, b"1")
        password = urlsplit(servers.primary).password
        await configure(servers.primary, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        try:
            await configure(
                servers.primary,
                f"GRANT USAGE ON SCHEMA public TO {name}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES "
                f"IN SCHEMA public TO {name}; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}",
            )
            theirs = Servers(
                *(url.replace("postgres:", f"{name}:", 1) for url in (servers.primary, servers.replica))
            )
            assert name in theirs.primary
            await servers.caught_up()
            async with adapter_of(theirs) as adapter, servers.paused():
                assert await read(adapter, bounded(60)) == b"1"
                await write(adapter, b"22")
                assert await read(adapter, bounded(60)) == b"1"
                assert "used, at most" in (await adapter.health()).detail["replica 1"]
        finally:
            await servers.caught_up()
            await configure(servers.primary, f"DROP OWNED BY {name}")
            await configure(servers.primary, f"DROP ROLE {name}")

    asyncio.run(main())


def test_a_replica_that_hears_nothing_of_its_primary_is_stale(servers: Servers) -> None:
    """It has replayed all that it has heard, and a clock of its own would tell nothing on an idle server."""

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            time = Time(adapter)
            await write(adapter, b"1")
            await servers.caught_up()
            async with servers.apart():
                await write(adapter, b"22")
                assert await read(adapter, EVENTUAL) == b"1"
                time.passed = 61
                for _ in range(3):
                    assert await read(adapter, bounded(60)) == b"22"
                    time.passed += 1
                assert await read(adapter, EVENTUAL) == b"1"
                health = await adapter.health()
                assert float(health.detail["replica 1"].split()[-3]) > 60
            await servers.caught_up()
            time.passed += 60

            async def is_fresh() -> bool:  # once the server has written what its log ends with
                told = (await replicas_of(adapter).about())["replica 1"]
                return float(told.split()[-3]) < 30

            await until(is_fresh)

    asyncio.run(main())


def test_an_idle_primary_makes_no_replica_stale(servers: Servers) -> None:
    """However long ago the last write was, the replica shows all there is."""

    async def main() -> None:
        async with through(servers.replica) as (url, proxy), adapter_of(servers, replicas=[url]) as adapter:
            time = Time(adapter)
            await write(adapter, b"1")
            await servers.caught_up()
            for hour in range(1, 4):
                time.passed = hour * 3600.0
                assert await is_read_from(adapter, proxy, bounded(1))

    asyncio.run(main())


def test_staleness_is_measured_when_it_has_to_be_known_and_no_more_often(servers: Servers) -> None:
    """Eventual reads measure nothing, and bounded ones not before half of the bound has passed."""

    async def main() -> None:
        async with (
            through(servers.primary) as (primary, to_primary),
            through(servers.replica) as (replica, to_replica),
            adapter_of(Servers(primary, replica), connections=1, sweep_interval=1e9) as adapter,
        ):
            time = Time(adapter)
            await write(adapter, b"1")
            await servers.caught_up()
            await read(adapter, bounded(60))
            await read(adapter, bounded(60))
            before = to_primary.traffic.requests, to_replica.traffic.requests
            for _ in range(5):
                await read(adapter, EVENTUAL)
                await read(adapter, bounded(60))
            time.passed = 29
            await read(adapter, bounded(60))
            assert to_primary.traffic.requests == before[0]
            assert to_replica.traffic.requests == before[1] + 11
            time.passed = 31
            await read(adapter, bounded(60))  # which does not wait for the measurement

            async def is_measured() -> bool:
                return to_primary.traffic.replies > before[0] and replicas_of(adapter)._asking.done()

            await until(is_measured)
            assert to_primary.traffic.requests == before[0] + 1
            assert to_replica.traffic.requests == before[1] + 13

    asyncio.run(main())


def test_writes_that_do_not_end_keep_no_bounded_read_from_the_replica(servers: Servers) -> None:
    """The replica is always a little behind; what counts is when the primary was where the replica is now."""

    async def main() -> None:
        async with through(servers.replica) as (url, proxy), adapter_of(servers, replicas=[url]) as adapter:
            await write(adapter, b"1")
            await servers.caught_up()
            stop, number = asyncio.Event(), 0

            async def writing() -> None:
                nonlocal number
                while not stop.is_set():
                    number += 1
                    await write(adapter, b"%d" % number)

            async def is_served() -> bool:
                return await is_read_from(adapter, proxy, bounded(2))

            task = asyncio.ensure_future(writing())
            try:
                await until(is_served)
                before = number
                found = await read(adapter, bounded(2))
                assert found is not None
                assert int(found) > 0
                assert number >= before
            finally:
                stop.set()
                await task

    asyncio.run(main())


def test_a_sample_that_was_reached_tells_how_fresh_a_replica_is() -> None:
    """Of many, the newest; nothing is said of another stream, nor of other tables, nor where nothing is logged."""
    samples, time = Samples(), 0.0
    assert samples.fresh_as_of(Position("here", {"1": 0})) == float("-inf")
    for number in range(1000):
        samples.add(float(number), Position("here", {"1": 10 * number}))
    assert samples.origin == "here"
    assert samples.fresh_as_of(Position("here", {"1": 9990})) == 999
    for place in (9989, 9000, 5000, 1000):
        time = samples.fresh_as_of(Position("here", {"1": place}))
        assert time <= place / 10
        assert 999 - time <= (999 - place / 10) * 4 / 3 + 1, "too few samples are kept"
    assert len(samples._samples) < 60
    for unknown in (Position("here", {"2": 9999}), Position("there", {"1": 9999}), Position("here", {})):
        assert samples.fresh_as_of(unknown) == float("-inf")
    samples.add(1000.0, Position("here", {}))
    assert samples.fresh_as_of(Position("here", {"1": 99999})) == 999
    samples.add(1001.0, Position("here", {"0": 5, "1": 7}))
    assert samples.fresh_as_of(Position("here", {"0": 4, "1": 7})) < 10
    assert samples.fresh_as_of(Position("here", {"0": 5, "1": 7, "2": 1})) == 1001


# --- Replicas that fail ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [EVENTUAL, bounded(60)], ids=["eventual", "bounded"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_replica_that_is_down_is_no_error_and_is_used_again_when_it_is_back(
    servers: Servers, driver: str, level: Consistency
) -> None:
    async def main() -> None:
        async with (
            through(servers.replica) as (url, proxy),
            adapter_of(servers, driver, replicas=[url]) as adapter,
        ):
            time = Time(adapter)
            await write(adapter, b"1")
            await servers.caught_up()
            assert await is_read_from(adapter, proxy, level)
            async with proxy.down():
                for _ in range(3):
                    assert await looked(adapter, level) == [b"1", b"1", b"1", 0, 1]
                detail = (await adapter.health()).detail["replica 1"]
                assert "left aside: the server cannot be reached" in detail
                for _ in range(8):
                    time.passed += 20  # it is tried again, and left aside for longer each time
                    assert await read(adapter, level) == b"1"
            assert not await is_read_from(adapter, proxy, level)
            time.passed += 31
            assert await is_read_from(adapter, proxy, level)
            assert "used" in (await adapter.health()).detail["replica 1"]
            proxy.cut()
            assert await looked(adapter, level) == [b"1", b"1", b"1", 0, 1]

    asyncio.run(main())


@pytest.mark.parametrize("level", [EVENTUAL, bounded(60)], ids=["eventual", "bounded"])
@pytest.mark.parametrize("connected", [False, True], ids=["new", "connected"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_replica_that_does_not_answer_leaves_time_for_the_primary(
    servers: Servers, driver: str, connected: bool, level: Consistency
) -> None:
    async def main() -> None:
        async with (
            through(servers.replica) as (url, proxy),
            adapter_of(servers, driver, replicas=[url], timeout=4) as adapter,
        ):
            await write(adapter, b"1")
            await servers.caught_up()
            if connected:
                assert await is_read_from(adapter, proxy, level)
            with proxy.stall():
                assert await read(adapter, level) == b"1"
                assert await is_read_from(adapter, proxy, level) is False, "it is asked again at once"

    asyncio.run(main())


def test_a_replica_that_fails_is_passed_over_for_another(servers: Servers) -> None:
    """Two of three are down, and it is the third that shows what it has, not the primary."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            ways = [await stack.enter_async_context(through(servers.replica)) for _ in range(3)]
            adapter = adapter_of(servers, replicas=[url for url, _ in ways])
            await stack.enter_async_context(adapter)
            await write(adapter, b"1")
            await stack.enter_async_context(servers.paused())
            await write(adapter, b"22")
            await stack.enter_async_context(ways[0][1].down())
            await stack.enter_async_context(ways[2][1].down())
            assert [await read(adapter, EVENTUAL) for _ in range(6)] == [b"1"] * 6

    asyncio.run(main())


def test_a_replica_without_the_tables_is_not_read(servers: Servers) -> None:
    """Neither before the database is there, nor before the tables are, nor if they are of a newer version."""

    async def main() -> None:
        await servers.caught_up()
        async with servers.paused(), adapter_of(servers) as adapter:
            await write(adapter, b"1")
            assert await looked(adapter, EVENTUAL) == [b"1", b"1", b"1", 0, 1]
            assert "has not got the tables" in (await adapter.health()).detail["replica 1"]
            assert await read(adapter, bounded(60)) == b"1"
        await servers.caught_up()
        async with adapter_of(servers) as adapter:
            await ask(servers.primary, "UPDATE ds_layout SET version_num = '9999' RETURNING 1")
            await servers.caught_up()
            async with servers.paused():
                await write(adapter, b"22")
                assert await read(adapter, EVENTUAL) == b"22"
                assert "newer version" in (await adapter.health()).detail["replica 1"]

    asyncio.run(main())


def test_what_is_no_replica_of_the_primary_is_not_read(servers: Servers, replicated: str) -> None:
    """The primary itself, and the replica of another database."""
    other = replica_of(replicated)

    async def main() -> None:
        async with SQLAdapter.from_url(replicated.partition("?")[0], namespace="ns") as elsewhere:
            await write(elsewhere, b"of another database")
            async with adapter_of(servers, replicas=[servers.primary, other]) as adapter:
                await write(adapter, b"1")
                for level in (EVENTUAL, bounded(60)) * 3:
                    assert await read(adapter, level) == b"1"
                detail = (await adapter.health()).detail
                assert "it is no replica" in detail["replica 1"]
                assert "it is a replica of something else" in detail["replica 2"]

    asyncio.run(main())


def test_a_failure_of_what_is_asked_is_no_failure_of_the_replica(servers: Servers) -> None:
    """A cursor that is damaged is the caller's mistake, and told as such."""
    from daystore.errors import InvalidCursor

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            await write(adapter, b"1")
            await servers.caught_up()
            await read(adapter, EVENTUAL)
            with pytest.raises(InvalidCursor):
                await adapter.query(Query("things", cursor="damaged"))
            assert replicas_of(adapter)._replicas[0].trouble is None

    asyncio.run(main())


def test_the_primary_is_needed_to_open_and_the_replica_is_not(servers: Servers) -> None:
    async def main() -> None:
        async with through(servers.replica) as (replica, down), through(servers.primary) as (primary, gone):
            async with down.down(), adapter_of(Servers(primary, replica)) as adapter:
                await write(adapter, b"1")
                assert await read(adapter, EVENTUAL) == b"1"
            async with gone.down():
                with pytest.raises(BackendUnavailable):
                    await adapter_of(Servers(primary, replica)).open()

    asyncio.run(main())


def test_closing_ends_the_connections_to_the_replica(servers: Servers) -> None:
    async def main() -> None:
        async with through(servers.replica) as (url, proxy):
            async with adapter_of(servers, replicas=[url], connections=3) as adapter:
                await write(adapter, b"1")
                await asyncio.gather(*(adapter.count(Query("things")) for _ in range(9)))
                assert 0 < proxy.live <= 3

            async def is_left() -> bool:
                return not proxy.live

            await until(is_left)

    asyncio.run(main())


# --- Options -----------------------------------------------------------------------------------------------------

SECRET = "swordfish-0815"


@pytest.mark.parametrize(
    ("url", "replicas", "says"),
    [
        ("sqlite:///a.db", "postgresql://u@h/d", "SQLite has no replicas"),
        ("mysql://u@h/d", "postgresql://u:{}@g/d", "replica 1 is no MariaDB"),
        (
            "mariadb://u@h/d",
            ["mariadb://u@g/d", "mysql://u:{}@g"],
            "replica 2: .*names a user and a database",
        ),
        ("postgresql://h/d", "mysql://u:{}@g/d", "replica 1 is no PostgreSQL"),
        (
            "postgresql://h/d",
            "postgresql://g/d, postgresql+psycopg://u:{}@g/d",
            "replica 2 is reached by psycopg",
        ),
        ("postgresql+psycopg://h/d", "postgresql://u:{}@g/d", r"write postgresql\+psycopg://"),
        ("postgresql://h/d", "postgresql://u:{}@g/d?pool=3", "replica 1: .*takes no parameter 'pool'"),
        ("postgresql://h/d", ["postgresql://u:{}@g,f/d"], "replica 1 is several servers"),
        ("postgresql://h/d", ["postgresql://u:{}@/d?host=g,f"], "replica 1 is several servers"),
        ("postgresql://h/d", "postgresql://u:{}@g:port/d", "replica 1: not a URL"),
        ("postgresql://h/d", 7, "replicas: .*tuple"),
    ],
)
def test_what_cannot_be_used(url: str, replicas: Any, says: str) -> None:
    """It is said what to do, and never what the password is."""
    if isinstance(replicas, str):
        replicas = replicas.replace("{}", SECRET)
    elif isinstance(replicas, list):
        replicas = [one.replace("{}", SECRET) for one in replicas]
    with pytest.raises(ConfigError, match=says) as caught:
        SQLAdapter.from_url(url, replicas=replicas)
    assert SECRET not in str(caught.value)


def test_the_urls_of_replicas_are_given_as_a_list_or_as_text() -> None:
    urls = ("postgresql://a/d", "postgresql://b/d")
    assert SQLConfig(replicas=urls).replicas == urls
    assert SQLConfig.model_validate({"replicas": list(urls)}).replicas == urls
    assert SQLConfig.model_validate({"replicas": ", ".join(urls)}).replicas == urls
    assert SQLConfig.model_validate({"replicas": ""}).replicas == ()


def test_no_password_of_a_replica_is_shown(servers: Servers) -> None:
    async def main() -> None:
        url = servers.replica.replace("@", "0815@", 1)  # which is wrong
        secret = urlsplit(url).password or ""
        async with adapter_of(servers, replicas=[url]) as adapter:
            await write(adapter, b"1")
            assert await read(adapter, EVENTUAL) == b"1"
            health = await adapter.health()
            assert "refuses the user or the password" in health.detail["replica 1"]
            parts = urlsplit(url)
            assert f"{parts.hostname}:{parts.port}: " in health.detail["replica 1"]
            database: Any = adapter.database
            shown = [repr(health), repr(database), repr(database.config)]
            assert not [text for text in shown if secret in text]

    asyncio.run(main())


def test_storage_takes_them_in_the_url(servers: Servers) -> None:
    from urllib.parse import quote

    from daystore import Storage

    async def main() -> None:
        url = f"{servers.primary}?daystore_replicas={quote(servers.replica, safe='')}"
        async with Storage.open(url, namespace="ns") as storage:
            notes = storage.store("notes")
            await notes.set("k", "old")
            async with servers.paused():
                await notes.set("k", "new")
                assert await notes.get("k") == "old"
                assert await notes.get("k", consistency=STRONG) == "new"
                async with storage.transaction() as tx:
                    assert await tx[notes].get("k") == "new"

    asyncio.run(main())
