"""Mutants in which what is prepared does not stand in everybody's way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daystore.abc import (
    ABSENT,
    ANY,
    Check,
    Holds,
    Instant,
    Outcome,
    Prepare,
    Record,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import RecordPrepared, VersionConflict
from daystore_compliance.mutants.base import mutant


def error_as(kind: type[VersionConflict], error: VersionConflict) -> VersionConflict:
    """Return an error of another class that tells the same."""
    return kind(
        key=error.key,
        collection=error.collection,
        current=error.current,
        index=error.index,
        backend=error.backend,
        operation=error.operation,
    )


class Overlooks(MemoryAdapter):
    """Does not see some intents when it judges some operations. Base of mutants, and none itself."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Tell whether this one is not seen."""
        return False

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        stored = self._collections.get(operation.collection, {}).get(operation.key)
        if stored is None or stored.intent is None or not self.overlooks(operation, stored, now):
            return super()._conflict(operation, index, now)
        intent, stored.intent = stored.intent, None
        try:
            return super()._conflict(operation, index, now)
        finally:
            stored.intent = intent


@mutant("intent.refuses", "intent.writes")
class AnyIsStronger(Overlooks):
    """A change that expects nothing goes over what is prepared."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook all of them."""
        return operation.expect is ANY


@mutant("intent.refuses")
class ChecksLookPast(Overlooks):
    """A check looks at the version alone."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook all of them."""
        return isinstance(operation, Check)


@mutant("intent.refuses[placeholder]", "intent.refuses[expired]", "intent.placeholder", "intent.expires")
class OnlyTheLivingAreHeld(Overlooks):
    """An intent beside no live record stands in nobody's way."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook those."""
        return not stored.is_alive(now) and not isinstance(operation.expect, Holds)


@mutant("intent.refuses[expired]")
class OnlyPlaceholdersAreHeld(Overlooks):
    """An intent beside what has expired stands in nobody's way."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook those."""
        dead = stored.version != "" and not stored.is_alive(now)
        return dead and not isinstance(operation.expect, Holds)


@mutant("intent.placeholder", "intent.refuses[placeholder]")
class AbsentHolds(Overlooks):
    """That a record is absent holds, whoever has prepared to make it."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook them."""
        return operation.expect is ABSENT and not stored.is_alive(now)


@mutant("intent.refuses")
class LaterIntentsWin(Overlooks):
    """A prepare replaces what another transaction has prepared."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook that."""
        return isinstance(operation, Prepare)


@mutant("intent.refuses")
class ExpectationFirst(MemoryAdapter):
    """An expectation that does not hold is told before the intent that is in the way."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> Any:
        error = super()._conflict(operation, index, now)
        if error is None or not isinstance(operation.expect, str) or operation.expect == error.current:
            return error
        return error_as(VersionConflict, error)


@mutant("intent.refuses[live]", "intent.again")
class PreparedHasNoVersion(MemoryAdapter):
    """The error of what is prepared does not tell its version."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        error = super()._conflict(operation, index, now)
        if isinstance(error, RecordPrepared):
            error.current = None
        return error


@mutant("intent.refuses[expired]")
class DeadHaveVersions(MemoryAdapter):
    """The error of what has expired while it was prepared tells the version that it had."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        error = super()._conflict(operation, index, now)
        if isinstance(error, RecordPrepared):
            error.current = self._collections[operation.collection][operation.key].version or None
        return error


@mutant("intent.refuses")
class FirstIsInTheWay(MemoryAdapter):
    """The error of an atomic batch names its first operation."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        return super()._conflict(operation, 0, now)


@mutant("intent.refuses", "intent.expects")
class OneHoldsAll(MemoryAdapter):
    """What cannot be applied keeps everything from being applied that stands in the same batch."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        for index, operation in enumerate(batch.operations):
            error = None if batch.atomic else self._conflict(operation, index, self.clock())
            if error is not None:
                return [Outcome(None, False, error) for _ in batch.operations]
        return await super()._write(batch)


@mutant("intent.refuses")
class AppliesUntilHeld(MemoryAdapter):
    """An atomic batch is applied up to the operation that meets an intent."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            return await super()._write(batch)
        except RecordPrepared as error:
            await super()._write(WriteBatch(batch.operations[: error.index]))
            raise


# --- Preparing again -----------------------------------------------------------------------------------------


@mutant("intent.again")
class AgainIsRefused(MemoryAdapter):
    """Preparing again what is there already is refused, as if it were another transaction's."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation, Prepare):
            operation = replace(operation, intent=operation.intent + b"\0")
        return super()._conflict(operation, index, now)


@mutant("intent.again", "intent.refuses")
class OwnMayChange(Overlooks):
    """A transaction may prepare something else than it has prepared."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook its own."""
        intent = stored.intent or b""
        return isinstance(operation, Prepare) and operation.intent.startswith(intent[:16])


@mutant("intent.again")
class LengthDecides(Overlooks):
    """An intent of the same transaction and length is taken for the one that is there."""

    def overlooks(self, operation: Operation, stored: Record, now: Instant) -> bool:
        """Overlook it."""
        intent = stored.intent or b""
        return (
            isinstance(operation, Prepare)
            and operation.intent.startswith(intent[:16])
            and len(operation.intent) == len(intent)
        )
