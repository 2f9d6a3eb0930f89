"""What goes wrong while money is moved: processes that are killed, servers that are, and replies that are lost."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing.process import BaseProcess
from random import Random
from typing import Final

from daystore_compliance.money.backends import Backend
from daystore_compliance.money.steps import MOMENTS, STEPS, Doom
from daystore_compliance.money.worker import Order, work
from daystore_compliance.proxy.server import FaultProxy

__all__ = ["Crew", "lose_replies", "restart_servers"]

SLOW_END: Final = 60.0
"""Seconds after the end of its time by which a process has to have stopped."""
RESTARTS: Final = (8.0, 16.0)
"""Seconds between two servers that are killed."""
LOSSES: Final = (0.02, 0.3)
"""Seconds between two replies that are lost."""
KILLS: Final = (1.5, 6.0)
"""Seconds between two processes that are killed from outside."""


class Crew:
    """The processes that move money. In place of each that dies another one is started, until the time is over.

    Args:
        order: What they are to do; each gets a name of its own.
        size: How many there are at the same time.
        chance: Who decides which of them die.

    Attributes:
        killed: How many were killed from outside.
        orders: What was ordered to whom.
        problems: What was wrong with how they ended.
    """

    def __init__(self, order: Order, size: int, chance: Random) -> None:
        self.killed: int = 0
        self.orders: list[Order] = []
        self.problems: list[str] = []
        self._order = order
        self._size = size
        self._chance = chance
        self._alive: dict[str, BaseProcess] = {}
        self._numbers = count(1)
        self._context = multiprocessing.get_context("forkserver")
        # What opening the backends has imported here is there at once in a process that is forked.
        self._context.set_forkserver_preload([name for name in sys.modules if name.startswith("daystore")])

    async def work(self) -> None:
        """Keep them at work until all have stopped."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._size):
                group.create_task(self._one_after_the_other())
            group.create_task(self._kill())

    @property
    def _seconds_left(self) -> float:
        return max(0.0, self._order.until - time.monotonic())

    async def _one_after_the_other(self) -> None:
        while self._seconds_left:
            name = f"p{next(self._numbers)}"
            order = replace(
                self._order, name=name, log=self._order.log.with_name(f"{name}.log"), doom=self._doom()
            )
            self.orders.append(order)
            process = self._context.Process(target=work, args=(order,), name=name, daemon=True)
            process.start()
            self._alive[name] = process
            try:
                async with asyncio.timeout(self._seconds_left + SLOW_END):
                    await _ended(process)
            except TimeoutError:
                self.problems.append(f"{name} did not stop")
            finally:
                del self._alive[name]
                process.kill()
                process.join()
            if process.exitcode not in (0, -9):
                self.problems.append(f"{name} ended with {process.exitcode}: {_said(order)}")

    def _doom(self) -> Doom | None:
        """Choose where a process dies by its own hand: at each step of the commit as often as at any other."""
        if self._chance.random() < 0.25:
            return None
        chance = self._chance
        step = chance.choice(STEPS)
        nth = chance.randint(1, 3) if step in ("prepare", "settle", "look") else 1
        return Doom(chance.randint(1, 8), step, nth, chance.choice(MOMENTS))

    async def _kill(self) -> None:
        while await pause(KILLS, self._chance, self._order.until):
            if self._alive:
                self._chance.choice(list(self._alive.values())).kill()
                self.killed += 1


async def _ended(process: BaseProcess) -> None:
    """Wait until a process has ended, without a thread."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(process.sentinel, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(process.sentinel)


def _said(order: Order) -> str:
    with suppress(OSError):
        return order.log.with_name(f"{order.log.name}.errors").read_text(encoding="utf-8")[-2000:]
    return "it said nothing"


async def pause(bounds: tuple[float, float], chance: Random, until: float) -> bool:
    """Wait for a random while; return whether the time is not over then."""
    left = until - time.monotonic()
    await asyncio.sleep(max(0.0, min(chance.uniform(*bounds), left)))
    return time.monotonic() < until


async def lose_replies(
    proxies: Sequence[FaultProxy], chance: Random, until: float, lost: Callable[[], None]
) -> None:
    """Lose a reply now and then, with its connection, and tell of each."""
    while proxies and await pause(LOSSES, chance, until):
        with chance.choice(proxies).drop_reply(chance.randint(1, 5)) as fault, suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await fault.struck.wait()
            lost()


async def restart_servers(
    backends: Sequence[Backend], chance: Random, until: float, restarts: Counter[str]
) -> None:
    """Kill a server now and then, start it again a little later, and count that."""
    while backends and await pause(RESTARTS, chance, until):
        await _restart(chance.choice(backends), chance, restarts)


async def _restart(backend: Backend, chance: Random, restarts: Counter[str]) -> None:
    await asyncio.to_thread(backend.target.kill)
    await asyncio.sleep(chance.uniform(0.1, 1.5))
    await asyncio.to_thread(backend.target.restart)
    restarts[backend.name] += 1
