"""What is found out before the first operation: whether the server does what is relied on, and the layout."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import orjson

from daystore.errors import ConfigError
from daystore_s3.errors import unavailable
from daystore_s3.objects import new_id
from daystore_s3.places import Places
from daystore_s3.requests import Requests
from daystore_s3.sending import Refused

__all__ = ["LAYOUT", "prepare", "probe"]

LAYOUT: Final = 1
"""Number of the layout that this version reads and writes."""
STALE: Final = '"00000000000000000000000000000000"'
"""An ETag that no object has."""


async def probe(requests: Requests, places: Places) -> bool:
    """Try whether the server enforces conditions.

    Returns:
        Whether it also does for deletes, so that what was deleted can be taken away.

    Raises:
        ConfigError: If it does not for writes: a change could be lost.
    """
    name = places.probe + new_id()
    await requests.swap(name, b"probe", None)
    try:
        ignored = []
        if not await _refuses(requests, name, None):
            ignored.append("If-None-Match")
        if not await _refuses(requests, name, STALE):
            ignored.append("If-Match")
        if ignored:
            raise ConfigError(
                f"the server ignores {' and '.join(ignored)} when an object is written, so concurrent changes "
                "would be lost: use a server that enforces conditional writes"
            )
        with suppress(Refused):
            await requests.drop_if(name, STALE)
        return await requests.get(name) is not None
    finally:
        await requests.drop(name)


async def _refuses(requests: Requests, name: str, etag: str | None) -> bool:
    try:
        await requests.swap(name, b"probed", etag)
    except Refused:
        return True
    return False


async def prepare(requests: Requests, places: Places) -> None:
    """Lay out a namespace that is new.

    Raises:
        BackendUnavailable: If its layout is from a newer version. It is left as it is.
    """
    found = await requests.get(places.layout)
    if found is None:
        try:
            await requests.swap(places.layout, orjson.dumps({"layout": LAYOUT}), None)
        except Refused:
            found = await requests.get(places.layout)
    if found is None:
        return
    try:
        layout = orjson.loads(found.body)["layout"]
    except (ValueError, KeyError, TypeError):
        layout = None
    if type(layout) is not int or layout > LAYOUT:
        raise unavailable(
            f"the namespace has the layout {layout!r}, which is from a newer version of daystore-s3 (this one "
            f"knows {LAYOUT}); it was left as it is: upgrade daystore-s3",
            "open",
            retryable=False,
        )
