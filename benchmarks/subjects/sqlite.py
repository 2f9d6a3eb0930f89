"""One local file or folder: SQLite, raw and in stores, and a folder of py-key-value."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from benchmarks.subjects import PAYLOAD, Field, Value
from benchmarks.subjects.daystore import adapter, store
from benchmarks.subjects.peers import KeyValue, LangGraph

_TABLE = (
    "CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID"
)
_SET = (
    "INSERT INTO kv VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)
_GET = "SELECT value FROM kv WHERE key = ?"


def _many(count: int) -> str:
    return f"SELECT key, value FROM kv WHERE key IN ({','.join('?' * count)})"


class RawSQLite:
    """The driver of the standard library, called in the event loop's own thread: the floor."""

    payload = PAYLOAD

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_TABLE)

    async def set(self, key: str, value: Value) -> None:
        self._db.execute(_SET, (key, orjson.dumps(value), 0))

    async def get(self, key: str) -> object:
        row = self._db.execute(_GET, (key,)).fetchone()
        return orjson.loads(row[0]) if row else None

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(_SET, [(key, orjson.dumps(value), 0) for key, value in items.items()])
        self._db.execute("COMMIT")

    async def get_batch(self, keys: Sequence[str]) -> Any:
        rows = self._db.execute(_many(len(keys)), keys).fetchall()
        return {key: orjson.loads(value) for key, value in rows}

    async def aclose(self) -> None:
        """Close the connection."""
        self._db.close()


class RawAiosqlite:
    """aiosqlite as its documentation uses it: what most asyncio programs call raw."""

    payload = PAYLOAD

    def __init__(self, db: Any) -> None:
        self._db = db

    async def set(self, key: str, value: Value) -> None:
        await self._db.execute(_SET, (key, orjson.dumps(value), 0))
        await self._db.commit()

    async def get(self, key: str) -> object:
        rows = await self._db.execute_fetchall(_GET, (key,))
        return orjson.loads(next(iter(rows))[0])

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        await self._db.executemany(_SET, [(key, orjson.dumps(value), 0) for key, value in items.items()])
        await self._db.commit()

    async def get_batch(self, keys: Sequence[str]) -> Any:
        rows = await self._db.execute_fetchall(_many(len(keys)), keys)
        return {key: orjson.loads(value) for key, value in rows}


@asynccontextmanager
async def workspace(_: str) -> AsyncIterator[str]:
    """Yield the URL of a file that is not there yet, and remove its folder at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/daystore.db"


async def version(_: str) -> str:
    """Say which SQLite this is."""
    return f"SQLite {sqlite3.sqlite_version}"


async def settle(_: str) -> None:
    """Do nothing: a user would not either."""


@asynccontextmanager
async def subjects(url: str) -> AsyncIterator[Field]:
    """Everything that keeps values in one local file or folder."""
    import aiosqlite
    from key_value.aio.stores.disk import DiskStore
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    folder = Path(url.removeprefix("sqlite:///")).parent
    raw = RawSQLite(folder / "raw.db")
    async with (
        aiosqlite.connect(folder / "aiosqlite.db") as db,
        store(url) as ours,
        adapter(url) as ours_bytes,
        AsyncSqliteStore.from_conn_string(str(folder / "langgraph.db")) as graph,
        DiskStore(directory=folder / "disk") as disk,
    ):
        await db.execute("PRAGMA journal_mode=WAL")
        await db.execute("PRAGMA synchronous=NORMAL")
        await db.execute(_TABLE)
        await graph.setup()
        yield Field(
            {
                "raw sqlite3 (no thread)": raw,
                "raw aiosqlite": RawAiosqlite(db),
                "daystore": ours,
                "daystore adapter, bytes": ours_bytes,
                "LangGraph AsyncSqliteStore": LangGraph(graph),
                "py-key-value DiskStore": KeyValue(disk),
            }
        )
    await raw.aclose()
