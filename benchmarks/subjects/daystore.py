"""daystore, through a store and at its adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from benchmarks.subjects import BYTES, PAYLOAD, BatchSubject, Subject
from daystore import Storage
from daystore.abc.adapter import StorageAdapter
from daystore.abc.record import Put
from daystore.plugins import default_plugins

COLLECTION = "bench"

OURS = "daystore"
CALL_EACH = "daystore, a call each"
OURS_BYTES = "daystore adapter, bytes"


class Stored:
    """A store of plain dictionaries: objects in, objects out."""

    payload = PAYLOAD

    def __init__(self, store: Any) -> None:
        self.set, self.get = store.set, store.get
        self.set_batch, self.get_batch = store.set_batch, store.get_batch


class Adapted:
    """An adapter: bytes in, records with bytes out."""

    payload = BYTES.payload

    def __init__(self, adapter: StorageAdapter) -> None:
        self._adapter = adapter

    async def set(self, key: str, value: Any) -> None:
        await self._adapter.set(COLLECTION, key, value)

    async def get(self, key: str) -> object:
        return await self._adapter.get(COLLECTION, key)

    async def set_batch(self, items: Mapping[str, Any]) -> None:
        await self._adapter.set_batch([Put(COLLECTION, key, value) for key, value in items.items()])

    async def get_batch(self, keys: Sequence[str]) -> Any:
        return await self._adapter.get_batch(COLLECTION, keys)


@asynccontextmanager
async def store(url: str, namespace: str = "store", **options: Any) -> AsyncIterator[BatchSubject]:
    """A store, opened by URL."""
    async with Storage.open(url, namespace=namespace, **options) as storage:
        yield Stored(storage.store(COLLECTION))


@asynccontextmanager
async def adapter(url: str, namespace: str = "adapter", **options: Any) -> AsyncIterator[BatchSubject]:
    """An adapter, opened by URL."""
    async with default_plugins().open_adapter(url, namespace=namespace, **options) as opened:
        yield Adapted(opened)


async def rows(url: str, stack: AsyncExitStack) -> dict[str, Subject]:
    """The rows that daystore has beside a server's raw driver: coalescing or not, and without the store."""
    each = store(url, "call-each", coalesce=False)
    return {
        OURS: await stack.enter_async_context(store(url, coalesce=True)),
        CALL_EACH: await stack.enter_async_context(each),
        OURS_BYTES: await stack.enter_async_context(adapter(url, coalesce=True)),
    }
