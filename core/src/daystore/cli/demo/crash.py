"""A worker process is killed while it writes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass

from daystore.cli.demo.proof import Reported
from daystore.errors import DaystoreError

__all__ = ["Killed", "kill_in_mid_write"]

_PATIENCE = 60.0
_LONGEST_DELAY = 0.05


@dataclass(frozen=True, slots=True)
class Killed:
    """What a worker said before it was killed.

    Attributes:
        reports: What it said of each agent.
        pid: Its process id.
        code: With what it ended; negative is the number of a signal.
    """

    reports: list[Reported]
    pid: int
    code: int

    @property
    def acknowledged(self) -> int:
        """Steps that were acknowledged."""
        return sum(report.acknowledged for report in self.reports)

    @property
    def open(self) -> int:
        """Steps that were begun and not acknowledged."""
        return sum(report.begun - report.acknowledged for report in self.reports)


async def kill_in_mid_write(url: str, namespace: str, agents: list[str], acknowledged: int) -> Killed:
    """Start a worker, and kill it at a random moment after so many acknowledged steps.

    Args:
        url: The backend it writes to.
        namespace: The namespace it writes to.
        agents: The ids of its agents.
        acknowledged: Steps that have to be acknowledged before it is killed.

    Raises:
        DaystoreError: If the worker fails, or does not get that far within a minute.
    """
    command = (sys.executable, "-P", "-m", "daystore.cli.demo.worker")
    worker = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    complaints = asyncio.ensure_future(_stream(worker.stderr).read())
    begun, done = dict.fromkeys(agents, 0), dict.fromkeys(agents, 0)
    try:
        await _give(worker, {"url": url, "namespace": namespace, "agents": agents})
        async with asyncio.timeout(_PATIENCE):
            async for what, agent, step in _said(worker):
                (done if what == "done" else begun)[agent] = step
                if what == "done" and sum(done.values()) == acknowledged:
                    await asyncio.sleep(random.uniform(0, _LONGEST_DELAY))  # noqa: S311 - no secret
                    _kill(worker)
            code = await worker.wait()
    except TimeoutError as error:
        raise DaystoreError(f"the worker did not do {acknowledged} steps in {_PATIENCE:g} s") from error
    finally:
        if worker.returncode is None:
            _kill(worker)
            await worker.wait()
        complaint = (await complaints).decode(errors="replace").strip()
    if sum(done.values()) < acknowledged:
        why = complaint.splitlines()[-1] if complaint else "without a word"
        raise DaystoreError(f"the worker ended by itself: {why}")
    return Killed([Reported(agent, begun[agent], done[agent]) for agent in agents], worker.pid, code)


def _kill(worker: Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
        worker.kill()


async def _give(worker: Process, task: dict[str, object]) -> None:
    # Not on the command line, where everybody on the machine could read a password in the URL.
    if worker.stdin is not None:
        worker.stdin.write(json.dumps(task).encode() + b"\n")
        await worker.stdin.drain()
        worker.stdin.close()


async def _said(worker: Process) -> AsyncIterator[tuple[str, str, int]]:
    """Yield what the worker says until its end, also what was still in the pipe when it was killed."""
    async for line in _stream(worker.stdout):
        if line.endswith(b"\n"):
            what, agent, step = line.decode().split()
            yield what, agent, int(step)


def _stream(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise RuntimeError("the worker was started without a pipe")
    return stream
