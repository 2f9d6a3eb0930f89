"""Histories, and whether they are strictly serializable.

The search is exact: it looks for an order of the operations, such that one that had ended before another one began
comes first, and every read finds what the order says. It is exponential in the worst case, which small worlds do
not reach. As that of Wing and Gong ("Testing and verifying concurrent objects", 1993), of whole transactions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Cell", "Event", "Scan", "explains", "is_strictly_serializable"]

Cell: TypeAlias = tuple[str, str]
"""Name of a store, and a key."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a query of a whole store found.

    Attributes:
        store: The store.
        found: The value of each key.
    """

    store: str
    found: Mapping[str, bytes]


@dataclass(slots=True)
class Event:
    """One operation, or one transaction, of a process.

    Attributes:
        process: Whose.
        what: What it was, in words.
        began: When, on the world's count.
        ended: When it was acknowledged; ``None`` if it may or may not have taken effect.
        reads: What it read, of which its own writes are no part; ``None`` for nothing.
        scans: What its queries found.
        writes: What it wrote; ``None`` for a delete.
    """

    process: str
    what: str
    began: int
    ended: int | None = None
    reads: dict[Cell, bytes | None] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    writes: dict[Cell, bytes | None] = field(default_factory=dict)


State: TypeAlias = frozenset[tuple[Cell, bytes]]


def explains(state: Mapping[Cell, bytes], event: Event) -> bool:
    """Tell whether an event that happens now reads what it did."""
    if any(state.get(cell) != value for cell, value in event.reads.items()):
        return False
    return all(
        scan.found == {key: value for (store, key), value in state.items() if store == scan.store}
        for scan in event.scans
    )


def is_strictly_serializable(events: Sequence[Event]) -> bool:
    """Tell whether there is an order that explains all events.

    Those whose outcome is unknown may be part of it or not.
    """
    ends = [math.inf if event.ended is None else event.ended for event in events]
    required = frozenset(i for i, event in enumerate(events) if event.ended is not None)
    seen: set[tuple[frozenset[int], State]] = set()

    def search(left: frozenset[int], state: dict[Cell, bytes]) -> bool:
        if not left & required:
            return True
        place = (left, frozenset(state.items()))
        if place in seen:
            return False
        seen.add(place)
        first_end = min(ends[i] for i in left)
        for i in sorted(left, key=ends.__getitem__):
            event = events[i]
            if event.began > first_end or not explains(state, event):
                continue
            after = dict(state)
            for cell, value in event.writes.items():
                if value is None:
                    after.pop(cell, None)
                else:
                    after[cell] = value
            if search(left - {i}, after):
                return True
        return False

    return search(frozenset(range(len(events))), {})
