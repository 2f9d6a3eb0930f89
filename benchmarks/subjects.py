"""What is measured: daystore, raw drivers as the floor, and peers, all behind the same four calls."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson

Value = dict[str, Any]

PAYLOAD: Value = {
    "id": "msg-000001",
    "role": "assistant",
    "content": "The reservation was found. It leaves on Monday at 09:40 and can be changed without a fee. "
    * 2,
    "tool_calls": [{"id": "call-1", "name": "get_reservation", "arguments": '{"reservation": "ABC123"}'}],
    "usage": {"prompt_tokens": 1834, "completion_tokens": 57, "cost": 0.00345},
    "tags": ["travel", "change"],
    "final": False,
    "parent": None,
}
"""455 bytes of JSON, as one message of an agent has."""


class Subject(Protocol):
    """Something that keeps values by key."""

    async def set(self, key: str, value: Value) -> object:
        """Write one."""

    async def get(self, key: str) -> object:
        """Read one."""

    async def set_batch(self, items: Mapping[str, Value]) -> object:
        """Write many."""

    async def get_batch(self, keys: Sequence[str]) -> object:
        """Read many."""


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

    async def get_batch(self, keys: Sequence[str]) -> object:
        rows = self._db.execute(_many(len(keys)), keys).fetchall()
        return {key: orjson.loads(value) for key, value in rows}

    async def aclose(self) -> None:
        """Close the connection."""
        self._db.close()


class RawAiosqlite:
    """aiosqlite as its documentation uses it: what most asyncio programs call raw."""

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

    async def get_batch(self, keys: Sequence[str]) -> object:
        rows = await self._db.execute_fetchall(_many(len(keys)), keys)
        return {key: orjson.loads(value) for key, value in rows}


class RawDict:
    """A dictionary of JSON bytes: the floor for a memory store that hands out copies."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def set(self, key: str, value: Value) -> None:
        self._values[key] = orjson.dumps(value)

    async def get(self, key: str) -> object:
        return orjson.loads(self._values[key])

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        self._values.update((key, orjson.dumps(value)) for key, value in items.items())

    async def get_batch(self, keys: Sequence[str]) -> object:
        return {key: orjson.loads(self._values[key]) for key in keys}


class LangGraph:
    """A LangGraph store: SQLite or in memory."""

    def __init__(self, store: Any) -> None:
        from langgraph.store.base import GetOp, PutOp

        self._store, self._get_op, self._put_op = store, GetOp, PutOp
        self._namespace = ("agent", "bench")

    async def set(self, key: str, value: Value) -> None:
        await self._store.aput(self._namespace, key, value)

    async def get(self, key: str) -> object:
        return await self._store.aget(self._namespace, key)

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        await self._store.abatch([self._put_op(self._namespace, key, value) for key, value in items.items()])

    async def get_batch(self, keys: Sequence[str]) -> object:
        return await self._store.abatch([self._get_op(self._namespace, key) for key in keys])


class KeyValue:
    """A py-key-value store: on disk or in memory."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def set(self, key: str, value: Value) -> None:
        await self._store.put(key, value, collection="bench")

    async def get(self, key: str) -> object:
        return await self._store.get(key, collection="bench")

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        await self._store.put_many(list(items), list(items.values()), collection="bench")

    async def get_batch(self, keys: Sequence[str]) -> object:
        return await self._store.get_many(list(keys), collection="bench")


@asynccontextmanager
async def daystore(url: str) -> AsyncIterator[Subject]:
    """A daystore store of plain dictionaries, opened by URL."""
    from daystore import Storage

    async with Storage.open(url) as storage:
        yield storage.store("bench")


@asynccontextmanager
async def sqlite_subjects(folder: Path) -> AsyncIterator[dict[str, Subject]]:
    """Everything that keeps values in one local file or folder."""
    import aiosqlite
    from key_value.aio.stores.disk import DiskStore
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    raw = RawSQLite(folder / "raw.db")
    async with (
        aiosqlite.connect(folder / "aiosqlite.db") as db,
        daystore(f"sqlite:///{folder}/daystore.db") as ours,
        AsyncSqliteStore.from_conn_string(str(folder / "langgraph.db")) as graph,
        DiskStore(directory=folder / "disk") as disk,
    ):
        await db.execute("PRAGMA journal_mode=WAL")
        await db.execute("PRAGMA synchronous=NORMAL")
        await db.execute(_TABLE)
        await graph.setup()
        yield {
            "raw sqlite3 (no thread)": raw,
            "raw aiosqlite": RawAiosqlite(db),
            "daystore sql (SQLite)": ours,
            "LangGraph AsyncSqliteStore": LangGraph(graph),
            "py-key-value DiskStore": KeyValue(disk),
        }
    await raw.aclose()


@asynccontextmanager
async def memory_subjects() -> AsyncIterator[dict[str, Subject]]:
    """Everything that keeps values in the process."""
    from key_value.aio.stores.memory import MemoryStore
    from langgraph.store.memory import InMemoryStore

    async with daystore("memory://") as ours:
        yield {
            "raw dict of JSON bytes": RawDict(),
            "daystore memory": ours,
            "LangGraph InMemoryStore (live references)": LangGraph(InMemoryStore()),
            "py-key-value MemoryStore": KeyValue(MemoryStore()),
        }
