"""The suite's targets: which of them answers to a URL, and what it makes of it."""

from __future__ import annotations

import pytest

from daystore_compliance.target import SqlTarget, Target, resolve
from daystore_sql.compliance.mysql import MariaDBTarget, MySQLTarget
from daystore_sql.compliance.postgresql import PostgreSQLTarget


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:///some.db", SqlTarget),
        ("postgresql://u:pw@db.example/d", PostgreSQLTarget),
        ("postgres://u:pw@db.example/d", PostgreSQLTarget),
        ("postgresql+psycopg://u:pw@db.example/d", PostgreSQLTarget),
        ("mysql://u:pw@db.example/d", MySQLTarget),
        ("mysql+asyncmy://u:pw@db.example/d", MySQLTarget),
        ("mariadb://u:pw@db.example/d", MariaDBTarget),
    ],
)
def test_the_backend_with_the_url_of_a_server_is_the_target_of_that(url: str, kind: type[Target]) -> None:
    target = resolve("sql", url)
    assert type(target) is kind
    assert target.text == url


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgresql+psycopg"])
def test_the_driver_that_a_url_names_is_the_one_that_is_certified(scheme: str) -> None:
    target = PostgreSQLTarget(f"{scheme}://u:pw@db.example/d")
    driven = target.for_worker(f"{scheme}://u:pw@db.example/d", "")
    assert driven == f"{scheme if '+' in scheme else 'postgresql+asyncpg'}://u:pw@db.example/d"
