"""Mutants that leave something behind, or take too much away: an index beside the records makes it visible."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from daystore.abc import (
    Compare,
    Consistency,
    Delete,
    Explanation,
    FieldValue,
    Instant,
    Op,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    WriteBatch,
    to_instant,
)
from daystore.abc.evaluate import evaluate_query
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant

__all__ = ["Indexed"]

INDEX = "index"
_OWN = ("key", "created_at", "updated_at")


class Indexed(MemoryAdapter):
    """The reference with an index beside its records, by which it finds what is equal. It breaks nothing.

    Its entries are kept like records, in a place that no collection is called: so they count where records are
    counted, and every adapter on the data has them.
    """

    @property
    def entries(self) -> dict[str, Record]:
        """Return the entries of the index."""
        return self._collections.setdefault("\0" + INDEX, {})

    def index(self, collection: str, record: Record | None) -> None:
        """Make the entries of a record."""
        self.entries.update((name, Record(name, b"", "", 0, 0)) for name in _names(collection, record))

    def unindex(self, collection: str, record: Record | None) -> None:
        """Remove the entries of a record."""
        for name in _names(collection, record):
            self.entries.pop(name, None)

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        kept = self._collections.get(operation.collection, {}).get(operation.key)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put):
            self.replaced(operation.collection, kept, self._collections[operation.collection][operation.key])
        elif isinstance(operation, Delete):
            self.removed(operation.collection, kept)
        return outcome

    def replaced(self, collection: str, old: Record | None, new: Record) -> None:
        """Change the index after a write."""
        self.unindex(collection, old)
        self.index(collection, new)

    def removed(self, collection: str, old: Record | None) -> None:
        """Change the index after a delete."""
        self.unindex(collection, old)

    def _sweep(self, now: Instant) -> None:
        expired = [
            (collection, record)
            for collection, records in self._collections.items()
            for record in records.values()
            if not record.is_alive(now)
        ]
        super()._sweep(now)
        for collection, record in expired:
            if record.key not in self._collections[collection]:
                self.swept(collection, record)

    def swept(self, collection: str, record: Record) -> None:
        """Change the index after a sweep."""
        self.unindex(collection, record)

    def found(self, query: Query) -> Iterator[Record]:
        """Return what is alive and has an entry."""
        where = query.where
        assert isinstance(where, Compare)
        wanted = _entry(query.collection, where.field, where.value)
        return (r for r in self._live(query.collection) if wanted + repr(r.key) in self.entries)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        if query.cursor is not None or query.limit is not None or not _is_equality(query):
            return await super()._query(query, consistency)
        page = evaluate_query(self.found(query), replace(query, where=None))
        return Page([record.copy() for record in page.records])

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return (
            len(list(self.found(query))) if _is_equality(query) else await super()._count(query, consistency)
        )


def _is_equality(query: Query) -> bool:
    where = query.where
    return type(where) is Compare and where.op is Op.EQ and where.field not in _OWN


def _entry(collection: str, field: str, value: Any) -> str:
    if isinstance(value, datetime):
        value = ("instant", to_instant(value))
    elif type(value) is float:
        value += 0.0
    return f"{collection} {field!r} {value!r} "


def _names(collection: str, record: Record | None) -> Iterable[str]:
    fields: dict[str, FieldValue] = dict(record.fields) if record is not None else {}
    for field, value in fields.items():
        for one in value if isinstance(value, tuple) else (value,):
            item = ("item", one) if isinstance(value, tuple) else one
            assert record is not None
            yield _entry(collection, field, item) + repr(record.key)


# --- What stays ----------------------------------------------------------------------------------------------


@mutant(
    "del.no_residue[delete]",
    "del.no_residue[clear]",
    "q.secondary_index_consistency",
    bugs=("temporalio/temporal#11233",),
)
class DeleteLeavesEntries(Indexed):
    """A delete removes the record and leaves the entries of its index."""

    def removed(self, collection: str, old: Record | None) -> None:
        """Leave them."""


@mutant("del.no_residue[overwrite]", "q.secondary_index_consistency")
class OverwriteLeavesEntries(Indexed):
    """A write makes new entries of the index and leaves those of what was there before."""

    def replaced(self, collection: str, old: Record | None, new: Record) -> None:
        """Make new ones alone."""
        self.index(collection, new)


@mutant("del.no_residue[cancel]")
class CancelLeavesEntries(Indexed):
    """A write whose task is cancelled between the index and the record leaves the entries."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        for operation in batch.operations:
            if isinstance(operation, Put) and not batch.atomic and "n" in operation.fields:
                self.index(
                    operation.collection, Record(operation.key, b"", "", 0, 0, fields=operation.fields)
                )
                await asyncio.sleep(0)
        return await super()._write(batch)


@mutant("cas.no_residue", "batch.no_residue")
class ConflictLeavesEntries(Indexed):
    """The index is written before the condition is judged, and stays when it does not hold."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> Any:
        if isinstance(operation, Put):
            written = Record(operation.key, b"", "", 0, 0, fields=operation.fields)
            self.index(operation.collection, written)
        return super()._conflict(operation, index, now)


@mutant("cas.no_residue", bugs=("apache/iceberg#17708",))
class RetryLeavesOrphans(Indexed):
    """Each attempt of a conditional write keeps its value first, and one that lost leaves it."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        for operation, outcome in zip(batch.operations, outcomes, strict=True):
            if outcome.error is not None and isinstance(operation, Put):
                self.entries[operation.version] = Record(operation.version, operation.value, "", 0, 0)
        return outcomes


@mutant("batch.no_residue")
class BatchLeavesEntries(Indexed):
    """An atomic batch that fails takes its records back, and not the entries of the operations before."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            return await super()._write(batch)
        except Exception as error:
            for operation in batch.operations[: getattr(error, "index", None) or 0]:
                if isinstance(operation, Put):
                    written = Record(operation.key, b"", "", 0, 0, fields=operation.fields)
                    self.index(operation.collection, written)
            raise


@mutant("txn.no_residue[abort]", "txn.no_residue[error]", "txn.no_residue[conflict]")
class TransactionLeavesMarker(Indexed):
    """A transaction leaves a mark when it begins, which only its commit removes."""

    def transaction(self) -> Any:
        """Begin one."""
        return self._marked(super().transaction())

    @asynccontextmanager
    async def _marked(self, inner: Any) -> Any:
        name = f"transaction {id(inner)}"
        self.entries[name] = Record(name, b"", "", 0, 0)
        async with inner as tx:
            yield tx
        if inner.state == "committed":
            del self.entries[name]


@mutant("ttl.no_residue", bugs=("jaredwray/keyv#455", "redis-developer/langgraph-redis#139"))
class ExpiryLeavesEntries(Indexed):
    """A sweep removes the record and leaves the entries of its index."""

    def swept(self, collection: str, record: Record) -> None:
        """Leave them."""


@mutant("ttl.no_residue")
class NeverSweeps(Indexed):
    """What has expired is hidden and kept for ever."""

    def _sweep(self, now: Instant) -> None:
        """Keep it."""


@mutant("ttl.no_residue")
class SweepsWhatLives(Indexed):
    """A sweep takes everything that has an expiry at all, if anything has expired."""

    def _sweep(self, now: Instant) -> None:
        for collection, records in self._collections.items():
            if any(not record.is_alive(now) for record in records.values()):
                for record in [one for one in records.values() if one.expires_at is not None]:
                    del records[record.key]
                    self.unindex(collection, record)


# --- What is taken -------------------------------------------------------------------------------------------


class _SweepsLater(Indexed):
    """A sweep finds what has expired at one write, and removes it at the next one. Base, and no mutant itself."""

    def _sweep(self, now: Instant) -> None:
        pending = self.__dict__.get("_pending", ())
        self.__dict__["_pending"] = [
            (collection, record)
            for collection, records in self._collections.items()
            for record in records.values()
            if not record.is_alive(now)
        ]
        for collection, record in pending:
            self.take(collection, record, self._collections[collection].get(record.key))

    def take(self, collection: str, record: Record, kept: Record | None) -> None:
        """Remove what had expired.

        Args:
            collection: Where.
            record: What had expired.
            kept: What is there by now.
        """
        if kept is record:
            del self._collections[collection][record.key]
        if kept is record or kept is None:
            self.unindex(collection, record)


@mutant("ttl.sweep_race")
class SweepTakesRewritten(_SweepsLater):
    """A record that was written again after the sweep had found it is removed all the same."""

    def take(self, collection: str, record: Record, kept: Record | None) -> None:
        """Remove it."""
        self._collections[collection].pop(record.key, None)
        self.unindex(collection, record)
        self.unindex(collection, kept)


@mutant("ttl.sweep_race")
class SweepTakesEntries(_SweepsLater):
    """A record that was written again after the sweep had found it stays, and loses its entries in the index."""

    def take(self, collection: str, record: Record, kept: Record | None) -> None:
        """Remove the entries."""
        super().take(collection, record, kept)
        self.unindex(collection, kept if kept is not record else None)


# --- What is said of it --------------------------------------------------------------------------------------


@mutant("q.explain_truth")
class CallsScansIndexed(MemoryAdapter):
    """Every query is called indexed, and every query looks at everything."""

    async def _explain(self, query: Query) -> Explanation:
        return Explanation(indexed=True, strategy="index")


@mutant("q.explain_truth")
class FiltersWhatItFetched(MemoryAdapter):
    """A prefix is called indexed; the index gives everything, and the rest is dropped afterwards."""

    async def _explain(self, query: Query) -> Explanation:
        is_prefix = type(query.where) is Compare and query.where.op is Op.STARTSWITH
        return Explanation(indexed=is_prefix, strategy="index" if is_prefix else "scan")


@mutant("q.secondary_index_consistency")
class IndexForgetsSiblings(Indexed):
    """An entry stands for a value alone, so a record that leaves a value takes the entries of all others along."""

    def removed(self, collection: str, old: Record | None) -> None:
        """Remove all of them."""
        for mine in _names(collection, old):
            value = mine.rpartition(" ")[0]
            for name in [one for one in self.entries if one.rpartition(" ")[0] == value]:
                del self.entries[name]
