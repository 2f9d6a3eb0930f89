"""Large values and intents are kept in parts: whole, sent once, and taken away with what named them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from daystore.abc import (
    ABSENT,
    Aggregate,
    Aggregation,
    Compare,
    Function,
    Op,
    Order,
    Prepare,
    Put,
    Query,
    Release,
    StorageAdapter,
    WriteBatch,
)
from daystore.abc.record import Holds
from daystore.errors import BackendUnavailable, ConfigError, CorruptRecord, OperationTimeout, OutcomeUnknown
from daystore_s3 import changing
from daystore_s3.adapter import S3Adapter
from daystore_s3.compliance import BUCKET, S3Target
from daystore_s3.grouping import Group
from daystore_s3.requests import Requests
from daystore_s3.sending import Answer, Refused, Sender, Unanswered

SIZE = 64 * 1024
MANY = 20
LONG = "/" * 250  # too long for the names of parts
T = b"0123456789abcdef"
DATA = random.Random(7).randbytes(MANY * SIZE)
VALUE = DATA[: 3 * SIZE]
GROUPS = Aggregation({"n": Aggregate(Function.SUM, "n")})

Make = Callable[..., S3Adapter]


def parts_in(client: Any, adapter: S3Adapter) -> dict[str, int]:
    """Return the sizes of all parts of a namespace, by name."""
    prefix = f"{adapter.places.root}p/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}


async def value_of(adapter: S3Adapter, key: str = "k") -> bytes | None:
    """Read a value."""
    record = await adapter.get("c", key)
    return None if record is None else record.value


async def sweep(adapter: S3Adapter, age: timedelta = timedelta(seconds=-5)) -> None:
    """Search for parts that no record names, as if all were old."""
    assert adapter._sweeper is not None
    with patch.object(adapter._sweeper._orphans, "_age", age):
        await adapter._sweeper._sweep("c")


@pytest.mark.parametrize("key", ["k", "a/ä", LONG, LONG + "x"])
@pytest.mark.parametrize(
    ("size", "count"), [(0, 0), (SIZE - 1, 0), (SIZE, 0), (SIZE + 1, 2), (3 * SIZE, 3), (MANY * SIZE, MANY)]
)
def test_values_of_any_size_come_back(make: Make, client: Any, key: str, size: int, count: int) -> None:
    """On both sides of what is cut a value is whole, also for another adapter; no part is larger than allowed."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make() as other:
            await adapter.set("c", key, DATA[:size], fields={"n": 1})
            assert await value_of(adapter, key) == await value_of(other, key) == DATA[:size]
            parts = parts_in(client, adapter)
            assert len(parts) == count
            assert sum(parts.values()) == size * bool(count)
            assert max(parts.values(), default=0) <= SIZE
            await adapter.delete("c", key)
            assert await value_of(adapter, key) is None
            assert not parts_in(client, adapter)

    asyncio.run(main())


def test_what_was_overwritten_leaves_no_part(make: Make, client: Any) -> None:
    """Large values make place for others, for small ones and for nothing; batches do so as well."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            for size, count in ((3 * SIZE, 3), (2 * SIZE, 2), (10, 0), (4 * SIZE, 4)):
                await adapter.set("c", "k", DATA[:size])
                assert await value_of(adapter) == DATA[:size]
                assert len(parts_in(client, adapter)) == count
            await adapter.delete("c", "k")
            keys = [f"k{n}" for n in range(12)]
            await adapter.set_batch([Put("c", key, VALUE) for key in keys])
            found = await adapter.get_batch("c", keys)
            assert [found[key].value for key in keys] == [VALUE] * 12
            await adapter.delete_batch("c", keys)
            assert not parts_in(client, adapter)

    asyncio.run(main())


CASES: dict[str, tuple[Callable[[StorageAdapter], Awaitable[Any]], int, int]] = {
    "get": (lambda a: a.get("c", "k"), 1 + 3, 0),
    # the parts, the object, and the old parts at once
    "set, same fields": (lambda a: a.set("c", "k", VALUE, fields={"n": 1}), 3 + 1 + 1, 1),
    "set, small instead": (lambda a: a.set("c", "k", b"v", fields={"n": 1}), 1 + 1, 1),
    # a look, a note, the parts, a marker, the object, the note's end
    "set, new": (lambda a: a.set("plain", "new", VALUE), 1 + 1 + 3 + 1 + 1 + 1, 0),
    "set, conflicting": (lambda a: a.write(WriteBatch([Put("c", "k", VALUE, expect=ABSENT)])), 1, 0),
    # a note, the object, all parts and markers at once, the note's end
    "delete": (lambda a: a.delete("c", "k"), 4, 1),
    # a marker, the object
    "prepare": (lambda a: a.write(WriteBatch([Prepare("c", "k", T)])), 2, 1),
    "prepare, large": (lambda a: a.write(WriteBatch([Prepare("c", "k", T + VALUE)])), 2 + 4, 1),
    "prepare, again": (lambda a: a.write(WriteBatch([Prepare("h", "k", T + VALUE)])), 1, 0),
    # the object, the marker and the parts of the intent at once
    "release": (lambda a: a.write(WriteBatch([Release("h", "k", Holds(T))])), 2, 1),
    "commit": (
        lambda a: a.write(WriteBatch([Put("h", "k", VALUE, Holds(T), fields={"n": 2})])),
        3 + 2,
        1,
    ),
    "count": (lambda a: a.count(Query("c")), 3, 0),
    "aggregate": (lambda a: a.aggregate(Query("c"), GROUPS), 4, 0),
    "page, one record": (lambda a: a.query(Query("c", limit=1)), 1 + 4, 0),
}


@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_requests_of_an_operation(make: Make, name: str, knows: bool) -> None:
    """Parts are sent by what brings a value, and read by what needs one; who does not know a key looks first."""
    do, sent, looks = CASES[name]

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make(part_size=SIZE) as other:
            await adapter.set("c", "k", VALUE, fields={"n": 1})
            await adapter.set("h", "k", VALUE, fields={"n": 2})
            await adapter.write(WriteBatch([Prepare("h", "k", T + VALUE)]))
            asked = adapter if knows else other
            before = asked.requests
            await do(asked)
            assert asked.requests - before == sent + looks * (not knows)

    asyncio.run(main())


def test_what_leaves_a_value_alone_sends_no_part(make: Make, client: Any) -> None:
    """An intent beside a large record comes and goes, by whatever adapter, and its parts are those that were."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make() as other:
            await adapter.set("c", "k", VALUE)
            parts = parts_in(client, adapter)
            for one in (adapter, other):
                await one.write(WriteBatch([Prepare("c", "k", T)]))
                assert parts_in(client, adapter) == parts
                await one.write(WriteBatch([Release("c", "k", Holds(T))]))
                assert parts_in(client, adapter) == parts
                assert await value_of(one) == VALUE

    asyncio.run(main())


def test_large_intents_are_kept_in_parts(make: Make, client: Any) -> None:
    """An intent is whole for whoever finds it, is known again, and its parts go with it."""
    intent = T + DATA[: 2 * SIZE]

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make() as other:
            await adapter.set("c", "k", VALUE)
            for key, existed in (("k", True), ("alone", False)):
                (outcome,) = await adapter._write(WriteBatch([Prepare("c", key, intent)]))
                assert (outcome.error, outcome.existed) == (None, existed)
                (outcome,) = await other._write(WriteBatch([Prepare("c", key, intent)]))
                assert (outcome.error, outcome.existed) == (None, existed)
                (outcome,) = await other._write(WriteBatch([Prepare("c", key, intent[:-1] + b"x")]))
                assert outcome.error is not None
            found = {record.key: record for _, record in await other._prepared("c")}
            assert {key: record.intent for key, record in found.items()} == {"k": intent, "alone": intent}
            assert found["k"].value == VALUE
            await sweep(adapter)
            assert len(parts_in(client, adapter)) == 3 + 3 + 3
            await other._write(WriteBatch([Release("c", "alone", Holds(T))]))
            await other._write(WriteBatch([Put("c", "k", b"new", expect=Holds(T))]))
            assert await value_of(adapter) == b"new"
            assert not parts_in(client, adapter)

    asyncio.run(main())


def test_a_record_that_is_overwritten_while_it_is_read_is_read_again(make: Make, client: Any) -> None:
    """The reader has seen the old object, misses its parts, and returns the new value."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make(part_size=SIZE) as other:
            await adapter.set("c", "k", VALUE)
            get, news = Requests.get, [DATA[: 2 * SIZE], b"small"]

            async def getting(self: Requests, name: str, first: int | None = None) -> Any:
                if self is adapter._requests and "/p/" in name and news:
                    await other.set("c", "k", news.pop())
                return await get(self, name, first)

            with patch.object(Requests, "get", getting):
                assert await value_of(adapter) in (DATA[: 2 * SIZE], b"small")
            assert not news

    asyncio.run(main())


@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_a_part_that_is_missing_or_damaged_is_told(make: Make, client: Any, damage: str) -> None:
    """It is an error, never a part of a value; the record can be overwritten and deleted."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set("c", "k", VALUE)
            name = min(parts_in(client, adapter))
            if damage == "missing":
                client.delete_object(Bucket=BUCKET, Key=name)
            else:
                client.put_object(Bucket=BUCKET, Key=name, Body=bytes(SIZE - (damage == "short")))
            with pytest.raises(CorruptRecord):
                await adapter.get("c", "k")
            assert await adapter.count(Query("c")) == 1
            await adapter.set("c", "k", b"new")
            assert await value_of(adapter) == b"new"
            assert not parts_in(client, adapter)

    asyncio.run(main())


class Died(Exception):
    """Stands for the end of a process."""


async def die(adapter: S3Adapter, batch: WriteBatch, *, applied: bool) -> None:
    """Write, and die before or after the object of the record is changed: nothing is tidied up."""
    swap = Requests.swap

    async def swapping(self: Requests, name: str, body: bytes, etag: str | None) -> str:
        if applied:
            await swap(self, name, body, etag)
        raise Died

    async def tidy(*_: Any) -> None:
        return None

    with patch.object(Requests, "swap", swapping), patch.object(Group, "_tidy", tidy), pytest.raises(Died):
        await adapter._write(batch)


@pytest.mark.parametrize("key", ["k", LONG])
@pytest.mark.parametrize("applied", [True, False])
def test_what_a_process_left_is_swept_when_it_is_old(
    make: Make, client: Any, key: str, applied: bool
) -> None:
    """Parts that no record names stay while a write may name them, and go then; the others stay for good."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set_batch([Put("c", one, VALUE) for one in (key, LONG + "x", "other")])
            await die(adapter, WriteBatch([Put("c", key, DATA[: 2 * SIZE])]), applied=applied)
            await die(adapter, WriteBatch([Put("c", key + "new", DATA[: 2 * SIZE])]), applied=applied)
            before = parts_in(client, adapter)
            assert len(before) == 3 * 3 + 2 + 2
            assert adapter._sweeper is not None
            await sweep(adapter, adapter._sweeper._orphans._age)
            assert parts_in(client, adapter) == before, "a write may yet name them"
            await sweep(adapter)
            assert len(parts_in(client, adapter)) == (2 * 3 + 2 + 2 if applied else 3 * 3)
            assert await value_of(adapter, key) == (DATA[: 2 * SIZE] if applied else VALUE)
            assert await value_of(adapter, LONG + "x") == await value_of(adapter, "other") == VALUE

    asyncio.run(main())


def test_the_sweep_goes_on_where_it_ended(make: Make, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parts there are, some are looked at each time, and all in the end."""
    monkeypatch.setattr("daystore_s3.orphans.MOST", 4)

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set_batch([Put("c", f"k{n}", VALUE) for n in range(5)])
            await die(adapter, WriteBatch([Put("c", "k4", VALUE)]), applied=False)
            for _ in range(6):
                await sweep(adapter)
            assert len(parts_in(client, adapter)) == 5 * 3

    asyncio.run(main())


def test_a_record_that_cannot_be_read_keeps_its_parts(make: Make, client: Any) -> None:
    """The sweep takes nothing away if nobody can tell what is named, and goes on with others."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set("c", "k", VALUE)
            client.put_object(Bucket=BUCKET, Key=adapter.places.record("c", "k"), Body=b"garbage!")
            await die(adapter, WriteBatch([Put("c", "other", VALUE)]), applied=False)
            await sweep(adapter)
            assert len(parts_in(client, adapter)) == 3

    asyncio.run(main())


def test_concurrent_writes_leave_the_parts_of_the_last_one(make: Make, client: Any) -> None:
    """Writers that overtake each other take away what they have sent, and what they have overwritten."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make(part_size=SIZE) as other:
            values = [DATA[n : n + (n % 4 + 1) * SIZE] for n in range(12)]
            writes = [(adapter, other)[n % 2].set("c", "k", value) for n, value in enumerate(values)]
            reads = [(adapter, other)[n % 2].get("c", "k") for n in range(12)]
            _, found = await asyncio.gather(asyncio.gather(*writes), asyncio.gather(*reads))
            assert {record.value for record in found if record is not None} <= set(values)
            last = await value_of(adapter)
            assert last in values
            assert sum(parts_in(client, adapter).values()) == (len(last) if len(last) > SIZE else 0)

    asyncio.run(main())


def test_a_write_that_is_refused_leaves_no_part(make: Make, client: Any) -> None:
    """Another one is faster between its parts and its object: its parts go, and it is a conflict."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make(part_size=SIZE) as other:
            version = await adapter.set("c", "k", b"old")
            keep, first = Requests.keep, [True]

            async def keeping(self: Requests, name: str, body: bytes = b"") -> None:
                await keep(self, name, body)
                if "/p/" in name and first and first.pop():
                    await other.set("c", "k", b"faster")

            with patch.object(Requests, "keep", keeping):
                (outcome,) = await adapter.write(WriteBatch([Put("c", "k", VALUE, expect=version)]))
            assert outcome.error is not None
            assert await value_of(adapter) == b"faster"
            assert not parts_in(client, adapter)

    asyncio.run(main())


def test_a_write_that_knew_a_key_as_it_was_sends_its_parts_once(make: Make, client: Any) -> None:
    """What it tried by is out of date: it looks, and the parts that it has sent are those that are named."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter, make(part_size=SIZE) as other:
            await adapter.set("c", "k", VALUE)
            await other.set("c", "k", DATA[: 4 * SIZE])
            before = adapter.requests
            await adapter.set("c", "k", DATA[: 2 * SIZE])
            assert (
                adapter.requests - before == 2 + 1 + 1 + 1 + 1
            )  # refused, a look, the object, the old parts
            assert await value_of(adapter) == DATA[: 2 * SIZE]
            assert len(parts_in(client, adapter)) == 2

    asyncio.run(main())


@pytest.mark.parametrize("applied", [True, False])
def test_a_write_whose_answer_is_lost_keeps_its_parts(make: Make, client: Any, applied: bool) -> None:
    """If it can be told what became of it the right parts are left; else all, and the sweep takes the wrong."""
    new = DATA[: 2 * SIZE]

    async def main(*, lost: int) -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set("c", "k", VALUE)
            send, answers = Sender.send, lost

            def sending(self: Sender, method: str, name: str = "", **options: Any) -> Answer:
                nonlocal answers
                if "/r/" not in name or not answers or (method != "PUT" and answers == lost):
                    return send(self, method, name, **options)
                answers -= 1
                if applied and method == "PUT":
                    with suppress(Refused):
                        send(self, method, name, **options)
                raise Unanswered(sent=True)

            with patch.object(Sender, "send", sending):
                (outcome,) = await adapter.write(WriteBatch([Put("c", "k", new)]))
            if lost == 1:
                assert outcome.error is None
                assert len(parts_in(client, adapter)) == 2
                return
            assert type(outcome.error) is OutcomeUnknown
            assert len(parts_in(client, adapter)) == 5
            await sweep(adapter)
            assert await value_of(adapter) == (new if applied else VALUE)
            assert len(parts_in(client, adapter)) == (2 if applied else 3)
            await adapter.delete("c", "k")

    asyncio.run(main(lost=1))
    asyncio.run(main(lost=100))


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
def test_a_write_that_is_ended_from_outside_keeps_its_parts(
    make: Make, client: Any, error: type[BaseException]
) -> None:
    """Its request may be applied yet, so what it names stays; what it names no more is left to the sweep."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set("c", "k", VALUE)
            swap = Requests.swap

            async def swapping(self: Requests, name: str, body: bytes, etag: str | None) -> str:
                await swap(self, name, body, etag)
                raise error

            with patch.object(Requests, "swap", swapping), pytest.raises(error):
                await adapter.set("c", "k", DATA[: 2 * SIZE])
            assert await value_of(adapter) == DATA[: 2 * SIZE]
            assert len(parts_in(client, adapter)) == 5
            await sweep(adapter)
            assert len(parts_in(client, adapter)) == 2

    asyncio.run(main())


def test_parts_that_cannot_be_sent_are_taken_away(make: Make, client: Any) -> None:
    """The write fails, the record is as it was, and what was sent is gone."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set("c", "k", b"old")
            keep = Requests.keep

            async def keeping(self: Requests, name: str, body: bytes = b"") -> None:
                if name.endswith("-2"):
                    raise BackendUnavailable("no", backend="s3")
                await keep(self, name, body)

            with patch.object(Requests, "keep", keeping):
                (outcome,) = await adapter.write(WriteBatch([Put("c", "k", DATA)]))
            assert isinstance(outcome.error, BackendUnavailable)
            assert await value_of(adapter) == b"old"
            assert not parts_in(client, adapter)

    asyncio.run(main())


def test_a_write_names_no_parts_that_are_old(
    make: Make, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What took longer than the sweep waits for is not applied, whatever time limit it has."""
    monkeypatch.setattr(changing, "LIFE", -1.0)

    async def main() -> None:
        async with make(part_size=SIZE, timeout=3_600) as adapter:
            (outcome,) = await adapter.write(WriteBatch([Put("c", "k", VALUE)]))
            assert isinstance(outcome.error, OperationTimeout)
            assert await value_of(adapter) is None
            assert not parts_in(client, adapter)

    asyncio.run(main())


def test_queries_return_large_values(make: Make) -> None:
    """In whatever order and by whatever path, the records of a page are whole."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set_batch(
                [Put("c", f"k{n}", DATA[n:][: 2 * SIZE], fields={"n": n}) for n in range(6)]
            )
            for order in ("key", "n", "created_at", "updated_at"):
                for descending in (False, True):
                    for where in (None, Compare("n", Op.GE, 1), Compare("updated_at", Op.EXISTS, True)):
                        for limit in (None, 3):
                            query = Query("c", where, Order(order, descending=descending), limit)
                            found = (await adapter.query(query)).records
                            assert len(found) == (limit or 6 - (where == Compare("n", Op.GE, 1)))
                            assert all(r.value == DATA[int(r.key[1:]) :][: 2 * SIZE] for r in found)
            assert await adapter.count(Query("c", Compare("updated_at", Op.EXISTS, True))) == 6

    asyncio.run(main())


def test_the_suite_counts_parts_that_no_record_names(make: Make, server: S3Target) -> None:
    """They are residue; those that a record names are not, nor is anything else counted twice."""

    async def main() -> None:
        async with make(part_size=SIZE) as adapter:
            await adapter.set("c", LONG, b"small")
            small = await server.raw(adapter)
            await adapter.set("c", LONG, VALUE)
            assert await server.raw(adapter) == small
            await die(adapter, WriteBatch([Put("c", LONG, VALUE)]), applied=False)
            assert (await server.raw(adapter)).entries == small.entries + 3

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, -1, 1024, 64 * 1024 - 1, 64 * 1024 * 1024 + 1, "large"])
def test_a_size_that_cannot_be_used_is_refused(size: object) -> None:
    """The error names the option and its bounds."""
    with pytest.raises(ConfigError, match="part_size: Input should be"):
        S3Adapter.from_url("s3://bucket", part_size=size)
