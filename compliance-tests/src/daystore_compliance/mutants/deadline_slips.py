"""Mutants of expiry: deadlines that a backend reads, keeps or forgets in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from daystore.abc import (
    ABSENT,
    KEEP,
    Check,
    CheckQuery,
    Consistency,
    Instant,
    Outcome,
    Put,
    Query,
    Record,
    WriteBatch,
)
from daystore.abc.evaluate import evaluate_query
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore_compliance.mutants.base import Stepwise, mutant

_MONTH = 30 * 24 * 3600 * 1_000_000


class _Kept(MemoryAdapter):
    """Keeps another deadline than it was told. It breaks nothing."""

    def kept(self, put: Put, old: Record | None, now: Instant) -> Instant | None:
        """Return the deadline of a record, given what the reference would keep."""
        if put.expires_at is KEEP:
            return None if old is None else old.expires_at
        return put.expires_at

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Put):
            old = self._find(operation.collection, operation.key, now)
            operation = replace(operation, expires_at=self.kept(operation, old, now))
        return super()._apply(operation, now)


# §9: "Never earlier, never later."
@mutant("ttl.far")
class MoreThanAMonthIsAnInstant(_Kept):
    """Takes a time to live of more than thirty days for an instant of 1970, as Memcached does: it is over."""

    def kept(self, put: Put, old: Record | None, now: Instant) -> Instant | None:
        """Read it as an instant."""
        deadline = super().kept(put, old, now)
        if deadline is not None and put.expires_at is not KEEP and deadline - now > _MONTH:
            return (deadline - now) // 1000 * 1000
        return deadline


# §9: "Never earlier, never later."
@mutant("ttl.far")
class DeadlinesEndIn2038(_Kept):
    """Keeps a deadline after January 2038 as none: it does not fit 32 bits of seconds."""

    def kept(self, put: Put, old: Record | None, now: Instant) -> Instant | None:
        """Drop it."""
        deadline = super().kept(put, old, now)
        return None if deadline is not None and deadline >= 2**31 * 1_000_000 else deadline


# §9: "Never earlier, never later": an overwrite has the deadline that it says.
@mutant("ttl.shorten", bugs=("patrickmn/go-cache#83",))
class DeadlinesAreNeverShortened(_Kept):
    """Keeps the later of two deadlines when a record is overwritten."""

    def kept(self, put: Put, old: Record | None, now: Instant) -> Instant | None:
        """Keep the later."""
        deadline = super().kept(put, old, now)
        if deadline is None or old is None or old.expires_at is None:
            return deadline
        return max(deadline, old.expires_at)


# §9: "Never earlier, never later": an overwrite has the deadline that it says.
@mutant("ttl.overwrite_clears")
class EarlierTimerStillFires(_Kept):
    """Keeps the earlier of two deadlines when a record is overwritten with another one."""

    def kept(self, put: Put, old: Record | None, now: Instant) -> Instant | None:
        """Keep the earlier."""
        deadline = super().kept(put, old, now)
        if deadline is None or old is None or old.expires_at is None:
            return deadline
        return min(deadline, old.expires_at)


# §9: "Overwriting clears the deadline unless the write keeps it (`KEEP` in a `Put`)."
@mutant("opt.matrix_atomic[few]")
class KeepIsLostInAtomicBatches(MemoryAdapter):
    """Clears the deadline under ``KEEP`` if the batch is atomic and has more than one operation."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and len(batch.operations) > 1:
            operations = [
                replace(o, expires_at=None) if isinstance(o, Put) and o.expires_at is KEEP else o
                for o in batch.operations
            ]
            batch = replace(batch, operations=operations)
        return await super()._write(batch)


# §3: "`expires_at=KEEP` keeps the deadline of the live record that it overwrites".
@mutant("ttl.keep")
class KeepTakesTheDeadlineOfTheDead(_Kept):
    """Keeps under ``KEEP`` the deadline of an expired record that was not swept yet: the new one is born dead."""

    def kept(self, put: Put, old: Record | None, now: Instant) -> Instant | None:
        """Look at what is physically there."""
        if put.expires_at is KEEP and old is None:
            dead = self._collections.get(put.collection, {}).get(put.key)
            return None if dead is None else dead.expires_at
        return super().kept(put, old, now)


# §3: "An expectation is judged against the live record: what expired counts as absent."
@mutant("ttl.atomic_on_expired", bugs=("gravitational/teleport#68038",))
class ChecksForAbsenceSeeTheDead(MemoryAdapter):
    """Lets a ``Check`` for absence fail on an expired record; a ``Put`` under the same expectation succeeds."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation, Check) and operation.expect is ABSENT:
            return super()._conflict(operation, index, 0)
        return super()._conflict(operation, index, now)


# §9: from that instant the record is gone for every operation: conditions.
@mutant("ttl.checked_query")
class CheckedQueriesSeeTheDead(MemoryAdapter):
    """Runs a checked query over expired records too: one that expired meanwhile is no conflict."""

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        records = self._collections.get(check.query.collection, {}).values()
        page = evaluate_query(list(records), check.query)
        if [(record.key, record.version) for record in page.records] != list(check.found):
            raise VersionConflict("a query finds something else", backend=self.name, operation="write")


# §6: a conflict has "the current version in `.current` (`None` if there is no live record)".
@mutant("ttl.cas_on_expired")
class ConflictNamesTheDead(MemoryAdapter):
    """Tells in a conflict the version of an expired record."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        dead = self._collections.get(operation.collection, {}).get(operation.key)
        if conflict is not None and conflict.current is None and dead is not None:
            conflict.current = dead.version
        return conflict


# §9: "A record that is written where an expired one was is new: `created_at` begins again."
@mutant("opt.matrix_atomic[few]")
class BatchesReviveTheDead(MemoryAdapter):
    """Keeps the creation time of an expired record that an atomic batch writes over."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        dead = {
            (o.collection, o.key): record.created_at
            for o in batch.operations
            if isinstance(o, Put)
            and (record := self._collections.get(o.collection, {}).get(o.key)) is not None
            and not record.is_alive(self.clock())
        }
        outcomes = await super()._write(batch)
        if batch.atomic:
            for (collection, key), created in dead.items():
                self._collections[collection][key].created_at = created
        return outcomes


# §9: "gone for every operation: […] counts".
@mutant("ttl.expires_everywhere", bugs=("Tencent/MMKV#1096",))
class CountOfEverythingIsTheLength(MemoryAdapter):
    """Counts a whole collection by its length, expired records included."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        if query.where is None:
            return len(self._collections.get(query.collection, {}))
        return await super()._count(query, consistency)


# §9: "gone for every operation": `Outcome.existed` tells "whether a live record was there before".
@mutant("opt.matrix[alone]")
class PutsFindTheDead(MemoryAdapter):
    """Says of a ``Put`` over an expired record that there was one; of a ``Delete`` it tells the truth."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        there = operation.key in self._collections.get(operation.collection, {})
        outcome = super()._apply(operation, now)
        return outcome._replace(existed=there) if isinstance(operation, Put) else outcome


# §9: "gone for every operation: […] queries": a sort on the time of writing uses an index that still has the dead.
@mutant("q.expired_excluded", bugs=("redis/docs#169",))
class DeadRecordsFillThePage(Stepwise):
    """Counts expired records against the limit of a query, and shows the live ones among them."""

    def _live(self, collection: str) -> Iterator[Record]:
        return iter(self._collections.get(collection, {}).values())

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut first, look at deadlines afterwards."""
        now = self.clock()
        if query.limit is None:
            records[:] = [record for record in records if record.is_alive(now)]
        return [record for record in super().window(records, query) if record.is_alive(now)]

    async def _count(self, query: Query, consistency: Consistency) -> int:
        now = self.clock()
        return sum(record.is_alive(now) for record in self.found(query))

    async def _aggregate(self, query, aggregation, consistency):  # type: ignore[no-untyped-def]
        return await MemoryAdapter._aggregate(_Alive(self), query, aggregation, consistency)  # type: ignore[arg-type]

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        MemoryAdapter._check_query(_Alive(self), check, own)  # type: ignore[arg-type]


class _Alive:
    """An adapter that sees live records only."""

    def __init__(self, adapter: MemoryAdapter) -> None:
        self._adapter = adapter
        self._collections = adapter._collections
        self.name = adapter.name

    def _live(self, collection: str) -> Iterator[Record]:
        return MemoryAdapter._live(self._adapter, collection)


# §9: deadlines are instants; a backend that is opened again still has them.
@mutant("ttl.restart", bugs=("jaredwray/cacheable#926",))
class OpeningStartsTimersAnew(MemoryAdapter):
    """Begins every time to live again when it is opened."""

    async def _open(self) -> None:
        await super()._open()
        now = self.clock()
        for records in self._collections.values():
            for record in records.values():
                if record.expires_at is not None and record.is_alive(now):
                    record.expires_at += (now - record.updated_at) // 1000 * 1000
