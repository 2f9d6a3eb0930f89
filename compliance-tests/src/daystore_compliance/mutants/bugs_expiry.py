"""Real bugs of expiry: records that outlive their deadline, lose it, or are gone for some operations only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from daystore.abc import (
    ABSENT,
    EVENTUAL,
    Aggregation,
    Clock,
    Consistency,
    Delete,
    GroupRow,
    Instant,
    Outcome,
    Put,
    Query,
    Record,
    StorageAdapter,
    Version,
    WriteBatch,
)
from daystore.abc.evaluate import evaluate_aggregate, evaluate_count
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable
from daystore.stores import Store
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.envelope import Changed
from daystore_compliance.target import MemoryTarget, Raw, Target


class SeesTheDead(MemoryAdapter):
    """Sees whatever was not swept. Base of mutants, and none itself."""

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        return self._collections.get(collection, {}).get(key)

    def _live(self, collection: str) -> Any:
        return iter(self._collections.get(collection, {}).values())


@mutant("ttl.expires_everywhere", bugs=("langchain-ai/langgraph#8902",))
class OnlySweepHides(SeesTheDead):
    """An expired record is there for every operation until the next sweep."""


@mutant("ttl.expires_everywhere", bugs=("dapr/components-contrib#2750",))
class NeverSwept(SeesTheDead):
    """A deadline is kept and told, and nothing ever looks at it."""

    def _sweep(self, now: Instant) -> None:
        pass


@mutant("ttl.expires_everywhere", bugs=("dapr/components-contrib#4520",))
class ReadSeesTheDead(MemoryAdapter):
    """Reading by key returns expired records until they are swept."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = [self._collections.get(collection, {}).get(key) for key in keys]
        return [None if record is None else record.copy() for record in found]


@mutant("ttl.expires_everywhere", bugs=("jaredwray/cacheable#1617",))
class ExistsSeesTheDead(MemoryAdapter):
    """An expired record exists, is counted and found, and cannot be read."""

    def _live(self, collection: str) -> Any:
        return iter(self._collections.get(collection, {}).values())

    async def exists(self, collection: str, key: str, consistency: Consistency = EVENTUAL) -> bool:
        """Look whether there is something."""
        return key in self._collections.get(collection, {}) or await super().exists(
            collection, key, consistency
        )


@mutant("ttl.huge", bugs=("dapr/components-contrib#1011",))
class LifetimeIn32Bits(Changed):
    """A time to live is kept as seconds in 32 bits."""

    def changed(self, put: Put) -> Put:
        """Wrap."""
        if type(put.expires_at) is not int or put.expires_at < self.clock():
            return put
        now = self.clock() // 1000 * 1000
        return replace(put, expires_at=now + (put.expires_at - now) % (2**32 * 1_000_000))


@mutant("ttl.if_absent_on_expired", bugs=("dapr/components-contrib#4087",))
class CreatorMeetsTheDead(MemoryAdapter):
    """Creating where an expired record was not swept is an error of the backend."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        now = self.clock()
        for operation in batch.operations:
            left = self._collections.get(operation.collection, {}).get(operation.key)
            if operation.expect is ABSENT and isinstance(operation, Put) and left and not left.is_alive(now):
                raise BackendUnavailable("duplicate entry for the primary key")
        return await super()._write(batch)


@mutant("ttl.never_without[alone]", "rec.seen_whole[alone]", bugs=("dapr/components-contrib#990",))
class DeadlineComesLater(MemoryAdapter):
    """A record is written without its deadline, which is set by a second command."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        put = batch.operations[0] if len(batch.operations) == 1 else None
        if not isinstance(put, Put) or type(put.expires_at) is not int:
            return await super()._write(batch)
        outcomes = await super()._write(replace(batch, operations=[replace(put, expires_at=None)]))
        await asyncio.sleep(0)
        record = self._collections.get(put.collection, {}).get(put.key)
        if record is not None and record.version == put.version:
            record.expires_at = put.expires_at
        return outcomes


@mutant("batch.ttl_applies", bugs=("sebleier/django-redis-cache#106",))
class BatchLivesForEver(MemoryAdapter):
    """Deadlines of a batch are ignored."""

    async def set_batch(self, puts: Iterable[Put], *, atomic: bool = False) -> list[Version]:
        """Write without them."""
        return await super().set_batch([replace(put, expires_at=None) for put in puts], atomic=atomic)


class _Indexed(MemoryAdapter):
    """Keeps entries of an index, which a sweep forgets."""

    entries: set[tuple[str, str]]

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Put):
            self.entries.add((operation.collection, operation.key))
        elif isinstance(operation, Delete):
            self.entries.discard((operation.collection, operation.key))
        return super()._apply(operation, now)


@mutant("ttl.no_residue", bugs=("jaredwray/keyv#455",))
class SweepLeavesEntries(MemoryTarget):
    """When an expired record is swept, its entry of the index stays for ever."""

    adapter: type[MemoryAdapter] = _Indexed

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, set[tuple[str, str]]] = {}

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an adapter on the data and the entries of its namespace."""
        adapter = await super().open(namespace, clock)
        assert isinstance(adapter, _Indexed)
        adapter.entries = self._entries.setdefault(namespace, set())
        return adapter

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the records and the entries."""
        found = await super().raw(adapter)
        return Raw(found.records, len(self._entries.get(adapter.namespace, ())))

    def fresh(self) -> Target:
        """Return another one, without data."""
        return SweepLeavesEntries()


@mutant("ttl.expires_everywhere", bugs=("redis-developer/langgraph-redis#139",))
class CountsEntries(MemoryAdapter):
    """Counts and aggregates take what is in the index, where the expired stay."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return evaluate_count(iter(self._collections.get(query.collection, {}).values()), query)

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        records = iter(self._collections.get(query.collection, {}).values())
        return evaluate_aggregate(records, query, aggregation)


@mutant("ttl.expire_always", bugs=("redis-developer/langgraph-redis#95",))
class RearmsLate(Store[Any]):
    """A deadline is moved only when less than 60 percent of the new life is left."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Leave it where it is, mostly."""
        left = await self.ttl(key)
        enough = isinstance(ttl, (int, float)) and left is not None and left >= timedelta(seconds=ttl * 0.6)
        return True if enough else await super().expire(key, ttl)


@mutant("ttl.extend_persist", bugs=("redis/redis#1026",))
class ExtendRevives(Store[Any]):
    """Giving an expired record that was not swept another deadline brings it back."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Look whether there is something."""
        adapter: Any = self.adapter
        record = adapter._collections.get(self.collection, {}).get(key)
        if record is not None:
            record.expires_at = self._access.expiry(ttl)
        return record is not None


@mutant("ttl.zero_negative", bugs=("redis/redis-py#908",))
class ElapsedDeletes(Store[Any]):
    """A time to live of zero or less deletes the record, and the write reports success."""

    async def set(self, key: str, value: Any, **options: Any) -> str:
        """Delete it."""
        ttl = options.get("ttl")
        if isinstance(ttl, (int, float)) and ttl <= 0:
            version = await super().set(key, value)
            await self.delete(key)
            return version
        return await super().set(key, value, **options)
