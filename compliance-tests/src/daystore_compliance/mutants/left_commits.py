"""Mutants that hang on to commits that nobody can bring to their end, or leave them to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Self, TypeVar

from daystore import Transaction
from daystore.abc.coordination import Coordinator, Status, Ticket
from daystore.abc.coordination.status import Place
from daystore.abc.transaction import RecordTransaction
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, OutcomeUnknown, StoreClosed
from daystore.storage import Storage
from daystore.transactions.joint import CommitPlan, JointTransaction
from daystore.transactions.recovery import Recovery
from daystore_compliance.mutants.across import by
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.transaction_stores import Transacts

T = TypeVar("T")


class _Coordinates(MemoryAdapter):
    """Has a coordinator of another class. It breaks nothing."""

    coordinator_class: ClassVar[type[Coordinator]] = Coordinator

    def _new_coordinator(self) -> Coordinator | None:
        return self.coordinator_class(self._participant(), self._neighbour)


# --- Closing -------------------------------------------------------------------------------------------------


class _Patient(Coordinator):
    async def drain(self, patience: float | None) -> None:
        """Wait, however long it takes."""
        await super().drain(None)


@mutant("txn.across_close[decided]")
class ClosesWhenAllIsDone(_Coordinates):
    """Closing waits for commits until they have ended, whatever the time limit is."""

    coordinator_class: ClassVar[type[Coordinator]] = _Patient


class _Hasty(Coordinator):
    async def drain(self, patience: float | None) -> None:
        """Wait for nothing."""
        await super().drain(0)


@mutant("txn.across_close")
class ClosingGivesUpCommits(_Coordinates):
    """Closing gives up the commits that go on, without letting them come to their end."""

    coordinator_class: ClassVar[type[Coordinator]] = _Hasty


class _Certain(Coordinator):
    async def _apart(self, task: asyncio.Task[T]) -> T:
        try:
            return await super()._apart(task)
        except OutcomeUnknown as error:
            raise StoreClosed(str(error), backend=error.backend, operation=error.operation) from None


@mutant("txn.across_close")
class ClosingTellsOfNoCommit(_Coordinates):
    """Who waits for a commit when the adapter is closed is told of that alone, as if nothing was done."""

    coordinator_class: ClassVar[type[Coordinator]] = _Certain


# --- Signs of life -------------------------------------------------------------------------------------------


class _Tickets(Coordinator):
    """Has tickets of another class. It breaks nothing."""

    ticket_class: ClassVar[type[Ticket]] = Ticket

    def begin(self) -> bytes:
        """Begin a transaction with one of them."""
        ticket = self.ticket_class(self._log, self.resolver.lease)
        self._tickets[ticket.transaction] = ticket
        self._keep(ticket.created)
        return ticket.transaction


class _Stays(Ticket):
    def leave(self) -> None:
        """Stay."""


class _Staying(_Tickets):
    ticket_class: ClassVar[type[Ticket]] = _Stays


@mutant("txn.across_close[prepared]", "txn.across_silent[decided]")
class HeartOutlivesTheCommit(_Coordinates):
    """The heart of a transaction that was left to others beats as long as the process lives."""

    coordinator_class: ClassVar[type[Coordinator]] = _Staying


class _Lives(_Stays):
    async def _decide(self, wanted: Status, places: Sequence[Place]) -> bool:
        try:
            return await super()._decide(wanted, places)
        except OutcomeUnknown:
            self._ended = False
            raise


class _Living(_Tickets):
    ticket_class: ClassVar[type[Ticket]] = _Lives


@mutant("txn.across_silent[prepared]", "txn.across_silent[undecided]")
class UncertainIsAlive(_Coordinates):
    """A transaction whose coordinator does not tell how it ended gives signs of life, so nobody gives it up."""

    coordinator_class: ClassVar[type[Coordinator]] = _Living


class _Denying(Ticket):
    async def commit(self, places: Sequence[Place]) -> bool:
        """Claim that nothing was applied."""
        try:
            return await super().commit(places)
        except OutcomeUnknown as error:
            raise BackendUnavailable(str(error), operation="commit") from error


class _Denied(_Tickets):
    ticket_class: ClassVar[type[Ticket]] = _Denying


@mutant("txn.across_silent[decided]", "txn.across_silent[undecided]")
class UncertainIsUndone(_Coordinates):
    """A commit whose coordinator does not tell how it ended is told as one of which nothing was applied."""

    coordinator_class: ClassVar[type[Coordinator]] = _Denied


# --- Recovery ------------------------------------------------------------------------------------------------


class _Recovers(Storage):
    """Looks for what was left behind in another way. Base of mutants, and none itself."""

    recovery_class: ClassVar[type[Recovery]] = Recovery

    async def __aenter__(self) -> Self:
        """Open, and begin to look in that way."""
        await super().__aenter__()
        if self._recovery is not None:
            await self._recovery.stop()  # it has not begun yet
        self._recovery = self.recovery_class(self._backends)
        self._recovery.start()
        return self


class _Never(Recovery):
    def start(self) -> None:
        """Look at nothing."""


@mutant("txn.across_recovery[decided]")
class NobodyRecovers(_Recovers):
    """What was left behind stays until somebody meets it."""

    recovery_class: ClassVar[type[Recovery]] = _Never


class _First(Recovery):
    def start(self) -> None:
        """Look at the first backend."""
        super().start()
        del self._coordinators[1:]


@mutant("txn.across_recovery[prepared]", "txn.across_recovery[undecided]")
class RecoversTheFirst(_Recovers):
    """Of several backends one alone is looked at for what was left behind."""

    recovery_class: ClassVar[type[Recovery]] = _First


class _Forgetful(Coordinator):
    async def recover(self) -> int:
        """Forget what is decided, and then look at what is prepared."""
        for known in await self._log.all():
            if known.status is Status.COMMITTED:
                await self._log.remove(known.transaction, known.version)
        return await super().recover()


@mutant("txn.across_recovery[decided]", "txn.across_close[decided]")
class ForgetsBeforeItIsApplied(_Coordinates):
    """Recovery forgets a transaction that has committed before its changes are applied, and takes them back."""

    coordinator_class: ClassVar[type[Coordinator]] = _Forgetful


# --- The coordinator -----------------------------------------------------------------------------------------


@mutant("txn.across_coordinator[two]", "txn.across_coordinator[third]")
class ChoosesTheFirst(Transacts):
    """The first backend coordinates a transaction, whichever was chosen."""


class _Chosen(Storage):
    """Has transactions of another class, with the coordinator that was chosen. It breaks nothing."""

    transaction_class: ClassVar[type[Transaction]] = Transaction

    def _new_transaction(self) -> Transaction:
        return self.transaction_class(self._find, self._backends, self._coordinator)


class _Claims(JointTransaction):
    def explain(self) -> CommitPlan:
        """Claim what is not so."""
        plan = super().explain()
        return replace(plan, coordinator=plan.coordinator and plan.backends[0])


@mutant("txn.across_coordinator[two]", "txn.across_coordinator[third]")
class ExplainsTheFirst(_Chosen):
    """A transaction says that its first backend coordinates it, whichever does."""

    transaction_class: ClassVar[type[Transaction]] = by(_Claims)


class _Everywhere(JointTransaction):
    def _coordinate(self, joined: Mapping[str, RecordTransaction]) -> None:
        super()._coordinate(joined)
        for name in joined:
            if name != self._coordinator:
                self._coordinator_of(name).begin()


@mutant("txn.across_coordinator[one]")
class StatusEverywhere(_Chosen):
    """A transaction has a status record in each of its backends, and the others stay when it has ended."""

    transaction_class: ClassVar[type[Transaction]] = by(_Everywhere)
