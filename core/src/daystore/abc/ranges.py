"""Predicates in the form that plans are made of: ranges of sort keys, joined.

Whatever the query language can say about one field of a record is that its sort key, or that of one of its items,
lies in one of some ranges; or it is constantly true or false. So a `Leaf` is a field and ranges. The field ``key``
has no sort keys: its ranges are of keys in UTF-8. Those of ``created_at`` and ``updated_at`` are of datetimes.

A backend looks ranges up in its indexes, and judges records that it has at hand by
`daystore.abc.evaluate.matcher`, which takes the predicate itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from daystore.abc.query import And, Compare, Not, Op, Predicate
from daystore.abc.record import Scalar
from daystore.abc.sortkeys import (
    EVERYTHING,
    encode_element,
    encode_prefix,
    encode_scalar,
    successor,
    type_range,
)

__all__ = [
    "BOUNDS",
    "FALSE",
    "TRUE",
    "AllOf",
    "AnyOf",
    "Leaf",
    "Node",
    "NoneOf",
    "Range",
    "is_point",
    "normalise",
]

Range: TypeAlias = tuple[bytes, bytes]
"""The ends of a range, of which the second is not part of it."""

BOUNDS: Final[dict[str, Range]] = {
    "key": (b"", b"\xff"),
    "created_at": (b"\x04", b"\x05"),
    "updated_at": (b"\x04", b"\x05"),
}
"""What every record has, and the range that holds all of it; no UTF-8 text begins with FF."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a record has for a field lies in one of some ranges.

    Attributes:
        field: The field, or ``key``, ``created_at``, ``updated_at``.
        ranges: At least one; sorted and apart, though the end of one may be the beginning of the next.
        items: Whether it is about the items of a list, of which a record has many.
    """

    field: str
    ranges: tuple[Range, ...]
    items: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of them; true when empty."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Any of them; false when empty."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """The complement of a leaf."""

    leaf: Leaf


Node: TypeAlias = "Leaf | AllOf | AnyOf | NoneOf"
"""A predicate in this form."""

TRUE: Final = AllOf(())
FALSE: Final = AnyOf(())


def is_point(field: str, ends: Range) -> bool:
    """Tell whether a range holds one value and nothing else."""
    low, high = ends
    if field == "key":
        return high == low + b"\0"
    return len(low) > 1 and high == successor(low)


# --- From the query language ---------------------------------------------------------------------------------


def normalise(predicate: Predicate | None, *, negated: bool = False) -> Node:
    """Bring a predicate, or its complement, into the form of this module.

    "Not" is driven inwards, so it is left only before leaves. What is constantly true or false is `TRUE` or
    `FALSE` as a whole; `AllOf` and `AnyOf` hold neither, nor their own kind.
    """
    if predicate is None:
        return FALSE if negated else TRUE
    if isinstance(predicate, Not):
        return normalise(predicate.term, negated=not negated)
    if isinstance(predicate, Compare):
        node = _compare(predicate)
        return _complement(node) if negated else node
    terms = [normalise(term, negated=negated) for term in predicate.terms]
    return _all_of(terms) if isinstance(predicate, And) is not negated else _any_of(terms)


def _complement(node: Node) -> Node:
    if isinstance(node, Leaf):
        return NoneOf(node)
    return FALSE if node == TRUE else TRUE


def _leaf(field: str, ranges: Iterable[Range], *, items: bool = False) -> Node:
    kept: list[Range] = []
    for low, high in sorted(r for r in ranges if r[0] < r[1]):
        if kept and low <= kept[-1][1]:
            kept[-1] = (kept[-1][0], max(high, kept[-1][1]))
        else:
            kept.append((low, high))
    return Leaf(field, tuple(kept), items) if kept else FALSE


def _compare(compare: Compare) -> Node:
    op, value, field = compare.op, compare.value, compare.field
    if op is Op.EXISTS:
        return TRUE if field in BOUNDS else _leaf(field, [EVERYTHING])
    if op is Op.CONTAINS:
        item = encode_element(str(value))
        return FALSE if field in BOUNDS else _leaf(field, [(item, successor(item))], items=True)
    if isinstance(value, tuple):
        return _points(field, [_range_of(field, Op.EQ, item) for item in value])
    return _leaf(field, [_range_of(field, op, value)])


def _points(field: str, ranges: list[Range]) -> Node:
    """Join points without making ranges of those beside each other, which are looked up one by one."""
    kept = tuple(sorted({r for r in ranges if r[0] < r[1]}))
    return Leaf(field, kept) if kept else FALSE


NOTHING: Final = (b"", b"")


def _range_of(field: str, op: Op, value: Scalar) -> Range:
    if field == "key":
        return _key_range(op, value.encode()) if isinstance(value, str) else NOTHING
    low, high = type_range(value)
    if field in BOUNDS and (low, high) != BOUNDS[field]:
        return NOTHING
    if op is Op.STARTSWITH:
        prefix = encode_prefix(str(value))
        return prefix, prefix + b"\xff"
    place = encode_scalar(value)
    if place is None:  # an integer of more than 64 bits: beyond all that are stored
        if op is Op.EQ:
            return NOTHING
        place = after = high if value > 0 else low  # type: ignore[operator]
    else:
        after = successor(place)
    return _ordered(op, place, after, (low, high))


def _key_range(op: Op, key: bytes) -> Range:
    if op is Op.STARTSWITH:
        return key, key + b"\xff"
    return _ordered(op, key, key + b"\0", BOUNDS["key"])


def _ordered(op: Op, place: bytes, after: bytes, bounds: Range) -> Range:
    low, high = bounds
    return {
        Op.EQ: (place, after),
        Op.LT: (low, place),
        Op.LE: (low, after),
        Op.GT: (after, high),
        Op.GE: (place, high),
    }[op]


# --- Joining -------------------------------------------------------------------------------------------------


def _all_of(nodes: Iterable[Node]) -> Node:
    """Join by "and": the ranges of one field become their intersection."""
    leaves: dict[str, Leaf] = {}
    terms: list[Node] = []
    for term in _flat(nodes, AllOf):
        if term == FALSE:
            return FALSE
        if not isinstance(term, Leaf) or term.items:
            terms.append(term)
        elif (known := leaves.get(term.field)) is None:
            leaves[term.field] = term
        else:
            common = tuple(_common(known.ranges, term.ranges))
            if not common:
                return FALSE
            leaves[term.field] = Leaf(term.field, common)
    together = (*leaves.values(), *terms)
    return together[0] if len(together) == 1 else AllOf(together)


def _common(one: tuple[Range, ...], other: tuple[Range, ...]) -> Iterator[Range]:
    i = j = 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low < high:
            yield low, high
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1


def _any_of(nodes: Iterable[Node]) -> Node:
    """Join by "or": the ranges of one field become their union."""
    ranges: dict[str, list[Range]] = {}
    terms: list[Node] = []
    for term in _flat(nodes, AnyOf):
        if term == TRUE:
            return TRUE
        if isinstance(term, Leaf) and not term.items:
            ranges.setdefault(term.field, []).extend(term.ranges)
        else:
            terms.append(term)
    together = (*(_union(field, found) for field, found in ranges.items()), *terms)
    return together[0] if len(together) == 1 else AnyOf(together)


def _union(field: str, ranges: list[Range]) -> Node:
    all_points = all(is_point(field, r) for r in ranges)
    return _points(field, ranges) if all_points else _leaf(field, ranges)


def _flat(nodes: Iterable[Node], kind: type[AllOf | AnyOf]) -> Iterator[Node]:
    for node in nodes:
        if isinstance(node, kind):
            yield from node.terms
        else:
            yield node
