"""Adapters: one connection to one backend, moving records.

Callers type against `Adapter`. Authors inherit `StorageAdapter` and write five primitives, `_read`, `_write`,
`_query`, `_count` and `_aggregate`, beside `_open`, `_close` and `from_url`. The public methods around them check
what must be checked before anything is sent (open, keys, limits, declared capabilities), keep the time limit, and
are the same for every backend.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, ParamSpec, Protocol, Self, TypeVar

from daystore.abc.capabilities import EVENTUAL, STRONG, Capabilities, Consistency
from daystore.abc.clock import Clock, system_clock
from daystore.abc.coalescing import Coalescer
from daystore.abc.coordination import Coordinator, Participant
from daystore.abc.coordination.resolver import Pauses
from daystore.abc.guard import check_batch, check_consistency, require
from daystore.abc.names import DEFAULT_NAMESPACE, check_collection, check_key, check_namespace
from daystore.abc.query import Aggregation, Explanation, GroupRow, Page, Query
from daystore.abc.record import (
    ABSENT,
    ANY,
    Delete,
    Expectation,
    Expiry,
    FieldValue,
    Outcome,
    Put,
    Record,
    Version,
    WriteBatch,
)
from daystore.abc.transaction import RecordTransaction
from daystore.errors import (
    BatchError,
    DaystoreError,
    OperationTimeout,
    OutcomeUnknown,
    RecordPrepared,
    StoreClosed,
)

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["Adapter", "Health", "StorageAdapter", "expectation"]

DEFAULT_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """What a backend says of itself.

    Attributes:
        ok: Whether it answers and can be written to.
        detail: Facts for people, such as the server's version; never a credential.
    """

    ok: bool
    detail: Mapping[str, str]


class Adapter(Protocol):
    """What a store needs of a backend; `StorageAdapter` has all of it."""

    @property
    def name(self) -> str:
        """Name of the adapter, such as ``"sql"``."""

    @property
    def namespace(self) -> str:
        """The namespace it was opened in."""

    @property
    def capabilities(self) -> Capabilities:
        """What it declares."""

    @property
    def clock(self) -> Clock:
        """Where its present instant comes from."""

    @property
    def coordinator(self) -> Coordinator | None:
        """See `StorageAdapter.coordinator`."""

    async def open(self) -> None:
        """See `StorageAdapter.open`."""

    async def close(self) -> None:
        """See `StorageAdapter.close`."""

    async def health(self) -> Health:
        """See `StorageAdapter.health`."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """See `StorageAdapter.read`."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """See `StorageAdapter.write`."""

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """See `StorageAdapter.query`."""

    async def count(self, query: Query, consistency: Consistency = EVENTUAL) -> int:
        """See `StorageAdapter.count`."""

    async def aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency = EVENTUAL
    ) -> list[GroupRow]:
        """See `StorageAdapter.aggregate`."""

    async def explain(self, query: Query) -> Explanation:
        """See `StorageAdapter.explain`."""


class StorageAdapter(ABC):
    """Base of every adapter.

    Args:
        namespace: What one namespace holds does not exist for another one on the same backend.
        clock: Where the present instant comes from.
        timeout: Seconds an operation may take; ``None`` for no limit.

    Attributes:
        name: By which configuration and errors call it.
        capabilities: What it declares.
        coalesce: Whether single calls that are made at the same time go to the backend together: reads of one
            key as one ``_read``, changes of one record as one ``_write`` that is not atomic. A class says what is
            best for its backend; what an object says is looked at when it is opened.
        one_unit: Whether `_write` can change all records of the adapter atomically. If not, `_atomic_unit` says
            which ones it can.

    Raises:
        InvalidKey: If the namespace is outside the rules.
        ValueError: If the timeout is not positive.
    """

    name: ClassVar[str]
    capabilities: Capabilities
    coalesce: bool = False
    one_unit: bool = True

    def __init__(
        self,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        check_namespace(namespace)
        if timeout is not None and not timeout > 0:
            raise ValueError("a timeout is a positive number of seconds, or None for no limit")
        self.namespace = namespace
        self.clock = clock
        self.timeout = timeout
        self._is_open = False
        self._coalescer: Coalescer | None = None
        self._coordinator: Coordinator | None = None
        self._neighbours: Callable[[str], Participant | None] = _nobody

    # --- What an author writes -----------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def from_url(cls, url: str, **options: object) -> Self:
        """Make a closed adapter from a URL. Options are those of the adapter's configuration model.

        Raises:
            ConfigError: If the URL or an option cannot be used.
        """

    async def _open(self) -> None:
        """Connect, and bring the storage layout up to date."""

    async def _close(self) -> None:
        """Give back everything that `_open` took."""

    async def _health(self) -> Health:
        """Ask the backend how it is."""
        return Health(True, {})

    @abstractmethod
    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        """Return the live records in the order asked, ``None`` where there is none. Keys may repeat.

        What carries an intent is returned also if it is not alive.
        """

    @abstractmethod
    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch.

        Atomic: judge every expectation and every checked query against the state before the batch, at one
        instant; raise `VersionConflict` and change nothing if one fails. Not atomic: each operation on its own,
        whole or not at all, its error in its outcome. ``KEEP`` reaches a backend without ``ttl`` too, and means
        ``None`` there.
        """

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        """Return one page: at most ``query.limit`` records, all of them without a limit."""
        raise NotImplementedError("declared 'query', so _query must be written")

    async def _count(self, query: Query, consistency: Consistency) -> int:
        """Return how many records `query` would find without limit, offset and cursor."""
        raise NotImplementedError("declared 'query', so _count must be written")

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        """Compute an aggregation over what `query` finds without limit, offset and cursor."""
        raise NotImplementedError("declared 'aggregate', so _aggregate must be written")

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        """Return everything that carries an intent, as collection and record: of one collection or of all.

        It is read as at the strongest consistency. A record is there also where it is not alive, and where an
        intent stands alone: then it is one that has expired.
        """
        raise NotImplementedError("declared 'intents', so _prepared must be written")

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        """Name what the record lies in that `_write` can change atomically.

        A batch that is atomic comes to `_write` as such if all of it lies in one unit, and is coordinated
        otherwise. Everything lies in one unit unless an adapter says otherwise; a store whose single writes alone
        are atomic returns ``(collection, key)``.
        """
        return None

    async def _explain(self, query: Query) -> Explanation:
        """Say how the query would be run."""
        return Explanation(indexed=False, strategy="unknown")

    # --- Life ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect. Opening what is open does nothing."""
        if not self._is_open:
            if self._coalescer is not None:  # it is being closed
                await self._coalescer.drain()
            await self._open()
            if self._coalescer is None:
                self._coalescer = self._new_coalescer()
            if self._coordinator is None:
                self._coordinator = self._new_coordinator()
            self._is_open = True

    async def close(self) -> None:
        """Disconnect. Closing what is closed does nothing.

        What single calls have left with it, and what a commit has left to do, is done first. What a backend that
        does not answer lets nobody finish within the time limit is left to the next one who meets it.
        """
        if self._is_open:
            self._is_open = False
            try:
                if self._coalescer is not None:
                    await self._coalescer.drain()
                if self._coordinator is not None:
                    await self._coordinator.drain(self.timeout)
            finally:
                self._coalescer = None
                self._coordinator = None
                await self._close()

    def join(self, neighbours: Callable[[str], Participant | None]) -> None:
        """Make known the other backends of a storage, before this one is opened.

        Args:
            neighbours: Finds one by its name, as a participant; ``None`` if there is none or it is not open.
        """
        self._neighbours = neighbours

    @property
    def coordinator(self) -> Coordinator | None:
        """Its part in coordinated transactions; ``None`` while it is closed, and without ``intents``."""
        return self._coordinator

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def health(self) -> Health:
        """Ask the backend how it is.

        Raises:
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        async with self._limit("health"):
            return await self._health()

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<{type(self).__name__} {self.name} namespace={self.namespace!r} {state}>"

    # --- The five primitives, as callers see them ----------------------------------------------------------

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read records by key.

        Args:
            collection: Where to look.
            keys: Any number of keys, in any order, repeated if you like.
            consistency: How fresh the answer must be.

        Returns:
            A record or ``None`` for each key, in the order asked.

        Raises:
            InvalidKey: If a key or the collection is outside the rules.
            UnsupportedOperation: If the backend cannot give that consistency.
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        check_collection(collection)
        for key in keys:
            check_key(key)
        check_consistency(self, consistency)
        size = self.capabilities.limits.max_batch
        if not keys:
            return []
        async with self._limit("read"):
            if self._coalescer is not None and len(keys) == 1:
                found = await self._coalescer.read(collection, keys, consistency)
            elif size is None or len(keys) <= size:
                found = await self._read(collection, keys, consistency)
            else:
                found = []
                for start in range(0, len(keys), size):
                    found += await self._read(collection, keys[start : start + size], consistency)
            if self._coordinator is not None:
                for record in found:
                    if record is not None and record.intent is not None:
                        wait = consistency.level == "strong"
                        return await self._coordinator.settled(collection, found, wait=wait)
            return found

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch of changes.

        Returns:
            What became of each operation, in the order of the batch. In a batch that is not atomic an operation
            that was not applied has its error there; nothing is raised for it.

        Raises:
            VersionConflict: If an expectation of an atomic batch did not hold. Nothing was changed.
            LimitExceeded: If an operation or the batch is too large. Nothing was changed.
            UnsupportedOperation: If the backend does not declare what the batch needs. Nothing was changed.
            OutcomeUnknown: If it cannot be told whether an atomic batch was applied.
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        check_batch(self, batch)
        if not batch.operations and not batch.queries:
            return []
        size = self.capabilities.limits.max_batch
        try:
            async with self._limit("write"):
                if self._coordinator is not None and self._coordinator.outliving:
                    await self._coordinator.outlived(batch)
                if batch.atomic:
                    return await self._write_atomic(batch)
                if self._coalescer is not None and len(batch.operations) == 1:
                    outcomes = await self._coalescer.write(batch)
                elif size is None or len(batch.operations) <= size:
                    outcomes = await self._write(batch)
                else:
                    outcomes = await self._write_chunks(batch, size)
                if self._coordinator is not None:
                    for outcome in outcomes:
                        if isinstance(outcome.error, RecordPrepared):
                            return await self._write_after(self._coordinator, batch, outcomes)
                return outcomes
        except OperationTimeout as error:
            raise OutcomeUnknown(
                "the write took too long: it may or may not have been applied",
                backend=self.name,
                operation="write",
            ) from error

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """Return one page of what a query finds.

        Returns:
            At most ``query.limit`` records, all of them without a limit, and the cursor of the next page.

        Raises:
            InvalidCursor: If the cursor is damaged or belongs to another query.
            UnsupportedOperation: If the backend does not declare queries, or cannot give that consistency.
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        require(self, "query")
        check_consistency(self, consistency)
        async with self._limit("query"):
            if consistency is STRONG and self._coordinator is not None:
                await self._coordinator.clear(query.collection)
            return await self._query(query, consistency)

    async def count(self, query: Query, consistency: Consistency = EVENTUAL) -> int:
        """Return how many records a query would find without limit, offset and cursor.

        Raises:
            UnsupportedOperation: If the backend does not declare queries, or cannot give that consistency.
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        require(self, "query", "count")
        check_consistency(self, consistency)
        async with self._limit("count"):
            if consistency is STRONG and self._coordinator is not None:
                await self._coordinator.clear(query.collection)
            return await self._count(query, consistency)

    async def aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency = EVENTUAL
    ) -> list[GroupRow]:
        """Compute over what a query finds without limit, offset and cursor.

        Returns:
            One row a group, in the order of the groups' values; exactly one row without ``group_by``.

        Raises:
            UnsupportedOperation: If the backend does not declare aggregation, or cannot give that consistency.
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        require(self, "aggregate")
        check_consistency(self, consistency)
        async with self._limit("aggregate"):
            if consistency is STRONG and self._coordinator is not None:
                await self._coordinator.clear(query.collection)
            return await self._aggregate(query, aggregation, consistency)

    async def explain(self, query: Query) -> Explanation:
        """Say how the backend would run a query, and whether an index serves it.

        Raises:
            UnsupportedOperation: If the backend does not declare queries.
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        require(self, "query", "explain")
        async with self._limit("explain"):
            return await self._explain(query)

    # --- Derived from them ---------------------------------------------------------------------------------

    async def get(self, collection: str, key: str, consistency: Consistency = EVENTUAL) -> Record | None:
        """Read one record; ``None`` if there is none. Raises as `read`."""
        return (await self.read(collection, (key,), consistency))[0]

    async def exists(self, collection: str, key: str, consistency: Consistency = EVENTUAL) -> bool:
        """Tell whether there is a live record. Raises as `read`."""
        return await self.get(collection, key, consistency) is not None

    async def get_batch(
        self, collection: str, keys: Iterable[str], consistency: Consistency = EVENTUAL
    ) -> dict[str, Record]:
        """Read many records. Missing keys are absent from the result; it is in the order asked."""
        wanted = list(dict.fromkeys(keys))
        found = await self.read(collection, wanted, consistency)
        return {key: record for key, record in zip(wanted, found, strict=True) if record is not None}

    async def set(
        self,
        collection: str,
        key: str,
        value: bytes,
        *,
        if_version: Version | None = None,
        if_absent: bool = False,
        expires_at: Expiry = None,
        fields: Mapping[str, FieldValue] | None = None,
        content_type: str = "application/octet-stream",
    ) -> Version:
        """Write one record.

        Returns:
            Its new version.

        Raises:
            VersionConflict: If the condition did not hold.
        """
        put = Put(
            collection,
            key,
            value,
            expect=expectation(if_version, if_absent=if_absent),
            expires_at=expires_at,
            fields={} if fields is None else fields,
            content_type=content_type,
        )
        outcome = (await self.write(WriteBatch((put,))))[0]
        if outcome.error is not None:
            raise outcome.error
        return put.version

    async def delete(self, collection: str, key: str, *, if_version: Version | None = None) -> bool:
        """Delete one record.

        Returns:
            Whether there was one.

        Raises:
            VersionConflict: If the condition did not hold.
        """
        outcome = (await self.write(WriteBatch((Delete(collection, key, expectation(if_version)),))))[0]
        if outcome.error is not None:
            raise outcome.error
        return outcome.existed

    async def set_batch(self, puts: Iterable[Put], *, atomic: bool = False) -> list[Version]:
        """Write many records.

        Returns:
            The new versions, in order.

        Raises:
            BatchError: If some could not be written; it names them.
            VersionConflict: If atomic and an expectation did not hold.
        """
        batch = WriteBatch(list(puts), atomic=atomic)
        raise_failures(batch, await self.write(batch), self.name)
        return [put.version for put in batch.operations if isinstance(put, Put)]

    async def delete_batch(self, collection: str, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Delete many records.

        Returns:
            How many of them existed.

        Raises:
            BatchError: If some could not be deleted; it names them.
        """
        batch = WriteBatch([Delete(collection, key) for key in dict.fromkeys(keys)], atomic=atomic)
        outcomes = await self.write(batch)
        raise_failures(batch, outcomes, self.name)
        return sum(outcome.existed for outcome in outcomes)

    def transaction(self) -> AbstractAsyncContextManager[RecordTransaction]:
        """Begin an optimistic transaction over records; it commits when the block ends without an error.

        Raises:
            UnsupportedOperation: If the backend does not declare transactions.
            StoreClosed: If the adapter is not open.
        """
        self._check_open()
        require(self, "transactions", "transaction")
        return RecordTransaction(self)

    # --- Helpers -------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreClosed(
                "the adapter is not open: use it inside 'async with adapter:', and not after its end",
                backend=self.name,
            )

    def _new_coalescer(self) -> Coalescer | None:
        size = self.capabilities.limits.max_batch
        if not self.coalesce or size == 1:
            return None
        return Coalescer(self._read, self._write, self._limit, backend=self.name, max_batch=size)

    def _new_coordinator(self) -> Coordinator | None:
        if not self.capabilities.intents:
            return None
        return Coordinator(self._participant(), self._neighbour)

    def _neighbour(self, name: str) -> Participant | None:
        return self._neighbours(name)

    def _participant(self) -> Participant:
        levels = self.capabilities.consistency
        return Participant(
            self.name,
            self._in_time("read", self._read),
            self._in_time("write", self._write),
            self._in_time("query", self._query),
            self._in_time("read", self._prepared),
            self._atomic_unit,
            self.clock,
            self.one_unit,
            self.capabilities.limits.max_batch,
            STRONG if "strong" in levels else Consistency(next(iter(levels))),
        )

    def _in_time(
        self, operation: str, primitive: Callable[P, Coroutine[object, object, T]]
    ) -> Callable[P, Coroutine[object, object, T]]:
        """Limit the time of each request of a commit, which goes on when the time of its caller is over."""

        async def limited(*args: P.args, **kwargs: P.kwargs) -> T:
            async with self._limit(operation):
                return await primitive(*args, **kwargs)

        return limited

    def _limit(self, operation: str) -> AbstractAsyncContextManager[object]:
        return _UNLIMITED if self.timeout is None else _TimeLimit(self.timeout, self.name, operation)

    async def _write_atomic(self, batch: WriteBatch) -> list[Outcome]:
        coordinator = self._coordinator
        if coordinator is None:
            return await self._write(batch)
        if not coordinator.participant.is_one_unit(batch):
            return await coordinator.write(batch)
        coordinator.discard(batch.own)
        pauses = Pauses()
        while True:
            try:
                return await self._write(batch)
            except RecordPrepared as error:  # nothing was applied
                await coordinator.wait_for(error)
                await pauses.wait()

    async def _write_after(
        self, coordinator: Coordinator, batch: WriteBatch, outcomes: list[Outcome]
    ) -> list[Outcome]:
        """Apply the rest of a batch when the transactions that hold it have ended."""
        outcomes = list(outcomes)
        pauses = Pauses()
        while True:
            rest = [i for i, outcome in enumerate(outcomes) if isinstance(outcome.error, RecordPrepared)]
            if not rest:
                return outcomes
            for index in rest:
                operation = batch.operations[index]
                await coordinator.resolver.wait_for(
                    coordinator.participant, operation.collection, operation.key
                )
            await pauses.wait()
            again = WriteBatch([batch.operations[index] for index in rest])
            for index, outcome in zip(rest, await coordinator.participant.write(again), strict=True):
                outcomes[index] = outcome

    async def _write_chunks(self, batch: WriteBatch, size: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for start in range(0, len(batch.operations), size):
            chunk = batch.operations[start : start + size]
            try:
                outcomes += await self._write(WriteBatch(chunk))
            except DaystoreError as error:
                if not start:
                    raise
                outcomes += [Outcome(None, False, error) for _ in chunk]
        return outcomes


def expectation(if_version: Version | None, *, if_absent: bool = False) -> Expectation:
    """Make an expectation of the two conditions a caller can give.

    Raises:
        ValueError: If both are given: a record that is absent has no version.
        TypeError: If the version is not a `str`.
    """
    if if_version is None:
        return ABSENT if if_absent else ANY
    if if_absent:
        raise ValueError("give if_version or if_absent, not both: what is absent has no version")
    if not isinstance(if_version, str):
        raise TypeError(f"a version is a str, not {type(if_version).__name__}")
    return if_version


def raise_failures(batch: WriteBatch, outcomes: Sequence[Outcome], backend: str) -> None:
    """Raise `BatchError` if an operation of a batch that is not atomic failed."""
    errors = {
        operation.key: outcome.error
        for operation, outcome in zip(batch.operations, outcomes, strict=True)
        if outcome.error is not None
    }
    if errors:
        raise BatchError(
            f"{len(errors)} of {len(outcomes)} items failed, the others were applied; see .errors",
            errors=errors,
            backend=backend,
            operation="write",
        )


class _TimeLimit:
    """``asyncio.timeout`` that raises `OperationTimeout`, and only for its own expiry."""

    __slots__ = ("_backend", "_operation", "_seconds", "_timeout")

    def __init__(self, seconds: float, backend: str, operation: str) -> None:
        self._seconds = seconds
        self._backend = backend
        self._operation = operation

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout(self._seconds)
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as expired:
            raise OperationTimeout(
                f"no answer within {self._seconds:g} s", backend=self._backend, operation=self._operation
            ) from expired


def _nobody(name: str) -> None:
    """Find no other backend: an adapter alone knows of none."""


class _Unlimited:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *exc: object) -> None: ...


_UNLIMITED = _Unlimited()
