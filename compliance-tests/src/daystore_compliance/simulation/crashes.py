"""Every point at which a coordinated commit can be cut off, tried one after the other.

A transaction is run once to count its requests. Then it is run again for each of them, and its process dies at
that request; somebody else meets what is left. He may die as well, at each request of his own, and a third one
goes on. Each of these is a world of its own in virtual time, judged as all the others are: its history is strictly
serializable, so that a transaction took effect as a whole or not at all, also if it was not acknowledged, and what
was seen once stays true; and in the end no intent and no status record is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import product
from typing import Any, Final, TypeVar

from daystore.abc import STRONG, Delete, Put, WriteBatch
from daystore.abc.transaction import RecordTransaction
from daystore.errors import DaystoreError, TransactionConflict
from daystore.transactions.joint import JointTransaction
from daystore_compliance.simulation.clients import COLLECTION
from daystore_compliance.simulation.history import Cell, Event
from daystore_compliance.simulation.run import finish, judge
from daystore_compliance.simulation.scenes import Scene
from daystore_compliance.simulation.stores import SimulatedStore, Stores, recover
from daystore_compliance.simulation.time import VirtualLoop
from daystore_compliance.simulation.world import Fates, Process, World

__all__ = ["Crash", "Cut", "Met", "Tally", "requests_of", "try_all", "try_crash"]

T = TypeVar("T")

LEASE: Final = 0.03
LATE: Final = 5 * LEASE
"""After which a late request arrives: whoever met what is left has decided by then what becomes of it."""


class Cut(Enum):
    """What becomes of the request at which a process dies."""

    LOST = "never arrives"
    ALONE = "never arrives, though what is sent at the same instant does"
    UNANSWERED = "arrives"
    LATE = "arrives late"


class Met(Enum):
    """Who meets what is left."""

    READER = "strong reads"
    WRITER = "writes over one key"
    TRANSACTION = "a transaction that reads everything and writes over one key"
    RECOVERY = "recovery alone"


@dataclass(frozen=True, slots=True)
class Crash:
    """One way to be cut off.

    Attributes:
        scene: The transaction.
        at: At which of its requests its process dies.
        cut: What becomes of that one.
        met: Who meets what is left.
        second_at: At which of his requests he dies as well; 0 for not at all.
        second_cut: What becomes of that one.
    """

    scene: Scene
    at: int
    cut: Cut
    met: Met
    second_at: int = 0
    second_cut: Cut = Cut.LOST

    def __str__(self) -> str:
        first = (
            f"{self.scene.name}: dies at its request {self.at}, which {self.cut.value}; then {self.met.value}"
        )
        if not self.second_at:
            return first
        return f"{first}, cut off at request {self.second_at}, which {self.second_cut.value}"


class Mortal(Process):
    """A process that dies at one of its requests.

    Args:
        world: Where it lives.
        at: At which one; 0 for not at all.
        cut: What becomes of it.
    """

    def __init__(self, world: World, at: int = 0, cut: Cut = Cut.LOST) -> None:
        super().__init__(world)
        self.at: int = at
        self.cut: Cut = cut
        self.sent: int = 0

    async def request(self, apply: Callable[[], T], lost: Callable[[], T] | None = None) -> T:
        """Send a request, or die at it."""
        self.sent += not self.dead
        if self.dead or self.sent != self.at:
            return await super().request(apply, lost)
        loop = self.world.loop

        def arrive() -> None:
            self.world.tick()
            with suppress(DaystoreError):
                apply()

        if self.cut in (Cut.UNANSWERED, Cut.LATE):
            loop.call_later(LATE if self.cut is Cut.LATE else 0.001, arrive)
        if self.cut is Cut.ALONE:
            loop.call_soon(self._die)
        else:
            self._die()
        never: asyncio.Future[T] = loop.create_future()
        self.world.keep(never)
        return await never

    def _die(self) -> None:
        self.dead = True
        self.died.set()

    async def lives(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something until it is done, or until the process has died if it has to."""
        task = self.world.loop.create_task(work)
        died = self.world.loop.create_task(self.died.wait())
        await asyncio.wait([task, died], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        if self.at:
            await died  # by what it does after its answer
        died.cancel()


@dataclass(slots=True)
class _Actor:
    """A process with its adapters, whose deeds are events of the history."""

    name: str
    world: World
    stores: Mapping[str, SimulatedStore]
    history: list[Event] = field(default_factory=list)

    def _event(self, what: str) -> Event:
        event = Event(self.name, what, self.world.tick())
        self.history.append(event)
        return event

    async def read(self, cells: list[Cell]) -> None:
        """Read keys one after the other, strongly."""
        for store, key in cells:
            event = self._event("get")
            record = await self.stores[store].get(COLLECTION, key, STRONG)
            event.reads[store, key] = None if record is None else record.value
            event.ended = self.world.tick()

    async def write(self, cell: Cell) -> None:
        """Write over a key."""
        event = self._event("put")
        event.writes[cell] = value = self.name.encode()
        put = Put(COLLECTION, cell[1], value)
        (outcome,) = await self.stores[cell[0]].write(WriteBatch((put,)))
        if outcome.error is not None:
            raise outcome.error
        event.ended = self.world.tick()

    async def transact(self, reads: list[Cell], writes: Mapping[Cell, bytes | None]) -> None:
        """Run a transaction until it commits."""
        while True:
            event = self._event("transaction")
            try:
                await self._attempt(event, reads, writes)
            except TransactionConflict:
                self.history.remove(event)
                await asyncio.sleep(LEASE / 4)
            else:
                event.ended = self.world.tick()
                return

    async def _attempt(self, event: Event, reads: list[Cell], writes: Mapping[Cell, bytes | None]) -> None:
        joint = JointTransaction(self.stores)
        joined = {name: RecordTransaction(adapter) for name, adapter in self.stores.items()}
        for name, records in joined.items():
            joint.join(self.stores[name], records)
        for store, key in reads:
            (record,) = await joined[store].read(COLLECTION, [key])
            event.reads[store, key] = None if record is None else record.value
        event.writes.update(writes)
        for (store, key), value in writes.items():
            change = Delete(COLLECTION, key) if value is None else Put(COLLECTION, key, value)
            await joined[store].write([change])
        await joint.commit()

    async def meet(self, met: Met, scene: Scene) -> None:
        """Meet what another process has left."""
        changed = next(iter(scene.writes))
        if met is Met.READER:
            await self.read(scene.cells)
            await self.read(scene.cells[::-1])
        elif met is Met.WRITER:
            await self.write(changed)
        elif met is Met.TRANSACTION:
            await self.transact(scene.cells, {changed: self.name.encode()})
        else:
            await recover(self.stores, LEASE)


async def _live(crash: Crash, world: World, history: list[Event], sent: list[int]) -> str | None:
    scene, stores = crash.scene, Stores(crash.scene.stores, LEASE)

    async def actor(name: str, process: Process) -> _Actor:
        return _Actor(name, world, await stores.open(process), history)

    maker = await actor("maker", Process(world, immortal=True))
    await maker.transact([], scene.before)
    await asyncio.sleep(LEASE)  # for what it does after its answer
    first = Mortal(world, crash.at, crash.cut)
    await first.lives((await actor("first", first)).transact(list(scene.reads), scene.writes))
    if not crash.at:
        await asyncio.sleep(LEASE)  # for what it does after its answer
    second = Mortal(world, crash.second_at, crash.second_cut)
    await second.lives((await actor("second", second)).meet(crash.met, scene))
    third = await actor("third", Process(world, immortal=True))
    await third.read(scene.cells)
    await asyncio.sleep(2 * LATE)
    problem = await finish(world, third.stores, LEASE, history)
    sent[:] = [first.sent, second.sent]
    return problem


def try_crash(crash: Crash) -> tuple[str | None, int, int]:
    """Let it happen.

    Returns:
        What was wrong, or ``None``; and how many requests the first and the second process have sent.
    """
    world = World(0, Fates(), VirtualLoop())
    history: list[Event] = []
    sent = [0, 0]
    try:
        problem = judge(world, _live(crash, world, history, sent), history)
    except DaystoreError as error:
        problem = f"{type(error).__name__}: {error}"
    return problem, sent[0], sent[1]


@dataclass(slots=True)
class Tally:
    """What was tried.

    Attributes:
        once: Points at which one process died.
        twice: Points at which one died, and whoever met what it left.
        failed: What was wrong where.
    """

    once: int = 0
    twice: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what was tried elsewhere."""
        self.once += other.once
        self.twice += other.twice
        self.failed += other.failed

    def judge(self, crash: Crash) -> int:
        """Try a crash, and return how many requests the second process has sent."""
        problem, _, sent = try_crash(crash)
        if crash.second_at:
            self.twice += 1
        else:
            self.once += 1
        if problem is not None:
            self.failed.append(f"{crash}: {problem}")
        return sent


def requests_of(scene: Scene) -> int:
    """Return how many requests the transaction sends if nothing happens to it."""
    problem, sent, _ = try_crash(Crash(scene, 0, Cut.LOST, Met.READER))
    assert problem is None, f"{scene.name}: {problem}"
    return sent


def try_all(scene: Scene, at: int) -> Tally:
    """Try every crash whose first process dies at one request."""
    tally = Tally()
    for cut, met in product(Cut, Met):
        crash = Crash(scene, at, cut, met)
        sent = tally.judge(crash)
        if cut is Cut.UNANSWERED:  # of which LOST is the one before
            for second_at, second_cut in product(range(1, sent + 1), (Cut.LOST, Cut.LATE)):
                tally.judge(replace(crash, second_at=second_at, second_cut=second_cut))
    return tally
