"""Parts: a value or an intent that is too large for the object of its record is kept beside it, cut in pieces.

The object of the record names them. They are written before it, under names that are never used again, and taken
away once it names others; so a reader that misses one looks at the object again. What leaves a value as it is
leaves its parts alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

from daystore.errors import DaystoreError
from daystore_s3.places import Places
from daystore_s3.requests import Requests

__all__ = ["LIFE", "Missing", "Parts", "load", "send"]

LIFE: Final = 900.0
"""Seconds after which a write applies nothing any more that names parts which it has sent."""
AT_ONCE: Final = 8
"""Parts of one value that are under way at the same time."""


class Missing(Exception):
    """A part is not there.

    Attributes:
        epoch: Of which parts.
    """

    def __init__(self, epoch: str) -> None:
        super().__init__(epoch)
        self.epoch: str = epoch


@dataclass(frozen=True, slots=True)
class Parts:
    """What was cut.

    Attributes:
        epoch: Under which they are, a random name that is never used again.
        count: How many they are.
        size: How many bytes they have together.
        digest: Of those bytes.
    """

    epoch: str
    count: int
    size: int
    digest: str

    @classmethod
    def of(cls, data: bytes, most: int, epoch: str) -> Self | None:
        """Cut what is larger than a part may be; ``None`` if it is not.

        Args:
            data: The bytes.
            most: How many a part may have.
            epoch: Under which they are going to be.
        """
        return None if len(data) <= most else cls(epoch, -(-len(data) // most), len(data), _digest(data))

    def hold(self, data: bytes) -> bool:
        """Tell whether it was this that was cut."""
        return len(data) == self.size and _digest(data) == self.digest

    def names(self, places: Places, collection: str, key: str) -> list[str]:
        """Return the names of the parts of a record, in their order."""
        return [places.part(collection, key, self.epoch, number) for number in range(self.count)]


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


async def send(requests: Requests, names: Sequence[str], data: bytes, check: Callable[[], None]) -> None:
    """Write parts; nothing of it is under way any more when this ends.

    Args:
        requests: By which to ask.
        names: Of the parts.
        data: What is to be cut.
        check: Raises if they are not needed any more.
    """
    size = -(-len(data) // len(names))
    free = asyncio.Semaphore(AT_ONCE)
    failed: list[DaystoreError] = []

    async def one(number: int, name: str) -> None:
        async with free:
            if failed:
                return
            try:
                check()
                await requests.keep(name, data[number * size : (number + 1) * size])
            except DaystoreError as error:
                failed.append(error)

    await asyncio.gather(*(one(number, name) for number, name in enumerate(names)))
    if failed:
        raise failed[0]


async def load(requests: Requests, names: Sequence[str], parts: Parts) -> bytes:
    """Read parts, and put them together.

    Raises:
        Missing: If one is not there.
        ValueError: If they are not what was cut.
    """
    free = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> bytes | None:
        async with free:
            found = await requests.get(name)
            return None if found is None else found.body

    found = await asyncio.gather(*map(one, names))
    bodies = [body for body in found if body is not None]
    if len(bodies) < len(found):
        raise Missing(parts.epoch)
    data = b"".join(bodies)
    if not parts.hold(data):
        raise ValueError("other bytes than those that were cut")
    return data
