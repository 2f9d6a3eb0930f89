"""One key in many places: namespaces and collections share nothing, whatever they have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from daystore.abc import (
    Put,
    Query,
    StorageAdapter,
    WriteBatch,
)
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.records import Records

SEPARATORS: Final = ("", ":", "::", "/", "//", ".", "|", "||", "_", "-", "#", ",", " ", "\0", "\x1f", "\x1e")
COLLECTIONS: Final = ("a", "ab", "b")


async def _expect(adapter: StorageAdapter, collection: str, expected: Mapping[str, bytes]) -> None:
    """Expect exactly these records, by a query, by count and by key."""
    listed = (await adapter.query(Query(collection))).records
    assert {record.key: record.value for record in listed} == dict(expected), "a query finds other records"
    assert await adapter.count(Query(collection)) == len(expected)
    found = await adapter.get_batch(collection, expected)
    assert {key: record.value for key, record in found.items()} == dict(expected), (
        "a read finds other records"
    )


@case("ns.joined", requires={"query"})
async def joined(env: Env) -> None:
    """Namespace, collection and key never flow together, whatever a backend joins their names with."""
    base = env.namespace + "x"
    keys = {sep: ("k", "b", f"{sep}k", f"b{sep}k", f"a{sep}b{sep}k", f"{sep}b{sep}k") for sep in SEPARATORS}
    every = tuple(dict.fromkeys(key for some in keys.values() for key in some))
    places = {"": await env.open(base)}
    expected: dict[tuple[str, str], dict[str, bytes]] = {}
    for suffix, wanted in [("", every), *((f"{sep}a", keys[sep]) for sep in SEPARATORS)]:
        if suffix:
            places[suffix] = await env.open(base + suffix)
        for name in COLLECTIONS:
            expected[suffix, name] = {key: f"{suffix} {name} {key}".encode() for key in wanted}
        puts = [
            Put(name, key, value) for name in COLLECTIONS for key, value in expected[suffix, name].items()
        ]
        await places[suffix].write(WriteBatch(puts))
    for (suffix, name), rows in expected.items():
        await _expect(places[suffix], name, rows)
    for suffix, name in [("", "a"), (":a", "b"), ("\0a", "ab")]:
        rows = expected[suffix, name]
        assert await places[suffix].delete_batch(name, rows) == len(rows)
        rows.clear()
    for (suffix, name), rows in expected.items():
        await _expect(places[suffix], name, rows)


@case("ns.long_names", requires={"query"})
async def long_names(env: Env) -> None:
    """Namespaces and collections of any length are whole names: they differ by their last character, too."""
    lengths = (31, 32, 60, 62, 63)
    names = [f"{'c' * (length - 1)}{last}" for length in lengths for last in "xyz"]
    for name in names:
        await env.adapter.set(name, "k", name.encode())
    for name in names:
        await _expect(env.adapter, name, {"k": name.encode()})
    long = [env.namespace + "n" * (length - len(env.namespace)) for length in (48, 62, 63, 64, 100, 127)]
    adapters = [await env.open(name + last) for name in long for last in "xy"]
    for number, adapter in enumerate(adapters):
        await adapter.set("c0", "k", b"%d" % number)
    for number, adapter in enumerate(adapters):
        await _expect(adapter, "c0", {"k": b"%d" % number})


CONFUSABLE: Final = (
    *(
        "",
        "a",
        "A",
        "aa",
        "a_",
        "a%",
        "a*",
        "a.c",
        "abc",
        "a/",
        "a//",
        "a/b",
        "a/../b",
        "b",
        "..",
        "a ",
        "a  ",
    ),
    *(
        "a\t",
        "a\n",
        "a\0",
        "a\0b",
        "a+",
        "%61",
        "a%61",
        "01",
        "1",
        "1.0",
        "\u00e9",
        "e\u0301",
        "\u00df",
        "ss",
    ),
    *(
        "\u212b",
        "\u00c5",
        "\ufb01",
        "fi",
        "\u0130",
        "i",
        "\U0001f600",
        "\ufffd",
        "'",
        "''",
        "{a}",
        "#a",
        "a#",
    ),
)
"""Ends of namespaces that are easily taken for one another."""


@case("ns.confusable", requires={"query", "conditional"}, needs={"reopen", "second"})
async def confusable(env: Env) -> None:
    """Namespaces whose names are easily confused are different ones: what one writes no other finds or changes."""
    base = env.namespace + "/"
    for number, name in enumerate(CONFUSABLE):
        adapter = await env.target.open(base + name, env.clock)
        try:
            await _expect(adapter, "c0", {})
            await adapter.set("c0", "k", b"%d" % number, if_absent=True, fields={"n": number})
        finally:
            await adapter.close()
    for number in range(0, len(CONFUSABLE), 5):
        adapter = await env.open(base + CONFUSABLE[number])
        await _expect(adapter, "c0", {"k": b"%d" % number})
        assert await adapter.delete("c0", "k") is True


@case("key.other_places", requires={"query"})
async def other_places(env: Env) -> None:
    """A key that names another collection or namespace is a key of its own collection."""
    names = ("a", "b", "c_")
    keys = ["k"]
    for name in names:
        keys += [f"{sep}{name}{sep}k" for sep in ("/", "\\", ":", "\0", ".", "|")]
        keys += [f"{name}{sep}k" for sep in ("/", "\\", ":", "\0", ".", "|", "||", "__")]
        keys += [
            f"../{name}/k",
            f"../{name}/../{name}/k",
            f"./../{name}/k",
            f"..\\{name}\\k",
            f"%2e%2e/{name}/k",
        ]
        keys += [f"../../{env.namespace}/{name}/k", f"{env.namespace}/{name}/k", f"{env.namespace}:{name}:k"]
    values = {name: {key: f"{name} {key}".encode() for key in keys} for name in names}
    for name in names:
        await env.records(name).fill(["k"])
        for key, value in values[name].items():
            await env.adapter.set(name, key, value)
    for name in names:
        await _expect(env.adapter, name, values[name])
    assert await env.adapter.delete_batch("a", keys) == len(keys)
    for name in names:
        await _expect(env.adapter, name, {} if name == "a" else values[name])


@case("key.at_once", requires={"conditional"})
async def at_once(env: Env) -> None:
    """Writes of one key in many places at once do not meet: every condition is judged by its own record."""
    other = await env.open(env.namespace + "-other")
    places = [
        Records(adapter, adapter, name) for adapter in (env.adapter, other) for name in ("one", "two", "t")
    ]
    keys = ("k", "l")
    versions: dict[tuple[int, str], str] = {}

    async def change(number: int, key: str, value: bytes) -> None:
        options: dict[str, Any] = {"if_absent": True}
        if (number, key) in versions:
            options = {"if_version": versions[number, key]}
        versions[number, key] = await places[number].put(key, value, **options)

    everything = [(number, key) for number in range(len(places)) for key in keys]
    for turn in range(4):
        await asyncio.gather(*(change(n, key, f"{turn} {n} {key}".encode()) for n, key in everything))
        for number, place in enumerate(places):
            await place.expect({key: f"{turn} {number} {key}".encode() for key in keys})
    deleted = await asyncio.gather(
        *(places[n].delete(key, if_version=versions[n, key]) for n, key in everything if n % 2)
    )
    assert all(deleted)
    for number, place in enumerate(places):
        await place.expect({} if number % 2 else {key: f"3 {number} {key}".encode() for key in keys}, *keys)


# --- Stores -------------------------------------------------------------------------------------------------


@case("ns.stores_side_by_side", requires={"query", "ttl"})
async def stores_side_by_side(env: Env) -> None:
    """Stores on one adapter each keep their own collection, indexes, type and time to live."""
    one = env.store(indexes={"n": int}, ttl=10)
    await one.set("k", {"n": 1})
    two = env.store(indexes={"t": str})
    same = env.store(collection=one.collection)
    typed = env.store(list[int])
    await two.set("k", {"t": "x", "n": 5})
    await typed.set("k", [1])
    await one.set("l", {"n": 2})
    await same.set("m", {"n": 3})
    assert await one.get_batch(["k", "l", "m"]) == {"k": {"n": 1}, "l": {"n": 2}, "m": {"n": 3}}
    assert await one.where("n", ">", 0).keys() == ["k", "l"]
    assert await two.get_batch(["k", "l", "m"]) == {"k": {"t": "x", "n": 5}}
    assert await two.where("t", "=", "x").keys() == ["k"]
    assert await typed.get_batch(["k", "l", "m"]) == {"k": [1]}
    env.clock.advance(11)
    assert [await store.count() for store in (one, two, same, typed)] == [1, 1, 1, 1]
    assert await two.delete("k") is True
    assert await one.delete_batch(["k", "l", "m"]) == 1
    assert [await store.count() for store in (one, two, same, typed)] == [0, 0, 0, 1]


def _entries(name: str, numbers: Iterable[int]) -> list[str]:
    return [f"{name} {number}" for number in numbers]


@case("ns.memories", requires={"query", "atomic_batch", "conditional"})
async def memories(env: Env) -> None:
    """Memories with confusable ids share no entry: not in a window, a count, a query or a clear."""
    store = env.storage().memories
    names = (
        *FAMILIES["siblings"],
        *FAMILIES["like"],
        "a/0",
        "a/000000000000",
        "a~1",
        "a~",
        "a~0",
        "~1",
        "user:1",
    )
    names = tuple(dict.fromkeys(names))
    for number in range(2):
        for name in names:
            await store.append(name, _entries(name, (2 * number, 2 * number + 1)))
    left = {name: _entries(name, range(4)) for name in names}
    for gone in ("a", "%", "a/", "_"):
        assert await store.clear(gone) == 4
        left[gone] = []
        assert await store.windows(names) == left
    for name in names:
        assert await store.window(name, 3) == left[name][-3:]
        assert await store.of(name).execute() == left[name]
        assert await store.count(name) == len(left[name])
    await store.append("a", ["again"])
    left["a"] = ["again"]
    assert await store.windows(names) == left
    assert await store.clear() == sum(map(len, left.values()))
    assert await store.windows(names) == {name: [] for name in names}
