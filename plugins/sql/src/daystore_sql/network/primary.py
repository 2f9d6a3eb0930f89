"""The server that is written to: what is sent there again, and for how long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from daystore.abc import Clock
from daystore.errors import DaystoreError, StoreClosed
from daystore_sql.dialects.network import NetworkDialect
from daystore_sql.errors import BACKEND
from daystore_sql.network.driver import Driver, DriverConnection, DriverFailure, Lost, Refused
from daystore_sql.network.pool import Pool
from daystore_sql.network.server import Server

__all__ = ["DELAYS", "Backoff", "Primary"]

T = TypeVar("T")

DELAYS: Final = (0.0, 0.01, 0.05)
"""Seconds to wait before each attempt to reach the server. This is the only layer that tries again."""
LONGEST: Final = 600.0
"""Seconds after which a write is given up where the adapter has no time limit."""
FIRST_BACKOFF, LAST_BACKOFF = 0.002, 0.2
"""Seconds to wait, at most, before something is sent again that others were in the way of."""


class Primary(Server):
    """The server that is written to.

    Args:
        driver: As for `Server`.
        dialect: As for `Server`.
        namespace: As for `Server`.
        clock: As for `Server`.
        connections: As for `Server`.
        timeout: Returns how many seconds an operation may take.
    """

    def __init__(
        self,
        driver: Driver,
        dialect: NetworkDialect,
        namespace: str,
        clock: Clock,
        connections: int,
        timeout: Callable[[], float | None],
    ) -> None:
        super().__init__(driver, dialect, namespace, clock, connections)
        self._timeout = timeout

    async def repeated(
        self, operation: str, do: Callable[[DriverConnection], Awaitable[T]], deadline: float | None = None
    ) -> T:
        """Do something that may be done any number of times.

        Raises:
            DaystoreError: What the failure of the last attempt means.
        """
        pool = self.pool
        lost, waits = iter(DELAYS[1:]), Backoff(deadline or self.deadline())
        while True:
            try:
                async with pool.connection() as connection:
                    return await do(connection)
            except Lost as error:
                pool.drop_idle()
                self.check_open(pool)
                delay = next(lost, None)
                if delay is None:
                    raise self.told(error, operation) from (error.__cause__ or error)
                await asyncio.sleep(delay)
            except Refused as error:
                if not (self.dialect.is_transient(error) and await waits.wait()):
                    raise self.told(error, operation) from (error.__cause__ or error)

    def told(self, error: DriverFailure, operation: str) -> DaystoreError:
        """Say a failure in the words of the contract."""
        return self.dialect.translate(error, operation)

    def check_open(self, pool: Pool) -> None:
        """See whether a connection was lost because the adapter was closed.

        Raises:
            StoreClosed: If it was.
        """
        if pool.is_closed:
            raise StoreClosed("the adapter was closed", backend=BACKEND)

    def deadline(self) -> float:
        """Return when an operation that begins now has to end, on the clock of the event loop."""
        timeout = self._timeout()
        return asyncio.get_running_loop().time() + (LONGEST if timeout is None else min(timeout, LONGEST))


class Backoff:
    """Waits, longer each time, until a deadline.

    Args:
        deadline: On the clock of the event loop.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._most = FIRST_BACKOFF

    async def wait(self) -> bool:
        """Wait; tell whether there is time left."""
        await asyncio.sleep(random.uniform(0, self._most))  # noqa: S311 -- nobody gains by guessing it
        self._most = min(self._most * 1.5, LAST_BACKOFF)
        return asyncio.get_running_loop().time() < self._deadline
