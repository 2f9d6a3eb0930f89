"""The layout of a namespace: made, or refused; and the indexes of its collections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError, OperationFailure

from daystore.abc import STRONG
from daystore_mongo.connection import Connection
from daystore_mongo.documents import Document
from daystore_mongo.errors import unavailable
from daystore_mongo.names import LAYOUT_NAME

__all__ = ["LAYOUT", "Indexes", "prepare"]

LAYOUT: Final = 1
"""Number of the layout that this version reads and writes."""
GRACE: Final = 3600
"""Seconds by which the clock of a server may be ahead of ours before it removes what has not expired."""

_CANNOT_CREATE: Final = 67
_BASE: Final = {
    "created": IndexModel([("c", 1), ("_id", 1)], name="created"),
    "updated": IndexModel([("u", 1), ("_id", 1)], name="updated"),
    "expiry": IndexModel([("x", 1)], name="expiry", partialFilterExpression={"x": {"$exists": True}}),
    "removal": IndexModel(
        [("t", 1)], name="removal", expireAfterSeconds=GRACE, partialFilterExpression={"t": {"$exists": True}}
    ),
    "intents": IndexModel([("h", 1)], name="intents", partialFilterExpression={"h": {"$exists": True}}),
}


async def prepare(connection: Connection) -> None:
    """Stamp a namespace that is new.

    Raises:
        BackendUnavailable: If its layout is from a newer version. It is left as it is.
    """
    reading = connection.collection(LAYOUT_NAME, STRONG)
    writing = connection.collection(LAYOUT_NAME)

    async def stamp() -> Document | None:
        found = await reading.find_one({"_id": "layout"})
        if found is None:
            try:
                await writing.insert_one({"_id": "layout", "version": LAYOUT})
            except DuplicateKeyError:
                return await reading.find_one({"_id": "layout"})
        return found

    found = await connection.read("open", stamp)
    layout: Any = LAYOUT if found is None else found.get("version")
    if type(layout) is not int or layout > LAYOUT:
        raise unavailable(
            f"the namespace has the layout {layout!r}, which is from a newer version of daystore-mongo (this one "
            f"knows {LAYOUT}); it was left as it is: upgrade daystore-mongo",
            "open",
            retryable=False,
        )


class Indexes:
    """Makes the indexes of a collection, each when it is first needed.

    Args:
        connection: To the servers.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, set[str]] = {}
        self._making = asyncio.Lock()

    def lacks(self, collection: str, paths: Iterable[str]) -> bool:
        """Tell whether there may be no index for one of some paths."""
        known = self._known.get(collection)
        return known is None or not known.issuperset(paths)

    async def make(self, collection: str, paths: Iterable[str]) -> None:
        """Make indexes for paths, and those that every collection has.

        A server makes a limited number of them; further paths are left without.
        """
        async with self._making:
            known = self._known.get(collection, set())
            new = [path for path in dict.fromkeys(paths) if path not in known]
            models = [] if known else list(_BASE.values())
            models += [IndexModel([(path, 1), ("_id", 1)], name=path) for path in new]
            if models:
                await self._create(collection, models)
            self._known[collection] = known | {"_id", *new}

    async def _create(self, collection: str, models: list[IndexModel]) -> None:
        writing = self._connection.collection(collection)

        async def create() -> None:
            try:
                await writing.create_indexes(models)
            except OperationFailure as error:
                if error.code != _CANNOT_CREATE:
                    raise
                await one_by_one()

        async def one_by_one() -> None:
            for model in models:
                try:
                    await writing.create_indexes([model])
                except OperationFailure as error:
                    if error.code != _CANNOT_CREATE:
                        raise
                    return

        await self._connection.read("write", create)

    async def names(self, collection: str) -> set[str]:
        """Ask which indexes a collection has."""
        reading = self._connection.collection(collection)

        async def ask() -> set[str]:
            async with await reading.list_indexes() as found:
                return {str(index["name"]) for index in await found.to_list()}

        return await self._connection.read("explain", ask)
