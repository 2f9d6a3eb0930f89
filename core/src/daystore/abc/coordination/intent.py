"""Intents: what a transaction will do to a record, as bytes beside it.

::

    16 bytes   the transaction
    1          the format, 1
    4          length n of the header
    n          the header: a JSON object
    4          length m of the fields
    m          the fields, packed
    rest       the value
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final

import orjson

from daystore.abc.record import KEEP, TRANSACTION_BYTES, Delete, Holds, Put, Release
from daystore.abc.sortkeys import pack_fields, unpack_fields
from daystore.errors import CorruptRecord

__all__ = ["Change", "Intent", "begins"]

Change = Put | Delete | None
"""What becomes of the record: it is written, deleted, or (``None``) held as it is until the end."""

_FORMAT: Final = 1
_LENGTH: Final = struct.Struct(">I")
_HEADER_AT: Final = TRANSACTION_BYTES + 1


@dataclass(frozen=True, slots=True)
class Intent:
    """What a transaction will do to one record if it commits.

    Attributes:
        transaction: Its name, `TRANSACTION_BYTES` long.
        coordinator: Name of the backend that has its status record; empty for the one that has the record.
        change: What it will do. The expectation of the change is not kept: it was judged when it was prepared.
    """

    transaction: bytes
    coordinator: str
    change: Change

    def pack(self) -> bytes:
        """Return it as bytes."""
        change = self.change
        header: dict[str, object] = {"at": self.coordinator}
        fields = value = b""
        if isinstance(change, Put):
            header |= {
                "do": "put",
                "version": change.version,
                "type": change.content_type,
                "schema": [change.schema, change.schema_version],
                "encodings": change.encodings,
                "expires": "keep" if change.expires_at is KEEP else change.expires_at,
            }
            fields, value = pack_fields(change.fields), change.value
        elif change is not None:
            header["do"] = "delete"
        head = orjson.dumps(header)
        parts = (
            self.transaction,
            bytes((_FORMAT,)),
            _LENGTH.pack(len(head)),
            head,
            _LENGTH.pack(len(fields)),
            fields,
            value,
        )
        return b"".join(parts)

    @classmethod
    def unpack(cls, packed: bytes, collection: str, key: str) -> Intent:
        """Return the intent that stands beside a record.

        Raises:
            CorruptRecord: If the bytes are no intent of this format.
        """
        try:
            return cls._unpack(packed, collection, key)
        except (struct.error, orjson.JSONDecodeError, KeyError, IndexError, ValueError, TypeError) as error:
            raise CorruptRecord(
                "a record carries an intent that cannot be read: it was written by a newer version, or damaged",
                collection=collection,
                key=key,
            ) from error

    @classmethod
    def _unpack(cls, packed: bytes, collection: str, key: str) -> Intent:
        if packed[TRANSACTION_BYTES] != _FORMAT:
            raise ValueError(f"format {packed[TRANSACTION_BYTES]}")
        (size,) = _LENGTH.unpack_from(packed, _HEADER_AT)
        end = _HEADER_AT + 4 + size
        header = orjson.loads(packed[_HEADER_AT + 4 : end])
        change: Change = None
        if header.get("do") == "put":
            (size,) = _LENGTH.unpack_from(packed, end)
            fields, value = packed[end + 4 : end + 4 + size], packed[end + 4 + size :]
            expires = header["expires"]
            schema, schema_version = header["schema"]
            change = Put(
                collection,
                key,
                value,
                expires_at=KEEP if expires == "keep" else expires,
                content_type=header["type"],
                fields=unpack_fields(fields),
                schema=schema,
                schema_version=schema_version,
                encodings=tuple(header["encodings"]),
                version=header["version"],
            )
        elif header.get("do") == "delete":
            change = Delete(collection, key)
        return cls(packed[:TRANSACTION_BYTES], header["at"], change)

    def settled(self, collection: str, key: str, *, committed: bool) -> Put | Delete | Release:
        """Return the operation that ends it: the change itself, or only the removal of the intent."""
        holds = Holds(self.transaction)
        if committed and self.change is not None:
            return replace(self.change, expect=holds)
        return Release(collection, key, holds)


def begins(intent: bytes | None, transaction: bytes) -> bool:
    """Tell whether an intent is one of this transaction."""
    return intent is not None and intent.startswith(transaction)
