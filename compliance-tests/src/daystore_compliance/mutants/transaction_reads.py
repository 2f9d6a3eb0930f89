"""Mutants whose transactions forget a part of what they have read, or see their own writes otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Aggregation,
    Check,
    CheckQuery,
    Delete,
    GroupRow,
    Instant,
    Order,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    RecordTransaction,
    WriteBatch,
)
from daystore.abc.evaluate import without_window
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.transactions import Begins

# --- Queries that are not checked, or others -----------------------------------------------------------------


@mutant("txn.query_after_read", "txn.read_after_query")
class ReadsAnew(Begins):
    """Each read remembers the version that it finds, in place of the one before."""

    class _Anew(RecordTransaction):
        async def read(self, collection: str, keys: Sequence[str]) -> list[Record | None]:
            """Forget what was read of these keys."""
            for key in keys:
                self._seen.pop((collection, key), None)
                self._queried.discard((collection, key))
            return await super().read(collection, keys)

        async def _run(self, query: Query) -> Page:
            """Forget what was read."""
            self._seen.clear()
            return await super()._run(query)

    transaction_class: type[RecordTransaction] = _Anew


@mutant("txn.query_twice")
class LastAnswerCounts(Begins):
    """Of the answers of a query that was run twice the last one is checked."""

    class _Last(RecordTransaction):
        async def _run(self, query: Query) -> Page:
            """Forget the answers before."""
            page = await super()._run(query)
            self._queries[:-1] = [check for check in self._queries[:-1] if check.query != query]
            return page

    transaction_class: type[RecordTransaction] = _Last


@mutant("txn.aggregate_checked", "txn.query_twice")
class AggregatesUnchecked(Begins):
    """What an aggregate was computed over is not checked at commit."""

    class _Unchecked(RecordTransaction):
        async def aggregate(self, query: Query, aggregation: Aggregation) -> list[GroupRow]:
            """Forget the query."""
            kept, seen = list(self._queries), dict(self._seen)
            rows = await super().aggregate(query, aggregation)
            self._queries, self._seen = kept, seen
            return rows

    transaction_class: type[RecordTransaction] = _Unchecked


@mutant("txn.aggregate_checked")
class AggregatesOnePage(Begins):
    """An aggregate depends on the first page of its query."""

    class _Page(RecordTransaction):
        async def aggregate(self, query: Query, aggregation: Aggregation) -> list[GroupRow]:
            """Check as many as the limit says."""
            rows = await super().aggregate(query, aggregation)
            check = self._queries[-1]
            limited = replace(check.query, limit=query.limit)
            self._queries[-1] = CheckQuery(limited, list(check.found)[: query.limit])
            return rows

    transaction_class: type[RecordTransaction] = _Page


@mutant("txn.limited_query_checked")
class LimitUnchecked(MemoryAdapter):
    """Of a page that was full no more is checked than the records that were on it."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        limit = check.query.limit
        if limit is None or len(check.found) < limit:
            return super()._check_query(check, own)
        found = {record.key: record.version for record in self._live(check.query.collection)}
        if any(found.get(key) != version for key, version in check.found):
            raise VersionConflict("changed", collection=check.query.collection, backend=self.name)
        return None


@mutant("txn.limited_query_checked")
class CursorUnchecked(MemoryAdapter):
    """A query that went on at a cursor is not run again."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        if check.query.cursor is None:
            super()._check_query(check, own)


@mutant("txn.limited_query_checked")
class PagesCheckedWhole(Begins):
    """A page depends on everything that its query would find without a limit."""

    class _Whole(RecordTransaction):
        async def query(self, query: Query) -> Page:
            """Run it without a limit as well."""
            page = await super().query(query)
            await super().query(without_window(query))
            return page

    transaction_class: type[RecordTransaction] = _Whole


@mutant("txn.limited_query_checked")
class ChecksInKeyOrder(Begins):
    """The query of a page is run again in the order of keys."""

    class _KeyOrder(RecordTransaction):
        async def query(self, query: Query) -> Page:
            """Forget the order."""
            page = await super().query(query)
            if query.cursor is None and not self._writes and query.order.descending:
                plain = replace(self._queries[-1].query, order=Order())
                found = await self._adapter.query(plain, self._consistency)
                self._queries[-1] = CheckQuery(plain, [(r.key, r.version) for r in found.records])
            return page

    transaction_class: type[RecordTransaction] = _KeyOrder


@mutant("txn.read_only_query")
class ReadOnlyQueriesUnchecked(Begins):
    """A transaction that writes nothing checks no query."""

    class _Keys(RecordTransaction):
        def _batch(self) -> WriteBatch | None:
            batch = super()._batch()
            return batch if batch is None or self._writes else replace(batch, queries=())

    transaction_class: type[RecordTransaction] = _Keys


@mutant("txn.read_only_residue")
class ReadingLeavesAMark(Begins):
    """A transaction that only reads writes down when it was."""

    class _Marks(RecordTransaction):
        def _batch(self) -> WriteBatch | None:
            batch = super()._batch()
            if batch is None or self._writes:
                return batch
            return replace(batch, operations=[*batch.operations, Put("transactions", "last", b"")])

    transaction_class: type[RecordTransaction] = _Marks


# --- Keys that are not checked ---------------------------------------------------------------------------------


@mutant("txn.reads_of_many")
class ChecksOneOfMany(Begins):
    """Of keys that are read together the first one is checked."""

    class _First(RecordTransaction):
        async def _see(self, collection: str, keys: Sequence[str]) -> None:
            await super()._see(collection, keys)
            self.__dict__.setdefault("_unchecked", set()).update((collection, key) for key in keys[1:])

        def _batch(self) -> WriteBatch | None:
            batch = super()._batch()
            unchecked = self.__dict__.get("_unchecked", set())
            kept = [
                o
                for o in (batch.operations if batch else ())
                if not isinstance(o, Check) or (o.collection, o.key) not in unchecked
            ]
            return None if batch is None else replace(batch, operations=kept)

    transaction_class: type[RecordTransaction] = _First


@mutant("txn.reads_of_many")
class HundredChecks(MemoryAdapter):
    """Of an atomic batch a hundred checks are looked at."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        checks = [o for o in batch.operations if isinstance(o, Check)]
        kept = [o for o in batch.operations if not isinstance(o, Check)] + checks[:100]
        if not batch.atomic or len(checks) <= 100:
            return await super()._write(batch)
        await super()._write(replace(batch, operations=kept))
        return [Outcome(getattr(o, "version", None), existed=True) for o in batch.operations]


@mutant("txn.expired_read", "ttl.atomic_on_expired")
class ChecksSeeTheDead(MemoryAdapter):
    """A check holds for a record that has expired."""

    def _sweep(self, now: Instant) -> None:
        """Keep the dead."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        record = self._collections.get(operation.collection, {}).get(operation.key)
        if isinstance(operation, Check) and record is not None and record.version == operation.expect:
            return None
        return super()._conflict(operation, index, now)


@mutant("txn.expired_read")
class QueriesSeeTheDead(MemoryAdapter):
    """The query of an atomic batch finds what has expired since it was run."""

    def _sweep(self, now: Instant) -> None:
        """Keep the dead."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        dead = {
            record.key: record
            for record in self._collections.get(check.query.collection, {}).values()
            if not record.is_alive(self.clock())
        }
        found = [(k, v) for k, v in check.found if k not in dead or dead[k].version != v]
        super()._check_query(CheckQuery(check.query, found), own)


@mutant("txn.expired_then_created")
class ExpiredUnchecked(Begins):
    """That a record had expired when it was read is not checked at commit."""

    class _Forgets(RecordTransaction):
        def _batch(self) -> WriteBatch | None:
            batch = super()._batch()
            kept = [
                replace(o, expect=ANY) if o.expect is ABSENT and not isinstance(o, Check) else o
                for o in (batch.operations if batch else ())
                if not (isinstance(o, Check) and o.expect is ABSENT)
            ]
            return None if batch is None else replace(batch, operations=kept)

    transaction_class: type[RecordTransaction] = _Forgets


# --- Own writes ------------------------------------------------------------------------------------------------


@mutant("txn.inside_as_after", "txn.own_record")
class OwnWritesWithoutFields(Begins):
    """A transaction sees what it overwrote under the fields that it had before."""

    class _OldFields(RecordTransaction):
        def _view(self, collection: str, key: str, now: Instant) -> Record | None:
            found = super()._view(collection, key, now)
            old = self._seen.get((collection, key))
            if found is None or old is None or (collection, key) not in self._writes:
                return found
            return replace(found, fields=old.fields)

    transaction_class: type[RecordTransaction] = _OldFields


@mutant("txn.inside_as_after")
class OwnWritesLast(Begins):
    """Inside a transaction its own writes come after what it found, whatever the order."""

    class _Last(RecordTransaction):
        async def query(self, query: Query) -> Page:
            """Put them at the end."""
            page = await super().query(query)
            own = self._own(query.collection)
            if query.limit is not None or query.order != Order():
                return page
            records = sorted(page.records, key=lambda record: record.key in own)
            return Page(records, page.cursor)

    transaction_class: type[RecordTransaction] = _Last


@mutant("txn.inside_as_after")
class OwnExpiredSeen(Begins):
    """What a transaction wrote and what has expired since is still found by its queries."""

    class _Immortal(RecordTransaction):
        def _merge(self, records: list[Record], own: dict[str, Put | Delete]) -> list[Record]:
            merged = super()._merge(records, own)
            there = {record.key for record in merged}
            for key, write in own.items():
                if isinstance(write, Put) and key not in there and type(write.expires_at) is int:
                    view = self._view(write.collection, key, write.expires_at - 1)
                    merged += [] if view is None else [view]
            return merged

    transaction_class: type[RecordTransaction] = _Immortal


@mutant("txn.own_record")
class OwnRecordsCreatedNow(Begins):
    """A transaction sees what it overwrote as created at that instant."""

    class _Born(RecordTransaction):
        def _view(self, collection: str, key: str, now: Instant) -> Record | None:
            found = super()._view(collection, key, now)
            own = found is not None and (collection, key) in self._writes
            return replace(found, created_at=now) if own and found is not None else found

    transaction_class: type[RecordTransaction] = _Born


@mutant("txn.keep_inside")
class KeepsWhatIsStored(Begins):
    """KEEP over an own write keeps the deadline of the record beneath."""

    class _Beneath(RecordTransaction):
        async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
            """Leave it to the commit."""
            existed = await super().write(operations)
            for one in operations:
                if isinstance(one, Put) and one.expires_at is KEEP:
                    self._writes[one.collection, one.key] = replace(one, expect=ANY)
            return existed

    transaction_class: type[RecordTransaction] = _Beneath


@mutant("txn.conditions_own")
class ConditionsOfTheCommitted(Begins):
    """Conditions inside a transaction are judged by what is committed, not by its own writes."""

    class _Committed(RecordTransaction):
        async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
            """Look beneath own writes."""
            kept, self._writes = self._writes, {}
            try:
                existed = await super().write(operations)
            finally:
                self._writes = kept | self._writes
            return existed

    transaction_class: type[RecordTransaction] = _Committed


@mutant("txn.same_key_elsewhere")
class OneKeyOneRecord(Begins):
    """A key that was read in one collection is taken as read in every other."""

    class _KeysAlone(RecordTransaction):
        async def _see(self, collection: str, keys: Sequence[str]) -> None:
            for key in keys:
                known = [record for (_, k), record in self._seen.items() if k == key]
                if known:
                    self._seen.setdefault((collection, key), known[0])
            await super()._see(collection, keys)

    transaction_class: type[RecordTransaction] = _KeysAlone
