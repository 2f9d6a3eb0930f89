"""What waits to be sent: calls, and the futures of their callers."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

from daystore.abc.record import Operation, Outcome, Prepare, Put, Record
from daystore.errors import VersionConflict

__all__ = ["Call", "Name", "Read", "Write"]

Name = tuple[str, str]
E = TypeVar("E", bound=BaseException)
R = TypeVar("R")


class Call(Generic[R]):
    """One thing to be asked of the backend, and the callers that wait for it.

    Attributes:
        futures: One for each caller. A caller that was cancelled has cancelled its own.
    """

    __slots__ = ("futures",)

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[R]] = []

    def wait(self) -> asyncio.Future[R]:
        """Return a future for one more caller."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        return future

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not all(future.done() for future in self.futures)

    def fail(self, error: Exception) -> None:
        """Give each caller an exception of its own."""
        for future in self.futures:
            if not future.done():
                future.set_exception(_twin(error))

    def drop(self) -> None:
        """Cancel the callers."""
        for future in self.futures:
            future.cancel()


class Read(Call["Record | None"]):
    """A record to be read.

    Args:
        key: Its key.
    """

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key: str = key

    def answer(self, record: Record | None) -> None:
        """Give each caller a record of its own."""
        for future in self.futures:
            if not future.done():
                future.set_result(record)
                record = None if record is None else record.copy()


class Write(Call[Outcome]):
    """A change to be made.

    Args:
        name: What it changes: collection and key.
        operation: The change.

    Attributes:
        size: Bytes of its value or its intent.
    """

    __slots__ = ("name", "operation", "size")

    def __init__(self, name: Name, operation: Operation) -> None:
        super().__init__()
        self.name: Name = name
        self.operation: Operation = operation
        self.size: int = _size(operation)

    def answer(self, outcome: Outcome) -> None:
        """Give the caller the outcome, as if the change had been alone in its batch."""
        if outcome.error is not None:
            error = _twin(outcome.error)
            if isinstance(error, VersionConflict):
                error.index = 0
            outcome = outcome._replace(error=error)
        for future in self.futures:
            if not future.done():
                future.set_result(outcome)


def _twin(error: E) -> E:
    """Return a copy of an exception: one that is raised by several callers would collect all their frames."""
    twin = type(error).__new__(type(error), *error.args)
    twin.__dict__.update(error.__dict__)
    notes: Any = twin.__dict__.get("__notes__")
    if notes is not None:
        twin.__dict__["__notes__"] = list(notes)
    twin.__cause__ = error.__cause__
    twin.__context__ = error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)


def _size(operation: Operation) -> int:
    if type(operation) is Put:
        return len(operation.value)
    return len(operation.intent) if type(operation) is Prepare else 0
