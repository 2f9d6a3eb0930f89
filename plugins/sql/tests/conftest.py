from __future__ import annotations

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
    from daystore_sql.compliance import PostgreSQLTarget

    target = PostgreSQLTarget()
    yield target.serve()
    target.withdraw()


@pytest.fixture(scope="session")
def pgbouncer() -> Iterator[str]:
    """The URL of a PgBouncer in front of a PostgreSQL server."""
    from daystore_sql.compliance import PgBouncerTarget

    target = PgBouncerTarget()
    yield target.serve()
    target.withdraw()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """The URL of a MariaDB server, whose superuser it names."""
    from daystore_sql.compliance_mysql import MariaDBTarget

    target = MariaDBTarget()
    yield target.serve()
    target.withdraw()
