"""Mutants that write well alone, and wrongly some other way: in batches, over the dead, twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from daystore.abc import ABSENT, KEEP, Check, Delete, Instant, Outcome, Put, Record, WriteBatch
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore.stores import Store
from daystore_compliance.mutants.base import mutant, unconditional
from daystore_compliance.mutants.conditions import ChecksThenActs

# --- Options that are lost on the way -----------------------------------------------------------------------


class ChangesBatches(MemoryAdapter):
    """Changes the items of some batches before they are written. Base of mutants, and none itself."""

    def chosen(self, batch: WriteBatch) -> bool:
        """Tell whether a batch goes this way."""
        return batch.atomic

    def item(self, operation: Operation, place: int) -> Operation:
        """Return what is written instead."""
        return operation

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self.chosen(batch):
            items = [self.item(operation, place) for place, operation in enumerate(batch.operations)]
            batch = replace(batch, operations=items)
        return await super()._write(batch)


class ChangesLarge(ChangesBatches):
    """Changes what stands behind the first thousand. Base of mutants, and none itself."""

    def chosen(self, batch: WriteBatch) -> bool:
        """Choose large ones."""
        return len(batch.operations) > 1000


@mutant("opt.matrix[large]")
class LaterPartsUnconditional(ChangesLarge):
    """Of a large batch the first part is conditional, and the others are not."""

    def item(self, operation: Operation, place: int) -> Operation:
        """Forget what is expected."""
        free = place >= 1000 and not isinstance(operation, Check)
        return unconditional(operation) if free else operation


@mutant("opt.matrix[large]")
class LaterPartsImmortal(ChangesLarge):
    """Of a large batch the first part has deadlines, and the others have none."""

    def item(self, operation: Operation, place: int) -> Operation:
        """Forget the deadline."""
        return (
            replace(operation, expires_at=None) if place >= 1000 and isinstance(operation, Put) else operation
        )


@mutant("opt.matrix[large]")
class LaterErrorsShift(MemoryAdapter):
    """Of a batch in parts of a thousand, a failure in a later part is told of the same place in the first."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        for place in range(1000, len(outcomes)) if not batch.atomic else ():
            error = outcomes[place].error
            if error is not None:
                outcomes[place % 1000] = outcomes[place % 1000]._replace(error=error)
                outcomes[place] = outcomes[place]._replace(error=None)
        return outcomes


@mutant("opt.matrix_atomic[few]", "opt.matrix_atomic[many]", "opt.matrix_transaction")
class AtomicForgetsKeep(ChangesBatches):
    """In an atomic batch keeping the deadline takes it away."""

    def item(self, operation: Operation, place: int) -> Operation:
        """Forget it."""
        keeps = isinstance(operation, Put) and operation.expires_at is KEEP
        return replace(operation, expires_at=None) if keeps else operation  # type: ignore[arg-type] # it is a Put


class ChangesPuts(MemoryAdapter):
    """Changes what is put, by what is there. Base of mutants, and none itself."""

    def put(self, put: Put, old: Record | None) -> Put:
        """Return what is written instead."""
        return put

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Put):
            operation = self.put(operation, self._find(operation.collection, operation.key, now))
        return super()._apply(operation, now)


@mutant("opt.matrix[pairs]", "opt.matrix_atomic[many]")
class CreatesImmortal(ChangesPuts):
    """Creating what must be absent ignores the deadline."""

    def put(self, put: Put, old: Record | None) -> Put:
        """Forget it."""
        return replace(put, expires_at=None) if put.expect is ABSENT else put


@mutant("opt.matrix[pairs]", "opt.matrix[reopen]")
class ConditionForgetsKeep(ChangesPuts):
    """A write at a version takes the deadline away that it is to keep."""

    def put(self, put: Put, old: Record | None) -> Put:
        """Forget it."""
        keeps = put.expires_at is KEEP and isinstance(put.expect, str)
        return replace(put, expires_at=None) if keeps else put


@mutant("opt.matrix[pairs]", "opt.matrix[second]")
class ShorterOnlyAlone(ChangesPuts):
    """A write at a version never shortens a life."""

    def put(self, put: Put, old: Record | None) -> Put:
        """Take the later end."""
        if isinstance(put.expect, str) and type(put.expires_at) is int and old and old.expires_at:
            return replace(put, expires_at=max(put.expires_at, old.expires_at))
        return put


@mutant("opt.matrix_atomic[many]")
class AtomicDeletesTellAll(MemoryAdapter):
    """In an atomic batch every delete says that there was something."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        if not batch.atomic:
            return outcomes
        pairs = zip(batch.operations, outcomes, strict=True)
        return [told._replace(existed=True) if isinstance(o, Delete) else told for o, told in pairs]


@mutant("opt.matrix_atomic[few]")
class AtomicTellsTheDead(MemoryAdapter):
    """A conflict in an atomic batch tells the version of an expired record as the current one."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            return await super()._write(batch)
        except VersionConflict as conflict:
            if conflict.key is not None and conflict.current is None:
                left = self._collections.get(conflict.collection or "", {}).get(conflict.key)
                conflict.current = None if left is None else left.version
            raise


@mutant("opt.matrix[pairs]", "opt.matrix[batch]")
class DeletesTheAbsent(MemoryAdapter):
    """A delete that expects nothing to be there is done whatever is there."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        anyhow = isinstance(operation, Delete) and operation.expect is ABSENT
        return None if anyhow else super()._conflict(operation, index, now)


@mutant("opt.matrix[pairs]", "opt.matrix[batch]")
class OldVersionHoldsOnce(MemoryAdapter):
    """The version before the current one holds as well."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        record = self._find(operation.collection, operation.key, now)
        before: dict[str, str] = self.__dict__.setdefault("_before", {})
        if record is not None and operation.expect == before.get(record.version, ""):
            return None
        return super()._conflict(operation, index, now)

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put) and old is not None:
            self.__dict__.setdefault("_before", {})[operation.version] = old.version
        return super()._apply(operation, now)


# --- Rivals -------------------------------------------------------------------------------------------------


@mutant("cas.one_winner_any_way[batch]")
class BatchChecksThenActs(MemoryAdapter):
    """The conditions of a batch of several are judged first, and its changes come later."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic or len(batch.operations) < 2:
            return await super()._write(batch)
        now = self.clock()
        conflicts = [self._conflict(o, index, now) for index, o in enumerate(batch.operations)]
        await asyncio.sleep(0)
        return [
            Outcome(None, existed=False, error=conflict) if conflict else self._apply(o, now)
            for o, conflict in zip(batch.operations, conflicts, strict=True)
        ]


@mutant("cas.one_winner_any_way[alone]")
class DeletesCheckThenAct(ChecksThenActs):
    """A delete at a version looks, and deletes later."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if all(isinstance(operation, Delete) for operation in batch.operations):
            return await super()._write(batch)
        return await MemoryAdapter._write(self, batch)


@mutant("cas.one_winner_any_way[alone]")
class CreatesOverTheDead(ChecksThenActs):
    """Where an expired record stands, creating removes it first, and writes later whatever came in between."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        now = self.clock()
        first = batch.operations[0] if len(batch.operations) == 1 else None
        left = self._collections.get(first.collection, {}).get(first.key) if first else None
        if first and first.expect is ABSENT and left is not None and not left.is_alive(now):
            return await super()._write(batch)
        return await MemoryAdapter._write(self, batch)


@mutant("cas.one_winner_any_way[atomic]", "cas.one_winner_transaction")
class AtomicInTurns(MemoryAdapter):
    """A small atomic batch is judged at one instant and applied at a later one."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic or not 2 <= len(batch.operations) <= 4:
            return await super()._write(batch)
        now = self.clock()
        for index, operation in enumerate(batch.operations):
            if conflict := self._conflict(operation, index, now):
                raise conflict
        await asyncio.sleep(0)
        for check in batch.queries:
            self._check_query(check, batch.own)
        return [self._apply(operation, now) for operation in batch.operations]


@mutant("rec.seen_whole[batch]")
class FieldsComeLater(MemoryAdapter):
    """The index entries of a batch are written a moment after its records."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        puts = [o for o in batch.operations if isinstance(o, Put) and o.fields]
        if len(puts) < 2:
            return await super()._write(batch)
        bare = [replace(o, fields={}) if isinstance(o, Put) else o for o in batch.operations]
        outcomes = await super()._write(replace(batch, operations=bare))
        await asyncio.sleep(0)
        for put in puts:
            record = self._collections.get(put.collection, {}).get(put.key)
            if record is not None and record.version == put.version:
                record.fields = dict(put.fields)
        return outcomes


@mutant("ttl.never_without[batch]")
class BatchDeadlinesLater(MemoryAdapter):
    """The deadlines of a batch are set by a second command."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        puts = [o for o in batch.operations if isinstance(o, Put) and type(o.expires_at) is int]
        if len(puts) < 2:
            return await super()._write(batch)
        bare = [replace(o, expires_at=None) if isinstance(o, Put) else o for o in batch.operations]
        outcomes = await super()._write(replace(batch, operations=bare))
        await asyncio.sleep(0)
        for put in puts:
            record = self._collections.get(put.collection, {}).get(put.key)
            if record is not None and record.version == put.version:
                record.expires_at = put.expires_at  # type: ignore[assignment] # an instant: see above
        return outcomes


# --- Deadlines far away -------------------------------------------------------------------------------------


@mutant("ttl.far")
class FarInSeconds(ChangesPuts):
    """A deadline of more than two hundred years is kept in whole seconds."""

    def put(self, put: Put, old: Record | None) -> Put:
        """Round what is far."""
        end = put.expires_at
        far = type(end) is int and end > self.clock() + 200 * 365 * 86_400_000_000
        return replace(put, expires_at=end // 1_000_000 * 1_000_000) if far else put  # type: ignore[operator]


@mutant("ttl.far")
class KeepCutsDeadlines(ChangesPuts):
    """Keeping a deadline keeps its seconds."""

    def put(self, put: Put, old: Record | None) -> Put:
        """Round."""
        if put.expires_at is KEEP and old is not None and old.expires_at is not None:
            return replace(put, expires_at=-(-old.expires_at // 1_000_000) * 1_000_000)
        return put


# --- Stores -------------------------------------------------------------------------------------------------


@mutant("ttl.updates")
class UpdateRearms(Store[Any]):
    """An update gives the record the store's own time to live anew."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Give it."""
        own = self._access.ttl
        if own is not None and "ttl" not in options:
            options["ttl"] = own / 1_000_000
        return await super().update(key, change, **options)


@mutant("ttl.updates", "opt.store_history")
class PatchIgnoresTtl(Store[Any]):
    """A patch ignores the time to live that it is given."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Forget it."""
        if isinstance(change, Mapping):
            options.pop("ttl", None)
        return await super().update(key, change, **options)


@mutant("ttl.expire_always")
class PersistIsDefault(Store[Any]):
    """Letting a record live for ever gives it the store's own time to live."""

    async def persist(self, key: str) -> bool:
        """Give it."""
        own = self._access.ttl
        return await (super().persist(key) if own is None else self.expire(key, own / 1_000_000))


@mutant("ttl.updates", "opt.store_history")
class KeepMakesImmortal(Store[Any]):
    """A new record that is written to keep a deadline gets none at all."""

    async def set(self, key: str, value: Any, **options: Any) -> str:
        """Give it none."""
        if options.get("keep_ttl") and not await self.exists(key):
            options = {**options, "keep_ttl": False, "ttl": None}
        return await super().set(key, value, **options)


@mutant("ttl.expire_always", "opt.store_history")
class ExpireKeepsVersion(Store[Any]):
    """Moving a deadline gives no new version."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Put the old one back."""
        entry = await self.entry(key)
        moved = await super().expire(key, ttl)
        adapter: Any = self.adapter
        record = adapter._collections.get(self.collection, {}).get(key)
        if entry is not None and record is not None:
            record.version = entry.version
        return moved


@mutant("cas.update_beside")
class ExpireWritesWhatItRead(Store[Any]):
    """Moving a deadline writes the value anew that was read before, whatever is there now."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Read, wait, write."""
        entry = await self.entry(key)
        if entry is None:
            return await super().expire(key, ttl)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self.set(key, entry.value, ttl=ttl)
        return True


@mutant("opt.store_history")
class AtomicBatchLosesTtl(Store[Any]):
    """An atomic batch ignores the time to live that it is given."""

    async def set_batch(self, items: Any, **options: Any) -> dict[str, str]:
        """Forget it."""
        if options.get("atomic"):
            options.pop("ttl", None)
        return await super().set_batch(items, **options)


@mutant("ttl.updates_in_transaction")
class ExpireOutside(Store[Any]):
    """In a transaction a deadline is moved in the copy that was read, and not in what the commit writes."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Pretend."""
        return await (super().expire(key, ttl) if self._access.defer is None else self.exists(key))


@mutant("del.clear_own")
class ClearsOneInside(Store[Any]):
    """In a transaction clear counts all records, and deletes the first of them."""

    async def clear(self) -> int:
        """Delete one of them."""
        if self._access.defer is None:
            return await super().clear()
        keys = await self.all().keys()
        await self.delete_batch(keys[:1])
        return len(keys)
