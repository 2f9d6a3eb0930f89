"""Namespaces: what one holds does not exist for another."""

from __future__ import annotations

from typing import Any

from daystore.abc import Aggregate, Function
from daystore.errors import InvalidKey, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.clock import ManualClock
from daystore_compliance.env import Env
from daystore_compliance.records import Records

SUFFIXES = (
    "",
    "a",
    "ab",
    "a:b",
    "a/b",
    "A",
    "a%",
    "a_",
    "a*",
    "a ",
    "\u00e9",
    "e\u0301",
    "\0",
    "c0",
    "..",
    "'",
)


@case("ns.isolated", requires={"query", "aggregate"})
async def isolated(env: Env) -> None:
    """Namespaces with similar names share nothing: no record, count, query, aggregate or delete."""
    places: list[Records] = []
    for suffix in SUFFIXES:
        adapter = await env.open(env.namespace + suffix)
        place = Records(adapter, adapter, "c0")
        await place.fill({key: {"n": 1} for key in ("k", "a", "b:k", f"own-{suffix}")})
        places.append(place)
    for index, place in enumerate(places):
        own = f"own-{SUFFIXES[index]}"
        await place.expect({key: key.encode() for key in ("k", "a", "b:k", own)})
        rows = await place.aggregate({"n": Aggregate(Function.SUM, "n")})
        assert rows[0].values == {"n": 4}
    for index, place in enumerate(places[::2]):
        keys = await place.keys()
        assert await place.adapter.delete_batch("c0", keys) == 4, f"namespace {2 * index}"
    for index, place in enumerate(places):
        own = f"own-{SUFFIXES[index]}"
        await place.expect(
            {key: key.encode() for key in ("k", "a", "b:k", own)} if index % 2 else {}, "k", own
        )


@case("ns.conditions", requires={"conditional"})
async def conditions(env: Env) -> None:
    """A version or an absence in one namespace says nothing about another."""
    one = env.records()
    adapter = await env.open(env.namespace + ":other")
    two = Records(adapter, adapter, one.name)
    version = await one.put("a", b"1")
    assert await two.get("a") is None
    with raises(VersionConflict) as caught:
        await two.put("a", b"2", if_version=version)
    assert caught.error.current is None
    await two.put("a", b"2", if_absent=True)
    await two.delete("a")
    await one.expect({"a": b"1"})


@case("ns.cursor", requires={"query"})
async def cursor(env: Env) -> None:
    """A page of one namespace is never gone on with into the records of another."""
    one = env.records()
    adapter = await env.open(env.namespace + "x")
    two = Records(adapter, adapter, one.name)
    await one.fill([f"one-{n}" for n in range(4)])
    await two.fill([f"two-{n}" for n in range(4)])
    page = await one.page(limit=2)
    assert [record.key for record in page.records] == ["one-0", "one-1"]
    assert await one.keys(limit=10, cursor=page.cursor) == ["one-2", "one-3"]
    assert await two.keys(limit=10) == [f"two-{n}" for n in range(4)]


@case("ns.names")
async def names(env: Env) -> None:
    """A namespace is any non-empty string of at most 128 bytes; anything else is refused."""
    for name in ("", "x" * 129, "\u00e9" * 65, "\ud800"):
        with raises(InvalidKey):
            await env.target.open(name, ManualClock())
    bad: tuple[Any, ...] = (None, 1, b"x")
    for name in bad:
        with raises(TypeError):
            await env.target.open(name, ManualClock())
    for suffix in ("\u00e9" * 10, "x" * (128 - len(env.namespace))):
        adapter = await env.open(env.namespace + suffix)
        assert adapter.namespace == env.namespace + suffix
        await Records(adapter, adapter, "c0").put("a", suffix.encode())
        await Records(adapter, adapter, "c0").expect({"a": suffix.encode()})
