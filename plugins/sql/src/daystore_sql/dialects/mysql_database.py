"""Databases of MySQL and MariaDB: how they are named, and how a connection to one is made."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from daystore.abc import Clock
from daystore.errors import ConfigError
from daystore_sql.config import SQLConfig

if TYPE_CHECKING:
    from daystore_sql.network.drivers.asyncmy import AsyncmyDriver
    from daystore_sql.network.engine import NetworkEngine

__all__ = ["MySQLDatabase"]

_FORM: Final = "mysql://user:password@host:3306/database"
_DRIVERS: Final = ("mysql", "mariadb", "mysql+asyncmy", "mariadb+asyncmy")
_MODES: Final = ("disabled", "required", "verify_ca", "verify_identity")
_PARAMETERS: Final = ("ssl_mode", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket", "connect_timeout")


@dataclass(frozen=True, slots=True)
class MySQLDatabase:
    """One database.

    Attributes:
        driver: Makes connections to it.
        config: Options of the adapter.
        replicas: Make connections to its replicas, each with host and port for people.
    """

    driver: AsyncmyDriver
    config: SQLConfig
    replicas: tuple[tuple[str, AsyncmyDriver], ...] = ()

    @classmethod
    def from_url(cls, url: str, config: SQLConfig) -> MySQLDatabase:
        """Read a URL: ``mysql://user:password@host:3306/database``, or the same with ``mariadb``.

        It takes the parameters ``ssl_mode`` (``disabled``, ``required``, ``verify_ca`` or ``verify_identity``,
        which it is unless told if ``ssl_ca`` is given), ``ssl_ca``, ``ssl_cert``, ``ssl_key`` (files),
        ``unix_socket`` and ``connect_timeout`` (seconds).

        Raises:
            ConfigError: If it is none of these, or that of a replica is not, or the driver is not installed.
        """
        replicas = [cls._read_replica(number, url) for number, url in enumerate(config.replicas, start=1)]
        return cls(cls._read(url), config, tuple(replicas))

    @classmethod
    def _read_replica(cls, number: int, url: str) -> tuple[str, AsyncmyDriver]:
        if not url.startswith(("mysql", "mariadb")):
            raise ConfigError(
                f"replica {number} is no MariaDB: the URL of a replica begins as that of the primary does"
            )
        try:
            driver = cls._read(url)
        except ConfigError as error:
            raise ConfigError(f"replica {number}: {error.message}") from None
        return driver.socket or f"{driver.host}:{driver.port}", driver

    @staticmethod
    def _read(url: str) -> AsyncmyDriver:
        """Return what makes connections to a URL."""
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise ConfigError(f"not a URL of MySQL or MariaDB; write {_FORM}") from None
        if parsed.drivername not in _DRIVERS:
            raise ConfigError(f"the only driver of MySQL and MariaDB is asyncmy: write {_FORM}")
        if not parsed.database or not parsed.username:
            raise ConfigError(f"a URL of MySQL or MariaDB names a user and a database: write {_FORM}")
        options = _options(parsed)
        if find_spec("asyncmy") is None:
            raise ConfigError(
                "the driver of MySQL and MariaDB is not installed: pip install 'daystore-sql[mysql]'"
            )
        from daystore_sql.network.drivers.asyncmy import AsyncmyDriver

        return AsyncmyDriver(
            host=parsed.host or "127.0.0.1",
            port=parsed.port or 3306,
            user=parsed.username,
            password=str(parsed.password or ""),
            database=parsed.database,
            socket=options.get("unix_socket"),
            ssl=_ssl(options),
            connect_timeout=_seconds(options.get("connect_timeout", "10")),
        )

    @property
    def is_durable(self) -> bool:
        """Say no: only the server knows."""
        return False

    @property
    def is_far(self) -> bool:
        """Say yes: it is a server."""
        return True

    def engine(self, namespace: str, clock: Clock, timeout: Callable[[], float | None]) -> NetworkEngine:
        """Make the engine of an adapter."""
        from daystore_sql.dialects.mysql import MYSQL
        from daystore_sql.network.engine import NetworkEngine

        return NetworkEngine(self.driver, MYSQL, namespace, clock, self.config, timeout, self.replicas)


def _options(parsed: URL) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parsed.query.items():
        if name not in _PARAMETERS or not isinstance(value, str):
            raise ConfigError(
                f"a URL of MySQL or MariaDB takes each of the parameters {', '.join(_PARAMETERS)} once, "
                "and no other; the options of the adapter are given beside it, or in it as daystore_<option>"
            )
        options[name] = value
    return options


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise ConfigError(
            "'connect_timeout' in a URL of MySQL or MariaDB is a number of seconds from 1 to 3600"
        )
    return seconds


def _ssl(options: dict[str, str]) -> ssl.SSLContext | None:
    """Return how TLS is spoken; ``None`` for not at all."""
    certificate = options.get("ssl_ca")
    key = options.get("ssl_cert"), options.get("ssl_key")
    mode = options.get(
        "ssl_mode", "verify_identity" if certificate else "required" if any(key) else "disabled"
    )
    if mode not in _MODES:
        raise ConfigError(f"'ssl_mode' in a URL of MySQL or MariaDB is one of {', '.join(_MODES)}")
    if mode == "disabled":
        if certificate or any(key):
            raise ConfigError("a URL of MySQL or MariaDB with ssl_mode=disabled takes no certificates")
        return None
    try:
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = mode == "verify_identity"
        context.verify_mode = ssl.CERT_NONE if mode == "required" else ssl.CERT_REQUIRED
        if key[0]:
            context.load_cert_chain(key[0], key[1])
    except (OSError, ssl.SSLError):
        raise ConfigError(
            "a file of 'ssl_ca', 'ssl_cert' or 'ssl_key' cannot be read, or holds no certificate or no key"
        ) from None
    return context
