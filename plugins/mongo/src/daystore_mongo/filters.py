"""From a predicate to a condition of the server."""

from __future__ import annotations

from typing import Final

from daystore.abc.order import Position
from daystore.abc.ranges import FALSE, TRUE, AllOf, Leaf, Node, NoneOf, Range, is_point
from daystore.abc.sortkeys import MAX_INT, MIN_INT, WHOLE_LIST, decode_scalar, encode_sort_value
from daystore_mongo.documents import Document, id_of
from daystore_mongo.names import field_path, text_of

__all__ = ["NOTHING", "after", "condition", "list_path", "path_of", "whole_path"]

NOTHING: Final[Document] = {"_id": {"$in": []}}
"""The condition that no record fulfils."""

_OWN: Final = {"key": "_id", "created_at": "c", "updated_at": "u"}
_SIGN: Final = 1 << 63


def path_of(field: str) -> str:
    """Return where a document has the value of a field, or an attribute that every record has."""
    return _OWN.get(field) or f"f.{field_path(field)}"


def list_path(field: str) -> str:
    """Return where a document has the items of a field that is a list."""
    return f"l.{field_path(field)}"


def whole_path(field: str) -> str:
    """Return where a document has a field that is a list as a whole."""
    return f"w.{field_path(field)}"


def condition(node: Node) -> Document:
    """Return a predicate as a condition."""
    if node == TRUE:
        return {}
    if node == FALSE:
        return NOTHING
    if isinstance(node, Leaf):
        return _leaf(node)
    if isinstance(node, NoneOf):
        return {"$nor": [_leaf(node.leaf)]}
    return {"$and" if isinstance(node, AllOf) else "$or": [condition(term) for term in node.terms]}


def _leaf(leaf: Leaf) -> Document:
    field = leaf.field
    if leaf.items:
        return _any(list_path(field), [decode_scalar(b"\x05" + low[1:]) for low, _ in leaf.ranges])
    path = path_of(field)
    if path in ("c", "u"):
        terms = [{path: _instants(ends)} for ends in leaf.ranges]
    else:
        points: list[object] = [text_of(ends[0]) for ends in leaf.ranges if is_point(field, ends)]
        terms = [_any(path, points)] if points else []
        terms += [
            {path: {"$gte": text_of(low), "$lt": text_of(high)}}
            for low, high in leaf.ranges
            if not is_point(field, (low, high))
        ]
    if field not in _OWN and any(low <= WHOLE_LIST < high for low, high in leaf.ranges):
        terms.append({list_path(field): {"$exists": True}})
    return terms[0] if len(terms) == 1 else {"$or": terms}


def _any(path: str, values: list[object]) -> Document:
    return {path: values[0]} if len(values) == 1 else {path: {"$in": values}}


def _instants(ends: Range) -> Document:
    """Return a range of instants; a bound beyond 64 bits is none."""
    low, high = (int.from_bytes(end.ljust(9, b"\0"), "big") - (4 << 64) - _SIGN for end in ends)
    bounds = {}
    if low > MIN_INT:
        bounds["$gte"] = low
    if high <= MAX_INT:
        bounds["$lt"] = high
    return bounds or {"$exists": True}


def after(field: str, position: Position, *, descending: bool) -> Document:
    """Return the condition that a record comes after a place in an order.

    Raises:
        ValueError: If no record can be at that place.
    """
    path, key = path_of(field), id_of(position.key)
    if path == "_id":
        return {"_id": {"$lt" if descending else "$gt": key}}
    rank, value = position.value
    place = value if path in ("c", "u") else text_of(encode_sort_value(position.value))
    if path not in ("c", "u") and not rank:
        without: Document = {path: None, "_id": {"$gt": key}}
        return without if descending else {"$or": [without, {path: {"$exists": True}}]}
    same: Document = {path: place, "_id": {"$gt": key}}
    if descending:
        return {"$or": [same, {path: {"$lt": place}}, {path: None}]}
    return {"$or": [same, {path: {"$gt": place}}]}
