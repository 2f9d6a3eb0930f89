"""Mutants made from real bugs of paging: what is cut off, passed over or repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, ClassVar, Final
from urllib.parse import quote

from daystore.abc import (
    Clock,
    Consistency,
    Delete,
    Instant,
    Outcome,
    Page,
    Query,
    Record,
    StorageAdapter,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, DaystoreError
from daystore.query.builder import PAGE_SIZE
from daystore.query.results import Entry
from daystore.stores import Store
from daystore_compliance.mutants.base import Stepwise, mutant
from daystore_compliance.target import MemoryTarget, Raw

INTERNAL: Final = 100
"""Records that a backend of these mutants reads at a time."""


@mutant("page.confusable_keys[format]", bugs=("boto/botocore#752",))
class CursorLeftEncoded(Stepwise):
    """The key in a cursor is URL-encoded, and never decoded."""

    def position(self, query: Query) -> Any:
        """Take it as it is."""
        position = super().position(query)
        return None if position is None else position._replace(key=quote(position.key, safe=""))


@mutant("q.scan_failure", bugs=("escapecloud/cloudexit#52",))
class FailureEndsScan(Store[Any]):
    """A scan whose page cannot be read ends as if it were complete."""

    async def scan(self, what: Any = None) -> AsyncGenerator[Entry[Any], None]:
        """Ask the generator again after an error."""
        stream = super().scan(what)
        while True:
            try:
                yield await anext(stream)
            except DaystoreError:
                continue
            except StopAsyncIteration:
                return


@mutant("page.exact_cover[key]", bugs=("dapr/components-contrib#2127",))
class CursorPastTheCut(Stepwise):
    """What exceeds the limit is cut off, and the cursor is that of the last record before the cut."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Go on after one more."""
        made = super().cursor(part, records, query)
        if made is None:
            return None
        read = records[: records.index(part[-1]) + 2]
        return super().cursor(read, records, query)


@mutant("page.exact_cover[key]", bugs=("dapr/components-contrib#3400", "k3s-io/kine#12"))
class NoCursorAtAll(Stepwise):
    """A page never says that there is more."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Make none."""
        return None


@mutant("q.large_windows", bugs=("google/go-cloud#3409",))
class OffsetEachInternalPage(Stepwise):
    """The offset is passed over in every hundred records that are read, not once."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Pass over it in each."""
        pages = [records[start : start + INTERNAL] for start in range(0, len(records), INTERNAL)]
        return [record for page in pages for record in page[query.offset :]][: query.limit]


@mutant("page.sparse_filter", bugs=("google/go-cloud#3409",))
class EmptyInternalPageEnds(Stepwise):
    """A hundred records without a match in them are taken for the end."""

    def found(self, query: Query) -> list[Record]:
        """Stop there."""
        records = sorted(self._live(query.collection), key=lambda record: record.key)
        found: list[Record] = []
        for start in range(0, len(records), INTERNAL):
            page = [r for r in records[start : start + INTERNAL] if self.matches(query.where, r)]
            if not page:
                break
            found += page
        return found


@mutant("page.exact_cover[key]", "q.limit", bugs=("apache/iceberg#11143",))
class LimitBeyondFails(Stepwise):
    """A limit greater than what is left fails."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Fail."""
        if query.limit is not None and query.offset + query.limit > len(records):
            raise BackendUnavailable("index out of range")
        return super().window(records, query)


class Capped(Stepwise):
    """Returns so many records at most, and says nothing. Base of mutants, and none itself."""

    most: ClassVar[int] = 0

    def capped(self, query: Query) -> bool:
        """Tell whether a query is cut off."""
        return True

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut it."""
        part = super().window(records, query)
        return part[: self.most] if self.capped(query) else part

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Say that there is no more."""
        cut = self.capped(query) and len(part) == self.most
        return None if cut else super().cursor(part, records, query)


@mutant("q.limit", bugs=("redis-developer/langgraph-redis#30",))
class TenAtMost(Capped):
    """No page has more than ten records, whatever its limit."""

    most: ClassVar[int] = 10


@mutant("page.large", bugs=("mem0ai/mem0#5752",))
class TwentyWithPredicate(Capped):
    """With a predicate twenty records come, and no way to the rest."""

    most: ClassVar[int] = 20

    def capped(self, query: Query) -> bool:
        """Cut where there is a predicate."""
        return query.where is not None


@mutant("page.ten_thousand", bugs=("redis/redis-om-python#359",))
class TenThousandAtMost(Capped):
    """No page has more than ten thousand records."""

    most: ClassVar[int] = 10_000


class _Tallied(MemoryAdapter):
    async def _query(self, query: Query, consistency: Consistency) -> Page:
        open_cursors = self._collections.setdefault("\0cursors", {})
        name = str(len(open_cursors))
        open_cursors[name] = _MARK
        await asyncio.sleep(0)
        page = await super()._query(query, consistency)
        del open_cursors[name]
        return page


_MARK: Final = Record(key="cursor", value=b"", version="", created_at=0, updated_at=0)


@mutant("page.abandoned", bugs=("mongodb/mongo-python-driver#1372",))
class CursorOutlivesCancel(MemoryTarget):
    """A query that is cancelled leaves a cursor open on the server."""

    adapter: type[MemoryAdapter] = _Tallied

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the cursors among the entries."""
        kept = self._storage.get(adapter.namespace, {})
        cursors = len(kept.get("\0cursors", {}))
        return Raw(sum(map(len, kept.values())) - cursors, cursors)


@mutant("page.after_deletes", bugs=("temporalio/temporal#2547",))
class PagesByRow(Stepwise):
    """A page is as many rows as its limit, the rows of deleted records among them."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        gone = self.__dict__.setdefault("_gone", {}).setdefault(operation.collection, {})
        old = self._find(operation.collection, operation.key, now)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Delete) and old is not None:
            gone[operation.key] = old
        else:
            gone.pop(operation.key, None)
        return outcome

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        gone = self.__dict__.get("_gone", {}).get(query.collection, {})
        if query.limit is None or query.where is not None or not gone:
            return await super()._query(query, consistency)
        records = self.ordered([*self._live(query.collection), *gone.values()], query)
        position = self.position(query)
        if position is not None:
            records = self.resumed(records, query, position)
        part = self.window(records, query)
        return Page([r.copy() for r in part if r.key not in gone], self.cursor(part, records, query))


@mutant("q.limit", "page.progress", bugs=("temporalio/temporal#2564",))
class LimitIgnored(Stepwise):
    """The limit of a query is ignored."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Return everything."""
        return records[query.offset :] if query.limit else super().window(records, query)


@mutant("q.scan", bugs=("thanos-io/thanos#695",))
class ScanOfOneSegment(Store[Any]):
    """A scan ends after the first page."""

    async def scan(self, what: Any = None) -> AsyncGenerator[Entry[Any], None]:
        """Stop there."""
        seen = 0
        async for entry in super().scan(what):
            yield entry
            seen += 1
            if seen == PAGE_SIZE:
                return


class _EveryNamespace(MemoryAdapter):
    storage: dict[str, dict[str, dict[str, Record]]]

    def _everything(self, collection: str) -> list[Record]:
        now = self.clock()
        places: list[dict[str, dict[str, Record]]] = list(self.storage.values())
        return [r for place in places for r in place.get(collection, {}).values() if r.is_alive(now)]

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        own, self._collections = self._collections, {query.collection: {}}
        try:
            for number, record in enumerate(self._everything(query.collection)):
                self._collections[query.collection][str(number)] = record
            return await super()._query(query, consistency)
        finally:
            self._collections = own


@mutant("ns.isolated", bugs=("unjs/unstorage#352",))
class QueriesEveryNamespace(MemoryTarget):
    """Reading and writing keep to their namespace, and a query looks into all of them."""

    adapter: type[MemoryAdapter] = _EveryNamespace

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Show the adapter everything."""
        adapter = await super().open(namespace, clock)
        assert isinstance(adapter, _EveryNamespace)
        adapter.storage = self._storage
        return adapter
