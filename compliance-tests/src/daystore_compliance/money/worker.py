"""One process that moves money until its time is over or it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from daystore.abc import StorageAdapter
from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    OperationTimeout,
    OutcomeUnknown,
    TransactionConflict,
)
from daystore.plugins import default_plugins
from daystore_compliance.money.ledger import KEYS, Ledger, Transfer
from daystore_compliance.money.steps import Doom, Steps

__all__ = ["Order", "work"]

TIMEOUT: Final = 15.0
"""Seconds that one operation may take: time to wait for what a dead process holds for the lease of five."""
PATIENCE: Final = 20.0
"""Seconds after which a transfer is not tried again."""
TASKS: Final = 3
"""Transfers that one process makes at the same time."""
AUDITS: Final = 0.05
"""How often it reads all accounts instead of moving something."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to do.

    Attributes:
        name: Unlike that of any other process.
        urls: Where its backends are, by name.
        namespace: Of all of them.
        log: Where it tells what was acknowledged.
        until: The instant of the machine's monotonic clock at which it stops.
        doom: Where it dies by its own hand.
    """

    name: str
    urls: Mapping[str, str]
    namespace: str
    log: Path
    until: float
    doom: Doom | None = None


class _Log:
    """A file of lines, each of which is there as soon as it was written, whatever happens to the process then."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())


def work(order: Order) -> None:
    """Do it: what a process is started with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    errors = os.open(f"{order.log}.errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(errors, 2)
    asyncio.run(_work(order))


async def _work(order: Order) -> None:
    log = _Log(order.log)
    steps = Steps(order.doom, log.tell)
    steps.watch()
    async with AsyncExitStack() as stack:
        adapters = {}
        for name, url in order.urls.items():
            adapter = default_plugins().open_adapter(url, namespace=order.namespace, timeout=TIMEOUT)
            if not await _opened(adapter, order.until):
                return
            stack.push_async_callback(adapter.close)
            adapters[name] = adapter
        await _move(order, Ledger(adapters), steps, log)


async def _opened(adapter: StorageAdapter, until: float) -> bool:
    """Open a backend whose server may be away; return whether there was time."""
    while time.monotonic() < until:
        try:
            await adapter.open()
        except (BackendUnavailable, OperationTimeout):
            await asyncio.sleep(0.2)
        else:
            return True
    return False


async def _move(order: Order, ledger: Ledger, steps: Steps, log: _Log) -> None:
    chance = Random(order.name)
    backends = list(order.urls)
    numbers = count(1)

    async def one_after_the_other() -> None:
        while time.monotonic() < order.until:
            number = next(numbers)
            steps.reach(number)
            name = f"{order.name}-{number}"
            if chance.random() < AUDITS:
                log.tell(await _outcome(name, _audit(ledger), "audited"))
            else:
                transfer = _transfer(name, backends, chance)
                log.tell(await _outcome(name, ledger.move(transfer, PATIENCE), "moved"))

    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(one_after_the_other())


async def _audit(ledger: Ledger) -> None:
    if problem := await ledger.audit(PATIENCE):
        raise AssertionError(problem)


async def _outcome(name: str, work: Coroutine[None, None, None], done: str) -> str:
    """Do something, and return how it ended."""
    try:
        await work
    except TransactionConflict:
        return f"conflict {name}"
    except (OutcomeUnknown, OperationTimeout):
        return f"unknown {name}"
    except BackendUnavailable:
        await asyncio.sleep(0.05)
        return f"failed {name}"
    except (AssertionError, DaystoreError) as error:
        return f"wrong {type(error).__name__}: {error}"
    return f"{done} {name}"


def _transfer(name: str, backends: list[str], chance: Random) -> Transfer:
    accounts = [(backend, key) for backend in backends for key in KEYS]
    source, sink = chance.sample(accounts, 2)
    return Transfer(name, source, sink, chance.randint(1, 9), chance.choice(backends))
