"""Mutants of names: keys, collections and namespaces that a backend spells in its own way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from daystore.abc import Clock, Compare, Consistency, Op, Record, StorageAdapter, WriteBatch
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import Stepwise, mutant
from daystore_compliance.target import MemoryTarget, Target


class _Spelled(MemoryAdapter):
    """The reference, with its keys found under another spelling. It breaks nothing."""

    def spelled(self, key: str) -> str:
        """Return the spelling under which a key is kept."""
        return key

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        return await super()._read(collection, [self.spelled(key) for key in keys], consistency)

    async def _write(self, batch: WriteBatch) -> list[object]:  # type: ignore[override]
        operations: list[Operation] = [replace(o, key=self.spelled(o.key)) for o in batch.operations]
        spelled = {(o.collection, o.key): o for o in operations}
        if len(spelled) < len(operations):
            spelled_batch = object.__new__(WriteBatch)
            spelled_batch.operations, spelled_batch.atomic = operations, batch.atomic
            spelled_batch.queries = batch.queries
            return list(await super()._write(spelled_batch))
        return list(await super()._write(replace(batch, operations=operations)))


# §4: "Distinct strings are distinct keys on every backend."
@mutant("key.long")
class LongestKeyLosesAByte(_Spelled):
    """Keeps 255 bytes of a key, as a file name has: keys of 256 bytes that end differently are one."""

    def spelled(self, key: str) -> str:
        """Cut the longest keys."""
        return key.encode()[:255].decode(errors="ignore")


# §4: "Every character means itself: […] composed and decomposed forms."
@mutant("key.normalization")
class CompatibilityFormsAreOne(_Spelled):
    """Brings keys into the form NFKC where NFC leaves them alone: a ligature is its letters."""

    def spelled(self, key: str) -> str:
        """Fold compatibility characters only."""
        compatible = unicodedata.normalize("NFKC", key)
        return compatible if unicodedata.normalize("NFC", key) == key else key


# §4: "Every character means itself: […] upper and lower case".
@mutant("key.case")
class CaseFoldsBeyondAscii(_Spelled):
    """Folds the case of letters beyond ASCII in keys: the sharp s is two s, the long s is one."""

    def spelled(self, key: str) -> str:
        """Fold what is no ASCII."""
        return "".join(c if c.isascii() else c.casefold() for c in key)


# §4: "Every character means itself": default-ignorable characters are kept.
@mutant("key.whitespace")
class ZeroWidthCharactersVanish(_Spelled):
    """Drops zero-width joiners and spaces from keys."""

    def spelled(self, key: str) -> str:
        """Drop what has no width, unless nothing else is there."""
        return "".join(c for c in key if c not in "\u200b\u200c\u200d\ufeff") or key


# §8: "`startswith` is a `str` that begins with this text, character by character", and NUL means itself.
@mutant("q.ops.matrix[startswith]", bugs=("tursodatabase/turso#6305",))
class PrefixEndsAtNul(Stepwise):
    """Ends the text of a ``startswith`` at its first NUL, as a C string does."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Cut prefixes."""
        if compare.op is Op.STARTSWITH:
            compare = replace(compare, value=str(compare.value).partition("\0")[0])
        return super().compare(compare, record)


# §1: a collection is "a named set of records in a namespace".
@mutant("key.collections_distinct", bugs=("langchain-ai/langgraph#8478", "langchain-ai/langgraphjs#2721"))
class QueriesReachLongerNames(MemoryAdapter):
    """Looks for a collection by the beginning of its name: a query of ``log`` finds what is in ``log_old``."""

    def _live(self, collection: str) -> Iterator[Record]:
        for name in list(self._collections):
            if name == collection or name.startswith(f"{collection}_"):
                yield from super()._live(name)


# §1: "Nothing in one namespace exists for another."
@mutant("ns.joined_collections", bugs=("langchain-ai/langgraphjs#2803",))
class TablesNamedWithUnderscore(MemoryTarget):
    """Joins namespace and collection with an underscore to the name of a table: two pairs can have one name."""

    name = "TablesNamedWithUnderscore"

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[str, dict[str, Record]] = {}

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an adapter whose collections are tables of a common name space."""
        adapter = self.adapter(namespace=namespace, clock=clock)
        adapter._collections = _Tables(self._tables, namespace)
        await adapter.open()
        return adapter

    def fresh(self) -> Target:
        """Return another one, without data."""
        return type(self)()

    async def raw(self, adapter: StorageAdapter) -> object:  # type: ignore[override]
        """Count the records that are kept."""
        self._storage[adapter.namespace] = dict(adapter._collections)  # type: ignore[attr-defined]
        return await super().raw(adapter)


class _Tables(dict[str, dict[str, Record]]):
    """The collections of a namespace among all tables."""

    def __init__(self, tables: dict[str, dict[str, Record]], namespace: str) -> None:
        super().__init__()
        self._tables = tables
        self._prefix = f"{namespace}_"

    def get(self, collection: str, default: object = None) -> object:  # type: ignore[override]
        """Return a table."""
        return self._tables.get(self._prefix + collection, default)

    def setdefault(self, collection: str, default: object = None) -> object:  # type: ignore[override]
        """Return a table, made if there is none."""
        table = self._tables.setdefault(self._prefix + collection, {})
        self[collection] = table
        return table
