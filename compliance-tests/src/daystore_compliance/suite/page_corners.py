"""Pages over values that are almost equal, between changes and after deletions, of results beyond 10,000."""

from __future__ import annotations

import asyncio
import math

from daystore.abc import And, Compare, FieldValue, Not, Op, Or, Order, Predicate, from_instant
from daystore.errors import InvalidCursor
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.model import Row, select


@case("page.anchor_moved", requires={"query"})
async def anchor_moved(env: Env) -> None:
    """A cursor goes on where its page ended, also when the record it stands on has moved in the order since."""
    keys = [f"k{number:02}" for number in range(12)]
    for order in (Order("f"), Order("f", descending=True), Order("updated_at")):
        for moved in (-100, 100):
            records = env.records()
            for key in keys:
                await records.put(key, fields={"f": int(key[1:])})
                env.clock.advance(microseconds=1)
            expected = keys[::-1] if order.descending else keys
            page = await records.page(None, order, limit=4)
            assert [record.key for record in page.records] == expected[:4]
            await records.put(expected[3], fields={"f": moved})
            rest = await records.keys(None, order, cursor=page.cursor)
            assert [key for key in rest if key != expected[3]] == expected[4:]


@case("page.neighbour_values", requires={"query"})
async def neighbour_values(env: Env) -> None:
    """Pages end between values that differ in their last bit, last microsecond or last digit, and lose none."""
    begin = env.clock()
    third = 0.1 + 0.2
    floats = [
        third,
        math.nextafter(third, 1),
        math.nextafter(third, 0),
        1e300,
        math.nextafter(1e300, 0),
        5e-324,
        1e-323,
    ]
    sets: dict[str, list[FieldValue]] = {
        "float": [*floats, 5e-324, 1e-323],
        "int": [2**53, 2**53 + 1, 2**53 + 2, -(2**53) - 1, 2**63 - 1, 2**63 - 2, -(2**63), 1 - 2**63],
        "datetime": [from_instant(begin + offset) for offset in (0, 1, 2, 876, 877, 878, 999, 1000)],
    }
    for kind, values in sets.items():
        records = env.records()
        rows = [Row(f"{kind}-{index}", {"f": value}) for index, value in enumerate(values)]
        await records.fill({row.key: row.fields for row in rows})
        for descending in (False, True):
            order = Order("f", descending)
            expected = select(rows, None, "f", descending=descending)
            assert await records.keys(by=order) == expected
            for limit in (1, 2, 3):
                assert [key for page in await records.walk(limit, None, order) for key in page] == expected
    records = env.records()
    for number in range(9):
        await records.put(f"k{9 - number}")
        env.clock.advance(microseconds=(1, 1, 876)[number % 3])
    for name in ("created_at", "updated_at"):
        for descending in (False, True):
            expected = sorted((f"k{9 - number}" for number in range(9)), reverse=not descending)
            walked = await records.walk(1, None, Order(name, descending))
            assert [key for page in walked for key in page] == expected


@case("page.foreign_cursors", requires={"query"})
async def foreign_cursors(env: Env) -> None:
    """A cursor is refused by every query that differs from its own in any part, however small."""
    records = env.records()
    await records.fill({f"k{number}": {"f": number, "g": 1} for number in range(6)})
    low, some, one = Compare("f", Op.GE, 0), Compare("g", Op.EQ, 1), Compare("f", Op.EQ, 1)
    wheres: tuple[Predicate, ...] = (
        *(
            And((low, some)),
            Or((low, some)),
            And((some, low)),
            And((low, Not(one))),
            And((low, one)),
            Not(one),
            low,
        ),
        *(Compare("f", Op.IN, (0, 1, 2, 3)), Compare("f", Op.IN, (0, 1, 2)), Compare("f", Op.GE, -1)),
        *(Compare("f", Op.GE, -1.0), Compare("key", Op.GE, "k"), Compare("key", Op.STARTSWITH, "k")),
        *(Compare("f", Op.EXISTS, True), And((low, And((some,)))), Or((one, low)), Not(Not(low))),
    )
    cursors: list[str] = []
    for where in wheres:
        cursor = (await records.page(where, limit=1)).cursor
        if cursor is not None:
            cursors.append(cursor)
    assert len(cursors) > 12
    for where in wheres:
        own = (await records.page(where, limit=1)).cursor
        for cursor in cursors:
            if cursor == own:
                continue
            with raises(InvalidCursor):
                await records.page(where, limit=1, cursor=cursor)
    assert len(set(cursors)) == len(cursors), "two queries have one cursor"


@case("page.after_deletes", requires={"query"})
async def after_deletes(env: Env) -> None:
    """Pages are full after most records between their ends were deleted, and the last one ends the result."""
    records = env.records()
    keys = [f"k{number:03}" for number in range(60)]
    await records.fill({key: {"f": int(key[1:]) % 7} for key in keys})
    stay = [keys[3], *keys[30:33], keys[50]]
    await env.adapter.delete_batch(records.name, [key for key in keys if key not in stay])
    for order in (Order(), Order("f", descending=True)):
        expected = select(
            [Row(key, {"f": int(key[1:]) % 7}) for key in stay],
            None,
            order.field,
            descending=order.descending,
        )
        for limit in (1, 2, 5, 6):
            pages = await records.walk(limit, None, order)
            assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
            assert [key for page in pages for key in page] == expected
            assert pages[-1], "a page after the last record"
    assert await records.keys(limit=3) == stay[:3]
    assert await records.keys(offset=1, limit=3) == stay[1:4]


@case("page.ten_thousand", requires={"query"})
async def ten_thousand(env: Env) -> None:
    """A result of more than 10,000 records comes whole: at once, with a limit, and beyond an offset of 10,000."""
    records = env.records()
    keys = [f"{number:05}" for number in range(10_003)]
    await records.fill(keys)
    assert await records.keys() == keys
    page = await records.page(limit=10_001)
    assert [record.key for record in page.records] == keys[:10_001]
    assert page.cursor is not None
    assert await records.keys(cursor=page.cursor) == keys[10_001:]
    assert await records.keys(offset=10_000) == keys[10_000:]
    assert await records.count() == len(keys)


@case("page.abandoned", requires={"query"}, needs={"raw"})
async def abandoned(env: Env) -> None:
    """A result left half-read, and a query cancelled at any point, leave nothing open behind them."""
    store = env.store(indexes={"n": int})
    await store.set_batch({f"k{number}": {"n": number} for number in range(20)})
    before = await env.target.raw(env.adapter)
    for _ in range(10):
        stream = store.where("n", ">", 3).stream()
        first = await anext(stream, None)
        assert first is not None
        assert first.key == "k10"
        await stream.aclose()
    cancelled = 0
    records = env.records(store.collection)
    for turns in range(12):
        task = asyncio.ensure_future(records.page(Compare("n", Op.GT, 3), limit=5))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        cancelled += task.cancelled()
        assert len(await records.keys(limit=5)) == 5
    assert cancelled, "no query was cancelled"
    assert await env.target.raw(env.adapter) == before
