"""Dying at a step of the commit: before or after one of the requests that it takes, chosen before."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from daystore.abc import ABSENT, Check, Delete, Holds, Prepare, Put, StorageAdapter, WriteBatch
from daystore.abc.coordination import STATUS_COLLECTION

__all__ = ["MOMENTS", "STEPS", "Doom", "Steps", "step_of"]

STEPS: Final = ("begin", "prepare", "validate", "decide", "abort", "settle", "forget", "beat", "look")
MOMENTS: Final = ("before", "after")
Primitive = Callable[..., Coroutine[object, object, Any]]


@dataclass(frozen=True, slots=True)
class Doom:
    """Where a process dies.

    Attributes:
        transfer: In which of its transfers, by number, or in a later one.
        step: At which step of a commit.
        nth: At which request of that step, from when the transfer began.
        moment: ``before`` it is sent or ``after`` it was answered.
    """

    transfer: int
    step: str
    nth: int
    moment: str


class Steps:
    """The requests that the commits of this process make, counted; it dies at one of them.

    Args:
        doom: Where; ``None`` for nowhere.
        tell: Told the step and the moment right before.
    """

    def __init__(self, doom: Doom | None, tell: Callable[[str], None]) -> None:
        self._doom = doom
        self._tell = tell
        self._left: int | None = None

    def reach(self, transfer: int) -> None:
        """Begin to count if this is the transfer to die in."""
        if self._doom is not None and transfer == self._doom.transfer:
            self._left = self._doom.nth

    def watch(self) -> None:
        """Count the requests of every adapter that this process opens from now on."""
        steps, limit = self, StorageAdapter._in_time

        def watched(adapter: StorageAdapter, operation: str, primitive: Primitive) -> Primitive:
            limited = limit(adapter, operation, primitive)

            async def request(*arguments: Any) -> Any:
                fatal = steps._is_fatal(arguments[0])
                if fatal:
                    steps._die("before")
                answer = await limited(*arguments)
                if fatal:
                    steps._die("after")
                return answer

            return request

        StorageAdapter._in_time = watched  # type: ignore[method-assign, assignment]

    def _is_fatal(self, request: object) -> bool:
        if self._left is None or self._doom is None or step_of(request) != self._doom.step:
            return False
        self._left -= 1
        return self._left == 0

    def _die(self, moment: str) -> None:
        if self._doom is not None and moment == self._doom.moment:
            self._tell(f"died {self._doom.step} {moment}")
            os.kill(os.getpid(), signal.SIGKILL)


def step_of(request: object) -> str:
    """Return which step of the commit a request is; whatever only reads is ``look``."""
    if not isinstance(request, WriteBatch):
        return "look"
    if not request.operations:
        return "validate"
    first = request.operations[0]
    if first.collection == STATUS_COLLECTION:
        return _step_of_status(first)
    if isinstance(first, Prepare):
        return "prepare"
    if isinstance(first, Check):
        return "validate"
    assert isinstance(first.expect, Holds)
    return "settle"


def _step_of_status(operation: object) -> str:
    if isinstance(operation, Delete):
        return "forget"
    assert isinstance(operation, Put)
    if operation.expect is ABSENT:
        return "begin"
    for status, step in ((b"committed", "decide"), (b"aborted", "abort")):
        if status in operation.value:
            return step
    return "beat"
