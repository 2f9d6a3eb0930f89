"""Objects: what is kept of one key.

The first byte is the number of this form; then comes the length of a header of JSON, the header, the fields, the
intent and the value. Each write makes a *nonce*, so that no two bodies are equal and no two ETags either, and it
keeps the nonces before it, by which a writer whose answer was lost finds out whether it was applied. A listing
tells by the size, which is even if there is a record and odd if there is none, what is there.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any, Final

import orjson

from daystore.abc import Instant, Record
from daystore.abc.sortkeys import pack_fields, unpack_fields
from daystore_s3.errors import corrupt

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
        whole: Whether the value is all there; a writer reads the beginning alone.
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
    header: dict[str, Any] = {"n": kept.nonce, "p": kept.past}
    if kept.intent is not None:
        header |= {"h": kept.mark, "hl": len(intent)}
    fields = value = b""
    record = kept.record
    if record is not None:
        fields, value = pack_fields(record.fields), record.value
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
        }
    packed = orjson.dumps(header)
    size = _START.size + len(packed) + len(fields) + len(intent) + len(value)
    if holds_record(size) is (record is None):
        packed += b" "
    return b"".join((_START.pack(FORM, len(packed)), packed, fields, intent, value))


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
