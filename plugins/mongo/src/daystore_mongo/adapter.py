"""The adapter: the primitives of the contract on MongoDB."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from pydantic import ValidationError

from daystore.abc import (
    STRONG,
    Aggregation,
    Capabilities,
    Clock,
    Consistency,
    Explanation,
    GroupRow,
    Health,
    Limits,
    Outcome,
    Page,
    Query,
    Record,
    StorageAdapter,
    WriteBatch,
    system_clock,
)
from daystore.abc.adapter import DEFAULT_TIMEOUT
from daystore.abc.names import DEFAULT_NAMESPACE
from daystore.errors import ConfigError
from daystore_mongo.aggregating import run_aggregate
from daystore_mongo.config import MongoConfig
from daystore_mongo.connection import Connection, Facts, closed
from daystore_mongo.documents import Document, id_of, is_alive, record_of
from daystore_mongo.errors import BACKEND
from daystore_mongo.explaining import run_explain
from daystore_mongo.layout import Indexes, prepare
from daystore_mongo.names import LAYOUT_NAME, namespace_prefix
from daystore_mongo.searching import MOST, Searcher
from daystore_mongo.sweeping import Sweeper
from daystore_mongo.urls import Location, locate
from daystore_mongo.writing import Writer

__all__ = ["MongoAdapter"]

CAPABILITIES = Capabilities(
    conditional=True,
    atomic_batch=True,
    transactions=True,
    ttl=True,
    query=True,
    aggregate=True,
    intents=True,
    durable=False,
    consistency=frozenset({"eventual", "bounded", "strong"}),
    limits=Limits(max_value_bytes=7 * 1024 * 1024, max_batch=1_000, max_atomic_ops=10_000),
)
"""A document holds 16 MiB, and a record that is being changed by a transaction has two values in it."""


class MongoAdapter(StorageAdapter):
    """Records on MongoDB.

    It is declared ``durable`` once it is open, if the servers keep their data on disks.

    Args:
        location: Where the servers are.
        config: The options.
        namespace: As for `StorageAdapter`.
        clock: As for `StorageAdapter`.
        timeout: As for `StorageAdapter`.
    """

    name: ClassVar[str] = BACKEND
    capabilities: Capabilities = CAPABILITIES
    coalesce: bool = True
    one_unit: bool = False

    def __init__(
        self,
        location: Location,
        config: MongoConfig,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__(namespace=namespace, clock=clock, timeout=timeout)
        self.location: Location = location
        self.config: MongoConfig = config
        self._connection: Connection | None = None
        self._facts: Facts | None = None
        self._indexes: Indexes | None = None
        self._writer: Writer | None = None
        self._searcher: Searcher | None = None
        self._changing = asyncio.Lock()  # opening and closing, one at a time

    @classmethod
    def from_url(  # type: ignore[override]  # the options are those that there are
        cls,
        url: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = DEFAULT_TIMEOUT,
        **options: Any,
    ) -> Self:
        """Make a closed adapter.

        Args:
            url: ``mongodb://`` or ``mongodb+srv://``.
            namespace: As for `StorageAdapter`.
            clock: As for `StorageAdapter`.
            timeout: As for `StorageAdapter`.
            **options: Those of `MongoConfig`.

        Raises:
            ConfigError: If the URL or an option cannot be used.
        """
        try:
            config = MongoConfig(**options)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join(MongoConfig.model_fields)
            raise ConfigError(f"options of the mongo adapter: {problems}; there are: {known}") from None
        return cls(locate(url, config), config, namespace=namespace, clock=clock, timeout=timeout)

    # --- Life ------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        async with self._changing:
            if self._connection is not None:
                return  # opened by another task meanwhile
            connection = Connection(
                self.location.connect(),
                self.location.database,
                self.namespace,
                secondary=self.config.eventual == "secondary",
            )
            try:
                async with self._limit("open"):
                    facts = await connection.learn()
                    await prepare(connection)
            except BaseException:
                await connection.close()
                raise
            self.capabilities = replace(self.capabilities, durable=facts.on_disk)
            sweeper = Sweeper(connection, round(self.config.sweep_interval * 1_000_000))
            self._indexes = Indexes(connection)
            self._writer = Writer(
                connection, self._indexes, sweeper, self.clock, native=self.clock is system_clock
            )
            self._searcher = Searcher(connection, self.clock)
            self._facts = facts
            self._connection = connection

    async def _close(self) -> None:
        async with self._changing:
            connection, self._connection = self._connection, None
            if self._writer is not None:
                await self._writer.drain()
            self._writer = self._searcher = self._indexes = None
            if connection is not None:
                await connection.close()

    @property
    def connections(self) -> int:
        """How many connections to servers are in use."""
        return 0 if self._connection is None else self._connection.busy

    @property
    def _opened(self) -> Connection:
        if self._connection is None:
            raise closed()
        return self._connection

    @property
    def _search(self) -> Searcher:
        if self._searcher is None:
            raise closed()
        return self._searcher

    async def _health(self) -> Health:
        facts = await self._opened.learn()
        return Health(True, {"version": facts.version, "topology": facts.topology})

    # --- The primitives --------------------------------------------------------------------------------------

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        connection = self._opened
        reading = connection.collection(collection, consistency)
        identifiers = [id_of(key) for key in keys]
        where = {"_id": identifiers[0] if len(keys) == 1 else {"$in": identifiers}}

        async def ask() -> list[Document]:
            async with reading.find(where, batch_size=max(len(keys), 2)) as cursor:
                return await cursor.to_list()

        documents = await connection.read("read", ask)
        now = self.clock()
        found = {
            document["_id"]: document for document in documents if is_alive(document, now) or "h" in document
        }
        return [
            None if (document := found.get(identifier)) is None else record_of(collection, document)
            for identifier in identifiers
        ]

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self._writer is None:
            raise closed()
        return await self._writer.write(batch, self.timeout)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        return await self._search.page(query, consistency)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return await self._search.count(query, consistency)

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        return await run_aggregate(self._search, query, aggregation, consistency)

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        names = [collection] if collection is not None else await self._collections()
        found = await asyncio.gather(*(self._prepared_in(name) for name in names))
        return [(name, record) for name, records in zip(names, found, strict=True) for record in records]

    async def _prepared_in(self, name: str) -> list[Record]:
        connection = self._opened
        reading = connection.collection(name, STRONG)

        async def ask() -> list[Document]:
            async with reading.find({"h": {"$exists": True}}, batch_size=MOST) as cursor:
                return await cursor.to_list()

        documents = await connection.read("read", ask)
        return [record_of(name, document) for document in documents]

    async def _collections(self) -> list[str]:
        """Return the collections of the namespace."""
        connection, prefix = self._opened, namespace_prefix(self.namespace)
        these = {"name": {"$regex": f"^{re.escape(prefix)}"}}
        names = await connection.read("read", lambda: connection.database.list_collection_names(filter=these))
        own = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        return sorted(name for name in own if name != LAYOUT_NAME)

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return (collection, key)

    async def _explain(self, query: Query) -> Explanation:
        if self._indexes is None:
            raise closed()
        return await run_explain(self._indexes, query)
