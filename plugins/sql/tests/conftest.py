from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daystore_sql.adapter import SQLAdapter

START = 1_700_000_000_000_000


class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def descriptors() -> list[int]:
    """Return the numbers of the open files of this process."""
    return [int(entry.name) for entry in Path("/dev/fd").iterdir()]


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def make(tmp_path: Path, clock: TestClock) -> Callable[..., SQLAdapter]:
    """Make an adapter for the test's own file."""

    def make(name: str = "test.db", **options: Any) -> SQLAdapter:
        options.setdefault("clock", clock)
        return SQLAdapter.from_url(f"sqlite:///{tmp_path / name}", **options)

    return make


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server, whose superuser it names."""
    from daystore_sql.compliance.postgresql import PostgreSQLTarget

    target = PostgreSQLTarget()
    yield target.serve()
    target.withdraw()


@pytest.fixture(scope="session")
def pgbouncer() -> Iterator[str]:
    """The URL of a PgBouncer in front of a PostgreSQL server."""
    from daystore_sql.compliance.postgresql import PgBouncerTarget

    target = PgBouncerTarget()
    yield target.serve()
    target.withdraw()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """The URL of a MariaDB server, whose superuser it names."""
    from daystore_sql.compliance.mysql import MariaDBTarget

    target = MariaDBTarget()
    yield target.serve()
    target.withdraw()


@pytest.fixture(scope="session")
def replicated() -> Iterator[str]:
    """The URL of a PostgreSQL server that has a replica, which it names; a superuser of both."""
    from daystore_sql.compliance.replica import PostgreSQLReplicaTarget

    target = PostgreSQLReplicaTarget()
    yield target.serve()
    target.withdraw()


@pytest.fixture(scope="session")
def mariadb_pair() -> Iterator[tuple[str, str]]:
    """The URLs of a MariaDB server and of its replica, whose superuser they name."""
    from daystore_compliance.services import Service, provide
    from daystore_sql.compliance.mysql import ask

    password = "swordfish-4711"
    url = f"mariadb://root:{password}@127.0.0.1:{{port}}/daystore?{{port2}}"

    def pair(filled: str) -> tuple[str, str]:
        there, _, port = filled.partition("?")
        return there, f"{there.rpartition(':')[0]}:{port}/daystore"

    def probe(filled: str) -> None:
        primary, replica = pair(filled)
        ((place,),) = ask(primary, "SELECT @@gtid_binlog_pos")
        ((left,),) = ask(replica, f"SELECT MASTER_GTID_WAIT('{place}', 0)")
        if left:
            raise ConnectionError("the replica has not followed yet")

    service = Service(
        name="mariadb-pair",
        image="",
        build="mariadb-replica",
        ports=2,
        url=url,
        probe=probe,
        environment={"MARIADB_ROOT_PASSWORD": password, "PORTS": "{port} {port2}"},
    )
    with provide(service, run=os.urandom(6).hex()) as server:
        yield pair(server.url)


@pytest.fixture
def servers(replicated: str) -> Iterator[Any]:
    """A new database on a primary and its replica, in which a commit waits for nobody: see `Servers`."""
    from .replicated import new_database

    with new_database(replicated) as servers:
        yield servers
