"""Batches and clears of stores that stand beside others: nothing asked for is nothing done, and each its own."""

from __future__ import annotations

from typing import Any

from daystore.errors import BatchError
from daystore.query.builder import PAGE_SIZE
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.wrappers import PartialSuccess


@case("del.clear_own", requires={"query"})
async def clear_own(env: Env) -> None:
    """Of several stores on one adapter each clears, deletes and counts its own records, in whatever order."""
    names = [env.records().name for _ in range(4)]
    stores = {name: env.store(collection=name) for name in names}
    for cleared in (names[0], names[3], names[1]):
        for number, name in enumerate(names):
            await stores[name].set_batch({f"k{n}": name for n in range(number + 1)})
        latest = env.store(collection=names[2])  # one that is opened later takes nothing over
        assert await latest.count() == 3
        assert await stores[cleared].delete_batch(["k0", "missing"]) == 1
        assert await stores[cleared].clear() == names.index(cleared)
        for number, name in enumerate(names):
            left = 0 if name == cleared else number + 1
            assert await stores[name].count() == left
            found = {entry.key: entry.value async for entry in stores[name].scan()}
            assert found == {f"k{n}": name for n in range(left)}
            await env.records(name).state(*(f"k{n}" for n in range(5)))
    if not env.capabilities.transactions:
        return
    async with env.storage().transaction() as tx:
        mine = tx[stores[names[2]]]
        await mine.set("inside", 1)
        assert await mine.clear() == 4
        assert await mine.count() == 0
    assert [await stores[name].count() for name in names] == [1, 0, 0, 4]


@case("batch.store_empty")
async def store_empty(env: Env) -> None:
    """Batches of nothing are answered with nothing, and leave what is there as it is."""
    store = env.store()
    await store.set("a", 1)
    before = await env.records(store.collection).state("a")
    atomic = (False, True) if env.capabilities.atomic_batch else (False,)
    empty: tuple[Any, ...] = ({}, [], (), iter(()))
    for nothing in empty:
        assert await store.get_batch(nothing) == {}
        assert await store.entries(nothing) == {}
        for each in atomic:
            assert await store.set_batch(nothing, atomic=each) == {}
            assert await store.delete_batch(nothing, atomic=each) == 0
    await env.records(store.collection).expect({"a": before["a"].value}, " ", "_", "None", "null")


@case("del.clear_goes_on", requires={"query"})
async def clear_goes_on(env: Env) -> None:
    """A clear that cannot delete some records deletes all others, on every page, and names exactly those."""
    plain = env.store()
    keys = [f"k{number:04}" for number in range(2 * PAGE_SIZE + 5)]
    stuck = [keys[3], keys[PAGE_SIZE + 1], keys[-1]]
    await plain.set_batch(dict.fromkeys(keys, 1))
    partial = PartialSuccess(env.adapter, stuck)
    store = env.target.store_type(partial, plain.collection, **env.target.store_options)
    with raises(BatchError) as caught:
        await store.clear()
    assert sorted(caught.error.errors) == stuck
    assert len(partial.failed) >= len(stuck), "nothing failed: nothing was tried"
    assert sorted(await env.reading(plain).get_batch(keys)) == stuck
    assert await plain.count() == len(stuck)
    assert await plain.clear() == len(stuck)
