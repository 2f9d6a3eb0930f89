"""The process that the demo kills: agents that work without end, each step one transaction.

Started as ``python -m daystore.cli.demo.worker`` with one line of JSON on its standard input: ``url``,
``namespace`` and the ids of the ``agents``. It says on its standard output what it is about to do (``begin agent
step``) and what the storage has acknowledged (``done agent step``), a line each.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Literal

from daystore.errors import DaystoreError
from daystore.storage import Storage
from daystore.stores.contexts import Context
from daystore.transactions.transaction import Transaction

__all__ = ["STEP", "take_step"]

STEP = "step.done"
"""Type of the event of each step."""


async def take_step(storage: Storage, agent: str, step: int) -> None:
    """Write one step in three places that have to agree: the agent's context, its memory and the events."""

    async def body(tx: Transaction) -> None:
        await tx.contexts.update(agent, {"message_count": step, "last_active": datetime.now(UTC)})
        await tx.memories.append(
            agent, [{"step": step, "role": "assistant", "content": f"step {step} is done"}]
        )
        await tx.events.emit(STEP, {"context_id": agent, "step": step})

    await storage.transaction(body)


async def _work(storage: Storage, agent: str) -> None:
    await storage.contexts.set(agent, Context(agent, type="worker"))
    step = 0
    while True:
        step += 1
        _say("begin", agent, step)
        await take_step(storage, agent, step)
        _say("done", agent, step)


def _say(what: Literal["begin", "done"], agent: str, step: int) -> None:
    # One write of the operating system, unbuffered: a line that was written is in the pipe whatever comes next.
    os.write(1, f"{what} {agent} {step}\n".encode())


async def _main(url: str, namespace: str, agents: list[str]) -> None:
    async with Storage.open(url, namespace=namespace) as storage, asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(_work(storage, agent))


def main() -> None:
    """Read the orders from standard input, and work until the end or until killed."""
    try:
        asyncio.run(_main(**json.loads(sys.stdin.readline())))
    except* DaystoreError as group:
        sys.exit("; ".join(f"{type(error).__name__}: {error}" for error in group.exceptions))


if __name__ == "__main__":
    main()
