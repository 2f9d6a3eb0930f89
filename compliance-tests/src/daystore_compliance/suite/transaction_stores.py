"""Stores inside a transaction: every method, middleware and limit as outside; and when it is run again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from daystore import Storage, Sum, Transaction
from daystore.abc import Delete, MiddlewareContext, Outcome, Put, Record, WriteBatch
from daystore.errors import (
    LimitExceeded,
    OutcomeUnknown,
    StoreClosed,
    TransactionClosed,
    TransactionConflict,
    UnsupportedOperation,
    VersionConflict,
)
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

NEEDS = {"transactions", "query", "aggregate"}
INDEXES = {"n": int, "kind": str}


class _Reverses:
    """Keeps values back to front."""

    def after_read(self, context: MiddlewareContext, records: list[Record | None]) -> list[Record | None]:
        """Turn what was read."""
        return [None if r is None else replace(r, value=r.value[::-1]) for r in records]

    def before_write(self, context: MiddlewareContext, operations: list[Put | Delete]) -> list[Put | Delete]:
        """Turn what is written."""
        return [replace(o, value=o.value[::-1]) if isinstance(o, Put) else o for o in operations]


@case("txn.middleware", requires=NEEDS)
async def middleware(env: Env) -> None:
    """Middleware that changes what is stored is passed on every path, inside a transaction as outside."""
    storage = env.storage()
    store = storage.store("turned", indexes=INDEXES, middleware=[_Reverses()])
    values = {key: {"n": n, "kind": "x"} for n, key in enumerate("abc")}
    await store.set_batch(values)
    await store.set("d", {"n": 3, "kind": "x"})
    values["d"] = {"n": 3, "kind": "x"}

    async def expect(seen: Store[Any]) -> None:
        assert await seen.get("a") == values["a"]
        assert await seen.get_batch("abcd"[i] for i in range(4)) == values
        assert [e.value for e in (await seen.entries(list("abcd"))).values()] == list(values.values())
        assert await seen.all().execute() == list(values.values())
        assert (await seen.all().order_by("n").page(2)).items == [values["a"], values["b"]]
        assert [(entry.key, entry.value) async for entry in seen.scan()] == list(values.items())
        assert await seen.where("n", ">=", 2, allow_scan=True).execute() == [values["c"], values["d"]]
        assert await seen.where("more", "=", 1, allow_scan=True).count() == (
            1 if "more" in values["b"] else 0
        )
        assert await seen.aggregate(sum=Sum("n")).execute() == {"sum": 6}

    await expect(store)
    async with storage.transaction() as tx:
        await expect(tx[store])
        await tx[store].update("b", lambda value: {**value, "more": 1})
        values["b"] = {**values["b"], "more": 1}
        await expect(tx[store])
    await expect(store)
    raw = await env.records("turned").must_get("b")
    assert raw.value.startswith(b"}"), "the middleware was not passed"


@case("txn.store_limits", requires=NEEDS)
async def store_limits(env: Env) -> None:
    """What is too large for a store is refused inside a transaction at once, and the rest of it commits."""
    storage = env.storage()
    notes = storage.store("notes", indexes=INDEXES)
    large = {"n": 1, "kind": "x" * (env.capabilities.limits.max_field_bytes + 1)}
    async with storage.transaction() as tx:
        await tx[notes].set("a", {"n": 1})
        with raises(LimitExceeded):
            await tx[notes].set("b", large)
        with raises(LimitExceeded):
            await tx[notes].set_batch({"c": {"n": 1}, "d": large})
        with raises(LimitExceeded):
            await tx[notes].update("a", large)
        assert await tx[notes].get_batch(list("abcd")) == {"a": {"n": 1}}
        await tx[notes].set("e", {"n": 2})
    assert await notes.get_batch(list("abcde")) == {"a": {"n": 1}, "e": {"n": 2}}


@case("txn.retry_pauses", requires=NEEDS)
async def retry_pauses(env: Env) -> None:
    """Between two attempts there is a pause: what always conflicts is tried a few times, not all the time."""
    storage = env.storage()
    notes = storage.store("notes")
    await notes.set("n", 0)
    tries = 0

    async def lose(tx: Transaction) -> None:
        nonlocal tries
        tries += 1
        await tx[notes].get("n")
        await notes.set("n", tries)
        await tx[notes].set("n", -1)

    loop = asyncio.get_running_loop()
    begun = loop.time()
    with raises(TransactionConflict):
        await storage.transaction(lose, attempts=1)
    deadline = max(0.05, 5 * (loop.time() - begun))  # a backend may take long for one attempt
    tries = 0
    with raises(TransactionConflict):
        await storage.transaction(lose, deadline=deadline)
    # Without pauses there are hundreds of them in memory.
    assert 1 < tries < 25, f"{tries} attempts in {deadline * 1000:.0f} ms"
    for options in ({"attempts": 1}, {"deadline": 0.0}):
        tries = 0
        with raises(TransactionConflict):
            await storage.transaction(lose, **options)
        assert tries == 1, options
    assert await notes.get("n") == 1
    for bad in ({"attempts": 0}, {"deadline": -1.0}):
        with raises(ValueError):
            await storage.transaction(lose, **bad)


@case("txn.retry_errors", requires=NEEDS)
async def retry_errors(env: Env) -> None:
    """Only a conflict of the transaction is tried again: every other error comes out as it is, after one run."""
    storage = env.storage()
    notes = storage.store("notes")
    await notes.set("a", 0)
    errors: list[BaseException] = [
        VersionConflict("of the body's own", key="a"),
        OutcomeUnknown("of something else"),
        UnsupportedOperation("no", capability="x"),
        TimeoutError("too late"),
        StoreClosed("closed"),
        KeyError("x"),
        asyncio.CancelledError(),
    ]
    runs = 0
    for error in errors:

        async def body(tx: Transaction, error: BaseException = error) -> None:
            nonlocal runs
            runs += 1
            await tx[notes].set("a", 1)
            raise error

        with raises(type(error)) as caught:
            await storage.transaction(body, attempts=3)
        assert caught.error is error
    assert runs == len(errors), "a body was run again"
    assert await notes.get("a") == 0
    values: list[Any] = [None, 0, False, []]
    for value in values:

        async def answer(tx: Transaction, value: object = value) -> object:
            nonlocal runs
            runs += 1
            await tx[notes].set("a", 2)
            return value

        assert await storage.transaction(answer) is value
    assert runs == len(errors) + 4, "a body that returned nothing was run again"


class _LosesReply:
    """An adapter that applies an atomic batch, and loses the reply."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter
        self.sent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply, and raise."""
        outcomes: list[Outcome] = await self._adapter.write(batch)
        if batch.atomic:
            self.sent += 1
            raise OutcomeUnknown("the reply is lost")
        return outcomes


@case("txn.unknown_not_retried", requires=NEEDS)
async def unknown_not_retried(env: Env) -> None:
    """A commit whose outcome is unknown is not run again, so that nothing is applied twice."""
    losing: Any = _LosesReply(env.adapter)
    storage = type(env.storage())({"main": losing})
    notes = storage.store("notes")
    await notes.set("n", 0)
    runs = 0

    async def body(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await tx[notes].set("n", await tx[notes].get("n", 0) + 1)

    with raises(OutcomeUnknown):
        await storage.transaction(body)
    assert (runs, losing.sent) == (1, 1)
    with raises(OutcomeUnknown):
        async with storage.transaction() as tx:
            await body(tx)
    assert losing.sent == 2
    assert await notes.get("n") == 2


@case("txn.used_once", requires=NEEDS)
async def used_once(env: Env) -> None:
    """A transaction is used in its block and once: before it, after it and again it is TransactionClosed."""
    storage = env.storage()
    notes = storage.store("notes")
    begun = storage.transaction()
    with raises(TransactionClosed):
        begun[notes]
    with raises(TransactionClosed):
        begun.store("notes")
    with raises(TransactionClosed):
        begun.abort()
    async with begun as tx:
        await tx[notes].set("a", 1)
        with raises(TransactionClosed):
            async with begun:
                await notes.set("never", 1)
        await tx[notes].set("b", 1)
    with raises(TransactionClosed):
        async with begun:
            await notes.set("never", 1)
    assert await notes.get_batch(["a", "b", "never"]) == {"a": 1, "b": 1}


@case("txn.child_tasks", requires=NEEDS)
async def child_tasks(env: Env) -> None:
    """Tasks that are begun inside a transaction have transactions of their own, apart from it."""
    storage = env.storage()
    notes = storage.store("notes")

    async def own(number: int) -> int | None:
        async with storage.transaction() as tx:
            seen: int | None = await tx[notes].get("a")
            await tx[notes].set(f"own{number}", number)
            return seen

    async with storage.transaction() as tx:
        await tx[notes].set("a", 1)
        assert await asyncio.gather(*(own(number) for number in range(4))) == [None] * 4
        assert await notes.count() == 4
        with raises(TransactionClosed):
            await own(9)
    assert {entry.key: entry.value async for entry in notes.scan()} == {
        "a": 1,
        **{f"own{number}": number for number in range(4)},
    }


@case("txn.two_backends", requires=NEEDS)
async def two_backends(env: Env) -> None:
    """A store on another backend is refused inside a transaction, at once, and nothing of it is written there."""
    other = await env.open(env.namespace + "-other")
    storage: Storage = env.storage()
    here, there = storage.store("notes"), Store(other, "notes")
    async with storage.transaction() as tx:
        await tx[here].set("a", 1)
        with raises(UnsupportedOperation) as caught:
            await tx[there].set("a", 2)
        assert caught.error.capability == "transactions"
        await tx[here].set("b", 1)
    assert await here.get_batch(["a", "b"]) == {"a": 1, "b": 1}
    assert not await there.exists("a")
    with raises(UnsupportedOperation):
        async with storage.transaction() as tx:
            await tx[there].set("a", 2)
            await tx[here].set("a", 3)
    assert (await here.get("a"), await there.get("a", "none")) == (1, "none")


@case("txn.ignored_conflict", requires=NEEDS)
async def ignored_conflict(env: Env) -> None:
    """A conflict that a block meets and ignores still fails its end, and nothing of it is applied."""
    storage = env.storage()
    notes = storage.store("notes", indexes=INDEXES)
    await notes.set("a", {"n": 1})
    with raises(TransactionClosed):
        async with storage.transaction() as tx:
            await tx[notes].set("side", {"n": 2})
            assert await tx[notes].get("a") == {"n": 1}
            await notes.set("a", {"n": 3})
            with raises(TransactionConflict):
                await tx[notes].where("n", ">", 0).execute()
    assert await notes.get_batch(["a", "side"]) == {"a": {"n": 3}}
