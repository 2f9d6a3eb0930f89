"""`Coalescer`: the lanes of one adapter on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, TypeAlias

from daystore.abc.capabilities import Consistency
from daystore.abc.coalescing.lanes import MOST_CALLS, ReadLane, WriteLane
from daystore.abc.record import Outcome, Record, WriteBatch

__all__ = ["Coalescer"]

Reading: TypeAlias = Callable[[str, Sequence[str], Consistency], Awaitable[list[Record | None]]]
Writing: TypeAlias = Callable[[WriteBatch], Awaitable[list[Outcome]]]
Kind = tuple[str, str, float | None]

MOST_IDLE: Final = 64
"""Lanes of reads that are kept while nothing is read; there may be any number of bounds on staleness."""


class Coalescer:
    """Makes batches of single calls. It belongs to the event loop that it is made on.

    What is called from another one passes it by, so that there the adapter behaves as without it.

    Args:
        read: The adapter's ``_read``.
        write: The adapter's ``_write``.
        limit: Begins the time limit of an operation, given its name.
        backend: Name of the adapter, for errors.
        max_batch: Most calls that the adapter takes as one, if it has such a limit.
    """

    def __init__(
        self,
        read: Reading,
        write: Writing,
        limit: Callable[[str], AbstractAsyncContextManager[object]],
        *,
        backend: str,
        max_batch: int | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._read = read
        self._write = write
        self._limit_read = partial(limit, "read")
        self._most = MOST_CALLS if max_batch is None else min(MOST_CALLS, max_batch)
        self._writes = WriteLane(write, self._most, partial(limit, "write"), self._ended, backend=backend)
        self._reads: dict[Kind, ReadLane] = {}
        self._drained: asyncio.Event | None = None

    def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> Awaitable[list[Record | None]]:
        """Read one key, together with others of the collection that are read with the same consistency."""
        if asyncio.get_running_loop() is not self._loop:
            return self._read(collection, keys, consistency)
        kind = (collection, consistency.level, consistency.max_staleness)
        lane = self._reads.get(kind)
        if lane is None:
            lane = self._new_lane(kind, consistency)
        return lane.read(keys)

    def write(self, batch: WriteBatch) -> Awaitable[list[Outcome]]:
        """Apply a batch of one operation that is not atomic, together with others."""
        if asyncio.get_running_loop() is not self._loop:
            return self._write(batch)
        return self._writes.write(batch)

    async def drain(self) -> None:
        """Wait until everything that was accepted has been sent and answered."""
        if asyncio.get_running_loop() is self._loop and not self._is_idle:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def _new_lane(self, kind: Kind, consistency: Consistency) -> ReadLane:
        if len(self._reads) >= MOST_IDLE:
            self._reads = {known: lane for known, lane in self._reads.items() if not lane.is_idle}
        collection = kind[0]

        def ask(keys: Sequence[str]) -> Awaitable[list[Record | None]]:
            return self._read(collection, keys, consistency)

        lane = self._reads[kind] = ReadLane(ask, self._most, self._limit_read, self._ended)
        return lane

    @property
    def _is_idle(self) -> bool:
        return self._writes.is_idle and all(lane.is_idle for lane in self._reads.values())

    def _ended(self) -> None:
        if self._drained is not None and self._is_idle:
            self._drained.set()
