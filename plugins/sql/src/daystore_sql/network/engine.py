"""An open database in a network: its connections, what is sent again, and what is made of a lost reply."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Final, TypeVar

from sqlalchemy.util.concurrency import await_only

from daystore.abc import Clock, Health, Instant, Outcome, Record, WriteBatch
from daystore.errors import DaystoreError, OutcomeUnknown, StoreClosed
from daystore_sql.catalog import Known
from daystore_sql.config import SQLConfig
from daystore_sql.dialects.network import NetworkDialect, ServerFacts
from daystore_sql.errors import BACKEND, unavailable
from daystore_sql.layout import prepare
from daystore_sql.network.bridge import BridgedConnection, bridged
from daystore_sql.network.changes import Change, Changes, Stale, Ticket, TooLate, Verdict, verdict_of
from daystore_sql.network.driver import Driver, DriverConnection, DriverFailure, Lost, Refused
from daystore_sql.network.planning import if_known, knowing, outcomes_of, plan
from daystore_sql.network.pool import Pool
from daystore_sql.network.session import LoneSession, NeedsSnapshot, Outdated
from daystore_sql.records import record_of
from daystore_sql.session import Session, check_health
from daystore_sql.sweeping import SWEPT_AT_ONCE
from daystore_sql.writing import check_queries

__all__ = ["NetworkEngine"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

DELAYS: Final = (0.0, 0.01, 0.05)
"""Seconds to wait before each attempt to reach the server. This is the only layer that tries again."""
LONGEST: Final = 600.0
"""Seconds after which a write is given up where the adapter has no time limit."""
FIRST_BACKOFF, LAST_BACKOFF = 0.002, 0.2
"""Seconds to wait, at most, before something is sent again that others were in the way of."""


class NetworkEngine:
    """One open database.

    Args:
        driver: Makes its connections.
        dialect: Says what is sent.
        namespace: The namespace that the adapter was opened in.
        clock: Where the present instant comes from.
        config: Options of the adapter.
        timeout: Returns how many seconds an operation may take.
    """

    def __init__(
        self,
        driver: Driver,
        dialect: NetworkDialect,
        namespace: str,
        clock: Clock,
        config: SQLConfig,
        timeout: Callable[[], float | None],
    ) -> None:
        self._driver = driver
        self._dialect = dialect
        self._namespace = namespace
        self._clock = clock
        self._config = config
        self._timeout = timeout
        self._process = os.getpid()
        self._known = Known()
        self._knowing = knowing(dialect, namespace, clock, self._known)
        self._pool: Pool | None = None
        self._facts: ServerFacts | None = None
        self._ahead = 0  # microseconds of the server's clock before that of the event loop
        self._given_up: list[tuple[Changes, Ticket]] = []
        self._fencing = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None
        self._swept_at: Instant | None = None
        self._needs_snapshot: set[object] = set()

    # --- Life ------------------------------------------------------------------------------------------------

    @property
    def is_durable(self) -> bool:
        """Whether the server waits for the disk before it acknowledges a commit."""
        return self._facts is not None and self._facts.durable

    @property
    def largest(self) -> int | None:
        """Most bytes of a value that the server takes, if it is less than the adapter's own limit."""
        return None if self._facts is None else self._facts.largest

    async def start(self) -> None:
        """Connect and bring the layout up to date.

        Raises:
            BackendUnavailable: If the server cannot be reached or used.
        """
        self._pool = Pool(self._connected, self._config.connections)
        try:
            async with asyncio.timeout(self._timeout()):
                await self.ask_writer("open", _prepare)
                self._known.last_shape = await self.ask_writer("open", Session.last_shape)
        except TimeoutError as error:
            self.abandon()
            raise unavailable("the server did not answer in time", "open") from error
        except BaseException:
            self.abandon()
            raise

    async def close(self) -> None:
        """End what goes on and give back the connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        if self._pool is not None:
            await self._pool.close()

    def abandon(self) -> None:
        """Give back what can be given back without waiting."""
        if self._pool is not None:
            self._pool.abandon()

    async def _connected(self) -> DriverConnection:
        """Make a connection that is ready to be used."""
        connection = await self._driver.connect()
        try:
            facts = await self._dialect.hello(connection)
        except BaseException:
            connection.abort()
            raise
        self._facts = facts
        self._ahead = facts.time - int(asyncio.get_running_loop().time() * 1_000_000)
        return connection

    @property
    def _opened(self) -> Pool:
        pool = self._pool
        if pool is None or pool.is_closed:
            raise StoreClosed("the adapter was closed: open it again", backend=BACKEND)
        if os.getpid() != self._process:
            raise StoreClosed(
                "the adapter was opened before this process was forked from another: "
                "open one in each process",
                backend=BACKEND,
            )
        if not pool.is_mine:
            raise StoreClosed(
                "the adapter was opened on another event loop: open one on each", backend=BACKEND
            )
        return pool

    # --- Reading ---------------------------------------------------------------------------------------------

    async def read_records(self, collection: str, keys: Sequence[str]) -> list[Record | None]:
        """Read records by key, with one statement."""
        names = if_known(self._knowing.catalog.collection, collection)
        if names is None:
            names = await self.ask_writer("read", lambda session: session.catalog.collection(collection))
        if names is None:
            return [None] * len(keys)
        scope, dialect, now = names.scope, self._dialect, self._clock()
        rows = await self._repeated("read", lambda c: dialect.read(c, scope, keys, now))
        if len(keys) == 1:
            return [record_of(rows[0]) if rows else None]
        found = {record.key: record for record in map(record_of, rows)}
        return _spread(keys, found)

    async def read(self, operation: str, work: Callable[..., T], *arguments: object) -> T:
        """Do something that only reads: with one statement over records if that will do, else in a transaction."""
        key = (work, *(_form(argument) for argument in arguments))
        for _ in range(3):
            if key in self._needs_snapshot:
                break
            try:
                return await self._repeated(operation, lambda c: bridged(self._alone, c, work, arguments))
            except Outdated:
                continue
            except NeedsSnapshot:
                if len(self._needs_snapshot) > 1000:
                    self._needs_snapshot.clear()
                self._needs_snapshot.add(key)
        return await self.ask_writer(operation, work, *arguments)

    def _alone(self, connection: DriverConnection, work: Callable[..., T], arguments: Sequence[object]) -> T:
        there = BridgedConnection(connection)
        return work(LoneSession(self._dialect, there, self._namespace, self._clock, self._known), *arguments)

    async def ask_writer(self, operation: str, work: Callable[..., T], *arguments: object) -> T:
        """Do something on a connection: `work` begins and ends its own transactions."""
        return await self._repeated(operation, lambda c: bridged(lambda: work(self._session(c), *arguments)))

    async def health(self) -> Health:
        """Write without changing anything.

        Raises:
            BackendUnavailable: If the server cannot be reached, or refuses.
        """
        return Health(True, await self.ask_writer("health", check_health))

    def _session(self, connection: DriverConnection) -> Session:
        there = BridgedConnection(connection)
        return Session(self._dialect, there, self._namespace, self._clock, self._known)

    async def _repeated(
        self, operation: str, do: Callable[[DriverConnection], Awaitable[T]], deadline: float | None = None
    ) -> T:
        """Do something that may be done any number of times.

        Raises:
            DaystoreError: What the failure of the last attempt means.
        """
        pool = self._opened
        lost, waits = iter(DELAYS[1:]), _Backoff(deadline or self._deadline())
        while True:
            try:
                async with pool.connection() as connection:
                    return await do(connection)
            except Lost as error:
                pool.drop_idle()
                self._check_open(pool)
                delay = next(lost, None)
                if delay is None:
                    raise self._told(error, operation) from (error.__cause__ or error)
                await asyncio.sleep(delay)
            except Refused as error:
                if not (self._dialect.is_transient(error) and await waits.wait()):
                    raise self._told(error, operation) from (error.__cause__ or error)

    def _told(self, error: DriverFailure, operation: str) -> DaystoreError:
        return self._dialect.translate(error, operation)

    def _check_open(self, pool: Pool) -> None:
        if pool.is_closed:
            raise StoreClosed("the adapter was closed", backend=BACKEND)

    # --- Writing ---------------------------------------------------------------------------------------------

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch."""
        planned = if_known(plan, self._knowing, batch)
        if planned is None:  # look up the names, and add those that are new
            planned = await self.ask_writer("write", plan, batch)
        changes, scopes = planned
        if batch.atomic and all(change.kind == "check" for change in changes):
            return outcomes_of(batch, changes, await self._judged(batch, changes))
        if self._given_up:
            await self._fence()
        verdicts = await self._written(batch, changes, scopes)
        outcomes = outcomes_of(batch, changes, verdicts)
        self._sweep()
        return outcomes

    async def _written(
        self, batch: WriteBatch, items: Sequence[Change], scopes: Sequence[int]
    ) -> Sequence[Verdict]:
        """Send changes until it is certain what became of them.

        Raises:
            OutcomeUnknown: If that cannot be told.
        """
        pool, deadline = self._opened, self._deadline()
        lost, waits = iter(DELAYS[1:]), _Backoff(deadline)
        while True:
            changes = Changes(items, batch.atomic, self._clock())
            ticket = self._ticket(deadline)
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
                if not (self._dialect.is_transient(error) and await waits.wait()):
                    raise self._told(error, "write") from (error.__cause__ or error)
            except Lost as error:
                pool.drop_idle()
                cause = error.__cause__ or error
                if error.sent:
                    found = await self._looked(changes, ticket, deadline, cause)
                    if found is not None:
                        return found
                self._check_open(pool)
                delay = next(lost, None)
                if delay is None:
                    raise self._told(error, "write") from cause
                await asyncio.sleep(delay)

    async def _sent(
        self, pool: Pool, batch: WriteBatch, changes: Changes, ticket: Ticket, scopes: Sequence[int]
    ) -> Sequence[Verdict]:
        """Send changes once."""
        async with pool.connection() as connection:
            try:
                if not batch.queries:
                    return await self._dialect.write(connection, changes, ticket, inside=False)
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
        await connection.fetch(self._dialect.begin_write)
        try:
            await self._dialect.lock_queries(connection, scopes)
            session = self._session(connection)
            await bridged(check_queries, session, batch, changes.now)
            verdicts = await self._dialect.write(connection, changes, ticket, inside=True)
            kept = all(verdict.done for verdict in verdicts)
        except (DaystoreError, Stale, TooLate, Refused):
            await connection.fetch("ROLLBACK")
            raise
        await connection.fetch("COMMIT" if kept else "ROLLBACK")
        return verdicts

    async def _judged(self, batch: WriteBatch, items: Sequence[Change]) -> list[Verdict]:
        """Judge a batch that changes nothing: nobody is kept out by it, and it leaves nothing behind."""
        return await self._repeated("write", lambda c: bridged(self._judge, c, batch, items))

    def _judge(
        self, connection: DriverConnection, batch: WriteBatch, items: Sequence[Change]
    ) -> list[Verdict]:
        session, now = self._session(connection), self._clock()
        scopes = {item.scope for item in items}
        found: dict[tuple[int, bytes], Record] = {}
        with session.snapshot() if batch.queries or len(scopes) > 1 else nullcontext():
            if batch.queries:
                check_queries(session, batch, now)
            for scope in scopes:
                keys = [item.key.decode() for item in items if item.scope == scope]
                rows = await_only(self._dialect.read(connection, scope, keys, now))
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
            return await self._repeated("write", lambda c: self._dialect.look(c, changes, ticket), deadline)
        except DaystoreError:
            self._given_up.append((changes, ticket))
            raise OutcomeUnknown(
                "the answer to a write was lost, and looking did not tell whether it was applied",
                backend=BACKEND,
                operation="write",
            ) from cause

    async def _fence(self) -> None:
        """See to it that nothing that was given up while it was under way arrives any more."""
        async with self._fencing:
            while self._given_up:
                changes, ticket = self._given_up[-1]
                await self._repeated("write", lambda c: self._dialect.look(c, changes, ticket))  # noqa: B023
                self._given_up.remove((changes, ticket))

    def _deadline(self) -> float:
        timeout = self._timeout()
        return asyncio.get_running_loop().time() + (LONGEST if timeout is None else min(timeout, LONGEST))

    def _ticket(self, deadline: float) -> Ticket:
        now = int(asyncio.get_running_loop().time() * 1_000_000) + self._ahead
        return Ticket(now.to_bytes(8, "big") + os.urandom(8), int(deadline * 1_000_000) + self._ahead)

    # --- Sweeping --------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Begin to look for expired records, if it is time to."""
        now, interval = self._clock(), int(self._config.sweep_interval * 1_000_000)
        is_due = self._swept_at is None or not 0 <= now - self._swept_at < interval
        if is_due and (self._sweeping is None or self._sweeping.done()):
            self._swept_at = now
            self._sweeping = asyncio.ensure_future(self._swept(now))

    async def _swept(self, now: Instant) -> None:
        try:
            async with self._opened.connection() as connection:
                while await self._dialect.sweep(connection, now, SWEPT_AT_ONCE) == SWEPT_AT_ONCE:
                    pass
        except (DriverFailure, DaystoreError) as error:
            _log.debug("expired records were not swept: %s", type(error).__name__)


class _Backoff:
    """Waits, longer each time, until a deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._most = FIRST_BACKOFF

    async def wait(self) -> bool:
        """Wait; tell whether there is time left."""
        await asyncio.sleep(random.uniform(0, self._most))  # noqa: S311 -- nobody gains by guessing it
        self._most = min(self._most * 1.5, LAST_BACKOFF)
        return asyncio.get_running_loop().time() < self._deadline


def _verdict(item: Change, record: Record | None, now: Instant) -> Verdict:
    current = record.version if record is not None and record.is_alive(now) else None
    return verdict_of(item, current, None if record is None else record.intent)


def _prepare(session: Session) -> None:
    prepare(session.connection, session.dialect)


def _spread(keys: Sequence[str], found: dict[str, Record]) -> list[Record | None]:
    """Return the records of keys that may repeat; no two places hold the same object."""
    if len(set(keys)) == len(keys):
        return list(map(found.get, keys))
    given: set[str] = set()
    records: list[Record | None] = []
    for key in keys:
        record = found.get(key)
        records.append(record.copy() if record is not None and key in given else record)
        given.add(key)
    return records


def _form(argument: object) -> object:
    """Return what tells queries apart that take more than one statement from those that do not."""
    order, cursor = getattr(argument, "order", None), getattr(argument, "cursor", None)
    return type(argument), getattr(argument, "collection", None), order, cursor is None
