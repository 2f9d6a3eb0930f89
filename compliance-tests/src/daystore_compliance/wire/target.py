"""The target: a server in a thread, so that what is stored outlives the event loop of a case."""

from __future__ import annotations

from typing import Self

from daystore.abc import Clock, StorageAdapter
from daystore_compliance.target import Raw, Target
from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.server import WireServer

__all__ = ["WireTarget"]

PASSWORD = "swordfish-4711"  # noqa: S105 -- of a server that only this process knows


class WireTarget(Target):
    """The wire adapter and a server of its own. Nothing is stored on a disk.

    Attributes:
        adapter: Class of the adapter, for variations of it.
        server: Class of the server, for variations of it.
        secrets: What must not stand in any message.
    """

    name = "wire"
    hooks: frozenset[str] = frozenset({"crash", "fresh", "proxy", "raw", "reopen", "second"})
    disposable = True
    adapter: type[WireAdapter] = WireAdapter
    server: type[WireServer] = WireServer
    secrets: tuple[str, ...] = (PASSWORD,)

    def __init__(self) -> None:
        self._server = self.server(PASSWORD)
        self._reached: tuple[str, int] | None = None

    def start(self) -> None:
        """Start the server."""
        self._server.start()

    def stop(self) -> None:
        """Stop the server."""
        self._server.stop()

    def fresh(self) -> Target:
        """Return another one, with a server of its own."""
        return type(self)()

    def private(self) -> Self:
        """Return another one, with a server of its own that can be killed."""
        other = type(self)()
        other._server = self.server(PASSWORD, keeps=True)
        return other

    def kill(self) -> None:
        """Kill the server."""
        self._server.kill()

    def restart(self) -> None:
        """Start the server again."""
        self._server.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        return self._server.host, self._server.port

    def at(self, host: str, port: int) -> Self:
        """Return this target, with its server reached at another address."""
        other = type(self)()
        other._server = self._server
        other._reached = (host, port)
        return other

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an adapter that is connected to the server."""
        host, port = self._reached or self.address
        adapter = self.adapter(host, port, password=PASSWORD, namespace=namespace, clock=clock)
        await adapter.open()
        return adapter

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Ask the server, past the adapter, what it keeps and who is connected."""
        assert isinstance(adapter, WireAdapter)
        records, connections = await self._server.inspect(adapter.namespace, adapter.client)
        return Raw(records, 0, connections)
