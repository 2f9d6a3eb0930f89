"""Mutants of batches and conditions: what goes wrong when several changes travel together."""

from __future__ import annotations

from dataclasses import replace

from daystore.abc import ABSENT, ANY, Check, CheckQuery, Delete, Instant, Outcome, Put, WriteBatch
from daystore.abc.evaluate import evaluate_query
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore_compliance.mutants.base import mutant


def _conflict(adapter: MemoryAdapter) -> VersionConflict:
    return VersionConflict("a query finds something else", backend=adapter.name, operation="write")


# §3: "Applies a batch and returns an `Outcome` for each operation, in order."
@mutant("batch.partial_report", bugs=("Dilcore-Official/Dilcore-MongoDb#83",))
class FailedOutcomesComeLast(MemoryAdapter):
    """Returns the outcomes of a batch that is not atomic with the failed ones at the end."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        return outcomes if batch.atomic else sorted(outcomes, key=lambda o: o.error is not None)


# §3: "every expectation and every checked query is judged at one instant": a check, wherever it is.
@mutant("batch.check_elsewhere")
class ForeignChecksAreIgnored(MemoryAdapter):
    """Ignores a ``Check`` in a collection that an atomic batch does not write to."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self._written_to = {o.collection for o in batch.operations if not isinstance(o, Check)}
        return await super()._write(batch)

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation, Check) and self._written_to and operation.collection not in self._written_to:
            return None
        return super()._conflict(operation, index, now)


# §3: "It finds the same keys at the same versions in the same order".
@mutant("batch.query_order")
class CheckedQueriesAreSets(MemoryAdapter):
    """Compares what a checked query finds without its order."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        page = evaluate_query(self._live(check.query.collection), check.query)
        if sorted((r.key, r.version) for r in page.records) != sorted(check.found):
            raise _conflict(self)


# §3: "The query is run again inside the batch, with its limit, offset and cursor".
@mutant("txn.limited_query_checked")
class CheckedQueriesForgetTheCursor(MemoryAdapter):
    """Runs a checked query that had a cursor from the beginning, and looks whether the records are among them."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        if check.query.cursor is None:
            super()._check_query(check, own)
            return
        query = replace(check.query, cursor=None, limit=None)
        found = {(r.key, r.version) for r in evaluate_query(self._live(query.collection), query).records}
        if not set(check.found) <= found:
            raise _conflict(self)


# §3: "every checked query is judged".
@mutant("batch.query_each")
class OneCheckedQueryACollection(MemoryAdapter):
    """Judges the last of several checked queries on a collection."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        last = {check.query.collection: check for check in batch.queries}
        return await super()._write(replace(batch, queries=list(last.values())))


# §3: "judged at one instant, against the state before the batch".
@mutant("batch.atomic_checks_before", bugs=("apache/couchdb#3569",))
class CheckedQueriesSeeTheDeletes(MemoryAdapter):
    """Judges checked queries after the deletes of the batch: to delete what was found is a conflict."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        gone = {(o.collection, o.key) for o in self._batch.operations if isinstance(o, Delete)}
        records = [
            r for r in self._live(check.query.collection) if (check.query.collection, r.key) not in gone
        ]
        page = evaluate_query(records, check.query)
        if [(r.key, r.version) for r in page.records] != list(check.found):
            raise _conflict(self)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self._batch = batch
        return await super()._write(batch)


# §3: "`existed` (whether a live record was there before)".
@mutant("batch.atomic_missing_delete")
class AtomicDeletesAlwaysExisted(MemoryAdapter):
    """Says of every ``Delete`` in an atomic batch with several operations that there was a record."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        if batch.atomic and len(batch.operations) > 1:
            return [
                o._replace(existed=True) if isinstance(operation, Delete) else o
                for o, operation in zip(outcomes, batch.operations, strict=True)
            ]
        return outcomes


# §6: a conflict has "the current version in `.current`".
@mutant("cas.delete_if")
class DeleteConflictsHideTheVersion(MemoryAdapter):
    """Does not tell the current version when the expectation of a ``Delete`` fails."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        if conflict is not None and isinstance(operation, Delete):
            conflict.current = None
        return conflict


# §3: the expectation of a `Delete` may be `ABSENT`, and is judged.
@mutant("batch.atomic_all_or_none")
class DeleteOfAbsentIsUnconditional(MemoryAdapter):
    """Takes ``ABSENT`` as the expectation of a ``Delete`` for none, as there would be nothing to delete."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation, Delete) and operation.expect is ABSENT:
            return None
        return super()._conflict(operation, index, now)


# §3: "Not atomic: each operation is applied by itself".
@mutant("opt.matrix[batch]", bugs=("ohdearquant/khive#2605",))
class AbsentFailuresAbortTheirKind(MemoryAdapter):
    """Refuses every later ``Put`` under ``ABSENT`` of a batch that is not atomic once one of them has failed."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            return await super()._write(batch)
        outcomes: list[Outcome] = []
        failed: Outcome | None = None
        for operation in batch.operations:
            creates = isinstance(operation, Put) and operation.expect is ABSENT
            if creates and failed is not None:
                outcomes.append(failed)
                continue
            outcome = (await super()._write(WriteBatch([operation])))[0]
            if creates and outcome.error is not None:
                failed = outcome
            outcomes.append(outcome)
        return outcomes


# §3: "Atomic: […] If one does not hold, […] nothing changes."
@mutant("batch.query_each")
class LastExpectationIsJudgedLate(MemoryAdapter):
    """Applies the deletes of an atomic batch before it judges its checked queries: they stay applied."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and batch.queries and any(isinstance(o, Delete) for o in batch.operations):
            now = self.clock()
            for index, operation in enumerate(batch.operations):
                if conflict := self._conflict(operation, index, now):
                    raise conflict
            saved = {name: dict(records) for name, records in self._collections.items()}
            try:
                return await super()._write(batch)
            except VersionConflict:
                for operation in batch.operations:
                    if isinstance(operation, Delete) and operation.key in saved.get(operation.collection, {}):
                        self._apply(operation, now)
                raise
        return await super()._write(batch)


# §6: "`if_version=v` holds if there is a live record, at version `v`".
@mutant("cas.stale_rejected")
class OldVersionsAreAccepted(MemoryAdapter):
    """Accepts the version before the current one, if both were written at one instant."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._before: dict[tuple[str, str], tuple[str, Instant]] = {}

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if old is not None and isinstance(operation, Put):
            self._before[operation.collection, operation.key] = (old.version, now)
        return super()._apply(operation, now)

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        if conflict is None or conflict.current is None or operation.expect in (ANY, ABSENT):
            return conflict
        before = self._before.get((operation.collection, operation.key))
        return None if before == (operation.expect, now) else conflict
