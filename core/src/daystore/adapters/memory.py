"""The reference adapter: the contract in memory, written to be read.

Everything is declared, nothing is clever. Where this adapter and another one disagree, this one is right, or the
contract is unclear. It keeps no record longer than the process lives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Aggregation,
    Capabilities,
    CheckQuery,
    Clock,
    Consistency,
    Delete,
    Expectation,
    Explanation,
    GroupRow,
    Instant,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    StorageAdapter,
    WriteBatch,
    system_clock,
)
from daystore.abc.evaluate import evaluate_aggregate, evaluate_count, evaluate_query
from daystore.abc.names import DEFAULT_NAMESPACE
from daystore.abc.record import Operation
from daystore.errors import ConfigError, VersionConflict

__all__ = ["MemoryAdapter"]

SWEEP_INTERVAL: Instant = 60_000_000


class MemoryAdapter(StorageAdapter):
    """Records in dictionaries. Every operation runs to its end without an ``await``, so each is one instant.

    The data lives as long as the object: it survives `close` and another `open`.
    """

    name: ClassVar[str] = "memory"
    capabilities: Capabilities = Capabilities(
        conditional=True,
        atomic_batch=True,
        transactions=True,
        ttl=True,
        query=True,
        aggregate=True,
        durable=False,
        consistency=frozenset({"eventual", "bounded", "strong"}),
    )

    def __init__(
        self,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Clock = system_clock,
        timeout: float | None = None,  # nothing here waits, and a timer would cost more than the read
    ) -> None:
        super().__init__(namespace=namespace, clock=clock, timeout=timeout)
        self._collections: dict[str, dict[str, Record]] = {}
        self._sweep_at: Instant = 0

    @classmethod
    def from_url(cls, url: str, **options: object) -> Self:
        """Make an adapter from ``memory:`` or ``memory://``. Each has its own data.

        Raises:
            ConfigError: If the URL says more than its scheme: there is nothing to address.
        """
        if url not in ("memory:", "memory://"):
            raise ConfigError("the URL of the memory adapter is 'memory://' and nothing more")
        return cls(**options)  # type: ignore[arg-type]

    # --- Reading -------------------------------------------------------------------------------------------

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        now = self.clock()
        found = [self._find(collection, key, now) for key in keys]
        return [None if record is None else record.copy() for record in found]

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = evaluate_query(self._live(query.collection), query)
        return Page([record.copy() for record in page.records], page.cursor)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return evaluate_count(self._live(query.collection), query)

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        return evaluate_aggregate(self._live(query.collection), query, aggregation)

    async def _explain(self, query: Query) -> Explanation:
        return Explanation(indexed=False, strategy="scan of the collection in memory")

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        record = self._collections.get(collection, {}).get(key)
        return record if record is not None and record.is_alive(now) else None

    def _live(self, collection: str) -> Iterator[Record]:
        now = self.clock()
        return (r for r in self._collections.get(collection, {}).values() if r.is_alive(now))

    # --- Writing -------------------------------------------------------------------------------------------

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        now = self.clock()
        self._sweep(now)
        if batch.atomic:
            for index, operation in enumerate(batch.operations):
                if conflict := self._conflict(operation, index, now):
                    raise conflict
            for check in batch.queries:
                self._check_query(check)
            return [self._apply(operation, now) for operation in batch.operations]
        outcomes = []
        for index, operation in enumerate(batch.operations):
            conflict = self._conflict(operation, index, now)
            outcomes.append(Outcome(None, False, conflict) if conflict else self._apply(operation, now))
        return outcomes

    def _sweep(self, now: Instant) -> None:
        """Give back the space of expired records, now and then. What carries an intent is not ours to take."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_INTERVAL
        for records in self._collections.values():
            for key in [r.key for r in records.values() if not r.is_alive(now) and r.intent is None]:
                del records[key]

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        record = self._find(operation.collection, operation.key, now)
        if _holds(operation.expect, record):
            return None
        return VersionConflict(
            key=operation.key,
            collection=operation.collection,
            current=None if record is None else record.version,
            index=index,
            backend=self.name,
            operation="write",
        )

    def _check_query(self, check: CheckQuery) -> None:
        page = evaluate_query(self._live(check.query.collection), check.query)
        if [(record.key, record.version) for record in page.records] != list(check.found):
            raise VersionConflict(
                "a query that this batch depends on finds something else now",
                collection=check.query.collection,
                backend=self.name,
                operation="write",
            )

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Put):
            records = self._collections.setdefault(operation.collection, {})
            records[operation.key] = _written(operation, old, now)
            return Outcome(operation.version, old is not None)
        if isinstance(operation, Delete):
            self._collections.get(operation.collection, {}).pop(operation.key, None)
        return Outcome(None, old is not None)


def _holds(expect: Expectation, record: Record | None) -> bool:
    if expect is ANY:
        return True
    if expect is ABSENT:
        return record is None
    return record is not None and record.version == expect


def _written(put: Put, old: Record | None, now: Instant) -> Record:
    expires_at = put.expires_at
    if expires_at is KEEP:
        expires_at = None if old is None else old.expires_at
    return Record(
        key=put.key,
        value=put.value,
        version=put.version,
        created_at=now if old is None else old.created_at,
        updated_at=now,
        expires_at=expires_at,
        content_type=put.content_type,
        fields=dict(put.fields),
        schema=put.schema,
        schema_version=put.schema_version,
        encodings=put.encodings,
        intent=put.intent,
    )
