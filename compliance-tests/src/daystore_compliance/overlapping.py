"""Tasks beside each other, of which one goes on until the other has come far enough, however fast either is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["going_on"]

MOST_TIMES: Final = 1_000
"""So many times the rounds that were asked for are gone on with, at most: the other does not come far at all."""


def going_on(least: int, enough: Callable[[], bool]) -> Iterator[int]:
    """Count rounds from 0: as many as are asked for, and on until the other task has come far enough.

    The case expects afterwards that it has, for the rounds come to an end in any case.

    Args:
        least: How many rounds there are at least.
        enough: Whether the other task has come far enough.
    """
    for number in range(MOST_TIMES * least):
        if number >= least and enough():
            return
        yield number
