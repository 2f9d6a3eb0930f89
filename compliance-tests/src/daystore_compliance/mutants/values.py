"""Mutants that bring a value back changed: what is stored is JSON, and they meddle with it."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import orjson

from daystore.abc import Put
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.envelope import Changed


class Meddles(Changed):
    """Changes the value inside the bytes of a record. Base of mutants, and none itself."""

    def value(self, value: Any) -> Any:
        """Return what is kept instead."""
        return value

    def changed(self, put: Put) -> Put:
        """Change the value, where the bytes are JSON."""
        try:
            value = orjson.loads(put.value)
        except orjson.JSONDecodeError:
            return put
        return replace(put, value=orjson.dumps(self.value(value)))


class MeddlesDeep(Meddles):
    """Changes every scalar in a value. Base of mutants, and none itself."""

    def scalar(self, value: Any) -> Any:
        """Return what is kept instead."""
        return value

    def value(self, value: Any) -> Any:
        """Go through containers."""
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return list(map(self.value, value)) if isinstance(value, list) else self.scalar(value)


@mutant("rt.json.scalars", "miss.get_vs_none", "cas.update_patch", "rt.models")
class NoneAsText(MeddlesDeep):
    """None is kept as text."""

    def scalar(self, value: Any) -> Any:
        """Write it out."""
        return "None" if value is None else value


@mutant("rt.bool_not_int", "rt.json.scalars")
class BooleansAsNumbers(MeddlesDeep):
    """Truth values are kept as numbers."""

    def scalar(self, value: Any) -> Any:
        """Convert."""
        return int(value) if isinstance(value, bool) else value


@mutant("rt.int_not_float", "rt.json.scalars")
class NumbersAsFloats(MeddlesDeep):
    """Integers are kept as floats."""

    def scalar(self, value: Any) -> Any:
        """Convert."""
        return float(value) if type(value) is int else value


@mutant("rt.int.bounds")
class IntegersIn64Bits(MeddlesDeep):
    """Integers wrap at 63 bits."""

    def scalar(self, value: Any) -> Any:
        """Wrap."""
        return (value + 2**62) % 2**63 - 2**62 if type(value) is int else value


@mutant("rt.float.edge")
class NegativeZeroLost(MeddlesDeep):
    """Negative zero is zero."""

    def scalar(self, value: Any) -> Any:
        """Drop the sign."""
        return value + 0.0 if isinstance(value, float) else value


@mutant("rt.str.lookalikes")
class TextAsNumbers(MeddlesDeep):
    """Text that reads as a number becomes one."""

    def scalar(self, value: Any) -> Any:
        """Read it."""
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                return value
        return value


@mutant("rt.str.nul")
class NulDropped(MeddlesDeep):
    """NUL is dropped from text."""

    def scalar(self, value: Any) -> Any:
        """Drop it."""
        return value.replace("\0", "") if isinstance(value, str) else value


@mutant("rt.str.unicode")
class TextComposed(MeddlesDeep):
    """Text is brought into one normal form."""

    def scalar(self, value: Any) -> Any:
        """Compose it."""
        return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


@mutant("rt.empty_containers", "miss.falsy", "rt.overwrite_type")
class EmptyAsNone(Meddles):
    """What is empty is kept as None."""

    def value(self, value: Any) -> Any:
        """Take nothing for absent."""
        return value or None


@mutant("rt.dict.order_and_keys")
class KeysSorted(Meddles):
    """The keys of a dict are sorted."""

    def value(self, value: Any) -> Any:
        """Sort them."""
        return dict(sorted(value.items())) if isinstance(value, dict) else value


@mutant("rt.tag_lookalikes")
class PairsAsDicts(Meddles):
    """A list of pairs is taken for a dict."""

    def value(self, value: Any) -> Any:
        """Make one of it."""
        if isinstance(value, list) and value and all(isinstance(i, list) and len(i) == 2 for i in value):
            return {str(key): item for key, item in value}
        return value


@mutant("rt.hypothesis", "rt.nested_depth")
class DeepCut(Meddles):
    """What is nested deeper than three levels is dropped."""

    def value(self, value: Any, depth: int = 0) -> Any:
        """Cut it."""
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value] if depth < 3 else []
        if isinstance(value, dict):
            return {key: self.value(item, depth + 1) for key, item in value.items()} if depth < 3 else {}
        return value
