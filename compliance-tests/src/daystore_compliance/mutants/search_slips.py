"""Mutants of stores: scans, indexes, memories and retries that stop one step short."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from daystore.abc import Aggregation, Consistency, Explanation, GroupRow, Page, Query
from daystore.abc.cursor import decode_cursor
from daystore.abc.evaluate import evaluate_aggregate, without_window
from daystore.abc.query import Compare, Op, Or
from daystore.abc.record import FieldValue
from daystore.query.conditions import both, field_names
from daystore.storage import Storage
from daystore.stores import Store
from daystore.stores.access import Access
from daystore.stores.contexts import Context, ContextStore
from daystore.stores.events import Event, EventStore
from daystore.stores.memories import WINDOW, MemoryStore
from daystore.stores.operation import Operation
from daystore.stores.scanning import BY_KEY, Scan
from daystore.stores.source import StoreSource
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.facade_slips import Own


class _Scanning(Store[Any]):
    """A store with scans of its own. It breaks nothing."""

    scans: ClassVar[type[Scan]] = Scan
    sources: ClassVar[type[StoreSource[Any]]] = StoreSource

    def _use(self, access: Access[Any]) -> None:
        super()._use(access)
        source = self.sources(access, self._relations())
        scans = self.scans

        class Source(self.sources):  # type: ignore[name-defined, misc]
            __slots__ = ()

            def _scan(self, query: Query, names: frozenset[str]) -> Scan:
                return scans(query, names, self.fields, self._access.codec)

        source.__class__ = Source
        self._source = source


# --- Scans: §8, "`allow_scan=True` lets the backend look at every record instead", and means the same.


class _Exactly(Scan):
    async def page(self, operation: Operation, consistency: Consistency) -> Page:
        page = await super().page(operation, consistency)
        full = self._query.limit is not None and len(page.records) == self._query.limit
        return (
            Page(page.records, None) if full and self._query.order == BY_KEY and self._query.offset else page
        )


@mutant("q.scan_as_indexed")
class ScansWithAnOffsetHaveNoCursor(_Scanning):
    """Gives the page of a scan in the order of keys no cursor if it was asked for with an offset."""

    scans: ClassVar[type[_Exactly]] = _Exactly


class _PushesOr(Scan):
    def _indexed_part(self) -> Query:
        query = super()._indexed_part()
        where = self._query.where
        if isinstance(where, Or):
            kept = tuple(t for t in where.terms if not self._names & set(field_names(t)))
            return replace(query, where=both(query.where, Or(kept))) if kept else query
        return query


@mutant("q.scan_as_indexed")
class ScansLookAtHalfOfOr(_Scanning):
    """Lets the index answer the terms of an *or* that it knows, and looks for the others among those alone."""

    scans: ClassVar[type[_PushesOr]] = _PushesOr


class _PushesDown(Scan):
    def _indexed_part(self) -> Query:
        query = super()._indexed_part()
        position = decode_cursor(self._query)
        if position is not None and self._query.order.field == "key" and self._query.order.descending:
            return replace(query, where=both(query.where, Compare("key", Op.GT, position.key)))
        return query


@mutant("q.scan_as_indexed")
class DescendingScansGoUp(_Scanning):
    """Goes on after the cursor of a scan by descending keys with the keys above it."""

    scans: ClassVar[type[_PushesDown]] = _PushesDown


class _SumsIndexed(Scan):
    async def aggregate(
        self, operation: Operation, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        rows = await super().aggregate(operation, aggregation, consistency)
        if len(aggregation.group_by) < 2:
            return rows
        found = [filled async for _, filled in self._matches(operation, consistency)]
        first = replace(aggregation, group_by=aggregation.group_by[:1])
        wide = evaluate_aggregate(found, without_window(self._query), first)
        missing = (None,) * (len(aggregation.group_by) - 1)
        return [GroupRow((*row.group, *missing), row.values) for row in wide]


@mutant("q.scan_as_indexed")
class ScansGroupByOneField(_Scanning):
    """Groups what a scan finds by the first field only."""

    scans: ClassVar[type[_SumsIndexed]] = _SumsIndexed


class _Explains(StoreSource[Any]):
    __slots__ = ()

    async def explain(self, query: Query) -> Explanation:
        found = await super().explain(query)
        return replace(found, indexed=True) if query.limit is not None else found


# §8 Explain: "`indexed` is true if the cost depends on the size of the result alone."
@mutant("q.scan_explained")
class LimitedScansSeemIndexed(_Scanning):
    """Says of a query with a limit that an index serves it."""

    sources: ClassVar[type[_Explains]] = _Explains


# --- Indexes: the fields of a record are the indexed parts of its value.


class _Extracting(Store[Any]):
    """A store that changes what is indexed. It breaks nothing."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        extract = self._access.codec._extract
        if extract is not None:
            self._access.codec._extract = lambda plain: self.indexed(extract(plain), plain)

    def indexed(self, fields: dict[str, FieldValue], plain: object) -> dict[str, FieldValue]:
        """Return what is indexed."""
        return fields


@mutant("q.index_paths")
class PathsFallBackToTheTop(_Extracting):
    """Indexes, where a path leads nowhere, what stands under the index's name at the top of the value."""

    def indexed(self, fields: dict[str, FieldValue], plain: object) -> dict[str, FieldValue]:
        """Fall back."""
        if isinstance(plain, Mapping):
            for name, kind in self._indexes.items():
                if name not in fields and type(plain.get(name)) is kind:
                    fields[name] = plain[name]
        return fields


@mutant("q.float_index_of_ints")
class WholeNumbersStayIntegers(_Extracting):
    """Indexes a whole number in a float index as an integer, which no float equals."""

    def indexed(self, fields: dict[str, FieldValue], plain: object) -> dict[str, FieldValue]:
        """Leave them."""
        if isinstance(plain, Mapping):
            for name, value in list(fields.items()):
                if type(value) is float and type(plain.get(name)) is int:
                    fields[name] = plain[name]
        return fields


@mutant("q.indexed_to_the_limit")
class LongTextsAreNotIndexed(_Extracting):
    """Leaves a text of more than five hundred characters out of the index, and says nothing."""

    def indexed(self, fields: dict[str, FieldValue], plain: object) -> dict[str, FieldValue]:
        """Leave it out."""
        return {name: v for name, v in fields.items() if not (isinstance(v, str) and len(v) > 500)}


@mutant("q.oracle_store")
class IndexedDatetimesLoseMicroseconds(_Extracting):
    """Indexes datetimes by their milliseconds; the values keep their microseconds."""

    def indexed(self, fields: dict[str, FieldValue], plain: object) -> dict[str, FieldValue]:
        """Cut."""
        return {
            name: v.replace(microsecond=v.microsecond // 1000 * 1000) if isinstance(v, datetime) else v
            for name, v in fields.items()
        }


# --- Memories


class _ClearsPrefix(MemoryStore[Any]):
    async def clear(self, memory_id: str | None = None) -> int:
        """Delete by the beginning of the id."""
        if memory_id is None:
            return await super().clear()
        deleted = await self._clear(Compare("key", Op.STARTSWITH, memory_id))
        await self._delete_heads([memory_id])
        return deleted


# "Delete the entries of a memory", of no other one.
@mutant("mem.families", bugs=("langchain-ai/langgraph#8478",))
class ClearingReachesLongerIds(Own):
    """Clears with a memory those whose ids begin with its own."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _ClearsPrefix}


class _CountsHead(MemoryStore[Any]):
    async def count(self, filter: Any = None, **options: Any) -> int:  # noqa: A002
        """Count positions."""
        if not isinstance(filter, str):
            return await super().count(filter, **options)
        head = (await self._access.target.read(self._heads, [filter]))[0]
        return await super().count(filter, **options) if head is None else int(head.fields["next"])  # type: ignore[arg-type]


# "Return how many entries a memory has".
@mutant("mem.deleted_entries")
class DeletedEntriesAreCounted(Own):
    """Counts the positions of a memory, those of deleted and expired entries included."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _CountsHead}


class _ShortWindow(MemoryStore[Any]):
    async def window(self, memory_id: str, size: int = WINDOW, **options: Any) -> list[Any]:
        """Look at the last positions."""
        head = (await self._access.target.read(self._heads, [memory_id]))[0]
        entries = await self.of(memory_id).entries()
        end = int(head.fields["next"]) if head is not None else len(entries)  # type: ignore[arg-type]
        start = max(0, end - size)
        return [e.value for e in entries if int(e.key.rpartition("/")[2], 16) >= start] if size else []


# "Return the last entries of a memory".
@mutant("mem.window")
class WindowsAreOfPositions(Own):
    """Shows in a window what is left at the last positions, fewer entries than there are."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _ShortWindow}


# --- Events and contexts


class _ForgetsAfter(EventStore):
    async def read(self, *, after: str | None = None, **options: Any) -> list[Event]:
        """Forget where to begin if a type and a context are given."""
        if options.get("type") is not None and options.get("context_id") is not None:
            after = None
        return await super().read(after=after, **options)


# "`after`: The id of the last event that is known already".
@mutant("evt.filters")
class TwoFiltersForgetTheBeginning(Own):
    """Reads events from the beginning when they are asked for by type and by context."""

    kinds: ClassVar[Mapping[str, Any]] = {"events": _ForgetsAfter}


class _ZeroEvents(EventStore):
    async def read(self, *, limit: int | None = None, **options: Any) -> list[Event]:
        """Take 0 for no limit."""
        return await super().read(limit=limit or None, **options)


# A `limit` is the most events to return.
@mutant("evt.filters")
class NoEventsAreAllEvents(Own):
    """Reads every event when a limit of 0 asks for none."""

    kinds: ClassVar[Mapping[str, Any]] = {"events": _ZeroEvents}


class _SharesLimit(ContextStore):
    def _relations(self) -> Any:
        return {"working_memory": self._load_shared}

    async def _load_shared(self, contexts: list[Context], limit: int | None) -> None:
        await self._load_working_memory(contexts, limit)
        left = 3 * (WINDOW if limit is None else limit)
        for context in contexts:
            context._working_memory = (context._working_memory or [])[:left]
            left -= len(context._working_memory)


# "`limit`: Most related items of each result".
@mutant("rec.contexts_include")
class LimitOfAllMemories(Own):
    """Shares three times the limit of a working memory among all contexts of a result."""

    kinds: ClassVar[Mapping[str, Any]] = {"contexts": _SharesLimit}


class _Strictly(ContextStore):
    def active_since(self, moment: datetime) -> Any:
        """Leave the moment itself out."""
        return self.where("last_active", ">", moment).order_by("last_active", "desc")


# "the contexts in which something happened since `moment`", the moment included.
@mutant("ctx.active_since")
class SinceIsAfter(Own):
    """Leaves out a context in which something happened at the very moment."""

    kinds: ClassVar[Mapping[str, Any]] = {"contexts": _Strictly}


# --- Transactions


# §10: "The form with a function runs it again with fresh reads": what is returned is what was committed.
@mutant("txn.retry_helper")
class FirstAttemptIsReturned(Storage):
    """Returns what the function of a transaction returned at its first attempt."""

    def transaction(self, body: Callable[[Any], Awaitable[Any]] | None = None, **options: Any) -> Any:
        """Remember it."""
        if body is None:
            return super().transaction()
        results: list[Any] = []

        async def remembered(tx: Any) -> Any:
            results.append(await body(tx))
            return results[0]

        return super().transaction(remembered, **options)
