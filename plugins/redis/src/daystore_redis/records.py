"""Records as bytes: a header with everything that scripts look at, then what only their readers need.

=====  ==========================================================================================
bytes  what
=====  ==========================================================================================
1      number of this form
8      created_at, as 64 bits big-endian, sign flipped, like all instants here
8      expires_at; all bits set for never
8      updated_at
1      0; 1 if there is an intent; 2 if there is nothing else, and the record is only there to carry it
2      length of the version
4      length of the fields
4      length of the envelope
...    the version, the fields, the envelope, the value, the intent
=====  ==========================================================================================

All instants are at fixed places, so that a script compares them, and puts in those that are kept from the record
that is overwritten, without taking anything apart. An intent is added to what is there, and its transaction is at
its end, where it is found without knowing how long the rest is:

=====  ==========================================================================================
bytes  what
=====  ==========================================================================================
...    the intent after the name of its transaction
4      length of that
16     the name of the transaction, with which every intent begins
=====  ==========================================================================================
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

import orjson

from daystore.abc import KEEP, Instant, Put, Record
from daystore.abc.record import TRANSACTION_BYTES
from daystore.abc.sortkeys import pack_fields, unpack_fields
from daystore.errors import CorruptRecord
from daystore_redis.errors import BACKEND

__all__ = ["pack_intent", "pack_record", "unpack_record"]

_HEADER: Final = struct.Struct(">BQQQBHII")
_LENGTH: Final = struct.Struct(">I")
_SIGN: Final = 1 << 63
FORM: Final = 1
_ALL: Final = (1 << 64) - 1
"""The deadline of what has none."""


@lru_cache(maxsize=256)
def _envelope(
    content_type: str, schema: str | None, schema_version: int | None, encodings: tuple[str, ...]
) -> bytes:
    return orjson.dumps([content_type, schema, schema_version, encodings])


@lru_cache(maxsize=256)
def _opened(envelope: bytes) -> tuple[str, str | None, int | None, tuple[str, ...]]:
    content_type, schema, schema_version, encodings = orjson.loads(envelope)
    return content_type, schema, schema_version, tuple(encodings)


def pack_record(put: Put, now: Instant) -> bytes:
    """Return the record of a `Put` that meets none: created now. `KEEP` is packed as never."""
    envelope = _envelope(put.content_type, put.schema, put.schema_version, tuple(put.encodings))
    fields = pack_fields(put.fields) if put.fields else b""
    version = put.version.encode()
    expires_at = put.expires_at
    expires = _ALL if expires_at is None or expires_at is KEEP else _biased(expires_at)
    instant = _biased(now)
    header = _HEADER.pack(FORM, instant, expires, instant, 0, len(version), len(fields), len(envelope))
    return b"".join((header, version, fields, envelope, put.value))


def _biased(instant: Instant) -> int:
    return min(max(instant + _SIGN, 0), _ALL)


def pack_intent(intent: bytes) -> bytes:
    """Return an intent as it stands at the end of a record."""
    rest = intent[TRANSACTION_BYTES:]
    return b"".join((rest, _LENGTH.pack(len(rest)), intent[:TRANSACTION_BYTES]))


def _without_intent(stored: bytes) -> tuple[bytes, bytes]:
    """Return a record as it is without its intent, and the intent."""
    end = len(stored) - TRANSACTION_BYTES - _LENGTH.size
    (size,) = _LENGTH.unpack_from(stored, end)
    return stored[: end - size], stored[end + _LENGTH.size :] + stored[end - size : end]


def unpack_record(collection: str, key: str, stored: bytes, now: Instant) -> Record | None:
    """Return the record of stored bytes; ``None`` if it has expired and carries no intent.

    Raises:
        CorruptRecord: If they are no record, or one of a newer form.
    """
    try:
        form, created, expires, updated, carries, size, n_fields, n_envelope = _HEADER.unpack_from(stored)
    except struct.error:
        raise _corrupt(collection, key) from None
    if form != FORM:
        raise _corrupt(collection, key)
    if now + _SIGN >= expires and not carries:
        return None
    intent = None
    try:
        if carries:
            stored, intent = _without_intent(stored)
        at = _HEADER.size + size
        version = stored[_HEADER.size : at].decode()
        fields = unpack_fields(stored[at : at + n_fields]) if n_fields else {}
        at += n_fields
        value_at = at + n_envelope
        content_type, schema, schema_version, encodings = _opened(stored[at:value_at])
    except (struct.error, ValueError, IndexError, TypeError):
        raise _corrupt(collection, key) from None
    return Record(
        key,
        stored[value_at:],
        version,
        created - _SIGN,
        updated - _SIGN,
        None if expires == _ALL else expires - _SIGN,
        content_type,
        fields,
        schema,
        schema_version,
        encodings,
        intent,
    )


def _corrupt(collection: str, key: str) -> CorruptRecord:
    return CorruptRecord(
        "the stored bytes are no record that this version of daystore-redis can read; they were left as they are",
        collection=collection,
        key=key,
        backend=BACKEND,
    )
