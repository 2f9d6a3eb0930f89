"""One server: its connections, and what is known of the data there."""

from __future__ import annotations

import asyncio
import os

from daystore.abc import Clock
from daystore.errors import StoreClosed
from daystore_sql.catalog import Known
from daystore_sql.dialects.network import NetworkDialect, ServerFacts
from daystore_sql.errors import BACKEND
from daystore_sql.network.bridge import BridgedConnection
from daystore_sql.network.driver import Driver, DriverConnection
from daystore_sql.network.planning import knowing
from daystore_sql.network.pool import Pool
from daystore_sql.network.session import LoneSession
from daystore_sql.session import Session

__all__ = ["Server"]


class Server:
    """One server.

    Args:
        driver: Makes connections to it.
        dialect: Says what is sent.
        namespace: The namespace that the adapter was opened in.
        clock: Where the present instant comes from.
        connections: Most connections.

    Attributes:
        driver: Makes connections to it.
        dialect: Says what is sent.
        clock: Where the present instant comes from.
        known: What is known of the names there.
        knowing: A session that knows these and asks nobody.
        facts: What it says of itself, once it was connected to.
        ahead: Microseconds of its clock before that of the event loop.
    """

    def __init__(
        self, driver: Driver, dialect: NetworkDialect, namespace: str, clock: Clock, connections: int
    ) -> None:
        self.driver: Driver = driver
        self.dialect: NetworkDialect = dialect
        self.clock: Clock = clock
        self.known: Known = Known()
        self.knowing: Session = knowing(dialect, namespace, clock, self.known)
        self.facts: ServerFacts | None = None
        self.ahead: int = 0
        self._namespace = namespace
        self._connections = connections
        self._process = os.getpid()
        self._pool: Pool | None = None

    def start(self) -> None:
        """Belong to the running event loop; connections are made when they are needed."""
        self._pool = Pool(self.connected, self._connections)

    async def connected(self) -> DriverConnection:
        """Make a connection that is ready to be used."""
        connection = await self.driver.connect()
        try:
            facts = await self.dialect.hello(connection)
        except BaseException:
            connection.abort()
            raise
        self.facts = facts
        self.ahead = facts.time - int(asyncio.get_running_loop().time() * 1_000_000)
        return connection

    @property
    def pool(self) -> Pool:
        """Its connections.

        Raises:
            StoreClosed: If they cannot be used any more, or not from here.
        """
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

    def session(self, connection: DriverConnection) -> Session:
        """Make a session for any work, inside `bridged`."""
        return Session(self.dialect, BridgedConnection(connection), self._namespace, self.clock, self.known)

    def lone_session(self, connection: DriverConnection) -> LoneSession:
        """Make a session for work that takes one statement over records, inside `bridged`."""
        return LoneSession(
            self.dialect, BridgedConnection(connection), self._namespace, self.clock, self.known
        )

    async def close(self) -> None:
        """Give back the connections."""
        if self._pool is not None:
            await self._pool.close()

    def abandon(self) -> None:
        """Give back what can be given back without waiting."""
        if self._pool is not None:
            self._pool.abandon()
