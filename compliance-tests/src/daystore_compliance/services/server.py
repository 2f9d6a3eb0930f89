"""A server that runs, and what every way of running one has in common."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import ClassVar, Final

from daystore.config.secrets import mask_text, mask_url
from daystore_compliance.services import undo
from daystore_compliance.services.service import Service, fill

__all__ = [
    "LOOPBACK",
    "GivenServer",
    "Server",
    "ServiceUnavailable",
    "described",
    "filled_url",
    "free_ports",
]

LOOPBACK: Final = "127.0.0.1"
_INTERVAL: Final = 0.05
_LOG_LINES: Final = 20


class ServiceUnavailable(Exception):
    """There is no server, or it does not answer. The message says what was tried, and what helps."""


class Server(ABC):
    """A server of a service.

    Args:
        service: Of which it is one.
        url: Where it is.

    Attributes:
        kind: What runs it: ``container``, ``process`` or ``url``.
    """

    kind: ClassVar[str]

    def __init__(self, service: Service, url: str) -> None:
        self.service: Service = service
        self.url: str = url

    @property
    def facts(self) -> Mapping[str, str]:
        """What is known of it besides what it says of itself, such as its image."""
        return {}

    @property
    @abstractmethod
    def record(self) -> Mapping[str, str]:
        """By what another process finds it again, to end it."""

    @property
    def obituary(self) -> str | None:
        """Why it has ended; ``None`` while it runs."""
        return None

    @property
    def log(self) -> str:
        """What it has written so far."""
        return ""

    @abstractmethod
    def start(self) -> None:
        """Start it, without waiting until it is ready."""

    @abstractmethod
    def stop(self) -> None:
        """End it, and remove what it leaves behind. Does nothing if it has been stopped."""

    def settle(self) -> bool:
        """Do what is left to do once the server runs; return whether that is done."""
        return True

    @abstractmethod
    def kill(self) -> None:
        """End it at once, as ``kill -9`` does. Its data and its address stay."""

    @abstractmethod
    def resume(self) -> None:
        """Start it again after `kill`, without waiting until it is ready."""

    def restart(self) -> None:
        """Start it again after `kill`, with the same data and at the same address, and wait until it is ready.

        Raises:
            ServiceUnavailable: If it does not become ready in time.
        """
        self.resume()
        self.wait()

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start, wait until it is ready, and stop at the end of the block, whatever ends it."""
        with undo.stopping(self):
            self.start()
            self.wait()
            yield self

    def wait(self) -> None:
        """Wait until the service's probe succeeds.

        Raises:
            ServiceUnavailable: If the server ends before that, or takes too long. The message ends with the last
                lines of its log.
        """
        deadline = time.monotonic() + self.service.startup
        while True:
            failure: BaseException | None = None
            try:
                if self.settle():
                    self.service.probe(self.url)
                    return
            except Exception as error:  # noqa: BLE001 -- whatever a client raises while the server is not there
                failure = error
            if obituary := self.obituary:
                raise self._unavailable(f"has ended before it was ready: {obituary}", failure)
            if time.monotonic() > deadline:
                told = f"was not ready after {self.service.startup:g} s"
                raise self._unavailable(told, failure)
            time.sleep(_INTERVAL)

    def _unavailable(self, told: str, failure: BaseException | None) -> ServiceUnavailable:
        lines = [f"the {self.service.name} server ({self.kind}) {told}"]
        if failure is not None:
            lines.append(f"the probe of {mask_url(self.url)} said: {described(failure)}")
        if last := self.log.splitlines()[-_LOG_LINES:]:
            lines += ["its log ends:", *(f"  {mask_text(line)}" for line in last)]
        return ServiceUnavailable("\n".join(lines))


class GivenServer(Server):
    """A server that somebody else runs. Nothing of it is started or ended."""

    kind: ClassVar[str] = "url"

    @property
    def record(self) -> Mapping[str, str]:
        """Nothing: it is not ours to end."""
        return {}

    def start(self) -> None:
        """Leave it as it is."""

    def wait(self) -> None:
        """Ask it once.

        Raises:
            ServiceUnavailable: If it does not answer.
        """
        try:
            self.service.probe(self.url)
        except Exception as error:  # noqa: BLE001 -- as above
            told = (
                f"the {self.service.name} server at {mask_url(self.url)} does not answer: {described(error)}"
            )
            raise ServiceUnavailable(
                f"{told}\nIt was named by --url or {self.service.variable}, so nothing else was tried."
            ) from None

    def stop(self) -> None:
        """Leave it as it is."""

    def kill(self) -> None:
        """Refuse.

        Raises:
            ServiceUnavailable: Always.
        """
        raise ServiceUnavailable("a server that was named by a URL is not ours to kill")

    def resume(self) -> None:
        """Refuse.

        Raises:
            ServiceUnavailable: Always.
        """
        self.kill()


def described(error: BaseException) -> str:
    """Say in one line what a client raised."""
    return f"{type(error).__name__}: {mask_text(str(error).partition(chr(10))[0])}"


def free_ports(number: int) -> list[int]:
    """Find ports on 127.0.0.1 that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(number)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


def filled_url(service: Service, ports: list[int]) -> str:
    """Return the URL of a service whose ports are known."""
    return fill(service.url, ports)
