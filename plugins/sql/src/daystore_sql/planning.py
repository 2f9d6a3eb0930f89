"""From a query to parts, each served by one index.

A part is a predicate with an order that a single index walk can deliver: a query ordered by a field is the
records without the field, by key, and those with it, by its sort key; a cursor makes it the rest of the records
that share the cursor's place, and those beyond. The parts of a query, one after the other, are its result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard

from daystore.abc import Order, Position, Query
from daystore.errors import InvalidCursor
from daystore_sql.encoding import DATETIME, SCALARS, encode_position
from daystore_sql.predicate import (
    BOUNDS,
    FALSE,
    OWN,
    AllOf,
    AnyOf,
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

__all__ = ["Access", "Names", "Part", "access_to", "is_everything", "parts_of"]

MAX_ARMS = 16
"""Indexes that are united, at most."""
ENOUGH = 1000
"""A set of this size is cheaper to sort than it would be to look for its members in another order."""
MUCH = 20_000
"""Where all is wanted, sets beyond this size are not told apart by counting."""


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


@dataclass(frozen=True, slots=True)
class Access:
    """How a part is found.

    Attributes:
        part: What is looked for.
        arms: The spans whose indexes are read; the union of them, if there are several.
        rest: What is checked for each record found there.
        ordered: Whether the indexes are read in the order of the part, and only as far as is needed.
    """

    part: Part
    arms: tuple[Leaf, ...]
    rest: Node
    ordered: bool

    @property
    def merged(self) -> bool:
        """Whether several indexes are read in order."""
        return self.ordered and len(self.arms) > 1


# --- Parts ---------------------------------------------------------------------------------------------------


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
        present = _walk(Part(node, "field", field, order.descending), SCALARS, at)
    # A record without a scalar there cannot satisfy what asks for one.
    requires_field = any(_is_scalar(term, ("field", field or 0)) for term in top_terms(node))
    missing: list[Part] = []
    if (place is None or order.descending) and not requires_field:
        terms = [node, _beyond(position.key if position is not None and among_missing else None)]
        if field is not None:
            terms.append(points("shape", names.shapes_without_scalar(field)))
        missing = [Part(all_of(terms))]
    return present + missing if order.descending else missing + present


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


def _is_scalar(term: Node, column: tuple[Kind, int]) -> TypeGuard[Leaf]:
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


# --- Access --------------------------------------------------------------------------------------------------


def access_to(part: Part, size_of: Callable[[Leaf, int], int], *, limited: bool) -> Access:
    """Choose the index that a part is found by.

    Args:
        part: The part.
        size_of: Counts the entries of an index in a span, as far as some number.
        limited: Whether only the first records are wanted; then an index in the order of the part is worth more
            than one with fewer records.
    """
    choices = [(arms, term) for term in top_terms(part.node) if (arms := _arms(term, part, limited=limited))]
    ordered = [choice for choice in choices if _is_ordered(choice[0], part)]
    if any(arms[0].kind != "key" and arms[0].points for arms, _ in ordered):
        # A range of keys is part of the very same walk, so it is no choice of its own.
        choices = [choice for choice in choices if choice[0][0].kind != "key"]
    narrow = [choice for choice in choices if not is_everything(choice[0])]
    if not narrow:
        return _access(part, *ordered[0])
    if len(narrow) == 1 and (not limited or narrow[0] in ordered):
        return _access(part, *narrow[0])
    size, best = (ENOUGH if limited else MUCH) + 1, None
    for choice in sorted(narrow, key=_promise):
        counted = sum(size_of(arm, size) for arm in choice[0])
        if counted < size:
            size, best = counted, choice
    if best is None:  # none is small: what comes in the right order, then, or what promises most
        best = next((choice for choice in (*narrow, *choices) if choice in ordered and limited), narrow[0])
    return _access(part, *best)


def _promise(choice: tuple[tuple[Leaf, ...], Node]) -> tuple[bool, bool]:
    """Order choices by how few records they may hold: points before ranges, fields before keys."""
    arms, _ = choice
    return not all(leaf.points for leaf in arms), arms[0].kind == "key"


def _access(part: Part, arms: tuple[Leaf, ...], term: Node) -> Access:
    others = tuple(
        other
        for other in top_terms(part.node)
        if other is not term and not (isinstance(other, Leaf) and is_everything((other,)))
    )
    partly = isinstance(term, AnyOf) and not all(isinstance(choice, Leaf) for choice in term.terms)
    rest = AllOf((*others, term) if partly else others)
    return Access(part, arms, rest, _is_ordered(arms, part))


def _arms(term: Node, part: Part, *, limited: bool) -> tuple[Leaf, ...]:
    """Return spans one of which every record that satisfies a term lies in; none if there are no such spans."""
    if isinstance(term, Leaf):
        if limited and part.kind == "key" != term.kind and 1 < len(term.points) <= MAX_ARMS:
            return tuple(point(term.kind, place, term.field) for place in term.points)
        return (term,)
    if not isinstance(term, AnyOf) or len(term.terms) > MAX_ARMS:
        return ()
    arms: list[Leaf] = []
    for choice in term.terms:
        spans = [leaf for leaf in top_terms(choice) if isinstance(leaf, Leaf)]
        if not spans:
            return ()
        arms.append(max(spans, key=lambda leaf: bool(leaf.points)))
    return tuple(arms)


def _is_ordered(arms: tuple[Leaf, ...], part: Part) -> bool:
    """Tell whether the indexes can be read in the order of a part; those of several arms are merged."""
    if len(arms) == 1 and arms[0].column == (part.kind, part.field):
        return len(arms[0].points) <= 1
    return part.kind == "key" and all(leaf.kind != "key" and len(leaf.points) == 1 for leaf in arms)


def is_everything(arms: tuple[Leaf, ...]) -> bool:
    """Tell whether a span holds every record of the collection."""
    leaf = arms[0]
    return len(arms) == 1 and not leaf.points and (leaf.low, leaf.high) == BOUNDS.get(leaf.kind)
