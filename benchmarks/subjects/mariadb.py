"""MariaDB and MySQL: asyncmy, and stores on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncmy

from benchmarks.subjects import BYTES, JSON, POOL, Codec, Field, Subject, Value
from benchmarks.subjects.daystore import OURS, OURS_BYTES, rows
from benchmarks.subjects.peers import OpenDAL

DATABASE = "daystore_benchmarks"

_TABLE = """
    CREATE TABLE {table} (
        `key` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY,
        value LONGBLOB NOT NULL,
        version BIGINT NOT NULL DEFAULT 1,
        updated_at DATETIME(6) NOT NULL DEFAULT NOW(6),
        expires_at DATETIME(6)
    )
"""
_ALIVE = "(expires_at IS NULL OR expires_at > NOW(6))"


class RawAsyncmy:
    """asyncmy as its documentation uses it: a pool, and executemany for a batch, which makes one statement."""

    def __init__(self, pool: asyncmy.Pool, table: str, codec: Codec) -> None:
        self._pool = pool
        self._dumps, self._loads, self.payload = codec.dumps, codec.loads, codec.payload
        self.create = _TABLE.format(table=table)
        self._set = (
            f"INSERT INTO {table} (`key`, value) VALUES (%s, %s) ON DUPLICATE KEY UPDATE "
            "value = VALUES(value), version = version + 1, updated_at = NOW(6), expires_at = NULL"
        )
        self._get = f"SELECT value, version FROM {table} WHERE `key` = %s AND {_ALIVE}"
        self._get_batch = f"SELECT `key`, value, version FROM {table} WHERE `key` IN ({{keys}}) AND {_ALIVE}"

    async def set(self, key: str, value: Value) -> None:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(self._set, (key, self._dumps(value)))

    async def get(self, key: str) -> object:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(self._get, (key,))
            row = await cursor.fetchone()
        return None if row is None else self._loads(row[0])

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        values = [(key, self._dumps(value)) for key, value in items.items()]
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.executemany(self._set, values)

    async def get_batch(self, keys: Sequence[str]) -> Any:
        statement = self._get_batch.format(keys=",".join(["%s"] * len(keys)))
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(statement, keys)
            rows = await cursor.fetchall()
        return {key: self._loads(value) for key, value, _ in rows}


def _address(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": unquote(parts.username or "root"),
        "password": unquote(parts.password or ""),
        "database": parts.path[1:] or None,
        "autocommit": True,
    }


@asynccontextmanager
async def workspace(url: str) -> AsyncIterator[str]:
    """Yield the URL of a new database of the server, and drop it at the end."""
    drop = f"DROP DATABASE IF EXISTS {DATABASE}"
    await _execute(url, drop)
    await _execute(url, f"CREATE DATABASE {DATABASE}")
    try:
        yield urlsplit(url)._replace(path=f"/{DATABASE}").geturl()
    finally:
        await _execute(url, drop)


async def version(url: str) -> str:
    """Say which server and which driver this is."""
    from importlib.metadata import version as installed

    [(server,)] = await _execute(url, "SELECT VERSION()")
    make = "MariaDB" if "MariaDB" in server else "MySQL"
    return f"{make} {server.split('-')[0]}, asyncmy {installed('asyncmy')}"


async def settle(url: str) -> None:
    """Do at once what InnoDB does in the background: count the rows anew."""
    for (table,) in await _execute(url, "SHOW TABLES"):
        await _execute(url, f"ANALYZE TABLE `{table}`")


async def _execute(url: str, statement: str) -> Any:
    async with (
        asyncmy.connect(**_address(url), init_command="SET sql_notes = 0") as connection,
        connection.cursor() as cursor,
    ):
        await cursor.execute(statement)
        return await cursor.fetchall()


@asynccontextmanager
async def subjects(url: str) -> AsyncIterator[Field]:
    """Everything that keeps values in MariaDB or MySQL."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncmy.create_pool(minsize=POOL, maxsize=POOL, **_address(url))
        )
        raws = (RawAsyncmy(pool, "raw_asyncmy", JSON), RawAsyncmy(pool, "raw_asyncmy_bytes", BYTES))
        for raw in raws:
            await _execute(url, raw.create)
        await _execute(url, "CREATE TABLE opendal (`key` VARCHAR(255) PRIMARY KEY, value LONGBLOB)")
        address = urlsplit(url)._replace(scheme="mysql").geturl()
        found: dict[str, Subject] = {
            "raw asyncmy": raws[0],
            "raw asyncmy, bytes": raws[1],
            **await rows(url, stack),
            "OpenDAL mysql": OpenDAL(
                "mysql", connection_string=address, table="opendal", key_field="key", value_field="value"
            ),
        }
        yield Field(found, {OURS: "raw asyncmy", OURS_BYTES: "raw asyncmy, bytes"})
