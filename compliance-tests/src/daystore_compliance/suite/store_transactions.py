"""Transactions as a user writes them: over the stores of a storage, with retry, and never nested."""

from __future__ import annotations

import asyncio
from typing import Any

from daystore import Count, Storage, Sum, Transaction
from daystore.errors import SerializationError, TransactionClosed, TransactionConflict, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

NEEDS = {"transactions", "query", "aggregate"}


@case("txn.stores", requires=NEEDS)
async def stores(env: Env) -> None:
    """A transaction over several stores applies everything it wrote, or nothing, and sees its own writes."""
    storage = env.storage()
    notes, other = storage.store("notes", indexes={"n": int}), storage.store("other_notes")
    await notes.set_batch({"a": {"n": 1}, "b": {"n": 2}})
    with raises(RuntimeError):
        async with storage.transaction() as tx:
            await tx[notes].set("a", {"n": 10})
            await tx[other].set("x", 1)
            raise RuntimeError("roll back")
    assert await notes.get_batch(["a", "b"]) == {"a": {"n": 1}, "b": {"n": 2}}
    assert await other.get("x", "missing") == "missing"
    async with storage.transaction() as tx:
        mine = tx[notes]
        await mine.set("a", {"n": 10})
        await mine.set_batch({"c": {"n": 3}})
        assert await mine.delete("b") is True
        await mine.update("c", {"n": 4})
        await tx[other].set("x", 1)
        assert await mine.get("a") == {"n": 10}
        assert await mine.get_batch(["a", "b", "c"]) == {"a": {"n": 10}, "c": {"n": 4}}
        assert await mine.where("n", ">", 3).keys() == ["a", "c"]
        assert await mine.count() == 2
        assert await mine.aggregate(total=Sum("n"), n=Count()).execute() == {"total": 14, "n": 2}
        assert not await mine.exists("b")
        assert await notes.get("a") == {"n": 1}, "others see it before the commit"
    assert await notes.where("n", ">", 3).keys() == ["a", "c"]
    assert await notes.get_batch(["a", "b", "c"]) == {"a": {"n": 10}, "c": {"n": 4}}
    assert await other.get("x") == 1


@case("txn.nested", requires=NEEDS)
async def nested(env: Env) -> None:
    """A transaction inside a transaction is refused, and the outer one is as good as before."""
    storage = env.storage()
    notes = storage.store("notes")
    async with storage.transaction() as tx:
        await tx[notes].set("a", 1)
        with raises(TransactionClosed):
            async with storage.transaction() as inner:
                await inner[notes].set("b", 1)

        async def body(inner: Transaction) -> None:
            await inner[notes].set("c", 1)

        with raises(TransactionClosed):
            await storage.transaction(body)
        await tx[notes].set("d", 1)
    assert [entry.key async for entry in notes.scan()] == ["a", "d"]
    async with storage.transaction() as tx:
        await tx[notes].set("e", 1)
    assert await notes.count() == 3


@case("txn.store_conflict", requires=NEEDS)
async def store_conflict(env: Env) -> None:
    """The form with a block raises TransactionConflict when somebody else was faster, and applies nothing."""
    storage = env.storage()
    notes = storage.store("notes", indexes={"n": int})
    await notes.set("a", {"n": 0})
    for read in ("get", "get_batch", "exists", "query", "count", "update"):
        with raises(TransactionConflict):
            async with storage.transaction() as tx:
                await _look(tx[notes], read)
                await tx[notes].set("side", {"n": 5})
                await notes.set("a", {"n": 0})
                await notes.set("new", {"n": 0})
        assert await notes.get_batch(["a", "new", "side"]) == {"a": {"n": 0}, "new": {"n": 0}}
        await notes.delete("new")


async def _look(notes: Any, how: str) -> None:
    match how:
        case "get":
            await notes.get("a")
        case "get_batch":
            await notes.get_batch(["a", "new"])
        case "exists":
            await notes.exists("new")
        case "query":
            await notes.where("n", "<", 5).keys()
        case "count":
            await notes.count()
        case _:
            await notes.update("a", {"n": 1})


@case("txn.retry_helper", requires=NEEDS)
async def retry_helper(env: Env) -> None:
    """With a function a transaction is run again after a conflict, with fresh reads, and returns its result."""
    storage = env.storage()
    notes = storage.store("notes")
    await notes.set("n", 0)
    seen: list[int] = []

    async def body(tx: Transaction) -> str:
        value: int = await tx[notes].get("n", -1)
        seen.append(value)
        if len(seen) <= 3:
            await notes.set("n", 10 * len(seen))
        await tx[notes].set("n", value + 1)
        return f"from {value}"

    assert await storage.transaction(body) == "from 30"
    assert seen == [0, 10, 20, 30]
    assert await notes.get("n") == 31


@case("txn.retry_bounded", requires=NEEDS)
async def retry_bounded(env: Env) -> None:
    """Retries are bounded: what always conflicts ends in TransactionConflict, and other errors are not retried."""
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

    with raises(TransactionConflict):
        await storage.transaction(lose, attempts=3)
    assert tries == 3
    assert await notes.get("n") == 3

    async def fail(tx: Transaction) -> None:
        nonlocal tries
        tries += 1
        await tx[notes].set("n", -1)
        raise ValueError("the caller's own")

    with raises(ValueError):
        await storage.transaction(fail)
    assert tries == 4
    assert await notes.get("n") == 3


@case("txn.retry_counts", requires=NEEDS)
async def retry_counts(env: Env) -> None:
    """Tasks that change two records together in retried transactions count exactly, and the two never part."""
    storage = env.storage()
    notes = storage.store("notes")
    await notes.set_batch({"a": 0, "b": 0})
    runs = 0

    async def both(tx: Transaction) -> dict[str, int]:
        nonlocal runs
        runs += 1
        found = await tx[notes].get_batch(["a", "b"])
        assert found["a"] == found["b"] or not env.capabilities.snapshots
        await asyncio.sleep(0)
        await tx[notes].set_batch({"a": found["a"] + 1, "b": found["b"] + 1})
        return found

    async def worker() -> None:
        for _ in range(5):
            found = await storage.transaction(both)
            assert found["a"] == found["b"], "a transaction committed that saw half of another one"

    await asyncio.gather(*(worker() for _ in range(8)))
    assert runs > 40, "the transactions did not overlap"
    assert await notes.get_batch(["a", "b"]) == {"a": 40, "b": 40}


@case("txn.store_refusals", requires=NEEDS)
async def store_refusals(env: Env) -> None:
    """What is refused inside a transaction is refused at once, and the rest of it still commits."""
    storage = env.storage()
    notes = storage.store("notes", indexes={"n": int})
    version = await notes.set("a", {"n": 1})
    async with storage.transaction() as tx:
        with raises(SerializationError):
            await tx[notes].set("bad", object())
        with raises(SerializationError):
            await tx[notes].set_batch({"first": {"n": 1}, "bad": {"n": "text"}})
        with raises(VersionConflict):
            await tx[notes].set("a", {"n": 2}, if_absent=True)
        with raises(VersionConflict):
            await tx[notes].delete("a", if_version="stale")
        await tx[notes].set("a", {"n": 3}, if_version=version)
        await tx[notes].set("new", {"n": 4}, if_absent=True)
    found = {entry.key: entry.value async for entry in notes.scan()}
    assert found == {"a": {"n": 3}, "new": {"n": 4}}


@case("txn.store_after_end", requires=NEEDS)
async def store_after_end(env: Env) -> None:
    """After the end of a transaction its stores refuse every call, and its storage goes on."""
    storage = env.storage()
    notes = storage.store("notes")
    async with storage.transaction() as tx:
        mine = tx[notes]
        await mine.set("a", 1)
    calls: list[tuple[Any, ...]] = [(mine.get, "a"), (mine.set, "b", 1), (mine.delete, "a"), (mine.count,)]
    for call, *arguments in [*calls, (mine.get_batch, ["a"]), (mine.update, "a", lambda value: value)]:
        with raises(TransactionClosed):
            await call(*arguments)
    with raises(TransactionClosed):
        tx[notes]
    with raises(TransactionClosed):
        tx.abort()
    assert await notes.get("a") == 1
    assert await notes.count() == 1


@case("txn.agent_stores", requires=NEEDS)
async def agent_stores(env: Env) -> None:
    """Contexts, memories and events change together in one transaction, or not at all."""
    storage: Storage = env.storage()
    with raises(RuntimeError):
        async with storage.transaction() as tx:
            await tx.memories.append("m", ["lost"])
            await tx.events.emit("note.lost", {"context_id": "c"})
            raise RuntimeError("roll back")
    assert await storage.memories.window("m") == []
    assert list(await storage.events.read()) == []
    async with storage.transaction() as tx:
        await tx.memories.append("m", ["one", "two"])
        await tx.events.emit("note.kept", {"context_id": "c"})
    assert await storage.memories.window("m") == ["one", "two"]
    assert [event.type for event in await storage.events.read()] == ["note.kept"]
