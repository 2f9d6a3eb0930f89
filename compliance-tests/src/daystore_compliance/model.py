"""What a collection is, once more, from the words of the contract alone.

This is the oracle of the suite. It shares no code with the library: a mistake in the library's own evaluator
is not a mistake here as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from daystore.abc import Aggregate, And, Compare, FieldValue, Function, Not, Op, Predicate

__all__ = ["Row", "aggregate", "compare_groups", "matches", "ordered", "select"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RANK: Final[dict[type, int]] = {bool: 1, int: 2, float: 3, datetime: 4, str: 5}


@dataclass
class Row:
    """A record as the model knows it; instants in microseconds since 1970."""

    key: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    value: bytes = b""
    created_at: int = 0
    updated_at: int = 0
    expires_at: int | None = None

    def get(self, name: str) -> Any:
        """Return the value of a field or of one of the three attributes; ``None`` when missing."""
        if name == "key":
            return self.key
        if name in ("created_at", "updated_at"):
            return _EPOCH + timedelta(microseconds=getattr(self, name))
        return self.fields.get(name)


def _same(found: Any, wanted: Any) -> bool:
    return type(found) is type(wanted) and bool(found == wanted)


def matches(predicate: Predicate | None, row: Row) -> bool:
    """Tell whether a row satisfies a predicate."""
    if predicate is None:
        return True
    if isinstance(predicate, Not):
        return not matches(predicate.term, row)
    if not isinstance(predicate, Compare):
        judged = [matches(term, row) for term in predicate.terms]
        return all(judged) if isinstance(predicate, And) else any(judged)
    found, wanted = row.get(predicate.field), predicate.value
    if found is None:
        return False
    match predicate.op:
        case Op.EXISTS:
            return True
        case Op.EQ:
            return _same(found, wanted)
        case Op.IN:
            assert isinstance(wanted, tuple)
            return any(_same(found, item) for item in wanted)
        case Op.STARTSWITH:
            return isinstance(found, str) and found[: len(str(wanted))] == wanted
        case Op.CONTAINS:
            return isinstance(found, tuple) and any(item == wanted for item in found)
        case _:
            return type(found) is type(wanted) and _sided(predicate.op, found, wanted)


def _sided(op: Op, found: Any, wanted: Any) -> bool:
    below, equal = bool(found < wanted), bool(found == wanted)
    return {
        Op.LT: below,
        Op.LE: below or equal,
        Op.GT: not below and not equal,
        Op.GE: not below,
    }[op]


def _place(value: Any) -> tuple[int, Any]:
    rank = _RANK.get(type(value), 0)
    return (rank, value if rank else 0)


def ordered(rows: Iterable[Row], by: str = "key", *, descending: bool = False) -> list[Row]:
    """Put rows in order: by a field, missing and lists lowest, ties by ascending key."""
    by_key = sorted(rows, key=lambda row: row.key.encode())
    return sorted(by_key, key=lambda row: _place(row.get(by)), reverse=descending)


def select(
    rows: Iterable[Row], where: Predicate | None = None, by: str = "key", *, descending: bool = False
) -> list[str]:
    """Return the keys that a query finds, in its order."""
    return [row.key for row in ordered((r for r in rows if matches(where, r)), by, descending=descending)]


def aggregate(
    rows: Iterable[Row], functions: Mapping[str, Aggregate], group_by: Sequence[str] = ()
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Compute functions by group; the name of a group tells the types of its values."""
    groups: dict[tuple[Any, ...], list[Row]] = {} if group_by else {(): []}
    for row in rows:
        groups.setdefault(group_name([row.get(name) for name in group_by]), []).append(row)
    return {
        group: {alias: _compute(function, members) for alias, function in functions.items()}
        for group, members in groups.items()
    }


def group_name(values: Sequence[Any]) -> tuple[Any, ...]:
    """Name a group so that values of different types are different groups."""
    return tuple((type(value).__name__, value) for value in values)


def compare_groups(found: Iterable[Any], expected: Mapping[tuple[Any, ...], dict[str, Any]]) -> None:
    """Expect exactly these groups, and exactly these results, floats but for rounding."""
    rows = list(found)
    results = {group_name(row.group): row.values for row in rows}
    assert len(results) == len(rows), "a group is returned twice"
    assert set(results) == set(expected)
    for group, values in expected.items():
        assert set(results[group]) == set(values)
        for alias, value in values.items():
            other = results[group][alias]
            assert type(other) is type(value), f"{alias} is {other!r}, not {value!r}"
            close = isinstance(value, float) and math.isclose(other, value, rel_tol=1e-15)
            assert close or other == value, f"{alias} is {other!r}, not {value!r}"


def _compute(function: Aggregate, rows: Sequence[Row]) -> Any:
    if function.field is None:
        return len(rows)
    values = [value for value in (row.get(function.field) for row in rows) if value is not None]
    numbers = [value for value in values if type(value) in (int, float)]
    scalars = [value for value in values if type(value) in _RANK]
    match function.function:
        case Function.COUNT:
            return len(values)
        case Function.MIN:
            return min(scalars, key=_place, default=None)
        case Function.MAX:
            return max(scalars, key=_place, default=None)
        case Function.SUM:
            total = sum(map(Fraction, numbers))
            return int(total) if all(type(n) is int for n in numbers) else float(total)
        case Function.AVG:
            return float(sum(map(Fraction, numbers)) / len(numbers)) if numbers else None
