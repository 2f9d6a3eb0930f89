"""Transactions over their own writes: pages, conditions and absence, through records and through stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from daystore import Count, Max, Storage, Sum
from daystore.abc import ABSENT, Put
from daystore.errors import TransactionConflict, VersionConflict
from daystore.query.builder import QueryBuilder
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.transacting import NEEDS, begin

STORES = NEEDS | {"aggregate"}
INDEXES = {"n": int, "kind": str}


@case("txn.create_after_delete", requires=NEEDS)
async def create_after_delete(env: Env) -> None:
    """In a transaction a condition is judged against what it has written: created, deleted, created again."""
    records = env.records()
    await records.put("stored", b"0")

    def a_put(key: str, value: bytes, expect: Any = ABSENT) -> Put:
        return records.a_put(key, value, expect=expect)

    async with begin(records) as tx:
        for key in ("stored", "new"):
            if key == "new":
                await tx.write([a_put(key, b"1")])
            with raises(VersionConflict):
                await tx.write([a_put(key, b"2")])
            await tx.write([records.a_delete(key)])
            with raises(VersionConflict):
                await tx.write([a_put(key, b"3", "0" * 24)])
            await tx.write([records.a_delete(key, expect=ABSENT)])
            again = a_put(key, b"4")
            await tx.write([again])
            with raises(VersionConflict):
                await tx.write([records.a_delete(key, expect=ABSENT)])
            await tx.write([a_put(key, b"5", again.version)])
    await records.expect({"stored": b"5", "new": b"5"})


@case("txn.store_create_after_delete", requires=STORES)
async def store_create_after_delete(env: Env) -> None:
    """A store in a transaction creates what the transaction deleted, and nothing that it has created already."""
    storage = env.storage()
    notes = storage.store("notes", indexes=INDEXES)
    await notes.set("stored", {"n": 0})
    async with storage.transaction() as tx:
        mine = tx[notes]
        for key in ("stored", "new"):
            if key == "new":
                await mine.set(key, {"n": 1}, if_absent=True)
            with raises(VersionConflict):
                await mine.set(key, {"n": 2}, if_absent=True)
            assert await mine.delete(key) is True
            assert await mine.delete(key) is False
            version = await mine.set(key, {"n": 3}, if_absent=True)
            await mine.set(key, {"n": 4}, if_version=version)
            with raises(VersionConflict):
                await mine.set(key, {"n": 5}, if_version=version)
    assert await notes.get_batch(["stored", "new"]) == {"stored": {"n": 4}, "new": {"n": 4}}


def _shapes(store: Store[Any]) -> list[QueryBuilder[Any]]:
    some = [store.all(), store.where("kind", "=", "x"), store.where("n", ">", 2), store.where("n", "!=", 3)]
    ways = [("key", "asc"), ("key", "desc"), ("n", "asc"), ("n", "desc"), ("kind", "desc")]
    return [one.order_by(field, direction) for one in some for field, direction in ways]


async def _answers(builder: QueryBuilder[Any], size: int) -> dict[str, Any]:
    pages, cursor = [], None
    while True:
        page = await builder.page(size, cursor)
        pages.append(page.items)
        cursor = page.cursor
        if cursor is None:
            break
        assert len(pages) < 30, "paging does not come to an end"
    return {
        "all": await builder.execute(),
        "keys": await builder.keys(),
        "limited": await builder.limit(size).keys(),
        "offset": await builder.limit(size).offset(1).keys(),
        "first": await builder.first(),
        "pages": pages,
        "streamed": [entry.key async for entry in builder.stream()],
        "count": await builder.count(),
        "totals": await builder.aggregate(n=Count(), sum=Sum("n"), max=Max("n")).execute(),
        "groups": await builder.aggregate(n=Count(), sum=Sum("n")).group_by("kind").execute(),
    }


@case("txn.store_inside_as_after", requires=STORES)
async def store_inside_as_after(env: Env) -> None:
    """Every question to a store in a transaction is answered as after its commit: pages, counts, totals."""
    storage = env.storage()
    notes = storage.store("notes", indexes=INDEXES)
    await notes.set_batch({f"k{n}": {"n": n, "kind": "xyz"[n % 3]} for n in range(9)})
    async with storage.transaction() as tx:
        mine = tx[notes]
        assert await mine.delete_batch(["k0", "k1", "k8", "missing"]) == 3
        await mine.set("k1", {"n": 20, "kind": "x"})
        await mine.update("k4", {"n": -4})
        await mine.set_batch({"a": {"n": 3, "kind": "x"}, "z": {"kind": "x"}, "gone": {"n": 1, "kind": "x"}})
        await mine.delete("gone")
        inside = [
            await _answers(shape, size) for shape in _shapes(mine)[:: env.scale(3, 1)] for size in (1, 3)
        ]
    after = [await _answers(shape, size) for shape in _shapes(notes)[:: env.scale(3, 1)] for size in (1, 3)]
    for one, other in zip(inside, after, strict=True):
        for name, answer in one.items():
            assert answer == other[name], f"{name}: inside {answer!r}, after the commit {other[name]!r}"
    assert await notes.all().keys() == ["a", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "z"]
    assert len({repr(answers["keys"]) for answers in after}) > 4, "the questions all find the same"


@case("txn.store_last_write", requires=STORES)
async def store_last_write(env: Env) -> None:
    """Of several writes of a key in one transaction over stores the last one counts, a delete like any other."""
    storage = env.storage()
    notes = storage.store("notes", indexes=INDEXES)
    await notes.set_batch({key: {"n": 0} for key in ("put deleted", "deleted put", "twice", "untouched")})
    async with storage.transaction() as tx:
        mine = tx[notes]
        for key in ("put deleted", "new put deleted"):
            await mine.set(key, {"n": 1})
            assert await mine.delete(key) is True
        for key in ("deleted put", "new deleted put"):
            await mine.delete(key)
            await mine.set(key, {"n": 1})
        for key in ("twice", "new twice"):
            await mine.set(key, {"n": 1})
            await mine.set(key, {"n": 2})
    expected = {
        "deleted put": {"n": 1},
        "new deleted put": {"n": 1},
        "new twice": {"n": 2},
        "twice": {"n": 2},
        "untouched": {"n": 0},
    }
    assert {entry.key: entry.value async for entry in notes.scan()} == expected
    assert await notes.where("n", "=", 1).keys() == ["deleted put", "new deleted put"]


@case("txn.store_reads_again", requires=STORES)
async def store_reads_again(env: Env) -> None:
    """What a store in a transaction read once it reads the same again, absence included, and it is a conflict."""
    storage = env.storage()
    notes = storage.store("notes", indexes=INDEXES)
    reads: list[Callable[[Store[Any]], Awaitable[object]]] = [
        lambda store: store.get("k", "nothing"),
        lambda store: store.exists("k"),
        lambda store: store.entry("k"),
        lambda store: store.get_batch(["k", "other"]),
        lambda store: store.ttl("k"),
        lambda store: store.delete("k"),
    ]
    for there in (False, True):
        for read in reads:
            await notes.set("other", {"n": 0})
            await (notes.set("k", {"n": 1}) if there else notes.delete("k"))
            with raises(TransactionConflict):
                async with storage.transaction() as tx:
                    seen = await read(tx[notes])
                    await tx[notes].set("side", {"n": 0})
                    await (notes.delete("k") if there else notes.set("k", {"n": 2}))
                    if read is not reads[-1]:
                        assert await _plain(await read(tx[notes])) == await _plain(seen)
                    assert await tx[notes].get_batch(["other"]) == {"other": {"n": 0}}
            assert not await notes.exists("side"), "a transaction in conflict was applied"


async def _plain(answer: Any) -> object:
    return (answer.value, answer.version) if hasattr(answer, "version") else answer


async def _commits(
    storage: Storage, read: Callable[[Store[Any]], Awaitable[object]], key: str, n: int
) -> bool:
    """Read in a transaction, let another writer write, and tell whether the transaction commits."""
    notes = storage.store("notes", indexes=INDEXES)
    try:
        async with storage.transaction() as tx:
            await read(tx[notes])
            await tx[notes].set("zz side", {"kind": "side"})
            await notes.set(key, {"n": n, "kind": "x"})
    except TransactionConflict:
        assert not await notes.exists("zz side"), "a transaction in conflict was applied"
        return False
    finally:
        await notes.delete(key)
    return await notes.delete("zz side")


@case("txn.store_limited", requires=STORES)
async def store_limited(env: Env) -> None:
    """A record that comes into a limited result in a transaction conflicts, one behind its end does not."""
    storage = env.storage()
    notes = storage.store("notes", indexes=INDEXES)
    await notes.set_batch({f"k{n}": {"n": n, "kind": "x"} for n in range(6)})
    reads: dict[str, Callable[[QueryBuilder[Any]], Awaitable[object]]] = {
        "limit": lambda found: found.limit(2).execute(),
        "first": lambda found: found.first(),
        "page": lambda found: found.page(2),
        "keys": lambda found: found.limit(1).keys(),
    }
    for name, read in reads.items():
        up = _asked(read, "asc")
        down = _asked(read, "desc")
        assert not await _commits(storage, up, "new", -1), f"{name}: what comes first is no conflict"
        assert not await _commits(storage, down, "new", 9), (
            f"{name}: what comes first, descending, is no conflict"
        )
        assert await _commits(storage, up, "new", 9), f"{name}: what comes last is a conflict"
        assert await _commits(storage, down, "new", -1), f"{name}: what comes last, descending, is a conflict"


def _asked(
    read: Callable[[QueryBuilder[Any]], Awaitable[object]], direction: str
) -> Callable[[Store[Any]], Awaitable[object]]:
    return lambda store: read(store.where("kind", "=", "x").order_by("n", direction))
