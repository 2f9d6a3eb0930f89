"""Records: what is written comes back, every entry of it, on every path."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from daystore.abc import Put, WriteBatch
from daystore.errors import LimitExceeded, SerializationError, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises, typed
from daystore_compliance.env import Env

ALL_BYTES: Final = bytes(range(256))
LOOKALIKES: Final = (
    *(b"", b"\0", b"1", b"null", b"{}", b"true", b"YQ==", b"0x41", b"\\x41", b"'", b"\r\n", b" a ", b"a\0b"),
    *(b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbfa", b"\x80", ALL_BYTES, ALL_BYTES[::-1]),
)
THRESHOLDS: Final = (512, 1 << 12, 1 << 14, 1 << 16, 1 << 20)
LARGEST_TRIED: Final = 1 << 28


@case("rec.bytes_exact")
async def bytes_exact(env: Env) -> None:
    """The bytes of a value come back as they were, of type bytes, whatever they look like."""
    records = env.records()
    expected = {f"k{index}": value for index, value in enumerate(LOOKALIKES)}
    for key, value in expected.items():
        await records.put(key, value)
    await records.expect(expected)
    assert all(type(record.value) is bytes for record in (await records.state(*expected)).values())


@case("rt.size_sweep")
async def size_sweep(env: Env) -> None:
    """Values around every usual threshold of storage come back whole, alone and in a batch."""
    records = env.records()
    pattern = env.random.randbytes(THRESHOLDS[-1] + 1)
    sizes = [0, 1, *(size + step for size in THRESHOLDS for step in (-1, 0, 1))]
    expected = {f"single {size}": pattern[:size] for size in sizes}
    for key, value in expected.items():
        await records.put(key, value)
    batch = {f"batch {size}": pattern[::-1][:size] for size in sizes}
    await env.adapter.set_batch([records.a_put(key, value) for key, value in batch.items()])
    await records.expect(expected | batch)


@case("rt.size_over_limit")
async def size_over_limit(env: Env) -> None:
    """A value above the declared limit is LimitExceeded, alone or in a batch; nothing is written."""
    limit = env.capabilities.limits.max_value_bytes
    if limit is None or limit > LARGEST_TRIED:
        return
    records = env.records()
    await records.put("old", b"old")
    for size, key in ((limit + 1, "old"), (limit + 1, "new")):
        with raises(LimitExceeded) as caught:
            await records.put(key, bytes(size))
        assert (caught.error.limit, caught.error.actual, caught.error.maximum) == (
            "max_value_bytes",
            size,
            limit,
        )
        with raises(LimitExceeded):
            await records.write(records.a_put("first", b"1"), records.a_put(key, bytes(size)))
    await records.expect({"old": b"old"}, "new", "first")
    await records.put("largest", bytes(limit))
    assert len((await records.must_get("largest")).value) == limit


def _full_put(records_name: str, expires_at: int | None) -> Put:
    return Put(
        records_name,
        "key",
        b"value",
        expires_at=expires_at,
        content_type="application/x-test; charset=utf-8",
        fields={
            "s": "text",
            "i": -1,
            "f": 0.5,
            "b": False,
            "t": datetime(2026, 1, 2, tzinfo=UTC),
            "l": ("x", "y"),
        },
        schema="Note'1",
        schema_version=7,
        encodings=("zstd", "aes256gcm"),
    )


@case("rt.envelope_all_paths")
async def envelope_all_paths(env: Env) -> None:
    """Every entry of a record is the same by get, batch and query, and is what was written."""
    records = env.records()
    deadline = env.clock.deadline(60) if env.capabilities.ttl else None
    put = _full_put(records.name, deadline)
    await env.adapter.write(WriteBatch((put,)))
    record = (await records.state("key"))["key"]
    for name in (
        "key",
        "value",
        "version",
        "content_type",
        "schema",
        "schema_version",
        "encodings",
    ):
        assert getattr(record, name) == getattr(put, name), f"the entry {name!r} is not what was written"
    assert {name: typed(value) for name, value in record.fields.items()} == {
        name: typed(value) for name, value in put.fields.items()
    }
    assert record.expires_at == deadline
    assert (record.created_at, record.updated_at) == (env.clock(), env.clock())


@case("rec.entries_replaced")
async def entries_replaced(env: Env) -> None:
    """Overwriting replaces every entry of a record, also by nothing."""
    records = env.records()
    await env.adapter.write(WriteBatch((_full_put(records.name, None),)))
    await records.put("key", b"")
    record = (await records.state("key"))["key"]
    assert dict(record.fields) == {}
    assert (record.value, record.content_type) == (b"", "application/octet-stream")
    assert (record.schema, record.schema_version, record.encodings) == (None, None, ())


@case("rec.times")
async def times(env: Env) -> None:
    """created_at is the first write since the key was absent, updated_at the last, in microseconds."""
    records = env.records()
    first = env.clock()
    await records.put("key")
    second = env.clock.advance(microseconds=1)
    await records.put("key")
    record = (await records.state("key"))["key"]
    assert (record.created_at, record.updated_at) == (first, second)
    await records.delete("key")
    third = env.clock.advance(5)
    await records.put("key")
    record = (await records.state("key"))["key"]
    assert (record.created_at, record.updated_at) == (third, third)
    assert {type(record.created_at), type(record.updated_at)} == {int}


FIELD_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "str": (
        "",
        " ",
        "a",
        "A",
        "1",
        "true",
        "\0",
        "a\0b",
        "\u00e9",
        "e\u0301",
        "\U0001f600",
        "'",
        '"',
        "%",
        "x" * 1024,
    ),
    "int": (0, 1, -1, 2**31, 2**53 + 1, -(2**53) - 1, 1_763_868_000_123_456_789, 2**63 - 1, -(2**63)),
    "float": (0.0, 1.0, -1.5, 0.1, 5e-324, 1.7976931348623157e308, 2.0**53, 1e-7),
    "bool": (True, False),
    "datetime": (
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ),
    "list": ((), ("",), ("a",), ("b", "a", "b"), ("a,b", "a", "['x']"), tuple(f"t{n}" for n in range(100))),
}


@case("rec.fields_exact", variants=tuple(FIELD_VALUES))
async def fields_exact(env: Env, kind: str) -> None:
    """The value of an indexed field comes back equal and of the same type."""
    records = env.records()
    expected = {f"k{index}": value for index, value in enumerate(FIELD_VALUES[kind])}
    await records.fill({key: {"f": value} for key, value in expected.items()})
    for key, record in (await records.state(*expected)).items():
        assert list(record.fields) == ["f"]
        assert typed(record.fields["f"]) == typed(expected[key])


@case("rec.field_names")
async def field_names(env: Env) -> None:
    """A field may have any name within the rules; names that differ at all are different fields."""
    names = (
        "a",
        "A",
        "a.b",
        "a b",
        "a'",
        'a"',
        "a`",
        "$a",
        "a;--",
        "\u00e9",
        "e\u0301",
        "value",
        "version",
        "x" * 128,
    )
    records = env.records()
    await records.put("key", fields={name: index for index, name in enumerate(names)})
    record = (await records.state("key"))["key"]
    assert dict(record.fields) == {name: index for index, name in enumerate(names)}


@case("rec.field_refused")
async def field_refused(env: Env) -> None:
    """A field that cannot be indexed exactly is refused, and nothing is written."""
    records = env.records()
    await records.put("old", b"old")
    bad: tuple[Any, ...] = (
        *(
            None,
            float("nan"),
            float("inf"),
            -float("inf"),
            b"bytes",
            ["a"],
            {},
            (1,),
            ("a", None),
            (b"a",),
            1j,
        ),
        *(datetime(2026, 1, 1), "\ud800", ("a", "\udfff")),  # noqa: DTZ001 -- naive on purpose
    )
    for value in bad:
        for key in ("old", "new"):
            with raises(SerializationError):
                await records.put(key, b"new", fields={"good": 1, "bad": value})
            with raises(SerializationError):
                await records.write(records.a_put("first"), records.a_put(key, fields={"bad": value}))
    await records.expect({"old": b"old"}, "new", "first")


@case("rec.field_limits")
async def field_limits(env: Env) -> None:
    """An indexed string at its limit and the outermost integers are kept; one more is LimitExceeded."""
    records = env.records()
    size = env.capabilities.limits.max_field_bytes
    whole = ("x" * size, "\u00e9" * (size // 2), ("x" * size, "y"), 2**63 - 1, -(2**63))
    for index, value in enumerate(whole):
        await records.put(f"k{index}", fields={"f": value})
    before = await records.state(*(f"k{index}" for index in range(len(whole))))
    assert [record.fields["f"] for record in before.values()] == list(whole)
    for value in (
        "x" * (size + 1),
        "\u00e9" * (size // 2) + "e",
        ("y", "x" * (size + 1)),
        2**63,
        -(2**63) - 1,
    ):
        with raises(LimitExceeded):
            await records.put("k0", fields={"f": value})
        with raises(LimitExceeded):
            await records.put("new", fields={"f": value})
    after = await records.state("new", *before)
    assert list(after) == list(before)
    assert_same_record(after["k0"], before["k0"], "state")


@case("rt.no_alias")
async def no_alias(env: Env) -> None:
    """Changing what was handed over, or what was returned, changes nothing that is stored."""
    records = env.records()
    fields: dict[str, Any] = {"n": 1}
    await records.put("key", b"value", fields=fields)
    fields["n"] = 2
    fields["extra"] = True
    before = (await records.state("key"))["key"]
    batch = (await env.adapter.get_batch(records.name, ["key"]))["key"]
    listed = (await records.page()).records if env.capabilities.query else []
    for record in (await records.must_get("key"), batch, *listed):
        assert dict(record.fields) == {"n": 1}
        record.value = b"changed"
        record.version = "changed"
        record.fields["n"] = 3  # type: ignore[index] # a caller that ignores the type
    assert dict(before.fields) == {"n": 1}
    assert_same_record(await records.must_get("key"), before, "get after the change")


@case("rt.arguments_untouched", requires={"conditional"})
async def arguments_untouched(env: Env) -> None:
    """What is handed over is not changed, neither by success nor by failure."""
    records = env.records()
    fields: dict[str, Any] = {"l": ("b", "a"), "n": 1}
    puts = [records.a_put(key, fields=fields) for key in ("b", "a")]
    versions = [put.version for put in puts]
    keys = ["b", "missing", "a", "b"]
    await env.adapter.set_batch(puts)
    await env.adapter.read(records.name, keys)
    await env.adapter.delete_batch(records.name, keys)
    with raises(VersionConflict):
        await records.put("a", fields=fields, if_version=versions[0])
    assert fields == {"l": ("b", "a"), "n": 1}
    assert keys == ["b", "missing", "a", "b"]
    assert [(put.key, put.version, put.value, put.fields) for put in puts] == [
        ("b", versions[0], b"b", fields),
        ("a", versions[1], b"a", fields),
    ]


@case("rec.value_is_bytes")
async def value_is_bytes(env: Env) -> None:
    """A value that is not exactly bytes is a TypeError, and nothing is written."""
    records = env.records()
    bad: tuple[Any, ...] = ("text", bytearray(b"a"), memoryview(b"a"), None, 1, [b"a"])
    for value in bad:
        with raises(TypeError):
            await records.put("key", value)
    await records.expect({}, "key")


@case("opt.size_matrix", requires={"conditional", "ttl", "atomic_batch"})
async def size_matrix(env: Env) -> None:
    """Conditions, expiry, fields and atomic batches mean the same for values of every size."""
    records = env.records()
    deadline = env.clock.deadline(60)
    for size in (0, *(size + step for size in THRESHOLDS for step in (-1, 1))):
        key = f"k{size}"
        first = records.a_put(key, bytes(size), expires_at=deadline, fields={"size": size})
        await records.write(first, atomic=True)
        with raises(VersionConflict):
            await records.put(key, b"x" * size, if_absent=True)
        with raises(VersionConflict):
            await records.write(records.a_put(key, b"x" * size, expect="other"), atomic=True)
        record = await records.must_get(key)
        assert (record.version, len(record.value), record.expires_at) == (first.version, size, deadline)
        second = await records.put(key, b"y" * size, if_version=first.version, fields={"size": size + 1})
        record = await records.must_get(key)
        assert (record.version, record.value, record.expires_at) == (second, b"y" * size, None)
        assert dict(record.fields) == {"size": size + 1}
        await records.delete(key, if_version=second)
    await records.expect({})
