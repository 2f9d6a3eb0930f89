"""What goes on after a cancellation: a write in a thread, a commit that has begun, an update half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from daystore.abc import STRONG, RecordTransaction, StorageAdapter
from daystore.errors import TransactionClosed, TransactionConflict
from daystore.stores import MemoryStore, Store
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq
from daystore_compliance.records import Records
from daystore_compliance.stepping import Cut, Points, at_both_speeds, at_speed, cut_after, promptly
from daystore_compliance.transacting import NEEDS, put

Cancel: TypeAlias = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Cut[Any]]]
"""Runs an operation and cancels it somewhere."""


def _after(turns: int) -> Cancel:
    async def cancel(begin: Callable[[], Awaitable[Any]]) -> Cut[Any]:
        return await cut_after(begin, turns)

    return cancel


# --- A later write stands -----------------------------------------------------------------------------------


async def _put(records: Records, key: str) -> object:
    return await records.put(key, b"cancelled", fields={"n": -1})


async def _put_batch(records: Records, key: str) -> object:
    others = [records.a_put(f"{key}-{n:02}", b"cancelled") for n in range(20)]
    return await records.adapter.set_batch([*others, records.a_put(key, b"cancelled", fields={"n": -1})])


async def _put_together(records: Records, key: str) -> object:
    return await records.write(
        records.a_put(f"{key}-beside", b"cancelled"),
        records.a_put(key, b"cancelled", fields={"n": -1}),
        atomic=True,
    )


async def _delete(records: Records, key: str) -> object:
    return await records.delete(key)


Later: TypeAlias = tuple[Callable[[Records, str], Awaitable[object]], bytes | None]

LATER: Final[dict[str, Later]] = {
    "write-write": (_put, b"later"),
    "write-delete": (_put, None),
    "batch-write": (_put_batch, b"later"),
    "batch-delete": (_put_batch, None),
    "delete-write": (_delete, b"later"),
}
"""What is cancelled, and the value that is written after it; ``None`` for a delete."""
LATER_TOGETHER: Final[dict[str, Later]] = {
    "write": (_put_together, b"later"),
    "delete": (_put_together, None),
}


async def _expect_later(records: Records, keys: list[str], value: bytes | None) -> None:
    state = await records.state(*keys)
    found = {key: state[key].value if key in state else None for key in keys}
    assert found == dict.fromkeys(keys, value), "a cancelled write has landed after a later one"
    if value is not None:
        assert {tuple(state[key].fields.items()) for key in keys} == {(("n", 1),)}


@case("cancel.outlived", variants=at_both_speeds(LATER))
async def outlived(env: Env, tried: tuple[Later, bool]) -> None:
    """A cancelled write never lands after a later write of the same key, whatever thread it goes on in."""
    await _outlived(env, *tried)


@case("cancel.outlived_atomic", requires={"atomic_batch"}, variants=at_both_speeds(LATER_TOGETHER))
async def outlived_atomic(env: Env, tried: tuple[Later, bool]) -> None:
    """A cancelled atomic batch never lands after a later write of one of its keys, however it is committed."""
    await _outlived(env, *tried)


async def _outlived(env: Env, later: Later, slowed: bool) -> None:
    cancelled, value = later
    plain = env.records()
    records = Records(at_speed(env.adapter, slowed=slowed), plain.reader, plain.name)
    keys: list[str] = []

    async def attempt(cancel: Cancel) -> None:
        key = f"k{len(keys):04}"
        keys.append(key)
        await records.put(key, b"first", fields={"n": 0})
        (await cancel(lambda: cancelled(records, key))).expect_propagated()
        if value is None:
            await promptly(records.delete(key), "a delete after a cancellation")
        else:
            await promptly(records.put(key, value, fields={"n": 1}), "a write after a cancellation")
        assert await records.value(key) == value, "a cancelled write has landed after a later one"

    points = Points()
    while points.are_left:
        await attempt(points.cancel)
    points.expect_tried(slowed=slowed, apart=cancelled is _put_together and not env.adapter.one_unit)
    for turns in range(1, env.scale(6, 60)):  # whether a thread has begun by then is not the case's to say
        await attempt(_after(turns))
    await _expect_later(records, keys, value)
    for number in range(3):
        await records.put(f"other-{number}")
        await records.delete(f"other-{number}")
    await _expect_later(records, keys, value)
    if "reopen" in env.target.hooks:  # which waits for whatever goes on
        await env.reopen()
        await _expect_later(env.records(plain.name).through(env.adapter), keys, value)


# --- Commits ------------------------------------------------------------------------------------------------


def _begin(adapter: StorageAdapter) -> RecordTransaction:
    begun: Any = adapter.transaction()
    assert isinstance(begun, RecordTransaction)
    return begun


@case("txn.cancel_in_commit", requires=NEEDS, variants=at_both_speeds({"changes": False, "conflict": True}))
async def cancel_in_commit(env: Env, tried: tuple[bool, bool]) -> None:
    """A commit that is cancelled ends whole or not at all, settled tells how, and the state says the truth."""
    conflicts, slowed = tried
    plain = env.records()
    records = Records(at_speed(env.adapter, slowed=slowed), plain.reader, plain.name)
    await records.fill(["kept"])
    points = Points()
    while points.are_left:
        await _cancelled_commit(records, points.cancel, conflicts=conflicts)
    assert points.waits >= (1 if slowed else 0), "nothing was cancelled while it waited: nothing was tried"
    delivered = 0
    for turns in range(1, 9):
        made = await _cancelled_commit(records, _after(turns), conflicts=conflicts)
        delivered += made.is_delivered
    assert delivered >= (2 if slowed else 0), "nothing was cancelled while it was written: nothing was tried"
    await records.expect({"kept": b"kept"})


async def _cancelled_commit(records: Records, cancel: Cancel, *, conflicts: bool) -> Cut[Any]:
    """Commit changes of three records, have it cancelled, and look what became of it."""
    before = {"changed": b"before", "deleted": b"before"}
    await records.adapter.set_batch([records.a_put(key, value) for key, value in before.items()])
    transaction = _begin(records.adapter)
    await transaction.read(records.name, ["changed", "deleted", "new"])
    await put(transaction, records, "changed", b"after")
    await transaction.write([records.a_delete("deleted"), records.a_put("new", b"after")])
    if conflicts:
        before["changed"] = b"meanwhile"
        await records.put("changed", b"meanwhile")
    after = before if conflicts else {"changed": b"after", "new": b"after"}
    made = await cancel(lambda: _committed(transaction))
    made.expect_propagated()
    state = await promptly(transaction.settled(), "a commit that was cancelled")
    assert state == transaction.state
    if made.is_delivered and not made.wait:
        assert state == "open", "a commit that was never begun has ended"
        await records.expect({**before, "kept": b"kept"}, "new")
    else:
        assert state == ("aborted" if conflicts else "committed"), "a commit runs on to its end"
        await records.expect({**after, "kept": b"kept"}, "changed", "deleted", "new")
        with raises(TransactionClosed):
            await transaction.read(records.name, ["changed"])
    if not made.is_delivered:
        assert made.result is (TransactionConflict if conflicts else None)
    await records.adapter.delete_batch(records.name, ["changed", "deleted", "new"])
    await promptly(records.put("kept", b"kept"), "a write after a commit that was cancelled")
    return made


async def _committed(transaction: RecordTransaction) -> type[Exception] | None:
    try:
        await transaction.commit()
    except TransactionConflict as error:
        return type(error)
    return None


# --- Stores -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a store, run over and over.

    Attributes:
        run: Runs it for the so many-th time.
        before: What is written before that, by key.
        after: What there is when nothing cancels it.
        answer: What it returns then; ``None`` to pass over.
    """

    run: Callable[[Store[Any], int], Awaitable[Any]]
    before: Callable[[int], Mapping[str, Any]]
    after: Callable[[int], Mapping[str, Any]]
    answer: Callable[[int], Any] = lambda _: None


async def _raised(value: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {**value, "n": value["n"] + 1}


STORE: Final[dict[str, _Change]] = {
    "set": _Change(
        lambda store, n: store.set(f"k{n}", {"n": n}),
        lambda n: {f"k{n}": {"n": -1}},
        lambda n: {f"k{n}": {"n": n}},
    ),
    "update": _Change(
        lambda store, n: store.update(f"k{n}", _raised),
        lambda n: {f"k{n}": {"n": n}},
        lambda n: {f"k{n}": {"n": n + 1}},
        lambda n: {"n": n + 1},
    ),
    "create": _Change(
        lambda store, n: store.update(f"k{n}", _raised, default={"n": n}),
        lambda _: {},
        lambda n: {f"k{n}": {"n": n + 1}},
        lambda n: {"n": n + 1},
    ),
    "delete": _Change(
        lambda store, n: store.delete(f"k{n}"), lambda n: {f"k{n}": {"n": n}}, lambda _: {}, lambda _: True
    ),
}


async def _at_every_point(store: Store[Any], change: _Change, reading: Store[Any]) -> Points:
    points = Points()
    known: dict[str, Any] = {}
    while points.are_left:
        number = points.number
        before, after = dict(change.before(number)), dict(change.after(number))
        await store.set_batch(before)
        made = await points.cancel(lambda number=number: change.run(store, number))  # type: ignore[misc]
        if not made.is_delivered:
            answer = change.answer(number)
            assert answer is None or strict_eq(made.result, answer)
        other = f"k{number - 1}"
        assert await promptly(store.get(other, "none"), "a read") == known.get(other, "none")
        # Whoever comes next gets the key at once: the turn of what was cancelled has been given back. That tells
        # also what it met; by then what was cancelled has been applied, or never will be.
        key = f"k{number}"
        changed = await promptly(
            store.update(key, _raised, default={"n": 1_000}), "an update of the same key"
        )
        met = [after] if not made.is_delivered else [before, after] if made.wait else [before]
        allowed = [{"n": one.get(key, {"n": 1_000})["n"] + 1} for one in met]
        assert any(strict_eq(changed, one) for one in allowed), "a cancelled change was applied in part"
        known[key] = changed
        assert strict_eq(await reading.get_batch(known), known)
    return points


@case("cancel.store_every_point", requires={"conditional"}, variants=at_both_speeds(STORE))
async def store_every_point(env: Env, tried: tuple[_Change, bool]) -> None:
    """A change of a store that is cancelled at any point is whole or not there, and gives its turn back."""
    change, slowed = tried
    plain = env.store(indexes={"n": int})
    store = env.target.store_type(
        at_speed(env.adapter, slowed=slowed), plain.collection, indexes={"n": int}, **env.target.store_options
    )
    points = await _at_every_point(store, change, env.reading(plain, indexes={"n": int}))
    points.expect_tried(slowed=slowed)


@case(
    "cancel.append_every_point", requires=NEEDS | {"conditional"}, variants={"direct": False, "slowed": True}
)
async def append_every_point(env: Env, slowed: bool) -> None:
    """An append that is cancelled at any point adds all its entries at the end of the memory, or none."""
    storage = env.storage()
    memories: MemoryStore[Any] = storage.memories
    if slowed:
        memories = env.target.storage_type({"main": at_speed(env.adapter, slowed=True)}).memories
    level = STRONG if "strong" in env.capabilities.consistency else None
    expected: list[Any] = []
    points = Points()
    while points.are_left:
        number = points.number
        entries = [{"n": number, "part": part} for part in range(3)]
        made = await points.cancel(lambda entries=entries: memories.append("m", entries))  # type: ignore[misc]
        at_once = await promptly(memories.window("m", 1000), "a read after a cancellation")
        if env.capabilities.snapshots:
            assert at_once in (expected, expected + entries), "a cancelled append was applied in part"
        else:  # a commit that goes on may be seen in part
            added = at_once[len(expected) :]
            assert strict_eq(at_once, expected + [one for one in entries if one in added])
        # The next append moves the end on, so what was cancelled is decided before it, or never will be. What has
        # been decided a strong read waits for.
        last = {"n": number, "next": True}
        assert len(await promptly(memories.append("m", [last]), "an append")) == 1
        found = await promptly(memories.window("m", 1000, consistency=level), "a read after a cancellation")
        added = found[len(expected) : -1]
        assert strict_eq(found, [*expected, *added, last]), "a cancelled append has changed what was there"
        if made.is_delivered and made.wait:
            assert added in ([], entries), "a cancelled append was applied in part"
        else:
            assert added == ([] if made.is_delivered else entries)
        expected = found
        assert await storage.memories.window("m", 1000) == expected
        assert await storage.memories.count("m") == len(expected)
        assert (await storage.memories.windows(["m"], 1000))["m"] == expected
    points.expect_tried(slowed=slowed)
