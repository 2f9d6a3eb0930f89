"""Meeting intents: queries that depend on what is prepared, records that expire meanwhile, readers and writers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from daystore.abc import (
    ABSENT,
    KEEP,
    STRONG,
    Aggregate,
    Aggregation,
    CheckQuery,
    Compare,
    Function,
    Holds,
    Op,
    Query,
    Record,
    Release,
    WriteBatch,
)
from daystore.abc.coordination import Status
from daystore.errors import RecordPrepared, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.preparing import NEEDS, Below, below, expect_done, expect_waiting, seen
from daystore_compliance.records import Records
from daystore_compliance.stepping import promptly

DAY: Final = 86_400
BEFORE: Final = "a=1 b=1 decoy=1"
AFTER: Final = "a=2 decoy=1 new=2"
ENDS: Final[Mapping[str, Status | None]] = {
    "committed": Status.COMMITTED,
    "aborted": Status.ABORTED,
    "forgotten": None,
}
"""How a transaction ends; one that is forgotten without having committed has aborted."""


# --- Checked queries -----------------------------------------------------------------------------------------


@case("intent.queries", requires={*NEEDS, "query", "atomic_batch", "transactions"})
async def queries(env: Env) -> None:
    """A batch with queries waits for what others prepare in their collections, and for nothing else."""
    records, other = env.records(), env.records()
    await records.fill({"a": {"n": 1}, "b": {"n": 2}})
    await other.fill({"x": {"n": 1}})
    query = records.query(Compare("n", Op.EQ, 1))
    elsewhere = Query(other.name, Compare("n", Op.EQ, 1))
    found = [await _checked(records, query), await _checked(other, elsewhere)]
    async with below(records) as raw:
        mine, tx = await raw.begin(), await raw.begin()
        for key in ("a", "b", "new"):  # that is found, that is not, and that is not there
            await raw.prepare(records.a_put(key, fields={"n": 7}), tx, existed=key != "new")
            if raw.participant.one_unit:
                for own in (None, mine, tx[:15] + bytes((tx[15] ^ 1,))):
                    for checks in (found[:1], found, found[::-1]):
                        with raises(RecordPrepared) as caught:
                            await _write(raw, own, other.a_put("y", b"never"), queries=checks)
                        assert (caught.error.key, caught.error.collection) == (None, records.name)
                        assert await other.get("y") is None, "a batch that was refused was applied"
                await _write(raw, tx, other.a_put("y", b"own"), queries=found)
                await _write(raw, None, other.a_put("y", b"elsewhere"), queries=found[1:])
                assert await other.value("y") == b"elsewhere"
                with raises(VersionConflict):
                    await _write(raw, tx, other.a_put("y"), queries=[CheckQuery(query, [("a", "stale")])])
                await other.delete("y")
            await other.write(other.a_put("z"), atomic=True, queries=found[1:])
            writing = asyncio.create_task(other.write(other.a_put("y"), atomic=True, queries=found))
            await expect_waiting([writing], "a batch did not wait for what its query may find")
            await raw.apply(Release(records.name, key, Holds(tx)))
            assert (await promptly(writing, "a batch with queries"))[0].existed is False
            assert await other.delete("y") is True
        await raw.prepare(records.a_put("new", fields={"n": 1}), tx, existed=False)
        writing = asyncio.create_task(other.write(other.a_put("y"), atomic=True, queries=found))
        await expect_waiting([writing], "a batch did not wait for what its query may find")
        await raw.decide(tx, Status.COMMITTED)
        with raises(VersionConflict):
            await promptly(writing, "a batch with queries")
        assert await other.get("y") is None
        assert await records.keys() == ["a", "b", "new"]


async def _write(raw: Below, own: bytes | None, *operations: Any, queries: list[CheckQuery]) -> None:
    await raw.participant.raw_write(WriteBatch(operations, atomic=True, queries=queries, own=own))


async def _checked(records: Records, query: Query) -> CheckQuery:
    page = await records.adapter.query(query)
    return CheckQuery(query, [(record.key, record.version) for record in page.records])


# --- Expiry --------------------------------------------------------------------------------------------------


@case("intent.expires", requires={*NEEDS, "query", "ttl"})
async def expires(env: Env) -> None:
    """What expires while it is prepared is gone for readers, and its intent stays until it is ended."""
    records = env.records()
    env.clock.align()
    mortal = {"fields": {"n": 1}, "expires_at": env.clock.deadline(60)}
    keys = ("applied", "deleted", "released", "late", "decoy", "never", "forever")
    for key in ("applied", "deleted", "released", "decoy"):
        await records.put(key, b"1", **mortal)
    await records.put("late", b"1", expires_at=env.clock.deadline(1))
    await records.put("forever", b"1")
    async with below(records) as raw, below(records.through(records.reader)) as other:
        tx = await raw.begin()
        env.clock.advance(2)
        prepared = ("applied", "deleted", "released", "late", "never", "forever")
        intents: list[bytes | None] = [
            await raw.prepare(
                records.a_put(key, b"2", expires_at=KEEP), tx, existed=key not in ("late", "never")
            )
            for key in prepared
        ]
        env.clock.advance(57.999)
        alive = ["applied", "decoy", "deleted", "forever", "released"]
        assert sorted(await seen(records, *keys)) == alive, "what is prepared expires too early"
        assert await records.keys(Compare("n", Op.EQ, 1)) == [key for key in alive if key != "forever"]
        env.clock.advance(0.001)
        assert list(await seen(records, *keys)) == ["forever"], "what is prepared outlives its deadline"
        for _ in range(5):  # days of sweeps
            for _ in range(2):
                await records.put("occasion")
                await records.delete("occasion")
            assert await other.intents(*prepared) == intents, "a sweep took what is prepared"
            assert set(await other.listed()) == {(records.name, key) for key in prepared}
            env.clock.advance(DAY)
        assert list(await seen(records, *keys)) == ["forever"]
        for key in prepared[:-1]:
            refused = (await raw.apply(records.a_put(key, b"never", expect=ABSENT)))[0].error
            assert type(refused) is RecordPrepared
        change = records.a_put("applied", b"2", expires_at=KEEP, expect=Holds(tx))
        expect_done((await raw.apply(change))[0], version=change.version, existed=False)
        expect_done(
            (await raw.apply(records.a_delete("deleted", expect=Holds(tx))))[0], version=None, existed=False
        )
        for key in ("released", "late", "never", "forever"):
            expect_done(
                (await raw.apply(Release(records.name, key, Holds(tx))))[0],
                version=None,
                existed=key == "forever",
            )
        assert await other.intents(*prepared) == [None] * len(prepared)
        assert await other.listed() == {}
        assert sorted(await seen(records, *keys)) == ["applied", "forever"]
        record = await records.must_get("applied")
        assert (record.value, record.version, record.expires_at) == (b"2", change.version, None)
        assert record.created_at == record.updated_at == env.clock()
        assert [await raw.get(key) for key in ("deleted", "released", "late", "never")] == [None] * 4
        for key in ("deleted", "released", "late", "never"):
            await records.put(key, b"3", if_absent=True)


# --- Readers and writers -------------------------------------------------------------------------------------


@case("intent.reads", requires={*NEEDS, "query", "aggregate"}, variants=ENDS)
async def reads(env: Env, end: Status | None) -> None:
    """Reads of what is being committed tell the state before, strong ones wait, and all know how it ended."""
    records = env.records()
    await records.put("a", b"1", fields={"n": 1})
    await records.put("b", b"1", fields={"n": 1})
    await records.put("decoy", b"1", fields={"n": 1})
    keys = ("a", "b", "decoy", "new")
    before = await seen(records, *keys)
    committed = end is Status.COMMITTED
    async with below(records) as raw:
        tx = await raw.begin()
        version = await _prepare_three(raw, records, tx)
        pending = await promptly(seen(records, *keys), "a read that need not be strong")
        assert pending == before, "a read tells what is not committed"
        waiting: list[asyncio.Task[Any]] = []
        if "strong" in env.capabilities.consistency:
            waiting = [asyncio.create_task(one) for one in _strong(records, keys)]
            await expect_waiting(waiting, "a strong read did not wait for what is being committed")
            assert await seen(records, *keys) == before, "a read waited that need not"
        assert None not in await raw.intents("a", "b", "new")
        env.clock.advance(1)
        await raw.decide(tx, end)
        for found in [await promptly(task, "a strong read") for task in waiting]:
            assert found == (AFTER if committed else BEFORE)
        await _expect_ended(records, raw, before, version if committed else None)


@case("intent.recovers", requires={*NEEDS, "query"}, variants=ENDS)
async def recovers(env: Env, end: Status | None) -> None:
    """Who first reads what an ended transaction has left behind applies it, or takes it back."""
    records = env.records()
    await records.put("a", b"1", fields={"n": 1})
    await records.put("b", b"1", fields={"n": 1})
    await records.put("decoy", b"1", fields={"n": 1})
    before = await seen(records, "a", "b", "decoy", "new")
    async with below(records) as raw:
        tx, pending = await raw.begin(), await raw.begin()
        version = await _prepare_three(raw, records, tx)
        await raw.prepare(records.a_put("decoy", b"never"), pending, existed=True)
        env.clock.advance(1)
        await raw.decide(tx, end)
        await records.reader.read(records.name, ["b", "new", "decoy", "a", "b"])
        assert await raw.intents("a", "b", "new") == [None] * 3, "a read leaves what has ended as it is"
        assert await raw.intents("decoy") != [None], "a read ends what is pending"
        await raw.apply(Release(records.name, "decoy", Holds(pending)))
        await _expect_ended(records, raw, before, version if end is Status.COMMITTED else None)


async def _prepare_three(raw: Below, records: Records, tx: bytes) -> str:
    """Prepare a write, a delete and a new record; return the version of the write."""
    change = records.a_put("a", b"2", fields={"n": 2})
    await raw.prepare(change, tx, existed=True)
    await raw.prepare(records.a_delete("b"), tx, existed=True)
    await raw.prepare(records.a_put("new", b"2", fields={"n": 2}), tx, existed=False, expect=ABSENT)
    return change.version


def _strong(records: Records, keys: tuple[str, ...]) -> list[Coroutine[Any, Any, str]]:
    """Read on every path, strongly; each tells what it found in the same words."""
    adapter, query = records.reader, Query(records.name)
    by_count: dict[Any, str] = {1: AFTER, 3: BEFORE}
    by_sum: dict[Any, str] = {5: AFTER, 3: BEFORE}

    async def read() -> str:
        found = await adapter.read(records.name, keys, STRONG)
        return " ".join(f"{r.key}={r.value.decode()}" for r in found if r is not None)

    async def listed() -> str:
        found = (await adapter.query(query, STRONG)).records
        return " ".join(f"{r.key}={r.value.decode()}" for r in found)

    async def counted() -> str:
        found = await adapter.count(Query(records.name, Compare("n", Op.EQ, 1)), STRONG)
        return by_count.get(found, str(found))

    async def summed() -> str:
        (row,) = await adapter.aggregate(query, Aggregation({"sum": Aggregate(Function.SUM, "n")}), STRONG)
        return by_sum.get(row.values["sum"], str(row.values))

    return [read(), listed(), counted(), summed()]


async def _expect_ended(
    records: Records, raw: Below, before: Mapping[str, Record], version: str | None
) -> None:
    """Expect that nothing is prepared any more, and what was there before, or else was committed."""
    keys = ("a", "b", "decoy", "new")
    assert await raw.intents(*keys) == [None] * 4, "an intent outlives its transaction"
    after = await seen(records, *keys)
    if version is None:
        assert after == before
        return
    assert {key: record.value for key, record in after.items()} == {"a": b"2", "decoy": b"1", "new": b"2"}
    assert after["a"].version == version
    assert dict(after["a"].fields) == {"n": 2}
    assert after["a"].created_at == before["a"].created_at
    assert_same_record(after["decoy"], before["decoy"], "a read")


@case("intent.writes", requires={*NEEDS, "query", "atomic_batch"}, variants=ENDS)
async def writes(env: Env, end: Status | None) -> None:
    """Writes over what is being committed wait until it has ended, and are then judged by what is there."""
    records = env.records()
    committed = end is Status.COMMITTED
    versions = {key: await records.put(key, b"1") for key in ("put", "gone", "stale", "check", "one", "two")}
    writer = records.through(records.reader)
    async with below(records) as raw:
        tx = await raw.begin()
        for key in ("put", "gone", "stale", "check", "one", "new", "batch"):
            change = records.a_put(key, b"2")
            await raw.prepare(change, tx, existed=key in versions)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(one)
            for one in (
                writer.put("put", b"3"),
                writer.delete("gone"),
                writer.put("stale", b"3", if_version=versions["stale"]),
                writer.write(writer.a_check("check", versions["check"]), atomic=True),
                writer.write(writer.a_put("one", b"3"), writer.a_put("two", b"3"), atomic=True),
                writer.put("new", b"3", if_absent=True),
                writer.write(writer.a_put("batch", b"3"), writer.a_put("free", b"3")),
            )
        ]
        await expect_waiting(tasks, "a write did not wait for what is being committed")
        assert await records.value("two") == b"1", "a part of an atomic batch was applied"
        await raw.decide(tx, end)
        ended: list[Any] = await promptly(asyncio.gather(*tasks, return_exceptions=True), "a write")
        failed = [type(one) is VersionConflict for one in ended]
        assert failed == [False, False, committed, committed, False, committed, False], ended
        put, deleted, _, _, both, _, batch = ended
        assert deleted is True
        assert (await records.must_get("put")).version == put
        assert [one.existed for one in both] == [True, True]
        assert [(one.error, one.existed) for one in batch] == [(None, committed), (None, False)]
        kept = b"2" if committed else b"3"
        assert await raw.listed() == {}
        await records.expect(
            {
                "put": b"3",
                "stale": kept,
                "one": b"3",
                "two": b"3",
                "new": kept,
                "batch": b"3",
                "free": b"3",
                "check": b"2" if committed else b"1",
            },
            "gone",
        )
