"""From a predicate to what can be listed: spans of indexes that hold all that it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from daystore.abc import Order
from daystore.abc.ranges import BOUNDS, FALSE, TRUE, AllOf, AnyOf, Leaf, Node, NoneOf, is_point
from daystore.abc.sortkeys import SCALARS

__all__ = ["EVERYTHING", "Cover", "Span", "covers_of", "fields_of", "walks"]

MAX_SPANS: Final = 100
"""More spans than these are not listed one by one."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of an index; that of ``key`` is the records themselves."""

    field: str
    low: bytes
    high: bytes


@dataclass(frozen=True, slots=True)
class Cover:
    """Spans that hold every record that a predicate finds.

    Attributes:
        spans: The spans.
        exact: Whether they hold nothing else.
    """

    spans: tuple[Span, ...]
    exact: bool

    @property
    def fields(self) -> set[str]:
        """The fields whose indexes they are of."""
        return {span.field for span in self.spans}


EVERYTHING: Final = Cover((Span("key", *BOUNDS["key"]),), exact=False)
"""All records."""


def covers_of(node: Node) -> list[Cover]:
    """Return what a predicate can be found by, other than by looking at everything."""
    if isinstance(node, Leaf):
        if node.field == "updated_at" or len(node.ranges) > MAX_SPANS:
            return []
        return [Cover(tuple(Span(node.field, *ends) for ends in node.ranges), exact=True)]
    if isinstance(node, NoneOf):
        return []
    if isinstance(node, AllOf):
        if node == TRUE:
            return [Cover(EVERYTHING.spans, exact=True)]
        return [Cover(cover.spans, exact=False) for term in node.terms for cover in covers_of(term)]
    return [Cover((), exact=True)] if node == FALSE else _united(node)


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
    return [Cover(spans, exact=all(cover.exact for cover in chosen))]


def _promise(cover: Cover) -> tuple[bool, bool]:
    """Order covers by how few records they may hold: points before ranges, fields before keys."""
    points = all(is_point(span.field, (span.low, span.high)) for span in cover.spans)
    return points, "key" not in cover.fields


def fields_of(node: Node) -> Iterator[str]:
    """Go through the fields that a predicate names."""
    if isinstance(node, AllOf | AnyOf):
        for term in node.terms:
            yield from fields_of(term)
    else:
        yield node.leaf.field if isinstance(node, NoneOf) else node.field


def walks(cover: Cover, order: Order) -> bool:
    """Tell whether a cover is listed in an order, each record once, so that a page ends the listing."""
    if not cover.exact or order.descending or not cover.spans:
        return False
    if cover.fields == {order.field}:
        return order.field in BOUNDS or all(
            SCALARS[0] <= span.low and span.high <= SCALARS[1] for span in cover.spans
        )
    (first, *others) = cover.spans
    return order.field == "key" and not others and is_point(first.field, (first.low, first.high))
