"""Mutants of serializers that are right for few and short parts, and wrong for many and long ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal
from typing import Any

from daystore.abc import Put
from daystore.codec.serializers.json import JSONSerializer
from daystore.errors import SerializationError
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.envelope import Changed
from daystore_compliance.mutants.serializers import Rewrites


class RewritesLists(Rewrites):
    """Changes long lists. Base of mutants, and none itself."""

    def items(self, items: list[Any]) -> list[Any]:
        """Return what is written instead of a list."""
        return items

    def whole(self, value: Any) -> Any:
        """Go through containers."""
        whole = super().whole(value)
        return self.items(whole) if type(whole) is list else whole


@mutant("rt.item_counts[floats]")
class ColumnsByFirst(RewritesLists):
    """A list of 32 items or more that begins with a float is one of floats."""

    def items(self, items: list[Any]) -> list[Any]:
        """Convert the numbers."""
        if len(items) >= 32 and type(items[0]) is float:
            return [
                float(item) if type(item) in (int, bool) and abs(item) < 2**53 else item for item in items
            ]
        return items


@mutant("rt.item_counts[truths]")
class ColumnsOfTruths(RewritesLists):
    """A list of 32 items or more that begins with truth values is one of truth values and None."""

    def items(self, items: list[Any]) -> list[Any]:
        """Convert ones and zeros."""
        if len(items) >= 32 and type(items[0]) is type(items[1]) is bool:
            return [bool(item) if item == 1 and type(item) is int else item for item in items]
        return items


@mutant("rt.item_counts[integers]", "rt.many_items")
class LargeDictsSorted(Rewrites):
    """The keys of a dict with more than a thousand are sorted."""

    def whole(self, value: Any) -> Any:
        """Sort them."""
        whole = super().whole(value)
        return dict(sorted(whole.items())) if type(whole) is dict and len(whole) > 1000 else whole


@mutant("rt.item_counts[lists]")
class Wraps256(RewritesLists):
    """The length of a list is kept in a byte when all its items are lists."""

    def items(self, items: list[Any]) -> list[Any]:
        """Cut it."""
        return items[: len(items) % 256] if items and all(type(item) is list for item in items) else items


@mutant("rt.many_items")
class ListsCut(RewritesLists):
    """A list has at most 8,192 items."""

    def items(self, items: list[Any]) -> list[Any]:
        """Cut it."""
        return items[:8192]


@mutant("rt.long_text")
class DecodesBlocks(Changed):
    """What is kept as text is decoded block by block, and a character across two blocks is lost."""

    def changed(self, put: Put) -> Put:
        """Decode and encode."""
        try:
            put.value.decode()
        except UnicodeDecodeError:
            return put
        blocks = [put.value[n : n + 8192] for n in range(0, len(put.value), 8192)]
        return replace(put, value=b"".join(block.decode(errors="replace").encode() for block in blocks))


@mutant("rt.int.huge")
class DigitsLimited(JSONSerializer):
    """An integer is written in decimal digits, of which Python allows 4,300."""

    def dumps(self, value: object) -> bytes:
        """Refuse what has more."""
        if type(value) is int:
            try:
                str(value)
            except ValueError as error:
                raise SerializationError("the integer has too many digits") from error
        return super().dumps(value)


@mutant("rt.int.huge")
class DecimalsInContext(Rewrites):
    """A decimal is rounded to the digits of a context of a hundred."""

    def part(self, value: Any) -> Any:
        """Round it."""
        return Context(prec=100).plus(value) if type(value) is Decimal and value else value
