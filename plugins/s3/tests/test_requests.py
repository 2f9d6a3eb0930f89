"""How many requests each operation takes: they cost money, and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    Aggregate,
    Aggregation,
    Compare,
    FieldValue,
    Function,
    Op,
    Order,
    Prepare,
    Put,
    Query,
    StorageAdapter,
    WriteBatch,
)
from daystore.errors import VersionConflict
from daystore_s3.adapter import S3Adapter

Do = Callable[[StorageAdapter], Awaitable[Any]]

SIZE = 40
FIELDS: dict[str, FieldValue] = {"n": 1, "s": "x"}
PUTS = [Put("c", f"k{n:02}", b"v", fields={"n": n, "s": "ab"[n % 2]}) for n in range(SIZE)]
GROUPS = Aggregation({"n": Aggregate(Function.SUM, "n")}, ("s",))


async def read_and_set(adapter: StorageAdapter) -> None:
    """Change a record as it is changed where others may have been faster."""
    found = await adapter.get("plain", "k")
    assert found is not None
    await adapter.set("plain", "k", b"w", if_version=found.version)


# what the process sends that has written the records, and what another sends, where it has to look first
CASES: dict[str, tuple[Do, int, int]] = {
    "get": (lambda a: a.get("c", "k01"), 1, 1),
    "get_batch": (lambda a: a.get_batch("c", [f"k{n:02}" for n in range(SIZE)]), SIZE, SIZE),
    "set, no fields": (lambda a: a.set("plain", "k", b"w"), 1, 2),
    "set, same fields": (lambda a: a.set("c", "same", b"w", fields=FIELDS), 1, 2),
    # a note, a marker for the creation and for each field, the object, the note's end
    "set, new": (lambda a: a.set("c", "new", b"w", fields=FIELDS), 1 + 1 + 3 + 1 + 1, 7),
    "set, if absent": (lambda a: a.set("c", "new", b"w", fields=FIELDS, if_absent=True), 1 + 3 + 1 + 1, 6),
    "read, and set if unchanged": (read_and_set, 2, 2),
    "delete, nothing there": (lambda a: a.delete("c", "missing"), 1, 1),
    # a note, the object, all markers at once, the note's end
    "delete": (lambda a: a.delete("c", "k01"), 4, 5),
    # a listing, one note for all and its end; for each its object and its markers
    "set_batch": (
        lambda a: a.set_batch([Put("b", f"k{n}", b"", fields=FIELDS) for n in range(SIZE)]),
        3 + 4 * SIZE,
        3 + 4 * SIZE,
    ),
    # a listing, one note for all and its end, all markers at once; each is written
    "delete_batch": (
        lambda a: a.delete_batch("c", [f"k{n:02}" for n in range(SIZE)]),
        4 + SIZE,
        4 + 2 * SIZE,
    ),
    "page, by key": (lambda a: a.query(Query("c", Compare("s", Op.EQ, "a"), limit=5)), 1 + 6, 1 + 6),
    "page, by a field": (
        lambda a: a.query(Query("c", Compare("n", Op.GE, 9), Order("n"), limit=5)),
        1 + 6,
        1 + 6,
    ),
    "page, descending": (
        lambda a: a.query(Query("c", Compare("n", Op.GE, 9), Order("n", descending=True), limit=5)),
        1 + 6,
        1 + 6,
    ),
    "page, by creation": (lambda a: a.query(Query("c", order=Order("created_at"), limit=5)), 2 + 6, 2 + 6),
    # what is in doubt is listed before and after
    "count": (lambda a: a.count(Query("c")), 3, 3),
    "count, by a field": (lambda a: a.count(Query("c", Compare("s", Op.EQ, "a"))), 3, 3),
    "aggregate": (lambda a: a.aggregate(Query("c"), GROUPS), 5, 5),
    "get_batch, empty": (lambda a: a.get_batch("c", []), 0, 0),
    "set_batch, empty": (lambda a: a.set_batch([]), 0, 0),
    "explain": (lambda a: a.explain(Query("c")), 1, 1),
}


@pytest.mark.parametrize("seen", ["known", "unknown"])
@pytest.mark.parametrize("name", CASES)
def test_requests_of_an_operation(make: Callable[..., S3Adapter], name: str, seen: str) -> None:
    """Each operation takes so many requests, and none to look at what the process has seen before."""
    do, known, unknown = CASES[name]

    async def main() -> None:
        async with make() as adapter:
            await adapter.set_batch(PUTS)
            await adapter.set("c", "same", b"v", fields=FIELDS)
            await adapter.set("plain", "k", b"v")
            async with make() as other:
                asked, sent = {"known": (adapter, known), "unknown": (other, unknown)}[seen]
                before = asked.requests
                await do(asked)
                assert asked.requests - before == sent

    asyncio.run(main())


def test_writes_that_waited_for_another_take_over_what_it_has_seen(make: Callable[..., S3Adapter]) -> None:
    """Of many conditional writes of one key at once, the first two send a request each, and the others none."""

    async def main() -> None:
        async with make() as adapter:
            version = await adapter.set("plain", "k", b"0")
            before = adapter.requests
            writes = [adapter.set("plain", "k", b"1", if_version=version) for _ in range(16)]
            ended = await asyncio.gather(*writes, return_exceptions=True)
            assert sum(isinstance(error, VersionConflict) for error in ended) == 15
            assert adapter.requests - before == 2

    asyncio.run(main())


def test_what_was_seen_before_a_write_was_asked_for_is_not_taken_over(make: Callable[..., S3Adapter]) -> None:
    """A write whose version another adapter has just made succeeds, whatever its own adapter saw before."""

    async def main() -> None:
        async with make() as adapter, make() as other:
            await adapter.set("plain", "k", b"0")
            version = await other.set("plain", "k", b"1")
            await adapter.set("plain", "k", b"2", if_version=version)
            found = await other.get("plain", "k")
            assert found is not None
            assert found.value == b"2"

    asyncio.run(main())


def test_intents_are_found_by_listing_them(make: Callable[..., S3Adapter]) -> None:
    """What is prepared is found by one listing, and one read for each."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set_batch(PUTS)
            intent = b"t" * 16
            await adapter.write(
                WriteBatch([Prepare("c", "k01", intent), Prepare("d", "new", intent, ABSENT)])
            )
            before = adapter.requests
            found = await adapter._prepared(None)
            assert sorted((name, record.key) for name, record in found) == [("c", "k01"), ("d", "new")]
            assert adapter.requests - before == 3

    asyncio.run(main())
