"""Transactions: serializable, and nothing of them anywhere before their commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
from daystore_compliance.transacting import NEEDS, begin, put, value


@case("txn.commit_applies", requires=NEEDS)
async def commit_applies(env: Env) -> None:
    """A commit applies every change of a transaction, over several collections, exactly as written."""
    one, two = env.records(), env.records()
    await one.fill(["a", "b", "c"])
    await two.fill(["a"])
    async with begin(one) as tx:
        await put(tx, one, "a", b"changed", fields={"n": 1})
        await tx.write(
            [one.a_delete("b"), two.a_put("new", b"2"), two.a_delete("a"), two.a_delete("missing")]
        )
        await put(tx, one, "twice", b"first")
        await put(tx, one, "twice", b"last")
        await put(tx, one, "brief")
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
        async with begin(records) as tx:
            await put(tx, records, "a")
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
    async with begin(records) as tx:
        await put(tx, records, "a")
        await put(tx, records, "new")
        tx.abort()
    assert tx.state == "aborted"
    await records.expect({"a": b"a"}, "new")


@case("txn.read_your_writes", requires=NEEDS | {"aggregate"})
async def read_your_writes(env: Env) -> None:
    """A transaction sees its own changes: by key, query, count, order, page and aggregate."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n} for n in range(6)})
    where = Compare("n", Op.GE, 2)
    async with begin(records) as tx:
        await put(tx, records, "k1", fields={"n": 10})
        await put(tx, records, "new", fields={"n": 3})
        await tx.write([records.a_delete("k4"), records.a_delete("k0")])
        await put(tx, records, "k5", fields={})
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
    async with begin(records) as tx:
        await put(tx, records, "a", fields={"n": 2})
        await tx.write([records.a_delete("b"), records.a_put("new", fields={"n": 2})])
        await records.expect({"a": b"a", "b": b"b"}, "new")
        assert await records.keys(Compare("n", Op.EQ, 2)) == []
        async with begin(records) as other:
            assert await value(other, records, "a") == b"a"
            assert await other.count(Query(records.name)) == 2
    await records.expect({"a": b"tx", "new": b"new"}, "b")


@case("txn.own_query_with_limit", requires=NEEDS)
async def own_query_with_limit(env: Env) -> None:
    """A limited query beside own inserts, updates and deletes before it commits when nobody else wrote."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n} for n in range(10)})
    async with begin(records) as tx:
        await put(tx, records, "a-first", fields={"n": -1})
        page = await tx.query(records.query(limit=3))
        assert [r.key for r in page.records] == ["a-first", "k0", "k1"]
        await tx.write([records.a_delete("k0")])
        page = await tx.query(records.query(None, "n", limit=2, offset=1))
        assert [r.key for r in page.records] == ["k1", "k2"]
        await put(tx, records, "k1", fields={"n": 100})
        page = await tx.query(records.query(None, Order("n", descending=True), limit=2))
        assert [r.key for r in page.records] == ["k1", "k9"]
    assert await records.keys(limit=3) == ["a-first", "k1", "k2"]


@case("txn.pages", requires=NEEDS)
async def pages(env: Env) -> None:
    """Inside a transaction paging covers the result exactly, own changes included."""
    records = env.records()
    await records.fill({f"k{n:02}": {"n": n % 4} for n in range(20)})
    async with begin(records) as tx:
        await put(tx, records, "k05x", fields={"n": 1})
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
    async with begin(records) as tx:
        await put(tx, records, "a", b"1", expect=version)
        with raises(VersionConflict):
            await put(tx, records, "a", b"2", expect=version)
        with raises(VersionConflict):
            await put(tx, records, "a", b"2", expect=ABSENT)
        await put(tx, records, "new", b"1", expect=ABSENT)
        with raises(VersionConflict):
            await put(tx, records, "new", b"2", expect=ABSENT)
        with raises(VersionConflict):
            await tx.write([records.a_put("kept-back"), records.a_delete("missing", expect=version)])
    await records.expect({"a": b"1", "new": b"1"}, "kept-back", "missing")
    with raises(TransactionConflict):
        async with begin(records) as tx:
            await put(tx, records, "other", expect=ABSENT)
            await records.put("other", b"by another")
    await records.expect({"a": b"1", "new": b"1", "other": b"by another"})


@case("txn.use_after_end", requires=NEEDS)
async def use_after_end(env: Env) -> None:
    """After its end, however it came, every method of a transaction raises TransactionClosed."""
    records = env.records()
    ended: list[RecordTransaction] = []
    async with begin(records) as tx:
        ended.append(tx)
    async with begin(records) as tx:
        ended.append(tx)
        tx.abort()
    with raises(RuntimeError):
        async with begin(records) as tx:
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
        assert await value(tx, records, "a") == b"a", "a refused use has broken the transaction"
        await put(tx, records, "b", b"after")
    await records.expect({"a": b"a", "b": b"after"})


@case("txn.holds_no_connection", requires=NEEDS)
async def holds_nothing(env: Env) -> None:
    """A hundred open transactions hold no lock and no connection: others work, and all commit."""
    records = env.records()
    await records.fill([f"k{n:03}" for n in range(100)])
    open_ones = []
    for number in range(100):
        begun = begin(records)
        tx = await begun.__aenter__()
        assert await value(tx, records, f"k{number:03}") == f"k{number:03}".encode()
        await put(tx, records, f"k{number:03}")
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
        async with begin(records) as tx:
            await tx.read(records.name, ["a"])
            await put(tx, records, "a")
            await put(tx, records, "new")
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
    async with begin(records) as tx:
        assert await value(tx, records, "old") is None
        assert await tx.count(Query(records.name)) == 1
        await put(tx, records, "new", expires_at=late)
        await put(tx, records, "kept", expires_at=KEEP)
        await put(tx, records, "gone", expires_at=soon)
        assert await value(tx, records, "gone") is None
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
        async with begin(records) as tx:
            await put(tx, records, "good")
            await put(tx, records, "bad", fields={"f": "x" * size})
    await records.expect({}, "good", "bad")
