"""What an adapter has for coordinated transactions: its records as a participant, and the way to all others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from daystore.abc.coordination.commit import Commit, Part
from daystore.abc.coordination.intent import Intent, begins
from daystore.abc.coordination.participant import Participant
from daystore.abc.coordination.resolver import LEASE, Pauses, Resolver
from daystore.abc.coordination.status import Status, StatusLog, StatusRecord
from daystore.abc.coordination.tickets import Ticket
from daystore.abc.record import Outcome, Record, WriteBatch
from daystore.errors import DaystoreError, OutcomeUnknown, RecordPrepared

__all__ = ["Coordinator"]

T = TypeVar("T")

ORDERED_FROM: Final = 4
"""From this attempt on keys are prepared in order, and whoever holds one is waited for: nobody starves."""


class Coordinator:
    """The coordination of one open adapter.

    Args:
        participant: The adapter's primitives.
        find: Finds other adapters of the same storage, by the names of their backends.
        lease: Seconds without a sign of life after which others may abort a transaction.

    Attributes:
        participant: As given.
        resolver: Resolves intents.
        outliving: By record, the atomic batches that go on although their callers were cancelled.
    """

    def __init__(
        self,
        participant: Participant,
        find: Callable[[str], Participant | None],
        lease: float = LEASE,
    ) -> None:
        self.participant: Participant = participant
        self.resolver: Resolver = Resolver(find, lease)
        self._find = find
        self._log = StatusLog(participant)
        self._tickets: dict[bytes, Ticket] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.outliving: dict[tuple[str, str], asyncio.Task[Any]] = {}

    # --- Meeting intents ------------------------------------------------------------------------------------

    async def settled(
        self, collection: str, records: Sequence[Record | None], *, wait: bool
    ) -> list[Record | None]:
        """Return records as they are after all transactions that have ended.

        Args:
            collection: Their collection.
            records: As they were read, intents included.
            wait: Whether to wait for transactions that are being committed, which the strongest consistency
                needs; otherwise what was there before is good enough.

        Raises:
            DaystoreError: If waiting, and a coordinator cannot be asked.
        """
        found = list(records)
        pauses = Pauses()
        met: dict[str, bytes | None] = {}
        while True:
            held = {r.key: r for r in found if r is not None and r.intent is not None}
            if not held:
                break
            if any(record.intent == met.get(key) for key, record in held.items()):
                await pauses.wait()
            met = {key: record.intent for key, record in held.items()}
            again = [
                key for key, record in held.items() if await self._resolve(collection, record, wait=wait)
            ]
            if again:
                keys = list(held)
                fresh = await self.participant.raw_read(collection, keys, self.participant.consistency)
                by_key = dict(zip(keys, fresh, strict=True))
                found = [
                    by_key[r.key] if r is not None and r.intent is not None else r  # copies are not shared
                    for r in found
                ]
                found = _apart(found)
            elif not wait:
                break
        now = self.participant.clock()
        return [
            record if record is None or record.intent is None or record.is_alive(now) else None
            for record in found
        ]

    async def _resolve(self, collection: str, record: Record, *, wait: bool) -> bool:
        try:
            return await self.resolver.resolve(self.participant, collection, record)
        except DaystoreError:
            if wait:
                raise
            return False

    async def clear(self, collection: str) -> None:
        """Wait until what is being committed in a collection is there for queries to be found."""
        await self.resolver.clear(self.participant, collection)

    async def wait_for(self, error: RecordPrepared) -> None:
        """Wait until what an operation was refused for has ended."""
        if error.collection is None:
            await Pauses().wait()
        elif error.key is None:
            await self.clear(error.collection)
        else:
            await self.resolver.wait_for(self.participant, error.collection, error.key)

    # --- Committing -----------------------------------------------------------------------------------------

    def begin(self) -> bytes:
        """Begin a transaction that this adapter coordinates: its status record is created meanwhile.

        Returns:
            Its name, for ``WriteBatch.own``, `commit` or `discard`.
        """
        ticket = Ticket(self._log, self.resolver.lease)
        self._tickets[ticket.transaction] = ticket
        self._keep(ticket.created)
        return ticket.transaction

    def discard(self, transaction: bytes | None) -> asyncio.Task[None] | None:
        """Give up a transaction that has prepared nothing.

        Returns:
            What ends when its status record is gone.
        """
        ticket = self._tickets.pop(transaction, None) if transaction is not None else None
        return None if ticket is None else self.adopt(ticket.discard())

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply an atomic batch of this adapter that does not lie in one of its atomic units.

        A cancellation goes to the caller at once, and the commit runs on to its end. See `outlived`.

        Raises:
            VersionConflict: If an expectation did not hold. Nothing was applied.
            OutcomeUnknown: If it cannot be told whether it was applied.
        """
        task = asyncio.ensure_future(self._write(batch))
        try:
            return await self._apart(task)
        except asyncio.CancelledError:
            if not task.done():
                self._outlive(batch, task)
            raise

    def _outlive(self, batch: WriteBatch, task: asyncio.Task[Any]) -> None:
        places = [(operation.collection, operation.key) for operation in batch.operations]
        self.outliving |= dict.fromkeys(places, task)

        def ended(_: object) -> None:
            for place in places:
                if self.outliving.get(place) is task:
                    del self.outliving[place]

        task.add_done_callback(ended)

    async def outlived(self, batch: WriteBatch) -> None:
        """Wait for the end of atomic batches that were cancelled, and change what a later batch changes.

        They may have prepared nothing yet, and would land after it.
        """
        while self.outliving:
            places = ((operation.collection, operation.key) for operation in batch.operations)
            left = {task for place in places if (task := self.outliving.get(place)) is not None}
            if not left:
                return
            await asyncio.wait(left)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        attempt = 0
        pauses = Pauses()
        transaction = batch.own
        while True:
            attempt += 1
            part = Part(self.participant, "", batch)
            try:
                return (await self._commit([part], transaction, ordered=attempt >= ORDERED_FROM))[0]
            except RecordPrepared as error:
                transaction = None
                await pauses.wait()
                await self.wait_for(error)

    async def commit(
        self, parts: Sequence[Part], transaction: bytes | None, *, name: str = "", ordered: bool = False
    ) -> list[list[Outcome]]:
        """Commit a transaction that this adapter coordinates, once.

        A cancellation goes to the caller at once, and the commit runs on to its end.

        Args:
            parts: What it does, by participant.
            transaction: Its name, if it was begun before.
            name: By which the other participants know this adapter's backend.
            ordered: As for `Commit`.

        Returns:
            For each part what became of its operations.

        Raises:
            RecordPrepared: If another living transaction is in the way. Nothing was applied.
            VersionConflict: If an expectation did not hold. Nothing was applied.
            OutcomeUnknown: If it cannot be told whether it was applied.
        """
        work = self._commit(parts, transaction, name=name, ordered=ordered)
        return await self._apart(asyncio.ensure_future(work))

    async def _commit(
        self, parts: Sequence[Part], transaction: bytes | None, *, name: str = "", ordered: bool
    ) -> list[list[Outcome]]:
        ticket = self._tickets.pop(transaction or self.begin(), None) or self._tickets.pop(self.begin())
        return await Commit(parts, name, ticket, self.resolver, ordered=ordered, adopt=self.adopt).run()

    async def _apart(self, task: asyncio.Task[T]) -> T:
        """Wait for a task, which goes on when its caller is cancelled."""
        self._keep(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise OutcomeUnknown(
                    "the adapter was closed while its backend did not answer: the transaction may or may not have "
                    "been committed",
                    backend=self.participant.name,
                    operation="commit",
                ) from None
            raise

    def adopt(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something after the caller has got his answer."""
        task = asyncio.ensure_future(work)
        self._keep(task)
        return task

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told

    async def drain(self, patience: float | None) -> None:
        """Wait until everything that goes on has ended; what was begun and not committed is given up.

        Args:
            patience: Seconds after which it is left to others, as if this process had died; ``None`` for never.
        """
        for transaction in list(self._tickets):
            self.discard(transaction)
        loop = asyncio.get_running_loop()
        end = None if patience is None else loop.time() + patience
        while self._tasks and (end is None or loop.time() < end):
            left = None if end is None else end - loop.time()
            await asyncio.wait(self._tasks, timeout=left)
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- Recovery -------------------------------------------------------------------------------------------

    async def recover(self) -> int:
        """Finish what others have left behind: called again and again, also what stays as it is for a lease.

        Returns:
            How many intents and status records are left, of transactions that may be alive.

        Raises:
            DaystoreError: If the backend does not answer.
        """
        left = 0
        for collection, record in await self.participant.prepared(None):
            left += not await self._resolve(collection, record, wait=False)
        for known in await self._log.all():
            if known.status is Status.ABORTED or self.resolver.is_over(known):
                left += not await self._finish(known)
            else:
                left += 1
        return left

    async def _finish(self, known: StatusRecord) -> bool:
        """End a transaction whose owner is gone, and forget it."""
        if known.status is Status.PENDING:
            await self.resolver.abort(self._log, known)
            return False  # it is removed the next time
        if known.status is Status.COMMITTED:
            for backend, collection, key in known.places:
                participant = self._find(backend) if backend else self.participant
                if participant is None:
                    return False
                record = await participant.get(collection, key)
                if record is None or record.intent is None or not begins(record.intent, known.transaction):
                    continue
                intent = Intent.unpack(record.intent, collection, key)
                await self.resolver.settle(participant, intent, collection, key, committed=True)
                record = await participant.get(collection, key)
                if record is not None and begins(record.intent, known.transaction):
                    return False
        self.resolver.forget(known.transaction)
        await self._log.remove(known.transaction, known.version)
        return True


def _apart(records: list[Record | None]) -> list[Record | None]:
    """Return the records with a copy of its own for every place that has the same one."""
    seen: set[int] = set()
    found: list[Record | None] = []
    for record in records:
        if record is not None and id(record) in seen:
            record = record.copy()  # noqa: PLW2901
        if record is not None:
            seen.add(id(record))
        found.append(record)
    return found
