"""One operation of a store on its way to the backend and back, through the middleware if there is some."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from daystore.abc.capabilities import Capabilities, Consistency
from daystore.abc.clock import Clock
from daystore.abc.middleware import MiddlewareContext
from daystore.abc.query import Aggregation, Explanation, GroupRow, Page, Query
from daystore.abc.record import Delete, Outcome, Put, Record, WriteBatch
from daystore.middleware import Chain

__all__ = ["Deferral", "Operation", "Target", "Watched"]

Deferral = Callable[[Callable[[], Awaitable[None]], Callable[[BaseException], Awaitable[None]]], None]
"""Keeps for the end of a transaction what to run after its commit, and what to run if it does not commit."""


class Target(Protocol):
    """Where the operations of a store go: to an adapter, or through a transaction."""

    @property
    def name(self) -> str:
        """Name of the adapter."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter declares."""
        ...

    @property
    def clock(self) -> Clock:
        """Where the present instant comes from."""
        ...

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = ..., /
    ) -> list[Record | None]:
        """Read records by key."""
        ...

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply changes."""
        ...

    async def query(self, query: Query, consistency: Consistency = ..., /) -> Page:
        """Return one page of what a query finds."""
        ...

    async def count(self, query: Query, consistency: Consistency = ..., /) -> int:
        """Return how many records a query finds."""
        ...

    async def aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency = ..., /
    ) -> list[GroupRow]:
        """Compute over what a query finds."""
        ...

    async def explain(self, query: Query) -> Explanation:
        """Tell how a query would be run."""
        ...


class Operation:
    """An operation of a store without middleware. It keeps nothing, so one object serves all operations."""

    __slots__ = ("_collection", "_target")

    def __init__(self, target: Target, collection: str) -> None:
        self._target = target
        self._collection = collection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def read(self, keys: Sequence[str], consistency: Consistency) -> list[Record | None]:
        """Read records by key, in the order asked."""
        return await self._target.read(self._collection, keys, consistency)

    async def write(
        self, operations: list[Put | Delete], *, atomic: bool = False, beside: Sequence[Put] = ()
    ) -> list[Outcome]:
        """Apply changes.

        Args:
            operations: The changes, which middleware sees.
            atomic: All or nothing.
            beside: The store's own bookkeeping, written in the same batch, which middleware does not see.

        Returns:
            What became of each of `operations`.
        """
        outcomes = await self._target.write(WriteBatch([*operations, *beside], atomic=atomic))
        return outcomes[: len(operations)] if beside else outcomes

    async def query(self, query: Query, consistency: Consistency) -> Page:
        """Return one page of what a query finds."""
        return await self._target.query(query, consistency)

    async def count(self, query: Query, consistency: Consistency) -> int:
        """Return how many records a query finds."""
        return await self._target.count(query, consistency)

    async def aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        """Compute over what a query finds."""
        return await self._target.aggregate(query, aggregation, consistency)


class Watched(Operation):
    """One operation of a store with middleware.

    Args:
        target: Where it goes.
        chain: The middleware.
        context: What the middleware is told of it.
        defer: In a transaction, keeps what shall happen at its end.
    """

    __slots__ = ("_chain", "_context", "_defer")

    def __init__(
        self, target: Target, chain: Chain, context: MiddlewareContext, defer: Deferral | None
    ) -> None:
        super().__init__(target, context.collection)
        self._chain = chain
        self._context = context
        self._defer = defer
        context.started = time.perf_counter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._chain.on_error(self._context, error)

    async def read(self, keys: Sequence[str], consistency: Consistency) -> list[Record | None]:
        """Read records by key, in the order asked."""
        await self._chain.before_read(self._context)
        return await self._chain.after_read(self._context, await super().read(keys, consistency))

    async def write(
        self, operations: list[Put | Delete], *, atomic: bool = False, beside: Sequence[Put] = ()
    ) -> list[Outcome]:
        """Apply changes; see `Operation.write`. In a transaction ``after_write`` waits for its commit."""
        context, chain = self._context, self._chain
        operations = await chain.before_write(context, operations)
        outcomes = await super().write(operations, atomic=atomic, beside=beside)
        if self._defer is not None:
            self._defer(
                lambda: chain.after_write(context, operations, outcomes),
                lambda error: chain.on_error(context, error),
            )
        elif not outcomes or any(outcome.error is None for outcome in outcomes):
            await chain.after_write(context, operations, outcomes)
        return outcomes

    async def query(self, query: Query, consistency: Consistency) -> Page:
        """Return one page of what a query finds."""
        await self._chain.before_read(self._context)
        page = await super().query(query, consistency)
        found = await self._chain.after_read(self._context, list(page.records))
        return Page([record for record in found if record is not None], page.cursor)

    async def count(self, query: Query, consistency: Consistency) -> int:
        """Return how many records a query finds. Middleware sees no records."""
        await self._chain.before_read(self._context)
        found = await super().count(query, consistency)
        await self._chain.after_read(self._context, [])
        return found

    async def aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        """Compute over what a query finds. Middleware sees no records."""
        await self._chain.before_read(self._context)
        rows = await super().aggregate(query, aggregation, consistency)
        await self._chain.after_read(self._context, [])
        return rows
