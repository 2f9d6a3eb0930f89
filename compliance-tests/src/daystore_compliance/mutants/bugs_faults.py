"""Mutants made from real bugs: cancellation, failing connections, locks, retries, and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Consistency,
    Delete,
    Instant,
    MiddlewareContext,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, DaystoreError, TransactionConflict, VersionConflict
from daystore.middleware import Chain
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.middleware import Rechained
from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.pool import Connection, Lost, Pool
from daystore_compliance.wire.target import WireTarget

# --- On a network ------------------------------------------------------------------------------------------


class _OneSession(Pool):
    _prepared = False

    async def _connect(self) -> Connection:
        if self._prepared:
            self._hello = {**self._hello, "namespace": "daystore"}
        self._prepared = True
        return await super()._connect()


class _OneSessionAdapter(WireAdapter):
    pool_class: type[Pool] = _OneSession


@mutant("conn.cut_idle[reset]", bugs=("langchain-ai/langgraph#6741",))
class PreparesOneConnection(WireTarget):
    """What a session needs is set on the first connection, and not on those that take its place."""

    adapter: type[WireAdapter] = _OneSessionAdapter


class _MidOperation(Connection):
    _waiting = False

    async def ask(self, request: dict[str, Any]) -> Any:
        """Refuse while a reply is still to come."""
        if self._waiting:
            raise RuntimeError("cannot switch to state: another operation is in progress")
        self._waiting = True
        try:
            answer = await super().ask(request)
        except asyncio.CancelledError:
            self.usable = True
            raise
        except DaystoreError:
            self._waiting = False
            raise
        self._waiting = False
        return answer


class _MidOperationPool(Pool):
    connection_class: type[Connection] = _MidOperation


class _MidOperationAdapter(WireAdapter):
    pool_class: type[Pool] = _MidOperationPool


@mutant(
    "conn.stray_reply[cancelled]",
    "conn.cancelled_under_load",
    bugs=("MagicStack/asyncpg#784", "psycopg/psycopg#543"),
)
class ReleasesInMidOperation(WireTarget):
    """A cancelled operation gives its connection back in its midst, and the next one meets a driver's error."""

    adapter: type[WireAdapter] = _MidOperationAdapter


class _TwoSteps(WireAdapter):
    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        expiring = [o for o in batch.operations if isinstance(o, Put) and type(o.expires_at) is int]
        if not expiring or batch.atomic:
            return await super()._write(batch)
        bare = [replace(o, expires_at=None) if o in expiring else o for o in batch.operations]
        outcomes = await super()._write(WriteBatch(bare))
        await super()._write(WriteBatch([replace(put, expect=put.version) for put in expiring]))
        return outcomes


@mutant("conn.lost_look", bugs=("BerriAI/litellm#27675",))
class ExpiresInASecondStep(WireTarget):
    """A value and its deadline go over the network one after the other."""

    adapter: type[WireAdapter] = _TwoSteps


class _Rest(WireAdapter):
    async def _look(
        self, deadline: Any, batch: WriteBatch, marks: Sequence[str], *rest: Any
    ) -> Mapping[int, Outcome]:
        found = await super()._look(deadline, batch, marks, *rest)
        for index, operation in enumerate(batch.operations):
            if index not in found and isinstance(operation, Put):
                operation.value = operation.value[len(operation.value) // 2 :]
        return found


@mutant("conn.cut_before_send", bugs=("apache/opendal#3956",))
class SendsTheRest(WireTarget):
    """A write that is sent again goes on in the middle of its value."""

    adapter: type[WireAdapter] = _Rest


class _Twice(Pool):
    async def _given_back(self, connection: Connection) -> None:
        await super()._given_back(connection)
        if connection.usable and not self.closed and len(self._idle) < 2:
            self._idle.append(connection)

    async def _taken(self) -> Connection:
        return self._idle.pop() if self._idle and not self.closed else await super()._taken()


class _TwiceAdapter(WireAdapter):
    pool_class: type[Pool] = _Twice


@mutant("conn.many_waiters", bugs=("mongodb/mongo-python-driver#645",))
class GivesBackTwice(WireTarget):
    """A connection goes back to the pool more than once, and two operations share it."""

    adapter: type[WireAdapter] = _TwiceAdapter


class _Deadlocking(Pool):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Wait for a turn with the lock held that giving one back takes."""
        async with self._lock:
            await self._turns.acquire()
        try:
            connection = await self._taken()
            self._busy.add(connection)
            try:
                yield connection
            finally:
                await self._given_back(connection)
        finally:
            async with self._lock:
                self._turns.release()


class _DeadlockingAdapter(WireAdapter):
    pool_class: type[Pool] = _Deadlocking


@mutant("conn.many_waiters", bugs=("redis/redis-py#3056",))
class WaitsWithTheLock(WireTarget):
    """Who waits for a connection holds the lock that giving one back takes."""

    adapter: type[WireAdapter] = _DeadlockingAdapter


class _EndUnmapped(WireAdapter):
    async def _ask(self, deadline: float | None, do: str, *arguments: Any) -> Any:
        try:
            return await super()._ask(deadline, do, *arguments)
        except Lost as error:
            if isinstance(error.__cause__, EOFError):
                raise error.__cause__ from None
            raise


@mutant("conn.matrix[half_reply]", bugs=("sqlalchemy/sqlalchemy#13241",))
class EndIsUnmapped(WireTarget):
    """A connection that ends in the middle of a reply raises a second class of error, which is not translated."""

    adapter: type[WireAdapter] = _EndUnmapped


# --- Cancellation ------------------------------------------------------------------------------------------


@mutant("cancel.every_op_every_point[overwrite]", bugs=("apache/iceberg#9997",))
class CancelledLooksWritten(MemoryAdapter):
    """A write that is cancelled before it was applied returns as if it had been."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return [Outcome(getattr(operation, "version", None), False) for operation in batch.operations]
        return await super()._write(batch)


@mutant("life.close_idempotent_and_use_after", bugs=("langchain-ai/langgraph#6367",))
class LeavesItsWorker(MemoryAdapter):
    """Closing does not end the task that works in the background."""

    async def _open(self) -> None:
        self._worker = asyncio.create_task(asyncio.Event().wait(), name="worker")


# --- Whole or not at all -----------------------------------------------------------------------------------


class InTwoParts(MemoryAdapter):
    """Writes some values in two parts, with others in between. Base of mutants, and none itself."""

    def parted(self, put: Put) -> bool:
        """Tell which."""
        return len(put.value) > 1

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        for operation, outcome in zip(batch.operations, outcomes, strict=True):
            if isinstance(operation, Put) and outcome.version and self.parted(operation):
                record = self._collections[operation.collection][operation.key]
                record.value = operation.value[: len(operation.value) // 2]
                await asyncio.sleep(0)
                record.value = operation.value
        return outcomes


@mutant("rt.never_in_part", bugs=("apache/arrow-rs-object-store#183",))
class VisibleWhileWritten(InTwoParts):
    """A value can be read while it is being written: its beginning."""


@mutant("ttl.keep_never_in_part", bugs=("apache/arrow-rs-object-store#144",))
class KeepWritesInPlace(InTwoParts):
    """A write that keeps the deadline goes into the record that is there, bit by bit."""

    def parted(self, put: Put) -> bool:
        """Tell which."""
        return super().parted(put) and put.expires_at is KEEP


# --- Locks, and what is left open --------------------------------------------------------------------------


@mutant("life.side_by_side", bugs=("openai/openai-agents-python#2854",))
class BusyIsAnError(MemoryAdapter):
    """A write that meets another one does not wait for it."""

    _writing = False

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self._writing:
            raise BackendUnavailable("database is locked", backend=self.name)
        self._writing = True
        try:
            await asyncio.sleep(0)
            return await super()._write(batch)
        finally:
            self._writing = False


@mutant("page.insert_before_cursor", bugs=("mem0ai/mem0#7196",))
class ReadersLockWriters(MemoryAdapter):
    """A write fails while somebody has not read a query to its end."""

    _reading = False

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        self._reading = page.cursor is not None
        return page

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self._reading:
            raise BackendUnavailable("database is locked", backend=self.name)
        return await super()._write(batch)


_locks: Final[dict[int, MemoryAdapter]] = {}


@mutant("cas.n_incrementers_apart", bugs=("omnilib/aiosqlite#55",))
class FailureKeepsLock(MemoryAdapter):
    """A write that fails leaves its transaction open, and other adapters meet a locked database."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        where = id(self._collections)
        if _locks.get(where, self) is not self:
            raise BackendUnavailable("database is locked", backend=self.name)
        _locks.pop(where, None)
        outcomes = await super()._write(batch)
        if any(outcome.error is not None for outcome in outcomes):
            _locks[where] = self
        return outcomes

    async def _close(self) -> None:
        _locks.pop(id(self._collections), None)


@mutant("batch.atomic_all_or_none", bugs=("aio-libs/aiomysql#999",))
class ConflictStaysOpen(MemoryAdapter):
    """What an atomic batch did before it met a conflict is committed together with the next write."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pending: list[Operation] = []

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        pending, self._pending = self._pending, []
        for operation in pending:
            self._apply(operation, self.clock())
        try:
            return await super()._write(batch)
        except VersionConflict as conflict:
            self._pending = list(batch.operations[: conflict.index or 0])
            raise


@mutant("q.result_stays", bugs=("aio-libs/aiomysql#371",))
class LazyPages(MemoryAdapter):
    """A page is the buffer of its connection: the next query puts something else into it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._buffer: list[Record] = []

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        self._buffer[:] = page.records
        return Page(self._buffer, page.cursor)


@mutant("del.side_by_side", bugs=("thanos-io/thanos#5103",))
class DeletesTheFolder(MemoryAdapter):
    """A delete that finds the collection empty removes it, and a second one at the same time fails at that."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        for operation in batch.operations:
            if isinstance(operation, Delete) and not self._collections.get(operation.collection, True):
                await asyncio.sleep(0)
                if self._collections.pop(operation.collection, None) is None:
                    raise BackendUnavailable("no such directory", backend=self.name)
        return outcomes


@mutant("life.side_by_side", bugs=("hashicorp/vault#7345",))
class MissesKeepConnections(MemoryAdapter):
    """Each read of a key that is missing keeps one of fifty connections."""

    _left = 50

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        self._left -= None in found
        if self._left < 0:
            raise BackendUnavailable("no connection available", backend=self.name)
        return found


@mutant("batch.order", bugs=("redis/redis-py#3419",))
class AttemptsNothing(MemoryAdapter):
    """A batch is attempted as often as it may be repeated, which is never."""

    retries = 0

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if len(batch.operations) == 1:
            return await super()._write(batch)
        outcomes = [Outcome(getattr(operation, "version", None), False) for operation in batch.operations]
        for _ in range(self.retries):
            outcomes = await super()._write(batch)
        return outcomes


# --- Errors ------------------------------------------------------------------------------------------------


@mutant("cas.stale_rejected", bugs=("apache/arrow-rs-object-store#138",))
class BusyIsAConflict(MemoryAdapter):
    """A backend that says 'try again' is taken for a conflict, though nobody else has written."""

    _asked = 0

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        if conflict is None and isinstance(operation.expect, str):
            self._asked += 1
            if self._asked % 2:
                return VersionConflict(
                    key=operation.key,
                    collection=operation.collection,
                    current=operation.expect,
                    index=index,
                    backend=self.name,
                    operation="write",
                )
        return conflict


@mutant("cas.create_only", bugs=("apache/arrow-rs-object-store#829",))
class AbsentLoserOtherError(MemoryAdapter):
    """Creating what exists is another error than writing at a stale version."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> Any:
        conflict = super()._conflict(operation, index, now)
        if conflict is not None and operation.expect is ABSENT:
            return TransactionConflict("it exists already", backend=self.name)
        return conflict


@mutant("cas.stale_rejected", bugs=("dapr/components-contrib#2841",))
class ConflictIsGeneric(MemoryAdapter):
    """A conflict is an error of no particular class, which cannot be retried."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> Any:
        conflict = super()._conflict(operation, index, now)
        return None if conflict is None else DaystoreError(conflict.message, backend=self.name)


@mutant("cas.stale_rejected", bugs=("apache/iceberg#15126",))
class ConflictIsFinal(MemoryAdapter):
    """A conflict at a version says that another attempt is of no use."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        if conflict is not None and operation.expect is not ANY:
            conflict.retryable = operation.expect is ABSENT
        return conflict


class _FailsOnMiss(Chain):
    async def after_read(
        self, context: MiddlewareContext, records: list[Record | None]
    ) -> list[Record | None]:
        if None in records:
            raise BackendUnavailable("object not found")
        return await super().after_read(context, records)


@mutant("mw.neutral", bugs=("thanos-io/thanos#3973",))
class WatchedMissesFail(Rechained):
    """With middleware a key that is missing is taken for a failure."""

    chained: type[_FailsOnMiss] = _FailsOnMiss


@mutant("life.close_idempotent_and_use_after", bugs=("temporalio/temporal#3829",))
class ClosedIsNothing(MemoryAdapter):
    """After a close there is nothing behind the adapter, and nobody looks."""

    def _check_open(self) -> None:
        if not self._is_open:
            self._collections = None  # type: ignore[assignment]  # that is the fault
