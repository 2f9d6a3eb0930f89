"""Where the driver's connections are not what they have to be.

Whoever is cancelled while the driver connects for him leaves a socket open that nobody owns. So connecting goes on
to its end, unless that takes longer than connecting may, and the connection is closed then. And when a connection
breaks, the driver uses its server again after it has looked how that is, which it does twice a second at most.
It may look sooner.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pymongo.asynchronous.monitor import Monitor
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.monitoring import ConnectionClosedReason

__all__ = ["CarefulPool", "EagerMonitor"]

PAUSE: Final = 0.1
"""Seconds between two looks at a server, at least."""


class CarefulPool(Pool):
    """The driver's pool, which owns each connection from the beginning."""

    async def connect(self, handler: Any = None) -> AsyncConnection:
        """Make a connection. Cancelling that closes it."""
        connecting = asyncio.ensure_future(super().connect(handler))
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            closing = asyncio.ensure_future(self._end(connecting))
            _CLOSING.add(closing)
            closing.add_done_callback(_CLOSING.discard)
            raise

    async def _end(self, connecting: asyncio.Future[AsyncConnection]) -> None:
        await asyncio.wait((connecting,), timeout=self.opts.connect_timeout)
        connecting.cancel()  # of a server that accepts connections and says nothing
        (connection,) = await asyncio.gather(connecting, return_exceptions=True)
        if isinstance(connection, AsyncConnection):
            self.active_contexts.discard(connection.cancel_context)
            await connection.close_conn(ConnectionClosedReason.ERROR)


class EagerMonitor(Monitor):
    """The driver's monitor, which looks at a server as soon as somebody waits for it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._executor._min_interval = PAUSE


_CLOSING: set[asyncio.Future[None]] = set()
