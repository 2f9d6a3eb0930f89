"""Mutants made from bugs that real stores had with values: on their way in, and on their way back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import orjson

from daystore.abc import Consistency, Outcome, Put, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.codec.serializers.json import JSONSerializer
from daystore.errors import BackendUnavailable, CorruptRecord, SchemaError, SerializationError
from daystore.stores import Store
from daystore.stores.codec import RecordCodec
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.envelope import Changed
from daystore_compliance.mutants.serializers import Rewrites
from daystore_compliance.mutants.values import Meddles, MeddlesDeep

# --- Bytes ------------------------------------------------------------------------------------------------------


@mutant("rt.size_sweep", bugs=["boto/boto3#4435"])
class KeepsTheFrame(Changed):
    """What frames a large value on its way is stored with it."""

    def changed(self, put: Put) -> Put:
        """Frame it."""
        size = len(put.value)
        return replace(put, value=b"%x\r\n%b\r\n0\r\n" % (size, put.value)) if size > 8192 else put


@mutant("rec.bytes_exact", bugs=["dapr/components-contrib#3643"])
class RefusesBinary(MemoryAdapter):
    """Bytes that are no text are refused by the server."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        for operation in batch.operations:
            if isinstance(operation, Put):
                try:
                    operation.value.decode()
                except UnicodeDecodeError:
                    raise BackendUnavailable("the server answered 500", backend=self.name) from None
        return await super()._write(batch)


@mutant("rec.bytes_exact", bugs=["dapr/components-contrib#3796"])
class BytesInUtf16(Changed):
    """Bytes are kept as text of two bytes a character."""

    def changed(self, put: Put) -> Put:
        """Decode and encode."""
        return replace(put, value=put.value.decode("utf-16-le", "replace").encode("utf-16-le"))


@mutant("rt.bytes.all256", "rt.bytes.invalid_utf8", bugs=["jaredwray/keyv#2007"])
class BytesByIndex(Rewrites):
    """Bytes are written as an object of index and byte."""

    def part(self, value: Any) -> Any:
        """Take them apart."""
        return {str(i): byte for i, byte in enumerate(value)} if type(value) is bytes else value


@mutant("rec.bytes_exact", "rt.size_sweep", bugs=["hashicorp/vault#5724"])
class ShorterThanHeader(MemoryAdapter):
    """A value shorter than the header that large ones have cannot be read."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        for record in found:
            if record is not None and 0 < len(record.value) < 4:
                raise CorruptRecord("the header is cut", collection=collection, key=record.key)
        return found


@mutant("ser.corrupt_value", bugs=["hashicorp/vault#5724"])
class CrashesOnShort(Store[Any]):
    """Of bytes that are too short to be a value the error is that of the decoder."""

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Read, and fail plainly."""
        try:
            return await super().get(key, *arguments, **options)
        except CorruptRecord as error:
            record = await self.adapter.read(self.collection, (key,))
            if record[0] is not None and len(record[0].value) < 4:
                raise IndexError("index out of range") from error
            raise


# --- Numbers and text -------------------------------------------------------------------------------------------


class MeddlesJson(MeddlesDeep):
    """Changes what the content type says is JSON. Base of mutants, and none itself."""

    def changed(self, put: Put) -> Put:
        """Look at the type first."""
        return super().changed(put) if put.content_type == "application/json" else put


@mutant("rt.int_not_float", "rt.json.scalars", bugs=["dapr/dapr#5118"])
class JsonNumbersAsFloats(MeddlesJson):
    """Integers become floats where the content type says JSON."""

    def scalar(self, value: Any) -> Any:
        """Convert."""
        return float(value) if type(value) is int else value


@mutant("rt.json.scalars", "rt.int_not_float", bugs=["dapr/components-contrib#1582"])
class NumbersTagged(MeddlesJson):
    """Integers come back as objects that tell their type."""

    def scalar(self, value: Any) -> Any:
        """Write the type down."""
        return {"$numberDouble": str(float(value))} if type(value) is int else value


@mutant("rt.tag_lookalikes", bugs=["dapr/components-contrib#1570"])
class DictsInListsAsPairs(Meddles):
    """A list of dicts comes back as a list of lists of pairs."""

    def value(self, value: Any) -> Any:
        """Take the dicts apart."""
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return [[{"Key": key, "Value": v} for key, v in item.items()] for item in value]
        return value


@mutant("rt.str.unicode", bugs=["apache/iceberg#8046"])
class TextInLatin1(MeddlesDeep):
    """Text is sent in Latin-1, and what that lacks is a question mark."""

    def scalar(self, value: Any) -> Any:
        """Encode and decode."""
        return value.encode("latin-1", "replace").decode("latin-1") if isinstance(value, str) else value


@mutant("rt.str.lookalikes", bugs=["unjs/unstorage#590"])
class TextReadAsJson(JSONSerializer):
    """Text is tried as JSON, then as a float, before it is taken for text."""

    def loads(self, data: bytes) -> object:
        """Deserialize once more."""
        value = super().loads(data)
        if type(value) is str:
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError:
                pass
            try:
                return float(value)
            except ValueError:
                pass
        return value


@mutant("rt.date_timedelta", bugs=["BeanieODM/beanie#209"])
class DatesUnknown(JSONSerializer):
    """A date cannot be written at all."""

    def dumps(self, value: object) -> bytes:
        """Serialize what is no date."""
        if type(value) is date:
            raise TypeError("cannot encode date")
        return super().dumps(value)


# --- Stores -----------------------------------------------------------------------------------------------------


@mutant("miss.get_vs_none", bugs=["dapr/components-contrib#1974"])
class NoneIsMissing(Store[Any]):
    """A stored None is taken for nothing."""

    async def get(self, key: str, default: Any = None, **options: Any) -> Any:
        """Return the default instead."""
        value = await super().get(key, default, **options)
        return default if value is None else value


@mutant("rt.float.nonfinite", bugs=["agno-agi/agno#9399"])
class SwallowsRefusals(Store[Any]):
    """A value that cannot be stored is not stored, and nobody is told."""

    async def set(self, key: str, value: Any, **options: Any) -> str:
        """Write, or do not."""
        try:
            return await super().set(key, value, **options)
        except SerializationError:
            return ""


class _NeedsSchema(RecordCodec[Any]):
    __slots__ = ()

    def plain(self, record: Record) -> object:
        if record.schema is None and self.shape.schema is not None:
            raise CorruptRecord("no such column: schema", collection=self._collection, key=record.key)
        return super().plain(record)


@mutant("rt.former_records", bugs=["google/adk-python#3272", "temporalio/temporal#7383"])
class NeedsTheNewEntry(Store[Any]):
    """A record from before values had schemas cannot be read by a store of a type."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._access.codec.__class__ = _NeedsSchema


@mutant("rt.no_alias_nested", bugs=["google/adk-python#7105"])
class CopiesShallow(JSONSerializer):
    """Of a value that was read before only the outermost level is copied."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[bytes, object] = {}

    def loads(self, data: bytes) -> object:
        """Deserialize once, and copy."""
        if data not in self._known:
            self._known[data] = super().loads(data)
        return copy.copy(self._known[data])


@mutant("rt.subclass_fields", bugs=["langchain-ai/langgraph#6685"])
class DumpsDeclared(Store[Any]):
    """Nested models are written by the type declared, and what a subclass adds is lost."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "verify": False})


@mutant("rt.typed_refused", bugs=["langchain-ai/langgraph#7037"])
class FallsBackToPlain(Store[Any]):
    """A value that does not fit the type is returned plain."""

    async def get(self, key: str, default: Any = None, **options: Any) -> Any:
        """Return the value, or what it is made of."""
        try:
            return await super().get(key, default, **options)
        except SchemaError:
            (record,) = await self.adapter.read(self.collection, (key,))
            return default if record is None else self._access.codec.plain(record)


@mutant("rt.typed_refused", bugs=["langchain-ai/langgraph#6718"])
class UnresolvedIsNone(Store[Any]):
    """A value whose type cannot be made of it is None."""

    async def get(self, key: str, default: Any = None, **options: Any) -> Any:
        """Return the value, or nothing."""
        try:
            return await super().get(key, default, **options)
        except SchemaError:
            return None


@mutant("rt.tuple_is_list", "rt.empty_containers", bugs=["garrytan/gbrain#2374"])
class BatchEncodesTwice(Store[Any]):
    """A list in a batch is encoded once more than a single one."""

    async def set_batch(self, items: Any, **options: Any) -> dict[str, str]:
        """Encode it here already."""
        again = {
            key: orjson.dumps(value, default=str).decode() if type(value) is list else value
            for key, value in dict(items).items()
        }
        return await super().set_batch(again, **options)
