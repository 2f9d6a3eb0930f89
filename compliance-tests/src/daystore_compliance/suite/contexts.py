"""Contexts: found by what they are about, changed one attribute at a time, loaded with their memories."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from daystore import Avg, Context, Count, Sum
from daystore.abc import from_instant
from daystore.errors import TransactionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
INDEXED = {
    "type": ("task", "chat"),
    "status": ("waiting", "active"),
    "last_active": (NOW + timedelta(days=1), NOW),
    "message_count": (10, 9),
    "duration": (2.5, 0.0),
    "user_id": ("u1", "u10"),
    "agent_id": ("a", "A"),
}


@case("ctx.round_trip")
async def round_trip(env: Env) -> None:
    """A context comes back as it was, every attribute of its type, and its working memory is not stored."""
    contexts = env.storage().contexts
    bare = Context("c0", last_active=NOW)
    full = Context(
        "c1",
        type="task",
        status="waiting",
        last_active=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        message_count=2**40,
        duration=3,
        user_id="",
        agent_id="agent",
        memory_id="m/1",
        title="\u00e9",
        metadata={"a": [1, 1.0, None, {"b": b"\xff"}]},
    )
    for context in (bare, full):
        await contexts.set(context.id, context)
    for context in (bare, full):
        found = await contexts.get(context.id)
        assert found is not None
        assert strict_eq(vars(found), vars(context))
        assert type(found.duration) is float
        with raises(AttributeError):
            _ = found.working_memory


@case("ctx.indexes", requires={"query"})
async def indexes(env: Env) -> None:
    """Contexts are found by every indexed attribute, and no longer once it has changed."""
    contexts = env.storage().contexts
    for name, (value, other) in INDEXED.items():
        for key, held in ((f"{name}-a", value), (f"{name}-b", other)):
            await contexts.set(key, Context(key, **{"last_active": NOW, name: held}))  # type: ignore[arg-type]
        own = contexts.where("key", "startswith", f"{name}-")
        assert await own.where(name, "=", value).keys() == [f"{name}-a"], name
        await contexts.update(f"{name}-a", {name: other})
        assert await own.where(name, "=", value).keys() == [], name
        assert await own.where(name, "=", other).keys() == [f"{name}-a", f"{name}-b"], name


@case("ctx.by_type", requires={"query", "aggregate"})
async def by_type(env: Env) -> None:
    """by_type finds the contexts of exactly that type, goes on as a query, and groups."""
    contexts = env.storage().contexts
    kinds = ["chat", "task", "chat", "Chat", "chat2", "chat", ""]
    for number, kind in enumerate(kinds):
        context = Context(
            f"c{number}", kind, message_count=number, duration=number / 2, user_id=f"u{number % 2}"
        )
        await contexts.set(context.id, context)
    for kind in ("chat", "task", "Chat", "chat2", "", "cha", "%"):
        expected = [f"c{n}" for n, one in enumerate(kinds) if one == kind]
        assert await contexts.by_type(kind).keys() == expected
        assert await contexts.by_type(kind).count() == len(expected)
    assert await contexts.by_type("chat").where("user_id", "=", "u0").keys() == ["c0", "c2"]
    totals = contexts.where("type", "in", ["chat", "task"])
    rows = totals.aggregate(messages=Sum("message_count"), duration=Avg("duration"), n=Count())
    assert await rows.group_by("type").execute() == [
        {"type": "chat", "messages": 7, "duration": 3.5 / 3, "n": 3},
        {"type": "task", "messages": 1, "duration": 0.5, "n": 1},
    ]


@case("ctx.active_since", requires={"query"})
async def active_since(env: Env) -> None:
    """active_since finds what was active at that very instant or later, the latest first, ties by key."""
    contexts = env.storage().contexts
    times = [NOW + timedelta(microseconds=step) for step in (0, 5, -1, 5, 7, 6)]
    for number, moment in enumerate(times):
        await contexts.set(f"c{number}", Context(f"c{number}", last_active=moment))
    assert await contexts.active_since(NOW).keys() == ["c4", "c5", "c1", "c3", "c0"]
    assert await contexts.active_since(times[1]).keys() == ["c4", "c5", "c1", "c3"]
    there = times[4].astimezone(timezone(timedelta(hours=-3)))
    assert await contexts.active_since(there).keys() == ["c4"]
    assert await contexts.active_since(NOW).limit(2).keys() == ["c4", "c5"]
    assert await contexts.active_since(NOW + timedelta(days=1)).keys() == []
    with raises(ValueError):
        contexts.active_since(datetime(2026, 6, 1))  # noqa: DTZ001 -- naive on purpose


@case("ctx.touch_archive", requires={"conditional", "query"})
async def touch_archive(env: Env) -> None:
    """Touch and archive change one attribute each, return the context, and make none where there is none."""
    contexts = env.storage().contexts
    context = Context("c1", "task", last_active=NOW, message_count=3, metadata={"a": 1})
    await contexts.set_batch({"c1": context, "c2": Context("c2", last_active=NOW)})
    env.clock.advance(90)
    now = from_instant(env.clock())
    for change in (contexts.touch, contexts.archive):
        returned = await change("c1")
        assert returned == await contexts.get("c1")
        status = "archived" if change == contexts.archive else "active"
        assert vars(returned) == {**vars(context), "last_active": now, "status": status}
        for missing in ("missing", "c"):
            with raises(KeyError):
                await change(missing)
    assert await contexts.where("status", "=", "archived").keys() == ["c1"]
    assert await contexts.where("status", "=", "active").keys() == ["c2"]
    assert await contexts.active_since(now).keys() == ["c1"]
    assert await contexts.count() == 2


@case("ctx.touch_keeps_ttl", requires={"conditional", "ttl"})
async def touch_keeps_ttl(env: Env) -> None:
    """Touch and archive leave the deadline of a context as it is, and wake none that has expired."""
    contexts = env.storage().contexts
    env.clock.align()
    await contexts.set("c1", Context("c1", last_active=NOW), ttl=60)
    env.clock.advance(10)
    await contexts.touch("c1")
    await contexts.archive("c1")
    assert await contexts.ttl("c1") == timedelta(seconds=50)
    env.clock.advance(50)
    for change in (contexts.touch, contexts.archive):
        with raises(KeyError):
            await change("c1")
    assert not await contexts.exists("c1")


@case("ctx.working_memory", requires={"query", "atomic_batch", "conditional"})
async def working_memory(env: Env) -> None:
    """Include loads the last entries of the memory of each context: its own, or the one that it names."""
    storage = env.storage()
    contexts, memories = storage.contexts, storage.memories
    for number in range(6):
        memory = {4: "shared", 5: "missing"}.get(number)
        await contexts.set(f"c{number}", Context(f"c{number}", memory_id=memory, last_active=NOW))
        await memories.append(f"c{number}", [f"c{number} {n}" for n in range(number)])
    await memories.append("shared", range(25))
    found = await contexts.all().include("working_memory", 2).execute()
    assert [(c.id, c.working_memory) for c in found] == [
        ("c0", []),
        ("c1", ["c1 0"]),
        ("c2", ["c2 0", "c2 1"]),
        ("c3", ["c3 1", "c3 2"]),
        ("c4", [23, 24]),
        ("c5", []),
    ]
    full = await contexts.where("key", "=", "c4").include("working_memory").first()
    assert full is not None
    assert full.working_memory == list(range(5, 25))
    await contexts.set("c4", full)
    again = await contexts.get("c4")
    assert again == full
    with raises(AttributeError):
        _ = again.working_memory
    none = await contexts.all().include("working_memory", 0).execute()
    assert [c.working_memory for c in none] == [[]] * 6
    for bad in (("other", 1), ("working_memory", -1)):
        with raises(ValueError):
            contexts.all().include(*bad)


@case("ctx.shared_memory", requires={"query", "atomic_batch", "conditional"})
async def shared_memory(env: Env) -> None:
    """Any number of contexts load one memory, each a list of its own, all at once and while iterating."""
    storage = env.storage()
    names = [f"c{number:03}" for number in range(130)]
    await storage.memories.append("shared", ["one", "two"])
    await storage.contexts.set_batch(
        {name: Context(name, memory_id="shared", last_active=NOW) for name in names}
    )
    query = storage.contexts.all().include("working_memory")
    found = await query.execute()
    found[0].working_memory.append("changed in place")
    assert [c.working_memory for c in found[1:]] == [["one", "two"]] * 129
    assert [(c.id, c.working_memory) async for c in query] == [(name, ["one", "two"]) for name in names]


@case("ctx.in_transaction", requires={"transactions", "query"})
async def in_transaction(env: Env) -> None:
    """In a transaction contexts and their memories are changed, found and loaded together, or not at all."""
    storage = env.storage()
    await storage.contexts.set("c1", Context("c1", last_active=NOW))
    await storage.memories.append("c1", ["one"])
    env.clock.advance(1)
    async with storage.transaction() as tx:
        await tx.contexts.touch("c1")
        await tx.contexts.archive("c1")
        await tx.contexts.set("c2", Context("c2", "task", last_active=NOW))
        await tx.memories.append("c1", ["two"])
        await tx.memories.append("c2", ["first"])
        assert await tx.contexts.by_type("task").keys() == ["c2"]
        loaded = await tx.contexts.all().include("working_memory").execute()
        assert [c.working_memory for c in loaded] == [["one", "two"], ["first"]]
        before = await storage.contexts.all().include("working_memory").execute()
        assert [(c.status, c.working_memory) for c in before] == [("active", ["one"])]
    loaded = await storage.contexts.all().include("working_memory").execute()
    assert [(c.id, c.status, c.working_memory) for c in loaded] == [
        ("c1", "archived", ["one", "two"]),
        ("c2", "active", ["first"]),
    ]
    assert loaded[0].last_active == from_instant(env.clock())
    with raises(TransactionConflict):
        async with storage.transaction() as tx:
            await tx.contexts.touch("c2")
            await tx.memories.append("c2", ["never"])
            await storage.contexts.archive("c2")
    assert await storage.memories.window("c2") == ["first"]


@case("ctx.concurrent_changes", requires={"conditional"})
async def concurrent_changes(env: Env) -> None:
    """Tasks that touch, archive and update one context at once lose no change of another attribute."""
    contexts = env.storage().contexts
    await contexts.set("c1", Context("c1", last_active=NOW))

    async def more(context: Context) -> Context:
        await asyncio.sleep(0)
        context.message_count += 1
        return context

    changes: list[Any] = [contexts.update("c1", more) for _ in range(10)]
    changes[3:3] = [contexts.touch("c1"), contexts.archive("c1"), contexts.update("c1", {"title": "t"})]
    await asyncio.gather(*changes)
    found = await contexts.get("c1")
    assert found is not None
    assert (found.message_count, found.status, found.title) == (10, "archived", "t")
    assert found.last_active == from_instant(env.clock())
