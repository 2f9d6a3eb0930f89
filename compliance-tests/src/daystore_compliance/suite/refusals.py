"""What is refused is refused on every way to write it, aloud, and leaves everything as it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from daystore.abc import Compare, Op, Put, Query
from daystore.errors import InvalidKey, SerializationError
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env

NEEDS: Final = {"query", "ttl", "conditional", "atomic_batch", "transactions"}
BAD: Final[dict[str, Any]] = {
    "an object": object(),
    "not finite": float("nan"),
    "a naive datetime": datetime(2026, 1, 1),  # noqa: DTZ001 -- naive on purpose
    "a key of a dict": {1: 2},
    "a surrogate": "\ud800",
    "a bytearray": bytearray(b"a"),
    "deep": {"n": 1, "deep": [{"x": (1, {"y": 1j})}]},
}

Attempt = Callable[[], Awaitable[object]]


def _writes(store: Any, storage: Any, version: str, bad: Any) -> dict[str, Attempt]:
    """Return every way to write a value over ``old``, or as ``new``."""

    async def in_transaction(call: Callable[[Any], Awaitable[object]]) -> None:
        async with storage.transaction() as tx:
            await tx[store].set("other", 1)
            await call(tx[store])

    async def change(_: Any) -> Any:
        return bad

    return {
        "set": lambda: store.set("old", bad),
        "set new": lambda: store.set("new", bad),
        "set on condition": lambda: store.set("old", bad, if_version=version),
        "set absent": lambda: store.set("new", bad, if_absent=True),
        "set with a deadline": lambda: store.set("old", bad, ttl=5),
        "set that keeps": lambda: store.set("old", bad, keep_ttl=True),
        "batch": lambda: store.set_batch({"new": 1, "old": bad, "newer": 2}),
        "batch with a deadline": lambda: store.set_batch([("new", 1), ("old", bad)], ttl=5),
        "atomic batch": lambda: store.set_batch({"new": 1, "old": bad}, atomic=True),
        "update": lambda: store.update("old", lambda _: bad),
        "update with a deadline": lambda: store.update("old", lambda _: bad, ttl=5),
        "async update": lambda: store.update("old", change),
        "update of nothing": lambda: store.update("new", lambda _: bad, default=1),
        "patch": lambda: store.update("old", {"n": 1, "more": bad}),
        "transaction": lambda: in_transaction(lambda mine: mine.set("old", bad)),
        "transaction on condition": lambda: in_transaction(
            lambda mine: mine.set("old", bad, if_version=version)
        ),
        "batch in a transaction": lambda: in_transaction(lambda mine: mine.set_batch({"new": 1, "old": bad})),
        "update in a transaction": lambda: in_transaction(lambda mine: mine.update("old", lambda _: bad)),
        "patch in a transaction": lambda: in_transaction(lambda mine: mine.update("old", {"more": bad})),
        "append": lambda: storage.memories.append("m", ["good", bad]),
    }


@case("ser.refused_on_every_path", requires=NEEDS)
async def refused_on_every_path(env: Env) -> None:
    """What cannot be stored is a SerializationError on every way to write it, and nothing has changed."""
    store, storage = env.store(indexes={"n": int}), env.storage()
    records = env.records(store.collection)
    version = await store.set("old", {"n": 5, "kept": True}, ttl=500)
    await storage.memories.append("m", ["first"])
    before = await records.state("old")
    for what, bad in BAD.items():
        for how, attempt in _writes(store, storage, version, bad).items():
            with raises(SerializationError):
                await attempt()
            after = await env.adapter.read(records.name, ["old", "new", "newer", "other"])
            assert after[1:] == [None] * 3, f"{what} by {how}: something was written"
            assert_same_record(after[0], before["old"], f"{what} by {how}")
    assert list(await records.state("old", "new")) == ["old"]
    assert await storage.memories.window("m") == ["first"]
    assert await storage.memories.append("m", ["second"])
    assert await storage.memories.window("m") == ["first", "second"]


@case("rec.index_refused_on_every_path", requires=NEEDS)
async def index_refused_on_every_path(env: Env) -> None:
    """A value whose indexed part is of another type is refused on every way, and the old one is still found."""
    store, storage = env.store(indexes={"n": int}), env.storage()
    version = await store.set("old", {"n": 5})
    for bad in ("5", 5.0, True, [5]):
        for how, attempt in _writes(store, storage, version, {"n": bad}).items():
            if how in ("append", "patch", "patch in a transaction"):
                continue  # a memory has no such index, and a patch puts this one level deeper
            with raises(SerializationError):
                await attempt()
        with raises(SerializationError):
            await store.update("old", {"n": bad})
        assert await store.where("n", "=", 5).keys() == ["old"]
        assert await store.count() == 1
    found = await store.entry("old")
    assert found is not None
    assert (found.value, found.version) == ({"n": 5}, version)


@case("key.refused_on_every_path", requires=NEEDS)
async def key_refused_on_every_path(env: Env) -> None:
    """Every operation of a store, and of one in a transaction, refuses what is no key, before anything is done."""
    store, storage = env.store(), env.storage()
    await store.set("good", 1)
    for bad in ("", "k" * 257, "\ud800", "\U0001f600" * 65):
        for attempt in _by_key(store, bad):
            with raises(InvalidKey):
                await attempt()
        for number in range(len(_by_key(store, bad))):
            with raises(InvalidKey):
                async with storage.transaction() as tx:
                    await tx[store].set("other", 1)
                    await _by_key(tx[store], bad)[number]()
        for memory in (
            storage.memories.append(bad, ["x"]),
            storage.memories.window(bad),
            storage.memories.clear(bad),
        ):
            with raises(InvalidKey):
                await memory
    wrong: tuple[Any, ...] = (None, 1, b"key", ("a", None))
    for other in wrong:
        for attempt in _by_key(store, other):
            with raises(TypeError):
                await attempt()
    assert await store.get_batch(["good", "other"]) == {"good": 1}
    assert await store.all().keys() == ["good"]
    assert await env.adapter.count(Query(store.collection, Compare("key", Op.GE, ""))) == 1
    assert await storage.memories.count() == 0


def _by_key(store: Any, key: Any) -> tuple[Attempt, ...]:
    """Return every operation that takes a key."""
    return (
        lambda: store.get(key),
        lambda: store.get(key, "default"),
        lambda: store.entry(key),
        lambda: store.entries(["good", key]),
        lambda: store.get_batch([key, "good"]),
        lambda: store.exists(key),
        lambda: store.ttl(key),
        lambda: store.set(key, 2),
        lambda: store.set(key, 2, if_absent=True),
        lambda: store.set(key, 2, keep_ttl=True),
        lambda: store.set_batch({"good": 2, key: 2}),
        lambda: store.set_batch({"good": 2, key: 2}, atomic=True),
        lambda: store.delete(key),
        lambda: store.delete(key, if_version="v"),
        lambda: store.delete_batch(["good", key]),
        lambda: store.delete_batch([key], atomic=True),
        lambda: store.update(key, lambda value: value),
        lambda: store.update(key, lambda _: 2, default=1),
        lambda: store.expire(key, 5),
        lambda: store.persist(key),
    )


@case("key.refused_in_batches")
async def key_refused_in_batches(env: Env) -> None:
    """One name that is no key keeps a whole batch from being read, written or deleted, wherever it stands."""
    records = env.records()
    good = [f"k{n:02}" for n in range(12)]
    await records.fill(good)
    before = await records.state(*good)
    bad: tuple[Any, ...] = ("", "k" * 257, "\udfff", None, 7)
    for name in bad:
        error: type[Exception] = InvalidKey if isinstance(name, str) else TypeError
        for place in (0, 6, 12):
            keys: list[Any] = [*good[:place], name, *good[place:]]
            with raises(error):
                await env.adapter.read(records.name, keys)
            with raises(error):
                await env.adapter.get_batch(records.name, keys)
            with raises(error):
                await env.adapter.delete_batch(records.name, keys)
            with raises(error):
                await env.adapter.set_batch(Put(records.name, key, b"new") for key in keys)
    after = await records.state(*good)
    assert list(after) == list(before)
    for key in good:
        assert_same_record(after[key], before[key], "state")
