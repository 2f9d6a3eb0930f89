"""Connections to one server: few, kept, and thrown away as soon as it is not certain what comes next on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

from redis.exceptions import ResponseError

from daystore_redis.connection import Connection, Lost, Make, NotSent

__all__ = ["Pool", "Request"]

Request: TypeAlias = bytes | Callable[[float], bytes]
"""Packed commands, or what packs them once it is known by how many seconds the server's clock is ahead."""


class Pool:
    """At most so many connections to one server; whoever wants one more waits for its turn.

    Args:
        make: Makes a connection of the driver.
        size: How many connections at most.
        timed: Whether requests have to know the server's time.
    """

    def __init__(self, make: Make, size: int, *, timed: bool = True) -> None:
        self._make = make
        self._timed = timed
        self._turns = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closed = False

    @property
    def size(self) -> int:
        """How many connections there are."""
        return len(self._idle) + len(self._busy)

    async def _take(self) -> Connection:
        await self._turns.acquire()
        try:
            connection = await self._taken()
        except BaseException:
            self._turns.release()
            raise
        self._busy.add(connection)
        return connection

    async def _taken(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if await connection.is_usable():
                return connection
            await connection.close()
        if self._closed:
            raise NotSent from ConnectionError("the adapter was closed")
        connection = Connection(self._make(), timed=self._timed)
        self._busy.add(connection)  # so that closing the pool ends it, too
        try:
            await connection.connect()
        except BaseException:
            self._busy.discard(connection)
            raise
        return connection

    async def _give_back(self, connection: Connection) -> None:
        if self._closed:
            await self._throw_away(connection)
            return
        self._busy.discard(connection)
        self._idle.append(connection)
        self._turns.release()

    async def _throw_away(self, connection: Connection) -> None:
        self._busy.discard(connection)
        self._turns.release()
        await connection.close()

    async def ask(self, request: Request, answers: int = 1) -> Any:
        """Send packed commands and return the answer: see `Connection.ask`.

        Raises:
            NotSent: If there is no connection to be had.
            Refused: If the server does not accept the credentials.
            ResponseError: If that is the answer.
            Lost: If no answer came.
        """
        connection = await self._take()
        try:
            packed = request if isinstance(request, bytes) else request(connection.ahead)
            answer = await connection.ask(packed, answers)
        except ResponseError:
            await self._give_back(connection)
            raise
        except BaseException as error:
            await self._throw_away(connection)
            if isinstance(error, Lost):
                await self.drop_idle()
            raise
        await self._give_back(connection)
        return answer

    async def drop_idle(self) -> None:
        """End the connections that nobody uses: where one has failed, the others most likely have as well."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def close(self) -> None:
        """End all connections; those who use one find it lost."""
        self._closed = True
        await self.drop_idle()
        for connection in [*self._busy]:
            await connection.close()
