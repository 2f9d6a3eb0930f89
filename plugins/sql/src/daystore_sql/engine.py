"""From the event loop to the lanes and back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from daystore.abc import Clock, Consistency, Health, Outcome, Record, WriteBatch
from daystore.errors import BackendUnavailable, StoreClosed
from daystore_sql.dialects.sqlite import SQLITE
from daystore_sql.errors import BACKEND
from daystore_sql.jobs import Job, Read, Write
from daystore_sql.lanes import Lane, ReadLanes, WriteLane
from daystore_sql.layout import prepare
from daystore_sql.records import read_records
from daystore_sql.session import Session, check_health

if TYPE_CHECKING:
    from daystore_sql.dialects.sqlite_database import SQLiteDatabase

__all__ = ["LaneEngine"]

T = TypeVar("T")

FEW_KEYS = 100
"""Reads of more keys are not done together with others."""


class LaneEngine:
    """One open database of SQLite: its lanes, and the way there.

    A database in memory has one connection, so its writer reads, too.

    Args:
        database: Which database.
        namespace: The namespace that the adapter was opened in.
        clock: Where the present instant comes from.

    Attributes:
        is_durable: Whether an acknowledged write survives a crash of the machine.
        largest: Most bytes of a value, if it is less than the adapter's own limit.
    """

    def __init__(self, database: SQLiteDatabase, namespace: str, clock: Clock) -> None:
        config, memory = database.config, database.is_memory
        self._process = os.getpid()
        self._is_open = True
        self.is_durable: bool = database.is_durable
        self.largest: int | None = None
        connect = partial(_connect, database, namespace, clock)
        self._writer = WriteLane(
            partial(connect, writes=True),
            "daystore-sql-writer",
            clock,
            int(config.sweep_interval * 1_000_000),
            keep=memory,
        )
        self._readers = (
            None
            if memory
            else ReadLanes(partial(connect, writes=False), config.readers, "daystore-sql-reader")
        )

    async def start(self) -> None:
        """Open the database and bring its layout up to date.

        Raises:
            BackendUnavailable: If it cannot be opened.
        """
        self._writer.start()
        try:
            await self._put(Job("open", _prepare))
        except BaseException:
            self.abandon()
            raise

    async def read(
        self, operation: str, consistency: Consistency, work: Callable[..., T], *arguments: object
    ) -> T:
        """Do something that only reads, on a connection that is free. There is one state, whatever is asked."""
        result: T = await self._sent(Job(operation, work, *arguments))
        return result

    async def read_records(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        """Read records by key; a few, together with those that are asked for at the same time."""
        if len(keys) > FEW_KEYS:
            return await self.read("read", consistency, read_records, collection, keys)
        job = Read(collection, keys)
        records: list[Record | None] = await self._sent(job)
        return records

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch, together with those that wait at the same time."""
        outcomes: list[Outcome] = await self._put(Write(batch))
        return outcomes

    async def ask_writer(self, operation: str, work: Callable[..., T], *arguments: object) -> T:
        """Do something on the writing connection, in its turn."""
        result: T = await self._put(Job(operation, work, *arguments))
        return result

    async def health(self) -> Health:
        """Write without changing anything."""
        try:
            return Health(True, await self.ask_writer("health", check_health))
        except BackendUnavailable as error:
            return Health(False, {"error": error.message})

    async def close(self) -> None:
        """Do what waits, then close the connections and end the threads; the writer last."""
        self._is_open = False
        readers = [] if self._readers is None else self._readers.all()
        await _disconnected(readers)
        await _disconnected([self._writer])
        # The threads have nothing left to do but to end, and nobody would tell. Turning the loop over meanwhile
        # would keep them from it: a thread that waits for the interpreter is given it 5 ms later.
        while any(lane.is_alive for lane in (*readers, self._writer)):  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def abandon(self) -> None:
        """Have the threads end when they have done what waits, without waiting for them."""
        self._is_open = False
        for lane in (*(self._readers.all() if self._readers is not None else ()), self._writer):
            lane.end(None)

    def _sent(self, job: Job) -> asyncio.Future[Any]:
        """Give a job to the readers."""
        if self._readers is None:
            return self._put(job)
        self._check()
        self._readers.put(job)
        return job.future

    def _put(self, job: Job) -> asyncio.Future[Any]:
        """Give a job to the writer."""
        self._check()
        self._writer.inbox.put(job)
        return job.future

    def _check(self) -> None:
        if not self._is_open:
            raise StoreClosed("the adapter was closed: open it again", backend=BACKEND)
        if os.getpid() != self._process:
            raise StoreClosed(
                "the adapter was opened before this process was forked from another: "
                "open one in each process",
                backend=BACKEND,
            )


def _connect(
    database: SQLiteDatabase, namespace: str, clock: Clock, is_abandoned: Callable[[], bool], *, writes: bool
) -> Session:
    return Session(SQLITE, database.connect(is_abandoned, writes=writes), namespace, clock)


def _prepare(session: Session) -> None:
    prepare(session.connection, session.dialect)


async def _disconnected(lanes: Sequence[Lane]) -> None:
    jobs = [Job("close", _prepare) for _ in lanes]  # settled by the lanes when they end
    for lane, job in zip(lanes, jobs, strict=True):
        lane.end(job)
    for job in jobs:
        await job.future
