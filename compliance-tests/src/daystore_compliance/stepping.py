"""Cancelling an operation at every point at which it can be cancelled: by count, and not by chance.

A task can be cancelled only where it waits. An operation is run again and again, and cancelled at its first wait,
at its second …, until it comes to its end before. At each wait there are two moments: as soon as it waits, and
when what it waits for is there already but it has not gone on yet. In the second a reply has arrived, and nobody
will take it: that is where connections, locks and answers get lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from daystore.abc import StorageAdapter
from daystore_compliance.wrappers import Latency

__all__ = [
    "MOST_WAITS",
    "PATIENCE",
    "Cut",
    "Moment",
    "Points",
    "at_both_speeds",
    "at_speed",
    "cut",
    "cut_after",
    "promptly",
]

T = TypeVar("T")

MOST_WAITS: Final = 1_000
"""Waits after which an operation is taken for one that has no end."""

PATIENCE: Final = 5.0
"""Seconds after which an operation is taken for one that hangs."""


class Moment(StrEnum):
    """When at a wait an operation is cancelled."""

    WAITING = "waiting"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Cut(Generic[T]):
    """What became of an operation that was to be cancelled at one point.

    Attributes:
        wait: At which wait, counted from 1; 0 for before its start.
        moment: When at that wait.
        is_delivered: Whether it was cancelled; otherwise it came to its end before.
        result: What it returned.
        error: What it raised.
    """

    wait: int
    moment: Moment
    is_delivered: bool
    result: T | None
    error: BaseException | None

    def expect_propagated(self) -> None:
        """Expect that the cancellation, if it was delivered, went to the caller."""
        assert not self.is_delivered or type(self.error) is asyncio.CancelledError, (
            f"cancelled {self}, it ended with {_named(self.error)} and not with CancelledError"
        )

    def __str__(self) -> str:
        return f"{self.moment} at wait {self.wait}" if self.wait else "before its start"


class _Counted(Generic[T]):
    """An operation that counts its waits, and has its task cancelled at one of them."""

    def __init__(self, begin: Callable[[], Awaitable[T]], wait: int, moment: Moment) -> None:
        self._begin = begin
        self._wait = wait
        self._moment = moment
        self.is_delivered: bool = wait == 0

    def __await__(self) -> Generator[Any, None, T]:
        steps = self._run().__await__()
        waits = 0
        try:
            waited_for = next(steps)
            while True:
                waits += 1
                if waits == self._wait:
                    self._cancel(waited_for)
                try:
                    yield waited_for
                except BaseException as error:  # noqa: BLE001 - it is the operation's
                    waited_for = steps.throw(error)
                else:
                    waited_for = next(steps)
        except StopIteration as ended:
            result: T = ended.value
            return result

    async def _run(self) -> T:
        return await self._begin()

    def _cancel(self, waited_for: asyncio.Future[Any] | None) -> None:
        task = asyncio.current_task()
        assert task is not None, "an operation is awaited by a task"
        self.is_delivered = True
        if self._moment is Moment.WAITING:
            task.cancel()  # is thrown into it as soon as it has begun to wait
        elif waited_for is None:  # a turn of the event loop
            asyncio.get_running_loop().call_soon(task.cancel)
        else:  # called before the task's own callback, which is added after this one
            waited_for.add_done_callback(lambda _: task.cancel())


async def cut(begin: Callable[[], Awaitable[T]], wait: int, moment: Moment = Moment.WAITING) -> Cut[T]:
    """Run an operation in a task of its own, and cancel it at one point.

    Args:
        begin: Begins the operation.
        wait: At which wait, counted from 1; 0 for before its start.
        moment: When at that wait.
    """
    counted = _Counted(begin, wait, moment)

    async def run() -> T:
        return await counted

    task = asyncio.create_task(run())
    if wait == 0:
        task.cancel()
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()  # does nothing, unless the case itself is at its end
    if task.cancelled():
        return Cut(wait, moment, counted.is_delivered, None, asyncio.CancelledError())
    error = task.exception()
    return Cut(wait, moment, counted.is_delivered, None if error else task.result(), error)


async def cut_after(begin: Callable[[], Awaitable[T]], turns: int) -> Cut[T]:
    """Run an operation in a task of its own, and cancel it when the event loop has turned so often.

    That reaches what goes on in another task, while the operation waits at one and the same place.

    Args:
        begin: Begins the operation.
        turns: How often the event loop turns before.
    """

    async def run() -> T:
        return await begin()

    task = asyncio.create_task(run())
    for _ in range(turns):
        await asyncio.sleep(0)
    is_delivered = task.cancel()
    await asyncio.wait([task])
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return Cut(turns, Moment.WAITING, is_delivered, None if error else task.result(), error)


class Points:
    """The points at which an operation can be cancelled, one attempt for each.

    Example:
        ::

            points = Points()
            while points.are_left:
                made = await points.cancel(lambda: adapter.set("c", f"k{points.number}", b"value"))
                ...  # what must hold after each of them

    Attributes:
        number: How many attempts were made.
        delivered: How many of them were cancelled.
        waits: At how many different waits.
        are_left: Whether there are more; not after an attempt that came to its end.
    """

    def __init__(self) -> None:
        self.number: int = 0
        self.delivered: int = 0
        self.waits: int = 0
        self.are_left: bool = True
        self._next: tuple[int, Moment] = (0, Moment.ANSWERED)

    async def cancel(self, begin: Callable[[], Awaitable[T]]) -> Cut[T]:
        """Run an operation and cancel it at the next point.

        Raises:
            AssertionError: If the cancellation does not go to the caller, or the operation has no end.
        """
        wait, moment = self._next
        made = await promptly(cut(begin, wait, moment), "an operation that is cancelled")
        self.number += 1
        self.are_left = made.is_delivered
        if not made.is_delivered:
            if made.error is not None:
                raise made.error
            return made
        made.expect_propagated()
        self.delivered += 1
        self.waits = max(self.waits, wait)
        if moment is Moment.ANSWERED:
            assert wait < MOST_WAITS, f"an operation has not come to its end after {wait} waits"
            self._next = (wait + 1, Moment.WAITING)
        else:
            self._next = (wait, Moment.ANSWERED)
        return made

    def expect_tried(self, *, slowed: bool, apart: bool = False) -> None:
        """Expect that something was cancelled; behind a network, on both sides of the request.

        Args:
            slowed: Whether the operation went through `at_speed` with ``slowed``.
            apart: Whether the operation goes on in a task of its own when its caller is cancelled, who waits only
                once, for all of it.
        """
        assert not self.are_left, "there are points that were not tried"
        least = 0 if not slowed else 1 if apart else 2
        assert self.waits >= least, "nothing was cancelled while it waited: nothing was tried"
        assert self.delivered >= 1 + 2 * least


def at_both_speeds(tried: Mapping[str, T]) -> dict[str, tuple[T, bool]]:
    """Make variants of a case: each as it is, and ``-slowed``, with what `at_speed` takes beside it."""
    return {
        f"{name}{suffix}": (one, slowed)
        for name, one in tried.items()
        for suffix, slowed in (("", False), ("-slowed", True))
    }


def at_speed(adapter: StorageAdapter, *, slowed: bool) -> StorageAdapter:
    """Return an adapter as it is, or as behind a network, where even one that never waits has to."""
    return Latency(adapter) if slowed else adapter


async def promptly(awaitable: Awaitable[T], what: str, patience: float = PATIENCE) -> T:
    """Return what is awaited, and fail instead of waiting for ever.

    Args:
        awaitable: What may hang.
        what: What it is, for the message.
        patience: Seconds to wait.

    Raises:
        AssertionError: If there is no answer by then.
    """
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if limit.expired():
            raise AssertionError(f"{what} hangs: no answer after {patience:g} s") from None
        raise


def _named(error: BaseException | None) -> str:
    return "an answer" if error is None else type(error).__name__
