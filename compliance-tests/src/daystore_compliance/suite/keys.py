"""Keys: any Unicode string means itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from daystore.abc import Compare, Delete, Not, Op, Put
from daystore.abc.names import MAX_KEY_BYTES
from daystore.errors import InvalidKey
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.records import Records

OWN_CASES: Final = frozenset(
    {"case", "whitespace", "normalization", "control", "length", "path", "numeric", "astral"}
)


async def _expect_distinct(env: Env, family: str) -> None:
    """Write, read and delete each key of a family beside all the others."""
    records = env.records()
    keys = FAMILIES[family]
    expected = {key: f"value {index}".encode() for index, key in enumerate(keys)}
    present, absent = keys[::2], keys[1::2]
    for key in present:
        await records.put(key, expected[key])
    for key in absent:
        assert await records.get(key) is None, f"reading {key!r} finds the record of another key"
        assert not await env.adapter.exists(records.name, key)
        assert await records.delete(key) is False
    assert await env.adapter.get_batch(records.name, absent) == {}
    await records.expect({key: expected[key] for key in present}, *absent)
    await env.adapter.set_batch([records.a_put(key, expected[key]) for key in absent])
    await records.expect(expected)
    await _expect_equality(records, keys)
    for key in present:
        assert await records.delete(key) is True
        assert await records.get(key) is None
    await records.expect({key: expected[key] for key in absent}, *present)


async def _expect_equality(records: Records, keys: Iterable[str]) -> None:
    if not records.adapter.capabilities.query:
        return
    for key in keys:
        assert await records.keys(Compare("key", Op.EQ, key)) == [key]
        assert await records.count(Not(Compare("key", Op.EQ, key))) == len(tuple(keys)) - 1


@case("key.families", variants=[name for name in FAMILIES if name not in OWN_CASES])
async def families(env: Env, family: str) -> None:
    """Keys that look like patterns, quotes or formats, or hold delimiters, each hit one record."""
    await _expect_distinct(env, family)


@case("key.case")
async def letter_case(env: Env) -> None:
    """Keys that differ in the case of a letter are different keys, in every script."""
    await _expect_distinct(env, "case")


@case("key.whitespace")
async def whitespace(env: Env) -> None:
    """White space in a key is kept, at its begin and its end as well."""
    await _expect_distinct(env, "whitespace")


@case("key.normalization")
async def normalization(env: Env) -> None:
    """Keys that look alike in another normal form of Unicode are different keys."""
    await _expect_distinct(env, "normalization")


@case("key.nul_and_control")
async def nul_and_control(env: Env) -> None:
    """NUL and the other control characters are characters of a key like any other."""
    await _expect_distinct(env, "control")


@case("key.pathlike")
async def pathlike(env: Env) -> None:
    """Slashes and dots in a key have no meaning: no key lies inside, above or outside of another."""
    await _expect_distinct(env, "path")


@case("key.numeric_strings")
async def numeric_strings(env: Env) -> None:
    """Keys that read as the same number, or as a constant, are different keys."""
    await _expect_distinct(env, "numeric")


@case("key.long")
async def long(env: Env) -> None:
    """Keys up to the longest are kept whole and apart, also when only their last character differs."""
    await _expect_distinct(env, "length")


@case("key.astral")
async def astral(env: Env) -> None:
    """Characters beyond the basic plane, and the last ones before it, are kept apart."""
    await _expect_distinct(env, "astral")


@case("key.trailing_space", requires={"query"})
async def trailing_space(env: Env) -> None:
    """Trailing spaces count: in keys, in indexed strings and in lists, for equality and for membership."""
    records = env.records()
    texts = ("a", "a ", "a  ", "a\t", " a")
    await records.fill({text: {"f": text, "l": (text,)} for text in texts})
    for text in texts:
        for where in (
            Compare("key", Op.EQ, text),
            Compare("key", Op.IN, (text,)),
            Compare("f", Op.EQ, text),
            Compare("f", Op.IN, (text,)),
            Compare("l", Op.CONTAINS, text),
        ):
            assert await records.keys(where) == [text]
        assert len(await env.adapter.get_batch(records.name, [text, text + " "])) == 1 + (text + " " in texts)


@case("key.astral_order", requires={"query"})
async def astral_order(env: Env) -> None:
    """The order of keys is the order of their UTF-8 bytes, not of UTF-16 units and not of a locale."""
    records = env.records()
    keys = {key for family in FAMILIES.values() for key in family}
    await records.fill(sorted(keys, reverse=True))
    assert await records.keys() == sorted(keys, key=str.encode)
    assert [key for page in await records.walk(50) for key in page] == sorted(keys, key=str.encode)


async def _refused_everywhere(env: Env, error: type[Exception], keys: Iterable[Any]) -> None:
    records = env.records()
    await records.put("good", b"old")
    for key in keys:
        with raises(error):
            await records.get(key)
        with raises(error):
            await env.adapter.exists(records.name, key)
        with raises(error):
            await env.adapter.read(records.name, ["good", key])
        with raises(error):
            await env.adapter.get_batch(records.name, ["good", key])
        with raises(error):
            await records.put(key)
        with raises(error):
            await records.delete(key)
        with raises(error):
            await env.adapter.delete_batch(records.name, ["good", key])
        with raises(error):
            await env.adapter.set_batch(Put(records.name, k, b"new") for k in ("good", key))
        with raises(error):
            await records.write(records.a_check(key, "version"))
    await records.expect({"good": b"old"})


@case("key.empty")
async def empty(env: Env) -> None:
    """The empty key is InvalidKey for every operation, and nothing is done."""
    await _refused_everywhere(env, InvalidKey, [""])


@case("key.too_long")
async def too_long(env: Env) -> None:
    """A key above 256 bytes is InvalidKey for every operation, and is never cut."""
    await _refused_everywhere(env, InvalidKey, ["k" * (MAX_KEY_BYTES + 1), "k" * 10_000])


@case("key.bytes_not_chars")
async def bytes_not_chars(env: Env) -> None:
    """The length of a key is counted in bytes: 64 characters of four bytes are kept, 65 refused."""
    records = env.records()
    await records.put("\U0001f600" * 64, b"four")
    await records.put("\u00e9" * 128, b"two")
    await records.expect({"\U0001f600" * 64: b"four", "\u00e9" * 128: b"two"}, "\U0001f600" * 63)
    await _refused_everywhere(
        env, InvalidKey, ["\U0001f600" * 65, "\u00e9" * 128 + "e", "k" * 253 + "\U0001f600"]
    )


@case("key.lone_surrogate")
async def lone_surrogate(env: Env) -> None:
    """A key with a lone surrogate is InvalidKey for every operation."""
    await _refused_everywhere(env, InvalidKey, ["\ud800", "a\udfff", "\udc80b", "\ude00\ud83d"])


class _Text(str):
    __slots__ = ()


@case("key.type")
async def key_type(env: Env) -> None:
    """A key that is not exactly a str is a TypeError for every operation."""
    await _refused_everywhere(env, TypeError, [1, True, b"key", None, ("key",), 1.5, _Text("key")])


@case("key.collections_distinct", requires={"query"})
async def collections_distinct(env: Env) -> None:
    """The same key in two collections is two records, whatever the names have in common."""
    names = ("a", "aa", "a_", "a_b", "a__b", "ab", "a0", "a1", "b", "records", "index", "key")
    keys = ("k", "b:k", "_b:k", "a", "b", "a/k")
    for name in names:
        records = env.records(name)
        for key in keys:
            await records.put(key, f"{name} {key}".encode())
    for gone in names[::2]:
        assert await env.adapter.delete_batch(gone, keys) == len(keys)
    for name in names:
        kept = name not in names[::2]
        expected = {key: f"{name} {key}".encode() for key in keys} if kept else {}
        await env.records(name).expect(expected, *keys)


@case("key.collection_names")
async def collection_names(env: Env) -> None:
    """A collection is a lower-case letter and up to 62 of a-z, 0-9, _; anything else is InvalidKey."""
    for name in ("a", "z9_", "a" * 63, "a_" + "9" * 61):
        records = env.records(name)
        await records.put("key", name.encode())
        await records.expect({"key": name.encode()})
    for name in (
        "",
        "A",
        "aB",
        "1a",
        "_a",
        "a-b",
        "a.b",
        "a b",
        "a/b",
        "a:b",
        "\u00e4",
        "a\n",
        "a\0",
        "a" * 64,
    ):
        with raises(InvalidKey):
            await env.adapter.get(name, "key")
        with raises(InvalidKey):
            await env.adapter.set(name, "key", b"")
        with raises(InvalidKey):
            await env.adapter.delete_batch(name, ["key"])
        with raises(InvalidKey):
            Delete(name, "key")
    other: Any = b"a"
    with raises(TypeError):
        await env.adapter.get(other, "key")
