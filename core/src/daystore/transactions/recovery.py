"""Recovery: finishing what processes that died in the middle of a commit have left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import SystemRandom
from typing import Final

from daystore.abc.adapter import Adapter
from daystore.errors import DaystoreError

__all__ = ["INTERVAL", "Recovery"]

INTERVAL: Final = 60.0
"""Seconds between two looks at a backend on which nothing was left."""

_random = SystemRandom().random


class Recovery:
    """Looks for what was left behind, from the opening of a storage to its closing, in a task of its own.

    Readers and writers finish whatever they meet; this finds also what nobody meets. A storage of one backend that
    commits by itself needs none of it.

    Args:
        backends: The open backends, by name.
        interval: Seconds between two looks; each pause is a random part more or less, so that many processes do
            not look at the same time.
    """

    def __init__(self, backends: Mapping[str, Adapter], interval: float = INTERVAL) -> None:
        self._coordinators = [one.coordinator for one in backends.values() if one.coordinator is not None]
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    @property
    def is_needed(self) -> bool:
        """Whether transactions of these backends may be coordinated at all."""
        several = len(self._coordinators) > 1
        return several or any(not one.participant.one_unit for one in self._coordinators)

    def start(self) -> None:
        """Begin to look."""
        if self.is_needed and self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Stop looking."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def once(self) -> int:
        """Look once at every backend.

        Returns:
            How many intents and status records are left, of transactions that may be alive. Of a backend that
            does not answer nothing is counted.
        """
        left = 0
        for coordinator in self._coordinators:
            with suppress(DaystoreError):  # a backend that is away is looked at again when it is back
                left += await coordinator.recover()
        return left

    async def _run(self) -> None:
        while True:
            left = await self.once()
            pause = min(coordinator.resolver.lease for coordinator in self._coordinators)
            await asyncio.sleep((pause if left else self._interval) * (0.75 + _random() / 2))
