"""Mutants that lose a corner of the envelope: what is empty, long or zero, oddly named, or written a short way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from daystore.abc import KEEP, Put
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.envelope import Changed, ChangedFields


@mutant("rec.envelope_corners")
class EmptyEncodingsLost(Changed):
    """One empty name among encodings is no encoding."""

    def changed(self, put: Put) -> Put:
        """Take nothing for absent."""
        return replace(put, encodings=() if put.encodings == ("",) else put.encodings)


@mutant("rec.envelope_corners")
class EncodingsOnce(Changed):
    """What was applied twice is kept once."""

    def changed(self, put: Put) -> Put:
        """Drop repetitions."""
        return replace(put, encodings=tuple(dict.fromkeys(put.encodings)))


@mutant("rec.envelope_corners")
class VersionZeroLost(Changed):
    """Version 0 of a schema is none."""

    def changed(self, put: Put) -> Put:
        """Take nothing for absent."""
        return replace(put, schema_version=put.schema_version or None)


@mutant("rec.envelope_corners")
class SchemaVersionIn32Bits(Changed):
    """The version of a schema wraps at 31 bits."""

    def changed(self, put: Put) -> Put:
        """Wrap it."""
        return replace(put, schema_version=put.schema_version and put.schema_version % 2**31)


@mutant("rec.envelope_corners")
class EntriesCutAt255(Changed):
    """Content type and schema are cut at 255 characters."""

    def changed(self, put: Put) -> Put:
        """Cut them."""
        schema = None if put.schema is None else put.schema[:255]
        return replace(put, content_type=put.content_type[:255], schema=schema)


@mutant("rec.envelope_corners")
class TypeFolded(Changed):
    """Content types do not regard case."""

    def changed(self, put: Put) -> Put:
        """Fold it."""
        return replace(put, content_type=put.content_type.casefold())


@mutant("rec.envelope_corners")
class FieldsWithoutSign(ChangedFields):
    """A negative zero in a field is zero."""

    def field(self, value: Any) -> Any:
        """Drop the sign."""
        return value + 0.0 if isinstance(value, float) else value


class RenamesFields(Changed):
    """Keeps fields under another spelling. Base of mutants, and none itself."""

    def renamed(self, name: str) -> str:
        """Return what becomes of a name."""
        return name

    def changed(self, put: Put) -> Put:
        """Rename every field."""
        return replace(put, fields={self.renamed(name): value for name, value in put.fields.items()})


@mutant("rec.field_name_families[whitespace]")
class FieldNamesStripped(RenamesFields):
    """White space around the name of a field is dropped."""

    def renamed(self, name: str) -> str:
        """Strip it."""
        return name.strip() or name


@mutant("rec.field_name_families[normalization]")
class FieldNamesCompatible(RenamesFields):
    """Names of fields are brought into the form of their compatible characters."""

    def renamed(self, name: str) -> str:
        """Normalize it."""
        return unicodedata.normalize("NFKC", name)


@mutant("rec.field_name_families[format]")
class FieldNamesUnquoted(RenamesFields):
    """Escapes in the name of a field are decoded."""

    def renamed(self, name: str) -> str:
        """Decode it."""
        return unquote(name)


@mutant("rec.field_name_families[control]")
class FieldNamesCutAtNul(RenamesFields):
    """The name of a field ends at its first NUL."""

    def renamed(self, name: str) -> str:
        """Cut it."""
        return name.partition("\0")[0] or name


@mutant("rec.derived_methods", "cas.stale_keeps_all")
class SetTouchesFirst(MemoryAdapter):
    """A conditional set writes the deadline before it looks at the condition."""

    async def set(self, collection: str, key: str, value: bytes, **options: Any) -> str:
        """Write in two steps."""
        record = self._find(collection, key, self.clock())
        expires = options.get("expires_at")
        if record is not None and expires is not KEEP and (options.keys() & {"if_version", "if_absent"}):
            record.expires_at = expires
        return await super().set(collection, key, value, **options)


@mutant("rec.derived_methods")
class CreatesForEver(MemoryAdapter):
    """A set that creates drops the deadline."""

    async def set(self, collection: str, key: str, value: bytes, **options: Any) -> str:
        """Write without it."""
        if options.get("if_absent"):
            options["expires_at"] = None
        return await super().set(collection, key, value, **options)


@mutant("rec.derived_methods")
class SwapsWithoutType(MemoryAdapter):
    """A set at a version leaves the content type at its default."""

    async def set(self, collection: str, key: str, value: bytes, **options: Any) -> str:
        """Write without it."""
        if options.get("if_version"):
            options.pop("content_type", None)
        return await super().set(collection, key, value, **options)


@mutant("rec.derived_methods")
class AtomicSetsWithoutType(MemoryAdapter):
    """An atomic set_batch drops content types."""

    async def set_batch(self, puts: Iterable[Put], *, atomic: bool = False) -> list[str]:
        """Write without them."""
        if atomic:
            puts = [replace(put, content_type="application/octet-stream") for put in puts]
        return await super().set_batch(puts, atomic=atomic)


@mutant("rec.derived_methods")
class AtomicDeletesCounted(MemoryAdapter):
    """An atomic delete_batch counts the keys asked for."""

    async def delete_batch(self, collection: str, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Delete, and count otherwise."""
        wanted = list(dict.fromkeys(keys))
        deleted = await super().delete_batch(collection, wanted, atomic=atomic)
        return len(wanted) if atomic and deleted else deleted
