"""Queries on fields that no index holds: right in everything, and only if they are asked for."""

import random
from typing import Any

import pytest

from daystore import Count, Index, Max, Q, QueryFilter, Sum
from daystore.errors import InvalidCursor, SchemaError
from daystore.stores import Store

FIELDS: Any = {"n": int, "s": str, "tags": list[str]}


async def twins(adapter: Any, count: int = 60) -> tuple[Store[Any], Store[Any]]:
    """The same records, once with indexes and once without all but one."""
    chosen = random.Random(5)  # the same records every time
    values = {}
    for number in range(count):
        value: dict[str, Any] = {
            "n": chosen.randrange(8),
            "s": chosen.choice("abc"),
            "tags": [chosen.choice("xy")],
        }
        del value[chosen.choice(["n", "s", "tags", "n"])]
        values[f"k{number:04}"] = value
    indexed, bare = Store(adapter, "indexed", indexes=FIELDS), Store(adapter, "bare", indexes={"s": str})
    await indexed.set_batch(values)
    await bare.set_batch(values)
    return indexed, bare


QUERIES: dict[str, Any] = {
    "equal": lambda store: store.where("n", "=", 3, allow_scan=True),
    "not equal": lambda store: store.where("n", "!=", 3, allow_scan=True),
    "indexed and not": lambda store: store.where("s", "=", "a").where("n", ">", 3, allow_scan=True),
    "or": lambda store: store.where(Q("n", "=", 3) | Q("s", "=", "a"), allow_scan=True),
    "not": lambda store: store.all(allow_scan=True).where_not(Q("n", ">", 3) & Q("s", "=", "a")),
    "list": lambda store: store.where("tags", "contains", "x", allow_scan=True),
    "missing": lambda store: store.where("tags", "exists", False, allow_scan=True),
    "other type": lambda store: store.where("n", "=", "3", allow_scan=True),
    "ordered": lambda store: store.all(allow_scan=True).order_by("n", "desc"),
    "ordered by an index": lambda store: store.where("n", "<", 5, allow_scan=True).order_by("s"),
    "by key": lambda store: store.where("n", "<", 5, allow_scan=True).order_by("key", "desc"),
    "nothing": lambda store: store.where("n", ">", 100, allow_scan=True),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_scan_answers_as_an_index_would(adapter: Any, name: str) -> None:
    indexed, bare = await twins(adapter)
    expected, query = QUERIES[name](indexed), QUERIES[name](bare)
    keys = await expected.keys()
    assert await query.keys() == keys
    assert await query.count() == await query.limit(3).count() == len(keys)
    for limit, offset in ((0, 0), (1, 0), (5, 0), (5, 3), (100, 50), (None, 2)):
        assert (
            await query.limit(limit).offset(offset).keys()
            == await expected.limit(limit).offset(offset).keys()
        )
    assert await query.first() == await expected.first()
    assert [value async for value in query] == await expected.execute()
    summary = {"count": Count(), "total": Sum("n"), "top": Max("s")}
    assert await query.aggregate(**summary).execute() == await expected.aggregate(**summary).execute()
    assert (
        await query.aggregate(**summary).group_by("n", "s").execute()
        == await expected.aggregate(**summary).group_by("n", "s").execute()
    )
    cursor, found = None, []
    for _ in range(max(1, -(-len(keys) // 7))):
        page = await query.page(7, cursor)
        found += page.items
        cursor = page.cursor
    assert found == await expected.execute()
    assert cursor is None


async def test_without_allow_scan_it_is_refused(adapter: Any) -> None:
    _, bare = await twins(adapter)
    with pytest.raises(SchemaError, match="allow_scan=True"):
        bare.where("n", "=", 3)
    with pytest.raises(SchemaError):
        await bare.query(QueryFilter(tags={"n": 3}))
    assert len(await bare.query(QueryFilter(tags={"n": 3}), allow_scan=True)) == await bare.count(
        QueryFilter(tags={"n": 3}), allow_scan=True
    )


async def test_a_dotted_name_is_a_path(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set_batch(
        {"a": {"info": {"user": "u"}}, "b": {"info.user": "u"}, "c": {"info": "u"}, "d": [1]}
    )
    assert await store.where("info.user", "=", "u", allow_scan=True).keys() == ["a", "b"]


async def test_what_the_indexes_can_say_is_left_to_the_backend(adapter: Any) -> None:
    _, bare = await twins(adapter)
    adapter.queries.clear()
    await bare.where("s", "=", "a").where("n", "=", 1, allow_scan=True).execute()
    (query,) = adapter.queries
    assert query.where is not None
    assert list(_names(query.where)) == ["s"]


def _names(predicate: Any) -> Any:
    from daystore.query.conditions import field_names

    return field_names(predicate)


async def test_indexed_fields_are_no_scan_even_where_one_is_allowed(adapter: Any) -> None:
    _, bare = await twins(adapter)
    adapter.calls.clear()
    await bare.where("s", "=", "a", allow_scan=True).count()
    assert adapter.calls == ["count"]


async def test_a_scan_reads_no_more_than_it_needs(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set_batch({f"k{number:05}": {"n": number % 2} for number in range(3_500)})
    query = store.where("n", "=", 1, allow_scan=True)
    adapter.queries.clear()
    assert len(await query.limit(3).execute()) == 3
    assert len(adapter.queries) == 1
    adapter.queries.clear()
    assert len([value async for value in query]) == 1_750
    assert len(adapter.queries) <= 5  # four pages of records, not four for each page of results
    adapter.queries.clear()
    assert len([value async for value in query.order_by("n", "desc")]) == 1_750
    assert len(adapter.queries) == 4


async def test_a_cursor_of_a_scan_is_its_own(adapter: Any) -> None:
    _, bare = await twins(adapter)
    page = await bare.where("n", "<", 5, allow_scan=True).page(2)
    with pytest.raises(InvalidCursor):
        await bare.where("n", "<", 6, allow_scan=True).page(2, page.cursor)


async def test_fields_of_an_older_index_do_not_answer(adapter: Any) -> None:
    """What a record was indexed by once may be of another type than what is asked for today."""
    await Store(adapter, "notes", indexes={"n": str}).set("k", {"n": "1"})
    store = Store(adapter, "notes")
    assert await store.where("n", "=", "1", allow_scan=True).keys() == ["k"]
    await store.set("k", {"n": 2})
    assert await store.where("n", "=", 2, allow_scan=True).keys() == ["k"]
    await Store(adapter, "notes", indexes=[Index("n", int, path="m")]).set("k", {"n": 2, "m": 3})
    assert await store.where("n", "=", 3, allow_scan=True).keys() == []
    await Store(adapter, "notes", indexes=[Index("n", int, path="m")]).set("l", {"m": 3})
    assert await store.where("n", "exists", True, allow_scan=True).keys() == ["k"]
    entry = (await store.where("n", "=", 2, allow_scan=True).entries())[0]
    assert entry == await store.entry("k")


async def test_a_scan_explains_itself(adapter: Any) -> None:
    explained = await Store(adapter, "notes").where("n", "=", 2, allow_scan=True).explain()
    assert not explained.indexed
    assert "every record" in explained.strategy
