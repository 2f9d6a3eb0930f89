"""A database on a primary and on its replica, and an adapter that reads from both.

The replica follows its primary by itself; a test that needs it to lag pauses its replay. The servers wait for each
other where a commit asks for it, which those to the databases of these tests do not.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from daystore.abc import (
    Aggregate,
    Aggregation,
    Compare,
    Consistency,
    Function,
    Op,
    Order,
    Query,
)
from daystore_compliance.proxy import FaultProxy
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.postgresql import ask, waited
from daystore_sql.compliance.replica import replica_of

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


@contextmanager
def new_database(replicated: str) -> Iterator[Servers]:
    """Make a database in which a commit waits for nobody."""
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


async def is_read_from(adapter: SQLAdapter, proxy: FaultProxy, level: Consistency) -> bool:
    """Read, and tell whether that went through a proxy."""
    before = proxy.traffic.requests
    await read(adapter, level)
    return proxy.traffic.requests > before
