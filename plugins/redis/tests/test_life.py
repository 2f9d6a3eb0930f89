"""Opening: what is refused, what is declared, and the least that a user of the server has to be allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from daystore.abc import Compare, Delete, Holds, Op, Prepare, Put, Query, Release, WriteBatch
from daystore.errors import BackendUnavailable, ConfigError, OutcomeUnknown, StoreClosed, UnsupportedOperation
from daystore_redis.adapter import RedisAdapter
from daystore_redis.compliance import RedisTarget

from .conftest import command


@contextmanager
def configured(raw: redis.Redis, **settings: str) -> Iterator[None]:
    """Configure the server, and bring back what it was."""
    names = {name.replace("_", "-"): value for name, value in settings.items()}
    before: dict[str, str] = {name: raw.config_get(name)[name] or "" for name in names}
    for name, value in names.items():
        raw.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            raw.config_set(name, value)


def opening(adapter: RedisAdapter) -> None:
    """Open and close."""

    async def main() -> None:
        async with adapter:
            pass

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_a_server_that_evicts_is_refused_unless_the_data_are_a_cache(
    make: Callable[..., RedisAdapter], raw: redis.Redis, policy: str
) -> None:
    """A policy that loses records silently is an error that names it; with cache=True nothing is searched."""
    with configured(raw, maxmemory_policy=policy):
        with pytest.raises(ConfigError, match=policy):
            opening(make())

        async def main() -> None:
            async with make(cache=True) as adapter:
                assert adapter.capabilities.names() == ("conditional", "atomic_batch", "ttl", "snapshots")
                version = await adapter.set("c", "k", b"v", fields={"n": 1})
                await adapter.set("c", "k", b"w", if_version=version)
                found = await adapter.get("c", "k")
                assert found is not None
                assert (found.value, dict(found.fields)) == (b"w", {})
                with pytest.raises(UnsupportedOperation):
                    await adapter.query(Query("c"))
                assert await adapter.delete("c", "k") is True

        asyncio.run(main())


def test_a_cache_is_a_cache_for_ever(
    make: Callable[..., RedisAdapter], raw: redis.Redis, prefix: str
) -> None:
    """What was written without indexes is not opened by those who search, nor the other way round."""

    async def main() -> None:
        async with make(cache=True) as adapter:
            await adapter.set_batch([Put("c", f"k{n}", b"v", fields={"n": n}) for n in range(5)])

    asyncio.run(main())
    kinds = {name.decode().removeprefix(prefix)[0] for name in raw.scan_iter(f"{prefix}*")}
    assert kinds <= {"r", "m", "e", "l"}
    with pytest.raises(ConfigError, match="cache"):
        opening(make())


def test_the_number_of_shards_is_kept(make: Callable[..., RedisAdapter]) -> None:
    """Another number of shards would not find the records: it is refused, with the one that is right."""
    opening(make(shards=3))
    with pytest.raises(ConfigError, match="shards=3"):
        opening(make())
    opening(make(shards=3))


def test_durable_is_what_the_server_is_configured_for(
    make: Callable[..., RedisAdapter], raw: redis.Redis
) -> None:
    """It is declared only where every change is on the disk before it is acknowledged."""
    for settings, durable in (
        ({"appendonly": "no", "appendfsync": "always"}, False),
        ({"appendonly": "yes", "appendfsync": "everysec"}, False),
        ({"appendonly": "yes", "appendfsync": "always"}, True),
    ):
        with configured(raw, **settings):
            adapter = make()
            assert adapter.capabilities.durable is False
            opening(adapter)
            assert adapter.capabilities.durable is durable


def test_a_write_may_wait_for_the_disk(make: Callable[..., RedisAdapter], raw: redis.Redis) -> None:
    """With durability="aof" every write is acknowledged when the append-only file has it, in one round trip."""
    version: dict[str, str] = dict(raw.info("server"))
    can_wait = tuple(map(int, version["redis_version"].split(".")[:2])) >= (7, 2)
    with pytest.raises(ConfigError, match="append-only" if can_wait else "7.2 or later"):
        opening(make(durability="aof"))
    if not can_wait:
        return

    async def main() -> None:
        async with make(durability="aof") as adapter:
            assert adapter.capabilities.durable is True
            await adapter.set("c", "k", b"v")  # so that the server knows the script
            raw.config_resetstat()
            await adapter.set("c", "k", b"v")
            await adapter.set_batch([Put("c", f"k{n}", b"v") for n in range(100)])
            stats: dict[str, dict[str, int]] = dict(raw.info("commandstats"))
            assert (stats["cmdstat_evalsha"]["calls"], stats["cmdstat_waitaof"]["calls"]) == (2, 2)

    with configured(raw, appendonly="yes", appendfsync="everysec"):
        asyncio.run(main())


def test_a_write_that_replicas_do_not_have_is_unknown(make: Callable[..., RedisAdapter]) -> None:
    """With min_replicas a write waits for them; where there are none it is applied, and may be lost again."""

    async def main() -> None:
        async with make(min_replicas=1, timeout=0.3) as adapter:
            with pytest.raises(OutcomeUnknown):
                await adapter.set("c", "k", b"v")
            assert await adapter.exists("c", "k")

    asyncio.run(main())


PERMISSIONS = (
    "+info +evalsha +script|load +get +mget +time "
    "+set +mset +del +getrange +setrange +append +persist +exists +hget +hset +hdel +hmget +hincrby +hkeys "
    "+zadd +zrem +zcard +zcount +zlexcount +zrangebylex +zrevrangebylex +zrangebyscore"
)


def test_the_least_privileges_suffice(
    make: Callable[..., RedisAdapter], raw: redis.Redis, server: RedisTarget, namespace: str
) -> None:
    """With what the documentation lists for one namespace all can be done there, and nothing elsewhere."""
    rules = ("reset", "on", ">pass-4711", f"~{{{namespace}:*}}:*", *PERMISSIONS.split())
    command(raw, "ACL", "SETUSER", "agent", *rules)
    host, port = server.address
    url = f"redis://agent:pass-4711@{host}:{port}/0"

    async def main() -> None:
        async with make(url=url) as adapter:
            puts = [
                Put("c", f"k{n}", b"v", fields={"n": n}, expires_at=2_000_000_000_000_000) for n in range(9)
            ]
            await adapter.set_batch(puts)
            assert await adapter.count(Query("c", Compare("n", Op.GE, 3))) == 6
            assert len((await adapter.query(Query("c", limit=5))).records) == 5
            async with adapter.transaction() as tx:
                await tx.query(Query("c", Compare("n", Op.LT, 3)))
                await tx.write([Put("c", "k1", b"w")])
            prepares = [Prepare("c", key, b"of a transaction") for key in ("k2", "absent")]
            await adapter._write(WriteBatch(prepares))
            assert len(await adapter._prepared(None)) == 2
            holds = Holds(b"of a transaction")
            ends = WriteBatch([Release("c", "k2", holds), Delete("c", "absent", holds)])
            assert [one.error for one in await adapter._write(ends)] == [None, None]
            assert await adapter.delete_batch("c", [put.key for put in puts]) == 9
            assert (await adapter.health()).ok
            assert adapter.capabilities.durable is False
        with pytest.raises(BackendUnavailable, match="permissions") as caught:
            await make(url=url, namespace="other").open()
        assert not caught.value.retryable
        with pytest.raises(BackendUnavailable, match="let us in") as caught:
            await make(url=url.replace("pass-4711", "wrong")).open()
        assert "wrong" not in str(caught.value)

    try:
        asyncio.run(main())
    finally:
        command(raw, "ACL", "DELUSER", "agent")


def test_an_adapter_belongs_to_its_event_loop(make: Callable[..., RedisAdapter]) -> None:
    """Used in another one it says so, instead of waiting for ever."""

    async def main() -> None:
        async with make() as adapter:

            async def elsewhere() -> None:
                with pytest.raises(StoreClosed):
                    await adapter.get("c", "k")

            await asyncio.to_thread(asyncio.run, elsewhere())
            assert await adapter.get("c", "k") is None

    asyncio.run(main())


def test_namespaces_are_apart(make: Callable[..., RedisAdapter]) -> None:
    """Names that differ only in what is escaped have keys of their own."""

    async def main() -> None:
        names = ["n", "n}", "{n", "n:0", "n%", "n%7D", "n*", "n\0", "é"]
        adapters = [make(namespace=f"apart-{name}") for name in names]
        for adapter in adapters:
            await adapter.open()
            await adapter.set("c", "k", adapter.namespace.encode())
        for adapter in adapters:
            page = await adapter.query(Query("c"))
            assert [record.value for record in page.records] == [adapter.namespace.encode()]
            await adapter.close()

    asyncio.run(main())
