"""Names and values of every length: what a backend cuts, hashes or keeps elsewhere from some length on."""

from __future__ import annotations

from typing import Final

from daystore.abc import Compare, Op
from daystore.abc.names import MAX_KEY_BYTES
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record
from daystore_compliance.env import Env

PARTS: Final = (1 << 18, 1 << 20, 5 << 20)
"""Sizes at which backends cut a value into parts."""


@case("key.every_length")
async def every_length(env: Env) -> None:
    """A key of every length from 1 to 256 bytes is a key of its own, beside one that differs in its last byte."""
    records = env.records()
    expected: dict[str, bytes] = {}
    for length in range(1, MAX_KEY_BYTES + 1):
        for last in "ab":
            expected["k" * (length - 1) + last] = b"%d %b" % (length, last.encode())
        if length % 2 == 0:
            expected["\u00e9" * (length // 2)] = b"%d two" % length
        if length % 4 == 0:
            expected["\U0001f600" * (length // 4)] = b"%d four" % length
    present = dict(list(expected.items())[::2])
    await env.adapter.set_batch([records.a_put(key, value) for key, value in present.items()])
    assert await records.read(*(key for key in expected if key not in present)) == [None] * (
        len(expected) - len(present)
    )
    for key, value in expected.items():
        if key not in present:
            await records.put(key, value)
    found = await records.read(*expected)
    assert {r.key: r.value for r in found if r} == expected
    for key in list(expected)[::5]:
        assert await records.value(key) == expected[key]
    if env.capabilities.query:
        assert await records.keys() == sorted(expected, key=str.encode)
        for length in range(1, MAX_KEY_BYTES + 1, 15):
            key = "k" * (length - 1) + "a"
            assert await records.keys(Compare("key", Op.EQ, key)) == [key]
            assert await records.count(Compare("key", Op.STARTSWITH, key)) == 1
    gone = list(expected)[::3]
    assert await env.adapter.delete_batch(records.name, gone) == len(gone)
    for key in gone:
        del expected[key]
    found = await records.read(*expected, *gone)
    assert {r.key: r.value for r in found if r} == expected


@case("rec.long_field_names", requires={"query"})
async def long_field_names(env: Env) -> None:
    """Names of fields are whole: long ones that differ in their last character are different fields."""
    records = env.records()
    names = [f"{'n' * (length - 1)}{last}" for length in (30, 31, 32, 63, 64, 65, 100, 128) for last in "xy"]
    await records.put("all", fields={name: number for number, name in enumerate(names)})
    for number, name in enumerate(names):
        await records.put(f"k{number:02}", fields={name: number})
    state = await records.state("all")
    assert dict(state["all"].fields) == {name: number for number, name in enumerate(names)}
    for number, name in enumerate(names):
        assert await records.keys(Compare(name, Op.EXISTS, True)) == ["all", f"k{number:02}"]
        assert await records.keys(Compare(name, Op.EQ, number), name) == ["all", f"k{number:02}"]


@case("rec.many_fields", requires={"query"})
async def many_fields(env: Env) -> None:
    """A record may have hundreds of fields, and lists of thousands of items: all are kept, in order, and found."""
    records = env.records()
    names = [f"f{n:03}" for n in range(env.scale(300, 1500))]
    items = tuple(f"item {n * 7 % 1201}" for n in range(1201))
    await records.put("few", fields={"l": ("item 1200",), names[-1]: -1})
    await records.put("many", fields={name: n for n, name in enumerate(names)})
    await records.put("list", fields={"l": items})
    before = await records.state("few", "many", "list")
    assert dict(before["many"].fields) == {name: n for n, name in enumerate(names)}
    assert before["list"].fields["l"] == items
    assert await records.keys(Compare(names[-1], Op.GE, -1), names[-1]) == ["few", "many"]
    assert await records.keys(Compare("l", Op.CONTAINS, "item 1200")) == ["few", "list"]
    await records.put("many", fields={names[0]: 0})
    await records.put("list", fields={"l": items[:1]})
    assert await records.keys(Compare(names[-1], Op.EXISTS, True)) == ["few"]
    assert await records.keys(Compare("l", Op.CONTAINS, "item 1200")) == ["few"]
    assert_same_record((await records.state("few"))["few"], before["few"], "state")


@case("rt.size_parts")
async def size_parts(env: Env) -> None:
    """A value of several megabytes is whole and in order, on both sides of what a backend cuts into parts."""
    records = env.records()
    pattern = env.random.randbytes((1 << 16) + 1)  # of odd length, so that no two parts of a value are equal
    maximum = env.capabilities.limits.max_value_bytes
    sizes = [
        size + step
        for size in (*PARTS, *((16 << 20,) if env.plan.level == "full" else ()))
        for step in (0, 1)
    ]
    whole = pattern * (max(sizes) // len(pattern) + 1)
    sizes = [size for size in sizes if maximum is None or size <= maximum]
    for size in sizes:
        await records.put(f"k{size}", whole[:size])
    for size in sizes:
        record = await records.reader.get(records.name, f"k{size}")
        assert record is not None
        assert record.value == whole[:size], f"a value of {size} bytes is not what was written"
        await records.put(f"k{size}", whole[1 : size // 2])
        assert await records.value(f"k{size}") == whole[1 : size // 2]
