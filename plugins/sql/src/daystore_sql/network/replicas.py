"""Which replica a read goes to, if to any: they take turns, and who fails or lags too much is passed over."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from daystore.abc import Consistency
from daystore.abc.adapter import DEFAULT_TIMEOUT
from daystore.errors import BackendUnavailable, DaystoreError, StoreClosed
from daystore_sql.network.driver import DriverConnection, DriverFailure
from daystore_sql.network.positions import Position, Samples
from daystore_sql.network.primary import Primary
from daystore_sql.network.reading import Reader, Run
from daystore_sql.network.replica import PATIENCE, Replica, TooStale

__all__ = ["Replicas"]

T = TypeVar("T")

LEAST: Final = 0.1
"""A bound in seconds below which the primary is asked: finding out how stale a replica is would take as long."""
PAUSE: Final = 0.25
"""Seconds, at most, before those are asked again who were not fresh enough."""
FAILURES: Final = (DriverFailure, BackendUnavailable, TimeoutError)
"""How a replica fails."""


class Replicas:
    """The replicas of one primary.

    How stale they are is measured when a bounded read has to know it: the primary and the replicas are asked at
    the same time how far they are. Before half of a bound has passed nobody is asked again.

    Args:
        primary: What they follow.
        replicas: What there are.
        samples: Where the primary was, which the replicas are compared with.
        now: Tells the time by which staleness is measured.
        timeout: Returns how many seconds an operation may take.
    """

    def __init__(
        self,
        primary: Primary,
        replicas: Sequence[Replica],
        samples: Samples,
        now: Callable[[], float],
        timeout: Callable[[], float | None],
    ) -> None:
        self._primary = primary
        self._replicas = list(replicas)
        self._samples = samples
        self._now = now
        self._timeout = timeout
        self._turn = 0
        self._asked_at = -math.inf
        self._asking: asyncio.Task[None] | None = None

    # --- Life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Find out what they have to be replicas of. They are connected to when they are needed.

        Raises:
            BackendUnavailable: If the primary cannot tell.
        """
        for replica in self._replicas:
            replica.start()
        await self._primary.repeated("open", self._sample)

    async def close(self) -> None:
        """Give back the connections."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking
        for replica in self._replicas:
            await replica.close()

    def abandon(self) -> None:
        """Give back what can be given back without waiting."""
        for replica in self._replicas:
            replica.abandon()

    async def about(self) -> dict[str, str]:
        """Ask all that are not left aside how far they are, and say of each whether it is used."""
        await self._ask()
        return {f"replica {n}": _said(replica) for n, replica in enumerate(self._replicas, start=1)}

    # --- Reading ---------------------------------------------------------------------------------------------

    async def read(self, consistency: Consistency, read: Callable[[Reader, Run], Awaitable[T]]) -> T | None:
        """Read from one of them; return ``None`` if the primary has to be asked.

        However they fail, half of the time is left for the others and for the primary.

        Args:
            consistency: How stale the answer may be: ``eventual`` or ``bounded``.
            read: Reads, with a reader and what runs it. It never returns ``None``.
        """
        most = math.inf if consistency.max_staleness is None else consistency.max_staleness
        deadline = asyncio.get_running_loop().time() + self._limit
        if most < LEAST:
            return None
        if most < math.inf:
            await self._measured(most)
        for replica in self._in_turn():
            if replica.staleness > most or not replica.is_in_turn():
                continue
            try:
                async with asyncio.timeout((deadline - asyncio.get_running_loop().time()) / 2):
                    found = await read(replica.reader, replica.within(most))
            except TooStale:
                continue
            except FAILURES as error:
                replica.failed(error)
            else:
                replica.succeeded()
                return found
        return None

    def _in_turn(self) -> list[Replica]:
        self._turn = (self._turn + 1) % len(self._replicas)
        return self._replicas[self._turn :] + self._replicas[: self._turn]

    @property
    def _limit(self) -> float:
        timeout = self._timeout()
        return DEFAULT_TIMEOUT if timeout is None else timeout

    # --- Measuring -------------------------------------------------------------------------------------------

    async def _measured(self, most: float) -> None:
        """See to it that it is known which of them are fresh enough, and will be for some time."""
        there = [replica.staleness for replica in self._replicas if not replica.aside_for]
        if not there or (known := min(there)) <= most / 2:
            return
        if self._asking is None or self._asking.done():
            if self._now() - self._asked_at < min(most / 8, PAUSE):
                return
            self._asking = asyncio.ensure_future(self._ask())
        if known > most:
            await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        """Ask the primary and the replicas at the same time how far they are."""
        self._asked_at = self._now()
        asked = [replica for replica in self._replicas if replica.is_in_turn()]
        _, *answers = await asyncio.gather(self._sampled(), *map(self._answer, asked))
        for replica, replayed in zip(asked, answers, strict=True):
            if replayed is not None:
                replica.note(replayed)

    async def _sampled(self) -> None:
        with suppress(DaystoreError, TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._primary.repeated("read", self._sample)

    async def _sample(self, connection: DriverConnection) -> None:
        time = self._now()
        self._samples.add(time, await self._primary.dialect.position(connection))

    async def _answer(self, replica: Replica) -> Position | None:
        try:
            async with asyncio.timeout(self._patience), replica.pool.connection() as connection:
                replayed = await replica.position(connection)
        except StoreClosed:  # which the read itself finds as well
            return None
        except FAILURES as error:
            replica.failed(error)
            return None
        replica.succeeded()
        return replayed

    @property
    def _patience(self) -> float:
        return min(PATIENCE, self._limit / 4)


def _said(replica: Replica) -> str:
    if replica.trouble is not None:
        return f"{replica.address}: left aside: {replica.trouble}"
    if replica.staleness == math.inf:
        return f"{replica.address}: used, and not known how far behind"
    return f"{replica.address}: used, at most {replica.staleness:.3f} s behind"
