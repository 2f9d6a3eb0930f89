"""Mutants that refuse on most ways, and not on all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from daystore.abc import EVENTUAL, Consistency, Record
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import InvalidKey, SerializationError
from daystore.storage import Storage
from daystore.stores import MemoryStore, Store
from daystore_compliance.mutants.base import mutant


@mutant("ser.refused_on_every_path")
class UpdateSwallows(Store[Any]):
    """An update to what cannot be stored changes nothing, and nobody is told."""

    async def update(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Update, or return what there is."""
        try:
            return await super().update(key, *arguments, **options)
        except SerializationError:
            return await self.get(key)


@mutant("ser.refused_on_every_path")
class AtomicBatchSwallows(Store[Any]):
    """An atomic batch with a value that cannot be stored is not written, and nobody is told."""

    async def set_batch(self, items: Any, *, atomic: bool = False, **options: Any) -> dict[str, str]:
        """Write, or do not."""
        try:
            return await super().set_batch(items, atomic=atomic, **options)
        except SerializationError:
            if atomic:
                return {}
            raise


@mutant("ser.refused_on_every_path")
class RefusalTouches(Store[Any]):
    """A write that keeps the deadline writes the deadline before it looks at the value."""

    async def set(self, key: str, value: Any, *, keep_ttl: bool = False, **options: Any) -> str:
        """Write in two steps."""
        if keep_ttl and (old := await self.entry(key)) is not None:
            await super().set(key, old.value, keep_ttl=True)
        return await super().set(key, value, keep_ttl=keep_ttl, **options)


@mutant("ser.refused_on_every_path")
class AppendsWhatItCan(Storage):
    """Of entries that are appended those that cannot be stored are left out."""

    @property
    def memories(self) -> MemoryStore[Any]:
        """Return a store that does that."""
        return _AppendsGood(self._backend_of("memories"), "memories")


class _AppendsGood(MemoryStore[Any]):
    async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
        keys: list[str] = []
        for entry in entries:
            try:
                keys += await super().append(memory_id, [entry], **options)
            except SerializationError:
                continue
        return keys


@mutant("rec.index_refused_on_every_path")
class UpdateSkipsIndex(Store[Any]):
    """An update to a value whose indexed part is of another type takes the record out of the index."""

    async def update(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Update, or write around the index."""
        try:
            return await super().update(key, *arguments, **options)
        except SerializationError:
            plain: Store[Any] = Store(self.adapter, self.collection)
            return await plain.update(key, *arguments, **options)


@mutant("key.refused_on_every_path")
class ExpiresAnyName(Store[Any]):
    """Expiry takes what is no key for a missing one."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Expire, whatever the name."""
        try:
            return await super().expire(key, ttl)
        except InvalidKey:
            return False


@mutant("key.refused_on_every_path")
class TellsAnyRest(Store[Any]):
    """Asking for the rest of a life takes what is no key for a missing one."""

    async def ttl(self, key: str) -> Any:
        """Ask, whatever the name."""
        try:
            return await super().ttl(key)
        except InvalidKey:
            return None


@mutant("key.refused_in_batches")
class ChecksTheFirst(MemoryAdapter):
    """Of the keys of a read the first ten are checked."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read with a short check."""
        await super().read(collection, keys[:10], consistency)
        return await self._read(collection, keys, consistency)
