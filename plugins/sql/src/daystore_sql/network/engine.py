"""An open database in a network: its server, the replicas of that, and what goes to which of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from daystore.abc import Clock, Consistency, Health, Outcome, Record, WriteBatch
from daystore_sql.config import SQLConfig
from daystore_sql.dialects.network import NetworkDialect
from daystore_sql.errors import unavailable
from daystore_sql.layout import prepare
from daystore_sql.network.driver import Driver
from daystore_sql.network.positions import Samples
from daystore_sql.network.primary import Primary
from daystore_sql.network.reading import Reader
from daystore_sql.network.replica import Replica
from daystore_sql.network.replicas import Replicas
from daystore_sql.network.sweeping import Sweeper
from daystore_sql.network.writing import Writer
from daystore_sql.session import Session, check_health

__all__ = ["NetworkEngine"]

T = TypeVar("T")


class NetworkEngine:
    """One open database.

    Args:
        driver: Makes connections to its server.
        dialect: Says what is sent.
        namespace: The namespace that the adapter was opened in.
        clock: Where the present instant comes from.
        config: Options of the adapter.
        timeout: Returns how many seconds an operation may take.
        replicas: Makes connections to replicas, by their addresses for people.

    Attributes:
        primary: Its server.
        writer: Writes there.
        sweeper: Removes what has expired.
        replicas: The replicas; ``None`` if there are none.
    """

    def __init__(
        self,
        driver: Driver,
        dialect: NetworkDialect,
        namespace: str,
        clock: Clock,
        config: SQLConfig,
        timeout: Callable[[], float | None],
        replicas: Sequence[tuple[str, Driver]] = (),
    ) -> None:
        size = config.connections
        self._timeout = timeout
        self.primary: Primary = Primary(driver, dialect, namespace, clock, size, timeout)
        self._reader = Reader(self.primary)
        self.sweeper: Sweeper = Sweeper(self.primary, config.sweep_interval)
        self.writer: Writer = Writer(self.primary, self._reader, self.sweeper)
        self.replicas: Replicas | None = None
        if replicas:
            now, samples = asyncio.get_running_loop().time, Samples()
            known = [
                Replica(there, dialect, namespace, clock, size, address, samples, now)
                for address, there in replicas
            ]
            self.replicas = Replicas(self.primary, known, samples, now, timeout)

    # --- Life ------------------------------------------------------------------------------------------------

    @property
    def is_durable(self) -> bool:
        """Whether the server waits for the disk before it acknowledges a commit."""
        facts = self.primary.facts
        return facts is not None and facts.durable

    @property
    def largest(self) -> int | None:
        """Most bytes of a value that the server takes, if it is less than the adapter's own limit."""
        facts = self.primary.facts
        return None if facts is None else facts.largest

    async def start(self) -> None:
        """Connect and bring the layout up to date.

        Raises:
            BackendUnavailable: If the server cannot be reached or used.
        """
        self.primary.start()
        try:
            async with asyncio.timeout(self._timeout()):
                await self.ask_writer("open", _prepare)
                self.primary.known.last_shape = await self.ask_writer("open", Session.last_shape)
                if self.replicas is not None:
                    await self.replicas.start()
        except TimeoutError as error:
            self.abandon()
            raise unavailable("the server did not answer in time", "open") from error
        except BaseException:
            self.abandon()
            raise

    async def close(self) -> None:
        """End what goes on and give back the connections."""
        await self.sweeper.close()
        if self.replicas is not None:
            await self.replicas.close()
        await self.primary.close()

    def abandon(self) -> None:
        """Give back what can be given back without waiting."""
        if self.replicas is not None:
            self.replicas.abandon()
        self.primary.abandon()

    async def health(self) -> Health:
        """Ask the replicas how far they are, and write without changing anything; which they need not follow yet.

        Raises:
            BackendUnavailable: If the server cannot be reached, or refuses.
        """
        there = {} if self.replicas is None else await self.replicas.about()
        return Health(True, {**await self.ask_writer("health", check_health), **there})

    # --- Reading and writing ---------------------------------------------------------------------------------

    async def read_records(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        """Read records by key.

        What is being changed by a transaction of several backends is for the primary: what became of that is
        settled there, and what is read with it has to be as new.
        """
        if self.replicas is not None and consistency.level != "strong":
            found = await self.replicas.read(
                consistency, lambda reader, run: reader.read_records(run, collection, keys)
            )
            if found is not None and all(record is None or record.intent is None for record in found):
                return found
        return await self._reader.read_records(self.primary.repeated, collection, keys)

    async def read(
        self, operation: str, consistency: Consistency, work: Callable[..., T], *arguments: object
    ) -> T:
        """Do something that only reads, and returns something."""
        if self.replicas is not None and consistency.level != "strong":
            found = await self.replicas.read(
                consistency, lambda reader, run: reader.read(run, operation, work, *arguments)
            )
            if found is not None:
                return found
        return await self._reader.read(self.primary.repeated, operation, work, *arguments)

    async def ask_writer(self, operation: str, work: Callable[..., T], *arguments: object) -> T:
        """Do something on a connection to the primary: `work` begins and ends its own transactions."""
        return await self._reader.ask(self.primary.repeated, operation, work, *arguments)

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch."""
        return await self.writer.write(batch)


def _prepare(session: Session) -> None:
    prepare(session.connection, session.dialect)
