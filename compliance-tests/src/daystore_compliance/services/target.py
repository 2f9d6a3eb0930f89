"""Targets whose backend is a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from copy import copy
from typing import ClassVar, Self
from urllib.parse import SplitResult, unquote, urlsplit

from daystore.abc import Clock, StorageAdapter
from daystore_compliance.services.ladder import provide
from daystore_compliance.services.server import Server, ServiceUnavailable
from daystore_compliance.services.service import Service
from daystore_compliance.target import Target

__all__ = ["ServiceTarget"]


class ServiceTarget(Target):
    """A backend that is reached through a server. A subclass names the `service`, and makes the `adapter`.

    A run has one server, which its main process starts (`serve`) and hands to the other processes by its URL
    (`use`). A target that nobody served starts one of its own.

    Args:
        url: Of a server that runs. Unless it or an image is given, the service's environment variable tells it.
        image: Of which container the server has to be; the service's environment variable unless given.

    Attributes:
        service: What it needs.
        image: Of which container the server has to be; ``None`` for the service's own.
        run: The run that it is a part of; a label of its containers.
        url: Where the server is, for this process; empty before it is started.
    """

    service: ClassVar[Service]
    kind: str = "service"

    def __init__(self, url: str | None = None, image: str | None = None) -> None:
        named = None if image else os.environ.get(self.service.variable)
        self._given: str | None = url or named
        self.image: str | None = image or os.environ.get(self.service.image_variable)
        self.run: str = ""
        self.url: str = ""
        self._shared: str | None = None
        self._server: Server | None = None
        self._serving = ExitStack()
        self._started = ExitStack()
        self._is_own = False
        if self._given:
            started = {"crash"} if type(self).fresh is not ServiceTarget.fresh else {"crash", "fresh"}
            self.hooks: frozenset[str] = type(self).hooks - started

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return a closed adapter for a URL of the service."""
        raise NotImplementedError("a target of a service makes adapters")

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an open adapter."""
        adapter = self.adapter(self.url, namespace, clock)
        await adapter.open()
        return adapter

    # --- The server of a run ---------------------------------------------------------------------------------

    def serve(self) -> str:
        """Provide the server of a run, and return its URL.

        Raises:
            ServiceUnavailable: If there is none.
        """
        server = provide(self.service, url=self._given, image=self.image, run=self.run)
        self._server = self._serving.enter_context(server)
        self.kind = self._server.kind
        self._shared = self._server.url
        return self._shared

    def use(self, url: str) -> None:
        """Use the server that another process of the run provides."""
        self._shared = url

    @property
    def shared(self) -> str | None:
        """The URL of the server of the run; ``None`` while there is none."""
        return self._shared

    def withdraw(self) -> None:
        """End what `serve` has started."""
        self._serving.close()
        self._shared = self._server = None

    @property
    def facts(self) -> Mapping[str, str]:
        """What is known of the server besides what it says of itself, such as its image."""
        return {} if self._server is None else self._server.facts

    def for_worker(self, url: str, worker: str) -> str:
        """Return the URL that one process of a run uses, where each has to have a database of its own.

        The clocks of cases do not agree: if what has expired for one of them can be reclaimed for all, they must
        not share a database. What has to be created for the URL is created here, if it is not there yet.

        Args:
            url: Of the server.
            worker: Name of the process, such as ``gw0``; empty where there is only one.
        """
        return url

    # --- A target's life -------------------------------------------------------------------------------------

    @property
    def disposable(self) -> bool:  # type: ignore[override]
        """Whether the data go with the server."""
        return self._given is None

    def start(self) -> None:
        """Take the server of the run, or start one."""
        if self._shared is None:
            self.serve()
            self._started.callback(self.withdraw)
            self._is_own = self._given is None
        assert self._shared is not None
        self._reach(self.for_worker(self._shared, os.environ.get("PYTEST_XDIST_WORKER", "")))

    def stop(self) -> None:
        """End the server, if it is this target's own."""
        self._started.close()

    def fresh(self) -> Target:
        """Return another one, with a server of its own."""
        return self.private()

    def private(self) -> Self:
        """Return another target, with a server that nobody else uses; it has not been started."""
        other = copy(self)
        other._started, other._serving = ExitStack(), ExitStack()
        other._given = other._shared = other._server = None
        other._is_own = False
        other.url = ""
        return other

    def elsewhere(self) -> str:
        """Return the URL."""
        return self.url

    # --- Another address -------------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def at(self, host: str, port: int) -> Self:
        """Return this target, with its server reached at another address."""
        other = copy(self)
        other._started, other._serving = ExitStack(), ExitStack()
        parts = urlsplit(self.url)
        credentials, at, _ = parts.netloc.rpartition("@")
        other._reach(parts._replace(netloc=f"{credentials}{at}{host}:{port}").geturl())
        return other

    def _reach(self, url: str) -> None:
        self.url = url
        self.secrets: tuple[str, ...] = tuple(sorted(_passwords(urlsplit(url))))

    # --- A server that dies ----------------------------------------------------------------------------------

    def kill(self) -> None:
        """Kill the server, as ``kill -9`` does. Only a server of this target's own can be killed.

        Raises:
            ServiceUnavailable: If others use it, or somebody else started it.
        """
        self._own.kill()

    def restart(self) -> None:
        """Start the killed server again, with its data and at its address, and wait until it is ready.

        Raises:
            ServiceUnavailable: If it does not become ready.
        """
        self._own.restart()

    @property
    def _own(self) -> Server:
        if self._server is None or not self._is_own:
            raise ServiceUnavailable("only a target that is private() has a server that it may kill")
        return self._server


def _passwords(parts: SplitResult) -> set[str]:
    password = parts.password or ""
    return {password, unquote(password)} - {""}
