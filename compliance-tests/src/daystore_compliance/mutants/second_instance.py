"""Mutants that remember what they saw, and do not hear of what others write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daystore.abc import (
    Aggregation,
    Compare,
    Consistency,
    GroupRow,
    Not,
    Op,
    Outcome,
    Page,
    Predicate,
    Put,
    Query,
    Record,
    WriteBatch,
)
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant


class Remembers(MemoryAdapter):
    """Forgets what it remembers when it writes itself. Base of mutants, and none itself."""

    def known(self) -> dict[Any, Any]:
        """Return what is remembered."""
        found: dict[Any, Any] = self.__dict__.setdefault("_remembered", {})
        return found

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.known().clear()
        return await super()._write(batch)


@mutant("life.second_sees_everything")
class RemembersMissing(Remembers):
    """A key that was missing once is missing until this adapter writes."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        for key, record in zip(keys, found, strict=True):
            if record is None:
                self.known()[collection, key] = True
        return [None if (collection, k) in self.known() else r for k, r in zip(keys, found, strict=True)]


@mutant("life.second_sees_everything")
class RemembersCounts(Remembers):
    """What was counted once is so many until this adapter writes."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        name = repr((query.collection, query.where))
        if name not in self.known():
            self.known()[name] = await super()._count(query, consistency)
        found: int = self.known()[name]
        return found


@mutant("life.second_sees_everything")
class RemembersPages(Remembers):
    """The page of a query with a limit is the same until this adapter writes."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        if query.limit is None:
            return await super()._query(query, consistency)
        if repr(query) not in self.known():
            self.known()[repr(query)] = await super()._query(query, consistency)
        page: Page = self.known()[repr(query)]
        return Page([record.copy() for record in page.records], page.cursor)


@mutant("life.second_sees_everything")
class RemembersSums(Remembers):
    """What was computed once is so until this adapter writes."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        name = repr((query.collection, query.where, aggregation))
        if name not in self.known():
            self.known()[name] = await super()._aggregate(query, aggregation, consistency)
        rows: list[GroupRow] = self.known()[name]
        return rows


@mutant("life.second_brings_fields[there]", "life.second_brings_fields[missing]")
class KnowsOwnFields(MemoryAdapter):
    """Which fields there are is known from this adapter's own writes: no record has any other."""

    def _own(self) -> set[str]:
        found: set[str] = self.__dict__.setdefault("_fields", set())
        return found

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        for operation in batch.operations:
            if isinstance(operation, Put):
                self._own().update(operation.fields)
        return await super()._write(batch)

    def _asked(self, where: Predicate | None) -> set[str]:
        while isinstance(where, Not):
            where = where.term
        return {where.field} if isinstance(where, Compare) and where.op is Op.EXISTS else set()

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        if self._asked(query.where) - self._own():
            return Page([])
        return await super()._query(query, consistency)
