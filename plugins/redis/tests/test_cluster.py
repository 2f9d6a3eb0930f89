"""A cluster: shards on several masters, and slots that move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from redis.exceptions import TryAgainError

from daystore.abc import Compare, Delete, Op, Order, Put, Query, WriteBatch
from daystore.errors import BackendUnavailable
from daystore_redis.adapter import RedisAdapter
from daystore_redis.compliance import RedisShardsTarget
from daystore_redis.servers import Cluster

from .conftest import TestClock, command


@pytest.fixture
def open_at(cluster: RedisShardsTarget, namespace: str, clock: TestClock) -> Callable[[int], RedisAdapter]:
    """Make an adapter with a number of shards."""
    return lambda shards: RedisAdapter.from_url(cluster.url, namespace=namespace, clock=clock, shards=shards)


def test_records_are_on_all_masters(open_at: Callable[[int], RedisAdapter]) -> None:
    """Reads, writes, pages, counts and deletes go to all shards, and come back as one answer, in order."""

    async def main() -> None:
        async with open_at(16) as adapter:
            keys = [f"k{n:03}" for n in range(300)]
            await adapter.set_batch(
                [Put("c", key, key.encode(), fields={"n": n % 7}) for n, key in enumerate(keys)]
            )
            assert isinstance(adapter._exchange.servers, Cluster)  # type: ignore[union-attr]
            assert len(set(adapter._exchange.servers._homes.values())) == 3  # type: ignore[union-attr]
            assert list(await adapter.get_batch("c", [*keys, "missing"])) == keys
            query, seen = (
                Query("c", Compare("n", Op.LT, 4), Order("n", descending=True), limit=17),
                list[str](),
            )
            expected = sorted(
                (k for i, k in enumerate(keys) if i % 7 < 4), key=lambda k: (-(int(k[1:]) % 7), k)
            )
            while True:
                page = await adapter.query(query)
                seen += [record.key for record in page.records]
                if page.cursor is None:
                    break
                query = Query("c", query.where, query.order, limit=17, cursor=page.cursor)
            assert seen == expected
            assert await adapter.count(Query("c", query.where)) == len(expected)
            offset = await adapter.query(Query("c", query.where, query.order, limit=5, offset=100))
            assert [record.key for record in offset.records] == expected[100:105]
            outcomes = await adapter.write(
                WriteBatch([Delete("c", key, expect="other") for key in keys[:50]])
            )
            assert all(outcome.error is not None for outcome in outcomes)
            assert await adapter.delete_batch("c", keys) == 300

    asyncio.run(main())


class Move:
    """The move of a slot from its master to another one.

    Args:
        nodes: Of the cluster.
        slot: Which.
    """

    def __init__(self, nodes: list[redis.Redis], slot: int) -> None:
        self._nodes, self._slot = nodes, slot
        self._ids: list[str] = [command(node, "CLUSTER", "MYID").decode() for node in nodes]
        owner = next(i for i, node in enumerate(nodes) if self._is_owner(node, self._ids[i]))
        self._from, self._to = owner, (owner + 1) % len(nodes)

    def _is_owner(self, node: redis.Redis, name: str) -> bool:
        slots = command(node, "CLUSTER", "SLOTS")
        return any(
            low <= self._slot <= high and master[2].decode() == name for low, high, master, *_ in slots
        )

    def begin(self) -> None:
        """Have one give it away and the other one take it over."""
        slot, source, target = str(self._slot), self._nodes[self._from], self._nodes[self._to]
        command(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[self._from])
        command(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[self._to])

    def carry(self, most: int) -> None:
        """Move some keys."""
        source = self._nodes[self._from]
        options = self._nodes[self._to].connection_pool.connection_kwargs
        for key in command(source, "CLUSTER", "GETKEYSINSLOT", str(self._slot), str(most)):
            command(source, "MIGRATE", str(options["host"]), str(options["port"]), key, "0", "5000")

    def end(self) -> None:
        """Tell all whose it is now."""
        for node in (self._nodes[self._to], self._nodes[self._from], *self._nodes):
            command(node, "CLUSTER", "SETSLOT", str(self._slot), "NODE", self._ids[self._to])


@contextmanager
def moving(cluster: RedisShardsTarget, slot: int) -> Iterator[Move]:
    """Move a slot, and always to its end: the cluster is shared."""
    with cluster.clients() as nodes:
        move = Move(nodes, slot)
        move.begin()
        try:
            yield move
        finally:
            move.carry(10_000)
            move.end()


def test_a_slot_that_moves_takes_all_with_it(
    cluster: RedisShardsTarget, open_at: Callable[[int], RedisAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a slot is in two places no script runs on half of it; afterwards everything is at the new place."""
    monkeypatch.setattr(Cluster, "delays", (0.0, 0.0))

    async def main() -> None:
        async with open_at(1) as adapter:
            puts = [Put("c", f"k{n}", b"v", fields={"n": n}) for n in range(20)]
            await adapter.set_batch(puts)
            with moving(cluster, adapter.places.slots[0]) as move:
                for carried in (0, 10):
                    move.carry(carried)
                    for put in puts:  # at the one or at the other
                        assert await adapter.exists("c", put.key)
                    for refused in (
                        adapter.set("c", "k1", b"w"),
                        adapter.set("c", "new", b"w"),
                        adapter.query(Query("c", Compare("n", Op.LT, 5))),
                        adapter.count(Query("c")),
                    ):
                        with pytest.raises(BackendUnavailable) as caught:
                            await refused
                        assert isinstance(caught.value.__cause__, TryAgainError)
            await adapter.set("c", "k1", b"w", fields={"n": 1})
            assert await adapter.count(Query("c")) == 20
            assert len((await adapter.query(Query("c", Compare("n", Op.LT, 5)))).records) == 5
            assert await adapter.delete_batch("c", [put.key for put in puts]) == 20

    asyncio.run(main())


def test_a_node_is_no_server_of_its_own(cluster: RedisShardsTarget, clock: TestClock) -> None:
    """Opened by a URL that says nothing of a cluster, it tells which URL does."""

    async def main() -> None:
        errors: list[BackendUnavailable] = []
        for number in range(9):  # most of these belong to other nodes
            url = cluster.url.replace("redis+cluster", "redis")
            adapter = RedisAdapter.from_url(url, namespace=f"n{number}", clock=clock)
            try:
                await adapter.open()
            except BackendUnavailable as error:
                errors.append(error)
            else:
                await adapter.close()
        assert errors
        assert all("redis+cluster://" in str(error) and not error.retryable for error in errors)

    asyncio.run(main())
