"""Intents of coordinated transactions: how they are found, kept, spread over shards, and what they cost."""

from __future__ import annotations

import asyncio
from hashlib import sha1
from typing import Any

import pytest
import redis

from daystore.abc import (
    ABSENT,
    KEEP,
    STRONG,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Holds,
    Op,
    Outcome,
    Prepare,
    Put,
    Query,
    Record,
    Release,
    WriteBatch,
    system_clock,
)
from daystore.errors import RecordPrepared, UnsupportedOperation, VersionConflict
from daystore_redis import scripts
from daystore_redis.adapter import RedisAdapter
from daystore_redis.compliance import RedisShardsTarget
from daystore_redis.scripts import GRACE

from .conftest import TestClock, command
from .test_intents import INTENT, MINE, OTHERS, Make, one, prepare, run, stored, traces

# --- Finding them --------------------------------------------------------------------------------------------


def test_everything_with_an_intent_is_told(
    make: Make, raw: redis.Redis, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one collection or of all, alive or not, in parts or at once; records without one are not looked at."""

    async def body(adapter: RedisAdapter) -> None:
        await adapter.set_batch([Put("c", f"k{n:03}", b"v") for n in range(200)])
        await adapter.set("c", "ended", b"v", expires_at=clock.now + 1_000)
        keys = [("c", "absent"), ("c", "ended"), ("c", "k007"), ("c", "x:y\0é"), ("c0", "k"), ("c_", "k")]
        for collection, key in keys:
            assert (await one(adapter, Prepare(collection, key, INTENT))).error is None
        clock.now += 1_000
        collections: list[str | None] = [None, "c", "c0", "c_", "d"]
        for of in collections:
            expected = [pair for pair in keys if of in (None, pair[0])]
            found = await adapter._prepared(of)
            assert sorted((where, record.key) for where, record in found) == expected
            assert {record.intent for _, record in found} <= {INTENT}
        raw.config_resetstat()
        await adapter._prepared(None)
        stats: Any = raw.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] == 1
        assert stats["cmdstat_get"]["calls"] == len(keys)

    run(make, body)
    parts = scripts.PREPARED.text.replace("MOST, MOST_BYTES = 1000", "MOST, MOST_BYTES = 4")
    assert parts != scripts.PREPARED.text
    monkeypatch.setattr(
        "daystore_redis.reading.PREPARED", scripts.Script(parts, sha1(parts.encode()).hexdigest())
    )

    async def again(adapter: RedisAdapter) -> None:
        assert len(await adapter._prepared(None)) == 6
        assert len(await adapter._prepared("c")) == 4

    run(make, again)


def test_a_checked_query_is_refused_where_something_is_prepared(make: Make, clock: TestClock) -> None:
    """In its collection, by another transaction than the batch's own; whatever the query finds."""

    async def body(adapter: RedisAdapter) -> None:
        query = Query("c", Compare("n", Op.EQ, 1))

        async def commit(own: bytes | None, found: list[tuple[str, str]]) -> None:
            check = CheckQuery(query, found)
            await adapter._write(WriteBatch([], atomic=True, queries=[check], own=own))

        version = await adapter.set("c", "k", b"v", fields={"n": 1})
        found = [("k", version)]
        for collection, refused in (("c0", ()), ("c", (None, OTHERS))):
            await one(adapter, Prepare(collection, "absent", INTENT))
            for own in (None, OTHERS, MINE):
                if own in refused:
                    with pytest.raises(RecordPrepared) as caught:
                        await commit(own, found)
                    assert (caught.value.key, caught.value.collection) == (None, "c")
                else:
                    await commit(own, found)
                    with pytest.raises(VersionConflict) as conflict:
                        await commit(own, [])
                    assert type(conflict.value) is VersionConflict
        await prepare(adapter, "k", OTHERS)
        with pytest.raises(RecordPrepared):
            await commit(MINE, found)
        await one(adapter, Release("c", "k", Holds(OTHERS)))
        await one(adapter, Release("c", "absent", Holds(MINE)))
        await commit(None, found)

    run(make, body)


# --- Expiry --------------------------------------------------------------------------------------------------


def test_the_server_expires_nothing_that_is_prepared(make: Make, raw: redis.Redis, prefix: str) -> None:
    """A prepare takes the server's own deadline away, a release brings it back, a commit has its own."""

    async def body(adapter: RedisAdapter) -> None:
        end = (system_clock() // 1_000_000 + 3600) * 1_000_000

        def deadline() -> int:
            return int(command(raw, "PEXPIRETIME", f"{prefix}r:c:k"))

        await adapter.set("c", "k", b"v", expires_at=end, fields={"n": 1})
        entries = traces(raw, prefix)
        assert deadline() == end // 1000 + GRACE
        await prepare(adapter, "k")
        assert deadline() == -1
        await one(adapter, Release("c", "k", Holds(MINE)))
        assert deadline() == end // 1000 + GRACE
        assert traces(raw, prefix) == entries
        await prepare(adapter, "k")
        await one(adapter, Put("c", "k", b"w", Holds(MINE), expires_at=KEEP))
        assert deadline() == end // 1000 + GRACE

    run(make, body, clock=system_clock)


def test_what_expires_while_it_is_prepared(
    make: Make, raw: redis.Redis, prefix: str, clock: TestClock
) -> None:
    """It is gone for queries at its instant, is kept from the sweep for its intent, and goes with the release."""

    async def body(adapter: RedisAdapter) -> None:
        end = clock.now + 1_000_000
        version = await adapter.set("c", "k", b"v", expires_at=end, fields={"n": 1})
        await prepare(adapter, "k")
        assert await adapter._count(Query("c"), STRONG) == 1
        clock.now = end
        assert await adapter._count(Query("c"), STRONG) == 0
        assert (await adapter._query(Query("c"), STRONG)).records == []
        clock.now += 3_600_000_000
        await adapter.delete("c", "occasion")  # sweeps
        found = await stored(adapter, "k")
        assert found is not None
        assert (found.version, found.expires_at, found.intent) == (version, end, INTENT)
        assert await one(adapter, Release("c", "k", Holds(MINE))) == Outcome(None, False)
        assert traces(raw, prefix) == {}
        await prepare(adapter, "k", expect=ABSENT)

    run(make, body, sweep_interval=0.0)


def test_what_the_server_has_expired_is_not_brought_back(make: Make, raw: redis.Redis, prefix: str) -> None:
    """Where only its index entries are left, also by a clock that is behind, an intent stands alone."""
    start = system_clock()
    late = TestClock()

    async def main() -> None:
        async with make(clock=system_clock) as adapter, make(clock=late) as behind:
            past = (start // 1_000_000) * 1_000_000 - GRACE * 1000 - 5_000_000
            adapter._writer._sweep_at = [2**62]  # type: ignore[union-attr]
            behind._writer._sweep_at = [2**62]  # type: ignore[union-attr]
            for user in (adapter, behind):
                await adapter.set("c", "k", b"v", expires_at=past, fields={"n": 1})
                assert not raw.exists(f"{prefix}r:c:k")
                await prepare(user, "k")
                found = await stored(user, "k")
                assert found == Record("k", b"", "", 0, 0, expires_at=0, intent=INTENT)
                assert traces(raw, prefix) == {"r": 1, "i": 1}
                assert (await one(user, Release("c", "k", Holds(MINE)))).error is None

    asyncio.run(main())


# --- Shards and caches ---------------------------------------------------------------------------------------


def test_several_shards_commit_together(cluster: RedisShardsTarget, namespace: str, clock: TestClock) -> None:
    """A batch over shards is applied as a whole or not at all, and so is a transaction; no intent is left."""

    async def main() -> None:
        async with RedisAdapter.from_url(cluster.url, namespace=namespace, clock=clock, shards=4) as adapter:
            assert not adapter.one_unit
            assert adapter.capabilities.names() == (
                *("conditional", "atomic_batch", "transactions", "ttl", "query", "aggregate", "intents"),
            )
            keys = [f"k{n}" for n in range(12)]
            assert {adapter._atomic_unit("c", key) for key in keys} == {0, 1, 2, 3}
            await adapter.set_batch([Put("c", key, b"v", fields={"n": 1}) for key in keys], atomic=True)
            with pytest.raises(VersionConflict):
                await adapter.write(
                    WriteBatch([*(Delete("c", key) for key in keys), Check("c", "x", "v")], atomic=True)
                )
            async with adapter.transaction() as tx:
                await tx.query(Query("c", Compare("n", Op.EQ, 1)))
                await tx.write([Put("c", "k0", b"w"), Delete("c", "k1"), Put("c", "k12", b"w")])
            assert await adapter.count(Query("c"), STRONG) == 12
            assert await adapter._prepared(None) == []
            for key in keys:
                assert (await one(adapter, Prepare("c", key, INTENT))).error is None
            assert sorted(record.key for _, record in await adapter._prepared("c")) == sorted(keys)
            for key in keys:
                assert (await one(adapter, Release("c", key, Holds(MINE)))).error is None

    asyncio.run(main())


@pytest.mark.parametrize("shards", [1, 3])
def test_a_cache_takes_part_in_nothing(make: Make, shards: int) -> None:
    """What may lose an intent has none; so with several shards it has no atomic batches."""

    async def body(adapter: RedisAdapter) -> None:
        names = ("conditional", "atomic_batch", "ttl", "snapshots") if shards == 1 else ("conditional", "ttl")
        assert adapter.capabilities.names() == names
        with pytest.raises(UnsupportedOperation):
            await adapter.write(WriteBatch([Prepare("c", "k", INTENT)]))
        with pytest.raises(UnsupportedOperation):
            adapter.transaction()
        if shards > 1:
            with pytest.raises(UnsupportedOperation):
                await adapter.set_batch([Put("c", "a", b""), Put("c", "b", b"")], atomic=True)

    run(make, body, shards=shards, cache=True)


# --- What it costs -------------------------------------------------------------------------------------------


def test_writes_pay_nothing_for_intents(make: Make, raw: redis.Redis, clock: TestClock) -> None:
    """A write where nothing is prepared calls what a write has to, and nothing more."""

    async def body(adapter: RedisAdapter) -> None:
        await adapter.set("c", "k", b"v")
        raw.config_resetstat()
        clock.now += 1
        await adapter.set("c", "k", b"w")
        stats: Any = raw.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items()}
        calls = {name: n for name, n in calls.items() if name not in ("info", "config|resetstat")}
        needed = "evalsha get time getrange exists mset zrem zadd hincrby set"
        assert calls == dict.fromkeys(needed.split(), 1)

    run(make, body, sweep_interval=3600.0)
