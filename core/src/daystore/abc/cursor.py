"""Cursors: a position in the order of a query, readable by nobody but us, kept by nobody but the caller.

A cursor is text: a digest of the query (without limit and offset), then the sort value and the key of the last
record given out. So it holds no state of a server, survives restarts, fits any page size, and is refused by any
other query.
"""

from __future__ import annotations

import base64
import binascii
import math
from hashlib import blake2b

import orjson

from daystore.abc.clock import from_instant, to_instant
from daystore.abc.order import Position, SortValue
from daystore.abc.query import And, Compare, Not, Or, Predicate, Query
from daystore.errors import InvalidCursor

__all__ = ["decode_cursor", "encode_cursor", "query_digest"]

_DIGEST_BYTES = 12


def _canonical(predicate: Predicate | None) -> object:
    if predicate is None:
        return None
    if isinstance(predicate, Compare):
        value = predicate.value
        items = value if isinstance(value, tuple) else (value,)
        return [predicate.field, predicate.op.value, [_typed(item) for item in items]]
    if isinstance(predicate, Not):
        return ["not", _canonical(predicate.term)]
    name = {And: "and", Or: "or"}[type(predicate)]
    return [name, [_canonical(term) for term in predicate.terms]]


def _typed(value: object) -> list[str]:
    if hasattr(value, "utcoffset"):
        return ["datetime", str(to_instant(value))]  # type: ignore[arg-type]
    return [type(value).__name__, repr(value)]


def query_digest(query: Query) -> bytes:
    """Return 12 bytes that tell this query from another one, whatever their limits and offsets."""
    order = [query.order.field, query.order.descending]
    text = orjson.dumps([query.collection, _canonical(query.where), order])
    return blake2b(text, digest_size=_DIGEST_BYTES).digest()


def encode_cursor(query: Query, position: Position) -> str:
    """Make the cursor that goes on after `position`."""
    rank, value = position.value
    if isinstance(value, float):
        value = value.hex()
    elif isinstance(value, int):
        value = str(value)
    body = orjson.dumps([rank, value, position.key])
    return base64.urlsafe_b64encode(query_digest(query) + body).rstrip(b"=").decode()


def decode_cursor(query: Query) -> Position | None:
    """Read the cursor of `query`.

    Returns:
        The position to go on after; ``None`` if the query has no cursor.

    Raises:
        InvalidCursor: If it is damaged, or was given out for another query.
    """
    cursor = query.cursor
    if cursor is None:
        return None
    if type(cursor) is not str:
        raise TypeError(f"a cursor is a str, not {type(cursor).__name__}")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, body = raw[:_DIGEST_BYTES], orjson.loads(raw[_DIGEST_BYTES:])
        rank, value, key = body
        position = Position(_sort_value(rank, value), key)
        damaged = type(key) is not str
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise InvalidCursor("the cursor is damaged: pass it on exactly as it was given out") from None
    if damaged:
        raise InvalidCursor("the cursor is damaged: pass it on exactly as it was given out")
    if digest != query_digest(query):
        raise InvalidCursor("the cursor was given out for another query: start this one without a cursor")
    return position


def _sort_value(rank: object, value: object) -> SortValue:
    if rank == 0 and value is None:
        return (0, None)
    if rank in (1, 2, 4) and type(value) is str:
        number = int(value)
        if rank == 4:
            from_instant(number)
        return (rank, number)
    if rank == 3 and type(value) is str:
        return (3, _finite(float.fromhex(value)))
    if rank == 5 and type(value) is str:
        return (5, value)
    raise ValueError


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError
    return number
