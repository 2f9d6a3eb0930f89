"""Asking the servers: with which concerns, when to ask again, and what becomes of an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from pymongo import ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import InvalidOperation, PyMongoError, WriteConcernError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import SecondaryPreferred
from pymongo.topology_description import TOPOLOGY_TYPE

from daystore.abc import Consistency
from daystore.errors import StoreClosed
from daystore_mongo.documents import Document
from daystore_mongo.errors import BACKEND, UNACKNOWLEDGED, error_of, is_lost, is_passing, unknown
from daystore_mongo.names import collection_name
from daystore_mongo.urls import Client

__all__ = ["Collection", "Connection", "Facts", "Lost", "closed", "concerns_of"]

Collection: TypeAlias = "AsyncCollection[Document]"
T = TypeVar("T")
Ask: TypeAlias = Callable[[], Coroutine[Any, Any, T]]

DELAYS: Final = (0.05, 0.2, 0.6)
"""Seconds before each further attempt of what can be asked again."""
LEAST_STALENESS: Final = 90.0
"""Seconds; servers do not know more exactly how far behind a secondary is."""
ACKNOWLEDGED: Final = WriteConcern("majority", j=True)


class Lost(Exception):
    """The answer to a request for a change was lost; its cause is the driver's error."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the servers.

    Attributes:
        version: Of the server that was asked.
        topology: ``single``, ``replica set`` or ``sharded``.
        on_disk: Whether what is acknowledged is on a disk.
    """

    version: str
    topology: str
    on_disk: bool


def concerns_of(
    consistency: Consistency, *, replicated: bool, secondary: bool
) -> tuple[ReadConcern, SecondaryPreferred | None]:
    """Return how a read is asked for, so that it is as fresh as it has to be.

    Args:
        consistency: What it has to be.
        replicated: Whether there may be more than one server.
        secondary: Whether what need not be fresh is read from a secondary.

    Returns:
        The read concern, and the read preference unless it is the primary.
    """
    if consistency.level == "strong":
        return ReadConcern("linearizable" if replicated else "local"), None
    if not secondary:
        return ReadConcern("local"), None
    if consistency.level == "eventual":
        return ReadConcern("local"), SecondaryPreferred()
    bound = consistency.max_staleness or 0
    if bound < LEAST_STALENESS:
        return ReadConcern("local"), None
    return ReadConcern("local"), SecondaryPreferred(max_staleness=int(bound))


class Connection:
    """A namespace in a database. It belongs to the event loop in which it is made.

    Args:
        client: Made in this event loop.
        database: Name of the database.
        namespace: Of the adapter.
        secondary: Whether what need not be fresh is read from a secondary.
    """

    def __init__(self, client: Client, database: str, namespace: str, *, secondary: bool) -> None:
        self.client: Client = client
        self.namespace: str = namespace
        self.database: AsyncDatabase[Document] = client.get_database(
            database,
            read_preference=ReadPreference.PRIMARY,
            write_concern=ACKNOWLEDGED,
            read_concern=ReadConcern("local"),
        )
        self.replicated: bool = False
        self._secondary = secondary
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._ending: set[asyncio.Future[Any]] = set()

    async def close(self) -> None:
        """End all connections."""
        self._closed = True
        await self.client.close()
        while self._ending:
            await asyncio.wait(self._ending)

    async def learn(self) -> Facts:
        """Ask a server what it is."""
        info = await self.read("open", self.client.server_info)
        kind = self.client.topology_description.topology_type
        sharded = kind == TOPOLOGY_TYPE.Sharded
        self.replicated = sharded or kind == TOPOLOGY_TYPE.ReplicaSetWithPrimary
        topology = "sharded" if sharded else "replica set" if self.replicated else "single"
        on_disk = sharded or "wiredTiger" in info.get("storageEngines", ())
        return Facts(str(info.get("version", "unknown")), topology, on_disk)

    @property
    def busy(self) -> int:
        """How many connections are in use; those that are not are kept, as many as there may be."""
        servers = self.client._topology._servers.values()  # nothing public tells
        return sum(server.pool.active_sockets for server in servers)

    def collection(self, name: str, consistency: Consistency | None = None) -> Collection:
        """Return a collection: to be written to, or to be read from at a level of consistency."""
        return self.raw(collection_name(self.namespace, name), consistency)

    def raw(self, name: str, consistency: Consistency | None = None) -> Collection:
        """Return a collection by the server's name of it."""
        if consistency is None:
            return self.database[name]
        concern, preference = concerns_of(consistency, replicated=self.replicated, secondary=self._secondary)
        return self.database.get_collection(name, read_concern=concern, read_preference=preference)

    async def read(self, operation: str, ask: Ask[T]) -> T:
        """Ask for something that changes nothing, or that may be done twice; as often as it is worth it.

        Raises:
            BackendUnavailable: If no server can be reached, or it answers with an error.
        """
        try:
            return await self._again(ask, is_passing)
        except PyMongoError as error:
            raise error_of(error, operation) from error

    async def write(self, ask: Ask[T]) -> T:
        """Ask for a change; again only if nobody can have made it.

        Raises:
            Lost: If somebody may have made it.
            DaystoreError: If nobody has.
        """
        try:
            return await self._again(ask, lambda error: is_passing(error) and not is_lost(error))
        except WriteConcernError as error:
            raise unknown(UNACKNOWLEDGED) from error
        except PyMongoError as error:
            raise (Lost() if is_lost(error) else error_of(error, "write")) from error

    async def _again(self, ask: Ask[T], is_worth_it: Callable[[PyMongoError], bool]) -> T:
        for delay in DELAYS:
            try:
                return await self._once(ask)
            except PyMongoError as error:
                if not is_worth_it(error):
                    raise
            await asyncio.sleep(delay)
        return await self._once(ask)

    async def _once(self, ask: Ask[T]) -> T:
        """Ask, in a task that is cancelled once at most: cancelled twice, the driver may keep a lock for ever."""
        if self._closed or self._loop is not asyncio.get_running_loop():
            raise closed()
        asking = asyncio.ensure_future(ask())
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._ending.add(asking)
            asking.add_done_callback(self._ended)
            asking.cancel()
            raise
        except InvalidOperation as error:
            if self._closed:
                raise closed() from error
            raise

    def _ended(self, asking: asyncio.Future[Any]) -> None:
        self._ending.discard(asking)
        if not asking.cancelled():
            asking.exception()  # there is nobody to be told


def closed() -> StoreClosed:
    """Make the error of an adapter that is closed."""
    return StoreClosed(
        "the adapter was closed, or opened on another event loop: open it again", backend=BACKEND
    )
