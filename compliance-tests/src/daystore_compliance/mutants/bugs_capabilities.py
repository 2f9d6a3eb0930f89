"""Real bugs of what a backend declares: reads that are behind, and capabilities that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daystore.abc import (
    EVENTUAL,
    Capabilities,
    Consistency,
    Outcome,
    Page,
    Query,
    Record,
    WriteBatch,
)
from daystore.abc.evaluate import evaluate_query
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import DaystoreError, LimitExceeded
from daystore.query.builder import QueryBuilder
from daystore.stores import Store
from daystore_compliance.mutants.base import Stepwise, mutant
from daystore_compliance.mutants.capabilities import Minimal
from daystore_compliance.mutants.lifecycle import ForgetsAtClose


@mutant("con.strong_again", bugs=("letta-ai/letta#2751",))
class AcknowledgesEarly(MemoryAdapter):
    """A write is acknowledged a turn of the event loop before reads by key see it."""

    _before: dict[str, dict[str, Record]] | None = None

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        before = {name: dict(records) for name, records in self._collections.items()}
        outcomes = await super()._write(batch)
        self._before = before
        asyncio.get_running_loop().call_soon(self._arrive)
        return outcomes

    def _arrive(self) -> None:
        self._before = None

    def _seen_at(self, collection: str) -> dict[str, Record]:
        seen = self._collections if self._before is None else self._before
        return seen.get(collection, {})

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        now = self.clock()
        found = [self._seen_at(collection).get(key) for key in keys]
        return [record.copy() if record is not None and record.is_alive(now) else None for record in found]


@mutant("con.strong_again", bugs=("aio-libs/aiomysql#972",))
class OldSnapshots(MemoryAdapter):
    """Every second query is answered by a connection whose snapshot is that of the query before."""

    _turn = 0
    _snapshot: dict[str, list[Record]] | None = None

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        self._turn += 1
        now = {name: list(records.values()) for name, records in self._collections.items()}
        if self._turn % 2 or self._snapshot is None:
            self._snapshot = now
            return await super()._query(query, consistency)
        alive = [r for r in self._snapshot.get(query.collection, []) if r.is_alive(self.clock())]
        return evaluate_query(alive, query)


@mutant("life.close_reopen_durable", bugs=("JoshuaC215/agent-service-toolkit#263",))
class DurableUntilClosed(ForgetsAtClose):
    """Declares that acknowledged writes survive, and keeps them in a dictionary that goes with it."""

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, durable=True)


@mutant(
    "batch.atomic_all_or_none",
    "txn.conflict",
    bugs=("dapr/components-contrib#2733", "dapr/components-contrib#2742"),
)
class BestEffort(MemoryAdapter):
    """Declares transactions, and writes one change after the other, last ones first."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        backwards = WriteBatch(batch.operations[::-1])
        return (await super()._write(backwards))[::-1]


@mutant("q.unknown_field", bugs=("dapr/dapr#4126",))
class UnindexedFindsNothing(Store[Any]):
    """A query by what is not indexed finds nothing instead of being refused."""

    def where(self, field: Any, op: Any = None, *value: Any, **options: Any) -> QueryBuilder[Any]:
        """Look for nothing."""
        try:
            return super().where(field, op, *value, **options)
        except DaystoreError:
            return self.all().limit(0)


@mutant("batch.atomic_large", bugs=("dapr/dapr#7321",))
class HundredChangesAtMost(MemoryAdapter):
    """An atomic batch of more than a hundred operations fails, and no limit is declared."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and len(batch.operations) > 100:
            raise LimitExceeded("batch too long", limit="max_atomic_ops", actual=101, maximum=100)
        return await super()._write(batch)


@mutant("cap.query.refused", bugs=("apache/opendal#6676",))
class AnswersUnfiltered(Minimal):
    """A query that is not declared is answered with everything there is."""

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """Return everything."""
        return Page([record.copy() for record in self._live(query.collection)])


@mutant("page.progress", "page.exact_cover[key]", bugs=("apache/opendal#7809",))
class CursorDropped(Stepwise):
    """A cursor is taken and not looked at: every page is the first."""

    def position(self, query: Query) -> Any:
        """Begin at the beginning."""
        super().position(query)
        return None
