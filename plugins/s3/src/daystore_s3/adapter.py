"""The adapter: the primitives of the contract on S3."""

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
from daystore.errors import ConfigError, StoreClosed, UnsupportedOperation
from daystore_s3.aggregating import run_aggregate
from daystore_s3.config import S3Config
from daystore_s3.errors import BACKEND
from daystore_s3.explaining import run_explain
from daystore_s3.opening import prepare, probe
from daystore_s3.places import Places
from daystore_s3.reading import read_sights
from daystore_s3.requests import Requests, unreachable
from daystore_s3.searching import Searcher
from daystore_s3.sending import Busy, Unanswered
from daystore_s3.sweeping import Sweeper
from daystore_s3.urls import Location, locate
from daystore_s3.writing import Writer

__all__ = ["S3Adapter"]

CAPABILITIES = Capabilities(
    conditional=True,
    atomic_batch=True,
    transactions=True,
    ttl=True,
    query=True,
    aggregate=True,
    intents=True,
    durable=True,
    consistency=frozenset({"eventual", "bounded", "strong"}),
    limits=Limits(max_batch=1_000),
)


class S3Adapter(StorageAdapter):
    """Records on S3, one object for each.

    Args:
        location: Where the bucket is.
        config: The options.
        namespace: As for `StorageAdapter`.
        clock: As for `StorageAdapter`.
        timeout: As for `StorageAdapter`.
    """

    name: ClassVar[str] = BACKEND
    capabilities: Capabilities = CAPABILITIES
    one_unit: bool = False

    def __init__(
        self,
        location: Location,
        config: S3Config,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__(namespace=namespace, clock=clock, timeout=timeout)
        self.location: Location = location
        self.config: S3Config = config
        self.places: Places = Places(location.root, namespace)
        self.capabilities = replace(CAPABILITIES, durable=config.durable)
        self.removes: bool = False
        self._requests: Requests | None = None
        self._writer: Writer | None = None
        self._searcher: Searcher | None = None
        self._sweeper: Sweeper | None = None
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
            url: ``s3://bucket/prefix``, with ``region=`` and ``endpoint_url=``.
            namespace: As for `StorageAdapter`.
            clock: As for `StorageAdapter`.
            timeout: As for `StorageAdapter`.
            **options: Those of `S3Config`.

        Raises:
            ConfigError: If the URL or an option cannot be used.
        """
        try:
            config = S3Config(**options)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join(S3Config.model_fields)
            raise ConfigError(f"options of the s3 adapter: {problems}; there are: {known}") from None
        return cls(locate(url), config, namespace=namespace, clock=clock, timeout=timeout)

    # --- Life ------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        async with self._changing:
            if self._requests is not None:
                return  # opened by another task meanwhile
            requests = Requests(self.location, self.config, lambda: self.timeout)
            try:
                async with self._limit("open"):
                    await requests.connect()
                    await prepare(requests, self.places)
                    self.removes = await probe(requests, self.places)
            except (Busy, Unanswered) as error:
                requests.close()
                raise unreachable(error.__cause__ or error, "open") from error
            except BaseException:
                requests.close()
                raise
            self._writer = Writer(requests, self.places, self.clock, part_size=self.config.part_size)
            self._searcher = Searcher(requests, self.places, self.clock)
            self._sweeper = Sweeper(
                requests,
                self.places,
                self.clock,
                self._writer,
                removes=self.removes,
                interval=round(self.config.sweep_interval * 1_000_000),
            )
            self._requests = requests

    async def _close(self) -> None:
        async with self._changing:
            requests, self._requests = self._requests, None
            writer, sweeper = self._writer, self._sweeper
            self._writer = self._searcher = self._sweeper = None
            if requests is None:
                return
            try:
                if sweeper is not None:
                    await sweeper.stop()
                if writer is not None:
                    await writer.drain(self.timeout)
            finally:
                requests.end()
                if writer is not None:
                    await writer.drain()  # what was not answered until now ends at once
                requests.close()

    @property
    def requests(self) -> int:
        """How many requests it has sent since it was opened."""
        return 0 if self._requests is None else self._requests.sent

    @property
    def _opened(self) -> Requests:
        if self._requests is None:
            raise _closed()
        return self._requests

    async def _search(self) -> Searcher:
        if self._searcher is None or self._writer is None:
            raise _closed()
        await self._writer.settled()
        return self._searcher

    async def _health(self) -> Health:
        await self._opened.get(self.places.layout)
        detail = {
            "bucket": self.location.bucket,
            "deletes": "removed" if self.removes else "kept as tombstones",
        }
        return Health(True, detail)

    # --- The primitives --------------------------------------------------------------------------------------

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        writer = self._writer
        if writer is None:
            raise _closed()
        await writer.settled()
        found = await read_sights(self._opened, self.places, collection, keys)
        writer.learn(collection, found)
        now = self.clock()
        shown = {key: sight.kept.shown(key, now) for key, sight in found.items()}
        return [shown[key] for key in keys]

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and (len(batch.operations) > 1 or batch.queries):
            raise UnsupportedOperation(
                "S3 changes one object at once: what spans several is coordinated",
                capability="atomic_batch",
                backend=BACKEND,
                operation="write",
            )
        if self._writer is None or self._sweeper is None:
            raise _closed()
        self._sweeper.occasion({operation.collection for operation in batch.operations})
        return await self._writer.write(batch, self.timeout)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        return await (await self._search()).page(query)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return await (await self._search()).count(query)

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        return await run_aggregate(await self._search(), query, aggregation)

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        return await (await self._search()).prepared(collection)

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return collection, key

    async def _explain(self, query: Query) -> Explanation:
        return await run_explain(await self._search(), query)


def _closed() -> StoreClosed:
    return StoreClosed("the adapter was closed: open it again", backend=BACKEND)
