"""What matches a predicate, as far as listings tell, and by its object where that is in doubt.

A *span* of an index is listed, a request for a thousand names; the narrowest that holds all that is looked for.
If the predicate, the order or an aggregate needs more, the indexes of those fields are listed beside it, unless
reading the records themselves is cheaper. A record is in doubt while its markers are being changed, when its
deadline is over, and when its markers disagree: its object is read, and that is the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from daystore.abc import Instant, Query, Record, to_instant
from daystore.abc.evaluate import matcher
from daystore.abc.ranges import BOUNDS, FALSE, normalise
from daystore_s3.listing import Lister, Seen
from daystore_s3.objects import Kept
from daystore_s3.places import Places
from daystore_s3.planning import EVERYTHING, Cover, Span, covers_of, fields_of
from daystore_s3.reading import read_sights
from daystore_s3.requests import Requests

__all__ = ["Finder", "Matches"]

LISTED_FREELY: Final = 2
"""Requests for the index of a further field, before they are compared with reading the records."""
READS_PER_LISTING: Final = 10
"""So many reads are as dear as a listing."""
WHOLE: Final = (b"\x01", b"\x08")
"""What an index holds of each record that has the field, once."""


@dataclass(slots=True)
class Matches:
    """What matches a predicate.

    Attributes:
        told: What listings tell of those that match, as records, and records that were read but for their parts.
        read: Records that were read because it was in doubt whether they match; they do.
    """

    told: dict[str, Record] = field(default_factory=dict)
    read: dict[str, Record] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """All of them."""
        return [*self.told.values(), *self.read.values()]


class Finder:
    """Finds what matches.

    Args:
        requests: By which to ask.
        places: Where records are.
        lister: By which to list.
    """

    def __init__(self, requests: Requests, places: Places, lister: Lister) -> None:
        self._requests = requests
        self._places = places
        self._lister = lister

    async def read(self, query: Query, keys: Iterable[str], now: Instant) -> dict[str, Record]:
        """Read records, and return those that are alive and match."""
        found = await self._read(query, keys, now, in_full=True)
        return {record.key: record for record, _ in found}

    async def _read(
        self, query: Query, keys: Iterable[str], now: Instant, *, in_full: bool
    ) -> list[tuple[Record, Kept]]:
        """Read records, perhaps without their parts, and return those that are alive and match."""
        judge = matcher(query.where)

        def matches(kept: Kept) -> bool:
            record = kept.live(now)
            return record is not None and judge(record)

        found = await read_sights(
            self._requests,
            self._places,
            query.collection,
            keys,
            in_full=lambda kept: in_full and matches(kept),
        )
        kept = [sight.kept for sight in found.values() if matches(sight.kept)]
        return [(one.record, one) for one in kept if one.record is not None]

    async def find(
        self, query: Query, fields: Collection[str], now: Instant, *, settled: bool = True
    ) -> Matches:
        """Return what a query finds, and what is told of these fields.

        Args:
            query: The query.
            fields: What has to be known of each record.
            now: The present instant.
            settled: Whether what listings tell is to be the answer; else all of it is going to be read, and may be
                more than what matches.
        """
        collection, node = query.collection, normalise(query.where)
        if node == FALSE:
            return Matches()
        covers = covers_of(node) or [EVERYTHING]
        settled = settled or not covers[0].exact or query.offset > 0
        doubted = await self._lister.doubted(collection, now) if settled else set()
        cover, seen = await self._narrowest(collection, covers)
        needed = {*fields, *(() if cover.exact else fields_of(node))} - {"key"}
        told = await self._tell(collection, cover, seen, needed)
        if settled:
            doubted |= await self._lister.doubted(collection, now)
        judge = matcher(query.where)
        found, wanted = Matches(), []
        for key, one in seen.items():
            if not told or key in doubted or not one.sure or not _is_known(one, needed):
                wanted.append(key)
            else:
                record = _told(one)
                if cover.exact or judge(record):
                    found.told[key] = record
        for record, kept in await self._read(query, wanted, now, in_full=False):
            (found.told if kept.parts else found.read)[record.key] = record
        return found

    async def _narrowest(self, collection: str, covers: list[Cover]) -> tuple[Cover, dict[str, Seen]]:
        """List covers side by side until one is complete, and return it."""
        listings = [(cover, self._of(collection, cover)) for cover in covers]
        found: list[dict[str, Seen]] = [{} for _ in covers]
        try:
            while True:
                pages = await asyncio.gather(*(anext(listing, None) for _, listing in listings))
                if ended := [number for number, page in enumerate(pages) if page is None]:
                    best = min(ended, key=lambda number: len(found[number]))
                    return covers[best], found[best]
                for number, page in enumerate(pages):
                    _add(found[number], page or [])
        finally:
            for _, listing in listings:
                await listing.aclose()  # type: ignore[attr-defined]

    async def _of(self, collection: str, cover: Cover) -> AsyncIterator[list[Seen]]:
        for span in cover.spans:
            async for page in self._lister.span(collection, span):
                yield page

    async def _tell(self, collection: str, cover: Cover, seen: dict[str, Seen], needed: set[str]) -> bool:
        """List the indexes of further fields; tell whether all is known then."""
        if not seen:
            return True
        if "updated_at" in needed:
            return False
        known = cover.fields if all(cover.fields <= one.fields.keys() for one in seen.values()) else set()
        missing = needed - known
        if len(seen) <= READS_PER_LISTING:
            return not missing
        most = LISTED_FREELY + len(seen) // READS_PER_LISTING
        told = await asyncio.gather(*(self._add_field(collection, name, seen, most) for name in missing))
        return all(told)

    async def _add_field(self, collection: str, name: str, seen: dict[str, Seen], most: int) -> bool:
        span = Span(name, *BOUNDS.get(name, WHOLE))
        listed: dict[str, Seen] = {}
        async for page in self._lister.span(collection, span):
            _add(listed, page)
            most -= 1
            if most < 0:
                return False
        for key in seen.keys() & listed.keys():
            seen[key].add(listed[key])
        return True


def _is_known(one: Seen, fields: set[str]) -> bool:
    if "created_at" in fields and "created_at" not in one.fields:
        return False  # it was made meanwhile
    return all(one.fields.get(name, True) is not None for name in fields)


def _add(found: dict[str, Seen], page: list[Seen]) -> None:
    for one in page:
        if (known := found.get(one.key)) is not None:
            known.add(one)
        else:
            found[one.key] = one


def _told(one: Seen) -> Record:
    created = one.fields.get("created_at")
    fields = {name: value for name, value in one.fields.items() if name != "created_at" and value is not None}
    instant = to_instant(created) if isinstance(created, datetime) else 0
    return Record(one.key, b"", "", instant, 0, fields=fields)
