"""Connections of the adapter: few, kept, and thrown away as soon as it is not certain what comes next on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from daystore.errors import DaystoreError
from daystore_compliance.wire.protocol import ProtocolError, read_frame, write_frame

__all__ = ["Connection", "Lost", "NotSent", "Pool"]

SIZE: Final = 8
FAILURES: Final = (OSError, EOFError, ProtocolError)


class NotSent(Exception):
    """The request has not left: the server cannot have seen it. Its cause says why."""


class Lost(Exception):
    """The request was sent, and no answer came: the server may have seen it. Its cause says why."""


class Connection:
    """One connection, after its greeting.

    Args:
        reader: From the server.
        writer: To the server.
        greeting: What the server said: its time, and how many changes there have been.

    Attributes:
        usable: Whether the next thing that arrives will be the answer to the next request.
        number: How many changes there had been when the server spoke last.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: dict[str, Any]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._ahead = greeting["time"] - asyncio.get_running_loop().time()
        self._last = 0
        self.number: int = greeting["number"]
        self.usable: bool = True

    async def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and return its answer.

        Raises:
            DaystoreError: If that is the answer.
            Lost: If no answer to this very request came.
        """
        self._last += 1
        self.usable = False  # and stays so if this is cancelled, or fails
        deadline = request["deadline"]
        try:
            write_frame(
                self._writer,
                {
                    **request,
                    "id": self._last,
                    "deadline": None if deadline is None else deadline + self._ahead,
                },
            )
            await self._writer.drain()
            reply = await read_frame(self._reader)
        except FAILURES as failure:
            raise Lost from failure
        if reply["id"] != self._last:
            raise Lost from ProtocolError("the answer to another request")
        self.usable = True
        self.number = reply["number"]
        if isinstance(reply["answer"], DaystoreError):
            raise reply["answer"]
        return reply["answer"]

    @property
    def is_alive(self) -> bool:
        """Whether the server has not ended it, as far as is known here."""
        return self.usable and not self._reader.at_eof() and not self._writer.transport.is_closing()

    async def close(self) -> None:
        """End it at once, whatever goes on."""
        self.usable = False
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


class Pool:
    """At most `SIZE` connections to one server; whoever wants one more waits for its turn.

    Args:
        host: Of the server.
        port: Of the server.
        hello: What the server has to be told first.

    Attributes:
        connection_class: Class of its connections.
        closed: Whether it was closed.
    """

    connection_class: type[Connection] = Connection

    def __init__(self, host: str, port: int, hello: dict[str, str]) -> None:
        self._address = (host, port)
        self._hello = hello
        self._turns = asyncio.Semaphore(SIZE)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._greeting: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.get_running_loop()
        self.closed: bool = False

    @property
    def is_mine(self) -> bool:
        """Whether this is the event loop that its connections belong to."""
        return self._loop is asyncio.get_running_loop()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection: a kept one, or a new one.

        Raises:
            NotSent: If there is none to be had.
        """
        async with self._turns:
            connection = await self._taken()
            self._busy.add(connection)
            try:
                yield connection
            finally:
                await self._given_back(connection)

    async def _given_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection.usable and not self.closed:
            self._idle.append(connection)
        else:
            await connection.close()

    async def _taken(self) -> Connection:
        while self._idle and not self.closed:
            connection = self._idle.pop()
            if connection.is_alive:
                return connection
            await connection.close()
        if self.closed:
            raise NotSent
        return await self._connect()

    async def _connect(self) -> Connection:
        """Connect and greet.

        Raises:
            DaystoreError: If the server wants nothing to do with us.
            NotSent: If it cannot be reached.
        """
        writer: asyncio.StreamWriter | None = None
        greeting: Any = None
        try:
            reader, writer = await asyncio.open_connection(*self._address)
            self._greeting.add(writer)
            write_frame(writer, self._hello)
            greeting = await read_frame(reader)
        except FAILURES as failure:
            raise NotSent from failure
        finally:
            if writer is not None:
                self._greeting.discard(writer)
                if not isinstance(greeting, dict) or self.closed:
                    writer.transport.abort()
        if isinstance(greeting, DaystoreError):
            raise greeting
        return self.connection_class(reader, writer, greeting)

    async def drop_idle(self) -> None:
        """End the connections that nobody uses: where one has failed, the others most likely have as well."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def close(self) -> None:
        """End all connections; those who use one find it lost."""
        self.closed = True
        for writer in self._greeting:
            writer.transport.abort()
        for connection in [*self._busy]:
            await connection.close()
        await self.drop_idle()
