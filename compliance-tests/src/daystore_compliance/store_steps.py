"""Every operation of a store, one after the other: run in several surroundings, each step has to do the same.

A step returns what it saw without versions, which differ each time. The steps build on each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from daystore import Avg, Count, QueryFilter, Sum
from daystore.errors import SerializationError, VersionConflict
from daystore.query.results import Entry
from daystore.stores import Store

__all__ = ["INDEXES", "NEEDS", "STEPS", "Step"]

NEEDS: Final = frozenset({"query", "aggregate", "conditional", "ttl", "atomic_batch"})
INDEXES: Final = {"n": int, "topic": str}

AnyStore = Store[Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation.

    Attributes:
        run: Does it, and returns what it saw.
        hooks: What middleware sees of it: its name, and a letter for each call that goes through all middleware.
            ``R`` is a read, ``W`` a write, ``w`` one that fails, ``E`` the error.
    """

    run: Callable[[AnyStore], Awaitable[Any]]
    hooks: str


def _note(n: int, topic: str = "x", **more: object) -> dict[str, object]:
    return {"n": n, "topic": topic, **more}


async def _wrote(writing: Awaitable[str]) -> bool:
    version = await writing
    return type(version) is str and version != ""


async def _wrote_many(writing: Awaitable[dict[str, str]]) -> list[str]:
    return list(await writing)


async def _fails(attempt: Awaitable[object], error: type[Exception]) -> str:
    try:
        await attempt
    except error as caught:
        return type(caught).__name__
    return "nothing was raised"


async def _entry(store: AnyStore, key: str) -> object:
    entry = await store.entry(key)
    return None if entry is None else _without_version(entry)


def _without_version(entry: Entry[Any]) -> tuple[object, ...]:
    return (entry.key, entry.value, entry.created_at, entry.updated_at, entry.expires_at, dict(entry.fields))


async def _told(finding: Awaitable[list[Entry[Any]]]) -> list[tuple[object, ...]]:
    return [_without_version(entry) for entry in await finding]


async def _at_version(store: AnyStore, key: str, value: object) -> bool:
    entry = await store.entry(key)
    assert entry is not None
    return await _wrote(store.set(key, value, if_version=entry.version))


async def _pages(store: AnyStore) -> list[list[object]]:
    query, pages, cursor = store.all().order_by("n", "desc"), [], None
    while True:
        page = await query.page(3, cursor)
        pages.append([item["n"] for item in page])
        cursor = page.cursor
        if cursor is None:
            return pages


async def _scanned(store: AnyStore) -> list[object]:
    return [_without_version(entry) async for entry in store.scan()]


STEPS: Final[dict[str, Step]] = {
    "set": Step(lambda s: _wrote(s.set("a", _note(1))), "set W"),
    "set with ttl": Step(lambda s: _wrote(s.set("t", _note(2, "y"), ttl=60)), "set W"),
    "set absent": Step(lambda s: _wrote(s.set("b", _note(3, extra="e"), if_absent=True)), "set W"),
    "set taken": Step(lambda s: _fails(s.set("b", _note(9), if_absent=True), VersionConflict), "set wE"),
    "set refused": Step(lambda s: _fails(s.set("b", {"f": float("nan")}), SerializationError), "set E"),
    "set at version": Step(lambda s: _at_version(s, "b", _note(4, extra="e")), "get_batch R set W"),
    "set_batch": Step(
        lambda s: _wrote_many(s.set_batch({"d": _note(6), "c": _note(5)}, ttl=90)), "set_batch W"
    ),
    "set_batch atomic": Step(
        lambda s: _wrote_many(s.set_batch([("e", _note(0)), ("e", _note(7, "z"))], atomic=True)),
        "set_batch W",
    ),
    "set_batch of nothing": Step(lambda s: _wrote_many(s.set_batch({})), "set_batch W"),
    "get": Step(lambda s: s.get("a"), "get R"),
    "get missing": Step(lambda s: s.get("missing", "default"), "get R"),
    "exists": Step(lambda s: s.exists("c"), "exists R"),
    "exists missing": Step(lambda s: s.exists("missing"), "exists R"),
    "entry": Step(lambda s: _entry(s, "t"), "get_batch R"),
    "get_batch": Step(lambda s: s.get_batch(["e", "missing", "a", "e"]), "get_batch R"),
    "get_batch of nothing": Step(lambda s: s.get_batch([]), "get_batch R"),
    "ttl": Step(lambda s: s.ttl("t"), "ttl R"),
    "ttl of none": Step(lambda s: s.ttl("a"), "ttl R"),
    "update by patch": Step(lambda s: s.update("a", {"n": 11}), "update RW"),
    "update by function": Step(lambda s: s.update("t", lambda v: {**v, "n": v["n"] * 10}), "update RW"),
    "update of none": Step(
        lambda s: s.update("new", lambda v: v, default=lambda: _note(8, "w")), "update RW"
    ),
    "update missing": Step(lambda s: _fails(s.update("missing", {"n": 1}), KeyError), "update RE"),
    "set keeping ttl": Step(lambda s: _wrote(s.set("t", _note(21, "y"), keep_ttl=True)), "set W"),
    "expire": Step(lambda s: s.expire("a", 30), "expire RW"),
    "expire missing": Step(lambda s: s.expire("missing", 30), "expire R"),
    "persist": Step(lambda s: s.persist("c"), "expire RW"),
    "overwrite clears ttl": Step(lambda s: _wrote(s.set("d", _note(66))), "set W"),
    "query": Step(lambda s: s.query(QueryFilter(tags={"topic": "x"})), "query R"),
    "where": Step(lambda s: _told(s.where("topic", "=", "x").order_by("n", "desc").entries()), "query R"),
    "limit and offset": Step(lambda s: s.all().order_by("n").offset(1).limit(3).keys(), "query R"),
    "first": Step(lambda s: s.where("n", ">", 60).first(), "query R"),
    "pages": Step(_pages, "query R query R query R"),
    "look into records": Step(lambda s: s.where("extra", "=", "e", allow_scan=True).keys(), "query R"),
    "count": Step(lambda s: s.count(), "count R"),
    "count some": Step(lambda s: s.where("topic", "startswith", "x").count(), "count R"),
    "aggregate": Step(lambda s: s.aggregate(n=Sum("n"), m=Avg("n"), c=Count()).execute(), "aggregate R"),
    "group": Step(lambda s: s.aggregate(n=Sum("n")).group_by("topic").execute(), "aggregate R"),
    "scan": Step(_scanned, "query R"),
    "delete": Step(lambda s: s.delete("a"), "delete W"),
    "delete missing": Step(lambda s: s.delete("a"), "delete W"),
    "delete stale": Step(lambda s: _fails(s.delete("b", if_version="stale"), VersionConflict), "delete wE"),
    "delete_batch": Step(lambda s: s.delete_batch(["b", "missing", "c"]), "delete_batch W"),
    "recreate": Step(lambda s: _wrote(s.set("a", _note(12, "v"), if_absent=True)), "set W"),
    "what is left": Step(_scanned, "query R"),
    "clear": Step(lambda s: s.clear(), "clear RW"),
    "nothing is left": Step(_scanned, "query R"),
    "set after clear": Step(lambda s: _wrote(s.set("t", _note(13), ttl=45)), "set W"),
    "set_batch after clear": Step(
        lambda s: _wrote_many(s.set_batch({"u": _note(14), "v": [1]})), "set_batch W"
    ),
}
"""Every operation of a store, by name, in the order in which they are done."""
