"""Parts that no record names: those of writes that were broken off, and those that a writer did not take away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from daystore.errors import CorruptRecord
from daystore_s3.markers import owner_of
from daystore_s3.naming import CUT, divided, joined
from daystore_s3.places import Places
from daystore_s3.reading import look
from daystore_s3.requests import Requests

__all__ = ["Orphans"]

MOST: Final = 200
"""Parts that one search looks at."""


class Orphans:
    """Takes them away, some of a collection at a time, and goes on from there the next time.

    Args:
        requests: By which to ask.
        places: Where things are.
        age: From which on no write under way names parts any more, by the clock of the server.
    """

    def __init__(self, requests: Requests, places: Places, age: timedelta) -> None:
        self._requests = requests
        self._places = places
        self._age = age
        self._at: dict[str, str] = {}

    async def sweep(self, collection: str) -> None:
        """Look at the next parts of a collection."""
        prefix = self._places.parts(collection)
        listing = await self._requests.listing(prefix, self._at.get(collection, ""), MOST)
        self._at[collection] = listing.last
        old: dict[str, list[str]] = {}
        for item in listing.items:
            if listing.now - item.modified > self._age:
                old.setdefault(item.name[len(prefix) :].rpartition("/")[0], []).append(item.name)
        await asyncio.gather(*(self._drop(collection, owner, names) for owner, names in old.items()))

    async def _drop(self, collection: str, owner: str, names: list[str]) -> None:
        """Take away those of the parts of one record that it does not name."""
        with suppress(CorruptRecord):  # nobody can tell what that names
            key = await self._key(collection, owner)
            named = set() if key is None else await self._named(collection, key)
            if orphans := [name for name in names if name not in named]:
                await self._requests.drop_all(orphans)

    async def _named(self, collection: str, key: str) -> set[str]:
        record = self._places.record(collection, key)
        _, kept = await look(self._requests, collection, key, record, whole=False)
        return {name for parts in kept.parts for name in parts.names(self._places, collection, key)}

    async def _key(self, collection: str, owner: str) -> str | None:
        """Return the key that an owner in a name stands for; ``None`` if it is cut and there is no such record."""
        key = owner_of(owner)
        if key is not None:
            return key
        prefix = self._places.records(collection)
        beginning = divided(joined(owner).partition(CUT)[0]).removesuffix("!")
        async for listing in self._requests.names(prefix + beginning):
            for item in listing.items:
                key = self._places.key_of(prefix, item.name)
                if self._places.owner(key) == owner:
                    return key
        return None
