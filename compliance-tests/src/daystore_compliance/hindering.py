"""Coordinated commits as cases hinder them: a backend that does not answer any more, from one step on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from daystore import Storage, Store
from daystore.abc import Consistency, Outcome, Prepare, Put, Query, Record, StorageAdapter, WriteBatch
from daystore.abc.coordination import STATUS_COLLECTION, Coordinator, Participant, Status
from daystore.abc.coordination.resolver import Pauses
from daystore.errors import BackendUnavailable, OutcomeUnknown
from daystore_compliance.env import Env

__all__ = [
    "LEASE",
    "NEEDS",
    "NEW",
    "OLD",
    "Hindered",
    "Pair",
    "Step",
    "committed_of",
    "decides",
    "left_behind",
    "pair",
    "prepares",
    "recovered",
]

NEEDS: Final = frozenset({"transactions", "conditional", "atomic_batch", "intents", "query"})
LEASE: Final = 0.15
"""The lease, in seconds, of transactions that are left behind."""

OLD: Final = ({"n": 1}, {"n": 2})
NEW: Final = ({"n": 10}, {"n": 20})


# --- Two backends --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """A storage of two backends, and a store on each.

    Attributes:
        storage: Its backends are called ``one`` and ``two``.
        here: A store on the first one.
        there: A store on the second one.
        adapters: Both of them.
    """

    storage: Storage
    here: Store[Any]
    there: Store[Any]
    adapters: tuple[StorageAdapter, StorageAdapter]

    async def write(self, values: Sequence[Any]) -> None:
        """Write ``a`` here and ``b`` there, each by itself."""
        await self.here.set("a", values[0])
        await self.there.set("b", values[1])

    async def commit(self, values: Sequence[Any]) -> None:
        """Write them in one transaction, which has read both."""
        async with self.storage.transaction() as tx:
            await tx[self.here].get("a")
            await tx[self.there].get("b")
            await tx[self.here].set("a", values[0])
            await tx[self.there].set("b", values[1])

    async def values(self) -> tuple[Any, Any]:
        """Read them."""
        return await self.here.get("a"), await self.there.get("b")


async def pair(env: Env) -> Pair:
    """Open the backend that is tried twice more: in the namespace of the case, and in one beside it.

    Whatever an adapter of it coordinates is given up after `LEASE`.
    """
    env.records("notes")
    one, two = await env.open(env.namespace), await env.open(env.namespace + "-other")
    storage = env.target.storage_type({"one": one, "two": two}, coordinator="one")
    for adapter in (one, two):
        coordinator_of(adapter).resolver.lease = LEASE
    return Pair(storage, Store(one, "notes"), Store(two, "notes"), (one, two))


def coordinator_of(adapter: StorageAdapter) -> Coordinator:
    """Return the part of an open adapter in coordinated transactions."""
    assert adapter.coordinator is not None, "an open adapter that declares intents has a coordinator"
    return adapter.coordinator


async def left_behind(adapter: StorageAdapter) -> tuple[int, int]:
    """Count the intents and the status records of an adapter, below everything that would end them."""
    participant = coordinator_of(adapter).participant
    return len(await participant.prepared(None)), len(await _statuses(participant))


async def committed_of(adapter: StorageAdapter) -> int:
    """Count the transactions of which an adapter says that they have committed, and that are not forgotten yet."""
    found = await _statuses(coordinator_of(adapter).participant)
    return sum(_says(record.value, Status.COMMITTED) for record in found)


async def _statuses(participant: Participant) -> Sequence[Record]:
    return (await participant.query(Query(STATUS_COLLECTION))).records


def _says(status_record: bytes, status: Status) -> bool:
    return bool(json.loads(status_record)["status"] == status.value)


async def recovered(*adapters: StorageAdapter) -> None:
    """Let what was left behind be ended, as a storage does, until nothing of it is there."""
    pauses = Pauses()
    while sum([await coordinator_of(adapter).recover() for adapter in adapters]):
        await pauses.wait()


# --- Hindering -----------------------------------------------------------------------------------------------

Step = Callable[[WriteBatch], bool]
"""Recognizes one step of the commit by its request."""


def prepares(batch: WriteBatch) -> bool:
    """Recognize the first step: changes are put beside their records."""
    return isinstance(batch.operations[0], Prepare)


def decides(batch: WriteBatch) -> bool:
    """Recognize the decision: the status record says that the transaction has committed."""
    (operation, *_) = batch.operations
    if not isinstance(operation, Put) or operation.collection != STATUS_COLLECTION:
        return False
    return _says(operation.value, Status.COMMITTED)


@dataclass(eq=False)
class Hindered:
    """Lets the commits that an adapter coordinates, begun from now on, meet a backend that does not answer.

    Nothing is done to requests of anybody else.

    Attributes:
        adapter: An open adapter, whose commits have all ended.
        step: Which request is the first one without an answer.
        arrives: Whether that one is applied.
        waits: Whether it waits for `answering`, and all others are answered. If not it fails, and so do all that
            come after it until then.
        met: Set when the step was reached.
        answering: Set to have the backend answer again.
    """

    adapter: StorageAdapter
    step: Step
    arrives: bool
    waits: bool
    met: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Stand between the adapter's coordinator and its primitives."""
        known = coordinator_of(self.adapter)
        self._below: Participant = known.participant
        between = replace(known.participant, raw_read=self._read, raw_write=self._write)
        self.adapter._coordinator = type(known)(between, self.adapter._neighbour, known.resolver.lease)

    @property
    def _is_down(self) -> bool:
        return self.met.is_set() and not self.waits and not self.answering.is_set()

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency, /
    ) -> list[Record | None]:
        if self._is_down:
            raise BackendUnavailable("down", backend=self.adapter.name, operation="read")
        return await self._below.raw_read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self._is_down:
            raise BackendUnavailable("down", backend=self.adapter.name, operation="write")
        if self.met.is_set() or not self.step(batch):
            return await self._below.raw_write(batch)
        outcomes = await self._below.raw_write(batch) if self.arrives else None
        self.met.set()
        if not self.waits:
            raise OutcomeUnknown("no answer", backend=self.adapter.name, operation="write")
        await self.answering.wait()
        return outcomes if outcomes is not None else await self._below.raw_write(batch)
