"""Looking for expired records from time to time, beside the writes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from daystore.abc import Instant
from daystore.errors import DaystoreError
from daystore_sql.network.driver import DriverFailure
from daystore_sql.network.primary import Primary
from daystore_sql.sweeping import SWEPT_AT_ONCE

__all__ = ["Sweeper"]

_log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps one database.

    Args:
        primary: Where.
        interval: Seconds between two searches.

    Attributes:
        task: The last search; ``None`` before the first.
    """

    def __init__(self, primary: Primary, interval: float) -> None:
        self._primary = primary
        self._interval = int(interval * 1_000_000)
        self._swept_at: Instant | None = None
        self.task: asyncio.Task[None] | None = None

    def sweep(self) -> None:
        """Begin to look for expired records, if it is time to."""
        now = self._primary.clock()
        is_due = self._swept_at is None or not 0 <= now - self._swept_at < self._interval
        if is_due and (self.task is None or self.task.done()):
            self._swept_at = now
            self.task = asyncio.ensure_future(self._swept(now))

    async def _swept(self, now: Instant) -> None:
        try:
            async with self._primary.pool.connection() as connection:
                while await self._primary.dialect.sweep(connection, now, SWEPT_AT_ONCE) == SWEPT_AT_ONCE:
                    pass
        except (DriverFailure, DaystoreError) as error:
            _log.debug("expired records were not swept: %s", type(error).__name__)

    async def close(self) -> None:
        """End what goes on."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
