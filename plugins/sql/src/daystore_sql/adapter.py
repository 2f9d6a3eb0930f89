"""The adapter: the primitives of the contract on a SQL database."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
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
from daystore.errors import ConfigError, StoreClosed
from daystore_sql.aggregating import run_aggregate
from daystore_sql.config import SQLConfig
from daystore_sql.database import Database, Engine, database_of
from daystore_sql.errors import BACKEND
from daystore_sql.explaining import run_explain
from daystore_sql.intents import run_prepared
from daystore_sql.reading import run_count, run_query
from daystore_sql.session import in_snapshot
from daystore_sql.writing import check_sizes

__all__ = ["SQLAdapter"]

CAPABILITIES = Capabilities(
    conditional=True,
    atomic_batch=True,
    transactions=True,
    ttl=True,
    query=True,
    aggregate=True,
    intents=True,
    snapshots=True,
    durable=True,
    consistency=frozenset({"eventual", "bounded", "strong"}),
    limits=Limits(max_batch=10_000),
)


class SQLAdapter(StorageAdapter):
    """Records in a SQL database.

    SQLite is in a file or in memory. A database in memory lives from `open` to `close`; each adapter has its own.
    A file is declared ``durable`` with the option ``synchronous="full"``: without it the last writes before a
    power failure may be lost, though none to a crash of the process. A server is declared ``durable`` once `open`
    has found that it waits for its disk; its adapter belongs to the event loop that it was opened on.

    Args:
        database: Which database.
        namespace: As for `StorageAdapter`.
        clock: As for `StorageAdapter`.
        timeout: As for `StorageAdapter`.
    """

    name: ClassVar[str] = BACKEND
    capabilities: Capabilities = CAPABILITIES

    def __init__(
        self,
        database: Database,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__(namespace=namespace, clock=clock, timeout=timeout)
        self.database = database
        self.coalesce: bool = database.is_far
        if not database.is_durable:
            self.capabilities = replace(CAPABILITIES, durable=False)
        self._engine: Engine | None = None
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
            url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite:///:memory:`` or ``sqlite://``;
                ``postgresql://user:password@host/database``; ``mysql://user:password@host/database``.
            namespace: As for `StorageAdapter`.
            clock: As for `StorageAdapter`.
            timeout: As for `StorageAdapter`.
            **options: Those of `SQLConfig`.

        Raises:
            ConfigError: If the URL or an option cannot be used.
        """
        try:
            config = SQLConfig(**options)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join(SQLConfig.model_fields)
            raise ConfigError(f"options of the sql adapter: {problems}; there are: {known}") from None
        return cls(database_of(url, config), namespace=namespace, clock=clock, timeout=timeout)

    # --- Life ------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        async with self._changing:
            if self._engine is not None:
                return  # opened by another task meanwhile
            engine = self.database.engine(self.namespace, self.clock, lambda: self.timeout)
            await engine.start()
            if self.capabilities.durable != engine.is_durable:
                self.capabilities = replace(self.capabilities, durable=engine.is_durable)
            limits = CAPABILITIES.limits
            if engine.largest is not None and engine.largest < (limits.max_value_bytes or engine.largest + 1):
                limits = replace(limits, max_value_bytes=engine.largest)
            self.capabilities = replace(self.capabilities, limits=limits)
            self._engine = engine
            self._forgotten = weakref.finalize(self, engine.abandon)

    async def _close(self) -> None:
        async with self._changing:
            engine, self._engine = self._engine, None
            if engine is not None:
                self._forgotten.detach()
                await engine.close()

    @property
    def _opened(self) -> Engine:
        engine = self._engine
        if engine is None:
            raise StoreClosed("the adapter was closed: open it again", backend=BACKEND)
        return engine

    async def _health(self) -> Health:
        return await self._opened.health()

    # --- The primitives --------------------------------------------------------------------------------------

    async def _read(
        self,
        collection: str,
        keys: Sequence[str],
        consistency: Consistency,
    ) -> list[Record | None]:
        return await self._opened.read_records(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        check_sizes(batch)
        return await self._opened.write(batch)

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        return await self._opened.read("prepared", STRONG, run_prepared, collection)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        return await self._opened.read("query", consistency, in_snapshot, run_query, query)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return await self._opened.read("count", consistency, in_snapshot, run_count, query)

    async def _aggregate(
        self,
        query: Query,
        aggregation: Aggregation,
        consistency: Consistency,
    ) -> list[GroupRow]:
        return await self._opened.read(
            "aggregate", consistency, in_snapshot, run_aggregate, query, aggregation
        )

    async def _explain(self, query: Query) -> Explanation:
        return await self._opened.read("explain", STRONG, in_snapshot, run_explain, query)
