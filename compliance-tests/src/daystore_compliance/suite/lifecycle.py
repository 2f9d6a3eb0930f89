"""Opening, closing, and what is there afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from daystore.abc import (
    Aggregate,
    Aggregation,
    Compare,
    Function,
    Health,
    Op,
    Order,
    Query,
    StorageAdapter,
    WriteBatch,
)
from daystore.errors import StoreClosed, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records


def _operations(adapter: StorageAdapter, records: Records) -> dict[str, Callable[[], Awaitable[object]]]:
    query = Query(records.name)
    count = Aggregation({"n": Aggregate(Function.COUNT)})
    return {
        "health": adapter.health,
        "read": lambda: adapter.read(records.name, ["a"]),
        "read nothing": lambda: adapter.read(records.name, []),
        "write": lambda: adapter.write(WriteBatch([records.a_put("a")])),
        "write nothing": lambda: adapter.write(WriteBatch([])),
        "query": lambda: adapter.query(query),
        "count": lambda: adapter.count(query),
        "aggregate": lambda: adapter.aggregate(query, count),
        "explain": lambda: adapter.explain(query),
        "get": lambda: adapter.get(records.name, "a"),
        "exists": lambda: adapter.exists(records.name, "a"),
        "get_batch": lambda: adapter.get_batch(records.name, ["a"]),
        "set": lambda: adapter.set(records.name, "a", b""),
        "delete": lambda: adapter.delete(records.name, "a"),
        "set_batch": lambda: adapter.set_batch([records.a_put("a")]),
        "delete_batch": lambda: adapter.delete_batch(records.name, ["a"]),
    }


@case("life.close_idempotent_and_use_after")
async def use_after_close(env: Env) -> None:
    """After close every operation raises StoreClosed, and closing again does nothing."""
    records = env.records()
    await records.put("a")
    adapter = await env.open(env.namespace + "-closed")
    await adapter.close()
    for name, operation in _operations(adapter, records).items():
        with raises(StoreClosed) as caught:
            await operation()
        assert caught.error.backend == adapter.name, name
    with raises(StoreClosed):
        adapter.transaction()
    await adapter.close()
    await records.expect({"a": b"value"})


@case("life.open_twice")
async def open_twice(env: Env) -> None:
    """Opening what is open does nothing: data and answers stay as they were."""
    records = env.records()
    await records.put("a")
    await env.adapter.open()
    await records.expect({"a": b"value"})
    async with env.adapter as same:
        assert same is env.adapter
        await records.put("b")
    with raises(StoreClosed):
        await records.get("a")


@case("life.close_reopen_durable", requires={"query", "ttl"}, needs={"reopen"})
async def close_reopen_durable(env: Env) -> None:
    """Records come back after close and open with every entry: value, version, fields, times and expiry."""
    name = env.records().name
    records = env.records(name).through(env.adapter)
    await records.fill({f"k{n}": {"n": n, "l": ("x", f"{n}")} for n in range(20)})
    await records.put("full", bytes(range(256)), expires_at=env.clock.deadline(60), content_type="t/a")
    await records.delete("k3")
    env.clock.advance(1)
    await records.put("k4", b"over", fields={"n": 400})
    before = await records.state("k3")
    await env.reopen()
    again = env.records(name).through(env.adapter)
    after = await again.state("k3")
    assert list(after) == list(before)
    for key, record in after.items():
        assert_same_record(record, before[key], "state after reopening")
    assert await again.keys(Compare("n", Op.GE, 18), Order("n", descending=True)) == ["k4", "k19", "k18"]
    if env.capabilities.conditional:
        with raises(VersionConflict):
            await again.put("k5", if_version=before["k4"].version)
        await again.put("k5", b"new", if_version=before["k5"].version)
        assert await again.value("k5") == b"new"


@case("life.reopen_often", needs={"reopen"})
async def reopen_often(env: Env) -> None:
    """Any number of closes and opens loses nothing, and opening writes nothing."""
    name = env.records().name
    expected: dict[str, bytes] = {}
    for number in range(env.scale(10, 200)):
        key = f"k{number:03}"
        await env.records(name).put(key, key.encode())
        expected[key] = key.encode()
        await env.reopen()
    await env.records(name).through(env.adapter).expect(expected)


@case("life.second_instance", needs={"second"})
async def second_instance(env: Env) -> None:
    """What one adapter has written another on the same data reads at once, and the other way round."""
    records = env.records()
    other = records.through(await env.second())
    for number in range(20):
        writer, reader = (records, other) if number % 4 < 2 else (other, records)
        version = await writer.put("a", b"%d" % number, fields={"n": number})
        found = await reader.must_get("a")
        assert (found.value, found.version) == (b"%d" % number, version)
        if env.capabilities.query:
            assert await reader.keys(Compare("n", Op.EQ, number)) == ["a"]
            assert await reader.count(Compare("n", Op.EQ, number - 1)) == 0
    await other.adapter.close()
    await records.expect({"a": b"19"})


@case("life.health")
async def health(env: Env) -> None:
    """A working backend says that it is well, in facts that are text."""
    found = await env.adapter.health()
    assert type(found) is Health
    assert found.ok is True
    assert all(type(name) is str and type(fact) is str for name, fact in found.detail.items())


@case("life.after_errors", requires={"conditional"})
async def after_errors(env: Env) -> None:
    """Refused operations leave the adapter as usable as before: forty in a row, alone and side by side."""
    records = env.records()
    await records.put("a", b"1")

    async def refused() -> None:
        with raises(VersionConflict):
            await records.put("a", if_absent=True)

    for _ in range(20):
        await refused()
    await asyncio.gather(*(refused() for _ in range(20)))
    await records.put("b", b"2")
    await records.expect({"a": b"1", "b": b"2"})


@case("life.side_by_side")
async def side_by_side(env: Env) -> None:
    """A hundred operations at once each get their own answer."""
    records = env.records()
    await records.fill([f"k{n:03}" for n in range(100)])

    async def one(number: int) -> None:
        key, other = f"k{number:03}", f"k{(number + 37) % 100:03}"
        assert await records.value(key) == key.encode()
        found = await records.read(other, key, "missing")
        assert [r and r.value for r in found] == [other.encode(), key.encode(), None]
        await records.put(f"new{number:03}", key.encode())
        assert await records.value(f"new{number:03}") == key.encode()
        if env.capabilities.query:
            assert await records.keys(Compare("key", Op.EQ, key)) == [key]

    await asyncio.gather(*(one(number) for number in range(100)))
    expected = {f"k{n:03}": f"k{n:03}".encode() for n in range(100)}
    await records.expect(expected | {f"new{n:03}": f"k{n:03}".encode() for n in range(100)})


@case("life.repr")
async def safe_repr(env: Env) -> None:
    """The repr of an adapter and of a record shows no key and no value."""
    records = env.records()
    await records.put("secret-key", b"secret-value", fields={"f": "secret-field"})
    record = await records.must_get("secret-key")
    put = records.a_put("secret-key", b"secret-value")
    for shown in (
        env.adapter,
        record,
        put,
        records.a_delete("secret-key"),
        records.a_check("secret-key", "v"),
    ):
        assert "secret" not in repr(shown)


@case("life.first_open_race", needs={"fresh"})
async def first_open_race(env: Env) -> None:
    """Eight adapters that open a storage nobody has used, at once, all open, and see what the others write."""
    target = env.target.fresh()
    with target.running():
        opened = await asyncio.gather(*(target.open(env.namespace, env.clock) for _ in range(8)))
        try:
            await asyncio.gather(
                *(a.set("c0", f"k{n}", b"%d" % n, fields={"n": n}) for n, a in enumerate(opened))
            )
            for adapter in opened:
                await Records(adapter, adapter, "c0").expect({f"k{n}": b"%d" % n for n in range(8)})
        finally:
            for adapter in opened:
                await adapter.close()


def _descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@case("life.close_leaks_nothing")
async def close_leaks_nothing(env: Env) -> None:
    """Opening, working and closing again and again leaves no thread and no file descriptor behind."""
    records = env.records()

    async def once() -> None:
        adapter = await env.target.open(env.namespace, env.clock)
        place = records.through(adapter)
        await place.put("k")
        await asyncio.gather(*(place.get("k") for _ in range(8)))
        await adapter.close()

    for _ in range(3):
        await once()
    before = (_descriptors(), threading.active_count())
    for _ in range(env.scale(15, 200)):
        await once()
    turns = 0
    while (_descriptors(), threading.active_count()) > before and turns < 200:
        turns += 1  # the other end of a connection may be in this process, and closes in its own time
        await asyncio.sleep(0.01)
    assert (_descriptors(), threading.active_count()) <= before


@case("life.close_in_flight")
async def close_in_flight(env: Env) -> None:
    """Closing beside operations ends each of them: with its answer, or with StoreClosed; none hangs."""
    adapter = await env.open(env.namespace + "-closing")
    place = Records(adapter, adapter, "c0")
    await place.put("k")
    running = [asyncio.ensure_future(place.put(f"k{n}") if n % 2 else place.get("k")) for n in range(20)]
    await asyncio.sleep(0)
    await adapter.close()
    for result in await asyncio.gather(*running, return_exceptions=True):
        assert not isinstance(result, BaseException) or type(result) is StoreClosed
