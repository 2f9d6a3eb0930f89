"""The threads: one that writes, and as many that read as are needed at the same time.

Each has a connection of its own, opened and closed on its thread. One that lost its connection opens another for
its next job.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from itertools import groupby, repeat
from queue import SimpleQueue
from typing import Any, TypeAlias

from daystore.abc import Clock, Instant
from daystore_sql.committing import commit_group
from daystore_sql.errors import unavailable
from daystore_sql.jobs import Job, Read, Settled, Write, settle
from daystore_sql.records import read_together
from daystore_sql.session import Session
from daystore_sql.sweeping import SWEPT_AT_ONCE, sweep

__all__ = ["Connect", "Lane", "ReadLanes", "WriteLane"]

_log = logging.getLogger(__name__)

MOST_IN_GROUP = 5000
"""Operations that are committed together, unless a single batch has more; other processes wait meanwhile."""

MOST_IN_READ = 200
"""Reads by key that are done together."""

Connect: TypeAlias = Callable[[Callable[[], bool]], Session]
"""Opens a session; takes a function that tells whether nobody waits any more for what the session does."""


class Lane(ABC):
    """A thread with a connection. What it is to do is put into its inbox; ``None`` ends it.

    Args:
        connect: Opens its session.
        name: Of its thread.
        keep: Keep the connection whatever happens to it, because the data lives in it.
    """

    def __init__(self, connect: Connect, name: str, *, keep: bool = False) -> None:
        self._connect = connect
        self._keep = keep
        self._session: Session | None = None
        self._running: Job | None = None
        self._last: Job | None = None
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        # A daemon, so that a forgotten close never keeps the interpreter from ending.
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            BackendUnavailable: If the operating system gives none.
        """
        try:
            self._thread.start()
        except RuntimeError as error:
            raise unavailable("no thread can be started: the process has too many", "open") from error

    def end(self, last: Job | None) -> None:
        """Have the thread end after the jobs that wait.

        Args:
            last: Is settled when the connection is closed.
        """
        self._last = last
        self.inbox.put(None)

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    def _live(self) -> None:
        try:
            self._serve()
        finally:
            self._disconnect()
            if self._last is not None:
                settle([(self._last, None, None)])

    @abstractmethod
    def _serve(self) -> None:
        """Do jobs until the inbox says to end."""

    def _open(self) -> Session:
        if self._session is None:
            self._session = self._connect(self._is_abandoned)
        return self._session

    def _is_abandoned(self) -> bool:
        return self._running is not None and not self._running.is_wanted

    def _done(self, job: Job) -> Settled:
        """Do a job."""
        self._running = job
        try:
            return job, job.work(self._open(), *job.arguments), None
        except BaseException as error:  # noqa: BLE001 - it is the caller's, and the thread lives on
            told: BaseException = error
            if self._session is not None and isinstance(error, Exception):
                self._session.undo()
                told = self._session.told(error, job.operation)
            return job, None, told
        finally:
            self._running = None
            self._drop_if_broken()

    def _drop_if_broken(self) -> None:
        if self._session is not None and self._session.is_broken and not self._keep:
            self._disconnect()

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.connection.close()


class _ReadLane(Lane):
    """One of the readers. Its inbox takes what `ReadLanes` gives out: jobs that are done together."""

    def __init__(self, connect: Connect, name: str, lanes: ReadLanes) -> None:
        super().__init__(connect, name)
        self._lanes = lanes

    def _serve(self) -> None:
        while (jobs := self.inbox.get()) is not None:
            while jobs:
                settle(self._done_together([job for job in jobs if job.is_wanted]))
                jobs = self._lanes.next_for(self, jobs)

    def _done_together(self, jobs: list[Job]) -> list[Settled]:
        reads = [job for job in jobs if isinstance(job, Read)]
        if len(reads) > 1:
            try:
                results = read_together(self._open(), [(read.collection, read.keys) for read in reads])
            except Exception:  # noqa: BLE001 - each is told what concerns it
                self._drop_if_broken()
            else:
                return list(zip(reads, results, repeat(None)))
        return [self._done(job) for job in jobs]


class ReadLanes:
    """The readers. A new one is started when all are busy; the one that was busy last is used first.

    Reads by key that wait are done together, by one reader at a time: they are so short that more threads would
    only keep each other from running. Queries leave one reader to them, if there is more than one.

    Args:
        connect: Opens the session of one.
        most: Most readers to start.
        name: Of their threads.
    """

    def __init__(self, connect: Connect, most: int, name: str) -> None:
        self._connect = connect
        self._most = most
        self._name = name
        self._lock = threading.Lock()
        self._lanes: list[_ReadLane] = []
        self._idle: list[_ReadLane] = []
        self._reads: list[Job] = []
        self._queries: deque[Job] = deque()
        self._is_reading = False
        self._querying = 0

    def put(self, job: Job) -> None:
        """Have a job done."""
        with self._lock:
            if isinstance(job, Read):
                self._reads.append(job)
            else:
                self._queries.append(job)
            if self._may_read or self._may_query:
                if not self._idle and len(self._lanes) < self._most:
                    self._start_one()
                if self._idle:
                    self._idle.pop().inbox.put(self._next())

    @property
    def _may_read(self) -> bool:
        return bool(self._reads) and not self._is_reading

    @property
    def _may_query(self) -> bool:
        return bool(self._queries) and self._querying < max(1, self._most - 1)

    def _start_one(self) -> None:
        lane = _ReadLane(self._connect, f"{self._name}-{len(self._lanes)}", self)
        lane.start()
        self._lanes.append(lane)
        self._idle.append(lane)

    def _next(self, *, query_first: bool = False) -> list[Job]:
        if self._may_read and not (query_first and self._may_query):
            self._is_reading = True
            jobs, self._reads = self._reads[:MOST_IN_READ], self._reads[MOST_IN_READ:]
            return jobs
        if self._may_query:
            self._querying += 1
            return [self._queries.popleft()]
        return []

    def next_for(self, lane: _ReadLane, done: list[Job]) -> list[Job]:
        """Return the next jobs for a reader that has done its last ones; without any, it is idle."""
        with self._lock:
            was_reading = isinstance(done[0], Read)
            if was_reading:
                self._is_reading = False
            else:
                self._querying -= 1
            # A single reader takes turns, so that neither kind of job waits for ever.
            jobs = self._next(query_first=was_reading and self._most == 1)
            if not jobs:
                self._idle.append(lane)
            return jobs

    def all(self) -> list[_ReadLane]:
        """Return the readers that were started."""
        with self._lock:
            return list(self._lanes)


class WriteLane(Lane):
    """The writer. Writes that wait at the same time are committed together.

    Args:
        connect: Opens its session.
        name: Of its thread.
        clock: Tells when to look for expired records.
        sweep_interval: Microseconds between two looks.
        keep: See `Lane`.
    """

    def __init__(
        self, connect: Connect, name: str, clock: Clock, sweep_interval: Instant, *, keep: bool
    ) -> None:
        super().__init__(connect, name, keep=keep)
        self._clock = clock
        self._sweep_interval = sweep_interval
        self._swept_at: Instant | None = None

    def _serve(self) -> None:
        while self._work_off(self.inbox.get()):
            pass

    def _work_off(self, first: Job | None) -> bool:
        """Do the jobs that wait; tell whether there may be more."""
        jobs, ended = self._waiting(first)
        for are_writes, some in groupby(jobs, key=lambda job: isinstance(job, Write)):
            if are_writes:
                settle(self._commit([job for job in some if isinstance(job, Write)]))
                self._sweep()
            else:
                for job in some:
                    if job.is_wanted:
                        settle([self._done(job)])
        return not ended

    def _waiting(self, first: Job | None) -> tuple[list[Job], bool]:
        """Return the jobs that wait, and whether the lane is to end after them."""
        jobs: list[Job] = []
        job, operations = first, 0
        while job is not None:
            jobs.append(job)
            operations += len(job.batch.operations) if isinstance(job, Write) else 1
            if operations >= MOST_IN_GROUP or self.inbox.empty():
                return jobs, False
            job = self.inbox.get()
        return jobs, True

    def _commit(self, writes: list[Write]) -> list[Settled]:
        wanted = [write for write in writes if write.is_wanted]
        if not wanted:
            return []
        try:
            return commit_group(self._open(), wanted)
        except Exception as error:  # noqa: BLE001 - no connection could be opened
            return [(write, None, error) for write in wanted]
        finally:
            self._drop_if_broken()

    def _sweep(self) -> None:
        if self._session is None:
            return
        try:
            now = self._clock()
            if self._swept_at is not None and 0 <= now - self._swept_at < self._sweep_interval:
                return
            # As long as there is more to sweep, every group of writes takes its share.
            self._swept_at = None if sweep(self._session, now) == SWEPT_AT_ONCE else now
        except Exception as error:  # noqa: BLE001 - no caller waits for it, and it will be tried again
            _log.debug("expired records were not swept: %s", self._session.told(error, "sweep"))
            self._drop_if_broken()
