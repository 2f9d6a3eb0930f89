"""Worlds: processes, and what happens to their requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from daystore.abc import Instant
from daystore.errors import BackendUnavailable, DaystoreError

__all__ = ["BEGINNING", "Fates", "Process", "World", "at_once"]

T = TypeVar("T")

BEGINNING: Final[Instant] = 1_700_000_000_000_000


@dataclass(frozen=True, slots=True)
class Fates:
    """How unkind a world is: how probable it is that something happens to a request.

    Attributes:
        unsent: … is lost on its way.
        unanswered: … is applied, and its answer is lost.
        late: … is applied after its sender was told that nobody knows.
        death: … is the last one of its process.
        slow: … takes a hundred times as long.
    """

    unsent: float = 0.0
    unanswered: float = 0.0
    late: float = 0.0
    death: float = 0.0
    slow: float = 0.0


class World:
    """What the processes share beside their stores: one source of chance and one clock.

    Args:
        seed: Makes it what it is.
        fates: How unkind it is.
        loop: Its time.
    """

    def __init__(self, seed: int, fates: Fates, loop: asyncio.AbstractEventLoop) -> None:
        self.seed: int = seed
        self.random: Random = Random(seed)
        self.fates: Fates = fates
        self.loop: asyncio.AbstractEventLoop = loop
        self.turn: int = 0
        self.over: bool = False
        self._unanswered: list[asyncio.Future[Any]] = []

    def clock(self) -> Instant:
        """Return the present instant."""
        return BEGINNING + int(self.loop.time() * 1e6)

    def tick(self) -> int:
        """Return a number that grows with every call and every request: real time, as histories know it."""
        self.turn += 1
        return self.turn

    def keep(self, answer: asyncio.Future[Any]) -> None:
        """Keep an answer that never comes, as long as there may be somebody who waits for it."""
        self._unanswered.append(answer)


class Process:
    """A process, which may die: from then on none of its requests is sent, and it gets no answer.

    Args:
        world: Where it lives.
        immortal: Nothing happens to it or to its requests.
    """

    def __init__(self, world: World, *, immortal: bool = False) -> None:
        self.world: World = world
        self.immortal: bool = immortal
        self.dead: bool = False
        self.died: asyncio.Event = asyncio.Event()

    async def request(self, apply: Callable[[], T], lost: Callable[[], T] | None = None) -> T:
        """Send a request.

        Args:
            apply: What it does at the store, at one instant.
            lost: What its sender is told if the answer does not come; without it `BackendUnavailable` is raised.
        """
        world, chance = self.world, self.world.random
        if world.over:
            raise _unanswered()
        answer: asyncio.Future[T] = world.loop.create_future()
        if self.dead:
            world.keep(answer)
            return await answer
        fate = "none" if self.immortal else self._fate()
        there, back = chance.expovariate(1000), chance.expovariate(1000)
        if not self.immortal and chance.random() < world.fates.slow:
            there *= 100
        if fate == "death":
            self.dead = True
            self.died.set()
            fate = chance.choice(("unsent", "unanswered"))

        def give_up() -> None:
            self._deliver(answer, _unanswered if lost is None else lost)

        def arrive() -> None:
            world.tick()
            result = _outcome(apply)
            if fate == "none":
                world.loop.call_later(back, self._deliver, answer, result)
            elif fate == "unanswered":
                world.loop.call_later(back + chance.expovariate(100), give_up)

        if fate == "late":
            world.loop.call_later(chance.expovariate(500), give_up)
            there += chance.expovariate(50)
        if fate == "unsent":
            world.loop.call_later(there + chance.expovariate(100), give_up)
        else:
            world.loop.call_later(there, arrive)
        return await answer

    def _deliver(self, answer: asyncio.Future[T], result: Callable[[], T | DaystoreError]) -> None:
        """Give an answer to a process that is alive and waits for it."""
        if self.dead:
            self.world.keep(answer)
        if self.dead or answer.done():
            return
        try:
            told = result()
        except DaystoreError as error:
            told = error
        if isinstance(told, DaystoreError):
            answer.set_exception(told)
        else:
            answer.set_result(told)

    def _fate(self) -> str:
        drawn = self.world.random.random()
        fates = self.world.fates
        for name in ("unsent", "unanswered", "late", "death"):
            drawn -= getattr(fates, name)
            if drawn < 0:
                return name
        return "none"


def _outcome(apply: Callable[[], T]) -> Callable[[], T | DaystoreError]:
    """Apply a request, and return what tells its result."""
    try:
        result: T | DaystoreError = apply()
    except DaystoreError as error:
        result = error
    return lambda: result


def _unanswered() -> BackendUnavailable:
    return BackendUnavailable("no answer came", backend="simulated")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits.

    Raises:
        RuntimeError: If it waits.
    """
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    work.close()
    raise RuntimeError("it waits")
