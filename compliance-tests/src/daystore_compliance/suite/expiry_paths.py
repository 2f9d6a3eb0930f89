"""Expiry by every way: deadlines set, moved, kept and removed, and the space that is given back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from daystore.abc import KEEP
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

LIVES: Final[tuple[Any, ...]] = (None, 1, 10.0, 0.25, timedelta(minutes=5), "1h", 86_400 * 365 * 500)
SECONDS: Final = {"1h": 3600.0}


def _seconds(ttl: Any) -> float | None:
    if isinstance(ttl, timedelta):
        return ttl.total_seconds()
    return SECONDS.get(ttl, ttl) if ttl is not None else None


@case("ttl.expire_always", requires={"ttl", "conditional"})
async def expire_always(env: Env) -> None:
    """A deadline that is moved is moved, later or earlier, however much of the old life is left."""
    store = env.store(indexes={"n": int}, ttl="2h")
    reader = env.reading(store)
    env.clock.align()
    for number, old in enumerate(LIVES):
        for passed in (0, 0.3) if env.plan.level == "quick" else (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            for new in LIVES:
                begin = await store.set("k", {"n": number}, ttl=old)
                env.clock.advance((_seconds(old) or 100) * passed)
                env.clock.align()
                assert await (store.persist("k") if new is None else store.expire("k", new)) is True
                told, seconds = await store.ttl("k"), _seconds(new)
                assert told == (None if seconds is None else timedelta(seconds=seconds)), (old, passed, new)
                entry = await reader.entry("k")
                assert entry is not None
                assert (entry.value, dict(entry.fields)) == ({"n": number}, {"n": number})
                assert entry.version != begin, "a record that was changed has its old version"
                if passed == 0:
                    with raises(VersionConflict):
                        await store.set("k", {"n": 0}, if_version=begin)


@case("ttl.updates", requires={"ttl", "conditional"})
async def updates(env: Env) -> None:
    """An update keeps the deadline, or sets the one it is given; a new record gets the store's own."""
    for own in (None, "1h"):
        store = env.store(ttl=own)
        default = None if own is None else timedelta(hours=1)
        env.clock.align()
        for key, ttl in (("mortal", 100), ("forever", None), ("keeps", 100), ("batch", 100)):
            await store.set(key, {"n": 0}, ttl=ttl)
        env.clock.advance(40)
        for key in ("mortal", "forever", "new"):
            await store.update(key, lambda value: {"n": value["n"] + 1}, default={"n": 0})
            await store.update(key, {"n": 2})
        for key in ("keeps", "new keeps"):
            await store.set(key, {"n": 2}, keep_ttl=True)
        lives = {key: await store.ttl(key) for key in ("mortal", "forever", "new", "keeps", "new keeps")}
        minute = timedelta(seconds=60)
        assert lives == {
            "mortal": minute,
            "forever": None,
            "new": default,
            "keeps": minute,
            "new keeps": default,
        }
        await store.update("mortal", {"n": 3}, ttl=7)
        await store.update("forever", lambda value: value, ttl="8s")
        await store.update("new", {"n": 3}, ttl=None)
        await store.set_batch({"batch": {"n": 1}, "batch new": {"n": 1}})
        await store.set_batch({"batch atomic": {"n": 1}}, ttl=9, atomic=env.capabilities.atomic_batch)
        keys = ("mortal", "forever", "new", "batch", "batch new", "batch atomic")
        told = [await store.ttl(key) for key in keys]
        assert told == [*(timedelta(seconds=n) for n in (7, 8)), None, default, default, timedelta(seconds=9)]
        env.clock.advance(9)
        left = ["new", "batch", "batch new", "keeps"]
        assert list(await env.reading(store).get_batch([*keys, "keeps"])) == left
        env.clock.advance(3600)
        assert list(await env.reading(store).get_batch([*keys, "keeps", "new keeps"])) == (
            left[:3] if own is None else ["new"]
        ) + (["new keeps"] if own is None else [])


@case("ttl.updates_in_transaction", requires={"ttl", "transactions", "query"})
async def updates_in_transaction(env: Env) -> None:
    """In a transaction deadlines are set, kept, moved and removed as they are outside."""
    storage = env.storage()
    store = env.store(ttl="1h")
    env.clock.align()
    await store.set_batch({key: {"n": 0} for key in ("update", "keep", "set", "expire", "persist")}, ttl=100)
    env.clock.advance(40)
    async with storage.transaction() as tx:
        mine = tx[store]
        await mine.update("update", {"n": 1})
        await mine.set("keep", {"n": 1}, keep_ttl=True)
        await mine.set("keep", {"n": 2}, keep_ttl=True)
        await mine.set("set", {"n": 1})
        await mine.set("new", {"n": 1}, ttl=5)
        await mine.set("new keep", {"n": 1}, keep_ttl=True)
        assert await mine.expire("expire", 500) is True
        assert await mine.persist("persist") is True
        inside = {key: await mine.ttl(key) for key in ("update", "keep", "set", "new", "expire", "persist")}
    keys = ("update", "keep", "set", "new", "expire", "persist", "new keep")
    outside = {key: await store.ttl(key) for key in keys}
    lives = (60, 60, 3600, 5, 500, None, 3600)
    expected = {k: None if n is None else timedelta(seconds=n) for k, n in zip(keys, lives, strict=True)}
    assert outside == expected
    assert inside == {key: expected[key] for key in inside}
    env.clock.advance(60)
    assert list(await store.get_batch(keys)) == ["set", "expire", "persist", "new keep"]


@case("ttl.far", requires={"ttl"})
async def far(env: Env) -> None:
    """Deadlines of every magnitude are kept to the millisecond, and each ends its record exactly then."""
    records = env.records()
    now = env.clock.deadline(1)
    steps = {
        0,
        *(2**n for n in range(0, 63, 3)),
        *(10**n for n in range(19)),
        2**31 - 1,
        2**32 - 1,
        2**53 - 1,
    }
    last = 253_402_300_799_999_000
    ends = sorted({now + step * 1000 for step in steps if now + step * 1000 <= last} | {last, last - 1000})
    puts = [records.a_put(f"{n:03}", expires_at=end, fields={"n": n}) for n, end in enumerate(ends)]
    await env.adapter.set_batch(puts[::2])
    for put in puts[1::2]:
        await records.write(put)
    await env.adapter.set_batch([records.a_put(p.key, p.value, expires_at=KEEP) for p in puts[::3]])
    assert [r.expires_at for r in (await records.state()).values()] == ends
    for number, end in enumerate(ends):
        for instant, first in ((end - 1, number), (end, number + 1)):
            env.clock.move_to(instant)
            found = await records.read(*(put.key for put in puts))
            assert [r is not None for r in found] == [n >= first for n in range(len(ends))]
            if env.capabilities.query:
                assert await records.count() == len(ends) - first
