"""The script that shows a fault again, with nothing but the backend, daystore and the target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from daystore.abc import Page
from daystore.config.secrets import mask_url
from daystore_compliance.case import Case
from daystore_compliance.clock import START
from daystore_compliance.plan import Plan
from daystore_compliance.reproduce.replay import Difference
from daystore_compliance.reproduce.source import source_of
from daystore_compliance.reproduce.trace import Step
from daystore_compliance.target import Target, UrlTarget

__all__ = ["Failure", "script_of", "text_of"]

_SHOWN_STEPS: Final = 40
_SHOWN: Final = 60
_WIDTH: Final = 300

_ALONE: Final = '''"""{title}

Written by the suite. It ends with 1 as long as the fault is there, and with 0 when it is gone.{usage}
"""

import asyncio
import sys
from datetime import datetime

from daystore.abc import *
from daystore.errors import *
from daystore_compliance import ManualClock, resolve, same_answer, source_of


async def attempt(operation):
    try:
        return await operation
    except Exception as error:
        return error


async def main():
    clock = ManualClock({now})
    with {target}.running() as target:
{steps}
        answer = await attempt({last})
        expected = {expected}
        print("expected:", source_of(expected))
        print("answered:", source_of(answer))
{closing}
        return 0 if {judge} else 1


sys.exit(asyncio.run(main()))
'''

_WHOLE: Final = '''"""{title}

Written by the suite. The operations of this case, done one after the other, are answered as the contract says:
the fault shows only in the case as a whole. It ends with 1 as long as the fault is there, otherwise with 0.{usage}
"""

import sys

from daystore_compliance import Plan, resolve
from daystore_compliance.run import run_case
from daystore_compliance.suite import load

case = load()[{case}]
with {target}.running() as target:
    try:
        run_case(case, target, variant={variant}, plan=Plan({level}, {seed}))
    except AssertionError as error:
        sys.exit(f"{{case.promise}}\\n{{error}}")
'''


@dataclass(frozen=True, slots=True)
class Failure:
    """What a script is about.

    Attributes:
        case: Id of the case.
        variant: Name of its variant, if it has any.
        promise: What the case promises.
        target: What `daystore_compliance.resolve` makes the target of.
        url: Where the backend of a named target is; see there.
        level: Of the run.
        seed: Of the run.
    """

    case: str
    variant: str | None
    promise: str
    target: str
    level: str
    seed: int
    url: str | None = None

    @classmethod
    def of(cls, case: Case, variant: str | None, target: Target, plan: Plan) -> Self:
        """Tell what a failed case was, and of which target."""
        text, url = target.text or f"{type(target).__module__}:{type(target).__qualname__}", None
        if "://" in text and type(target) is not UrlTarget:
            text, url = target.name, text
        return cls(case.id, variant, case.promise, text, plan.level, plan.seed, url)

    def shared(self) -> dict[str, str]:
        """Return what every script says: its title, how it makes the target, and how it is to be called.

        A script is kept and sent around, so that it holds no URL with a secret in it: it is given one.
        """
        places = [self.target] if self.url is None else [self.target, self.url]
        secret = next((place for place in places if "://" in place and mask_url(place) != place), None)
        arguments = ["sys.argv[1]" if place == secret else repr(place) for place in places]
        return {
            "title": _quoted(f"{self.case}: {self.promise}"),
            "target": f"resolve({', '.join(arguments)})",
            "usage": "" if secret is None else _quoted(f" Call it with the URL, {mask_url(secret)}."),
        }


def script_of(failure: Failure, found: Difference | None) -> str:
    """Write the script: of the shortest steps, or of the whole case where they alone do not show the fault."""
    if found is None:
        return _WHOLE.format(
            **failure.shared(),
            case=repr(failure.case),
            variant=repr(failure.variant),
            level=repr(failure.level),
            seed=failure.seed,
        )
    names = _Names()
    lines = [line for step in found.steps[:-1] for line in names.lines(step)]
    last = found.steps[-1]
    lines += names.clock(last)
    return _ALONE.format(
        **failure.shared(),
        now=START,
        steps="\n".join(f"        {line}" for line in lines),
        last=names.call(last),
        closing="\n".join(f"        await adapter{n}.close()" for n in sorted(names.adapters)),
        expected=f"{source_of(found.expected, names.of)}{'()' * isinstance(found.expected, Exception)}",
        judge="type(answer) is str" if isinstance(found.expected, str) else "same_answer(answer, expected)",
    )


def text_of(steps: Sequence[Step]) -> str:
    """Write steps for people: the last ones, in a line each, long values cut."""
    names = _Names(most=_SHOWN)
    lines = []
    for step in steps:
        for line in names.lines(step):
            answer = "" if step.operation in ("open", "reopen") else _answered(step)
            lines.append(_cut(f"{line}{answer}"))
    left_out = len(lines) - _SHOWN_STEPS
    return "\n".join(([f"… {left_out} steps before"] if left_out > 0 else []) + lines[-_SHOWN_STEPS:])


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[:_WIDTH] + "…"


def _answered(step: Step) -> str:
    return f"  # {source_of(step.answer, most=_SHOWN)}" if step.ended else "  # never ended"


class _Names:
    """Calls versions and cursors by the variables that hold them."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._known: dict[str, str] = {}
        self._now = START
        self.adapters: set[int] = set()

    def lines(self, step: Step) -> list[str]:
        adapter = f"adapter{step.adapter}"
        self.adapters.add(step.adapter)
        if step.operation == "open":
            return [*self.clock(step), f"{adapter} = await target.open({step.arguments[0]!r}, clock)"]
        if step.operation == "reopen":
            return [*self.clock(step), f"{adapter} = await target.reopen({adapter})"]
        moved, line = self.clock(step), self.call(step)
        if isinstance(step.answer, BaseException):
            line = f"attempt({line})"
        line = f"await {line}"
        if step.operation == "set" and isinstance(step.answer, str):
            name = f"version{len(self._known) + 1}"
            self._known[step.answer] = name
            line = f"{name} = {line}"
        if isinstance(step.answer, Page) and step.answer.cursor is not None:
            name = f"page{len(self._known) + 1}"
            self._known[step.answer.cursor] = f"{name}.cursor"
            line = f"{name} = {line}"
        return [*moved, line]

    def clock(self, step: Step) -> list[str]:
        if step.now == self._now:
            return []
        self._now = step.now
        return [f"clock.move_to({step.now})"]

    def call(self, step: Step) -> str:
        arguments = [source_of(one, self._known.get, most=self._most) for one in step.arguments]
        arguments += [
            f"{name}={source_of(one, self._known.get, most=self._most)}" for name, one in step.options.items()
        ]
        return f"adapter{step.adapter}.{step.operation}({', '.join(arguments)})"

    def of(self, text: str) -> str | None:
        """Return the variable that holds a version or a cursor."""
        return self._known.get(text)


def _quoted(text: str) -> str:
    return re.sub(r'["\\]', "'", text)
