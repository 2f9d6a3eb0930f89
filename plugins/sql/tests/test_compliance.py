"""The suite's targets: which of them answers to a URL, what it makes of it, and what it waits for."""

from __future__ import annotations

import asyncio

import pytest

from daystore_compliance.target import SqlTarget, Target, resolve
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.mysql import MariaDBTarget, MySQLTarget
from daystore_sql.compliance.postgresql import PostgreSQLTarget
from daystore_sql.compliance.swept import swept
from daystore_sql.network.engine import NetworkEngine


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


def test_what_is_kept_is_counted_when_the_sweep_has_ended() -> None:
    """Else the place that an atomic batch has held for a moment is taken for something that was left behind."""

    async def main() -> None:
        adapter = SQLAdapter.from_url("postgresql://127.0.0.1/never_connected")
        await swept(adapter)  # a closed one sweeps nothing
        engine = adapter.database.engine("default", adapter.clock, lambda: None)
        assert isinstance(engine, NetworkEngine)
        adapter._engine = engine
        ended = asyncio.Event()

        async def sweep() -> None:
            await ended.wait()

        engine.sweeper.task = asyncio.ensure_future(sweep())
        counting = asyncio.create_task(swept(adapter))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not counting.done(), "it does not wait for the sweep"
        ended.set()
        await counting
        adapter._engine = None

    asyncio.run(main())
