"""The adapter: the primitives of the contract on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from pydantic import ValidationError

from daystore.abc import (
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
from daystore.errors import ConfigError, StoreClosed
from daystore_redis.aggregating import run_aggregate
from daystore_redis.config import RedisConfig
from daystore_redis.durability import Durability
from daystore_redis.errors import BACKEND
from daystore_redis.exchange import Exchange
from daystore_redis.explaining import run_explain
from daystore_redis.facts import check, learn
from daystore_redis.keys import Places
from daystore_redis.layout import prepare
from daystore_redis.reading import read_prepared, read_records
from daystore_redis.searching import Searcher
from daystore_redis.urls import Location, locate
from daystore_redis.writing import Writer

__all__ = ["RedisAdapter"]

CAPABILITIES = Capabilities(
    conditional=True,
    atomic_batch=True,
    transactions=True,
    ttl=True,
    query=True,
    aggregate=True,
    intents=True,
    snapshots=True,
    durable=False,
    consistency=frozenset({"eventual", "bounded", "strong"}),
    limits=Limits(max_batch=1_000, max_atomic_ops=10_000),
)


class RedisAdapter(StorageAdapter):
    """Records on Redis or Valkey.

    It is declared ``durable`` once it is open, if the server has each change on its disk before it acknowledges
    it (``appendfsync always``), or with the option ``durability="aof"``.

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

    def __init__(
        self,
        location: Location,
        config: RedisConfig,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__(namespace=namespace, clock=clock, timeout=timeout)
        self.location: Location = location
        self.config: RedisConfig = config
        self.places: Places = Places(namespace, config.shards)
        whole, searched = config.shards == 1, not config.cache
        self.one_unit = whole
        self.capabilities = replace(
            CAPABILITIES,
            atomic_batch=whole or searched,
            transactions=searched,
            query=searched,
            aggregate=searched,
            intents=searched,
            snapshots=whole,
            durable=config.durability == "aof",
        )
        self._exchange: Exchange | None = None
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
            url: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://`` or ``redis+cluster://``.
            namespace: As for `StorageAdapter`.
            clock: As for `StorageAdapter`.
            timeout: As for `StorageAdapter`.
            **options: Those of `RedisConfig`.

        Raises:
            ConfigError: If the URL or an option cannot be used.
        """
        try:
            config = RedisConfig(**options)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join(RedisConfig.model_fields)
            raise ConfigError(f"options of the redis adapter: {problems}; there are: {known}") from None
        return cls(locate(url, config), config, namespace=namespace, clock=clock, timeout=timeout)

    # --- Life ------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        async with self._changing:
            if self._exchange is not None:
                return  # opened by another task meanwhile
            exchange = Exchange(self.location.connect(self.places.slots))
            try:
                async with self._limit("open"):
                    servers = [await learn(exchange, shard) for shard in range(self.config.shards)]
                    for facts in servers:
                        check(facts, self.config)
                    await prepare(exchange, self.places, cache=self.config.cache)
            except BaseException:
                await exchange.close()
                raise
            durable = self.config.durability == "aof" or all(facts.on_disk for facts in servers)
            self.capabilities = replace(self.capabilities, durable=durable)
            self._writer = Writer(
                exchange,
                self.places,
                self.clock,
                Durability(on_disk=self.config.durability == "aof", replicas=self.config.min_replicas),
                native=self.clock is system_clock,
                indexes=not self.config.cache,
                sweep_interval=round(self.config.sweep_interval * 1_000_000),
            )
            self._searcher = Searcher(exchange, self.places, self.clock)
            self._exchange = exchange

    async def _close(self) -> None:
        async with self._changing:
            exchange, self._exchange = self._exchange, None
            self._writer = self._searcher = None
            if exchange is not None:
                await exchange.close()

    @property
    def connections(self) -> int:
        """How many connections there are to servers."""
        return 0 if self._exchange is None else sum(pool.size for pool in self._exchange.servers.pools())

    @property
    def _opened(self) -> Exchange:
        if self._exchange is None:
            raise _closed()
        return self._exchange

    @property
    def _search(self) -> Searcher:
        if self._searcher is None:
            raise _closed()
        return self._searcher

    async def _health(self) -> Health:
        facts = await learn(self._opened, 0)
        return Health(True, facts.detail)

    # --- The primitives --------------------------------------------------------------------------------------

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        return await read_records(self._opened, self.places, self.clock, collection, keys)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self._writer is None:
            raise _closed()
        return await self._writer.write(batch, self.timeout)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        return await self._search.page(query)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return await self._search.count(query)

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        return await run_aggregate(self._search, query, aggregation)

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        return await read_prepared(self._opened, self.places, self.clock, collection)

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return self.places.shard_of(collection, key.encode())

    async def _explain(self, query: Query) -> Explanation:
        return await run_explain(self._search, query)


def _closed() -> StoreClosed:
    return StoreClosed("the adapter was closed: open it again", backend=BACKEND)
