"""Mutants that let records of one place touch those of another: namespaces, collections, stores, memories."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from daystore.abc import ABSENT, KEEP, Delete, Instant, Outcome, Put, Record
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore.query.builder import QueryBuilder
from daystore.storage import Storage
from daystore.stores import MemoryStore
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.bugs_keys import Joined
from daystore_compliance.mutants.lifecycle import SharedStorage


@mutant("ns.joined")
class JoinsByNothing(Joined):
    """Namespace, collection and key are written one after the other."""

    separator = ""


@mutant("ns.joined")
class JoinsByNul(Joined):
    """Namespace, collection and key are joined by NUL, which may be in each of the outer two."""

    separator = "\0"


@mutant("ns.joined")
class JoinsBySlash(Joined):
    """Namespace, collection and key are joined like a path."""

    separator = "/"


@mutant("ns.joined")
class JoinsByBars(Joined):
    """Namespace, collection and key are joined by two bars."""

    separator = "||"


@mutant("ns.long_names")
class NamespaceCutAt63(SharedStorage):
    """Of a namespace the first 63 bytes count."""

    def place(self) -> str:
        """Cut it."""
        return self.namespace.encode()[:63].decode(errors="ignore")


class Elsewhere(MemoryAdapter):
    """Keeps each collection under another name. Base of mutants, and none itself."""

    def home(self, collection: str) -> str:
        """Return that name."""
        return collection

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        return super()._find(self.home(collection), key, now)

    def _live(self, collection: str) -> Any:
        return super()._live(self.home(collection))

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        return super()._apply(replace(operation, collection=self.home(operation.collection)), now)


@mutant("ns.long_names")
class CollectionCutAt60(Elsewhere):
    """Names of collections are cut where a database cuts those of its tables, less a prefix of three."""

    def home(self, collection: str) -> str:
        """Cut it."""
        return collection[:60]


class Beside(MemoryAdapter):
    """Looks at the same key in other collections. Base of mutants, and none itself."""

    def beside(self, operation: Operation, now: Instant) -> list[Record]:
        """Return the live records of the same key elsewhere."""
        names = [name for name in self._collections if name != operation.collection]
        return [record for name in names if (record := self._find(name, operation.key, now)) is not None]


@mutant("ns.same_histories")
class KeepsAnothersDeadline(Beside):
    """Keeping the deadline of a record takes that of its key in another collection, where it has none itself."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and operation.expires_at is KEEP:
            record = self._collections[operation.collection][operation.key]
            for other in self.beside(operation, now):
                record.expires_at = record.expires_at or other.expires_at
        return outcome


@mutant("ns.same_histories")
class CreatedElsewhere(Beside):
    """A new record was created when its key was first written in any collection."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put) and not outcome.existed:
            record = self._collections[operation.collection][operation.key]
            record.created_at = min([now, *(other.created_at for other in self.beside(operation, now))])
        return outcome


@mutant("ns.same_histories")
class SweepsByKey(MemoryAdapter):
    """The sweep deletes what has expired by its key alone, from every collection."""

    def _sweep(self, now: Instant) -> None:
        before = [(records, dict(records)) for records in self._collections.values()]
        super()._sweep(now)
        gone = {key for records, old in before for key in old if key not in records}
        for records in self._collections.values():
            for key in gone:
                records.pop(key, None)


@mutant("ns.same_histories")
class SweepsEveryNamespace(SharedStorage):
    """The sweep deletes by collection and key, whatever the namespace."""

    def _sweep(self, now: Instant) -> None:
        gone = [
            (name, key)
            for name, records in self._collections.items()
            for key, record in records.items()
            if not record.is_alive(now)
        ]
        super()._sweep(now)
        place: Any = self.clock
        for collections in place.__dict__["shared"].values():
            for name, key in gone:
                if key not in self._collections.get(name, {}):
                    collections.get(name, {}).pop(key, None)


@mutant("ns.same_histories")
class AbsentAnywhere(Beside):
    """What is to be created must be absent from every collection."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if operation.expect is ABSENT and len(self.beside(operation, now)) > 0:
            return VersionConflict(
                key=operation.key,
                collection=operation.collection,
                current=None,
                index=index,
                backend=self.name,
            )
        return super()._conflict(operation, index, now)


@mutant("ns.same_histories")
class OpeningTakesFirst(SharedStorage):
    """Opening a namespace for the first time deletes the first record of another one."""

    async def _open(self) -> None:
        place: Any = self.clock
        known = place.__dict__.get("shared", {})
        if self.namespace not in known:
            for collections in known.values():
                for records in collections.values():
                    records.pop(min(records, default=""), None)
        await super()._open()


@mutant("ns.memories")
class MemoriesByPrefix(Storage):
    """The entries of a memory are all whose key begins with its id."""

    @property
    def memories(self) -> MemoryStore[Any]:
        """Return a store that looks too far."""
        return _ByPrefix(self._backend_of("memories"), "memories")


class _ByPrefix(MemoryStore[Any]):
    def of(self, memory_id: str) -> QueryBuilder[Any]:
        return self.all().where("key", "startswith", memory_id)


@mutant("ns.memories")
class WindowsForget(Storage):
    """Of many windows each is that of the memory asked for first, if its own is shorter."""

    @property
    def memories(self) -> MemoryStore[Any]:
        """Return a store that mixes windows up."""
        return _Mixes(self._backend_of("memories"), "memories")


class _Mixes(MemoryStore[Any]):
    async def windows(self, memory_ids: Iterable[str], size: int = 20) -> dict[str, list[Any]]:
        found = await super().windows(memory_ids, size)
        first = next(iter(found.values()), [])
        return {name: window if len(window) >= len(first) else first for name, window in found.items()}


@mutant("key.other_places")
class NamesItsCollection(Elsewhere):
    """A key that names another collection before a slash is deleted there."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        name, slash, rest = operation.key.partition("/")
        if isinstance(operation, Delete) and slash and rest and name in self._collections:
            super()._apply(replace(operation, collection=name, key=rest), now)
        return super()._apply(operation, now)


@mutant("ns.same_histories")
class PrefixOfCollections(MemoryAdapter):
    """delete_batch of all keys there are clears every collection whose name begins the same."""

    async def delete_batch(self, collection: str, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Delete, and drop what is empty now, with what is called alike."""
        deleted = await super().delete_batch(collection, keys, atomic=atomic)
        if deleted > 1 and not self._collections.get(collection):
            for name, records in self._collections.items():
                if name.startswith(collection):
                    records.clear()
        return deleted


class NamespaceSpelt(SharedStorage):
    """Spells namespaces in another way. Base of mutants, and none itself."""

    def spelt(self, name: str) -> str:
        """Return what becomes of a name."""
        return name

    def place(self) -> str:
        """Spell it."""
        return self.spelt(self.namespace)


@mutant("ns.confusable")
class NamespaceUnquoted(NamespaceSpelt):
    """Escapes in a namespace are decoded."""

    def spelt(self, name: str) -> str:
        """Decode it."""
        return unquote(name)


@mutant("ns.confusable")
class NamespaceResolved(NamespaceSpelt):
    """Namespaces are resolved like paths."""

    def spelt(self, name: str) -> str:
        """Resolve it."""
        return posixpath.normpath(name)


@mutant("ns.confusable")
class NamespaceCompatible(NamespaceSpelt):
    """Namespaces are brought into the form of their compatible characters."""

    def spelt(self, name: str) -> str:
        """Normalize it."""
        return unicodedata.normalize("NFKC", name)


@mutant("ns.confusable")
class NamespaceCutAtNul(NamespaceSpelt):
    """A namespace ends at a NUL inside of it."""

    def spelt(self, name: str) -> str:
        """Cut it."""
        head, _, rest = name.partition("\0")
        return head if rest else name


@mutant("ns.confusable")
class NamespaceHashCut(NamespaceSpelt):
    """A namespace ends where the fragment of a URL begins."""

    def spelt(self, name: str) -> str:
        """Cut it."""
        return name.partition("#")[0] or name
