"""One collection as a case sees it: short ways to write, to find, and to see everything that is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from daystore.abc import (
    Aggregate,
    Aggregation,
    Check,
    CheckQuery,
    Delete,
    FieldValue,
    GroupRow,
    Order,
    Outcome,
    Page,
    Predicate,
    Put,
    Query,
    Record,
    StorageAdapter,
    Version,
    WriteBatch,
)
from daystore_compliance.checks import assert_same_record, assert_same_records

__all__ = ["Records"]

FILLED: Final = 2_500
"""Records that are written at once where it does not matter."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one collection.

    Attributes:
        adapter: Through which they are written and read.
        reader: Through which `state` reads them: another adapter on the same data where there can be one.
        name: Name of the collection.
    """

    adapter: StorageAdapter
    reader: StorageAdapter
    name: str

    def through(self, adapter: StorageAdapter) -> Records:
        """Return the same collection, written and read through another adapter."""
        return Records(adapter, adapter, self.name)

    # --- Writing -------------------------------------------------------------------------------------------

    async def put(self, key: str, value: bytes = b"value", **options: Any) -> Version:
        """Write one record; options as those of `StorageAdapter.set`."""
        return await self.adapter.set(self.name, key, value, **options)

    async def fill(self, rows: Mapping[str, Mapping[str, FieldValue]] | Iterable[str]) -> None:
        """Write many records in batches: fields by key, or keys alone. The value of each is its key."""
        fields = rows if isinstance(rows, Mapping) else {key: {} for key in rows}
        puts = [self.a_put(key, fields=row) for key, row in fields.items()]
        for at in range(0, len(puts), FILLED):  # each within the time limit
            await self.adapter.set_batch(puts[at : at + FILLED])

    def a_put(self, key: str, value: bytes | None = None, **options: Any) -> Put:
        """Make a `Put` into this collection; without a value, its key is its value."""
        return Put(self.name, key, key.encode() if value is None else value, **options)

    def a_delete(self, key: str, **options: Any) -> Delete:
        """Make a `Delete` from this collection."""
        return Delete(self.name, key, **options)

    def a_check(self, key: str, expect: Any) -> Check:
        """Make a `Check` of this collection."""
        return Check(self.name, key, expect)

    async def write(
        self, *operations: Put | Delete | Check, atomic: bool = False, queries: Iterable[CheckQuery] = ()
    ) -> list[Outcome]:
        """Write a batch."""
        return await self.adapter.write(WriteBatch(operations, atomic=atomic, queries=list(queries)))

    async def delete(self, key: str, *, if_version: Version | None = None) -> bool:
        """Delete one record."""
        return await self.adapter.delete(self.name, key, if_version=if_version)

    # --- Reading -------------------------------------------------------------------------------------------

    async def get(self, key: str) -> Record | None:
        """Read one record."""
        return await self.adapter.get(self.name, key)

    async def must_get(self, key: str) -> Record:
        """Read one record that has to be there."""
        record = await self.get(key)
        assert record is not None, "a record that was written is missing"
        return record

    async def value(self, key: str) -> bytes | None:
        """Read the bytes of one record."""
        record = await self.get(key)
        return None if record is None else record.value

    async def read(self, *keys: str) -> list[Record | None]:
        """Read many records."""
        return await self.adapter.read(self.name, keys)

    def query(self, where: Predicate | None = None, by: str | Order = "key", **options: Any) -> Query:
        """Make a query of this collection; options as those of `Query`."""
        order = by if isinstance(by, Order) else Order(by)
        return Query(self.name, where, order=order, **options)

    async def page(self, where: Predicate | None = None, by: str | Order = "key", **options: Any) -> Page:
        """Run a query."""
        return await self.adapter.query(self.query(where, by, **options))

    async def keys(
        self, where: Predicate | None = None, by: str | Order = "key", **options: Any
    ) -> list[str]:
        """Run a query, return the keys it found."""
        return [record.key for record in (await self.page(where, by, **options)).records]

    async def count(self, where: Predicate | None = None) -> int:
        """Count what a query finds."""
        return await self.adapter.count(self.query(where))

    async def aggregate(
        self, functions: Mapping[str, Aggregate], group_by: Iterable[str] = (), where: Predicate | None = None
    ) -> list[GroupRow]:
        """Compute over what a query finds."""
        return await self.adapter.aggregate(self.query(where), Aggregation(functions, tuple(group_by)))

    async def walk(
        self, limit: int, where: Predicate | None = None, by: str | Order = "key"
    ) -> list[list[str]]:
        """Page through a query by cursor to its end, and return the keys page by page.

        A cursor that stands still fails here instead of running for ever.
        """
        pages: list[list[str]] = []
        cursor = None
        bound = await self.count(where) // limit + 2
        while True:
            page = await self.page(where, by, limit=limit, cursor=cursor)
            assert len(page.records) <= limit, "a page has more records than were asked for"
            pages.append([record.key for record in page.records])
            if page.cursor is None:
                return pages
            assert len(pages) <= bound, "paging does not come to an end"
            cursor = page.cursor

    # --- Everything ----------------------------------------------------------------------------------------

    async def state(self, *known: str) -> dict[str, Record]:
        """Return all live records by key, in the order of keys, having seen the same on every path.

        Args:
            known: Keys to look at by name. A backend without queries is seen through these alone.
        """
        adapter = self.reader
        if adapter.coordinator is not None:
            await adapter.coordinator.clear(
                self.name
            )  # what is half-way is found on one path and not on another
        by_name = await adapter.get_batch(self.name, known)
        if not adapter.capabilities.query:
            return dict(sorted(by_name.items()))
        listed = (await adapter.query(Query(self.name))).records
        found = {record.key: record for record in listed}
        assert list(found) == sorted(found), "a query returns keys twice, or not in the order of keys"
        for key in known:
            assert (key in by_name) == (key in found), "reading by key and querying disagree on what exists"
        assert await adapter.count(Query(self.name)) == len(listed), "count and query disagree"
        read = await adapter.read(self.name, list(found))
        assert_same_records([r for r in read if r is not None], listed, "read")
        batch = await adapter.get_batch(self.name, list(found))
        assert_same_records(list(batch.values()), listed, "get_batch")
        for record in listed[:3]:
            assert_same_record(await adapter.get(self.name, record.key), record, "get")
            assert await adapter.exists(self.name, record.key), "exists denies a record that is there"
        if self.reader is not self.adapter:
            assert_same_records(
                (await self.adapter.query(Query(self.name))).records, listed, "the writer's query"
            )
            read = await self.adapter.read(self.name, list(found))
            assert_same_records([r for r in read if r is not None], listed, "the writer's read")
        return found

    async def expect(self, expected: Mapping[str, bytes], *gone: str) -> None:
        """Expect exactly these records, by key and value, on every path: nothing lost, nothing extra.

        Args:
            expected: The value of each key.
            gone: Keys that must not be there; they are looked up by name too.
        """
        state = await self.state(*expected, *gone)
        assert {key: record.value for key, record in state.items()} == dict(expected)
