"""From a value to the bytes of a record, and from a record to its value, by what the record says of itself.

A record is read by its own content type and encodings, not by what the configuration says today: what was
written under another configuration stays readable. Whatever fails on the way is an error that names the
record in its attributes; it is never taken for a missing record.
"""

from __future__ import annotations

from collections.abc import Callable

from daystore.abc.record import Record
from daystore.abc.serializer import Codec, Serializer
from daystore.errors import CorruptRecord, DaystoreError, SerializationError

__all__ = ["decode", "encode"]


def encode(value: object, serializer: Serializer) -> bytes:
    """Serialize a value for a record.

    Args:
        value: What is to be stored.
        serializer: The serializer; the record carries its ``content_type``.

    Returns:
        The bytes.

    Raises:
        SerializationError: If the serializer refuses the value, or fails on it in a way of its own.
    """
    try:
        return serializer.dumps(value)
    except (DaystoreError, MemoryError):
        raise
    except Exception as error:
        raise SerializationError(
            f"the serializer {serializer.name!r} failed with {type(error).__name__}"
        ) from error


def decode(
    record: Record,
    *,
    collection: str,
    serializers: Callable[[str], Serializer],
    codecs: Callable[[str], Codec],
) -> object:
    """Return the value of a record.

    Args:
        record: The record as the backend returned it.
        collection: Its collection.
        serializers: Finds a serializer by content type, or raises `UnknownCodec`.
        codecs: Finds a codec by name, or raises `UnknownCodec`.

    Returns:
        The value.

    Raises:
        CorruptRecord: If the bytes cannot be decoded.
        UnknownCodec: If what they were written with is not installed.
        DecryptionError: If no key opens them.
    """
    try:
        data = record.value
        for name in reversed(record.encodings):
            data = codecs(name).decode(data, collection=collection, key=record.key)
        return serializers(record.content_type).loads(data)
    except CorruptRecord as error:
        error.collection, error.key = collection, record.key
        raise
    except (DaystoreError, MemoryError):
        raise
    except Exception as error:
        raise CorruptRecord(
            f"the value cannot be decoded: {type(error).__name__}", collection=collection, key=record.key
        ) from error
