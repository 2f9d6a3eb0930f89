"""Replicas that fail: reads go on without them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from daystore.abc import (
    EVENTUAL,
    Consistency,
    Query,
    bounded,
)
from daystore.errors import BackendUnavailable
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.postgresql import ask
from daystore_sql.compliance.replica import replica_of

from .replicated import (
    DRIVERS,
    Servers,
    Time,
    adapter_of,
    is_read_from,
    looked,
    read,
    replicas_of,
    through,
    until,
    write,
)


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
