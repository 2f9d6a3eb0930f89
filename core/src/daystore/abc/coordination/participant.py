"""Participants: adapters as the coordinated commit sees them, below everything that resolves intents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from daystore.abc.capabilities import STRONG, Consistency
from daystore.abc.clock import Clock
from daystore.abc.query import Page, Query
from daystore.abc.record import Outcome, Record, WriteBatch
from daystore.errors import DaystoreError

__all__ = ["Participant"]


class _Read(Protocol):
    def __call__(
        self, collection: str, keys: Sequence[str], consistency: Consistency, /
    ) -> Awaitable[list[Record | None]]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Participant:
    """The primitives of one adapter.

    Attributes:
        name: Name of the adapter, for errors.
        raw_read: Its ``_read``.
        raw_write: Its ``_write``.
        raw_query: Its ``_query``.
        prepared: Its ``_prepared``.
        atomic_unit: Its ``_atomic_unit``.
        clock: Its clock.
        one_unit: Whether everything lies in one atomic unit.
        max_batch: Most operations in one request.
        consistency: The strongest level at which it can be read.
    """

    name: str
    raw_read: _Read
    raw_write: Callable[[WriteBatch], Awaitable[list[Outcome]]]
    raw_query: Callable[[Query, Consistency], Awaitable[Page]]
    prepared: Callable[[str | None], Awaitable[list[tuple[str, Record]]]]
    atomic_unit: Callable[[str, str], Hashable]
    clock: Clock
    one_unit: bool = True
    max_batch: int | None = None
    consistency: Consistency = STRONG

    async def get(self, collection: str, key: str) -> Record | None:
        """Read one record as it is, intent included."""
        return (await self.raw_read(collection, (key,), self.consistency))[0]

    async def query(self, query: Query) -> Page:
        """Run a query over what is committed."""
        return await self.raw_query(query, self.consistency)

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch that is not atomic: what goes wrong with a part of it stands in the outcomes."""
        size = self.max_batch or len(batch.operations)
        outcomes: list[Outcome] = []
        for start in range(0, len(batch.operations), size):
            part = WriteBatch(batch.operations[start : start + size])
            try:
                outcomes += await self.raw_write(part)
            except DaystoreError as error:
                outcomes += [Outcome(None, False, error) for _ in part.operations]
        return outcomes

    def is_one_unit(self, batch: WriteBatch) -> bool:
        """Tell whether the adapter itself can apply an atomic batch."""
        if self.one_unit:
            return True
        units = {self.atomic_unit(operation.collection, operation.key) for operation in batch.operations}
        return len(units) == 1 and not batch.queries
