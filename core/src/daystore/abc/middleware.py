"""Middleware: code around every operation of a store.

A middleware is any object with some of the methods of `Middleware`, each of them plain or async. They see an
operation once, with all its records, also when it is a batch or a query, inside a transaction as outside. Writing
goes through them in the order of configuration, reading in reverse.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from daystore.abc.capabilities import EVENTUAL, Consistency
from daystore.abc.record import Delete, Outcome, Put, Record

if TYPE_CHECKING:
    from daystore.abc.query import Query

__all__ = ["Middleware", "MiddlewareContext"]


@dataclass(slots=True)
class MiddlewareContext:
    """One operation, as middleware sees it.

    Attributes:
        store: Name of the store.
        collection: The collection it works on.
        operation: ``get``, ``set``, ``delete``, ``get_batch``, ``query``, ``count``, ``aggregate`` …
        keys: The keys it names; empty for queries.
        query: The query, for ``query``, ``count``, ``aggregate``, ``scan``.
        consistency: What the caller asked for.
        in_transaction: Whether it runs inside a transaction.
        started: ``time.perf_counter()`` at its begin, in seconds.
        state: For a middleware's own notes between its hooks; keyed by the middleware's name.
    """

    store: str
    collection: str
    operation: str
    keys: Sequence[str] = ()
    query: Query | None = None
    consistency: Consistency = EVENTUAL
    in_transaction: bool = False
    started: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)


class Middleware(Protocol):
    """The hooks. An implementation has those it needs; none is required."""

    def before_read(self, context: MiddlewareContext) -> Awaitable[None] | None:
        """Run before records are read. Raising refuses the operation."""

    def after_read(
        self, context: MiddlewareContext, records: list[Record | None]
    ) -> Awaitable[list[Record | None]] | list[Record | None]:
        """Take what was read, return what the store shall see: as many records, in the same order."""

    def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> Awaitable[list[Put | Delete]] | list[Put | Delete]:
        """Take what is to be written, return what the backend shall get: as many, in the same order."""

    def after_write(
        self, context: MiddlewareContext, operations: list[Put | Delete], outcomes: Sequence[Outcome]
    ) -> Awaitable[None] | None:
        """Run after the backend acknowledged. Inside a transaction this is after its commit."""

    def on_error(self, context: MiddlewareContext, error: BaseException) -> Awaitable[None] | None:
        """Run when the operation failed or was cancelled; the error goes on to the caller."""
