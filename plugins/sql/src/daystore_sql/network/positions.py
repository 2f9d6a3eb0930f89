"""How far a server has come, and how long ago another one was there: how stale a replica is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

__all__ = ["Position", "Samples"]

_EXACTNESS: Final = 4
"""As many times as old as a sample may be, compared with the gap that it would leave, for it to be dropped."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the changes of a server have come.

    Attributes:
        origin: What the tables of a server and those of its replicas have in common, and no others.
        places: How far each stream of changes has come. Places in different streams cannot be compared.
    """

    origin: str
    places: Mapping[str, int]

    def reaches(self, other: Position) -> bool:
        """Tell whether all that had happened there has happened here; ``False`` where that cannot be told."""
        places = self.places
        return (
            self.origin == other.origin
            and bool(other.places)
            and all(stream in places and places[stream] >= place for stream, place in other.places.items())
        )


class Samples:
    """Where the primary was, and when.

    A replica that has replayed a sample shows everything that was acknowledged before the time of it. So it needs
    no clock of any server, and a replica that was cut off from its primary does not count as fresh.

    The older samples are, the fewer are kept: what lags far behind is known to do so a fourth less exactly.
    """

    def __init__(self) -> None:
        self._samples: list[tuple[float, Position]] = []

    @property
    def origin(self) -> str | None:
        """That of the newest sample; ``None`` if there is none."""
        return self._samples[-1][1].origin if self._samples else None

    def add(self, time: float, position: Position) -> None:
        """Take note of a position.

        Args:
            time: When it was asked for, before it was.
            position: The answer.
        """
        samples = [*self._samples, (time, position)]
        kept = samples[:1]
        for sample, following in pairwise(samples[1:]):
            if following[0] - kept[-1][0] > (time - sample[0]) / _EXACTNESS:
                kept.append(sample)
        self._samples = [*kept, *samples[1:][-1:]]

    def fresh_as_of(self, replayed: Position) -> float:
        """Return the time of the newest sample that a replica has reached; ``-inf`` if there is none."""
        return next((time for time, there in reversed(self._samples) if replayed.reaches(there)), -math.inf)
