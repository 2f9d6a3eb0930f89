"""A target whose server is a small program, so that every machine has it."""

import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from daystore.abc import Clock, StorageAdapter
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.services import LocalProcess, Service, ServiceTarget

SERVER = str(Path(__file__).with_name("tiny_server.py"))


def ask(url: str) -> int:
    """Count one up."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=5) as connection:
        connection.sendall(b"add\n")
        return int(connection.makefile().readline())


def probe(url: str) -> None:
    """See whether it answers."""
    ask(url)


def service(*how: str, startup: float = 20) -> Service:
    """Make one that behaves in some way."""
    return Service(
        name="tiny",
        image="",
        url="tiny://:swordfish-77@127.0.0.1:{port}",
        probe=probe,
        local=LocalProcess(
            (sys.executable, SERVER, "{port}", "{directory}", *how), install="apt-get install tiny"
        ),
        startup=startup,
    )


class TinyTarget(ServiceTarget):
    """The reference adapter, opened only where the server answers."""

    name = "tiny"
    service = service()
    hooks = frozenset({"crash", "fresh", "process", "proxy"})

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return one."""
        ask(url)
        return MemoryAdapter(namespace=namespace, clock=clock)


class NeverTarget(TinyTarget):
    """Its server is never ready."""

    service = service("never", startup=0.3)
