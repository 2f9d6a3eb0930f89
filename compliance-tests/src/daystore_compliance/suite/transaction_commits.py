"""Commits: of any size and over any collections one step, beside other adapters and plain writes too."""

from __future__ import annotations

import asyncio
from typing import Any

from daystore.abc import ABSENT, Compare, Delete, Op, Outcome, Put, RecordTransaction, WriteBatch
from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    LimitExceeded,
    OutcomeUnknown,
    TransactionConflict,
    VersionConflict,
)
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.transacting import NEEDS, begin, put, value


@case("txn.collections_together", requires=NEEDS)
async def collections_together(env: Env) -> None:
    """A conflict in any one of three collections leaves all three as they were."""
    places = [env.records() for _ in range(3)]
    for place in places:
        await place.fill(["a", "b", "x"])
    for stale in places:
        with raises(TransactionConflict):
            async with begin(places[0]) as tx:
                await tx.read(stale.name, ["x"])
                for place in places:
                    await tx.write([place.a_put("a", b"new"), place.a_put("new"), place.a_delete("b")])
                await stale.put("x", b"x")
        with raises(VersionConflict) as caught:
            changes = [(place.a_put("a", b"new"), place.a_delete("b")) for place in places]
            check = stale.a_check("x", ABSENT)
            await places[0].write(*(change for pair in changes for change in pair), check, atomic=True)
        assert (caught.error.collection, caught.error.index) == (stale.name, 6)
        for place in places:
            await place.expect({"a": b"a", "b": b"b", "x": b"x"}, "new")


@case("txn.compare_and_put", requires=NEEDS)
async def compare_and_put(env: Env) -> None:
    """A commit of one read and one change does exactly that change, for every pair of what was there."""
    for read in ("same", "there", "missing"):
        for target in ("there", "missing"):
            for change in ("put", "delete"):
                records = env.records()
                await records.fill(["other", *(["a"] if target == "there" else [])])
                async with begin(records) as tx:
                    await tx.read(records.name, [{"same": "a", "there": "other", "missing": "gone"}[read]])
                    kept: Put | Delete = records.a_put("a", b"new", fields={"n": 1})
                    if change == "delete":
                        kept = records.a_delete("a")
                    assert await tx.write([kept]) in ([target == "there"], [False])
                expected = {"other": b"other"} | ({"a": b"new"} if change == "put" else {})
                await records.expect(expected, "a", "gone")
                if isinstance(kept, Put):
                    record = await records.must_get("a")
                    assert (record.version, dict(record.fields)) == (kept.version, {"n": 1})


@case("txn.sizes", requires=NEEDS, variants={"1": 1, "2": 2, "101": 101, "1000": 1000})
async def sizes(env: Env, size: int) -> None:
    """A commit of any number of changes is applied whole, and not at all if its last record is stale."""
    records = env.records()
    size = min(size, (env.capabilities.limits.max_atomic_ops or size) - 1) or 1
    keys = [f"k{n:04}" for n in range(size)]
    await records.fill(keys)
    before = [(record.key, record.version) for record in (await records.page()).records]
    begun = begin(records)
    tx = await begun.__aenter__()
    await tx.read(records.name, [keys[-1]])
    await tx.write([records.a_put(key, b"new") for key in keys])
    await records.put(keys[-1], b"by another")
    with raises(TransactionConflict):
        await begun.__aexit__(None, None, None)
    after = (await records.page()).records
    assert [(record.key, record.version) for record in after][:-1] == before[:-1]
    assert (after[-1].key, after[-1].value) == (keys[-1], b"by another")
    async with begin(records) as tx:
        await tx.read(records.name, [keys[-1]])
        await tx.write([records.a_put(key, b"new") for key in keys])
    assert [(record.key, record.value) for record in (await records.page()).records] == [
        (key, b"new") for key in keys
    ]


@case("txn.version_kept", requires=NEEDS)
async def version_kept(env: Env) -> None:
    """The version that a write in a transaction was given is that of the record after the commit."""
    storage = env.storage()
    notes, records = storage.store("notes"), env.records("notes")
    await notes.set("a", 0)
    one = records.a_put("raw", b"1", fields={"n": 1})
    async with begin(records) as tx:
        await tx.write([one])
        found = (await tx.read(records.name, ["raw"]))[0]
        assert found is not None
        assert found.version == one.version
    assert (await records.must_get("raw")).version == one.version
    async with storage.transaction() as outer:
        mine = outer[notes]
        versions = {"a": await mine.set("a", 1), **await mine.set_batch({"b": 2, "c": 3})}
        assert {
            key: entry.version for key, entry in (await mine.entries(["a", "b", "c"])).items()
        } == versions
    assert {key: entry.version for key, entry in (await notes.entries(["a", "b", "c"])).items()} == versions
    await notes.set("a", 2, if_version=versions["a"])
    with raises(VersionConflict):
        await notes.set("b", 2, if_version=versions["c"])


@case("txn.conflict_across", requires=NEEDS, needs={"second"})
async def conflict_across(env: Env) -> None:
    """What another adapter on the same data has changed, created, deleted or added to a query is a conflict."""
    records = env.records()
    other = records.through(await env.second())
    for how in ("changed", "created", "deleted", "phantom", "beside"):
        await records.fill({"a": {"n": 1}})
        try:
            async with begin(records) as tx:
                await tx.read(records.name, ["a", "new"])
                if how == "phantom":
                    await tx.count(records.query(Compare("n", Op.EQ, 1)))
                await put(tx, records, "side")
                match how:
                    case "changed":
                        await other.put("a", b"by another", fields={"n": 1})
                    case "created":
                        await other.put("new", b"by another")
                    case "deleted":
                        await other.delete("a")
                    case _:
                        await other.put("b", b"by another", fields={"n": 1})
            committed = True
        except TransactionConflict:
            committed = False
        assert committed is (how == "beside"), how
        assert await other.value("side") == (b"tx" if committed else None)
        await env.adapter.delete_batch(records.name, ["new", "b", "side"])


@case("txn.counters_apart", requires=NEEDS)
async def counters_apart(env: Env) -> None:
    """Transactions and conditional writes on two adapters that count one record up lose no count."""
    records = env.records()
    places = [records, records.through(await env.second()) if "second" in env.target.hooks else records]
    await records.put("n", b"0")
    rounds, lost = env.scale(6, 40), 0

    async def pause() -> None:
        for _ in range(env.random.randrange(4)):
            await asyncio.sleep(0)

    async def transact(place: Records) -> None:
        async with begin(place) as tx:
            number = int(await value(tx, place, "n") or b"0")
            await pause()
            await put(tx, place, "n", b"%d" % (number + 1))
            await put(tx, place, "side", b"%d" % number)

    async def compare(place: Records) -> None:
        record = await place.must_get("n")
        await pause()
        await place.put("n", b"%d" % (int(record.value) + 1), if_version=record.version)

    async def worker(number: int) -> None:
        nonlocal lost
        for _ in range(rounds):
            while True:
                try:
                    await (transact if number % 4 < 2 else compare)(places[number % 2])
                except (TransactionConflict, VersionConflict):
                    lost += 1
                else:
                    break

    await asyncio.gather(*map(worker, range(8)))
    assert lost > 0, "the writers did not overlap"
    assert await records.value("n") == b"%d" % (8 * rounds)


@case("txn.paused", requires=NEEDS)
async def paused(env: Env) -> None:
    """A transaction that pauses for days still finds out what has changed since, and commits if nothing has."""
    records = env.records()
    await records.fill({"a": {"n": 1}, "b": {"n": 2}})
    for changed in (True, False):
        begun = begin(records)
        tx = await begun.__aenter__()
        assert await value(tx, records, "a") == b"a"
        assert await tx.count(records.query(Compare("n", Op.GE, 2))) == 1
        await put(tx, records, "a", b"late", fields={"n": 1})
        for _ in range(3):
            env.clock.advance(86_400)
            await records.put("elsewhere", b"meanwhile")
        if changed:
            await records.put("a", b"a", fields={"n": 1})
            with raises(TransactionConflict):
                await begun.__aexit__(None, None, None)
        else:
            await begun.__aexit__(None, None, None)
        await records.expect({"a": b"a" if changed else b"late", "b": b"b", "elsewhere": b"meanwhile"})


class _Failing:
    """An adapter whose next atomic write fails: before it is applied, or after it."""

    def __init__(self, adapter: Any, error: BaseException, *, applied: bool) -> None:
        self._adapter, self._error, self._applied = adapter, error, applied
        self.failed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Fail."""
        self.failed += 1
        if self._applied:
            await self._adapter.write(batch)
        raise self._error


@case("txn.failed_commit_raises", requires=NEEDS)
async def failed_commit_raises(env: Env) -> None:
    """A commit that fails raises what it failed with, and the state of the transaction says what is known."""
    records = env.records()
    begun = env.adapter.transaction()
    kind = type(begun) if isinstance(begun, RecordTransaction) else RecordTransaction
    failures: list[tuple[DaystoreError, str]] = [
        (OutcomeUnknown("the reply is lost"), "unknown"),
        (BackendUnavailable("gone"), "aborted"),
        (LimitExceeded("too large"), "aborted"),
    ]
    for number, (error, state) in enumerate(failures):
        applied = state == "unknown"
        failing: Any = _Failing(env.adapter, error, applied=applied)
        with raises(type(error)) as caught:
            async with kind(failing) as tx:
                await tx.read(records.name, ["missing"])
                await put(tx, records, f"k{number}")
        assert caught.error is error
        assert (tx.state, failing.failed) == (state, 1), "a commit is tried once"
        await records.expect({"k0": b"tx"}, f"k{number}", "missing")
