"""Names of objects: every key has one, they order as keys do, and no server changes them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daystore.abc import Compare, FieldValue, Op, Order, Put, Query
from daystore_s3.adapter import S3Adapter
from daystore_s3.naming import divided, escape, joined, unescape
from daystore_s3.places import Places

HOSTILE = [
    *(".", "..", "/", "//", "a/", "/a", "a/b", "a//b", "./a", "../a", "a/../b", "!", "~", "~~", "!2f", "~7e"),
    *(
        "a",
        "A",
        "a ",
        " a",
        "a\0",
        "\0",
        "a\n",
        "a\r",
        "a\r\n",
        "\x7f",
        "%",
        "%2f",
        "a%00",
        "*",
        "?",
        "<&>\"'",
    ),
    *("\\", "a\\b", "é", "e\u0301", "ß", "\ufeff", "\U0001f600", "\ud7ff", "\ue000", "\uffff", "x" * 256),
    *("/" * 256, "\0" * 256, "é" * 128, "x" * 199, "x" * 200, "x" * 201, "x" * 200 + "/", "x" * 199 + "é"),
]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_escaped_text_orders_as_bytes_do(one: bytes, other: bytes) -> None:
    """The order of names is that of bytes, also where names are divided."""
    assert (one < other) == (escape(one) < escape(other)) == (divided(escape(one)) < divided(escape(other)))
    assert unescape(joined(divided(escape(one)))) == one


@pytest.mark.parametrize("key", HOSTILE)
def test_no_name_is_too_long(key: str) -> None:
    """With the longest of everything, names stay within what S3 allows, and their parts within files' names."""
    places = Places("r" * 100 + "/", "/" * 128)
    collection, index = "c" * 63, "=" + "f" * 74
    names = [
        places.record(collection, key),
        places.marker(collection, index, b"\0" * 1030, key, "e" * 17),
        places.note(collection, key, "e" * 16),
        places.deadline(collection, b"\0" * 8, key, "e" * 16),
        places.intent(collection, key, "e" * 16),
        places.part(collection, key, "e" * 16, 1_024),
    ]
    assert max(len(name.encode()) for name in names) <= 1024
    assert max(len(part) for name in names for part in name.split("/")) <= 255


def test_hostile_keys_come_back_in_order(make: Callable[..., S3Adapter]) -> None:
    """Whatever a key is, its record is found by it, by listing, by a field, and pages go through all in order."""
    keys = sorted({*HOSTILE, *(k + "x" for k in HOSTILE if len(k.encode()) < 256)}, key=str.encode)

    async def main() -> None:
        async with make() as adapter:
            shuffled = random.Random(7).sample(keys, len(keys))
            await adapter.set_batch([Put("c", key, key.encode(), fields={"s": "same"}) for key in shuffled])
            found = await adapter.get_batch("c", keys)
            assert {key: record.value for key, record in found.items()} == {k: k.encode() for k in keys}
            for where in (None, Compare("s", Op.EQ, "same"), Compare("key", Op.GE, "\0")):
                assert [r.key for r in (await adapter.query(Query("c", where))).records] == keys
                assert await _paged(adapter, Query("c", where, limit=7)) == keys
            for key in keys:
                below = Query("c", Compare("key", Op.LT, key))
                assert await adapter.count(below) == keys.index(key)
                prefixed = [k for k in keys if k.startswith(key)]
                query = Query("c", Compare("key", Op.STARTSWITH, key))
                assert [r.key for r in (await adapter.query(query)).records] == prefixed

    asyncio.run(main())


async def _paged(adapter: S3Adapter, query: Query) -> list[str]:
    keys: list[str] = []
    cursor = None
    while True:
        page = await adapter.query(
            Query(query.collection, query.where, query.order, query.limit, cursor=cursor)
        )
        keys += [record.key for record in page.records]
        if (cursor := page.cursor) is None:
            return keys


VALUES: list[FieldValue] = [
    *(False, True, -(2**63), -1, 0, 1, 2**63 - 1, -1e308, -0.5, 0.0, 5e-324, 1.0, 1e308),
    *(datetime(1, 1, 2, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)),
    *("", "\0", "/", "a", "a/b", "é", "x" * 1024, "x" * 1023 + "y", "/" * 1024, "\U0001f600" * 256),
]


def test_values_order_as_they_shall(make: Callable[..., S3Adapter]) -> None:
    """Records come in the order of a field's values, also of those that are too long for a name."""
    keys = [f"k{n:02}" for n in range(len(VALUES))]

    async def main() -> None:
        async with make() as adapter:
            puts = [Put("c", key, b"", fields={"v": v}) for key, v in zip(keys, VALUES, strict=True)]
            await adapter.set_batch(random.Random(7).sample(puts, len(puts)))
            ordered = sorted(keys[:16]) + sorted(
                keys[16:], key=lambda key: str(VALUES[keys.index(key)]).encode()
            )
            for query in (
                Query("c", order=Order("v"), limit=4),
                Query("c", Compare("v", Op.EXISTS, True), Order("v"), limit=4),
            ):
                assert await _paged(adapter, query) == ordered
            for key, value in zip(keys, VALUES, strict=True):
                assert not isinstance(value, tuple)
                found = await adapter.query(Query("c", Compare("v", Op.EQ, value)))
                assert [record.key for record in found.records] == [key]

    asyncio.run(main())


@pytest.mark.parametrize("place", ["r/c/.k!.tmp.1", "f/c/@created_at/.x.tmp", "s/c/d/.k!.tmp", "i/c/.k!.tmp"])
def test_files_that_a_server_is_writing_are_not_taken_for_ours(
    make: Callable[..., S3Adapter], client: Any, place: str
) -> None:
    """Servers that keep objects as files list those that they are writing, under names with a dot before them."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"v", fields={"n": 1})
            client.put_object(Bucket=adapter.location.bucket, Key=adapter.places.root + place, Body=b"")
            assert [r.key for r in (await adapter.query(Query("c"))).records] == ["k"]
            by_creation = await adapter.query(Query("c", order=Order("created_at")))
            assert [record.key for record in by_creation.records] == ["k"]
            assert await adapter.count(Query("c", Compare("n", Op.EQ, 1))) == 1
            assert await adapter._prepared(None) == []

    asyncio.run(main())
