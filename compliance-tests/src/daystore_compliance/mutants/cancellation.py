"""Mutants that are right until somebody cancels them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from daystore.abc import (
    ANY,
    Consistency,
    Outcome,
    Page,
    Query,
    Record,
    RecordTransaction,
    StorageAdapter,
    WriteBatch,
)
from daystore.abc.transaction import State
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, OperationTimeout
from daystore.stores import Store
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.transactions import Begins
from daystore_compliance.target import MemoryTarget, Raw

# --- Answers ------------------------------------------------------------------------------------------------


@mutant(
    "cancel.every_op_every_point[read]",
    "cancel.every_op_every_point[get_batch]",
    bugs=("apache/iceberg#9997",),
)
class SwallowsCancellation(MemoryAdapter):
    """A read that is cancelled returns its answer all the same."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return await super()._read(collection, keys, consistency)


@mutant("cancel.every_op_every_point[delete]", "cancel.every_op_every_point[write]")
class TellsAnotherError(MemoryAdapter):
    """A write that is cancelled raises OperationTimeout."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            raise OperationTimeout("the write took too long") from error
        return await super()._write(batch)


class _Queues(MemoryAdapter):
    """Gives out replies in the order of the requests. Base of mutants, and none itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._replies: list[Any] = []

    async def reply(self, answer: Any) -> Any:
        """Wait for the next reply. That of a request that was cancelled stays, and goes to another one."""
        self._replies.append(answer)
        await asyncio.sleep(0)
        return self._replies.pop(0)


@mutant(
    "cancel.every_op_every_point[read]",
    "cancel.every_op_every_point[get_batch]",
    bugs=("redis/redis-py#2665", "redis/redis-py#2632", "long2ice/asyncmy#103"),
)
class AnswersOffByOne(_Queues):
    """The reply to a read that was cancelled is given to the next read."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found: list[Record | None] = await self.reply(await super()._read(collection, keys, consistency))
        return (found + [None] * len(keys))[: len(keys)]


@mutant("cancel.query_every_point[page]")
class PagesOffByOne(_Queues):
    """The page of a query that was cancelled is given to the next query."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page: Page = await self.reply(await super()._query(query, consistency))
        return page


@mutant("cancel.query_every_point[count]")
class CountsOffByOne(_Queues):
    """The result of a count that was cancelled is given to the next count."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        count: int = await self.reply(await super()._count(query, consistency))
        return count


# --- What is taken and not given back -----------------------------------------------------------------------


@mutant("cancel.every_op_every_point[overwrite]")
class PoisonsItsLock(MemoryAdapter):
    """A write that is cancelled keeps the lock of the writers for ever."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lock = asyncio.Lock()

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        await self._lock.acquire()
        await asyncio.sleep(0)
        outcomes = await super()._write(batch)
        self._lock.release()
        return outcomes


@mutant("cancel.conditional_every_point[write]", "cancel.conditional_every_point[delete]")
class ConditionStaysLocked(MemoryAdapter):
    """A conditional write that is cancelled keeps others from being made."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cancelled = False

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if all(one.expect is ANY for one in batch.operations):
            return await super()._write(batch)
        if self._cancelled:
            raise BackendUnavailable("locked by another session", backend=self.name, operation="write")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._cancelled = True
            raise
        return await super()._write(batch)


@mutant("cancel.pool_exhaustion[direct]")
class LeaksItsConnection(MemoryAdapter):
    """A read that is cancelled never gives its connection back to the pool, which has a hundred and sixty."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._free = 160

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        if not self._free:
            raise BackendUnavailable("no connection is free", backend=self.name, operation="read")
        self._free -= 1
        await asyncio.sleep(0)
        self._free += 1
        return await super()._read(collection, keys, consistency)


class _Reconnects(MemoryAdapter):
    connections = 1

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.connections += 1
            raise
        return await super()._read(collection, keys, consistency)


@mutant("cancel.pool_exhaustion[direct]", bugs=("omnilib/aiosqlite#259",))
class ForgetsConnections(MemoryTarget):
    """A read that is cancelled opens another connection and forgets the one that it was on."""

    adapter: type[MemoryAdapter] = _Reconnects

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count connections, too."""
        assert isinstance(adapter, _Reconnects)
        return replace(await super().raw(adapter), connections=adapter.connections)


class _KeepsTurns(Store[Any]):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._taken: set[str] = set()


@mutant("cancel.store_every_point[update-slowed]", "cancel.store_every_point[create-slowed]")
class KeepsItsTurn(_KeepsTurns):
    """An update that is cancelled keeps the key, and no other update gets it."""

    async def update(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Take the key, and give it back at the end."""
        if key in self._taken:
            raise OperationTimeout("others keep the key", operation="update")
        self._taken.add(key)
        try:
            value = await super().update(key, *arguments, **options)
        except Exception:
            self._taken.remove(key)
            raise
        self._taken.remove(key)
        return value


# --- Half of a write ----------------------------------------------------------------------------------------


class _Interrupted(MemoryAdapter):
    """Is told which write was cancelled after it was applied. Base of mutants, and none itself."""

    def interrupted(self, batch: WriteBatch, before: list[Record | None]) -> None:
        """Make of a write that was cancelled what is left of it.

        Args:
            batch: What was written.
            before: The records that it met.
        """

    def restore(self, collection: str, key: str, record: Record | None) -> None:
        """Put a record back."""
        records = self._collections.setdefault(collection, {})
        records.pop(key, None)
        if record is not None:
            records[key] = record

    def changed(self, batch: WriteBatch, before: list[Record | None], change: Callable[..., Record]) -> None:
        """Change what was written where it had met a record, of that and the record that it met."""
        for operation, old in zip(batch.operations, before, strict=True):
            records = self._collections.get(operation.collection, {})
            if old is not None and operation.key in records:
                records[operation.key] = change(records[operation.key], old)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        before = [self._collections.get(one.collection, {}).get(one.key) for one in batch.operations]
        outcomes = await super()._write(batch)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.interrupted(batch, before)
            raise
        return outcomes


@mutant("cancel.no_half_write[one]", "cancel.no_half_write[batch]")
class CancelledKeepsFields(_Interrupted):
    """A write that is cancelled leaves the new value with the fields of the old one."""

    def interrupted(self, batch: WriteBatch, before: list[Record | None]) -> None:
        """Keep the old fields."""
        self.changed(batch, before, lambda new, old: replace(new, fields=old.fields))


@mutant("cancel.no_half_write[one]", "cancel.no_half_write[batch-slowed]")
class CancelledKeepsDeadline(_Interrupted):
    """A write that is cancelled leaves the new value with the deadline of the old one."""

    def interrupted(self, batch: WriteBatch, before: list[Record | None]) -> None:
        """Keep the old deadline."""
        self.changed(batch, before, lambda new, old: replace(new, expires_at=old.expires_at))


@mutant("cancel.no_half_write[one]")
class CancelledKeepsValue(_Interrupted):
    """A write that is cancelled leaves the old record with the new version."""

    def interrupted(self, batch: WriteBatch, before: list[Record | None]) -> None:
        """Keep everything but the version."""
        self.changed(batch, before, lambda new, old: replace(old, version=new.version))


@mutant("cancel.no_half_write[one]", "cancel.every_op_every_point[overwrite]")
class CancelledOverwriteDeletes(_Interrupted):
    """A write over a record that is cancelled has deleted the record and written nothing."""

    def interrupted(self, batch: WriteBatch, before: list[Record | None]) -> None:
        """Leave nothing."""
        for operation, old in zip(batch.operations, before, strict=True):
            if old is not None:
                self.restore(operation.collection, operation.key, None)


@mutant(
    "cancel.no_half_batch[atomic]",
    "cancel.conditional_every_point[atomic_batch]",
    "cancel.append_every_point[direct]",
    "cancel.append_every_point[slowed]",
    bugs=("openai/openai-agents-python#1658",),
)
class UndoesHalf(_Interrupted):
    """An atomic batch that is cancelled is undone but for its first change."""

    def interrupted(self, batch: WriteBatch, before: list[Record | None]) -> None:
        """Undo the others."""
        if batch.atomic:
            for operation, old in list(zip(batch.operations, before, strict=True))[1:]:
                self.restore(operation.collection, operation.key, old)


# --- What goes on -------------------------------------------------------------------------------------------


@mutant("cancel.before_start")
class SendsWhenCalled(MemoryAdapter):
    """A write is on its way as soon as it is called, before anybody awaits it."""

    def write(self, batch: WriteBatch) -> Any:
        """Send at once."""
        return asyncio.shield(asyncio.ensure_future(super().write(batch)))


class _Late(MemoryAdapter):
    """Keeps writes that were cancelled before they were applied. Base of mutants, and none itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._late: list[WriteBatch] = []

    async def land(self) -> None:
        """Apply them."""
        late, self._late = self._late, []
        for batch in late:
            await super()._write(batch)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._late.append(batch)
            raise
        return await super()._write(batch)


@mutant(
    "cancel.outlived[write-write]", "cancel.outlived[write-delete-slowed]", "cancel.outlived[delete-write]"
)
class LandsAfterTheNext(_Late):
    """A write that is cancelled is applied after the next one."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        await self.land()
        return outcomes


@mutant("cancel.outlived[batch-write]", "cancel.outlived[write-write]", bugs=("agno-agi/agno#9199",))
class LandsAtClose(_Late):
    """A write that is cancelled is applied when the adapter is closed."""

    async def _close(self) -> None:
        await self.land()
        await super()._close()


@mutant("cancel.outlived_atomic[write]", "cancel.outlived_atomic[delete-slowed]")
class LandsTogetherAfterTheNext(_Late):
    """An atomic batch that is cancelled is applied after the next write of one of its records."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            return await super()._write(batch)
        outcomes = await MemoryAdapter._write(self, batch)
        await self.land()
        return outcomes


class _Unshielded(RecordTransaction):
    async def commit(self) -> None:
        self._require_open()
        batch = self._batch()
        if batch is None:
            self._state = "committed"
            return
        self._state = "committing"
        await self._run_commit(batch)


@mutant("txn.cancel_in_commit[changes-slowed]", "txn.cancel_in_commit[conflict-slowed]")
class CancelsItsCommit(Begins):
    """A commit that is cancelled ends there, and nobody knows how."""

    transaction_class: type[RecordTransaction] = _Unshielded


class _SaysAborted(RecordTransaction):
    _is_cancelled = False

    async def commit(self) -> None:
        try:
            await super().commit()
        except asyncio.CancelledError:
            self._is_cancelled = True
            raise

    async def settled(self) -> State:
        if await super().settled() == "committed" and self._is_cancelled:
            self._state = "aborted"
        return self._state


@mutant("txn.cancel_in_commit[changes]")
class SaysAborted(Begins):
    """A commit that was cancelled, and went on to its end, is said to be aborted."""

    transaction_class: type[RecordTransaction] = _SaysAborted


class _SaysCommitted(RecordTransaction):
    async def settled(self) -> State:
        state = await super().settled()
        return "committed" if state == "aborted" else state


@mutant("txn.cancel_in_commit[conflict]")
class SaysCommitted(Begins):
    """A commit that met a conflict after its caller was gone is said to have succeeded."""

    transaction_class: type[RecordTransaction] = _SaysCommitted
