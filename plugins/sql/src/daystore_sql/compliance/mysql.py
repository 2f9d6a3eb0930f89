"""MariaDB and MySQL as targets of the compliance suite: it needs ``daystore-compliance`` installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, fields, replace
from threading import Thread
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import quote, urlsplit

from daystore.abc import Clock, StorageAdapter
from daystore_compliance.services import LocalProcess, Service, ServiceTarget
from daystore_compliance.target import Raw
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.swept import swept
from daystore_sql.config import SQLConfig
from daystore_sql.dialects.mysql_database import MySQLDatabase
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection, AsyncmyDriver

__all__ = ["MARIADB", "MYSQL", "MariaDBTarget", "MySQLTarget", "ask"]

T = TypeVar("T")

_PASSWORD: Final = "swordfish-4711"  # noqa: S105 -- of servers that go with the run


def ask(url: str, text: str, *parameters: object) -> Sequence[Sequence[Any]]:
    """Execute a statement, wherever this is called from, and return its rows."""

    async def asked() -> Sequence[Sequence[Any]]:
        connection: AsyncmyConnection = await MySQLDatabase.from_url(url, SQLConfig()).driver.connect()
        try:
            return await connection.fetch(text, parameters)
        finally:
            await connection.close()

    return _elsewhere(asked())


def _elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own, in a thread: it does not matter where this is called."""
    ended: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            ended.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 -- it is raised where it was asked for
            failed.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return ended[0]


def _probe(url: str) -> None:
    ask(url, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ?", "daystore")


_INIT: Final = f"""ALTER USER root@localhost IDENTIFIED BY '{_PASSWORD}';
CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '{_PASSWORD}';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS daystore;
"""

MARIADB: Final = Service(
    name="mariadb",
    image="mariadb:11.8",
    build="mariadb",
    port=3306,
    url=f"mariadb://root:{_PASSWORD}@127.0.0.1:{{port}}/daystore",
    probe=_probe,
    arguments=("--max-connections=500",),
    environment={"MARIADB_ROOT_PASSWORD": _PASSWORD, "MARIADB_DATABASE": "daystore"},
    local=LocalProcess(
        (
            "mariadbd",
            "--no-defaults",
            "--user={user}",
            "--datadir={directory}/data",
            "--init-file={directory}/init.sql",
            "--socket={directory}/s",
            "--port={port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--max-connections=500",
        ),
        files={"init.sql": _INIT},
        prepare=(
            (
                "mariadb-install-db",
                "--no-defaults",
                "--datadir={directory}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ),
        ),
        user="mysql",
        install="apt-get install mariadb-server",
    ),
)

MYSQL: Final = Service(
    name="mysql",
    image="mysql:8.4",
    port=3306,
    url=f"mysql://root:{_PASSWORD}@127.0.0.1:{{port}}/daystore",
    probe=_probe,
    arguments=("--max-connections=500",),
    environment={"MYSQL_ROOT_PASSWORD": _PASSWORD, "MYSQL_DATABASE": "daystore"},
    startup=120.0,
)

_RECORDS: Final = """
SELECT COUNT(*) FROM ds_record JOIN ds_scope ON ds_scope.id = ds_record.scope WHERE namespace = ?
"""
_ENTRIES: Final = """
SELECT COUNT(*) FROM ds_field JOIN ds_name ON ds_name.id = ds_field.field
JOIN ds_scope ON ds_scope.id = ds_name.scope WHERE namespace = ?
"""
_CONNECTIONS: Final = "SELECT id FROM information_schema.processlist"


@dataclass(frozen=True, slots=True)
class _Counted(AsyncmyDriver):
    """Remembers the numbers by which the server knows its connections."""

    numbers: set[int] = field(default_factory=set, repr=False, compare=False)

    async def connect(self) -> AsyncmyConnection:
        connection = await super(_Counted, self).connect()
        self.numbers.add(connection.number)
        return connection


class MariaDBTarget(ServiceTarget):
    """The SQL backend on MariaDB. Each process of a run has a database of its own on the server."""

    name = "mariadb"
    service: ClassVar[Service] = MARIADB
    hooks: frozenset[str] = frozenset(
        {"crash", "fresh", "future", "process", "proxy", "raw", "reopen", "second"}
    )

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Make a closed adapter whose connections can be counted."""
        adapter = SQLAdapter.from_url(url, namespace=namespace, clock=clock)
        database = MySQLDatabase.from_url(url, SQLConfig())
        known = {one.name: getattr(database.driver, one.name) for one in fields(database.driver)}
        adapter.database = replace(database, driver=_Counted(**known))
        return adapter

    def for_worker(self, url: str, worker: str) -> str:
        """Return the URL of a database that only this process uses."""
        if not worker:
            return url
        parts = urlsplit(url)
        name = f"{parts.path.removeprefix('/')}_{worker}"
        ask(url, f"CREATE DATABASE IF NOT EXISTS `{name.replace('`', '``')}`")
        return parts._replace(path=f"/{quote(name)}").geturl()

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the rows of a namespace, and the connections that the server has of the adapter."""
        database = adapter.database  # type: ignore[attr-defined]
        await swept(adapter)
        namespace = adapter.namespace.encode()
        connection = await MySQLDatabase.from_url(self.url, SQLConfig()).driver.connect()
        try:
            ((records,),) = await connection.fetch(_RECORDS, (namespace,))
            ((entries,),) = await connection.fetch(_ENTRIES, (namespace,))
            there = {number for (number,) in await connection.fetch(_CONNECTIONS)}
        finally:
            await connection.close()
        return Raw(records, entries, len(there & database.driver.numbers))

    def from_the_future(self) -> Callable[[], None]:
        """Stamp the database with a layout that is still to come."""
        ((layout,),) = ask(self.url, "SELECT version_num FROM ds_layout")
        ask(self.url, "UPDATE ds_layout SET version_num = ?", "9999")

        def back() -> None:
            ask(self.url, "UPDATE ds_layout SET version_num = ?", layout)

        return back


class MySQLTarget(MariaDBTarget):
    """The SQL backend on MySQL."""

    name = "mysql"
    service: ClassVar[Service] = MYSQL
