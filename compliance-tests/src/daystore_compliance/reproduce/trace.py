"""What a case did to its adapters, step by step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final

from daystore.abc import StorageAdapter, WriteBatch
from daystore_compliance.clock import ManualClock

__all__ = ["Step", "Trace"]

OPERATIONS: Final = (
    *("read", "write", "query", "count", "aggregate"),
    *("get", "exists", "get_batch", "set", "delete", "set_batch", "delete_batch"),
)
MOST_STEPS: Final = 5_000
"""Steps that are kept; a case that takes more is told by its last ones."""

_inside: ContextVar[bool] = ContextVar("inside a traced operation", default=False)


@dataclass(slots=True)
class Step:
    """One operation of one adapter.

    Attributes:
        adapter: Which of the case's adapters, in the order in which they were opened.
        operation: Name of the method; ``open`` and ``reopen`` besides those of `StorageAdapter`.
        arguments: What it was called with.
        options: What it was called with by name.
        now: The present instant then.
        answer: What it returned, or the error that it raised.
        ended: Whether it came to an end.
    """

    adapter: int
    operation: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    now: int = 0
    answer: Any = None
    ended: bool = False


class Trace:
    """The steps of one run of a case.

    Args:
        clock: The clock of the case.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._adapters: list[StorageAdapter] = []
        self.steps: list[Step] = []

    def opened(self, adapter: StorageAdapter, namespace: str) -> None:
        """Take note of an adapter, and from now on of what is done to it."""
        self._adapters.append(adapter)
        self._note(Step(len(self._adapters) - 1, "open", (namespace,), now=self._clock(), ended=True))
        self._watch(adapter, len(self._adapters) - 1)

    def reopened(self, old: StorageAdapter, new: StorageAdapter) -> None:
        """Take note of an adapter that was closed, and opened again."""
        number = next((n for n, one in enumerate(self._adapters) if one is old), None)
        if number is None:
            return
        self._note(Step(number, "reopen", now=self._clock(), ended=True))
        self._adapters[number] = new
        if new is not old:
            self._watch(new, number)

    def _note(self, step: Step) -> None:
        self.steps.append(step)
        if len(self.steps) > 2 * MOST_STEPS:
            opened = [one for one in self.steps[:-MOST_STEPS] if one.operation == "open"]
            self.steps = opened + self.steps[-MOST_STEPS:]

    def _watch(self, adapter: StorageAdapter, number: int) -> None:
        for operation in OPERATIONS:
            setattr(adapter, operation, self._watched(number, operation, getattr(adapter, operation)))

    def _watched(self, number: int, operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            if _inside.get():
                return await method(*arguments, **options)
            arguments = tuple(map(_kept, arguments))
            step = Step(number, operation, tuple(map(_as_given, arguments)), options, self._clock())
            self._note(step)
            entered = _inside.set(True)
            try:
                step.answer = await method(*arguments, **options)
            except BaseException as error:
                step.answer = error
                raise
            else:
                return step.answer
            finally:
                _inside.reset(entered)
                step.ended = True

        call.__name__ = operation
        call.__wrapped__ = method  # type: ignore[attr-defined]  # its signature is the method's
        return call


class _Once:
    """An iterator that remembers what it gave: what was handed in can be consumed once, and is known after it."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self.given: list[Any] = []

    def __iter__(self) -> _Once:
        return self

    def __next__(self) -> Any:
        item = next(self._source)
        self.given.append(item)
        return item


def _kept(argument: Any) -> Any:
    return _Once(argument) if isinstance(argument, Iterator) and not isinstance(argument, _Once) else argument


def _as_given(argument: Any) -> Any:
    """Keep an argument as it was, whatever becomes of the original."""
    if isinstance(argument, WriteBatch):
        return replace(argument, operations=[copy.copy(one) for one in argument.operations])
    if isinstance(argument, list):
        return [copy.copy(item) for item in argument]
    return argument.given if isinstance(argument, _Once) else argument
