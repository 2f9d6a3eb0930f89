"""Reading records by key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daystore.abc import Clock, Record
from daystore_redis.exchange import Exchange
from daystore_redis.keys import Places
from daystore_redis.packing import command
from daystore_redis.records import unpack_live

__all__ = ["read_records"]


async def read_records(
    exchange: Exchange, places: Places, clock: Clock, collection: str, keys: Sequence[str]
) -> list[Record | None]:
    """Return the live records in the order of the keys, ``None`` where there is none: one command a shard."""
    if len(keys) == 1:
        raw = keys[0].encode()
        shard = places.shard_of(collection, raw)
        stored = await exchange.read("read", shard, command(b"GET", places.record(shard, collection, raw)))
        return [None if stored is None else unpack_live(collection, keys[0], stored, clock())]
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
                records[index] = unpack_live(collection, keys[index], stored, now)
    return records
