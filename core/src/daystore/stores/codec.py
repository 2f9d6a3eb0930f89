"""From a value to the `Put` that writes it, and from a record to its value, as one store does it."""

from __future__ import annotations

from typing import Generic, TypeVar

from daystore.abc.record import ANY, Expectation, Expiry, FieldValue, Put, Record
from daystore.abc.serializer import Codec, Serializer
from daystore.codec.envelope import decode, encode
from daystore.plugins import Plugins, default_plugins
from daystore.stores.indexes import Extractor
from daystore.stores.shape import Shape

__all__ = ["RecordCodec"]

T = TypeVar("T")


class RecordCodec(Generic[T]):
    """Makes records of the values of one collection, and values of its records.

    Args:
        collection: The collection.
        shape: The shape of the values.
        serializer: What writes them. What reads them is chosen by each record's own content type.
        extract: Takes the indexed fields out of a plain value; ``None`` without indexes.
        plugins: Where other serializers, and codecs, are found; those of the process if ``None``.
        verify: Whether to decode what was encoded and compare, before it is written.
    """

    __slots__ = ("_collection", "_extract", "_plugins", "_serializer", "_verify", "shape")

    def __init__(
        self,
        collection: str,
        shape: Shape[T],
        serializer: Serializer,
        extract: Extractor | None,
        plugins: Plugins | None,
        *,
        verify: bool,
    ) -> None:
        self._collection = collection
        self.shape: Shape[T] = shape
        self._serializer = serializer
        self._extract = extract
        self._plugins = plugins
        self._verify = verify

    def put(self, key: str, value: T, expires_at: Expiry, expect: Expectation = ANY) -> Put:
        """Make the `Put` that writes a value.

        Raises:
            SerializationError: If the value would not come back equal and of the same type, or an indexed
                part of it is of another type than its index.
            InvalidKey: If the key is outside the rules.
        """
        shape = self.shape
        plain = shape.to_plain(value)
        data = encode(plain, self._serializer)
        if self._verify:
            shape.verify(value, self._serializer.loads(data))
        fields: dict[str, FieldValue] = {} if self._extract is None else self._extract(plain)
        return Put(
            self._collection,
            key,
            data,
            expect=expect,
            expires_at=expires_at,
            content_type=self._serializer.content_type,
            fields=fields,
            schema=shape.schema,
            schema_version=shape.version,
        )

    def again(self, record: Record, expires_at: Expiry) -> Put:
        """Make the `Put` that writes what a record holds already, with another expiry, unless it changed."""
        return Put(
            self._collection,
            record.key,
            self._serialized(record),
            expect=record.version,
            expires_at=expires_at,
            content_type=record.content_type,
            fields=record.fields,
            schema=record.schema,
            schema_version=record.schema_version,
        )

    def value(self, record: Record) -> T:
        """Return the value of a record.

        Raises:
            CorruptRecord: If its bytes cannot be decoded.
            SchemaError: If it does not fit the store's type.
        """
        return self.shape.from_plain(self.plain(record))

    def plain(self, record: Record) -> object:
        """Return the plain value of a record.

        Raises:
            CorruptRecord: If its bytes cannot be decoded.
        """
        return decode(
            record, collection=self._collection, serializers=self._serializer_for, codecs=self._codec_for
        )

    def _serialized(self, record: Record) -> bytes:
        """Undo a record's encodings, so that the middleware of today can apply its own."""
        data = record.value
        for name in reversed(record.encodings):
            data = self._codec_for(name).decode(data, collection=self._collection, key=record.key)
        return data

    def _serializer_for(self, content_type: str) -> Serializer:
        if content_type == self._serializer.content_type:
            return self._serializer
        return (self._plugins or default_plugins()).serializer_for(content_type)

    def _codec_for(self, name: str) -> Codec:
        return (self._plugins or default_plugins()).codec(name)
