"""Mutants whose transactions over several backends are several transactions, or check only a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from daystore import Transaction
from daystore.abc import Adapter, Capabilities, Check, Instant, Prepare, RecordTransaction, WriteBatch
from daystore.abc.record import ANY, Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import VersionConflict
from daystore.storage import Storage
from daystore.transactions.joint import CommitPlan, JointTransaction
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.transaction_stores import Transacts
from daystore_compliance.target import MemoryTarget


class _Joining(Transaction):
    """Commits by another joint. It breaks nothing."""

    joint: ClassVar[type[JointTransaction]] = JointTransaction

    def __init__(
        self, find: Any, backends: Mapping[str, Adapter] | None = None, coordinator: Any = None
    ) -> None:
        super().__init__(find, backends, coordinator)
        self._joint = self.joint(backends or {}, coordinator)


def by(kind: type[JointTransaction]) -> type[Transaction]:
    """Return transactions that commit so."""
    return type(kind.__name__, (_Joining,), {"joint": kind})


class _Apart(JointTransaction):
    def join(self, adapter: Adapter, records: RecordTransaction) -> None:
        """Join them, and ask nobody."""
        name = next((name for name, one in self._backends.items() if one is adapter), "")
        self._joined[name] = records
        self._adapters[name] = adapter

    def explain(self) -> CommitPlan:
        """Claim what is not so."""
        return CommitPlan("coordinated", tuple(self._joined), "one", durable=False)

    async def commit(self) -> None:
        """Commit the last one first."""
        for records in reversed(self._joined.values()):
            await records.commit()


@mutant("txn.across_conflict[read]", "txn.across_conflict[absent]", "txn.across_conflict[query]")
class CommitsOneAfterTheOther(Transacts):
    """A transaction over two backends is two transactions: a conflict of the second leaves the first applied."""

    transaction_class: type[Transaction] = by(_Apart)


class _WritesAlone(JointTransaction):
    def _batches(self) -> dict[str, WriteBatch]:
        return {
            name: replace(
                batch, operations=[o for o in batch.operations if not isinstance(o, Check)], queries=()
            )
            for name, batch in super()._batches().items()
        }


@mutant("txn.across_conflict[read]", "txn.across_conflict[query]")
class ChecksOnlyWrites(Transacts):
    """Over two backends only the records that are written are checked."""

    transaction_class: type[Transaction] = by(_WritesAlone)


class _Blind(JointTransaction):
    def _batches(self) -> dict[str, WriteBatch]:
        return {
            name: replace(
                batch,
                operations=[o if isinstance(o, Check) else replace(o, expect=ANY) for o in batch.operations],  # type: ignore[arg-type]
            )
            for name, batch in super()._batches().items()
        }


@mutant("txn.across_mixed")
class LastOneWinsAcross(Transacts):
    """Over two backends a record that was read and written is overwritten, whatever is there by then."""

    transaction_class: type[Transaction] = by(_Blind)


class _Early(JointTransaction):
    def abort(self) -> None:
        """Abort the first one alone."""
        for records in list(self._joined.values())[:1]:
            if records.state == "open":
                records.abort()
        self._give_up()
        self._left = [records for records in self._joined.values() if records.state == "open"]

    async def gone(self) -> None:
        """Commit the others."""
        for records in getattr(self, "_left", ()):
            await records.commit()


@mutant("txn.across_conflict[error]")
class ErrorEndsTheFirst(Transacts):
    """An error in a block over two backends leaves nothing on the first one, and everything on the other."""

    transaction_class: type[Transaction] = by(_Early)


class _Sees(JointTransaction):
    def join(self, adapter: Adapter, records: RecordTransaction) -> None:
        """Let the second one see nothing of its own."""
        super().join(adapter, records)
        if len(self._joined) > 1:
            records._view = lambda collection, key, now: records._seen.get((collection, key))  # type: ignore[method-assign]  # noqa: ARG005


@mutant("txn.across")
class SecondIsBlindToItself(Transacts):
    """Inside a transaction the stores of a second backend do not see what they wrote."""

    transaction_class: type[Transaction] = by(_Sees)


class _Fast(JointTransaction):
    def explain(self) -> CommitPlan:
        """Claim what is not so."""
        return replace(super().explain(), path="atomic")


@mutant("txn.across")
class ClaimsOneWrite(Transacts):
    """A transaction over two backends says that one atomic write commits it."""

    transaction_class: type[Transaction] = by(_Fast)


@mutant("txn.across_race")
class TakesOverIntents(MemoryAdapter):
    """A transaction prepares what another one has prepared, and takes its place."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        stored = self._collections.get(operation.collection, {}).get(operation.key)
        if isinstance(operation, Prepare) and stored is not None:
            stored.intent = None
        return super()._conflict(operation, index, now)


class _NoIntents(MemoryAdapter):
    capabilities: ClassVar[Capabilities] = replace(MemoryAdapter.capabilities, intents=False)  # type: ignore[misc]


@mutant("cap.across.refused")
class TwoTransactionsAnyway(MemoryTarget):
    """Without intents a transaction over two backends is two transactions."""

    name = "TwoTransactionsAnyway"
    adapter: type[MemoryAdapter] = _NoIntents

    class _Both(Transacts):
        transaction_class: type[Transaction] = by(_Apart)

    storage_type: type[Storage] = _Both
