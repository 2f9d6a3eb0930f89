"""Aggregates: scripts give what each group adds up from, and here it is added up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from daystore.abc import Aggregate, Aggregation, FieldValue, Function, GroupRow, Query, Scalar, sort_value
from daystore.abc.evaluate import exact_sum, group_key, without_window
from daystore.abc.sortkeys import decode_scalar, unpack_value
from daystore_redis.references import reference
from daystore_redis.searching import Ask, Search, Searcher, search_of

__all__ = ["run_aggregate"]

_SIGN = 1 << 63


@dataclass(slots=True)
class Sum:
    """What one function has seen of one group.

    Attributes:
        count: How many values.
        whole: The sum of the integers.
        floats: The floats.
        best: The least or greatest.
    """

    count: int = 0
    whole: int = 0
    floats: list[float] = field(default_factory=list)
    best: Scalar | None = None


async def run_aggregate(searcher: Searcher, query: Query, aggregation: Aggregation) -> list[GroupRow]:
    """Compute an aggregation over what a query finds without limit, offset and cursor."""
    search = search_of(without_window(query), searcher.clock())
    functions = list(aggregation.functions.items())
    asked: list[list[object]] = [
        [_SCRIPT_NAMES[f.function], False if f.field is None else reference(f.field)] for _, f in functions
    ]
    refs = [reference(name) for name in aggregation.group_by]
    parts = await searcher.each("aggregate", lambda ask: _groups(ask, search, refs, asked))
    groups: dict[tuple[object, ...], tuple[tuple[FieldValue | None, ...], list[Sum]]] = {}
    if not refs:
        groups[()] = ((), [Sum() for _ in functions])
    for values, found in (group for part in parts for group in part):
        group = tuple(_value(name, raw) for name, raw in zip(aggregation.group_by, values, strict=True))
        _, sums = groups.setdefault(group_key(group), (group, [Sum() for _ in functions]))
        for total, (_, function), more in zip(sums, functions, found, strict=True):
            _add(total, function, more)
    return [
        GroupRow(group, {name: _result(f, s) for (name, f), s in zip(functions, sums, strict=True)})
        for _, (group, sums) in sorted(groups.items(), key=lambda item: item[0])
    ]


_SCRIPT_NAMES = {
    Function.COUNT: b"count",
    Function.SUM: b"sum",
    Function.AVG: b"sum",
    Function.MIN: b"min",
    Function.MAX: b"max",
}


async def _groups(ask: Ask, search: Search, refs: Sequence[bytes], asked: list[list[object]]) -> list[Any]:
    packed, where, groups = search.pack(None, 0, ask.budget, list(refs), asked), b"", list[Any]()
    while True:
        where, found = await ask(b"groups", packed, where)
        groups += found
        if not where:
            return groups


def _value(name: str, raw: bytes) -> FieldValue | None:
    if name == "key":
        return raw.decode()
    return unpack_value(raw) if raw else None


def _add(total: Sum, aggregate: Aggregate, more: Any) -> None:
    function = aggregate.function
    if function is Function.COUNT:
        total.count += more
    elif function in (Function.SUM, Function.AVG):
        count, high, low, floats = more
        found = [decode_scalar(b"\x03" + floats[at : at + 8]) for at in range(0, len(floats), 8)]
        total.count += count + len(found)
        total.whole += (high << 32) + low - count * _SIGN
        total.floats += found  # type: ignore[arg-type]
    elif more:
        value: Any = _value(aggregate.field or "", more)
        pick = min if function is Function.MIN else max
        total.best = value if total.best is None else pick(total.best, value, key=sort_value)


def _result(aggregate: Aggregate, total: Sum) -> Scalar | None:
    function = aggregate.function
    if function is Function.COUNT:
        return total.count
    if function in (Function.MIN, Function.MAX):
        return total.best
    whole = exact_sum([total.whole, *total.floats])
    if function is Function.SUM:
        return whole
    return whole / total.count if total.count else None
