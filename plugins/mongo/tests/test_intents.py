"""Intents beside records: what the document keeps, and what the server may take away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    STRONG,
    Check,
    Delete,
    Holds,
    Prepare,
    Put,
    Query,
    Record,
    Release,
    WriteBatch,
    system_clock,
)
from daystore.abc.record import Operation
from daystore.errors import RecordPrepared, VersionConflict
from daystore_mongo.adapter import MongoAdapter

from .conftest import START, TestClock

TX, OTHER = b"t" * 16, b"o" * 16
FAR = 4_000_000_000_000_000


async def one(adapter: MongoAdapter, operation: Operation) -> Any:
    (outcome,) = await adapter._write(WriteBatch([operation]))
    return outcome.error or outcome


async def look(adapter: MongoAdapter) -> Record | None:
    (found,) = await adapter._read("c", ["k"], STRONG)
    return found


def document(raw: Database[dict[str, Any]], namespace: str, key: str = "k") -> dict[str, Any]:
    found = raw[f"{namespace}.c"].find_one({"_id": key})
    assert found is not None
    return found


@pytest.mark.parametrize("end", ["release", "keep", "put"])
def test_the_server_takes_nothing_away_that_carries_an_intent(
    make: Callable[..., MongoAdapter], raw: Database[dict[str, Any]], namespace: str, end: str
) -> None:
    """The date by which the server removes a record is set aside while it is prepared, and put back."""

    async def main() -> None:
        async with make(clock=system_clock) as adapter:
            await adapter.set("c", "k", b"old", expires_at=FAR)
            date = document(raw, namespace)["t"]
            await one(adapter, Prepare("c", "k", TX + b"intent"))
            held = document(raw, namespace)
            assert "t" not in held
            assert (held["s"], held["x"], held["i"]) == (date, FAR, TX + b"intent")
            if end == "release":
                assert (await one(adapter, Release("c", "k", Holds(TX)))).existed
            else:
                expires_at = KEEP if end == "keep" else FAR + 60_000_000
                assert (await one(adapter, Put("c", "k", b"", Holds(TX), expires_at=expires_at))).existed
            freed = document(raw, namespace)
            assert not {"h", "i", "s"} & set(freed)
            assert (freed["t"] > date) is (end == "put")

    asyncio.run(main())


def test_a_record_that_is_held_refuses_everybody_else(make: Callable[..., MongoAdapter]) -> None:
    """Every operation that does not hold the intent is refused, alone and among others; the holder's are not."""

    async def main() -> None:
        async with make() as adapter:
            version = await adapter.set("c", "k", b"old", fields={"n": 1})
            await one(adapter, Prepare("c", "k", TX + b"1", version))
            assert (await one(adapter, Prepare("c", "k", TX + b"1", version))).existed, (
                "the same again is no error"
            )
            for expect in (ANY, ABSENT, version):
                for operation in (
                    Put("c", "k", b"new", expect),
                    Delete("c", "k", expect),
                    Check("c", "k", expect),
                    Prepare("c", "k", OTHER, expect),
                ):
                    error = await one(adapter, operation)
                    assert type(error) is RecordPrepared
                    assert (error.key, error.current, error.index) == ("k", version, 0)
                    first, second = await adapter._write(WriteBatch([Put("c", "free", b""), operation]))
                    assert first.error is None
                    assert type(second.error) is RecordPrepared
            first, second = await adapter._write(WriteBatch([Delete("c", "free"), Delete("c", "k")]))
            assert (first.existed, type(second.error)) == (True, RecordPrepared)
            assert type(await one(adapter, Release("c", "k", Holds(OTHER)))) is VersionConflict
            assert type(await one(adapter, Put("c", "k", b"", Holds(OTHER)))) is VersionConflict
            found = await look(adapter)
            assert found is not None
            assert (found.value, found.version, found.intent) == (b"old", version, TX + b"1")
            put = Put("c", "k", b"new", Holds(TX))
            assert (await one(adapter, put)).existed
            assert (await one(adapter, put)).version == put.version, "it is there: it was applied"
            assert await adapter._prepared(None) == []

    asyncio.run(main())


@pytest.mark.parametrize("expired", [False, True])
def test_an_intent_stands_alone_where_there_is_no_record(
    make: Callable[..., MongoAdapter],
    clock: TestClock,
    raw: Database[dict[str, Any]],
    namespace: str,
    expired: bool,
) -> None:
    """It hides from every query, is listed as prepared, and leaves nothing when it is released."""

    async def main() -> None:
        async with make(sweep_interval=0) as adapter:
            if expired:
                await adapter.set("c", "k", b"old", fields={"n": 1}, expires_at=START + 1_000)
                clock.now += 1_000
            outcome = await one(adapter, Prepare("c", "k", TX, ABSENT))
            assert (outcome.version, outcome.existed) == (None, False)
            await adapter.set("c", "other", b"")  # which sweeps
            assert await adapter.count(Query("c")) == 1
            for collection in ("c", None):
                ((name, record),) = await adapter._prepared(collection)
                assert (name, record.key, record.intent, record.is_alive(clock.now)) == ("c", "k", TX, False)
            assert await look(adapter) is not None
            outcome = await one(adapter, Put("c", "k", b"new", Holds(TX), expires_at=KEEP))
            assert outcome.existed is False
            found = await look(adapter)
            assert found is not None
            assert (found.created_at, found.expires_at, found.intent) == (clock.now, None, None)
            await one(adapter, Delete("c", "k"))
            await one(adapter, Prepare("c", "k", TX))
            assert (await one(adapter, Release("c", "k", Holds(TX)))).existed is False
            assert raw[f"{namespace}.c"].count_documents({"_id": "k"}) == 0

    asyncio.run(main())
