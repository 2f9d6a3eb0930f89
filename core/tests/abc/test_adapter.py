"""What `StorageAdapter` does around the primitives: refuse early, keep time, chunk, report what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    EVENTUAL,
    KEEP,
    STRONG,
    Aggregate,
    Aggregation,
    Capabilities,
    Check,
    CheckQuery,
    Consistency,
    Delete,
    Function,
    Limits,
    Outcome,
    Put,
    Query,
    Record,
    WriteBatch,
    bounded,
)
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    BackendUnavailable,
    BatchError,
    InvalidKey,
    LimitExceeded,
    OperationTimeout,
    OutcomeUnknown,
    SerializationError,
    StoreClosed,
    UnsupportedOperation,
)


class Recording(MemoryAdapter):
    """Counts the calls that reach the backend."""

    def __init__(self, capabilities: Capabilities | None = None, *, timeout: float | None = None) -> None:
        super().__init__(timeout=timeout)
        if capabilities is not None:
            self.capabilities = capabilities
        self.reads: list[int] = []
        self.writes: list[int] = []

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        self.reads.append(len(keys))
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.writes.append(len(batch.operations))
        return await super()._write(batch)


def without(capability: str) -> Capabilities:
    changes: dict[str, Any] = {capability: False}
    return replace(MemoryAdapter.capabilities, **changes)


def run(adapter: MemoryAdapter, body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with adapter:
            await body()

    asyncio.run(main())


UNDECLARED: dict[str, Callable[[MemoryAdapter], Awaitable[object]]] = {
    "conditional": lambda a: a.set("notes", "k", b"", if_absent=True),
    "atomic_batch": lambda a: a.write(WriteBatch([Put("notes", "k", b"")], atomic=True)),
    "ttl": lambda a: a.set("notes", "k", b"", expires_at=10**18),
    "query": lambda a: a.query(Query("notes")),
    "aggregate": lambda a: a.aggregate(Query("notes"), Aggregation({"n": Aggregate(Function.COUNT)})),
}


@pytest.mark.parametrize("capability", UNDECLARED)
def test_an_undeclared_ability_is_refused_before_anything_is_sent(capability: str) -> None:
    adapter = Recording(without(capability))

    async def body() -> None:
        with pytest.raises(UnsupportedOperation) as refused:
            await UNDECLARED[capability](adapter)
        assert refused.value.capability == capability
        assert not refused.value.retryable
        assert adapter.writes == []

    run(adapter, body)


def test_transactions_and_checked_queries_need_their_capability() -> None:
    adapter = Recording(replace(MemoryAdapter.capabilities, transactions=False))

    async def body() -> None:
        with pytest.raises(UnsupportedOperation):
            adapter.transaction()
        with pytest.raises(UnsupportedOperation):
            await adapter.write(WriteBatch([], atomic=True, queries=[CheckQuery(Query("notes"), [])]))

    run(adapter, body)


@pytest.mark.parametrize("level", [STRONG, bounded(5)])
def test_a_consistency_that_is_not_declared_is_refused_not_weakened(level: Consistency) -> None:
    adapter = Recording(replace(MemoryAdapter.capabilities, consistency=frozenset({"eventual"})))

    async def body() -> None:
        for call in (adapter.read("notes", ["k"], level), adapter.query(Query("notes"), level)):
            with pytest.raises(UnsupportedOperation):
                await call
        assert await adapter.read("notes", ["k"], EVENTUAL) == [None]

    run(adapter, body)


def test_everything_is_refused_before_open_and_after_close() -> None:
    async def main() -> None:
        adapter = MemoryAdapter()
        for _ in range(2):
            for call in (adapter.read("notes", ["k"]), adapter.query(Query("notes")), adapter.health()):
                with pytest.raises(StoreClosed):
                    await call
            with pytest.raises(StoreClosed):
                adapter.transaction()
            async with adapter:
                await adapter.close()
                await adapter.close()

    asyncio.run(main())


def test_batches_beyond_max_batch_are_chunked_and_keep_their_order() -> None:
    limits = Limits(max_batch=3)
    adapter = Recording(replace(MemoryAdapter.capabilities, limits=limits))

    async def body() -> None:
        keys = [f"k{i}" for i in range(7)]
        outcomes = await adapter.write(WriteBatch([Put("notes", k, k.encode()) for k in keys]))
        assert len(outcomes) == 7
        found = await adapter.read("notes", [*keys, "missing", "k0"])
        assert [r.value if r else None for r in found] == [*[k.encode() for k in keys], None, b"k0"]
        assert (adapter.writes, adapter.reads) == ([3, 3, 1], [3, 3, 3])

    run(adapter, body)


def test_nothing_is_sent_for_an_empty_batch() -> None:
    adapter = Recording()

    async def body() -> None:
        assert await adapter.read("notes", []) == []
        assert await adapter.write(WriteBatch([])) == []
        assert await adapter.write(WriteBatch([], atomic=True)) == []
        assert (adapter.reads, adapter.writes) == ([], [])

    run(adapter, body)


def test_when_a_later_chunk_fails_the_error_names_exactly_what_was_not_applied() -> None:
    class Failing(Recording):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            if self.writes:
                raise BackendUnavailable("gone", backend="memory")
            return await super()._write(batch)

    adapter = Failing(replace(MemoryAdapter.capabilities, limits=Limits(max_batch=2)))

    async def body() -> None:
        with pytest.raises(BatchError) as failed:
            await adapter.set_batch(Put("notes", k, b"") for k in "abcde")
        assert list(failed.value.failed) == ["c", "d", "e"]
        assert list(await adapter.get_batch("notes", "abcde")) == ["a", "b"]

    run(adapter, body)


def test_a_read_that_takes_too_long_times_out_and_a_write_is_of_unknown_outcome() -> None:
    class Stalling(MemoryAdapter):
        async def _read(
            self, collection: str, keys: Sequence[str], consistency: Consistency
        ) -> list[Record | None]:
            await asyncio.Event().wait()
            return []

        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            await asyncio.Event().wait()
            return []

    adapter = Stalling(timeout=0.01)

    async def body() -> None:
        with pytest.raises(OperationTimeout) as late:
            await adapter.read("notes", ["k"])
        assert late.value.retryable
        with pytest.raises(OutcomeUnknown) as unknown:
            await adapter.set("notes", "k", b"")
        assert not unknown.value.retryable

    run(adapter, body)


def test_a_timeout_raised_by_the_backend_itself_is_not_taken_for_ours() -> None:
    class Own(MemoryAdapter):
        async def _read(
            self, collection: str, keys: Sequence[str], consistency: Consistency
        ) -> list[Record | None]:
            raise BackendUnavailable("busy", backend="memory")

    adapter = Own(timeout=5)

    async def body() -> None:
        with pytest.raises(BackendUnavailable, match="busy"):
            await adapter.read("notes", ["k"])

    run(adapter, body)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"x": None}, SerializationError),
        ({"x": float("nan")}, SerializationError),
        ({"x": datetime(2026, 1, 1)}, SerializationError),  # noqa: DTZ001 - naive on purpose
        ({"x": ["a"]}, SerializationError),
        ({"x": ("a", 1)}, SerializationError),
        ({"x": "\ud800"}, SerializationError),
        ({"x": 2**63}, LimitExceeded),
        ({"x": -(2**63) - 1}, LimitExceeded),
        ({"x": "é" * 513}, LimitExceeded),
        ({"x": ("a", "b" * 1025)}, LimitExceeded),
        ({"": 1}, InvalidKey),
    ],
)
def test_a_field_that_could_not_be_indexed_exactly_is_refused_and_nothing_is_written(
    fields: dict[str, object], error: type[Exception]
) -> None:
    adapter = Recording()

    async def body() -> None:
        with pytest.raises(error):
            await adapter.set("notes", "k", b"", fields=fields)  # type: ignore[arg-type]
        assert adapter.writes == []

    run(adapter, body)


def test_sizes_at_the_limit_are_taken_and_beyond_refused() -> None:
    limits = Limits(max_value_bytes=10, max_atomic_ops=2)
    adapter = Recording(replace(MemoryAdapter.capabilities, limits=limits))

    async def body() -> None:
        await adapter.set("notes", "k", b"0123456789", fields={"a": "é" * 512, "b": 2**63 - 1, "c": -(2**63)})
        with pytest.raises(LimitExceeded) as exceeded:
            await adapter.set("notes", "k", b"0123456789+")
        assert (exceeded.value.limit, exceeded.value.actual, exceeded.value.maximum) == (
            "max_value_bytes",
            11,
            10,
        )
        await adapter.write(WriteBatch([Put("notes", k, b"") for k in "ab"], atomic=True))
        with pytest.raises(LimitExceeded):
            await adapter.write(WriteBatch([Delete("notes", k) for k in "abc"], atomic=True))
        assert list(await adapter.get_batch("notes", "abk")) == ["a", "b", "k"]

    run(adapter, body)


def test_a_key_twice_in_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at most once"):
        WriteBatch([Put("notes", "k", b""), Check("notes", "k", ABSENT)])
    WriteBatch([Put("notes", "k", b""), Put("other", "k", b"")])


def test_repr_and_errors_show_no_key_and_no_value() -> None:
    put = Put("notes", "secret-key", b"secret-value", fields={"f": "secret-field"})
    record = Record("secret-key", b"secret-value", "v", 0, 0, fields={"f": "secret-field"})
    for thing in (put, record, Delete("notes", "secret-key"), Check("notes", "secret-key", ABSENT)):
        assert "secret" not in repr(thing)

    async def body() -> None:
        await adapter.set("notes", "secret-key", b"secret-value")
        with pytest.raises(Exception, match="expected version") as conflict:
            await adapter.set("notes", "secret-key", b"secret-value", if_version="secret-version")
        assert "secret" not in str(conflict.value)

    adapter = MemoryAdapter()
    run(adapter, body)


def test_keeping_an_expiry_needs_no_expiry() -> None:
    adapter = Recording(without("ttl"))

    async def body() -> None:
        await adapter.set("notes", "k", b"", expires_at=KEEP)
        record = await adapter.get("notes", "k")
        assert record is not None
        assert record.expires_at is None

    run(adapter, body)
