"""Reclaiming the space of what has expired, where the server does not do it by itself."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from daystore.abc import Instant
from daystore.errors import DaystoreError
from daystore_mongo.connection import Connection, Lost
from daystore_mongo.documents import Document
from daystore_mongo.operations import FREE

__all__ = ["Sweeper"]

MOST: Final = 1_000
"""Records that one sweep takes."""


class Sweeper:
    """Deletes expired records, now and then, from collections that are written to.

    Args:
        connection: To the servers.
        interval: Microseconds between two sweeps of a collection.
    """

    def __init__(self, connection: Connection, interval: Instant) -> None:
        self._connection = connection
        self._interval = interval
        self._due: dict[str, Instant] = {}

    async def sweep(self, collection: str, now: Instant) -> None:
        """Sweep a collection if it is due. What carries an intent stays. Failing to is no error."""
        if now < self._due.setdefault(collection, now + self._interval):
            return
        self._due[collection] = now + self._interval
        with suppress(DaystoreError, Lost):
            if await self._delete(collection, now) == MOST:
                self._due[collection] = now

    async def _delete(self, collection: str, now: Instant) -> int:
        swept = self._connection.collection(collection)
        expired: Document = {"x": {"$lte": now}, **FREE}

        async def find() -> list[Document]:
            async with swept.find(expired, {"_id": 1}, limit=MOST, batch_size=MOST) as cursor:
                return await cursor.to_list()

        found = await self._connection.read("write", find)
        if found:
            these = {"_id": {"$in": [document["_id"] for document in found]}, **expired}
            await self._connection.write(lambda: swept.delete_many(these))
        return len(found)
