"""Predicates in the form that plans are made of: spans of columns, joined.

A `Leaf` says that a column of a record lies in a span: at one of some points, or between two bounds. Columns are
the record's own (``key``, ``created_at``, ``updated_at``, ``shape``) and its indexed fields, whose spans are spans
of sort keys. Whatever the query language can say about one field is such a span, or constantly true or false.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias

from daystore.abc import And, Compare, Not, Op, Predicate, Scalar, to_instant
from daystore_sql.encoding import ELEMENTS, MAX_INT, MIN_INT, encode_scalar, type_range

__all__ = [
    "BOUNDS",
    "FALSE",
    "OWN",
    "TRUE",
    "AllOf",
    "AnyOf",
    "Column",
    "Columns",
    "Kind",
    "Leaf",
    "Node",
    "NoneOf",
    "Place",
    "all_of",
    "any_of",
    "is_large",
    "leaves",
    "normalise",
    "point",
    "points",
    "span",
    "top_terms",
]

MAX_LEAVES, MAX_POINTS, MAX_DEPTH = 300, 8000, 40
"""Beyond these a database might refuse the statement: SQLite takes 32,766 parameters, and 1,000 nested terms."""

Kind: TypeAlias = Literal["key", "created_at", "updated_at", "shape", "field"]
Place: TypeAlias = bytes | int
Column: TypeAlias = tuple[Kind, int]
"""The kind of a column, and its number if it is a field."""

OWN: Final[Mapping[str, Kind]] = {"key": "key", "created_at": "created_at", "updated_at": "updated_at"}
"""The columns of a record that queries know by the same name."""

BOUNDS: Final[Mapping[Kind, tuple[Place, Place]]] = {
    "key": (b"", b"\xff"),  # no UTF-8 text begins with this byte
    "created_at": (MIN_INT, MAX_INT),
    "updated_at": (MIN_INT, MAX_INT),
}
"""The range of everything that a column of a record can hold; the end is not part of it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column lies in a span.

    Attributes:
        kind: Which column.
        field: Number of the field, for the kind ``field``.
        points: The column is one of these, sorted; empty if the span is a range.
        low: Begin of the range.
        high: End of the range, not part of it.
    """

    kind: Kind
    field: int = 0
    points: tuple[Place, ...] = ()
    low: Place = 0
    high: Place = 0

    @property
    def column(self) -> Column:
        """What identifies the column."""
        return self.kind, self.field

    @property
    def is_element(self) -> bool:
        """Whether it is about the elements of a list, of which a record has many."""
        return self.kind == "field" and bool(self.points) and self.points[0][:1] == ELEMENTS  # type: ignore[index]


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
    """The complement of a span."""

    leaf: Leaf


Node: TypeAlias = "Leaf | AllOf | AnyOf | NoneOf"

TRUE: Final = AllOf(())
FALSE: Final = AnyOf(())


class Columns(Protocol):
    """What is known of the fields of a collection; see `daystore_sql.catalog`."""

    def field(self, name: str) -> int | None:
        """Return the number of a field; ``None`` if no record ever had it."""

    def shapes(self) -> frozenset[int]:
        """Return all shapes of the collection."""

    def shapes_with(self, field: int) -> frozenset[int]:
        """Return the shapes that have a field."""


def point(kind: Kind, place: Place, field: int = 0) -> Leaf:
    """Make the leaf of one place."""
    return Leaf(kind, field, (place,))


def span(kind: Kind, low: Place, high: Place, field: int = 0) -> Node:
    """Make the leaf of a range; false if the range is empty."""
    return Leaf(kind, field, low=low, high=high) if low < high else FALSE  # type: ignore[operator]


def points(kind: Kind, places: Iterable[Place], field: int = 0) -> Node:
    """Make the leaf of some places; false if there are none."""
    unique = tuple(sorted(set(places)))
    return Leaf(kind, field, unique) if unique else FALSE


def normalise(predicate: Predicate | None, columns: Columns, *, negated: bool = False) -> Node:
    """Bring a predicate, or its complement, into the form of this module."""
    if predicate is None:
        return FALSE if negated else TRUE
    if isinstance(predicate, Not):
        return normalise(predicate.term, columns, negated=not negated)
    if isinstance(predicate, Compare):
        node = _compare(predicate, columns)
        return _complement(node, columns) if negated else node
    terms = [normalise(term, columns, negated=negated) for term in predicate.terms]
    return all_of(terms) if isinstance(predicate, And) is not negated else any_of(terms)


def _complement(node: Node, columns: Columns) -> Node:
    if node == TRUE:
        return FALSE
    if not isinstance(node, Leaf):
        return TRUE
    if node.kind == "shape":
        return points("shape", columns.shapes().difference(node.points))
    return NoneOf(node)


# --- One comparison ------------------------------------------------------------------------------------------


def _compare(compare: Compare, columns: Columns) -> Node:
    name, op, value = compare.field, compare.op, compare.value
    if (kind := OWN.get(name)) is not None:
        return _compare_own(kind, op, value)
    field = columns.field(name)
    if field is None:
        return FALSE
    if op is Op.EXISTS:
        return points("shape", columns.shapes_with(field))
    if op is Op.CONTAINS:
        return point("field", ELEMENTS + str(value).encode(), field)
    if isinstance(value, tuple):
        return points("field", filter(None, map(encode_scalar, value)), field)
    place, bounds = encode_scalar(value), type_range(value)
    if place is None:  # an integer of more than 64 bits: beyond all that are stored
        if op is Op.EQ:
            return FALSE
        place = bounds[value > 0]  # type: ignore[operator]
    return _ordered("field", op, place, bounds, field)


def _compare_own(kind: Kind, op: Op, value: Scalar | tuple[Scalar, ...]) -> Node:
    if op is Op.EXISTS:
        return TRUE
    if isinstance(value, tuple):
        return points(kind, [place for item in value if (place := _own_place(kind, item)) is not None])
    place = _own_place(kind, value)
    if place is None or op is Op.CONTAINS:
        return FALSE
    return _ordered(kind, op, place, BOUNDS[kind])


def _own_place(kind: Kind, value: Scalar) -> Place | None:
    if kind == "key":
        return value.encode() if type(value) is str else None
    return to_instant(value) if isinstance(value, datetime) else None


def _ordered(kind: Kind, op: Op, place: Place, bounds: tuple[Place, Place], field: int = 0) -> Node:
    low, high = bounds
    after = place + 1 if isinstance(place, int) else place + b"\x00"  # the next place there is
    if op is Op.EQ:
        return point(kind, place, field)
    if op is Op.LT:
        return span(kind, low, place, field)
    if op is Op.LE:
        return span(kind, low, after, field)
    if op is Op.GT:
        return span(kind, after, high, field)
    if op is Op.GE:
        return span(kind, place, high, field)
    if isinstance(place, int):
        return FALSE  # an instant does not start with a string
    end = place[:-1] + bytes((place[-1] + 1,)) if place else BOUNDS["key"][1]
    return span(kind, place, end, field)


# --- Joining -------------------------------------------------------------------------------------------------


def all_of(nodes: Iterable[Node]) -> Node:
    """Join by "and": spans of one column become their intersection."""
    spans: dict[Column, Leaf] = {}
    terms: list[Node] = []
    for term in _flat(nodes, AllOf):
        if term == FALSE:
            return FALSE
        if not isinstance(term, Leaf) or term.is_element:
            terms.append(term)
        elif (known := spans.get(term.column)) is None:
            spans[term.column] = term
        else:
            common = _intersection(known, term)
            if not isinstance(common, Leaf):
                return FALSE
            spans[term.column] = common
    together = (*spans.values(), *terms)
    return together[0] if len(together) == 1 else AllOf(together)


def any_of(nodes: Iterable[Node]) -> Node:
    """Join by "or": points of one column become their union."""
    places: dict[Column, set[Place]] = {}
    terms: list[Node] = []
    for term in _flat(nodes, AnyOf):
        if term == TRUE:
            return TRUE
        if isinstance(term, Leaf) and term.points and not term.is_element:
            places.setdefault(term.column, set()).update(term.points)
        else:
            terms.append(term)
    together = (*(points(kind, found, field) for (kind, field), found in places.items()), *terms)
    return together[0] if len(together) == 1 else AnyOf(together)


def _flat(nodes: Iterable[Node], kind: type[AllOf | AnyOf]) -> Iterator[Node]:
    for node in nodes:
        if isinstance(node, kind):
            yield from node.terms
        else:
            yield node


def _intersection(a: Leaf, b: Leaf) -> Node:
    if a.points and b.points:
        return points(a.kind, set(a.points).intersection(b.points), a.field)
    if a.points or b.points:
        some, ranged = (a, b) if a.points else (b, a)
        inside = [p for p in some.points if ranged.low <= p < ranged.high]  # type: ignore[operator]
        return points(a.kind, inside, a.field)
    return span(a.kind, max(a.low, b.low), min(a.high, b.high), a.field)


def top_terms(node: Node) -> tuple[Node, ...]:
    """Return what all has to hold."""
    return node.terms if isinstance(node, AllOf) else (node,)


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield the leaves, from left to right."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, NoneOf):
        yield node.leaf
    else:
        for term in node.terms:
            yield from leaves(term)


def is_large(node: Node) -> bool:
    """Tell whether a predicate is too large to be made a statement."""
    found = list(leaves(node))
    points_in_all = sum(len(leaf.points) for leaf in found if leaf.kind != "shape")
    return len(found) > MAX_LEAVES or points_in_all > MAX_POINTS or _depth(node) > MAX_DEPTH


def _depth(node: Node) -> int:
    return 1 + max(map(_depth, node.terms), default=0) if isinstance(node, AllOf | AnyOf) else 1
