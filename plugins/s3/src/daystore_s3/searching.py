"""Queries: a page goes along a listing where that is in its order, and else is chosen from what matches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from daystore.abc import Clock, Instant, Page, Query, Record, sort_value
from daystore.abc.cursor import decode_cursor, encode_cursor
from daystore.abc.evaluate import field_of
from daystore.abc.order import Position, is_after
from daystore.abc.ranges import FALSE, normalise
from daystore.abc.sortkeys import encode_sort_value
from daystore.errors import InvalidCursor
from daystore_s3.listing import Lister, Seen, Start
from daystore_s3.matching import Finder, Matches
from daystore_s3.places import Places
from daystore_s3.planning import Cover, covers_of, walks
from daystore_s3.reading import read_sights
from daystore_s3.requests import Requests

__all__ = ["Searcher"]


class _Unplaced(Exception):
    """What is listed is not in its place."""


class Searcher:
    """Answers queries.

    Args:
        requests: By which to ask.
        places: Where records are.
        clock: Of the adapter.
    """

    def __init__(self, requests: Requests, places: Places, clock: Clock) -> None:
        self._requests = requests
        self._places = places
        self._clock = clock
        self._lister = Lister(requests, places)
        self._finder = Finder(requests, places, self._lister)

    # --- Answers ---------------------------------------------------------------------------------------------

    async def page(self, query: Query) -> Page:
        """Return one page.

        Raises:
            InvalidCursor: If the cursor is damaged or belongs to another query.
        """
        position, now = _position(query), self._clock()
        node = normalise(query.where)
        if query.limit == 0 or node == FALSE:
            return Page([])
        if query.limit is not None and not query.offset:
            covers = covers_of(node)
            if len(covers) == 1 and walks(covers[0], query.order):
                try:
                    return await self._walk(query, query.limit, covers[0], position, now)
                except _Unplaced:
                    pass
        is_whole = query.limit is None and not query.offset and position is None
        fields = () if is_whole else (query.order.field,)
        found = await self._finder.find(query, fields, now, settled=False)
        return await self._window(query, found, position, now)

    async def count(self, query: Query) -> int:
        """Return how many records a query finds without limit, offset and cursor."""
        return len((await self._finder.find(query, (), self._clock())).records)

    async def records(self, query: Query, fields: Collection[str]) -> list[Record]:
        """Return all that a query finds, as far as these fields are concerned."""
        return (await self._finder.find(query, fields, self._clock())).records

    async def named(self, query: Query, cover: Cover) -> list[int]:
        """Return how many names the first listing of each span of a cover has."""
        listings = [self._lister.span(query.collection, span) for span in cover.spans]
        pages = await asyncio.gather(*(anext(listing, []) for listing in listings))
        return [len(page) for page in pages]

    async def prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        """Return what carries an intent, as collection and record."""
        found = []
        keys: dict[str, list[str]] = {}
        for name, key in await self._lister.prepared(collection):
            keys.setdefault(name, []).append(key)
        for name, owners in keys.items():
            sights = await read_sights(self._requests, self._places, name, owners)
            kept = {key: sight.kept for key, sight in sights.items()}
            shown = [one.shown(key, 0) for key, one in kept.items() if one.intent is not None]
            found += [(name, record) for record in shown if record is not None]
        return found

    # --- A page in the order of a listing ----------------------------------------------------------------------

    async def _walk(
        self, query: Query, limit: int, cover: Cover, position: Position | None, now: Instant
    ) -> Page:
        start = None if position is None else _start(query, cover, position)
        found: dict[str, Record] = {}
        pending: list[str] = []
        last: Position | None = None
        more = False
        async for seen in self._walked(query, cover, start):
            if len(found) > limit:
                more = True
                break
            pending.append(seen.key)
            last = _place(query, seen)
            if len(found) + len(pending) > limit:
                found |= await self._finder.read(query, pending, now)
                pending.clear()
        if pending:
            found |= await self._finder.read(query, pending, now)
        records = [r for r in found.values() if position is None or _is_after(query, r, position)]
        if more and last is not None:  # what has moved behind all that was looked at comes on a later page
            records = [r for r in records if not _is_after(query, r, last)]
        return _page(query, records, limit)

    async def _walked(self, query: Query, cover: Cover, start: Start | None) -> AsyncIterator[Seen]:
        known: set[str] = set()
        walked = query.order.field
        for span in cover.spans:
            if start is not None and start.sort_key >= span.high and span.field != "key":
                continue
            async for page in self._lister.span(query.collection, span, start):
                for seen in page:
                    if not seen.placed or (walked != "key" and seen.fields.get(walked) is None):
                        raise _Unplaced
                    if seen.key not in known:
                        known.add(seen.key)
                        yield seen

    # --- A page of what matches ----------------------------------------------------------------------------------

    async def _window(self, query: Query, found: Matches, position: Position | None, now: Instant) -> Page:
        places = {key: _place_of(query, record) for key, record in (found.told | found.read).items()}
        keys = [key for key, at in places.items() if position is None or _after(query, at, position)]
        keys.sort()
        keys.sort(key=lambda key: places[key].value, reverse=query.order.descending)
        keys = keys[query.offset :]
        if query.limit is None:
            wanted = [key for key in keys if key not in found.read]
            read = await self._finder.read(query, wanted, now)
            return _page(
                query, [*read.values(), *(found.read[key] for key in keys if key in found.read)], None
            )
        got: list[Record] = []
        at = 0
        while at < len(keys) and len(got) <= query.limit:
            part = keys[at : at + query.limit + 1 - len(got)]
            at += len(part)
            read = await self._finder.read(query, [key for key in part if key not in found.read], now)
            got += (read | {key: found.read[key] for key in part if key in found.read}).values()
        if position is not None:
            got = [record for record in got if _is_after(query, record, position)]
        if at < len(keys):
            got = [record for record in got if not _is_after(query, record, places[keys[at - 1]])]
        return _page(query, got, query.limit)


# --- Places in an order --------------------------------------------------------------------------------------


def _position(query: Query) -> Position | None:
    position = decode_cursor(query)
    if position is not None and query.order.field != "key":
        try:
            encode_sort_value(position.value)
        except ValueError:
            raise InvalidCursor("the cursor is damaged: pass it on exactly as it was given out") from None
    return position


def _start(query: Query, cover: Cover, position: Position) -> Start:
    if query.order.field == "key":
        return Start(cover.spans[0].low if cover.spans[0].field != "key" else b"", position.key)
    return Start(encode_sort_value(position.value), position.key)


def _place(query: Query, seen: Seen) -> Position:
    name = query.order.field
    return Position(sort_value(seen.key if name == "key" else seen.fields.get(name)), seen.key)


def _place_of(query: Query, record: Record) -> Position:
    return Position(sort_value(field_of(record, query.order.field)), record.key)


def _after(query: Query, place: Position, position: Position) -> bool:
    return is_after(place.value, place.key, position, descending=query.order.descending)


def _is_after(query: Query, record: Record, position: Position) -> bool:
    return _after(query, _place_of(query, record), position)


def _page(query: Query, records: list[Record], limit: int | None) -> Page:
    places = {record.key: _place_of(query, record) for record in records}
    records.sort(key=lambda record: record.key)
    records.sort(key=lambda record: places[record.key].value, reverse=query.order.descending)
    part = records if limit is None else records[:limit]
    if not part or len(part) == len(records):
        return Page(part)
    return Page(part, encode_cursor(query, places[part[-1].key]))
