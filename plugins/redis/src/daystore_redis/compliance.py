"""The targets of the compliance suite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

import redis

from daystore.abc import Clock, StorageAdapter
from daystore_compliance.services import LocalProcess, Service, ServiceTarget
from daystore_compliance.target import Raw
from daystore_redis.adapter import RedisAdapter
from daystore_redis.layout import LAYOUT

__all__ = ["RedisClusterTarget", "RedisDurableTarget", "RedisShardsTarget", "RedisTarget", "ValkeyTarget"]

PASSWORD = "swordfish-4711"  # noqa: S105 -- of servers that only the suite starts
URL = f"redis://:{PASSWORD}@127.0.0.1:{{port}}/0"
IN_MEMORY = ("--save", "", "--appendonly", "no")
ON_DISK = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


def _probe(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.ping()


def _one(name: str, image: str, binary: str, build: str, keeping: tuple[str, ...]) -> Service:
    """Describe one server."""
    arguments = (*keeping, "--requirepass", PASSWORD)
    local = (binary, "--bind", "127.0.0.1", "--port", "{port}", "--dir", "{directory}", *arguments)
    return Service(
        name=name,
        image=image,
        build=build,
        port=6379,
        url=URL,
        probe=_probe,
        arguments=(binary, *arguments),
        local=LocalProcess(local, install=f"apt-get install {binary}"),
    )


REDIS = _one("redis", "redis:8", "redis-server", "redis", IN_MEMORY)
REDIS_DURABLE = _one("redis-durable", "redis:8", "redis-server", "redis", ON_DISK)
VALKEY = _one("valkey", "valkey/valkey:8", "valkey-server", "valkey", IN_MEMORY)

# --- A cluster -----------------------------------------------------------------------------------------------

MASTERS = 3
SHARDS = 4


def _probe_cluster(url: str) -> None:
    with _nodes(url) as nodes:
        states = [node.cluster("INFO") for node in nodes]
    if len(states) < MASTERS or any(cast("dict[str, str]", s)["cluster_state"] != "ok" for s in states):
        raise ConnectionError("the cluster is not complete yet")


@contextmanager
def _nodes(url: str) -> Iterator[list[redis.Redis]]:
    """Connect to every master of a cluster."""
    parts = urlsplit(url)
    with ExitStack() as stack:
        first = stack.enter_context(redis.Redis(parts.hostname or "", parts.port or 0))
        slots: Any = first.execute_command("CLUSTER", "SLOTS")
        addresses = sorted({(master[0].decode(), master[1]) for _, _, master, *_ in slots})
        yield [stack.enter_context(redis.Redis(host, port)) for host, port in addresses]


def _node(port: str, bus: str) -> tuple[str, ...]:
    return (
        *("redis-server", "--bind", "127.0.0.1", "--port", port, "--cluster-port", bus),
        *("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf"),
        *("--dir", "{directory}", *IN_MEMORY),
    )


REDIS_CLUSTER = Service(
    name="redis-cluster",
    image="",
    build="redis-cluster",
    ports=2 * MASTERS,
    url="redis+cluster://127.0.0.1:{port}",
    probe=_probe_cluster,
    arguments=IN_MEMORY,
    environment={"PORTS": "{port} {port2} {port3}", "BUS_PORTS": "{port4} {port5} {port6}"},
    local=LocalProcess(
        _node("{port}", "{port4}"),
        beside=(_node("{port2}", "{port5}"), _node("{port3}", "{port6}")),
        settle=(
            (
                *("redis-cli", "--cluster", "create", "--cluster-yes"),
                *("127.0.0.1:{port}", "127.0.0.1:{port2}", "127.0.0.1:{port3}"),
            ),
        ),
        install="apt-get install redis-server",
    ),
)

# --- The targets ---------------------------------------------------------------------------------------------

_COUNT = """
local function those(kind)
  local found, from = {}, '0'
  repeat
    local part = redis.call('SCAN', from, 'MATCH', ARGV[1] .. kind, 'COUNT', 10000)
    from = part[1]
    for _, name in ipairs(part[2]) do found[#found + 1] = name end
  until from == '0'
  return found
end
local entries = 0
for _, name in ipairs(those('i')) do entries = entries + redis.call('ZCARD', name) end
for _, name in ipairs(those('[kcuf]:*')) do entries = entries + redis.call('ZCARD', name) end
for _, name in ipairs(those('x:*')) do
  for _, key in ipairs(redis.call('ZRANGE', name, 0, -1)) do
    local record = string.gsub(name, '}:x:', '}:r:', 1) .. ':' .. key
    if redis.call('EXISTS', record) == 0 then entries = entries + 1 end
  end
end
return { #those('r:*'), entries }
"""
"""Counts records, and entries of indexes and intents; a deadline counts only where its record is gone."""


class RedisTarget(ServiceTarget):
    """Redis: one server, whose data go with it."""

    name = "redis"
    service: ClassVar[Service] = REDIS
    hooks: frozenset[str] = frozenset(
        {"crash", "fresh", "future", "process", "proxy", "raw", "reopen", "second"}
    )
    disposable = True

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return a closed adapter."""
        return RedisAdapter.from_url(url, namespace=namespace, clock=clock)

    @contextmanager
    def clients(self) -> Iterator[list[redis.Redis]]:
        """Connect to every server that has a part of the data."""
        with redis.Redis.from_url(self.url) as client:
            yield [client]

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count what is kept of records and of indexes, and the connections of the adapter."""
        return await asyncio.to_thread(self._count, cast("RedisAdapter", adapter))

    def _count(self, adapter: RedisAdapter) -> Raw:
        records = entries = 0
        with self.clients() as clients:
            for client in clients:
                for prefix in adapter.places.prefixes:
                    found: Any = client.eval(_COUNT, 0, _literal(prefix))
                    records, entries = records + found[0], entries + found[1]
        return Raw(records, entries, adapter.connections)

    def from_the_future(self) -> Callable[[], None]:
        """Stamp every namespace with a layout that is still to come."""
        self._stamp("9999")
        return lambda: self._stamp(str(LAYOUT))

    def _stamp(self, layout: str) -> None:
        with self.clients() as clients:
            for client in clients:
                for name in client.scan_iter(match="*}:m", count=1000):
                    client.hset(name, "layout", layout)


def _literal(prefix: bytes) -> bytes:
    """Return a pattern that matches this text alone."""
    return b"".join(b"\\" + prefix[at : at + 1] for at in range(len(prefix)))


class RedisDurableTarget(RedisTarget):
    """Redis: one server, which has every change on its disk before it acknowledges it."""

    name = "redis-durable"
    service: ClassVar[Service] = REDIS_DURABLE


class ValkeyTarget(RedisTarget):
    """Valkey: one server, whose data go with it."""

    name = "valkey"
    service: ClassVar[Service] = VALKEY


class RedisClusterTarget(RedisTarget):
    """Redis Cluster: three masters, each namespace on one of them."""

    name = "redis-cluster"
    service: ClassVar[Service] = REDIS_CLUSTER
    hooks: frozenset[str] = RedisTarget.hooks - {"crash", "proxy"}

    @contextmanager
    def clients(self) -> Iterator[list[redis.Redis]]:
        """Connect to every master."""
        with _nodes(self.url) as nodes:
            yield nodes


class RedisShardsTarget(RedisClusterTarget):
    """Redis Cluster: three masters, each namespace divided into shards that are on all of them."""

    name = "redis-shards"

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return a closed adapter."""
        return RedisAdapter.from_url(url, namespace=namespace, clock=clock, shards=SHARDS)

    def elsewhere(self) -> str:
        """Return the URL, with the number of shards."""
        return f"{self.url}?daystore_shards={SHARDS}"

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count as for one server; there are as many connections as shards were asked at the same time."""
        return replace(await super().raw(adapter), connections=None)
