"""Tickets: the owner's side of a status record, and the heart that keeps them alive."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from daystore.abc.coordination.resolver import Pauses
from daystore.abc.coordination.status import Place, Status, StatusLog
from daystore.abc.record import TRANSACTION_BYTES, Version
from daystore.errors import DaystoreError, OutcomeUnknown, VersionConflict

__all__ = ["Ticket"]

BEATS_PER_LEASE: Final = 3


class Ticket:
    """The status record of a transaction of this process.

    It is created in the background, so that the way to the coordinator is hidden behind what the transaction
    does meanwhile; nothing is prepared before it is there.

    Args:
        log: The status records of the coordinator.
        lease: Seconds without a beat after which others may abort the transaction.

    Attributes:
        transaction: Name of the transaction.
        created: Ends when the status record is there.
    """

    def __init__(self, log: StatusLog, lease: float) -> None:
        self.transaction: bytes = os.urandom(TRANSACTION_BYTES)
        self.lease: float = lease
        self._log = log
        self._version: Version | None = None
        self._lock = asyncio.Lock()
        self._ended = False
        self.created: asyncio.Task[Version] = asyncio.get_running_loop().create_task(
            log.create(self.transaction)
        )

    async def ready(self) -> None:
        """Wait until the status record is there.

        Raises:
            DaystoreError: If it could not be created. Nothing may be prepared.
        """
        self._version = await asyncio.shield(self.created)
        _heart().keep(self)

    async def beat(self) -> None:
        """Tell others that the transaction is alive."""
        async with self._lock:
            if not self._ended and self._version is not None:
                with suppress(DaystoreError):  # whether it still may commit is found out when it does
                    self._version = await self._log.change(self.transaction, self._version, Status.PENDING)

    async def commit(self, places: Sequence[Place]) -> bool:
        """Commit.

        Returns:
            Whether the transaction has committed; if not it has aborted.

        Raises:
            OutcomeUnknown: If it cannot be told.
        """
        async with self._lock:
            self._ended = True
            return await self._decide(Status.COMMITTED, places)

    async def abort(self) -> None:
        """Abort, for certain.

        Raises:
            OutcomeUnknown: If the coordinator does not answer; others abort the transaction after the lease.
        """
        async with self._lock:
            self._ended = True
            await self._decide(Status.ABORTED, ())

    async def _decide(self, wanted: Status, places: Sequence[Place]) -> bool:
        """Write the decision; if it is uncertain whether a commit arrived, abort, and see who was first.

        What decides is always one conditional write from the version before it. To look and to conclude from a
        record that is still pending that the commit did not arrive would be wrong: it may be on its way.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2 * self.lease
        pauses = Pauses()
        while self._version is not None:
            try:
                self._version = await self._log.change(self.transaction, self._version, wanted, places)
            except VersionConflict:
                try:
                    known = await self._log.read(self.transaction)
                except DaystoreError:
                    known = None
                else:
                    if known is None:
                        break
                    self._version = known.version
                    if known.status is not Status.PENDING:
                        return known.status is Status.COMMITTED
            except DaystoreError:
                wanted, places = Status.ABORTED, ()
            else:
                return wanted is Status.COMMITTED
            if loop.time() > deadline:
                break
            await pauses.wait()
        raise OutcomeUnknown(
            "it cannot be told whether the transaction was committed: its coordinator does not tell",
            operation="commit",
        )

    async def forget(self) -> None:
        """Remove the status record; none of the transaction's intents may be left if it committed."""
        _heart().drop(self)
        if self._version is not None:
            with suppress(DaystoreError):
                await self._log.remove(self.transaction, self._version)

    def leave(self) -> None:
        """Give no sign of life any more: it is decided, or left to others."""
        self._ended = True
        _heart().drop(self)

    async def discard(self) -> None:
        """End a transaction that never prepared anything."""
        self._ended = True
        with suppress(DaystoreError):
            if self._version is None:
                self._version = await asyncio.shield(self.created)
            await self.forget()


class _Heart:
    """Beats for every transaction of one event loop, in one task that lives as long as there are any."""

    def __init__(self) -> None:
        self._tickets: dict[Ticket, float] = {}
        self._task: asyncio.Task[None] | None = None

    def keep(self, ticket: Ticket) -> None:
        """Begin to beat for a transaction."""
        loop = asyncio.get_running_loop()
        self._tickets[ticket] = loop.time()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(ticket.lease / BEATS_PER_LEASE))

    def drop(self, ticket: Ticket) -> None:
        """Stop beating for a transaction, and at all after the last one."""
        self._tickets.pop(ticket, None)
        if not self._tickets and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, pause: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause)
            now = loop.time()
            due = [one for one, since in self._tickets.items() if now - since >= pause]
            await asyncio.gather(*(ticket.beat() for ticket in due))


_hearts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Heart] = WeakKeyDictionary()


def _heart() -> _Heart:
    loop = asyncio.get_running_loop()
    heart = _hearts.get(loop)
    if heart is None:
        heart = _hearts[loop] = _Heart()
    return heart
