"""Mutants that are right on most ways to a record, and wrong on one of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daystore.abc import (
    ANY,
    EVENTUAL,
    KEEP,
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
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant

_ENTRIES = ("content_type", "schema", "schema_version", "encodings")


def _entries_of(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _ENTRIES}


@mutant("rec.every_path[on condition]")
class ConditionKeepsEntries(MemoryAdapter):
    """A conditional overwrite replaces value and fields, and leaves the rest of the envelope."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put) and isinstance(operation.expect, str) and old is not None:
            operation = replace(operation, **_entries_of(old))
        return super()._apply(operation, now)


@mutant("rec.every_path[alone]")
class KeepingKeepsEntries(MemoryAdapter):
    """A write that keeps the deadline keeps the content type, the schema and the encodings as well."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put) and operation.expires_at is KEEP and old is not None:
            operation = replace(operation, **_entries_of(old))
        return super()._apply(operation, now)


@mutant("rec.every_path[atomic]")
class AtomicDropsEntries(MemoryAdapter):
    """An atomic batch drops what is neither value nor field."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            batch = copy.copy(batch)
            batch.operations = [
                replace(o, schema=None, schema_version=None) if isinstance(o, Put) else o
                for o in batch.operations
            ]
        return await super()._write(batch)


@mutant("rec.every_path[among others]")
class BatchDropsEncodings(MemoryAdapter):
    """A batch of several drops encodings."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if len(batch.operations) > 1:
            batch = copy.copy(batch)
            batch.operations = [
                replace(o, encodings=()) if isinstance(o, Put) else o for o in batch.operations
            ]
        return await super()._write(batch)


@mutant("rec.every_path[alone]")
class LargeDropsEntries(MemoryAdapter):
    """A value over 8 KiB is kept elsewhere, without its encodings."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Put) and len(operation.value) > 8192:
            operation = replace(operation, encodings=())
        return super()._apply(operation, now)


@mutant("rec.every_path[alone]")
class PagesWithoutSchema(MemoryAdapter):
    """A page with a limit shows records without their schema."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        if query.limit is not None:
            for record in page.records:
                record.schema = record.schema_version = None
        return page


@mutant("rec.every_path[alone]")
class ManyWithoutEncodings(MemoryAdapter):
    """Reading several keys at once returns records without their encodings."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        for record in found:
            if record is not None and len(keys) > 1:
                record.encodings = ()
        return found


@mutant("rec.every_path[alone]")
class FallingWithoutDeadline(MemoryAdapter):
    """A query in falling order shows records without their deadline."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        if query.order.descending:
            for record in page.records:
                record.expires_at = None
        return page


@mutant("rec.every_path[atomic]")
class AtomicCreatesAnew(MemoryAdapter):
    """In an atomic batch an unconditional overwrite of a record with a deadline sets created_at anew."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        now = self.clock()
        old = [self._find(o.collection, o.key, now) for o in batch.operations]
        outcomes = await super()._write(batch)
        for operation, before in zip(batch.operations, old, strict=True):
            if batch.atomic and isinstance(operation, Put) and before is not None and before.expires_at:
                self._collections[operation.collection][operation.key].created_at = now
        return outcomes


class Residue(MemoryAdapter):
    """Remembers what was deleted. Base of mutants, and none itself."""

    def leaves(self, operation: Delete) -> bool:
        """Tell whether a delete leaves something behind."""
        return True

    def revived(self, record: Record, old: Record) -> None:
        """Give something of the old record to the new one."""
        record.created_at = old.created_at

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        residue = self.__dict__.setdefault("_residue", {})
        name = (operation.collection, operation.key)
        old = self._find(*name, now)
        if isinstance(operation, Delete) and old is not None and self.leaves(operation):
            residue[name] = old
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and not outcome.existed and name in residue:
            self.revived(self._collections[operation.collection][operation.key], residue.pop(name))
        return outcome


@mutant("del.then_recreate_any_way")
class ConditionLeavesFields(Residue):
    """A conditional delete leaves the fields behind, and a new record under the key finds them."""

    def leaves(self, operation: Delete) -> bool:
        """Look at the condition."""
        return operation.expect is not ANY

    def revived(self, record: Record, old: Record) -> None:
        """Merge the fields."""
        record.fields = {**old.fields, **record.fields}


@mutant("del.then_recreate_any_way")
class KeepsDeletedDeadline(Residue):
    """Keeping the deadline finds that of the record that was deleted."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        self.__dict__["_keeps"] = isinstance(operation, Put) and operation.expires_at is KEEP
        return super()._apply(operation, now)

    def revived(self, record: Record, old: Record) -> None:
        """Take the deadline."""
        if self.__dict__["_keeps"]:
            record.expires_at = old.expires_at


@mutant("del.then_recreate_any_way")
class KeepsExpiredEntries(MemoryAdapter):
    """A write that keeps the deadline over an expired record inherits its created_at."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        raw = self._collections.get(operation.collection, {}).get(operation.key)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and operation.expires_at is KEEP and raw is not None:
            self._collections[operation.collection][operation.key].created_at = raw.created_at
        return outcome


class Placeholders(MemoryAdapter):
    """Leaves something where nothing is. Base of mutants, and none itself."""

    def leave(self, collection: str, key: str, now: Instant) -> None:
        """Leave a record of nothing."""
        self._collections.setdefault(collection, {}).setdefault(key, Record(key, b"", "blank", now, now))


@mutant("miss.looking_leaves_nothing")
class RefusedPutLeaves(Placeholders):
    """A conditional put that is refused for want of a record leaves one of nothing."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        for operation, outcome in zip(batch.operations, outcomes, strict=True):
            if outcome.error is not None and isinstance(operation, Put):
                self.leave(operation.collection, operation.key, self.clock())
        return outcomes


@mutant("miss.looking_leaves_nothing")
class CheckOfAbsenceLeaves(Placeholders):
    """Checking in an atomic batch that a record is absent locks it, by creating it."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        if batch.atomic:
            for operation in batch.operations:
                if not isinstance(operation, (Put, Delete)):
                    self.leave(operation.collection, operation.key, self.clock())
        return outcomes


@mutant("rec.every_path[in a transaction]")
class TransactionDropsSchema(MemoryAdapter):
    """A transaction drops the schema version of what is written in it."""

    def transaction(self) -> _DropsSchema:
        """Begin one that does that."""
        super().transaction()  # for what it refuses
        return _DropsSchema(self)


class _DropsSchema(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        return await super().write(
            [replace(o, schema_version=None) if isinstance(o, Put) else o for o in operations]
        )


@mutant("rec.every_path[alone]")
class GetForgetsFields(MemoryAdapter):
    """get is a shorter way than read, and leaves lists out of the fields."""

    async def get(self, collection: str, key: str, consistency: Consistency = EVENTUAL) -> Record | None:
        """Read one record."""
        record = await super().get(collection, key, consistency)
        if record is not None:
            record.fields = {n: v for n, v in record.fields.items() if not isinstance(v, tuple)}
        return record


@mutant("rec.every_path[alone]")
class ReopensWithoutEncodings(MemoryAdapter):
    """What was applied to the bytes of a value is lost at a close."""

    async def _close(self) -> None:
        for records in self._collections.values():
            for record in records.values():
                record.encodings = ()
