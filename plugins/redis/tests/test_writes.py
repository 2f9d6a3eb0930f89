"""Writes are applied once: told by what is sent again, late, or after the server has forgotten its scripts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
import redis

from daystore.abc import ABSENT, Put, Query, WriteBatch
from daystore.errors import BackendUnavailable, OutcomeUnknown, VersionConflict
from daystore_redis.adapter import RedisAdapter
from daystore_redis.connection import Connection, Lost
from daystore_redis.pool import Pool


class Losing:
    """Has the next answers to writes be lost after they were given.

    Attributes:
        sent: The requests whose answers were lost.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[bytes] = []
        self.left = 0
        ask = Connection.ask

        async def losing(connection: Connection, request: bytes, answers: int = 1) -> Any:
            answer = await ask(connection, request, answers)
            if self.left and b"EVALSHA" in request:
                self.left -= 1
                self.sent.append(request)
                raise Lost from ConnectionResetError("the answer was lost")
            return answer

        monkeypatch.setattr(Connection, "ask", losing)


def test_a_lost_answer_is_asked_for_again(
    make: Callable[..., RedisAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conditional write whose answers are lost succeeds, and tells what it told first."""
    losing = Losing(monkeypatch)

    async def main() -> None:
        async with make() as adapter:
            losing.left = 2
            version = await adapter.set("c", "k", b"v", if_absent=True)
            losing.left = 2
            assert await adapter.delete("c", "k", if_version=version) is True
            losing.left = 1
            with pytest.raises(VersionConflict):
                await adapter.set("c", "k", b"v", if_version=version)
            assert len(losing.sent) == 5

    asyncio.run(main())


def test_an_overtaken_write_is_not_applied_again(
    make: Callable[..., RedisAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again after another writer has written, it still succeeds, and the newer record stays."""
    losing = Losing(monkeypatch)

    async def main() -> None:
        async with make() as adapter, make() as other:
            await other.get("c", "warm")
            losing.left = 1
            servers = adapter._exchange.servers  # type: ignore[union-attr]
            forget = servers.forget

            overtaking: list[asyncio.Task[str]] = []

            def overtake() -> None:
                forget()
                overtaking.append(asyncio.ensure_future(other.set("c", "k", b"newer")))

            monkeypatch.setattr(servers, "forget", overtake)
            monkeypatch.setattr(type(servers), "delays", (0.0, 0.2))
            await adapter.set("c", "k", b"older")
            (task,) = overtaking
            assert task.done(), "the other writer was not faster"
            found = await adapter.get("c", "k")
            assert found is not None
            assert found.value == b"newer"

    asyncio.run(main())


def test_a_request_that_arrives_late_is_refused(
    make: Callable[..., RedisAdapter], raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given up and arrives after the next write of its slot, or after its time limit, changes nothing."""
    losing = Losing(monkeypatch)

    async def main() -> None:
        async with make(timeout=30.0) as adapter:
            losing.left = 100
            with pytest.raises(OutcomeUnknown):
                await adapter.set("c", "k", b"lost")
            losing.left = 0
            await adapter.set("c", "k", b"newer")
            for request in losing.sent:
                with pytest.raises(redis.ResponseError, match="DAYSTORESTALE"):
                    _send(raw, request)
            found = await adapter.get("c", "k")
            assert found is not None
            assert found.value == b"newer"

    asyncio.run(main())


def _send(raw: redis.Redis, request: bytes) -> Any:
    connection = raw.connection_pool.get_connection()
    try:
        connection.send_packed_command([request])  # type: ignore[no-untyped-call]
        return connection.read_response()
    finally:
        raw.connection_pool.release(connection)


def test_a_request_is_refused_after_its_time_limit(
    make: Callable[..., RedisAdapter], raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the server's clock, whatever ours says: here the request of a slot that nobody used since."""
    losing = Losing(monkeypatch)

    async def main() -> None:
        async with make(timeout=0.3) as adapter:
            losing.left = 1
            await adapter.set("c", "k", b"applied")
            raw.flushdb()  # with what it remembers of writes
            answers = ""
            while not answers:
                try:
                    _send(raw, losing.sent[0])
                except redis.ResponseError as error:
                    answers = str(error)
                else:
                    raw.flushdb()
            assert answers.startswith("DAYSTORELATE")
            assert raw.dbsize() == 0

    asyncio.run(main())


def test_the_clock_of_a_server_may_be_set(make: Callable[..., RedisAdapter]) -> None:
    """A write that is refused as late although there is time is sent again with the clock learnt anew."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"v")
            (pool,) = adapter._exchange.servers.pools()  # type: ignore[union-attr]
            assert isinstance(pool, Pool)
            for connection in pool._idle:
                connection.ahead -= 3600.0
            await adapter.set("c", "k", b"w")

    asyncio.run(main())


def test_scripts_are_loaded_again(make: Callable[..., RedisAdapter], raw: redis.Redis) -> None:
    """A server that has forgotten its scripts, as after a restart, is given them again, for writes and reads."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"v")
            for _ in range(2):
                raw.script_flush()
                await asyncio.gather(*(adapter.set("c", f"k{n}", b"v") for n in range(20)))
            raw.script_flush()
            assert len((await adapter.query(_all())).records) == 21
            raw.script_flush()
            async with adapter.transaction() as tx:
                await tx.query(_all())
                await tx.write([Put("c", "k", b"w")])

    asyncio.run(main())


def _all() -> Query:
    return Query("c")


def test_large_batches_are_cut(make: Callable[..., RedisAdapter]) -> None:
    """Values of many mebibytes go in several requests, and each operation still has its own outcome."""

    async def main() -> None:
        async with make() as adapter:
            value = b"x" * (6 * 1024 * 1024)
            puts = [Put("c", f"k{n}", value, expect=ABSENT) for n in range(7)]
            await adapter.set("c", "k3", b"there")
            outcomes = await adapter.write(WriteBatch(puts))
            assert [outcome.error is None for outcome in outcomes] == [True] * 3 + [False] + [True] * 3
            assert len(await adapter.get_batch("c", [f"k{n}" for n in range(7)])) == 7
            await adapter.delete_batch("c", [f"k{n}" for n in range(7)])

    asyncio.run(main())


def test_a_server_without_memory_applies_nothing(make: Callable[..., RedisAdapter], raw: redis.Redis) -> None:
    """A batch that does not fit is an error that says so, and no part of it is there."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"before")
            raw.config_set("maxmemory", 1)
            try:
                with pytest.raises(BackendUnavailable, match="memory"):
                    await adapter.set_batch([Put("c", "k", b"after"), Put("c", "l", b"after")])
            finally:
                raw.config_set("maxmemory", 0)
            found = await adapter.get_batch("c", ["k", "l"])
            assert {key: record.value for key, record in found.items()} == {"k": b"before"}

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(5))
def test_cancellations_leave_no_wrong_answer_and_no_connection(
    make: Callable[..., RedisAdapter], raw: redis.Redis, seed: int
) -> None:
    """A hundred operations cancelled anywhere: whoever asks next gets the answer to its own question."""
    rng = random.Random(seed)

    async def main() -> None:
        async with make(max_connections=4) as adapter:
            keys = [f"k{n}" for n in range(50)]
            await adapter.set_batch(
                [Put("c", key, key.encode(), fields={"n": n}) for n, key in enumerate(keys)]
            )
            cancelled = 0
            for _ in range(100):
                key = rng.choice(keys)
                doing: Any = rng.choice(
                    [
                        lambda key=key: adapter.get("c", key),
                        lambda key=key: adapter.set("c", key, key.encode(), fields={"n": keys.index(key)}),
                        lambda: adapter.query(_all()),
                        lambda: adapter.get_batch("c", keys),
                    ]
                )
                victim = asyncio.ensure_future(doing())
                others = [asyncio.ensure_future(adapter.get("c", k)) for k in rng.sample(keys, 5)]
                for _ in range(rng.randrange(12)):
                    await asyncio.sleep(0)
                victim.cancel()
                await asyncio.wait([victim, *others])
                cancelled += victim.cancelled()
                found = [task.result() for task in others]
                assert all(record is not None and record.value == record.key.encode() for record in found)
            assert cancelled > 10
            assert adapter.connections <= 4
            page = await adapter.query(_all())
            assert [record.key for record in page.records] == sorted(keys)

    def connected() -> int:
        clients: Any = raw.info("clients")
        return int(clients["connected_clients"])

    before = connected()
    asyncio.run(main())
    for _ in range(10_000):  # the server needs a moment to notice that connections were closed
        if connected() <= before:
            return
    raise AssertionError(f"{connected()} connections are open where {before} were")
