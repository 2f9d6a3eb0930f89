"""Mutants that end intents for others, end them by halves, or lose sight of what is prepared."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from daystore.abc import ANY, KEEP, Delete, Holds, Instant, Outcome, Put, Record, Release, new_version
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import RecordPrepared, VersionConflict
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.held_intents import error_as

# --- Who may end them ----------------------------------------------------------------------------------------


class Holders(MemoryAdapter):
    """Judges in its own way whether an intent is held. Base of mutants, and none itself."""

    def holds(self, intent: bytes | None, operation: Operation, transaction: bytes) -> bool:
        """Judge it."""
        return intent is not None and intent.startswith(transaction)

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        if isinstance(operation.expect, Holds):
            stored = self._collections.get(operation.collection, {}).get(operation.key)
            intent = None if stored is None else stored.intent
            if stored is not None and self.holds(intent, operation, operation.expect.transaction):
                return None
        return super()._conflict(operation, index, now)


@mutant("intent.holds")
class AnybodyHolds(Holders):
    """Whoever names a transaction may end the intent of any other one."""

    def holds(self, intent: bytes | None, operation: Operation, transaction: bytes) -> bool:
        """Look whether there is one."""
        return intent is not None


@mutant("intent.holds")
class NearlyHolds(Holders):
    """The last byte of a transaction's name is not compared."""

    def holds(self, intent: bytes | None, operation: Operation, transaction: bytes) -> bool:
        """Compare the others."""
        return intent is not None and intent.startswith(transaction[:15])


@mutant("intent.holds")
class ReleasedByAnybody(Holders):
    """Releasing does not look whose intent it is."""

    def holds(self, intent: bytes | None, operation: Operation, transaction: bytes) -> bool:
        """Look at the others."""
        return isinstance(operation, Release) or super().holds(intent, operation, transaction)


@mutant("intent.holds")
class FreeIsHeld(Holders):
    """A record without an intent may be changed in the name of any transaction."""

    def holds(self, intent: bytes | None, operation: Operation, transaction: bytes) -> bool:
        """Let it."""
        return intent is None or super().holds(intent, operation, transaction)


@mutant("intent.holds")
class OthersArePrepared(MemoryAdapter):
    """Ending the intent of another one is refused as if one had to wait for it."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        error = super()._conflict(operation, index, now)
        return error_as(RecordPrepared, error) if error and isinstance(operation.expect, Holds) else error


# --- Applying ------------------------------------------------------------------------------------------------


class Applies(MemoryAdapter):
    """Does something else when a change in the name of a transaction is applied. Base of mutants."""

    only: ClassVar[type[Operation]] = Put

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Do it; there is no record after a delete."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        records = self._collections.setdefault(operation.collection, {})
        held = isinstance(operation.expect, Holds) and isinstance(operation, self.only)
        old = records[operation.key].copy() if held else None
        outcome = super()._apply(operation, now)
        if old is not None:
            self.applied(old, records.get(operation.key), operation, now)
        return outcome


@mutant("intent.applies", "intent.expires")
class IntentsOutlive(Applies):
    """A record that was applied carries its intent still."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Put it back."""
        if record is not None:
            record.intent = old.intent


@mutant("intent.applies", "intent.recovers[committed]")
class AppliedIsCreated(Applies):
    """A record that is applied over another one counts as a new one."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Let it begin now."""
        if record is not None:
            record.created_at = now


@mutant("intent.applies")
class AppliedIsOld(Applies):
    """A record that is applied where nothing was began when the placeholder did."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Let it begin then."""
        if record is not None:
            record.created_at = old.created_at


@mutant("intent.expires")
class DeadGoOn(Applies):
    """A record that is applied over one that has expired goes on from there."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Let it begin then."""
        if record is not None and old.version:
            record.created_at = old.created_at


@mutant("intent.applies", "intent.expires")
class PlaceholdersKeep(Applies):
    """A record that keeps the deadline that is there keeps that of a placeholder."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Keep it."""
        if record is not None and isinstance(operation, Put) and operation.expires_at is KEEP:
            record.expires_at = old.expires_at


@mutant("intent.applies")
class AppliedLosesDeadlines(Applies):
    """A record that is applied and keeps the deadline that is there loses it."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Lose it."""
        if record is not None and isinstance(operation, Put) and operation.expires_at is KEEP:
            record.expires_at = None


@mutant("intent.applies")
class OldFieldsStay(Applies):
    """A record that is applied is found by the fields that it had, too."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Keep those."""
        if record is not None:
            record.fields = {**record.fields, **old.fields}


@mutant("intent.applies")
class DeletesLeaveIntents(Applies):
    """A record that is deleted in the name of a transaction leaves its intent behind."""

    only: ClassVar[type[Operation]] = Delete

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Leave it."""
        left = replace(old, version="", expires_at=0, fields={})
        self._collections[operation.collection][operation.key] = left


@mutant("intent.applies", "intent.releases", "intent.placeholder")
class HeldExisted(MemoryAdapter):
    """Whoever ends an intent is told that there was a record."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        return outcome._replace(existed=True) if isinstance(operation.expect, Holds) else outcome


# --- Taking back ---------------------------------------------------------------------------------------------


class Releases(Applies):
    """Does something else when an intent is taken back. Base of mutants, and none itself."""

    only: ClassVar[type[Operation]] = Release


@mutant("intent.releases", "intent.reads[aborted]", "intent.recovers[forgotten]")
class ReleaseIsAWrite(Releases):
    """Taking an intent back gives the record a new version."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Give it one."""
        if record is not None:
            record.version = new_version()


@mutant("intent.releases")
class ReleaseMovesTime(Releases):
    """Taking an intent back moves the time of the last write."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Move it."""
        if record is not None:
            record.updated_at = now


@mutant("intent.releases")
class ReleaseForgetsDeadline(Releases):
    """What was prepared and released never expires."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Forget the deadline."""
        if record is not None:
            record.expires_at = None


@mutant("intent.releases", "intent.reads[aborted]")
class ReleaseDeletes(Releases):
    """Taking an intent back takes the record with it."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Take it."""
        self._collections[operation.collection].pop(operation.key, None)


@mutant("intent.releases", "intent.listed")
class ReleasesAll(Releases):
    """Taking one intent back takes back all of the collection."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Take them."""
        for one in self._collections[operation.collection].values():
            one.intent = None


@mutant("intent.expires")
class ReleaseRevives(Releases):
    """What has expired while it was prepared is there again when it is released."""

    def applied(self, old: Record, record: Record | None, operation: Operation, now: Instant) -> None:
        """Let it live."""
        if old.version and not old.is_alive(now):
            revived = replace(old, intent=None, expires_at=None)
            self._collections[operation.collection][operation.key] = revived


# --- Listing -------------------------------------------------------------------------------------------------

_Listed = list[tuple[str, Record]]


@mutant("intent.listed", "intent.expires")
class ListsTheLiving(MemoryAdapter):
    """Of what is prepared only live records are listed."""

    async def _prepared(self, collection: str | None) -> _Listed:
        now = self.clock()
        return [found for found in await super()._prepared(collection) if found[1].is_alive(now)]


@mutant("intent.listed")
class ListsPlaceholdersAlone(MemoryAdapter):
    """What has expired while it was prepared is listed no more."""

    async def _prepared(self, collection: str | None) -> _Listed:
        now = self.clock()
        found = await super()._prepared(collection)
        return [(name, one) for name, one in found if one.is_alive(now) or not one.version]


@mutant("intent.listed")
class ListsOneCollection(MemoryAdapter):
    """What is prepared is listed of all collections, whichever is asked for."""

    async def _prepared(self, collection: str | None) -> _Listed:
        return await super()._prepared(None)


@mutant("intent.listed")
class ListsNoCollection(MemoryAdapter):
    """What is prepared is listed of one collection only, also when all are asked for."""

    async def _prepared(self, collection: str | None) -> _Listed:
        return await super()._prepared(collection or next(iter(self._collections)))


@mutant("intent.listed")
class ListsOnePage(MemoryAdapter):
    """Of what is prepared only the first page is listed."""

    async def _prepared(self, collection: str | None) -> _Listed:
        return (await super()._prepared(collection))[:25]


@mutant("intent.listed")
class ListsTwice(MemoryAdapter):
    """What is prepared in several collections is listed twice."""

    async def _prepared(self, collection: str | None) -> _Listed:
        found = await super()._prepared(collection)
        return found + found if len({name for name, _ in found}) > 1 else found


@mutant("intent.listed", "intent.releases")
class ListsWhatWas(MemoryAdapter):
    """What was prepared once stays listed."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # they are those of the reference
        self._was: dict[tuple[str, str], Record] = {}

    async def _prepared(self, collection: str | None) -> _Listed:
        for name, record in await super()._prepared(None):
            self._was[name, record.key] = record
        return [(place[0], record) for place, record in self._was.items() if collection in (None, place[0])]

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        record = self._collections[operation.collection].get(operation.key)
        if record is not None and record.intent is not None:
            self._was[operation.collection, operation.key] = record.copy()
        return outcome


@mutant("intent.listed", "intent.bytes")
class ListsItsOwn(MemoryAdapter):
    """An adapter lists what was prepared through it, and not what was through another one."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # they are those of the reference
        self._own: set[tuple[str, str]] = set()

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if operation.expect is ANY:
            self._own.add((operation.collection, operation.key))
        return super()._apply(operation, now)

    async def _prepared(self, collection: str | None) -> _Listed:
        found = await super()._prepared(collection)
        return [(name, record) for name, record in found if (name, record.key) in self._own]


@mutant("intent.listed")
class ListsBare(MemoryAdapter):
    """What is prepared is listed without its value."""

    async def _prepared(self, collection: str | None) -> _Listed:
        return [(name, replace(record, value=b"")) for name, record in await super()._prepared(collection)]
