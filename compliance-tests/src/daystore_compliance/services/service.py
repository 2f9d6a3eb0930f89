"""What a service is: the facts from which a server of it is started."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["LocalProcess", "Service", "fill"]


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """How a server is started without a container, from binaries that are installed.

    In every text, ``{port}`` (``{port2}``, ``{port3}``… where a service has several) is a free port,
    ``{directory}`` an empty directory that goes with the server, and ``{user}`` the user that it runs as.

    Attributes:
        command: The server, which stays in the foreground. The binary is looked up where servers usually are.
        beside: Further servers that belong to it, each started in the same way.
        files: Contents of files, by their names in the directory.
        prepare: Commands that are run before, one after the other: those that initialise a directory.
        settle: Commands that are run once the servers are up, again and again until each has succeeded.
        user: Who runs it where this process is root and the server refuses that.
        stop: The signal that ends it.
        install: The command that installs it, for whoever does not have it.
    """

    command: tuple[str, ...]
    beside: tuple[tuple[str, ...], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[tuple[str, ...], ...] = ()
    settle: tuple[tuple[str, ...], ...] = ()
    user: str | None = None
    stop: signal.Signals = signal.SIGTERM
    install: str = ""

    @property
    def binaries(self) -> list[str]:
        """The binaries that it takes."""
        commands = (*self.prepare, self.command, *self.beside, *self.settle)
        return list(dict.fromkeys(command[0] for command in commands))


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of server, and the ways to get one.

    Attributes:
        name: By which it is chosen; it gives the environment variables, such as ``DAYSTORE_REDIS_URL``.
        image: The official image, with its version; empty if there is none.
        url: What a user would write, with ``{port}`` for the port on 127.0.0.1.
        probe: Sends a real command to the URL, and raises while the server is not ready.
        build: Folder of ``compliance-tests/images`` from which ``daystore/<build>`` is built.
        port: Where the server listens in its container. ``0``: it listens at the numbers that it is told, and is
            reached at the same numbers, for servers that tell clients their own addresses.
        ports: How many ports it takes.
        arguments: Of the container; texts are filled as those of `LocalProcess`.
        environment: Of the container. Passwords in it are known to everybody.
        local: How to start it without a container, if that is possible.
        startup: Seconds after which a server that is not ready has failed.
    """

    name: str
    image: str
    url: str
    probe: Callable[[str], None]
    build: str = ""
    port: int = 0
    ports: int = 1
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    local: LocalProcess | None = None
    startup: float = 60.0

    @property
    def variable(self) -> str:
        """The environment variable that names a server to use."""
        return f"DAYSTORE_{self._upper}_URL"

    @property
    def image_variable(self) -> str:
        """The environment variable that names an image to use."""
        return f"DAYSTORE_{self._upper}_IMAGE"

    @property
    def _upper(self) -> str:
        return self.name.upper().replace("-", "_")


def fill(text: str, ports: list[int], **values: str) -> str:
    """Put ports and other values where a text names them in braces."""
    names = {f"port{number}": str(port) for number, port in enumerate(ports, start=1)}
    for name, value in {"port": str(ports[0]), **names, **values}.items():
        text = text.replace(f"{{{name}}}", value)
    return text
