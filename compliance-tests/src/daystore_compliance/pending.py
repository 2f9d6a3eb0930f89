"""Promises of the contract that no case tries yet, because what they are about is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["PENDING", "Pending"]

_NO_SUBSCRIBERS: Final = "events have no subscribers yet"


@dataclass(frozen=True, slots=True)
class Pending:
    """A case to come.

    Attributes:
        promise: What it will try, in one line.
        reason: What has to be there first.
    """

    promise: str
    reason: str


PENDING: Final[Mapping[str, Pending]] = {
    "evt.slow_commit": Pending(
        "An event that is numbered early and committed late is delivered all the same.", _NO_SUBSCRIBERS
    ),
    "evt.resume": Pending("A subscriber goes on where it stopped, and misses nothing.", _NO_SUBSCRIBERS),
    "evt.crash": Pending(
        "A subscriber that crashes gets what it had not acknowledged again, in order.", _NO_SUBSCRIBERS
    ),
    "stack.core_each": Pending(
        "The core profile holds behind a cache, compression, encryption, and all of them.",
        "these middleware are not there yet",
    ),
}
"""By the id that the case will have."""
