"""MongoDB: pymongo, and stores on it."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pymongo
from pymongo import AsyncMongoClient, UpdateOne, WriteConcern

from benchmarks.subjects import BYTES, JSON, Codec, Field, Subject, Value
from benchmarks.subjects.daystore import OURS, OURS_BYTES, rows
from benchmarks.subjects.peers import KeyValue

DATABASE = "daystore_benchmarks"
DURABLE = WriteConcern("majority", j=True)  # as daystore writes


class RawPymongo:
    """pymongo as its documentation uses it: upserts with ``$set``, finds by ``_id``, ``bulk_write``, ``$in``."""

    def __init__(self, collection: Any, codec: Codec) -> None:
        self._collection = collection
        self._dumps, self._loads, self.payload = codec.dumps, codec.loads, codec.payload

    async def set(self, key: str, value: Value) -> None:
        await self._collection.update_one({"_id": key}, {"$set": {"v": self._dumps(value)}}, upsert=True)

    async def get(self, key: str) -> object:
        found = await self._collection.find_one({"_id": key})
        return None if found is None else self._loads(found["v"])

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        changes = [
            UpdateOne({"_id": key}, {"$set": {"v": self._dumps(value)}}, upsert=True)
            for key, value in items.items()
        ]
        await self._collection.bulk_write(changes, ordered=False)

    async def get_batch(self, keys: Sequence[str]) -> Any:
        found = await self._collection.find({"_id": {"$in": keys}}, batch_size=len(keys)).to_list()
        return {document["_id"]: self._loads(document["v"]) for document in found}


def client_of(url: str) -> AsyncMongoClient[dict[str, Any]]:
    """Make a client."""
    return AsyncMongoClient(url)


@asynccontextmanager
async def workspace(url: str) -> AsyncIterator[str]:
    """Yield the URL of a database of the server that is empty, and drop it at the end."""
    async with client_of(url) as client:
        await client.drop_database(DATABASE)
        try:
            yield urlsplit(url)._replace(path=f"/{DATABASE}").geturl()
        finally:
            await client.drop_database(DATABASE)


async def version(url: str) -> str:
    """Say which server and which driver this is."""
    async with client_of(url) as client:
        info = await client.server_info()
    name = "mongo-java-server" if "Java" in str(info.get("sysInfo", "")) else "MongoDB's protocol"
    return f"{name} {info['version']}, pymongo {pymongo.version}"


async def settle(_: str) -> None:
    """Do nothing: MongoDB has no statistics to bring up to date."""


@asynccontextmanager
async def subjects(url: str) -> AsyncIterator[Field]:
    """Everything that keeps values in MongoDB."""
    from key_value.aio.stores.mongodb import MongoDBStore

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_of(url))
        database = client.get_default_database(write_concern=DURABLE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it calls itself unstable
            key_value = MongoDBStore(client=client, db_name=DATABASE, coll_name="key_value")
        found: dict[str, Subject] = {
            "raw pymongo": RawPymongo(database["raw"], JSON),
            "raw pymongo, bytes": RawPymongo(database["raw_bytes"], BYTES),
            **await rows(url, stack),
            "py-key-value MongoDBStore": KeyValue(await stack.enter_async_context(key_value)),
        }
        yield Field(found, {OURS: "raw pymongo", OURS_BYTES: "raw pymongo, bytes"})
