"""Serializers and codecs: how an object becomes the bytes of a record, and back."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Codec", "Serializer"]


@runtime_checkable
class Serializer(Protocol):
    """Turns an object into bytes and back, exactly, or refuses.

    Attributes:
        name: By which configuration chooses it, such as ``"json"``.
        content_type: Written into every record it makes; reading goes by it.
    """

    name: str
    content_type: str

    def dumps(self, value: object) -> bytes:
        """Serialize.

        Raises:
            SerializationError: If the value would not come back equal and of the same type.
        """
        ...

    def loads(self, data: bytes) -> object:
        """Deserialize.

        Raises:
            CorruptRecord: If the bytes cannot be decoded.
        """
        ...


@runtime_checkable
class Codec(Protocol):
    """Undoes one encoding of serialized bytes, by the name that the record carries.

    Attributes:
        name: As it stands in ``Record.encodings``, such as ``"zstd"``.
    """

    name: str

    def decode(self, data: bytes, *, collection: str, key: str) -> bytes:
        """Undo the encoding.

        Raises:
            CorruptRecord: If the bytes cannot be decoded.
            DecryptionError: If no key opens them.
        """
        ...
