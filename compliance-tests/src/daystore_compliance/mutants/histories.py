"""Mutants that are right step by step, and wrong when clients meet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from daystore.abc import (
    ANY,
    KEEP,
    Check,
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
from daystore.abc.evaluate import evaluate_query
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore_compliance.mutants.base import mutant, unconditional
from daystore_compliance.mutants.transactions import Begins


async def _a_moment() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


# --- Single records -------------------------------------------------------------------------------------------


class Counting(MemoryAdapter):
    """Counts what it does, to fail now and then and yet always alike. Base of mutants, and none itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.counter: count[int] = count(1)

    def every(self, number: int) -> bool:
        """Tell whether it is time again."""
        return next(self.counter) % number == 0


@mutant("cas.linearizable[one]")
class DropsWrites(Counting):
    """One write of a hundred is acknowledged, and was never made."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Put) and self.every(97):
            existed = self._find(operation.collection, operation.key, now) is not None
            return Outcome(operation.version, existed)
        return super()._apply(operation, now)


class Following(Counting):
    """Remembers of each collection what was there before its last change. Base of mutants, and none itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.before: dict[str, tuple[str, Record | None]] = {}

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if not isinstance(operation, Check):
            old = self._find(operation.collection, operation.key, now)
            self.before[operation.collection] = (operation.key, old)
        return super()._apply(operation, now)


@mutant("cas.linearizable[one]")
class FollowerReads(Following):
    """One read of ten is answered by a follower that has not seen the last change of the collection."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        key, old = self.before.get(collection, ("", None))
        if self.every(10):
            return [old if wanted == key else record for wanted, record in zip(keys, found, strict=True)]
        return found


@mutant("cas.linearizable[one]")
class IndexLags(Following):
    """One query of ten is answered by an index that has not seen the last change of the collection."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        if query.collection in self.before and self.every(10):
            key, old = self.before[query.collection]
            live = [record for record in self._live(query.collection) if record.key != key]
            return evaluate_query([*live, *([] if old is None else [old])], query)
        return await super()._query(query, consistency)


@mutant("cas.linearizable[one]")
class SendsAgain(Counting):
    """One write of twenty is sent again a moment later, as if its reply were lost, over whatever is there."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        if len(outcomes) == 1 and outcomes[0].version is not None and self.every(20):
            await _a_moment()
            await super()._write(WriteBatch([unconditional(batch.operations[0])]))
        return outcomes


@mutant("cas.linearizable[one]")
class OwnWriteIsConflict(Counting):
    """One conditional write of twenty is sent twice, and the second time it conflicts with itself."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        operation = batch.operations[0]
        if len(outcomes) > 1 or not isinstance(operation, Put) or operation.expect is ANY:
            return outcomes
        return await super()._write(batch) if outcomes[0].error is None and self.every(20) else outcomes


@mutant("cas.linearizable[one]")
class DeleteLosesRace(MemoryAdapter):
    """A delete that is overtaken by a write removes nothing, and says that it did."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        operation = batch.operations[0] if len(batch.operations) == 1 else None
        if not (isinstance(operation, Delete) and operation.expect is ANY):
            return await super()._write(batch)
        record = self._find(operation.collection, operation.key, self.clock())
        await asyncio.sleep(0)
        if record is not None:
            await super()._write(WriteBatch([replace(operation, expect=record.version)]))
        return [Outcome(None, record is not None)]


@mutant("cas.linearizable[apart]")
class LocksItself(MemoryAdapter):
    """Conditions are judged under a lock of the adapter, and another adapter has another lock."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.lock: asyncio.Lock = asyncio.Lock()

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        async with self.lock:
            if len(batch.operations) != 1 or batch.operations[0].expect is ANY:
                return await super()._write(batch)
            operation = batch.operations[0]
            if self._conflict(operation, 0, self.clock()):
                return await super()._write(batch)
            await asyncio.sleep(0)
            return await super()._write(replace(batch, operations=[unconditional(operation)]))


# --- Isolation ------------------------------------------------------------------------------------------------


class _ReadsLive(RecordTransaction):
    async def _see(self, collection: str, keys: Sequence[str]) -> None:
        for key in keys:
            self._seen.pop((collection, key), None)
        await super()._see(collection, keys)

    def _batch(self) -> WriteBatch | None:
        return WriteBatch(list(self._writes.values()), atomic=True)


@mutant("txn.isolation_claim[one]", "txn.repeatable_read")
class ReadCommitted(Begins):
    """A transaction keeps its writes for the commit, reads what is committed at the moment, and checks nothing."""

    transaction_class: type[RecordTransaction] = _ReadsLive


class _Dirty(RecordTransaction):
    async def read(self, collection: str, keys: Sequence[str]) -> list[Record | None]:
        found = await super().read(collection, keys)
        assert isinstance(self._adapter, ReadUncommitted)
        for index, key in enumerate(keys):
            for other in self._adapter.begun:
                if other is not self and other.state == "open" and (collection, key) in other._writes:
                    found[index] = other._view(collection, key, self._adapter.clock())
                    self._seen.pop((collection, key), None)
        return found


@mutant("txn.isolation_claim[one]")
class ReadUncommitted(Begins):
    """A transaction reads what another one has written and not committed, and does not check it."""

    transaction_class: type[RecordTransaction] = _Dirty

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.begun: list[RecordTransaction] = []

    def transaction(self) -> RecordTransaction:
        """Remember it, for the others."""
        begun = super().transaction()
        self.begun = [*(other for other in self.begun if other.state == "open"), begun]
        return begun


def _copied(adapter: MemoryAdapter) -> MemoryAdapter:
    copy = MemoryAdapter(namespace=adapter.namespace, clock=adapter.clock)
    copy._collections = {name: dict(records) for name, records in adapter._collections.items()}
    copy._is_open = True
    return copy


class _OnCopy(RecordTransaction):
    """Reads from a copy that was made at the begin."""

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(self.copy_of(adapter))
        self._live = adapter

    def copy_of(self, adapter: MemoryAdapter) -> MemoryAdapter:
        """Make it."""
        return _copied(adapter)

    async def _run_commit(self, batch: WriteBatch) -> None:
        self._adapter = self._live
        await super()._run_commit(batch)


class _Snapshot(_OnCopy):
    def _batch(self) -> WriteBatch | None:
        batch = super()._batch()
        written = [o for o in batch.operations if not isinstance(o, Check)] if batch else []
        return WriteBatch(written, atomic=True)


@mutant("txn.isolation_claim[one]", "txn.write_skew", "txn.phantom")
class SnapshotIsolation(Begins):
    """A transaction reads from a snapshot, and of what it read only what it writes is checked."""

    transaction_class: type[RecordTransaction] = _Snapshot


class _Unchecked(RecordTransaction):
    def _batch(self) -> WriteBatch | None:
        return super()._batch() if self._writes else None


@mutant("txn.isolation_claim[one]", "txn.read_only", "stateful.txn")
class ReadOnlyUnchecked(Begins):
    """A transaction that writes nothing commits whatever it read."""

    transaction_class: type[RecordTransaction] = _Unchecked


class _Joins(_OnCopy, _Unchecked):
    def copy_of(self, adapter: MemoryAdapter) -> MemoryAdapter:
        """Take that of another transaction which is not over; not for ever."""
        assert isinstance(adapter, SharesSnapshots)
        adapter.users = [other for other in adapter.users if other.state == "open"]
        if not adapter.users or adapter.every(4):
            adapter.shared = _copied(adapter)
        adapter.users.append(self)
        return adapter.shared


@mutant("txn.isolation_claim[one]")
class SharesSnapshots(Begins, Counting):
    """A transaction reads from the snapshot of another one that runs, which is consistent, and may be old."""

    transaction_class: type[RecordTransaction] = _Joins

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.users: list[RecordTransaction] = []
        self.shared: MemoryAdapter


@mutant("txn.isolation_claim[one]", "txn.commit_visible_all_or_none")
class CommitsKeyByKey(MemoryAdapter):
    """A commit is judged as a whole and applied record by record, and others run in between."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        now = self.clock()
        await super()._write(replace(batch, operations=[_checking(o) for o in batch.operations]))
        outcomes = []
        for operation in batch.operations:
            outcomes.append(self._apply(operation, now))
            await asyncio.sleep(0)
        return outcomes


def _checking(operation: Operation) -> Check:
    return Check(operation.collection, operation.key, operation.expect)


@mutant("txn.isolation_claim[one]")
class CommitsAgain(Counting):
    """One commit of five is sent again a moment later, as if its reply were lost, over whatever is there."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        written = [unconditional(o) for o in batch.operations if not isinstance(o, Check)]
        if batch.atomic and written and self.every(5):
            await _a_moment()
            await super()._write(WriteBatch(written))
        return outcomes


# --- What one transaction sees --------------------------------------------------------------------------------


class _ReadsAgain(RecordTransaction):
    async def _run(self, query: Query) -> Page:
        before = set(self._seen)
        page = await super()._run(query)
        for name in set(self._seen) - before:
            del self._seen[name]
        return page


@mutant("stateful.txn")
class ForgetsWhatItFound(Begins):
    """A record that a query of a transaction found is read anew when it is asked for by key."""

    transaction_class: type[RecordTransaction] = _ReadsAgain


class _JudgesStored(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        await self.read(operations[0].collection, [o.key for o in operations if o.expect is not ANY])
        own, self._writes = self._writes, {}
        try:
            existed = await super().write(operations)
        finally:
            self._writes = {**own, **self._writes}
        return existed


@mutant("stateful.txn", "txn.conditions")
class JudgesStored(Begins):
    """A condition inside a transaction is judged by what is stored, not by what the transaction has written."""

    transaction_class: type[RecordTransaction] = _JudgesStored


class _KeepsStored(RecordTransaction):
    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        existed = await super().write(operations)
        for operation in operations:
            if isinstance(operation, Put) and operation.expires_at is KEEP:
                self._writes[operation.collection, operation.key] = replace(operation, expect=ANY)
        return existed


@mutant("stateful.txn")
class KeepsStored(Begins):
    """A write that keeps the deadline keeps the stored one, not that of the transaction's own last write."""

    transaction_class: type[RecordTransaction] = _KeepsStored


@mutant("stateful.txn")
class ExpiredIsUnchanged(MemoryAdapter):
    """A commit does not notice that a record which it read has expired since."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        stored = self._collections.get(operation.collection, {}).get(operation.key)
        if isinstance(operation, Check) and stored is not None and stored.version == operation.expect:
            return None
        return super()._conflict(operation, index, now)
