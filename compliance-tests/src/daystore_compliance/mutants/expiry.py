"""Mutants in which records live too long, too short, or by halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daystore.abc import KEEP, Consistency, Instant, Outcome, Put, Record, WriteBatch
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.envelope import Changed


class Unswept(MemoryAdapter):
    """Correct as it is: what has expired stays in memory, for mutants that stumble over it."""

    def _sweep(self, now: Instant) -> None:
        pass


@mutant("ttl.boundary", "ttl.expires_everywhere", "ttl.default")
class AliveAtDeadline(MemoryAdapter):
    """A record is there at its deadline, and gone after it."""

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        return super()._find(collection, key, now - 1)

    def _live(self, collection: str) -> Any:
        now = self.clock() - 1
        return (r for r in self._collections.get(collection, {}).values() if r.is_alive(now))


@mutant("ttl.boundary")
class GoneEarly(MemoryAdapter):
    """A record is gone a millisecond before its deadline."""

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        return super()._find(collection, key, now + 1000)


@mutant("ttl.subsecond", "ttl.forms", "ttl.remaining")
class WholeSeconds(Changed):
    """Deadlines are kept in whole seconds."""

    def changed(self, put: Put) -> Put:
        """Round up."""
        if type(put.expires_at) is not int:
            return put
        return replace(put, expires_at=-(-put.expires_at // 1_000_000) * 1_000_000)


@mutant("ttl.elapsed_deadline")
class ElapsedIsNone(Changed):
    """A deadline that has passed is none."""

    def changed(self, put: Put) -> Put:
        """Make it immortal."""
        elapsed = type(put.expires_at) is int and put.expires_at <= self.clock()
        return replace(put, expires_at=None) if elapsed else put


@mutant("ttl.overwrite_clears", "ttl.keep_ttl", "ttl.extend_persist")
class OverwriteKeeps(Changed):
    """Overwriting without a deadline keeps the old one."""

    def changed(self, put: Put) -> Put:
        """Keep it."""
        return replace(put, expires_at=KEEP) if put.expires_at is None else put


@mutant("ttl.overwrite_clears")
class OldTimerStays(MemoryAdapter):
    """The timer of the first write takes the record, whatever was written since."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and old is not None and old.expires_at is not None:
            self._collections[operation.collection][operation.key].expires_at = old.expires_at
        return outcome


@mutant("ttl.shorten")
class NeverShorter(MemoryAdapter):
    """A deadline is moved later, never earlier."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put) and old is not None and type(operation.expires_at) is int:
            later = None if old.expires_at is None else max(old.expires_at, operation.expires_at)
            operation = replace(operation, expires_at=later)
        return super()._apply(operation, now)


@mutant("ttl.keep", "ttl.keep_ttl")
class KeepIsNone(Changed):
    """Keeping the deadline takes it away."""

    def changed(self, put: Put) -> Put:
        """Forget it."""
        return replace(put, expires_at=None) if put.expires_at is KEEP else put


@mutant("ttl.keep")
class KeepsTheDead(MemoryAdapter):
    """Keeping the deadline keeps that of an expired record, too."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._collections.get(operation.collection, {}).get(operation.key)
        if isinstance(operation, Put) and operation.expires_at is KEEP and old is not None:
            operation = replace(operation, expires_at=old.expires_at)
        return super()._apply(operation, now)


@mutant("ttl.huge")
class SecondsIn32Bits(Changed):
    """Deadlines are kept as seconds in 32 bits."""

    def changed(self, put: Put) -> Put:
        """Wrap."""
        if type(put.expires_at) is not int:
            return put
        return replace(put, expires_at=put.expires_at % (2**32 * 1_000_000))


@mutant("ttl.expires_everywhere", "ttl.rewritten")
class ReadHidesOnly(Unswept):
    """Only reading by key knows of deadlines; conditions, deletes and queries see the dead."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        now = self.clock()
        return [r if r is None or r.is_alive(now) else None for r in found]

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        return self._collections.get(collection, {}).get(key)


@mutant("ttl.cas_on_expired", "ttl.if_absent_on_expired")
class ConditionsSeeTheDead(MemoryAdapter):
    """An expired record keeps a key from being created, and its version still holds."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        return super()._conflict(operation, index, 0)


@mutant("ttl.atomic_on_expired")
class AtomicSeesTheDead(MemoryAdapter):
    """In atomic batches conditions see expired records."""

    _now: Instant | None = None

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        return super()._conflict(operation, index, now if self._now is None else self._now)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self._now = 0 if batch.atomic else None
        return await super()._write(batch)


@mutant("ttl.rewritten", "ttl.if_absent_on_expired")
class BornAgain(Unswept):
    """A record that is written over an expired one was created when that was."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._collections.get(operation.collection, {}).get(operation.key)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and old is not None:
            self._collections[operation.collection][operation.key].created_at = old.created_at
        return outcome


@mutant("ttl.one_by_one")
class SweepTakesAll(MemoryAdapter):
    """When one record has expired, all that have a deadline are swept."""

    def _live(self, collection: str) -> Any:
        now = self.clock()
        records = self._collections.get(collection, {})
        if any(not record.is_alive(now) for record in records.values()):
            for key in [key for key, record in records.items() if record.expires_at is not None]:
                del records[key]
        return super()._live(collection)


@mutant("ttl.restart")
class DeadlinesRestart(MemoryAdapter):
    """Opening begins every life anew."""

    async def _close(self) -> None:
        now = self.clock()
        self.__dict__["_left"] = {
            id(r): r.expires_at - r.updated_at
            for records in self._collections.values()
            for r in records.values()
            if r.expires_at is not None and r.is_alive(now)
        }

    async def _open(self) -> None:
        await super()._open()
        now = self.clock()
        for records in self._collections.values():
            for record in records.values():
                if id(record) in self.__dict__.get("_left", {}):
                    record.expires_at = (now + self.__dict__["_left"][id(record)]) // 1000 * 1000


@mutant("ttl.whole_milliseconds")
class RoundsDeadlines(MemoryAdapter):
    """A deadline between two milliseconds is rounded."""

    async def set(self, collection: str, key: str, value: bytes, **options: Any) -> str:
        """Round it."""
        if type(options.get("expires_at")) is int:
            options["expires_at"] = options["expires_at"] // 1000 * 1000
        return await super().set(collection, key, value, **options)
