"""Running worlds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Final
from unittest.mock import patch

from daystore.abc import Query
from daystore.abc.coordination import STATUS_COLLECTION, Participant, resolver
from daystore_compliance.simulation.clients import COLLECTION, Client, Mix, until_dead
from daystore_compliance.simulation.history import Event, Scan, is_strictly_serializable
from daystore_compliance.simulation.stores import AtomicStore, SimulatedStore, SingleStore
from daystore_compliance.simulation.time import Stalled, VirtualLoop
from daystore_compliance.simulation.world import Fates, Process, World

__all__ = ["UNSERIALIZABLE", "Plan", "Result", "plan", "run", "shrink"]

KINDS: Final = {"single": SingleStore, "atomic": AtomicStore}
UNSERIALIZABLE: Final = "the history is not strictly serializable"
PATIENCE: Final = 600.0
"""Virtual seconds after which a world that still works is stuck."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed stands for; parts of it can be left out to make a failure smaller.

    Attributes:
        seed: The seed.
        stores: The kind of each store, by name.
        keys: How many keys each has.
        clients: How many processes.
        operations: How many operations each.
        fates: How unkind the world is.
        mix: What is done.
        lease: Of the transactions, in seconds.
    """

    seed: int
    stores: tuple[tuple[str, str], ...]
    keys: int
    clients: int
    operations: int
    fates: Fates
    mix: Mix
    lease: float


@dataclass(frozen=True, slots=True)
class Result:
    """How a world ended.

    Attributes:
        plan: What it was.
        problem: What was wrong, or ``None``.
        history: What happened.
        committed: How many transactions were acknowledged.
    """

    plan: Plan
    problem: str | None
    history: tuple[Event, ...]
    committed: int


def plan(seed: int) -> Plan:
    """Return what a seed stands for."""
    chance = Random(seed)
    kinds = chance.choice((("single",), ("single", "single"), ("single", "atomic"), ("single", "atomic")))
    unkind = chance.choice((0.0, 0.02, 0.06))
    fates = Fates(
        unsent=unkind * chance.random(),
        unanswered=unkind,
        late=unkind,
        death=chance.choice((0.0, 0.01, 0.03)),
        slow=chance.choice((0.0, 0.05)),
    )
    return Plan(
        seed,
        tuple((f"s{number}", kind) for number, kind in enumerate(kinds)),
        keys=chance.choice((1, 2, 3)),
        clients=chance.choice((2, 3, 3, 4)),
        operations=chance.choice((2, 3)),
        fates=fates,
        mix=chance.choice((Mix(), Mix(get=0, put=0, delete=0), Mix(batch=0), Mix(get=6, put=2, delete=2))),
        lease=chance.choice((0.01, 0.1, 1.0)),
    )


def run(plan: Plan) -> Result:
    """Run a world, and judge its history."""
    loop = VirtualLoop()
    world = World(plan.seed, plan.fates, loop)
    history: list[Event] = []
    asyncio.set_event_loop(loop)
    try:
        with _no_other_chance(plan.seed):
            problem = loop.run_until_complete(asyncio.wait_for(_live(plan, world, history), PATIENCE))
    except TimeoutError:
        problem = f"it did not end within {PATIENCE:g} virtual seconds"
    except Stalled as error:
        problem = str(error)
    finally:
        _end(world, loop)
    if not is_strictly_serializable(history):
        problem = UNSERIALIZABLE
    committed = sum(event.ended is not None for event in history)
    return Result(plan, problem, tuple(history), committed)


@contextmanager
def _no_other_chance(seed: int) -> Iterator[None]:
    """Let the names of transactions, the versions and the pauses come from the seed, too."""
    chance = Random(f"names of {seed}")
    with (
        patch.object(os, "urandom", chance.randbytes),
        patch.object(resolver, "_random", chance.random),
    ):
        yield


def _participant(store: SimulatedStore | None) -> Participant | None:
    return None if store is None or store.coordinator is None else store.coordinator.participant


def _end(world: World, loop: VirtualLoop) -> None:
    """End what the dead have left behind in this process."""
    world.over = True
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    asyncio.set_event_loop(None)
    loop.close()


async def _live(plan: Plan, world: World, history: list[Event]) -> str | None:
    shared: dict[str, SimulatedStore] = {}

    async def stores(process: Process) -> dict[str, SimulatedStore]:
        made: dict[str, SimulatedStore] = {}
        for name, kind in plan.stores:
            made[name] = KINDS[kind](process, shared.get(name), plan.lease)
            shared.setdefault(name, made[name])
        for store in made.values():
            store.join(lambda name: _participant(made.get(name)))
            await store.open()
        return made

    keys = tuple("abcdef"[: plan.keys])
    clients = []
    for number in range(plan.clients):
        process = Process(world)
        clients.append(Client(f"p{number}", process, await stores(process), keys, history))
    work = [world.loop.create_task(client.work(plan.operations, plan.mix)) for client in clients]
    await asyncio.gather(*(until_dead(client, task) for client, task in zip(clients, work, strict=True)))
    keeper = Process(world, immortal=True)
    last = await stores(keeper)
    await asyncio.sleep(1.0)  # for what is applied late
    problem: str | None = "intents or status records are left that recovery does not end"
    for _ in range(20):
        left = 0
        for store in last.values():
            assert store.coordinator is not None
            left += await store.coordinator.recover()
        if not left and all([await _is_clean(store) for store in last.values()]):
            problem = None
            break
        await asyncio.sleep(plan.lease * 1.1)
    final = Event("keeper", "final state", world.tick())
    for name, store in last.items():
        found = await store.query(Query(COLLECTION))
        final.scans.append(Scan(name, {record.key: record.value for record in found.records}))
    final.ended = world.tick()
    history.append(final)
    return problem


async def _is_clean(store: SimulatedStore) -> bool:
    left = await store.query(Query(STATUS_COLLECTION))
    return not left.records and not await store._prepared(None)


def shrink(result: Result) -> Result:
    """Make a failing plan smaller as long as it still fails."""
    best = result
    tried = True
    while tried:
        tried = False
        plan = best.plan
        smaller = [
            replace(plan, clients=plan.clients - 1),
            replace(plan, operations=plan.operations - 1),
            replace(plan, keys=plan.keys - 1),
            replace(plan, fates=replace(plan.fates, death=0.0)),
            replace(plan, fates=replace(plan.fates, late=0.0)),
            replace(plan, fates=replace(plan.fates, unsent=0.0, unanswered=0.0)),
            replace(plan, fates=replace(plan.fates, slow=0.0)),
        ]
        for candidate in smaller:
            if candidate == plan or not (candidate.clients and candidate.operations and candidate.keys):
                continue
            again = run(candidate)
            if again.problem is not None:
                best, tried = again, True
                break
    return best
