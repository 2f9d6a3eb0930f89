"""Mutants made from bugs that real stores had with names: of keys, of collections, of namespaces."""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from daystore.abc import (
    ANY,
    EVENTUAL,
    Compare,
    Consistency,
    Delete,
    Instant,
    Op,
    Outcome,
    Put,
    Record,
    WriteBatch,
)
from daystore.abc.evaluate import field_of
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import InvalidKey, VersionConflict
from daystore_compliance.mutants.base import Stepwise, mutant
from daystore_compliance.mutants.lifecycle import SharedStorage


@mutant("key.families[format]", bugs=["apache/jclouds#JCLOUDS-1299"])
class ListsUnquoted(Stepwise):
    """A query takes the keys that it returns for encoded ones."""

    def shown(self, record: Record) -> Record:
        """Decode the key once more."""
        return replace(super().shown(record), key=unquote(record.key))


@mutant("rt.envelope_all_paths", bugs=["run-llama/llama_index#13201"])
class ListsKeysAsBytes(Stepwise):
    """A query returns keys as bytes, reading as text."""

    def shown(self, record: Record) -> Record:
        """Leave the key encoded."""
        return replace(super().shown(record), key=record.key.encode())  # type: ignore[arg-type]


@mutant("key.trailing_space", bugs=["cerbos/query-plan-adapters#436"])
class PaddedEquality(Stepwise):
    """Equality ignores trailing blanks, in keys and in fields."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Judge equality of text without them."""
        found = field_of(record, compare.field)
        if compare.op is Op.EQ and isinstance(found, str) and isinstance(compare.value, str):
            return found.rstrip(" ") == compare.value.rstrip(" ")
        return super().compare(compare, record)


@mutant("key.normalization", bugs=["dapr/components-contrib#4365"])
class MatchesBySpelling(MemoryAdapter):
    """Rows of a batch are matched to the keys asked by their canonical spelling; the others are missing."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        if len(keys) == 1:
            return found
        canonical = [unicodedata.normalize("NFC", key) for key in keys]
        return [r if key == c else None for r, key, c in zip(found, keys, canonical, strict=True)]


@mutant("key.long", bugs=["strawgate/py-key-value#278"])
class HashesAtTheLimit(MemoryAdapter):
    """A key of exactly the longest length is hashed when it is written, and not when it is read."""

    longest = 256

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        hashed = WriteBatch((), batch.atomic, batch.queries)
        hashed.operations = [
            replace(o, key=hashlib.sha256(o.key.encode()).hexdigest())
            if len(o.key.encode()) == self.longest
            else o
            for o in batch.operations
        ]
        return await super()._write(hashed)


@mutant("key.type", bugs=["langchain-ai/langgraph#6240"])
class TakesNoneForKey(MemoryAdapter):
    """None is taken for a key when it is written, and fails every query from then on."""

    async def set(self, collection: str, key: Any, value: bytes, **options: Any) -> str:
        """Write without a check."""
        if key is not None:
            return await super().set(collection, key, value, **options)
        put = Put(collection, "none", value)
        put.__setattr__("key", None)
        await self._write(WriteBatch((put,)))
        return put.version


@mutant("key.empty", "key.too_long", bugs=["langchain-ai/langgraph#7575"])
class DeletesAnyName(MemoryAdapter):
    """Deleting checks no key: what cannot have been written is merely missing."""

    async def delete(self, collection: str, key: str, **options: Any) -> bool:
        """Delete, whatever the name."""
        try:
            return await super().delete(collection, key, **options)
        except InvalidKey:
            return False

    async def delete_batch(self, collection: str, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Delete those that can be there."""
        wanted = [key for key in keys if type(key) is not str or 0 < len(key.encode(errors="replace")) <= 256]
        return await super().delete_batch(collection, wanted, atomic=atomic)


@mutant("key.other_places", bugs=["strands-agents/harness-sdk#680"])
class EscapesItsCollection(MemoryAdapter):
    """A key that climbs out of its collection lies in the one that it names."""

    def _home(self, collection: str, key: str) -> tuple[str, str]:
        parts = key.split("/")
        return (
            (parts[1], parts[2]) if len(parts) == 3 and parts[0] == ".." and parts[2] else (collection, key)
        )

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        return super()._find(*self._home(collection, key), now)

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        collection, key = self._home(operation.collection, operation.key)
        return super()._apply(replace(operation, collection=collection, key=key), now)


@mutant("key.collections_distinct", bugs=["unjs/unstorage#654"])
class BatchesUnprefixed(MemoryAdapter):
    """get_batch is bound to the whole namespace, not to the collection."""

    async def get_batch(
        self, collection: str, keys: Iterable[str], consistency: Consistency = EVENTUAL
    ) -> dict[str, Record]:
        """Read from whatever collection has the key."""
        wanted = list(keys)
        found: dict[str, Record] = {}
        for name in self._collections:
            found |= await super().get_batch(name, wanted, consistency)
        return {key: found[key] for key in dict.fromkeys(wanted) if key in found}


@mutant("key.at_once", bugs=["aio-libs/aiocache#520"])
class LocksWithoutCollection(MemoryAdapter):
    """The lock of a record is named by its key alone: the same key elsewhere is busy, too."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        busy = self.__dict__.setdefault("_busy", {})
        for index, operation in enumerate(batch.operations):
            holder = busy.get(operation.key, operation.collection)
            if holder != operation.collection and operation.expect is not ANY:
                raise VersionConflict(
                    key=operation.key, collection=operation.collection, current=None, index=index
                )
        mine = {operation.key: operation.collection for operation in batch.operations}
        busy.update(mine)
        await asyncio.sleep(0)
        try:
            return await super()._write(batch)
        finally:
            for key in mine:
                busy.pop(key, None)


class Joined(SharedStorage):
    """Keeps namespace, collection and key in one name. Base of mutants, and none itself."""

    separator = ":"

    def place(self) -> str:
        """Keep everything together."""
        return ""

    def _path(self, collection: str) -> str:
        return f"{self.namespace}{self.separator}{collection}{self.separator}"

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        found = super()._find("all", self._path(collection) + key, now)
        return None if found is None else replace(found, key=key)

    def _live(self, collection: str) -> Iterator[Record]:
        path, now = self._path(collection), self.clock()
        for name, record in self._collections.get("all", {}).items():
            if name.startswith(path) and record.is_alive(now):
                yield replace(record, key=name.removeprefix(path))

    def _sweep(self, now: Instant) -> None:
        """Keep what has expired: it is seen by nobody."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        written = self._collections.get(operation.collection, {}).pop(operation.key, None)
        name = self._path(operation.collection) + operation.key
        everything = self._collections.setdefault("all", {})
        if isinstance(operation, Delete):
            everything.pop(name, None)
        elif written is not None:
            everything[name] = written
        return outcome


@mutant("ns.joined", bugs=["jaredwray/keyv#2147"])
class JoinsByColon(Joined):
    """Namespace, collection and key are joined by colons that no name escapes."""


@mutant("ns.same_histories", bugs=["redis-developer/langgraph-redis#187"])
class SharesDeadlines(SharedStorage):
    """Deadlines are kept beside the records, by collection and key alone: all namespaces share them."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        place: Any = self.clock
        deadlines = place.__dict__.setdefault("deadlines", {})
        outcome = super()._apply(operation, now)
        if isinstance(operation, Put):
            record = self._collections[operation.collection][operation.key]
            deadlines[operation.collection, operation.key] = record.expires_at
        return outcome

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        place: Any = self.clock
        found = super()._find(collection, key, now)
        deadline = place.__dict__.get("deadlines", {}).get((collection, key))
        return None if deadline is not None and deadline <= now else found
