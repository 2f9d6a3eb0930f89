"""The coordinated commit with one mistake each: a simulator that lets one of them pass proves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from daystore.abc import ABSENT, Delete, Holds, Prepare, Put, Record, WriteBatch
from daystore.abc.coordination import Commit, Coordinator, Intent, Part, Participant, StatusLog, Ticket
from daystore.abc.coordination import commit as commit_module
from daystore.abc.coordination.resolver import Resolver
from daystore.abc.coordination.status import Place, Status, StatusRecord
from daystore.abc.evaluate import evaluate_query
from daystore.abc.record import Check, CheckQuery, Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import DaystoreError, OutcomeUnknown, VersionConflict
from daystore_compliance.simulation.clients import Mix
from daystore_compliance.simulation.run import Plan
from daystore_compliance.simulation.run import plan as plan_of
from daystore_compliance.simulation.world import Fates

__all__ = ["MUTANTS", "Mutant"]

Patches = Sequence[tuple[Any, str, Any]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Attributes:
        name: Its name.
        mistake: What is wrong, and what it would cost.
        patches: What is put in place of what: object, attribute and value.
        budget: Seeds within which it has to be caught.
        worlds: What its worlds are like: ``any``; ``alike``, where transactions on one store meet those on
            several and nothing else is done; ``slow``, where requests take longer than the lease; ``late``, where
            writes are applied long after their senders gave up, and single reads look on.
    """

    name: str
    mistake: str
    patches: Patches
    budget: int
    worlds: str = "any"

    def plan(self, seed: int) -> Plan:
        """Return the world of a seed in which the mistake is looked for."""
        plan = plan_of(seed)
        if self.worlds == "any":
            return plan
        if self.worlds == "slow":
            return replace(plan, lease=0.002, fates=Fates(slow=0.2), keys=1, mix=Mix(get=6, transaction=6))
        if self.worlds == "late":
            return replace(
                plan,
                lease=1.0,
                stores=(("s0", "single"), ("s1", "single")),
                keys=1,
                clients=4,
                operations=3,
                fates=Fates(late=0.1),
                mix=Mix(get=6, transaction=6, modify=0, batch=0, put=0, delete=0, scan=0, recover=0),
            )
        return replace(
            plan,
            stores=(("s0", "single"), ("s1", "atomic")),
            keys=2,
            clients=3,
            operations=2,
            fates=Fates(slow=plan.fates.slow),
            mix=Mix(transaction=4, modify=6, batch=0, get=0, put=0, delete=0, scan=0, recover=0),
        )

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the mistake."""
        kept = [(where, name, where.__dict__[name]) for where, name, _ in self.patches]
        for where, name, value in self.patches:
            setattr(where, name, value)
        try:
            yield
        finally:
            for where, name, value in kept:
                setattr(where, name, value)


MUTANTS: Final[list[Mutant]] = []


def _mutant(
    budget: int, *patches: tuple[Any, str], worlds: str = "any"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a mutant of a function that returns what is put in place, or that is it."""

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        values = [function] if len(patches) == 1 else function()
        made = [(where, name, value) for (where, name), value in zip(patches, values, strict=True)]
        MUTANTS.append(Mutant(function.__name__, (function.__doc__ or "").strip(), made, budget, worlds))
        return function

    return make


# --- Validation -----------------------------------------------------------------------------------------------


@_mutant(1000, (Commit, "_validate"))
async def no_validation(self: Commit) -> None:
    """What was read is not looked at again: read skew and write skew."""


@_mutant(4000, (Commit, "run"))
async def validation_beside_prepare(self: Commit) -> Any:
    """What was read is looked at again while the own changes are still being prepared."""
    await self._ticket.ready()
    try:
        await commit_module._all([self._prepare(), self._validate()])
    except BaseException:
        await self._abort()
        raise
    if not await self._ticket.commit(self._places()):
        await self._clear_away(committed=False)
        raise VersionConflict
    await self._clear_away(committed=True)
    return [part.outcomes() for part in self._parts]


@_mutant(4000, (commit_module, "_run_again"))
async def known_keys_only(participant: Participant, check: CheckQuery) -> None:
    """Of a query the records that it found are looked at again, and not what would be found now."""
    for key, version in check.found:
        record = await participant.get(check.query.collection, key)
        if record is None or record.version != version:
            raise VersionConflict


@_mutant(30_000, (Part, "plan"))
def absent_not_held(self: Part, transaction: bytes, coordinator: str) -> None:
    """What was absent is not prepared: it may come and go between the two looks at it."""
    at = coordinator if self.name else ""
    for operation in self.batch.operations:
        if isinstance(operation, Put | Delete):
            self.intents.append(Intent(transaction, at, operation))
            packed = self.intents[-1].pack()
            self.prepares.append(
                Prepare(operation.collection, operation.key, packed, operation.expect)  # type: ignore[arg-type]
            )


# --- The decision ---------------------------------------------------------------------------------------------


@_mutant(4000, (Resolver, "abort"))
async def rolled_back_by_the_clock(_self: Resolver, _log: StatusLog, _known: StatusRecord) -> bool:
    """After the lease intents are removed without deciding first that the transaction has aborted."""
    return True


async def _undecided(self: Ticket, wanted: Status, places: Sequence[Place]) -> bool:
    assert self._version is not None
    try:
        self._version = await self._log.change(self.transaction, self._version, wanted, places)
    except VersionConflict:
        return False
    except DaystoreError:
        await asyncio.sleep(0.001)
        known = await self._log.read(self.transaction)
        return known is not None and known.status is Status.COMMITTED
    return wanted is Status.COMMITTED


@_mutant(4000, (Ticket, "_decide"))
async def pending_taken_for_aborted(self: Ticket, wanted: Status, places: Sequence[Place]) -> bool:
    """A commit without an answer is taken for an abort because it is not there yet."""
    return await _undecided(self, wanted, places)


@_mutant(4000, (Ticket, "ready"), (Ticket, "commit"), (Resolver, "resolve"), (Ticket, "abort"), worlds="slow")
def decided_by_absence() -> tuple[Any, ...]:
    """There is no status record before the decision, and aborted ones are removed at any time."""

    async def ready(self: Ticket) -> None:
        self._version = await asyncio.shield(self.created)
        await self._log.remove(self.transaction, self._version)

    async def commit(self: Ticket, places: Sequence[Place]) -> bool:
        try:
            self._version = await self._log._put(self.transaction, Status.COMMITTED, places, ABSENT)
        except VersionConflict:
            return False
        return True

    async def resolve(self: Resolver, participant: Participant, collection: str, record: Record) -> bool:
        assert record.intent is not None
        intent = Intent.unpack(record.intent, collection, record.key)
        log = StatusLog(self._coordinator(intent.coordinator, participant))
        known = await log.read(intent.transaction)
        if known is None:
            beat = StatusRecord(intent.transaction, "never", Status.PENDING)
            if not self.is_over(beat):
                return False
            try:
                version = await log._put(intent.transaction, Status.ABORTED, (), ABSENT)
                await log.remove(intent.transaction, version)
            except (VersionConflict, OutcomeUnknown):
                return True
        committed = known is not None and known.status is Status.COMMITTED
        await self.settle(participant, intent, collection, record.key, committed=committed)
        return True

    async def abort(_self: Ticket) -> None:
        return None

    return ready, commit, resolve, abort


# --- After the decision ---------------------------------------------------------------------------------------


@_mutant(4000, (Intent, "settled"), (MemoryAdapter, "_conflict"))
def rolled_forward_always() -> tuple[Any, ...]:
    """Intents are applied whatever the record looks like by then."""
    conflict = MemoryAdapter._conflict

    def judge(self: MemoryAdapter, operation: Operation, index: int, now: int) -> Any:
        if isinstance(operation.expect, Holds) and isinstance(operation, Put | Delete):
            return None
        return conflict(self, operation, index, now)

    return Intent.__dict__["settled"], judge


@_mutant(8000, (Commit, "_clear_away"))
async def forgotten_too_early(self: Commit, *, committed: bool) -> None:
    """The status record is removed before every intent has been applied."""
    await self._ticket.forget()
    await asyncio.gather(*(self._settle(p, committed=committed) for p in self._parts if p.prepares))


# --- Those who meet an intent ---------------------------------------------------------------------------------


def _ignoring(atomic: bool) -> tuple[Any, Any]:
    write, conflict = MemoryAdapter._write, MemoryAdapter._conflict
    ignores = False

    async def writing(self: MemoryAdapter, batch: WriteBatch) -> Any:
        nonlocal ignores
        ignores = batch.atomic is atomic
        try:
            return await write(self, batch)
        finally:
            ignores = False

    def judge(self: MemoryAdapter, operation: Operation, index: int, now: int) -> Any:
        stored = self._collections.get(operation.collection, {}).get(operation.key)
        if not ignores or stored is None or stored.intent is None or operation.collection != "cells":
            return conflict(self, operation, index, now)
        if isinstance(operation, Put | Delete | Check) and not isinstance(operation.expect, Holds):
            kept, stored.intent = stored.intent, None
            try:
                return conflict(self, operation, index, now)
            finally:
                stored.intent = kept
        return conflict(self, operation, index, now)

    return writing, judge


@_mutant(4000, (MemoryAdapter, "_write"), (MemoryAdapter, "_conflict"), worlds="alike")
def atomic_writes_ignore_intents() -> tuple[Any, ...]:
    """An atomic batch of a store that has them passes over what is prepared."""
    return _ignoring(atomic=True)


@_mutant(8000, (MemoryAdapter, "_write"), (MemoryAdapter, "_conflict"))
def plain_writes_ignore_intents() -> tuple[Any, ...]:
    """A single write overwrites what is prepared."""
    return _ignoring(atomic=False)


@_mutant(4000, (Coordinator, "settled"), worlds="late")
async def reads_do_not_wait(
    self: Coordinator, collection: str, records: Sequence[Record | None], **_wait: bool
) -> Any:
    """A strong read of what a living transaction holds returns what was there before, without waiting."""
    return await _settled(self, collection, records, wait=False)


_settled = Coordinator.settled


@_mutant(30_000, (Resolver, "resolve"))
async def missing_read_once(
    self: Resolver, participant: Participant, collection: str, record: Record
) -> bool:
    """An intent without a status record is passed over, and its record is not read again."""
    assert record.intent is not None
    intent = Intent.unpack(record.intent, collection, record.key)
    log = StatusLog(self._coordinator(intent.coordinator, participant))
    if await log.read(intent.transaction) is None:
        record.intent = None
        return False
    return await _resolve(self, participant, collection, record)


_resolve = Resolver.resolve


@_mutant(4000, (Ticket, "ready"))
async def prepared_before_pending(self: Ticket) -> None:
    """Intents are written before it is certain that the status record is there."""
    if self.created.done():
        self._version = self.created.result()
        return

    async def late() -> None:
        with suppress(DaystoreError):
            self._version = await self.created

    self._late = asyncio.ensure_future(late())  # type: ignore[attr-defined]


@_mutant(8000, (Resolver, "settle"))
async def missing_taken_for_committed(
    _self: Resolver, participant: Participant, intent: Intent, collection: str, key: str, **_committed: bool
) -> None:
    """Whatever is not known to be pending is applied."""
    operation = intent.settled(collection, key, committed=True)
    await participant.write(WriteBatch((operation,)))


@_mutant(8000, (MemoryAdapter, "_check_query"), worlds="alike")
def queries_ignore_intents(self: MemoryAdapter, check: CheckQuery, _own: bytes | None) -> None:
    """A checked query of an atomic batch passes over what is prepared in its collection."""
    page = evaluate_query(self._live(check.query.collection), check.query)
    if [(record.key, record.version) for record in page.records] != list(check.found):
        raise VersionConflict
