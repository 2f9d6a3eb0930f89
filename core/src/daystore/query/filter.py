"""`QueryFilter`: the plain form of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from daystore.abc.query import And, Compare, Op, Predicate
from daystore.abc.record import Scalar
from daystore.errors import SchemaError
from daystore.query.conditions import Q
from daystore.query.fields import Fields

__all__ = ["QueryFilter"]

TimeRange = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """What to find, by the beginning of the key, by tags and by time.

    Results come in the order of their keys.

    Attributes:
        prefix: What the key begins with, literally; empty for any.
        tags: Indexed fields and the value each must have. For an index of a list: an element, or a list of
            elements that must all be there.
        time_range: ``(start, end)``, half-open: ``start ≤ t < end``. ``None`` on either side leaves it open.
        limit: Most results; ``None`` for all of them.
        offset: Results to pass over first.
        time_field: What `time_range` is about: ``updated_at``, ``created_at`` or an index of datetimes.

    Raises:
        ValueError: If the range is inverted or a datetime naive, or if `limit` or `offset` is negative.
        TypeError: If something is of the wrong type.
    """

    prefix: str = ""
    tags: Mapping[str, Scalar | Sequence[str]] = field(default_factory=dict)
    time_range: TimeRange | None = None
    limit: int | None = None
    offset: int = 0
    time_field: str = "updated_at"

    def __post_init__(self) -> None:
        if not isinstance(self.prefix, str):
            raise TypeError(f"the prefix of a filter is a str, not {type(self.prefix).__name__}")
        if not isinstance(self.tags, Mapping):
            raise TypeError(f"the tags of a filter are a mapping, not {type(self.tags).__name__}")
        if self.time_range is not None:
            _check_range(self.time_range)
        for name, number in (("limit", self.limit), ("offset", self.offset)):
            if number is None and name == "limit":
                continue
            if type(number) is not int:
                raise TypeError(f"the {name} of a filter is an int, not {type(number).__name__}")
            if number < 0:
                raise ValueError(f"the {name} of a filter is not negative")

    def compile(self, fields: Fields, *, allow_scan: bool = False) -> Predicate | None:
        """Make a predicate of the contract; ``None`` if everything matches.

        Raises:
            SchemaError: If a tag is not indexed and scanning is not allowed, or `time_field` holds no
                datetimes.
        """
        terms: list[Predicate] = []
        if self.prefix:
            terms.append(Compare("key", Op.STARTSWITH, self.prefix))
        for name, value in self.tags.items():
            terms += _tag(name, value, fields, allow_scan=allow_scan)
        terms += self._times(fields, allow_scan=allow_scan)
        return And(tuple(terms)) if terms else None

    def _times(self, fields: Fields, *, allow_scan: bool) -> list[Predicate]:
        if self.time_range is None:
            return []
        if fields.type_of(self.time_field, allow_scan=allow_scan) not in (datetime, None):
            raise SchemaError(f"time_field names {self.time_field!r}, which is not an index of datetimes")
        start, end = self.time_range
        terms: list[Predicate] = []
        if start is not None:
            terms.append(Compare(self.time_field, Op.GE, start))
        if end is not None:
            terms.append(Compare(self.time_field, Op.LT, end))
        return terms


def _check_range(time_range: Any) -> None:
    if not isinstance(time_range, tuple) or len(time_range) != 2:
        raise TypeError("a time range is a pair (start, end), None on either side for an open one")
    for moment in time_range:
        if moment is None:
            continue
        if not isinstance(moment, datetime):
            raise TypeError(f"a time range holds datetimes, not {type(moment).__name__}")
        if moment.utcoffset() is None:
            raise ValueError("a datetime in a time range has a time zone, e.g. datetime.now(UTC)")
    start, end = time_range
    if start is not None and end is not None and start > end:
        raise ValueError("a time range ends before it starts: give (start, end)")


def _tag(name: str, value: Any, fields: Fields, *, allow_scan: bool) -> list[Predicate]:
    field_type = fields.type_of(name, allow_scan=allow_scan)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [Q(name, "contains", item).compile(fields, allow_scan=allow_scan) for item in value]
    op = "contains" if field_type is list else "="
    return [Q(name, op, value).compile(fields, allow_scan=allow_scan)]
