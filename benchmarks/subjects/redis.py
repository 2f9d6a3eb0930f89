"""Redis: redis-py, and stores on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis

from benchmarks.subjects import BYTES, JSON, Codec, Field, Subject, Value
from benchmarks.subjects.daystore import OURS, OURS_BYTES, rows
from benchmarks.subjects.peers import KeyValue, OpenDAL


class RawRedis:
    """redis-py with hiredis, as its documentation uses it: SET and GET, MSET and MGET."""

    def __init__(self, client: Any, prefix: str, codec: Codec) -> None:
        self._client, self._prefix = client, prefix
        self._dumps, self._loads, self.payload = codec.dumps, codec.loads, codec.payload

    async def set(self, key: str, value: Value) -> None:
        await self._client.set(self._prefix + key, self._dumps(value))

    async def get(self, key: str) -> object:
        value = await self._client.get(self._prefix + key)
        return None if value is None else self._loads(value)

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        await self._client.mset({self._prefix + key: self._dumps(value) for key, value in items.items()})

    async def get_batch(self, keys: Sequence[str]) -> Any:
        values = await self._client.mget([self._prefix + key for key in keys])
        return {key: self._loads(value) for key, value in zip(keys, values, strict=True) if value is not None}


def client(url: str, **options: Any) -> Redis:
    """Make a client whose tasks wait for a connection when all are in use; the default one raises then."""
    return Redis.from_pool(BlockingConnectionPool.from_url(url, **options))


@asynccontextmanager
async def workspace(url: str) -> AsyncIterator[str]:
    """Yield the URL of a database of the server that is empty, and empty it at the end."""
    async with client(url) as server:
        used = await server.info("keyspace")
    free = next((number for number in range(1, 16) if f"db{number}" not in used), None)
    if free is None:
        raise RuntimeError("all databases of the Redis server are in use; name another server with --url")
    empty = urlsplit(url)._replace(path=f"/{free}").geturl()
    try:
        yield empty
    finally:
        async with client(empty) as server:
            await server.flushdb()


async def version(url: str) -> str:
    """Say which server and which driver this is."""
    import redis

    async with client(url) as server:
        info = await server.info("server")
    name = info.get("server_name", "redis")
    number = info.get(f"{name}_version", info["redis_version"])
    return f"{name.capitalize()} {number}, redis-py {redis.__version__}"


async def settle(_: str) -> None:
    """Do nothing: Redis has no statistics to bring up to date."""


@asynccontextmanager
async def subjects(url: str) -> AsyncIterator[Field]:
    """Everything that keeps values in Redis."""
    from key_value.aio.stores.redis import RedisStore

    parts = urlsplit(url)
    credentials = {"username": parts.username, "password": parts.password}
    options = {name: unquote(text) for name, text in credentials.items() if text}
    async with AsyncExitStack() as stack:
        raw = await stack.enter_async_context(client(url))
        text = await stack.enter_async_context(client(url, decode_responses=True))
        found: dict[str, Subject] = {
            "raw redis-py": RawRedis(raw, "raw:", JSON),
            "raw redis-py, bytes": RawRedis(raw, "raw-bytes:", BYTES),
            **await rows(url, stack),
            "py-key-value RedisStore": KeyValue(RedisStore(client=text)),
            "OpenDAL redis": OpenDAL(
                "redis", endpoint=f"redis://{parts.hostname}:{parts.port}", db=parts.path[1:], **options
            ),
        }
        yield Field(found, {OURS: "raw redis-py", OURS_BYTES: "raw redis-py, bytes"})
