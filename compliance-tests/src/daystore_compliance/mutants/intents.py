"""Mutants in which preparing changes what is there, or an intent is not kept as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from daystore.abc import (
    ANY,
    Holds,
    Instant,
    Outcome,
    Prepare,
    Record,
    Release,
    WriteBatch,
    new_version,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import RecordPrepared, VersionConflict
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.capabilities import Minimal
from daystore_compliance.mutants.held_intents import error_as


def _on_intents(operation: Operation) -> bool:
    return isinstance(operation, Prepare | Release) or isinstance(operation.expect, Holds)


@mutant("cap.intents.refused")
class PreparesAnyway(Minimal):
    """Intents that are not declared are kept all the same."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Prepare without a check."""
        if all(map(_on_intents, batch.operations)):
            return await self._write(batch)
        return await super().write(batch)


@mutant("cap.intents.refused")
class RefusesIntentsAlone(Minimal):
    """Of a batch that needs intents everything else is written before it is refused."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write the rest."""
        rest = [operation for operation in batch.operations if not _on_intents(operation)]
        if rest and len(rest) < len(batch.operations):
            await self._write(replace(batch, operations=rest))
        return await super().write(batch)


@mutant("cap.intents.refused")
class ReleasesAnyway(Minimal):
    """Releasing an intent that is not declared is refused as a conflict."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Look for an intent first."""
        if any(isinstance(operation, Release) for operation in batch.operations):
            raise VersionConflict(backend=self.name)
        return await super().write(batch)


# --- What preparing changes ----------------------------------------------------------------------------------


class Prepares(MemoryAdapter):
    """Does something more to a record when it is prepared. Base of mutants, and none itself."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Prepare):
            self.touched(self._collections[operation.collection][operation.key], now)
        return outcome

    def touched(self, record: Record, now: Instant) -> None:
        """Do it."""


@mutant("intent.keeps")
class PrepareIsAWrite(Prepares):
    """Preparing a record moves the time of its last write."""

    def touched(self, record: Record, now: Instant) -> None:
        """Move it."""
        record.updated_at = now if record.version else 0


@mutant("intent.keeps", "intent.expects", "intent.releases")
class PrepareIsAVersion(Prepares):
    """Preparing a record gives it a new version."""

    def touched(self, record: Record, now: Instant) -> None:
        """Give it one."""
        record.version = new_version()


@mutant("intent.keeps", "intent.expires", "intent.releases")
class PreparePersists(Prepares):
    """Preparing a record takes its deadline away, and for readers, too."""

    def touched(self, record: Record, now: Instant) -> None:
        """Take it away."""
        if record.version:
            record.expires_at = None


@mutant("intent.keeps")
class PrepareLeavesTheIndex(Prepares):
    """A record that is prepared is in no index of its fields."""

    def touched(self, record: Record, now: Instant) -> None:
        """Take the fields."""
        record.fields = {}


@mutant("intent.keeps")
class QueriesSkipPrepared(MemoryAdapter):
    """Queries do not find what is prepared."""

    def _live(self, collection: str) -> Iterator[Record]:
        return (record for record in super()._live(collection) if record.intent is None)


@mutant("intent.keeps", "intent.expects", "intent.again")
class PrepareTellsNothing(MemoryAdapter):
    """Preparing does not tell whether there is a record."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        return outcome._replace(existed=False) if isinstance(operation, Prepare) else outcome


# --- What preparing expects ----------------------------------------------------------------------------------


@mutant("intent.expects")
class PreparesBlindly(MemoryAdapter):
    """Preparing does not look at what it expects."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation, Prepare):
            operation = replace(operation, expect=ANY)
        return super()._conflict(operation, index, now)


@mutant("intent.expects")
class FailedPrepareIsPrepared(MemoryAdapter):
    """A prepare whose expectation does not hold is told as if another transaction were in the way."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> Any:
        error = super()._conflict(operation, index, now)
        if error is None or not isinstance(operation, Prepare):
            return error
        return error_as(RecordPrepared, error)


# --- Placeholders --------------------------------------------------------------------------------------------


@mutant("intent.placeholder", "intent.keeps")
class PlaceholdersAreRecords(Prepares):
    """What stands beside an intent alone is an empty record for everybody."""

    def touched(self, record: Record, now: Instant) -> None:
        """Let it live."""
        if not record.version:
            record.expires_at = None


@mutant("intent.placeholder", "intent.keeps", "intent.expires")
class QueriesFindPlaceholders(MemoryAdapter):
    """Queries find whatever carries an intent."""

    def _live(self, collection: str) -> Iterator[Record]:
        now = self.clock()
        found = self._collections.get(collection, {}).values()
        return (record for record in found if record.intent is not None or record.is_alive(now))


@mutant("intent.placeholder", "intent.releases")
class ReleaseMakesRecords(MemoryAdapter):
    """An intent that stood alone leaves an empty record behind."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Release) and not outcome.existed:
            self._collections[operation.collection][operation.key] = Record(operation.key, b"", "v", now, now)
        return outcome


# --- Bytes ---------------------------------------------------------------------------------------------------


class Kept(MemoryAdapter):
    """Keeps other bytes than it was given. Base of mutants, and none itself."""

    def kept(self, intent: bytes) -> bytes:
        """Return what is kept of an intent."""
        return intent

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Prepare):
            operation = replace(operation, intent=self.kept(operation.intent).ljust(16, b"\0"))
        return super()._apply(operation, now)


@mutant("intent.bytes")
class IntentsAreShort(Kept):
    """An intent is cut after what an index takes."""

    def kept(self, intent: bytes) -> bytes:
        """Cut it."""
        return intent[:65_535]


@mutant("intent.bytes")
class IntentsAreText(Kept):
    """An intent is kept as text."""

    def kept(self, intent: bytes) -> bytes:
        """Decode it, more or less."""
        return intent.decode(errors="replace").encode()


@mutant("intent.bytes")
class IntentsAreTrimmed(Kept):
    """The zeros at the end of an intent are lost."""

    def kept(self, intent: bytes) -> bytes:
        """Lose them."""
        return intent.rstrip(b"\0")


@mutant("intent.bytes")
class IntentsAreViews(MemoryAdapter):
    """An intent comes back as an array of bytes that can change."""

    async def _read(self, *arguments: Any) -> list[Record | None]:
        found = await super()._read(*arguments)
        for record in found:
            if record is not None and record.intent is not None:
                record.intent = bytearray(record.intent)  # type: ignore[assignment]  # that is the point
        return found
