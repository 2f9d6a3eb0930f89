"""The default serializer: JSON by orjson, plain wherever JSON can say it, exact everywhere.

orjson alone does not keep the contract. It writes NaN as ``null``, an enum member as its value and a UUID as
text, and says nothing; and since its depth limit does not hold for tuples, a deep one of them (orjson 3.13.0)
makes it write beyond its buffer. So the types in a value are looked at first, by the shortest loop that can. Only
what consists of exactly the types of JSON goes to orjson as it is; and what orjson then still refuses, it refuses
aloud. Everything else goes through `daystore.codec.values`, which writes or refuses it.
"""

from __future__ import annotations

from itertools import filterfalse
from math import isfinite
from types import NoneType
from typing import Any

import orjson

from daystore.codec.tags import MARK
from daystore.codec.values import MAX_DEPTH, from_plain, to_plain
from daystore.errors import CorruptRecord, SerializationError

__all__ = ["JSONSerializer"]

_MARK = f'"{MARK}'.encode()
_MARK_BYTE = MARK[:1].encode()

_SIMPLE = frozenset({NoneType, bool, int, str})
_LONG = 32  # items, from which on it pays to look at a list as a whole
_MANY_BOXES, _MANY_ITEMS = 100, 1_000_000  # in one level; more come from a list that holds itself many times


class JSONSerializer:
    """Values as JSON, with everything of the contract kept exactly. See `daystore.codec.tags` for the form.

    JSON that others wrote is read as well. Its integers beyond 64 bits become the nearest float.
    """

    name = "json"
    content_type = "application/json"

    def dumps(self, value: object) -> bytes:
        """Serialize.

        Args:
            value: Any value of the contract. It is not changed.

        Returns:
            JSON in UTF-8.

        Raises:
            SerializationError: If the value, or something in it, would not come back equal and of the same
                type.
        """
        if _is_simple(value):
            try:
                data = orjson.dumps(value)
            except orjson.JSONEncodeError:
                return _dumps_exactly(value)
            if not _has_mark(data):
                return data
        return _dumps_exactly(value)

    def loads(self, data: bytes) -> object:
        """Deserialize.

        Args:
            data: JSON in UTF-8.

        Returns:
            The value, of which nobody else holds a part.

        Raises:
            CorruptRecord: If the bytes are not JSON, or hold a tag that is unknown or damaged.
        """
        try:
            plain = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise CorruptRecord(f"the value is not JSON, from character {error.pos} on") from None
        return from_plain(plain) if _has_mark(data) else plain


def _dumps_exactly(value: object) -> bytes:
    try:
        return orjson.dumps(to_plain(value, lax=True))
    except orjson.JSONEncodeError:
        plain = to_plain(value)
    try:
        return orjson.dumps(plain)
    except orjson.JSONEncodeError as error:
        raise SerializationError(f"the value cannot be written as JSON: {error}") from error


def _is_simple(value: object) -> bool:
    """Tell whether orjson will either refuse a value or write it exactly. No means maybe."""
    boxes: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        long: list[Any] = []
        for box in boxes:
            for item in box:
                kind = type(item)
                if kind in _SIMPLE:
                    continue
                if kind is dict:
                    inner.append(item.values())
                elif kind is list:
                    (inner if len(item) < _LONG else long).append(item)
                elif kind is not float or not isfinite(item):
                    return False
        if not inner and not long:
            return True
        if len(inner) + len(long) > _MANY_BOXES and sum(map(len, [*inner, *long])) > _MANY_ITEMS:
            return False
        inner.extend(filterfalse(_is_simple_column, long))
        boxes = inner
    return False


def _is_simple_column(items: list[Any]) -> bool:
    """Tell whether a list holds only finite floats, or only other scalars. No means maybe."""
    kinds = set(map(type, items))
    return kinds <= _SIMPLE or (kinds == {float} and isfinite(sum(items)))


def _has_mark(data: bytes) -> bool:
    return _MARK_BYTE in data and _MARK in data  # a single byte is found 50 times faster, and is rare
