"""Mutants whose commits check a part of what was read: so many, so large, so early, or so alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from daystore import Transaction
from daystore.abc import (
    ABSENT,
    Check,
    CheckQuery,
    Delete,
    Instant,
    Outcome,
    Page,
    Put,
    Query,
    RecordTransaction,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.transaction_stores import Transacts
from daystore_compliance.mutants.transactions import Begins


@mutant("txn.many_queries", "txn.mixed_reads")
class FirstQueryChecked(MemoryAdapter):
    """Of the queries of an atomic batch the first is run again."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        return await super()._write(replace(batch, queries=batch.queries[:1]))


@mutant("txn.many_queries")
class TenQueriesChecked(MemoryAdapter):
    """Of the queries of an atomic batch ten are run again."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        return await super()._write(replace(batch, queries=batch.queries[:10]))


@mutant("txn.large_query")
class LargeQueriesUnchecked(MemoryAdapter):
    """A query that found more than a thousand records is not run again."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        small = [check for check in batch.queries if len(check.found) <= 1000]
        return await super()._write(replace(batch, queries=small))


@mutant("txn.mixed_reads")
class QueriesInPlaceOfChecks(MemoryAdapter):
    """An atomic batch that depends on queries does not look at its checks."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.queries:
            return await super()._write(batch)
        kept = [operation for operation in batch.operations if not isinstance(operation, Check)]
        outcomes = iter(await super()._write(replace(batch, operations=kept)))
        return [
            Outcome(None, existed=True) if isinstance(o, Check) else next(outcomes) for o in batch.operations
        ]


@mutant("txn.mixed_reads")
class ReadAfterWriteUnchecked(Begins):
    """What a transaction reads after its first write is not checked at commit."""

    class _Early(RecordTransaction):
        async def _see(self, collection: str, keys: Sequence[str]) -> None:
            await super()._see(collection, keys)
            if self._writes:
                late: set[tuple[str, str]] = self.__dict__.setdefault("_late", set())
                late.update((collection, key) for key in keys)

        def _batch(self) -> WriteBatch | None:
            batch, late = super()._batch(), self.__dict__.get("_late", set())
            if batch is None:
                return None
            kept = [
                o for o in batch.operations if not (isinstance(o, Check) and (o.collection, o.key) in late)
            ]
            return replace(batch, operations=kept)

    transaction_class: type[RecordTransaction] = _Early


@mutant("txn.keys_alike")
class ChecksFoldCase(MemoryAdapter):
    """A check of a key that is not in lower case holds as long as there is a record."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation, Check) and operation.expect is not ABSENT and not operation.key.islower():
            return None
        return super()._conflict(operation, index, now)


@mutant("txn.keys_alike")
class AbsenceOfAllAlike(MemoryAdapter):
    """That a key is missing is checked without regard to accents and case."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation, Check) and operation.expect is ABSENT:
            for key in self._collections.get(operation.collection, {}):
                if key.casefold() == operation.key.casefold():
                    operation = replace(operation, key=key)
        return super()._conflict(operation, index, now)


@mutant("txn.value_sizes")
class AtomicCutAt64K(MemoryAdapter):
    """In an atomic batch values are cut at 64 KiB."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            kept = [
                replace(o, value=o.value[: 1 << 16]) if isinstance(o, Put) else o for o in batch.operations
            ]
            batch = replace(batch, operations=kept)
        return await super()._write(batch)


@mutant("txn.abort_then_error")
class AbortSwallowsErrors(Transacts):
    """A block that was aborted ends without an error, whatever it raised afterwards."""

    class _Swallows(Transaction):
        async def __aexit__(  # type: ignore[override] # the fault: it says that the error is dealt with
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> bool:
            """Swallow it."""
            aborted = self._ended
            await super().__aexit__(kind, error, trace)
            return aborted

    transaction_class: type[Transaction] = _Swallows


@mutant("txn.last_write_counts")
class DeleteTakesBackThePut(Begins):
    """A delete of what the transaction wrote without reading it takes the write back, and deletes nothing."""

    class _TakesBack(RecordTransaction):
        async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
            """Forget the write."""
            own = {name for name, one in self._writes.items() if isinstance(one, Put)} - self._seen.keys()
            existed = await super().write(operations)
            for one in operations:
                if isinstance(one, Delete) and (one.collection, one.key) in own:
                    del self._writes[one.collection, one.key]
            return existed

    transaction_class: type[RecordTransaction] = _TakesBack


@mutant("txn.phantom_after_page")
class ChecksThePageAlone(Begins):
    """Of a page that was the last one only its records are checked, not that it was the last."""

    class _ThePage(RecordTransaction):
        def _check_of(self, query: Query, page: Page) -> CheckQuery:
            return CheckQuery(query, [(record.key, record.version) for record in page.records])

    transaction_class: type[RecordTransaction] = _ThePage
