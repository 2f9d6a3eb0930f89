"""Queries: each is answered from one state, by one script, or by several that check that nothing has changed.

A script looks at so many records and no more, so that it never keeps the server long. If there are more, another
one goes on from there. It refuses if the collection was changed in between, and the query begins again; the third
time without a limit on what one script looks at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from daystore.abc import Clock, Instant, Page, Query, Record, WriteBatch, sort_value
from daystore.abc.cursor import decode_cursor, encode_cursor
from daystore.abc.evaluate import field_of
from daystore.abc.order import Position
from daystore.abc.ranges import TRUE, normalise
from daystore.abc.sortkeys import encode_instant
from daystore.errors import InvalidCursor
from daystore_redis.exchange import Exchange
from daystore_redis.keys import Places
from daystore_redis.packing import command, pack
from daystore_redis.planning import Cover, Place, covers_of, everything, place_of
from daystore_redis.records import unpack_record
from daystore_redis.references import program, reference
from daystore_redis.scripts import READ

__all__ = ["Ask", "Changed", "Search", "Searcher", "pack_checks"]

T = TypeVar("T")

BUDGET: Final = 1_000
"""Entries that one script looks at."""
MOST: Final = 1 << 50
"""Records of which no collection has more: scripts count in doubles."""
ATTEMPTS: Final = 2
"""How often a query in parts begins again before it is answered by one script."""


class Changed(Exception):
    """The collection was changed since the first part of an answer."""


@dataclass(slots=True)
class Search:
    """What a script is asked.

    Attributes:
        collection: Where to look.
        now: The present instant.
        filter: The predicate as scripts evaluate it; ``None`` if it is true.
        covers: What it can be found by.
        field: What is ordered by.
        descending: In which direction.
        place: After which to begin.
    """

    collection: str
    now: Instant
    filter: list[object] | None
    covers: list[Cover]
    field: str
    descending: bool
    place: Place | None

    def pack(self, limit: int | None, offset: int, budget: int, *more: object) -> bytes:
        """Pack it for one request."""
        return pack([*self.parts(limit, offset, budget), *more])

    def parts(self, limit: int | None, offset: int, budget: int) -> list[object]:
        """Return what is packed for one request; see ``search.lua``."""
        covers = [
            [cover.exact, cover.overlapping, cover.parts(), self._segments(cover, limit)]
            for cover in self.covers
        ]
        return [
            self.collection.encode(),
            encode_instant(self.now),
            self.filter or False,
            covers,
            [reference(self.field), self.descending],
            False if self.place is None else [self.place.sort_key, self.place.key],
            [] if limit is None else everything(self.field, self.place, descending=self.descending),
            False if limit is None else min(limit, MOST),
            min(offset, MOST),
            budget,
        ]

    def _segments(self, cover: Cover, limit: int | None) -> object:
        if limit is None:
            return False
        segments = cover.segments(self.field, self.place, descending=self.descending)
        return False if segments is None else segments


def search_of(query: Query, now: Instant) -> Search:
    """Return what a script is asked for a query.

    Raises:
        InvalidCursor: If the cursor of the query is damaged or belongs to another one.
    """
    try:
        place = place_of(query.order.field, decode_cursor(query))
    except ValueError as error:
        if isinstance(error, InvalidCursor):
            raise
        raise InvalidCursor("the cursor is damaged: pass it on exactly as it was given out") from None
    node = normalise(query.where)
    return Search(
        query.collection,
        now,
        None if node == TRUE else program(node),
        covers_of(node),
        query.order.field,
        query.order.descending,
        place,
    )


def pack_checks(batch: WriteBatch, now: Instant) -> bytes:
    """Pack the transaction that a batch belongs to, and the queries that it depends on, with what they found."""
    checks = [
        [
            search_of(check.query, now).parts(check.query.limit, check.query.offset, 0),
            [text.encode() for pair in check.found for text in pair],
        ]
        for check in batch.queries
    ]
    return pack([batch.own or False, checks])


class Ask:
    """Asks the server of one shard for the parts of one answer, all from one state.

    Args:
        searcher: Who asks.
        operation: What for.
        shard: Which.
        budget: Entries that a script may look at; 0 for all.
    """

    def __init__(self, searcher: Searcher, operation: str, shard: int, budget: int) -> None:
        self._searcher = searcher
        self._operation = operation
        self._shard = shard
        self._changes = b""
        self.budget: int = budget

    async def __call__(self, how: bytes, asked: bytes, where: bytes = b"") -> list[Any]:
        """Ask for one part.

        Raises:
            Changed: If the state is another one than that of the first part.
        """
        keys = self._searcher.places.keys[self._shard]
        request = command(b"EVALSHA", READ.digest, *keys, how, asked, where, self._changes)
        answer = await self._searcher.exchange.read(self._operation, self._shard, request, READ)
        if len(answer) == 1:
            raise Changed
        self._changes = answer[0]
        return answer[1:]  # type: ignore[no-any-return]


class Searcher:
    """Answers queries.

    Args:
        exchange: By which to ask.
        places: Where records are.
        clock: Of the adapter.
    """

    def __init__(self, exchange: Exchange, places: Places, clock: Clock) -> None:
        self.exchange: Exchange = exchange
        self.places: Places = places
        self.clock: Clock = clock

    async def each(self, operation: str, answer: Callable[[Ask], Awaitable[T]]) -> list[T]:
        """Have every shard give its answer, each from one state."""
        shards = range(len(self.places.prefixes))
        if len(shards) == 1:
            return [await self._answer(operation, 0, answer)]
        return await asyncio.gather(*(self._answer(operation, shard, answer) for shard in shards))

    async def _answer(self, operation: str, shard: int, answer: Callable[[Ask], Awaitable[T]]) -> T:
        for _ in range(ATTEMPTS):
            try:
                return await answer(Ask(self, operation, shard, BUDGET))
            except Changed:
                continue
        return await answer(Ask(self, operation, shard, 0))

    # --- Pages and counts --------------------------------------------------------------------------------------

    async def page(self, query: Query) -> Page:
        """Return one page.

        Raises:
            InvalidCursor: If the cursor is damaged or belongs to another query.
        """
        search = search_of(query, self.clock())
        if query.limit == 0:
            return Page([])
        if query.limit is None:
            found = await self.each("query", lambda ask: _all(ask, search))
            return _page([r for part in found for r in part], query, more=False, offset=query.offset)
        limit, offset = query.limit, query.offset
        if len(self.places.prefixes) > 1:
            limit, offset = limit + offset, 0
        parts = await self.each("query", lambda ask: _some(ask, search, limit, offset))
        records = [record for part, _ in parts for record in part]
        more = any(more for _, more in parts)
        return _page(records, query, more=more, offset=query.offset - offset)

    async def count(self, query: Query) -> int:
        """Return how many records a query finds without limit, offset and cursor."""
        search = search_of(query, self.clock())
        search.place = None
        return sum(await self.each("count", lambda ask: _number(ask, search)))


async def _some(ask: Ask, search: Search, limit: int, offset: int) -> tuple[list[Record], bool]:
    """Return the first records in order, and whether there are more."""
    place, records = search.place, list[Record]()
    while True:
        asked = replace(search, place=place).pack(limit - len(records), offset, ask.budget)
        more, passed, sort_key, key, found = await ask(b"page", asked)
        records += _records(search, found)
        if not key:
            return records, more == 1
        place = Place(sort_key, key)
        offset -= passed


async def _all(ask: Ask, search: Search) -> list[Record]:
    """Return all records, in no order."""
    asked, where, records = search.pack(None, 0, ask.budget), b"", list[Record]()
    while True:
        where, found = await ask(b"all", asked, where)
        records += _records(search, found)
        if not where:
            return records


async def _number(ask: Ask, search: Search) -> int:
    """Return how many records there are."""
    asked, where, numbers = search.pack(None, 0, ask.budget), b"", list[int]()
    while True:
        where, number = await ask(b"count", asked, where)
        numbers.append(number)
        if not where:
            return sum(numbers)


def _records(search: Search, found: list[bytes]) -> list[Record]:
    pairs = zip(found[::2], found[1::2], strict=True)
    records = (unpack_record(search.collection, key.decode(), stored, search.now) for key, stored in pairs)
    return [record for record in records if record is not None]


def _page(records: list[Record], query: Query, *, more: bool, offset: int) -> Page:
    """Make a page of what the shards have found, in order if there is only one."""
    name, descending = query.order.field, query.order.descending
    places = {id(record): sort_value(field_of(record, name)) for record in records}
    records.sort(key=lambda record: record.key)
    records.sort(key=lambda record: places[id(record)], reverse=descending)
    end = len(records) if query.limit is None else offset + query.limit
    part = records[offset:end]
    cursor = None
    if part and (more or end < len(records)):
        cursor = encode_cursor(query, Position(places[id(part[-1])], part[-1].key))
    return Page(part, cursor)
