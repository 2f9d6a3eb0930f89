"""Mutants that meet what is prepared and do not wait, do not look, or end it wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from daystore.abc import (
    Aggregation,
    CheckQuery,
    Consistency,
    GroupRow,
    Instant,
    Outcome,
    Page,
    Query,
    Record,
    WriteBatch,
)
from daystore.abc.capabilities import EVENTUAL
from daystore.abc.coordination import Coordinator, Intent, Participant
from daystore.abc.coordination.intent import begins
from daystore.abc.coordination.resolver import Resolver
from daystore.abc.coordination.status import StatusLog, StatusRecord
from daystore.abc.evaluate import evaluate_query
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import RecordPrepared
from daystore_compliance.mutants.base import mutant

# --- Checked queries -----------------------------------------------------------------------------------------


class Checked(MemoryAdapter):
    """Judges in its own way what stands in the way of a checked query. Base of mutants, and none itself."""

    def is_in_the_way(self, collection: str, record: Record, check: CheckQuery, own: bytes | None) -> bool:
        """Judge a record that is prepared."""
        return collection == check.query.collection and not (own and begins(record.intent, own))

    def _check_query(self, check: CheckQuery, own: bytes | None) -> None:
        kept: list[tuple[Record, bytes | None]] = []
        try:
            for name, records in self._collections.items():
                for record in records.values():
                    if record.intent is None:
                        continue
                    if self.is_in_the_way(name, record, check, own):
                        raise RecordPrepared(collection=check.query.collection, backend=self.name)
                    kept.append((record, record.intent))
                    record.intent = None
            super()._check_query(check, own)
        finally:
            for record, intent in kept:
                record.intent = intent


@mutant("intent.queries")
class QueriesDoNotLook(Checked):
    """A checked query does not look at what is prepared."""

    def is_in_the_way(self, collection: str, record: Record, check: CheckQuery, own: bytes | None) -> bool:
        """Let everything pass."""
        return False


@mutant("intent.queries")
class QueriesLookAtTheFound(Checked):
    """A checked query looks at what is prepared among the records that it finds."""

    def is_in_the_way(self, collection: str, record: Record, check: CheckQuery, own: bytes | None) -> bool:
        """Look whether it is found."""
        found = evaluate_query(self._live(check.query.collection), check.query).records
        return record in found and super().is_in_the_way(collection, record, check, own)


@mutant("intent.queries")
class QueriesLookAtTheLiving(Checked):
    """A checked query does not look at what is prepared where nothing is."""

    def is_in_the_way(self, collection: str, record: Record, check: CheckQuery, own: bytes | None) -> bool:
        """Look whether it is alive."""
        return record.is_alive(self.clock()) and super().is_in_the_way(collection, record, check, own)


@mutant("intent.queries")
class QueriesLookEverywhere(Checked):
    """A checked query is stopped by what is prepared in any collection."""

    def is_in_the_way(self, collection: str, record: Record, check: CheckQuery, own: bytes | None) -> bool:
        """Look at its owner alone."""
        return not (own and begins(record.intent, own))


@mutant("intent.queries")
class QueriesAreStoppedByOwn(Checked):
    """A checked query is stopped by what its own transaction has prepared."""

    def is_in_the_way(self, collection: str, record: Record, check: CheckQuery, own: bytes | None) -> bool:
        """Look at the collection alone."""
        return collection == check.query.collection


@mutant("intent.queries")
class OwnedLookAtNothing(Checked):
    """The checked query of a transaction does not look at what others have prepared."""

    def is_in_the_way(self, collection: str, record: Record, check: CheckQuery, own: bytes | None) -> bool:
        """Look whether there is an owner."""
        return own is None and super().is_in_the_way(collection, record, check, own)


# --- Expiry --------------------------------------------------------------------------------------------------


@mutant("intent.expires")
class SweepsTakeIntents(MemoryAdapter):
    """A sweep takes what has expired, prepared or not."""

    def _sweep(self, now: Instant) -> None:
        for records in self._collections.values():
            for key in [record.key for record in records.values() if not record.is_alive(now)]:
                del records[key]


@mutant("intent.expires")
class PreparedDoNotExpire(MemoryAdapter):
    """Queries find what is prepared after its deadline, too."""

    def _live(self, collection: str) -> Iterator[Record]:
        now = self.clock()
        found = self._collections.get(collection, {}).values()
        return (r for r in found if r.is_alive(now) or (r.intent is not None and r.version))


@mutant("intent.expires", "intent.placeholder")
class ReadsSeeTheLiving(MemoryAdapter):
    """A read below does not return what is prepared and not alive."""

    async def _read(self, *arguments: Any) -> list[Record | None]:
        now = self.clock()
        found = await super()._read(*arguments)
        return [record if record is not None and record.is_alive(now) else None for record in found]


# --- Readers -------------------------------------------------------------------------------------------------


@mutant("intent.reads")
class QueriesDoNotWait(MemoryAdapter):
    """A strong query does not wait for what is being committed."""

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """Query at once."""
        return await self._query(query, consistency)


@mutant("intent.reads")
class CountsDoNotWait(MemoryAdapter):
    """A strong count does not wait for what is being committed."""

    async def count(self, query: Query, consistency: Consistency = EVENTUAL) -> int:
        """Count at once."""
        return await self._count(query, consistency)


@mutant("intent.reads")
class AggregatesDoNotWait(MemoryAdapter):
    """A strong aggregation does not wait for what is being committed."""

    async def aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency = EVENTUAL
    ) -> list[GroupRow]:
        """Compute at once."""
        return await self._aggregate(query, aggregation, consistency)


class Coordinated(MemoryAdapter):
    """Has a resolver of its own. Base of mutants, and none itself."""

    resolver: type[Resolver] = Resolver
    coordinator_class: type[Coordinator] = Coordinator

    def _new_coordinator(self) -> Coordinator:
        made = self.coordinator_class(self._participant(), self._neighbours)
        made.resolver = self.resolver(self._neighbours)
        return made


class _Impatient(Coordinator):
    async def settled(self, collection: str, records: Any, *, wait: bool) -> list[Record | None]:
        return await super().settled(collection, records, wait=False)


@mutant("intent.reads")
class ReadsDoNotWait(Coordinated):
    """A strong read by key does not wait for what is being committed."""

    coordinator_class: type[Coordinator] = _Impatient


class _Patient(Coordinator):
    async def settled(self, collection: str, records: Any, *, wait: bool) -> list[Record | None]:
        return await super().settled(collection, records, wait=True)


@mutant("intent.reads[committed]")
class EveryReadWaits(Coordinated):
    """Every read by key waits for what is being committed."""

    coordinator_class: type[Coordinator] = _Patient


class _Ruthless(Resolver):
    def is_over(self, known: StatusRecord) -> bool:
        return True


@mutant("intent.reads", "intent.recovers")
class ReadersAbort(Coordinated):
    """Who meets the intent of a living transaction aborts it."""

    resolver: type[Resolver] = _Ruthless


class _Believing(Resolver):
    async def resolve(self, participant: Participant, collection: str, record: Record) -> bool:
        assert record.intent is not None
        intent = Intent.unpack(record.intent, collection, record.key)
        if await StatusLog(participant).read(intent.transaction) is None:
            await self.settle(participant, intent, collection, record.key, committed=True)
            return True
        return await super().resolve(participant, collection, record)


@mutant("intent.recovers[forgotten]", "intent.reads[forgotten]")
class ForgottenIsCommitted(Coordinated):
    """A transaction of which nothing is known is taken for one that has committed."""

    resolver: type[Resolver] = _Believing


class _Timid(Resolver):
    async def settle(self, *arguments: Any, committed: bool) -> None:
        await super().settle(*arguments, committed=False)


@mutant("intent.recovers[committed]", "intent.reads[committed]")
class CommittedIsTakenBack(Coordinated):
    """What has committed is taken back."""

    resolver: type[Resolver] = _Timid


class _Rash(Resolver):
    async def settle(self, *arguments: Any, committed: bool) -> None:
        await super().settle(*arguments, committed=True)


@mutant("intent.recovers[aborted]", "intent.recovers[forgotten]", "intent.reads[aborted]")
class AbortedIsApplied(Coordinated):
    """What has aborted is applied."""

    resolver: type[Resolver] = _Rash


class _Blind(Coordinator):
    async def settled(self, collection: str, records: Any, *, wait: bool) -> list[Record | None]:
        if wait:
            return await super().settled(collection, records, wait=wait)
        now = self.participant.clock()
        return [record if record is not None and record.is_alive(now) else None for record in records]


@mutant("intent.recovers")
class ReadersLeaveIt(Coordinated):
    """A read that is not strong leaves what an ended transaction has left behind."""

    coordinator_class: type[Coordinator] = _Blind


# --- Writers -------------------------------------------------------------------------------------------------


@mutant("intent.writes", bugs=("scalar-labs/scalardb#1476",))
class WritesDoNotWait(MemoryAdapter):
    """A write that meets an intent fails at once."""

    async def _write_after(
        self, coordinator: Coordinator, batch: WriteBatch, outcomes: list[Outcome]
    ) -> list[Outcome]:
        return outcomes


@mutant("intent.writes", "intent.queries")
class BatchesDoNotWait(MemoryAdapter):
    """An atomic batch that meets an intent fails at once."""

    async def _write_atomic(self, batch: WriteBatch) -> list[Outcome]:
        return await self._write(batch)


@mutant("intent.writes")
class WaitsAndForgets(MemoryAdapter):
    """A write that has waited reports success, and is not applied."""

    async def _write_after(
        self, coordinator: Coordinator, batch: WriteBatch, outcomes: list[Outcome]
    ) -> list[Outcome]:
        for operation, outcome in zip(batch.operations, outcomes, strict=True):
            if outcome.error is not None:
                await coordinator.resolver.wait_for(
                    coordinator.participant, operation.collection, operation.key
                )
        return [Outcome(getattr(one, "version", None), True) for one in batch.operations]


@mutant("intent.writes")
class WaitsAndWritesAll(MemoryAdapter):
    """A batch of which one part has waited is written again as a whole."""

    async def _write_after(
        self, coordinator: Coordinator, batch: WriteBatch, outcomes: list[Outcome]
    ) -> list[Outcome]:
        for operation in batch.operations:
            await coordinator.resolver.wait_for(coordinator.participant, operation.collection, operation.key)
        return await coordinator.participant.write(batch)
