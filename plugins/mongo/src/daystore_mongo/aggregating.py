"""Aggregates: the server counts, and here it is added up exactly.

A server adds integers in 64 bits and floats as they come, so it is not asked to add. It counts how often each
value occurs in each group, and those are added up here: integers of any size exactly, floats correctly rounded.
What is kept here is one total for each group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from daystore.abc import Aggregate, Aggregation, Consistency, FieldValue, Function, GroupRow, Query, Scalar
from daystore.abc.clock import from_instant
from daystore.abc.evaluate import group_key
from daystore.abc.order import sort_value
from daystore_mongo.documents import Document, key_of, value_of
from daystore_mongo.filters import path_of, whole_path
from daystore_mongo.searching import MOST, Searcher, conditions

__all__ = ["ExactSum", "run_aggregate"]

_SCALE: Final = 1074
"""Every float is a multiple of two to the power of minus this."""


@dataclass(slots=True)
class ExactSum:
    """A sum of integers and floats without any rounding.

    Attributes:
        count: How many numbers.
        whole: The sum of the integers.
        scaled: The sum of the floats, times two to the power of `_SCALE`; ``None`` without floats.
    """

    count: int = 0
    whole: int = 0
    scaled: int | None = None

    def add(self, number: float, times: int) -> None:
        """Add a number, a number of times."""
        self.count += times
        if type(number) is int:
            self.whole += number * times
        else:
            numerator, denominator = number.as_integer_ratio()
            shift = _SCALE + 1 - denominator.bit_length()
            self.scaled = (self.scaled or 0) + (numerator << shift) * times

    def total(self) -> int | float:
        """Return the sum: of integers alone exactly, else correctly rounded; infinite beyond the floats."""
        if self.scaled is None:
            return self.whole
        exact = self.scaled + (self.whole << _SCALE)
        try:
            return exact / (1 << _SCALE)
        except OverflowError:
            return float("inf") if exact > 0 else float("-inf")


@dataclass(slots=True)
class _Total:
    """What one function has seen of one group."""

    count: int = 0
    best: Scalar | None = None
    numbers: ExactSum = field(default_factory=ExactSum)


async def run_aggregate(
    searcher: Searcher,
    query: Query,
    aggregation: Aggregation,
    consistency: Consistency,
) -> list[GroupRow]:
    """Compute an aggregation over what a query finds without limit, offset and cursor."""
    functions = list(aggregation.functions.items())
    pipeline = [
        {"$match": {"$and": conditions(query, searcher.clock())}},
        {"$group": _group(aggregation)},
    ]
    collection = searcher.connection.collection(query.collection, consistency)

    async def ask() -> dict[tuple[object, ...], tuple[tuple[FieldValue | None, ...], list[_Total]]]:
        groups: dict[tuple[object, ...], tuple[tuple[FieldValue | None, ...], list[_Total]]] = {}
        if not aggregation.group_by:
            groups[()] = ((), [_Total() for _ in functions])
        async with await collection.aggregate(pipeline, allowDiskUse=True, batchSize=MOST) as cursor:
            async for row in cursor:
                values = tuple(_value(g, row["_id"], f"g{n}") for n, g in enumerate(aggregation.group_by))
                _, totals = groups.setdefault(group_key(values), (values, [_Total() for _ in functions]))
                for number, (total, (_, function)) in enumerate(zip(totals, functions, strict=True)):
                    _add(total, function, row, f"a{number}")
        return groups

    groups = await searcher.connection.read("aggregate", ask)
    return [
        GroupRow(
            values, {name: _result(f, total) for (name, f), total in zip(functions, totals, strict=True)}
        )
        for _, (values, totals) in sorted(groups.items(), key=lambda item: item[0])
    ]


# --- What the server is asked ----------------------------------------------------------------------------------


def _group(aggregation: Aggregation) -> Document:
    """Return what it groups by, and what it computes for each group."""
    identity: Document = {}
    for number, name in enumerate(aggregation.group_by):
        identity[f"g{number}"] = f"${path_of(name)}"
        identity[f"g{number}w"] = f"${whole_path(name)}"
    computed: Document = {"n": {"$sum": 1}}
    for number, aggregate in enumerate(aggregation.functions.values()):
        if aggregate.field is None:
            continue
        alias, path = f"a{number}", f"${path_of(aggregate.field)}"
        if aggregate.function is Function.COUNT:
            value: Document = {"$ifNull": [path, {"$ifNull": [f"${whole_path(aggregate.field)}", None]}]}
            computed[alias] = {"$sum": {"$cond": [{"$eq": [value, None]}, 0, 1]}}
        elif aggregate.function is Function.MIN:
            computed[alias] = {"$min": path}
        elif aggregate.function is Function.MAX:
            computed[alias] = {"$max": path}
        else:
            identity[alias] = path
    return {"_id": identity, **computed}


# --- What it answers -------------------------------------------------------------------------------------------


def _value(name: str, row: Mapping[str, Any], alias: str) -> FieldValue | None:
    """Return a value that the server was asked for."""
    found = row.get(alias)
    if found is None:
        found = row.get(f"{alias}w")
    if found is None:
        return None
    if name == "key":
        return key_of(found)
    return from_instant(found) if isinstance(found, int) else value_of(found)


def _add(total: _Total, aggregate: Aggregate, row: Mapping[str, Any], alias: str) -> None:
    function, times = aggregate.function, row["n"]
    if function is Function.COUNT:
        total.count += times if aggregate.field is None else row[alias]
        return
    name = aggregate.field or ""
    if function in (Function.SUM, Function.AVG):
        number: Any = _value(name, row["_id"], alias)
        if type(number) is int or type(number) is float:
            total.numbers.add(number, times)
        return
    best: Any = _value(name, row, alias)
    if best is not None:
        pick = min if function is Function.MIN else max
        total.best = best if total.best is None else pick(total.best, best, key=sort_value)


def _result(aggregate: Aggregate, total: _Total) -> Scalar | None:
    if aggregate.function is Function.COUNT:
        return total.count
    if aggregate.function in (Function.MIN, Function.MAX):
        return total.best
    whole = total.numbers.total()
    if aggregate.function is Function.SUM:
        return whole
    return whole / total.numbers.count if total.numbers.count else None
