"""Timing: several rounds of every subject, interleaved, the best of each kept."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Workload = Callable[[], Awaitable[int]]
"""Runs once and returns how many operations that were."""

Step = Callable[[str], None]
"""Is told what begins: one run of one workload."""


@dataclass(frozen=True)
class Figure:
    """The cost of one operation.

    Attributes:
        wall: Microseconds by the clock.
        cpu: Microseconds of this process's processor time, all threads.
    """

    wall: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Operations a second."""
        return 1e6 / self.wall

    def best(self, other: Figure) -> Figure:
        """Return the smaller of both times: noise only ever adds, to each of them."""
        return Figure(min(self.wall, other.wall), min(self.cpu, other.cpu))


async def once(workload: Workload) -> Figure:
    """Time one run of a workload. What others left behind is collected before."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    operations = await workload()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Figure(wall / operations * 1e6, cpu / operations * 1e6)


async def best(workloads: dict[str, Workload], rounds: int, step: Step) -> dict[str, Figure]:
    """Time all workloads in turn, `rounds` times over, and keep the best of each.

    In turn, so that a slow moment of the machine meets all of them.
    """
    found: dict[str, Figure] = {}
    for _ in range(rounds):
        for name, workload in workloads.items():
            step(name)
            figure = await once(workload)
            found[name] = figure.best(found.get(name, figure))
    return found


async def sequential(call: Callable[[int], Awaitable[object]], count: int) -> int:
    """Make `count` calls, one after the other."""
    for number in range(count):
        await call(number)
    return count


async def concurrent(call: Callable[[int], Awaitable[object]], count: int, tasks: int) -> int:
    """Make `count` calls from `tasks` tasks."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(work() for _ in range(tasks)))
    return count
