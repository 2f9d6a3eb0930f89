"""Lets a store work inside a transaction: the operations of an adapter, through its records' transaction."""

from __future__ import annotations

from collections.abc import Sequence

from daystore.abc.adapter import Adapter
from daystore.abc.capabilities import EVENTUAL, Capabilities, Consistency
from daystore.abc.clock import Clock
from daystore.abc.guard import check_batch, require
from daystore.abc.query import Aggregation, Explanation, GroupRow, Page, Query
from daystore.abc.record import Delete, Outcome, Put, Record, WriteBatch
from daystore.abc.transaction import RecordTransaction

__all__ = ["TransactionTarget"]


class TransactionTarget:
    """An adapter as a transaction sees it. Every read is of the strongest consistency that there is.

    Args:
        adapter: An open adapter.

    Raises:
        UnsupportedOperation: If it does not declare transactions.
    """

    __slots__ = ("adapter", "records")

    def __init__(self, adapter: Adapter) -> None:
        require(adapter, "transactions", "transaction")
        self.adapter: Adapter = adapter
        self.records: RecordTransaction = RecordTransaction(adapter)

    @property
    def name(self) -> str:
        """Name of the adapter."""
        return self.adapter.name

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter declares."""
        return self.adapter.capabilities

    @property
    def clock(self) -> Clock:
        """Where the present instant comes from."""
        return self.adapter.clock

    async def read(
        self, collection: str, keys: Sequence[str], _consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read records by key."""
        return await self.records.read(collection, keys)

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Keep changes for the commit. What is too large is refused now, not then.

        A delete reads its record, so that it can tell whether there was one.
        """
        check_batch(self.adapter, WriteBatch(batch.operations, atomic=True))
        operations = [operation for operation in batch.operations if isinstance(operation, Put | Delete)]
        for collection in {operation.collection for operation in operations if isinstance(operation, Delete)}:
            deleted = [o.key for o in operations if isinstance(o, Delete) and o.collection == collection]
            await self.records.read(collection, deleted)
        existed = await self.records.write(operations)
        return [
            Outcome(operation.version if isinstance(operation, Put) else None, was_there)
            for operation, was_there in zip(operations, existed, strict=True)
        ]

    async def query(self, query: Query, _consistency: Consistency = EVENTUAL) -> Page:
        """Return one page of what a query finds."""
        return await self.records.query(query)

    async def count(self, query: Query, _consistency: Consistency = EVENTUAL) -> int:
        """Return how many records a query finds."""
        return await self.records.count(query)

    async def aggregate(
        self, query: Query, aggregation: Aggregation, _consistency: Consistency = EVENTUAL
    ) -> list[GroupRow]:
        """Compute over what a query finds."""
        return await self.records.aggregate(query, aggregation)

    async def explain(self, query: Query) -> Explanation:
        """Tell how the adapter would run a query."""
        return await self.adapter.explain(query)
