"""What a failed case tells, beside its assertion: the promise, the steps, and a script that shows it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from daystore_compliance.case import Case
from daystore_compliance.certificate.results import name_of
from daystore_compliance.masking import choice
from daystore_compliance.plan import Plan
from daystore_compliance.reproduce.replay import SECONDS, Difference, shortest
from daystore_compliance.reproduce.script import Failure, script_of, text_of
from daystore_compliance.reproduce.trace import Step
from daystore_compliance.run import trace_of
from daystore_compliance.target import Target

__all__ = ["sections"]

_ALL_SECONDS: Final = 60.0
"""What one process spends on looking for shorter traces in all; after that they are told as they were."""

_spent = 0.0


def sections(
    case: Case, variant: str | None, target: Target, plan: Plan, error: BaseException, folder: Path | None
) -> Iterator[tuple[str, str]]:
    """Explain a failure.

    Args:
        case: The case that failed.
        variant: Name of its variant, if it has any.
        target: The started target.
        plan: How hard was tried.
        error: What was raised.
        folder: Where the script is written; ``None`` for nowhere.

    Yields:
        Titles, and what to say under them.
    """
    name = name_of(case.id, variant)
    again = f"daystore certify {choice(target)} --case {case.id}"
    yield (
        "the promise that was not kept",
        (
            f"{case.promise}\n(case {name}, {case.level}, since contract {case.since})\n"
            f"seed {plan.seed}, level {plan.level}; again: {again} --level {plan.level} --seed {plan.seed}"
        ),
    )
    trace = trace_of(error)
    steps = trace.steps if trace is not None else []
    found = _shortest(steps, target)
    if found is not None:
        yield "the shortest operations that show it", text_of(found.steps)
    elif steps:
        yield "the last operations", text_of(steps)
    script = script_of(Failure.of(case, variant, target, plan), found)
    yield "a script that shows it", script
    if folder is not None:
        file = folder / "reproduce" / f"{target.name}-{name.replace('[', '-').rstrip(']')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script, encoding="utf-8")


def _shortest(steps: list[Step], target: Target) -> Difference | None:
    global _spent  # noqa: PLW0603 -- one budget for the process
    seconds = min(SECONDS, _ALL_SECONDS - _spent)
    if not steps or seconds <= 0:
        return None
    started = time.monotonic()
    try:
        return shortest(steps, target, seconds)
    except Exception:  # noqa: BLE001 -- a backend that is broken enough to fail here has told its fault already
        return None
    finally:
        _spent += time.monotonic() - started
