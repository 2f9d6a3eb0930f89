"""Reading records by key, and those that carry an intent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daystore.abc import Clock, Record
from daystore_redis.exchange import Exchange
from daystore_redis.keys import Places
from daystore_redis.packing import command
from daystore_redis.records import unpack_record
from daystore_redis.scripts import PREPARED

__all__ = ["read_prepared", "read_records"]


async def read_records(
    exchange: Exchange, places: Places, clock: Clock, collection: str, keys: Sequence[str]
) -> list[Record | None]:
    """Return the records that are alive or carry an intent, in the order of the keys: one command a shard.

    Where there is none it is ``None``.
    """
    if len(keys) == 1:
        raw = keys[0].encode()
        shard = places.shard_of(collection, raw)
        stored = await exchange.read("read", shard, command(b"GET", places.record(shard, collection, raw)))
        return [None if stored is None else unpack_record(collection, keys[0], stored, clock())]
    shards: dict[int, tuple[list[int], list[bytes]]] = {}
    for index, key in enumerate(keys):
        raw = key.encode()
        shard = places.shard_of(collection, raw)
        indexes, names = shards.setdefault(shard, ([], []))
        indexes.append(index)
        names.append(places.record(shard, collection, raw))
    asked = [exchange.read("read", shard, command(b"MGET", *names)) for shard, (_, names) in shards.items()]
    answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
    now = clock()
    records: list[Record | None] = [None] * len(keys)
    for (indexes, _), found in zip(shards.values(), answers, strict=True):
        for index, stored in zip(indexes, found, strict=True):
            if stored is not None:
                records[index] = unpack_record(collection, keys[index], stored, now)
    return records


async def read_prepared(
    exchange: Exchange, places: Places, clock: Clock, collection: str | None
) -> list[tuple[str, Record]]:
    """Return what carries an intent, of one collection or of all, each with its collection."""
    shards = range(len(places.prefixes))
    low, high = (
        (b"-", b"+") if collection is None else (f"[{collection}:".encode(), f"({collection};".encode())
    )
    parts = await asyncio.gather(*(_prepared(exchange, places, shard, low, high) for shard in shards))
    now = clock()
    found: list[tuple[str, Record]] = []
    for name, stored in (pair for part in parts for pair in part):
        where, _, key = name.decode().partition(":")
        record = unpack_record(where, key, stored, now)
        if record is not None:
            found.append((where, record))
    return found


async def _prepared(
    exchange: Exchange, places: Places, shard: int, low: bytes, high: bytes
) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    while True:
        request = command("EVALSHA", PREPARED.digest, *places.keys[shard], low, high)
        last, found = await exchange.read("read", shard, request, PREPARED)
        pairs += zip(found[::2], found[1::2], strict=True)
        if not last:
            return pairs
        low = b"(" + last
