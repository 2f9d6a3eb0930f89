"""The clock of a case: it stands still until the case moves it, so nothing ever waits."""

from __future__ import annotations

from typing import Final

from daystore.abc import Instant

__all__ = ["START", "ManualClock"]

START: Final[Instant] = 1_770_091_506_789_123
"""An instant in 2026 that is no whole millisecond, so that a backend that rounds instants is found out."""

_MILLISECOND: Final = 1_000
_SECOND: Final = 1_000_000


class ManualClock:
    """A clock that is moved by hand.

    Args:
        start: The instant at which it begins, in microseconds since 1970.
    """

    def __init__(self, start: Instant = START) -> None:
        self._now = start

    def __call__(self) -> Instant:
        """Return the present instant."""
        return self._now

    def advance(self, seconds: float = 0, *, microseconds: int = 0) -> Instant:
        """Move forward, and return the new present."""
        self._now += round(seconds * _SECOND) + microseconds
        return self._now

    def move_to(self, instant: Instant) -> None:
        """Move to an instant, forward or back."""
        self._now = instant

    def align(self) -> Instant:
        """Move forward to the next whole millisecond, and return it."""
        self._now += -self._now % _MILLISECOND
        return self._now

    def deadline(self, seconds: float) -> Instant:
        """Return the first whole millisecond that is at least `seconds` from now."""
        exact = self._now + round(seconds * _SECOND)
        return exact + -exact % _MILLISECOND
