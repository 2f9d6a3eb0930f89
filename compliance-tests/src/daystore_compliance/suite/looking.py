"""Looking for what is not there: it answers, and it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from daystore.abc import ABSENT, Compare, Op, Query
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records

NEEDS: Final = {"query", "ttl", "conditional", "atomic_batch", "transactions", "aggregate"}


@case("miss.looking_leaves_nothing", requires=NEEDS)
async def looking_leaves_nothing(env: Env) -> None:
    """Nothing comes into being by being looked for, deleted, expected or refused: not even something to count."""
    records, store = env.records(), env.store(indexes={"n": int})
    kept = "raw" in env.target.hooks
    before = await env.target.raw(env.adapter) if kept else None
    for name in (records.name, "never_written", store.collection):
        place = Records(env.adapter, records.reader, name)
        for attempt in _looks(env, place, "k"):
            await attempt()
            await _expect_empty(env, place, "k")
    for look in _store_looks(store, "k"):
        await look()
        await _expect_empty(env, env.records(store.collection), "k")
    assert not kept or await env.target.raw(env.adapter) == before, "something is kept all the same"


async def _expect_empty(env: Env, place: Records, key: str) -> None:
    await place.expect({}, key)
    assert await place.count(Compare("key", Op.EQ, key)) == 0
    async with env.adapter.transaction() as tx:
        assert await tx.count(Query(place.name)) == 0
        assert await tx.read(place.name, [key]) == [None]


def _looks(env: Env, place: Records, key: str) -> Iterable[Callable[[], Awaitable[object]]]:
    """Return what does nothing to a record that is not there."""
    adapter = env.adapter

    async def refused(*operations: Any, atomic: bool) -> None:
        if atomic:
            with raises(VersionConflict):
                await place.write(*operations, atomic=True)
        else:
            outcomes = await place.write(*operations)
            assert any(type(outcome.error) is VersionConflict for outcome in outcomes)

    async def in_transaction() -> None:
        async with adapter.transaction() as tx:
            await tx.read(place.name, [key, "other"])
            await tx.query(place.query(Compare("n", Op.EQ, 1)))
            await tx.write([place.a_delete(key)])

    stale_put, stale_delete = place.a_put(key, expect="v"), place.a_delete(key, expect="v")
    return (
        lambda: place.get(key),
        lambda: adapter.exists(place.name, key),
        lambda: place.read(key, "other"),
        lambda: place.delete(key),
        lambda: adapter.delete_batch(place.name, [key, "other"]),
        lambda: adapter.delete_batch(place.name, [key, "other"], atomic=True),
        lambda: place.write(place.a_check(key, ABSENT)),
        lambda: place.write(place.a_check(key, ABSENT), place.a_delete("other", expect=ABSENT), atomic=True),
        lambda: place.page(Compare("key", Op.EQ, key), "n", limit=1),
        lambda: refused(stale_put, atomic=False),
        lambda: refused(stale_put, place.a_delete("other"), atomic=True),
        lambda: refused(stale_delete, atomic=False),
        lambda: refused(place.a_put("other"), place.a_check(key, "v"), atomic=True),
        in_transaction,
    )


def _store_looks(store: Any, key: str) -> Iterable[Callable[[], Awaitable[object]]]:
    async def update() -> None:
        with raises(KeyError):
            await store.update(key, lambda value: value)
        with raises(KeyError):
            await store.update(key, {"n": 1})

    async def not_there(answer: Awaitable[object], expected: object) -> None:
        assert await answer == expected

    return (
        lambda: not_there(store.get(key, "default"), "default"),
        lambda: not_there(store.entry(key), None),
        lambda: not_there(store.entries([key]), {}),
        lambda: not_there(store.get_batch([key]), {}),
        lambda: not_there(store.exists(key), False),
        lambda: not_there(store.ttl(key), None),
        lambda: not_there(store.expire(key, 5), False),
        lambda: not_there(store.persist(key), False),
        lambda: not_there(store.delete(key), False),
        lambda: not_there(store.delete_batch([key]), 0),
        lambda: not_there(store.where("n", "=", 1).execute(), []),
        lambda: not_there(store.where("n", "=", 1).first(), None),
        lambda: not_there(store.clear(), 0),
        update,
    )


@case("del.reclaimed", requires=NEEDS, needs={"raw"})
async def reclaimed(env: Env) -> None:
    """What is deleted or overwritten is physically gone: no row, no entry of an index, no marker stays behind."""
    records, target = env.records(), env.target
    fields: dict[str, Any] = {"n": 1, "l": ("a", "b", "c"), "s": "text"}

    async def fill(size: int) -> None:
        keys = [f"{n:02}" for n in range(24)]
        await env.adapter.set_batch([records.a_put(key, b"v" * size, fields=fields) for key in keys])

    async def in_transaction() -> None:
        async with env.adapter.transaction() as tx:
            await tx.write([records.a_delete(f"{n:02}") for n in range(18, 24)])

    before = await target.raw(env.adapter)
    for size in (10, 5000, 70_000):
        await fill(size)
        full = await target.raw(env.adapter)
        assert full.records >= before.records + 24, "the records cannot be seen"
        await fill(size + 1)
        assert await target.raw(env.adapter) == full, "overwriting leaves something behind"
        for number in range(6):
            await records.delete(f"{number:02}")
        await env.adapter.delete_batch(records.name, [f"{n:02}" for n in range(6, 12)])
        await records.write(*(records.a_delete(f"{n:02}") for n in range(12, 18)), atomic=True)
        await in_transaction()
        assert await target.raw(env.adapter) == before, "deleting leaves something behind"
    await records.expect({})
