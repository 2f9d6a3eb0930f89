"""Paging: cursors that cover a result exactly, whatever happens in between."""

from __future__ import annotations

from math import ceil
from typing import Final

from daystore.abc import Compare, FieldValue, Not, Op, Order, Page
from daystore.errors import InvalidCursor
from daystore_compliance.case import Level, case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.model import Row, select
from daystore_compliance.records import Records
from daystore_compliance.tables import fill_values

ORDERS: Final[dict[str, Order]] = {
    "key": Order(),
    "key-down": Order("key", descending=True),
    "field": Order("f"),
    "field-down": Order("f", descending=True),
    "missing": Order("never"),
    "times": Order("updated_at", descending=True),
}


@case("page.exact_cover", requires={"query"}, variants=ORDERS)
async def exact_cover(env: Env, order: Order) -> None:
    """Pages of any size cover the whole result: nothing twice, nothing left out, in order."""
    records = env.records()
    rows = await fill_values(records)
    expected = select(rows, None, order.field, descending=order.descending)
    size = len(rows)
    for limit in (1, 2, 7, size - 1, size, size + 1, 10 * size):
        pages = await records.walk(limit, None, order)
        assert [key for page in pages for key in page] == expected
        assert [len(page) for page in pages if page] == [limit] * (size // limit) + [size % limit] * (
            size % limit > 0
        )


@case("page.no_empty_tail", requires={"query"}, level=Level.SHOULD)
async def no_empty_tail(env: Env) -> None:
    """A page that ends with the result has no cursor, also when it is exactly full."""
    records = env.records()
    await records.fill([f"k{n}" for n in range(6)])
    for limit in (1, 2, 3, 6, 7):
        pages = await records.walk(limit)
        assert len(pages) == ceil(6 / limit)
        assert all(pages)


@case("page.progress", requires={"query"})
async def progress(env: Env) -> None:
    """Each page starts after the one before it, and there are at most one more than the result needs."""
    records = env.records()
    await records.fill({f"{n:03}": {"n": n % 5} for n in range(100)})
    for order in (Order(), Order("n", descending=True), Order("never")):
        for limit in (1, 7, 33):
            pages = await records.walk(limit, None, order)
            assert len(pages) <= ceil(100 / limit) + 1
            assert len({key for page in pages for key in page}) == 100
            assert all(len(page) == limit for page in pages[: 100 // limit])


@case("page.insert_before_cursor", requires={"query"})
async def insert_before_cursor(env: Env) -> None:
    """Records that appear behind or ahead of a cursor make it repeat nothing and skip nothing."""
    records = env.records()
    stable = [f"k{n:02}" for n in range(0, 40, 2)]
    for order in (Order(), Order("f", descending=True)):
        await records.fill({key: {"f": -int(key[1:])} for key in stable})
        first = await records.page(None, order, limit=8)
        early = [r.key for r in first.records]
        await records.fill({"k01": {"f": -1}, "k03": {"f": -3}, "k39": {"f": -39}, "a": {"f": 100}})
        rest = await _rest(records, first, order, limit=5)
        assert [key for key in early + rest if key in stable] == stable
        assert len(set(early + rest)) == len(early + rest)
        assert "k39" in rest, "a record ahead of the cursor is not found"
        assert not {"k01", "k03", "a"} & set(rest), "a record behind the cursor is found"
        await env.adapter.delete_batch(records.name, await records.keys())


async def _rest(records: Records, page: Page, order: Order, *, limit: int) -> list[str]:
    found: list[str] = []
    while page.cursor is not None:
        page = await records.page(None, order, limit=limit, cursor=page.cursor)
        found += [record.key for record in page.records]
        assert len(found) < 10_000, "paging does not come to an end"
    return found


@case("page.delete_at_cursor", requires={"query"})
async def delete_at_cursor(env: Env) -> None:
    """A cursor goes on rightly when the record it stands on, or the next one, is gone."""
    records = env.records()
    keys = [f"k{n:02}" for n in range(12)]
    for order in (Order(), Order("f"), Order("f", descending=True)):
        await records.fill({key: {"f": 7} for key in keys})
        first = await records.page(None, order, limit=4)
        await env.adapter.delete_batch(records.name, ["k03", "k04", "k08"])
        assert await _rest(records, first, order, limit=2) == [k for k in keys[4:] if k not in ("k04", "k08")]


@case("page.delete_before_cursor", requires={"query"})
async def delete_before_cursor(env: Env) -> None:
    """Deleting what was read already, page by page, skips no record that stays."""
    records = env.records()
    keys = [f"k{n:02}" for n in range(30)]
    for order in (Order(), Order("f", descending=True)):
        await records.fill({key: {"f": -int(key[1:])} for key in keys})
        seen: list[str] = []
        page = await records.page(None, order, limit=4)
        while True:
            seen += [record.key for record in page.records]
            await env.adapter.delete_batch(records.name, [record.key for record in page.records])
            if page.cursor is None:
                break
            page = await records.page(None, order, limit=4, cursor=page.cursor)
        assert seen == keys
        await records.expect({}, *keys)


@case("page.cursor_opaque", requires={"query"})
async def cursor_opaque(env: Env) -> None:
    """A cursor is text that any instance and any page size can go on from."""
    records = env.records()
    await fill_values(records)
    for order in ORDERS.values():
        everything = await records.keys(by=order)
        for stop in (1, len(everything) // 2, len(everything) - 1):
            page = await records.page(None, order, limit=stop)
            assert type(page.cursor) is str
            other = records.through(records.reader)
            for limit in (1, 1000, None):
                found = await other.keys(None, order, limit=limit, cursor=page.cursor)
                assert found == everything[stop:][:limit]


@case("page.cursor_reopen", requires={"query"}, needs={"reopen"})
async def cursor_reopen(env: Env) -> None:
    """A cursor holds no state of a server: it goes on after a close and another open."""
    name = env.records().name
    await env.records(name).fill({f"k{n}": {"f": n % 3} for n in range(9)})
    order = Order("f", descending=True)
    expected = await env.records(name).keys(by=order)
    page = await env.records(name).page(None, order, limit=4)
    await env.reopen()
    records = env.records(name)
    assert await records.keys(None, order, cursor=page.cursor) == expected[4:]


@case("page.invalid_cursor", requires={"query"})
async def invalid_cursor(env: Env) -> None:
    """A damaged cursor, or that of another query, is InvalidCursor; never the first page, never another's."""
    records, other = env.records(), env.records()
    for place in (records, other):
        await place.fill({f"k{n}": {"f": n} for n in range(5)})
    where = Compare("f", Op.GE, 0)
    cursor = (await records.page(where, limit=2)).cursor
    assert cursor is not None
    for damaged in (
        "",
        "x",
        "garbage!",
        cursor[:-3],
        cursor[4:],
        cursor + "AAAA",
        cursor.swapcase(),
        "\u00e9",
        "0",
        "==",
    ):
        with raises(InvalidCursor):
            await records.page(where, limit=2, cursor=damaged)
    for place, predicate, order in (
        (records, None, Order()),
        (records, Compare("f", Op.GE, 1), Order()),
        (records, Compare("f", Op.GT, 0), Order()),
        (records, Compare("f", Op.GE, 0.0), Order()),
        (records, Compare("g", Op.GE, 0), Order()),
        (records, Not(where), Order()),
        (records, where, Order("f")),
        (records, where, Order(descending=True)),
        (other, where, Order()),
    ):
        with raises(InvalidCursor):
            await place.page(predicate, order, limit=2, cursor=cursor)
    assert await records.keys(where, limit=2, cursor=cursor) == ["k2", "k3"]


@case("page.equal_sort_keys", requires={"query"})
async def equal_sort_keys(env: Env) -> None:
    """Fifty records with the same value of the order are paged through by key."""
    records = env.records()
    keys = [f"k{n:02}" for n in range(50)]
    values: tuple[FieldValue, ...] = (1, 0.5, "same", True)
    await records.fill({f"{index}{key}": {"f": value} for index, value in enumerate(values) for key in keys})
    for order in (
        Order("f"),
        Order("f", descending=True),
        Order("updated_at"),
        Order("created_at", descending=True),
    ):
        everything = await records.keys(by=order)
        assert len(everything) == 200
        for limit in (1, 9, 50) if order.field == "f" else (9,):
            assert [key for page in await records.walk(limit, None, order) for key in page] == everything
    for index, value in enumerate(values):
        pages = await records.walk(7, Compare("f", Op.EQ, value), Order("f", descending=True))
        assert [key for page in pages for key in page] == [f"{index}{key}" for key in keys]


@case("page.large", requires={"query"})
async def large(env: Env) -> None:
    """Nothing is cut off silently: 2,500 records come without a limit, and in pages of any size."""
    records = env.records()
    size = env.scale(2500, 12_500)
    keys = [f"{n:05}" for n in range(size)]
    await records.fill({key: {"even": int(key) % 2 == 0} for key in keys})
    assert await records.keys() == keys
    assert await records.count() == size
    assert await records.keys(limit=size) == keys
    assert [key for page in await records.walk(1000) for key in page] == keys
    even = Compare("even", Op.EQ, True)
    assert await records.keys(even) == keys[::2]
    assert await records.keys(even, limit=size) == keys[::2]
    assert [key for page in await records.walk(101, even) for key in page] == keys[::2]
    assert await records.keys(by=Order("key", descending=True)) == keys[::-1]


@case("page.sparse_filter", requires={"query"})
async def sparse_filter(env: Env) -> None:
    """A filter that matches 3 records among thousands gives full pages and no early end."""
    records = env.records()
    size = env.scale(1500, 5000)
    hits = ("00010", f"{size // 2:05}", f"{size - 1:05}")
    await records.fill({f"{n:05}": {"hit": f"{n:05}" in hits, "n": n} for n in range(size)})
    where = Compare("hit", Op.EQ, True)
    assert await records.keys(where) == list(hits)
    page = await records.page(where, limit=3)
    assert [record.key for record in page.records] == list(hits)
    page = await records.page(where, limit=2)
    assert [record.key for record in page.records] == list(hits[:2])
    assert await records.walk(2, where) == [list(hits[:2]), list(hits[2:])]
    assert await records.keys(where, Order("n", descending=True), limit=2) == list(hits[:0:-1])


@case("page.missing_boundary", requires={"query"})
async def missing_boundary(env: Env) -> None:
    """Records without the field of the order are paged with the others, at every edge, both ways."""
    records = env.records()
    rows = [Row(f"k{n:02}", {"f": n} if n % 3 == 0 else {}) for n in range(12)]
    mixed: tuple[FieldValue, ...] = ("a", "", True, -1, 0.5, ("x",), ())
    rows += [Row(f"l{n}", {"f": value}) for n, value in enumerate(mixed)]
    await records.fill({row.key: row.fields for row in rows})
    for descending in (False, True):
        order = Order("f", descending)
        expected = select(rows, None, "f", descending=descending)
        for limit in range(1, len(rows) + 1):
            assert [key for page in await records.walk(limit, None, order) for key in page] == expected


@case("page.expired_page", requires={"query", "ttl"})
async def expired_page(env: Env) -> None:
    """A stretch of expired records as long as many pages is not the end of a result."""
    records = env.records()
    deadline = env.clock.deadline(1)
    keys = [f"k{n:03}" for n in range(120)]
    await env.adapter.set_batch(
        [records.a_put(key, expires_at=deadline if 10 <= n < 110 else None) for n, key in enumerate(keys)]
    )
    first = await records.page(limit=5)
    env.clock.move_to(deadline)
    alive = keys[:10] + keys[110:]
    assert await records.keys(limit=15) == alive[:15]
    assert [key for page in await records.walk(5) for key in page] == alive
    assert await _rest(records, first, Order(), limit=5) == alive[5:]


@case("page.expired_cursor", requires={"query", "ttl"})
async def expired_cursor(env: Env) -> None:
    """A cursor goes on rightly when the record it stands on has expired."""
    keys = [f"k{n}" for n in range(8)]
    for order in (Order(), Order("f", descending=True)):
        records = env.records()
        deadline = env.clock.deadline(1)
        await env.adapter.set_batch(
            [
                records.a_put(k, fields={"f": 1}, expires_at=deadline if k in ("k3", "k4") else None)
                for k in keys
            ]
        )
        first = await records.page(None, order, limit=4)
        env.clock.move_to(deadline)
        assert await _rest(records, first, order, limit=2) == keys[5:]


@case("page.confusable_keys", requires={"query"}, variants=tuple(FAMILIES))
async def confusable_keys(env: Env, family: str) -> None:
    """A page may end at any key: a cursor neither cuts it, nor encodes it twice, nor matches it."""
    records = env.records()
    keys = FAMILIES[family]
    await records.fill({key: {"f": key, "g": 1} for key in keys})
    for order in (Order(), Order("f", descending=True), Order("g")):
        expected = sorted(keys, key=str.encode, reverse=order.descending)
        assert [key for page in await records.walk(1, None, order) for key in page] == expected


@case("page.offset_once", requires={"query"})
async def offset_once(env: Env) -> None:
    """An offset is passed over once: the cursor of its page goes on right behind it."""
    records = env.records()
    keys = [f"k{n:02}" for n in range(15)]
    await records.fill(keys)
    first = await records.page(limit=4, offset=5)
    assert [record.key for record in first.records] == keys[5:9]
    assert await _rest(records, first, Order(), limit=4) == keys[9:]
