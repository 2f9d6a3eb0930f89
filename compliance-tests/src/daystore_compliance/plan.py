"""How hard a run tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard to try.

    Attributes:
        level: ``quick`` in seconds, ``full`` in minutes.
        seed: What random choices are made from; the same seed makes the same choices.
        search_only: Whether a failing example is left as it was found, instead of looking for a simpler one.
    """

    level: Literal["quick", "full"] = "quick"
    seed: int = 0
    search_only: bool = False
