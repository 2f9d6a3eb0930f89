"""Mutants in which a writer that should lose wins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from daystore.abc import ABSENT, ANY, Check, Delete, Instant, Outcome, Put, WriteBatch
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, VersionConflict
from daystore_compliance.mutants.base import mutant, unconditional


@mutant(
    "cas.stale_rejected",
    "cas.delete_if",
    "cas.create_only",
    "batch.store_versions",
    "cas.update_exact",
    "cas.update_gives_up",
    "txn.retry_bounded",
    "txn.retry_helper",
)
class IgnoresConditions(MemoryAdapter):
    """Conditions are accepted and ignored."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        return None


@mutant("cas.create_only")
class AbsentIsAny(MemoryAdapter):
    """Creating what exists overwrites it."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        return None if operation.expect is ABSENT else super()._conflict(operation, index, now)


class ChecksThenActs(MemoryAdapter):
    """Judges a condition, lets others run, and writes. Base of mutants, and none itself."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if len(batch.operations) != 1 or batch.operations[0].expect is ANY:
            return await super()._write(batch)
        operation = batch.operations[0]
        if conflict := self._conflict(operation, 0, self.clock()):
            if batch.atomic:
                raise conflict
            return [Outcome(None, existed=False, error=conflict)]
        await asyncio.sleep(0)
        return await super()._write(replace(batch, operations=[unconditional(operation)]))


@mutant(
    "cas.one_creator",
    "cas.one_winner",
    "cas.n_incrementers",
    "cas.n_incrementers_apart",
    "cas.linearizable[one]",
)
class ReadsThenWrites(ChecksThenActs):
    """A condition is judged by reading, and the write comes later."""


@mutant("cas.delete_if", "batch.store_versions")
class DeleteIgnores(MemoryAdapter):
    """A conditional delete does not look at its condition."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        return None if isinstance(operation, Delete) else super()._conflict(operation, index, now)


@mutant("cas.stale_rejected", "cas.one_winner")
class SilentLoser(MemoryAdapter):
    """A write that loses reports success, and nothing is written."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        return [outcome._replace(error=None) for outcome in await super()._write(batch)]


@mutant("cas.stale_keeps_all")
class LoserTouches(MemoryAdapter):
    """A write that loses still takes the deadline away."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        record = self._find(operation.collection, operation.key, now)
        if conflict is not None and record is not None:
            record.expires_at = None
        return conflict


@mutant("cas.version_returned", "batch.version_per_item")
class StoresAnotherVersion(MemoryAdapter):
    """The version that is kept is not the one that is returned."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put):
            self._collections[operation.collection][operation.key].version += "x"
        return outcome


class Counted(MemoryAdapter):
    """Numbers the versions of each record. Base of mutants, and none itself."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put):
            operation.version = str(1 if old is None else int(old.version) + 1)
        return super()._apply(operation, now)


@mutant("cas.aba", "cas.version_changes_on_every_write", "stateful.kv")
class CounterRestarts(Counted):
    """Versions are numbers that begin at 1 again after a delete."""


@mutant("cas.other_record")
class CountersCollide(Counted):
    """The versions of all records are the same numbers."""


@mutant("cas.version_changes_on_every_write")
class SameValueSameVersion(MemoryAdapter):
    """Writing the same value again gives no new version."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put) and old is not None and old.value == operation.value:
            operation.version = old.version
        return super()._apply(operation, now)


@mutant("cas.on_missing")
class StaleInserts(MemoryAdapter):
    """A write at a version of a record that is gone creates it."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        gone = self._find(operation.collection, operation.key, now) is None
        return None if gone and operation.expect is not ABSENT else super()._conflict(operation, index, now)


@mutant("cas.foreign_version")
class VersionsHaveShape(MemoryAdapter):
    """A version of another shape is another error."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation.expect, str) and len(operation.expect) != 24:
            raise ValueError("badly formed version")
        return super()._conflict(operation, index, now)


@mutant("cas.foreign_version")
class EmptyVersionIsAny(MemoryAdapter):
    """The empty version is no condition."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        return None if operation.expect == "" else super()._conflict(operation, index, now)


@mutant("cas.one_condition")
class FirstConditionWins(MemoryAdapter):
    """Of two conditions one is forgotten."""

    async def set(self, collection: str, key: str, value: bytes, **options: Any) -> str:
        """Forget it."""
        if options.get("if_absent"):
            options.pop("if_version", None)
        return await super().set(collection, key, value, **options)


@mutant("cas.batch", "batch.atomic_all_or_none", "txn.conflict", "txn.stale_each")
class AtomicIgnoresConditions(MemoryAdapter):
    """An atomic batch drops the expectations of its items."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            kept = [o for o in batch.operations if not isinstance(o, Check)]
            free = await super()._write(replace(batch, operations=list(map(unconditional, kept))))
            return free if len(kept) == len(batch.operations) else await self._told(batch)
        return await super()._write(batch)

    async def _told(self, batch: WriteBatch) -> list[Outcome]:
        return [Outcome(getattr(o, "version", None), existed=True) for o in batch.operations]


@mutant("cas.check_alone")
class CheckWrites(MemoryAdapter):
    """A check leaves a new time behind."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        record = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Check) and record is not None:
            record.updated_at = now
        return super()._apply(operation, now)


@mutant("cas.update_fresh_argument", "cas.update_creators")
class LosersAreUnknown(MemoryAdapter):
    """A conflict is reported as another error."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> Any:
        conflict = super()._conflict(operation, index, now)
        if conflict is not None:
            raise BackendUnavailable("something went wrong")
        return None
