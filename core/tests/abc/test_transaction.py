"""The optimistic engine itself: what it sends, what it sees, and when it refuses.

That transactions keep their promises on each backend is the compliance suite's business; here stands what
only the engine decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daystore.abc import (
    ABSENT,
    KEEP,
    Aggregate,
    Aggregation,
    Check,
    Compare,
    Delete,
    Function,
    Op,
    Order,
    Outcome,
    Put,
    Query,
    RecordTransaction,
    WriteBatch,
)
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    BackendUnavailable,
    OutcomeUnknown,
    TransactionClosed,
    TransactionConflict,
    VersionConflict,
)


class Recording(MemoryAdapter):
    """Keeps the batches that reach the backend."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.batches: list[WriteBatch] = []

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.batches.append(batch)
        return await super()._write(batch)


def run(body: Callable[[Recording], Awaitable[None]], adapter: Recording | None = None) -> None:
    async def main() -> None:
        async with adapter or Recording() as opened:
            await body(opened)

    asyncio.run(main())


def test_commit_is_one_atomic_batch_of_everything_read_and_written() -> None:
    async def body(adapter: Recording) -> None:
        version = await adapter.set("notes", "read", b"1")
        other = await adapter.set("notes", "both", b"1")
        adapter.batches.clear()
        async with adapter.transaction() as tx:
            await tx.read("notes", ["read", "missing", "both"])
            await tx.write([Put("notes", "both", b"2"), Put("notes", "blind", b"3"), Delete("notes", "gone")])
        (batch,) = adapter.batches
        assert batch.atomic
        assert {
            (type(o), o.key, o.expect if o.expect in (version, other, ABSENT) else None)
            for o in batch.operations
        } == {
            (Check, "read", version),
            (Check, "missing", ABSENT),
            (Put, "both", other),
            (Put, "blind", None),
            (Delete, "gone", None),
        }

    run(body)


def test_nothing_read_and_nothing_written_costs_nothing_and_one_read_costs_no_commit() -> None:
    async def body(adapter: Recording) -> None:
        async with adapter.transaction():
            pass
        async with adapter.transaction() as tx:
            await tx.read("notes", ["k"])
        assert adapter.batches == []
        async with adapter.transaction() as tx:
            await tx.read("notes", ["k", "l"])
        assert len(adapter.batches) == 1  # two reads saw two instants: they are checked together

    run(body)


def test_what_was_read_is_read_the_same_again_and_the_commit_then_conflicts() -> None:
    async def body(adapter: Recording) -> None:
        await adapter.set("notes", "k", b"old")
        with pytest.raises(TransactionConflict):
            async with adapter.transaction() as tx:
                await tx.read("notes", ["k"])
                await adapter.set("notes", "k", b"new")
                (again,) = await tx.read("notes", ["k"])
                assert again is not None
                assert again.value == b"old"
                await tx.write([Put("notes", "other", b"")])
        assert tx.state == "aborted"
        assert await adapter.get("notes", "other") is None

    run(body)


def test_a_query_that_meets_a_changed_record_conflicts_at_once() -> None:
    async def body(adapter: Recording) -> None:
        await adapter.set("notes", "k", b"old")
        async with adapter.transaction() as tx:
            await tx.read("notes", ["k"])
            await adapter.set("notes", "k", b"new")
            with pytest.raises(TransactionConflict):
                await tx.query(Query("notes"))
            with pytest.raises(TransactionClosed):
                await tx.read("notes", ["k"])

    run(body)


def test_a_query_that_found_nothing_is_checked_too() -> None:
    async def body(adapter: Recording) -> None:
        with pytest.raises(TransactionConflict):
            async with adapter.transaction() as tx:
                assert await tx.count(Query("notes")) == 0
                await adapter.set("notes", "phantom", b"")
                await tx.write([Put("other", "k", b"")])

    run(body)


def test_own_writes_do_not_make_the_own_query_conflict() -> None:
    async def body(adapter: Recording) -> None:
        await adapter.set("notes", "m", b"")
        async with adapter.transaction() as tx:
            assert [r.key for r in (await tx.query(Query("notes", limit=1))).records] == ["m"]
            await tx.write([Put("notes", "a", b"")])
            assert [r.key for r in (await tx.query(Query("notes", limit=1))).records] == ["a"]
        assert tx.state == "committed"

    run(body)


def test_a_conditional_write_is_judged_at_once_and_again_at_commit() -> None:
    async def body(adapter: Recording) -> None:
        version = await adapter.set("notes", "k", b"1")
        async with adapter.transaction() as tx:
            with pytest.raises(VersionConflict) as conflict:
                await tx.write([Put("notes", "new", b""), Put("notes", "k", b"2", expect=ABSENT)])
            assert (conflict.value.key, conflict.value.current, conflict.value.index) == ("k", version, 1)
            assert await tx.read("notes", ["new"]) == [None]
        with pytest.raises(TransactionConflict):
            async with adapter.transaction() as tx:
                await tx.write([Put("notes", "k", b"2", expect=version)])
                await adapter.set("notes", "k", b"3")

    run(body)


def test_keep_ttl_over_an_own_write_keeps_the_deadline_of_that_write() -> None:
    async def body(adapter: Recording) -> None:
        deadline = adapter.clock() // 1000 * 1000 + 60_000_000
        await adapter.set("notes", "k", b"", expires_at=deadline + 1000)
        async with adapter.transaction() as tx:
            await tx.write([Put("notes", "k", b"1", expires_at=deadline)])
            await tx.write([Put("notes", "k", b"2", expires_at=KEEP)])
        record = await adapter.get("notes", "k")
        assert record is not None
        assert (record.value, record.expires_at) == (b"2", deadline)

    run(body)


def test_an_exception_leaves_nothing_behind_and_comes_through() -> None:
    async def body(adapter: Recording) -> None:
        with pytest.raises(ZeroDivisionError):
            async with adapter.transaction() as tx:
                await tx.write([Put("notes", "k", b"")])
                _ = 1 / 0
        assert (tx.state, adapter.batches) == ("aborted", [])

    run(body)


def test_after_the_end_every_method_refuses() -> None:
    async def body(adapter: Recording) -> None:
        async with adapter.transaction() as tx:
            pass
        calls: list[Awaitable[object]] = [
            tx.read("notes", ["k"]),
            tx.query(Query("notes")),
            tx.count(Query("notes")),
            tx.aggregate(Query("notes"), Aggregation({"n": Aggregate(Function.COUNT)})),
            tx.write([Put("notes", "k", b"")]),
            tx.commit(),
        ]
        for call in calls:
            with pytest.raises(TransactionClosed):
                await call
        with pytest.raises(TransactionClosed):
            tx.abort()

    run(body)


def test_two_tasks_at_once_are_refused_and_the_first_goes_on() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    class Slow(Recording):
        async def _query(self, *args: object) -> object:  # type: ignore[override]
            entered.set()
            await release.wait()
            return await super()._query(*args)  # type: ignore[arg-type]

    async def body(adapter: Recording) -> None:
        async with adapter.transaction() as tx:
            first = asyncio.create_task(tx.query(Query("notes")))
            await entered.wait()
            with pytest.raises(TransactionClosed, match="another task"):
                await tx.read("notes", ["k"])
            with pytest.raises(TransactionClosed, match="another task"):
                await tx.commit()
            release.set()
            assert (await first).records == []
            await tx.write([Put("notes", "k", b"")])
        assert await adapter.exists("notes", "k")

    run(body, Slow())


@pytest.mark.parametrize(
    ("error", "state"), [(OutcomeUnknown("?"), "unknown"), (BackendUnavailable("gone"), "aborted")]
)
def test_a_failed_commit_raises_and_the_state_says_how_it_ended(error: Exception, state: str) -> None:
    class Failing(Recording):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            raise error

    async def body(adapter: Recording) -> None:
        with pytest.raises(type(error)):
            async with adapter.transaction() as tx:
                await tx.write([Put("notes", "k", b"")])
        assert tx.state == state

    run(body, Failing())


def test_a_cancelled_commit_runs_on_to_its_end_and_tells() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    class Slow(Recording):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            entered.set()
            await release.wait()
            return await super()._write(batch)

    async def body(adapter: Recording) -> None:
        tx = RecordTransaction(adapter)
        await tx.write([Put("notes", "k", b"")])
        committing = asyncio.create_task(tx.commit())
        await entered.wait()
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        assert tx.state == "committing"
        release.set()
        assert await tx.settled() == "committed"
        assert await adapter.exists("notes", "k")

    run(body, Slow())


KEYS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
FIELDS: st.SearchStrategy[dict[str, int]] = st.one_of(
    st.just({}), st.fixed_dictionaries({"n": st.integers(0, 3)})
)
WRITES = st.lists(st.tuples(KEYS, st.one_of(st.none(), FIELDS)), max_size=6)
QUERIES = st.builds(
    Query,
    st.just("notes"),
    st.one_of(st.none(), st.just(Compare("n", Op.GE, 1))),
    st.builds(Order, st.sampled_from(["key", "n"]), st.booleans()),
    st.one_of(st.none(), st.integers(0, 4)),
    st.integers(0, 3),
)


def _operation(key: str, fields: dict[str, int] | None) -> Put | Delete:
    return Delete("notes", key) if fields is None else Put("notes", key, b"", fields=fields)


@settings(max_examples=300)
@given(WRITES, WRITES, QUERIES)
def test_a_query_inside_sees_exactly_what_the_same_query_sees_after_commit(
    before: list[tuple[str, dict[str, int] | None]],
    inside: list[tuple[str, dict[str, int] | None]],
    query: Query,
) -> None:
    async def body(adapter: Recording) -> None:
        for key, fields in before:
            await adapter.write(WriteBatch([_operation(key, fields)]))
        async with adapter.transaction() as tx:
            for key, fields in inside:
                await tx.write([_operation(key, fields)])
            seen = await tx.query(query)
            counted = await tx.count(query)
            rest = await tx.query(replace(query, cursor=seen.cursor, offset=0)) if seen.cursor else None
        after = await adapter.query(query)
        assert [r.key for r in seen.records] == [r.key for r in after.records]
        assert (seen.cursor is None) == (after.cursor is None)
        assert counted == await adapter.count(query)
        if rest is not None:
            later = await adapter.query(replace(query, cursor=after.cursor, offset=0))
            assert [r.key for r in rest.records] == [r.key for r in later.records]

    run(body)
