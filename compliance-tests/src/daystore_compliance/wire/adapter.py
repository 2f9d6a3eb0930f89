"""The adapter: what it sends, when it sends again, and what it makes of a connection that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Self
from urllib.parse import unquote, urlsplit

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
    Put,
    Query,
    Record,
    StorageAdapter,
    WriteBatch,
    new_version,
    system_clock,
)
from daystore.abc.adapter import DEFAULT_TIMEOUT
from daystore.abc.names import DEFAULT_NAMESPACE
from daystore.errors import BackendUnavailable, ConfigError, DaystoreError, StoreClosed
from daystore_compliance.wire.pool import Connection, Lost, NotSent, Pool
from daystore_compliance.wire.verdict import judge, unknown

__all__ = ["WireAdapter"]

DELAYS: Final = (0.0, 0.01, 0.05)
"""Seconds to wait before each attempt. This is the only layer that tries again."""


class WireAdapter(StorageAdapter):
    """Records in another process, reached by TCP.

    A write that was sent and not answered is looked up: the server knows the last change of each key and what its
    writer called it. If that is ours, the write was applied; if the key has not changed since before we sent it,
    it was not, and is sent again; if somebody else has changed it since, nobody can tell.

    A request that we gave up (lost, cancelled, timed out) may still be on its way. Each carries a token; the next
    request names the tokens of those before it that were given up, and the server refuses them from then on.

    Args:
        host: Of the server.
        port: Of the server.
        password: What the server wants to hear.
        namespace: As for `StorageAdapter`.
        clock: As for `StorageAdapter`; the server judges expiry by it.
        timeout: As for `StorageAdapter`.

    Attributes:
        client: By which the server knows the connections of this adapter.
    """

    name: ClassVar[str] = "wire"
    capabilities: Capabilities = Capabilities(
        conditional=True,
        atomic_batch=True,
        transactions=True,
        ttl=True,
        query=True,
        aggregate=True,
        snapshots=True,
        consistency=frozenset({"eventual", "bounded", "strong"}),
        limits=Limits(max_value_bytes=8 * 1024 * 1024),
    )
    pool_class: type[Pool] = Pool

    def __init__(
        self,
        host: str,
        port: int,
        *,
        password: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__(namespace=namespace, clock=clock, timeout=timeout)
        self.client: str = new_version()
        self._address = (host, port)
        self._password = password
        self._pool: Pool | None = None
        self._number = 0
        self._abandoned: set[str] = set()

    @classmethod
    def from_url(cls, url: str, **options: object) -> Self:
        """Make an adapter from ``wire://:password@host:port``.

        Raises:
            ConfigError: If the URL names no host and port.
        """
        try:
            parts = urlsplit(url)
            found = (parts.hostname, parts.port) if parts.scheme == "wire" else (None, None)
            password = unquote(parts.password or "")
        except ValueError:  # it is told without its cause, which quotes parts of the URL
            found, password = (None, None), ""
        host, port = found
        if host is None or port is None:
            raise ConfigError("the URL of the wire adapter reads 'wire://:password@host:port'")
        return cls(host, port, password=password, **options)  # type: ignore[arg-type]

    # --- Life ----------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        hello = {"client": self.client, "namespace": self.namespace, "password": self._password}
        self._pool = self.pool_class(*self._address, hello)
        try:
            async with self._limit("open"):
                await self._repeat("health")
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def _health(self) -> Health:
        return Health(True, await self._repeat("health"))

    # --- Reading -------------------------------------------------------------------------------------------

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found: list[Record | None] = await self._repeat("read", collection, list(keys))
        return found

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page: Page = await self._repeat("query", query)
        return page

    async def _count(self, query: Query, consistency: Consistency) -> int:
        count: int = await self._repeat("count", query)
        return count

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        rows: list[GroupRow] = await self._repeat("aggregate", query, aggregation)
        return rows

    async def _explain(self, query: Query) -> Explanation:
        explanation: Explanation = await self._repeat("explain", query)
        return explanation

    async def _repeat(self, do: str, *arguments: Any, deadline: float | None = None) -> Any:
        """Ask for something that may be asked any number of times."""
        deadline = deadline or self._deadline()
        failure: BaseException | None = None
        for delay in DELAYS:
            await asyncio.sleep(delay)
            try:
                return await self._ask(deadline, do, *arguments)
            except (NotSent, Lost) as error:
                failure = error.__cause__
        raise self._unavailable(do) from failure

    # --- Writing -------------------------------------------------------------------------------------------

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        deadline = self._deadline()
        marks = [o.version if isinstance(o, Put) else new_version() for o in batch.operations]
        settled: dict[int, Outcome] = {}
        failure: BaseException | None = None
        for delay in DELAYS:
            await asyncio.sleep(delay)
            left = [index for index in range(len(batch.operations)) if index not in settled]
            part = replace(batch, operations=[batch.operations[index] for index in left])
            part_marks = [marks[index] for index in left]
            before = self._number
            try:
                found: Any = await self._ask(deadline, "write", part, part_marks)
                found = dict(enumerate(found))
            except NotSent as error:
                failure = error.__cause__
                continue
            except StoreClosed as error:
                if not settled:
                    raise
                return _with_rest(settled, len(batch.operations), error)
            except Lost as error:
                failure = error.__cause__
                found = await self._look(deadline, part, part_marks, before, failure)
            settled |= {left[index]: outcome for index, outcome in found.items()}
            if len(settled) == len(batch.operations):
                return [settled[index] for index in range(len(batch.operations))]
        given_up = self._unavailable("write")
        given_up.__cause__ = failure
        if not settled:
            raise given_up
        return _with_rest(settled, len(batch.operations), given_up)

    async def _look(
        self,
        deadline: float | None,
        batch: WriteBatch,
        marks: Sequence[str],
        before: int,
        failure: BaseException | None,
    ) -> Mapping[int, Outcome]:
        """Find out what became of a batch whose answer was lost; see `judge`.

        Raises:
            OutcomeUnknown: If that cannot be told.
        """
        names = [(operation.collection, operation.key) for operation in batch.operations]
        try:
            changes = await self._repeat("look", names, before, deadline=deadline)
        except (BackendUnavailable, StoreClosed):
            raise unknown() from failure
        found = judge(batch, marks, changes)
        if found is None:
            raise unknown() from failure
        for outcome in found.values():
            if outcome.error is not None:
                outcome.error.__cause__ = failure
        return found

    # --- One request ---------------------------------------------------------------------------------------

    async def _ask(self, deadline: float | None, do: str, *arguments: Any) -> Any:
        """Send one request, once.

        Raises:
            NotSent: If the server cannot have seen it.
            Lost: If it may have.
        """
        pool = self._pool
        if pool is None or not pool.is_mine:
            raise StoreClosed("the adapter was closed, or opened on another event loop", backend=self.name)
        try:
            async with pool.connection() as connection:
                return await self._exchange(connection, deadline, do, arguments)
        except NotSent:
            if pool.closed:
                raise StoreClosed("the adapter was closed", backend=self.name) from None
            await pool.drop_idle()
            raise
        except Lost:
            await pool.drop_idle()
            raise

    async def _exchange(
        self, connection: Connection, deadline: float | None, do: str, arguments: Sequence[Any]
    ) -> Any:
        token, abandoned = new_version(), list(self._abandoned)
        request = {
            "do": do,
            "with": list(arguments),
            "now": self.clock(),
            "deadline": deadline,
            "token": token,
            "abandoned": abandoned,
        }
        try:
            answer = await connection.ask(request)
        except DaystoreError:
            self._abandoned.difference_update(abandoned)
            raise
        except BaseException:
            self._abandoned.add(token)
            raise
        self._abandoned.difference_update(abandoned)
        self._number = max(self._number, connection.number)
        return answer

    def _deadline(self) -> float | None:
        return None if self.timeout is None else asyncio.get_running_loop().time() + self.timeout

    def _unavailable(self, do: str) -> BackendUnavailable:
        return BackendUnavailable("the server cannot be reached", backend=self.name, operation=do)


def _with_rest(settled: Mapping[int, Outcome], size: int, error: DaystoreError) -> list[Outcome]:
    """Return the outcomes of a batch of which the rest has failed."""
    return [settled.get(index, Outcome(None, False, error)) for index in range(size)]
