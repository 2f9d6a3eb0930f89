"""Is what an adapter declares there at all? Asked before any case, of one small operation for each capability."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from daystore.abc import (
    EVENTUAL,
    STRONG,
    Aggregate,
    Aggregation,
    Function,
    Put,
    Query,
    StorageAdapter,
    WriteBatch,
    bounded,
)
from daystore.errors import UnsupportedOperation

__all__ = ["lies"]

_COLLECTION: Final = "probe"
_LEVELS: Final = {"eventual": EVENTUAL, "bounded": bounded(60), "strong": STRONG}

Probe: TypeAlias = Callable[[StorageAdapter, str], Awaitable[None]]
"""Tries one capability, with a key that nobody else uses."""


async def lies(adapter: StorageAdapter) -> list[str]:
    """Say which capabilities an adapter declares and does not serve.

    Whether it serves them rightly is for the cases to tell. The processes of a run may ask the same backend at the
    same time.
    """
    told, keys = [], []
    probes = [(name, _PROBES[name]) for name in adapter.capabilities.names() if name in _PROBES]
    probes += [
        (f"consistency {level}", _reading(level)) for level in sorted(adapter.capabilities.consistency)
    ]
    for name, probe in probes:
        keys.append(uuid.uuid4().hex)
        try:
            await probe(adapter, keys[-1])
        except (UnsupportedOperation, NotImplementedError, AttributeError) as error:
            told.append(f"{name} is declared and not served: {type(error).__name__}")
    await adapter.delete_batch(_COLLECTION, keys)
    return told


async def _conditional(adapter: StorageAdapter, key: str) -> None:
    await adapter.set(_COLLECTION, key, b"", if_absent=True)


async def _atomic(adapter: StorageAdapter, key: str) -> None:
    await adapter.write(WriteBatch([Put(_COLLECTION, key, b"")], atomic=True))


async def _transaction(adapter: StorageAdapter, key: str) -> None:
    async with adapter.transaction() as tx:
        await tx.write([Put(_COLLECTION, key, b"")])


async def _ttl(adapter: StorageAdapter, key: str) -> None:
    await adapter.set(_COLLECTION, key, b"", expires_at=(adapter.clock() // 1000 + 60_000) * 1000)


async def _query(adapter: StorageAdapter, _: str) -> None:
    await adapter.query(Query(_COLLECTION, limit=1))
    await adapter.count(Query(_COLLECTION))


async def _aggregate(adapter: StorageAdapter, _: str) -> None:
    await adapter.aggregate(Query(_COLLECTION), Aggregation({"n": Aggregate(Function.COUNT)}))


def _reading(level: str) -> Probe:
    async def read(adapter: StorageAdapter, key: str) -> None:
        await adapter.read(_COLLECTION, [key], _LEVELS[level])

    return read


_PROBES: Final[dict[str, Probe]] = {
    "conditional": _conditional,
    "atomic_batch": _atomic,
    "transactions": _transaction,
    "ttl": _ttl,
    "query": _query,
    "aggregate": _aggregate,
}
