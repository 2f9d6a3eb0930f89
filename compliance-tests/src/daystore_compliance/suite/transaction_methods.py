"""Every method of a store inside a transaction, beside the same method outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from daystore import Avg, Count, Max, Sum
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq

NEEDS = {"transactions", "query", "aggregate", "ttl"}
INDEXES = {"n": int, "kind": str}

Step = Callable[[Store[Any]], Awaitable[object]]


async def _entries(store: Store[Any]) -> object:
    found = await store.entries(["a", "missing", "new", "b"])
    return [(e.key, e.value, dict(e.fields), e.created_at) for e in found.values()]


async def _scanned(store: Store[Any]) -> object:
    return [(entry.key, entry.value) async for entry in store.scan()]


async def _pages(store: Store[Any]) -> object:
    first = await store.where("n", ">=", 0).order_by("n", "desc").page(2)
    second = await store.where("n", ">=", 0).order_by("n", "desc").page(2, first.cursor)
    return [first.items, second.items, second.cursor is None]


async def _removed(store: Store[Any]) -> object:
    return [await store.delete("b"), await store.delete("b"), await store.delete_batch(["c", "d", "d", "x"])]


async def _written(store: Store[Any]) -> object:
    await store.set("new", {"n": 7, "kind": "x"}, ttl=30)
    await store.set("a", {"n": 8, "kind": "y"}, keep_ttl=True)
    versions = await store.set_batch({"c": {"n": 5}, "e": {"n": 6, "kind": "x"}}, ttl=20)
    return sorted(versions)


READS: tuple[Step, ...] = (
    lambda s: s.get("a", "none"),
    lambda s: s.get("missing", "none"),
    lambda s: s.get_batch(["new", "a", "missing", "a"]),
    _entries,
    lambda s: s.exists("b"),
    lambda s: s.exists("missing"),
    lambda s: s.ttl("a"),
    lambda s: s.ttl("d"),
    lambda s: s.ttl("new"),
    lambda s: s.count(),
    lambda s: s.where("kind", "=", "x").count(),
    lambda s: s.where("n", ">", 1).order_by("n", "desc").limit(2).offset(1).keys(),
    lambda s: s.where("value.deep", "=", 1, allow_scan=True).keys(),
    lambda s: s.aggregate(sum=Sum("n"), most=Max("n"), mean=Avg("n"), count=Count()).execute(),
    lambda s: s.where("n", "<", 9).aggregate(sum=Sum("n")).group_by("kind").execute(),
    _pages,
    _scanned,
)
WRITES: tuple[Step, ...] = (
    _written,
    lambda s: s.update("a", {"n": 9}),
    lambda s: s.update("a", lambda value: {**value, "value": {"deep": 1}}),
    lambda s: s.update("made", lambda value: {"n": value["n"] + 1}, default={"n": 0}),
    lambda s: s.expire("e", 15),
    lambda s: s.persist("d"),
    lambda s: s.expire("missing", 15),
    _removed,
    lambda s: s.exists("b"),
    lambda s: s.delete_batch(["made", "missing"], atomic=True),
    lambda s: s.update("b", lambda value: value, default={"n": 2, "kind": "x"}),
)


async def _run(store: Store[Any], every: int) -> list[object]:
    """Write, and read in between: each time in every `every`-th way, in turn; at the end in all of them."""
    answers: list[object] = []
    for number, write in enumerate(WRITES):
        answers.append(await write(store))
        answers += [await read(store) for read in READS[number % every :: every]]
    return answers + [await read(store) for read in READS]


@case("txn.core_inside", requires=NEEDS)
async def core_inside(env: Env) -> None:
    """Every method of a store answers inside a transaction as outside, step by step, and leaves the same."""
    storage = env.storage()
    stores = [storage.store(name, indexes=INDEXES) for name in ("inside", "outside")]
    env.clock.align()
    for store in stores:
        await store.set_batch({key: {"n": n, "kind": "xy"[n % 2]} for n, key in enumerate("abcd")})
        await store.expire("a", 60)
        await store.expire("d", 60)
    every = env.scale(5, 1)
    expected = await _run(stores[1], every)
    async with storage.transaction() as tx:
        found = await _run(tx[stores[0]], every)
    assert len(found) == len(expected) > len(WRITES) + len(READS)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert strict_eq(one, other), f"answer {number} inside a transaction is another one than outside"
    left = [[await read(store) for read in READS] for store in stores]
    assert strict_eq(left[0], left[1]), "the commit leaves something else"
    async with storage.transaction() as tx:
        assert await tx[stores[0]].clear() == await stores[1].clear() > 3
        assert await tx[stores[0]].count() == 0
    assert await stores[0].count() == 0
