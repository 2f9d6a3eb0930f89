"""Mutants whose transactions are none, or leak."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from daystore.abc import (
    ABSENT,
    ANY,
    Check,
    Delete,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    RecordTransaction,
    WriteBatch,
)
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import DaystoreError, VersionConflict
from daystore_compliance.mutants.base import mutant


class Begins(MemoryAdapter):
    """Begins transactions of another class. Base of mutants, and none itself."""

    transaction_class: type[RecordTransaction] = RecordTransaction

    def transaction(self) -> RecordTransaction:
        """Begin one of them."""
        super().transaction()
        return self.transaction_class(self)


class _WritesThrough(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        existed = await super().write(operations)
        await self._adapter.write(WriteBatch(list(operations)))
        return existed


@mutant("txn.rollback_on_exception", "txn.no_dirty_read", "txn.abort", "txn.cancel_before_commit")
class WritesThrough(Begins):
    """Writes of a transaction are applied at once."""

    transaction_class: type[RecordTransaction] = _WritesThrough


class _Blind(RecordTransaction):
    async def read(self, collection: str, keys: Sequence[str]) -> list[Record | None]:
        with self._use():
            return await self._adapter.read(collection, keys)


@mutant("txn.read_your_writes", "txn.repeatable_read")
class ReadsOutside(Begins):
    """Reading in a transaction sees what everybody sees."""

    transaction_class: type[RecordTransaction] = _Blind


class _QueriesOutside(RecordTransaction):
    async def query(self, query: Query) -> Page:
        return await self._run(query)


@mutant("txn.read_your_writes", "txn.pages", "txn.own_query_with_limit")
class QueriesOutside(Begins):
    """Querying in a transaction does not see its own writes."""

    transaction_class: type[RecordTransaction] = _QueriesOutside


class _SwallowsConflict(RecordTransaction):
    async def commit(self) -> None:
        try:
            await super().commit()
        except DaystoreError:
            self._state = "committed"


@mutant("txn.conflict")
class SwallowsConflict(Begins):
    """A commit that fails looks like one that succeeds."""

    transaction_class: type[RecordTransaction] = _SwallowsConflict


class _Reusable(RecordTransaction):
    def _require_open(self) -> None:
        if self._state in ("committed", "aborted"):
            self._state = "open"


@mutant("txn.use_after_end", "txn.concurrent_use")
class NeverEnds(Begins):
    """A transaction can be used after its end, and by two tasks at once."""

    transaction_class: type[RecordTransaction] = _Reusable


class _ChecksWrites(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        batch = super()._batch()
        if batch is None:
            return None
        written = [o for o in batch.operations if not isinstance(o, Check)]
        return WriteBatch(written, atomic=True)


@mutant("txn.write_skew", "txn.stale_each", "txn.read_only")
class SnapshotAsSerializable(Begins):
    """Only what is written is checked: write skew is possible."""

    transaction_class: type[RecordTransaction] = _ChecksWrites


class _ForgetsMissing(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        batch = super()._batch()
        if batch is None:
            return None
        kept = [o for o in batch.operations if not (isinstance(o, Check) and o.expect is ABSENT)]
        return replace(batch, operations=kept)


@mutant("txn.missing_key_checked")
class ForgetsMissing(Begins):
    """That a key was missing is not checked at commit."""

    transaction_class: type[RecordTransaction] = _ForgetsMissing


class _ChecksEverything(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        for operation in operations:
            await self.read(operation.collection, [operation.key])
        return await super().write(operations)


@mutant("txn.blind_writes")
class ReadsBeforeWrites(Begins):
    """Every write reads first, and so conflicts with what it did not ask for."""

    transaction_class: type[RecordTransaction] = _ChecksEverything


class _ForgetsConditions(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        return await super().write([replace(operation, expect=ANY) for operation in operations])


@mutant("txn.conditions")
class ForgetsConditions(Begins):
    """Conditions inside a transaction are ignored."""

    transaction_class: type[RecordTransaction] = _ForgetsConditions


class _LosesExpiry(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        kept = [replace(o, expires_at=None) if isinstance(o, Put) else o for o in operations]
        return await super().write(kept)


@mutant("txn.expiry")
class LosesExpiry(Begins):
    """Deadlines are lost inside a transaction."""

    transaction_class: type[RecordTransaction] = _LosesExpiry


class _WholeCollection(RecordTransaction):
    async def query(self, query: Query) -> Page:
        page = await super().query(query)
        await super().query(Query(query.collection))
        return page


@mutant("txn.others_unaffected")
class ChecksTheCollection(Begins):
    """A query depends on the whole collection."""

    transaction_class: type[RecordTransaction] = _WholeCollection


@mutant("txn.holds_no_connection", "txn.conflict")
class LocksTheStore(Begins):
    """A transaction holds a lock from its begin to its end, and others are turned away."""

    class _Locking(RecordTransaction):
        async def read(self, collection: str, keys: Sequence[str]) -> list[Record | None]:
            """Lock, then read."""
            owner = self._adapter.__dict__.setdefault("_owner", self)
            if owner is not self and owner.state == "open":
                raise VersionConflict("locked")
            self._adapter.__dict__["_owner"] = self
            return await super().read(collection, keys)

    transaction_class: type[RecordTransaction] = _Locking


@mutant("txn.counters", "txn.retry_counts")
class CommitsInTurns(MemoryAdapter):
    """A commit judges, lets others run, and applies."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        now = self.clock()
        for index, operation in enumerate(batch.operations):
            if conflict := self._conflict(operation, index, now):
                raise conflict
        for check in batch.queries:
            self._check_query(check, batch.own)
        await asyncio.sleep(0)
        return [self._apply(operation, now) for operation in batch.operations]


@mutant("txn.stores", "txn.commit_applies", "txn.agent_stores", "txn.nested", "txn.store_refusals")
class LosesTheFirst(MemoryAdapter):
    """An atomic batch of more than one change loses its first."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        changes = [o for o in batch.operations if not isinstance(o, Check)]
        if not batch.atomic or len(changes) < 2:
            return await super()._write(batch)
        lost = changes[0]
        kept = [o for o in batch.operations if o is not lost]
        await super()._write(replace(batch, operations=kept))
        return [Outcome(getattr(o, "version", None), existed=True) for o in batch.operations]


@mutant("txn.limits")
class UncheckedInside(MemoryAdapter):
    """Limits are not looked at inside a transaction."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Skip the checks of atomic batches."""
        return await self._write(batch) if batch.atomic else await super().write(batch)
