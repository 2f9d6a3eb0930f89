"""One connection through the proxy: two pumps, and the faults that get between."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from daystore_compliance.proxy.fault import REPLY, REQUEST, Action, Direction, Fault

if TYPE_CHECKING:
    from daystore_compliance.proxy.server import FaultProxy

__all__ = ["Link", "reset"]

CHUNK: Final = 65_536
_NO_LINGER: Final = struct.pack("ii", 1, 0)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that its other end sees a reset."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


class Link:
    """A client's connection and the one to the server that belongs to it.

    Messages are told apart by the change of direction: whatever a client sends until the server answers is one
    request, and whatever the server sends until the client speaks again is one reply. No protocol is understood.

    Args:
        proxy: To which it belongs.
        reader: From the client.
        writer: To the client.
    """

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._speaking: Direction | None = None
        self.task: asyncio.Task[None] = asyncio.create_task(self._run(), name="fault proxy")

    def cut(self, *, gently: bool = False) -> None:
        """End both connections now, and forget what is held.

        Args:
            gently: As a server does that ends in an orderly way, instead of by a reset.
        """
        for _, writer in filter(None, (self._client, self._server)):
            if gently:
                writer.close()
            else:
                reset(writer)
        self.task.cancel()

    async def _run(self) -> None:
        try:
            self._server = await self._proxy.connect()
            down = asyncio.create_task(self._pump(REPLY, self._server[0], self._client[1]))
            try:
                await self._pump(REQUEST, self._client[0], self._server[1])
                await down
            finally:
                down.cancel()
                await asyncio.wait([down])
        except OSError:
            reset(self._client[1])  # the server is not there, so the client gets no connection either
        finally:
            await self._close()

    async def _close(self) -> None:
        for _, writer in filter(None, (self._client, self._server)):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _pump(
        self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        fault: Fault | None = None
        try:
            while data := await source.read(CHUNK):
                begins = self._speaking is not direction
                self._speaking = direction
                if begins:
                    fault = self._proxy.begin(direction)
                self._proxy.count(direction, len(data))
                await self._proxy.flowing()
                for part in await self._judged(fault, data, sink):
                    await _send(sink, part)
        except ConnectionError:
            if direction is REPLY:
                reset(sink)
                return
        with suppress(OSError):  # what a client that has gone had asked for still reaches the server
            if not sink.is_closing():
                sink.write_eof()

    async def _judged(self, fault: Fault | None, data: bytes, sink: asyncio.StreamWriter) -> list[bytes]:
        """Return what gets through of a chunk, once it may."""
        if fault is None:
            return [data]
        match fault.action:
            case Action.LOSE:
                return []
            case Action.REPEAT:
                return [data, data]
            case Action.HOLD:
                await fault.released()
                return [data]
            case Action.CUT:
                await _send(sink, data[: fault.keep])
                self.cut(gently=bool(fault.keep))  # a reset could overtake the part that gets through
                await asyncio.sleep(0)  # where the cancellation arrives
                return []


async def _send(sink: asyncio.StreamWriter, data: bytes) -> None:
    if not data or sink.is_closing():  # whoever waited for it has gone
        return
    sink.write(data)
    with suppress(ConnectionError):
        await sink.drain()
