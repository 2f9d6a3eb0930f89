"""The target of the compliance suite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, cast

from pymongo import MongoClient

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
        await asyncio.to_thread(self._drop, namespace_prefix(namespace))

    def _drop(self, prefix: str) -> None:
        with MongoClient[dict[str, Any]](self.url) as client:
            database = client.get_default_database()
            for name in database.list_collection_names():
                if name.startswith(prefix):
                    database.drop_collection(name)

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the documents of records and their fields, and the connections of the adapter."""
        return await asyncio.to_thread(self._count, cast("MongoAdapter", adapter))

    def _count(self, adapter: MongoAdapter) -> Raw:
        records = entries = 0
        prefix = namespace_prefix(adapter.namespace)
        with MongoClient[dict[str, Any]](self.url) as client:
            database = client[adapter.location.database]
            for name in database.list_collection_names():
                if name.startswith(prefix) and name != prefix + LAYOUT_NAME:
                    for document in database[name].find({}, {"f": 1, "l": 1, "w": 1}):
                        records += 1
                        entries += (
                            len(document["f"]) + len(document["w"]) + sum(map(len, document["l"].values()))
                        )
        return Raw(records, entries, adapter.connections)

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
