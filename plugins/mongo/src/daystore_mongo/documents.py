"""Records as documents.

======  =====================================================================================
name    what
======  =====================================================================================
_id     the key, as text that servers order as its bytes: see `daystore_mongo.names`
v       the version
c u x   the instants of creation, of the last write, and of expiry (missing for never)
d       the value
m       content type, schema, its version, encodings, and which fields are -0.0
f       the fields that are not lists: the sort key of each, as text
l       the fields that are lists: their items, each once
w       the fields that are lists: each as a whole, packed, as text
t       the expiry as a date, by which the server removes the record; missing while it carries an intent
s       the same date, kept while the record carries an intent
h i     the transaction that holds the record, and its intent
======  =====================================================================================

Sort keys are those of `daystore.abc.sortkeys`, so that a comparison of the server never crosses types, and the
order of an index is the order of the contract: the server puts what is missing before all text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import bson
from bson.datetime_ms import DatetimeMS

from daystore.abc import FieldValue, Instant, Put, Record
from daystore.abc.sortkeys import encode_scalar, pack_value, unpack_value
from daystore.errors import CorruptRecord
from daystore_mongo.errors import BACKEND
from daystore_mongo.names import bytes_of, field_name, field_path, text_of

__all__ = [
    "Document",
    "bare",
    "content_of",
    "date_of",
    "fits",
    "id_of",
    "is_alive",
    "key_of",
    "live",
    "record_of",
    "value_of",
]

Document: TypeAlias = dict[str, Any]

MOST_BYTES: Final = 16 * 1024 * 1024
"""What a document holds."""
ROOM: Final = 2 * 1024
"""For what `content_of` leaves out."""
UNUSED: Final[tuple[object, ...]] = ("application/octet-stream", None, None, [], [])


def id_of(key: str) -> str:
    """Return the ``_id`` of a key."""
    return key if key.isascii() else text_of(key.encode())


def key_of(identifier: str) -> str:
    """Return the key of an ``_id``."""
    return identifier if identifier.isascii() else bytes_of(identifier).decode()


def date_of(instant: Instant) -> DatetimeMS:
    """Return an instant of whole milliseconds as a date of the server's."""
    return DatetimeMS(instant // 1000)


def live(now: Instant) -> Document:
    """Return the condition that a record has not expired."""
    return {"x": {"$not": {"$lte": now}}}


def is_alive(document: Mapping[str, Any], now: Instant) -> bool:
    """Tell whether a record has not expired."""
    expires_at = document.get("x")
    return expires_at is None or now < expires_at


def bare(version: str) -> Document:
    """Return what stands where there is no live record: one that expired at the beginning."""
    return {"v": version, "u": 0, "x": 0, "d": b"", "m": UNUSED, "f": {}, "l": {}, "w": {}}


def content_of(put: Put, now: Instant) -> Document:
    """Return the document of a `Put`, without the instants of creation and expiry."""
    fields: Document = {}
    lists: Document = {}
    wholes: Document = {}
    zeros = []
    for name, value in put.fields.items():
        if isinstance(value, tuple):
            lists[field_path(name)] = list(dict.fromkeys(value))
            wholes[field_path(name)] = text_of(pack_value(value))
            continue
        sort_key = encode_scalar(value)
        if sort_key is None:
            raise ValueError("an indexed integer has at most 64 bits")
        fields[field_path(name)] = text_of(sort_key)
        if value == 0 and type(value) is float and math.copysign(1.0, value) < 0:
            zeros.append(name)
    return {
        "v": put.version,
        "u": now,
        "d": put.value,
        "m": (put.content_type, put.schema, put.schema_version, put.encodings, zeros),
        "f": fields,
        "l": lists,
        "w": wholes,
    }


def fits(content: Document) -> bool:
    """Tell whether a document is not too large for a server. One that is would spoil the request that it is in."""
    texts = (*content["f"].values(), *content["w"].values())
    if len(content["d"]) + 4 * sum(map(len, texts)) + 1024 * len(texts) < MOST_BYTES // 2:
        return True
    return len(bson.encode(content)) <= MOST_BYTES - ROOM


def value_of(text: str) -> FieldValue:
    """Return the value of a sort key, or of a packed list, that is told as text."""
    return unpack_value(bytes_of(text))


def record_of(collection: str, document: Mapping[str, Any]) -> Record:
    """Return the record of a document.

    Raises:
        CorruptRecord: If it is none.
    """
    try:
        content_type, schema, schema_version, encodings, zeros = document["m"]
        fields: dict[str, FieldValue] = {field_name(part): value_of(s) for part, s in document["f"].items()}
        fields |= dict.fromkeys(zeros, -0.0)
        fields |= {field_name(part): value_of(packed) for part, packed in document["w"].items()}
        return Record(
            key_of(document["_id"]),
            _checked(document["d"], bytes),
            _checked(document["v"], str),
            int(_checked(document["c"], int)),  # the driver's integers of 64 bits are of a class of their own
            int(_checked(document["u"], int)),
            None if (expires_at := document.get("x")) is None else int(_checked(expires_at, int)),
            _checked(content_type, str),
            fields,
            schema,
            None if schema_version is None else int(_checked(schema_version, int)),
            tuple(encodings),
            document.get("i"),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        raise CorruptRecord(
            "the stored document is no record that this version of daystore-mongo can read; it was left as it is",
            collection=collection,
            key=_named(document),
            backend=BACKEND,
        ) from None


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _named(document: Mapping[str, Any]) -> str | None:
    try:
        return key_of(document["_id"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
