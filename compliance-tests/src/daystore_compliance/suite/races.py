"""Races: whatever the way of writing, one wins, nobody sees half of it, and nothing of both is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

from daystore.abc import ABSENT, KEEP, Delete, Put, Record, StorageAdapter
from daystore.errors import TransactionConflict, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.overlapping import going_on
from daystore_compliance.records import Records

WAYS: Final = ("alone", "batch", "atomic")


async def _adapters(env: Env, number: int) -> list[StorageAdapter]:
    """Return adapters on the same data: two by turns where the target can, the one otherwise."""
    second = await env.second() if "second" in env.target.hooks else env.adapter
    return [(env.adapter, second)[index % 2] for index in range(number)]


async def _apply(records: Records, change: Put | Delete, way: str, number: int) -> bool:
    """Make a change by some way, among changes of other records; tell whether its expectation held."""
    others = [records.a_put(f"other-{number}-{n}") for n in range(3)]
    await asyncio.sleep(0)
    try:
        if way == "transaction":
            async with records.adapter.transaction() as tx:
                await tx.write([others[0], change, others[1]])
            return True
        if way == "alone":
            outcomes = await records.write(change)
        else:
            outcomes = await records.write(*others[:2], change, others[2], atomic=way == "atomic")
    except (VersionConflict, TransactionConflict):
        return False
    return outcomes[0 if way == "alone" else 2].error is None


async def _begin(records: Records, kind: str) -> Any:
    """Bring the record ``k`` into the state that rivals meet, and return what they expect."""
    clock: Any = records.adapter.clock
    if kind == "create_expired":
        await records.put("k", b"old", expires_at=clock.deadline(1))
        clock.advance(2)
        return ABSENT
    version = await records.put("k", b"old")
    if kind == "create":
        await records.delete("k")
        return ABSENT
    return version


async def _one_winner(env: Env, way: str, kinds: tuple[str, ...]) -> None:
    places = [env.records().through(adapter) for adapter in await _adapters(env, 6)]
    records = env.records(places[0].name)
    for kind in kinds:
        for _ in range(env.scale(3, 30)):
            expect = await _begin(records, kind)
            rivals: list[Put | Delete] = [
                records.a_delete("k", expect=expect)
                if kind == "delete" or (kind == "either" and number % 2)
                else records.a_put("k", b"%d" % number, expect=expect)
                for number in range(len(places))
            ]
            tries = [
                _apply(records.through(place.adapter), rival, way, number)
                for number, (place, rival) in enumerate(zip(places, rivals, strict=True))
            ]
            won = [rival for rival, ok in zip(rivals, await asyncio.gather(*tries), strict=True) if ok]
            assert len(won) == 1, f"{len(won)} of {len(rivals)} rivals win ({kind})"
            left = won[0].value if isinstance(won[0], Put) else None
            assert await records.value("k") == left, kind


@case("cas.one_winner_any_way", requires={"conditional", "ttl", "atomic_batch"}, variants=WAYS)
async def one_winner_any_way(env: Env, way: str) -> None:
    """Of rivals that create, replace or delete one record at once one wins, alone and in every batch."""
    await _one_winner(env, way, ("create", "create_expired", "replace", "delete", "either"))


@case("cas.one_winner_transaction", requires={"ttl", "transactions"})
async def one_winner_transaction(env: Env) -> None:
    """Of transactions that create, replace or delete one record at once one commits."""
    await _one_winner(env, "transaction", ("create", "create_expired", "replace", "delete", "either"))


# --- Seen from beside ---------------------------------------------------------------------------------------


class _Numbered:
    """Writes records of which every entry tells the same number."""

    def __init__(self, records: Records, env: Env) -> None:
        self.records = records
        self.first = env.clock.deadline(1000)
        self.ttl = env.capabilities.ttl
        self.numbers: dict[str, int] = {}

    def put(self, key: str, number: int) -> Put:
        """Make the next one."""
        put = self.records.a_put(key, b"%d" % number, fields={"n": number}, expires_at=self._end(number))
        put.content_type = f"t/{number}"
        self.numbers[put.version] = number
        return put

    def _end(self, number: int) -> int | None:
        return self.first + number * 1000 if self.ttl and number % 3 else None

    def check(self, record: Record) -> int:
        """Expect a record that is whole, and return its number."""
        number = self.numbers[record.version]
        told = (record.value, dict(record.fields), record.content_type, record.expires_at)
        assert told == (b"%d" % number, {"n": number}, f"t/{number}", self._end(number)), "seen by halves"
        return number


@case("rec.seen_whole", variants=WAYS)
async def seen_whole(env: Env, way: str) -> None:
    """A record that is being written is seen before or after, and never by halves: its deadline, for one."""
    if way == "atomic" and not env.capabilities.atomic_batch:
        return
    records = env.records()
    reader = records.through((await _adapters(env, 2))[1])
    numbered, keys = _Numbered(records, env), ("a", "b", "c")
    seen: set[int] = set()
    done = False

    async def write() -> None:
        nonlocal done
        for number in going_on(env.scale(40, 400), lambda: len(seen) > 2):
            puts = [numbered.put(key, number) for key in keys]
            if way == "alone":
                for put in puts:
                    await records.write(put)
            else:
                await records.write(*puts, atomic=way == "atomic")
            if number % 5 == 4:  # so that some are written where nothing is
                await records.adapter.delete_batch(records.name, keys)
            await asyncio.sleep(0)
        done = True

    async def watch() -> None:
        while not done:
            found = [record for record in await reader.read(*keys) if record is not None]
            if env.capabilities.query:
                found += (await reader.page()).records
            seen.update(map(numbered.check, found))
            await asyncio.sleep(0)

    await asyncio.gather(write(), watch(), watch())
    assert len(seen) > 2, "the readers did not overlap with the writer"


@case("ttl.never_without", requires={"ttl"}, variants=("alone", "batch"))
async def never_without(env: Env, way: str) -> None:
    """A write that is cancelled at any point never leaves a record without its deadline, or with an old one."""
    records = env.records()
    numbered = _Numbered(records, env)
    for turns in range(env.scale(12, 60)):
        for before in (None, 3 * turns + 1):
            await records.adapter.delete_batch(records.name, ["k", "l"])
            if before is not None:
                await records.write(numbered.put("k", before))
            puts = [numbered.put(key, 3 * turns + 2) for key in ("k", "l")]
            task = asyncio.ensure_future(records.write(*puts[: 1 if way == "alone" else 2]))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            # What was cancelled may be applied yet, at once: each look by itself sees it whole or not.
            for look in range(3):
                found = [record for record in await records.read("k", "l") if record is not None]
                if look and env.capabilities.query:
                    found += (await records.page()).records
                for record in found:
                    numbered.check(record)


@case("batch.atomic_replaces", requires={"atomic_batch", "snapshots"}, variants=("batch", "transaction"))
async def atomic_replaces(env: Env, way: str) -> None:
    """Where one batch deletes a record and writes another, nobody ever sees neither or both of them."""
    if way == "transaction" and not env.capabilities.transactions:
        return
    records = env.records()
    reader = records.through((await _adapters(env, 2))[1])
    keys = ("a", "b", "c", "d")
    await records.write(records.a_put("a", b"0"), records.a_put("c", b"0"))
    seen: set[bytes] = set()
    done = False

    async def write() -> None:
        nonlocal done
        for turn in going_on(env.scale(30, 300), lambda: len(seen) > 2):
            number = turn + 1
            new, old = (keys[1::2], keys[::2]) if number % 2 else (keys[::2], keys[1::2])
            changes: list[Put | Delete] = [records.a_put(key, b"%d" % number) for key in new]
            changes += [records.a_delete(key) for key in old]
            env.random.shuffle(changes)
            if way == "batch":
                await records.write(*changes, atomic=True)
            else:
                async with records.adapter.transaction() as tx:
                    await tx.write(changes)
            await asyncio.sleep(0)
        done = True

    async def watch() -> None:
        while not done:
            found = [record for record in await reader.read(*keys) if record is not None]
            assert "".join(record.key for record in found) in ("ac", "bd"), "read sees half of it"
            if env.capabilities.query:
                assert "".join(await reader.keys()) in ("ac", "bd"), "query sees half of it"
                assert await reader.count() == 2
            seen.update(record.value for record in found)
            await asyncio.sleep(0)

    await asyncio.gather(write(), watch(), watch())
    assert len(seen) > 2, "the readers did not overlap with the writer"


# --- Changes that do not get in each other's way ------------------------------------------------------------


@case("ttl.keep_race", requires={"ttl"}, variants=WAYS)
async def keep_race(env: Env, way: str) -> None:
    """A write that keeps the deadline, beside one that moves it, keeps the one that was moved."""
    if way == "atomic" and not env.capabilities.atomic_batch:
        return
    records = env.records()
    here, there = (records.through(adapter) for adapter in await _adapters(env, 2))
    for number in range(env.scale(12, 100)):
        soon, late = env.clock.deadline(10), env.clock.deadline(20 + number)
        await records.put("k", b"old", expires_at=soon)
        keeps = here.a_put("k", b"keeps", expires_at=KEEP)
        moves = there.a_put("k", b"moves", expires_at=late)
        tries = [_apply(here, keeps, way, 0), _apply(there, moves, way, 1)]
        assert await asyncio.gather(*(tries if number % 2 else tries[::-1])) == [True, True]
        assert (await records.must_get("k")).expires_at == late


Step = Callable[[Any], Awaitable[Any]]

STEPS: Final[dict[str, Step]] = {
    "patch": lambda store: store.update("k", {"a": 1}),
    "patch other": lambda store: store.update("k", {"b": 1}),
    "function": lambda store: store.update("k", lambda value: {**value, "c": value["c"] + 1}),
    "function ttl": lambda store: store.update("k", lambda value: {**value, "c": value["c"] + 1}, ttl=500),
    "expire": lambda store: store.expire("k", 500),
    "persist": lambda store: store.persist("k"),
}
RESULTS: Final[dict[str, dict[str, int]]] = {
    "patch": {"a": 1},
    "patch other": {"b": 1},
    "function": {"c": 1},
    "function ttl": {"c": 1},
}


@case("cas.update_beside", requires={"conditional", "ttl"})
async def update_beside(env: Env) -> None:
    """Updates and moved deadlines of one record at once, through two adapters, all have their effect."""
    store = env.store(indexes={"c": int})
    other, numbers = env.reading(store, indexes={"c": int}), count()
    names = sorted(STEPS)
    pairs = [(one, two) for one in names for two in names if one < two]
    for one, two in pairs:
        if {one, two} & {"persist"} and {one, two} & {"expire", "function ttl"}:
            continue  # what is left depends on who was last
        for first, second in ((one, two), (two, one)):
            await store.set("k", {"a": 0, "b": 0, "c": 0, "n": next(numbers)}, ttl=100)
            before = await store.entry("k")
            assert before is not None
            await asyncio.gather(STEPS[first](store), STEPS[second](other))
            expected: dict[str, int] = {**before.value}
            for name in (first, second):
                added = RESULTS.get(name, {})
                expected |= {f: expected[f] + n if f == "c" else n for f, n in added.items()}
            entry = await other.entry("k")
            assert entry is not None
            assert entry.value == expected, (first, second)
            assert dict(entry.fields) == {"c": expected["c"]}, (first, second)
            assert entry.version != before.version
            moved = {first, second} & {"expire", "function ttl"}
            left = None if "persist" in (first, second) else 500 if moved else 100
            told = await store.ttl("k")
            assert (told and round(told.total_seconds())) == left, (first, second)
