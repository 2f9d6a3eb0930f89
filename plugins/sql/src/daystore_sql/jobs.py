"""Work handed from the event loop to a thread, and its result handed back.

A job whose caller is gone before it is begun is dropped. Once begun it runs to its end, and its result goes to
its own caller or to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from daystore.abc import WriteBatch
from daystore_sql.records import read_records
from daystore_sql.session import Session

__all__ = ["Job", "Read", "Settled", "Write", "settle"]


class Job:
    """Work on a session, and the future that waits for it.

    Args:
        operation: Its name, for errors.
        work: Called with a session and the arguments, on the thread of the session.
        arguments: What it takes beside the session.
    """

    __slots__ = ("arguments", "future", "loop", "operation", "work")

    def __init__(self, operation: str, work: Callable[..., Any], *arguments: object) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.operation: str = operation
        self.work: Callable[..., Any] = work
        self.arguments: tuple[object, ...] = arguments

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self.future.done()


class Write(Job):
    """A batch of changes. Those that wait at the same time are committed together.

    Args:
        batch: The changes.
    """

    __slots__ = ("batch",)

    def __init__(self, batch: WriteBatch) -> None:
        super().__init__("write", _nothing)
        self.batch: WriteBatch = batch


class Read(Job):
    """Records to read by key. Those that wait at the same time are read together.

    Args:
        collection: Where to look.
        keys: A few keys.
    """

    __slots__ = ("collection", "keys")

    def __init__(self, collection: str, keys: Sequence[str]) -> None:
        super().__init__("read", read_records, collection, keys)
        self.collection: str = collection
        self.keys: Sequence[str] = keys


def _nothing(_: Session) -> None:
    """Stand in for the work of a write, which is done by its group."""


Settled: TypeAlias = tuple[Job, Any, BaseException | None]
"""A job with its result or its error."""


def settle(results: Sequence[Settled]) -> None:
    """Give results to the callers, waking each event loop once. Called on any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Settled]] = {}
    for result in results:
        by_loop.setdefault(result[0].loop, []).append(result)
    for loop, some in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_here, some)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def _settle_here(results: Sequence[Settled]) -> None:
    for job, result, error in results:
        if not job.is_wanted:
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)
