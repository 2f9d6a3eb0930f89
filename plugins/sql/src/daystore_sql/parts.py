"""From a query to parts, each served by one index.

A part is a predicate with an order that a single index walk can deliver: a query ordered by a field is the
records without the field, by key, and those with it, by its sort key; a cursor makes it the rest of the records
that share the cursor's place, and those beyond. The parts of a query, one after the other, are its result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard

from daystore.abc import Order, Position, Query
from daystore.errors import InvalidCursor
from daystore_sql.encoding import DATETIME, SCALARS, encode_position
from daystore_sql.predicate import (
    BOUNDS,
    FALSE,
    OWN,
    Column,
    Columns,
    Kind,
    Leaf,
    Node,
    Place,
    all_of,
    normalise,
    point,
    points,
    span,
    top_terms,
)

__all__ = ["MAX_ARMS", "Names", "Part", "parts_of"]

MAX_ARMS = 16
"""Indexes that are united, at most."""


class Names(Columns, Protocol):
    """What planning needs to know of a collection; see `daystore_sql.catalog`."""

    def shapes_without_scalar(self, field: int) -> frozenset[int]:
        """Return the shapes that do not have a field, or have a list there."""


_DAMAGED = "the cursor is damaged: pass it on exactly as it was given out"


@dataclass(frozen=True, slots=True)
class Part:
    """Records that satisfy a predicate, ordered by one column, ties by ascending key.

    The predicate always has a span whose index is in that order, be it the one that holds everything.
    """

    node: Node
    kind: Kind = "key"
    field: int = 0
    descending: bool = False


def parts_of(query: Query, names: Names, position: Position | None) -> list[Part]:
    """Return the parts of a query, in the order of its result.

    Args:
        query: The query.
        names: Of its collection.
        position: Where its cursor stands, if it has one.

    Raises:
        InvalidCursor: If the cursor stands at a place that its order does not have.
    """
    node, order = normalise(query.where, names), query.order
    node = _without_implied(node, [term.field for term in top_terms(node) if isinstance(term, Leaf)], names)
    kind = OWN.get(order.field)
    if kind is None:
        found = _parts_by_field(node, order, names, position)
    elif kind == "key":
        found = _parts_by_key(node, order, position)
    else:
        at = None if position is None else (_instant(position), position.key)
        found = _walk(Part(node, kind, descending=order.descending), BOUNDS[kind], at)
    return [part for part in found if part.node != FALSE]


def _parts_by_key(node: Node, order: Order, position: Position | None) -> list[Part]:
    low, high = BOUNDS["key"]
    if position is not None:
        key = position.key.encode()
        low, high = (low, key) if order.descending else (_next(key), high)
    return [Part(all_of((node, span("key", low, high))), descending=order.descending)]


def _parts_by_field(node: Node, order: Order, names: Names, position: Position | None) -> list[Part]:
    field = names.field(order.field)
    place = None if position is None else _sort_key(position)
    among_missing = position is not None and place is None
    present: list[Part] = []
    if field is not None and not (order.descending and among_missing):
        at = None if position is None or place is None else (place, position.key)
        present = _walk(
            Part(_without_implied(node, [field], names), "field", field, order.descending), SCALARS, at
        )
    # A record without a scalar there cannot satisfy what asks for one.
    requires_field = any(_is_scalar(term, ("field", field or 0)) for term in top_terms(node))
    missing: list[Part] = []
    if (place is None or order.descending) and not requires_field:
        terms = [node, _beyond(position.key if position is not None and among_missing else None)]
        if field is not None:
            terms.append(points("shape", names.shapes_without_scalar(field)))
        missing = [Part(all_of(terms))]
    return present + missing if order.descending else missing + present


def _without_implied(node: Node, fields: Iterable[int], names: Names) -> Node:
    """Drop the condition on which fields there are, if every record with one of some fields fulfils it."""
    terms = top_terms(node)
    shapes = next((term for term in terms if isinstance(term, Leaf) and term.kind == "shape"), None)
    if shapes is None or not any(
        names.shapes_with(field).issubset(shapes.points) for field in fields if field
    ):
        return node
    return all_of(term for term in terms if term is not shapes)


def _walk(part: Part, bounds: tuple[Place, Place], at: tuple[Place, str] | None) -> list[Part]:
    """Bound a part to all that its column can hold, or split it at the place and key of a cursor."""
    low, high = bounds
    parts: list[Part] = []
    if at is not None:
        place, key = at
        parts.append(Part(all_of((part.node, point(part.kind, place, part.field), _beyond(key)))))
        low, high = (low, place) if part.descending else (_next(place), high)
    node = all_of((part.node, span(part.kind, low, high, part.field)))
    return parts + _expanded(replace(part, node=node))


def _expanded(part: Part) -> list[Part]:
    """Make one part by key for each point, where the column that orders can only be at some points."""
    for term in top_terms(part.node):
        if _is_scalar(term, (part.kind, part.field)) and 0 < len(term.points) <= MAX_ARMS:
            places = reversed(term.points) if part.descending else term.points
            return [Part(all_of((part.node, point(term.kind, place, term.field)))) for place in places]
    return [part]


def _is_scalar(term: Node, column: Column) -> TypeGuard[Leaf]:
    """Tell whether a term says in which span the one value of a column lies."""
    return isinstance(term, Leaf) and term.column == column and not term.is_element


def _beyond(key: str | None) -> Node:
    low, high = BOUNDS["key"]
    return span("key", low if key is None else _next(key.encode()), high)


def _next(place: Place) -> Place:
    return place + 1 if isinstance(place, int) else place + b"\x00"


def _instant(position: Position) -> int:
    rank, instant = position.value
    if rank != DATETIME or type(instant) is not int:
        raise InvalidCursor(_DAMAGED)
    return instant


def _sort_key(position: Position) -> bytes | None:
    try:
        return encode_position(position.value)
    except ValueError:
        raise InvalidCursor(_DAMAGED) from None
