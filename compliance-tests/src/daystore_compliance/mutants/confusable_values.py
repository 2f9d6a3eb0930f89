"""Mutants that take a value for what it looks like, or equal values for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from daystore.abc import Delete, Instant, Outcome, Put, Record
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.codec.serializers.json import JSONSerializer
from daystore.errors import CorruptRecord
from daystore.stores import Store
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.envelope import Changed, ChangedFields


@mutant("rec.bytes_of_any_type")
class NormalizesJson(Changed):
    """What the content type says is JSON is kept as JSON, and written anew."""

    def changed(self, put: Put) -> Put:
        """Read and write it."""
        if put.content_type == "application/json":
            try:
                return replace(put, value=orjson.dumps(orjson.loads(put.value)))
            except orjson.JSONDecodeError:
                return put
        return put


@mutant("rec.bytes_of_any_type")
class EndsLines(Changed):
    """The lines of plain text end as the system ends them."""

    def changed(self, put: Put) -> Put:
        """Change the ends."""
        text = put.content_type.startswith("text/")
        return replace(put, value=put.value.replace(b"\r\n", b"\n")) if text else put


@mutant("rec.bytes_of_any_type")
class DropsParameters(Changed):
    """Of a content type the parameters are dropped where they say UTF-8."""

    def changed(self, put: Put) -> Put:
        """Drop them."""
        return replace(put, content_type=put.content_type.removesuffix("; charset=utf-8"))


@mutant("rec.field_lookalikes")
class MomentsOfText(ChangedFields):
    """Text in a field that reads as a moment becomes one."""

    def field(self, value: Any) -> Any:
        """Read it."""
        if isinstance(value, str) and "T" in value:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return value
            return moment if moment.tzinfo else value
        return value


@mutant("rec.field_lookalikes")
class NumbersOfText(ChangedFields):
    """Text in a field that reads as a float with an exponent becomes one."""

    def field(self, value: Any) -> Any:
        """Read it."""
        return float(value) if isinstance(value, str) and value == "1e5" else value


class JoinsItems(ChangedFields):
    """Keeps the items of a list in one text. Base of mutants, and none itself."""

    separator = "\x1f"

    def field(self, value: Any) -> Any:
        """Join and split them."""
        if isinstance(value, tuple) and value:
            return tuple(self.separator.join(value).split(self.separator))
        return value


@mutant("rec.field_lookalikes")
class JoinsItemsByUnit(JoinsItems):
    """The items of a list are joined by the unit separator."""


@mutant("rec.field_lookalikes")
class JoinsItemsByBar(JoinsItems):
    """The items of a list are joined by bars."""

    separator = "|"


@mutant("rec.field_lookalikes")
class JoinsItemsByLine(JoinsItems):
    """The items of a list are kept a line each."""

    separator = "\n"


class Shares(MemoryAdapter):
    """Keeps equal values once. Base of mutants, and none itself."""

    def lost(self, operation: Operation, old: Record, now: Instant) -> bool:
        """Tell whether a change of a record takes its value away."""
        return isinstance(operation, Delete)

    def shares(self, value: bytes) -> bool:
        """Tell whether a value is kept once."""
        return bool(value)

    def drop(self, value: bytes, collection: str) -> None:
        """Take a value away from those that have it too."""
        for record in self._collections.get(collection, {}).values():
            if record.value == value and self.shares(value):
                record.value = b""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        outcome = super()._apply(operation, now)
        if old is not None and self.lost(operation, old, now):
            self.drop(old.value, operation.collection)
        return outcome


@mutant("rec.shared_values")
class OverwriteDropsShared(Shares):
    """Overwriting a record by another value drops the old one for all that have it."""

    def lost(self, operation: Operation, old: Record, now: Instant) -> bool:
        """Look for another value."""
        return isinstance(operation, Put) and operation.value != old.value

    def shares(self, value: bytes) -> bool:
        """Look at the size."""
        return len(value) > 100


@mutant("rec.shared_values")
class LargeDropsShared(Shares):
    """Values over 4 KiB are kept once, and go with the first of their records."""

    def shares(self, value: bytes) -> bool:
        """Look at the size."""
        return len(value) > 4096


@mutant("rec.shared_values")
class SweepDropsShared(Shares):
    """The sweep drops the values of what has expired for all that have them."""

    def lost(self, operation: Operation, old: Record, now: Instant) -> bool:
        """Leave it to the sweep."""
        return False

    def _sweep(self, now: Instant) -> None:
        gone = list(self._expired(now)) if now >= self._sweep_at else []
        super()._sweep(now)
        for collection, value in gone:
            self.drop(value, collection)

    def _expired(self, now: Instant) -> Iterator[tuple[str, bytes]]:
        for name, records in self._collections.items():
            yield from ((name, r.value) for r in records.values() if not r.is_alive(now))


@mutant("ser.unknown_tag")
class UnknownTagIsNone(JSONSerializer):
    """A tag that is not known is read as None."""

    def loads(self, data: bytes) -> object:
        """Deserialize, or shrug."""
        try:
            return super().loads(data)
        except CorruptRecord as error:
            if "tag" in error.message:
                return None
            raise


@mutant("ser.unknown_tag")
class DamagedTagIsList(JSONSerializer):
    """A tag that does not fit what follows it is read as the list that it is."""

    def loads(self, data: bytes) -> object:
        """Deserialize, or take it plainly."""
        try:
            return super().loads(data)
        except CorruptRecord as error:
            if "damaged" in error.message:
                return orjson.loads(data)
            raise


@mutant("ser.cut_anywhere")
class CutIsMissing(Store[Any]):
    """Where a batch meets a value that was cut, it leaves it out."""

    async def entries(self, keys: Any, **options: Any) -> Any:
        """Read one by one."""
        found: dict[str, Any] = {}
        for key in keys:
            try:
                found |= await super().entries([key], **options)
            except CorruptRecord:
                continue
        return found


@mutant("ser.cut_anywhere")
class ReadsFirstOfTwo(JSONSerializer):
    """What follows a whole value is not looked at."""

    def loads(self, data: bytes) -> object:
        """Deserialize the first half, if both are the same."""
        half = len(data) // 2
        return super().loads(data[:half] if half > 10 and data[:half] == data[half:] else data)


@mutant("rt.former_records")
class UpdateNeedsSchema(Store[Any]):
    """A record that tells no schema cannot be updated."""

    async def update(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Look first."""
        entry = await self.entry(key)
        if entry is not None and entry.schema is None and self._access.codec.shape.schema is not None:
            raise CorruptRecord("the schema is unknown", collection=self.collection, key=key)
        return await super().update(key, *arguments, **options)
