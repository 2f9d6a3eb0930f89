"""Intents: what one changes, what it keeps away, and how it is found and removed. On every database.

These are tests of the primitives: what is above them resolves the intents that it meets.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    ANY,
    EVENTUAL,
    KEEP,
    Aggregate,
    Aggregation,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Function,
    Holds,
    Not,
    Op,
    Outcome,
    Prepare,
    Put,
    Query,
    Record,
    Release,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.errors import RecordPrepared, VersionConflict
from daystore_sql.adapter import SQLAdapter
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection

from .conftest import START, TestClock

Make = Callable[..., SQLAdapter]

OWN, OTHER = bytes(range(16)), b"\xff" * 16
INTENT = OWN + b"\0what it will be\xff"
DATABASES = ("sqlite", "mariadb", "mariadb, statement by statement", "postgresql")


def one_statement_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Have every statement sent alone to MariaDB."""
    made = AsyncmyConnection.__init__

    def init(self: AsyncmyConnection, *arguments: Any) -> None:
        made(self, *arguments)
        self.compounds = False

    patch.setattr(AsyncmyConnection, "__init__", init)


@pytest.fixture(params=DATABASES)
def make(
    request: pytest.FixtureRequest, tmp_path: Path, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Make adapters for one namespace of a database."""
    kind, _, one_by_one = request.param.partition(", ")
    url = f"sqlite:///{tmp_path / 'test.db'}" if kind == "sqlite" else request.getfixturevalue(kind)
    if one_by_one:  # as MySQL takes them
        one_statement_at_a_time(monkeypatch)
    options: dict[str, Any] = {"namespace": os.urandom(6).hex(), "clock": clock, "sweep_interval": 1e9}
    return lambda **more: SQLAdapter.from_url(url, **{**options, **more})


async def done(store: SQLAdapter, *operations: Operation, atomic: bool = False) -> list[Outcome]:
    """Apply operations, and see that all of them were."""
    outcomes = await store._write(WriteBatch(operations, atomic=atomic))
    assert [outcome.error for outcome in outcomes] == [None] * len(operations)
    return outcomes


async def refused(store: SQLAdapter, operation: Operation, kind: type[VersionConflict]) -> VersionConflict:
    """See that an operation is refused, alone as in an atomic batch, with an error of just this kind."""
    (outcome,) = await store._write(WriteBatch([operation]))
    assert (outcome.version, outcome.existed) == (None, False)
    assert type(outcome.error) is kind
    neighbour = Put("neighbours", "n", b"", ABSENT)
    with pytest.raises(VersionConflict) as caught:
        await store._write(WriteBatch([neighbour, operation], atomic=True))
    assert type(caught.value) is kind
    assert (caught.value.key, caught.value.collection, caught.value.index) == (
        operation.key,
        operation.collection,
        1,
    )
    assert outcome.error.current == caught.value.current
    assert await store.get("neighbours", "n") is None
    return caught.value


async def stored(store: SQLAdapter, key: str) -> Record:
    """Return what a read by key returns, which is the same however it is read."""
    (record,) = await store._read("things", [key], EVENTUAL)
    assert record is not None
    assert await store._read("things", [key, "nothing"], EVENTUAL) == [record, None]
    return record


async def a_record(store: SQLAdapter, key: str = "k", **options: Any) -> Record:
    """Write a record with fields and a deadline, and return it."""
    options = {"expires_at": START + 1000, "fields": {"f": 1, "tags": ("a", "b")}, **options}
    await store.set("things", key, b"old", **options)
    return await stored(store, key)


def test_it_is_declared(make: Make) -> None:
    assert make().capabilities.intents


def test_prepare_changes_nothing_but_the_intent(make: Make, clock: TestClock) -> None:
    async def main() -> None:
        async with make() as store:
            before = await a_record(store)
            clock.now += 500
            for atomic, key in ((False, "k"), (True, "k2")):
                before = await a_record(store, key)
                clock.now += 1
                assert await done(store, Prepare("things", key, INTENT), atomic=atomic) == [
                    Outcome(None, True)
                ]
                assert await stored(store, key) == replace(before, intent=INTENT)
            page = await store._query(Query("things", where=Compare("tags", Op.CONTAINS, "b")), EVENTUAL)
            assert [replace(record, intent=None).key for record in page.records] == ["k", "k2"]
            assert await store._count(Query("things"), EVENTUAL) == 2

    asyncio.run(main())


@pytest.mark.parametrize("before", ["nothing", "expired", "deleted"])
def test_without_a_live_record_the_intent_stands_alone(make: Make, clock: TestClock, before: str) -> None:
    """For queries the record is absent; a read returns the intent with a record that is not alive."""

    async def main() -> None:
        async with make() as store:
            if before != "nothing":
                await a_record(store)
            if before == "deleted":
                await store.delete("things", "k")
            clock.now += 1000
            assert await done(store, Prepare("things", "k", INTENT, ABSENT)) == [Outcome(None, False)]
            record = await stored(store, "k")
            assert record.intent == INTENT
            assert not record.is_alive(clock.now)
            assert (await store._query(Query("things"), EVENTUAL)).records == []
            assert (
                await store._query(Query("things", where=Compare("f", Op.EQ, 1), limit=1), EVENTUAL)
            ).records == []
            assert await store._count(Query("things"), EVENTUAL) == 0
            count = Aggregation({"n": Aggregate(Function.COUNT)})
            assert (await store._aggregate(Query("things"), count, EVENTUAL))[0].values == {"n": 0}

    asyncio.run(main())


@pytest.mark.parametrize("atomic", [False, True])
def test_preparing_again_succeeds_and_changes_nothing(make: Make, atomic: bool) -> None:
    """Whatever the expectation says of the record by now; so an attempt whose answer was lost is repeated."""

    async def main() -> None:
        async with make() as store:
            record = await a_record(store)
            first = [Prepare("things", "k", INTENT, record.version), Prepare("things", "new", INTENT, ABSENT)]
            await done(store, *first)
            found = [await stored(store, "k"), await stored(store, "new")]
            assert await done(store, *first, atomic=atomic) == [Outcome(None, True), Outcome(None, False)]
            again = [Prepare("things", "k", INTENT, ABSENT), Prepare("things", "new", INTENT, "other")]
            put = Put("others", "o", b"")
            outcomes = await done(store, *again, put, atomic=atomic)
            assert outcomes == [Outcome(None, True), Outcome(None, False), Outcome(put.version, False)]
            assert [await stored(store, "k"), await stored(store, "new")] == found
            assert len(await store._prepared("things")) == 2

    asyncio.run(main())


def test_prepare_judges_what_it_expects(make: Make, clock: TestClock) -> None:
    async def main() -> None:
        async with make() as store:
            record = await a_record(store)
            for operation in (
                Prepare("things", "k", INTENT, ABSENT),
                Prepare("things", "k", INTENT, "other"),
            ):
                error = await refused(store, operation, VersionConflict)
                assert error.current == record.version
            error = await refused(store, Prepare("things", "new", INTENT, record.version), VersionConflict)
            assert error.current is None
            assert await store._prepared(None) == []
            await done(store, Prepare("things", "k", INTENT, record.version))
            clock.now += 1000
            await refused(store, Prepare("things", "k", INTENT + b"2", record.version), RecordPrepared)
            await done(store, Prepare("things", "new", INTENT, ABSENT))

    asyncio.run(main())


@pytest.mark.parametrize("live", [True, False])
def test_an_intent_is_in_the_way_of_everything_else(make: Make, live: bool) -> None:
    """It is found before the expectation is judged, also where that does not hold."""

    async def main() -> None:
        async with make() as store:
            version = (await a_record(store)).version if live else None
            await done(store, Prepare("things", "k", INTENT))
            before = await stored(store, "k")
            expectations: list[Any] = [ANY, ABSENT, "other", *([version] * live)]
            for expect in expectations:
                for operation in (
                    Put("things", "k", b"new", expect),
                    Delete("things", "k", expect),
                    Check("things", "k", expect),
                    Prepare("things", "k", OTHER, expect),
                    Prepare("things", "k", INTENT + b"!", expect),
                ):
                    error = await refused(store, operation, RecordPrepared)
                    assert error.current == version
                with pytest.raises(
                    RecordPrepared
                ) as caught:  # which changes nothing, and is judged by reading
                    await store._write(WriteBatch([Check("things", "k", expect)], atomic=True))
                assert caught.value.current == version
            assert await stored(store, "k") == before

    asyncio.run(main())


@pytest.mark.parametrize("atomic", [False, True])
def test_what_holds_it_writes_and_the_intent_is_gone(make: Make, clock: TestClock, atomic: bool) -> None:
    async def main() -> None:
        async with make() as store:
            keys = ["same", "other", "plain", "bare", "new", "gone"]
            for key in keys[:2]:
                await a_record(store, key)
            await a_record(store, "plain", fields={}, expires_at=None)
            await a_record(store, "gone")
            clock.now += 500
            await done(store, *(Prepare("things", key, INTENT) for key in keys))
            holds = Holds(OWN)
            fields: dict[str, Any] = {"f": 1, "tags": ("a", "b")}
            puts = [
                Put("things", "same", b"new", holds, KEEP, fields=fields),
                Put("things", "other", b"new", holds, None, fields={"f": 2}),
                Put("things", "plain", b"new", holds, KEEP),
                Put("things", "bare", b"new", holds),
                Put("things", "new", b"new", holds, KEEP, fields={"f": 3}),
            ]
            outcomes = await done(store, *puts, Delete("things", "gone", holds), atomic=atomic)
            existed = [True, True, True, False, False]
            assert outcomes == [
                *(Outcome(put.version, there) for put, there in zip(puts, existed, strict=True)),
                Outcome(None, True),
            ]
            for put, there, due in zip(puts, existed, [START + 1000, None, None, None, None], strict=True):
                record = await stored(store, put.key)
                assert (record.value, record.version, record.fields) == (b"new", put.version, put.fields)
                assert (record.created_at, record.updated_at) == (START + 500 * (not there), clock.now)
                assert (record.expires_at, record.intent) == (due, None)
            assert await store._read("things", ["gone"], EVENTUAL) == [None]
            assert await store._prepared(None) == []
            for n, found in ((1, ["same"]), (2, ["other"]), (3, ["new"])):
                page = await store._query(Query("things", where=Compare("f", Op.EQ, n)), EVENTUAL)
                assert [record.key for record in page.records] == found
            page = await store._query(Query("things", where=Not(Compare("f", Op.EXISTS, True))), EVENTUAL)
            assert [record.key for record in page.records] == ["bare", "plain"]
            where = Compare("tags", Op.CONTAINS, "b")
            assert await store._count(Query("things", where=where), EVENTUAL) == 1
            await done(store, *(Put("things", key, b"") for key in keys))

    asyncio.run(main())


def test_what_is_not_held_is_a_conflict(make: Make) -> None:
    async def main() -> None:
        async with make() as store:
            version = (await a_record(store)).version
            await a_record(store, "free")
            await done(store, Prepare("things", "k", INTENT), Prepare("things", "alone", INTENT))
            before = await store._prepared("things")
            for key, tx in (("k", OTHER), ("alone", OTHER), ("free", OWN), ("nothing", OWN)):
                for operation in (
                    Put("things", key, b"", Holds(tx)),
                    Delete("things", key, Holds(tx)),
                    Release("things", key, Holds(tx)),
                ):
                    error = await refused(store, operation, VersionConflict)
                    assert (error.current is None) == (key in ("alone", "nothing"))
            assert await store._prepared("things") == before
            assert (await stored(store, "k")).version == version

    asyncio.run(main())


@pytest.mark.parametrize("atomic", [False, True])
def test_a_put_that_is_stored_already_succeeds_and_changes_nothing(make: Make, atomic: bool) -> None:
    """Several may carry out the same transaction; by then the record may be held by the next one."""

    async def main() -> None:
        async with make() as store:
            await done(store, Prepare("things", "k", INTENT))
            put = Put("things", "k", b"new", Holds(OWN), fields={"f": 1})
            await done(store, put, atomic=atomic)
            before = await stored(store, "k")
            assert await done(store, put, atomic=atomic) == [Outcome(put.version, True)]
            assert await stored(store, "k") == before
            await done(store, Prepare("things", "k", OTHER))
            assert await done(store, put, atomic=atomic) == [Outcome(put.version, True)]
            assert await stored(store, "k") == replace(before, intent=OTHER)
            await refused(store, replace(put, version="another"), VersionConflict)

    asyncio.run(main())


@pytest.mark.parametrize("atomic", [False, True])
def test_release_leaves_the_record_as_it_is(make: Make, clock: TestClock, atomic: bool) -> None:
    async def main() -> None:
        async with make() as store:
            before = [await a_record(store), await a_record(store, "k2", expires_at=None, fields={})]
            keys = ["k", "k2", "alone"]
            await done(store, *(Prepare("things", key, INTENT) for key in keys))
            clock.now += 1
            outcomes = await done(store, *(Release("things", key, Holds(OWN)) for key in keys), atomic=atomic)
            assert outcomes == [Outcome(None, True), Outcome(None, True), Outcome(None, False)]
            assert await store._read("things", keys, EVENTUAL) == [*before, None]
            assert await store._prepared("things") == []
            assert await store._count(Query("things", where=Compare("f", Op.EQ, 1)), EVENTUAL) == 1
            await refused(store, Release("things", "k", Holds(OWN)), VersionConflict)
            await done(store, *(Prepare("things", key, OTHER) for key in keys))
            await done(store, *(Put("things", key, b"", Holds(OTHER)) for key in keys))

    asyncio.run(main())


def test_what_is_prepared_is_found(make: Make, clock: TestClock) -> None:
    """Alive or not, of one collection or of all; and nothing else."""

    async def main() -> None:
        async with make() as store, make(namespace=os.urandom(6).hex()) as foreign:
            assert await store._prepared(None) == await store._prepared("things") == []
            for key in ("dies", "lives", "free"):
                await a_record(store, key, expires_at=START + 1000 if key == "dies" else None)
            expected = [("things", "alone"), ("things", "dies"), ("things", "lives"), ("more", "alone")]
            await done(store, *(Prepare(name, key, INTENT + key.encode()) for name, key in expected))
            await done(foreign, Prepare("things", "alone", OTHER))
            clock.now += 1000
            found = await store._prepared(None)
            assert sorted((name, record.key) for name, record in found) == sorted(expected)
            assert all(record.intent == INTENT + record.key.encode() for _, record in found)
            alive = {record.key for _, record in found if record.is_alive(clock.now)}
            assert alive == {"lives"}
            lives = next(record for _, record in found if record.key == "lives")
            assert lives == await stored(store, "lives")
            assert [(name, r.key) for name, r in await store._prepared("more")] == [("more", "alone")]
            assert [r.intent for _, r in await foreign._prepared("things")] == [OTHER]
            assert await store._prepared("neither") == []

    asyncio.run(main())


@pytest.mark.parametrize("only", ["queries", "with a check", "with a put"])
def test_an_intent_is_in_the_way_of_checked_queries(make: Make, only: str) -> None:
    """Of any record of the collection, unless it is the batch's own."""

    async def main() -> None:
        async with make() as store:
            version = (await a_record(store)).version
            checks = [
                CheckQuery(Query("things", where=Compare("f", Op.EQ, 1)), [("k", version)]),
                CheckQuery(Query("others"), []),
            ]

            async def attempt(own: bytes | None) -> None:
                operations: dict[str, list[Operation]] = {
                    "queries": [],
                    "with a check": [Check("results", "nothing", ABSENT)],
                    "with a put": [Put("results", "r", b"")],
                }
                await store._write(WriteBatch(operations[only], True, checks, own))

            await attempt(None)
            await done(store, Prepare("elsewhere", "k", OTHER))
            await attempt(None)
            for name, key in (("things", "k"), ("things", "alone"), ("others", "alone")):
                await done(store, Prepare(name, key, INTENT))
                await attempt(OWN)
                for own in (OTHER, None):
                    with pytest.raises(RecordPrepared) as caught:
                        await attempt(own)
                    assert (caught.value.key, caught.value.collection) == (None, name)
                await done(store, Release(name, key, Holds(OWN)))
                await attempt(None)
            await store.set("things", "k", b"", fields={"f": 1})
            with pytest.raises(VersionConflict) as conflict:
                await attempt(OWN)
            assert type(conflict.value) is VersionConflict

    asyncio.run(main())


def test_what_carries_an_intent_is_not_swept(make: Make, clock: TestClock) -> None:
    async def main() -> None:
        async with make(sweep_interval=0) as store:
            await a_record(store, "held")
            await a_record(store, "free")
            await done(store, Prepare("things", "held", INTENT), Prepare("things", "alone", INTENT))
            await swept(store)  # one that is under way would be the only one
            clock.now += 1000
            await store.set("others", "o", b"")
            await swept(store)
            assert {record.key for _, record in await store._prepared(None)} == {"held", "alone"}
            assert await numbers(store) == 3  # with the one of the others
            await done(store, Release("things", "held", Holds(OWN)), Release("things", "alone", Holds(OWN)))
            await swept(store)
            assert await numbers(store) == 1

    asyncio.run(main())


async def swept(store: SQLAdapter) -> None:
    """Wait for the sweep after the last write."""
    engine: Any = store._opened
    sweeper = getattr(engine, "sweeper", None)
    if sweeper is not None and sweeper.task is not None:
        await asyncio.wait([sweeper.task])
    await store.health()  # on SQLite in its turn after the sweep


async def numbers(store: SQLAdapter) -> int:
    """Count the rows of the namespace, whatever they stand for."""

    def count(session: Any) -> int:
        name = session.catalog.namespace.hex()
        literal = f"'\\x{name}'::bytea" if session.dialect.name == "postgresql" else f"x'{name}'"
        text = f"SELECT COUNT(*) FROM ds_record JOIN ds_scope s ON s.id = scope WHERE s.namespace = {literal}"
        return int(session.execute(text).fetchone()[0])

    return await store._opened.ask_writer("test", count)


def test_one_of_two_that_prepare_the_same_record_is_refused(make: Make) -> None:
    async def main() -> None:
        async with make() as one, make() as two:
            await asyncio.gather(*(a_record(one, f"k{n}") for n in range(0, 40, 2)))

            async def attempt(store: SQLAdapter, intent: bytes, n: int) -> bool:
                error = (await store._write(WriteBatch([Prepare("things", f"k{n}", intent)])))[0].error
                assert error is None or type(error) is RecordPrepared
                return error is None

            for n in range(40):
                won = await asyncio.gather(attempt(one, INTENT, n), attempt(two, OTHER, n))
                assert sum(won) == 1
                assert (await stored(one, f"k{n}")).intent == (INTENT if won[0] else OTHER)

    asyncio.run(main())


def test_of_two_that_prepare_and_look_where_the_other_prepares_one_is_refused(make: Make) -> None:
    async def main() -> None:
        async with make() as one, make() as two:
            await asyncio.gather(one.set("left", "warm", b""), one.set("right", "warm", b""))

            async def attempt(store: SQLAdapter, tx: bytes, at: str, looks: str, n: int) -> bool:
                prepare = Prepare(at, f"k{n}", tx)
                query = Query(looks, where=Compare("key", Op.EQ, f"k{n}"))
                try:
                    await done(store, prepare)
                    await store._write(
                        WriteBatch([Check("none", "n", ABSENT)], True, [CheckQuery(query, [])], tx)
                    )
                except RecordPrepared:
                    return False
                finally:
                    await asyncio.sleep(0)
                return True

            for n in range(25):
                both = await asyncio.gather(
                    attempt(one, OWN, "left", "right", n), attempt(two, OTHER, "right", "left", n)
                )
                assert sum(both) <= 1
                await done(one, Release("left", f"k{n}", Holds(OWN)), Release("right", f"k{n}", Holds(OTHER)))

    asyncio.run(main())


def test_single_calls_at_the_same_time_go_together(make: Make) -> None:
    async def main() -> None:
        async with make() as store:
            keys = [f"k{n}" for n in range(50)]
            prepares = (WriteBatch([Prepare("things", key, INTENT)]) for key in keys)
            outcomes = await asyncio.gather(*map(store.write, prepares))
            assert outcomes == [[Outcome(None, False)]] * 50
            assert len(await store._prepared("things")) == 50
            releases = (WriteBatch([Release("things", key, Holds(OWN))]) for key in keys)
            outcomes = await asyncio.gather(*map(store.write, releases))
            assert outcomes == [[Outcome(None, False)]] * 50
            assert await store._prepared("things") == []

    asyncio.run(main())


def test_large_intents_and_many(make: Make) -> None:
    async def main() -> None:
        async with make() as store:
            large = OWN + os.urandom(100_000)
            await done(store, Prepare("things", "large", large))
            many = [Prepare("things", f"k{n:04}", OWN + os.urandom(50)) for n in range(1500)]
            await done(store, *many[:750])
            await done(store, *many)
            found = {record.key: record.intent for _, record in await store._prepared("things")}
            assert found == {"large": large, **{prepare.key: prepare.intent for prepare in many}}
            await done(store, *(Release("things", key, Holds(OWN)) for key in found))
            assert await store._prepared("things") == []

    asyncio.run(main())
