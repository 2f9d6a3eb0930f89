"""Whatever way a value goes into a store, and whatever way it is read: it is that value, and the reader's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.equality import as_stored, strict_eq

NEEDS: Final = {"query", "ttl", "conditional", "atomic_batch", "transactions"}

_TEXT: Final = "text \0 \u00e9 \U0001f600 " * 9
VALUES: Final[dict[str, Any]] = {
    "none": None,
    "false": False,
    "zero": 0,
    "empty text": "",
    "empty list": [],
    "bytes": bytes(range(256)),
    "number": 2**70,
    "deep": {"n": 7, "b": [1, 1.0, True, {"x": None}], "a": (Decimal("1.50"), {"s"}), "": _TEXT},
    "large": {"n": 7, "text": _TEXT * 400},
}


@dataclass(frozen=True)
class _Both:
    """A store, a storage around it, and what was written."""

    store: Any
    storage: Any


async def _store_set(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, value)


async def _store_over(both: _Both, key: str, value: Any) -> None:
    version = await both.store.set(key, {"n": 7, "old": key})
    await both.store.set(key, value, if_version=version)


async def _store_keep(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, ["old"], ttl=5000)
    await both.store.set(key, value, keep_ttl=True)


async def _store_absent(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, value, if_absent=True, ttl=5000)


async def _store_batch(both: _Both, key: str, value: Any) -> None:
    await both.store.set_batch({key: value})
    await both.store.set_batch([(key, "overwritten"), (key, value)])


async def _store_atomic(both: _Both, key: str, value: Any) -> None:
    await both.store.set_batch({key: ["old"]})
    await both.store.set_batch({key: value}, atomic=True)


async def _store_update(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, {"n": 7, "old": key})
    await both.store.update(key, lambda _: value)


async def _store_update_async(both: _Both, key: str, value: Any) -> None:
    async def change(_: Any) -> Any:
        return value

    await both.store.update(key, change, default={"n": 7})


async def _store_expire(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, value)
    assert await both.store.expire(key, 5000)


async def _store_persist(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, value, ttl=1)
    assert await both.store.persist(key)


async def _store_transaction(both: _Both, key: str, value: Any) -> None:
    async with both.storage.transaction() as tx:
        await tx[both.store].set(key, value)


async def _store_transaction_batch(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, {"n": 7, "old": key})
    async with both.storage.transaction() as tx:
        await tx[both.store].get(key)
        await tx[both.store].set_batch({key: value})


async def _store_transaction_expire(both: _Both, key: str, value: Any) -> None:
    await both.store.set(key, value, ttl=1)
    async with both.storage.transaction() as tx:
        assert await tx[both.store].persist(key)


STORE_WRITES: Final[dict[str, Callable[[_Both, str, Any], Awaitable[None]]]] = {
    "set": _store_set,
    "over": _store_over,
    "keep": _store_keep,
    "absent": _store_absent,
    "batch": _store_batch,
    "atomic": _store_atomic,
    "update": _store_update,
    "update async": _store_update_async,
    "expire": _store_expire,
    "persist": _store_persist,
    "transaction": _store_transaction,
    "transaction batch": _store_transaction_batch,
    "transaction persist": _store_transaction_expire,
}


async def _answers(store: Any, keys: list[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield the values by key of every way to read them."""
    missing = object()
    yield "get", {key: await store.get(key, missing) for key in keys}
    yield "entry", {key: entry.value if (entry := await store.entry(key)) else missing for key in keys}
    yield "get_batch", await store.get_batch(keys)
    yield "entries", {key: entry.value for key, entry in (await store.entries(keys)).items()}
    yield "scan", {entry.key: entry.value async for entry in store.scan()}
    yield "stream", {entry.key: entry.value async for entry in store.where("key", "in", keys).stream()}
    yield "execute", dict(zip(keys, await store.all().execute(), strict=True))
    yield "iteration", dict(zip(keys, [value async for value in store.all()], strict=True))
    yield "entries of a query", {entry.key: entry.value for entry in await store.all().entries()}
    page = await store.all().page(1000)
    yield "page", dict(zip(keys, page, strict=True))


@case("rt.every_path", requires=NEEDS)
async def every_path(env: Env) -> None:
    """Every way to write a value through a store gives that value on every way to read it."""
    storage = env.storage()
    store = env.store(indexes={"n": int})
    both = _Both(store, storage)
    wanted: dict[str, Any] = {}
    for how, write in STORE_WRITES.items():
        for name, value in VALUES.items():
            if value is None and how.startswith("update"):
                continue  # a function that returns nothing is refused
            await write(both, f"{how} {name}", value)
            wanted[f"{how} {name}"] = value
    env.clock.advance(100)
    wanted = dict(sorted(wanted.items()))
    counted = sorted(key for key in wanted if key.endswith(("deep", "large")))
    for place in (store, env.reading(store, indexes={"n": int})):
        async for path, found in _answers(place, list(wanted)):
            assert list(found) == list(wanted), f"{path} finds other keys"
            for key, value in wanted.items():
                assert strict_eq(found[key], as_stored(value)), f"{path} returns another value for {key!r}"
        assert await place.where("n", "=", 7).keys() == counted
        assert await place.where("n", "exists", True).count() == len(counted)
        assert await place.count() == len(wanted)
    async with storage.transaction() as tx:
        own = await tx[store].get_batch(wanted)
        assert strict_eq(own, {key: as_stored(value) for key, value in wanted.items()})


@case("rt.no_alias_any_path", requires=NEEDS)
async def no_alias_any_path(env: Env) -> None:
    """What any way to read returns is the caller's own: changing it changes no later answer on any way."""
    store = env.store(indexes={"n": int})
    kept = {"n": 1, "deep": {"list": [1, {"x": [2]}]}}
    keys = ["a", "b", "c"]
    await store.set_batch(dict.fromkeys(keys, kept))
    for _ in range(2):
        async for path, found in _answers(store, keys):
            for value in found.values():
                assert strict_eq(value, kept), f"{path} returns what somebody has changed"
            for value in found.values():
                value["deep"]["list"][1]["x"].append("changed")
                value["deep"]["list"].append(path)
                value["more"] = path
    updated: Any = await store.update("a", {"n": 2})
    updated["deep"]["list"].clear()
    assert strict_eq(await store.get("a"), {**kept, "n": 2})
    async with env.storage().transaction() as tx:
        mine = tx[store]
        given: dict[str, Any] = {"n": 5, "deep": [[1]]}
        await mine.set("b", given)
        given["deep"][0].append(2)
        seen: Any = await mine.get("b")
        assert strict_eq(seen, {"n": 5, "deep": [[1]]})
        seen["deep"].clear()
        assert strict_eq(await mine.get("b"), {"n": 5, "deep": [[1]]})
    assert strict_eq(await store.get("b"), {"n": 5, "deep": [[1]]})
    fallback: list[Any] = []
    assert await store.get("missing", fallback) is fallback
