"""Transactions over stores of two backends: both commit, or none does."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from daystore import Storage, Store
from daystore.abc import StorageAdapter
from daystore.errors import TransactionConflict, UnsupportedOperation
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

NEEDS: Final = frozenset({"transactions", "conditional", "atomic_batch", "intents"})


async def _two(env: Env) -> tuple[Storage, Store[Any], Store[Any]]:
    """Make a storage of two backends, and a store on each: the backend that is tried in two namespaces."""
    other = await env.open(env.namespace + "-other")
    storage = env.target.storage_type({"one": env.adapter, "two": other})
    return storage, Store(env.adapter, "notes", indexes={"n": int}), Store(other, "notes", indexes={"n": int})


async def _nothing_left(*adapters: StorageAdapter) -> bool:
    found = [await a.coordinator.participant.prepared(None) for a in adapters if a.coordinator is not None]
    return not any(found)


@case("txn.across", requires=NEEDS)
async def across(env: Env) -> None:
    """A transaction over two backends sees its own writes on both, commits all of them, and is planned as such."""
    storage, here, there = await _two(env)
    await here.set_batch({"a": {"n": 1}, "gone": {"n": 9}})
    await there.set("b", {"n": 2})
    async with storage.transaction() as tx:
        a: Any = await tx[here].get("a")
        b: Any = await tx[there].get("b")
        await tx[here].set("a", {"n": a["n"] - 1})
        await tx[there].set("b", {"n": b["n"] + 1})
        await tx[here].delete("gone")
        await tx[there].set("new", {"n": 7})
        assert (await tx[here].get("a"), await tx[there].get("b")) == ({"n": 0}, {"n": 3})
        assert await tx[there].count() == 2
        assert await here.get("a") == {"n": 1}, "a write of a transaction is seen before it commits"
        plan = tx.explain()
        assert (plan.path, set(plan.backends)) == ("coordinated", {"one", "two"})
    assert await here.get_batch(["a", "gone"]) == {"a": {"n": 0}}
    assert await there.get_batch(["b", "new"]) == {"b": {"n": 3}, "new": {"n": 7}}
    if env.capabilities.query:
        assert await here.where("n", "=", 0).keys() == ["a"]
        assert await there.where("n", ">", 0).keys() == ["b", "new"]
    assert await _nothing_left(here.adapter, there.adapter)  # type: ignore[arg-type]


@case("txn.across_conflict", requires=NEEDS, variants=("read", "absent", "query", "error"))
async def across_conflict(env: Env, how: str) -> None:
    """What fails on one backend, whatever it is, leaves both as they were, and the next transaction goes well."""
    storage, here, there = await _two(env)
    await here.set_batch({"a": {"n": 1}, "x": {"n": 5}})
    await there.set("b", {"n": 2})

    async def work(interfere: bool) -> None:
        async with storage.transaction() as tx:
            if how == "read":
                await tx[here].get("x")
            elif how == "absent":
                assert await tx[here].get("y") is None
            elif how == "query":
                await tx[here].where("n", ">", 100).keys()
            await tx[here].set("a", {"n": 10})
            await tx[there].set("b", {"n": 20})
            if interfere and how == "error":
                raise ArithmeticError
            if interfere and how == "read":
                await here.set("x", {"n": 6})
            elif interfere:
                await here.set("y", {"n": 101})

    with raises(ArithmeticError if how == "error" else TransactionConflict):
        await work(interfere=True)
    assert (await here.get("a"), await there.get("b")) == ({"n": 1}, {"n": 2})
    assert await _nothing_left(here.adapter, there.adapter)  # type: ignore[arg-type]
    await here.delete("y")
    await work(interfere=False)
    assert (await here.get("a"), await there.get("b")) == ({"n": 10}, {"n": 20})


@case("txn.across_race", requires=NEEDS)
async def across_race(env: Env) -> None:
    """Tasks that move amounts between two backends keep the total, and what each commits is of one instant."""
    storage, here, there = await _two(env)
    await here.set("a", {"n": 100})
    await there.set("b", {"n": 100})
    attempts = 0

    async def move(amount: int) -> None:
        async def body(tx: Any) -> int:
            nonlocal attempts
            attempts += 1
            a, b = (await tx[here].get("a"))["n"], (await tx[there].get("b"))["n"]
            await asyncio.sleep(0)
            await tx[here].set("a", {"n": a - amount})
            await tx[there].set("b", {"n": b + amount})
            return int(a + b)

        assert await storage.transaction(body) == 200, "a transaction committed that saw half of another one"

    amounts = [3, -2, 7, -5] * env.scale(2, 10)
    await asyncio.gather(*map(move, amounts))
    assert await here.get("a") == {"n": 100 - sum(amounts)}
    assert await there.get("b") == {"n": 100 + sum(amounts)}
    assert attempts > len(amounts), "the transactions did not overlap"
    assert await _nothing_left(here.adapter, there.adapter)  # type: ignore[arg-type]


@case("txn.across_mixed", requires=NEEDS)
async def across_mixed(env: Env) -> None:
    """Transactions on one backend and single writes are exact beside those over two on the same records."""
    storage, here, there = await _two(env)
    await here.set("a", {"n": 0})
    await there.set("b", {"n": 0})

    async def both(tx: Any) -> None:
        for store, key in ((tx[here], "a"), (tx[there], "b")):
            await store.set(key, {"n": (await store.get(key))["n"] + 1})

    async def alone(tx: Any) -> None:
        await tx[here].set("a", {"n": (await tx[here].get("a"))["n"] + 1})

    def add(value: Any) -> Any:
        return {"n": value["n"] + 1}

    times = env.scale(6, 40)
    work = [storage.transaction(both) for _ in range(times)] + [
        storage.transaction(alone) for _ in range(times)
    ]
    work += [there.update("b", add) for _ in range(times)]
    env.random.shuffle(work)
    await asyncio.gather(*work)
    assert (await here.get("a"), await there.get("b")) == ({"n": 2 * times}, {"n": 2 * times})


@case("cap.across.refused", requires={"transactions"}, undeclared={"intents"})
async def across_refused(env: Env) -> None:
    """Without intents, a second backend is refused inside a transaction, and nothing is written there."""
    storage, here, there = await _two(env)
    with raises(UnsupportedOperation):
        async with storage.transaction() as tx:
            await tx[here].set("a", {"n": 1})
            await tx[there].set("b", {"n": 1})
    assert (await here.get("a"), await there.get("b")) == (None, None)
