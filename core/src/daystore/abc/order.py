"""The one total order of values and records, the same on every backend."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeAlias

from daystore.abc.clock import to_instant
from daystore.abc.record import FieldValue

__all__ = ["MISSING", "Position", "SortValue", "is_after", "sort_value"]

SortValue: TypeAlias = "tuple[int, int | float | str | None]"
"""A value made comparable: the rank of its type, then the value itself (an instant for a datetime).

The ranks: 0 missing or a list, 1 bool, 2 int, 3 float, 4 datetime, 5 str.
"""

MISSING: SortValue = (0, None)


class Position(NamedTuple):
    """A place in an order: the sort value and the key of the record just before it."""

    value: SortValue
    key: str


def sort_value(value: FieldValue | None) -> SortValue:
    """Make a value comparable with any other; a missing one and a list come lowest."""
    kind = type(value)
    if kind is str:
        return (5, value)  # type: ignore[return-value]  # code point order is the order of UTF-8 bytes
    if kind is bool:
        return (1, int(value))  # type: ignore[arg-type]
    if kind is int:
        return (2, value)  # type: ignore[return-value]
    if kind is float:
        return (3, value)  # type: ignore[return-value]
    if isinstance(value, datetime):
        return (4, to_instant(value))
    return MISSING


def is_after(value: SortValue, key: str, position: Position, *, descending: bool) -> bool:
    """Tell whether a record with this sort value and key comes after `position`."""
    if value == position.value:
        return key > position.key
    return value < position.value if descending else value > position.value
