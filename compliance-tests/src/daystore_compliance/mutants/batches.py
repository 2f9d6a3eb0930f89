"""Mutants that treat a batch as something else than its items."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from daystore.abc import (
    EVENTUAL,
    Capabilities,
    CheckQuery,
    Consistency,
    Delete,
    Instant,
    Outcome,
    Put,
    Record,
    Version,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import LimitExceeded, VersionConflict
from daystore_compliance.mutants.base import mutant


@mutant("batch.order", "batch.store_order")
class SortsAnswers(MemoryAdapter):
    """Records are read in the order of their keys."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        return await super()._read(collection, sorted(keys), consistency)


@mutant("batch.duplicates_read")
class DropsRepeatedKeys(MemoryAdapter):
    """A key that is asked for twice is answered once."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        return await super()._read(collection, list(dict.fromkeys(keys)), consistency)


@mutant("batch.missing_marked", "batch.order")
class DropsMissing(MemoryAdapter):
    """Missing keys are left out of an answer."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read what is there."""
        found = await super().read(collection, keys, consistency)
        return [record for record in found if record is not None] if len(keys) > 1 else found


@mutant("batch.duplicates_write")
class LastOfEqualKeys(MemoryAdapter):
    """Of equal keys in a batch the last one is written, without a word."""

    async def set_batch(self, puts: Iterable[Put], *, atomic: bool = False) -> list[Version]:
        """Write the last ones."""
        last = {(put.collection, put.key): put for put in puts}
        return await super().set_batch(last.values(), atomic=atomic)


@mutant("batch.empty")
class EmptyBatchFails(MemoryAdapter):
    """An empty batch is refused."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Refuse what is empty."""
        if not batch.operations:
            raise LimitExceeded("a batch of nothing")
        return await super().write(batch)


@mutant("batch.iterators")
class IteratesTwice(MemoryAdapter):
    """The keys of a batch are gone through twice."""

    async def delete_batch(self, collection: str, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Count first, then delete."""
        existed = sum([await self.exists(collection, key) for key in keys])
        await super().delete_batch(collection, keys, atomic=atomic)
        return existed


@mutant("batch.chunking", "page.large")
class FirstThousand(MemoryAdapter):
    """Of a large batch the first thousand items are written, and all are reported."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(replace(batch, operations=batch.operations[:1000]))
        return outcomes + [
            Outcome(getattr(o, "version", None), existed=True) for o in batch.operations[1000:]
        ]


@mutant("batch.over_existing")
class BatchForgetsType(MemoryAdapter):
    """A batch does not keep the content type that a single write keeps."""

    async def set_batch(self, puts: Iterable[Put], *, atomic: bool = False) -> list[Version]:
        """Write without it."""
        plain = [replace(put, content_type="application/octet-stream") for put in puts]
        return await super().set_batch(plain, atomic=atomic)


@mutant("batch.version_per_item")
class OneVersionForAll(MemoryAdapter):
    """All records of a batch get the version of the first."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        puts = [operation for operation in batch.operations if isinstance(operation, Put)]
        for put in puts:
            put.version = puts[0].version
        return await super()._write(batch)


@mutant("batch.ttl_applies")
class FirstExpiryForAll(MemoryAdapter):
    """All records of a batch get the deadline of the first."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        puts = [operation for operation in batch.operations if isinstance(operation, Put)]
        for put in puts:
            put.expires_at = puts[0].expires_at
        return await super()._write(batch)


@mutant("batch.delete_count")
class CountsRequests(MemoryAdapter):
    """delete_batch counts the keys asked for."""

    async def delete_batch(self, collection: str, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Delete and count wrongly."""
        wanted = list(keys)
        await super().delete_batch(collection, wanted, atomic=atomic)
        return len(wanted)


@mutant("batch.partial_report", "cas.check_alone")
class ReportsSuccess(MemoryAdapter):
    """A batch that fails in part reports success."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        return [o._replace(error=None) for o in outcomes] if len(outcomes) > 1 else outcomes


@mutant("batch.partial_report")
class ReportsNeighbour(MemoryAdapter):
    """A conflict in a batch carries the version of another of its records."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        errors = [o.error for o in outcomes if isinstance(o.error, VersionConflict)]
        for error in errors[1:]:
            error.current = errors[0].current
        return outcomes


@mutant("batch.atomic_all_or_none", "batch.atomic_large", "cas.batch")
class PieceByPiece(MemoryAdapter):
    """An atomic batch is applied piece by piece until one fails."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        outcomes, now = [], self.clock()
        for check in batch.queries:
            self._check_query(check, batch.own)
        for index, operation in enumerate(batch.operations):
            if conflict := self._conflict(operation, index, now):
                raise conflict
            outcomes.append(self._apply(operation, now))
        return outcomes


@mutant("batch.atomic_applies", "batch.mixed_collections")
class OneCollectionABatch(MemoryAdapter):
    """A batch goes into the collection of its first item."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        first = batch.operations[0].collection if batch.operations else ""
        kept = [operation for operation in batch.operations if operation.collection == first]
        done = dict(zip(map(id, kept), await super()._write(replace(batch, operations=kept)), strict=True))
        return [
            done.get(id(o), Outcome(getattr(o, "version", None), existed=False)) for o in batch.operations
        ]


@mutant("batch.atomic_missing_delete", "txn.commit_applies", "batch.store_atomic")
class DeleteMustExist(MemoryAdapter):
    """In an atomic batch deleting what is missing is a conflict."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        now = self.clock()
        for operation in batch.operations:
            found = self._find(operation.collection, operation.key, now)
            if batch.atomic and isinstance(operation, Delete) and found is None:
                raise VersionConflict(key=operation.key)
        return await super()._write(batch)


@mutant("batch.atomic_checks_before", "txn.own_query_with_limit")
class ChecksAfterwards(MemoryAdapter):
    """The queries of an atomic batch are judged after its changes, which are then taken back."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        kept = {name: dict(records) for name, records in self._collections.items()}
        outcomes = await super()._write(replace(batch, queries=()))
        try:
            for check in batch.queries:
                self._check_query(check, batch.own)
        except VersionConflict:
            self._collections.clear()
            self._collections.update(kept)
            raise
        return outcomes


@mutant("batch.atomic_large")
class AtomicInHundreds(MemoryAdapter):
    """An atomic batch is applied by the hundred."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for start in range(0, len(batch.operations), 100):
            part = batch.operations[start : start + 100]
            outcomes += await super()._write(replace(batch, operations=part))
        return outcomes or await super()._write(batch)


@mutant("batch.atomic_checked_query", "txn.phantom", "txn.write_skew", "txn.store_conflict")
class IgnoresQueries(MemoryAdapter):
    """The queries that an atomic batch depends on are not run again."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        """Do nothing."""


@mutant("txn.phantom_empty", "batch.atomic_checked_query")
class IgnoresEmptyQueries(MemoryAdapter):
    """A query that found nothing is not run again."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        if check.found:
            super()._check_query(check, own)


@mutant("batch.atomic_visible", "txn.commit_visible_all_or_none")
class VisibleInPart(MemoryAdapter):
    """Others can look in between two changes of an atomic batch."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(replace(batch, operations=batch.operations[:1]))
        for operation in batch.operations[1:]:
            await asyncio.sleep(0)
            outcomes += await super()._write(WriteBatch((operation,), atomic=batch.atomic))
        return outcomes


@mutant("batch.replace_atomic")
class DeletesThenInserts(MemoryAdapter):
    """Overwriting deletes, lets others look, and inserts."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if len(batch.operations) == 1 and isinstance(put := batch.operations[0], Put):
            now = self.clock()
            kept = self._find(put.collection, put.key, now)
            if kept is not None and self._conflict(put, 0, now) is None:
                del self._collections[put.collection][put.key]
                await asyncio.sleep(0)
                self._collections[put.collection][put.key] = kept
        return await super()._write(batch)


@mutant("batch.neighbours")
class ExpiryTakesNeighbours(MemoryAdapter):
    """When one key of a batch has expired, all its keys are deleted."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        records = self._collections.get(collection, {})
        if any(record is None and key in records for key, record in zip(keys, found, strict=True)):
            for key in keys:
                records.pop(key, None)
        return found


@mutant("batch.atomic_limit")
class UncheckedLimit(MemoryAdapter):
    """Declares a limit to atomic batches, and takes larger ones."""

    capabilities: Capabilities = replace(
        MemoryAdapter.capabilities, limits=replace(MemoryAdapter.capabilities.limits, max_atomic_ops=64)
    )

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write without a check."""
        return await self._write(batch)


@mutant("batch.version_per_item", "cas.version_changes_on_every_write")
class VersionOfValue(MemoryAdapter):
    """The version of a record is a digest of its value."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Put):
            operation.version = operation.value.hex()[:32] or "empty"
        return super()._apply(operation, now)
