"""Times to live: from what a caller says to the instant from which a record is gone."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Final, Literal, TypeAlias

from daystore.abc.clock import Instant
from daystore.abc.record import KEEP, Expiry

__all__ = ["NOT_GIVEN", "Given", "NotGiven", "Ttl", "expires_at", "microseconds"]


class Given(Enum):
    """See `NOT_GIVEN`."""

    NOT = "not given"


NOT_GIVEN: Final = Given.NOT
"""The argument was left out, which is not the same as ``None``."""

NotGiven: TypeAlias = Literal[Given.NOT]
Ttl: TypeAlias = timedelta | float | str | None
"""A `timedelta`, seconds, a text such as ``"30d"``, or ``None`` for no expiry."""


def microseconds(ttl: Ttl) -> int | None:
    """Return a time to live in microseconds; ``None`` for no expiry.

    Raises:
        ValueError: If it is zero, negative, not finite, shorter than a millisecond, longer than 1000 years, or
            no duration.
        TypeError: If it is of another type.
    """
    if ttl is None:
        return None
    from daystore.config.durations import parse_duration  # most stores expire nothing

    milliseconds = parse_duration(ttl)
    if isinstance(ttl, str):
        return milliseconds * 1000
    if isinstance(ttl, timedelta):
        return ttl // timedelta(microseconds=1)
    return round(ttl * 1_000_000)


def expires_at(ttl: Ttl | NotGiven, default: int | None, now: Instant, *, keep: bool = False) -> Expiry:
    """Return the expiry of a record written now.

    Args:
        ttl: What the caller said.
        default: The store's own time to live, in microseconds.
        now: The present instant.
        keep: Whether the deadline of the record that is overwritten shall stay.

    Returns:
        An instant in whole milliseconds, rounded up, so that nothing expires early.

    Raises:
        ValueError: If the time to live cannot be used, or is given although the old one shall stay.
        TypeError: If it is of a wrong type.
    """
    if keep:
        if ttl is not NOT_GIVEN:
            raise ValueError("give ttl or keep_ttl, not both")
        return KEEP
    lifetime = default if ttl is NOT_GIVEN else microseconds(ttl)
    return None if lifetime is None else -(-(now + lifetime) // 1000) * 1000
