"""One commit: prepare, validate, decide, roll forward."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from daystore.abc.coordination.intent import Intent, begins
from daystore.abc.coordination.participant import Participant
from daystore.abc.coordination.resolver import Resolver
from daystore.abc.coordination.status import Place
from daystore.abc.coordination.tickets import Ticket
from daystore.abc.record import ABSENT, Check, CheckQuery, Delete, Outcome, Prepare, Put, WriteBatch
from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    OperationTimeout,
    OutcomeUnknown,
    RecordPrepared,
    VersionConflict,
)

__all__ = ["Commit", "Part"]

ROUNDS: Final = 3
"""How often a prepare is tried again when the transaction that was in its way has ended."""


@dataclass(slots=True, eq=False)
class Part:
    """What a transaction does to one participant.

    Attributes:
        participant: The adapter.
        name: Name of its backend; empty for the coordinator.
        batch: Its changes, checks and checked queries.
    """

    participant: Participant
    name: str
    batch: WriteBatch
    prepares: list[Prepare] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    existed: dict[tuple[str, str], bool] = field(default_factory=dict)

    def plan(self, transaction: bytes, coordinator: str) -> None:
        """Make an intent of each change, and of each key that is to stay absent."""
        at = coordinator if self.name else ""
        for operation in self.batch.operations:
            if isinstance(operation, Put | Delete):
                intent = Intent(transaction, at, operation)
            elif operation.expect is ABSENT:
                intent = Intent(transaction, at, None)
            else:
                continue
            self.intents.append(intent)
            self.prepares.append(
                Prepare(operation.collection, operation.key, intent.pack(), operation.expect)  # type: ignore[arg-type]
            )

    @property
    def checks(self) -> list[Check]:
        """The records that are only read, and are there."""
        return [o for o in self.batch.operations if isinstance(o, Check) and o.expect is not ABSENT]

    def outcomes(self) -> list[Outcome]:
        """Return what became of each operation, after the commit."""
        found = []
        for operation in self.batch.operations:
            version = operation.version if isinstance(operation, Put) else None
            existed = self.existed.get((operation.collection, operation.key), True)
            found.append(Outcome(version, existed))
        return found

    def conflict(self, failed: Prepare | Check, error: VersionConflict) -> VersionConflict:
        """Say which operation of the batch it was."""
        for index, operation in enumerate(self.batch.operations):
            if (operation.collection, operation.key) == (failed.collection, failed.key):
                error.index = index
        return error


class Commit:
    """Commits the parts of one transaction together.

    Args:
        parts: What it does, by participant.
        coordinator: Name of the backend whose status record decides.
        ticket: That status record.
        resolver: Resolves the intents of others that are in the way.
        ordered: Prepare one key after the other, in an order that all have in common, and wait for whoever holds
            one. Otherwise everything is prepared at once, and meeting another living transaction is a conflict:
            to wait while holding something could wait forever.
        adopt: Takes what is done after the caller has got his answer.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        coordinator: str,
        ticket: Ticket,
        resolver: Resolver,
        *,
        ordered: bool,
        adopt: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._parts = parts
        self._ticket = ticket
        self._resolver = resolver
        self._ordered = ordered
        self._adopt = adopt
        for part in parts:
            part.plan(ticket.transaction, coordinator)

    async def run(self) -> list[list[Outcome]]:
        """Commit.

        Returns:
            For each part what became of its operations.

        Raises:
            RecordPrepared: If another living transaction holds something. Nothing was applied.
            VersionConflict: If an expectation did not hold. Nothing was applied.
            OutcomeUnknown: If it cannot be told whether it was applied.
            DaystoreError: If a backend failed before the decision. Nothing was applied.
        """
        try:
            return await self._run()
        finally:  # also where the end is not certain, or the adapter is closed: whoever meets it then ends it
            self._ticket.leave()

    async def _run(self) -> list[list[Outcome]]:
        await self._ticket.ready()
        try:
            await self._prepare()
            await self._validate()
        except Exception:
            await self._abort()
            raise
        if not await self._ticket.commit(self._places()):
            await self._clear_away(committed=False)
            raise VersionConflict(
                "the transaction took so long that others gave it up; nothing was applied", operation="commit"
            )
        await self._clear_away(committed=True)
        return [part.outcomes() for part in self._parts]

    def _places(self) -> list[Place]:
        return [(part.name, one.collection, one.key) for part in self._parts for one in part.prepares]

    # --- Prepare --------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        if self._ordered:
            for part in sorted(self._parts, key=lambda part: part.name):
                for prepare in sorted(part.prepares, key=lambda one: (one.collection, one.key)):
                    await self._prepare_waiting(part, prepare)
        else:
            await _all([self._prepare_part(part, part.prepares) for part in self._parts if part.prepares])

    async def _prepare_part(self, part: Part, prepares: Sequence[Prepare]) -> None:
        held: list[tuple[Prepare, RecordPrepared]] = []
        for _ in range(ROUNDS):
            outcomes = await part.participant.write(WriteBatch(prepares))
            held = []
            failure: DaystoreError | None = None
            for prepare, outcome in zip(prepares, outcomes, strict=True):
                error = outcome.error
                if error is None:
                    part.existed[prepare.collection, prepare.key] = outcome.existed
                elif isinstance(error, RecordPrepared):
                    held.append((prepare, error))
                elif isinstance(error, VersionConflict):
                    failure = failure or part.conflict(prepare, error)
                elif not await self._arrived(part, prepare):
                    failure = failure or _nothing_applied(error, part.participant)
            if failure is not None:
                raise failure
            if not held:
                return
            for prepare, error in held:
                record = await part.participant.get(prepare.collection, prepare.key)
                if record is None or record.intent is None:
                    continue
                if not await self._resolver.resolve(part.participant, prepare.collection, record):
                    raise part.conflict(prepare, error)
            prepares = [prepare for prepare, _ in held]
        raise part.conflict(*held[0])

    async def _prepare_waiting(self, part: Part, prepare: Prepare) -> None:
        while True:
            try:
                await self._prepare_part(part, (prepare,))
            except RecordPrepared:
                await self._resolver.wait_for(part.participant, prepare.collection, prepare.key)
            else:
                return

    async def _arrived(self, part: Part, prepare: Prepare) -> bool:
        """Look whether an intent is there whose prepare was not answered. Where it is not, it may come yet."""
        try:
            record = await part.participant.get(prepare.collection, prepare.key)
        except DaystoreError:
            return False
        if record is None or record.intent != prepare.intent:
            return False
        part.existed[prepare.collection, prepare.key] = record.is_alive(part.participant.clock())
        return True

    # --- Validate -------------------------------------------------------------------------------------------

    async def _validate(self) -> None:
        """Look whether what was read still holds, now that everything is prepared.

        Queries come first and single records after them. A record that is at its version then was so all the
        time since it was read, because no version is used twice; of a query the same cannot be said. So the
        instant at which the queries of one participant found the same again is one at which everything held.
        """
        asked = [part for part in self._parts if part.batch.queries]
        rest = [part for part in self._parts if part.checks]
        if len(asked) == 1 and asked[0].participant.one_unit and rest in ([], asked):
            await self._validate_at_once(asked[0], asked[0].checks)
            return
        await _all([self._validate_queries(part) for part in asked])
        await _all([self._validate_checks(part) for part in rest])

    async def _validate_queries(self, part: Part) -> None:
        if part.participant.one_unit:
            await self._validate_at_once(part, ())
            return
        for collection in {check.query.collection for check in part.batch.queries}:
            for _, record in await part.participant.prepared(collection):
                if not begins(record.intent, self._ticket.transaction) and not await self._resolver.resolve(
                    part.participant, collection, record
                ):
                    raise RecordPrepared(collection=collection, backend=part.participant.name)
        await _all([_run_again(part.participant, check) for check in part.batch.queries])

    async def _validate_at_once(self, part: Part, checks: Sequence[Check]) -> None:
        batch = WriteBatch(checks, atomic=True, queries=part.batch.queries, own=self._ticket.transaction)
        try:
            await part.participant.raw_write(batch)
        except VersionConflict as error:
            if error.index is not None and error.index < len(checks):
                raise part.conflict(checks[error.index], error) from None
            raise
        except (OutcomeUnknown, OperationTimeout) as error:  # it changes nothing: would it hold?
            raise _nothing_applied(error, part.participant) from error

    async def _validate_checks(self, part: Part) -> None:
        checks = part.checks
        for check, outcome in zip(checks, await part.participant.write(WriteBatch(checks)), strict=True):
            if isinstance(outcome.error, RecordPrepared):
                record = await part.participant.get(check.collection, check.key)
                if record is not None and record.intent is not None:
                    await self._resolver.resolve(part.participant, check.collection, record)
            if isinstance(outcome.error, VersionConflict):
                raise part.conflict(check, outcome.error)
            if outcome.error is not None:
                raise _nothing_applied(outcome.error, part.participant)

    # --- After the decision ---------------------------------------------------------------------------------

    async def _abort(self) -> None:
        try:
            await self._ticket.abort()
        except DaystoreError:
            return  # whoever meets an intent of it aborts it after the lease
        await self._clear_away(committed=False)

    async def _clear_away(self, *, committed: bool) -> None:
        """End every intent, and forget the transaction if that is certain. What is not is left to others."""
        parts = [part for part in self._parts if part.prepares]
        done = await asyncio.gather(*(self._settle(part, committed=committed) for part in parts))
        if all(done) and committed:
            self._adopt(self._ticket.forget())
        elif all(done):
            await self._ticket.forget()

    async def _settle(self, part: Part, *, committed: bool) -> bool:
        operations = [
            intent.settled(prepare.collection, prepare.key, committed=committed)
            for intent, prepare in zip(part.intents, part.prepares, strict=True)
        ]
        outcomes = await part.participant.write(WriteBatch(operations))
        return all(one.error is None or isinstance(one.error, VersionConflict) for one in outcomes)


async def _run_again(participant: Participant, check: CheckQuery) -> None:
    page = await participant.query(check.query)
    if [(record.key, record.version) for record in page.records] != list(check.found):
        raise VersionConflict(
            "a query that this transaction depends on finds something else now",
            collection=check.query.collection,
            backend=participant.name,
            operation="write",
        )


async def _all(work: Sequence[Awaitable[None]]) -> None:
    """Wait for all of it, whatever fails, and then raise the first failure."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _nothing_applied(error: DaystoreError, participant: Participant) -> DaystoreError:
    """Return the failure of a step before the decision: it may have arrived, but it will have no effect."""
    if not isinstance(error, OutcomeUnknown | OperationTimeout):
        return error
    failure = BackendUnavailable(
        "a transaction could not be prepared, so nothing of it was applied",
        backend=participant.name,
        operation="commit",
    )
    failure.__cause__ = error
    return failure
