"""Mutants whose commits depend on their size, on who else writes, or on how they fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from weakref import WeakKeyDictionary

from daystore.abc import (
    ANY,
    Check,
    Outcome,
    Put,
    RecordTransaction,
    WriteBatch,
    new_version,
)
from daystore.abc.record import Operation, Release
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, DaystoreError, OutcomeUnknown
from daystore_compliance.mutants.base import mutant, unconditional
from daystore_compliance.mutants.transactions import Begins


@mutant("txn.sizes[1]")
class OneChangeUnchecked(MemoryAdapter):
    """An atomic batch of one change goes the way of a plain write, without its condition."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and len(batch.operations) == 1 and not isinstance(batch.operations[0], Check):
            batch = replace(batch, operations=[unconditional(batch.operations[0])])
        return await super()._write(batch)


@mutant("txn.sizes[101]", "txn.sizes[1000]")
class LargeCommitsInParts(MemoryAdapter):
    """An atomic batch of more than a hundred operations is applied in two halves."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        middle = len(batch.operations) // 2
        if not batch.atomic or middle < 50:
            return await super()._write(batch)
        first = await super()._write(replace(batch, operations=batch.operations[:middle]))
        return first + await super()._write(WriteBatch(batch.operations[middle:], atomic=True))


@mutant("txn.version_kept")
class CommitsGiveVersions(MemoryAdapter):
    """A commit of several changes gives its records other versions than the transaction told."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and len(batch.operations) > 2:
            kept = [
                replace(o, version=new_version()) if isinstance(o, Put) and o.expect is not ANY else o
                for o in batch.operations
            ]
            again = [replace(o, version=new_version()) if isinstance(o, Put) else o for o in kept]
            await super()._write(replace(batch, operations=again))
            return [Outcome(getattr(o, "version", None), existed=True) for o in batch.operations]
        return await super()._write(batch)


@mutant("txn.conflict_across", "txn.counters_apart")
class ConflictsOfThisProcess(MemoryAdapter):
    """A commit looks for conflicts among the writes that went through its own adapter."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        own: set[str] = self.__dict__.setdefault("_own_versions", set())
        if batch.atomic:
            batch = replace(batch, operations=[self._excused(o) for o in batch.operations])
        own.update(o.version for o in batch.operations if isinstance(o, Put))
        return await super()._write(batch)

    def _excused(self, operation: Operation) -> Operation:
        current = self._find(operation.collection, operation.key, self.clock())
        if current is None or current.version in self.__dict__["_own_versions"]:
            return operation
        if isinstance(operation, Release) or not isinstance(operation.expect, str):
            return operation
        return replace(operation, expect=current.version)


_commits: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@mutant("txn.counters_apart")
class CommitsBesidePlainWrites(MemoryAdapter):
    """Commits wait for each other, and a plain conditional write slips in between judging and applying."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        async with _commits.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            now = self.clock()
            for index, operation in enumerate(batch.operations):
                if conflict := self._conflict(operation, index, now):
                    raise conflict
            for check in batch.queries:
                self._check_query(check, batch.own)
            await asyncio.sleep(0)
            return [self._apply(operation, now) for operation in batch.operations]


@mutant("txn.failed_commit_raises")
class CommitErrorsLost(Begins):
    """A commit whose connection is lost returns as if it had been applied."""

    class _Lost(RecordTransaction):
        async def _run_commit(self, batch: WriteBatch) -> None:
            try:
                await super()._run_commit(batch)
            except BackendUnavailable:
                self._state = "committed"

    transaction_class: type[RecordTransaction] = _Lost


@mutant("txn.failed_commit_raises")
class SendsUnknownAgain(Begins):
    """A commit whose outcome is unknown is sent again, and meets itself."""

    class _Again(RecordTransaction):
        async def _run_commit(self, batch: WriteBatch) -> None:
            try:
                await super()._run_commit(batch)
            except OutcomeUnknown:
                await super()._run_commit(batch)

    transaction_class: type[RecordTransaction] = _Again


@mutant("txn.failed_commit_raises")
class UnknownIsAborted(Begins):
    """After a commit whose outcome is unknown the transaction says that nothing was applied."""

    class _Aborted(RecordTransaction):
        async def _run_commit(self, batch: WriteBatch) -> None:
            try:
                await super()._run_commit(batch)
            except DaystoreError:
                self._state = "aborted"
                raise

    transaction_class: type[RecordTransaction] = _Aborted


@mutant("txn.compare_and_put")
class ReadsAreWritten(MemoryAdapter):
    """A check that a key is missing leaves an empty record there."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        for operation in batch.operations:
            record = self._find(operation.collection, operation.key, self.clock())
            if batch.atomic and isinstance(operation, Check) and record is None:
                kept = Put(operation.collection, operation.key, b"")
                await super()._write(WriteBatch([kept]))
        return outcomes


@mutant("txn.collections_together")
class OtherCollectionsUnchecked(MemoryAdapter):
    """A commit over several collections checks those of its first."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic or not batch.operations:
            return await super()._write(batch)
        first = batch.operations[0].collection
        kept = [
            o if o.collection == first else unconditional(o)
            for o in batch.operations
            if o.collection == first or not isinstance(o, Check)
        ]
        outcomes = iter(await super()._write(replace(batch, operations=kept)))
        return [
            Outcome(None, existed=False) if isinstance(o, Check) and o.collection != first else next(outcomes)
            for o in batch.operations
        ]
