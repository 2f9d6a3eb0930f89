"""Predicates in the form that plans are made of: spans of sort keys, joined.

Whatever the query language can say about one field of a record is that its sort key, or that of one of its
items, lies in one of some ranges; or it is constantly true or false. So a `Leaf` is a reference and ranges.
References are what the scripts know: ``k`` the key, ``c`` and ``u`` the instants, ``f`` and a name a field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from daystore.abc import And, Compare, Not, Op, Predicate, Scalar
from daystore_redis.encoding import (
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
    "KEY",
    "TRUE",
    "AllOf",
    "AnyOf",
    "Leaf",
    "Node",
    "NoneOf",
    "Range",
    "is_point",
    "normalise",
    "program",
    "reference",
]

Range: TypeAlias = tuple[bytes, bytes]
"""The ends of a range, of which the second is not part of it."""

KEY: Final = b"k"
OWN: Final = {"key": KEY, "created_at": b"c", "updated_at": b"u"}
BOUNDS: Final = {KEY: (b"", b"\xff"), b"c": (b"\x04", b"\x05"), b"u": (b"\x04", b"\x05")}
"""The range of everything that every record has; no UTF-8 text begins with FF."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a reference finds lies in one of some ranges.

    Attributes:
        ref: The reference.
        ranges: Sorted and apart.
        items: Whether it is about the items of a list, of which a record has many.
    """

    ref: bytes
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

TRUE: Final = AllOf(())
FALSE: Final = AnyOf(())


def reference(name: str) -> bytes:
    """Return what the scripts call a field, or an attribute that every record has."""
    return OWN.get(name) or b"f" + name.encode()


def is_point(ref: bytes, ends: Range) -> bool:
    """Tell whether a range holds one value and nothing else."""
    low, high = ends
    return high == (low + b"\0" if ref == KEY else successor(low)) and len(low) > 1 - (ref == KEY)


# --- From the query language ---------------------------------------------------------------------------------


def normalise(predicate: Predicate | None, *, negated: bool = False) -> Node:
    """Bring a predicate, or its complement, into the form of this module."""
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


def _leaf(ref: bytes, ranges: Iterable[Range], *, items: bool = False) -> Node:
    kept: list[Range] = []
    for low, high in sorted(r for r in ranges if r[0] < r[1]):
        if kept and low <= kept[-1][1]:
            kept[-1] = (kept[-1][0], max(high, kept[-1][1]))
        else:
            kept.append((low, high))
    return Leaf(ref, tuple(kept), items) if kept else FALSE


def _compare(compare: Compare) -> Node:
    op, value, ref = compare.op, compare.value, reference(compare.field)
    if op is Op.EXISTS:
        return TRUE if ref in BOUNDS else _leaf(ref, [EVERYTHING])
    if op is Op.CONTAINS:
        item = encode_element(str(value))
        return FALSE if ref in BOUNDS else _leaf(ref, [(item, successor(item))], items=True)
    if isinstance(value, tuple):
        return _points(ref, [_range_of(ref, Op.EQ, item) for item in value])
    return _leaf(ref, [_range_of(ref, op, value)])


def _points(ref: bytes, ranges: list[Range]) -> Node:
    """Join points without making ranges of those beside each other, which are looked up one by one."""
    kept = tuple(sorted({r for r in ranges if r[0] < r[1]}))
    return Leaf(ref, kept) if kept else FALSE


NOTHING: Final = (b"", b"")


def _range_of(ref: bytes, op: Op, value: Scalar) -> Range:
    if ref == KEY:
        return _key_range(op, value.encode()) if isinstance(value, str) else NOTHING
    low, high = type_range(value)
    if ref in BOUNDS and (low, high) != BOUNDS[ref]:
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
    return _ordered(op, key, key + b"\0", BOUNDS[KEY])


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
    """Join by "and": the ranges of one reference become their intersection."""
    leaves: dict[bytes, Leaf] = {}
    terms: list[Node] = []
    for term in _flat(nodes, AllOf):
        if term == FALSE:
            return FALSE
        if not isinstance(term, Leaf) or term.items:
            terms.append(term)
        elif (known := leaves.get(term.ref)) is None:
            leaves[term.ref] = term
        else:
            common = tuple(
                (max(a[0], b[0]), min(a[1], b[1]))
                for a in known.ranges
                for b in term.ranges
                if max(a[0], b[0]) < min(a[1], b[1])
            )
            if not common:
                return FALSE
            leaves[term.ref] = Leaf(term.ref, tuple(sorted(common)))
    together = (*leaves.values(), *terms)
    return together[0] if len(together) == 1 else AllOf(together)


def _any_of(nodes: Iterable[Node]) -> Node:
    """Join by "or": the ranges of one reference become their union."""
    ranges: dict[bytes, list[Range]] = {}
    terms: list[Node] = []
    for term in _flat(nodes, AnyOf):
        if term == TRUE:
            return TRUE
        if isinstance(term, Leaf) and not term.items:
            ranges.setdefault(term.ref, []).extend(term.ranges)
        else:
            terms.append(term)
    together = (*(_union(ref, found) for ref, found in ranges.items()), *terms)
    return together[0] if len(together) == 1 else AnyOf(together)


def _union(ref: bytes, ranges: list[Range]) -> Node:
    all_points = all(is_point(ref, r) for r in ranges)
    return _points(ref, ranges) if all_points else _leaf(ref, ranges)


def _flat(nodes: Iterable[Node], kind: type[AllOf | AnyOf]) -> Iterator[Node]:
    for node in nodes:
        if isinstance(node, kind):
            yield from node.terms
        else:
            yield node


# --- For the scripts -----------------------------------------------------------------------------------------


def program(node: Node) -> list[object]:
    """Return a predicate as the scripts evaluate it."""
    if isinstance(node, Leaf):
        if len(node.ranges) > 2 and all(is_point(node.ref, r) for r in node.ranges):
            return [b"p", node.ref, *(low for low, _ in node.ranges)]
        return [b"r", node.ref, *(end for ends in node.ranges for end in ends)]
    if isinstance(node, NoneOf):
        return [b"n", program(node.leaf)]
    return [b"a" if isinstance(node, AllOf) else b"o", *map(program, node.terms)]
