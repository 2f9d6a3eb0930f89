"""Field values as bytes whose order is the order of the values.

For a backend that keeps indexes of its own. A sort key is one byte that tells the type, then bytes that compare as
the values of that type do; the order of all sort keys is that of `daystore.abc.order`. No sort key begins another
one, so an index may hold each sort key with the key of its record after it: those entries are in the order of the
values, and of the keys where values are equal.

A value is also packed by this module, so that a record can hold its fields as bytes. A scalar is packed as its
sort key, but for -0.0, whose sign a sort key leaves out.

====  ==========================  ====================================================================
tag   type                        rest
====  ==========================  ====================================================================
1     bool                        one byte
2     int                         64 bits, big-endian, sign flipped
3     float                       IEEE 754, sign flipped, all bits of a negative one; -0.0 is 0.0
4     datetime                    its instant, as an int
5     str                         UTF-8 with 00 written as 00 FF, then 00 00
6     the float -0.0              nothing; only packed, its sort key is that of 0.0
7     list, as a whole            nothing in a sort key; packed, its items, each after its length
8     list, one of its items      as a str; only a sort key
====  ==========================  ====================================================================
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Final

from daystore.abc.clock import Instant, from_instant, to_instant
from daystore.abc.order import SortValue
from daystore.abc.record import FieldValue, Scalar

__all__ = [
    "EVERYTHING",
    "MAX_INT",
    "MIN_INT",
    "SCALARS",
    "WHOLE_LIST",
    "decode_scalar",
    "encode_element",
    "encode_instant",
    "encode_prefix",
    "encode_scalar",
    "encode_sort_value",
    "pack_fields",
    "pack_value",
    "sort_keys",
    "successor",
    "type_range",
    "unpack_fields",
    "unpack_value",
]

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1

BOOL, INT, FLOAT, DATETIME, STR, NEGATIVE_ZERO, LIST, ELEMENT = 1, 2, 3, 4, 5, 6, 7, 8

SCALARS: Final = (b"\x01", b"\x06")
"""The sort keys of everything but lists, as a range whose end is not part of it."""
EVERYTHING: Final = (b"\x01", b"\x08")
"""The sort keys of scalars and of lists as a whole: a field has exactly one of them."""
WHOLE_LIST: Final = b"\x07"
"""The sort key of every list, as a whole."""

_BITS = struct.Struct(">Q")
_FLOAT = struct.Struct(">d")
_LENGTH = struct.Struct(">I")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1


def encode_instant(instant: Instant) -> bytes:
    """Return 8 bytes that order as instants do; beyond 64 bits, the end of what they can hold."""
    return _BITS.pack(min(max(instant, MIN_INT), MAX_INT) + _SIGN)


def _float_bytes(number: float) -> bytes:
    (bits,) = _BITS.unpack(_FLOAT.pack(number + 0.0))  # -0.0 + 0.0 is 0.0
    return _BITS.pack(bits ^ _ALL if bits & _SIGN else bits | _SIGN)


def _text(text: str) -> bytes:
    raw = text.encode()
    return (raw.replace(b"\0", b"\0\xff") if b"\0" in raw else raw) + b"\0\0"


def _plain(raw: bytes) -> str:
    return raw[:-2].replace(b"\0\xff", b"\0").decode()


def encode_scalar(value: Scalar) -> bytes | None:
    """Return the sort key of a scalar; ``None`` for an integer of more than 64 bits, which no field can hold."""
    kind = type(value)
    if kind is str:
        return b"\x05" + _text(value)  # type: ignore[arg-type]
    if kind is bool:
        return b"\x01\x01" if value else b"\x01\x00"
    if kind is int:
        return b"\x02" + _BITS.pack(value + _SIGN) if MIN_INT <= value <= MAX_INT else None  # type: ignore[operator]
    if kind is float:
        return b"\x03" + _float_bytes(value)  # type: ignore[arg-type]
    return b"\x04" + encode_instant(to_instant(value))  # type: ignore[arg-type]


def encode_element(text: str) -> bytes:
    """Return the sort key of an item of a list."""
    return b"\x08" + _text(text)


def sort_keys(value: FieldValue) -> list[bytes]:
    """Return all by which a record is found that has this value: of a scalar one, of a list also its items'.

    Raises:
        ValueError: If no field can hold such a value.
    """
    if isinstance(value, tuple):
        return [WHOLE_LIST, *map(encode_element, dict.fromkeys(value))]
    return [_sort_key(value)]


def _sort_key(value: Scalar) -> bytes:
    sort_key = encode_scalar(value)
    if sort_key is None:
        raise ValueError("an indexed integer has at most 64 bits")
    return sort_key


def encode_prefix(text: str) -> bytes:
    """Return what the sort keys of all strings with this beginning begin with.

    They lie in the range from it to it and FF, which no sort key of such a string goes on with.
    """
    return b"\x05" + _text(text)[:-2]


def decode_scalar(sort_key: bytes) -> Scalar:
    """Return the scalar of a sort key; a datetime is in UTC."""
    tag = sort_key[0]
    if tag == STR:
        return _plain(sort_key[1:])
    if tag == NEGATIVE_ZERO:
        return -0.0
    bits = int.from_bytes(sort_key[1:], "big")
    if tag == BOOL:
        return bits == 1
    if tag == FLOAT:
        raw = bits ^ _SIGN if bits & _SIGN else bits ^ _ALL
        return float(_FLOAT.unpack(_BITS.pack(raw))[0])
    number = bits - _SIGN
    return from_instant(number) if tag == DATETIME else number


def encode_sort_value(value: SortValue) -> bytes:
    """Return the sort key of a place in an order; nothing for the place of records without the field.

    Raises:
        ValueError: If no field can hold such a value.
    """
    rank, what = value
    if rank == 0:
        return b""
    if isinstance(what, str):
        return b"\x05" + _text(what)
    if isinstance(what, float):
        return b"\x03" + _float_bytes(what)
    low, high = (0, 1) if rank == BOOL else (MIN_INT, MAX_INT)
    if what is None or not low <= what <= high:
        raise ValueError("no field holds such a value")
    return bytes((BOOL, what)) if rank == BOOL else bytes((rank,)) + _BITS.pack(what + _SIGN)


def successor(sort_key: bytes) -> bytes:
    """Return the end of the range of everything that begins with this sort key, which is not part of it."""
    raised = int.from_bytes(sort_key, "big") + 1
    return raised.to_bytes(len(sort_key), "big")


def type_range(value: Scalar) -> tuple[bytes, bytes]:
    """Return the range of the sort keys of values of the same type; its end is not part of it."""
    tag = {str: STR, bool: BOOL, int: INT, float: FLOAT}.get(type(value), DATETIME)
    return bytes((tag,)), bytes((tag + 1,))


# --- The fields of a record ----------------------------------------------------------------------------------


def pack_fields(fields: Mapping[str, FieldValue]) -> bytes:
    """Pack the fields of a record: each name after its length in one byte, each value after its length in four.

    Raises:
        ValueError: If no field can hold one of the values.
    """
    parts: list[bytes] = []
    for name, value in fields.items():
        raw, packed = name.encode(), pack_value(value)
        parts += (bytes((len(raw),)), raw, _LENGTH.pack(len(packed)), packed)
    return b"".join(parts)


def pack_value(value: FieldValue) -> bytes:
    """Pack one value.

    Raises:
        ValueError: If no field can hold it.
    """
    if isinstance(value, tuple):
        items = [_text(item) for item in value]
        return WHOLE_LIST + b"".join([_LENGTH.pack(len(item)) + item for item in items])
    if type(value) is float and value == 0 and math.copysign(1.0, value) < 0:
        return b"\x06"
    return _sort_key(value)


def unpack_fields(packed: bytes) -> dict[str, FieldValue]:
    """Return the fields that `pack_fields` packed; a datetime is in UTC."""
    fields: dict[str, FieldValue] = {}
    at, end = 0, len(packed)
    while at < end:
        start = at + 1
        at = start + packed[at]
        name = packed[start:at].decode()
        (length,) = _LENGTH.unpack_from(packed, at)
        start = at + 4
        at = start + length
        fields[name] = unpack_value(packed[start:at])
    return fields


def unpack_value(packed: bytes) -> FieldValue:
    """Return the value that `pack_value` packed; a datetime is in UTC."""
    return tuple(_items(packed)) if packed[0] == LIST else decode_scalar(packed)


def _items(packed: bytes) -> Iterator[str]:
    at, end = 1, len(packed)
    while at < end:
        (length,) = _LENGTH.unpack_from(packed, at)
        start = at + 4
        at = start + length
        yield _plain(packed[start:at])
