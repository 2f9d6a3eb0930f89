"""Writes: what is kept, what is swept, what a group of them does, what is left behind."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    KEEP,
    Aggregate,
    Aggregation,
    CheckQuery,
    Compare,
    Delete,
    Function,
    Op,
    Order,
    Outcome,
    Prepare,
    Put,
    Query,
    WriteBatch,
)
from daystore.errors import InvalidCursor, LimitExceeded, VersionConflict
from daystore_sql.adapter import SQLAdapter
from daystore_sql.session import Session

from .conftest import START, TestClock

Make = Callable[..., SQLAdapter]


def rows(path: Path) -> dict[str, int]:
    """Count what is really in the tables."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("ds_record", "ds_field")
        }


def test_an_overwrite_keeps_created_at_and_a_recreation_does_not(make: Make, clock: TestClock) -> None:
    async def main() -> None:
        async with make(sweep_interval=1e9) as adapter:
            await adapter.set("notes", "k", b"1", expires_at=START + 5000)
            clock.now += 1000
            await adapter.set("notes", "k", b"2", expires_at=KEEP)
            record = await adapter.get("notes", "k")
            assert record is not None
            assert (record.created_at, record.updated_at, record.expires_at) == (
                START,
                START + 1000,
                START + 5000,
            )
            clock.now = START + 5000
            assert await adapter.get("notes", "k") is None
            outcome = (await adapter.write(WriteBatch([Put("notes", "k", b"3", ABSENT, KEEP)])))[0]
            assert not outcome.existed
            record = await adapter.get("notes", "k")
            assert record is not None
            assert (record.created_at, record.expires_at) == (START + 5000, None)
            query = Query("notes", order=Order("created_at"))
            assert [r.created_at for r in (await adapter.query(query)).records] == [START + 5000]

    asyncio.run(main())


def test_a_changed_record_is_found_by_what_it_is_now(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            await adapter.set("notes", "k", b"", fields={"f": "old", "tags": ("a", "b"), "gone": 1})
            await adapter.set("notes", "k", b"", fields={"f": "new", "tags": ("b", "c")})
            for name, op, value, found in (
                ("f", Op.EQ, "old", 0),
                ("f", Op.EQ, "new", 1),
                ("tags", Op.CONTAINS, "a", 0),
                ("tags", Op.CONTAINS, "b", 1),
                ("tags", Op.CONTAINS, "c", 1),
                ("gone", Op.EXISTS, True, 0),
            ):
                assert await adapter.count(Query("notes", where=Compare(name, op, value))) == found

    asyncio.run(main())


def test_nothing_is_left_behind(make: Make, clock: TestClock, tmp_path: Path) -> None:
    """Overwrites, deletes, lost races and expiry leave neither records nor index entries."""

    async def main() -> None:
        async with make(sweep_interval=0) as adapter:
            for n in range(50):
                await adapter.set("notes", "a", b"", fields={"f": n, "tags": (str(n), "x")})
                await adapter.set("notes", f"t{n}", b"", fields={"f": n}, expires_at=START + 1000)
            with pytest.raises(VersionConflict):
                await adapter.set("notes", "a", b"", if_absent=True, fields={"lost": 1})
            await adapter.delete_batch("notes", ["a", *(f"t{n}" for n in range(25))])
            clock.now = START + 1000
            await adapter.set("notes", "z", b"")
            await adapter.delete("notes", "z")

    asyncio.run(main())
    assert rows(tmp_path / "test.db") == {"ds_record": 0, "ds_field": 0}


def test_the_sweep_leaves_what_was_written_again_and_what_carries_an_intent(
    make: Make, clock: TestClock, tmp_path: Path
) -> None:
    async def main() -> None:
        async with make(sweep_interval=10) as adapter:
            for key in ("again", "intent", "gone"):
                await adapter.set("n", key, b"", expires_at=START + 1000, fields={"f": 1})
            await adapter.write(WriteBatch([Prepare("n", "intent", bytes(16))]))
            await adapter.health()  # in its turn after the sweep
            clock.now = START + 1000
            await adapter.set("n", "again", b"new", fields={"f": 2})  # too soon after the last look
            await adapter.health()
            assert rows(tmp_path / "test.db") == {"ds_record": 3, "ds_field": 3}
            clock.now += 10_000_000
            await adapter.set("n", "other", b"")
            await adapter.health()
            assert rows(tmp_path / "test.db") == {"ds_record": 3, "ds_field": 2}
            assert [record.key for _, record in await adapter._prepared("n")] == ["intent"]
            again = await adapter.get("n", "again")
            assert again is not None
            assert again.value == b"new"

    asyncio.run(main())


def test_many_expired_records_are_swept_a_share_at_a_time(
    make: Make, clock: TestClock, tmp_path: Path
) -> None:
    async def main() -> None:
        async with make(sweep_interval=3600) as adapter:
            await adapter.set_batch([Put("n", f"k{i}", b"", expires_at=START + 1000) for i in range(500)])
            await adapter.health()  # in its turn after the sweep
            clock.now = START + 3_600_000_000
            left = []
            for i in range(4):
                await adapter.set("n", "first", str(i).encode())
                await adapter.health()
                left.append(rows(tmp_path / "test.db")["ds_record"])
            assert left == [301, 101, 1, 1]

    asyncio.run(main())


def test_a_failing_neighbour_does_not_fail_a_group(make: Make) -> None:
    """Writes that wait together are committed together; a conflict, or worse, is its own writer's affair."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("n", "taken", b"old")
            release = threading.Event()
            texts: list[str] = []

            def hold(session: Session) -> None:
                connection: Any = session.connection
                connection.set_trace_callback(texts.append)
                release.wait(10)

            holding = asyncio.ensure_future(adapter._opened.ask_writer("test", hold))
            batches = [
                WriteBatch([Put("n", "one", b"1")]),
                WriteBatch([Put("n", "taken", b"", ABSENT), Put("n", "never", b"")], atomic=True),
                WriteBatch([Put("n", "many", b"m", fields={"f": object()})]),  # type: ignore[dict-item]
                WriteBatch([Put("n", "bad", b"")], True, [CheckQuery(Query("n", cursor="bad"), [])]),
                WriteBatch([Put("n", "one", b"2"), Put("n", "two", b"2")]),
            ]
            tasks = [asyncio.ensure_future(adapter._opened.write(batch)) for batch in batches]
            await asyncio.sleep(0)
            release.set()
            await holding
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[1], VersionConflict)
            assert (results[1].key, results[1].index) == ("taken", 0)
            assert isinstance(results[2], TypeError)
            assert isinstance(results[3], InvalidCursor)
            assert [type(results[n]) for n in (0, 4)] == [list, list]
            found = await adapter.get_batch("n", ["one", "two", "taken", "never", "many", "bad"])
            assert {key: record.value for key, record in found.items()} == {
                "one": b"2",
                "two": b"2",
                "taken": b"old",
            }

    asyncio.run(main())


def test_writes_that_wait_together_share_a_commit(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            release = threading.Event()
            texts: list[str] = []

            def hold(session: Session) -> None:
                connection: Any = session.connection
                connection.set_trace_callback(texts.append)
                release.wait(10)

            holding = asyncio.ensure_future(adapter._opened.ask_writer("test", hold))
            batches = [WriteBatch([Put("n", f"k{n}", b"")]) for n in range(100)]
            tasks = [asyncio.ensure_future(adapter._opened.write(batch)) for batch in batches]
            await asyncio.sleep(0)
            release.set()
            await holding
            await asyncio.gather(*tasks)
            await adapter._opened.ask_writer("test", lambda s: s.connection.set_trace_callback(None))
            assert texts.count("COMMIT") == 1
            assert await adapter.count(Query("n")) == 100

    asyncio.run(main())


def test_an_atomic_batch_judges_everything_before_it_changes_anything(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            version = await adapter.set("n", "a", b"1", fields={"f": 1})
            query = Query("n", where=Compare("f", Op.EQ, 2))
            for batch in (
                WriteBatch([Put("n", "a", b"2", version), Put("n", "b", b"", "other")], atomic=True),
                WriteBatch([Put("n", "a", b"2"), Delete("n", "b", "other")], atomic=True),
                WriteBatch([Put("n", "a", b"2")], True, [CheckQuery(query, [("a", version)])]),
                WriteBatch([Put("n", "a", b"2")], True, [CheckQuery(Query("n"), [])]),
                WriteBatch([Put("n", "a", b"2")], True, [CheckQuery(Query("n"), [("a", "other")])]),
            ):
                with pytest.raises(VersionConflict) as caught:
                    await adapter.write(batch)
                assert caught.value.current in (None, version)
                record = await adapter.get("n", "a")
                assert record is not None
                assert record.version == version
            # A query that finds nothing is checked against the state before the batch, which would be found.
            put = Put("n", "new", b"", fields={"f": 2})
            assert await adapter.write(WriteBatch([put], True, [CheckQuery(query, [])])) == [
                Outcome(put.version, False)
            ]

    asyncio.run(main())


def test_each_of_a_batch_that_is_not_atomic_has_its_own_outcome(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            version = await adapter.set("n", "a", b"1")
            changes: list[Put | Delete] = [
                Put("n", "a", b"2", ABSENT),
                Put("n", "b", b"2", ABSENT),
                Delete("n", "c", version),
            ]
            outcomes = await adapter.write(WriteBatch(changes))
            assert [type(outcome.error) for outcome in outcomes] == [
                VersionConflict,
                type(None),
                VersionConflict,
            ]
            first = outcomes[0].error
            assert isinstance(first, VersionConflict)
            assert (first.key, first.collection, first.current, first.index) == ("a", "n", version, 0)

    asyncio.run(main())


def test_integers_are_summed_beyond_the_integers_of_a_database(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            big = [2**63 - 1] * 7 + [-(2**63)] * 2 + [1]
            await adapter.set_batch([Put("n", f"k{i}", b"", fields={"f": v}) for i, v in enumerate(big)])
            functions = {"s": Aggregate(Function.SUM, "f"), "a": Aggregate(Function.AVG, "f")}
            rows = await adapter.aggregate(Query("n"), Aggregation(functions))
            assert rows[0].values == {"s": sum(big), "a": sum(big) / len(big)}

    asyncio.run(main())


def test_an_expiry_that_no_column_can_hold_is_refused(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            with pytest.raises(LimitExceeded):
                await adapter.set("n", "k", b"", expires_at=10**22)
            assert await adapter.get("n", "k") is None

    asyncio.run(main())


def test_namespaces_do_not_see_each_other(make: Make) -> None:
    async def main() -> None:
        async with make(namespace="a") as one, make(namespace="ab") as other:
            await one.set("n", "k", b"1", fields={"f": 1})
            assert await other.get("n", "k") is None
            assert await other.count(Query("n")) == 0
            await other.set("n", "k", b"2", fields={"f": 1})
            page = await one.query(Query("n", where=Compare("f", Op.EXISTS, True)))
            assert [record.value for record in page.records] == [b"1"]
            await other.delete("n", "k")
            assert await one.exists("n", "k")

    asyncio.run(main())


def test_databases_in_memory_are_separate_and_complete(clock: TestClock) -> None:
    async def main() -> None:
        adapters = [SQLAdapter.from_url(url, clock=clock) for url in ("sqlite://", "sqlite:///:memory:")]
        for adapter in adapters:
            assert not adapter.capabilities.durable
            async with adapter:
                assert await adapter.count(Query("n")) == 0
                await asyncio.gather(*(adapter.set("n", f"k{i}", b"", fields={"f": i}) for i in range(20)))
                page = await adapter.query(Query("n", order=Order("f", descending=True), limit=3))
                assert [record.key for record in page.records] == ["k19", "k18", "k17"]
            async with adapter:
                assert await adapter.count(Query("n")) == 0

    asyncio.run(main())


def test_readers_see_whole_batches_while_they_are_written(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            keys = [f"k{n}" for n in range(20)]
            puts = [Put("n", key, b"0", fields={"round": 0}) for key in keys]
            await adapter.set_batch(puts, atomic=True)
            seen: set[bytes] = set()

            async def read() -> None:
                while len(seen) < 30:
                    one = {r.value for r in (await adapter.get_batch("n", keys)).values()}
                    page = await adapter.query(Query("n", limit=50))
                    other = {r.value for r in page.records}
                    assert len(one) == 1
                    assert len(other) == 1
                    seen.update(one)

            async def write() -> None:
                for n in range(1, 100_000):
                    if len(seen) >= 30:
                        return
                    value = str(n).encode()
                    await adapter.set_batch(
                        [replace(Put("n", key, value), fields={"round": n}) for key in keys], atomic=True
                    )

            await asyncio.gather(write(), read(), read(), read())

    asyncio.run(main())
