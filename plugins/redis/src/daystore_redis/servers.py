"""Which server has a shard: the only one, the one that Sentinel calls the master, or a node of a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias

from redis.exceptions import ResponseError

from daystore.errors import BackendUnavailable
from daystore_redis.connection import Lost, NotSent, Refused
from daystore_redis.errors import unavailable
from daystore_redis.packing import command
from daystore_redis.pool import Pool

__all__ = ["Address", "Alone", "Cluster", "Endpoint", "Sentinel", "Servers"]

Address: TypeAlias = tuple[str, int]
"""Host and port."""

_DELAYS: Final = (0.0, 0.01, 0.05)
_PATIENT: Final = (0.0, 0.01, 0.05, 0.25, 0.5, 1.0, 1.0)


class Endpoint:
    """How to connect.

    Args:
        kind: Class of the driver's connections.
        options: What they are made with, but for host and port.
    """

    def __init__(self, kind: type[Any], options: Mapping[str, Any]) -> None:
        self._kind = kind
        self._options = dict(options)

    def pool(self, size: int, address: Address | None = None, *, timed: bool = True) -> Pool:
        """Make a pool of connections to an address; without one, to that of the options."""
        options = self._options
        if address is not None:
            options = {**options, "host": address[0], "port": address[1]}
        return Pool(lambda: self._kind(**options), size, timed=timed)


class Servers(ABC):
    """Where to send what belongs to a shard. It belongs to the event loop in which it is made.

    Attributes:
        delays: Seconds to wait before each attempt.
    """

    delays: ClassVar[Sequence[float]] = _DELAYS

    @abstractmethod
    async def pool_of(self, shard: int) -> Pool:
        """Return the connections to the server of a shard.

        Raises:
            NotSent: If nobody says which server that is.
            Refused: If those who know do not accept the credentials.
        """

    @abstractmethod
    def pools(self) -> Iterable[Pool]:
        """Return all connections."""

    def forget(self) -> None:
        """Doubt what is known of which server has what."""

    def learn(self, shard: int, address: Address) -> None:
        """Hear that a shard has moved.

        Raises:
            BackendUnavailable: If it is not a cluster that we were told of.
        """
        raise _unexpected_cluster()

    def pool_at(self, address: Address) -> Pool:
        """Return the connections to a node that another one has named.

        Raises:
            BackendUnavailable: If it is not a cluster that we were told of.
        """
        raise _unexpected_cluster()

    async def close(self) -> None:
        """End all connections."""
        for pool in self.pools():
            await pool.close()


class Alone(Servers):
    """One server.

    Args:
        endpoint: How to connect to it.
        size: How many connections at most.
    """

    def __init__(self, endpoint: Endpoint, size: int) -> None:
        self._pool = endpoint.pool(size)

    async def pool_of(self, shard: int) -> Pool:
        """Return the connections."""
        return self._pool

    def pools(self) -> Iterable[Pool]:
        """Return the connections."""
        return (self._pool,)


class Sentinel(Servers):
    """The master of a service that Sentinel watches.

    Args:
        endpoint: How to connect to the master.
        sentinels: The endpoint of the sentinels, and where they are.
        service: Name of the service.
        size: How many connections at most.
    """

    delays: ClassVar[Sequence[float]] = _PATIENT

    def __init__(
        self, endpoint: Endpoint, sentinels: tuple[Endpoint, Sequence[Address]], service: str, size: int
    ) -> None:
        self._endpoint = endpoint
        self._sentinels = [sentinels[0].pool(1, address, timed=False) for address in sentinels[1]]
        self._question = command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        self._size = size
        self._masters: dict[Address, Pool] = {}
        self._master: Pool | None = None

    async def pool_of(self, shard: int) -> Pool:
        """Return the connections to the master; the sentinels are asked who that is, if it is in doubt."""
        if self._master is None:
            address = await self._asked()
            if address not in self._masters:
                self._masters[address] = self._endpoint.pool(self._size, address)
            self._master = self._masters[address]
        return self._master

    async def _asked(self) -> Address:
        failure: BaseException | None = None
        for pool in self._sentinels:
            try:
                found = await pool.ask(self._question)
            except (NotSent, Lost) as error:
                failure = error.__cause__
                continue
            except ResponseError as error:
                raise Refused from error
            if found is not None:
                return found[0].decode(), int(found[1])
            failure = LookupError("a sentinel knows no such service")
        raise NotSent from failure

    def forget(self) -> None:
        """Doubt that the master is still the master."""
        self._master = None

    def pools(self) -> Iterable[Pool]:
        """Return the connections to the masters there were, and to the sentinels."""
        return [*self._masters.values(), *self._sentinels]


class Cluster(Servers):
    """The nodes of a cluster.

    Args:
        endpoint: How to connect to a node.
        seeds: Nodes that know the others.
        slots: The slot of each shard.
        size: How many connections to each node at most.
    """

    delays: ClassVar[Sequence[float]] = _PATIENT

    def __init__(self, endpoint: Endpoint, seeds: Sequence[Address], slots: Sequence[int], size: int) -> None:
        self._endpoint = endpoint
        self._seeds = list(seeds)
        self._slots = slots
        self._size = size
        self._nodes: dict[Address, Pool] = {}
        self._homes: dict[int, Address] = {}

    async def pool_of(self, shard: int) -> Pool:
        """Return the connections to the master that has the slot of a shard."""
        home = self._homes.get(shard)
        if home is None:
            await self._discover()
            home = self._homes.get(shard)
            if home is None:
                raise NotSent from LookupError("no node of the cluster has this slot")
        return self.pool_at(home)

    async def _discover(self) -> None:
        failure: BaseException | None = None
        for address in dict.fromkeys([*self._seeds, *self._nodes]):
            try:
                ranges = await self.pool_at(address).ask(_SLOTS)
            except (NotSent, Lost) as error:
                failure = error.__cause__
                continue
            except ResponseError as error:
                raise Refused from error
            for low, high, master, *_ in ranges:
                host = master[0].decode() if master[0] else address[0]
                for shard, slot in enumerate(self._slots):
                    if low <= slot <= high:
                        self._homes[shard] = (host, int(master[1]))
            return
        raise NotSent from failure

    def forget(self) -> None:
        """Doubt which node has which slot."""
        self._homes.clear()

    def learn(self, shard: int, address: Address) -> None:
        """Hear from a node that another one has the slot of a shard."""
        self._homes[shard] = address

    def pool_at(self, address: Address) -> Pool:
        """Return the connections to a node."""
        if address not in self._nodes:
            self._nodes[address] = self._endpoint.pool(self._size, address)
        return self._nodes[address]

    def pools(self) -> Iterable[Pool]:
        """Return the connections to all nodes."""
        return [*self._nodes.values()]


def _unexpected_cluster() -> BackendUnavailable:
    return unavailable("the server is a node of a cluster: use a 'redis+cluster://' URL", retryable=False)


_SLOTS: Final = command("CLUSTER", "SLOTS")
