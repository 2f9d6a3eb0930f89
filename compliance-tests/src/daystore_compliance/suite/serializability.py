"""Transactions beside others: what they read and wrote happened at one instant, or did not happen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from daystore.abc import (
    Compare,
    Op,
    Query,
    RecordTransaction,
)
from daystore.errors import TransactionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.overlapping import going_on
from daystore_compliance.transacting import NEEDS, begin, put, value


@case("txn.repeatable_read", requires=NEEDS)
async def repeatable_read(env: Env) -> None:
    """What a transaction has read it reads the same again, and it cannot commit once that is out of date."""
    records = env.records()
    await records.fill(["a", "gone"])
    for write in (True, False):
        with raises(TransactionConflict):
            async with begin(records) as tx:
                first = [await value(tx, records, key) for key in ("a", "gone", "new")]
                await records.put("a", b"by another")
                await records.delete("gone")
                await records.put("new", b"by another")
                assert [await value(tx, records, key) for key in ("a", "gone", "new")] == first
                if write:
                    await put(tx, records, "result")
        await records.expect({"a": b"by another", "new": b"by another"}, "gone", "result")
        await records.delete("new")
        await records.fill(["a", "gone"])


@case("txn.conflict", requires=NEEDS)
async def conflict(env: Env) -> None:
    """Of two transactions that read and change one record exactly one commits; the other is told."""
    records = env.records()
    await records.put("a", b"0")
    first, second = begin(records), begin(records)
    with raises(TransactionConflict) as caught:
        async with second as late:
            assert await value(late, records, "a") == b"0"
            async with first as early:
                assert await value(early, records, "a") == b"0"
                await put(early, records, "a", b"early")
            await put(late, records, "a", b"late")
            await put(late, records, "side")
    assert caught.error.retryable is True
    assert caught.error.backend == env.adapter.name
    assert late.state == "aborted"
    await records.expect({"a": b"early"}, "side")


@case("txn.stale_each", requires=NEEDS)
async def stale_each(env: Env) -> None:
    """A record that changed after it was read fails the commit, be it then written or only read."""
    records = env.records()
    for change in ("overwritten", "deleted", "recreated"):
        for use in ("put", "delete", "read"):
            await records.put("a", b"0")
            with raises(TransactionConflict):
                async with begin(records) as tx:
                    await tx.read(records.name, ["a"])
                    await put(tx, records, "side")
                    if use == "put":
                        await put(tx, records, "a")
                    elif use == "delete":
                        await tx.write([records.a_delete("a")])
                    if change != "overwritten":
                        await records.delete("a")
                    if change != "deleted":
                        await records.put("a", b"0")
            await records.expect({} if change == "deleted" else {"a": b"0"}, "side", "a")


@case("txn.missing_key_checked", requires=NEEDS)
async def missing_key_checked(env: Env) -> None:
    """That a key was missing is something read: a commit fails if somebody has created it since."""
    records = env.records()
    for use in ("put", "delete", "read"):
        with raises(TransactionConflict):
            async with begin(records) as tx:
                assert await value(tx, records, "a") is None
                await put(tx, records, "side")
                if use == "put":
                    await put(tx, records, "a")
                elif use == "delete":
                    await tx.write([records.a_delete("a")])
                await records.put("a", b"by another")
        await records.expect({"a": b"by another"}, "side")
        await records.delete("a")


@case("txn.write_skew", requires=NEEDS)
async def write_skew(env: Env) -> None:
    """Two transactions that each read what the other writes, also by absence, cannot both commit."""
    records = env.records()

    async def leave(tx: RecordTransaction, me: str, how: str) -> None:
        if how == "query":
            assert await tx.count(records.query(Compare("on", Op.EQ, True))) == 2
        else:
            found = await tx.read(records.name, ["alice", "bob"])
            assert sum(r is not None for r in found) == (2 if how == "key" else 0)
        await put(tx, records, me, b"off", fields={"on": False})

    for how in ("key", "query", "absent"):
        if how != "absent":
            await records.fill({"alice": {"on": True}, "bob": {"on": True}})
        else:
            await env.adapter.delete_batch(records.name, ["alice", "bob"])
        with raises(TransactionConflict):
            async with begin(records) as one:
                await leave(one, "alice", how)
                async with begin(records) as two:
                    await leave(two, "bob", how)
        left = await records.state("alice", "bob")
        assert left["bob"].value == b"off"
        assert ("alice" in left) is (how != "absent")


@case("txn.phantom", requires=NEEDS)
async def phantom(env: Env) -> None:
    """A query is run again at commit: a record that came, went or changed in it fails the commit."""
    records = env.records()
    where = Compare("n", Op.GE, 5)

    async def changes(name: str) -> None:
        match name:
            case "comes":
                await records.put("new", fields={"n": 9})
            case "goes":
                await records.delete("k5")
            case "enters":
                await records.put("k1", fields={"n": 6})
            case "leaves":
                await records.put("k5", fields={"n": 0})
            case _:
                await records.put("k5", fields={"n": 5})

    reads: dict[str, Callable[[RecordTransaction], Awaitable[object]]] = {
        "query": lambda tx: tx.query(records.query(where)),
        "count": lambda tx: tx.count(records.query(where)),
        "page": lambda tx: tx.query(records.query(where, limit=10)),
    }
    for read in reads.values():
        for name in ("comes", "goes", "enters", "leaves", "rewritten"):
            await records.fill({f"k{n}": {"n": n} for n in range(7)})
            with raises(TransactionConflict):
                async with begin(records) as tx:
                    await read(tx)
                    await put(tx, records, "side")
                    await changes(name)
            assert await records.get("side") is None, f"committed beside a record that {name}"
            await records.delete("new")


@case("txn.phantom_empty", requires=NEEDS)
async def phantom_empty(env: Env) -> None:
    """A query that found nothing is run again as well."""
    records, other = env.records(), env.records()
    for read in ("query", "count"):
        with raises(TransactionConflict):
            async with begin(records) as tx:
                if read == "query":
                    assert (await tx.query(Query(records.name))).records == []
                else:
                    assert await tx.count(Query(records.name)) == 0
                await put(tx, other, "first")
                await records.put("a")
        await other.expect({}, "first")
        await records.delete("a")


@case("txn.others_unaffected", requires=NEEDS)
async def unrelated_writes(env: Env) -> None:
    """Writes of others elsewhere neither fail a transaction nor are rolled back with it."""
    records, other = env.records(), env.records()
    await records.fill({"a": {"n": 1}, "z": {"n": 9}})
    async with begin(records) as tx:
        assert await tx.count(records.query(Compare("n", Op.LT, 5))) == 1
        await put(tx, records, "a", fields={"n": 2})
        await records.put("z", b"by another", fields={"n": 10})
        await records.put("y", b"by another", fields={"n": 11})
        await other.put("a", b"by another")
    await records.expect({"a": b"tx", "y": b"by another", "z": b"by another"})
    with raises(RuntimeError):
        async with begin(records) as tx:
            await put(tx, records, "a", b"never")
            await records.put("during", b"by another")
            raise RuntimeError("roll back")
    await records.expect({"a": b"tx", "during": b"by another", "y": b"by another", "z": b"by another"})
    await other.expect({"a": b"by another"})


@case("txn.blind_writes", requires=NEEDS)
async def blind_writes(env: Env) -> None:
    """A write without a read conflicts with nobody: the last commit wins."""
    records = env.records()
    await records.put("a", b"0")
    async with begin(records) as tx:
        await put(tx, records, "a", b"mine")
        await records.put("a", b"by another")
    await records.expect({"a": b"mine"})
    async with begin(records) as tx:
        await tx.write([records.a_delete("a")])
        await records.put("a", b"by another")
    await records.expect({}, "a")


@case("txn.commit_visible_all_or_none", requires=NEEDS | {"snapshots"})
async def commit_visible_all_or_none(env: Env) -> None:
    """A reader beside commits of twenty records sees all of one commit, never some of it."""
    records = env.records()
    reader = records.through(await env.second() if "second" in env.target.hooks else env.adapter)
    keys = [f"k{n:02}" for n in range(20)]
    done = False
    seen: set[bytes | None] = set()

    async def commit() -> None:
        nonlocal done
        for number in going_on(env.scale(20, 200), lambda: len(seen) > 2):
            async with begin(records) as tx:
                for key in keys:
                    await put(tx, records, key, b"%d" % number)
                    await asyncio.sleep(0)
        done = True

    async def watch() -> None:
        while not done:
            values = {None if r is None else r.value for r in await reader.read(*keys)}
            assert len(values) == 1, "a reader sees part of a commit"
            assert await reader.count() in (0, len(keys))
            seen.update(values)
            await asyncio.sleep(0)

    await asyncio.gather(commit(), watch())
    assert len(seen) > 2, "the reader did not overlap with the commits"


@case("txn.counters", requires=NEEDS)
async def counters(env: Env) -> None:
    """Transfers between accounts, run again on conflict, lose nothing and count each once."""
    records = env.records()
    names = ["a", "b", "c", "d"]
    await env.adapter.set_batch([records.a_put(name, b"100") for name in names])
    conflicts = 0

    async def transfer(source: str, target: str) -> None:
        nonlocal conflicts
        while True:
            try:
                async with begin(records) as tx:
                    have = [int((await value(tx, records, name)) or 0) for name in (source, target)]
                    await asyncio.sleep(0)
                    await put(tx, records, source, b"%d" % (have[0] - 1))
                    await put(tx, records, target, b"%d" % (have[1] + 1))
            except TransactionConflict:
                conflicts += 1
            else:
                return

    async def worker(number: int) -> None:
        for step in range(env.scale(10, 50)):
            source = names[(number + step) % 4]
            await transfer(source, names[(number + step + 1 + number % 3) % 4])
            await _put_count(number)

    async def _put_count(number: int) -> None:
        record = await records.get(f"count{number}")
        await records.put(f"count{number}", b"%d" % (int(record.value) + 1 if record else 1))

    await asyncio.gather(*(worker(number) for number in range(8)))
    assert conflicts > 0, "the transfers did not overlap"
    state = await records.state()
    assert sum(int(state[name].value) for name in names) == 400
    assert [int(state[f"count{number}"].value) for number in range(8)] == [env.scale(10, 50)] * 8


@case("txn.read_only", requires=NEEDS)
async def read_only(env: Env) -> None:
    """A transaction that only reads commits if all it read belongs to one instant, and changes no version."""
    records = env.records()
    await records.fill(["a", "b"])
    before = [r and r.version for r in await records.read("a", "b")]
    async with begin(records) as tx:
        await tx.read(records.name, ["a", "b", "missing"])
        await tx.query(Query(records.name))
    assert [r and r.version for r in await records.read("a", "b")] == before
    with raises(TransactionConflict):
        async with begin(records) as tx:
            await tx.read(records.name, ["a"])
            await records.put("a", b"by another")
            await records.put("b", b"by another")
            await tx.read(records.name, ["b"])
