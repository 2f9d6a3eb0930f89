"""When to try again after a conflict, and when to give up.

The pauses are those of the MongoDB drivers' specification of transactions: a random part of 5 ms · 1.5ⁿ, at
most half a second. Without the randomness those who collided once would collide again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import SystemRandom
from typing import Final

__all__ = ["DEFAULT", "Attempts", "Retry"]

_random = SystemRandom().random
_LAST_GROWTH = 30


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to go on after conflicts.

    Attributes:
        deadline: Seconds from the beginning after which no further attempt is begun.
        attempts: Most attempts; ``None`` for as many as fit before the deadline.
        first: Longest pause after the first attempt, in seconds.
        growth: By how much the longest pause grows with each attempt.
        longest: Longest pause of all, in seconds.

    Raises:
        ValueError: If the deadline is negative or there would be no attempt.
    """

    deadline: float = 30.0
    attempts: int | None = None
    first: float = 0.005
    growth: float = 1.5
    longest: float = 0.5

    def __post_init__(self) -> None:
        if not self.deadline >= 0:
            raise ValueError("a deadline is a number of seconds, not negative")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError("there is at least one attempt")

    def start(self) -> Attempts:
        """Begin to count attempts and time."""
        return Attempts(self)


class Attempts:
    """The attempts of one operation.

    Attributes:
        made: How many have failed.
    """

    __slots__ = ("_end", "_loop", "_retry", "made")

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + retry.deadline
        self.made: int = 0

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; not negative."""
        return max(0.0, self._end - self._loop.time())

    async def again(self) -> bool:
        """Wait a random while after a failed attempt.

        Returns:
            Whether there may be another attempt.
        """
        retry = self._retry
        self.made += 1
        left = self.seconds_left
        if left == 0 or (retry.attempts is not None and self.made >= retry.attempts):
            return False
        longest = min(retry.first * retry.growth ** min(self.made, _LAST_GROWTH), retry.longest)
        await asyncio.sleep(min(_random() * longest, left))
        return True


DEFAULT: Final = Retry()
