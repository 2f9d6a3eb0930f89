"""`QueryFilter`: prefix, tags, time, window."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from daystore import QueryFilter
from daystore.abc import from_instant
from daystore.errors import SchemaError
from daystore.stores import Store

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEYS = [
    "a",
    "a%",
    "a*",
    "a.",
    "a/b",
    "a_b",
    "axb",
    "a\\",
    "user:1",
    "user:10",
    "a\U0010ffff",
    "a\U0010ffffz",
    "b",
    "é",
]


async def found(store: Store[Any], **filter_: Any) -> list[Any]:
    wanted = QueryFilter(**filter_)
    values = await store.query(wanted)
    assert await store.count(QueryFilter(**{**filter_, "limit": None, "offset": 0})) >= len(values)
    return values


@pytest.mark.parametrize("prefix", [*KEYS, "", "user:", "a_", "zzz"], ids=ascii)
async def test_a_prefix_is_literal(adapter: Any, prefix: str) -> None:
    store = Store(adapter, "notes")
    await store.set_batch({key: key for key in KEYS})
    expected = sorted(key for key in KEYS if key.startswith(prefix))
    assert await found(store, prefix=prefix) == expected
    assert await store.count(QueryFilter(prefix)) == len(expected)


async def test_tags_must_all_match_and_never_cross_types(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes={"step": int, "name": str, "tags": list[str]})
    await store.set_batch(
        {
            "a": {"step": 0, "name": "0", "tags": ["x", "y"]},
            "b": {"step": 1, "name": "1", "tags": ["x"]},
            "c": {"name": "1"},
        }
    )
    assert [v["name"] for v in await found(store, tags={"step": 0})] == ["0"]
    assert await found(store, tags={"step": False}) == []
    assert await found(store, tags={"step": "0"}) == []
    assert len(await found(store, tags={"name": "1"})) == 2
    assert len(await found(store, tags={"name": "1", "step": 1})) == 1
    assert len(await found(store, tags={"tags": "x"})) == 2
    assert len(await found(store, tags={"tags": ["x", "y"]})) == 1
    assert len(await found(store, tags={"tags": []})) == 3
    assert await found(store, tags={"name": ["1"]}) == []
    with pytest.raises(TypeError, match="'exists', False"):
        await found(store, tags={"name": None})
    with pytest.raises(TypeError):
        await found(store, tags={"name": {"$gt": ""}})
    with pytest.raises(SchemaError, match="did you mean 'name'"):
        await found(store, tags={"nam": "1"})


async def test_a_time_range_is_half_open_to_the_microsecond(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    start = from_instant(clock())
    for number in range(4):
        await store.set(f"k{number}", number)
        clock.advance(microseconds=1)
    tick = timedelta(microseconds=1)
    assert await found(store, time_range=(start, start + 2 * tick)) == [0, 1]
    assert await found(store, time_range=(start + tick, None)) == [1, 2, 3]
    assert await found(store, time_range=(None, start + tick)) == [0]
    assert await found(store, time_range=(None, None)) == [0, 1, 2, 3]
    assert await found(store, time_range=(start, start)) == []
    elsewhere = start.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert await found(store, time_range=(elsewhere, elsewhere + tick)) == [0]


async def test_the_time_of_a_range(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes", indexes={"due": datetime, "name": str})
    await store.set("old", {"due": datetime(1969, 1, 1, tzinfo=UTC)})
    clock.advance(10)
    later = from_instant(clock())
    await store.set("old", {"due": datetime(1969, 1, 1, tzinfo=UTC), "name": "again"})
    await store.set("new", {"due": datetime(9999, 1, 1, tzinfo=UTC)})
    assert await store.count(QueryFilter(time_range=(later, None))) == 2
    assert await store.count(QueryFilter(time_range=(later, None), time_field="created_at")) == 1
    assert await store.count(QueryFilter(time_range=(None, NOW), time_field="due")) == 1
    with pytest.raises(SchemaError, match="not an index of datetimes"):
        await store.count(QueryFilter(time_range=(later, None), time_field="name"))


async def test_prefix_tags_time_and_window_together(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes", indexes={"odd": bool})
    start = from_instant(clock())
    for number in range(20):
        await store.set(f"k{number:02}", {"odd": bool(number % 2), "n": number})
        clock.advance(1)
    window = (start + timedelta(seconds=3), start + timedelta(seconds=9))
    values = await found(store, prefix="k0", tags={"odd": True}, time_range=window, limit=2, offset=1)
    assert [value["n"] for value in values] == [5, 7]
    assert await store.count(QueryFilter("k0", {"odd": True}, window, limit=1)) == 3


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"time_range": (NOW, NOW - timedelta(1))}, ValueError),
        ({"time_range": (NAIVE, None)}, ValueError),
        ({"time_range": (None, NAIVE)}, ValueError),
        ({"time_range": NOW}, TypeError),
        ({"time_range": ("2026", None)}, TypeError),
        ({"limit": -1}, ValueError),
        ({"limit": True}, TypeError),
        ({"offset": -1}, ValueError),
        ({"offset": None}, TypeError),
        ({"prefix": None}, TypeError),
        ({"prefix": b"a"}, TypeError),
        ({"tags": ["a"]}, TypeError),
    ],
    ids=repr,
)
def test_a_filter_that_cannot_be_is_refused_when_it_is_made(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        QueryFilter(**arguments)


async def test_a_filter_is_not_a_dict(adapter: Any) -> None:
    with pytest.raises(TypeError, match="QueryFilter"):
        await Store(adapter, "notes").query({"prefix": "a"})  # type: ignore[arg-type]
