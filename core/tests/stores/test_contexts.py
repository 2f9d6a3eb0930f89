"""The stores of an agent: contexts, memories, events."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daystore import Avg, Context, Count, Event, Sum
from daystore.abc import from_instant
from daystore.errors import InvalidKey, LimitExceeded, SerializationError
from daystore.stores import ContextStore, EventStore, MemoryStore

NOW = datetime(2026, 6, 1, tzinfo=UTC)


# --- Contexts -------------------------------------------------------------------------------------------------


async def test_a_context_comes_back_as_it_was(adapter: Any) -> None:
    contexts = ContextStore(adapter)
    context = Context("c1", type="task", duration=2, user_id="u", metadata={"a": [1, None]}, last_active=NOW)
    await contexts.set(context.id, context)
    found = await contexts.get("c1")
    assert found == context
    assert type(found.duration) is float


async def test_contexts_are_found_by_type_time_and_user(adapter: Any) -> None:
    contexts = ContextStore(adapter)
    for number in range(6):
        context = Context(
            f"c{number}",
            type="chat" if number % 2 else "task",
            last_active=NOW + timedelta(hours=number),
            message_count=number,
            duration=number / 2,
            user_id=f"u{number % 3}",
        )
        await contexts.set(context.id, context)
    assert await contexts.by_type("chat").keys() == ["c1", "c3", "c5"]
    assert await contexts.active_since(NOW + timedelta(hours=3)).keys() == ["c5", "c4", "c3"]
    assert await contexts.by_type("chat").where("user_id", "=", "u0").keys() == ["c3"]
    query = contexts.where("type", "in", ["chat", "task"])
    stats = (
        await query.aggregate(
            total_messages=Sum("message_count"), avg_duration=Avg("duration"), contexts=Count()
        )
        .group_by("type")
        .execute()
    )
    assert stats == [
        {"type": "chat", "total_messages": 9, "avg_duration": 1.5, "contexts": 3},
        {"type": "task", "total_messages": 6, "avg_duration": 1.0, "contexts": 3},
    ]


async def test_archive_and_touch(adapter: Any, clock: Any) -> None:
    contexts = ContextStore(adapter)
    await contexts.set("c1", Context("c1", last_active=NOW))
    clock.advance(1)
    assert (await contexts.touch("c1")).last_active == from_instant(clock())
    assert (await contexts.archive("c1")).status == "archived"
    assert await contexts.where("status", "=", "archived").keys() == ["c1"]
    for call in (contexts.touch("missing"), contexts.archive("missing")):
        with pytest.raises(KeyError):
            await call


async def test_include_loads_the_end_of_each_memory_in_one_batch(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    contexts = ContextStore(adapter, memories=memories)
    for number in range(10):
        name = f"c{number}"
        await contexts.set(name, Context(name, memory_id="shared" if number == 9 else None))
        await memories.append(name, [f"{name} {position}" for position in range(number)])
    await memories.append("shared", ["s1", "s2"])
    adapter.calls.clear()
    found = await contexts.all().include("working_memory", limit=3).execute()
    assert adapter.calls == ["query", "read", "read"]
    memory = {context.id: context.working_memory for context in found}
    assert memory["c0"] == []
    assert memory["c2"] == ["c2 0", "c2 1"]
    assert memory["c8"] == ["c8 5", "c8 6", "c8 7"]
    assert memory["c9"] == ["s1", "s2"]
    pages = [context async for context in contexts.all().include("working_memory")]
    assert [len(context.working_memory) for context in pages] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 2]


async def test_a_working_memory_is_neither_stored_nor_there_unasked(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    contexts = ContextStore(adapter, memories=memories)
    await memories.append("c1", ["a"])
    await contexts.set("c1", Context("c1"))
    loaded = await contexts.all().include("working_memory").first()
    assert loaded is not None
    await contexts.set("c1", loaded)
    found = await contexts.get("c1")
    assert found == loaded
    with pytest.raises(AttributeError, match="include"):
        _ = found.working_memory


def test_the_indexes_of_an_agent_s_stores_are_their_own(adapter: Any) -> None:
    for store in (ContextStore, EventStore):
        with pytest.raises(TypeError, match="indexes of its own"):
            store(adapter, indexes=["type"])


def test_an_unknown_relation_is_named_with_the_right_one(adapter: Any) -> None:
    contexts = ContextStore(adapter, memories=MemoryStore(adapter))
    with pytest.raises(ValueError, match="did you mean 'working_memory'"):
        contexts.all().include("working_memori")
    with pytest.raises(ValueError, match="has none"):
        EventStore(adapter).all().include("working_memory")
    with pytest.raises(ValueError, match="not negative"):
        contexts.all().include("working_memory", -1)


# --- Memories -------------------------------------------------------------------------------------------------


async def test_a_memory_is_its_entries_in_the_order_of_appends(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    await memories.append("m", ["a", "b"])
    await memories.append("other", ["x"])
    keys = await memories.append("m", iter([None, {"c": 1}]))
    assert await memories.of("m").execute() == ["a", "b", None, {"c": 1}]
    assert await memories.window("m", 3) == ["b", None, {"c": 1}]
    assert await memories.window("m", 0) == []
    assert await memories.window("missing") == []
    assert await memories.count("m") == 4
    assert await memories.count() == 5
    assert await memories.get(keys[1]) == {"c": 1}
    page = await memories.of("m").page(3)
    assert (page.items, (await memories.of("m").page(3, page.cursor)).items) == (["a", "b", None], [{"c": 1}])


async def test_an_append_costs_the_same_however_long_the_memory_is(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    await memories.append("m", ["first"])
    costs = []
    for size in (10, 1_000):
        await memories.append("m", range(size))
        adapter.calls.clear()
        adapter.batches.clear()
        await memories.append("m", ["one more"])
        costs.append((list(adapter.calls), len(adapter.batches[0].operations)))
    assert costs == [(["read", "write"], 2)] * 2


async def test_order_holds_with_many_tasks_and_processes(adapter: Any, clock: Any) -> None:
    second = type(adapter)(clock)  # shares no lock with the first one, as another process
    await second.open()
    second._collections = adapter._collections
    stores = [MemoryStore(adapter), MemoryStore(second)]

    async def append(writer: int) -> None:
        for number in range(20):
            await stores[writer % 2].append("m", [[writer, number], [writer, number, "b"]])

    await asyncio.gather(*map(append, range(8)))
    entries = await stores[0].of("m").execute()
    assert len(entries) == 8 * 20 * 2
    assert len(adapter.batches) + len(second.batches) > 8 * 20  # they did get in each other's way
    for writer in range(8):
        own = [entry for entry in entries if entry[0] == writer]
        assert [entry[1] for entry in own[::2]] == [entry[1] for entry in own[1::2]] == list(range(20))
    pairs = zip(entries[::2], entries[1::2], strict=True)
    assert all(
        [*first, "b"] == second for first, second in pairs
    )  # what was appended together stands together


async def test_tasks_of_one_process_append_in_turns_and_do_not_collide(adapter: Any) -> None:
    stores = [MemoryStore(adapter), MemoryStore(adapter)]
    await asyncio.gather(*(store.append("m", [1]) for store in stores * 8))
    assert await stores[0].count("m") == len(adapter.batches) == 16


async def test_a_clock_that_is_set_back_does_not_change_the_order(adapter: Any, clock: Any) -> None:
    memories = MemoryStore(adapter)
    await memories.append("m", ["first"])
    clock.advance(-3_600)
    await memories.append("m", ["second"])
    assert await memories.window("m") == ["first", "second"]


LOOK_ALIKE = [
    "a",
    "a/",
    "a/b",
    "a~",
    "a~1",
    "a~0",
    "a~1b",
    "/",
    "~",
    "a\0",
    "A",
    "a%",
    "aa",
    "\u00e9",
    "e\u0301",
]
FAMILY = [*LOOK_ALIKE, "a/000000000000"]


async def test_ids_that_look_alike_are_different_memories(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    for memory_id in FAMILY:
        await memories.append(memory_id, [memory_id, 1])
    for memory_id in FAMILY:
        assert await memories.window(memory_id) == [memory_id, 1]
        assert await memories.count(memory_id) == 2
    assert await memories.windows(FAMILY) == {memory_id: [memory_id, 1] for memory_id in FAMILY}
    assert await memories.clear("a") == 2
    assert await memories.count() == 2 * (len(FAMILY) - 1)


async def test_how_long_an_id_may_be(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    for good in ("x" * 243, "\u00e9" * 121, "/" * 121):
        await memories.append(good, [1])
        assert await memories.window(good) == [1]
    for bad in ("x" * 244, "\u00e9" * 122, "/" * 122, ""):
        with pytest.raises(InvalidKey):
            await memories.append(bad, [1])
    with pytest.raises(TypeError):
        await memories.append(5, [1])  # type: ignore[arg-type]


async def test_an_empty_append_writes_nothing(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    assert await memories.append("m", []) == []
    assert adapter.calls == []


@pytest.mark.parametrize("entries", ["text", b"bytes", {"role": "user"}], ids=repr)
async def test_one_entry_is_not_taken_for_many(adapter: Any, entries: Any) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        await MemoryStore(adapter).append("m", entries)


async def test_one_bad_entry_and_nothing_is_appended(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    with pytest.raises(SerializationError, match="item 1"):
        await memories.append("m", [1, object(), 3])
    assert adapter.calls == []


async def test_an_append_is_all_or_nothing(adapter: Any) -> None:
    from daystore.abc import Capabilities, Limits

    adapter.capabilities = Capabilities(
        conditional=True, atomic_batch=True, query=True, limits=Limits(max_atomic_ops=3)
    )
    memories = MemoryStore(adapter)
    await memories.append("m", [1, 2])
    with pytest.raises(LimitExceeded):
        await memories.append("m", [3, 4, 5])
    assert await memories.window("m") == [1, 2]


async def test_entries_expire_and_the_memory_goes_on_in_order(adapter: Any, clock: Any) -> None:
    memories = MemoryStore(adapter)
    await memories.append("m", ["a"], ttl=10)
    await memories.append("m", ["b"], ttl=5)
    clock.advance(6)
    assert await memories.window("m") == ["a"]
    assert await memories.windows(["m"]) == {"m": ["a"]}
    await memories.append("m", ["c"], ttl=10)
    assert await memories.window("m") == ["a", "c"]
    clock.advance(11)
    assert await memories.count() == 0
    assert await adapter.get("memories_heads", "m") is None
    await memories.append("m", ["d"])
    assert await memories.window("m") == ["d"]


async def test_an_entry_that_outlives_its_head_is_not_overwritten(adapter: Any, clock: Any) -> None:
    memories = MemoryStore(adapter, ttl=10)
    keys = await memories.append("m", ["a", "b", "c"])
    await memories.persist(keys[2])
    clock.advance(11)
    await memories.append("m", ["d"])
    assert await memories.window("m") == ["c", "d"]
    assert await memories.windows(["m"], 2) == {"m": ["c", "d"]}


async def test_windows_look_past_entries_that_were_deleted(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    keys = await memories.append("m", range(10))
    await memories.delete_batch(keys[6:9])
    assert await memories.windows(["m", "missing"], 3) == {"m": [4, 5, 9], "missing": []}
    with pytest.raises(ValueError, match="not negative"):
        await memories.windows(["m"], -1)


async def test_clear_leaves_nothing_behind(adapter: Any) -> None:
    memories = MemoryStore(adapter)
    await memories.append("a", range(1_200))
    await memories.append("b", [1])
    assert await memories.clear("a") == 1_200
    assert [*adapter._collections["memories_heads"]] == ["b"]
    assert await memories.clear("a") == 0
    assert await memories.window("b") == [1]
    await memories.append("a", ["again"])
    assert await memories.window("a") == ["again"]
    assert await memories.clear() == 2
    assert not any(adapter._collections.values())


# --- Events ---------------------------------------------------------------------------------------------------


async def test_events_are_read_in_the_order_in_which_they_happened(adapter: Any, clock: Any) -> None:
    events = EventStore(adapter)
    emitted = []
    for number in range(20):
        if number == 10:
            clock.advance(-5)  # the clock is set back
        emitted.append(
            await events.emit("a" if number % 2 else "b", {"n": number}, context_id=f"c{number % 3}")
        )
    assert await events.read() == emitted
    assert sorted(event.id for event in emitted) == [event.id for event in emitted]
    assert await events.read(type="a", limit=2) == [emitted[1], emitted[3]]
    assert await events.read(context_id="c1", after=emitted[4].id, limit=2) == [emitted[7], emitted[10]]
    assert await events.read(after=emitted[-1].id) == []
    assert await events.read(limit=0) == []


async def test_reading_goes_on_after_the_last_event_that_is_known(adapter: Any) -> None:
    events = EventStore(adapter)
    emitted = [await events.emit("a", number) for number in range(10)]
    seen: list[Event] = []
    while more := await events.read(after=seen[-1].id if seen else None, limit=3):
        seen += more
    assert seen == emitted


async def test_a_payload_can_name_its_context(adapter: Any) -> None:
    events = EventStore(adapter)
    assert (await events.emit("a", {"context_id": "c1"})).context_id == "c1"
    assert (await events.emit("a", {"context_id": "c1"}, context_id="c2")).context_id == "c2"
    assert (await events.emit("a", {"context_id": 1})).context_id is None
    assert (await events.emit("a")).payload is None
    with pytest.raises(SerializationError):
        await events.emit("a", object())
    assert await events.count() == 4
