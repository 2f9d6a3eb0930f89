"""What the processes of a world do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from daystore.abc import ABSENT, STRONG, Delete, Put, Query, Record, StorageAdapter, WriteBatch
from daystore.abc.transaction import RecordTransaction
from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    OutcomeUnknown,
    TransactionConflict,
    VersionConflict,
)
from daystore.transactions.joint import JointTransaction
from daystore_compliance.simulation.history import Cell, Event, Scan
from daystore_compliance.simulation.world import Process

__all__ = ["COLLECTION", "Client", "Mix"]

COLLECTION: Final = "cells"


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each kind of operation is drawn, relative to the others."""

    transaction: int = 6
    modify: int = 3
    batch: int = 2
    get: int = 2
    put: int = 1
    delete: int = 1
    scan: int = 1
    recover: int = 1


class Client:
    """A process that works: its operations become events of the history.

    Args:
        name: Its name.
        process: Its requests.
        stores: Its adapters, by the names that all processes use.
        keys: The keys that there are.
        history: Where its events go.
    """

    def __init__(
        self,
        name: str,
        process: Process,
        stores: Mapping[str, StorageAdapter],
        keys: tuple[str, ...],
        history: list[Event],
    ) -> None:
        self.name: str = name
        self.process: Process = process
        self.stores: Mapping[str, StorageAdapter] = stores
        self.history: list[Event] = history
        self._cells: list[Cell] = [(store, key) for store in stores for key in keys]
        self._written = 0

    @property
    def _random(self) -> Random:
        return self.process.world.random

    async def work(self, operations: int, mix: Mix) -> None:
        """Do so many operations, one after the other, each drawn from the mix."""
        kinds = tuple(Mix.__slots__)
        for _ in range(operations):
            kind = self._random.choices(kinds, [getattr(mix, one) for one in kinds])[0]
            await self.do(kind)

    async def do(self, kind: str) -> None:
        """Do one operation."""
        event = Event(self.name, kind, self.process.world.tick())
        self.history.append(event)
        try:
            await getattr(self, f"_{kind}")(event)
        except (TransactionConflict, VersionConflict):
            self.history.remove(event)
        except BackendUnavailable:
            self.history.remove(event)  # nothing of it was applied: what was is then seen by nobody
        except OutcomeUnknown:
            pass
        except DaystoreError:
            raise
        else:
            event.ended = self.process.world.tick()

    def _value(self) -> bytes:
        self._written += 1
        return f"{self.name}.{self._written}".encode()

    def _cell(self) -> Cell:
        return self._random.choice(self._cells)

    # --- Single operations ----------------------------------------------------------------------------------

    async def _get(self, event: Event) -> None:
        store, key = cell = self._cell()
        event.reads[cell] = _value(await self.stores[store].get(COLLECTION, key, STRONG))

    async def _put(self, event: Event) -> None:
        store, key = cell = self._cell()
        event.writes[cell] = value = self._value()
        outcome = (await self.stores[store].write(WriteBatch((Put(COLLECTION, key, value),))))[0]
        if outcome.error is not None:
            raise outcome.error

    async def _delete(self, event: Event) -> None:
        store, key = cell = self._cell()
        event.writes[cell] = None
        await self.stores[store].delete(COLLECTION, key)

    async def _scan(self, event: Event) -> None:
        """Query inside a transaction: alone it would not be of one instant on every store."""
        await self._in_transaction(event, reads=0, writes=0, scans=1)

    async def _recover(self, event: Event) -> None:
        store = self._random.choice(list(self.stores))
        coordinator = self.stores[store].coordinator
        assert coordinator is not None
        await coordinator.recover()

    # --- Several records ------------------------------------------------------------------------------------

    async def _batch(self, event: Event) -> None:
        store = self._random.choice(list(self.stores))
        cells = [cell for cell in self._cells if cell[0] == store]
        chosen = self._random.sample(cells, min(len(cells), self._random.randint(1, 3)))
        operations: list[Put | Delete] = []
        for cell in chosen:
            kind = self._random.random()
            if kind < 0.3:
                event.writes[cell] = None
                operations.append(Delete(COLLECTION, cell[1]))
            else:
                event.writes[cell] = value = self._value()
                if kind < 0.5:
                    event.reads[cell] = None
                    operations.append(Put(COLLECTION, cell[1], value, ABSENT))
                else:
                    operations.append(Put(COLLECTION, cell[1], value))
        await self.stores[store].write(WriteBatch(operations, atomic=True))

    async def _transaction(self, event: Event) -> None:
        chance = self._random
        await self._in_transaction(
            event,
            reads=chance.randint(0, 3),
            writes=chance.randint(0, 2),
            scans=int(chance.random() < 0.25),
        )

    async def _modify(self, event: Event) -> None:
        """Read and write in one store, which commits it by itself if it can."""
        store = self._random.choice(list(self.stores))
        scans = int(self._random.random() < 0.4)
        await self._in_transaction(event, reads=2 - scans, writes=2, scans=scans, only=store)

    async def _in_transaction(
        self, event: Event, *, reads: int, writes: int, scans: int, only: str | None = None
    ) -> None:
        chance = self._random
        cells = [cell for cell in self._cells if only in (None, cell[0])]
        joint = JointTransaction(self.stores)
        joined: dict[str, RecordTransaction] = {}

        def on(store: str) -> RecordTransaction:
            if store not in joined:
                joined[store] = RecordTransaction(self.stores[store])
                joint.join(self.stores[store], joined[store])
            return joined[store]

        steps = ["read"] * reads + ["write"] * writes + ["scan"] * scans
        chance.shuffle(steps)
        try:
            for step in steps:
                store, key = cell = chance.choice(cells)
                if step == "read":
                    record = (await on(store).read(COLLECTION, [key]))[0]
                    if cell not in event.writes and cell not in event.reads:
                        event.reads[cell] = _value(record)
                elif step == "write":
                    if chance.random() < 0.25:
                        await on(store).write([Delete(COLLECTION, key)])
                        event.writes[cell] = None
                    else:
                        value = self._value()
                        await on(store).write([Put(COLLECTION, key, value)])
                        event.writes[cell] = value
                elif not any(place[0] == store for place in event.writes):
                    page = await on(store).query(Query(COLLECTION))
                    event.scans.append(Scan(store, {r.key: r.value for r in page.records}))
        except BaseException:
            joint.abort()
            raise
        await joint.commit()

    async def dies(self) -> None:
        """Wait until the process has died."""
        await self.process.died.wait()


def _value(record: Record | None) -> bytes | None:
    return None if record is None else record.value


async def until_dead(client: Client, work: asyncio.Task[None]) -> None:
    """Wait until a client has done its work or its process has died."""
    died = asyncio.ensure_future(client.dies())
    await asyncio.wait([work, died], return_when=asyncio.FIRST_COMPLETED)
    died.cancel()
    if work.done():
        work.result()
