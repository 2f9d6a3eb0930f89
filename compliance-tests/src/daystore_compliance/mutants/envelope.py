"""Mutants that bring a record back changed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from daystore.abc import ANY, Consistency, Delete, Instant, Outcome, Put, Record, WriteBatch
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import LimitExceeded, SerializationError
from daystore_compliance.mutants.base import Stepwise, mutant


class Changed(MemoryAdapter):
    """Changes what is put before it is kept. Base of mutants, and none itself."""

    def changed(self, put: Put) -> Put:
        """Return what is kept instead."""
        return put

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        return super()._apply(self.changed(operation) if isinstance(operation, Put) else operation, now)


class ChangedFields(Changed):
    """Changes each field before it is kept. Base of mutants, and none itself."""

    def field(self, value: Any) -> Any:
        """Return what is kept instead."""
        return value

    def changed(self, put: Put) -> Put:
        """Change every field."""
        return replace(put, fields={name: self.field(value) for name, value in put.fields.items()})


@mutant("rec.bytes_exact")
class BytesAsText(Changed):
    """Bytes are kept as text."""

    def changed(self, put: Put) -> Put:
        """Decode and encode."""
        return replace(put, value=put.value.decode(errors="replace").encode())


@mutant("rec.bytes_exact")
class DecodesBase64(Changed):
    """Bytes that read as base64 are decoded."""

    def changed(self, put: Put) -> Put:
        """Decode what can be decoded."""
        try:
            return replace(put, value=base64.b64decode(put.value, validate=True) if put.value else b"")
        except binascii.Error:
            return put


@mutant("rt.size_sweep")
class CutAt64K(Changed):
    """Values are cut at 64 KiB."""

    def changed(self, put: Put) -> Put:
        """Cut it."""
        return replace(put, value=put.value[: 1 << 16])


@mutant("rt.size_over_limit", "rec.field_limits")
class CutsTooLarge(MemoryAdapter):
    """What is too large is cut instead of refused."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write, and cut when refused."""
        try:
            return await super().write(batch)
        except LimitExceeded:
            for operation in batch.operations:
                if isinstance(operation, Put):
                    operation.value, operation.fields = operation.value[:1000], {}
            return await super().write(batch)


@mutant("rec.field_refused", "batch.bad_item")
class SkipsBadItems(MemoryAdapter):
    """An item that cannot be written is left out of its batch."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write the items one by one, and swallow what is refused."""
        outcomes = []
        for operation in batch.operations:
            try:
                outcomes += await super().write(WriteBatch((operation,)))
            except SerializationError:
                outcomes.append(Outcome(None, existed=False))
        return outcomes


@mutant("rec.times")
class CreatedOnOverwrite(MemoryAdapter):
    """Overwriting sets created_at anew."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put):
            self._collections[operation.collection][operation.key].created_at = now
        return outcome


@mutant("rec.times", "q.ops.times[updated_at]")
class Milliseconds(MemoryAdapter):
    """Times are kept in milliseconds."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        return super()._apply(operation, now // 1000 * 1000)


@mutant("q.order_times")
class UpdatedNever(MemoryAdapter):
    """updated_at stays at the first write."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put):
            record = self._collections[operation.collection][operation.key]
            record.updated_at = record.created_at
        return outcome


@mutant("rt.envelope_all_paths")
class QueryBlanks(Stepwise):
    """A query returns records without a part of their envelope."""

    def shown(self, record: Record) -> Record:
        """Leave a part out."""
        return replace(super().shown(record), schema_version=None, expires_at=None)


@mutant("rec.entries_replaced", "q.tags.update_moves", "q.store_updates")
class MergesFields(MemoryAdapter):
    """Overwriting merges the new fields into the old."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put) and old is not None:
            operation = replace(operation, fields={**old.fields, **operation.fields})
        return super()._apply(operation, now)


@mutant("rec.fields_exact[int]", "q.store_ops[<]", "q.filter")
class IntegersAsFloats(ChangedFields):
    """Indexed integers are kept as floats."""

    def field(self, value: Any) -> Any:
        """Convert."""
        return float(value) if type(value) is int else value


@mutant("rec.fields_exact[int]")
class IntegersThroughFloats(ChangedFields):
    """Indexed integers pass through a float, and lose digits beyond 2**53."""

    def field(self, value: Any) -> Any:
        """Convert there and back."""
        return int(float(value)) if type(value) is int and abs(value) < 2**62 else value


@mutant("rec.fields_exact[bool]", "q.tags.type_exact", "q.allow_scan")
class BooleansAsIntegers(ChangedFields):
    """Indexed truth values are kept as integers."""

    def field(self, value: Any) -> Any:
        """Convert."""
        return int(value) if type(value) is bool else value


@mutant("rec.fields_exact[float]")
class WholeFloatsAsIntegers(ChangedFields):
    """Indexed floats without a fraction are kept as integers."""

    def field(self, value: Any) -> Any:
        """Convert."""
        return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**60 else value


@mutant("rec.fields_exact[datetime]")
class DatetimesInMilliseconds(ChangedFields):
    """Indexed datetimes are kept in milliseconds."""

    def field(self, value: Any) -> Any:
        """Round."""
        if isinstance(value, datetime):
            return value.replace(microsecond=value.microsecond // 1000 * 1000)
        return value


@mutant("rec.fields_exact[list]", "q.index_types")
class EmptyListsLost(Changed):
    """An empty list is kept as no list at all."""

    def changed(self, put: Put) -> Put:
        """Leave empty lists out."""
        return replace(put, fields={name: value for name, value in put.fields.items() if value != ()})


@mutant("rec.fields_exact[list]")
class ListsAsSets(ChangedFields):
    """The elements of a list are kept as a set."""

    def field(self, value: Any) -> Any:
        """Sort, without duplicates."""
        return tuple(sorted(set(value))) if isinstance(value, tuple) else value


@mutant("rec.fields_exact[str]")
class NulStripped(ChangedFields):
    """NUL is dropped from indexed strings."""

    def field(self, value: Any) -> Any:
        """Drop it."""
        return value.replace("\0", "") if isinstance(value, str) else value


@mutant("rec.field_names", "q.field_names_are_data")
class FieldNamesFolded(Changed):
    """Names of fields do not regard case."""

    def changed(self, put: Put) -> Put:
        """Fold them."""
        return replace(put, fields={name.casefold(): value for name, value in put.fields.items()})


@mutant("rt.no_alias")
class Aliases(MemoryAdapter):
    """What is handed over is kept, and what is kept is handed out."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        now = self.clock()
        return [self._find(collection, key, now) for key in keys]


@mutant("rt.no_alias")
class AliasesFields(MemoryAdapter):
    """The mapping of fields that is handed over is kept as it is."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put):
            self._collections[operation.collection][operation.key].fields = operation.fields
        return outcome


@mutant("rt.arguments_untouched")
class EmptiesArguments(MemoryAdapter):
    """Writing takes the fields out of what was handed over."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        for operation in batch.operations:
            if isinstance(operation, Put) and isinstance(operation.fields, dict):
                operation.fields.clear()
        return outcomes


@mutant("rec.value_is_bytes")
class TakesText(MemoryAdapter):
    """Text is taken for bytes."""

    async def set(self, collection: str, key: str, value: bytes, **options: Any) -> str:
        """Encode what is no bytes."""
        as_bytes = value if type(value) is bytes else str(value).encode()
        return await super().set(collection, key, as_bytes, **options)


@mutant("opt.size_matrix")
class LargeUnconditionally(MemoryAdapter):
    """Values over a threshold are written without regard to conditions."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        for operation in batch.operations:
            if isinstance(operation, Put) and len(operation.value) > 1 << 14:
                operation.expect = ANY
        return await super()._write(batch)


@mutant("miss.exists_agrees", "miss.default", "cas.update_missing")
class ReadCreates(MemoryAdapter):
    """Reading a missing key leaves a record of nothing."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        now = self.clock()
        for key in keys:
            blank = Record(key, b"", "blank", now, now)
            self._collections.setdefault(collection, {}).setdefault(key, blank)
        return found


@mutant("miss.empty_value")
class EmptyIsMissing(MemoryAdapter):
    """A record of zero bytes is taken for missing."""

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        record = super()._find(collection, key, now)
        return record if record is not None and record.value else None


@mutant("del.returns_existed", "batch.outcomes")
class DeleteAlwaysExisted(MemoryAdapter):
    """Delete says that there was a record."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        return outcome._replace(existed=True) if isinstance(operation, Delete) else outcome


@mutant("ser.unknown_codec", "rt.envelope_all_paths")
class LosesEncodings(Changed):
    """What was applied to the bytes of a value is not kept."""

    def changed(self, put: Put) -> Put:
        """Drop it."""
        return replace(put, encodings=())


@mutant("sec.injection")
class JoinsEncodings(Changed):
    """Lists of text are kept joined by commas."""

    def changed(self, put: Put) -> Put:
        """Join and split them."""
        names = ",".join(put.encodings).split(",")
        return replace(put, encodings=tuple(names), content_type=put.content_type.partition(";")[0])
