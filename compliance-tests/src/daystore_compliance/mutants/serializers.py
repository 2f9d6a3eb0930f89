"""Mutants that write a value which is not the value."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from daystore.codec.serializers.json import JSONSerializer
from daystore.errors import CorruptRecord
from daystore_compliance.mutants.base import mutant


class Rewrites(JSONSerializer):
    """Changes what is in a value before it is written. Base of mutants, and none itself."""

    def part(self, value: Any) -> Any:
        """Return what is written instead of a part that is no container."""
        return value

    def whole(self, value: Any) -> Any:
        """Go through containers."""
        if type(value) is dict:
            return {key: self.whole(item) for key, item in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(map(self.whole, value))
        return self.part(value)

    def dumps(self, value: object) -> bytes:
        """Serialize something else."""
        return super().dumps(self.whole(value))


@mutant("rt.bytes.all256", "rt.bytes.invalid_utf8")
class BytesThroughText(Rewrites):
    """Bytes pass through text."""

    def part(self, value: Any) -> Any:
        """Decode and encode."""
        return value.decode(errors="replace").encode() if type(value) is bytes else value


@mutant("rt.bytes.invalid_utf8")
class BytesThatAreText(Rewrites):
    """Bytes that are text become it."""

    def part(self, value: Any) -> Any:
        """Decode what can be decoded."""
        if type(value) is bytes:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        return value


@mutant("rt.float.nonfinite")
class NonfiniteAsNull(Rewrites):
    """What is not finite is written as null."""

    def part(self, value: Any) -> Any:
        """Drop it."""
        return None if isinstance(value, (float, Decimal)) and not isfinite(value) else value


@mutant("rt.str.lone_surrogate")
class SurrogatesReplaced(Rewrites):
    """Half of a surrogate pair is written as a question mark."""

    def part(self, value: Any) -> Any:
        """Replace it."""
        return value.encode(errors="replace").decode() if type(value) is str else value

    def whole(self, value: Any) -> Any:
        """Replace it in keys, too."""
        if type(value) is dict:
            return {self.part(key): self.whole(item) for key, item in value.items()}
        return super().whole(value)


@mutant("rt.dict.order_and_keys")
class KeysAsText(Rewrites):
    """Keys of dicts that are no text become it."""

    def whole(self, value: Any) -> Any:
        """Convert them."""
        if type(value) is dict:
            return {str(key): self.whole(item) for key, item in value.items()}
        return super().whole(value)


@mutant("rt.datetime", "rt.dataclasses", "rt.hypothesis")
class DatetimesInUtc(Rewrites):
    """Datetimes are written in UTC, to the millisecond."""

    def part(self, value: Any) -> Any:
        """Convert them."""
        if type(value) is datetime and value.tzinfo is not None:
            return value.replace(microsecond=value.microsecond // 1000 * 1000).astimezone(UTC)
        return value


@mutant("rt.date_timedelta")
class DatesAsText(Rewrites):
    """Dates are written as text."""

    def part(self, value: Any) -> Any:
        """Convert them."""
        return value.isoformat() if type(value) is date else value


@mutant("rt.decimal_uuid")
class DecimalsAsFloats(Rewrites):
    """Decimals are written as floats."""

    def part(self, value: Any) -> Any:
        """Convert them."""
        return float(value) if type(value) is Decimal else value


@mutant("rt.decimal_uuid")
class UuidsAsText(Rewrites):
    """UUIDs are written as text."""

    def part(self, value: Any) -> Any:
        """Convert them."""
        return str(value) if type(value) is UUID else value


@mutant("rt.sets")
class SetsAsLists(Rewrites):
    """Sets are written as lists."""

    def whole(self, value: Any) -> Any:
        """Convert them."""
        if type(value) in (set, frozenset):
            return [self.whole(item) for item in value]
        return super().whole(value)


@mutant("rt.tuple_is_list", "rt.hypothesis")
class SinglesUnpacked(Rewrites):
    """A list of one is written as the one."""

    def whole(self, value: Any) -> Any:
        """Unpack it."""
        if type(value) in (list, tuple) and len(value) == 1:
            return self.whole(value[0])
        return super().whole(value)


@mutant("rt.unknown_types", "batch.bad_value")
class UnknownAsText(Rewrites):
    """What is of no known type is written as its text."""

    def part(self, value: Any) -> Any:
        """Convert it."""
        known = (str, bytes, int, float, bool, type(None), datetime, date, Decimal, UUID)
        return value if isinstance(value, known) else repr(value)


@mutant("rt.subclasses")
class SubclassesPlain(Rewrites):
    """Subclasses are written as what they derive from."""

    def part(self, value: Any) -> Any:
        """Make it plain."""
        kinds: tuple[Any, ...] = (str, int, float, bytes, list, dict, tuple)
        for kind in kinds:
            if isinstance(value, kind) and not isinstance(value, bool):
                return kind(value)
        return value


@mutant("rt.values_untouched")
class EmptiesValues(JSONSerializer):
    """Writing a dict empties what it held."""

    def dumps(self, value: object) -> bytes:
        """Serialize, and clear."""
        data = super().dumps(value)
        if type(value) is dict:
            value.clear()
        return data


@mutant("rt.no_alias_nested")
class Memoizes(JSONSerializer):
    """What was read once is handed out again."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[bytes, object] = {}

    def loads(self, data: bytes) -> object:
        """Deserialize once."""
        if data not in self._known:
            self._known[data] = super().loads(data)
        return self._known[data]


@mutant("rt.generic_models", "rt.models", "rt.subclass_fields")
class EmptiesDicts(JSONSerializer):
    """A dict is written empty."""

    def dumps(self, value: object) -> bytes:
        """Serialize nothing of it."""
        return super().dumps({} if type(value) is dict else value)


@mutant("ser.corrupt_value", "err.no_data_in_messages")
class DamageAsNone(JSONSerializer):
    """Bytes that cannot be read are read as None."""

    def loads(self, data: bytes) -> object:
        """Deserialize what can be."""
        try:
            return super().loads(data)
        except CorruptRecord:
            return None


@mutant("err.no_data_in_messages", "ser.corrupt_value")
class QuotesDamage(JSONSerializer):
    """What cannot be read is quoted in the error."""

    def loads(self, data: bytes) -> object:
        """Deserialize, or quote."""
        try:
            return super().loads(data)
        except CorruptRecord:
            raise CorruptRecord(f"cannot read {data!r}: a-secret-text?") from None


@mutant("sec.unpickle")
class Unpickles(JSONSerializer):
    """What is no JSON is unpickled."""

    def loads(self, data: bytes) -> object:
        """Deserialize by what the bytes look like."""
        if data[:1] == b"\x80":
            return pickle.loads(data)  # noqa: S301 -- the mistake
        return super().loads(data)
