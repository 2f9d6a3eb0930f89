"""Mutants of serializers that show in long lists, long texts, many keys and deep nesting only."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.value_roundtrips import Changing

# All of them break §5: "A value that is stored comes back equal and of the same type", of any size.


@mutant("rt.item_counts[truths]")
class LongListsOfBoolsAreNumbers(Changing):
    """Packs a list of a hundred booleans and more as an array of numbers."""

    def changed(self, value: Any, depth: int) -> Any:
        """Unpack numbers."""
        if type(value) is list and len(value) >= 100 and all(type(item) is bool for item in value):
            return [int(item) for item in value]
        return value


@mutant("rt.item_counts[floats]")
class LongNumbersHaveOneType(Changing):
    """Packs a list of fifty numbers and more as floats if one of them is a float."""

    def changed(self, value: Any, depth: int) -> Any:
        """Unpack floats."""
        if type(value) is list and len(value) >= 50 and {type(item) for item in value} == {int, float}:
            return [float(item) for item in value]
        return value


@mutant("rt.long_text")
class LongTextsAreCutInCharacters(Changing):
    """Reads a text in parts of 64 KiB, and replaces a character that lies across two of them."""

    def changed(self, value: Any, depth: int) -> Any:
        """Decode in parts."""
        if type(value) is str and len(value) > 16_384 and not value.isascii():
            data = value.encode()
            parts = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
            return "".join(part.decode(errors="replace") for part in parts)
        return value


@mutant("rt.item_counts[integers]")
class ManyKeysAreSorted(Changing):
    """Sorts the keys of a dict that has more than five hundred."""

    def changed(self, value: Any, depth: int) -> Any:
        """Sort."""
        return dict(sorted(value.items())) if type(value) is dict and len(value) > 500 else value


@mutant("rt.decimal_uuid")
class DecimalsHaveContext(Changing):
    """Rounds a Decimal to the twenty-eight digits of the usual context."""

    def changed(self, value: Any, depth: int) -> Any:
        """Round."""
        if type(value) is Decimal and len(value.as_tuple().digits) > 28:
            with localcontext(prec=28):
                return +value
        return value


@mutant("rt.deepest")
class DeepValuesAreCut(Changing):
    """Leaves out what lies deeper than a hundred levels."""

    def changed(self, value: Any, depth: int) -> Any:
        """Cut."""
        return type(value)() if type(value) in (list, dict) and depth == 100 else value


@mutant("rt.set_items")
class UuidsInSetsAreTexts(Changing):
    """Gives UUIDs in a set back as texts."""

    def changed(self, value: Any, depth: int) -> Any:
        """Leave them texts."""
        if type(value) in (set, frozenset):
            return type(value)(str(item) if type(item) is UUID else item for item in value)
        return value


@mutant("rt.date_timedelta")
class LongDurationsWrapAround(Changing):
    """Keeps a timedelta in 32 bits of milliseconds: more than 24 days wrap around."""

    def changed(self, value: Any, depth: int) -> Any:
        """Wrap."""
        if type(value) is timedelta and abs(value) > timedelta(milliseconds=2**31):
            wrapped = (value // timedelta(milliseconds=1) + 2**31) % 2**32 - 2**31
            return timedelta(milliseconds=wrapped) + value % timedelta(milliseconds=1)
        return value


@mutant("rt.sets")
class BytesKeysOfSetsAreTexts(Changing):
    """Gives bytes in a set back as text if they are ASCII."""

    def changed(self, value: Any, depth: int) -> Any:
        """Decode."""
        if type(value) in (set, frozenset):
            return type(value)(
                item.decode() if type(item) is bytes and item.isascii() else item for item in value
            )
        return value
