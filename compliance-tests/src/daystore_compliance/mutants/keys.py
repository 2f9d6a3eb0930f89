"""Mutants that take keys for something else than themselves."""

from __future__ import annotations

import fnmatch
import posixpath
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from daystore.abc import EVENTUAL, Consistency, Delete, Instant, Outcome, Put, Query, Record, WriteBatch
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import Stepwise, mutant


class Respelt(MemoryAdapter):
    """Keeps every record under another spelling of its key. Base of mutants, and none itself."""

    def spelt(self, key: str) -> str:
        """Return what becomes of a key."""
        return key

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        return await super()._read(collection, [self.spelt(key) for key in keys], consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        respelt = WriteBatch((), batch.atomic, batch.queries)
        respelt.operations = [replace(o, key=self.spelt(o.key) or "_") for o in batch.operations]
        return await super()._write(respelt)


@mutant("key.case", "key.families[siblings]")
class Casefolded(Respelt):
    """Keys are compared without regard to case."""

    def spelt(self, key: str) -> str:
        """Fold the case."""
        return key.casefold()


@mutant("key.whitespace")
class Stripped(Respelt):
    """White space around a key is dropped."""

    def spelt(self, key: str) -> str:
        """Strip it."""
        return key.strip()


@mutant("key.trailing_space")
class Padded(Respelt):
    """Trailing blanks of a key do not count, as under a PAD SPACE collation."""

    def spelt(self, key: str) -> str:
        """Drop them."""
        return key.rstrip(" ")


@mutant("key.normalization")
class Normalized(Respelt):
    """Keys are brought into one normal form of Unicode."""

    def spelt(self, key: str) -> str:
        """Compose it."""
        return unicodedata.normalize("NFC", key)


@mutant("key.nul_and_control")
class CutAtNul(Respelt):
    """A key ends at its first NUL."""

    def spelt(self, key: str) -> str:
        """Cut it."""
        return key.partition("\0")[0]


@mutant("key.long")
class CutAt255(Respelt):
    """Keys are cut at 255 bytes."""

    def spelt(self, key: str) -> str:
        """Cut it."""
        return key.encode()[:255].decode(errors="ignore")


@mutant("key.pathlike")
class Resolved(Respelt):
    """Keys are resolved like paths."""

    def spelt(self, key: str) -> str:
        """Resolve it."""
        return posixpath.normpath(key)


@mutant("key.families[format]")
class Unquoted(Respelt):
    """Escapes in a key are decoded as in a URL."""

    def spelt(self, key: str) -> str:
        """Decode it."""
        return unquote(key)


@mutant("key.numeric_strings")
class Numbers(Respelt):
    """A key that reads as a number becomes that number."""

    def spelt(self, key: str) -> str:
        """Read it."""
        try:
            return str(int(key))
        except ValueError:
            return key


@mutant("key.astral")
class BasicPlane(Respelt):
    """Characters beyond the basic plane are replaced."""

    def spelt(self, key: str) -> str:
        """Replace them."""
        return re.sub("[\U00010000-\U0010ffff]", "\ufffd", key)


@mutant("key.families[delimiter]")
class SplitTwice(Respelt):
    """Of a key with several separators only the first two parts are kept."""

    def spelt(self, key: str) -> str:
        """Split it."""
        return "||".join(key.split("||")[:2])


@mutant("key.astral_order")
class Utf16Order(Stepwise):
    """Keys come in the order of their UTF-16 units."""

    def ordered(self, records: Any, query: Query) -> list[Record]:
        """Put records in the wrong order."""
        ordered = super().ordered(records, query)
        if query.order.field == "key":
            ordered.sort(key=lambda r: r.key.encode("utf-16-be"), reverse=query.order.descending)
        return ordered


@mutant("miss.point_read_exact", "key.families[like]")
class ReadByLike(MemoryAdapter):
    """A key is read with LIKE, where it matches others."""

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        found = super()._find(collection, key, now)
        if found is None and ("_" in key or "%" in key):
            pattern = re.escape(key).replace("_", ".").replace("%", ".*")
            for other in self._collections.get(collection, {}):
                if re.fullmatch(pattern, other, re.DOTALL):
                    return super()._find(collection, other, now)
        return found


@mutant("miss.point_read_exact", "key.pathlike")
class ReadDescends(MemoryAdapter):
    """A missing key is answered with the first record below it."""

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        found = super()._find(collection, key, now)
        below = sorted(k for k in self._collections.get(collection, {}) if k.startswith(key + "/"))
        return super()._find(collection, below[0], now) if found is None and below else found


@mutant("del.only_exact[siblings]")
class DeletesPrefix(MemoryAdapter):
    """Delete takes every record whose key begins like that."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Delete):
            records = self._collections.get(operation.collection, {})
            for key in [key for key in records if key.startswith(operation.key)]:
                del records[key]
        return outcome


@mutant("batch.delete_literal[glob]", "del.only_exact[glob]")
class DeletesGlob(MemoryAdapter):
    """Delete takes its key for a pattern."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Delete):
            records = self._collections.get(operation.collection, {})
            for key in fnmatch.filter(list(records), operation.key):
                del records[key]
        return outcome


@mutant("batch.delete_literal[format]")
class DeletesDecoded(MemoryAdapter):
    """Delete decodes its key once more than put does, and misses it."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Delete) and "%" in operation.key:
            decoded = unquote(operation.key)
            if decoded != operation.key:
                return Outcome(None, existed=True)
        return super()._apply(operation, now)


@mutant("del.other_collections", "key.collections_distinct")
class DeletesEverywhere(MemoryAdapter):
    """Delete takes the records of that key from every collection."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Delete):
            for records in self._collections.values():
                records.pop(operation.key, None)
        return outcome


@mutant("key.collections_distinct", "batch.bad_value")
class OneCollection(MemoryAdapter):
    """The collection is no part of what a record is kept under."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        return await super()._read("all", keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        merged = WriteBatch((), batch.atomic, batch.queries)
        merged.operations = [replace(o, collection="all") for o in batch.operations]
        return await super()._write(merged)


@mutant("q.other_collections", "key.collections_distinct")
class CollectionByPrefix(MemoryAdapter):
    """A query looks into every collection whose name begins like its own."""

    def _live(self, collection: str) -> Any:
        now = self.clock()
        for name, records in self._collections.items():
            if name.startswith(collection):
                yield from (r for r in records.values() if r.is_alive(now))


@mutant(
    "key.empty", "key.too_long", "key.lone_surrogate", "key.type", "key.collection_names", "key.store_refuses"
)
class ReadsAnything(MemoryAdapter):
    """Reading checks no key and no collection: what is outside the rules is merely missing."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read without a check."""
        return await self._read(collection, keys, consistency)


@mutant("key.bytes_not_chars")
class CountsCharacters(ReadsAnything):
    """The length of a key is counted in characters when it is read."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read with a check of characters."""
        long = [
            key for key in keys if type(key) is str and len(key) <= 256 < len(key.encode(errors="replace"))
        ]
        if long:
            return await self._read(collection, keys, consistency)
        return await MemoryAdapter.read(self, collection, keys, consistency)


@mutant("del.neighbours_untouched")
class DeleteRewrites(MemoryAdapter):
    """Delete writes the records that stay anew, as the rewriting of a list would."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Delete):
            for record in self._collections.get(operation.collection, {}).values():
                record.updated_at = now
        return outcome


@mutant("del.then_recreate")
class LeavesResidue(MemoryAdapter):
    """Delete leaves the fields behind, and a new record under the key finds them."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        residue = self.__dict__.setdefault("_residue", {})
        if isinstance(operation, Delete) and (old := self._find(operation.collection, operation.key, now)):
            residue[operation.collection, operation.key] = dict(old.fields)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and not outcome.existed:
            record = self._collections[operation.collection][operation.key]
            record.fields = {**residue.pop((operation.collection, operation.key), {}), **record.fields}
        return outcome
