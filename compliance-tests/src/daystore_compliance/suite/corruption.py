"""Bytes that cannot be read, and text that must not be run: neither missing, nor deleted, nor executed."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from typing import Any, Final

from daystore.abc import Compare, Op, Put, Query, WriteBatch
from daystore.errors import (
    CorruptRecord,
    DaystoreError,
    InvalidCursor,
    InvalidKey,
    LimitExceeded,
    SerializationError,
    UnknownCodec,
    VersionConflict,
)
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.tables import HOSTILE

SECRET: Final = "a-secret-text"  # noqa: S105 -- not one


async def _damaged(env: Env, store: Any, bad: dict[str, Put]) -> Records:
    """Put records that cannot be read beside one that can."""
    await store.set("good", {"v": 1})
    await env.adapter.write(WriteBatch(list(bad.values())))
    return env.records(store.collection)


async def _expect_unreadable(store: Any, key: str, error: type[CorruptRecord]) -> None:
    """Expect every way to the value to raise, and every way that needs no value to work."""
    reads: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: store.get(key),
        lambda: store.get(key, "default"),
        lambda: store.get_batch(["good", key]),
        lambda: store.update(key, {"v": 2}),
        lambda: store.update(key, lambda value: value, default={"v": 0}),
    )
    for read in reads:
        with raises(error, hides=[SECRET, key]) as caught:
            await read()
        assert (caught.error.collection, caught.error.key) == (store.collection, key)
    assert await store.exists(key), "a record that cannot be read is taken for missing"
    assert await store.get("good") == {"v": 1}


@case("ser.corrupt_value", requires={"conditional"})
async def corrupt_value(env: Env) -> None:
    """Bytes that cannot be decoded are CorruptRecord with the key; the record stays, and so do its neighbours."""
    store = env.store()
    await store.set("sample", {"v": 1})
    sample = await env.records(store.collection).must_get("sample")
    damage = [
        b"",
        b"\0",
        b"{",
        sample.value[:-1],
        b"\xff" + sample.value,
        sample.value + b"}",
        b"\x80\x04N.",
        b"abc",
    ]
    bad = {
        f"bad{index}": Put(store.collection, f"bad{index}", data, content_type=sample.content_type)
        for index, data in enumerate(damage)
    }
    records = await _damaged(env, store, bad)
    before = await records.state(*bad)
    for key in bad:
        await _expect_unreadable(store, key, CorruptRecord)
    after = await records.state(*bad)
    assert list(after) == list(before)
    for key in bad:
        assert_same_record(after[key], before[key], "state")
    await store.set("bad0", {"v": 2})
    assert await store.get("bad0") == {"v": 2}
    assert await store.delete("bad1") is True


@case("ser.unknown_codec", requires={"conditional"})
async def unknown_codec(env: Env) -> None:
    """A record of a serializer or codec that is not installed is UnknownCodec with its name; its bytes stay."""
    store = env.store()
    await store.set("sample", {"v": 1})
    sample = await env.records(store.collection).must_get("sample")
    bad = {
        "key-of-type": Put(
            store.collection, "key-of-type", b"\0\1", content_type="application/x-nobody-has-it"
        ),
        "key-of-blank": Put(store.collection, "key-of-blank", sample.value, content_type=""),
        "key-of-coded": Put(
            store.collection,
            "key-of-coded",
            sample.value,
            content_type=sample.content_type,
            encodings=("nobody-has-it",),
        ),
    }
    records = await _damaged(env, store, bad)
    for key in bad:
        await _expect_unreadable(store, key, UnknownCodec)
    with raises(UnknownCodec) as caught:
        await store.get("key-of-coded")
    assert caught.error.codec == "nobody-has-it"
    assert await records.value("key-of-type") == b"\0\1"


class _Bomb:
    fired = 0

    def __reduce__(self) -> Any:
        return (_fire, ())


def _fire() -> None:
    _Bomb.fired += 1


@case("sec.unpickle", requires={"conditional"})
async def unpickle(env: Env) -> None:
    """Stored bytes are never executed, whatever they claim to be."""
    store = env.store()
    _Bomb.fired = 0
    bomb = pickle.dumps(_Bomb())
    types = ("application/json", "application/python-pickle", "application/x-pickle", "pickle", "")
    bad = {
        f"bomb{index}": Put(store.collection, f"bomb{index}", bomb, content_type=kind, encodings=encodings)
        for index, (kind, encodings) in enumerate([*((kind, ()) for kind in types), (types[0], ("pickle",))])
    }
    await _damaged(env, store, bad)
    for key in bad:
        try:
            await store.get(key)
        except CorruptRecord:
            pass
        else:
            raise AssertionError("a pickle was read")
    assert _Bomb.fired == 0
    pickle.loads(bomb)  # noqa: S301 -- the case's own bomb: it shows that it would have gone off
    assert _Bomb.fired == 1


@case("sec.injection")
async def injection(env: Env) -> None:
    """Text in any place of a record is data, whatever language would run it."""
    records = env.records()
    puts = [
        Put(
            records.name,
            text,
            text.encode(),
            content_type=text,
            fields={text: text, "l": (text, "x")},
            schema=text,
            encodings=(text, "y"),
        )
        for text in HOSTILE
    ]
    await env.adapter.set_batch(puts)
    state = await records.state(*HOSTILE)
    assert len(state) == len(puts)
    for put in puts:
        record = state[put.key]
        assert record.value == put.value
        assert (record.content_type, record.schema, record.encodings) == (put.key, put.key, (put.key, "y"))
        assert dict(record.fields) == dict(put.fields)
    for text in HOSTILE[::2]:
        assert await records.delete(text) is True
    assert list(await records.state(*HOSTILE)) == sorted(HOSTILE[1::2], key=str.encode)


@case("err.no_data_in_messages", requires={"conditional", "query"})
async def no_data_in_messages(env: Env) -> None:
    """No error says a key, a value or the value of a field; what a handler needs stands in its attributes."""
    records, store = env.records(), env.store(indexes={"n": int})
    limits = env.capabilities.limits
    await records.put(SECRET, SECRET.encode())
    await store.set("k", {"n": 1})
    await env.adapter.set(store.collection, SECRET, SECRET.encode(), content_type="application/json")
    attempts: tuple[tuple[type[DaystoreError], Callable[[], Awaitable[object]]], ...] = (
        (VersionConflict, lambda: records.put(SECRET, if_absent=True)),
        (VersionConflict, lambda: records.delete(SECRET, if_version=SECRET)),
        (InvalidKey, lambda: records.get(SECRET * 100)),
        (InvalidKey, lambda: env.adapter.get(f"{SECRET}!", "k")),
        (LimitExceeded, lambda: records.put("k", fields={"f": SECRET * limits.max_field_bytes})),
        (SerializationError, lambda: records.put("k", fields={"f": (SECRET, None)})),
        (InvalidCursor, lambda: records.page(Compare("f", Op.EQ, SECRET), cursor=SECRET)),
        (SerializationError, lambda: store.set(SECRET, {"n": SECRET})),
        (SerializationError, lambda: store.set(SECRET, {SECRET: object()})),
        (SerializationError, lambda: store.set_batch({SECRET: {SECRET: {1: 2}}})),
        (CorruptRecord, lambda: store.get(SECRET)),
        (VersionConflict, lambda: store.set("k", {"n": 2}, if_version=SECRET)),
    )
    for error, attempt in attempts:
        with raises(error, hides=[SECRET]) as caught:
            await attempt()
        assert SECRET not in repr(caught.error.args)
    assert await env.adapter.count(Query(records.name)) == 1
