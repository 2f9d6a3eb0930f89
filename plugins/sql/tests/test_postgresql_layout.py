"""The layout on PostgreSQL: made once by many at the same time, refused if it is newer, used without owning it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from daystore.abc import ABSENT, Check, Compare, Delete, Op, Put, Query, WriteBatch
from daystore.errors import BackendUnavailable
from daystore_sql.adapter import SQLAdapter


async def _execute(url: str, *texts: str) -> None:
    connection = await asyncpg.connect(url)
    for text in texts:
        await connection.execute(text)
    await connection.close()


async def _fetch(url: str, text: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    rows = [tuple(row) for row in await connection.fetch(text)]
    await connection.close()
    return rows


@pytest.fixture
def empty(postgresql: str) -> Iterator[str]:
    """The URL of a database without tables."""
    name = f"layout_{os.urandom(6).hex()}"
    asyncio.run(_execute(postgresql, f"CREATE DATABASE {name}"))
    yield urlsplit(postgresql)._replace(path=f"/{name}").geturl()
    asyncio.run(_execute(postgresql, f"DROP DATABASE {name} WITH (FORCE)"))


_OPEN = """
import asyncio, sys
from daystore_sql.adapter import SQLAdapter

async def main(url, number):
    async with SQLAdapter.from_url(url) as adapter:
        await adapter.set("things", f"k{number}", b"v", fields={f"f{number % 2}": number})

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def _open(url: str, *numbers: int) -> None:
    """Open the database in as many processes at once, and write a record in each."""
    processes = [subprocess.Popen([sys.executable, "-c", _OPEN, url, str(number)]) for number in numbers]
    assert [process.wait(60) for process in processes] == [0] * len(numbers)


def test_processes_that_open_at_once_make_it_once(empty: str) -> None:
    """Also the names that they add at the same time are there once."""
    _open(empty, *range(6))

    async def main() -> None:
        async with SQLAdapter.from_url(empty) as adapter:
            assert await adapter.count(Query("things")) == 6
            for field, numbers in (("f0", [0, 2, 4]), ("f1", [1, 3, 5])):
                page = await adapter.query(Query("things", where=Compare(field, Op.GE, 0)))
                assert [record.fields[field] for record in page.records] == numbers

    asyncio.run(main())
    assert asyncio.run(_fetch(empty, "SELECT version_num FROM ds_layout")) == [("0001",)]
    assert asyncio.run(_fetch(empty, "SELECT count(*) FROM ds_scope")) == [(1,)]
    assert asyncio.run(_fetch(empty, "SELECT count(*) FROM ds_shape")) == [(2,)]


def test_a_newer_layout_is_refused_and_left_alone(empty: str) -> None:
    _open(empty, 0)
    asyncio.run(_execute(empty, "UPDATE ds_layout SET version_num = '9999'"))

    async def main() -> None:
        with pytest.raises(BackendUnavailable, match="newer version of daystore-sql") as caught:
            await SQLAdapter.from_url(empty).open()
        assert not caught.value.retryable

    asyncio.run(main())
    assert asyncio.run(_fetch(empty, "SELECT version_num FROM ds_layout")) == [("9999",)]


PRIVILEGES = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
)
"""What the documentation tells to grant."""


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_role_without_rights_to_create_can_do_everything(empty: str, driver: str) -> None:
    role = f"clerk_{os.urandom(6).hex()}"
    _open(empty, 0)
    asyncio.run(
        _execute(
            empty,
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            f"CREATE ROLE {role} LOGIN PASSWORD 'clerk'",
            f"GRANT USAGE ON SCHEMA public TO {role}",
            *(text.format(role=role) for text in PRIVILEGES),
        )
    )
    parts = urlsplit(empty)
    place = parts.netloc.rpartition("@")[2]
    url = parts._replace(scheme=f"postgresql+{driver}", netloc=f"{role}:clerk@{place}").geturl()

    async def main() -> None:
        async with SQLAdapter.from_url(url, sweep_interval=0) as adapter:
            assert (await adapter.health()).ok
            await adapter.set_batch([Put("new", f"k{n}", b"v", fields={"n": n}) for n in range(10)])
            await adapter.write(WriteBatch([Check("new", "none", ABSENT), Delete("new", "k1")], atomic=True))
            await adapter.set("new", "gone", b"", expires_at=1000)
            assert await adapter.count(Query("new", where=Compare("n", Op.LT, 5))) == 4
            assert (await adapter.explain(Query("new", limit=1))).indexed
            await asyncio.wait([adapter._opened.sweeper.task])  # type: ignore[attr-defined]

    asyncio.run(main())
    asyncio.run(_execute(empty, f"DROP OWNED BY {role}", f"DROP ROLE {role}"))


def test_a_role_that_may_not_create_is_told(empty: str) -> None:
    role = f"clerk_{os.urandom(6).hex()}"
    asyncio.run(
        _execute(
            empty, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", f"CREATE ROLE {role} LOGIN PASSWORD 'clerk'"
        )
    )
    parts = urlsplit(empty)
    url = parts._replace(netloc=f"{role}:clerk@{parts.netloc.rpartition('@')[2]}").geturl()

    async def main() -> None:
        with pytest.raises(BackendUnavailable, match="privileges") as caught:
            await SQLAdapter.from_url(url).open()
        assert not caught.value.retryable
        assert "clerk" not in str(caught.value)

    asyncio.run(main())
    asyncio.run(_execute(empty, f"DROP ROLE {role}"))
