"""The proxy: it listens, counts, and knows which faults wait."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from daystore_compliance.proxy.fault import REPLY, REQUEST, Action, Direction, Fault
from daystore_compliance.proxy.link import Link, reset

__all__ = ["FaultProxy", "Traffic", "stop_listening"]

LOOPBACK: Final = "127.0.0.1"


@dataclass(slots=True)
class Traffic:
    """What has gone through a proxy.

    Attributes:
        connections: Connections that clients have made.
        refused: Connections that were refused.
        requests: Requests: what a client sends until it is answered. One of them is one round trip.
        replies: Replies: what a server sends until the client speaks again.
        sent: Bytes from clients.
        received: Bytes from the server.
    """

    connections: int = 0
    refused: int = 0
    requests: int = 0
    replies: int = 0
    sent: int = 0
    received: int = 0


class FaultProxy:
    """A TCP proxy on the loopback interface, in this process and on this event loop, that fails on request.

    It works with any protocol over TCP, TLS included, because it understands none. Each fault is a context
    manager; at the end of its block it is gone, and what it held goes on. `Fault.hits` proves that it happened.

    Args:
        host: Of the server.
        port: Of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._links: set[Link] = set()
        self._faults: list[Fault] = []
        self._traffic = Traffic()
        self._refusing = False
        self._flow = asyncio.Event()
        self._flow.set()
        self.host: Final = LOOPBACK
        self.port: int = 0

    # --- Life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything, whatever still goes on."""
        await self._deafen()
        self.cut()
        await self._ended()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def _listen(self) -> None:
        if self._reserved is None:  # while nobody listens, nobody else gets the port
            self._reserved = _bound(self.host, 0)
            self.port = self._reserved.getsockname()[1]
        self._server = await asyncio.start_server(self._accepted, sock=_bound(self.host, self.port))

    async def _deafen(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await stop_listening(server)

    async def _ended(self) -> None:
        while self._links:
            await asyncio.wait([link.task for link in self._links])

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing or self._server is None:
            self._traffic.refused += 1
            reset(writer)
            return
        self._traffic.connections += 1
        link = Link(self, reader, writer)
        self._links.add(link)
        link.task.add_done_callback(lambda _: self._links.discard(link))

    # --- What links ask ------------------------------------------------------------------------------------

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the server."""
        return await asyncio.open_connection(*self._upstream)

    def begin(self, direction: Direction) -> Fault | None:
        """Count a message that begins; return the fault that strikes it."""
        if direction is REQUEST:
            self._traffic.requests += 1
        else:
            self._traffic.replies += 1
        struck = [fault for fault in self._faults if fault.direction is direction and fault.strikes()]
        return struck[0] if struck else None

    def count(self, direction: Direction, size: int) -> None:
        """Count bytes."""
        if direction is REQUEST:
            self._traffic.sent += size
        else:
            self._traffic.received += size

    async def flowing(self) -> None:
        """Wait while the proxy is stalled."""
        await self._flow.wait()

    # --- What can be seen ----------------------------------------------------------------------------------

    @property
    def traffic(self) -> Traffic:
        """What has gone through until now."""
        return replace(self._traffic)

    @property
    def live(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    # --- Faults --------------------------------------------------------------------------------------------

    def cut(self, *, gently: bool = False) -> int:
        """End all connections now, and forget what is held. New ones are accepted.

        Args:
            gently: As a server does that ends in an orderly way, instead of by a reset.

        Returns:
            How many there were.
        """
        cut = list(self._links)
        for link in cut:
            link.cut(gently=gently)
        return len(cut)

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """Reset every new connection as soon as it is made; `Traffic.refused` counts them."""
        self._refusing = True
        try:
            yield
        finally:
            self._refusing = False

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Be gone, as a server whose process has ended: connections are cut, and nobody listens."""
        await self._deafen()
        self.cut()
        try:
            yield
        finally:
            await self._listen()

    @contextmanager
    def stall(self) -> Iterator[None]:
        """Let nothing through, in neither direction; connections stay, and new ones are accepted."""
        self._flow.clear()
        try:
            yield
        finally:
            self._flow.set()

    @contextmanager
    def drop_request(self, nth: int = 1, *, keep: int = 0, lasting: bool = False) -> Iterator[Fault]:
        """Swallow a request and cut its connection: the server never sees it, or its first `keep` bytes."""
        with self._armed(Fault(Action.CUT, REQUEST, nth, keep=keep, lasting=lasting)) as fault:
            yield fault

    @contextmanager
    def drop_reply(self, nth: int = 1, *, keep: int = 0, lasting: bool = False) -> Iterator[Fault]:
        """Swallow a reply and cut its connection: the server has done its work, and the client is not told."""
        with self._armed(Fault(Action.CUT, REPLY, nth, keep=keep, lasting=lasting)) as fault:
            yield fault

    @contextmanager
    def drop_one(self, direction: Direction, nth: int = 1) -> Iterator[Fault]:
        """Lose one message; its connection stays as if nothing had happened."""
        with self._armed(Fault(Action.LOSE, direction, nth)) as fault:
            yield fault

    @contextmanager
    def delay(self, direction: Direction, nth: int = 1, *, lasting: bool = False) -> Iterator[Fault]:
        """Hold a message until `Fault.release`. A request is delivered then even if its client has gone."""
        with self._armed(Fault(Action.HOLD, direction, nth, lasting=lasting)) as fault:
            yield fault

    @contextmanager
    def repeat(self, nth: int = 1) -> Iterator[Fault]:
        """Deliver a reply twice: the second one is nobody's."""
        with self._armed(Fault(Action.REPEAT, REPLY, nth)) as fault:
            yield fault

    @contextmanager
    def _armed(self, fault: Fault) -> Iterator[Fault]:
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)
            fault.release()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that has a port together with others that were bound in this way."""
    # asyncio sends at once what is written only to sockets that say that they are TCP's.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setblocking(False)
    bound.bind((host, port))
    return bound


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server. What it is just accepting gets through first: asyncio leaks it otherwise."""
    loop = asyncio.get_running_loop()
    for sock in server.sockets:
        with suppress(NotImplementedError):  # an event loop that does not know readers
            loop.remove_reader(sock.fileno())
    for _ in range(5):
        await asyncio.sleep(0)
    server.close()
    await asyncio.sleep(0)  # its socket is closed in the next turn
