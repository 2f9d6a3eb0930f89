"""Stores: what a user holds keeps the contract as well as the backend below it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from daystore.errors import InvalidKey, SerializationError, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq
from daystore_compliance.families import FAMILIES

FALSY: tuple[Any, ...] = (None, 0, 0.0, -0.0, False, "", b"", [], {}, set())


# --- Missing ------------------------------------------------------------------------------------------------


@case("miss.get_vs_none")
async def get_vs_none(env: Env) -> None:
    """A stored None is there: get returns it instead of the default, and every other operation finds it."""
    store = env.store()
    await store.set("none", None)
    assert await store.get("none", "default") is None
    assert await store.get("missing", "default") == "default"
    assert await store.get("missing") is None
    assert await store.exists("none")
    assert not await store.exists("missing")
    assert await store.get_batch(["missing", "none"]) == {"none": None}
    if env.capabilities.query:
        assert [entry.key async for entry in store.scan()] == ["none"]
        assert await store.count() == 1
    assert await store.delete("none") is True
    assert await store.get("none", "default") == "default"


@case("miss.falsy")
async def falsy(env: Env) -> None:
    """Zero, False and empty values are there like any other."""
    store = env.store()
    for index, value in enumerate(FALSY):
        await store.set(f"k{index}", value)
        assert strict_eq(await store.get(f"k{index}", "default"), value)
        assert await store.exists(f"k{index}")
    found = await env.reading(store).get_batch([f"k{index}" for index in range(len(FALSY))])
    assert strict_eq(list(found.values()), list(FALSY))
    assert await store.delete_batch(found) == len(FALSY)


@case("miss.default", requires={"ttl"})
async def default(env: Env) -> None:
    """A default is returned for a missing, a deleted and an expired key, as it is, and is not stored."""
    store = env.store()
    fallback: list[int] = []
    await store.set("expired", 1, ttl=1)
    await store.set("deleted", 1)
    await store.delete("deleted")
    env.clock.advance(2)
    for key in ("missing", "deleted", "expired"):
        assert await store.get(key, fallback) is fallback
        assert not await store.exists(key)
    await env.records(store.collection).expect({}, "missing", "deleted", "expired")


@case("del.clear_scoped", requires={"query"})
async def clear_scoped(env: Env) -> None:
    """Clear takes every record of its own collection, however many and whatever their keys, and nothing else."""
    names = ("clear", "clear_", "clear_a", "clea", "c")
    for name in names:
        await env.records(name).fill([f"{name}:{n}" for n in range(3)])
    odd = {key for family in FAMILIES.values() for key in family}
    many = [f"{n:05}" for n in range(env.scale(1203, 5003))]
    await env.records("clear").fill(sorted(odd | set(many)))
    other = await env.open(env.namespace + "-other")
    await other.set("clear", "kept", b"1")
    size = await env.records("clear").count()
    assert await env.reading(env.store(collection="clear")).clear() == size
    await env.records("clear").expect({}, "clear:0", *list(odd)[:5])
    for name in names[1:]:
        await env.records(name).expect({f"{name}:{n}": f"{name}:{n}".encode() for n in range(3)})
    assert await other.exists("clear", "kept")
    assert await env.store(collection="clear").clear() == 0


@case("key.store_refuses")
async def store_refuses(env: Env) -> None:
    """Every operation of a store refuses a key outside the rules, before anything is read or written."""
    store = env.store()
    await store.set("good", 1)
    for key in ("", "k" * 257, "\ud800", "\U0001f600" * 65):
        for call, *arguments in (
            (store.get, key),
            (store.exists, key),
            (store.set, key, 1),
            (store.delete, key),
            (store.get_batch, ["good", key]),
            (store.set_batch, {"good": 2, key: 1}),
            (store.delete_batch, ["good", key]),
            (store.update, key, {}),
        ):
            operation: Any = call
            with raises(InvalidKey):
                await operation(*arguments)
    bad: Any
    for bad in (1, None, b"key"):
        with raises(TypeError):
            await store.set(bad, 1)
        with raises(TypeError):
            await store.get(bad)
    assert await store.get_batch(["good"]) == {"good": 1}


# --- Batches ------------------------------------------------------------------------------------------------


@case("batch.store_order")
async def store_order(env: Env) -> None:
    """A store's batches keep the order asked for, leave the missing out, and take any iterable once."""
    store = env.store()
    versions = await store.set_batch((key, key.upper()) for key in ("c", "a", "b", "a"))
    assert list(versions) == ["c", "a", "b"]
    assert await store.get_batch(key for key in ("b", "missing", "a", "b")) == {"b": "B", "a": "A"}
    assert list(await store.get_batch(["b", "missing", "a", "b"])) == ["b", "a"]
    assert await store.delete_batch(iter(["a", "missing", "a"])) == 1
    assert await store.set_batch({}) == {}
    assert await store.get_batch([]) == {}
    assert await store.delete_batch([]) == 0
    assert await store.get_batch(["a", "b", "c"]) == {"b": "B", "c": "C"}


@case("batch.last_wins")
async def last_wins(env: Env) -> None:
    """Of equal keys in the pairs of a batch the last one wins."""
    store = env.store()
    versions = await store.set_batch([("a", 1), ("b", 2), ("a", 3)])
    assert set(versions) == {"a", "b"}
    assert await store.get_batch(["a", "b"]) == {"a": 3, "b": 2}


@case("batch.bad_value")
async def bad_value(env: Env) -> None:
    """One value that cannot be stored keeps a whole batch from being written, and is not quoted in the error."""
    store = env.store(indexes={"n": int})
    await store.set("b", {"n": 1})
    secret = "a-secret-value"  # noqa: S105 -- not one
    bad: tuple[Any, ...] = (
        object(),
        float("nan"),
        {secret: object()},
        {"n": secret},
        {"n": 1.5},
        {"n": True},
    )
    for value in bad:
        for place in range(3):
            items = {"a": {"n": 5}, "b": {"n": 6}, "c": {"n": 7}}
            items[list(items)[place]] = value
            with raises(SerializationError, hides=[secret]):
                await store.set_batch(items)
    await env.records(store.collection).state("a", "b", "c")
    assert await store.get_batch(["a", "b", "c"]) == {"b": {"n": 1}}


@case("batch.store_versions", requires={"conditional"})
async def store_versions(env: Env) -> None:
    """The versions that a batch returns are those of its records, and conditions hold by them."""
    store = env.store()
    versions = await store.set_batch({"a": 1, "b": 1})
    assert versions["a"] != versions["b"]
    again = await store.set("a", 2, if_version=versions["a"])
    with raises(VersionConflict) as caught:
        await store.set("a", 3, if_version=versions["a"])
    assert caught.error.current == again
    with raises(VersionConflict):
        await store.delete("b", if_version=again)
    assert await store.delete("b", if_version=versions["b"]) is True
    with raises(VersionConflict):
        await store.set("a", 4, if_absent=True)
    assert await store.get_batch(["a", "b"]) == {"a": 2}


@case("batch.store_atomic", requires={"atomic_batch"})
async def store_atomic(env: Env) -> None:
    """An atomic batch of a store writes and deletes everything it names."""
    store = env.store()
    keys = [f"k{n:03}" for n in range(200)]
    await store.set_batch({key: {"v": key} for key in keys}, atomic=True)
    assert await env.reading(store).get_batch(keys) == {key: {"v": key} for key in keys}
    assert await store.delete_batch([*keys, "missing"], atomic=True) == 200
    assert await store.get_batch(keys) == {}


# --- Updates ------------------------------------------------------------------------------------------------


@case("cas.update_exact", requires={"conditional"})
async def update_exact(env: Env) -> None:
    """Sixteen tasks that count up with update, at most fifty times each, lose no count, through any adapter."""
    store = env.store()
    times = env.scale(15, 50)
    stores = [store, env.reading(store)]
    await store.set("n", {"count": 0})
    attempts = 0

    async def one_more(value: dict[str, int]) -> dict[str, int]:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0)
        return {"count": value["count"] + 1}

    async def count_up(place: Any) -> None:
        for _ in range(times):
            await place.update("n", one_more)

    await asyncio.gather(*(count_up(stores[number % 2]) for number in range(16)))
    assert await store.get("n") == {"count": 16 * times}
    assert attempts > 16 * times or "second" not in env.target.hooks, "the tasks did not overlap"


@case("cas.update_patch", requires={"conditional"})
async def update_patch(env: Env) -> None:
    """A patch replaces the items that it names and keeps all others, also when patches come at once."""
    store = env.store(indexes={"a": int})
    await store.set("k", {"a": 1, "b": [1], "c": None})
    assert await store.update("k", {"a": 2, "d": "new"}) == {"a": 2, "b": [1], "c": None, "d": "new"}
    await asyncio.gather(*(store.update("k", {f"x{n}": n}) for n in range(20)))
    expected = {"a": 2, "b": [1], "c": None, "d": "new"} | {f"x{n}": n for n in range(20)}
    assert await env.reading(store).get("k") == expected
    if env.capabilities.query:
        assert await store.where("a", "=", 2).keys() == ["k"]
        assert await store.where("a", "=", 1).keys() == []


@case("cas.update_fresh_argument", requires={"conditional"})
async def update_fresh_argument(env: Env) -> None:
    """Every attempt of an update gets a fresh value, and a function that fails changes nothing."""
    store = env.store()
    await store.set("k", {"items": []})
    seen: list[Any] = []

    async def append(value: dict[str, Any]) -> dict[str, Any]:
        seen.append(list(value["items"]))
        value["items"].append(len(seen))
        if len(seen) <= 3:
            await env.reading(store).set("k", {"items": [f"other {len(seen)}"]})
        return value

    assert await store.update("k", append) == {"items": ["other 3", 4]}
    assert seen == [[], ["other 1"], ["other 2"], ["other 3"]]
    assert await store.get("k") == {"items": ["other 3", 4]}

    def fails(value: dict[str, Any]) -> dict[str, Any]:
        value["items"].clear()
        raise LookupError("the caller's own")

    with raises(LookupError):
        await store.update("k", fails)
    assert await store.get("k") == {"items": ["other 3", 4]}


@case("cas.update_gives_up", requires={"conditional"})
async def update_gives_up(env: Env) -> None:
    """An update that always loses ends with VersionConflict at its deadline, and has written nothing."""
    store = env.store()
    await store.set("k", 0)
    writes = 0

    async def lose(value: int) -> int:
        nonlocal writes
        writes += 1
        await env.adapter.set(store.collection, "other", b"")
        await env.reading(store).set("k", -writes)
        return value + 1000

    with raises(VersionConflict):
        await store.update("k", lose, deadline=0.05)
    assert writes > 0
    assert await store.get("k") == -writes


@case("cas.update_missing", requires={"conditional", "ttl"})
async def update_missing(env: Env) -> None:
    """Updating what is missing or expired is a KeyError, or begins with a fresh default that is given."""
    store = env.store()
    await store.set("expired", [1], ttl=1)
    env.clock.advance(2)
    for key in ("missing", "expired"):
        with raises(KeyError):
            await store.update(key, lambda value: value)
        assert not await store.exists(key)
    beginning: list[int] = []
    for key in ("missing", "expired"):
        assert await store.update(key, lambda value: [*value, 1], default=beginning) == [1]
        assert await store.update(key, lambda value: [*value, 2], default=beginning) == [1, 2]
    assert beginning == []


@case("cas.update_creators", requires={"conditional"})
async def update_creators(env: Env) -> None:
    """Tasks that update the same missing key at once, with a default, lose none of their changes."""
    store = env.store()
    places = [store, env.reading(store)]

    async def add(number: int) -> None:
        async def added(value: list[int]) -> list[int]:
            await asyncio.sleep(0)
            return [*value, number]

        await places[number % 2].update("k", added, default=list)

    await asyncio.gather(*(add(number) for number in range(20)))
    assert sorted(await store.get("k", [])) == list(range(20))


# --- Expiry -------------------------------------------------------------------------------------------------


@case("ttl.forms", requires={"ttl"})
async def ttl_forms(env: Env) -> None:
    """A time to live is a timedelta, seconds or a text; the record is gone exactly then."""
    store = env.store()
    begin = env.clock.align()
    seconds = {"30d": 30 * 86_400, "1h": 3600, "90s": 90, "250ms": 0.25}
    for text, length in seconds.items():
        await store.set(f"text {text}", 1, ttl=text)
        await store.set(f"timedelta {text}", 1, ttl=timedelta(seconds=length))
        await store.set(f"number {text}", 1, ttl=length)
    await store.set_batch({"batch 1": 1, "batch 2": 2}, ttl=90)
    for text, length in sorted(seconds.items(), key=lambda item: item[1]):
        keys = [f"{form} {text}" for form in ("text", "timedelta", "number")]
        keys += ["batch 1", "batch 2"] if length == 90 else []
        env.clock.move_to(begin + int(length * 1_000_000) - 1)
        assert list(await store.get_batch(keys)) == keys
        env.clock.advance(microseconds=1)
        assert await env.reading(store).get_batch(keys) == {}


@case("ttl.zero_negative", requires={"ttl"})
async def ttl_zero_negative(env: Env) -> None:
    """A time to live of zero or less, or one that is no duration, is a ValueError, and nothing is written."""
    store = env.store()
    await store.set("old", "old")
    bad: tuple[Any, ...] = (
        0,
        -1,
        0.0,
        -0.5,
        timedelta(0),
        timedelta(seconds=-1),
        "0s",
        "-1d",
        "",
        "soon",
        "5",
    )
    for ttl in (*bad, float("nan"), float("inf")):
        for key in ("old", "new"):
            with raises(ValueError):
                await store.set(key, "new", ttl=ttl)
        with raises(ValueError):
            await store.set_batch({"old": "new", "new": "new"}, ttl=ttl)
        with raises(ValueError):
            await store.expire("old", ttl)
    assert await store.get_batch(["old", "new"]) == {"old": "old"}
    assert await store.ttl("old") is None


@case("ttl.default", requires={"ttl"})
async def ttl_default(env: Env) -> None:
    """A store's own time to live holds for every write that says nothing else; None overrides it."""
    store = env.store(ttl="10s")
    env.clock.align()
    await store.set("own", 1)
    await store.set("longer", 1, ttl=20)
    await store.set("never", 1, ttl=None)
    await store.set_batch({"batch": 1})
    await store.set_batch({"batch never": 1}, ttl=None)
    keys = ["own", "longer", "never", "batch", "batch never"]
    env.clock.advance(microseconds=9_999_999)
    assert list(await store.get_batch(keys)) == keys
    env.clock.advance(microseconds=1)
    assert list(await store.get_batch(keys)) == ["longer", "never", "batch never"]
    env.clock.advance(1000)
    assert list(await store.get_batch(keys)) == ["never", "batch never"]


@case("ttl.keep_ttl", requires={"ttl"})
async def ttl_keep(env: Env) -> None:
    """Overwriting clears a deadline; with keep_ttl it stays to the millisecond; both at once is a ValueError."""
    store = env.store()
    env.clock.align()
    for key in ("cleared", "kept"):
        await store.set(key, 1, ttl=10)
    env.clock.advance(5)
    await store.set("cleared", 2)
    await store.set("kept", 2, keep_ttl=True)
    await store.set("new", 2, keep_ttl=True)
    with raises(ValueError):
        await store.set("kept", 3, keep_ttl=True, ttl=100)
    assert [await store.ttl(key) for key in ("cleared", "kept", "new")] == [None, timedelta(seconds=5), None]
    env.clock.advance(5)
    assert await store.get_batch(["cleared", "kept", "new"]) == {"cleared": 2, "new": 2}


@case("ttl.extend_persist", requires={"ttl", "conditional"})
async def ttl_extend_persist(env: Env) -> None:
    """A deadline can be moved and removed; a missing or expired record is not revived by it."""
    store = env.store(indexes={"n": int})
    env.clock.align()
    for key in ("extended", "persisted", "expired"):
        await store.set(key, {"n": 1}, ttl=10)
    env.clock.advance(5)
    assert await store.expire("extended", 100) is True
    assert await store.persist("persisted") is True
    env.clock.advance(5)
    for key in ("expired", "missing"):
        assert await store.expire(key, 100) is False
        assert await store.persist(key) is False
        assert await store.get(key) is None
    assert await store.get_batch(["extended", "persisted"]) == {"extended": {"n": 1}, "persisted": {"n": 1}}
    if env.capabilities.query:
        assert await store.where("n", "=", 1).keys() == ["extended", "persisted"]
    env.clock.advance(95)
    assert await store.get_batch(["extended", "persisted"]) == {"persisted": {"n": 1}}


@case("ttl.remaining", requires={"ttl"})
async def ttl_remaining(env: Env) -> None:
    """What is left of a record's life falls with the clock, and is None without a deadline or a record."""
    store = env.store()
    begin = env.clock.align()
    await store.set("k", 1, ttl=10)
    await store.set("never", 1)
    for left in (10, 6, 1):
        env.clock.move_to(begin + (10 - left) * 1_000_000)
        assert await store.ttl("k") == timedelta(seconds=left)
    env.clock.advance(1)
    assert [await store.ttl(key) for key in ("k", "never", "missing")] == [None, None, None]
