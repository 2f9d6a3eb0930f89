"""Which database a URL names, and what an adapter asks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from daystore.abc import Clock, Consistency, Health, Outcome, Record, WriteBatch
from daystore.errors import ConfigError
from daystore_sql.config import SQLConfig

__all__ = ["Database", "Engine", "database_of"]

T = TypeVar("T")


class Engine(Protocol):
    """One open database."""

    @property
    def is_durable(self) -> bool:
        """Whether an acknowledged write survives a crash of the database's machine; known once started."""

    @property
    def largest(self) -> int | None:
        """Most bytes of a value, if it is less than the adapter's own limit; known once started."""

    async def start(self) -> None:
        """Open the database and bring its layout up to date."""

    async def read(
        self, operation: str, consistency: Consistency, work: Callable[..., T], *arguments: object
    ) -> T:
        """Do something that only reads: `work` is called with a session and the arguments."""

    async def read_records(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        """Read records by key."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Apply a batch."""

    async def ask_writer(self, operation: str, work: Callable[..., T], *arguments: object) -> T:
        """Do something on a connection that may write."""

    async def health(self) -> Health:
        """Write without changing anything, and say what there is to say."""

    async def close(self) -> None:
        """Do what waits, then give back everything."""

    def abandon(self) -> None:
        """Give back what can be given back without waiting."""


class Database(Protocol):
    """One database, not yet open."""

    @property
    def config(self) -> SQLConfig:
        """Options of the adapter."""

    @property
    def is_durable(self) -> bool:
        """Whether it is known, before it is opened, that an acknowledged write survives a crash of the machine."""

    @property
    def is_far(self) -> bool:
        """Whether each request costs a round trip, so that it pays to send single calls together."""

    def engine(self, namespace: str, clock: Clock, timeout: Callable[[], float | None]) -> Engine:
        """Make the engine of an adapter.

        Args:
            namespace: The namespace that the adapter was opened in.
            clock: Where the present instant comes from.
            timeout: Returns how many seconds an operation may take.
        """


def database_of(url: str, config: SQLConfig) -> Database:
    """Read a URL.

    Raises:
        ConfigError: If it names no database that this package speaks to, or not in the way that it must be
        written.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme == "sqlite":
        from daystore_sql.dialects.sqlite_database import SQLiteDatabase

        if config.replicas:
            raise ConfigError("SQLite has no replicas, it is one file: leave the option 'replicas' out")
        return SQLiteDatabase.from_url(url, config)
    if scheme in ("postgresql", "postgres"):
        from daystore_sql.dialects.postgresql_database import PostgreSQLDatabase

        return PostgreSQLDatabase.from_url(url, config)
    if scheme in ("mysql", "mariadb"):
        from daystore_sql.dialects.mysql_database import MySQLDatabase

        return MySQLDatabase.from_url(url, config)
    raise ConfigError(
        "not a URL of a database that daystore-sql speaks to: write sqlite:///agent.db, "
        "postgresql://user@host/database or mysql://user@host/database"
    )
