"""Mutants of stores that are right in a plain query, and wrong in one form of asking."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Any, ClassVar, Self

from daystore.abc import Consistency, Query, Record
from daystore.query.builder import QueryBuilder
from daystore.query.filter import QueryFilter
from daystore.query.results import Entry, Page
from daystore.stores import Store
from daystore.stores.access import Access
from daystore.stores.operation import Operation
from daystore.stores.scanning import Scan
from daystore.stores.source import StoreSource
from daystore_compliance.mutants.base import mutant


class Builds(Store[Any]):
    """Begins queries with another builder. Base of mutants, and none itself."""

    builder: ClassVar[type[QueryBuilder[Any]]] = QueryBuilder

    def all(self, *, allow_scan: bool = False) -> QueryBuilder[Any]:
        """Begin one."""
        return self.builder(self._source, Query(self.collection, allow_scan=allow_scan))


class _FirstOfAll(QueryBuilder[Any]):
    __slots__ = ()

    async def first(self) -> Any:
        found = (await replace(self, _query=replace(self._query, limit=1, offset=0)).entries())[:1]
        return found[0].value if found else None


@mutant("q.oracle_store")
class FirstIgnoresOffset(Builds):
    """The first result is that of the whole query, whatever its offset."""

    builder: ClassVar[type[QueryBuilder[Any]]] = _FirstOfAll


class _CountsPage(QueryBuilder[Any]):
    __slots__ = ()

    async def count(self) -> int:
        return len(await self.keys())


@mutant("q.oracle_store")
class CountOfWindow(Builds):
    """A builder counts what its window holds."""

    builder: ClassVar[type[QueryBuilder[Any]]] = _CountsPage


class _OrderForgotten(QueryBuilder[Any]):
    __slots__ = ()

    def offset(self, offset: int) -> Self:
        made = super().offset(offset)
        return made.order_by("key") if offset and self._query.order.descending else made


@mutant("q.oracle_store")
class OffsetForgetsOrder(Builds):
    """An offset given after a descending order takes the order away."""

    builder: ClassVar[type[QueryBuilder[Any]]] = _OrderForgotten


class _StreamsWindow(QueryBuilder[Any]):
    __slots__ = ()

    async def stream(self) -> AsyncGenerator[Entry[Any], None]:
        whole = replace(self, _query=replace(self._query, offset=0))
        async for entry in QueryBuilder.stream(whole):
            yield entry


@mutant("q.oracle_store")
class StreamIgnoresOffset(Builds):
    """A stream of results begins at the beginning, whatever the offset."""

    builder: ClassVar[type[QueryBuilder[Any]]] = _StreamsWindow


@mutant("q.oracle_store")
class ScanIgnoresTags(Store[Any]):
    """A scan by a filter looks at its prefix alone."""

    def scan(self, what: Any = None) -> AsyncGenerator[Entry[Any], None]:
        """Forget everything else."""
        return super().scan(QueryFilter(prefix=what.prefix) if isinstance(what, QueryFilter) else what)


@mutant("q.oracle_store")
class CountIgnoresTime(Store[Any]):
    """A count by a filter does not look at its range of time."""

    async def count(self, filter: QueryFilter | None = None, **options: Any) -> int:  # noqa: A002
        """Forget it."""
        return await super().count(None if filter is None else replace(filter, time_range=None), **options)


class _OnePage:
    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    async def query(self, query: Query, consistency: Consistency) -> Any:
        page = await self._operation.query(query, consistency)
        return replace(page, cursor=None)


class _FirstPage(Scan):
    def _matches(
        self, operation: Operation, consistency: Consistency
    ) -> AsyncIterator[tuple[Record, Record]]:
        once: Any = _OnePage(operation)
        return super()._matches(once, consistency)


class _ScanSource(StoreSource[Any]):
    __slots__ = ()

    def _scan(self, query: Query, names: frozenset[str]) -> Scan:
        return _FirstPage(query, names, self.fields, self._access.codec)


@mutant("q.scan_large")
class ScansFirstPage(Store[Any]):
    """What no index holds is looked for in the first thousand records."""

    def _use(self, access: Access[Any]) -> None:
        super()._use(access)
        self._source = _ScanSource(access, {})


class _CursorForgotten(StoreSource[Any]):
    __slots__ = ()

    async def select(self, query: Query, *arguments: Any) -> Page[Entry[Any]]:
        page = await super().select(query, *arguments)
        return Page(page.items) if query.allow_scan and query.order.field != "key" else page


@mutant("q.oracle_store")
class ScanHasNoCursor(Store[Any]):
    """A page of a scan in another order than by key has no cursor."""

    def _use(self, access: Access[Any]) -> None:
        super()._use(access)
        self._source = _CursorForgotten(access, {})
