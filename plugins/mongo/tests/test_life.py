"""Opening, failing, being cancelled, and what is stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database

from daystore.abc import Compare, Op, Order, Put, Query, WriteBatch, system_clock
from daystore.errors import BackendUnavailable, CorruptRecord, LimitExceeded
from daystore_mongo.adapter import MongoAdapter
from daystore_mongo.names import LAYOUT_NAME

from .conftest import START, TestClock

SECRET = "hunter2"


def opening(adapter: MongoAdapter) -> None:
    """Open and close."""

    async def main() -> None:
        async with adapter:
            pass

    asyncio.run(main())


def test_a_newer_layout_is_refused_and_left_as_it_is(
    make: Callable[..., MongoAdapter], raw: Database[dict[str, Any]], namespace: str
) -> None:
    """The error says what to do; nothing is changed."""
    opening(make())
    stamps = raw[f"{namespace}.{LAYOUT_NAME}"]
    for layout in (2, 9999, "what"):
        stamps.update_one({"_id": "layout"}, {"$set": {"version": layout}})
        with pytest.raises(BackendUnavailable, match="upgrade daystore-mongo") as caught:
            opening(make())
        assert caught.value.retryable is False
        assert stamps.find_one() == {"_id": "layout", "version": layout}
    stamps.update_one({"_id": "layout"}, {"$set": {"version": 1}})
    opening(make())


def test_memory_is_not_durable(make: Callable[..., MongoAdapter]) -> None:
    """A server is durable that says that it keeps its data on a disk."""

    async def main() -> None:
        async with make() as adapter:
            on_disk = "wiredTiger" in (await adapter._opened.client.server_info()).get("storageEngines", ())
            assert adapter.capabilities.durable is on_disk
            health = await adapter.health()
            assert health.ok
            assert health.detail["topology"] == "single"

    asyncio.run(main())


def test_an_error_tells_no_secret(make: Callable[..., MongoAdapter]) -> None:
    """A server that is not there: the error names neither the password nor the address."""
    url = f"mongodb://user:{SECRET}@127.0.0.1:1/daystore"
    with pytest.raises(BackendUnavailable) as caught:
        opening(make(url=url, server_timeout=0.2))
    assert caught.value.backend == "mongo"
    assert caught.value.retryable
    assert caught.value.__cause__ is not None
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_document_that_is_none_of_ours_is_an_error(
    make: Callable[..., MongoAdapter], raw: Database[dict[str, Any]], namespace: str
) -> None:
    """It is told with its key, is not taken for missing, and stays."""
    damaged = (
        {"$unset": {"m": 1}},
        {"$set": {"d": "text"}},
        {"$set": {"f": {"a": 5}}},
        {"$set": {"v": 5}},
    )

    async def main() -> None:
        async with make() as adapter:
            for damage in damaged:
                await adapter.set("c", "k", b"v", fields={"n": 1})
                raw[f"{namespace}.c"].update_one({"_id": "k"}, damage)
                for look in (lambda: adapter.get("c", "k"), lambda: adapter.query(Query("c"))):
                    with pytest.raises(CorruptRecord) as caught:
                        await look()
                    assert (caught.value.key, caught.value.collection) == ("k", "c")
                assert raw[f"{namespace}.c"].count_documents({}) == 1

    asyncio.run(main())


def test_a_record_that_does_not_fit_fails_alone(make: Callable[..., MongoAdapter]) -> None:
    """Of a batch only the record fails that is too large for a document with all of its fields."""
    fields = {f"f{number:05}": "x" * 1000 for number in range(50)}
    too_many = {f"f{number:05}": ("x" * 1024,) * 5_000 for number in range(2)}

    async def main() -> None:
        async with make() as adapter:
            puts = [
                Put("c", "a", b"v", fields=fields),
                Put("c", "b", b"v" * 7_000_000, fields=too_many),
                Put("c", "d", b""),
            ]
            outcomes = await adapter.write(WriteBatch(puts))
            assert [type(outcome.error) for outcome in outcomes] == [type(None), LimitExceeded, type(None)]
            assert [record.key for record in (await adapter.query(Query("c"))).records] == ["a", "d"]

    asyncio.run(main())


@pytest.mark.parametrize("native", [False, True])
def test_the_server_removes_by_its_own_clock_only_what_our_clock_says(
    make: Callable[..., MongoAdapter], raw: Database[dict[str, Any]], namespace: str, native: bool
) -> None:
    """With a clock of its own an adapter lets the server remove nothing."""

    async def main() -> None:
        async with make(**({"clock": system_clock} if native else {})) as adapter:
            await adapter.set("c", "k", b"v", expires_at=4_000_000_000_000_000)
            found = raw[f"{namespace}.c"].find_one({"_id": "k"})
            assert found is not None
            assert ("t" in found) is native
            await adapter.set("c", "k", b"v")
            found = raw[f"{namespace}.c"].find_one({"_id": "k"})
            assert found is not None
            assert not {"t", "x"} & set(found)

    asyncio.run(main())


def test_expired_records_are_swept(
    make: Callable[..., MongoAdapter], clock: TestClock, raw: Database[dict[str, Any]], namespace: str
) -> None:
    """A write sweeps its collection, when it is due, however much there is."""

    async def main() -> None:
        async with make(sweep_interval=10) as adapter:
            await adapter.set_batch([Put("c", f"k{n}", b"", expires_at=START + 1_000) for n in range(1_500)])
            clock.now += 1_000
            await adapter.set("c", "one", b"")
            assert raw[f"{namespace}.c"].count_documents({}) == 1_501
            clock.now += 10_000_000
            for _ in range(3):
                await adapter.set("c", "one", b"")
            assert raw[f"{namespace}.c"].count_documents({}) == 1

    asyncio.run(main())


def test_pages_in_descending_order_have_ties_by_ascending_key(make: Callable[..., MongoAdapter]) -> None:
    """Whatever the size of a page, and wherever it cuts values that many records have."""
    fields: list[dict[str, Any]] = [
        {"n": n // 7} if n % 5 else {"n": ("l",)} if n % 2 else {} for n in range(60)
    ]
    keys = [f"k{n:02}" for n in range(60)]

    async def main() -> None:
        async with make() as adapter:
            await adapter.set_batch([Put("c", k, b"", fields=f) for k, f in zip(keys, fields, strict=True)])
            order = Order("n", descending=True)
            expected = [record.key for record in (await adapter.query(Query("c", order=order))).records]
            assert expected == sorted(keys, key=lambda k: (-_number(fields[int(k[1:])]), k))
            for size in (1, 2, 3, 7, 20, 59, 60):
                found: list[str] = []
                cursor = None
                while cursor is not None or not found:
                    page = await adapter.query(Query("c", order=order, limit=size, cursor=cursor))
                    found += [record.key for record in page.records]
                    cursor = page.cursor
                    if cursor is None:
                        break
                assert found == expected
            page = await adapter.query(Query("c", Compare("n", Op.GE, 2), order, limit=4, offset=5))
            assert [record.key for record in page.records] == expected[5:9]

    asyncio.run(main())


def _number(fields: dict[str, Any]) -> int:
    number = fields.get("n")
    return number if isinstance(number, int) else -1


def test_after_500_random_cancellations_everything_is_whole(make: Callable[..., MongoAdapter]) -> None:
    """Operations that are cancelled anywhere are applied whole or not at all, and hold no connection."""
    dice = random.Random(4711)

    async def main() -> None:
        async with make() as adapter:

            async def write(number: int) -> None:
                text = b"%d" % number
                await adapter.set_batch(
                    [Put("c", f"k{number % 5}", text, fields={"n": number}), Put("c", f"l{number % 5}", text)]
                )

            await write(0)
            for number in range(500):
                doing: list[Callable[[], Any]] = [
                    lambda number=number: write(number),  # type: ignore[misc]
                    lambda: adapter.get("c", "k1"),
                    lambda: adapter.query(Query("c", order=Order("n"))),
                    lambda: adapter.delete("c", "k2"),
                    lambda: adapter.delete_batch("c", ["k3", "l3"]),
                ]
                task = asyncio.ensure_future(dice.choice(doing)())
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled() or task.exception() is None
            for key in ("k0", "k1", "k2", "k3", "k4"):
                found = await adapter.get("c", key)
                assert found is None or found.value == str(found.fields["n"]).encode()
            await adapter.set("c", "k1", b"1", fields={"n": 1})
            again = await adapter.get("c", "k1")
            assert again is not None
            assert again.value == b"1"
            assert adapter.connections == 0

    asyncio.run(main())


def test_the_driver_is_cancelled_once_however_often_a_caller_is(make: Callable[..., MongoAdapter]) -> None:
    """Cancelled twice while it waits for a server, the driver may keep a lock for ever on Python 3.11."""
    seen: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def ask() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    seen.append("cancelled again")
                seen.append("ended")
                raise

        async with make() as adapter:
            assert adapter._connection is not None
            asking = asyncio.ensure_future(adapter._connection.read("read", ask))
            await begun.wait()
            for _ in range(3):
                asking.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(main())
    assert seen == ["cancelled", "ended"], "closing waits for what was cancelled, which was told once"
