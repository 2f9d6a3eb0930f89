"""Aggregation: what is computed, for which groups, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daystore import Avg, Count, Max, Min, Sum
from daystore.stores import Store

NOW = datetime(2026, 6, 1, tzinfo=UTC)
INDEXES: Any = {"kind": str, "n": int, "f": float, "b": bool, "at": datetime, "tags": list[str]}


async def filled(adapter: Any) -> Store[Any]:
    store = Store(adapter, "notes", indexes=INDEXES)
    await store.set_batch(
        {
            "a": {"kind": "x", "n": 2**62, "f": 0.5, "b": True, "at": NOW},
            "b": {"kind": "x", "n": 2**62, "f": 1.5, "b": False, "at": NOW + timedelta(days=1)},
            "c": {"kind": "y", "n": 1, "tags": ["t", "u"]},
            "d": {"tags": ["t", "u"]},
        }
    )
    await Store(adapter, "other", indexes=INDEXES).set("a", {"kind": "x", "n": 5})
    await store.set("expired", {"kind": "x", "n": 5}, ttl=1)
    return store


async def test_over_everything(adapter: Any, clock: Any) -> None:
    store = await filled(adapter)
    clock.advance(2)
    found = await store.aggregate(
        records=Count(),
        with_n=Count("n"),
        total=Sum("n"),
        mean=Avg("f"),
        first=Min("at"),
        last=Max("at"),
        low=Min("kind"),
        no=Min("tags"),
    ).execute()
    assert found == {
        "records": 4,
        "with_n": 3,
        "total": 2**63 + 1,
        "mean": 1.0,
        "first": NOW,
        "last": NOW + timedelta(days=1),
        "low": "x",
        "no": None,
    }
    assert type(found["total"]) is int
    assert isinstance(found["first"], datetime)
    assert found["first"].tzinfo is not None


async def test_over_what_a_query_finds_whatever_its_window(adapter: Any) -> None:
    store = await filled(adapter)
    query = store.where("kind", "=", "y").limit(0)
    assert await query.aggregate(n=Count(), total=Sum("n")).execute() == {"n": 1, "total": 1}


async def test_over_nothing(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes=INDEXES)
    nothing = store.aggregate(count=Count(), total=Sum("n"), mean=Avg("n"), low=Min("at"), high=Max("f"))
    assert await nothing.execute() == {"count": 0, "total": 0, "mean": None, "low": None, "high": None}
    assert await nothing.group_by("kind").execute() == []


async def test_by_groups(adapter: Any, clock: Any) -> None:
    store = await filled(adapter)
    clock.advance(2)
    totals = store.aggregate(count=Count(), total=Sum("n"))
    assert await totals.group_by("kind").execute() == [
        {"kind": None, "count": 1, "total": 0},
        {"kind": "x", "count": 2, "total": 2**63},
        {"kind": "y", "count": 1, "total": 1},
    ]
    assert await store.aggregate(count=Count()).group_by("kind", "b").execute() == [
        {"kind": None, "b": None, "count": 1},
        {"kind": "x", "b": False, "count": 1},
        {"kind": "x", "b": True, "count": 1},
        {"kind": "y", "b": None, "count": 1},
    ]
    by_list = await store.where("tags", "exists").aggregate(count=Count()).group_by("tags").execute()
    assert by_list == [{"tags": ["t", "u"], "count": 2}]
    by_time = await store.where("at", "exists").aggregate(n=Count()).group_by("at").execute()
    assert [row["at"] for row in by_time] == [NOW, NOW + timedelta(days=1)]


async def test_it_is_computed_by_the_backend(adapter: Any) -> None:
    store = await filled(adapter)
    adapter.calls.clear()
    await store.aggregate(count=Count()).group_by("kind").execute()
    assert adapter.calls == ["aggregate"]


def test_what_cannot_be_computed_is_refused(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes=INDEXES)
    with pytest.raises(ValueError, match="at least one function"):
        store.aggregate()
    with pytest.raises(TypeError, match=r"Count\(\), Sum"):
        store.aggregate(total="n")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rename the result"):
        store.aggregate(kind=Count()).group_by("kind")
    with pytest.raises(ValueError, match="at least one field"):
        store.aggregate(count=Count()).group_by()
    with pytest.raises(ValueError, match="once"):
        store.aggregate(count=Count()).group_by("kind", "kind")
