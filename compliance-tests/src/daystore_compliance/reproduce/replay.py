"""Doing the steps of a trace again, beside the reference, and leaving out all that does not matter.

The reference adapter is the oracle: the first step that it answers otherwise shows the fault. What can be left out
with the fault still showing is left out, by halves and then one by one (Zeller and Hildebrandt, "Simplifying and
isolating failure-inducing input", IEEE TSE 28(2), 2002).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from daystore.abc import Page, StorageAdapter, WriteBatch
from daystore_compliance.clock import ManualClock
from daystore_compliance.equality import same_answer
from daystore_compliance.reproduce.trace import Step
from daystore_compliance.target import MemoryTarget, Target

__all__ = ["Difference", "shortest"]

SECONDS: Final = 4.0
"""How long to look for something shorter."""
_ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Difference:
    """The shortest steps found whose last answer is not the reference's.

    Attributes:
        steps: What to do.
        answer: What the backend answers to the last of them.
        expected: What the reference answers.
    """

    steps: list[Step]
    answer: Any
    expected: Any


def shortest(steps: Sequence[Step], target: Target, seconds: float = SECONDS) -> Difference | None:
    """Find the shortest part of a trace that still shows a difference from the reference.

    Args:
        steps: A trace.
        target: The started target that it was taken from.
        seconds: How long to go on.

    Returns:
        What was found; ``None`` if the steps, done one after the other, are answered as by the reference.
    """
    search = _Search(target, time.monotonic() + seconds)
    found = search.difference(list(steps))
    if found is None:
        return None
    return search.shortened(found)


class _Search:
    def __init__(self, target: Target, deadline: float) -> None:
        self._target = target
        self._deadline = deadline

    def difference(self, steps: list[Step]) -> Difference | None:
        """Do the steps on both sides, up to the first that is answered differently."""
        with asyncio.Runner() as runner:
            return runner.run(_compare(steps, self._target))

    def shortened(self, found: Difference) -> Difference:
        """Leave out what can be left out."""
        size = max(1, len(found.steps) // 2)
        while time.monotonic() < self._deadline:
            smaller = self._without_some(found, size)
            if smaller is not None:
                found = smaller
                size = min(size, max(1, len(found.steps) // 2))
            elif size > 1:
                size //= 2
            else:
                break
        return self._without_idle_adapters(self._with_small_batches(found))

    def _without_idle_adapters(self, found: Difference) -> Difference:
        used = {step.adapter for step in found.steps if step.operation != "open"}
        kept = [step for step in found.steps if step.adapter in used]
        return (self._same_kind(kept, found) or found) if len(kept) < len(found.steps) else found

    def _without_some(self, found: Difference, size: int) -> Difference | None:
        steps = found.steps
        for start in range(max(0, len(steps) - 1 - size), -size, -size):
            kept = [
                step
                for index, step in enumerate(steps)
                if not start <= index < start + size or step.operation == "open" or index == len(steps) - 1
            ]
            if len(kept) < len(steps) and (smaller := self._same_kind(kept, found)):
                return smaller
            if time.monotonic() > self._deadline:
                return None
        return None

    def _same_kind(self, steps: list[Step], found: Difference) -> Difference | None:
        """Take a shorter trace only if it shows the fault in the same operation, not another one."""
        other = self.difference(steps)
        if other is None or other.steps[-1].operation != found.steps[-1].operation:
            return None
        same = isinstance(other.answer, BaseException) == isinstance(found.answer, BaseException)
        return other if same else None

    def _with_small_batches(self, found: Difference) -> Difference:
        for index in range(len(found.steps)):
            while time.monotonic() < self._deadline:
                for part in _halves(found.steps[index]):
                    steps = [*found.steps[:index], part, *found.steps[index + 1 :]]
                    smaller = self._same_kind(steps, found)
                    if smaller is not None and len(smaller.steps) == len(found.steps):
                        found = smaller
                        break
                else:
                    break
        return found


def _halves(step: Step) -> list[Step]:
    """Return a step with one half of its batch, and with the other."""
    for position, argument in enumerate(step.arguments):
        items = argument.operations if isinstance(argument, WriteBatch) else argument
        if isinstance(items, (list, tuple)) and len(items) > 1:
            middle = len(items) // 2
            return [_with_items(step, position, part) for part in (items[:middle], items[middle:])]
    return []


def _with_items(step: Step, position: int, items: Sequence[Any]) -> Step:
    argument = step.arguments[position]
    smaller = replace(argument, operations=list(items)) if isinstance(argument, WriteBatch) else list(items)
    return replace(step, arguments=(*step.arguments[:position], smaller, *step.arguments[position + 1 :]))


class _Side:
    """One of the two on which the steps are done: its adapters, and what versions and cursors are called here.

    A version or a cursor is another one in each run. What a step answered then stands for what it answers now.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._clock = ManualClock()
        self._room = uuid.uuid4().hex
        self._adapters: dict[int, StorageAdapter] = {}
        self._here: dict[str, str] = {}
        self._then: dict[str, str] = {}

    async def do(self, step: Step) -> Any:
        self._clock.move_to(step.now)
        if step.operation == "open":
            self._adapters[step.adapter] = await self._target.open(
                f"{self._room}-{step.arguments[0]}"[:128], self._clock
            )
            return None
        adapter = self._adapters[step.adapter]
        if step.operation == "reopen":
            self._adapters[step.adapter] = await self._target.reopen(adapter)
            return None
        arguments = [_mapped(argument, self._here.get) for argument in step.arguments]
        options = {name: _mapped(option, self._here.get) for name, option in step.options.items()}
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await getattr(adapter, step.operation)(*arguments, **options)
        except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
            return error
        self._learn(step.answer, answer)
        return _mapped(answer, self._then.get)

    def _learn(self, then: Any, now: Any) -> None:
        for old, new in zip(_names(then), _names(now), strict=False):
            if old != new:
                self._here.setdefault(old, new)
                self._then.setdefault(new, old)

    async def close(self) -> None:
        for adapter in self._adapters.values():
            await adapter.close()


async def _compare(steps: list[Step], target: Target) -> Difference | None:
    here, reference = _Side(target), _Side(MemoryTarget())
    try:
        for index, step in enumerate(steps):
            answer, expected = await here.do(step), await reference.do(step)
            if not same_answer(answer, expected):
                return Difference(steps[: index + 1], answer, expected)
        return None
    finally:
        await here.close()
        await reference.close()


def _names(answer: Any) -> list[str]:
    """List the versions and cursors in an answer, in order."""
    if type(answer) is str:
        return [answer]
    if isinstance(answer, Page):
        return [*_names(answer.records), *([answer.cursor] if answer.cursor else [])]
    if isinstance(answer, dict):
        return [name for item in answer.values() for name in _names(item)]
    if isinstance(answer, (list, tuple)):
        return [name for item in answer for name in _names(item)]
    if hasattr(answer, "version"):
        return [answer.version] if answer.version else []
    return []


def _mapped(value: Any, rename: Callable[[str], str | None]) -> Any:
    """Put other strings in place of some, wherever they stand in what an adapter takes or returns."""
    if type(value) is str:
        return rename(value) or value
    if type(value) is dict:
        return {key: _mapped(item, rename) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        return type(value)(*(_mapped(item, rename) for item in value))
    if type(value) in (list, tuple):
        return type(value)(_mapped(item, rename) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _mapped(getattr(value, f.name), rename) for f in fields(value) if f.init}
        if all(changed[name] is getattr(value, name) for name in changed):
            return value
        return replace(value, **changed)
    return value
