"""Transactions: serializable, and nothing of them anywhere before their commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from daystore.abc import (
    ABSENT,
    KEEP,
    Aggregate,
    Aggregation,
    Compare,
    Function,
    Op,
    Order,
    Query,
    Record,
    RecordTransaction,
    StorageAdapter,
)
from daystore.errors import LimitExceeded, TransactionClosed, TransactionConflict, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records

NEEDS = {"transactions", "query"}


def _begin(records: Records) -> AbstractAsyncContextManager[RecordTransaction]:
    return records.adapter.transaction()


async def _value(tx: RecordTransaction, records: Records, key: str) -> bytes | None:
    record = (await tx.read(records.name, [key]))[0]
    return None if record is None else record.value


async def _put(
    tx: RecordTransaction, records: Records, key: str, value: bytes = b"tx", **options: object
) -> None:
    await tx.write([records.a_put(key, value, **options)])


@case("txn.commit_applies", requires=NEEDS)
async def commit_applies(env: Env) -> None:
    """A commit applies every change of a transaction, over several collections, exactly as written."""
    one, two = env.records(), env.records()
    await one.fill(["a", "b", "c"])
    await two.fill(["a"])
    async with _begin(one) as tx:
        await _put(tx, one, "a", b"changed", fields={"n": 1})
        await tx.write(
            [one.a_delete("b"), two.a_put("new", b"2"), two.a_delete("a"), two.a_delete("missing")]
        )
        await _put(tx, one, "twice", b"first")
        await _put(tx, one, "twice", b"last")
        await _put(tx, one, "brief")
        await tx.write([one.a_delete("brief")])
    assert tx.state == "committed"
    await one.expect({"a": b"changed", "c": b"c", "twice": b"last"}, "b", "brief")
    await two.expect({"new": b"2"}, "a", "missing")
    assert dict((await one.must_get("a")).fields) == {"n": 1}


@case("txn.rollback_on_exception", requires=NEEDS)
async def rollback_on_exception(env: Env) -> None:
    """An exception in the block propagates as it is, and leaves nothing of the transaction behind."""
    records = env.records()
    await records.fill(["a", "b"])
    boom = RuntimeError("boom")
    with raises(RuntimeError) as caught:
        async with _begin(records) as tx:
            await _put(tx, records, "a")
            await tx.write([records.a_delete("b"), records.a_put("new")])
            await tx.query(Query(records.name))
            raise boom
    assert caught.error is boom
    assert tx.state == "aborted"
    await records.expect({"a": b"a", "b": b"b"}, "new")


@case("txn.abort", requires=NEEDS)
async def abort(env: Env) -> None:
    """An aborted transaction leaves nothing behind, and its block ends without an error."""
    records = env.records()
    await records.fill(["a"])
    async with _begin(records) as tx:
        await _put(tx, records, "a")
        await _put(tx, records, "new")
        tx.abort()
    assert tx.state == "aborted"
    await records.expect({"a": b"a"}, "new")


@case("txn.read_your_writes", requires=NEEDS | {"aggregate"})
async def read_your_writes(env: Env) -> None:
    """A transaction sees its own changes: by key, query, count, order, page and aggregate."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n} for n in range(6)})
    where = Compare("n", Op.GE, 2)
    async with _begin(records) as tx:
        await _put(tx, records, "k1", fields={"n": 10})
        await _put(tx, records, "new", fields={"n": 3})
        await tx.write([records.a_delete("k4"), records.a_delete("k0")])
        await _put(tx, records, "k5", fields={})
        found = await tx.read(records.name, ["k0", "k1", "new", "k2", "k0"])
        assert [r and r.value for r in found] == [None, b"tx", b"tx", b"k2", None]
        page = await tx.query(records.query())
        assert [r.key for r in page.records] == ["k1", "k2", "k3", "k5", "new"]
        page = await tx.query(records.query(where))
        assert [r.key for r in page.records] == ["k1", "k2", "k3", "new"]
        page = await tx.query(records.query(where, Order("n", descending=True), limit=2))
        assert [r.key for r in page.records] == ["k1", "k3"]
        page = await tx.query(records.query(where, "n", limit=2, offset=1))
        assert [r.key for r in page.records] == ["k3", "new"]
        assert await tx.count(records.query(where)) == 4
        sums = Aggregation({"sum": Aggregate(Function.SUM, "n")})
        rows = await tx.aggregate(records.query(), sums)
        assert rows[0].values == {"sum": 18}
        assert await records.keys(where) == ["k2", "k3", "k4", "k5"], "others see it before the commit"
    assert await records.keys(where) == ["k1", "k2", "k3", "new"]


@case("txn.no_dirty_read", requires=NEEDS)
async def no_dirty_read(env: Env) -> None:
    """Nobody sees an uncommitted write: not by key, query, count or another transaction."""
    records = env.records()
    await records.fill({"a": {"n": 1}, "b": {"n": 1}})
    async with _begin(records) as tx:
        await _put(tx, records, "a", fields={"n": 2})
        await tx.write([records.a_delete("b"), records.a_put("new", fields={"n": 2})])
        await records.expect({"a": b"a", "b": b"b"}, "new")
        assert await records.keys(Compare("n", Op.EQ, 2)) == []
        async with _begin(records) as other:
            assert await _value(other, records, "a") == b"a"
            assert await other.count(Query(records.name)) == 2
    await records.expect({"a": b"tx", "new": b"new"}, "b")


@case("txn.repeatable_read", requires=NEEDS)
async def repeatable_read(env: Env) -> None:
    """What a transaction has read it reads the same again, and it cannot commit once that is out of date."""
    records = env.records()
    await records.fill(["a", "gone"])
    for write in (True, False):
        with raises(TransactionConflict):
            async with _begin(records) as tx:
                first = [await _value(tx, records, key) for key in ("a", "gone", "new")]
                await records.put("a", b"by another")
                await records.delete("gone")
                await records.put("new", b"by another")
                assert [await _value(tx, records, key) for key in ("a", "gone", "new")] == first
                if write:
                    await _put(tx, records, "result")
        await records.expect({"a": b"by another", "new": b"by another"}, "gone", "result")
        await records.delete("new")
        await records.fill(["a", "gone"])


@case("txn.conflict", requires=NEEDS)
async def conflict(env: Env) -> None:
    """Of two transactions that read and change one record exactly one commits; the other is told."""
    records = env.records()
    await records.put("a", b"0")
    first, second = _begin(records), _begin(records)
    with raises(TransactionConflict) as caught:
        async with second as late:
            assert await _value(late, records, "a") == b"0"
            async with first as early:
                assert await _value(early, records, "a") == b"0"
                await _put(early, records, "a", b"early")
            await _put(late, records, "a", b"late")
            await _put(late, records, "side")
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
                async with _begin(records) as tx:
                    await tx.read(records.name, ["a"])
                    await _put(tx, records, "side")
                    if use == "put":
                        await _put(tx, records, "a")
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
            async with _begin(records) as tx:
                assert await _value(tx, records, "a") is None
                await _put(tx, records, "side")
                if use == "put":
                    await _put(tx, records, "a")
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
        await _put(tx, records, me, b"off", fields={"on": False})

    for how in ("key", "query", "absent"):
        if how != "absent":
            await records.fill({"alice": {"on": True}, "bob": {"on": True}})
        else:
            await env.adapter.delete_batch(records.name, ["alice", "bob"])
        with raises(TransactionConflict):
            async with _begin(records) as one:
                await leave(one, "alice", how)
                async with _begin(records) as two:
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
                async with _begin(records) as tx:
                    await read(tx)
                    await _put(tx, records, "side")
                    await changes(name)
            assert await records.get("side") is None, f"committed beside a record that {name}"
            await records.delete("new")


@case("txn.phantom_empty", requires=NEEDS)
async def phantom_empty(env: Env) -> None:
    """A query that found nothing is run again as well."""
    records, other = env.records(), env.records()
    for read in ("query", "count"):
        with raises(TransactionConflict):
            async with _begin(records) as tx:
                if read == "query":
                    assert (await tx.query(Query(records.name))).records == []
                else:
                    assert await tx.count(Query(records.name)) == 0
                await _put(tx, other, "first")
                await records.put("a")
        await other.expect({}, "first")
        await records.delete("a")


@case("txn.unrelated_writes", requires=NEEDS)
async def unrelated_writes(env: Env) -> None:
    """Writes of others elsewhere neither fail a transaction nor are rolled back with it."""
    records, other = env.records(), env.records()
    await records.fill({"a": {"n": 1}, "z": {"n": 9}})
    async with _begin(records) as tx:
        assert await tx.count(records.query(Compare("n", Op.LT, 5))) == 1
        await _put(tx, records, "a", fields={"n": 2})
        await records.put("z", b"by another", fields={"n": 10})
        await records.put("y", b"by another", fields={"n": 11})
        await other.put("a", b"by another")
    await records.expect({"a": b"tx", "y": b"by another", "z": b"by another"})
    with raises(RuntimeError):
        async with _begin(records) as tx:
            await _put(tx, records, "a", b"never")
            await records.put("during", b"by another")
            raise RuntimeError("roll back")
    await records.expect({"a": b"tx", "during": b"by another", "y": b"by another", "z": b"by another"})
    await other.expect({"a": b"by another"})


@case("txn.blind_writes", requires=NEEDS)
async def blind_writes(env: Env) -> None:
    """A write without a read conflicts with nobody: the last commit wins."""
    records = env.records()
    await records.put("a", b"0")
    async with _begin(records) as tx:
        await _put(tx, records, "a", b"mine")
        await records.put("a", b"by another")
    await records.expect({"a": b"mine"})
    async with _begin(records) as tx:
        await tx.write([records.a_delete("a")])
        await records.put("a", b"by another")
    await records.expect({}, "a")


@case("txn.own_query_with_limit", requires=NEEDS)
async def own_query_with_limit(env: Env) -> None:
    """A limited query beside own inserts, updates and deletes before it commits when nobody else wrote."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n} for n in range(10)})
    async with _begin(records) as tx:
        await _put(tx, records, "a-first", fields={"n": -1})
        page = await tx.query(records.query(limit=3))
        assert [r.key for r in page.records] == ["a-first", "k0", "k1"]
        await tx.write([records.a_delete("k0")])
        page = await tx.query(records.query(None, "n", limit=2, offset=1))
        assert [r.key for r in page.records] == ["k1", "k2"]
        await _put(tx, records, "k1", fields={"n": 100})
        page = await tx.query(records.query(None, Order("n", descending=True), limit=2))
        assert [r.key for r in page.records] == ["k1", "k9"]
    assert await records.keys(limit=3) == ["a-first", "k1", "k2"]


@case("txn.pages", requires=NEEDS)
async def pages(env: Env) -> None:
    """Inside a transaction paging covers the result exactly, own changes included."""
    records = env.records()
    await records.fill({f"k{n:02}": {"n": n % 4} for n in range(20)})
    async with _begin(records) as tx:
        await _put(tx, records, "k05x", fields={"n": 1})
        await tx.write([records.a_delete("k10")])
        for order in (Order(), Order("n", descending=True)):
            everything = [r.key for r in (await tx.query(records.query(None, order))).records]
            found: list[str] = []
            cursor = None
            while True:
                page = await tx.query(records.query(None, order, limit=6, cursor=cursor))
                found += [r.key for r in page.records]
                if page.cursor is None:
                    break
                cursor = page.cursor
                assert len(found) <= len(everything), "paging does not come to an end"
            assert found == everything
            assert set(found) == {f"k{n:02}" for n in range(20)} - {"k10"} | {"k05x"}


@case("txn.conditions", requires=NEEDS)
async def conditions(env: Env) -> None:
    """Conditions are judged at once by what the transaction sees, and again at commit."""
    records = env.records()
    version = await records.put("a", b"0")
    async with _begin(records) as tx:
        await _put(tx, records, "a", b"1", expect=version)
        with raises(VersionConflict):
            await _put(tx, records, "a", b"2", expect=version)
        with raises(VersionConflict):
            await _put(tx, records, "a", b"2", expect=ABSENT)
        await _put(tx, records, "new", b"1", expect=ABSENT)
        with raises(VersionConflict):
            await _put(tx, records, "new", b"2", expect=ABSENT)
        with raises(VersionConflict):
            await tx.write([records.a_put("kept-back"), records.a_delete("missing", expect=version)])
    await records.expect({"a": b"1", "new": b"1"}, "kept-back", "missing")
    with raises(TransactionConflict):
        async with _begin(records) as tx:
            await _put(tx, records, "other", expect=ABSENT)
            await records.put("other", b"by another")
    await records.expect({"a": b"1", "new": b"1", "other": b"by another"})


@case("txn.use_after_end", requires=NEEDS)
async def use_after_end(env: Env) -> None:
    """After its end, however it came, every method of a transaction raises TransactionClosed."""
    records = env.records()
    ended: list[RecordTransaction] = []
    async with _begin(records) as tx:
        ended.append(tx)
    async with _begin(records) as tx:
        ended.append(tx)
        tx.abort()
    with raises(RuntimeError):
        async with _begin(records) as tx:
            ended.append(tx)
            raise RuntimeError("end")
    for tx in ended:
        for name, operation in _operations(tx, records).items():
            with raises(TransactionClosed):
                await operation()
            assert tx.state in ("committed", "aborted"), name
        with raises(TransactionClosed):
            tx.abort()
    await records.expect({}, "a")


def _operations(tx: RecordTransaction, records: Records) -> dict[str, Callable[[], Awaitable[object]]]:
    query, count = Query(records.name), Aggregation({"n": Aggregate(Function.COUNT)})
    return {
        "read": lambda: tx.read(records.name, ["a"]),
        "query": lambda: tx.query(query),
        "count": lambda: tx.count(query),
        "aggregate": lambda: tx.aggregate(query, count),
        "write": lambda: tx.write([records.a_put("a")]),
        "commit": tx.commit,
    }


class _Yielding:
    """An adapter that lets other tasks run before it reads, as one with a network in between does."""

    def __init__(self, adapter: StorageAdapter) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def read(self, *arguments: Any) -> list[Record | None]:
        """Read, a turn of the event loop later."""
        await asyncio.sleep(0)
        return await self._adapter.read(*arguments)


@case("txn.concurrent_use", requires=NEEDS)
async def concurrent_use(env: Env) -> None:
    """A transaction that two tasks use at once refuses the second with TransactionClosed."""
    records = env.records()
    await records.fill(["a", "b"])
    yielding: Any = _Yielding(env.adapter)
    begun = env.adapter.transaction()
    kind = type(begun) if isinstance(begun, RecordTransaction) else RecordTransaction
    async with kind(yielding) as tx:
        reads = [tx.read(records.name, [key]) for key in "abab"]
        first, *others = await asyncio.gather(*reads, return_exceptions=True)
        assert not isinstance(first, BaseException)
        assert [r and r.value for r in first] == [b"a"]
        assert [type(other) for other in others] == [TransactionClosed] * 3
        assert await _value(tx, records, "a") == b"a", "a refused use has broken the transaction"
        await _put(tx, records, "b", b"after")
    await records.expect({"a": b"a", "b": b"after"})


@case("txn.commit_visible_all_or_none", requires=NEEDS)
async def commit_visible_all_or_none(env: Env) -> None:
    """A reader beside commits of twenty records sees all of one commit, never some of it."""
    records = env.records()
    reader = records.through(await env.second() if "second" in env.target.hooks else env.adapter)
    keys = [f"k{n:02}" for n in range(20)]
    rounds = env.scale(20, 200)
    done = False
    seen: set[bytes | None] = set()

    async def commit() -> None:
        nonlocal done
        for number in range(rounds):
            async with _begin(records) as tx:
                for key in keys:
                    await _put(tx, records, key, b"%d" % number)
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
                async with _begin(records) as tx:
                    have = [int((await _value(tx, records, name)) or 0) for name in (source, target)]
                    await asyncio.sleep(0)
                    await _put(tx, records, source, b"%d" % (have[0] - 1))
                    await _put(tx, records, target, b"%d" % (have[1] + 1))
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


@case("txn.holds_nothing", requires=NEEDS)
async def holds_nothing(env: Env) -> None:
    """A hundred open transactions hold no lock and no connection: others work, and all commit."""
    records = env.records()
    await records.fill([f"k{n:03}" for n in range(100)])
    open_ones = []
    for number in range(100):
        begun = _begin(records)
        tx = await begun.__aenter__()
        assert await _value(tx, records, f"k{number:03}") == f"k{number:03}".encode()
        await _put(tx, records, f"k{number:03}")
        open_ones.append(begun)
    await records.put("other", b"meanwhile")
    assert await records.count() == 101
    for begun in open_ones:
        await begun.__aexit__(None, None, None)
    await records.expect({**{f"k{n:03}": b"tx" for n in range(100)}, "other": b"meanwhile"})


@case("txn.cancel_before_commit", requires=NEEDS)
async def cancel_before_commit(env: Env) -> None:
    """A cancellation before the commit propagates and leaves nothing behind."""
    records = env.records()
    await records.fill(["a"])
    ready = asyncio.Event()

    async def body() -> None:
        async with _begin(records) as tx:
            await tx.read(records.name, ["a"])
            await _put(tx, records, "a")
            await _put(tx, records, "new")
            ready.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await ready.wait()
    task.cancel()
    with raises(asyncio.CancelledError):
        await task
    await records.expect({"a": b"a"}, "new")
    await records.put("a", b"after")
    await records.expect({"a": b"after"})


@case("txn.expiry", requires=NEEDS | {"ttl"})
async def expiry(env: Env) -> None:
    """Deadlines hold inside a transaction: the expired is gone, new and kept ones are committed."""
    records = env.records()
    soon, late = env.clock.deadline(10), env.clock.deadline(20)
    await records.put("old", expires_at=soon)
    await records.put("kept", expires_at=late)
    env.clock.move_to(soon)
    async with _begin(records) as tx:
        assert await _value(tx, records, "old") is None
        assert await tx.count(Query(records.name)) == 1
        await _put(tx, records, "new", expires_at=late)
        await _put(tx, records, "kept", expires_at=KEEP)
        await _put(tx, records, "gone", expires_at=soon)
        assert await _value(tx, records, "gone") is None
    state = await records.state("old", "gone")
    assert {key: r.expires_at for key, r in state.items()} == {"kept": late, "new": late}
    env.clock.move_to(late)
    await records.expect({}, "new", "kept", "old", "gone")


@case("txn.limits", requires=NEEDS)
async def limits(env: Env) -> None:
    """What is too large outside a transaction is too large inside, and then nothing of it is committed."""
    records = env.records()
    size = env.capabilities.limits.max_field_bytes + 1
    with raises(LimitExceeded):
        async with _begin(records) as tx:
            await _put(tx, records, "good")
            await _put(tx, records, "bad", fields={"f": "x" * size})
    await records.expect({}, "good", "bad")


@case("txn.read_only", requires=NEEDS)
async def read_only(env: Env) -> None:
    """A transaction that only reads commits if all it read belongs to one instant, and changes no version."""
    records = env.records()
    await records.fill(["a", "b"])
    before = [r and r.version for r in await records.read("a", "b")]
    async with _begin(records) as tx:
        await tx.read(records.name, ["a", "b", "missing"])
        await tx.query(Query(records.name))
    assert [r and r.version for r in await records.read("a", "b")] == before
    with raises(TransactionConflict):
        async with _begin(records) as tx:
            await tx.read(records.name, ["a"])
            await records.put("a", b"by another")
            await records.put("b", b"by another")
            await tx.read(records.name, ["b"])
