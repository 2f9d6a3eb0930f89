"""The corners of a record's envelope: empty and extreme entries, odd names, and every short way to write them."""

from __future__ import annotations

from typing import Any, Final

from daystore.abc import KEEP, Compare, Op, Put, Record, WriteBatch
from daystore.abc.names import MAX_FIELD_NAME_BYTES
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, assert_same_records, raises
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES

CORNERS: Final[tuple[dict[str, Any], ...]] = (
    *(
        {"encodings": e}
        for e in ((), ("",), ("", ""), ("a,b", "c"), ("a", "a"), ('["a"]',), ("\0", "\x1f", "|"))
    ),
    {"encodings": tuple(f"codec {n}" for n in range(100))},
    *(
        {"schema": schema}
        for schema in (None, "", " ", "a.B[c, d]", "null", "\u00e9", "e\u0301", "S" * 300, "\0")
    ),
    *({"schema": "s", "schema_version": number} for number in (None, 0, 1, 2**31, 2**53 + 1, 2**63 - 1)),
    {"schema_version": 5},
    *(
        {"content_type": kind}
        for kind in ("", " ", "a/b", "A/B", "a/b;c=d", "\u00e9/\U0001f600", "t/" + "x" * 300)
    ),
    {"fields": {}},
    {"fields": {"f": ()}},
    {"fields": {"f": "", "g": 0, "h": False, "i": 0.0}},
    {"fields": {"f": -0.0, "g": True, "h": 1, "i": 1.0}},
)
"""Entries of a record that are empty, large or odd, each of which differs from all others."""


@case("rec.envelope_corners")
async def envelope_corners(env: Env) -> None:
    """Empty, long and odd entries of a record are kept, none is taken for missing, alone and over each other."""
    records = env.records()
    puts = [Put(records.name, f"k{n:02}", b"v", **options) for n, options in enumerate(CORNERS)]
    for put in puts[::2]:
        await records.write(put)
    await env.adapter.write(WriteBatch(puts[1::2]))
    await _expect_entries(await records.state(*(put.key for put in puts)), puts)
    turned = [Put(records.name, put.key, b"v", **CORNERS[-1 - n]) for n, put in enumerate(puts)]
    await env.adapter.write(WriteBatch(turned, atomic=env.capabilities.atomic_batch))
    await _expect_entries(await records.state(*(put.key for put in turned)), turned)


async def _expect_entries(state: dict[str, Record], puts: list[Put]) -> None:
    assert list(state) == [put.key for put in puts]
    for put in puts:
        found = state[put.key]
        for name in ("encodings", "schema", "schema_version", "content_type"):
            one, other = getattr(found, name), getattr(put, name)
            assert (type(one), one) == (type(other), other), f"the entry {name!r} of {put.key} has changed"
        assert {n: repr(v) for n, v in found.fields.items()} == {n: repr(v) for n, v in put.fields.items()}


_NAMED: Final = {
    family: tuple(name for name in names if len(name.encode()) <= MAX_FIELD_NAME_BYTES)
    for family, names in FAMILIES.items()
}


@case("rec.field_name_families", requires={"query"}, variants=tuple(_NAMED))
async def field_name_families(env: Env, family: str) -> None:
    """Names of fields that are easily confused are different fields, in one record and in several."""
    records = env.records()
    names = _NAMED[family]
    await records.put("all", fields={name: number for number, name in enumerate(names)})
    rows: dict[str, dict[str, Any]] = {f"k{number:02}": {name: number} for number, name in enumerate(names)}
    await records.fill(rows)
    state = await records.state("all", *rows)
    assert dict(state["all"].fields) == {name: number for number, name in enumerate(names)}
    assert {key: dict(record.fields) for key, record in state.items() if key != "all"} == rows
    for number, name in enumerate(names):
        if name in ("key", "created_at", "updated_at"):
            continue  # these mean the record's own
        assert await records.keys(Compare(name, Op.EXISTS, True)) == ["all", f"k{number:02}"]
        assert await records.keys(Compare(name, Op.EQ, number)) == ["all", f"k{number:02}"]
        assert await records.keys(Compare(name, Op.EQ, number + 1000)) == []


# --- Short ways ---------------------------------------------------------------------------------------------


@case("rec.derived_methods", requires={"query", "ttl", "conditional", "atomic_batch"})
async def derived_methods(env: Env) -> None:
    """set, set_batch, delete, delete_batch, get, exists and get_batch mean what read and write mean."""
    short, long = env.records("short"), env.records("long")
    deadline = env.clock.deadline(60)
    options: tuple[dict[str, Any], ...] = (
        {},
        {"fields": {"n": 1, "l": ("a",)}},
        {"content_type": "a/b"},
        {"expires_at": deadline, "fields": {"n": 2}, "content_type": "c/d"},
        {"expires_at": KEEP, "fields": {"n": 3}},
        {"fields": {}, "content_type": ""},
    )
    for way in range(4):
        for one_number, first in enumerate(options):
            for other_number, second in enumerate(options):
                key = f"{way} {one_number} {other_number}"
                await _set_both(env, way, key, b"1", first)
                env.clock.advance(microseconds=10)
                await _set_both(env, way, key, b"2" * (9000 if first is second else 2), second)
    one, two = await short.state(), await long.state()
    assert_same_records(
        [_alike(record) for record in one.values()], [_alike(r) for r in two.values()], "short"
    )
    keys = list(one)
    for key in keys[::5]:
        with raises(VersionConflict):
            await short.put(key, if_absent=True, expires_at=deadline + 1_000_000)
        with raises(VersionConflict):
            await short.put(key, if_version="other")
        with raises(VersionConflict):
            await short.delete(key, if_version="other")
        assert_same_record(await env.adapter.get("short", key), one[key], "get after refusals")
        assert await env.adapter.exists("short", key)
    for place in (False, True):
        some = keys[place::3]
        assert await env.adapter.delete_batch("short", [*some, "missing"], atomic=place) == len(some)
        assert await env.adapter.get_batch("short", some) == {}
        assert not any([await env.adapter.exists("short", key) for key in some])
    left = keys[2::3]
    assert await short.delete(left[0], if_version=one[left[0]].version)
    assert list(await short.state(*keys)) == left[1:]


async def _set_both(env: Env, way: int, key: str, value: bytes, options: dict[str, Any]) -> None:
    """Write one record by a short way, and the same by write."""
    match way:
        case 0:
            await env.adapter.set("short", key, value, **options)
        case 1:
            await env.adapter.set_batch([Put("short", key, value, **options)])
        case 2:
            await env.adapter.set_batch([Put("short", key, value, **options)], atomic=True)
        case _:
            found = await env.adapter.get("short", key)
            condition: dict[str, Any] = (
                {"if_absent": True} if found is None else {"if_version": found.version}
            )
            await env.adapter.set("short", key, value, **condition, **options)
    await env.adapter.write(WriteBatch((Put("long", key, value, **options),)))


def _alike(record: Record) -> Record:
    copied = record.copy()
    copied.version = ""
    return copied
