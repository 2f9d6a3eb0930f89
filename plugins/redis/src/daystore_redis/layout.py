"""The layout of a namespace: made, or refused."""

from __future__ import annotations

from typing import Final

from daystore.errors import ConfigError
from daystore_redis.errors import unavailable
from daystore_redis.exchange import Exchange
from daystore_redis.keys import Places
from daystore_redis.packing import command
from daystore_redis.scripts import OPEN

__all__ = ["LAYOUT", "prepare"]

LAYOUT: Final = 1
"""Number of the layout that this version reads and writes."""


async def prepare(exchange: Exchange, places: Places, *, cache: bool) -> None:
    """Lay out a namespace that is new.

    Raises:
        BackendUnavailable: If its layout is from a newer version. It is left as it is.
        ConfigError: If it was laid out with another number of shards, or is a cache and is not to be one, or the
            other way round.
    """
    shards = len(places.prefixes)
    words = (str(LAYOUT), str(shards), str(int(cache)))
    request = command("EVALSHA", OPEN.digest, *places.keys[0], *words)
    layout, found, is_cache = await exchange.read("open", 0, request, OPEN)
    if not layout.isdigit() or int(layout) > LAYOUT:
        raise unavailable(
            f"the namespace has the layout {layout.decode(errors='replace')!r}, which is from a newer version of "
            f"daystore-redis (this one knows {LAYOUT}); it was left as it is: upgrade daystore-redis",
            "open",
            retryable=False,
        )
    if int(found) != shards:
        raise ConfigError(
            f"the namespace was made with shards={int(found)} and keeps that number: open it with this option"
        )
    if is_cache != words[2].encode():
        raise ConfigError(
            f"the namespace {'is no' if cache else 'is a'} cache, and remains so: open it with cache={not cache}, "
            "or choose another namespace"
        )
