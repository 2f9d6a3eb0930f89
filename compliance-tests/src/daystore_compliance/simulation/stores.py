"""Stores that processes share, each request to which is one of the world's."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, Final

from daystore.abc import Consistency, Outcome, Page, Query, Record, WriteBatch
from daystore.abc.coordination import STATUS_COLLECTION, Coordinator, Participant
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import OutcomeUnknown
from daystore_compliance.simulation.world import Process, at_once

__all__ = ["AtomicStore", "SimulatedStore", "SingleStore", "Stores", "recover"]


class SimulatedStore(MemoryAdapter):
    """One process's adapter to a store.

    Args:
        process: Whose it is.
        shared: Another one of the same store, of whichever process.
        lease: Of the transactions, in seconds.
    """

    name: ClassVar[str] = "simulated"

    def __init__(self, process: Process, shared: SimulatedStore | None = None, lease: float = 1.0) -> None:
        super().__init__(clock=process.world.clock)
        self.process: Process = process
        self.lease: float = lease
        if shared is not None:
            self._collections = shared._collections

    def _new_coordinator(self) -> Coordinator | None:
        return Coordinator(self._participant(), self._neighbours, self.lease)

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        read = super()._read

        async def one(key: str) -> Record | None:
            return (await self.process.request(lambda: at_once(read(collection, (key,), consistency))))[0]

        return await asyncio.gather(*map(one, keys))

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        ask = super()._query
        return await self.process.request(lambda: at_once(ask(query, consistency)))

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        ask = super()._prepared
        return await self.process.request(lambda: at_once(ask(collection)))


class SingleStore(SimulatedStore):
    """Of which single writes alone are atomic."""

    one_unit: bool = False

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return collection, key

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        write = super()._write

        async def one(batch: WriteBatch) -> Outcome:
            return await self.process.request(lambda: at_once(write(batch))[0], _unknown)

        parts = (WriteBatch((operation,)) for operation in batch.operations)
        outcomes = await asyncio.gather(*map(one, parts))
        if batch.atomic and outcomes[0].error is not None:
            raise outcomes[0].error
        return outcomes


class AtomicStore(SimulatedStore):
    """Of which whole batches are atomic."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        write = super()._write

        def lost() -> list[Outcome]:
            if batch.atomic:
                raise OutcomeUnknown("no answer came", backend="simulated")
            return [_unknown() for _ in batch.operations]

        return await self.process.request(lambda: at_once(write(batch)), lost)


KINDS: Final[dict[str, type[SimulatedStore]]] = {"single": SingleStore, "atomic": AtomicStore}


class Stores:
    """The stores of a world.

    Args:
        kinds: The kind of each, by name: ``single`` or ``atomic``.
        lease: Of the transactions, in seconds.
    """

    def __init__(self, kinds: Sequence[tuple[str, str]], lease: float) -> None:
        self.lease: float = lease
        self._kinds = kinds
        self._shared: dict[str, SimulatedStore] = {}

    async def open(self, process: Process) -> dict[str, SimulatedStore]:
        """Return open adapters of a process's own, by the names of the stores."""
        made: dict[str, SimulatedStore] = {}
        for name, kind in self._kinds:
            made[name] = KINDS[kind](process, self._shared.get(name), self.lease)
            self._shared.setdefault(name, made[name])
        for store in made.values():
            store.join(lambda name: _participant(made.get(name)))
            await store.open()
        return made


async def recover(stores: Mapping[str, SimulatedStore], lease: float) -> bool:
    """Recover until nothing is left of transactions; return whether that can be reached."""
    for _ in range(20):
        left = 0
        for store in stores.values():
            assert store.coordinator is not None
            left += await store.coordinator.recover()
        if not left and all([await _is_clean(store) for store in stores.values()]):
            return True
        await asyncio.sleep(lease * 1.1)
    return False


async def _is_clean(store: SimulatedStore) -> bool:
    left = await store.query(Query(STATUS_COLLECTION))
    return not left.records and not await store._prepared(None)


def _participant(store: SimulatedStore | None) -> Participant | None:
    return None if store is None or store.coordinator is None else store.coordinator.participant


def _unknown() -> Outcome:
    return Outcome(None, False, OutcomeUnknown("no answer came", backend="simulated"))
