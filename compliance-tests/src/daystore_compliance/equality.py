"""Equality as the contract means it: equal, of the same type, all the way down."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from daystore.abc import GroupRow, Outcome, Page

__all__ = ["as_stored", "same_answer", "strict_eq"]


def strict_eq(one: Any, other: Any) -> bool:
    """Tell whether two values are the same to anybody who looks closely.

    ``1``, ``1.0`` and ``True`` differ, and so do ``0.0`` and ``-0.0``, ``Decimal("1.5")`` and ``Decimal("1.50")``,
    a tuple and a list, dicts in another order, and one instant in two time zones. A NaN is the same as one of the
    same bits.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(strict_eq, one.items(), other.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(strict_eq, one, other))
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and _same_elements(one, other)
    if isinstance(one, BaseModel):
        return strict_eq(dict(one), dict(other))
    if is_dataclass(one):
        return all(strict_eq(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return _JUDGES.get(type(one), _equal)(one, other)


def as_stored(value: Any) -> Any:
    """Return a plain value as it comes back: every tuple in it is a list, and nothing else has changed."""
    if type(value) is dict:
        return {key: as_stored(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [as_stored(item) for item in value]
    return value


def same_answer(one: Any, other: Any) -> bool:
    """Tell whether two adapters answer the same: errors by their class, and cursors by whether there is one."""
    if isinstance(one, BaseException) or isinstance(other, BaseException):
        return type(one) is type(other)
    if isinstance(one, Page) and isinstance(other, Page):
        return strict_eq(one.records, other.records) and (one.cursor is None) == (other.cursor is None)
    if isinstance(one, GroupRow) and isinstance(other, GroupRow):
        return strict_eq((one.group, dict(one.values)), (other.group, dict(other.values)))
    if type(one) is type(other) and isinstance(one, (list, Outcome)):
        return len(one) == len(other) and all(map(same_answer, one, other))
    return strict_eq(one, other)


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other)


def _same_elements(one: AbstractSet[Any], other: AbstractSet[Any]) -> bool:
    by_hash = defaultdict(list)
    for item in other:
        by_hash[hash(item)].append(item)
    return all(any(strict_eq(item, match) for match in by_hash[hash(item)]) for item in one)


def _same_float(one: float, other: float) -> bool:
    return struct.pack("d", one) == struct.pack("d", other)


def _same_datetime(one: datetime, other: datetime) -> bool:
    """Compare wall-clock time, offset and zone; ``==`` looks at the instant alone."""
    return _on_the_wall(one) == _on_the_wall(other)


def _on_the_wall(moment: datetime) -> tuple[object, ...]:
    zone = getattr(moment.tzinfo, "key", None)
    return (moment.replace(tzinfo=None, fold=0), moment.utcoffset(), zone)


def _same_decimal(one: Decimal, other: Decimal) -> bool:
    return one.as_tuple() == other.as_tuple()


_JUDGES: dict[type, Callable[[Any, Any], bool]] = {
    float: _same_float,
    datetime: _same_datetime,
    Decimal: _same_decimal,
}
