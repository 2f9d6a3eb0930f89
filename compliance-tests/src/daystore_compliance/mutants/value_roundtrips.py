"""Mutants of serializers: single values that come back almost as they were."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from daystore.codec.serializers.json import JSONSerializer
from daystore_compliance.mutants.base import mutant


def deep(value: Any, change: Callable[[Any, int], Any], depth: int = 0) -> Any:
    """Apply `change` to every part of a value, the innermost first, with the number of containers around it."""
    if type(value) is list:
        value = [deep(item, change, depth + 1) for item in value]
    elif type(value) is dict:
        value = {key: deep(item, change, depth + 1) for key, item in value.items()}
    return change(value, depth)


class Changing(JSONSerializer):
    """Changes what was read. It breaks nothing."""

    def loads(self, data: bytes) -> object:
        """Deserialize, and change."""
        return deep(super().loads(data), self.changed)

    def changed(self, value: Any, depth: int) -> Any:
        """Return what a part of a value becomes."""
        return value


# All of them break §5: "A value that is stored comes back equal and of the same type."


@mutant("rt.fold_anywhere", bugs=("ijl/orjson#31", "MongoEngine/mongoengine#910"))
class MicrosecondsLoseTheirZeros(Changing):
    """Writes the microseconds of a datetime without leading zeros: 10 µs come back as 100,000 µs."""

    def changed(self, value: Any, depth: int) -> Any:
        """Read the digits as a fraction."""
        if type(value) is datetime and 0 < value.microsecond < 100_000:
            return value.replace(microsecond=int(f"{value.microsecond:<06d}"))
        return value


@mutant("rt.date_timedelta")
class NegativeSecondsTurnPositive(Changing):
    """Loses the sign of a timedelta that is negative and shorter than a second."""

    def changed(self, value: Any, depth: int) -> Any:
        """Forget the sign of minus zero seconds."""
        if type(value) is timedelta and timedelta(seconds=-1) < value < timedelta(0):
            return -value
        return value


@mutant("rt.decimal_uuid")
class DecimalExponentsAreWrittenOut(Changing):
    """Writes a Decimal without its positive exponent: ``1E+3`` comes back as ``1000``."""

    def changed(self, value: Any, depth: int) -> Any:
        """Write the zeros out."""
        if type(value) is Decimal and int(value.as_tuple().exponent) > 0:
            return Decimal(format(value, "f"))
        return value


@mutant("rt.decimal_uuid")
class DecimalZeroHasNoSign(Changing):
    """Loses the sign of a Decimal that is minus zero."""

    def changed(self, value: Any, depth: int) -> Any:
        """Drop it."""
        return abs(value) if type(value) is Decimal and value.is_zero() and value.is_signed() else value


@mutant("rt.bytes.all256")
class PaddedBytesAreTrimmed(Changing):
    """Trims the NULs at the end of bytes, as an array of fixed width does."""

    def changed(self, value: Any, depth: int) -> Any:
        """Trim."""
        return value.rstrip(b"\0") if type(value) is bytes else value


@mutant("rt.str.unicode")
class LineEndsAreTranslated(Changing):
    """Reads text in text mode: a carriage return before a line feed is gone."""

    def changed(self, value: Any, depth: int) -> Any:
        """Translate."""
        return value.replace("\r\n", "\n") if type(value) is str else value


@mutant("rt.str.unicode")
class ByteOrderMarkIsSwallowed(Changing):
    """Decodes text with a codec that takes a byte order mark off."""

    def changed(self, value: Any, depth: int) -> Any:
        """Take it off."""
        return value.removeprefix("\ufeff") if type(value) is str else value


@mutant("rt.empty_containers")
class EmptySetsVanish(Changing):
    """Leaves empty sets out of dicts, as a backend does that has none."""

    def changed(self, value: Any, depth: int) -> Any:
        """Leave them out."""
        if type(value) is dict:
            return {key: item for key, item in value.items() if item != set() or type(item) is not set}
        return value


@mutant("rt.fold_anywhere")
class FoldNeedsAZone(Changing):
    """Loses the ``fold`` of datetimes at a fixed offset."""

    def changed(self, value: Any, depth: int) -> Any:
        """Drop it."""
        if type(value) is datetime and type(value.tzinfo) is timezone and value.fold:
            return value.replace(fold=0)
        return value


@mutant("rt.datetime")
class OffsetsAreWholeMinutes(Changing):
    """Cuts the offset of a datetime to minutes; the local times of old days had seconds."""

    def changed(self, value: Any, depth: int) -> Any:
        """Cut it, and move the clock face along so that the instant stays."""
        if type(value) is datetime and type(value.tzinfo) is timezone:
            offset = value.utcoffset() or timedelta(0)
            whole = timedelta(minutes=offset // timedelta(minutes=1))
            return value.astimezone(timezone(whole)) if whole != offset else value
        return value


@mutant("rt.zone_names")
class ZoneLinksAreResolved(Changing):
    """Gives a zone the name that it has today: what was in ``US/Eastern`` comes back in ``America/New_York``."""

    LINKS = {  # noqa: RUF012 - never changed
        "US/Eastern": "America/New_York",
        "Asia/Calcutta": "Asia/Kolkata",
        "Europe/Kiev": "Europe/Kyiv",
        "Etc/UTC": "UTC",
        "GMT": "UTC",
    }

    def changed(self, value: Any, depth: int) -> Any:
        """Follow the links."""
        if type(value) is datetime and type(value.tzinfo) is ZoneInfo and value.tzinfo.key in self.LINKS:
            return value.replace(tzinfo=ZoneInfo(self.LINKS[value.tzinfo.key]))
        return value


@mutant("rt.int.bounds")
class UnsignedWrapsAround(Changing):
    """Reads integers from 2⁶³ to 2⁶⁴ as signed."""

    def changed(self, value: Any, depth: int) -> Any:
        """Wrap around."""
        return value - 2**64 if type(value) is int and 2**63 <= value < 2**64 else value


@mutant("rt.sets")
class TrueInASetIsOne(Changing):
    """Gives ``True`` and ``False`` in a set back as 1 and 0."""

    def changed(self, value: Any, depth: int) -> Any:
        """Make numbers of them."""
        if type(value) in (set, frozenset):
            return type(value)(int(item) if type(item) is bool else item for item in value)
        return value


@mutant("rt.str.lookalikes")
class DateTextsAreRevived(Changing):
    """Makes a datetime of every text that looks like one, as a hook of a JSON parser does."""

    def changed(self, value: Any, depth: int) -> Any:
        """Revive."""
        if type(value) is str and re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value
        ):
            return datetime.fromisoformat(value)
        return value


@mutant("rt.tag_lookalikes")
class DollarKeysAreUnwrapped(Changing):
    """Takes a dict whose one key begins with a dollar for a typed value, and unwraps it."""

    def changed(self, value: Any, depth: int) -> Any:
        """Unwrap."""
        if type(value) is dict and len(value) == 1:
            (key,) = value
            return value[key] if key.startswith("$") else value
        return value


@mutant("rt.tag_lookalikes")
class NumberedDictsAreLists(Changing):
    """Takes a dict with the keys ``"0"``, ``"1"`` … for a list, as PHP does."""

    def changed(self, value: Any, depth: int) -> Any:
        """Make a list."""
        if type(value) is dict and value and list(value) == [str(n) for n in range(len(value))]:
            return list(value.values())
        return value


@mutant("rt.empty_containers")
class EmptyListsInsideAreDicts(Changing):
    """Gives an empty list inside of a value back as an empty dict, as a script in Lua does."""

    def changed(self, value: Any, depth: int) -> Any:
        """Confuse them."""
        return {} if type(value) is list and not value and depth > 0 else value


@mutant("rt.str.unicode")
class AstralDictKeysAreQuestions(Changing):
    """Replaces characters beyond U+FFFF by question marks in the keys of dicts only."""

    def changed(self, value: Any, depth: int) -> Any:
        """Replace."""
        if type(value) is dict:
            return {"".join(c if c <= "\uffff" else "?" for c in key): item for key, item in value.items()}
        return value


@mutant("rt.order_everywhere")
class InnerKeysAreSorted(Changing):
    """Sorts the keys of dicts that lie in dicts that lie in lists: three levels down and deeper."""

    def changed(self, value: Any, depth: int) -> Any:
        """Sort."""
        return dict(sorted(value.items())) if type(value) is dict and depth >= 3 else value


@mutant("rt.float.edge")
class SmallestFloatsAreZero(Changing):
    """Flushes subnormal floats to zero."""

    def changed(self, value: Any, depth: int) -> Any:
        """Flush."""
        return value * 0.0 if type(value) is float and 0 < abs(value) < 2.2250738585072014e-308 else value


@mutant("rt.int_not_float")
class WholeFloatsBeyondExactAreInts(Changing):
    """Reads a float of 2⁵³ and more as an integer, for it has no point."""

    def changed(self, value: Any, depth: int) -> Any:
        """Make an integer of it."""
        return int(value) if type(value) is float and 2.0**53 <= abs(value) < 1e21 else value
