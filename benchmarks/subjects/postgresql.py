"""PostgreSQL: asyncpg and psycopg, and stores on them."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from benchmarks.subjects import BYTES, JSON, POOL, Codec, Field, Subject, Value
from benchmarks.subjects.daystore import OURS, OURS_BYTES, rows, store
from benchmarks.subjects.peers import KeyValue, LangGraph, OpenDAL

DATABASE = "daystore_benchmarks"
OURS_PSYCOPG = "daystore, psycopg"

_TABLE = """
    CREATE TABLE {table} (
        key TEXT PRIMARY KEY,
        value BYTEA NOT NULL,
        version BIGINT NOT NULL DEFAULT 1,
        updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        expires_at TIMESTAMPTZ
    )
"""
_UPSERT = """
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = {table}.version + 1,
    updated_at = excluded.updated_at, expires_at = excluded.expires_at
"""
_ALIVE = "(expires_at IS NULL OR expires_at > now())"


class Statements:
    """The statements of one raw table: what a record needs that has a version and may expire."""

    def __init__(self, table: str, parameters: tuple[str, str]) -> None:
        first, second = parameters
        upsert = _UPSERT.format(table=table)
        self.create = _TABLE.format(table=table)
        self.set = f"INSERT INTO {table} (key, value) VALUES ({first}, {second}) {upsert}"
        self.get = f"SELECT value, version FROM {table} WHERE key = {first} AND {_ALIVE}"
        self.set_batch = (
            f"INSERT INTO {table} (key, value) "
            f"SELECT * FROM unnest({first}::text[], {second}::bytea[]) {upsert}"
        )
        self.get_batch = f"SELECT key, value, version FROM {table} WHERE key = ANY({first}) AND {_ALIVE}"


class RawAsyncpg:
    """asyncpg as its documentation uses it: a pool, and one statement for a batch by unnest."""

    def __init__(self, pool: Any, table: str, codec: Codec) -> None:
        self._pool = pool
        self.statements = Statements(table, ("$1", "$2"))
        self._dumps, self._loads, self.payload = codec.dumps, codec.loads, codec.payload

    async def set(self, key: str, value: Value) -> None:
        await self._pool.execute(self.statements.set, key, self._dumps(value))

    async def get(self, key: str) -> object:
        row = await self._pool.fetchrow(self.statements.get, key)
        return None if row is None else self._loads(row["value"])

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        values = [self._dumps(value) for value in items.values()]
        await self._pool.execute(self.statements.set_batch, list(items), values)

    async def get_batch(self, keys: Sequence[str]) -> Any:
        rows = await self._pool.fetch(self.statements.get_batch, keys)
        return {row["key"]: self._loads(row["value"]) for row in rows}


_RECORDS = "raw_asyncpg_records"
_RECORDS_SET = f"""
    INSERT INTO {_RECORDS} AS r (scope, key, shape, version, created_at, updated_at, value)
    SELECT 1, key, 1, version, $4, $4, value
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS t(key, version, value)
    ON CONFLICT (scope, key) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at,
    created_at = CASE WHEN r.expires_at <= $4 THEN $4 ELSE r.created_at END,
    expires_at = excluded.expires_at, value = excluded.value
"""
_RECORDS_GET = f"""
    SELECT key, value, version FROM {_RECORDS}
    WHERE scope = 1 AND key = ANY($1::bytea[]) AND (expires_at IS NULL OR expires_at > $2)
"""


class RawRecords:
    """asyncpg and mere upserts, of rows with all columns and indexes that a record of daystore has."""

    def __init__(self, pool: Any, codec: Codec) -> None:
        self._pool = pool
        self._dumps, self._loads, self.payload = codec.dumps, codec.loads, codec.payload

    async def set(self, key: str, value: Value) -> None:
        await self.set_batch({key: value})

    async def get(self, key: str) -> object:
        return (await self.get_batch([key])).get(key)

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        keys = [key.encode() for key in items]
        versions = [os.urandom(12).hex().encode() for _ in keys]
        values = [self._dumps(value) for value in items.values()]
        await self._pool.execute(_RECORDS_SET, keys, versions, values, time.time_ns() // 1000)

    async def get_batch(self, keys: Sequence[str]) -> Any:
        now = time.time_ns() // 1000
        rows = await self._pool.fetch(_RECORDS_GET, [key.encode() for key in keys], now)
        return {row["key"].decode(): self._loads(row["value"]) for row in rows}


class RawPsycopg:
    """psycopg as its documentation uses it: the same statements, from its own pool."""

    def __init__(self, pool: Any, table: str, codec: Codec) -> None:
        self._pool = pool
        self.statements = Statements(table, ("%s", "%s"))
        self._dumps, self._loads, self.payload = codec.dumps, codec.loads, codec.payload

    async def set(self, key: str, value: Value) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(self.statements.set, (key, self._dumps(value)))

    async def get(self, key: str) -> object:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(self.statements.get, (key,), binary=True)
            row = await cursor.fetchone()
        return None if row is None else self._loads(row[0])

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        values = [self._dumps(value) for value in items.values()]
        async with self._pool.connection() as connection:
            await connection.execute(self.statements.set_batch, (list(items), values))

    async def get_batch(self, keys: Sequence[str]) -> Any:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(self.statements.get_batch, (list(keys),), binary=True)
            rows = await cursor.fetchall()
        return {key: self._loads(value) for key, value, _ in rows}


@asynccontextmanager
async def workspace(url: str) -> AsyncIterator[str]:
    """Yield the URL of a new database of the server, and drop it at the end."""
    drop = f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"
    await _execute(url, drop, f"CREATE DATABASE {DATABASE}")
    try:
        yield urlsplit(url)._replace(path=f"/{DATABASE}").geturl()
    finally:
        await _execute(url, drop)


async def version(url: str) -> str:
    """Say which server and which drivers this is."""
    import psycopg

    connection = await asyncpg.connect(url)
    try:
        server = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    drivers = f"asyncpg {asyncpg.__version__}, psycopg {psycopg.__version__}"
    return f"PostgreSQL {server.split()[0]}, {drivers}"


async def settle(url: str) -> None:
    """Do at once what autovacuum does within a minute: count the rows anew."""
    await _execute(url, "VACUUM (ANALYZE)")


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def subjects(url: str) -> AsyncIterator[Field]:
    """Everything that keeps values in PostgreSQL."""
    from key_value.aio.stores.postgresql import PostgreSQLStore
    from langgraph.store.postgres.aio import AsyncPostgresStore
    from psycopg_pool import AsyncConnectionPool

    connections: Any = {"min_size": POOL, "max_size": POOL}
    psycopg_url = urlsplit(url)._replace(scheme="postgresql+psycopg").geturl()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(url, **connections))
        psycopg_pool = AsyncConnectionPool(url, open=False, kwargs={"autocommit": True}, **connections)
        await stack.enter_async_context(psycopg_pool)
        raws = (
            RawAsyncpg(pool, "raw_asyncpg", JSON),
            RawAsyncpg(pool, "raw_asyncpg_bytes", BYTES),
            RawPsycopg(psycopg_pool, "raw_psycopg", JSON),
        )
        for raw in raws:
            await pool.execute(raw.statements.create)
        ours = await rows(url, stack)
        await pool.execute(f"CREATE TABLE {_RECORDS} (LIKE ds_record INCLUDING ALL)")
        await pool.execute("CREATE TABLE opendal (key TEXT PRIMARY KEY, value BYTEA)")
        graph = await stack.enter_async_context(
            AsyncPostgresStore.from_conn_string(url, pool_config=connections)
        )
        await graph.setup()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it calls itself unstable
            key_value = PostgreSQLStore(url=url)
        found: dict[str, Subject] = {
            "raw asyncpg": raws[0],
            "raw asyncpg, bytes": raws[1],
            "raw asyncpg, the same indexes": RawRecords(pool, JSON),
            "raw psycopg": raws[2],
            **ours,
            OURS_PSYCOPG: await stack.enter_async_context(store(psycopg_url, "psycopg", coalesce=True)),
            "LangGraph AsyncPostgresStore": LangGraph(graph),
            "py-key-value PostgreSQLStore": KeyValue(await stack.enter_async_context(key_value)),
            "OpenDAL postgresql": OpenDAL(
                "postgresql", connection_string=url, table="opendal", key_field="key", value_field="value"
            ),
        }
        floors = {OURS: "raw asyncpg", OURS_BYTES: "raw asyncpg, bytes", OURS_PSYCOPG: "raw psycopg"}
        yield Field(found, floors)
