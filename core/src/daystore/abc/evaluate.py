"""What queries mean, executably: the reference every backend's answers are compared with.

It works on records in memory. The in-memory adapter answers with it, a transaction uses it to see its own
uncommitted writes, and the compliance suite takes it as the oracle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import ge, gt, le, lt
from typing import Any

from daystore.abc.clock import from_instant
from daystore.abc.cursor import decode_cursor, encode_cursor
from daystore.abc.order import Position, is_after, sort_value
from daystore.abc.query import (
    Aggregate,
    Aggregation,
    And,
    Compare,
    Function,
    GroupRow,
    Not,
    Op,
    Or,
    Page,
    Predicate,
    Query,
)
from daystore.abc.record import FieldValue, Record, Scalar

__all__ = [
    "evaluate_aggregate",
    "evaluate_count",
    "evaluate_query",
    "exact_sum",
    "field_of",
    "group_key",
    "matcher",
    "without_window",
]


def field_of(record: Record, name: str) -> FieldValue | None:
    """Return the value of a field, or of ``key``, ``created_at``, ``updated_at``; ``None`` when missing."""
    if name == "key":
        return record.key
    if name == "created_at":
        return from_instant(record.created_at)
    if name == "updated_at":
        return from_instant(record.updated_at)
    return record.fields.get(name)


_ORDERED: dict[Op, Callable[[Any, Any], bool]] = {Op.LT: lt, Op.LE: le, Op.GT: gt, Op.GE: ge}


def matcher(predicate: Predicate | None) -> Callable[[Record], bool]:
    """Compile a predicate to a function that judges a record."""
    if predicate is None:
        return _always
    if isinstance(predicate, Compare):
        return _comparison(predicate)
    if isinstance(predicate, Not):
        inner = matcher(predicate.term)
        return lambda record: not inner(record)
    terms = [matcher(term) for term in predicate.terms]
    if isinstance(predicate, And):
        return lambda record: all(term(record) for term in terms)
    if isinstance(predicate, Or):
        return lambda record: any(term(record) for term in terms)
    raise TypeError(f"not a predicate: {type(predicate).__name__}")


def _always(_: Record) -> bool:
    return True


def _comparison(compare: Compare) -> Callable[[Record], bool]:
    name, op, value = compare.field, compare.op, compare.value
    if op is Op.EXISTS:
        return lambda record: field_of(record, name) is not None
    if op is Op.CONTAINS:
        return lambda record: isinstance(found := field_of(record, name), tuple) and value in found
    if op is Op.STARTSWITH:
        prefix = str(value)
        return lambda record: isinstance(found := field_of(record, name), str) and found.startswith(prefix)
    if op is Op.IN:
        wanted = {sort_value(item) for item in value}  # type: ignore[union-attr]
        return lambda record: sort_value(field_of(record, name)) in wanted
    target = sort_value(value)  # type: ignore[arg-type]
    if op is Op.EQ:
        return lambda record: sort_value(field_of(record, name)) == target
    rank, bound = target
    ordered = _ORDERED[op]

    def judge(record: Record) -> bool:
        found_rank, found = sort_value(field_of(record, name))
        return found_rank == rank and ordered(found, bound)

    return judge


def evaluate_query(records: Iterable[Record], query: Query) -> Page:
    """Run `query` over `records`: the live ones of its collection, in any order.

    Raises:
        InvalidCursor: If the query's cursor is damaged or belongs to another query.
    """
    name, descending = query.order.field, query.order.descending
    matches = matcher(query.where)
    found = [(sort_value(field_of(record, name)), record) for record in records if matches(record)]
    position = decode_cursor(query)
    if position is not None:
        found = [f for f in found if is_after(f[0], f[1].key, position, descending=descending)]
    found.sort(key=lambda f: f[1].key)
    found.sort(key=lambda f: f[0], reverse=descending)
    end = len(found) if query.limit is None else query.offset + query.limit
    part = found[query.offset : end]
    cursor = None
    if part and end < len(found):
        cursor = encode_cursor(query, Position(part[-1][0], part[-1][1].key))
    return Page([record for _, record in part], cursor)


def evaluate_count(records: Iterable[Record], query: Query) -> int:
    """Count what `query` would find without limit, offset and cursor."""
    return sum(map(matcher(query.where), records))


def evaluate_aggregate(records: Iterable[Record], query: Query, aggregation: Aggregation) -> list[GroupRow]:
    """Compute `aggregation` over what `query` finds without limit, offset and cursor.

    Returns:
        One row a group, in the order of the group's values. Without ``group_by`` exactly one row, also of nothing.
    """
    matches = matcher(query.where)
    groups: dict[tuple[object, ...], list[Record]] = {} if aggregation.group_by else {(): []}
    for record in records:
        if matches(record):
            groups.setdefault(group_key([field_of(record, g) for g in aggregation.group_by]), []).append(
                record
            )
    rows = []
    for key in sorted(groups):
        members = groups[key]
        values = {alias: _compute(function, members) for alias, function in aggregation.functions.items()}
        rows.append(GroupRow(tuple(_group_value(members[0], g) for g in aggregation.group_by), values))
    return rows


def group_key(values: Sequence[FieldValue | None]) -> tuple[object, ...]:
    """Make a group's values hashable and ordered, apart by type, lists after everything."""
    return tuple((9, v) if isinstance(v, tuple) else sort_value(v) for v in values)


def _group_value(record: Record, name: str) -> FieldValue | None:
    value = field_of(record, name)
    return value + 0.0 if isinstance(value, float) else value  # 0.0 and -0.0 are one group, called 0.0


def _compute(aggregate: Aggregate, records: Sequence[Record]) -> Scalar | None:
    if aggregate.field is None:
        return len(records)
    name = aggregate.field
    values = [v for v in (field_of(record, name) for record in records) if v is not None]
    if aggregate.function is Function.COUNT:
        return len(values)
    if aggregate.function in (Function.MIN, Function.MAX):
        scalars = [v for v in values if not isinstance(v, tuple)]
        pick = min if aggregate.function is Function.MIN else max
        return pick(scalars, key=sort_value, default=None)
    numbers = [v for v in values if type(v) is int or type(v) is float]
    total = exact_sum(numbers)
    if aggregate.function is Function.SUM:
        return total
    return total / len(numbers) if numbers else None


def exact_sum(numbers: Sequence[int | float]) -> int | float:
    """Add numbers: integers exactly, with floats among them correctly rounded (beyond their range: infinite)."""
    whole = sum(n for n in numbers if type(n) is int)
    floats = [n for n in numbers if type(n) is float]
    if len(floats) < 1:
        return whole
    try:
        return math.fsum([*floats, *_as_floats(whole)])
    except OverflowError:
        return float(sum(map(float, numbers)))


def _as_floats(whole: int) -> Iterator[float]:
    """Split an integer into floats that add up to it exactly."""
    while whole:
        part = float(whole)
        yield part
        whole -= int(part)


def without_window(query: Query) -> Query:
    """Return `query` without limit, offset and cursor."""
    return replace(query, limit=None, offset=0, cursor=None)
