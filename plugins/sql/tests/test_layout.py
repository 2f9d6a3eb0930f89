"""The layout of the tables: made, migrated, raced for, refused."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from daystore.errors import BackendUnavailable
from daystore_sql import migrations, schema
from daystore_sql.adapter import SQLAdapter
from daystore_sql.dialects.sqlite import SQLITE
from daystore_sql.layout import create, prepare
from daystore_sql.migrations import SCRIPTS, upgrade

Make = Callable[..., SQLAdapter]


def _schema(path: Path) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        stamps = connection.execute("SELECT * FROM ds_layout").fetchall()
    connection.close()
    squeezed = [(kind, name, table, re.sub(r"\s+", "", sql or "")) for kind, name, table, sql in rows]
    return sorted(squeezed), stamps


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_a_new_database_is_what_all_migrations_make(tmp_path: Path) -> None:
    created, migrated = tmp_path / "created.db", tmp_path / "migrated.db"
    one, other = _connect(created), _connect(migrated)
    with SQLITE.exclusively(one):
        create(one, SQLITE)
    with SQLITE.exclusively(other):
        upgrade(other, SQLITE)
    one.close()
    other.close()
    assert _schema(created) == _schema(migrated)


def test_the_known_revisions_are_those_that_there_are() -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == schema.REVISIONS


def test_an_older_layout_is_migrated_when_it_is_opened(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later version, with one more revision, opens what this version has written."""

    async def write() -> None:
        async with make() as adapter:
            await adapter.set("notes", "k", b"v")

    asyncio.run(write())
    scripts = tmp_path / "scripts"
    package = Path(migrations.__file__).parent
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text((package / "env.py").read_text())
    first = (package / "versions" / "r0001_first.py").read_text()
    (scripts / "versions" / "r0001_first.py").write_text(first)
    (scripts / "versions" / "r0002_second.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\nrevision = '0002'\ndown_revision = '0001'\n"
        "def upgrade():\n    op.add_column('ds_record', sa.Column('more', sa.Integer))\n"
    )
    monkeypatch.setattr("daystore_sql.layout.REVISIONS", ("0001", "0002"))
    monkeypatch.setattr("daystore_sql.layout.HEAD", "0002")
    monkeypatch.setattr("daystore_sql.migrations.upgrade.__defaults__", (str(scripts),))

    async def read() -> object:
        async with make() as adapter:
            return await adapter.get("notes", "k")

    assert asyncio.run(read()) is not None
    tables, stamps = _schema(tmp_path / "test.db")
    assert stamps == [("0002",)]
    assert "more" in next(sql for _, name, _, sql in tables if name == "ds_record")


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    connection = _connect(path)
    connection.execute("CREATE TABLE ds_record (mine)")
    with pytest.raises(sqlite3.OperationalError), SQLITE.exclusively(connection):
        upgrade(connection, SQLITE)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    assert names == ["ds_record"]
    assert not connection.in_transaction
    connection.close()


def test_a_layout_from_the_future_is_refused_untouched(tmp_path: Path, make: Make) -> None:
    async def use() -> None:
        async with make() as adapter:
            await adapter.set("notes", "k", b"v")

    asyncio.run(use())
    path = tmp_path / "test.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE ds_layout SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BackendUnavailable, match=r"9999.*newer version") as caught:
        asyncio.run(use())
    assert not caught.value.retryable
    assert path.read_bytes() == before


def test_a_database_that_keeps_text_otherwise_is_refused(tmp_path: Path, make: Make) -> None:
    with sqlite3.connect(tmp_path / "test.db") as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(BackendUnavailable, match="UTF-8"):
        asyncio.run(make().open())


def test_the_tables_live_beside_those_of_others(tmp_path: Path, make: Make) -> None:
    with sqlite3.connect(tmp_path / "test.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.execute("INSERT INTO mine VALUES (7)")
    connection.close()

    async def use() -> None:
        async with make() as adapter:
            await adapter.set("notes", "k", b"v")
            assert await adapter.exists("notes", "k")

    asyncio.run(use())
    with sqlite3.connect(tmp_path / "test.db") as connection:
        assert connection.execute("SELECT x FROM mine").fetchall() == [(7,)]
    connection.close()


def test_preparing_twice_does_nothing(tmp_path: Path) -> None:
    connection = _connect(tmp_path / "test.db")
    prepare(connection, SQLITE)
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    prepare(connection, SQLITE)
    assert all(text.startswith("SELECT") for text in seen)
    connection.close()


OPEN = """
import asyncio, sys
from daystore_sql.adapter import SQLAdapter

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with SQLAdapter.from_url("sqlite:///" + sys.argv[1]) as adapter:
        await adapter.set("notes", sys.argv[2], b"v")

asyncio.run(main())
"""


def test_eight_processes_open_a_new_file_at_once(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "test.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path), f"k{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    async def count() -> int:
        async with make() as adapter:
            return len(await adapter.get_batch("notes", [f"k{n}" for n in range(8)]))

    assert asyncio.run(count()) == 8
