"""Mutants of transactions: how own writes are laid over what is stored, and what the commit checks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, ClassVar, cast

from daystore.abc import (
    ABSENT,
    KEEP,
    Aggregation,
    Check,
    Delete,
    GroupRow,
    Page,
    Put,
    Query,
    Record,
    WriteBatch,
)
from daystore.abc.adapter import Adapter
from daystore.abc.evaluate import evaluate_aggregate, evaluate_query, matcher, without_window
from daystore.abc.transaction import RecordTransaction
from daystore.adapters.memory import MemoryAdapter
from daystore.storage import Storage
from daystore.transactions.target import TransactionTarget
from daystore.transactions.transaction import Transaction
from daystore_compliance.mutants.base import mutant


class _Transacting(MemoryAdapter):
    """The reference with transactions of its own. It breaks nothing."""

    records: ClassVar[type[RecordTransaction]] = RecordTransaction

    def transaction(self) -> AbstractAsyncContextManager[RecordTransaction]:
        """Begin a transaction."""
        super().transaction()
        return self.records(self)


class _Stores(Transaction):
    """A transaction over stores with records of its own. It breaks nothing."""

    records: ClassVar[type[RecordTransaction]] = RecordTransaction

    def _new_target(self, adapter: Adapter) -> TransactionTarget:
        target = super()._new_target(adapter)
        target.records = self.records(adapter)
        return target


class _Storing(Storage):
    """A storage with transactions of its own. It breaks nothing."""

    stores: ClassVar[type[Transaction]] = Transaction

    def transaction(self, body: Any = None, **options: Any) -> Any:
        """Begin a transaction, or run a function in one."""
        if body is None:
            return self.stores(self._find, self._backends)
        from daystore.transactions import Retry, run

        return run(
            lambda: self.stores(self._find, self._backends),
            body,
            Retry(options.get("deadline", 30.0), options.get("attempts")),
        )


def _over_stores(kind: type[RecordTransaction]) -> type[Transaction]:
    return cast("type[Transaction]", type(f"{kind.__name__}Stores", (_Stores,), {"records": kind}))


# §10: "A transaction sees its own writes, also in queries, counts and aggregates."


class _ShortPages(RecordTransaction):
    async def query(self, query: Query) -> Page:
        own = self._own(query.collection)
        page = await self._run(query)
        if not own:
            return page
        merged = self._merge(page.records, own)
        return evaluate_query(merged, query)


@mutant("txn.pages", bugs=("facebook/rocksdb#4656",))
class PagesShrinkByOwnDeletes(_Transacting):
    """Asks for no more than the limit: what the transaction deleted is missing from its page."""

    records: ClassVar[type[RecordTransaction]] = _ShortPages


class _InPlace(RecordTransaction):
    def _merge(self, records: list[Record], own: dict[str, Put | Delete]) -> list[Record]:
        now = self._adapter.clock()
        merged = [self._view(own[r.key].collection, r.key, now) if r.key in own else r for r in records]
        known = {record.key for record in records}
        new = [self._view(w.collection, key, now) for key, w in own.items() if key not in known]
        old = [
            replace(record, fields={**self._seen[own[record.key].collection, record.key].fields})  # type: ignore[union-attr]
            if record.key in own and self._seen.get((own[record.key].collection, record.key)) is not None
            else record
            for record in merged
            if record is not None
        ]
        return [*old, *(record for record in new if record is not None)]


@mutant("txn.inside_as_after")
class OwnUpdatesKeepOldFields(_Transacting):
    """Finds and sorts a record that the transaction has changed by the fields that it had before."""

    records: ClassVar[type[RecordTransaction]] = _InPlace


class _CountsDeleted(RecordTransaction):
    async def count(self, query: Query) -> int:
        page = await self._run(without_window(query))
        own = self._own(query.collection)
        now = self._adapter.clock()
        matches = matcher(query.where)
        views = [self._view(w.collection, k, now) for k, w in own.items() if isinstance(w, Put)]
        kept = [r for r in page.records if not isinstance(own.get(r.key), Put)]
        return len(kept) + sum(1 for view in views if view is not None and matches(view))


@mutant("txn.inside_as_after", bugs=("HarperFast/rocksdb-js#837",))
class OwnDeletesStillCount(_Transacting):
    """Counts what the transaction has deleted."""

    records: ClassVar[type[RecordTransaction]] = _CountsDeleted


class _SumsStored(RecordTransaction):
    async def aggregate(self, query: Query, aggregation: Aggregation) -> list[GroupRow]:
        page = await self._run(without_window(query))
        own = self._own(query.collection)
        known = {record.key for record in page.records}
        merged = [r for r in self._merge(page.records, own) if r.key in known]
        return evaluate_aggregate(merged, without_window(query), aggregation)


@mutant("txn.inside_as_after")
class NewRecordsAreNotSummed(_Transacting):
    """Computes aggregates over stored records and their changes, without what is new in the transaction."""

    records: ClassVar[type[RecordTransaction]] = _SumsStored


class _EveryPage(RecordTransaction):
    async def query(self, query: Query) -> Page:
        page = await super().query(query)
        own = self._own(query.collection)
        if query.cursor is None or not own:
            return page
        now = self._adapter.clock()
        matches = matcher(query.where)
        shown = {record.key for record in page.records}
        views = [self._view(w.collection, k, now) for k, w in own.items() if k not in shown]
        again = [view for view in views if view is not None and matches(view)]
        ordered = evaluate_query([*page.records, *again], replace(query, cursor=None, limit=None, offset=0))
        return Page(ordered.records, page.cursor)


@mutant("txn.pages", bugs=("surrealdb/surrealkv#395", "bedrock-kv/bedrock#245"))
class OwnWritesAreOnEveryPage(_Transacting):
    """Shows what the transaction wrote on every page but the first, wherever its place is."""

    records: ClassVar[type[RecordTransaction]] = _EveryPage


# §10: "Transactions are serializable".


class _AbsentUnchecked(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        batch = super()._batch()
        if batch is None or not any(
            isinstance(o, Check) and o.expect is not ABSENT for o in batch.operations
        ):
            return batch
        operations = [o for o in batch.operations if not (isinstance(o, Check) and o.expect is ABSENT)]
        return replace(batch, operations=operations)


@mutant("txn.mixed_reads")
class AbsentBesidePresentIsUnchecked(_Transacting):
    """Does not check at its commit that what it read as absent still is, if it read something present, too."""

    records: ClassVar[type[RecordTransaction]] = _AbsentUnchecked


class _LimitedUnchecked(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        limited = [c for c in self._queries if c.query.limit is not None]
        names = {(c.query.collection, key) for c in limited for key, _ in c.found}
        self._queries = [c for c in self._queries if c not in limited]
        self._queried -= names
        return super()._batch()


@mutant("txn.limited_query_checked", bugs=("apple/foundationdb#7317",))
class LimitedQueriesHavePhantoms(_Transacting):
    """Checks of a query with a limit only that its records are as they were: others may have come before them."""

    records: ClassVar[type[RecordTransaction]] = _LimitedUnchecked


class _ReadersUnchecked(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        return super()._batch() if self._writes else None


@mutant("txn.read_only")
class ReadersAreNotChecked(_Transacting):
    """Checks nothing at the commit of a transaction that has only read."""

    records: ClassVar[type[RecordTransaction]] = _ReadersUnchecked


# §10: a transaction sees its own writes, and a condition is judged against the live record.


class _JudgesStored(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        for operation in operations:
            name = (operation.collection, operation.key)
            if operation.expect is ABSENT and isinstance(self._writes.get(name), Delete):
                base = (await self._adapter.read(operation.collection, [operation.key]))[0]
                if base is not None:
                    from daystore.errors import VersionConflict

                    raise VersionConflict(
                        key=operation.key, collection=operation.collection, current=base.version
                    )
        return await super().write(operations)


@mutant("txn.create_after_delete")
class OwnDeletesDoNotMakeAbsent(_Transacting):
    """Refuses to create what the transaction has just deleted: it is stored still."""

    records: ClassVar[type[RecordTransaction]] = _JudgesStored


class _KeepsNothing(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        changed = [
            replace(o, expires_at=None)
            if isinstance(o, Put) and o.expires_at is KEEP and (o.collection, o.key) in self._writes
            else o
            for o in operations
        ]
        return await super().write(changed)


@mutant("txn.keep_inside")
class SecondWriteLosesTheDeadline(_Transacting):
    """Clears under ``KEEP`` the deadline that the same transaction has set."""

    records: ClassVar[type[RecordTransaction]] = _KeepsNothing


@mutant("ttl.updates_in_transaction")
class SecondWriteLosesTheDeadlineOfStores(_Storing):
    """Clears, in a transaction over stores, the deadline that the same transaction has set when it keeps it."""

    stores: ClassVar[type[Transaction]] = _over_stores(_KeepsNothing)


class _Cancelling(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        before = dict(self._writes)
        existed = await super().write(operations)
        for operation in operations:
            name = (operation.collection, operation.key)
            if isinstance(operation, Delete) and isinstance(before.get(name), Put):
                self._cancelled = {*getattr(self, "_cancelled", ()), name}
            elif isinstance(operation, Put):
                self._cancelled = {*getattr(self, "_cancelled", ())} - {name}
        return existed

    def _batch(self) -> WriteBatch | None:
        for name in getattr(self, "_cancelled", ()):
            self._writes.pop(name, None)
        return super()._batch()


@mutant("txn.last_write_counts")
class PutAndDeleteCancelOut(_Transacting):
    """Commits nothing for a key that it has written and then deleted, though a record was stored before."""

    records: ClassVar[type[RecordTransaction]] = _Cancelling


class _RereadsAbsent(RecordTransaction):
    async def _see(self, collection: str, keys: Sequence[str]) -> None:
        for key in keys:
            if (collection, key) in self._seen and self._seen[collection, key] is None:
                del self._seen[collection, key]
        await super()._see(collection, keys)


# §10: "What it read once it reads the same again."
@mutant("txn.repeatable_read")
class AbsentIsReadAgain(_Transacting):
    """Does not remember what it read as absent."""

    records: ClassVar[type[RecordTransaction]] = _RereadsAbsent


@mutant("txn.store_reads_again")
class AbsentIsReadAgainByStores(_Storing):
    """Does not remember in a transaction over stores what it read as absent."""

    stores: ClassVar[type[Transaction]] = _over_stores(_RereadsAbsent)


@mutant("txn.store_limited")
class LimitedQueriesOfStoresHavePhantoms(_Storing):
    """Checks of a store's query with a limit only that its records are as they were."""

    stores: ClassVar[type[Transaction]] = _over_stores(_LimitedUnchecked)


@mutant("txn.store_inside_as_after")
class PagesOfStoresShrinkByOwnDeletes(_Storing):
    """Asks, in a transaction over stores, for no more than the limit of a query, whatever was deleted."""

    stores: ClassVar[type[Transaction]] = _over_stores(_ShortPages)


@mutant("txn.store_last_write")
class PutAndDeleteOfStoresCancelOut(_Storing):
    """Commits nothing for a key of a store that was written and then deleted in one transaction."""

    stores: ClassVar[type[Transaction]] = _over_stores(_Cancelling)


@mutant("txn.store_create_after_delete")
class OwnDeletesOfStoresDoNotMakeAbsent(_Storing):
    """Refuses to create, in a transaction over stores, what that transaction has just deleted."""

    stores: ClassVar[type[Transaction]] = _over_stores(_JudgesStored)
