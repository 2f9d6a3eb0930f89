"""What is physically kept: nothing of what is gone, nothing of what failed, and all of what is alive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from daystore.abc import ABSENT, Compare, FieldValue, Op
from daystore.errors import BatchError, TransactionConflict, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.transacting import put, value

DAY: Final = 86_400
MOST_SWEEPS: Final = 20


def _fields(number: int) -> dict[str, FieldValue]:
    """Return fields of every kind, all of them different for different numbers."""
    return {"n": number, "s": f"s{number}", "r": number / 4, "tags": (f"t{number}", f"u{number}")}


async def _raw(env: Env) -> tuple[int, int]:
    raw = await env.target.raw(env.adapter)
    return raw.records, raw.entries


async def _baseline(env: Env, records: Records) -> tuple[int, int]:
    """Return what is kept of an empty collection that was used before; it may be more than nothing."""
    await records.put("first", fields=_fields(0))
    kept = await _raw(env)
    await records.delete("first")
    empty = await _raw(env)
    assert empty < kept, "the target's raw counts do not see a record that is there"
    return empty


# --- Nothing is left behind ----------------------------------------------------------------------------------


@case(
    "del.no_residue", requires={"query"}, needs={"raw"}, variants=("delete", "overwrite", "clear", "cancel")
)
async def no_residue(env: Env, how: str) -> None:
    """What was deleted, cleared or overwritten leaves nothing behind, no record and no entry of an index."""
    store = env.store(dict, indexes={"n": int, "s": str, "r": float})
    records = env.records(store.collection)
    empty = await _baseline(env, records)
    keys = [f"k{number}" for number in range(20)]
    if how == "overwrite":
        await _overwrite(env, records)
    elif how == "clear":
        await store.set_batch({key: {"n": n, "s": key, "r": n / 4} for n, key in enumerate(keys)})
        assert await _raw(env) > empty
        assert await store.clear() == len(keys)
    elif how == "cancel":
        await _cancel(env, records)
    else:
        await records.fill({key: _fields(number) for number, key in enumerate(keys)})
        assert [await records.delete(key) for key in (*keys[:8], "missing")] == [True] * 8 + [False]
        assert await env.adapter.delete_batch(records.name, [*keys, "missing"]) == 12
    await records.expect({}, *keys)
    assert await _raw(env) == empty


async def _overwrite(env: Env, records: Records) -> None:
    await records.put("k", fields=_fields(0))
    one = await _raw(env)
    for number in range(1, 201):
        await records.put("k", b"%d" % number, fields=_fields(number))
    assert await _raw(env) == one, "overwriting leaves something of what was there before"
    await records.put("k", b"bare")
    assert await records.delete("k") is True


async def _cancel(env: Env, records: Records) -> None:
    """Cancel writes after every number of turns of the loop; each is there as a whole, or not at all."""
    for turns in range(12):
        writing = asyncio.ensure_future(records.put("k", fields=_fields(turns)))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await records.put("other")  # what was sent before has ended when this has
        kept = await records.get("k")
        assert kept is None or dict(kept.fields) == _fields(turns)
        await env.adapter.delete_batch(records.name, ["k", "other"])


@case("cas.no_residue", requires={"conditional", "query"}, needs={"raw"})
async def lost_races_leave_nothing(env: Env) -> None:
    """A write or delete whose condition does not hold leaves nothing behind, alone, in a batch, and in update."""
    store = env.store(dict, indexes={"n": int, "s": str})
    records = env.records(store.collection)
    await _baseline(env, records)
    await store.set("k", {"n": 0, "s": "now"})
    before = await _raw(env)
    for number in range(20):
        for options in ({"if_version": "stale"}, {"if_absent": True}):
            with raises(VersionConflict):
                await records.put("k", fields=_fields(number), **options)
        with raises(VersionConflict):
            await records.put("missing", fields=_fields(number), if_version="stale")
        with raises(VersionConflict):
            await records.delete("k", if_version="stale")
    with raises(BatchError):
        await env.adapter.set_batch(
            [records.a_put(key, fields=_fields(1), expect=ABSENT if key == "k" else "stale") for key in "ka"]
        )
    assert await _raw(env) == before
    seen: list[int] = []

    async def add(value: dict[str, Any]) -> dict[str, Any]:
        seen.append(value["n"])
        if len(seen) < 5:
            await store.set("k", {"n": 10 * len(seen), "s": "faster"})
        return {"n": value["n"] + 1, "s": "mine"}

    assert await store.update("k", add) == {"n": 41, "s": "mine"}
    assert seen == [0, 10, 20, 30, 40]
    assert await _raw(env) == before, "an attempt of an update left something behind"


@case("batch.no_residue", requires={"atomic_batch", "conditional", "query"}, needs={"raw"})
async def failed_batches_leave_nothing(env: Env) -> None:
    """An atomic batch that fails, at whichever place, leaves nothing behind of what came before in it."""
    records = env.records()
    await _baseline(env, records)
    await records.fill({"k": _fields(1), "l": _fields(2)})
    before = await _raw(env)
    for place in range(6):
        batch: list[Any] = [records.a_put(f"new{number}", fields=_fields(number)) for number in range(3)]
        batch += [records.a_put("k", fields=_fields(9)), records.a_delete("l")]
        batch.insert(place, records.a_check("missing", "stale"))
        with raises(VersionConflict):
            await records.write(*batch, atomic=True)
        assert await _raw(env) == before
    assert list(await records.state("new0", "new1", "new2")) == ["k", "l"]


@case(
    "txn.no_residue",
    requires={"transactions", "query"},
    needs={"raw"},
    variants=("abort", "error", "conflict"),
)
async def ended_transactions_leave_nothing(env: Env, how: str) -> None:
    """A transaction that is aborted, fails or meets a conflict leaves nothing behind."""
    records = env.records()
    await _baseline(env, records)
    await records.put("k", fields=_fields(0))
    before = await _raw(env)
    for number in range(10):
        try:
            async with records.adapter.transaction() as tx:
                await value(tx, records, "k")
                await put(tx, records, "k", fields=_fields(number))
                await put(tx, records, f"new{number}", fields=_fields(number))
                if how == "abort":
                    tx.abort()
                elif how == "error":
                    _fail()
                else:
                    await records.put("k", b"faster", fields=_fields(0))
        except ArithmeticError:
            assert how == "error"
        except TransactionConflict:
            assert how == "conflict"
        else:
            assert how == "abort"
    assert await _raw(env) == before
    assert list(await records.state("new0")) == ["k"]


def _fail() -> None:
    raise ArithmeticError


# --- Expiry --------------------------------------------------------------------------------------------------


async def _swept(env: Env, records: Records, expected: tuple[int, int]) -> bool:
    """Give the adapter occasion to sweep, day after day; tell whether only what was expected is left."""
    for _ in range(MOST_SWEEPS):
        env.clock.advance(DAY)
        for _ in range(2):  # a sweep that goes on behind a write has ended when another one has
            await records.put("occasion")
            await records.delete("occasion")
        if await _raw(env) == expected:
            return True
    return False


@case("ttl.no_residue", requires={"ttl", "query"}, needs={"raw"})
async def expired_leave_nothing(env: Env) -> None:
    """What has expired is reclaimed in the end, with its index entries, and what has not is left alone."""
    records = env.records()
    empty = await _baseline(env, records)
    deadline = env.clock.deadline(60)
    await records.write(
        *(records.a_put(f"k{n}", fields=_fields(n), expires_at=deadline) for n in range(50)),
        records.a_put("late", fields=_fields(99), expires_at=env.clock.deadline(60 + 100 * DAY)),
    )
    await records.put("k0", fields=_fields(100), expires_at=env.clock.deadline(30))
    alone = await records.must_get("late")
    assert await _swept(env, records, await _more(env, empty, 1))
    assert (await records.state("k0", "k1", "late"))["late"].version == alone.version
    assert await records.count() == 1
    env.clock.advance(100 * DAY)
    assert await _swept(env, records, empty)


async def _more(env: Env, empty: tuple[int, int], number: int) -> tuple[int, int]:
    """Return what is kept when there are so many records with `_fields`."""
    records = env.records()
    before = await _raw(env)
    await records.put("k", fields=_fields(99))
    after = await _raw(env)
    await records.delete("k")
    return empty[0] + number * (after[0] - before[0]), empty[1] + number * (after[1] - before[1])


@case("ttl.sweep_race", requires={"ttl", "query"}, needs={"raw", "second"})
async def sweep_race(env: Env) -> None:
    """A sweep takes neither a record that was written again meanwhile, nor an entry of its index."""
    records = env.records()
    other = records.through(await env.second())
    empty = await _baseline(env, records)
    for _ in range(env.scale(3, 30)):
        deadline = env.clock.deadline(60)
        old = {f"k{n:02}": n for n in range(30)}
        again = {key: n + 100 for key, n in old.items() if n % 3 != 2}
        alive = await _more(env, empty, len(again))  # as long as there is nothing to sweep
        await records.write(
            *(records.a_put(k, fields=_fields(n), expires_at=deadline) for k, n in old.items())
        )
        env.clock.advance(DAY)
        assert await records.count() == 0
        writers = [records if n % 2 else other for n in again.values()]
        await asyncio.gather(
            *(
                writer.put(key, b"%d" % n, fields=_fields(n))
                for writer, (key, n) in zip(writers, again.items(), strict=True)
            ),
            *(records.put("occasion") for _ in range(3)),
        )
        await records.delete("occasion")
        assert await _swept(env, records, alive), "what is kept is not what is alive"
        await records.expect({key: b"%d" % n for key, n in again.items()}, *old)
        for key, n in again.items():
            for where in _found_by(_fields(n)):
                assert await records.keys(where) == [key], "a sweep took an entry of a record that is alive"
            assert await records.keys(Compare("n", Op.EQ, old[key])) == []
        await env.adapter.delete_batch(records.name, list(again))
        assert await _raw(env) == empty


def _found_by(fields: Mapping[str, FieldValue]) -> list[Compare]:
    """Return a condition for each entry that a record with some fields has."""
    return [
        Compare(name, Op.CONTAINS, item) if isinstance(one, tuple) else Compare(name, Op.EQ, one)
        for name, one in fields.items()
        for item in (one if isinstance(one, tuple) else ("",))
    ]
