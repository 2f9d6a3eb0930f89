"""Queries: pages and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from daystore.abc import Clock, Consistency, Instant, Page, Position, Query, Record
from daystore.abc.cursor import decode_cursor, encode_cursor
from daystore.abc.evaluate import field_of
from daystore.abc.order import sort_value
from daystore.abc.ranges import FALSE, normalise
from daystore.errors import InvalidCursor
from daystore_mongo.connection import Connection
from daystore_mongo.documents import Document, live, record_of
from daystore_mongo.filters import after, condition, path_of

NO_LIMIT: Final = 2**31 - 1
"""Records of which no collection that can be gone through has more."""

__all__ = ["Searcher", "conditions"]

MOST: Final = 5_000
"""Records in one answer of a server, which has a limit of 16 MiB besides."""


def conditions(query: Query, now: Instant) -> list[Document]:
    """Return what a document has to fulfil to be found, whatever comes before it."""
    where = condition(normalise(query.where))
    return [where, live(now)] if where else [live(now)]


def _after(query: Query) -> list[Document]:
    try:
        position = decode_cursor(query)
        if position is None:
            return []
        return [after(query.order.field, position, descending=query.order.descending)]
    except ValueError as error:
        if isinstance(error, InvalidCursor):
            raise
        raise InvalidCursor("the cursor is damaged: pass it on exactly as it was given out") from None


@dataclass(frozen=True, slots=True)
class _Search:
    """A query on its way."""

    query: Query
    terms: list[Document]
    consistency: Consistency


class Searcher:
    """Runs queries.

    Args:
        connection: To the servers.
        clock: Of the adapter.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection: Connection = connection
        self.clock: Clock = clock

    async def count(self, query: Query, consistency: Consistency) -> int:
        """Return how many records a query finds without limit, offset and cursor."""
        collection = self.connection.collection(query.collection, consistency)
        where = {"$and": conditions(query, self.clock())}
        return await self.connection.read("count", lambda: collection.count_documents(where))

    async def page(self, query: Query, consistency: Consistency) -> Page:
        """Return one page."""
        terms = [*conditions(query, self.clock()), *_after(query)]
        if query.limit == 0 or normalise(query.where) == FALSE:
            return Page([])
        search = _Search(query, terms, consistency)
        limit = query.limit
        if not query.order.descending or query.order.field == "key":
            order = [(path_of(query.order.field), -1 if query.order.descending else 1), ("_id", 1)]
            found = await self._find(
                search, terms, order[:1] if order[0][0] == "_id" else order, query.offset, limit
            )
        elif query.offset:
            order = [(path_of(query.order.field), -1), ("_id", 1)]
            found = await self._find(search, terms, order, query.offset, limit)
        else:
            found = await self._descending(search)
        if limit is None or len(found) <= limit:
            return Page(found)
        last = found[limit - 1]
        position = Position(sort_value(field_of(last, query.order.field)), last.key)
        return Page(found[:limit], encode_cursor(query, position))

    async def _descending(self, search: _Search) -> list[Record]:
        """Find records by a field, highest first, ties by ascending key.

        An index has the values in one order and the keys of equal values in the same. So what is found is put
        in order here; and if the last value may have more records, those are found by another request.
        """
        query = search.query
        field, path = query.order.field, path_of(query.order.field)
        found = await self._find(search, search.terms, [(path, -1), ("_id", -1)], 0, query.limit)
        groups = [
            list(group) for _, group in groupby(found, lambda record: sort_value(field_of(record, field)))
        ]
        ordered = [record for group in groups for record in sorted(group, key=lambda record: record.key)]
        if query.limit is None or len(found) <= query.limit or len(groups[-1]) == 1:
            return ordered
        whole = ordered[: -len(groups[-1])]
        seen = {record.key for record in whole}
        tie = after(field, Position(sort_value(field_of(found[-1], field)), ""), descending=True)
        same: Document = tie if "$or" not in tie else tie["$or"][0]
        rest = await self._find(search, [*search.terms, same], [("_id", 1)], 0, query.limit - len(whole))
        return whole + [record for record in rest if record.key not in seen]

    async def _find(
        self,
        search: _Search,
        terms: Sequence[Document],
        order: Sequence[tuple[str, int]],
        offset: int,
        limit: int | None,
    ) -> list[Record]:
        """Find records, and one more than the limit."""
        name = search.query.collection
        collection = self.connection.collection(name, search.consistency)
        most = 0 if limit is None or limit >= NO_LIMIT else limit + 1

        async def ask() -> list[Document]:
            async with collection.find(
                {"$and": list(terms)},
                {"i": 0},
                sort=list(order),
                skip=min(offset, NO_LIMIT),
                limit=most,
                batch_size=min(most, MOST) or MOST,
                allow_disk_use=True,
            ) as cursor:
                return await cursor.to_list()

        found: list[Mapping[str, Any]] = list(await self.connection.read("query", ask))
        return [record_of(name, document) for document in found]
