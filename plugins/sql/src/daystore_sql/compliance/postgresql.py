"""The targets of the compliance suite that are PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any, ClassVar, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import asyncpg

from daystore.abc import Clock, StorageAdapter
from daystore_compliance.services import LocalProcess, Service, ServiceTarget
from daystore_compliance.target import Raw
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.swept import swept
from daystore_sql.dialects.postgresql_database import PostgreSQLDatabase

__all__ = [
    "INITDB",
    "PASSWORD",
    "SERVER",
    "PgBouncerTarget",
    "PostgreSQLTarget",
    "PsycopgTarget",
    "ask",
    "name_of",
    "waited",
]

T = TypeVar("T")

PASSWORD: Final = "swordfish-4711"  # noqa: S105 -- of servers that only the suite starts


def waited(work: Coroutine[Any, Any, T]) -> T:
    """Wait for something where an event loop may be running already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def ask(url: str, text: str, *parameters: object) -> list[Any]:
    """Execute a statement on a connection of its own, and return its rows."""
    connection = await asyncpg.connect(_plain(url), statement_cache_size=0, timeout=10)
    try:
        async with connection.transaction():
            rows: list[Any] = await connection.fetch(text, *parameters)
    finally:
        connection.terminate()
    return rows


async def _execute(url: str, text: str) -> None:
    connection = await asyncpg.connect(_plain(url), timeout=10)
    try:
        await connection.execute(text)
    finally:
        connection.terminate()


def _plain(url: str) -> str:
    """Return the part of a URL that any driver understands."""
    parts = urlsplit(url)
    return parts._replace(scheme="postgresql", query="").geturl()


def _probe(url: str) -> None:
    waited(ask(url, "SELECT 1"))


INITDB: Final = (
    "initdb",
    "--pgdata={directory}/data",
    "--username=postgres",
    "--pwfile={directory}/password",
    "--auth-local=trust",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--no-sync",
)
"""Makes the directory of a server."""
SERVER: Final = (
    "postgres",
    "-D",
    "{directory}/data",
    "-c",
    "unix_socket_directories={directory}",
    "-c",
    "max_connections=300",
)
"""Starts a server, without a port."""

POSTGRESQL = Service(
    name="postgresql",
    image="postgres:17",
    build="postgres",
    port=5432,
    url=f"postgresql://postgres:{PASSWORD}@127.0.0.1:{{port}}/postgres",
    probe=_probe,
    arguments=("postgres", "-c", "max_connections=300"),
    environment={"POSTGRES_PASSWORD": PASSWORD},
    local=LocalProcess(
        (*SERVER, "-p", "{port}", "-c", "listen_addresses=127.0.0.1"),
        files={"password": PASSWORD},
        prepare=(INITDB,),
        user="postgres",
        install="apt-get install postgresql",
    ),
)

PGBOUNCER = Service(
    name="pgbouncer",
    image="",
    build="pgbouncer",
    port=6432,
    url=f"postgresql://postgres:{PASSWORD}@127.0.0.1:{{port}}/postgres",
    probe=_probe,
    environment={"POSTGRES_PASSWORD": PASSWORD},
    local=LocalProcess(
        ("pgbouncer", "{directory}/pgbouncer.ini"),
        beside=((*SERVER, "-p", "5432", "-c", "listen_addresses="),),
        files={
            "password": PASSWORD,
            "users.txt": f'"postgres" "{PASSWORD}"',
            "pgbouncer.ini": (
                "[databases]\n* = host={directory} port=5432 user=postgres\n"
                "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
                "auth_type = scram-sha-256\nauth_file = {directory}/users.txt\n"
                "pool_mode = transaction\nmax_client_conn = 500\ndefault_pool_size = 40\n"
                "server_check_delay = 0\nserver_login_retry = 0.1\n"
            ),
        },
        prepare=(INITDB,),
        user="postgres",
        install="apt-get install postgresql pgbouncer",
    ),
)

_COUNT = """
SELECT
  (SELECT count(*) FROM ds_record r JOIN ds_scope s ON s.id = r.scope WHERE s.namespace = $1),
  (SELECT count(*) FROM ds_field f JOIN ds_name n ON n.id = f.field JOIN ds_scope s ON s.id = n.scope
    WHERE s.namespace = $1),
  (SELECT count(*) FROM pg_stat_activity WHERE application_name = $2)
"""


class PostgreSQLTarget(ServiceTarget):
    """PostgreSQL, by asyncpg. Each process of a run has a database of its own."""

    name = "postgresql"
    service: ClassVar[Service] = POSTGRESQL
    driver: ClassVar[str] = "asyncpg"
    hooks: frozenset[str] = frozenset(
        {"crash", "fresh", "future", "process", "proxy", "raw", "reopen", "second"}
    )

    def for_worker(self, url: str, worker: str) -> str:
        """Return the URL of a database of the process, made if it is not there."""
        parts = urlsplit(url)
        name = f"{parts.path.removeprefix('/')}_{worker}" if worker else ""
        there = _in_database(url, name) if name else url
        if name:
            waited(_create(url, name))
        return self._driven(there)

    def _driven(self, url: str) -> str:
        """Return a URL with the driver of this target, unless it names one itself."""
        parts = urlsplit(url)
        if "+" in parts.scheme:
            return url
        return parts._replace(scheme=f"postgresql+{self.driver}").geturl()

    def fresh(self) -> Self:
        """Return another one, in a database of its own on the same server."""
        other = copy(self)
        other._serving, other._started = type(self._serving)(), type(self._started)()
        name = f"fresh_{os.urandom(6).hex()}"
        other._shared = _in_database(self.url, name)
        other.start = lambda: other._made(name)  # type: ignore[method-assign]
        return other

    def _made(self, name: str) -> None:
        there = self._shared or ""
        server = _in_database(there, "postgres")
        waited(_create(server, name))
        self._started.callback(lambda: waited(_execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')))
        self._reach(self._driven(there))

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return a closed adapter, which the server knows by a name of its own."""
        mark = "&" if urlsplit(url).query else "?"
        named = f"{url}{mark}application_name=suite-{os.urandom(6).hex()}"
        return SQLAdapter.from_url(named, namespace=namespace, clock=clock)

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count rows, and the connections that the server has of the adapter."""
        name = name_of(adapter)
        await swept(adapter)
        ((records, entries, connections),) = await ask(self.url, _COUNT, adapter.namespace.encode(), name)
        return Raw(records, entries, connections)

    def from_the_future(self) -> Callable[[], None]:
        """Stamp the database with a layout that is still to come."""
        ((layout,),) = waited(ask(self.url, "SELECT version_num FROM ds_layout"))
        stamp = "UPDATE ds_layout SET version_num = $1 RETURNING 1"
        waited(ask(self.url, stamp, "9999"))

        def back() -> None:
            waited(ask(self.url, stamp, layout))

        return back


def name_of(adapter: StorageAdapter) -> str:
    """Return the name by which the server knows an adapter."""
    if not isinstance(adapter, SQLAdapter) or not isinstance(adapter.database, PostgreSQLDatabase):
        raise TypeError("the target opens adapters of PostgreSQL only")
    query = urlsplit(adapter.database.dsn).query
    return dict(part.split("=", 1) for part in query.split("&"))["application_name"]


def _in_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{quote(name)}").geturl()


async def _create(url: str, name: str) -> None:
    if not await ask(url, "SELECT 1 FROM pg_database WHERE datname = $1", name):
        await _execute(url, f'CREATE DATABASE "{name}" TEMPLATE template0')


class PsycopgTarget(PostgreSQLTarget):
    """PostgreSQL, by psycopg."""

    name = "postgresql-psycopg"
    driver: ClassVar[str] = "psycopg"


class PgBouncerTarget(PostgreSQLTarget):
    """PostgreSQL behind PgBouncer, which gives a client a server for one transaction."""

    name = "sql-pgbouncer"
    driver: ClassVar[str] = "psycopg"  # which takes one round trip for a statement that is not prepared
    service: ClassVar[Service] = PGBOUNCER

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count rows; the connections to the server are the pooler's."""
        found = await super().raw(adapter)
        return Raw(found.records, found.entries)
