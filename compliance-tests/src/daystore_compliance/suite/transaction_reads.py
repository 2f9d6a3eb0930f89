"""What a transaction reads: checked at commit however it was read, and its own writes as they will be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from daystore.abc import (
    ABSENT,
    KEEP,
    Aggregate,
    Aggregation,
    Compare,
    Function,
    Not,
    Op,
    Order,
    Query,
    RecordTransaction,
)
from daystore.errors import TransactionConflict, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, assert_same_records, raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.transacting import NEEDS, begin, put, value

SUMS = Aggregation({"sum": Aggregate(Function.SUM, "n"), "count": Aggregate(Function.COUNT)})
GROUPS = replace(SUMS, group_by=("n",))

Change = Callable[[], Awaitable[object]]
Read = Callable[[RecordTransaction], Awaitable[object]]


async def _commits(records: Records, read: Read, change: Change) -> bool:
    """Read in a transaction, let another writer change something, and tell whether it still commits."""
    try:
        async with begin(records) as tx:
            await read(tx)
            await put(tx, records, "side")
            await change()
    except TransactionConflict:
        assert await records.get("side") is None, "a transaction in conflict was applied"
        return False
    await records.delete("side")
    return True


@case("txn.query_after_read", requires=NEEDS | {"aggregate"})
async def query_after_read(env: Env) -> None:
    """A query that meets a newer version of a record that was read by key ends in a conflict, not in its loss."""
    records = env.records()
    reads: dict[str, Read] = {
        "query": lambda tx: tx.query(records.query()),
        "page": lambda tx: tx.query(records.query(Compare("n", Op.GE, 0), "n", limit=5)),
        "count": lambda tx: tx.count(records.query()),
        "aggregate": lambda tx: tx.aggregate(records.query(), SUMS),
    }
    for name, read in reads.items():
        await records.fill({"a": {"n": 1}, "b": {"n": 2}})
        with raises(TransactionConflict):
            async with begin(records) as tx:
                assert [r and r.value for r in await tx.read(records.name, ["a", "b"])] == [b"a", b"b"]
                await records.put("b", b"by another", fields={"n": 2})
                await read(tx)
                await put(tx, records, "b", b"lost update", fields={"n": 3})
        await records.expect({"a": b"a", "b": b"by another"})
        async with begin(records) as tx:
            await read(tx)
            found = await tx.read(records.name, ["a", "b"])
            assert [r and r.value for r in found] == [b"a", b"by another"], name


@case("txn.read_after_query", requires=NEEDS)
async def read_after_query(env: Env) -> None:
    """What a query has found is read by key as it was found, and its change by another fails the commit."""
    records = env.records()
    await records.fill({"a": {"n": 1}, "b": {"n": 2}})
    for change in ("put", "delete"):
        with raises(TransactionConflict):
            async with begin(records) as tx:
                page = await tx.query(records.query(Compare("n", Op.EQ, 1)))
                if change == "put":
                    await records.put("a", b"by another", fields={"n": 1})
                else:
                    await records.delete("a")
                assert_same_records(
                    [r for r in await tx.read(records.name, ["a"]) if r is not None], page.records, "read"
                )
                await put(tx, records, "a", b"lost update", fields={"n": 1})
        await records.expect({"b": b"b", "a": b"by another"} if change == "put" else {"b": b"b"}, "a")
        await records.put("a", b"a", fields={"n": 1})


@case("txn.query_twice", requires=NEEDS | {"aggregate"})
async def query_twice(env: Env) -> None:
    """A query that is run twice cannot commit if its answers differ, also if the second one still holds."""
    records, other = env.records(), env.records()
    where = Compare("n", Op.GE, 5)
    reads: dict[str, Read] = {
        "query": lambda tx: tx.query(records.query(where)),
        "count": lambda tx: tx.count(records.query(where)),
        "aggregate": lambda tx: tx.aggregate(records.query(where), SUMS),
    }
    for start in ({}, {"k7": {"n": 7}}):
        for read in reads.values():
            for write in (False, True):
                await records.fill(start)
                with raises(TransactionConflict):
                    async with begin(records) as tx:
                        await read(tx)
                        await records.put("new", fields={"n": 6})
                        await read(tx)
                        if write:
                            await put(tx, other, "side")
                await other.expect({}, "side")
                await records.delete("new")


@case("txn.reads_of_many", requires=NEEDS)
async def reads_of_many(env: Env) -> None:
    """Of many keys that are read at once each is checked at commit, be it there or missing."""
    records = env.records()
    keys = [f"k{n:03}" for n in range(130)]
    await records.fill(keys[::2])
    for key in (keys[0], keys[1], keys[62], keys[101], keys[128], keys[129]):

        async def change(key: str = key) -> None:
            await records.put(key, b"by another")

        assert not await _commits(records, lambda tx: tx.read(records.name, keys), change), key
    assert await _commits(
        records, lambda tx: tx.read(records.name, keys[::-1]), lambda: records.put("k1301", b"by another")
    )


@case("txn.aggregate_checked", requires=NEEDS | {"aggregate"})
async def aggregate_checked(env: Env) -> None:
    """An aggregate is a read of all that it computes over: whatever changes there fails the commit."""
    records = env.records()
    where = Compare("n", Op.GE, 5)
    for aggregation in (SUMS, GROUPS):

        async def read(tx: RecordTransaction, aggregation: Aggregation = aggregation) -> None:
            await tx.aggregate(records.query(where, limit=1), aggregation)

        for start in ({}, {f"k{n}": {"n": n} for n in range(8)}):
            await records.fill(start)
            assert not await _commits(records, read, lambda: records.put("new", fields={"n": 9}))
            await records.delete("new")
            assert await _commits(records, read, lambda: records.put("new", fields={"n": 4}))
            await records.delete("new")
        assert not await _commits(records, read, lambda: records.delete("k7"))
        assert not await _commits(records, read, lambda: records.put("k5", fields={"n": 5}))
        assert not await _commits(records, read, lambda: records.put("k6", fields={"n": 0}))
        await env.adapter.delete_batch(records.name, [f"k{n}" for n in range(8)])


@case("txn.limited_query_checked", requires=NEEDS)
async def limited_query_checked(env: Env) -> None:
    """A page is checked as it was cut: by order, limit, offset and cursor; what lies elsewhere is no conflict."""
    records = env.records()
    down = Order("n", descending=True)
    await records.fill({f"k{n}": {"n": n} for n in range(10)})
    cursor = (await records.page(None, "n", limit=3)).cursor
    pages: dict[str, tuple[Query, tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]] = {
        "top": (records.query(None, down, limit=3), (("new", 20), ("k7", 7)), (("new", -1), ("k2", 2))),
        "first": (records.query(limit=2), (("a", 0), ("k1", 1)), (("new", 0), ("k8", 8))),
        "offset": (records.query(None, "n", limit=2, offset=2), (("a", -1), ("k3", 3)), (("new", 20),)),
        "after": (
            records.query(None, "n", limit=3, cursor=cursor),
            (("k30", 3), ("k4", 4)),
            (("new", 20), ("new", -1), ("k1", 1)),
        ),
        "none": (records.query(Compare("n", Op.GT, 100), down, limit=1), (("a", 101),), (("a", 100),)),
        "nothing": (records.query(limit=0), (), (("a", 0), ("k0", 0))),
    }
    for name, (query, conflicts, others) in pages.items():

        async def read(tx: RecordTransaction, query: Query = query) -> None:
            await tx.query(query)

        for key, n in (*conflicts, *others):

            async def change(key: str = key, n: int = n) -> None:
                await records.put(key, b"by another", fields={"n": n})

            committed = await _commits(records, read, change)
            assert committed is ((key, n) in others), f"the page {name!r} beside {key} at {n}"
            if not key.startswith("k") or len(key) > 2:
                await records.delete(key)


@case("txn.expired_read", requires=NEEDS | {"ttl"})
async def expired_read(env: Env) -> None:
    """A record that was read, by key or query, and has expired by the commit is a conflict; never before."""
    records = env.records()
    reads: dict[str, Read] = {
        "key": lambda tx: tx.read(records.name, ["a", "b"]),
        "query": lambda tx: tx.query(records.query(limit=2)),
        "count": lambda tx: tx.count(records.query(Compare("n", Op.EQ, 1))),
    }
    for name, read in reads.items():
        deadline = env.clock.deadline(10)
        await records.put("a", fields={"n": 1}, expires_at=deadline)
        await records.put("b", fields={"n": 1})

        async def wait(deadline: int = deadline, micros: int = 1) -> None:
            env.clock.move_to(deadline - micros)

        assert await _commits(records, read, wait), f"{name}: a conflict before the deadline"

        async def expire(deadline: int = deadline) -> None:
            env.clock.move_to(deadline)

        assert not await _commits(records, read, expire), f"{name}: no conflict at the deadline"
        assert await _commits(records, read, lambda: records.get("a")), "what is gone changes no more"


@case("txn.expired_then_created", requires=NEEDS | {"ttl"})
async def expired_then_created(env: Env) -> None:
    """A key whose record had expired when it was read was missing: creating it since is a conflict."""
    records = env.records()
    for write in (False, True):
        await records.put("a", b"old", expires_at=env.clock.deadline(1))
        env.clock.advance(2)
        with raises(TransactionConflict):
            async with begin(records) as tx:
                assert await value(tx, records, "a") is None
                await records.put("a", b"by another")
                await put(tx, records, "a" if write else "side", b"mine")
        await records.expect({"a": b"by another"}, "side")
    async with begin(records) as tx:
        await put(tx, records, "b", b"new", expect=ABSENT)
    await records.expect({"a": b"by another", "b": b"new"})


def _shapes(records: Records) -> list[Query]:
    wheres: list[Any] = [
        None,
        Compare("n", Op.GE, 3),
        Not(Compare("n", Op.IN, (3, 10))),
        Compare("key", Op.STARTSWITH, "k"),
        Compare("l", Op.CONTAINS, "x"),
        Compare("n", Op.EXISTS, True),
    ]
    orders = [Order(), Order("n"), Order("n", descending=True), Order("key", descending=True)]
    windows: list[dict[str, int]] = [{}, {"limit": 3}, {"limit": 2, "offset": 2}, {"offset": 3}, {"limit": 0}]
    return [records.query(w, o, **window) for w in wheres for o in orders for window in windows]


@case("txn.inside_as_after", requires=NEEDS | {"aggregate", "ttl"})
async def inside_as_after(env: Env) -> None:
    """Every query, count and aggregate inside a transaction answers as it does after its commit."""
    records = env.records()
    soon, late = env.clock.deadline(0.001), env.clock.deadline(60)
    await records.fill({f"k{n}": {"n": n, "l": ("x",) if n % 2 else ("y",)} for n in range(7)})
    async with begin(records) as tx:
        await put(tx, records, "a", fields={"n": 3, "l": ("x", "y")})
        await put(tx, records, "k2", fields={"n": 10})
        await put(tx, records, "k3", expires_at=late)
        await put(tx, records, "k5x", fields={"n": 5}, expires_at=soon)
        await put(tx, records, "z", fields={"n": 3.0, "l": ()})
        await tx.write([records.a_delete("k0"), records.a_delete("k6"), records.a_delete("missing")])
        await put(tx, records, "k6", fields={"n": -1})
        env.clock.move_to(soon)
        shapes = _shapes(records)[:: env.scale(7, 1)]  # coprime to the numbers of orders and windows
        pages = [await tx.query(query) for query in shapes]
        totals = [await tx.aggregate(query, how) for query in shapes[::3] for how in (SUMS, GROUPS)]
        counts = [await tx.count(query) for query in shapes[::3]]
    for query, page in zip(shapes, pages, strict=True):
        after = await env.adapter.query(query)
        assert [(r.key, r.value, dict(r.fields)) for r in page.records] == [
            (r.key, r.value, dict(r.fields)) for r in after.records
        ]
        assert page.cursor == after.cursor
    assert counts == [await env.adapter.count(query) for query in shapes[::3]]
    assert totals == [await env.adapter.aggregate(q, how) for q in shapes[::3] for how in (SUMS, GROUPS)]


@case("txn.own_record", requires=NEEDS | {"ttl"})
async def own_record(env: Env) -> None:
    """A transaction sees a record that it wrote as it is after the commit: every entry, version and times too."""
    records = env.records()
    await records.write(records.a_put("old", b"0", fields={"gone": 1}, schema="S", schema_version=1))
    await records.put("kept", b"0", expires_at=env.clock.deadline(60))
    env.clock.advance(5)
    options: dict[str, Any] = {
        "fields": {"n": 1, "l": ("x",), "b": True},
        "content_type": "text/new",
        "schema": "T",
        "schema_version": 2,
        "encodings": ("zstd",),
    }
    async with begin(records) as tx:
        keys = ["old", "kept", "new", "brief"]
        await tx.read(records.name, keys)
        await put(tx, records, "old", b"1", **options)
        await put(tx, records, "kept", b"1", expires_at=KEEP)
        await put(tx, records, "new", b"1", **options, expires_at=env.clock.deadline(30))
        await put(tx, records, "brief", b"1", expires_at=env.clock.deadline(0.001))
        by_key = [r for r in await tx.read(records.name, keys) if r is not None]
        listed = (await tx.query(records.query())).records
    after = await records.state(*keys)
    assert sorted(after) == sorted(keys)
    for record in (*by_key, *listed):
        assert_same_record(record, after[record.key], "the transaction")
    assert [r.key for r in listed] == sorted(keys)


@case("txn.keep_inside", requires=NEEDS | {"ttl"})
async def keep_inside(env: Env) -> None:
    """KEEP inside a transaction keeps the deadline that the transaction sees: read, written, deleted or none."""
    records = env.records()
    soon, late = env.clock.deadline(10), env.clock.deadline(20)
    for key in ("read", "over", "again"):
        await records.put(key, expires_at=soon)
    async with begin(records) as tx:
        await put(tx, records, "read", b"1", expires_at=KEEP)
        await put(tx, records, "over", b"1", expires_at=late)
        await put(tx, records, "over", b"2", expires_at=KEEP)
        await tx.write([records.a_delete("again")])
        await put(tx, records, "again", b"1", expires_at=KEEP)
        await put(tx, records, "new", b"1", expires_at=KEEP)
        await put(tx, records, "own", b"1", expires_at=soon)
        await put(tx, records, "own", b"2", expires_at=KEEP)
        found = await tx.read(records.name, ["read", "over", "again", "new", "own"])
        assert [r and r.expires_at for r in found] == [soon, late, None, None, soon]
    state = await records.state()
    assert {key: record.expires_at for key, record in state.items()} == {
        "again": None,
        "new": None,
        "over": late,
        "own": soon,
        "read": soon,
    }
    with raises(TransactionConflict):
        async with begin(records) as tx:
            await put(tx, records, "read", b"2", expires_at=KEEP)
            await records.put("read", b"by another", expires_at=late)
    assert (await records.must_get("read")).expires_at == late


@case("txn.conditions_own", requires=NEEDS)
async def conditions_own(env: Env) -> None:
    """Conditions inside a transaction hold or fail by its own earlier writes and deletes."""
    records = env.records()
    version = await records.put("a", b"0")
    first, second = records.a_put("a", b"1", expect=version), records.a_put("b", b"1", expect=ABSENT)
    async with begin(records) as tx:
        assert await tx.write([first, second]) == [True, False]
        assert await tx.write([records.a_put("a", b"2", expect=first.version)]) == [True]
        assert await tx.write([records.a_delete("b", expect=second.version)]) == [True]
        for bad in (first.version, version):
            with raises(VersionConflict):
                await tx.write([records.a_delete("a", expect=bad)])
        with raises(VersionConflict):
            await tx.write([records.a_put("b", expect=second.version)])
        assert await tx.write([records.a_put("b", b"again", expect=ABSENT)]) == [False]
        assert await tx.write([records.a_delete("a"), records.a_delete("missing", expect=ABSENT)]) == [
            True,
            False,
        ]
        assert await value(tx, records, "a") is None
    await records.expect({"b": b"again"}, "a", "missing")


@case("txn.same_key_elsewhere", requires=NEEDS)
async def same_key_elsewhere(env: Env) -> None:
    """One key in two collections is two records to a transaction: read, written and checked apart."""
    one, two = env.records(), env.records()
    await one.put("a", b"one")
    await two.put("a", b"two")
    async with begin(one) as tx:
        assert (await value(tx, one, "a"), await value(tx, two, "a")) == (b"one", b"two")
        await put(tx, one, "a", b"changed")
        assert (await value(tx, one, "a"), await value(tx, two, "a")) == (b"changed", b"two")
        assert [r.value for r in (await tx.query(two.query())).records] == [b"two"]
        await tx.write([two.a_delete("a")])
        assert (await value(tx, one, "a"), await value(tx, two, "a")) == (b"changed", None)
    await one.expect({"a": b"changed"})
    await two.expect({}, "a")
    for place, other in ((one, two), (two, one)):

        async def read(tx: RecordTransaction, place: Records = place) -> None:
            await tx.read(place.name, ["a"])

        async def change(place: Records) -> None:
            await place.put("a", b"by another")

        assert await _commits(place, read, partial(change, other))
        assert not await _commits(place, read, partial(change, place))


@case("txn.read_only_query", requires=NEEDS | {"aggregate"})
async def read_only_query(env: Env) -> None:
    """A transaction that only reads, by key and by query, commits if all of it belongs to one instant."""
    records = env.records()
    await records.fill({"a": {"n": 1}, "b": {"n": 2}})
    reads: dict[str, Read] = {
        "query": lambda tx: tx.query(records.query(Compare("n", Op.EQ, 2))),
        "empty": lambda tx: tx.query(records.query(Compare("n", Op.EQ, 9))),
        "count": lambda tx: tx.count(records.query(Compare("n", Op.GE, 9))),
        "aggregate": lambda tx: tx.aggregate(records.query(Compare("n", Op.GE, 9)), SUMS),
    }
    for name, read in reads.items():
        async with begin(records) as tx:
            await read(tx)
            await tx.read(records.name, ["a"])
        with raises(TransactionConflict):
            async with begin(records) as tx:
                await read(tx)
                await records.put("new", fields={"n": 2 if name == "query" else 9})
                await records.put("c", b"by another")
                await tx.read(records.name, ["c"])
        await env.adapter.delete_batch(records.name, ["new", "c"])
    await records.expect({"a": b"a", "b": b"b"}, "new")


@case("txn.read_only_residue", requires=NEEDS, needs={"raw"})
async def read_only_residue(env: Env) -> None:
    """A transaction that only reads, by key and by query, leaves nothing behind: no record and no entry."""
    records = env.records()
    await records.fill({"a": {"n": 1}, "b": {"n": 2}})
    before = await env.target.raw(env.adapter)
    for _ in range(3):
        async with begin(records) as tx:
            assert await value(tx, records, "a") == b"a"
            assert await value(tx, records, "missing") is None
            assert await tx.count(records.query(Compare("n", Op.GE, 2))) == 1
    assert await env.target.raw(env.adapter) == before
