"""Connections: few, kept, and thrown away as soon as it is not certain what comes next on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from daystore.errors import StoreClosed
from daystore_sql.errors import BACKEND
from daystore_sql.network.driver import DriverConnection

__all__ = ["Loan", "Pool"]


class Pool:
    """At most so many connections to one server; whoever wants one more waits for its turn.

    Args:
        connect: Makes a connection that is ready to be used.
        size: Most connections.

    Attributes:
        is_closed: Whether it was closed.
    """

    def __init__(self, connect: Callable[[], Awaitable[DriverConnection]], size: int) -> None:
        self._connect = connect
        self._turns = asyncio.Semaphore(size)  # which serves in the order of asking
        self._idle: list[DriverConnection] = []
        self._busy: set[DriverConnection] = set()
        self._loop = asyncio.get_running_loop()
        self.is_closed: bool = False

    @property
    def is_mine(self) -> bool:
        """Whether this is the event loop that its connections belong to."""
        return self._loop is asyncio.get_running_loop()

    def connection(self) -> Loan:
        """Lend a connection, for an ``async with``: the one that was used last, or a new one.

        Raises:
            DriverFailure: On entering, if there is none to be had.
            StoreClosed: On entering, if the pool was closed.
        """
        return Loan(self)

    async def take(self) -> DriverConnection:
        """Wait for a turn and take a connection, which has to be given back. Raises as `connection`."""
        await self._turns.acquire()
        try:
            connection = await self._taken()
        except BaseException:
            self._turns.release()
            raise
        self._busy.add(connection)
        return connection

    def give(self, connection: DriverConnection) -> None:
        """Give a connection back; one that is not idle is ended."""
        self._busy.discard(connection)
        if connection.is_idle and not self.is_closed:
            self._idle.append(connection)
        else:
            connection.abort()
        self._turns.release()

    async def _taken(self) -> DriverConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
            connection.abort()
        self._check()
        connection = await self._connect()
        if self.is_closed:
            connection.abort()
        self._check()
        return connection

    def _check(self) -> None:
        if self.is_closed:
            raise StoreClosed("the adapter was closed: open it again", backend=BACKEND)

    def drop_idle(self) -> None:
        """End the connections that nobody uses: where one has failed, the others most likely have as well."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.abort()

    async def close(self) -> None:
        """End all connections; those who use one find it lost."""
        self.is_closed = True
        for connection in self._busy:
            connection.abort()
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    def abandon(self) -> None:
        """End all connections without an event loop, as far as that can be done."""
        self.is_closed = True
        for connection in (*self._idle, *self._busy):
            connection.abort()


class Loan:
    """A connection of a pool, for as long as an ``async with``.

    Args:
        pool: The pool.
    """

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: DriverConnection | None = None

    async def __aenter__(self) -> DriverConnection:
        """Take it."""
        self._connection = connection = await self._pool.take()
        return connection

    async def __aexit__(self, *failure: object) -> None:
        """Give it back."""
        if self._connection is not None:
            self._pool.give(self._connection)
