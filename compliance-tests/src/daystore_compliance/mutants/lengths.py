"""Mutants that do something else from some length on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daystore.abc import Put
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.bugs_keys import HashesAtTheLimit
from daystore_compliance.mutants.envelope import Changed


@mutant("key.every_length")
class HashesAt250(HashesAtTheLimit):
    """A key of exactly 250 bytes is hashed when it is written, and not when it is read."""

    longest = 250


@mutant("key.every_length")
class HashesAt191(HashesAtTheLimit):
    """A key of exactly 191 bytes is hashed when it is written, and not when it is read."""

    longest = 191


@mutant("rec.long_field_names")
class FieldNamesCut(Changed):
    """Names of fields are cut at 64 characters."""

    def changed(self, put: Put) -> Put:
        """Cut them."""
        return replace(put, fields={name[:64]: value for name, value in put.fields.items()})


@mutant("rec.many_fields")
class HundredFields(Changed):
    """Of the fields of a record the first 128 are kept."""

    def changed(self, put: Put) -> Put:
        """Drop the others."""
        return replace(put, fields=dict(list(put.fields.items())[:128]))


@mutant("rec.many_fields")
class ThousandItems(Changed):
    """Of a list in a field the first thousand items are kept."""

    def changed(self, put: Put) -> Put:
        """Drop the others."""
        fields: dict[str, Any] = {
            name: value[:1000] if isinstance(value, tuple) else value for name, value in put.fields.items()
        }
        return replace(put, fields=fields)


@mutant("rt.size_parts")
class PartsSwapped(Changed):
    """A value is kept in parts of a megabyte and a quarter, and the second comes back before the first."""

    def changed(self, put: Put) -> Put:
        """Swap them."""
        part = 5 << 18
        first, second, rest = put.value[:part], put.value[part : 2 * part], put.value[2 * part :]
        return replace(put, value=second + first + rest)


@mutant("rt.size_parts")
class LastPartLost(Changed):
    """A value is kept in parts of five megabytes, and a last part of one byte is lost."""

    def changed(self, put: Put) -> Put:
        """Drop it."""
        size = len(put.value)
        return replace(put, value=put.value[:-1]) if size > 5 << 20 and size % (5 << 20) == 1 else put
