"""Intents of coordinated transactions: what they hold, what they leave as it is, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    STRONG,
    Aggregate,
    Aggregation,
    Check,
    Compare,
    Delete,
    Function,
    Holds,
    Op,
    Outcome,
    Prepare,
    Put,
    Query,
    Record,
    Release,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.errors import RecordPrepared, VersionConflict
from daystore_redis.adapter import RedisAdapter

from .conftest import TestClock
from .test_writes import Losing

MINE, OTHERS = b"m" * 16, b"o" * 16
INTENT = MINE + b"what it will do"
Make = Callable[..., RedisAdapter]


def run(make: Make, body: Callable[[RedisAdapter], Awaitable[None]], **options: Any) -> None:
    """Run a test with an open adapter."""

    async def main() -> None:
        async with make(**options) as adapter:
            await body(adapter)

    asyncio.run(main())


async def one(adapter: RedisAdapter, operation: Operation) -> Outcome:
    """Write below everything that waits for transactions."""
    (outcome,) = await adapter._write(WriteBatch([operation]))
    return outcome


async def stored(adapter: RedisAdapter, key: str) -> Record | None:
    """Read below everything that resolves intents."""
    return (await adapter._read("c", [key], STRONG))[0]


async def prepare(adapter: RedisAdapter, key: str, intent: bytes = INTENT, **options: Any) -> Outcome:
    outcome = await one(adapter, Prepare("c", key, intent, **options))
    assert outcome.error is None
    return outcome


def traces(raw: redis.Redis, prefix: str) -> dict[str, int]:
    """Return how many entries there are of records, intents and indexes."""
    found: dict[str, int] = {}
    for name in raw.scan_iter(f"{prefix}*"):
        kind = name.decode().removeprefix(prefix)[0]
        if kind in "rkcufsxi":
            size: Any = 1 if kind == "r" else raw.hlen(name) if kind == "s" else raw.zcard(name)
            found[kind] = found.get(kind, 0) + size
    return found


# --- Beside what is there ------------------------------------------------------------------------------------


def test_nothing_but_the_intent_changes(make: Make, clock: TestClock) -> None:
    """A prepare leaves version, value, fields, times and deadline; a release leaves what was there before."""

    async def body(adapter: RedisAdapter) -> None:
        for size in (0, 5, 5_000):  # beyond what a script reads of a record at first
            fields = {"n": size, "s": "x" * min(size, 1_000), "t": ("a", "b")}
            put = Put("c", "k", b"v" * size, fields=fields, expires_at=clock.now + 60_000_000, schema="s")
            await adapter.write(WriteBatch([put]))
            before = await stored(adapter, "k")
            assert before is not None
            clock.now += 1_000
            assert await prepare(adapter, "k", expect=put.version) == Outcome(None, True)
            during = await stored(adapter, "k")
            assert during is not None
            assert during.intent == INTENT
            during.intent = None
            assert during == before
            assert await one(adapter, Release("c", "k", Holds(MINE))) == Outcome(None, True)
            assert await stored(adapter, "k") == before

    run(make, body)


@pytest.mark.parametrize("intent", [MINE, MINE + b"\0" * 3, MINE + MINE, MINE + bytes(range(256)) * 9])
def test_intents_are_bytes_of_any_length(make: Make, intent: bytes) -> None:
    """What is read is what was prepared, beside a record and alone."""

    async def body(adapter: RedisAdapter) -> None:
        await adapter.set("c", "there", b"value")
        for key, value in (("there", b"value"), ("absent", b"")):
            await prepare(adapter, key, intent)
            found = await stored(adapter, key)
            assert found is not None
            assert (found.intent, found.value) == (intent, value)

    run(make, body)


def test_an_expectation_is_judged_against_the_live_record(make: Make, clock: TestClock) -> None:
    """A prepare that expects something else is a conflict, and nothing is prepared."""

    async def body(adapter: RedisAdapter) -> None:
        version = await adapter.set("c", "k", b"v", expires_at=clock.now + 1_000)
        for key, expect in (("k", ABSENT), ("k", "other"), ("absent", "other")):
            outcome = await one(adapter, Prepare("c", key, INTENT, expect))
            assert type(outcome.error) is VersionConflict
            assert outcome.error.current == (version if key == "k" else None)
        clock.now += 1_000
        assert type((await one(adapter, Prepare("c", "k", INTENT, version))).error) is VersionConflict
        assert await adapter._prepared(None) == []
        assert await prepare(adapter, "k", expect=ABSENT) == Outcome(None, False)

    run(make, body)


def test_the_same_again_is_no_conflict(make: Make) -> None:
    """Prepared again with the same bytes it is told the same; with other bytes of its transaction, refused."""

    async def body(adapter: RedisAdapter) -> None:
        await adapter.set("c", "there", b"v")
        for key, existed in (("there", True), ("absent", False)):
            for _ in range(3):
                assert await prepare(adapter, key, expect=ANY) == Outcome(None, existed)
            for other in (INTENT + b"!", INTENT[:-1], MINE, b"x" + INTENT):
                assert isinstance((await one(adapter, Prepare("c", key, other))).error, RecordPrepared)
            found = await stored(adapter, key)
            assert found is not None
            assert (found.value, found.intent) == (b"v" * existed, INTENT)

    run(make, body)


def test_a_lost_answer_is_asked_for_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepares and releases whose answers are lost are applied once, and tell what they told first."""
    losing = Losing(monkeypatch)

    async def body(adapter: RedisAdapter) -> None:
        version = await adapter.set("c", "k", b"v")
        losing.left = 2
        prepares = [Prepare("c", "k", INTENT, version), Prepare("c", "absent", INTENT, ABSENT)]
        assert await adapter._write(WriteBatch(prepares)) == [Outcome(None, True), Outcome(None, False)]
        losing.left = 2
        releases = [Release("c", key, Holds(MINE)) for key in ("k", "absent")]
        assert await adapter._write(WriteBatch(releases)) == [Outcome(None, True), Outcome(None, False)]
        assert len(losing.sent) == 4
        assert await adapter._prepared(None) == []

    run(make, body)


# --- Where there is nothing ----------------------------------------------------------------------------------


def test_a_placeholder_is_nobodys_record(make: Make, raw: redis.Redis, prefix: str, clock: TestClock) -> None:
    """An intent alone is found by no query, count or aggregate, stands in no index, and leaves nothing behind."""

    async def body(adapter: RedisAdapter) -> None:
        await adapter.set("c", "there", b"v", fields={"n": 1})
        await adapter.set("c", "expired", b"v", fields={"n": 2}, expires_at=clock.now + 1_000)
        clock.now += 1_000
        alone = {"r": 1, "k": 1, "c": 1, "u": 1, "f": 1}
        for ending in (Release("c", "absent", Holds(MINE)), Delete("c", "absent", Holds(MINE))):
            for key in ("absent", "expired"):
                await prepare(adapter, key, expect=ABSENT)
                found = await stored(adapter, key)
                assert found == Record(key, b"", "", 0, 0, expires_at=0, intent=INTENT)
            for where in (None, Compare("n", Op.LT, 9), Compare("key", Op.GE, "")):
                assert [r.key for r in (await adapter._query(Query("c", where), STRONG)).records] == ["there"]
                assert await adapter._count(Query("c", where), STRONG) == 1
                count = Aggregation({"n": Aggregate(Function.COUNT)})
                assert (await adapter._aggregate(Query("c", where), count, STRONG))[0].values == {"n": 1}
            assert traces(raw, prefix) == {**alone, "r": 3, "i": 2}
            assert await one(adapter, ending) == Outcome(None, False)
            assert (await one(adapter, Release("c", "expired", Holds(MINE)))).error is None
            assert traces(raw, prefix) == alone

    run(make, body)


def test_what_is_written_over_a_placeholder_is_new(make: Make, clock: TestClock) -> None:
    """It was created now, whatever the placeholder says, keeps no deadline, and is found by queries."""

    async def body(adapter: RedisAdapter) -> None:
        await prepare(adapter, "k", expect=ABSENT)
        clock.now += 5_000
        put = Put("c", "k", b"v", Holds(MINE), expires_at=KEEP, fields={"n": 1})
        assert await one(adapter, put) == Outcome(put.version, False)
        found = await stored(adapter, "k")
        assert found is not None
        assert (found.created_at, found.expires_at, found.intent) == (clock.now, None, None)
        assert await adapter.count(Query("c", Compare("n", Op.EQ, 1))) == 1
        assert len((await adapter.query(Query("c"))).records) == 1

    run(make, body)


# --- What it refuses -----------------------------------------------------------------------------------------


def test_what_is_prepared_refuses_everybody_else(make: Make, clock: TestClock) -> None:
    """Every change, check and prepare is refused, before its own expectation, wherever there is an intent."""

    async def body(adapter: RedisAdapter) -> None:
        version = await adapter.set("c", "live", b"v")
        await adapter.set("c", "ended", b"v", expires_at=clock.now + 1_000)
        for key in ("live", "ended", "absent"):
            await prepare(adapter, key)
        clock.now += 1_000
        for key, current in (("live", version), ("ended", None), ("absent", None)):
            for expect in (ANY, ABSENT, "other", version):
                for operation in (
                    Put("c", key, b"w", expect),
                    Put("c", key, b"w", expect, expires_at=KEEP),
                    Delete("c", key, expect),
                    Check("c", key, expect),
                    Prepare("c", key, OTHERS, expect),
                ):
                    before = await adapter._prepared("c")
                    batch = [Put("c", "beside", b""), operation]
                    first, second = await adapter._write(WriteBatch(batch))
                    assert first.error is None
                    error = second.error
                    assert isinstance(error, RecordPrepared)
                    assert (error.key, error.collection, error.current, error.index) == (key, "c", current, 1)
                    assert (error.backend, error.operation) == ("redis", "write")
                    with pytest.raises(RecordPrepared) as caught:
                        await adapter._write(WriteBatch([Put("c", "never", b""), operation], atomic=True))
                    assert (caught.value.key, caught.value.index) == (key, 1)
                    assert await adapter._prepared("c") == before
        assert not await adapter.exists("c", "never")

    run(make, body)


def test_only_its_own_transaction_ends_an_intent(make: Make, clock: TestClock) -> None:
    """What expects the intent of another transaction, or of one that is gone, is a conflict: nothing changes."""

    async def body(adapter: RedisAdapter) -> None:
        version = await adapter.set("c", "k", b"v")
        for held in (True, False):
            if held:
                await prepare(adapter, "k")
            transaction = OTHERS if held else MINE
            before = await stored(adapter, "k")
            for operation in (
                Put("c", "k", b"w", Holds(transaction)),
                Delete("c", "k", Holds(transaction)),
                Release("c", "k", Holds(transaction)),
            ):
                error = (await one(adapter, operation)).error
                assert type(error) is VersionConflict
                assert error.current == version
                with pytest.raises(VersionConflict):
                    await adapter._write(WriteBatch([operation], atomic=True))
                assert await stored(adapter, "k") == before
            if held:
                await one(adapter, Release("c", "k", Holds(MINE)))
        assert type((await one(adapter, Release("c", "never", Holds(MINE)))).error) is VersionConflict

    run(make, body)


def test_a_commit_writes_over_the_committed_record(
    make: Make, raw: redis.Redis, prefix: str, clock: TestClock
) -> None:
    """Put and delete see the record below the intent: when it was created, its deadline, its index entries."""

    async def body(adapter: RedisAdapter) -> None:
        created, end = clock.now, clock.now + 60_000_000
        await adapter.set("c", "k", b"v", expires_at=end, fields={"n": 1, "gone": 1})
        await prepare(adapter, "k")
        clock.now += 1_000
        put = Put("c", "k", b"w", Holds(MINE), expires_at=KEEP, fields={"n": 2})
        assert await one(adapter, put) == Outcome(put.version, True)
        found = await stored(adapter, "k")
        assert found is not None
        assert (found.created_at, found.expires_at, found.intent) == (created, end, None)
        for number, value in ((0, 1), (1, 2)):
            assert await adapter.count(Query("c", Compare("n", Op.EQ, value))) == number
        assert await adapter._prepared(None) == []
        await prepare(adapter, "k")
        assert await one(adapter, Delete("c", "k", Holds(MINE))) == Outcome(None, True)
        assert traces(raw, prefix) == {}

    run(make, body)
