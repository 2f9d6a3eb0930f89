"""Instants and clocks.

An instant inside daystore is an `int`: microseconds since 1970-01-01T00:00:00Z. Every backend can store, compare
and order that exactly; `datetime` is for people and appears where a `Store` hands something to its user.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock", "Instant", "from_instant", "system_clock", "to_instant"]

Instant = int
"""Microseconds since 1970-01-01T00:00:00Z."""

Clock = Callable[[], Instant]
"""Returns the present instant. Injected everywhere time is read, so that tests move it instead of waiting."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def system_clock() -> Instant:
    """Return the present instant from the operating system's clock."""
    return time.time_ns() // 1000


def to_instant(moment: datetime) -> Instant:
    """Convert an aware `datetime` to an instant, exactly.

    Args:
        moment: An aware datetime in any time zone.

    Returns:
        Microseconds since the epoch.

    Raises:
        ValueError: If `moment` is naive: guessing its time zone would move it.
    """
    if moment.utcoffset() is None:
        raise ValueError("a naive datetime has no instant: give it a time zone, e.g. datetime.now(UTC)")
    return (moment - _EPOCH) // _MICROSECOND


def from_instant(instant: Instant) -> datetime:
    """Convert an instant to an aware `datetime` in UTC, exactly."""
    return _EPOCH + timedelta(microseconds=instant)
