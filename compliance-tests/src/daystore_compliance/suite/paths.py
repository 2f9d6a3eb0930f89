"""Whatever way a record is written, and whatever way it is read: it is the same record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from daystore.abc import (
    ABSENT,
    KEEP,
    Compare,
    Delete,
    Expectation,
    Instant,
    Op,
    Order,
    Put,
    Query,
    Record,
    StorageAdapter,
    WriteBatch,
)
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, assert_same_records
from daystore_compliance.env import Env
from daystore_compliance.records import Records

_MOMENT: Final = datetime(2026, 1, 2, tzinfo=UTC)
NEEDS: Final = {"query", "ttl", "conditional", "atomic_batch", "transactions"}

# --- Writing ------------------------------------------------------------------------------------------------

Write = Callable[[StorageAdapter, Put], Awaitable[None]]


async def _alone(adapter: StorageAdapter, put: Put) -> None:
    assert (await adapter.write(WriteBatch((put,))))[0].error is None


async def _among_others(adapter: StorageAdapter, put: Put) -> None:
    others = [Put("others", f"{put.key} {number}", b"other") for number in range(2)]
    outcomes = await adapter.write(WriteBatch((others[0], put, others[1])))
    assert [outcome.error for outcome in outcomes] == [None] * 3


async def _atomic(adapter: StorageAdapter, put: Put) -> None:
    await adapter.write(WriteBatch((put,), atomic=True))


async def _atomic_among_others(adapter: StorageAdapter, put: Put) -> None:
    others = [Put("others", f"{put.key} {number}", b"other") for number in range(2)]
    await adapter.write(WriteBatch((others[0], put, others[1]), atomic=True))


async def _on_condition(adapter: StorageAdapter, put: Put) -> None:
    found = await adapter.get(put.collection, put.key)
    expect: Expectation = ABSENT if found is None else found.version
    await _alone(adapter, replace(put, expect=expect))


async def _atomic_on_condition(adapter: StorageAdapter, put: Put) -> None:
    found = await adapter.get(put.collection, put.key)
    expect: Expectation = ABSENT if found is None else found.version
    await adapter.write(WriteBatch((replace(put, expect=expect),), atomic=True))


async def _in_transaction(adapter: StorageAdapter, put: Put) -> None:
    async with adapter.transaction() as tx:
        await tx.write([put])


async def _read_in_transaction(adapter: StorageAdapter, put: Put) -> None:
    async with adapter.transaction() as tx:
        await tx.read(put.collection, [put.key, "missing"])
        await tx.write([Put("others", put.key, b"other"), put])


WRITES: Final[dict[str, Write]] = {
    "alone": _alone,
    "among others": _among_others,
    "atomic": _atomic,
    "atomic among others": _atomic_among_others,
    "on condition": _on_condition,
    "atomic on condition": _atomic_on_condition,
    "in a transaction": _in_transaction,
    "read in a transaction": _read_in_transaction,
}


async def _deleted(adapter: StorageAdapter, collection: str, key: str) -> None:
    assert await adapter.delete(collection, key)


async def _deleted_if(adapter: StorageAdapter, collection: str, key: str) -> None:
    found = await adapter.get(collection, key)
    assert found is not None
    assert await adapter.delete(collection, key, if_version=found.version)


async def _deleted_in_batch(adapter: StorageAdapter, collection: str, key: str) -> None:
    assert await adapter.delete_batch(collection, ["missing", key]) == 1


async def _deleted_atomically(adapter: StorageAdapter, collection: str, key: str) -> None:
    assert await adapter.delete_batch(collection, ["missing", key], atomic=True) == 1


async def _deleted_in_transaction(adapter: StorageAdapter, collection: str, key: str) -> None:
    async with adapter.transaction() as tx:
        await tx.write([Delete(collection, key)])


Remove = Callable[[StorageAdapter, str, str], Awaitable[None]]

REMOVALS: Final[dict[str, Remove]] = {
    "deleted": _deleted,
    "deleted on condition": _deleted_if,
    "deleted in a batch": _deleted_in_batch,
    "deleted atomically": _deleted_atomically,
    "deleted in a transaction": _deleted_in_transaction,
}


def _old(collection: str, key: str, expires_at: Instant | None) -> Put:
    """Make a record that differs from `_new` in every entry."""
    return Put(
        collection,
        key,
        b"old" * 40,
        expires_at=expires_at,
        content_type="application/x-old",
        fields={"n": 1, "old": "x", "l": ("old",)},
        schema="Old",
        schema_version=1,
        encodings=("old",),
    )


def _new(collection: str, key: str, size: int, expires_at: Any, **options: Any) -> Put:
    return Put(
        collection,
        key,
        (key.encode() * 3000)[:size],
        expires_at=expires_at,
        content_type="application/x-new; charset=utf-8",
        fields={
            "n": size,
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "l": ("x", "y"),
            "b": False,
            "f": 0.5,
            "s": key,
        },
        schema="New'1",
        schema_version=7,
        encodings=("zstd", "aes256gcm"),
        **options,
    )


def _record(put: Put, created: Instant, now: Instant, expires_at: Instant | None) -> Record:
    """Make the record that a `Put` has to become."""
    return Record(
        put.key,
        put.value,
        put.version,
        created,
        now,
        expires_at,
        put.content_type,
        dict(put.fields),
        put.schema,
        put.schema_version,
        put.encodings,
    )


# --- Reading ------------------------------------------------------------------------------------------------


async def _pages(adapter: StorageAdapter, query: Query) -> list[Record]:
    found: list[Record] = []
    while True:
        page = await adapter.query(query)
        found += page.records
        if page.cursor is None:
            return found
        query = replace(query, cursor=page.cursor)


async def _expect_on_every_path(adapter: StorageAdapter, name: str, expected: Mapping[str, Record]) -> None:
    """Expect these records, and no others, in every answer that shows records."""
    keys, wanted = list(expected), [expected[key] for key in sorted(expected)]
    assert_same_records(
        [r for r in await adapter.read(name, keys) if r], list(expected.values()), "read of many"
    )
    assert_same_records(
        list((await adapter.get_batch(name, keys)).values()), list(expected.values()), "get_batch"
    )
    for key in keys[::3]:
        assert_same_record((await adapter.read(name, [key]))[0], expected[key], "read of one")
        assert_same_record(await adapter.get(name, key), expected[key], "get")
        page = await adapter.query(Query(name, Compare("key", Op.EQ, key), limit=1))
        assert_same_records(page.records, [expected[key]], "a query for one key")
    queries = {
        "a query": Query(name),
        "a query with a limit": Query(name, limit=1000),
        "pages": Query(name, limit=3),
        "a query by prefix": Query(name, Compare("key", Op.STARTSWITH, "")),
        "a query on a field": Query(name, Compare("l", Op.CONTAINS, "y")),
        "a query for keys": Query(name, Compare("key", Op.IN, tuple(keys))),
        "a query by order": Query(name, order=Order("s"), limit=4),
    }
    for path, query in queries.items():
        assert_same_records(await _pages(adapter, query), wanted, path)
    falling = await _pages(adapter, Query(name, order=Order("key", descending=True), limit=4))
    assert_same_records(falling, wanted[::-1], "a query in falling order")
    by_time = (await adapter.query(Query(name, order=Order("updated_at")))).records
    assert_same_records(sorted(by_time, key=lambda r: r.key), wanted, "a query by time")
    async with adapter.transaction() as tx:
        assert_same_records(
            [r for r in await tx.read(name, keys) if r], list(expected.values()), "a transaction"
        )
    async with adapter.transaction() as tx:
        assert_same_records((await tx.query(Query(name))).records, wanted, "a query in a transaction")


@case("rec.every_path", requires=NEEDS, variants=WRITES)
async def every_path(env: Env, write: Write) -> None:
    """A way to write a record, over whatever was there, gives the same record on every way to read it."""
    records = env.records()
    expected: dict[str, Record] = {}
    for before in ("nothing", "another", "one with a deadline", "an expired one", "a deleted one"):
        for size in (3, 10_000) if before == "another" else (1, 700):
            expected |= await _written(env, records, write, f"over {before} {size}", before, size)
    await _expect_on_every_path(records.adapter, records.name, expected)
    await _expect_on_every_path(records.reader, records.name, expected)
    if "reopen" in env.target.hooks:
        await env.reopen()
        await _expect_on_every_path(env.adapter, records.name, expected)


async def _written(
    env: Env, records: Records, write: Write, key: str, before: str, size: int
) -> dict[str, Record]:
    """Write one record over what was there before, and return what it has to be."""
    first, keeps = env.clock(), before == "one with a deadline"
    deadline = env.clock.deadline(1 if before == "an expired one" else 5000)
    if before != "nothing":
        old = _old(records.name, key, deadline if before != "another" else None)
        await records.adapter.write(WriteBatch((old,)))
    if before == "a deleted one":
        await records.delete(key)
    now = env.clock.advance(2)
    later = env.clock.deadline(90_000)
    put = _new(records.name, key, size, KEEP if keeps else later)
    await write(env.adapter, put)
    created = first if before in ("another", "one with a deadline") else now
    return {key: _record(put, created, now, deadline if keeps else later)}


@case("del.then_recreate_any_way", requires=NEEDS)
async def then_recreate_any_way(env: Env) -> None:
    """Nothing of a record outlives it: however it went, and however its key is written next."""
    records = env.records()
    expected: dict[str, Record] = {}
    for gone, remove in [*REMOVALS.items(), ("expired", None), ("swept", None)]:
        for how, write in WRITES.items():
            for kept in (None, KEEP):
                key = f"{gone}, {how}, {kept}"
                await _alone(env.adapter, _old(records.name, key, env.clock.deadline(1)))
                if remove is None:
                    env.clock.advance(2 if gone == "expired" else 62)
                    if gone == "swept":
                        await records.put("swept")
                        await records.delete("swept")
                else:
                    await remove(env.adapter, records.name, key)
                now = env.clock()
                put = Put(records.name, key, key.encode(), expires_at=kept)
                await write(env.adapter, put)
                expected[key] = _record(put, now, now, None)
    env.clock.advance(200)
    state = await records.state(*expected)
    assert list(state) == sorted(expected)
    for key, record in expected.items():
        assert_same_record(state[key], record, key)
    assert await records.keys(Compare("n", Op.EXISTS, True)) == []
    assert await records.keys(Compare("l", Op.CONTAINS, "old")) == []
