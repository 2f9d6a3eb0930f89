"""Moving money while everything goes wrong, and counting it afterwards."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from daystore_compliance.money.backends import Backend, opened, proxied, started
from daystore_compliance.money.ledger import Ledger
from daystore_compliance.money.trouble import Crew, lose_replies, restart_servers
from daystore_compliance.money.worker import Order

__all__ = ["Outcome", "move_money"]

RECOVERY: Final = 60.0
"""Seconds within which everything that was left behind has to be finished; the lease is five of them."""

Progress = Callable[[str, float], None]


@dataclass(slots=True)
class Outcome:
    """What was done, and what was wrong.

    Attributes:
        words: How often the processes told what: ``moved``, ``audited``, ``conflict``, ``unknown``, ``failed``.
        kept: Transfers of which there is a record in the end.
        steps: How many processes died by their own hand, by step and moment.
        killed: How many processes were killed from outside.
        restarts: How often each server was killed and started again.
        spared: Servers that were not, because they do not keep their data.
        lost: Replies that were lost.
        left: Intents and status records that were there when everybody had stopped.
        problems: What was wrong.
    """

    words: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    restarts: Counter[str] = field(default_factory=Counter)
    spared: list[str] = field(default_factory=list)
    lost: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)


def move_money(
    names: Sequence[str], *, seconds: float, processes: int, seed: int, progress: Progress
) -> Outcome:
    """Move money across backends while processes die, servers die and replies are lost, and judge what is there.

    Args:
        names: Of the backends: targets, or ``sqlite``.
        seconds: For how long.
        processes: How many move it at the same time.
        seed: What is random comes from it, as far as it does not hang on what is faster.
        progress: Told what is going on, and how much of it is done.

    Raises:
        LookupError: If a backend is not known or cannot take part.
        ServiceUnavailable: If a server cannot be started.
    """
    with (
        started(names, lambda name: progress(f"starting {name}", 0)) as backends,
        tempfile.TemporaryDirectory(prefix="daystore-money-") as directory,
    ):
        run = _Run(backends, Path(directory), Random(seed), progress)
        return asyncio.run(run.go(seconds, processes))


class _Run:
    def __init__(self, backends: list[Backend], directory: Path, chance: Random, progress: Progress) -> None:
        self._backends = backends
        self._directory = directory
        self._chance = chance
        self._progress = progress
        self._namespace = f"money-{os.urandom(6).hex()}"
        self._outcome = Outcome()

    async def go(self, seconds: float, processes: int) -> Outcome:
        """Move money for so many seconds, and judge what is there then."""
        outcome, chance = self._outcome, self._chance
        mortal = await self._begin()
        async with proxied(self._backends) as (urls, proxies):
            until = time.monotonic() + seconds
            order = Order("", urls, self._namespace, self._directory / "log", until)
            crew = Crew(order, processes, chance)
            async with asyncio.TaskGroup() as group:
                group.create_task(crew.work())
                group.create_task(lose_replies(list(proxies.values()), chance, until, self._lose))
                group.create_task(restart_servers(mortal, chance, until, outcome.restarts))
                group.create_task(self._watch(until, seconds))
        outcome.killed = crew.killed
        outcome.problems += crew.problems
        told = self._read(order.log for order in crew.orders)
        async with opened(self._backends, self._namespace) as adapters:
            ledger = Ledger(adapters)
            await self._recover(ledger)
            outcome.kept, problems = await ledger.check(told["moved"], told["failed"] + told["conflict"])
            outcome.problems += problems
        return outcome

    async def _begin(self) -> list[Backend]:
        """Open the accounts; return the backends whose servers may be killed."""
        async with opened(self._backends, self._namespace) as adapters:
            for name, adapter in adapters.items():
                if adapter.coordinator is None or not adapter.capabilities.transactions:
                    raise LookupError(f"{name!r} keeps no intents, so it cannot take part")
            await Ledger(adapters).begin()
            mortal = [b for b in self._backends if b.can_die and adapters[b.name].capabilities.durable]
        served = [b for b in self._backends if "proxy" in b.target.hooks]
        self._outcome.spared = [b.name for b in served if b not in mortal]
        return mortal

    def _lose(self) -> None:
        self._outcome.lost += 1

    async def _watch(self, until: float, seconds: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self._progress("moving money", 1 - left / seconds)
            await asyncio.sleep(min(left, 0.5))
        self._progress("stopping", 1)

    def _read(self, logs: Iterable[Path]) -> defaultdict[str, list[str]]:
        """Count what the processes told; return the names of the transfers of which they told what."""
        told: defaultdict[str, list[str]] = defaultdict(list)
        for log in logs:
            for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
                word, _, rest = line.partition(" ")
                if word == "wrong":
                    self._outcome.problems.append(f"{log.stem}: {rest}")
                elif word == "died":
                    self._outcome.steps[rest] += 1
                else:
                    self._outcome.words[word] += 1
                    told[word].append(rest)
        return told

    async def _recover(self, ledger: Ledger) -> None:
        self._progress("recovering", 1)
        self._outcome.left = await ledger.left()
        end = time.monotonic() + RECOVERY
        while True:
            may_live = await ledger.recover()
            left = await ledger.left()
            if not (left or may_live) or time.monotonic() > end:
                break
            await asyncio.sleep(0.5)
        if left:
            self._outcome.problems.append(
                f"{left} intents and status records are left after {RECOVERY:g} s of recovery"
            )
