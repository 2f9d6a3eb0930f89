"""What adapters share and what they do not: nothing between namespaces, and no answer that is too old in one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from daystore.abc import STRONG, Compare, FieldValue, Op, Order, Query, StorageAdapter, bounded
from daystore.errors import StoreClosed, UnsupportedOperation, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.clock import ManualClock
from daystore_compliance.env import Env
from daystore_compliance.records import Records

# --- Two adapters, two worlds --------------------------------------------------------------------------------


def _fields(turn: int, number: int) -> dict[str, FieldValue]:
    """Return fields whose names are met in another order by each adapter, so that numbers of them differ."""
    named: list[tuple[str, FieldValue]] = [("x", number), ("y", number + 100), ("z", f"{turn}")]
    return dict(named if turn == 0 else named[::-1])


@case("ns.two_instances", requires={"query", "conditional"})
async def two_instances(env: Env) -> None:
    """Two adapters side by side share nothing: no record, no name, no cache, no clock, no end and no error."""
    clocks = (env.clock, ManualClock(env.clock() + 3_600_000_000))
    namespaces = (f"{env.namespace}-a", f"{env.namespace}-b")
    opened = [await env.target.open(n, clock) for n, clock in zip(namespaces, clocks, strict=True)]
    try:
        both = [Records(adapter, adapter, "shared") for adapter in opened]
        for adapter, namespace, clock in zip(opened, namespaces, clocks, strict=True):
            assert (adapter.namespace, adapter.clock) == (namespace, clock), "an adapter took over another's"
        versions = [
            await records.put("k", b"%d" % turn, fields=_fields(turn, turn))
            for turn, records in enumerate(both)
        ]
        for turn, records in enumerate(both):
            await _expect_own(records, turn, versions)
            now = clocks[turn]()
            assert (await records.must_get("k")).created_at == now, "the clock of another adapter was asked"
        await asyncio.gather(*(_work(records, turn, env.scale(30, 300)) for turn, records in enumerate(both)))
        await opened[0].close()
        with raises(StoreClosed):
            await both[0].get("k")
        await _expect_own(both[1], 1, versions)
        assert await both[1].delete("k") is True
        await opened[0].open()
        if "reopen" in env.target.hooks:
            assert await both[0].value("k") == b"0", "another namespace was deleted from"
    finally:
        for records in both:
            if env.capabilities.query:
                await records.adapter.open()
                await records.adapter.delete_batch("shared", await records.keys())
            await records.adapter.close()


async def _expect_own(records: Records, turn: int, versions: list[str]) -> None:
    """Expect a record of one's own, and every index of one's own."""
    await records.expect({"k": b"%d" % turn})
    for number in range(2):
        found = ["k"] if number == turn else []
        assert await records.keys(Compare("x", Op.EQ, number)) == found
        assert await records.keys(Compare("y", Op.EQ, number + 100)) == found
        assert await records.keys(Compare("z", Op.EQ, f"{number}")) == found
        assert await records.count(Compare("x", Op.GE, number)) == (1 if turn >= number else 0)
    with raises(VersionConflict) as conflict:
        await records.put("k", if_version=versions[1 - turn])
    assert conflict.error.current == versions[turn]


async def _work(records: Records, turn: int, number: int) -> None:
    """Write and find, beside somebody who does the same in another world."""
    for n in range(number):
        key = f"k{n}"
        await records.put(key, b"%d %d" % (turn, n), fields=_fields(turn, n + 1_000))
        assert await records.keys(Compare("x", Op.EQ, n + 1_000)) == [key]
        assert await records.value(key) == b"%d %d" % (turn, n)
        assert await records.keys(Compare("x", Op.GE, 1_000), Order("y", descending=True)) == [key]
        assert await records.delete(key) is True


# --- How old an answer may be --------------------------------------------------------------------------------

BOUND: Final = 5.0


def _looks(adapter: StorageAdapter, name: str, level: Any) -> dict[str, Callable[[], Awaitable[int]]]:
    """Return every way of reading; each tells the number that it found, -1 for nothing."""

    async def get() -> int:
        record = await adapter.get(name, "k", level)
        return -1 if record is None else int(record.value)

    async def get_batch() -> int:
        found = await adapter.get_batch(name, ["k", "other"], level)
        return int(found["k"].value) if "k" in found else -1

    async def query() -> int:
        found = (await adapter.query(Query(name, Compare("kind", Op.EQ, "k")), level)).records
        return int(found[0].value) if found else -1

    async def count() -> int:
        for number in range(50):
            if await adapter.count(Query(name, Compare("n", Op.EQ, number)), level):
                return number
        return -1

    return {"get": get, "get_batch": get_batch, "query": query, "count": count}


async def _write(records: Records, number: int) -> None:
    await records.put("k", b"%d" % number, fields={"kind": "k", "n": number})


@case("con.bounded", requires={"query"}, needs={"second"}, variants=("age", "fetch"))
async def bounded_reads(env: Env, how: str) -> None:
    """A bounded read finds nothing that was overwritten longer ago than its bound, however long it takes."""
    records = env.records()
    if "bounded" not in env.capabilities.consistency:
        with raises(UnsupportedOperation):
            await records.adapter.get(records.name, "k", bounded(BOUND))
        return
    other = records.through(await env.second())
    if how == "age":
        await _by_age(env, records, other)
    else:
        await _by_fetch(env, records, other)


async def _by_age(env: Env, records: Records, other: Records) -> None:
    looks = _looks(records.adapter, records.name, bounded(BOUND))
    strong = "strong" in env.capabilities.consistency
    for number, (name, look) in enumerate(looks.items()):
        await _write(other, number)
        env.clock.advance(2 * BOUND)
        assert await look() == number, f"{name} found something older than its bound"
        await _write(other, number + 1)
        env.clock.advance(BOUND - 1)
        assert await look() in (number, number + 1), f"{name} found what nobody wrote"
        env.clock.advance(2)
        assert await look() == number + 1, f"{name} found something older than its bound"
        await other.delete("k")
        for level in (STRONG,) if strong else ():
            assert await _looks(records.adapter, records.name, level)[name]() == -1, f"{name} is not strong"
        env.clock.advance(BOUND + 1)
        assert await look() == -1, f"{name} found what was deleted longer ago than its bound"
        env.clock.advance(microseconds=1)
        nothing_older = _looks(records.adapter, records.name, bounded(0))[name]
        await _write(other, number + 2)
        env.clock.advance(microseconds=1)
        assert await nothing_older() == number + 2, f"{name} does not know a bound of nothing"


async def _by_fetch(env: Env, records: Records, other: Records) -> None:
    """Let time pass while a read is on its way, at every point of it."""
    for number, name in enumerate(_looks(records.adapter, records.name, bounded(BOUND))):
        look = _looks(records.adapter, records.name, bounded(BOUND))[name]
        for turns in range(env.scale(5, 12)):
            await _write(other, number)
            env.clock.advance(2 * BOUND)
            fetching = asyncio.ensure_future(look())
            for _ in range(turns):
                await asyncio.sleep(0)
            await _write(other, number + 1)
            env.clock.advance(BOUND + 1)
            assert await fetching in (number, number + 1)
            assert await look() == number + 1, f"{name} counts the age of its answer from when it arrived"
