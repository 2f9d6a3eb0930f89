"""Lanes: calls of one kind on their way to the backend, at most two batches of them at a time."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Any, Final, Generic, TypeAlias, TypeVar

from daystore.abc.coalescing.calls import Call, Name, Read, Write
from daystore.abc.record import ABSENT, ANY, Holds, Outcome, Record, WriteBatch
from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    OperationTimeout,
    OutcomeUnknown,
    StoreClosed,
    VersionConflict,
)

__all__ = ["MOST_BYTES", "MOST_CALLS", "MOST_IN_FLIGHT", "Lane", "Limit", "ReadLane", "WriteLane"]

MOST_CALLS: Final = 1_000
"""Calls that are sent as one."""

MOST_BYTES: Final = 1024 * 1024
"""Bytes of the values that are written as one; a larger value goes alone."""

MOST_IN_FLIGHT: Final = 2
"""Batches of a lane that are under way at the same time."""

Limit: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""Begins the time limit of a batch."""

C = TypeVar("C", bound=Call[Any])

_OF_ALL: Final = (BackendUnavailable, OperationTimeout, OutcomeUnknown, StoreClosed)
"""What a batch as a whole has met, and not one call in it."""


class Lane(ABC, Generic[C]):
    """Calls that may be sent as one.

    Args:
        most: Calls that are sent as one.
        limit: See `Limit`.
        ended: Called whenever nothing is under way and nothing waits any more.
    """

    def __init__(self, most: int, limit: Limit, ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._most = most
        self._limit = limit
        self._tell_ended = ended
        self._queue: deque[C] = deque()
        self._in_flight = 0
        self._is_woken = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and nothing waits."""
        return not (self._in_flight or self._queue)

    def _wake(self) -> None:
        """Send on the next turn of the event loop, when everybody who comes in this one is there."""
        if not self._is_woken and self._in_flight < MOST_IN_FLIGHT:
            self._is_woken = True
            self._loop.call_soon(self._send_on)

    def _send_on(self) -> None:
        self._is_woken = False
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._in_flight < MOST_IN_FLIGHT and (calls := self._next()):
            self._in_flight += 1
            # In a context of its own: that of a caller is no business of its neighbours.
            task = self._loop.create_task(self._run(calls), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, calls: list[C]) -> None:
        try:
            await self._send(calls)
        except BaseException:  # the event loop is ending
            for call in calls:
                call.drop()
            raise
        finally:
            self._release(calls)
            self._end()

    def _end(self) -> None:
        self._in_flight -= 1
        self._send_waiting()
        if self.is_idle:
            self._tell_ended()

    async def _send(self, calls: list[C]) -> None:
        """Send calls as one; if one of them may be to blame for a failure, without it."""
        try:
            async with self._limit():
                await self._ask(calls)
        except Exception as error:  # noqa: BLE001 - it is the callers'
            wanted = [call for call in calls if call.is_wanted]
            if len(calls) > 1 and self._may_ask_again(error):
                middle = (len(wanted) + 1) // 2
                for part in (wanted[:middle], wanted[middle:]):
                    if part:
                        await self._send(part)
            else:
                for call in wanted:
                    call.fail(self._told(error, calls))

    @abstractmethod
    def _next(self) -> list[C]:
        """Take from the queue what is sent next; nothing if nobody waits."""

    @abstractmethod
    async def _ask(self, calls: list[C]) -> None:
        """Ask the backend once, and answer the calls."""

    @abstractmethod
    def _may_ask_again(self, error: Exception) -> bool:
        """Tell whether the calls of a batch that failed may be sent again, apart from each other."""

    def _release(self, calls: list[C]) -> None:
        """Let go what waited for the end of these calls."""

    def _told(self, error: Exception, calls: list[C]) -> Exception:
        """Return what the callers are told of a failure."""
        return error


class ReadLane(Lane[Read]):
    """Reads of one collection with one consistency. Those of one key are one, as long as it was not sent.

    Args:
        ask: Reads keys, all different.
        most: See `Lane`.
        limit: See `Lane`.
        ended: See `Lane`.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[str]], Awaitable[list[Record | None]]],
        most: int,
        limit: Limit,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(most, limit, ended)
        self._ask_backend = ask
        self._waiting: dict[str, Read] = {}

    async def read(self, keys: Sequence[str]) -> list[Record | None]:
        """Read one key."""
        if self.is_idle:
            self._in_flight += 1
            try:
                return await self._ask_backend(keys)
            finally:
                self._end()
        read = self._waiting.get(keys[0])
        if read is None:
            read = self._waiting[keys[0]] = Read(keys[0])
            self._queue.append(read)
            self._wake()
        return [await read.wait()]

    def _next(self) -> list[Read]:
        reads: list[Read] = []
        while self._queue and len(reads) < self._most:
            read = self._queue.popleft()
            del self._waiting[read.key]
            if read.is_wanted:
                reads.append(read)
        return reads

    async def _ask(self, calls: list[Read]) -> None:
        records = await self._ask_backend([read.key for read in calls])
        for read, record in list(zip(calls, records, strict=True)):  # all of them or none
            read.answer(record)

    def _may_ask_again(self, error: Exception) -> bool:
        return not isinstance(error, _OF_ALL)


class WriteLane(Lane[Write]):
    """Writes. No key is in two of those that are under way, and those of one key keep their order.

    Args:
        ask: Applies a batch that is not atomic.
        most: See `Lane`.
        limit: See `Lane`.
        ended: See `Lane`.
        backend: Name of the adapter, for errors.
    """

    def __init__(
        self,
        ask: Callable[[WriteBatch], Awaitable[list[Outcome]]],
        most: int,
        limit: Limit,
        ended: Callable[[], None],
        *,
        backend: str,
    ) -> None:
        super().__init__(most, limit, ended)
        self._ask_backend = ask
        self._backend = backend
        # By what is changed by a write in the queue or under way: the writes that come after it.
        self._behind: dict[Name, deque[Write]] = {}

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch of one operation, which is not atomic."""
        operation = batch.operations[0]
        name = (operation.collection, operation.key)
        if self.is_idle:
            self._in_flight += 1
            self._behind[name] = deque()
            try:
                return await self._ask_backend(batch)
            finally:
                self._follow(name)
                self._end()
        write = Write(name, operation)
        behind = self._behind.get(name)
        if behind is None:
            self._behind[name] = deque()
            self._queue.append(write)
            self._wake()
        else:
            behind.append(write)
        return [await write.wait()]

    def _release(self, calls: list[Write]) -> None:
        for write in calls:
            self._follow(write.name)

    def _follow(self, name: Name) -> None:
        """Let the next write of a key into the queue."""
        behind = self._behind[name]
        while behind and not behind[0].is_wanted:
            behind.popleft()
        if behind:
            self._queue.append(behind.popleft())
        else:
            del self._behind[name]

    def _next(self) -> list[Write]:
        writes: list[Write] = []
        size = 0
        while self._queue and len(writes) < self._most:
            write = self._queue[0]
            if writes and size + write.size > MOST_BYTES:
                break
            self._queue.popleft()
            if write.is_wanted:
                writes.append(write)
                size += write.size
            else:
                self._follow(write.name)
        return writes

    async def _ask(self, calls: list[Write]) -> None:
        waiting = [len(self._behind[write.name]) for write in calls]
        outcomes = await self._ask_backend(WriteBatch([write.operation for write in calls]))
        for write, outcome, count in list(zip(calls, outcomes, waiting, strict=True)):  # all of them or none
            write.answer(outcome)
            if count and type(outcome.error) is VersionConflict:
                self._refuse(write.name, outcome, count, outcome.error.current)

    def _refuse(self, name: Name, conflict: Outcome, count: int, current: str | None) -> None:
        """Answer the writes that waited when one was sent, up to the first that what it met would not have failed.

        Without it, each of many that write the same record at the version that they have read would be sent.
        """
        behind = self._behind[name]
        for _ in range(count):
            expect = behind[0].operation.expect
            met = ABSENT if current is None else current
            if expect in (ANY, met) or isinstance(expect, Holds):
                break
            behind.popleft().answer(conflict)

    def _may_ask_again(self, error: Exception) -> bool:
        # An error that is not one of ours says nothing of what was applied before it.
        return isinstance(error, DaystoreError) and not isinstance(error, _OF_ALL)

    def _told(self, error: Exception, calls: list[Write]) -> Exception:
        if len(calls) == 1 or isinstance(error, DaystoreError):
            return error
        unknown = OutcomeUnknown(
            "the write went to the backend together with others, and that failed: it may or may not have been "
            "applied",
            backend=self._backend,
            operation="write",
        )
        unknown.__cause__ = error
        return unknown
