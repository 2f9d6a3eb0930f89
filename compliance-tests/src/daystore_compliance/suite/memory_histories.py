"""Histories of memories against plain lists, whoever appends, deletes and clears, inside transactions too."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from daystore import Storage, Transaction
from daystore.errors import InvalidKey, SerializationError
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

NEEDS: Final = {"transactions", "query", "ttl"}
IDS: Final = (
    "a",
    "a/",
    "a~",
    "a~1",
    "a~0",
    "a/0",
    "a/000000000000",
    "A",
    "%",
    "_",
    "\u00e9",
    "e\u0301",
    "x" * 243,
)


async def _elsewhere(env: Env) -> Storage:
    """Return a storage on another adapter with the same data, where there can be one."""
    adapter = await env.second() if "second" in env.target.hooks else env.adapter
    return env.target.storage_type({"main": adapter})


class _Lists:
    """Memories as plain lists, beside those of a storage."""

    def __init__(self, env: Env, storage: Storage, other: Storage) -> None:
        self.env = env
        self.storages = (storage, other)
        self.lists: dict[str, list[tuple[str, Any, int | None]]] = {}
        self.number = 0

    def alive(self, memory: str) -> list[Any]:
        """Return the entries that are left."""
        now = self.env.clock()
        left = [entry for entry in self.lists.get(memory, ()) if entry[2] is None or now < entry[2]]
        self.lists[memory] = left
        return [value for _, value, _ in left]

    async def append(self, memory: str, size: int, seconds: float | None, how: str) -> None:
        """Append entries by one of the storages, in a transaction or outside."""
        storage = self.env.random.choice(self.storages)
        values = [{"n": self.number + n, "text": "x" * (n * 50)} for n in range(size)]
        self.number += size
        if how == "alone":
            keys = await storage.memories.append(memory, iter(values), ttl=seconds)
        else:
            keys = []
            async with storage.transaction() as tx:
                for start in range(0, size, 2):
                    keys += await tx.memories.append(memory, values[start : start + 2], ttl=seconds)
                if how == "aborted":
                    tx.abort()
                    return
        self.alive(memory)
        end = None if seconds is None else self.env.clock.deadline(seconds)
        self.lists[memory] += [(key, value, end) for key, value in zip(keys, values, strict=True)]
        all_keys = [key for key, _, _ in self.lists[memory]]
        assert all_keys == sorted(set(all_keys)), "keys are used twice, or not in the order of appends"

    async def delete(self, memory: str) -> None:
        """Delete an entry by its key."""
        if self.alive(memory):
            key, _, _ = self.lists[memory].pop(self.env.random.randrange(len(self.lists[memory])))
            assert await self.storages[1].memories.delete(key) is True

    async def clear(self, memory: str) -> None:
        """Clear one memory."""
        assert await self.storages[0].memories.clear(memory) == len(self.alive(memory))
        self.lists[memory] = []

    async def verify(self) -> None:
        """Expect every memory to be what was appended, by every way of reading it."""
        size = self.env.random.choice((0, 1, 2, 5, 20, 1000))
        expected = {memory: self.alive(memory) for memory in IDS}
        for storage in self.storages:
            memories = storage.memories
            for memory in self.env.random.sample(IDS, 4):
                values = expected[memory]
                assert await memories.of(memory).execute() == values
                assert await memories.count(memory) == len(values)
                assert await memories.window(memory, size) == (values[-size:] if size else [])
                assert await memories.of(memory).limit(3).execute() == values[:3]
            windows = await memories.windows(IDS, size)
            assert windows == {m: values[-size:] if size else [] for m, values in expected.items()}
            assert await memories.count() == sum(map(len, expected.values()))


@case("rec.memories", requires=NEEDS)
async def memories(env: Env) -> None:
    """A memory is the list of what was appended, whoever did it and whichever others resemble it."""
    lists = _Lists(env, env.storage(), await _elsewhere(env))
    for step in range(env.scale(48, 400)):
        memory = env.random.choice(IDS[: 3 + step // 5])
        what = env.random.choice(("append", "append", "append", "append", "delete", "clear", "wait"))
        if what == "append":
            how = env.random.choice(("alone", "alone", "transaction", "aborted"))
            await lists.append(
                memory, env.random.choice((0, 1, 1, 3, 7)), env.random.choice((None, None, 30, 90)), how
            )
        elif what == "wait":
            env.clock.advance(env.random.choice((0, 10, 31)))
        else:
            await getattr(lists, what)(memory)
        if step % 6 == 5:
            await lists.verify()
    for bad in ([1, object()], [float("nan")]):
        with raises(SerializationError):
            await lists.storages[0].memories.append("a", bad)
    for memory in ("", "x" * 244, "~" * 122):
        with raises(InvalidKey):
            await lists.storages[0].memories.append(memory, [1])
    await lists.verify()
    total = sum(len(lists.alive(memory)) for memory in IDS)
    assert total
    assert await lists.storages[1].memories.clear() == total
    lists.lists.clear()
    await lists.append("a", 2, None, "alone")
    await lists.verify()


@case("rec.memories_race", requires=NEEDS)
async def memories_race(env: Env) -> None:
    """Tasks that append to one memory at once lose nothing, mix no append up, and keep the order of each task."""
    storages = (env.storage(), await _elsewhere(env))
    runs = 0

    async def writer(number: int) -> None:
        nonlocal runs
        storage = storages[number % 2]
        for turn in range(5):
            entries = [[number, turn, place] for place in range(3)]
            await asyncio.sleep(0)
            if number % 3:
                await storage.memories.append("m", entries)
                continue

            async def body(tx: Transaction, entries: list[Any] = entries) -> None:
                nonlocal runs
                runs += 1
                await tx.memories.append("m", entries[:1])
                await asyncio.sleep(0)
                await tx.memories.append("m", entries[1:])

            await storage.transaction(body)

    await asyncio.gather(*(writer(number) for number in range(8)))
    assert runs > 15, "the transactions did not overlap"
    found = await storages[0].memories.of("m").execute()
    assert [entry[2] for entry in found] == [0, 1, 2] * 40, "appends are mixed up"
    blocks = [tuple(entry[:2]) for entry in found[::3]]
    assert [tuple(entry[:2]) for entry in found] == [block for block in blocks for _ in range(3)]
    for number in range(8):
        assert [turn for who, turn in blocks if who == number] == list(range(5)), (
            "lost, doubled, or in disorder"
        )
