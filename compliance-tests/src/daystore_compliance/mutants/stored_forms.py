"""Mutants of records: what a driver does to the bytes, fields and envelope of a record on their way."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from daystore.abc import Consistency, Delete, Instant, Outcome, Put, Record, WriteBatch
from daystore.abc.record import FieldValue, Operation
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant


class _Stored(MemoryAdapter):
    """Changes records before they are kept. It breaks nothing."""

    def stored(self, put: Put) -> Put:
        """Return what is kept of a change."""
        return put

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        return super()._apply(self.stored(operation) if isinstance(operation, Put) else operation, now)

    def fields(self, put: Put) -> dict[str, FieldValue]:
        """Return the fields, to be changed."""
        return dict(put.fields)


# All of them break §1: "An adapter keeps all of them and gives all of them back exactly", unless said otherwise.


@mutant("rec.fields_exact[list]")
class RepeatedItemsAreOne(_Stored):
    """Keeps an item of a list field once, however often it is in it."""

    def stored(self, put: Put) -> Put:
        """Drop repetitions."""
        fields = {n: tuple(dict.fromkeys(v)) if type(v) is tuple else v for n, v in put.fields.items()}
        return replace(put, fields=fields)


@mutant("rec.many_fields")
class LongListsAreCutAtAHundred(_Stored):
    """Keeps the first hundred items of a list field."""

    def stored(self, put: Put) -> Put:
        """Cut."""
        return replace(put, fields={n: v[:100] if type(v) is tuple else v for n, v in put.fields.items()})


@mutant("rec.fields_exact[list]")
class EmptyListFieldIsNoField(_Stored):
    """Keeps no list field that is empty: nothing is in its table of items."""

    def stored(self, put: Put) -> Put:
        """Drop it."""
        return replace(put, fields={n: v for n, v in put.fields.items() if v != ()})


@mutant("rec.field_name_families[case]")
class FieldNamesIgnoreCase(_Stored):
    """Keeps one of two fields whose names differ in case, as a table with columns does."""

    def stored(self, put: Put) -> Put:
        """Keep the last of them, under the first name."""
        names: dict[str, str] = {}
        fields: dict[str, FieldValue] = {}
        for name, value in put.fields.items():
            fields[names.setdefault(name.casefold(), name)] = value
        return replace(put, fields=fields)


@mutant("rec.envelope_corners")
class MinusZeroFieldIsZero(_Stored):
    """Keeps ``-0.0`` in a field as ``0.0``."""

    def stored(self, put: Put) -> Put:
        """Add nothing to it, which makes it positive."""
        return replace(put, fields={n: v + 0.0 if type(v) is float else v for n, v in put.fields.items()})


@mutant("rec.opaque_values")
class DigitsAreAnInteger(_Stored):
    """Keeps a value of ASCII digits as an integer, as Redis does to save space: leading zeros are gone."""

    def stored(self, put: Put) -> Put:
        """Make a number of it and back."""
        return replace(put, value=b"%d" % int(put.value)) if put.value.isdigit() else put


@mutant("rec.opaque_values")
class CompressedLookingIsInflated(MemoryAdapter):
    """Inflates a value that looks as if zlib had made it, though nobody compressed it."""

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        record = super()._find(collection, key, now)
        if record is not None and record.value[:1] == b"x" and not record.encodings:
            try:
                return replace(record, value=zlib.decompress(record.value))
            except zlib.error:
                return record
        return record


@mutant("rec.envelope_corners")
class SchemaVersionZeroIsNone(_Stored):
    """Keeps version 0 of a schema as no version."""

    def stored(self, put: Put) -> Put:
        """Take zero for nothing."""
        return replace(put, schema_version=put.schema_version or None)


@mutant("rec.envelope_corners")
class MediaTypeParametersAreSorted(_Stored):
    """Writes a content type in lower case, as a header of HTTP is read."""

    def stored(self, put: Put) -> Put:
        """Fold it."""
        return replace(put, content_type=put.content_type.lower())


# §1: `updated_at` is the "instant of the last write"; §6: a write is one "also when the value is the same".
@mutant("rec.times")
class SameBytesAreNoUpdate(MemoryAdapter):
    """Leaves `updated_at` where it is when a write changes neither value nor fields."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and old is not None:
            new = self._collections[operation.collection][operation.key]
            if new.value == old.value and new.fields == old.fields:
                new.updated_at = old.updated_at
        return outcome


# §1: `created_at` is the "instant of the first write since the key was last absent".
@mutant("del.born_again", bugs=("etcd-io/etcd#22376",))
class RebirthAtOneInstantKeepsCreation(MemoryAdapter):
    """Gives a record the creation time of the one that was deleted just before it was written, within a second."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._deleted: dict[tuple[str, str], tuple[Instant, Instant]] = {}

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        outcome = super()._apply(operation, now)
        name = (operation.collection, operation.key)
        if isinstance(operation, Delete) and old is not None:
            self._deleted[name] = (now, old.created_at)
        elif isinstance(operation, Put) and name in self._deleted:
            when, created = self._deleted.pop(name)
            if old is None and now - when < 1_000_000:
                self._collections[operation.collection][operation.key].created_at = created
        return outcome


# §8: `created_at` and `updated_at` can be queried on every record, and overwriting keeps the first of them.
@mutant("rec.entries_replaced", bugs=("bojieli/ai-agent-book#668", "finos/vuu#2021"))
class FieldsOfOneTypeAreMerged(MemoryAdapter):
    """Leaves a list field that the new record does not have in the index."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put) and old is not None:
            stale = {n: v for n, v in old.fields.items() if type(v) is tuple and n not in operation.fields}
            if stale:
                operation = replace(operation, fields={**stale, **operation.fields})
        return super()._apply(operation, now)


# §3: "`_write` applies a batch": what is 1 MiB and more is silently not kept, as by a cache with a limit on items.
@mutant("rt.size_sweep")
class MebibytesAreDropped(MemoryAdapter):
    """Acknowledges a value of a mebibyte or more and keeps nothing of it."""

    LIMIT: ClassVar[int] = 1 << 20

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and len(operation.value) >= self.LIMIT:
            del self._collections[operation.collection][operation.key]
        return outcome


# §3: "Returns the live records in the order asked", however many.
@mutant("batch.chunking")
class AHundredKeysAreRead(MemoryAdapter):
    """Reads a hundred keys of a request and leaves the rest unprocessed."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys[:100], consistency)
        return [*found, *[None] * (len(keys) - len(found))]


# §3: "Not atomic: each operation is applied by itself, whole or not at all. What failed has its error."
@mutant("batch.chunking", bugs=("guregu/dynamo#17",))
class UnprocessedItemsAreForgotten(MemoryAdapter):
    """Acknowledges a batch that is not atomic, and applies its first hundred operations."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic or len(batch.operations) <= 100:
            return await super()._write(batch)
        outcomes = await super()._write(replace(batch, operations=batch.operations[:100]))
        return [
            *outcomes,
            *(Outcome(o.version if isinstance(o, Put) else None, False) for o in batch.operations[100:]),
        ]
