"""A record is decoded by what it says of itself, and whatever fails names it without quoting it."""

import asyncio
import zlib
from collections.abc import Callable

import pytest

from daystore.abc import Codec, Record, Serializer
from daystore.codec.envelope import decode, encode
from daystore.codec.serializers.json import JSONSerializer
from daystore.errors import (
    BackendUnavailable,
    CorruptRecord,
    DecryptionError,
    SerializationError,
    UnknownCodec,
)

KEY = "user:hunter2"


class Deflate:
    name = "zlib"

    def decode(self, data: bytes, *, collection: str, key: str) -> bytes:
        return zlib.decompress(data)


class Bound:
    """Undoes a cover that only the collection and key of the record open, as encryption does."""

    name = "bound"

    def decode(self, data: bytes, *, collection: str, key: str) -> bytes:
        cover = f"{collection}/{key}:".encode()
        if not data.startswith(cover):
            raise DecryptionError("no key opens the value")
        return data.removeprefix(cover)


class Failing:
    name = "failing"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def decode(self, data: bytes, *, collection: str, key: str) -> bytes:
        raise self.error


class Rude:
    """A serializer that does not keep to the errors of the contract."""

    name = "rude"
    content_type = "application/x-rude"

    def dumps(self, value: object) -> bytes:
        raise TypeError(f"cannot serialize {value}")

    def loads(self, data: bytes) -> object:
        raise EOFError(data)


SERIALIZERS: list[Serializer] = [JSONSerializer(), Rude()]


def find_serializer(content_type: str) -> Serializer:
    for serializer in SERIALIZERS:
        if serializer.content_type == content_type:
            return serializer
    raise UnknownCodec("no serializer: install the plugin that has it", codec=content_type)


def find_codec(*codecs: Codec) -> Callable[[str], Codec]:
    def find(name: str) -> Codec:
        for codec in codecs:
            if codec.name == name:
                return codec
        raise UnknownCodec("no codec: install the plugin that has it", codec=name)

    return find


def record(value: bytes, *encodings: str, content_type: str = "application/json") -> Record:
    return Record(KEY, value, "v1", 0, 0, content_type=content_type, encodings=encodings)


def decoded(record: Record, *codecs: Codec) -> object:
    return decode(record, collection="notes", serializers=find_serializer, codecs=find_codec(*codecs))


def names_the_record(error: CorruptRecord) -> bool:
    return (
        error.collection == "notes" and error.key == KEY and KEY not in str(error) and KEY not in repr(error)
    )


def test_parts_keep_to_their_protocols() -> None:
    assert isinstance(JSONSerializer(), Serializer)
    assert isinstance(Deflate(), Codec)


def test_value_is_decoded_by_content_type() -> None:
    assert decoded(record(encode({"a": b"x"}, JSONSerializer()))) == {"a": b"x"}


def test_encodings_are_undone_last_to_first() -> None:
    stored = f"notes/{KEY}:".encode() + zlib.compress(b"[1]")
    assert decoded(record(stored, "zlib", "bound"), Deflate(), Bound()) == [1]
    with pytest.raises(CorruptRecord):
        decoded(record(stored, "bound", "zlib"), Deflate(), Bound())


def test_stored_none_is_a_value() -> None:
    assert decoded(record(b"null")) is None


@pytest.mark.parametrize("value", [b"", b"[1", b"\xff", b'["~ds:nothing"]'])
def test_corrupt_value_names_the_record(value: bytes) -> None:
    with pytest.raises(CorruptRecord) as caught:
        decoded(record(value))
    assert names_the_record(caught.value)


def test_unknown_serializer_names_the_record_and_what_is_missing() -> None:
    with pytest.raises(UnknownCodec, match="install") as caught:
        decoded(record(b"\x81", content_type="application/msgpack"))
    assert caught.value.codec == "application/msgpack"
    assert names_the_record(caught.value)


def test_unknown_codec_names_the_record_and_what_is_missing() -> None:
    with pytest.raises(UnknownCodec, match="install") as caught:
        decoded(record(b"1", "zlib", "brotli"), Deflate())
    assert caught.value.codec == "brotli"
    assert names_the_record(caught.value)


def test_closed_encryption_names_the_record_and_stays_what_it_is() -> None:
    with pytest.raises(DecryptionError) as caught:
        decoded(record(b"other/key:1", "bound"), Bound())
    assert names_the_record(caught.value)


def test_errors_of_a_codec_or_serializer_itself_become_corrupt() -> None:
    for broken in (record(b"not deflated", "zlib"), record(b"x", content_type=Rude.content_type)):
        with pytest.raises(CorruptRecord) as caught:
            decoded(broken, Deflate())
        assert type(caught.value) is CorruptRecord
        assert names_the_record(caught.value)
        assert isinstance(caught.value.__cause__, zlib.error | EOFError)


@pytest.mark.parametrize(
    "error", [BackendUnavailable("no key server"), MemoryError(), asyncio.CancelledError()]
)
def test_errors_that_say_nothing_of_the_record_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        decoded(record(b"1", "failing"), Failing(error))
    assert caught.value is error


def test_record_is_left_as_it_was() -> None:
    stored = record(zlib.compress(b"[1"), "zlib")
    before = repr(stored), stored.value, stored.encodings
    with pytest.raises(CorruptRecord):
        decoded(stored, Deflate())
    assert (repr(stored), stored.value, stored.encodings) == before


def test_refusal_of_the_serializer_passes() -> None:
    with pytest.raises(SerializationError, match="not finite"):
        encode(float("nan"), JSONSerializer())


def test_failure_of_the_serializer_itself_is_a_refusal_that_quotes_nothing() -> None:
    with pytest.raises(SerializationError, match="'rude' failed with TypeError") as caught:
        encode("hunter2", Rude())
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.__cause__, TypeError)
