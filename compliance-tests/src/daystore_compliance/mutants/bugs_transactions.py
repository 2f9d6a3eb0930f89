"""Real bugs of transactions: commits that are several, drop what they promise, or take others along."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from daystore import Transaction
from daystore.abc import (
    ABSENT,
    ANY,
    Check,
    CheckQuery,
    Consistency,
    Delete,
    Instant,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    RecordTransaction,
    WriteBatch,
)
from daystore.abc.guard import check_batch
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import LimitExceeded, UnsupportedOperation, VersionConflict
from daystore.storage import Storage
from daystore.transactions.retry import Retry
from daystore.transactions.transaction import run
from daystore_compliance.mutants.base import mutant, unconditional
from daystore_compliance.mutants.transactions import Begins

# --- Atomic batches that are none ----------------------------------------------------------------------------


@mutant("txn.collections_together", bugs=("aegra/aegra#499",))
class CollectionAfterCollection(MemoryAdapter):
    """An atomic batch over several collections is applied collection by collection."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        places: dict[str, list[int]] = {}
        for index, operation in enumerate(batch.operations):
            places.setdefault(operation.collection, []).append(index)
        outcomes: dict[int, Outcome] = {}
        queries = batch.queries
        for indexes in places.values() or [[]]:
            part = WriteBatch([batch.operations[i] for i in indexes], atomic=True, queries=queries)
            try:
                outcomes.update(zip(indexes, await super()._write(part), strict=True))
            except VersionConflict as conflict:
                conflict.index = None if conflict.index is None else indexes[conflict.index]
                raise
            queries = ()
        return [outcomes[index] for index in sorted(outcomes)]


@mutant("batch.atomic_applies", bugs=("dapr/components-contrib#1209", "dapr/components-contrib#1521"))
class OutcomesRegrouped(MemoryAdapter):
    """An atomic batch is applied and answered in another order: deletes, checks, and then puts."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        await super()._write(replace(batch, operations=()))
        ordered = sorted(batch.operations, key=lambda operation: isinstance(operation, Put))
        return await super()._write(replace(batch, operations=ordered))


class _DeletesFirst(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        before = dict(self._writes)
        existed = await super().write(operations)
        for operation in operations:
            put = before.get((operation.collection, operation.key))
            if isinstance(operation, Delete) and isinstance(put, Put):
                self._writes[operation.collection, operation.key] = put
        return existed


@mutant(
    "txn.commit_applies",
    bugs=(
        "dapr/components-contrib#1209",
        "dapr/components-contrib#1521",
        "dapr/components-contrib#2702",
    ),
)
class DeletesBeforePuts(Begins):
    """The deletes of a transaction come before its writes, so that what was written and then deleted stays."""

    transaction_class: type[RecordTransaction] = _DeletesFirst


@mutant("batch.atomic_all_or_none", "txn.conflict", bugs=("dapr/components-contrib#2671",))
class SkipsStalePuts(MemoryAdapter):
    """A write of an atomic batch whose expectation fails is left out, and the others are applied."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        now = self.clock()
        kept = [
            operation
            for index, operation in enumerate(batch.operations)
            if not (isinstance(operation, Put) and self._conflict(operation, index, now))
        ]
        outcomes = iter(await super()._write(replace(batch, operations=kept)))
        return [next(outcomes) if o in kept else Outcome(None, existed=True) for o in batch.operations]


@mutant("txn.conflict", bugs=("dapr/components-contrib#2702",))
class OneTransactionForAll(Begins):
    """The current transaction is kept in the adapter, and whoever begins one meanwhile joins it."""

    _current: RecordTransaction | None = None

    def transaction(self) -> RecordTransaction:
        """Return the one that is open."""
        if self._current is None or self._current.state != "open":
            self._current = super().transaction()
        return self._current


@mutant("txn.commit_applies", "batch.atomic_applies", bugs=("dapr/components-contrib#446",))
class OneCollectionATransaction(MemoryAdapter):
    """An atomic batch over two collections is refused."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and len({operation.collection for operation in batch.operations}) > 1:
            raise UnsupportedOperation("one collection at a time", capability="transactions")
        return await super()._write(batch)


@mutant("batch.atomic_all_or_none", bugs=("dapr/components-contrib#995",))
class AtomicForgetsAbsent(MemoryAdapter):
    """In an atomic batch a write that expects absence overwrites what is there."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            kept = [
                replace(o, expect=ANY) if isinstance(o, Put) and o.expect is ABSENT else o
                for o in batch.operations
            ]
            batch = replace(batch, operations=kept)
        return await super()._write(batch)


@mutant("batch.atomic_applies", "txn.commit_applies", bugs=("dapr/dapr#2126",))
class AtomicDeleteNeedsVersion(MemoryAdapter):
    """In an atomic batch a delete without a condition does nothing."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if self._in_atomic and isinstance(operation, Delete) and operation.expect is ANY:
            return Outcome(None, existed=False)
        return super()._apply(operation, now)

    _in_atomic = False

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self._in_atomic = batch.atomic
        return await super()._write(batch)


@mutant("txn.compare_and_put", bugs=("k3s-io/kine#532",))
class CheckedPutKeepsValue(MemoryAdapter):
    """An atomic batch of one check and one write gives the record a new version and keeps its value."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        kinds = [type(operation) for operation in batch.operations]
        if batch.atomic and sorted(kinds, key=str) == [Check, Put]:
            kept = [await self._with_old_value(o) for o in batch.operations]
            batch = replace(batch, operations=kept)
        return await super()._write(batch)

    async def _with_old_value(self, operation: Operation) -> Operation:
        old = self._find(operation.collection, operation.key, self.clock())
        return replace(operation, value=old.value) if isinstance(operation, Put) and old else operation


@mutant("txn.limits", bugs=("openbao/openbao#625",))
class DropsTooLarge(MemoryAdapter):
    """What is too large is taken by a transaction, and left out of its commit."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Leave it out."""
        if not batch.atomic:
            return await super().write(batch)
        kept = [operation for operation in batch.operations if self._fits(operation)]
        return await super().write(replace(batch, operations=kept))

    def _fits(self, operation: Operation) -> bool:
        try:
            check_batch(self, WriteBatch([operation]))
        except LimitExceeded:
            return False
        return True


# --- Transactions beside others ------------------------------------------------------------------------------


class _ShortMemory(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        batch = super()._batch()
        begun = self.__dict__.get("begun", self._adapter.clock())
        if batch is None or self._adapter.clock() < begun + 60_000_000:
            return batch
        written = [unconditional(o) for o in batch.operations if not isinstance(o, Check)]
        return WriteBatch(written, atomic=True)

    async def _see(self, collection: str, keys: Sequence[str]) -> None:
        self.__dict__.setdefault("begun", self._adapter.clock())
        await super()._see(collection, keys)


@mutant("txn.paused", bugs=("delta-io/delta#1410",))
class LockExpires(Begins):
    """What keeps others out expires after a minute, and a slower transaction overwrites them."""

    transaction_class: type[RecordTransaction] = _ShortMemory


class _ForgetsPredicates(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        batch = super()._batch()
        return None if batch is None else replace(batch, queries=())


@mutant("txn.phantom", "txn.phantom_empty", "txn.write_skew", bugs=("delta-io/delta-rs#3622",))
class ForgetsPredicates(Begins):
    """A commit checks what it writes and not the query that found it."""

    transaction_class: type[RecordTransaction] = _ForgetsPredicates


class _RechecksOwn(RecordTransaction):
    async def query(self, query: Query) -> Page:
        own = bool(self._own(query.collection))
        page = await super().query(query)
        if own and query.limit is not None:
            self._queries[-1] = CheckQuery(query, [(r.key, r.version) for r in page.records])
        return page


@mutant("txn.own_query_with_limit", bugs=("scalar-labs/scalardb#2621",))
class RechecksOwnWrites(Begins):
    """The check of a limited query at commit takes own writes for those of others."""

    transaction_class: type[RecordTransaction] = _RechecksOwn


class _ScanReplaces(RecordTransaction):
    async def _run(self, query: Query) -> Page:
        page = await self._adapter.query(query, self._consistency)
        for record in page.records:
            if (query.collection, record.key) in self._seen:
                self._seen[query.collection, record.key] = record
        return await super()._run(query)


@mutant("txn.query_after_read", bugs=("scalar-labs/scalardb#69",))
class ScanReplacesReads(Begins):
    """A query replaces what was read by key before, and the commit checks the newer version."""

    transaction_class: type[RecordTransaction] = _ScanReplaces


@mutant("txn.others_unaffected", bugs=("mastra-ai/mastra#20278",))
class SweptAlong(Begins):
    """While a transaction is open the plain writes of others go into it, and away with it."""

    _current: RecordTransaction | None = None

    def transaction(self) -> RecordTransaction:
        """Begin one, and keep it."""
        self._current = super().transaction()
        return self._current

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write into it."""
        if batch.atomic or self._current is None or self._current.state != "open":
            return await super().write(batch)
        changes = [operation for operation in batch.operations if isinstance(operation, Put | Delete)]
        existed = await self._current.write(changes)
        return [Outcome(getattr(o, "version", None), was) for o, was in zip(changes, existed, strict=True)]


@mutant("txn.commit_applies", bugs=("mastra-ai/mastra#17630",))
class FreshConnectionAfterCommit(MemoryAdapter):
    """The first read after a commit is of a new connection, to an empty database."""

    _fresh = False

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self._fresh = batch.atomic
        return await super()._write(batch)

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        fresh, self._fresh = self._fresh, False
        return [None] * len(keys) if fresh else await super()._read(collection, keys, consistency)


@mutant("txn.retry_pauses", bugs=("mongodb/mongo-python-driver#2492",))
class RetriesAtOnce(Storage):
    """A transaction that met a conflict is run again without a pause."""

    def transaction(self, body: Any = None, **options: Any) -> Any:
        """Run it again at once."""
        if body is None:
            return super().transaction()
        return self._at_once(body, **options)

    def _at_once(
        self, body: Any, attempts: int | None = None, deadline: float = 30.0
    ) -> Coroutine[Any, Any, Any]:
        retry = Retry(deadline, attempts, first=0.0)
        return run(lambda: Transaction(self._find), body, retry)


# --- Sweeping ------------------------------------------------------------------------------------------------


@mutant("life.sweep_spares", bugs=("slatedb/slatedb#1769",))
class SweepResumes(MemoryAdapter):
    """A sweep notes what has expired and goes on later, by key, whatever was written there since."""

    def _sweep(self, now: Instant) -> None:
        if now < self._sweep_at:
            return
        self._sweep_at = now + 60_000_000
        noted: list[tuple[str, str]] = self.__dict__.get("_noted", [])
        for collection, key in noted:
            self._collections[collection].pop(key, None)
        self.__dict__["_noted"] = [
            (collection, record.key)
            for collection, records in self._collections.items()
            for record in records.values()
            if not record.is_alive(now)
        ]
