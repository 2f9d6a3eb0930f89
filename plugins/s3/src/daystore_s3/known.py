"""What a process knows of keys that it has read or written, so that a write of one need not look first.

It may be out of date. So it is good for a write, which the server refuses if it is, and for nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeAlias

from daystore_s3.reading import Sight

__all__ = ["Known", "Place"]

Place: TypeAlias = tuple[str, str]
"""A collection and a key."""

MOST: Final = 4_096
"""Keys of which something is known; what was learned first is forgotten first."""


class Known:
    """The sights of keys, without values and without what is in parts."""

    def __init__(self) -> None:
        self._sights: dict[Place, Sight] = {}

    def get(self, place: Place) -> Sight | None:
        """Return what was last seen of a key."""
        return self._sights.get(place)

    def learn(self, place: Place, sight: Sight) -> None:
        """Keep what was seen of a key, unless something newer is known."""
        before = self._sights.pop(place, sight)
        self._sights[place] = before if before.since > sight.since else _without_value(sight)
        if len(self._sights) > MOST:
            del self._sights[next(iter(self._sights))]

    def forget(self, place: Place) -> None:
        """Keep nothing of a key."""
        self._sights.pop(place, None)


def _without_value(sight: Sight) -> Sight:
    kept = sight.kept.apart() if sight.kept.parts else sight.kept
    if kept.record is not None and kept.record.value:
        kept = replace(kept, record=replace(kept.record, value=b""), whole=False)
    return replace(sight, kept=kept)
