"""What processes that died have left is taken away, once no request of theirs can be under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from daystore.abc import Compare, FieldValue, Holds, Op, Prepare, Put, Query, Release, WriteBatch
from daystore_s3 import sweeping
from daystore_s3.adapter import S3Adapter
from daystore_s3.grouping import Group
from daystore_s3.requests import Requests

LONG = "k" * 250  # too long for the names of markers


class Died(Exception):
    """Stands for the end of a process."""


def names(client: Any, adapter: S3Adapter) -> set[str]:
    """List what there is in a namespace, without its root."""
    root = adapter.places.root
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=adapter.location.bucket, Prefix=root)
    return {item["Key"][len(root) :] for page in pages for item in page.get("Contents", ())}


async def die(adapter: S3Adapter, batch: WriteBatch) -> None:
    """Write, and die before the object of the record is changed: nothing is tidied up."""

    async def swap(*_: Any) -> str:
        raise Died

    async def tidy(*_: Any) -> None:
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Requests, "swap", swap)
        patch.setattr(Group, "_tidy", tidy)
        with pytest.raises(Died):
            await adapter._write(batch)


CHANGES: tuple[dict[str, FieldValue], ...] = ({"n": 1}, {"n": 2, "s": "x"}, {"s": ("a", "b")})
BROKEN_OFF: dict[str, Put | Prepare] = {
    "overwritten": Put("c", "kept", b"new", fields={"n": 2}),
    "created": Put("c", "new", b"new", fields={"n": 2}),
    "created, with a long key": Put("c", LONG, b"new", fields={"n": 2}),
    "prepared": Prepare("c", "kept", b"0123456789abcdef and more"),
    "prepared, with a long key": Prepare("c", LONG, b"0123456789abcdef and more"),
}


@pytest.mark.parametrize("what", BROKEN_OFF)
def test_what_a_process_left_is_swept_when_it_is_old(
    make: Callable[..., S3Adapter], client: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Markers and notes of a write that was broken off stay while its request may arrive, and go then."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "kept", b"old", fields={"n": 1})
            before = names(client, adapter)
            await die(adapter, WriteBatch((BROKEN_OFF[what],)))
            left = names(client, adapter)
            assert left > before, "nothing was left, so nothing is shown"
            assert adapter._sweeper is not None
            await adapter._sweeper._sweep("c")
            assert names(client, adapter) == left, "its request may be under way"
            monkeypatch.setattr(sweeping, "HORIZON", timedelta(seconds=-5))
            await adapter._sweeper._sweep("c")
            assert names(client, adapter) == before
            assert await adapter.get("c", "kept") is not None

    asyncio.run(main())


def test_markers_of_what_others_wrote_meanwhile_are_swept(
    make: Callable[..., S3Adapter], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that overwrote what it did not know, and died before it tidied up, leaves no marker for good."""

    async def tidy(*_: Any) -> None:
        return None

    async def main() -> None:
        async with make() as adapter, make() as other:
            await adapter.set("c", "k", b"first", fields={"n": 1})
            await other.set("c", "k", b"second", fields={"m": 2})
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Group, "_tidy", tidy)
                await adapter.set("c", "k", b"third", fields={"n": 3})
            monkeypatch.setattr(sweeping, "HORIZON", timedelta(seconds=-5))
            assert other._sweeper is not None
            await other._sweeper._sweep("c")
            left = {name.rpartition("/")[2] for name in names(client, adapter) if name.startswith("f/")}
            assert len(left) == 1, "markers of several epochs are there"
            assert not [name for name in names(client, adapter) if name.startswith("s/")]
            assert await other.count(Query("c", Compare("m", Op.EQ, 2))) == 0
            assert await other.count(Query("c", Compare("n", Op.EQ, 3))) == 1

    asyncio.run(main())


def test_an_intent_that_stands_keeps_its_marker(
    make: Callable[..., S3Adapter], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However old an intent is, the sweep leaves what recovery finds it by."""

    async def main() -> None:
        async with make() as adapter:
            await adapter._write(WriteBatch((Prepare("c", "k", b"0123456789abcdef"),)))
            before = names(client, adapter)
            monkeypatch.setattr(sweeping, "HORIZON", timedelta(seconds=-5))
            assert adapter._sweeper is not None
            await adapter._sweeper._sweep("c")
            assert names(client, adapter) == before
            assert [name for name, _ in await adapter._prepared("c")] == ["c"]

    asyncio.run(main())


def test_what_went_well_leaves_nothing_beside_records(make: Callable[..., S3Adapter], client: Any) -> None:
    """Writes leave markers of what there is, and deletes only tombstones: no note, no intent, no deadline."""

    async def main() -> None:
        async with make() as adapter:
            for fields in CHANGES:
                await adapter.set_batch(
                    [
                        Put("c", f"k{n}", b"v", fields=fields, expires_at=adapter.clock() + 1_000_000)
                        for n in range(5)
                    ]
                )
            transaction = b"0123456789abcdef"
            for key in ("k0", "unborn"):
                await adapter._write(WriteBatch((Prepare("c", key, transaction),)))
                await adapter._write(WriteBatch((Release("c", key, Holds(transaction)),)))
            kinds = {name.partition("/")[0] for name in names(client, adapter)}
            assert kinds == {"m", "r", "f", "s"}
            assert not [name for name in names(client, adapter) if name.startswith("s/c/d/")]
            await adapter.delete_batch("c", [f"k{n}" for n in range(5)])
            assert {name.partition("/")[0] for name in names(client, adapter)} == {"m", "r"}

    asyncio.run(main())
