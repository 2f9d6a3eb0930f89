"""Real bugs of versions, conditions and updates: writers that should lose win, or lose without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from daystore.abc import (
    ABSENT,
    KEEP,
    Delete,
    Instant,
    Outcome,
    Put,
    Record,
    WriteBatch,
    new_version,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore.query.results import Entry, Page
from daystore.stores import ContextStore, MemoryStore, Store
from daystore.stores.locks import locks_of
from daystore.stores.rewriting import changed
from daystore.stores.source import StoreSource
from daystore_compliance.mutants.agent_stores import OwnStores
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.conditions import ChecksThenActs


class _AppendsAgain(MemoryStore[Any]):
    async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
        old = await self.window(memory_id, 3)  # of all, a failing case would double them without end
        new = list(entries)
        return (await super().append(memory_id, [*old, *new], **options))[len(old) :]


@mutant("rec.memories", "rec.memories_race", bugs=("agno-agi/agno#3923",))
class AppendsAgain(OwnStores):
    """What is appended to a memory comes after what it has already, once more."""

    memory_class: type[MemoryStore[Any]] = _AppendsAgain


@mutant("batch.store_versions", bugs=("google/adk-python#4751",))
class WritesWithFreshVersion(Store[Any]):
    """A write at an old version takes the current one and is done anyway."""

    async def set(self, key: str, value: Any, **options: Any) -> str:
        """Write, and write again."""
        try:
            return await super().set(key, value, **options)
        except VersionConflict as conflict:
            if options.get("if_version") is None or conflict.current is None:
                raise
            return await super().set(key, value, if_version=conflict.current)


@mutant("ttl.keep_race[alone]", bugs=("langchain-ai/langgraphjs#1996",))
class KeepsWhatItSawFirst(MemoryAdapter):
    """What a write keeps of the old record is read first, and written later over what came in between."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        now, operations = self.clock(), list(batch.operations)
        for index, operation in enumerate(operations):
            if isinstance(operation, Put) and operation.expires_at is KEEP:
                old = self._find(operation.collection, operation.key, now)
                operations[index] = replace(operation, expires_at=None if old is None else old.expires_at)
        if operations != list(batch.operations):
            await asyncio.sleep(0)
        return await super()._write(replace(batch, operations=operations))


@mutant("cas.create_only", bugs=("dapr/components-contrib#3207",))
class SilentCreator(MemoryAdapter):
    """Creating what exists reports success, and nothing is written."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        return [
            outcome._replace(error=None) if operation.expect is ABSENT else outcome
            for operation, outcome in zip(batch.operations, outcomes, strict=True)
        ]


@mutant("cas.on_missing", bugs=("dapr/components-contrib#731",))
class MissingHasEmptyVersion(MemoryAdapter):
    """The current version of what is missing is told as an empty text."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        if conflict is not None and conflict.current is None:
            conflict.current = ""
        return conflict


@mutant("cas.delete_if", bugs=("dapr/components-contrib#736",))
class SilentDelete(MemoryAdapter):
    """A delete at an old version deletes nothing and reports success."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        return [
            outcome._replace(error=None) if isinstance(operation, Delete) else outcome
            for operation, outcome in zip(batch.operations, outcomes, strict=True)
        ]


@mutant("batch.atomic_applies", bugs=("dapr/dapr#6266",))
class ChecksAnotherShard(MemoryAdapter):
    """Conditions of a batch are judged where its first item is kept."""

    _shard: str | None = None

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        place = self._shard or operation.collection
        return super()._conflict(replace(operation, collection=place), index, now)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self._shard = batch.operations[0].collection if batch.operations else None
        return await super()._write(batch)


class UpdatesUnchecked(Store[Any]):
    """Updates by reading and writing without a condition. Base of mutants, and none itself."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Read, change, write."""
        entry = await self.entry(key)
        if entry is None:
            return await super().update(key, change, **options)
        new = await changed(self._access.codec.shape, entry.value, change)
        ttl = {"ttl": options["ttl"]} if "ttl" in options else {"keep_ttl": True}
        await self.set(key, new, **ttl)
        return new


@mutant("cas.update_exact", bugs=("bytedance/deer-flow#4488",))
class UpdatesExpectNothing(UpdatesUnchecked):
    """An update writes what it made of what it read, whatever is there now."""


@mutant("cas.update_exact", bugs=("mastra-ai/mastra#24756",))
class UpdatesLockHere(UpdatesUnchecked):
    """An update is guarded by a lock of this process's connection and nothing else."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Lock, and go on unchecked."""
        if await self.entry(key) is None:
            return await super().update(key, change, **options)
        async with locks_of(self.adapter).hold(self.collection, key, 10):
            await asyncio.sleep(0)
            return await super().update(key, change, **options)


@mutant("cas.no_residue", bugs=("apache/iceberg#17708",))
class LosersLeaveOrphans(MemoryAdapter):
    """Each write that loses leaves behind what it had prepared."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        conflict = super()._conflict(operation, index, now)
        if conflict is not None:
            name = new_version()
            self._collections.setdefault("orphans", {})[name] = Record(name, b"", name, now, now)
        return conflict


@mutant("cas.one_winner", bugs=("rustfs/rustfs#1659",))
class LocksItsConnection(ChecksThenActs):
    """Writers of one connection take turns; those of another one are not seen."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        lock: asyncio.Lock = self.__dict__.setdefault("_lock", asyncio.Lock())
        async with lock:
            return await super()._write(batch)


class _LosesVersions(StoreSource[Any]):
    async def select(self, query: Any, consistency: Any, include: Any) -> Page[Entry[Any]]:
        page = await super().select(query, consistency, include)
        if include:
            page.items = [Entry(entry.value, replace(entry._record, version="")) for entry in page.items]
        return page


class _IncludesWithoutVersions(ContextStore):
    def _use(self, access: Any) -> None:
        super()._use(access)
        self._source = _LosesVersions(access, self._relations())


@mutant("rec.contexts_include", bugs=("BeanieODM/beanie#833",))
class IncludesWithoutVersions(OwnStores):
    """What a query returns together with what it includes has lost its version."""

    context_class: type[ContextStore] = _IncludesWithoutVersions
