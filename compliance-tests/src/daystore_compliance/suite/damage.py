"""Stored bytes that are cut, doubled or tagged by nobody, and records that say less than those of today."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from daystore.abc import Put, WriteBatch
from daystore.errors import CorruptRecord
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.suite.typed_values import Part


@case("ser.cut_anywhere", requires={"conditional", "query"})
async def cut_anywhere(env: Env) -> None:
    """A value that was cut at any byte, or has more behind it, is CorruptRecord on every way to read it."""
    store = env.store()
    value = {"n": 2**70, "b": b"bytes", "s": "\u00e9", "l": [1, None, {"x": [True]}], "t": {1, 2}}
    await store.set("sample", value)
    records = env.records(store.collection)
    sample = await records.must_get("sample")
    assert await store.get("sample") == value
    data = sample.value
    damaged = {f"cut {n:03}": data[:n] for n in range(len(data))} | {
        "doubled": data * 2,
        "longer": data + b"x",
    }
    await env.adapter.write(
        WriteBatch(
            [Put(records.name, key, v, content_type=sample.content_type) for key, v in damaged.items()]
        )
    )
    before = await records.state(*damaged)
    for key in damaged:
        with raises(CorruptRecord) as caught:
            await store.get(key, "default")
        assert (caught.error.collection, caught.error.key) == (records.name, key)
    reads: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: store.entry("cut 001"),
        lambda: store.entries(["sample", "cut 001"]),
        lambda: store.get_batch(["sample", "cut 001"]),
        lambda: store.where("key", "=", "cut 001").execute(),
        lambda: store.where("key", "=", "cut 001").first(),
        lambda: store.all().page(1),
        lambda: store.update("cut 001", {"n": 1}),
    )
    for read in reads:
        with raises(CorruptRecord):
            await read()
    after = await records.state(*damaged)
    for key in damaged:
        assert_same_record(after[key], before[key], "state after reading")


UNKNOWN: Final = (
    b'["~ds:nobody","1"]',
    b'["~ds:enum","mod.Outer.Inner"]',
    b'["~ds:bytes"]',
    b'["~ds:bytes","YQ"]',
    b'["~ds:bytes",1]',
    b'["~ds:date","2026-13-01"]',
    b'["~ds:datetime","2026-01-01T00:00:00"]',
    b'["~ds:decimal","1,5"]',
    b'["~ds:int","xyz"]',
    b'["~ds:int"]',
    b'["~ds:set",1,1]',
    b'["~ds:uuid","x"]',
    b'["~ds:"]',
)
"""JSON whose tags no version of the serializer has written."""


@case("ser.unknown_tag", requires={"conditional"})
async def unknown_tag(env: Env) -> None:
    """In JSON a tag that nobody knows, or that does not fit, is CorruptRecord, however deep it is."""
    store = env.store()
    await store.set("good", [1])
    records = env.records(store.collection)
    shapes = (b"%b", b"[%b]", b'{"a":%b}', b'[1,{"a":["x",%b]}]', b'["~ds:list","~ds:x",%b]')
    damaged = {f"{n} {m}": shape % tag for n, tag in enumerate(UNKNOWN) for m, shape in enumerate(shapes)}
    puts = [Put(records.name, key, data, content_type="application/json") for key, data in damaged.items()]
    await env.adapter.write(WriteBatch(puts))
    for key in damaged:
        with raises(CorruptRecord) as caught:
            await store.get(key, "default")
        assert caught.error.key == key
    await records.expect(damaged | {"good": await records.value("good") or b""})


@case("rt.former_records", requires={"conditional", "query"})
async def former_records(env: Env) -> None:
    """A typed store reads what fits its type, also where the record tells no schema, or was never indexed."""
    plain = env.store()
    await plain.set("a", {"name": "old"})
    await plain.set_batch({"b": {"name": "old", "size": 2}})
    for store in (env.reading(plain, Part, indexes=["name"]), env.reading(plain, Part)):
        expected = {"a": Part(name="old"), "b": Part(name="old", size=2)}
        assert await store.get("a") == expected["a"]
        assert await store.get_batch(["ab", "a", "b"]) == expected
        assert await store.all().execute() == list(expected.values())
        assert {entry.key: entry.value async for entry in store.scan()} == expected
        entry = await store.entry("a")
        assert entry is not None
        assert (entry.value, entry.schema, entry.schema_version) == (expected["a"], None, None)
    store = env.reading(plain, Part, indexes=["name"])
    assert await store.update("a", {"size": 3}) == Part(name="old", size=3)
    assert await store.where("name", "=", "old").keys() == ["a"]
    assert await store.count() == 2
