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
    Holds,
    Instant,
    Outcome,
    Page,
    Prepare,
    Put,
    Query,
    Record,
    Release,
    StorageAdapter,
    WriteBatch,
    system_clock,
)
from daystore.abc.evaluate import evaluate_aggregate, evaluate_count, evaluate_query
from daystore.abc.names import DEFAULT_NAMESPACE
from daystore.abc.record import Operation
from daystore.errors import ConfigError, RecordPrepared, VersionConflict

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
        intents=True,
        snapshots=True,
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
        found = [self._find(collection, key, now) or self._bearing(collection, key) for key in keys]
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

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        return [
            (name, record.copy())
            for name, records in self._collections.items()
            if collection is None or name == collection
            for record in records.values()
            if record.intent is not None
        ]

    async def _explain(self, query: Query) -> Explanation:
        return Explanation(indexed=False, strategy="scan of the collection in memory")

    def _find(self, collection: str, key: str, now: Instant) -> Record | None:
        record = self._collections.get(collection, {}).get(key)
        return record if record is not None and record.is_alive(now) else None

    def _bearing(self, collection: str, key: str) -> Record | None:
        """Return what carries an intent, alive or not."""
        record = self._collections.get(collection, {}).get(key)
        return record if record is not None and record.intent is not None else None

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
                self._check_query(check, batch.own)
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
        stored = self._collections.get(operation.collection, {}).get(operation.key)
        record = self._find(operation.collection, operation.key, now)
        intent = None if stored is None else stored.intent
        expect = operation.expect
        kind = VersionConflict
        if isinstance(expect, Holds):
            if (intent is not None and intent.startswith(expect.transaction)) or _stands(operation, stored):
                return None
        elif intent is not None:
            if isinstance(operation, Prepare) and operation.intent == intent:
                return None
            kind = RecordPrepared
        elif _holds(expect, record):
            return None
        return kind(
            key=operation.key,
            collection=operation.collection,
            current=None if record is None else record.version,
            index=index,
            backend=self.name,
            operation="write",
        )

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        collection = check.query.collection
        for record in self._collections.get(collection, {}).values():
            if record.intent is not None and (own is None or not record.intent.startswith(own)):
                raise RecordPrepared(
                    "a transaction that is being committed may change what a query of this batch finds: "
                    "try again",
                    collection=collection,
                    backend=self.name,
                    operation="write",
                )
        page = evaluate_query(self._live(collection), check.query)
        if [(record.key, record.version) for record in page.records] != list(check.found):
            raise VersionConflict(
                "a query that this batch depends on finds something else now",
                collection=collection,
                backend=self.name,
                operation="write",
            )

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        records = self._collections.setdefault(operation.collection, {})
        version = None
        if isinstance(operation, Put):
            version = operation.version
            if _stands(operation, records.get(operation.key)):
                return Outcome(version, old is not None)
            records[operation.key] = _written(operation, old, now)
        elif isinstance(operation, Delete):
            records.pop(operation.key, None)
        elif isinstance(operation, Prepare):
            if old is None:
                records[operation.key] = _placeholder(operation.key)
            records[operation.key].intent = operation.intent
        elif isinstance(operation, Release):
            if old is None:
                del records[operation.key]
            else:
                old.intent = None
        return Outcome(version, old is not None)


def _stands(operation: Operation, stored: Record | None) -> bool:
    """Tell whether an earlier attempt has applied what an intent said: then there is nothing to do any more."""
    return (
        isinstance(operation, Put)
        and isinstance(operation.expect, Holds)
        and stored is not None
        and stored.version == operation.version
    )


def _placeholder(key: str) -> Record:
    """Return what an intent stands beside where there is nothing: a record that expired at the beginning."""
    return Record(key, b"", "", 0, 0, expires_at=0)


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
    )
