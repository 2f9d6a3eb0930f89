"""Mutants that claim too much, or refuse too late."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from daystore.abc import (
    EVENTUAL,
    KEEP,
    Aggregation,
    Capabilities,
    Consistency,
    GroupRow,
    Outcome,
    Page,
    Put,
    Query,
    RecordTransaction,
    WriteBatch,
)
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import UnsupportedOperation
from daystore_compliance.mutants.base import mutant

__all__ = ["Minimal"]


class Minimal(MemoryAdapter):
    """A backend that reads and writes single records and declares nothing else. It breaks nothing."""

    capabilities: ClassVar[Capabilities] = Capabilities()  # type: ignore[misc]


@mutant("cap.conditional.refused", "cap.ttl.refused", "cap.atomic_batch.refused")
class RefusesTooLate(Minimal):
    """What is not declared is refused after it was written."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write first."""
        await self._write(replace(batch, atomic=False))
        return await super().write(batch)


@mutant("cap.conditional.refused", "cap.ttl.refused", "cap.atomic_batch.refused")
class DoesItAnyway(Minimal):
    """What is not declared is done all the same, more or less."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write without a check."""
        return await self._write(replace(batch, atomic=False))


@mutant("cap.ttl.refused")
class RefusesToKeep(Minimal):
    """A write that keeps the deadline is taken for one that sets a deadline."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Refuse what asks for nothing."""
        if any(isinstance(one, Put) and one.expires_at is KEEP for one in batch.operations):
            raise UnsupportedOperation("no expiry, so none is kept", capability="ttl", backend=self.name)
        return await super().write(batch)


@mutant("cap.query.refused", "cap.aggregate.refused", "con.refused")
class AnswersNothing(Minimal):
    """Queries that are not declared find nothing."""

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """Find nothing."""
        return Page([])

    async def aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency = EVENTUAL
    ) -> list[GroupRow]:
        """Compute over nothing."""
        return []


@mutant("cap.transactions.refused")
class BeginsAnyway(Minimal):
    """A transaction can be begun where none is declared."""

    def transaction(self) -> RecordTransaction:
        """Begin one."""
        return RecordTransaction(self)


@mutant("con.refused")
class WeakensConsistency(MemoryAdapter):
    """A consistency that is not declared is served by a weaker one."""

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, consistency=frozenset({"eventual"}))

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """Query with the weakest."""
        return await super().query(query)


@mutant("batch.empty", "batch.atomic_applies", "batch.atomic_visible")
class ClaimsAtomicity(MemoryAdapter):
    """Declares atomic batches and refuses them."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Refuse them."""
        if batch.atomic:
            raise UnsupportedOperation("not today", capability="atomic_batch")
        return await super().write(batch)


@mutant("cap.limits")
class ClaimsTransactionsAlone(MemoryAdapter):
    """Declares transactions without what they are made of."""

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, conditional=False)
