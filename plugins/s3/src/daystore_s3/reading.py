"""Reads by key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from daystore_s3.errors import corrupt, unavailable
from daystore_s3.objects import NOTHING, Kept, decode, decode_beginning
from daystore_s3.parts import Missing, Parts, load
from daystore_s3.places import Places
from daystore_s3.requests import Requests

__all__ = ["Sight", "look", "read_sights"]

BEGINNING: Final = 16 * 1024
"""Bytes that a writer reads of what it overwrites: the header, and the fields in nearly all cases."""
RACES: Final = 100
"""Looks at a record whose parts others take away, since they overwrite it again and again."""


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
    requests: Requests,
    places: Places,
    collection: str,
    keys: Iterable[str],
    *,
    in_full: Callable[[Kept], bool] = lambda _: True,
) -> dict[str, Sight]:
    """Return what is kept of keys: one request for each, and one for each part.

    Args:
        requests: By which to ask.
        places: Where things are.
        collection: Where they are.
        keys: The keys.
        in_full: Tells whether the parts of something are needed as well.
    """
    wanted = list(dict.fromkeys(keys))
    since = asyncio.get_running_loop().time()

    async def one(key: str) -> Sight:
        missing: set[str] = set()
        for _ in range(RACES):
            found = await requests.get(places.record(collection, key))
            if found is None:
                return Sight(None, NOTHING, since)
            kept = decode(collection, key, found.body)
            if not kept.parts or not in_full(kept):
                return Sight(found.etag, kept, since)
            if any(parts.epoch in missing for parts in kept.parts):
                raise corrupt(collection, key)
            try:
                whole = await _joined(requests, places, collection, key, kept)
                return Sight(found.etag, whole, since)
            except Missing as error:
                missing.add(error.epoch)
        raise unavailable("others overwrote this record again and again while it was read: try again", "read")

    if len(wanted) == 1:
        return {wanted[0]: await one(wanted[0])}
    return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))


async def _joined(requests: Requests, places: Places, collection: str, key: str, kept: Kept) -> Kept:
    async def one(parts: Parts | None) -> bytes | None:
        return None if parts is None else await load(requests, parts.names(places, collection, key), parts)

    try:
        return kept.joined(*await asyncio.gather(one(kept.value_parts), one(kept.intent_parts)))
    except ValueError:
        raise corrupt(collection, key) from None
