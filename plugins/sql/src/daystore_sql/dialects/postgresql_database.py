"""PostgreSQL's databases: how they are named, and by which driver they are reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final
from urllib.parse import parse_qs, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from daystore.abc import Clock
from daystore.errors import ConfigError
from daystore_sql.config import SQLConfig
from daystore_sql.dialects.postgresql import POSTGRESQL
from daystore_sql.network.driver import Driver
from daystore_sql.network.engine import NetworkEngine

__all__ = ["PostgreSQLDatabase"]

DRIVERS: Final = {
    "asyncpg": ("asyncpg", "AsyncpgDriver", "daystore-sql[postgresql]"),
    "psycopg": ("psycopg", "PsycopgDriver", "daystore-sql[psycopg]"),
}
"""By the name in a URL: the module to import, the class in the module of that name, and what to install."""

PARAMETERS: Final = frozenset(
    {
        "application_name",
        "host",
        "port",
        "ssl",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class PostgreSQLDatabase:
    """One database.

    Attributes:
        driver: By which it is reached: ``asyncpg`` or ``psycopg``.
        dsn: Where it is and who asks, as a URI of libpq. It has the password in it.
        config: Options of the adapter.
        replicas: The same as `dsn` for each of its replicas.
    """

    driver: str
    dsn: str = field(repr=False)
    config: SQLConfig
    replicas: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def from_url(cls, url: str, config: SQLConfig) -> PostgreSQLDatabase:
        """Read a URL: ``postgresql://user:password@host:port/database``, with ``+asyncpg`` or ``+psycopg``.

        Raises:
            ConfigError: If it cannot be used, or that of a replica cannot.
        """
        driver, dsn = cls._read(url)
        replicas = [cls._read_replica(n, url, driver) for n, url in enumerate(config.replicas, start=1)]
        return cls(driver, dsn, config, tuple(replicas))

    @classmethod
    def _read_replica(cls, number: int, url: str, driver: str) -> str:
        if not url.startswith(("postgresql", "postgres")):
            raise ConfigError(
                f"replica {number} is no PostgreSQL: the URL of a replica begins as that of the primary does"
            )
        try:
            found, dsn = cls._read(url)
        except ConfigError as error:
            raise ConfigError(f"replica {number}: {error.message}") from None
        if found != driver:
            raise ConfigError(
                f"replica {number} is reached by {found}, and the primary by {driver}: write "
                f"postgresql+{driver}:// in the URLs of both"
            )
        if "," in _address(dsn):
            raise ConfigError(f"replica {number} is several servers: give each of them a URL of its own")
        return dsn

    @staticmethod
    def _read(url: str) -> tuple[str, str]:
        """Return the driver that a URL names, and the URI of libpq."""
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise ConfigError(
                "not a URL of PostgreSQL; write postgresql://user:password@host:5432/database, "
                "with special characters of the password escaped as in every URL"
            ) from None
        driver = parsed.drivername.partition("+")[2] or "asyncpg"
        if driver not in DRIVERS:
            known = " or ".join(f"postgresql+{name}://" for name in DRIVERS)
            raise ConfigError(
                f"no driver for PostgreSQL is called {driver!r}: write postgresql:// or {known}"
            )
        query = {name: value if isinstance(value, str) else value[-1] for name, value in parsed.query.items()}
        if unknown := sorted(query.keys() - PARAMETERS):
            raise ConfigError(
                f"a URL of PostgreSQL takes no parameter {unknown[0]!r}: there are "
                f"{', '.join(sorted(PARAMETERS))}; the options of the adapter are given beside it, "
                "or in it as daystore_<option>"
            )
        mode = query.pop("ssl", None) or query.get("sslmode")
        if mode is not None:
            query["sslmode"] = {"true": "require", "false": "disable"}.get(mode, mode)
            if query["sslmode"] not in SSL_MODES:
                raise ConfigError(f"sslmode is one of {', '.join(SSL_MODES)}")
        dsn = parsed.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
        try:
            fine = urlsplit(dsn).port != 0 and query.get("port", "1").isdecimal()
        except ValueError:
            fine = False
        if not fine:
            raise ConfigError("the host or the port in the URL of PostgreSQL is none")
        return driver, dsn

    @property
    def is_durable(self) -> bool:
        """Say no: only the server knows."""
        return False

    @property
    def is_far(self) -> bool:
        """Say yes: it is a server."""
        return True

    def engine(self, namespace: str, clock: Clock, timeout: Callable[[], float | None]) -> NetworkEngine:
        """Make the engine of an adapter.

        Raises:
            ConfigError: If the driver is not installed.
        """
        replicas = [(_address(dsn), self._driver(dsn)) for dsn in self.replicas]
        driver = self._driver(self.dsn)
        return NetworkEngine(driver, POSTGRESQL, namespace, clock, self.config, timeout, replicas)

    def _driver(self, dsn: str) -> Driver:
        module, name, extra = DRIVERS[self.driver]
        try:
            import_module(module)
        except ImportError as error:
            raise ConfigError(
                f"PostgreSQL is reached by the driver {module}, which is not installed: pip install '{extra}'"
            ) from error
        found = getattr(import_module(f"daystore_sql.network.drivers.{self.driver}"), name)
        driver: Driver = found(dsn, prepared=self.config.prepared)
        return driver


def _address(dsn: str) -> str:
    """Return host and port, for people."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    host = query["host"][-1] if "host" in query else parts.netloc.rpartition("@")[2].rpartition(":")[0]
    port = query["port"][-1] if "port" in query else str(parts.port or 5432)
    return f"{host or parts.hostname or 'localhost'}:{port}"
