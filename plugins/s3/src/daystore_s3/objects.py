"""Objects: what is kept of one key.

The first byte is the number of this form; then comes the length of a header of JSON, the header, the fields, the
intent and the value. Each write makes a *nonce*, so that no two bodies are equal and no two ETags either, and it
keeps the nonces before it, by which a writer whose answer was lost finds out whether it was applied. A listing
tells by the size, which is even if there is a record and odd if there is none, what is there.

Where the value is in parts, the header names them and the value is missing; where the intent is, the object has
the beginning of it that names the transaction.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from daystore.abc import Instant, Record
from daystore.abc.record import TRANSACTION_BYTES
from daystore.abc.sortkeys import pack_fields, unpack_fields
from daystore_s3.errors import corrupt
from daystore_s3.parts import Parts

__all__ = ["NOTHING", "PAST", "Kept", "decode", "decode_beginning", "encode", "holds_record", "new_id"]

FORM: Final = 1
PAST: Final = 8
"""How many nonces are kept."""
_START: Final = struct.Struct(">BI")


def new_id() -> str:
    """Return an identifier that nobody has used."""
    return os.urandom(8).hex()


def holds_record(size: int) -> bool:
    """Tell by the size of an object whether it holds a record."""
    return size % 2 == 0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one key.

    Attributes:
        record: The record; ``None`` where it was deleted, or where an intent stands alone.
        nonce: Of the write that made this; empty for what is not there.
        past: The nonces before it, newest first.
        epoch: Under which its markers are.
        alarm: Under which its deadline is.
        mark: Under which the marker of its intent is.
        replaced: Whether the write of this version has overwritten a live record.
        whole: Whether all of the object is there; a writer reads the beginning alone.
        value_parts: What the value was cut into; then the record is without it until they are read.
        intent_parts: What the intent was cut into; then it is only its beginning until they are read.
    """

    record: Record | None = None
    nonce: str = ""
    past: tuple[str, ...] = ()
    intent: bytes | None = None
    epoch: str = ""
    alarm: str = ""
    mark: str = ""
    replaced: bool = False
    whole: bool = True
    value_parts: Parts | None = None
    intent_parts: Parts | None = None

    @property
    def parts(self) -> tuple[Parts, ...]:
        """All that is kept in parts."""
        return tuple(parts for parts in (self.value_parts, self.intent_parts) if parts is not None)

    def joined(self, value: bytes | None, intent: bytes | None) -> Kept:
        """Return this with what was read of its parts; ``None`` for what is in none."""
        intent = self.intent if intent is None else intent
        record = self.record
        if record is not None:
            record = replace(record, value=record.value if value is None else value, intent=intent)
        return replace(self, record=record, intent=intent)

    def apart(self) -> Kept:
        """Return this without what is in parts."""
        intent, record = self.intent, self.record
        if intent is not None and self.intent_parts is not None:
            intent = intent[:TRANSACTION_BYTES]
        if record is not None:
            value = record.value if self.value_parts is None else b""
            record = replace(record, value=value, intent=intent)
        return replace(self, record=record, intent=intent)

    def carries(self, intent: bytes) -> bool:
        """Tell whether this is the intent that is kept."""
        if self.intent is None or self.intent_parts is None:
            return self.intent == intent
        return intent.startswith(self.intent[:TRANSACTION_BYTES]) and self.intent_parts.hold(intent)

    def live(self, now: Instant) -> Record | None:
        """Return the record, if it is alive."""
        return self.record if self.record is not None and self.record.is_alive(now) else None

    def shown(self, key: str, now: Instant) -> Record | None:
        """Return what a reader gets: the live record, or what carries an intent."""
        if self.intent is None:
            return self.live(now)
        return self.record or Record(key, b"", "", 0, 0, expires_at=0, intent=self.intent)


NOTHING: Final = Kept()
"""What is kept of a key that was never written."""


def encode(kept: Kept) -> bytes:
    """Return the body of an object."""
    intent = kept.intent or b""
    if kept.intent_parts is not None:
        intent = intent[:TRANSACTION_BYTES]
    header: dict[str, Any] = {"n": kept.nonce, "p": kept.past}
    if kept.intent is not None:
        header |= {"h": kept.mark, "hl": len(intent), **_named("hp", kept.intent_parts)}
    fields = value = b""
    record = kept.record
    if record is not None:
        fields, value = pack_fields(record.fields), record.value if kept.value_parts is None else b""
        header |= {
            "k": record.key,
            "v": record.version,
            "c": record.created_at,
            "u": record.updated_at,
            "x": record.expires_at,
            "t": record.content_type,
            "s": record.schema,
            "sv": record.schema_version,
            "e": record.encodings,
            "i": kept.epoch,
            "a": kept.alarm,
            "o": kept.replaced,
            "fl": len(fields),
            **_named("vp", kept.value_parts),
        }
    packed = orjson.dumps(header)
    size = _START.size + len(packed) + len(fields) + len(intent) + len(value)
    if holds_record(size) is (record is None):
        packed += b" "
    return b"".join((_START.pack(FORM, len(packed)), packed, fields, intent, value))


def _named(name: str, parts: Parts | None) -> dict[str, Any]:
    return {} if parts is None else {name: (parts.epoch, parts.count, parts.size, parts.digest)}


def _parts(header: dict[str, Any], name: str) -> Parts | None:
    return Parts(*header[name]) if name in header else None


def decode(collection: str, key: str, body: bytes) -> Kept:
    """Return what an object says.

    Raises:
        CorruptRecord: If it is none of this form.
    """
    kept = decode_beginning(collection, key, body, len(body))
    if kept is None:
        raise corrupt(collection, key)
    return kept


def decode_beginning(collection: str, key: str, body: bytes, total: int) -> Kept | None:
    """Return what the beginning of an object says; ``None`` if it is too short to tell.

    Args:
        collection: Of which collection.
        key: Of which key.
        body: The beginning of the object.
        total: Its size.

    Raises:
        CorruptRecord: If it is none of this form.
    """
    try:
        form, length = _START.unpack_from(body)
        at = _START.size + length
        if form != FORM or at > total:
            raise corrupt(collection, key)
        if at > len(body):
            return None
        header = orjson.loads(body[_START.size : at])
        intent_at = at + header.get("fl", 0)
        value_at = intent_at + header.get("hl", 0)
        if value_at > total or header.get("k", key) != key:
            raise corrupt(collection, key)
        if value_at > len(body):
            return None
        intent = body[intent_at:value_at] if "hl" in header else None
        record = None
        if "v" in header:
            record = _record(key, header, unpack_fields(body[at:intent_at]), body[value_at:], intent)
        return Kept(
            record,
            header["n"],
            tuple(header["p"]),
            intent,
            header.get("i", ""),
            header.get("a", ""),
            header.get("h", ""),
            header.get("o", False),
            len(body) == total,
            _parts(header, "vp"),
            _parts(header, "hp"),
        )
    except (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise corrupt(collection, key) from None


def _record(key: str, header: dict[str, Any], fields: Any, value: bytes, intent: bytes | None) -> Record:
    return Record(
        key,
        value,
        header["v"],
        header["c"],
        header["u"],
        header["x"],
        header["t"],
        fields,
        header["s"],
        header["sv"],
        tuple(header["e"]),
        intent,
    )
