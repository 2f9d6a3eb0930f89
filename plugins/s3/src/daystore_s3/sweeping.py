"""What is taken away: expired records, markers that writers have left behind, and what is left of deletes.

What fences off a late request stays for `HORIZON`, by the clock of the server: no request is under way so long.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from daystore.abc import Clock, Instant
from daystore.abc.sortkeys import encode_instant
from daystore.errors import DaystoreError
from daystore_s3.markers import Note, decode_notes, mark_of, markers_of, owner_of
from daystore_s3.objects import holds_record
from daystore_s3.orphans import Orphans
from daystore_s3.parts import LIFE
from daystore_s3.places import Places
from daystore_s3.reading import look
from daystore_s3.requests import Item, Requests
from daystore_s3.sending import Busy, Refused, Unanswered
from daystore_s3.writing import Writer

__all__ = ["Sweeper"]

HORIZON: Final = timedelta(minutes=15)
"""Age of what no request that is under way is older than."""
MOST: Final = 1_000
"""Expired records that one sweep takes away in a collection."""


class Sweeper:
    """Sweeps collections behind the writes that meet them.

    Args:
        requests: By which to ask.
        places: Where things are.
        clock: Of the adapter.
        writer: By which expired records are deleted.
        removes: Whether what was deleted can be taken away without harm to a write that comes in between.
        interval: Microseconds between two sweeps of a collection.
    """

    def __init__(
        self,
        requests: Requests,
        places: Places,
        clock: Clock,
        writer: Writer,
        *,
        removes: bool,
        interval: Instant,
    ) -> None:
        self._requests = requests
        self._places = places
        self._clock = clock
        self._writer = writer
        self._removes = removes
        self._interval = interval
        self._orphans = Orphans(requests, places, HORIZON + timedelta(seconds=LIFE))
        self._due: dict[str, Instant] = {}
        self._at: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def occasion(self, collections: set[str]) -> None:
        """Begin to sweep those of some collections that are due."""
        now = self._clock()
        for collection in collections:
            due = self._due.setdefault(collection, now + self._interval)
            if now >= due:
                self._due[collection] = now + self._interval
                task = asyncio.ensure_future(self._sweep(collection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sweep(self, collection: str) -> None:
        with suppress(DaystoreError):  # there will be another occasion
            await self._expired(collection)
            await self._left_behind(collection)
            await self._unprepared(collection)
            if self._removes:
                await self._deleted(collection)
            await self._orphans.sweep(collection)

    # --- What has expired --------------------------------------------------------------------------------------

    async def _expired(self, collection: str) -> None:
        now = self._clock()
        prefix = self._places.deadlines(collection)
        end = prefix + encode_instant(now).hex()
        listing = await self._requests.listing(prefix, size=MOST)
        over = [item.name for item in listing.items if item.name[: len(end)] <= end]
        await asyncio.gather(*(self._expire(collection, prefix, name) for name in over))

    async def _expire(self, collection: str, prefix: str, name: str) -> None:
        key = await self._owner(name, name[len(prefix) :].partition("/")[2])
        if key is not None:
            await self._writer.expire(collection, key, name)

    # --- What writers have left behind ---------------------------------------------------------------------------

    async def _left_behind(self, collection: str) -> None:
        listing = await self._requests.listing(self._places.notes(collection))
        old = [item.name for item in listing.items if listing.now - item.modified > HORIZON]
        await asyncio.gather(*(self._finish(collection, name) for name in old))

    async def _finish(self, collection: str, name: str) -> None:
        found = await self._requests.get(name)
        if found is None:
            return
        await asyncio.gather(*(self._settle(collection, note) for note in decode_notes(found.body)))
        await self._requests.drop(name)

    async def _settle(self, collection: str, note: Note) -> None:
        record = self._places.record(collection, note.key)
        _, kept = await look(self._requests, collection, note.key, record, whole=False)
        right = markers_of(self._places, collection, kept)
        await self._requests.drop_all(n for n in note.names if n not in right)

    async def _unprepared(self, collection: str) -> None:
        """Take away the markers of intents that were never made."""
        prefix = self._places.intents_of(collection)
        listing = await self._requests.listing(prefix)
        old = [item.name for item in listing.items if listing.now - item.modified > HORIZON]
        await asyncio.gather(*(self._unmark(collection, prefix, name) for name in old))

    async def _unmark(self, collection: str, prefix: str, name: str) -> None:
        key = await self._owner(name, name[len(prefix) :])
        if key is None:
            return
        record = self._places.record(collection, key)
        _, kept = await look(self._requests, collection, key, record, whole=False)
        if name not in mark_of(self._places, collection, key, kept):
            await self._requests.drop(name)

    async def _owner(self, name: str, path: str) -> str | None:
        """Return whose marker has a name that ends like this; ``None`` if it is gone."""
        key = owner_of(path.rpartition("/")[0])
        if key is not None:
            return key
        found = await self._requests.get(name)
        return None if found is None else found.body.decode()

    # --- What is left of deletes --------------------------------------------------------------------------

    async def _deleted(self, collection: str) -> None:
        prefix = self._places.records(collection)
        listing = await self._requests.listing(prefix, self._at.get(collection, ""))
        self._at[collection] = listing.last
        await asyncio.gather(
            *(self._remove(collection, prefix, item) for item in listing.items if _is_old(item, listing.now))
        )

    async def _remove(self, collection: str, prefix: str, item: Item) -> None:
        key = self._places.key_of(prefix, item.name)
        etag, kept = await look(self._requests, collection, key, item.name, whole=False)
        if etag == item.etag and kept.record is None and kept.intent is None:
            with suppress(Refused, Busy, Unanswered):
                await self._requests.drop_if(item.name, etag)


def _is_old(item: Item, now: datetime) -> bool:
    return not holds_record(item.size) and now - item.modified > HORIZON
