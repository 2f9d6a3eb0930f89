"""The backends that are measured, behind one form."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from benchmarks.subjects import Field, mariadb, memory, mongo, postgresql, redis, s3, sqlite


class Module(Protocol):
    """What a module of `benchmarks.subjects` has that is about a backend."""

    def workspace(self, url: str, /) -> AbstractAsyncContextManager[str]:
        """Yield the URL of an empty place at the server, and remove it at the end."""

    async def version(self, url: str, /) -> str:
        """Say which server and which drivers this is."""

    async def settle(self, url: str, /) -> None:
        """Bring the server's statistics up to date after many writes."""

    def subjects(self, url: str, /) -> AbstractAsyncContextManager[Field]:
        """Yield everything that keeps values there."""


@dataclass(frozen=True)
class Backend:
    """A backend that is measured.

    Attributes:
        title: Its name, for people.
        module: What is about it alone.
        target: The compliance suite's target whose server it needs; ``None`` if it is embedded.
        grows: Whether it is measured how it grows.
        most: Values of each subject at most, where a request takes long.
        latency: Milliseconds that the way to the server and back takes longer than it does.
    """

    title: str
    module: Module
    target: str | None = None
    grows: bool = True
    most: int | None = None
    latency: float = 0.0


BACKENDS = {
    "sqlite": Backend("SQLite", sqlite),
    "memory": Backend("Memory", memory, grows=False),
    "redis": Backend("Redis", redis, "redis"),
    "postgresql": Backend("PostgreSQL", postgresql, "postgresql"),
    "mariadb": Backend("MariaDB", mariadb, "mariadb"),
    "mongo": Backend("MongoDB", mongo, "mongo"),
    "s3": Backend("S3", s3, "s3", grows=False, most=500),
    "s3-20ms": Backend("S3, 20 ms away", s3, "s3", grows=False, most=200, latency=20.0),
}
