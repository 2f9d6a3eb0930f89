"""Field values as bytes: one order of bytes that is the order of values, on every database.

A sort key is one byte that tells the type, then bytes that compare as the values of that type do. So one index
over one binary column serves equality, ranges, order and prefixes, and no comparison ever crosses types.

====  ==========================  ====================================================================
tag   type                        rest
====  ==========================  ====================================================================
1     bool                        one byte
2     int                         64 bits, big-endian, sign flipped
3     float                       IEEE 754, sign flipped, all bits of a negative one; -0.0 is 0.0
4     datetime                    its instant, as an int
5     str                         UTF-8
7     list, as a whole            a digest: equal lists are equal, nothing more
8     list, one of its elements   UTF-8
====  ==========================  ====================================================================

A field of a record has one row with a tag below 8, and a list has one more for each different element.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeAlias

import orjson

from daystore.abc import FieldValue, Scalar, from_instant, to_instant
from daystore.abc.order import SortValue

__all__ = [
    "DATETIME",
    "ELEMENTS",
    "LIST",
    "MAX_INT",
    "MIN_INT",
    "SCALARS",
    "SINGLES",
    "Entries",
    "decode_scalar",
    "encode_position",
    "encode_scalar",
    "index_entries",
    "pack_fields",
    "type_range",
    "unpack_fields",
]

MIN_INT, MAX_INT = -(2**63), 2**63 - 1

BOOL, INT, FLOAT, DATETIME, STR, LIST, ELEMENT = 1, 2, 3, 4, 5, 7, 8

SCALARS = (b"\x01", b"\x06")
"""The sort keys of everything but lists, as a range whose end is not part of it."""
SINGLES = b"\x08"
"""Below this a field has exactly one sort key."""
ELEMENTS = b"\x08"
"""What the sort key of a list's element begins with."""

_BITS = struct.Struct(">Q")
_FLOAT = struct.Struct(">d")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1


def _int_bytes(number: int) -> bytes:
    return _BITS.pack(number + _SIGN)


def _float_bytes(number: float) -> bytes:
    (bits,) = _BITS.unpack(_FLOAT.pack(number + 0.0))  # -0.0 + 0.0 is 0.0
    return _BITS.pack(bits ^ _ALL if bits & _SIGN else bits | _SIGN)


def encode_scalar(value: Scalar) -> bytes | None:
    """Return the sort key of a scalar; ``None`` for an integer of more than 64 bits, which no field can hold."""
    kind = type(value)
    if kind is str:
        return b"\x05" + value.encode()  # type: ignore[union-attr]
    if kind is bool:
        return b"\x01\x01" if value else b"\x01\x00"
    if kind is int:
        return b"\x02" + _int_bytes(value) if MIN_INT <= value <= MAX_INT else None  # type: ignore[operator, arg-type]
    if kind is float:
        return b"\x03" + _float_bytes(value)  # type: ignore[arg-type]
    return b"\x04" + _int_bytes(to_instant(value))  # type: ignore[arg-type]


def decode_scalar(sort_key: bytes) -> Scalar:
    """Return the scalar of a sort key; a datetime is in UTC."""
    tag, rest = sort_key[0], sort_key[1:]
    if tag == STR:
        return rest.decode()
    bits = int.from_bytes(rest, "big")
    if tag == BOOL:
        return bits == 1
    if tag == FLOAT:
        raw = bits ^ _SIGN if bits & _SIGN else bits ^ _ALL
        return float(_FLOAT.unpack(_BITS.pack(raw))[0])
    number = bits - _SIGN
    return from_instant(number) if tag == DATETIME else number


def encode_position(value: SortValue) -> bytes | None:
    """Return the sort key of a place in an order; ``None`` for the place of records without the field.

    Raises:
        ValueError: If no field can hold such a value.
    """
    rank, what = value
    if rank == 0:
        return None
    if isinstance(what, str):
        return b"\x05" + what.encode()
    if isinstance(what, float):
        return b"\x03" + _float_bytes(what)
    low, high = (0, 1) if rank == BOOL else (MIN_INT, MAX_INT)
    if what is None or not low <= what <= high:
        raise ValueError("no field holds such a value")
    return bytes((BOOL, what)) if rank == BOOL else bytes((rank,)) + _int_bytes(what)


def type_range(value: Scalar) -> tuple[bytes, bytes]:
    """Return the range of the sort keys of values of the same type; its end is not part of it."""
    kind = type(value)
    tag = {str: STR, bool: BOOL, int: INT, float: FLOAT}.get(kind, DATETIME)
    return bytes((tag,)), bytes((tag + 1,))


Entries: TypeAlias = dict[tuple[int, bytes], tuple[int | None, float | None]]
"""Entries of the index of fields: by number of the field and sort key, the integer or float for aggregates."""

_NO_NUMBER = (None, None)


def index_entries(fields: Iterable[tuple[int, FieldValue]]) -> Entries:
    """Return the index entries of a record's fields, which are given with their numbers."""
    entries: Entries = {}
    for field, value in fields:
        if type(value) is tuple:
            whole = blake2b(orjson.dumps(value), digest_size=16).digest()
            entries[field, b"\x07" + whole] = _NO_NUMBER
            for element in value:
                entries[field, ELEMENTS + element.encode()] = _NO_NUMBER
            continue
        sort_key = encode_scalar(value)  # type: ignore[arg-type]
        if sort_key is None:
            raise ValueError("an indexed integer has at most 64 bits")
        if type(value) is int:
            entries[field, sort_key] = (value, None)
        elif type(value) is float:
            entries[field, sort_key] = (None, value)
        else:
            entries[field, sort_key] = _NO_NUMBER
    return entries


def pack_fields(fields: Mapping[str, FieldValue]) -> bytes | None:
    """Pack the fields of a record, to give them back exactly; ``None`` if there are none."""
    return orjson.dumps(dict(fields), default=_pack_datetime, option=_PACKING) if fields else None


_PACKING = orjson.OPT_PASSTHROUGH_DATETIME


def _pack_datetime(value: object) -> object:
    if isinstance(value, datetime):
        return {"t": to_instant(value)}
    raise TypeError(f"a {type(value).__name__} cannot be indexed")


def unpack_fields(packed: bytes | None) -> dict[str, FieldValue]:
    """Return the fields that `pack_fields` packed; a datetime is in UTC."""
    if packed is None:
        return {}
    fields: dict[str, Any] = orjson.loads(packed)
    if packed.find(b"[") > 0 or packed.rfind(b"{") > 0:  # else there is neither a list nor a datetime
        for name, value in fields.items():
            if type(value) is dict:
                fields[name] = from_instant(value["t"])
            elif type(value) is list:
                fields[name] = tuple(value)
    return fields
