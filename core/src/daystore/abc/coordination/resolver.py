"""Resolving the intents of others: what every reader, writer and sweeper does that meets one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import SystemRandom
from typing import Final

from daystore.abc.coordination.intent import Intent
from daystore.abc.coordination.participant import Participant
from daystore.abc.coordination.status import Status, StatusLog, StatusRecord
from daystore.abc.record import Record, Version, WriteBatch
from daystore.errors import BackendUnavailable, OperationTimeout, OutcomeUnknown, VersionConflict

__all__ = ["LEASE", "Pauses", "Resolver"]

LEASE: Final = 5.0
"""Seconds without a beat of its heart after which anybody may abort a transaction."""

_MOST_SEEN: Final = 4096
_random = SystemRandom().random


class Pauses:
    """Random pauses that grow, from a millisecond to 50, between looks at what another one holds."""

    __slots__ = ("_longest",)

    def __init__(self) -> None:
        self._longest = 0.001

    async def wait(self) -> None:
        """Wait."""
        await asyncio.sleep(self._longest * (0.5 + _random() / 2))
        self._longest = min(self._longest * 2, 0.05)


class Resolver:
    """Finds out what became of a transaction, and ends its intents accordingly.

    Args:
        find: Finds a coordinator by the name of its backend; ``None`` if it is not known here.
        lease: Seconds without a beat after which a pending transaction is aborted. They are counted on this
            process's own clock from when it first saw the beat, so no two clocks are ever compared; and what
            decides is a conditional write, so that a lease that is too short costs conflicts and nothing else.
    """

    def __init__(self, find: Callable[[str], Participant | None], lease: float = LEASE) -> None:
        self._find = find
        self.lease: float = lease
        self._seen: dict[bytes, tuple[Version, float]] = {}

    async def resolve(self, participant: Participant, collection: str, record: Record) -> bool:
        """End the intent of a record if its transaction has ended.

        Args:
            participant: Where the record is.
            collection: Its collection.
            record: The record as it was read, with an intent.

        Returns:
            Whether something happened, so that the record is to be read again. If not, its transaction is
            alive and undecided.

        Raises:
            BackendUnavailable: If the coordinator cannot be asked.
            CorruptRecord: If the intent or the status record cannot be read.
        """
        if record.intent is None:
            return True
        intent = Intent.unpack(record.intent, collection, record.key)
        log = StatusLog(self._coordinator(intent.coordinator, participant))
        known = await log.read(intent.transaction)
        if known is not None and known.status is Status.PENDING:
            if not self.is_over(known):
                return False
            if not await self.abort(log, known):
                return True
            known = None
        committed = known is not None and known.status is Status.COMMITTED
        await self.settle(participant, intent, collection, record.key, committed=committed)
        return True

    async def settle(
        self, participant: Participant, intent: Intent, collection: str, key: str, *, committed: bool
    ) -> None:
        """Apply the change of an intent, or remove it. That somebody else did already is no error."""
        operation = intent.settled(collection, key, committed=committed)
        error = (await participant.write(WriteBatch((operation,))))[0].error
        if error is not None and not isinstance(error, VersionConflict | OutcomeUnknown | OperationTimeout):
            raise error

    async def abort(self, log: StatusLog, known: StatusRecord) -> bool:
        """Abort the transaction of another one.

        Returns:
            Whether it is certain that it is aborted; otherwise look again.
        """
        try:
            await log.change(known.transaction, known.version, Status.ABORTED)
        except (VersionConflict, OutcomeUnknown, OperationTimeout):
            return False
        return True

    def is_over(self, known: StatusRecord) -> bool:
        """Tell whether the status record has stayed as it is for a lease, as far as this process has seen."""
        now = asyncio.get_running_loop().time()
        version, since = self._seen.get(known.transaction, ("", now))
        if version == known.version:
            return now - since >= self.lease
        if len(self._seen) >= _MOST_SEEN:
            self._seen = {
                transaction: seen
                for transaction, seen in self._seen.items()
                if now - seen[1] < 10 * self.lease
            }
        self._seen[known.transaction] = (known.version, now)
        return False

    def forget(self, transaction: bytes) -> None:
        """Forget what was seen of a transaction."""
        self._seen.pop(transaction, None)

    async def wait_for(self, participant: Participant, collection: str, key: str) -> None:
        """Wait until a record carries no intent, or another one than now.

        Raises:
            DaystoreError: If it cannot be read, or its transaction cannot be asked for.
        """
        pauses = Pauses()
        met: bytes | None = None
        while True:
            record = await participant.get(collection, key)
            if record is None or record.intent is None:
                return
            if not await self.resolve(participant, collection, record) or record.intent == met:
                await pauses.wait()
            met = record.intent

    async def clear(self, participant: Participant, collection: str) -> None:
        """Wait until no intent is left in a collection of those that are there now.

        Raises:
            DaystoreError: If it cannot be read, or a transaction cannot be asked for.
        """
        for _, record in await participant.prepared(collection):
            pauses = Pauses()
            first = record.intent
            current: Record | None = record
            again = False
            while current is not None and current.intent == first:
                if not await self.resolve(participant, collection, current) or again:
                    await pauses.wait()
                again = True
                current = await participant.get(collection, record.key)

    def _coordinator(self, name: str, participant: Participant) -> Participant:
        if not name:
            return participant
        found = self._find(name)
        if found is None:
            raise BackendUnavailable(
                f"a record is held by a transaction whose coordinator is the backend {name!r}, which is not "
                "known here: use a storage that has a backend of that name",
                backend=participant.name,
                operation="read",
                retryable=False,
            )
        return found
