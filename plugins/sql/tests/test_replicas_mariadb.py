"""Replicas of MariaDB: what the tests of PostgreSQL's replicas do not say of every database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from daystore.abc import EVENTUAL, STRONG, Consistency, Order, Query, bounded
from daystore.errors import BackendUnavailable
from daystore_compliance.proxy import FaultProxy
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.mysql import ask
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection


@dataclass(frozen=True)
class Servers:
    """A database on a primary and on its replica."""

    primary: str
    replica: str

    def caught_up(self) -> None:
        """Wait until the replica has applied what the primary has logged so far."""
        ((place,),) = ask(self.primary, "SELECT @@gtid_binlog_pos")
        ((left,),) = ask(self.replica, f"SELECT MASTER_GTID_WAIT('{place}', 20)")
        assert left == 0

    @asynccontextmanager
    async def stopped(self, what: str) -> AsyncIterator[None]:
        """Have the replica apply nothing, or hear nothing: ``SQL_THREAD`` or ``IO_THREAD``."""
        self.caught_up()
        ask(self.replica, f"STOP SLAVE {what}")
        try:
            yield
        finally:
            ask(self.replica, f"START SLAVE {what}")
            self.caught_up()


@pytest.fixture
def servers(mariadb_pair: tuple[str, str]) -> Iterator[Servers]:
    """A new database."""
    name = f"replicas_{os.urandom(6).hex()}"
    ask(mariadb_pair[0], f"CREATE DATABASE {name}")
    primary, replica = (urlsplit(url)._replace(path=f"/{name}").geturl() for url in mariadb_pair)
    yield Servers(primary, replica)
    ask(mariadb_pair[0], f"DROP DATABASE {name}")


def adapter_of(servers: Servers, replicas: Sequence[str] = ()) -> SQLAdapter:
    return SQLAdapter.from_url(servers.primary, namespace="ns", replicas=replicas or [servers.replica])


def moved(adapter: SQLAdapter) -> list[float]:
    """Let the time by which an adapter measures staleness be moved, by so many seconds as the list says."""
    replicas: Any = adapter._opened.replicas  # type: ignore[attr-defined]
    real, passed = replicas._now, [0.0]
    for one in (replicas, *replicas._replicas):
        one._now = lambda: real() + passed[0]
    return passed


async def looked(adapter: SQLAdapter, level: Consistency) -> list[object]:
    """What each way to read finds of one record."""
    record = await adapter.get("things", "k", level)
    page = await adapter.query(Query("things", order=Order("n")), level)
    assert record is not None
    return [
        record.value,
        *(found.value for found in page.records),
        await adapter.count(Query("things"), level),
    ]


def test_reads_go_where_their_level_says(servers: Servers) -> None:
    """What is not applied on the replica is seen by strong reads alone, and by bounded ones in time."""

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            passed = moved(adapter)
            await adapter.set("things", "k", b"1", fields={"n": 1})
            servers.caught_up()
            old, new = [b"1", b"1", 1], [b"22", b"22", b"3", 2]
            assert await looked(adapter, bounded(60)) == old
            async with servers.stopped("SQL_THREAD"):
                await adapter.set("things", "k", b"22", fields={"n": 1})
                await adapter.set("things", "other", b"3", fields={"n": 1, "m": 1})
                assert await looked(adapter, EVENTUAL) == old
                assert await looked(adapter, STRONG) == new
                assert await looked(adapter, bounded(60)) == old
                passed[0] = 61
                assert await looked(adapter, bounded(60)) == new
                async with adapter.transaction() as tx:
                    (record,) = await tx.read("things", ["k"])
                    assert record is not None
                    assert record.value == b"22"
            passed[0] = 1000
            assert await looked(adapter, EVENTUAL) == new
            assert await looked(adapter, bounded(60)) == new
            assert "at most 0.0" in (await adapter.health()).detail["replica 1"]

    asyncio.run(main())


def test_measuring_takes_no_privilege(servers: Servers) -> None:
    """A user who may do what the documentation asks for, and no more, reads from a replica that is measured."""
    name = f"agent_{os.urandom(6).hex()}"
    parts = urlsplit(servers.primary)

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            await adapter.set("things", "k", b"1", fields={"n": 1})
        ask(servers.primary, f"CREATE USER {name} IDENTIFIED BY '{parts.password}'")
        try:
            grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{parts.path[1:]}`.* TO {name}"
            ask(servers.primary, grant)
            servers.caught_up()
            theirs = Servers(
                *(url.replace("root:", f"{name}:", 1) for url in (servers.primary, servers.replica))
            )
            async with adapter_of(theirs) as adapter:
                assert await looked(adapter, bounded(60)) == [b"1", b"1", 1]
                async with servers.stopped("SQL_THREAD"):
                    await adapter.set("things", "k", b"22", fields={"n": 1})
                    assert await looked(adapter, bounded(60)) == [b"1", b"1", 1]
        finally:
            ask(servers.primary, f"DROP USER {name}")

    asyncio.run(main())


def test_a_replica_that_hears_nothing_of_its_primary_is_stale(servers: Servers) -> None:
    """It has applied all that it has heard, and says itself that it is no second behind."""

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            passed = moved(adapter)
            await adapter.set("things", "k", b"1", fields={"n": 1})
            async with servers.stopped("IO_THREAD"):
                await adapter.set("things", "k", b"22", fields={"n": 1})
                assert (await looked(adapter, EVENTUAL))[0] == b"1"
                passed[0] = 61
                assert (await looked(adapter, bounded(60)))[0] == b"22"
                assert (await looked(adapter, EVENTUAL))[0] == b"1"

    asyncio.run(main())


def test_a_replica_that_is_down_is_no_error(servers: Servers) -> None:
    async def main() -> None:
        parts = urlsplit(servers.replica)
        async with FaultProxy(parts.hostname or "", parts.port or 0) as proxy:
            netloc = f"{parts.netloc.rpartition('@')[0]}@{proxy.host}:{proxy.port}"
            async with adapter_of(servers, [parts._replace(netloc=netloc).geturl()]) as adapter:
                passed = moved(adapter)
                await adapter.set("things", "k", b"1", fields={"n": 1})
                servers.caught_up()
                assert await looked(adapter, EVENTUAL) == [b"1", b"1", 1]
                async with proxy.down():
                    for level in (EVENTUAL, bounded(60)):
                        assert await looked(adapter, level) == [b"1", b"1", 1]
                passed[0] += 31
                before = proxy.traffic.requests
                assert await looked(adapter, EVENTUAL) == [b"1", b"1", 1]
                assert proxy.traffic.requests > before

    asyncio.run(main())


def test_what_is_no_replica_is_not_read(servers: Servers) -> None:
    async def main() -> None:
        async with adapter_of(servers, [servers.primary]) as adapter:
            await adapter.set("things", "k", b"1", fields={"n": 1})
            for level in (EVENTUAL, bounded(60)):
                assert await looked(adapter, level) == [b"1", b"1", 1]
            assert "it is no replica" in (await adapter.health()).detail["replica 1"]

    asyncio.run(main())


def test_replicas_of_mysql_are_refused(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is MySQL if it does not say that it is MariaDB; how stale its replicas are is not measured."""

    async def main() -> None:
        async with adapter_of(servers) as adapter:
            engine: Any = adapter._opened
            async with engine.primary.pool.connection() as connection:
                assert isinstance(connection, AsyncmyConnection)
                monkeypatch.setattr(connection, "is_mariadb", False)
                with pytest.raises(BackendUnavailable, match="leave the option 'replicas' out"):
                    await engine.primary.dialect.position(connection)

    asyncio.run(main())
