"""What the figures have to reach, and whether they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.growth import FILL_SECONDS, Growth, sizes
from benchmarks.operations import GET, GET_64, GET_BATCH, SET, SET_64, SET_200, SET_BATCH, Figures
from benchmarks.subjects.daystore import CALL_EACH, OURS

FLAT = 1.5
"""How much dearer an operation may be among the most records than among the fewest."""


@dataclass(frozen=True)
class Goal:
    """A bound of one column.

    Attributes:
        column: Which operation.
        quantity: ``cpu``: the processor time is at most `limit` times the raw driver's; ``speed``: the operations
            a second are at least `limit` of the raw driver's; ``rate``: they are at least `limit`.
        limit: The bound.
    """

    column: str
    quantity: Literal["cpu", "speed", "rate"]
    limit: float


GOALS = {
    "redis": (
        Goal(GET, "cpu", 1.15),
        Goal(SET, "cpu", 1.15),
        Goal(SET_BATCH, "speed", 0.7),
        Goal(GET_BATCH, "speed", 0.7),
    ),
    "postgresql": (
        Goal(GET, "cpu", 1.3),
        Goal(SET_BATCH, "speed", 0.7),
        Goal(GET_BATCH, "speed", 0.7),
        Goal(SET_200, "rate", 25_000),
    ),
    "mariadb": (
        Goal(GET, "cpu", 1.3),
        Goal(SET_BATCH, "speed", 0.7),
        Goal(GET_BATCH, "speed", 0.7),
        Goal(SET_200, "rate", 25_000),
    ),
    "mongo": (
        Goal(SET_BATCH, "speed", 0.7),
        Goal(GET_BATCH, "speed", 0.7),
    ),
    "s3": (
        Goal(GET_64, "speed", 1.3),
        Goal(SET_64, "speed", 1.3),
    ),
    "s3-20ms": (
        Goal(GET_64, "speed", 1.3),
        Goal(SET_64, "speed", 1.3),
    ),
}


@dataclass(frozen=True)
class Verdict:
    """A goal beside what was measured, all of it in words.

    Attributes:
        what: The operation, and of which row.
        goal: The bound.
        measured: What it was.
        reached: Whether that is within the bound.
    """

    what: str
    goal: str
    measured: str
    reached: bool


def judge(part: str, figures: Figures, floors: Mapping[str, str]) -> list[Verdict]:
    """Hold every row of daystore that has a raw row beside it to the goals of a part."""
    found = []
    for goal in GOALS.get(part, ()):
        column = figures[goal.column]
        for subject, floor in floors.items():
            if goal.quantity != "rate":
                found.append(_ratio(goal, subject, floor, figures))
            elif subject == OURS:
                rate, each = column[OURS].per_second, column[CALL_EACH].per_second
                measured = f"{rate:,.0f}/s (a call each: {each:,.0f}/s)"
                found.append(
                    Verdict(f"{goal.column}: {OURS}", f"≥ {goal.limit:,.0f}/s", measured, rate >= goal.limit)
                )
    return found


def _ratio(goal: Goal, subject: str, floor: str, figures: Figures) -> Verdict:
    ours, raw = figures[goal.column][subject], figures[goal.column][floor]
    what = f"{goal.column}: {subject}"
    if goal.quantity == "cpu":
        ratio = ours.cpu / raw.cpu
        return Verdict(
            what, f"≤ {goal.limit:.2f} times the CPU of {floor}", f"{ratio:.2f} times", ratio <= goal.limit
        )
    ratio = ours.per_second / raw.per_second
    return Verdict(what, f"≥ {goal.limit:.0%} of {floor}", f"{ratio:.1%}", ratio >= goal.limit)


def judge_growth(growth: Growth, most: int) -> list[Verdict]:
    """Hold every operation to `FLAT`, from the fewest records to the most."""
    found = []
    if (reached := max(next(iter(growth.values())))) < sizes(most)[-1]:
        goal = f"{most:,} records in {FILL_SECONDS:,.0f} s"
        found.append(Verdict("filling", goal, f"{reached:,} records", reached=False))
    for operation, figures in growth.items():
        small, large = min(figures), max(figures)
        ratio = figures[large].wall / figures[small].wall
        what = f"{operation}: {large:,} records against {small:,}"
        found.append(Verdict(what, f"≤ {FLAT} times", f"{ratio:.2f} times", ratio <= FLAT))
    return found
