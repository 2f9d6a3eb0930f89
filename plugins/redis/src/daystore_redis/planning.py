"""From a query to what a script chooses from: spans that hold what is looked for, and segments in its order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from daystore.abc.order import Position
from daystore.abc.ranges import BOUNDS, FALSE, AllOf, AnyOf, Leaf, Node, NoneOf, Range, is_point
from daystore.abc.sortkeys import SCALARS, encode_sort_value, successor
from daystore_redis.references import reference

__all__ = ["Cover", "Place", "Segment", "covers_of", "everything", "place_of"]

MAX_SPANS = 500
"""More spans than these are not walked one by one."""

Segment = list[object]
"""A part of an index in the order of a query; see ``search.lua``."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after this sort key and key. The sort key is empty for a record without the field."""

    sort_key: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Cover:
    """Spans that hold every record that a predicate finds.

    Attributes:
        spans: Each a field and the ends of its range.
        exact: Whether they hold nothing else.
        overlapping: Whether one record may be in several.
    """

    spans: tuple[tuple[str, bytes, bytes], ...]
    exact: bool
    overlapping: bool = False

    def parts(self) -> list[object]:
        """Return the spans as the scripts know them."""
        return [[reference(field), low, high] for field, low, high in self.spans]

    def segments(self, field: str, place: Place | None, *, descending: bool) -> list[Segment] | None:
        """Return the spans in an order, after a place; ``None`` if they are not in that order."""
        if all(span[0] == field for span in self.spans) and not self.overlapping:
            ranges = [(low, high) for _, low, high in self.spans]
            if field == "key" or all(SCALARS[0] <= low and high <= SCALARS[1] for low, high in ranges):
                return _in_order(field, ranges, place, descending=descending)
        if field == "key" and len(self.spans) == 1:
            own, low, high = self.spans[0]
            if own != "key" and is_point(own, (low, high)):
                return _by_key(own, (low, high), low, place, descending=descending)
        return None


def place_of(field: str, position: Position | None) -> Place | None:
    """Return the place of a cursor.

    Raises:
        ValueError: If no record can be there.
    """
    if position is None:
        return None
    return Place(b"" if field == "key" else encode_sort_value(position.value), position.key.encode())


def covers_of(node: Node) -> list[Cover]:
    """Return what a predicate can be found by."""
    if isinstance(node, Leaf):
        if len(node.ranges) > MAX_SPANS:
            return []
        return [Cover(tuple((node.field, *ends) for ends in node.ranges), exact=True)]
    if isinstance(node, NoneOf):
        return []
    if isinstance(node, AllOf):
        found = [cover for term in node.terms for cover in covers_of(term)]
        return [Cover(cover.spans, exact=False, overlapping=cover.overlapping) for cover in found]
    if node == FALSE:
        return [Cover((), exact=True)]
    return _united(node)


def _united(node: AnyOf) -> list[Cover]:
    chosen = []
    for term in node.terms:
        covers = covers_of(term)
        if not covers:
            return []
        chosen.append(max(covers, key=_promise))
    spans = tuple(dict.fromkeys(span for cover in chosen for span in cover.spans))
    if len(spans) > MAX_SPANS:
        return []
    return [Cover(spans, exact=all(cover.exact for cover in chosen), overlapping=len(chosen) > 1)]


def _promise(cover: Cover) -> tuple[bool, bool]:
    """Order covers by how few records they may hold: points before ranges, fields before keys."""
    points = all(is_point(field, (low, high)) for field, low, high in cover.spans)
    return points, all(field != "key" for field, _, _ in cover.spans)


def everything(field: str, place: Place | None, *, descending: bool) -> list[Segment]:
    """Return all records in an order, after a place; those without a place come lowest, by their keys."""
    if field in BOUNDS:
        return _in_order(field, [BOUNDS[field]], place, descending=descending)
    in_missing = place is not None and not place.sort_key
    low = place.key + b"\0" if place is not None and in_missing else b""
    missing: Segment = [reference("key"), low, BOUNDS["key"][1], False, False, True]
    if descending:
        ordered = [] if in_missing else _in_order(field, [SCALARS], place, descending=True)
        return [*ordered, missing]
    ordered = _in_order(field, [SCALARS], None if in_missing else place, descending=False)
    return ordered if place is not None and not in_missing else [missing, *ordered]


def _in_order(field: str, ranges: list[Range], place: Place | None, *, descending: bool) -> list[Segment]:
    """Return ranges of one index in its order; where sort keys are equal it is that of keys either way."""
    if field == "key":
        return _clipped(field, ranges, None if place is None else place.key, descending=descending, flat=True)
    if place is None:
        return _clipped(field, ranges, None, descending=descending, flat=False)
    if not place.sort_key:  # after the last of those without the field, or after all that have it
        return [] if descending else _clipped(field, ranges, None, descending=False, flat=False)
    entry = place.sort_key + place.key
    if not descending:
        return _clipped(field, ranges, entry, descending=False, flat=False)
    end = successor(place.sort_key)
    same = [(max(low, entry + b"\0"), min(high, end)) for low, high in ranges]
    before = _clipped(field, ranges, place.sort_key, descending=True, flat=False)
    return [*_segments(field, same, descending=False, flat=False), *before]


def _by_key(
    field: str, ends: Range, sort_key: bytes, place: Place | None, *, descending: bool
) -> list[Segment]:
    """Return the entries of one sort key, which are in the order of keys."""
    entry = None if place is None else sort_key + place.key
    return _clipped(field, [ends], entry, descending=descending, flat=True)


def _clipped(
    field: str,
    ranges: Iterable[Range],
    entry: bytes | None,
    *,
    descending: bool,
    flat: bool,
) -> list[Segment]:
    if entry is not None and descending:
        ranges = [(low, min(high, entry)) for low, high in ranges]
    elif entry is not None:
        ranges = [(max(low, entry + b"\0"), high) for low, high in ranges]
    return _segments(field, ranges, descending=descending, flat=flat)


def _segments(field: str, ranges: Iterable[Range], *, descending: bool, flat: bool) -> list[Segment]:
    kept = sorted(((low, high) for low, high in ranges if low < high), reverse=descending)
    return [[reference(field), low, high, descending, flat, False] for low, high in kept]
