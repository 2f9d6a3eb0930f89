"""What the query builder asks of a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from daystore.abc.capabilities import Consistency
from daystore.abc.query import Aggregation, Explanation, GroupRow, Query
from daystore.query.builder import PAGE_SIZE, Include
from daystore.query.fields import Fields, unknown
from daystore.query.results import Entry, Page
from daystore.stores.access import Access
from daystore.stores.scanning import BY_KEY, EXPLANATION, Scan, unindexed

__all__ = ["Loader", "StoreSource"]

T = TypeVar("T")

Loader: TypeAlias = Callable[[list[Any], int | None], Awaitable[None]]
"""Loads what belongs to some values, in one batch, and attaches it to them."""


class StoreSource(Generic[T]):
    """The queries of one store; a `daystore.query.builder.Source`.

    Args:
        access: How the store reaches its records.
        relations: What results can be wanted with, by name.
    """

    __slots__ = ("_access", "_relations")

    def __init__(self, access: Access[T], relations: Mapping[str, Loader]) -> None:
        self._access = access
        self._relations = relations

    @property
    def collection(self) -> str:
        """The collection of the store."""
        return self._access.collection

    @property
    def fields(self) -> Fields:
        """The fields that its queries may name."""
        return self._access.fields

    def page_size(self, query: Query) -> int | None:
        """Return how many records to ask for at a time.

        A scan in another order than by key looks at everything before it knows its first result: it is done
        once.
        """
        return None if unindexed(self.fields, query) and query.order != BY_KEY else PAGE_SIZE

    def check_relation(self, relation: str) -> None:
        """Refuse a relation that the store does not have.

        Raises:
            ValueError: If there is none of that name.
        """
        if relation not in self._relations:
            known = unknown(relation, self._relations) if self._relations else ": it has none"
            raise ValueError(f"the store {self._access.store!r} has no relation {relation!r}{known}")

    async def select(
        self, query: Query, consistency: Consistency | None, include: Sequence[Include]
    ) -> Page[Entry[T]]:
        """Return one page of what a query finds."""
        access = self._access
        consistency = consistency or access.consistency
        async with access.operation("query", query=query, consistency=consistency) as operation:
            names = unindexed(self.fields, query)
            if names:
                page = await self._scan(query, names).page(operation, consistency)
            else:
                page = await operation.query(query, consistency)
            found = [Entry(access.codec.value(record), record) for record in page.records]
        for wanted in include:
            await self._relations[wanted.relation]([entry.value for entry in found], wanted.limit)
        return Page(found, page.cursor)

    async def tally(self, query: Query, consistency: Consistency | None) -> int:
        """Return how many records a query finds."""
        consistency = consistency or self._access.consistency
        async with self._access.operation("count", query=query, consistency=consistency) as operation:
            names = unindexed(self.fields, query)
            if names:
                return await self._scan(query, names).count(operation, consistency)
            return await operation.count(query, consistency)

    async def compute(
        self, query: Query, aggregation: Aggregation, consistency: Consistency | None
    ) -> list[GroupRow]:
        """Compute over what a query finds."""
        consistency = consistency or self._access.consistency
        async with self._access.operation("aggregate", query=query, consistency=consistency) as operation:
            names = unindexed(self.fields, query, aggregation)
            if names:
                return await self._scan(query, names).aggregate(operation, aggregation, consistency)
            return await operation.aggregate(query, aggregation, consistency)

    async def explain(self, query: Query) -> Explanation:
        """Tell how a query would be run."""
        return EXPLANATION if unindexed(self.fields, query) else await self._access.target.explain(query)

    def _scan(self, query: Query, names: frozenset[str]) -> Scan:
        return Scan(query, names, self.fields, self._access.codec)
