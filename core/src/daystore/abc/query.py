"""Queries: what to find, in which order, how much of it, and what to compute over it.

The language is small and closed, so that every backend can mean the same by it. Predicates look at fields, never
inside values. A comparison is true or false, never unknown: with a missing field, or across types, it is false,
and `Not` is the exact complement. What each construct means is executable in `daystore.abc.evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from daystore.abc.names import check_collection, check_field_name
from daystore.abc.record import Record, Scalar

__all__ = [
    "Aggregate",
    "Aggregation",
    "And",
    "Compare",
    "Explanation",
    "Function",
    "GroupRow",
    "Not",
    "Op",
    "Or",
    "Order",
    "Page",
    "Predicate",
    "Query",
]


class Op(Enum):
    """The comparisons. ``!=`` and ``not in`` are `Not` of ``=`` and ``in``."""

    EQ = "="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"
    STARTSWITH = "startswith"
    CONTAINS = "contains"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare a field with a value.

    Attributes:
        field: An indexed field, or ``key``, ``created_at``, ``updated_at``.
        op: The comparison.
        value: A scalar; a tuple of scalars for ``IN``; a `str` for ``STARTSWITH`` and ``CONTAINS``; ``True`` for
            ``EXISTS``. Datetimes are aware, floats are finite.

    Raises:
        TypeError: If the value is not of a type that the comparison takes.
        ValueError: If a datetime is naive or a float is not finite.
        InvalidKey: If the field name is outside the rules.
    """

    field: str
    op: Op
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        check_field_name(self.field)
        if self.op is Op.IN:
            if type(self.value) is not tuple:
                raise TypeError(f"'in' takes a tuple of values, not {type(self.value).__name__}")
            for item in self.value:
                _check_scalar(item)
        elif self.op in (Op.STARTSWITH, Op.CONTAINS):
            if type(self.value) is not str:
                raise TypeError(f"{self.op.value!r} takes a str, not {type(self.value).__name__}")
            _check_scalar(self.value)
        elif self.op is Op.EXISTS:
            if self.value is not True:
                raise TypeError("'exists' takes True; negate it for the opposite")
        else:
            _check_scalar(self.value)


@dataclass(frozen=True, slots=True)
class And:
    """All of them; true when empty."""

    terms: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them; false when empty."""

    terms: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The exact complement."""

    term: Predicate


Predicate: TypeAlias = "Compare | And | Or | Not"


def _check_scalar(value: object) -> None:
    kind = type(value)
    if kind is float:
        if not (value - value == 0):  # type: ignore[operator]
            raise ValueError("a float in a query is finite")
    elif kind is datetime:
        if value.utcoffset() is None:  # type: ignore[attr-defined]
            raise ValueError("a datetime in a query has a time zone, e.g. datetime.now(UTC)")
    elif kind is str:
        if not value.isascii():  # type: ignore[attr-defined]
            try:
                value.encode()  # type: ignore[attr-defined]
            except UnicodeEncodeError:
                raise ValueError("a string in a query has no lone surrogates") from None
    elif kind is not int and kind is not bool:
        raise TypeError(f"a query compares with str, int, float, bool or datetime, not {kind.__name__}")


@dataclass(frozen=True, slots=True)
class Order:
    """The order of results: by one field, ties by ascending key.

    Values order within their type; a missing field, and a list, is lowest; of different types the order is
    missing, bool, int, float, datetime, str. Strings and keys order by their UTF-8 bytes.
    """

    field: str = "key"
    descending: bool = False

    def __post_init__(self) -> None:
        check_field_name(self.field)


BY_KEY = Order()


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of a collection, in which order, and which part of them.

    Attributes:
        collection: Where to look.
        where: What a record must satisfy; ``None`` for all.
        order: See `Order`.
        limit: Most records to return; ``None`` for all of them, 0 for none.
        offset: Records to pass over first. Does not combine with `cursor`.
        cursor: Continue after the page that gave it out.
        allow_scan: Let the backend look at every record when no index serves the query.

    Raises:
        ValueError: If `limit` or `offset` is negative, or `offset` is given together with `cursor`.
        TypeError: If `limit` or `offset` is not an `int`.
    """

    collection: str
    where: Predicate | None = None
    order: Order = BY_KEY
    limit: int | None = None
    offset: int = 0
    cursor: str | None = None
    allow_scan: bool = False

    def __post_init__(self) -> None:
        check_collection(self.collection)
        if self.limit is not None:
            _check_size(self.limit, "limit")
        _check_size(self.offset, "offset")
        if self.offset and self.cursor is not None:
            raise ValueError("give an offset or a cursor, not both: a cursor already says where to go on")


def _check_size(number: object, what: str) -> None:
    if type(number) is not int:
        raise TypeError(f"the {what} of a query is an int, not {type(number).__name__}")
    if number < 0:
        raise ValueError(f"the {what} of a query is not negative")


@dataclass(slots=True)
class Page:
    """Part of a result.

    Attributes:
        records: In the order of the query.
        cursor: Where the next page begins; ``None`` when there is nothing more.
    """

    records: list[Record]
    cursor: str | None = None


class Function(Enum):
    """What an aggregation computes."""

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One function over one field.

    ``COUNT`` without a field counts records, with one the records that have it. ``SUM`` and ``AVG`` look at
    integers and floats and pass over everything else; a sum of integers is an exact `int`, with a float among
    them it is a `float`; of nothing it is ``0``, and the average of nothing is ``None``. ``MIN`` and ``MAX`` use
    the order of `Order` without the missing, and are ``None`` of nothing. Lists are passed over.
    """

    function: Function
    field: str | None = None

    def __post_init__(self) -> None:
        if self.field is None:
            if self.function is not Function.COUNT:
                raise ValueError(f"{self.function.value} needs a field")
        else:
            check_field_name(self.field)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What to compute, for which groups.

    Attributes:
        functions: By the name under which the result is wanted.
        group_by: Fields whose values make a group; values of different types are different groups, and records
            without the field are the group of ``None``. Empty for one group of everything.
    """

    functions: Mapping[str, Aggregate]
    group_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.functions:
            raise ValueError("an aggregation computes at least one function")
        for name in self.group_by:
            check_field_name(name)
        if len(set(self.group_by)) < len(self.group_by):
            raise ValueError("a field groups once")


@dataclass(slots=True)
class GroupRow:
    """The result for one group.

    Attributes:
        group: A value for each field of ``group_by``; ``None`` where it is missing.
        values: A value for each function, by name.
    """

    group: tuple[Scalar | tuple[str, ...] | None, ...]
    values: dict[str, Scalar | None]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a backend would run a query.

    Attributes:
        indexed: Whether the cost depends on the size of the result alone.
        strategy: What drives it, in a few words, such as ``"index on topic"`` or ``"scan of the collection"``.
        detail: The backend's own plan, for people; may be empty.
    """

    indexed: bool
    strategy: str
    detail: tuple[str, ...] = field(default=())
