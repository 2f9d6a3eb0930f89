"""Every way out of a query builder, with everything that can be said to it before; and batches of many keys."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations, product
from typing import Any, Final

from daystore import Count, QueryFilter, Sum
from daystore.abc import from_instant
from daystore.query.builder import QueryBuilder
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.env import Env

SIZE: Final = 15
WINDOWS: Final = tuple(product((None, 0, 1, 4, 12, 99), (0, 1, 3, 14, 15, 40)))
"""Limits and offsets, up to beyond the end."""


async def _filled(env: Env) -> tuple[Store[Any], dict[str, Any]]:
    """Return a store, and what is in it in the order of keys."""
    store = env.store(indexes={"n": int, "even": bool})
    rows = {f"k{n:02}": {"n": n * 7 % SIZE, "even": n % 2 == 0} for n in range(SIZE)}
    await store.set_batch(rows)
    return store, rows


async def _expect(builder: QueryBuilder[Any], keys: list[str], rows: dict[str, Any]) -> None:
    """Expect exactly these results, by whatever way they are asked for."""
    values = [rows[key] for key in keys]
    assert await builder.keys() == keys
    assert await builder.execute() == values
    assert [(entry.key, entry.value) for entry in await builder.entries()] == list(
        zip(keys, values, strict=True)
    )
    assert [entry.key async for entry in builder.stream()] == keys, "a stream"
    assert [value async for value in builder] == values, "async for"
    assert await builder.first() == (values[0] if values else None), "first"


@case("q.builder_ends", requires={"query", "aggregate"})
async def builder_ends(env: Env) -> None:
    """With any limit, offset or cursor every way to run a query gives the same results; counts pass them over."""
    store, rows = await _filled(env)
    orders = {
        "up": (store.all(), list(rows)),
        "down": (store.all().order_by("n", "desc"), sorted(rows, key=lambda key: -rows[key]["n"])),
        "some": (
            store.where("even", "=", True).order_by("n"),
            sorted(rows, key=lambda key: rows[key]["n"])[:],
        ),
    }
    for name, (found, every) in orders.items():
        keys = [key for key in every if name != "some" or rows[key]["even"]]
        total = {"n": len(keys), "sum": sum(rows[key]["n"] for key in keys)}
        for limit, offset in WINDOWS[:: env.scale(2, 1)]:
            asked = found.limit(limit).offset(offset)
            end = None if limit is None else offset + limit
            await _expect(asked, keys[offset:end], rows)
            assert await asked.count() == total["n"], f"{name}: the count with limit {limit}, offset {offset}"
            assert await asked.aggregate(n=Count(), sum=Sum("n")).execute() == total
        cursor = (await found.page(4)).cursor
        for limit in (None, 0, 1, 4, 99):
            asked = found.after(cursor).limit(limit)
            await _expect(asked, keys[4:][:limit], rows)
            assert await asked.count() == total["n"], f"{name}: the count after a cursor"
            assert await asked.aggregate(n=Count(), sum=Sum("n")).execute() == total


@case("page.builder_offset_once", requires={"query"})
async def builder_offset_once(env: Env) -> None:
    """The offset of a query is passed over once, before its first page; its pages end where the result does."""
    store, rows = await _filled(env)
    keys = sorted(rows, key=lambda key: -rows[key]["n"])
    builder = store.all().order_by("n", "desc")
    for offset, size in product((0, 1, 3, 13, 15, 20), (1, 2, 4, 15)):
        values: list[Any] = []
        page = await builder.offset(offset).page(size)
        values += page.items
        while page.cursor is not None:
            page = await builder.offset(offset).page(size, page.cursor)
            assert page.items, "an empty page after a cursor"
            values += page.items
        assert values == [rows[key] for key in keys[offset:]], f"offset {offset}, pages of {size}"


@case("q.where_not_chained", requires={"query"})
async def where_not_chained(env: Env) -> None:
    """Conditions are joined one by one in any order: ``where_not`` negates its own and none said before."""
    store, rows = await _filled(env)
    terms: list[tuple[bool, str, str, Any]] = [
        (True, "n", ">=", 3),
        (False, "n", "in", [5, 8]),
        (True, "even", "=", True),
        (False, "key", "startswith", "k1"),
    ]

    def judge(key: str) -> bool:
        row = rows[key]
        return row["n"] >= 3 and row["n"] not in (5, 8) and row["even"] and not key.startswith("k1")

    expected = [key for key in rows if judge(key)]
    assert 0 < len(expected) < 6
    for order in list(permutations(terms))[:: env.scale(3, 1)]:
        builder = store.all()
        for wanted, *term in order:
            builder = builder.where(*term) if wanted else builder.where_not(*term)
        assert await builder.keys() == expected, order
        assert await builder.count() == len(expected), order
    for _, *term in terms:
        kept = await store.where(*term).keys()
        left = await store.all().where_not(*term).keys()
        assert sorted(kept + left) == list(rows), "a condition and its complement are not everything"
        assert kept, term
        assert left, term


@case("q.filter_window", requires={"query"})
async def filter_window(env: Env) -> None:
    """The limit and offset of a filter hold for its query and its scan, 0 included, and not for its count."""
    store, rows = await _filled(env)
    keys = list(rows)
    for limit, offset in WINDOWS:
        asked = QueryFilter(prefix="k", limit=limit, offset=offset)
        window = keys[offset : None if limit is None else offset + limit]
        assert await store.query(asked) == [rows[key] for key in window], (limit, offset)
        assert [entry.key async for entry in store.scan(asked)] == window, (limit, offset)
        assert await store.count(asked) == SIZE, (limit, offset)


@case("batch.many_by_key")
async def many_by_key(env: Env) -> None:
    """Of few keys or many, each has its own version and value in a batch's answer, in the order asked."""
    store = env.store()
    born: dict[str, datetime] = {}
    for size in (1, 2, 4, 9, 33, 101):
        keys = [f"{number * 37 % 101:03}" for number in range(size)]
        for atomic in (False, True) if env.capabilities.atomic_batch else (False,):
            versions = await store.set_batch({key: f"{size} {key}" for key in keys}, atomic=atomic)
            assert list(versions) == keys
            born = {key: from_instant(env.clock()) for key in keys} | born
            for asked in (keys, keys[::-1], sorted(keys)):
                entries = await env.reading(store).entries(iter(asked))
                assert list(entries) == asked, "entries in another order than asked"
                found = {key: (entry.key, entry.value, entry.version) for key, entry in entries.items()}
                assert found == {key: (key, f"{size} {key}", versions[key]) for key in asked}
                assert {key: entry.created_at for key, entry in entries.items()} == {
                    key: born[key] for key in keys
                }
                assert {entry.updated_at for entry in entries.values()} == {from_instant(env.clock())}
                values = await store.get_batch([*asked, "missing", *asked])
                assert list(values.items()) == [(key, f"{size} {key}") for key in asked]
            env.clock.advance(1)
            await store.set_batch(versions)
            assert await store.get_batch(keys) == versions, "values are mixed up"


@case("batch.repeated_far_apart")
async def repeated_far_apart(env: Env) -> None:
    """A key that is asked for again is read again, however many keys are between: the very same record."""
    records = env.records()
    keys = [f"k{n:03}" for n in range(env.scale(150, 1500))]
    await records.fill(keys[::2])
    asked = [*keys, "k000", "missing", *keys[:9], "missing", *reversed(keys), "k000"]
    found = await records.read(*asked)
    assert [None if record is None else record.key for record in found] == [
        key if key in keys and int(key[1:]) % 2 == 0 else None for key in asked
    ]
    versions: dict[str, set[str]] = {}
    for record in found:
        if record is not None:
            versions.setdefault(record.key, set()).add(record.version)
    assert all(len(some) == 1 for some in versions.values()), "one record was read at two versions"
