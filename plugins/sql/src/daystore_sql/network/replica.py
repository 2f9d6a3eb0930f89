"""A replica: whether it can be read, and how stale that is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from daystore.abc import Clock
from daystore.errors import DaystoreError
from daystore_sql.dialects.network import NetworkDialect
from daystore_sql.errors import unavailable
from daystore_sql.layout import is_current
from daystore_sql.network.bridge import BridgedConnection, bridged
from daystore_sql.network.driver import Driver, DriverConnection, DriverFailure, Refused
from daystore_sql.network.positions import Position, Samples
from daystore_sql.network.reading import Reader, Run
from daystore_sql.network.server import Server

__all__ = ["PATIENCE", "Replica", "TooStale"]

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds, at most, to wait for a connection to a replica, and for the answer how far it is."""
FIRST_ASIDE, LAST_ASIDE = 1.0, 30.0
"""Seconds for which a replica is left aside after its first failure, and after many."""


class TooStale(Exception):
    """The replica may be staler than the read allows."""


class Replica(Server):
    """A server that is only read, and follows the primary.

    Args:
        driver: As for `Server`.
        dialect: As for `Server`.
        namespace: As for `Server`.
        clock: As for `Server`.
        connections: As for `Server`.
        address: Host and port, for people.
        samples: Where the primary was, and when.
        now: Tells the time by which staleness is measured.

    Attributes:
        address: Host and port, for people.
        reader: Reads there.
        fresh_as_of: The time up to which it is known to show everything that was acknowledged.
        trouble: Why it was left aside; ``None`` if the last thing that it was asked for succeeded.
    """

    def __init__(
        self,
        driver: Driver,
        dialect: NetworkDialect,
        namespace: str,
        clock: Clock,
        connections: int,
        address: str,
        samples: Samples,
        now: Callable[[], float],
    ) -> None:
        super().__init__(driver, dialect, namespace, clock, connections)
        self.address: str = address
        self.reader: Reader = Reader(self)
        self.fresh_as_of: float = -math.inf
        self.trouble: str | None = None
        self._samples = samples
        self._now = now
        self._aside_until = -math.inf
        self._aside = FIRST_ASIDE

    @property
    def staleness(self) -> float:
        """Seconds since everything that had been acknowledged was certainly there; ``inf`` if nothing is known."""
        return self._now() - self.fresh_as_of

    @property
    def aside_for(self) -> float:
        """Seconds for which it is still left aside."""
        return max(0.0, self._aside_until - self._now())

    def is_in_turn(self) -> bool:
        """Tell whether to try it. Of those who ask once it was left aside long enough, one is told to."""
        if self.aside_for:
            return False
        if self.trouble is not None:
            self._aside = min(self._aside * 2, LAST_ASIDE)
            self._aside_until = self._now() + self._aside
        return True

    async def connected(self) -> DriverConnection:
        """Make a connection to what is found to be a replica of the primary, with the tables of this version.

        Raises:
            BackendUnavailable: If it is none.
        """
        async with asyncio.timeout(PATIENCE):
            connection = await super().connected()
            try:
                self.note(await self._checked(connection))
            except BaseException:
                connection.abort()
                raise
        return connection

    async def _checked(self, connection: DriverConnection) -> Position:
        if not await bridged(is_current, BridgedConnection(connection), self.dialect):
            raise unavailable("it has not got the tables of this version of daystore-sql yet")
        return await self.position(connection)

    async def position(self, connection: DriverConnection) -> Position:
        """Ask how far it is.

        Raises:
            BackendUnavailable: If it is no replica of the primary.
        """
        replayed = await self.dialect.replayed(connection)
        if self._samples.origin not in (None, replayed.origin):
            raise unavailable("it has not got the tables of the primary: it is a replica of something else")
        return replayed

    def note(self, replayed: Position) -> None:
        """Take note of how far it is; after it was down, that may be less far than before."""
        self.fresh_as_of = self._samples.fresh_as_of(replayed)

    def within(self, most: float) -> Run:
        """Return what does something once, unless what it shows may be staler than so many seconds.

        What it returns raises `TooStale` if it may.
        """

        async def once(_operation: str, do: Callable[[DriverConnection], Awaitable[T]]) -> T:
            async with self.pool.connection() as connection:
                if self.staleness > most:
                    raise TooStale
                return await do(connection)

        return once

    def succeeded(self) -> None:
        """Take note that it did what it was asked for."""
        self.trouble = None
        self._aside, self._aside_until = FIRST_ASIDE, -math.inf

    def failed(self, error: Exception) -> None:
        """Leave it aside for a while, unless all there was to it was a conflict with what it replayed."""
        if isinstance(error, Refused) and self.dialect.is_transient(error):
            return
        if self._pool is not None:
            self._pool.drop_idle()
        self.trouble = _told(error, self.dialect)
        self.fresh_as_of = -math.inf
        self.knowing.catalog.forget()
        self.known.last_shape = None
        self._aside_until = self._now() + self._aside


def _told(error: Exception, dialect: NetworkDialect) -> str:
    if isinstance(error, DriverFailure):
        return dialect.translate(error, "read").message
    return error.message if isinstance(error, DaystoreError) else "it did not answer in time"
