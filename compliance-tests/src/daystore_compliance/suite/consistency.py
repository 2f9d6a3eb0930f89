"""The level of a read: what a store, a call or a transaction asks for is what the backend is asked for."""

from __future__ import annotations

from typing import Any

from daystore.abc import (
    EVENTUAL,
    STRONG,
    Aggregate,
    Aggregation,
    Consistency,
    Function,
    Query,
    WriteBatch,
    bounded,
)
from daystore.errors import UnsupportedOperation
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

NEEDS = {"query", "aggregate", "conditional"}


class _Noting:
    """An adapter that notes with which consistency it is asked."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter
        self.asked: list[Consistency] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def read(self, collection: str, keys: Any, consistency: Consistency = EVENTUAL) -> Any:
        """Note it, and read."""
        self.asked.append(consistency)
        return await self._adapter.read(collection, keys, consistency)

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Any:
        """Note it, and query."""
        self.asked.append(consistency)
        return await self._adapter.query(query, consistency)

    async def count(self, query: Query, consistency: Consistency = EVENTUAL) -> Any:
        """Note it, and count."""
        self.asked.append(consistency)
        return await self._adapter.count(query, consistency)

    async def aggregate(self, query: Query, aggregation: Any, consistency: Consistency = EVENTUAL) -> Any:
        """Note it, and compute."""
        self.asked.append(consistency)
        return await self._adapter.aggregate(query, aggregation, consistency)


async def _look(store: Any, level: Consistency | None) -> int:
    """Read by every method of a store, with a level of the call or without; return how many reads that is."""
    given: dict[str, Any] = {} if level is None else {"consistency": level}
    every = store.all() if level is None else store.all().consistency(level)
    await store.get("a", None, **given)
    await store.entry("a", **given)
    await store.exists("a", **given)
    await store.get_batch(["a", "b"], **given)
    await store.entries(["a"], **given)
    await store.count(**given)
    await every.execute()
    await every.keys()
    await every.count()
    await every.page(1)
    await every.aggregate(n=_count()).execute()
    return 11


def _count() -> Any:
    from daystore import Count

    return Count()


@case("con.store_and_call", requires=NEEDS)
async def store_and_call(env: Env) -> None:
    """Each method of a store reads at the level of its call, else at that of the store, else the weakest."""
    noting: Any = _Noting(env.adapter)
    kind = type(env.store())
    levels = [
        level for level in (EVENTUAL, bounded(5), STRONG) if level.level in env.capabilities.consistency
    ]
    for own in (None, *levels):
        options: dict[str, Any] = {} if own is None else {"consistency": own}
        store = kind(noting, env.records().name, **options)
        await store.set("a", 1)
        for call in (None, *levels):
            noting.asked.clear()
            size = await _look(store, call)
            expected = call or own or EVENTUAL
            assert noting.asked == [expected] * size, f"asked for {expected.level}"


@case("con.changes_read_fresh", requires=NEEDS | {"ttl"})
async def changes_read_fresh(env: Env) -> None:
    """What is read to be changed is read at the strongest level there is, whatever the store's own is."""
    noting: Any = _Noting(env.adapter)
    store = type(env.store())(noting, env.records().name)
    strongest = STRONG if "strong" in env.capabilities.consistency else EVENTUAL
    await store.set("a", 1)
    noting.asked.clear()
    await store.update("a", lambda value: value + 1)
    await store.update("b", lambda value: value + 1, default=0)
    await store.expire("a", 60)
    await store.persist("a")
    await store.clear()
    assert noting.asked == [strongest] * 5


@case("con.transaction_strong", requires=NEEDS | {"transactions"})
async def transaction_strong(env: Env) -> None:
    """A transaction reads at the strongest level there is, by every method, whatever a store or call asks."""
    noting: Any = _Noting(env.adapter)
    storage = type(env.storage())({"main": noting})
    notes = storage.store("notes", consistency=EVENTUAL)
    strongest = STRONG if "strong" in env.capabilities.consistency else EVENTUAL
    await notes.set("a", 1)
    for call in (None, EVENTUAL):
        noting.asked.clear()
        async with storage.transaction() as tx:
            await _look(tx[notes], call)
            await tx[notes].update("b", lambda value: value, default=0)
        assert len(noting.asked) > 5
        assert set(noting.asked) == {strongest}


@case("con.strong_again", requires={"query", "aggregate"})
async def strong_again(env: Env) -> None:
    """After each write and delete strong reads see it at once, again and again, on the writer itself too."""
    records = env.records()
    level = STRONG if "strong" in env.capabilities.consistency else EVENTUAL
    adapters = [env.adapter, *([await env.second()] if "second" in env.target.hooks else [])]
    query, totals = Query(records.name), Aggregation({"sum": Aggregate(Function.SUM, "n")})
    expected: dict[str, int] = {}
    for number in range(12):
        key = f"k{number % 5}"
        if number % 4 == 3:
            assert await records.delete(key) is (expected.pop(key, None) is not None)
        else:
            await records.put(key, b"%d" % number, fields={"n": number})
            expected[key] = number
        for adapter in adapters * (3 if level is STRONG else 0):
            found = await adapter.read(records.name, [f"k{n}" for n in range(5)], level)
            assert {r.key: int(r.value) for r in found if r is not None} == expected
            page = await adapter.query(query, level)
            assert {r.key: int(r.value) for r in page.records} == expected
            assert await adapter.count(query, level) == len(expected)
            rows = await adapter.aggregate(query, totals, level)
            assert rows[0].values == {"sum": sum(expected.values())}


@case("cap.store_refusals", undeclared={"conditional", "atomic_batch", "ttl", "query", "aggregate"})
async def store_refusals(env: Env) -> None:
    """A store on a backend that can little refuses the rest, and never does something weaker instead."""
    store = env.store(indexes={"n": int})
    await store.set("a", {"n": 1})
    calls: dict[str, list[Any]] = {
        "conditional": [
            lambda: store.update("a", {"n": 2}),
            lambda: store.set("a", {"n": 2}, if_absent=True),
            lambda: store.set("b", {"n": 2}, if_version="x"),
            lambda: store.delete("a", if_version="x"),
        ],
        "atomic_batch": [
            lambda: store.set_batch({"a": {"n": 2}}, atomic=True),
            lambda: store.delete_batch(["a"], atomic=True),
        ],
        "ttl": [
            lambda: store.set("a", {"n": 2}, ttl=60),
            lambda: store.set_batch({"b": {"n": 2}}, ttl=60),
        ],
        "query": [
            store.count,
            lambda: store.all().execute(),
            lambda: store.where("n", "=", 1).keys(),
            store.clear,
        ],
        "aggregate": [lambda: store.aggregate(n=_count()).execute()],
    }
    for capability, some in calls.items():
        for call in some:
            with raises(UnsupportedOperation) as caught:
                await call()
            assert caught.error.capability == capability
    assert await store.get_batch(["a", "b"]) == {"a": {"n": 1}}


@case("life.sweep_spares", requires={"ttl"})
async def sweep_spares(env: Env) -> None:
    """What was written where a record had expired is never swept with it, however late the sweep comes."""
    records = env.records()
    keys = [f"k{n:03}" for n in range(60)]
    puts = [records.a_put(key, b"old", expires_at=env.clock.deadline(1)) for key in keys]
    await env.adapter.write(WriteBatch(puts))
    env.clock.advance(3_600)
    await records.put("other", b"the sweep may begin")
    await env.adapter.write(WriteBatch([records.a_put(key, b"new") for key in keys]))
    for step in range(3):
        env.clock.advance(3_600)
        await records.put("other", b"the sweep may go on: %d" % step)
        await records.put("brief", expires_at=env.clock.deadline(1))
        expected = dict.fromkeys(keys, b"new") | {"other": b"the sweep may go on: %d" % step}
        await records.expect(expected | {"brief": b"value"}, "missing")
