"""What looks like something else, and what looks the same: bytes, text in fields, equal values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from daystore.abc import Compare, Op, Put, WriteBatch
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.records import Records

CONTENT_TYPES: Final = (
    "application/json",
    "application/json; charset=utf-8",
    "application/ld+json",
    "application/msgpack",
    "application/octet-stream",
    "application/x-yaml",
    "application/xml",
    "text/plain",
    "text/plain; charset=latin-1",
    "text/html; charset=utf-16",
    "",
)
CONTENTS: Final = (
    *(b'{"b": 1,  "a": [ 1.0, 1e2, -0.0, 1.50 ]}', b'{"a":1,"a":2}', b'{"a":123456789012345678901234567890}'),
    *(
        b"null",
        b"[]",
        b'""',
        b'"\\u00e9\\/"',
        b"1e5",
        b'{"$oid":"x"}',
        b'\n{"a":1}\n',
        b"\xef\xbb\xbf{}",
        b"{",
        b"NaN",
    ),
    *(
        b"a\r\nb\rc\n",
        b" padded \t",
        b"\xe9",
        b"\xff\xfea\0",
        b"\x80\x04N.",
        b"\x1f\x8b\x08",
        b"x\x9c\x03",
        b"(\xb5/\xfd",
    ),
    *(
        b"a\0",
        b"\0a",
        b"YQ==",
        b"6869",
        b"\\x6869",
        b"%41",
        b"'",
        b"<a>&amp;</a>",
        b"PK\x03\x04",
        b"\x93NUMPY",
        bytes(3),
    ),
)

LOOKALIKES: Final = (
    *(
        "0",
        "1",
        "01",
        "1.0",
        "-0",
        "+1",
        "1e5",
        "0x10",
        "1_000",
        "\u0661",
        "9007199254740993",
        "NaN",
        "inf",
        "-Infinity",
    ),
    *("true", "True", "t", "false", "yes", "null", "None", "undefined", "nil", "NULL", "~", "", " ", "-"),
    *(
        "2026-01-02",
        "2026-01-02T03:04:05Z",
        "2026-01-02 03:04:05",
        "2026-01-02T03:04:05.000006+00:00",
        "20260102",
    ),
    *(
        "2026-01-02T03:04:05+05:30",
        "2026-W01-1",
        "12:30",
        "P1D",
        "1767322800",
        "1767322800000000",
        "@1767322800",
    ),
    *("[]", '["a"]', "{}", '{"a": 1}', '"a"', "'a'", "b'a'", "\\x61", "0x61", "YQ==", "(1,)", "a,b", "{a,b}"),
    *(
        "a\x1fb",
        "a\0b",
        "a|b",
        "a;b",
        "a\nb",
        "a b",
        "a||b",
        "\x1f",
        "\0",
        ",",
        "|",
        "i:1",
        "n1",
        "s:a",
        "\x01",
        "\x02a",
    ),
    "8d7a3f3e-9a6f-4c55-9c6b-0d2e5c1a7b11",
)
"""Text that reads as a value of another type, or as several, and text that a backend could mark types with."""


@case("rec.bytes_of_any_type")
async def bytes_of_any_type(env: Env) -> None:
    """The bytes of a value are kept to the last one, whatever the content type and encodings say of them."""
    records = env.records()
    puts = [
        Put(records.name, f"{t} {v}", value, content_type=kind, encodings=("gzip",) if v % 5 == 4 else ())
        for t, kind in enumerate(CONTENT_TYPES)
        for v, value in enumerate(CONTENTS)
    ]
    for put in puts[:: len(CONTENT_TYPES)]:
        await env.adapter.write(WriteBatch((put,)))
    await env.adapter.write(WriteBatch(puts))
    state = await records.state(*(put.key for put in puts))
    assert len(state) == len(puts)
    for put in puts:
        found = state[put.key]
        assert (found.value, found.content_type, found.encodings) == (
            put.value,
            put.content_type,
            put.encodings,
        )


@case("rec.field_lookalikes", requires={"query"})
async def field_lookalikes(env: Env) -> None:
    """Text in a field stays text and is found as that very text, whatever it could be read as."""
    records = env.records()
    rows: dict[str, dict[str, Any]] = {
        f"k{n:03}": {"s": text, "l": (text, "x")} for n, text in enumerate(LOOKALIKES)
    }
    rows |= {"y-int": {"s": 1}, "y-float": {"s": 1.0}, "y-bool": {"s": True}}
    rows["z-list"] = {"l": LOOKALIKES}
    await records.fill(rows)
    state = await records.state(*rows)
    for key, row in rows.items():
        found = dict(state[key].fields)
        assert found == row
        assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in row.items()}
    for number, text in enumerate(LOOKALIKES):
        key = f"k{number:03}"
        assert await records.keys(Compare("s", Op.EQ, text)) == [key]
        both = [key, "z-list"] if text != "x" else [*rows]
        assert await records.keys(Compare("l", Op.CONTAINS, text)) == both
    assert await records.keys(Compare("s", Op.EQ, 1)) == ["y-int"]
    assert await records.count(Compare("s", Op.GE, "")) == len(LOOKALIKES)
    ordered = [f"k{n:03}" for n, _ in sorted(enumerate(LOOKALIKES), key=lambda item: item[1].encode())]
    assert await records.keys(Compare("s", Op.STARTSWITH, ""), "s") == ordered


# --- Equal values -------------------------------------------------------------------------------------------


async def _delete_all(place: Records, keys: list[str]) -> None:
    await place.adapter.delete_batch(place.name, keys)


async def _delete_each(place: Records, keys: list[str]) -> None:
    for key in keys:
        await place.delete(key)


async def _overwrite(place: Records, keys: list[str]) -> None:
    for key in keys:
        await place.put(key, b"other")


async def _overwrite_all(place: Records, keys: list[str]) -> None:
    await place.adapter.set_batch([place.a_put(key, b"other") for key in keys])


@case("rec.shared_values", requires={"query", "ttl"})
async def shared_values(env: Env) -> None:
    """Records with equal values share nothing: one that goes, in whatever way, takes no other along."""
    elsewhere = await env.open(env.namespace + "-other")
    one, two = env.records(), env.records()
    places = [one, two, Records(elsewhere, elsewhere, one.name)]
    values = [b"", b"same", b"s" * 200, b"s" * 5000, b"s" * 70_000]
    fields: Any = {"t": "same", "l": ("same", "x")}
    ways: tuple[Callable[[Records, list[str]], Awaitable[None]], ...] = (
        _delete_all,
        _delete_each,
        _overwrite,
        _overwrite_all,
    )
    names = [f"{what} {n}" for n in range(len(values)) for what in ("kept", "gone", "expires", "again")]
    expected: dict[str, bytes] = {}
    for place in places:
        puts = {name: place.a_put(name, values[int(name[-1])], fields=fields) for name in names}
        for name, put in puts.items():
            if name.startswith("expires"):
                put.expires_at = env.clock.deadline(1)
        await place.adapter.set_batch(list(puts.values()))
        expected = {name: values[int(name[-1])] for name in names if not name.startswith("expires")}
    env.clock.advance(62)
    for way in ways:
        gone = [name for name in names if name.startswith("gone")]
        await one.adapter.set_batch([one.a_put(name, values[int(name[-1])], fields=fields) for name in gone])
        await way(one, gone)
        for name in gone:
            expected.pop(name, None)
        others = dict.fromkeys(gone, b"other") if way in (_overwrite, _overwrite_all) else {}
        await one.expect(expected | others, *gone)
        assert await one.keys(Compare("t", Op.EQ, "same")) == sorted(expected)
        for place in places[1:]:
            await place.expect(expected | {name: values[int(name[-1])] for name in gone}, "expires 0")
    for place in places:
        await place.delete("again 4")
        await place.put("again 4", values[4])
        assert await place.value("again 4") == values[4]
        assert await place.value("kept 4") == values[4]
