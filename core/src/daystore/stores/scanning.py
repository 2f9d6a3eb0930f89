"""Queries on fields that no index holds: every record is read, decoded and looked into, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

from daystore.abc.capabilities import Consistency
from daystore.abc.cursor import decode_cursor
from daystore.abc.evaluate import evaluate_aggregate, evaluate_query, matcher, without_window
from daystore.abc.query import (
    Aggregation,
    And,
    Compare,
    Explanation,
    GroupRow,
    Op,
    Order,
    Page,
    Predicate,
    Query,
)
from daystore.abc.record import Record
from daystore.query.builder import PAGE_SIZE
from daystore.query.conditions import both, field_names
from daystore.query.fields import Fields
from daystore.stores.codec import RecordCodec
from daystore.stores.indexes import field_value
from daystore.stores.operation import Operation

__all__ = ["EXPLANATION", "Scan", "unindexed"]

BY_KEY = Order()
EXPLANATION = Explanation(indexed=False, strategy="every record is read and looked into")


def unindexed(fields: Fields, query: Query, aggregation: Aggregation | None = None) -> frozenset[str]:
    """Return the fields that a query or an aggregation names and no index holds."""
    if not query.allow_scan:
        return frozenset()
    names = {query.order.field, *field_names(query.where)}
    if aggregation is not None:
        names |= {*aggregation.group_by, *(f.field for f in aggregation.functions.values() if f.field)}
    return frozenset(name for name in names if name not in fields)


class Scan:
    """One query that looks into every record which the indexes cannot rule out.

    Args:
        query: The query.
        names: The fields in it that no index holds.
        fields: The indexed fields.
        codec: Decodes the records.
    """

    def __init__(self, query: Query, names: frozenset[str], fields: Fields, codec: RecordCodec[Any]) -> None:
        self._query = query
        self._names = names
        self._fields = fields
        self._codec = codec

    async def page(self, operation: Operation, consistency: Consistency) -> Page:
        """Return one page of what the query finds."""
        query = self._query
        enough = None
        if query.order == BY_KEY and query.limit is not None:
            enough = query.offset + query.limit + 1  # one more tells whether there is another page
        found: dict[str, Record] = {}
        looked_into = []
        async for record, filled in self._matches(operation, consistency):
            found[record.key] = record
            looked_into.append(filled)
            if enough is not None and len(found) >= enough:
                break
        page = evaluate_query(looked_into, query)
        return Page([found[record.key] for record in page.records], page.cursor)

    async def count(self, operation: Operation, consistency: Consistency) -> int:
        """Return how many records the query finds."""
        count = 0
        async for _ in self._matches(operation, consistency):
            count += 1
        return count

    async def aggregate(
        self, operation: Operation, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        """Compute over what the query finds."""
        found = [filled async for _, filled in self._matches(operation, consistency)]
        return evaluate_aggregate(found, without_window(self._query), aggregation)

    async def _matches(
        self, operation: Operation, consistency: Consistency
    ) -> AsyncIterator[tuple[Record, Record]]:
        """Yield each matching record in the order of keys, as it is, and with the fields that it lacks."""
        matches = matcher(self._query.where)
        query = self._indexed_part()
        while True:
            page = await operation.query(query, consistency)
            for record in page.records:
                filled = self._filled(record)
                if matches(filled):
                    yield record, filled
            if page.cursor is None:
                return
            query = replace(query, cursor=page.cursor)

    def _filled(self, record: Record) -> Record:
        plain = self._codec.plain(record)
        more = {name: value for name in self._names if (value := field_value(plain, name)) is not None}
        indexed = {name: value for name, value in record.fields.items() if name in self._fields}
        return replace(record, fields=indexed | more)

    def _indexed_part(self) -> Query:
        """Return the query that the backend answers: what the indexes can say, in the order of keys."""
        query = self._query
        where = _conjunction(term for term in _terms(query.where) if not self._names & set(field_names(term)))
        position = decode_cursor(query)
        if position is not None and query.order == BY_KEY:
            where = both(where, Compare("key", Op.GT, position.key))
        return Query(query.collection, where, limit=PAGE_SIZE, allow_scan=True)


def _terms(predicate: Predicate | None) -> tuple[Predicate, ...]:
    if predicate is None:
        return ()
    return predicate.terms if isinstance(predicate, And) else (predicate,)


def _conjunction(terms: Iterable[Predicate]) -> Predicate | None:
    kept = tuple(terms)
    return And(kept) if kept else None
