"""The target of the compliance suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase

from daystore.abc import Clock, StorageAdapter
from daystore_compliance.services import Service, ServiceTarget
from daystore_compliance.target import Raw
from daystore_mongo.adapter import MongoAdapter
from daystore_mongo.layout import LAYOUT
from daystore_mongo.names import LAYOUT_NAME, namespace_prefix

__all__ = ["MongoTarget"]

CLIENT = {"serverSelectionTimeoutMS": 2_000, "connectTimeoutMS": 2_000}


def _probe(url: str) -> None:
    with MongoClient[dict[str, Any]](url, **CLIENT) as client:  # type: ignore[arg-type]
        client.admin.command("ping")


MONGO = Service(
    name="mongo",
    image="mongo:8",
    build="mongo-java-server",
    port=27017,
    url="mongodb://127.0.0.1:{port}/daystore",
    probe=_probe,
)


async def _collections(database: AsyncDatabase[dict[str, Any]], namespace: str) -> list[str]:
    prefix = namespace_prefix(namespace)
    return [name for name in await database.list_collection_names() if name.startswith(prefix)]


class MongoTarget(ServiceTarget):
    """MongoDB: one server. Where its image cannot be pulled, mongo-java-server stands in, all of it in memory."""

    name = "mongo"
    service: ClassVar[Service] = MONGO
    hooks: frozenset[str] = frozenset({"fresh", "future", "process", "proxy", "raw", "reopen", "second"})

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return a closed adapter. Its driver waits shorter than cases do for what tells it how the server is."""
        return MongoAdapter.from_url(url, namespace=namespace, clock=clock, connect_timeout=1.0)

    async def forget(self, namespace: str) -> None:
        """Drop the collections of a namespace: a server makes the indexes of others more slowly beside them."""
        async with self._client() as client:
            database = client.get_default_database()
            for name in await _collections(database, namespace):
                await database.drop_collection(name)

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the documents of records and their fields, and the connections of the adapter."""
        mine = cast("MongoAdapter", adapter)
        records = entries = 0
        async with self._client() as client:
            database = client[mine.location.database]
            for name in await _collections(database, mine.namespace):
                if name != namespace_prefix(mine.namespace) + LAYOUT_NAME:
                    async for document in database[name].find({}, {"f": 1, "l": 1, "w": 1}):
                        lists = sum(map(len, document["l"].values()))
                        records += 1
                        entries += len(document["f"]) + len(document["w"]) + lists
        return Raw(records, entries, mine.connections)

    def _client(self) -> AsyncMongoClient[dict[str, Any]]:
        """Return a client without threads: those of the other kind live half a second longer than it."""
        return AsyncMongoClient(self.url)

    def from_the_future(self) -> Callable[[], None]:
        """Stamp every namespace with a layout that is still to come."""
        self._stamp(9999)
        return lambda: self._stamp(LAYOUT)

    def _stamp(self, layout: int) -> None:
        with MongoClient[dict[str, Any]](self.url) as client:
            database = client["daystore"]
            for name in database.list_collection_names():
                if name.endswith(f".{LAYOUT_NAME}"):
                    database[name].update_one({"_id": "layout"}, {"$set": {"version": layout}})
