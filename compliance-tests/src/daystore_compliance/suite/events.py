"""Events: each kept once, in the order in which it was emitted, and only with what was committed with it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from daystore import Event, Transaction
from daystore.errors import SerializationError, TransactionConflict
from daystore.stores import EventStore
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.overlapping import going_on

NEEDS = {"transactions", "query"}


async def _elsewhere(env: Env) -> EventStore:
    """Return the events as another adapter on the same data sees them, where there can be one."""
    adapter = await env.second() if "second" in env.target.hooks else env.adapter
    return env.target.storage_type({"main": adapter}).events


@case("evt.order_per_context", requires={"query"})
async def order_per_context(env: Env) -> None:
    """Events are read in the order in which they were emitted, be the clock standing, moving or set back."""
    events, other = env.storage().events, await _elsewhere(env)
    emitted: list[Event] = []
    for number in range(24):
        if number % 12 == 9:
            env.clock.advance(-3600)
        elif number % 3 == 0:
            env.clock.advance(microseconds=1)
        emitted.append(await events.emit("ab"[number % 2], {"n": number}, context_id=f"c{number % 3}"))
    ids = [event.id for event in emitted]
    assert ids == sorted(set(ids)), "a later event has an id that is not higher"
    for reader in (events, other):
        assert await reader.read() == emitted
        for context in ("c0", "c1", "c2", "c"):
            assert await reader.read(context_id=context) == [e for e in emitted if e.context_id == context]


@case("evt.filters", requires={"query"})
async def filters(env: Env) -> None:
    """Reading by context, type, position and number gives exactly the events that fulfil all of them."""
    events = env.storage().events
    plan = [(kind, context) for kind in ("a", "a.b", "A", "") for context in (None, "c", "c1", "")] * 2
    emitted = [await events.emit(kind, n, context_id=context) for n, (kind, context) in enumerate(plan)]
    assert [(event.type, event.context_id) for event in emitted] == plan
    for kind in (None, "a", "a.b", "A", "", "missing"):
        for context in (None, "c", "", "missing"):
            for start in (None, 0, 15, 31):
                after = None if start is None else emitted[start].id
                expected = [
                    event
                    for number, event in enumerate(emitted)
                    if (kind is None or event.type == kind)
                    and (context is None or event.context_id == context)
                    and (start is None or number > start)
                ]
                for limit in (None, 0, 2):
                    found = await events.read(context_id=context, type=kind, after=after, limit=limit)
                    assert found == expected[:limit]
    with raises(ValueError):
        await events.read(limit=-1)


@case("evt.read_after", requires={"query"})
async def read_after(env: Env) -> None:
    """Reading on after any event, be it there no longer, gives every later one once and none again."""
    events, other = env.storage().events, await _elsewhere(env)
    emitted = [await events.emit("a", number) for number in range(12)]
    for position, event in enumerate(emitted):
        assert await other.read(after=event.id) == emitted[position + 1 :]
    seen: list[Event] = []
    while more := await other.read(after=seen[-1].id if seen else None, limit=5):
        seen += more
        assert len(seen) <= len(emitted), "reading on does not come to an end"
    assert seen == emitted
    gone = {0, 4, 5, 11}
    assert await events.delete_batch([emitted[n].id for n in gone]) == 4
    for position, event in enumerate(emitted):
        left = [e for n, e in enumerate(emitted) if n > position and n not in gone]
        assert await events.read(after=event.id) == left
        assert await events.read(after=event.id, limit=1) == left[:1]
    later = await events.emit("a", "later")
    assert await other.read(after=emitted[-1].id) == [later]


@case("evt.retention", requires={"query", "ttl"})
async def retention(env: Env) -> None:
    """Events that have expired are gone, and reading goes on after the last of them without a gap."""
    events = type(env.storage().events)(env.adapter, "events", ttl=10)
    env.clock.align()
    emitted = []
    for number in range(6):
        emitted.append(await events.emit("a", number))
        env.clock.advance(2)
    assert await events.read() == emitted[2:], "an event is gone at its deadline"
    for position in range(6):
        assert await events.read(after=emitted[position].id) == emitted[max(position + 1, 2) :]
    env.clock.advance(20)
    assert await events.read() == []
    last = await events.emit("a", "last")
    assert await events.read(after=emitted[-1].id) == [last]


@case("evt.unique", requires={"query"})
async def unique(env: Env) -> None:
    """Events of many tasks and adapters at one instant are all kept, under ids of their own."""
    stores = [env.storage().events, await _elsewhere(env)]

    async def emit(number: int) -> Event:
        return await stores[number % 2].emit("a", number, context_id="c")

    emitted = await asyncio.gather(*(emit(number) for number in range(40)))
    assert len({event.id for event in emitted}) == 40
    for store in stores:
        found = await store.read(context_id="c")
        assert sorted(event.payload for event in found) == list(range(40))
        assert found == sorted(emitted, key=lambda event: event.id)


@case("evt.payload", requires={"query"})
async def payload(env: Env) -> None:
    """A payload comes back as it was, names its context unless one is given, and is refused whole or not."""
    events = env.storage().events
    values: list[Any] = [None, 0, False, "", b"\xff", [], {"a": {"b": [1, 1.5]}}, Decimal("1.50")]
    values += [datetime(2026, 6, 1, tzinfo=UTC), {"context_id": 1}, {"context_id": None}, ["context_id"]]
    emitted = [await events.emit("a", value) for value in values]
    assert [event.context_id for event in emitted] == [None] * len(values)
    emitted.append(await events.emit("a", {"context_id": "c1", "n": 1}))
    emitted.append(await events.emit("a", {"context_id": "c1"}, context_id="c2"))
    assert [event.context_id for event in emitted[-2:]] == ["c1", "c2"]
    found = await events.read()
    assert found == emitted
    assert [repr(event.payload) for event in found] == [repr(event.payload) for event in emitted]
    for context, event in (("c1", emitted[-2]), ("c2", emitted[-1])):
        assert await events.read(context_id=context) == [event]
    with raises(SerializationError):
        await events.emit("a", {"bad": object()}, context_id="c1")
    assert await events.count() == len(emitted)


@case("evt.in_commit", requires=NEEDS)
async def in_commit(env: Env) -> None:
    """Events of a transaction come with its commit, in their order, and are seen by itself alone before."""
    storage = env.storage()
    notes = storage.store("notes")
    first = await storage.events.emit("before")
    async with storage.transaction() as tx:
        mine = [await tx.events.emit("a", number, context_id="c") for number in range(8)]
        await tx[notes].set("n", 1)
        assert await tx.events.read() == [first, *mine]
        assert await tx.events.read(context_id="c", after=mine[2].id, limit=2) == mine[3:5]
        assert await storage.events.read() == [first]
    assert await (await _elsewhere(env)).read() == [first, *mine]
    await _expect_no_event_of_what_failed(env)
    assert await storage.events.read() == [first, *mine]


async def _expect_no_event_of_what_failed(env: Env) -> None:
    storage = env.storage()
    notes = storage.store("notes")
    with raises(RuntimeError):
        async with storage.transaction() as tx:
            await tx.events.emit("rolled.back", context_id="c")
            raise RuntimeError("roll back")
    async with storage.transaction() as tx:
        await tx.events.emit("aborted", context_id="c")
        tx.abort()
    with raises(TransactionConflict):
        async with storage.transaction() as tx:
            await tx[notes].get("n")
            await tx.events.emit("conflict", context_id="c")
            await notes.set("n", 2)


@case("evt.many_in_commit", requires=NEEDS)
async def many_in_commit(env: Env) -> None:
    """A commit of 1,050 events keeps each of them once and in order."""
    storage = env.storage()
    size = min(1050, env.capabilities.limits.max_atomic_ops or 1050)
    async with storage.transaction() as tx:
        emitted = [await tx.events.emit("a", number) for number in range(size)]
    assert await storage.events.read() == emitted
    assert await storage.events.count() == size
    assert await storage.events.read(after=emitted[size // 2].id) == emitted[size // 2 + 1 :]


@case("evt.late_commit", requires=NEEDS)
async def late_commit(env: Env) -> None:
    """An event that was emitted early and committed late is there, in the place of its id."""
    storage, other = env.storage(), await _elsewhere(env)
    async with storage.transaction() as tx:
        early = await tx.events.emit("early", context_id="c")
        between = []
        for number in range(4):
            env.clock.advance(1)
            between.append(await (storage.events, other)[number % 2].emit("between", context_id="c"))
        assert await storage.events.read() == between
    assert await other.read() == [early, *between]
    assert await storage.events.read(context_id="c", type="early") == [early]
    env.clock.advance(1)
    last = await storage.events.emit("last")
    assert await other.read() == [early, *between, last]


@case("evt.retried_once", requires=NEEDS)
async def retried_once(env: Env) -> None:
    """A transaction that is run again after conflicts emits what its last run emitted, once."""
    storage = env.storage()
    notes = storage.store("notes")
    await notes.set("n", 0)
    runs = 0

    async def body(tx: Transaction) -> Event:
        nonlocal runs
        runs += 1
        await tx.events.emit("begun", runs)
        await tx[notes].update("n", lambda n: n + 1)
        if runs < 4:
            await notes.set("n", 100 * runs)
        return await tx.events.emit("done", {"run": runs})

    done = await storage.transaction(body)
    assert runs == 4
    assert [(event.type, event.payload) for event in await storage.events.read()] == [
        ("begun", 4),
        ("done", {"run": 4}),
    ]
    assert (await storage.events.read())[1] == done
    assert await notes.get("n") == 301


@case("evt.with_record", requires=NEEDS | {"snapshots"})
async def with_record(env: Env) -> None:
    """Whoever sees an event sees what was committed with it, and the other way round."""
    storage = env.storage()
    notes = storage.store("notes")
    adapter = await env.second() if "second" in env.target.hooks else env.adapter
    watched = env.target.storage_type({"main": adapter})
    seen_notes = watched.store("notes")
    last, done = 0, False
    numbers: set[int] = set()

    async def commit() -> None:
        nonlocal done, last
        for _ in going_on(env.scale(15, 150), lambda: len(numbers) > 2):
            last += 1
            async with storage.transaction() as tx:
                await tx.events.emit("note.set", last)
                await tx[notes].set("n", last)
                await tx.events.emit("note.done", last)
            await asyncio.sleep(0)
        done = True

    async def watch() -> None:
        while not done:
            emitted = len(await watched.events.read())
            value = await seen_notes.get("n", 0)
            assert emitted <= 2 * value, "an event is there before what was committed with it"
            emitted = len(await watched.events.read())
            assert emitted % 2 == 0, "one of two events of a commit is missing"
            assert emitted >= 2 * value, "the event of a record is missing"
            numbers.add(value)
            await asyncio.sleep(0)

    await asyncio.gather(commit(), watch())
    assert len(numbers) > 2, "the reader did not overlap with the commits"
    found = await storage.events.read(type="note.done")
    assert [event.payload for event in found] == list(range(1, last + 1))


@case("evt.stores_apart", requires={"query"})
async def stores_apart(env: Env) -> None:
    """Stores of events under other names, or in other namespaces, have each their own events, all of them."""
    storage = env.storage()
    kind = type(storage.events)
    elsewhere = env.target.storage_type({"main": await env.open(env.namespace + "-other")})
    stores = [storage.events, elsewhere.events, kind(env.adapter, env.records().name)]
    emitted: list[list[Event]] = [[], [], []]
    for number in range(9):
        emitted[number % 3].append(await stores[number % 3].emit("a", number, context_id="c"))
    for store, expected in zip(stores, emitted, strict=True):
        assert await store.read() == expected
        assert await store.read(context_id="c") == expected
