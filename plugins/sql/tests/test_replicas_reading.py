"""What is read from replicas, and what never is."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

import pytest

from daystore.abc import (
    EVENTUAL,
    STRONG,
    Compare,
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

from .replicated import (
    BY_N,
    DRIVERS,
    Servers,
    adapter_of,
    looked,
    read,
    through,
    write,
)


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
