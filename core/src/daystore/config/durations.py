"""Durations as people write them: ``"30d"``, ``"1h30m"``, a number of seconds, a `timedelta`."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Final

__all__ = ["parse_duration", "parse_timeout"]

_MILLISECONDS: Final = {
    "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1,
}  # fmt: skip
_UNITS: Final = list(_MILLISECONDS)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[wdhms])")
_LONGEST: Final = 365_000 * _MILLISECONDS["d"]
_FORMS: Final = (
    "a duration is '30d', '1h30m', '500ms' (units w, d, h, m, s, ms), a number of seconds or a timedelta"
)


def parse_duration(duration: str | float | timedelta) -> int:
    """Return a duration in milliseconds.

    Args:
        duration: A `timedelta`; or a number of seconds; or numbers with units, the largest unit first and
            each at most once: ``"30d"``, ``"1h30m"``, ``"1.5h"``. A text without a unit is refused.

    Returns:
        Milliseconds, at least 1. What lies between two milliseconds is rounded to the nearer one.

    Raises:
        ValueError: If it is zero or negative, shorter than a millisecond, longer than 1000 years, not finite,
            or a text of another form.
        TypeError: If it is of another type.
    """
    if isinstance(duration, str):
        exact = _parse_text(duration)
    elif isinstance(duration, timedelta):
        exact = Fraction(duration // timedelta(microseconds=1), 1000)
    elif isinstance(duration, bool) or not isinstance(duration, (int, float)):
        raise TypeError(f"{_FORMS}, not {type(duration).__name__}")
    elif not math.isfinite(duration):
        raise ValueError("a duration has to be finite")
    else:
        exact = Fraction(duration) * 1000
    if exact <= 0:
        raise ValueError("a duration has to be longer than zero")
    if exact > _LONGEST:
        raise ValueError("a duration has to be at most 1000 years; for no end, give none")
    if not (milliseconds := round(exact)):
        raise ValueError("a duration has to be at least a millisecond")
    return milliseconds


def _parse_text(text: str) -> Fraction:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(_FORMS)
    order = [_UNITS.index(unit) for _, unit in parts]
    if any(later <= earlier for earlier, later in pairwise(order)):
        raise ValueError("in a duration the largest unit comes first and each unit once, as in '1d12h'")
    return sum((Fraction(number) * _MILLISECONDS[unit] for number, unit in parts), Fraction(0))


def parse_timeout(timeout: object) -> float | None:
    """Return a time limit in seconds, or ``None`` for no limit.

    Args:
        timeout: ``None`` or ``"none"``; a number of seconds, also as text; or a duration such as ``"500ms"``.

    Raises:
        ValueError: If it is not positive, not finite, or a text of another form.
        TypeError: If it is of another type.
    """
    if timeout is None or timeout == "none":
        return None
    if isinstance(timeout, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", timeout):
        timeout = float(timeout)
    if isinstance(timeout, str):
        return parse_duration(timeout) / 1000
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout is a number of seconds or a duration, not {type(timeout).__name__}")
    if not 0 < timeout < math.inf:
        raise ValueError("a timeout is a positive number of seconds, or 'none' for no limit")
    return float(timeout)
