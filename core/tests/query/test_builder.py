"""The builder: order, windows, pages, and what is asked of the backend."""

import asyncio
from typing import Any

import pytest

from daystore import Page, Q
from daystore.abc import Compare, Op, Query
from daystore.errors import InvalidCursor
from daystore.stores import Store


async def numbered(adapter: Any, count: int = 10) -> Store[Any]:
    store = Store(adapter, "notes", indexes={"n": int, "odd": bool})
    await store.set_batch({f"k{n:05}": {"n": n, "odd": bool(n % 2)} for n in range(count)})
    return store


def numbers(values: Any) -> list[int]:
    return [value["n"] for value in values]


async def test_a_builder_is_never_changed(adapter: Any) -> None:
    store = await numbered(adapter)
    base = store.where("n", "<", 5)
    await base.where("odd", "=", True).order_by("n", "desc").limit(1).offset(1).execute()
    assert numbers(await base.execute()) == [0, 1, 2, 3, 4]
    assert repr(base) == "<QueryBuilder notes>"


async def test_order(adapter: Any) -> None:
    store = await numbered(adapter, 4)
    await store.set("a", {})
    assert await store.all().keys() == ["a", "k00000", "k00001", "k00002", "k00003"]
    assert await store.all().order_by("n").keys() == ["a", "k00000", "k00001", "k00002", "k00003"]
    assert await store.all().order_by("n", "desc").keys() == ["k00003", "k00002", "k00001", "k00000", "a"]
    assert await store.all().order_by("odd", "desc").keys() == ["k00001", "k00003", "k00000", "k00002", "a"]
    assert await store.all().order_by("key", "desc").limit(2).keys() == ["k00003", "k00002"]
    with pytest.raises(ValueError, match=r"unknown direction 'descending'.*asc, desc"):
        store.all().order_by("n", "descending")


async def test_limit_and_offset(adapter: Any) -> None:
    store = await numbered(adapter)
    assert numbers(await store.all().limit(0).execute()) == []
    assert numbers(await store.all().limit(3).offset(8).execute()) == [8, 9]
    assert numbers(await store.all().offset(20).execute()) == []
    assert len(await store.all().limit(None).execute()) == 10
    wrongs: list[tuple[Any, type[Exception]]] = [(-1, ValueError), ("1", TypeError), (True, TypeError)]
    for wrong, error in wrongs:
        with pytest.raises(error):
            store.all().limit(wrong)
        with pytest.raises(error):
            store.all().offset(wrong)


@pytest.mark.parametrize("size", [1, 2, 9, 10, 11])
async def test_pages_cover_everything_once(adapter: Any, size: int) -> None:
    store = await numbered(adapter)
    for query in (store.all(), store.all().order_by("odd", "desc"), store.where("n", ">=", 0)):
        found: list[int] = []
        cursor, pages = None, 0
        while pages == 0 or cursor is not None:
            page = await query.page(size, cursor)
            assert len(page) <= size
            found += numbers(page)
            cursor, pages = page.cursor, pages + 1
        assert found == numbers(await query.execute())
        assert pages == -(-10 // size)


async def test_going_on_after_a_cursor(adapter: Any) -> None:
    store = await numbered(adapter)
    query = store.all().order_by("n", "desc")
    page = await query.page(3)
    assert isinstance(page, Page)
    assert numbers(await query.after(page.cursor).limit(2).execute()) == [6, 5]
    assert numbers(await query.after(None).limit(1).execute()) == [9]
    offset = await query.offset(2).page(2)
    assert numbers(offset) == [7, 6]
    assert numbers(await query.offset(2).page(2, offset.cursor)) == [5, 4]
    with pytest.raises(InvalidCursor):
        await query.page(3, "garbage")
    with pytest.raises(InvalidCursor):
        await store.all().page(3, page.cursor)
    with pytest.raises(ValueError, match="not both"):
        query.offset(1).after(page.cursor)


async def test_a_record_that_is_written_between_two_pages(adapter: Any) -> None:
    store = await numbered(adapter)
    page = await store.all().page(5)
    await store.delete("k00004")
    await store.delete("k00001")
    await store.set("a", {"n": -1, "odd": False})
    await store.set("k00005b", {"n": 55, "odd": False})
    assert numbers(await store.all().page(100, page.cursor)) == [5, 55, 6, 7, 8, 9]


async def test_first_count_keys_and_entries(adapter: Any) -> None:
    store = await numbered(adapter)
    odd = store.where("odd", "=", True).order_by("n", "desc")
    assert await odd.first() == {"n": 9, "odd": True}
    assert await odd.offset(4).first() == {"n": 1, "odd": True}
    assert await odd.limit(0).first() is None
    assert await odd.where("n", ">", 100).first() is None
    assert adapter.queries[0].limit == 1
    assert await odd.count() == await odd.limit(2).offset(1).count() == 5
    assert await odd.limit(2).keys() == ["k00009", "k00007"]
    assert [(entry.key, entry.value["n"]) for entry in await odd.limit(1).entries()] == [("k00009", 9)]


async def test_iterating_asks_for_a_page_at_a_time(adapter: Any) -> None:
    store = await numbered(adapter, 2_500)
    adapter.queries.clear()
    assert numbers([value async for value in store.all().order_by("n", "desc")]) == list(range(2_499, -1, -1))
    assert [query.limit for query in adapter.queries] == [1_000, 1_000, 1_000]
    adapter.queries.clear()
    limited = [value async for value in store.all().offset(5).limit(1_200)]
    assert numbers(limited) == list(range(5, 1_205))
    assert [query.limit for query in adapter.queries] == [1_000, 200]


async def test_no_page_is_asked_for_that_must_be_empty(adapter: Any) -> None:
    store = await numbered(adapter, 2_000)
    adapter.queries.clear()
    assert len([value async for value in store.all()]) == 2_000
    assert len(adapter.queries) == 2
    adapter.queries.clear()
    assert [value async for value in store.all().limit(0)] == []
    assert len(adapter.queries) <= 1


async def test_an_iteration_may_be_left(adapter: Any) -> None:
    store = await numbered(adapter, 2_500)
    adapter.queries.clear()
    values = aiter(store.all())
    entries = store.scan()
    assert (await anext(values))["n"] == (await anext(entries)).value["n"] == 0
    await values.aclose()  # type: ignore[attr-defined]
    await entries.aclose()
    assert len(adapter.queries) == 2
    with pytest.raises(StopAsyncIteration):
        await anext(entries)
    assert len(asyncio.all_tasks()) == 1


async def test_iterating_beside_writes(adapter: Any) -> None:
    store = await numbered(adapter, 2_500)
    stable = {f"k{n:05}" for n in range(0, 2_500, 2)}
    seen: list[str] = []
    async for entry in store.scan():
        seen.append(entry.key)
        if len(seen) % 500 == 0:
            await store.delete(f"k{2 * len(seen) - 1:05}")
            await store.set(f"k{len(seen):05}x", {"n": 0, "odd": False})
    assert len(seen) == len(set(seen))
    assert stable <= set(seen)


async def test_scan_takes_a_filter_or_a_query_of_its_own_store(adapter: Any) -> None:
    from daystore import QueryFilter

    store = await numbered(adapter)
    assert [entry.value["n"] async for entry in store.scan(QueryFilter(tags={"odd": True}, limit=2))] == [
        1,
        3,
    ]
    assert [entry.key async for entry in store.scan(store.where("n", ">", 7))] == ["k00008", "k00009"]
    with pytest.raises(ValueError, match="another store"):
        store.scan(Store(adapter, "other").all())
    with pytest.raises(TypeError, match="QueryFilter"):
        store.scan({"a": 1})  # type: ignore[arg-type]


async def test_one_query_is_one_call(adapter: Any) -> None:
    store = await numbered(adapter)
    adapter.calls.clear()
    await store.where("odd", "=", True).order_by("n").limit(3).execute()
    await store.where("odd", "=", True).count()
    assert adapter.calls == ["query", "count"]


async def test_explain_is_the_backend_s(adapter: Any) -> None:
    store = await numbered(adapter)
    explained = await store.where("n", "=", 1).explain()
    assert explained == await adapter.explain(Query("notes", Compare("n", Op.EQ, 1)))


async def test_conditions_are_joined_as_written(adapter: Any) -> None:
    store = await numbered(adapter)
    query = store.where(Q("n", "=", 1) | Q("n", "=", 2)).where("odd", "=", True)
    assert numbers(await query.execute()) == [1]
