"""Reads by key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from daystore.abc import Instant, Record
from daystore_s3.objects import NOTHING, Kept, decode, decode_beginning
from daystore_s3.places import Places
from daystore_s3.requests import Requests

__all__ = ["Sight", "look", "read_records", "read_sights"]

BEGINNING: Final = 16 * 1024
"""Bytes that a writer reads of what it overwrites: the header, and the fields in nearly all cases."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was kept of a key at some instant after one.

    Attributes:
        etag: Of its object; ``None`` if there was none.
        kept: What was kept.
        since: That instant, by the clock of the event loop.
    """

    etag: str | None
    kept: Kept
    since: float


async def look(
    requests: Requests, collection: str, key: str, name: str, *, whole: bool
) -> tuple[str | None, Kept]:
    """Return what is kept of a key, and its ETag.

    Args:
        requests: By which to ask.
        collection: Where it is.
        key: The key.
        name: Of its object.
        whole: Whether the value is needed.
    """
    found = await requests.get(name, BEGINNING)
    if found is None:
        return None, NOTHING
    kept = decode_beginning(collection, key, found.body, found.size)
    if kept is None or (whole and not kept.whole):
        found = await requests.get(name)
        if found is None:
            return None, NOTHING
        kept = decode(collection, key, found.body)
    return found.etag, kept


async def read_sights(
    requests: Requests, places: Places, collection: str, keys: Iterable[str]
) -> dict[str, Sight]:
    """Return what is kept of keys, one request for each."""
    wanted = list(dict.fromkeys(keys))
    since = asyncio.get_running_loop().time()

    async def one(key: str) -> Sight:
        found = await requests.get(places.record(collection, key))
        if found is None:
            return Sight(None, NOTHING, since)
        return Sight(found.etag, decode(collection, key, found.body), since)

    if len(wanted) == 1:
        return {wanted[0]: await one(wanted[0])}
    return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))


async def read_records(
    requests: Requests, places: Places, collection: str, keys: Iterable[str], now: Instant
) -> dict[str, Record]:
    """Return the live records of keys."""
    found = await read_sights(requests, places, collection, keys)
    live = {key: sight.kept.live(now) for key, sight in found.items()}
    return {key: record for key, record in live.items() if record is not None}
