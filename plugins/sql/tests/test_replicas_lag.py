"""Replicas that lag: how stale what is read from them may be."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import urlsplit

import pytest

from daystore.abc import (
    EVENTUAL,
    bounded,
)
from daystore_sql.network.positions import Position, Samples

from .replicated import (
    DRIVERS,
    Servers,
    Time,
    adapter_of,
    configure,
    is_read_from,
    looked,
    read,
    replicas_of,
    through,
    until,
    write,
)


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
