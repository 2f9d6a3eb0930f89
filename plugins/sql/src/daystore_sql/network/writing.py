"""What is written, and what is made of a lost reply."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

from sqlalchemy.util.concurrency import await_only

from daystore.abc import Instant, Outcome, Record, WriteBatch
from daystore.errors import DaystoreError, OutcomeUnknown
from daystore_sql.errors import BACKEND, unavailable
from daystore_sql.network.bridge import bridged
from daystore_sql.network.changes import Change, Changes, Stale, Ticket, TooLate, Verdict, verdict_of
from daystore_sql.network.driver import DriverConnection, Lost, Refused
from daystore_sql.network.planning import if_known, outcomes_of, plan
from daystore_sql.network.pool import Pool
from daystore_sql.network.primary import DELAYS, Backoff, Primary
from daystore_sql.network.reading import Reader
from daystore_sql.network.sweeping import Sweeper
from daystore_sql.records import record_of
from daystore_sql.writing import check_queries

__all__ = ["Writer"]


class Writer:
    """Writes to one database.

    Args:
        primary: Where.
        reader: Reads there.
        sweeper: Is told that something was written.
    """

    def __init__(self, primary: Primary, reader: Reader, sweeper: Sweeper) -> None:
        self._primary = primary
        self._reader = reader
        self._sweeper = sweeper
        self._given_up: list[tuple[Changes, Ticket]] = []
        self._fencing = asyncio.Lock()

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch."""
        if not (batch.operations or batch.queries):
            return []
        planned = if_known(plan, self._primary.knowing, batch)
        if planned is None:  # look up the names, and add those that are new
            planned = await self._reader.ask(self._primary.repeated, "write", plan, batch)
        changes, scopes = planned
        if batch.atomic and all(change.kind == "check" for change in changes):
            return outcomes_of(batch, changes, await self._judged(batch, changes))
        if self._given_up:
            await self._fence()
        verdicts = await self._written(batch, changes, scopes)
        outcomes = outcomes_of(batch, changes, verdicts)
        self._sweeper.sweep()
        return outcomes

    async def _written(
        self, batch: WriteBatch, items: Sequence[Change], scopes: Sequence[int]
    ) -> Sequence[Verdict]:
        """Send changes until it is certain what became of them.

        Raises:
            OutcomeUnknown: If that cannot be told.
        """
        pool, deadline = self._primary.pool, self._primary.deadline()
        lost, waits = iter(DELAYS[1:]), Backoff(deadline)
        while True:
            changes = Changes(items, batch.atomic, self._primary.clock())
            ticket = self.ticket(deadline)
            try:
                return await self._sent(pool, batch, changes, ticket, scopes)
            except (Stale, TooLate) as error:
                if isinstance(error, TooLate) or not await waits.wait():
                    raise unavailable(
                        "others were at work on the same records for as long as a write may take; "
                        "nothing was applied",
                        "write",
                    ) from error
            except Refused as error:
                if not (self._primary.dialect.is_transient(error) and await waits.wait()):
                    raise self._primary.told(error, "write") from (error.__cause__ or error)
            except Lost as error:
                pool.drop_idle()
                cause = error.__cause__ or error
                if error.sent:
                    found = await self._looked(changes, ticket, deadline, cause)
                    if found is not None:
                        return found
                self._primary.check_open(pool)
                delay = next(lost, None)
                if delay is None:
                    raise self._primary.told(error, "write") from cause
                await asyncio.sleep(delay)

    async def _sent(
        self, pool: Pool, batch: WriteBatch, changes: Changes, ticket: Ticket, scopes: Sequence[int]
    ) -> Sequence[Verdict]:
        """Send changes once."""
        async with pool.connection() as connection:
            try:
                if not batch.queries:
                    return await self._primary.dialect.write(connection, changes, ticket, inside=False)
                return await self._checked(connection, batch, changes, ticket, scopes)
            except asyncio.CancelledError:
                self._given_up.append((changes, ticket))
                raise

    async def _checked(
        self,
        connection: DriverConnection,
        batch: WriteBatch,
        changes: Changes,
        ticket: Ticket,
        scopes: Sequence[int],
    ) -> Sequence[Verdict]:
        """Write in a transaction in which the queries that the batch depends on still find the same."""
        await connection.fetch(self._primary.dialect.begin_write)
        try:
            await self._primary.dialect.lock_queries(connection, scopes)
            session = self._primary.session(connection)
            await bridged(check_queries, session, batch, changes.now)
            verdicts = await self._primary.dialect.write(connection, changes, ticket, inside=True)
            kept = all(verdict.done for verdict in verdicts)
        except (DaystoreError, Stale, TooLate, Refused):
            await connection.fetch("ROLLBACK")
            raise
        await connection.fetch("COMMIT" if kept else "ROLLBACK")
        return verdicts

    async def _judged(self, batch: WriteBatch, items: Sequence[Change]) -> list[Verdict]:
        """Judge a batch that changes nothing: nobody is kept out by it, and it leaves nothing behind."""
        return await self._primary.repeated("write", lambda c: bridged(self._judge, c, batch, items))

    def _judge(
        self, connection: DriverConnection, batch: WriteBatch, items: Sequence[Change]
    ) -> list[Verdict]:
        session, now = self._primary.session(connection), self._primary.clock()
        scopes = {item.scope for item in items}
        found: dict[tuple[int, bytes], Record] = {}
        with session.snapshot() if batch.queries or len(scopes) > 1 else nullcontext():
            if batch.queries:
                check_queries(session, batch, now)
            for scope in scopes:
                keys = [item.key.decode() for item in items if item.scope == scope]
                rows = await_only(self._primary.dialect.read(connection, scope, keys, now))
                found.update({(scope, record.key.encode()): record for record in map(record_of, rows)})
        return [_verdict(item, found.get((item.scope, item.key)), now) for item in items]

    async def _looked(
        self, changes: Changes, ticket: Ticket, deadline: float, cause: BaseException
    ) -> Sequence[Verdict] | None:
        """Find out what became of changes whose answer was lost.

        Raises:
            OutcomeUnknown: If nobody can be asked.
        """
        try:
            return await self._primary.repeated("write", partial(self._look, changes, ticket), deadline)
        except DaystoreError:
            self._given_up.append((changes, ticket))
            raise OutcomeUnknown(
                "the answer to a write was lost, and looking did not tell whether it was applied",
                backend=BACKEND,
                operation="write",
            ) from cause

    async def _look(
        self, changes: Changes, ticket: Ticket, connection: DriverConnection
    ) -> Sequence[Verdict] | None:
        return await self._primary.dialect.look(connection, changes, ticket)

    async def _fence(self) -> None:
        """See to it that nothing that was given up while it was under way arrives any more."""
        async with self._fencing:
            while self._given_up:
                changes, ticket = self._given_up[-1]
                await self._primary.repeated("write", partial(self._look, changes, ticket))
                self._given_up.remove((changes, ticket))

    def ticket(self, deadline: float) -> Ticket:
        """Make a name for an attempt that ends with a deadline."""
        now = int(asyncio.get_running_loop().time() * 1_000_000) + self._primary.ahead
        return Ticket(now.to_bytes(8, "big") + os.urandom(8), int(deadline * 1_000_000) + self._primary.ahead)


def _verdict(item: Change, record: Record | None, now: Instant) -> Verdict:
    current = record.version if record is not None and record.is_alive(now) else None
    return verdict_of(item, current, None if record is None else record.intent)
