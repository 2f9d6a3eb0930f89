"""Running worlds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from unittest.mock import patch

from daystore.abc import Query
from daystore.abc.coordination import resolver
from daystore_compliance.simulation.clients import COLLECTION, Client, Mix, until_dead
from daystore_compliance.simulation.history import Event, Scan, is_strictly_serializable
from daystore_compliance.simulation.stores import SimulatedStore, Stores, recover
from daystore_compliance.simulation.time import Stalled, VirtualLoop
from daystore_compliance.simulation.world import Fates, Process, World

__all__ = ["UNSERIALIZABLE", "Plan", "Result", "finish", "judge", "plan", "run", "shrink"]

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
    world = World(plan.seed, plan.fates, VirtualLoop())
    history: list[Event] = []
    problem = judge(world, _live(plan, world, history), history)
    committed = sum(event.ended is not None for event in history)
    return Result(plan, problem, tuple(history), committed)


def judge(world: World, life: Coroutine[Any, Any, str | None], history: Sequence[Event]) -> str | None:
    """Live the life of a world, and judge its history.

    Args:
        world: The world, which ends with it.
        life: What happens in it; it returns what is wrong by itself.
        history: What has happened when it has ended.

    Returns:
        What was wrong, or ``None``.
    """
    asyncio.set_event_loop(world.loop)
    try:
        with _no_other_chance(world.seed):
            problem = world.loop.run_until_complete(asyncio.wait_for(life, PATIENCE))
    except TimeoutError:
        problem = f"it did not end within {PATIENCE:g} virtual seconds"
    except Stalled as error:
        problem = str(error)
    finally:
        _end(world)
    return problem if is_strictly_serializable(history) else UNSERIALIZABLE


@contextmanager
def _no_other_chance(seed: int) -> Iterator[None]:
    """Let the names of transactions, the versions and the pauses come from the seed, too."""
    chance = Random(f"names of {seed}")
    with (
        patch.object(os, "urandom", chance.randbytes),
        patch.object(resolver, "_random", chance.random),
    ):
        yield


def _end(world: World) -> None:
    """End what the dead have left behind in this process."""
    world.over = True
    while tasks := asyncio.all_tasks(world.loop):
        for task in tasks:
            task.cancel()
        world.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    asyncio.set_event_loop(None)
    world.loop.close()


async def _live(plan: Plan, world: World, history: list[Event]) -> str | None:
    stores = Stores(plan.stores, plan.lease)
    keys = tuple("abcdef"[: plan.keys])
    clients = []
    for number in range(plan.clients):
        process = Process(world)
        clients.append(Client(f"p{number}", process, await stores.open(process), keys, history))
    work = [world.loop.create_task(client.work(plan.operations, plan.mix)) for client in clients]
    await asyncio.gather(*(until_dead(client, task) for client, task in zip(clients, work, strict=True)))
    last = await stores.open(Process(world, immortal=True))
    await asyncio.sleep(1.0)  # for what is applied late
    return await finish(world, last, plan.lease, history)


async def finish(
    world: World, stores: Mapping[str, SimulatedStore], lease: float, history: list[Event]
) -> str | None:
    """Recover what was left, and add to the history what is there in the end; return what is wrong."""
    clean = await recover(stores, lease)
    final = Event("keeper", "final state", world.tick())
    for name, store in stores.items():
        found = await store.query(Query(COLLECTION))
        final.scans.append(Scan(name, {record.key: record.value for record in found.records}))
    final.ended = world.tick()
    history.append(final)
    return None if clean else "intents or status records are left that recovery does not end"


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
