"""Memories: entry after entry, in the order in which they were appended, each memory by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from daystore.errors import CorruptRecord, InvalidKey, LimitExceeded, SerializationError, TransactionConflict
from daystore.stores import MemoryStore
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

NEEDS = {"query", "atomic_batch", "conditional"}
ALIKE = ("a", "a/", "a/b", "a~", "a~1", "a~0", "a~1b", "/", "~", "a\0", "A", "a%", "aa", "\u00e9", "e\u0301")
FAMILY = (*ALIKE, "a/000000000000", "a_", " a", "a ")


async def _elsewhere(env: Env) -> MemoryStore[Any]:
    adapter = await env.second() if "second" in env.target.hooks else env.adapter
    return env.target.storage_type({"main": adapter}).memories


@case("mem.append", requires=NEEDS)
async def append(env: Env) -> None:
    """Appended entries stand at the end, in order, whatever the clock says, and each under its own key."""
    memories, other = env.storage().memories, await _elsewhere(env)
    values: list[Any] = [None, 0, "", [], {"role": "user"}, b"\0", 1.5, True, [1]] * 3
    keys: list[str] = []
    for start in range(0, len(values), 3):
        keys += await memories.append("m", iter(values[start : start + 3]))
        await memories.append("other", [start])
        env.clock.advance(1 if start % 2 else -3600)
    assert len(set(keys)) == len(values)
    assert keys == sorted(keys)
    for store in (memories, other):
        assert await store.of("m").execute() == values
        assert list(map(type, await store.of("m").execute())) == list(map(type, values))
        assert await store.of("m").keys() == keys
        assert await store.get_batch(keys) == dict(zip(keys, values, strict=True))
        assert await store.count("m") == len(values)
        assert await store.count() == len(values) + 9
        page = await store.of("m").page(20)
        assert (page.items, (await store.of("m").page(20, page.cursor)).items) == (values[:20], values[20:])
        assert [entry.value async for entry in store.of("m").stream()] == values


@case("mem.window", requires=NEEDS)
async def window(env: Env) -> None:
    """A window is the last entries in order, at most as many as asked for, alone and for many memories."""
    memories, other = env.storage().memories, await _elsewhere(env)
    sizes = {"empty": 0, "one": 1, "some": 7, "twenty": 20, "many": 45}
    for name, size in sizes.items():
        await memories.append(name, range(size))
    for store in (memories, other):
        for size in (0, 1, 6, 7, 8, 44, 45, 46):
            expected = {name: list(range(n))[max(0, n - size) :] for name, n in sizes.items()}
            assert await store.windows(iter([*sizes, "missing"]), size) == {**expected, "missing": []}
            assert {name: await store.window(name, size) for name in sizes} == expected
        assert await store.window("many") == list(range(25, 45))
        assert await store.windows(["many", "one"]) == {"many": list(range(25, 45)), "one": [0]}
        assert await store.windows([]) == {}
    with raises(ValueError):
        await memories.window("many", -1)
    with raises(ValueError):
        await memories.windows(["many"], -1)


@case("mem.deleted_entries", requires=NEEDS)
async def deleted_entries(env: Env) -> None:
    """Windows look past entries that were deleted, and what is appended next never takes their place."""
    memories = env.storage().memories
    keys = await memories.append("m", range(10))
    await memories.delete_batch([*keys[5:8], keys[9]])
    assert await memories.window("m", 3) == [3, 4, 8]
    assert await memories.windows(["m"], 3) == {"m": [3, 4, 8]}
    assert await memories.count("m") == 6
    (key,) = await memories.append("m", ["next"])
    assert key > keys[9], "an entry takes the place of one that was deleted"
    assert await memories.windows(["m"], 3) == {"m": [4, 8, "next"]}
    await memories.set(keys[4], "changed")
    assert await memories.window("m", 3) == ["changed", 8, "next"]


@case("mem.many_writers", requires=NEEDS)
async def many_writers(env: Env) -> None:
    """Tasks that append to one memory from two adapters lose nothing and tear no append apart."""
    stores = [env.storage().memories, await _elsewhere(env)]
    rounds = env.scale(6, 40)

    async def write(writer: int) -> None:
        for number in range(rounds):
            await stores[writer % 2].append("m", [[writer, number, "a"], [writer, number, "b"]])
            await asyncio.sleep(0)

    await asyncio.gather(*map(write, range(6)))
    entries = await stores[1].of("m").execute()
    assert len(entries) == 6 * rounds * 2
    for first, second in zip(entries[::2], entries[1::2], strict=True):
        assert (first[:2], first[2], second[2]) == (second[:2], "a", "b"), "an append was torn apart"
    for writer in range(6):
        assert [e[1] for e in entries[::2] if e[0] == writer] == list(range(rounds))
    order = [entry[0] for entry in entries[::2]]
    assert order != sorted(order), "the writers did not overlap"


@case("mem.families", requires=NEEDS)
async def families(env: Env) -> None:
    """Memories whose ids look alike are different: append, window, count and clear touch one of them."""
    memories = env.storage().memories
    for memory_id in FAMILY:
        await memories.append(memory_id, [memory_id, 1])
    for memory_id in FAMILY:
        assert await memories.window(memory_id) == [memory_id, 1]
        assert await memories.count(memory_id) == 2
    left = list(FAMILY)
    for memory_id in ("a", "~", "a/", "\u00e9"):
        assert await memories.clear(memory_id) == 2
        left.remove(memory_id)
        windows = await memories.windows(FAMILY)
        assert windows == {name: [name, 1] if name in left else [] for name in FAMILY}
    assert await memories.count() == 2 * len(left)


@case("mem.ids", requires=NEEDS)
async def ids(env: Env) -> None:
    """The id of a memory has up to 243 bytes, slash and tilde count twice; others are refused everywhere."""
    memories = env.storage().memories
    good = ("x" * 243, "\u00e9" * 121, "/" * 121, "~" * 121)
    for memory_id in good:
        await memories.append(memory_id, [memory_id])
        assert await memories.window(memory_id) == [memory_id]
    for bad in ("x" * 244, "\u00e9" * 122, "/" * 122, "x" * 242 + "~", "", "\ud800"):
        with raises(InvalidKey):
            await memories.append(bad, [1])
        with raises(InvalidKey):
            await memories.window(bad)
        with raises(InvalidKey):
            await memories.windows([bad])
    assert await memories.count() == len(good)


@case("mem.all_or_none", requires=NEEDS)
async def all_or_none(env: Env) -> None:
    """An append that is refused for one of its entries appends none, and one entry is not taken for many."""
    memories = env.storage().memories
    await memories.append("m", ["first"])
    with raises(SerializationError):
        await memories.append("m", [1, object(), 3])
    wrong: tuple[Any, ...] = ("text", b"bytes", {"role": "user"})
    for entries in wrong:
        with raises(TypeError):
            await memories.append("m", entries)
    assert await memories.append("m", []) == []
    assert await memories.append("new", iter(())) == []
    limit = env.capabilities.limits.max_atomic_ops
    if limit is not None and limit <= 100_000:
        with raises(LimitExceeded):
            await memories.append("m", range(limit))
    await memories.append("m", ["second"])
    assert await memories.window("m") == ["first", "second"]
    assert await memories.count() == 2


@case("mem.large_append", requires=NEEDS)
async def large_append(env: Env) -> None:
    """An append of 1,010 entries stands whole and in order, and clearing leaves no entry of it."""
    memories = env.storage().memories
    size = min(1010, (env.capabilities.limits.max_atomic_ops or 1011) - 1)
    await memories.append("m", ["before"])
    keys = await memories.append("m", range(size))
    await memories.append("other", ["kept"])
    assert len(set(keys)) == size
    assert await memories.of("m").execute() == ["before", *range(size)]
    assert await memories.window("m", size) == list(range(size))
    assert await memories.clear("m") == size + 1
    assert await memories.clear("m") == 0
    assert await memories.window("m") == []
    assert await memories.window("other") == ["kept"]


@case("mem.clear", requires=NEEDS)
async def clear(env: Env) -> None:
    """A memory that was cleared begins anew; clearing all counts every entry and leaves nothing."""
    memories = env.storage().memories
    for name in ("a", "b"):
        await memories.append(name, [1, 2, 3])
    assert await memories.clear("a") == 3
    assert await memories.windows(["a", "b"]) == {"a": [], "b": [1, 2, 3]}
    await memories.append("a", ["again"])
    assert await memories.windows(["a", "b"], 2) == {"a": ["again"], "b": [2, 3]}
    assert await memories.clear() == 4
    assert await memories.count() == 0
    heads = env.records("memories_heads")
    assert await heads.state("a", "b") == {}, "bookkeeping of memories that are gone"


@case("mem.expiry", requires={*NEEDS, "ttl"})
async def expiry(env: Env) -> None:
    """Entries expire one by one, and a memory goes on in order after those that are left, if any."""
    memories = env.storage().memories
    env.clock.align()
    await memories.append("m", ["a"], ttl=10)
    await memories.append("m", ["b"], ttl=5)
    env.clock.advance(5)
    assert await memories.window("m") == ["a"]
    assert await memories.windows(["m"]) == {"m": ["a"]}
    keys = await memories.append("m", ["c", "d"], ttl=10)
    await memories.persist(keys[0])
    assert await memories.window("m") == ["a", "c", "d"]
    env.clock.advance(10)
    assert await memories.window("m") == ["c"]
    assert await memories.count("m") == 1
    await memories.append("m", ["e"])
    assert await memories.window("m") == ["c", "e"]
    assert await memories.windows(["m"]) == {"m": ["c", "e"]}
    env.clock.advance(10**6)
    assert await memories.window("m") == ["c", "e"], "an entry without a deadline is gone"
    brief = type(memories)(env.adapter, memories.name, ttl=10)
    await brief.append("m", ["brief"])
    await brief.append("m", ["kept"], ttl=None)
    assert await memories.window("m", 3) == ["e", "brief", "kept"]
    env.clock.advance(10)
    assert await memories.window("m") == ["c", "e", "kept"], (
        "the store's own time to live is not that of entries"
    )


@case("mem.in_transaction", requires={"transactions", "query"})
async def memories_in_transaction(env: Env) -> None:
    """Appends in a transaction follow each other and what is there, and conflict with those of others."""
    storage = env.storage()
    memories = storage.memories
    await memories.append("m", [1])
    async with storage.transaction() as tx:
        await tx.memories.append("m", [2, 3])
        await tx.memories.append("new", ["n"])
        await tx.memories.append("m", [4])
        assert await tx.memories.window("m", 3) == [2, 3, 4]
        assert await tx.memories.windows(["m", "new"]) == {"m": [1, 2, 3, 4], "new": ["n"]}
        assert await tx.memories.count("m") == 4
        assert await memories.window("m") == [1]
    assert await memories.windows(["m", "new"]) == {"m": [1, 2, 3, 4], "new": ["n"]}
    for memory_id in ("m", "fresh"):
        before = await memories.window(memory_id)
        with raises(TransactionConflict):
            async with storage.transaction() as tx:
                await tx.memories.append(memory_id, ["mine"])
                await memories.append(memory_id, ["theirs"])
        assert await memories.window(memory_id) == [*before, "theirs"]
    async with storage.transaction() as tx:
        assert await tx.memories.clear("m") == 5
        await tx.memories.append("m", ["anew"])
        assert await tx.memories.window("m") == ["anew"]
    assert await memories.window("m") == ["anew"]


@case("mem.damaged_head", requires=NEEDS)
async def damaged_head(env: Env) -> None:
    """A memory whose bookkeeping is damaged is an error, never taken for empty; its entries stay as they were."""
    memories = env.storage().memories
    await memories.append("m", [1, 2])
    await memories.append("other", [3])
    heads = env.records("memories_heads")
    await heads.put("m", b"")
    before = await heads.must_get("m")
    with raises(CorruptRecord):
        await memories.append("m", [4])
    with raises(CorruptRecord):
        await memories.windows(["m"])
    assert (await heads.must_get("m")).version == before.version
    assert await memories.of("m").execute() == [1, 2]
    await memories.append("other", [5])
    assert await memories.of("other").execute() == [3, 5]
