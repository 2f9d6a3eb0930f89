"""PostgreSQL behind PgBouncer, which gives a client another server for each transaction."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from daystore.abc import CheckQuery, Compare, Op, Order, Put, Query, WriteBatch
from daystore_sql.adapter import SQLAdapter
from daystore_sql.network.drivers import postgresql


@pytest.mark.parametrize("prepared", [None, False], ids=["found out", "unprepared"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_pooler_is_noticed_and_nothing_of_a_session_is_relied_on(
    pgbouncer: str, driver: str, prepared: bool | None
) -> None:
    url = pgbouncer.replace("postgresql", f"postgresql+{driver}", 1)
    options: dict[str, Any] = {"namespace": os.urandom(6).hex(), "connections": 8, "prepared": prepared}

    async def main() -> None:
        async with SQLAdapter.from_url(url, **options) as adapter:
            engine: Any = adapter._opened
            assert engine.primary.driver._direct is False

            async def work(name: int) -> None:
                for turn in range(10):
                    key = f"k{name}-{turn}"
                    version = await adapter.set("things", key, b"v", fields={"n": turn})
                    record = await adapter.get("things", key)
                    assert record is not None
                    assert record.version == version
                    query = Query("things", where=Compare("n", Op.EQ, turn), order=Order("n"), limit=50)
                    assert key in [found.key for found in (await adapter.query(query)).records]

            await asyncio.gather(*(work(name) for name in range(8)))
            query = Query("things", where=Compare("n", Op.EQ, 3))
            found = [(record.key, record.version) for record in (await adapter.query(query)).records]
            assert len(found) == 8
            batch = WriteBatch([Put("things", "new", b"")], atomic=True, queries=[CheckQuery(query, found)])
            await adapter.write(batch)

    asyncio.run(main())


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "not kept"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_statements_are_prepared_only_where_the_pooler_makes_that_last(
    pgbouncer: str, driver: str, keeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgBouncer gives prepared statements names of its own where it makes them last. Elsewhere none is left."""
    url = pgbouncer.replace("postgresql", f"postgresql+{driver}", 1)
    if not keeps:
        monkeypatch.setattr(postgresql, "RENAMED", "SELECT false")

    async def main() -> None:
        async with SQLAdapter.from_url(url, namespace=os.urandom(6).hex(), connections=1) as adapter:
            await adapter.set("things", "k", b"v")
            engine: Any = adapter._opened
            async with engine.primary.pool.connection() as connection:
                await connection.fetch("BEGIN")
                rows = await connection.fetch("SELECT name FROM pg_prepared_statements")
                await connection.fetch("COMMIT")
            names = [name for (name,) in rows]
            renamed = [name for name in names if name.startswith("PGBOUNCER_")]
            if keeps:
                assert names == renamed
                assert engine.primary.driver._prepared is bool(renamed)
            else:
                assert engine.primary.driver._prepared is False
                assert not {name for name in names if name.startswith(("_pg3", "__asyncpg_stmt"))}

    asyncio.run(main())


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_server_without_a_pooler_is_noticed(postgresql: str, driver: str) -> None:
    url = postgresql.replace("postgresql", f"postgresql+{driver}", 1)

    async def main() -> None:
        async with SQLAdapter.from_url(url) as adapter:
            engine: Any = adapter._opened
            assert engine.primary.driver._direct is True
            async with engine.primary.pool.connection() as connection:
                rows = await connection.fetch("SELECT current_setting('plan_cache_mode')")
                assert rows[0][0] == "force_generic_plan"

    asyncio.run(main())
