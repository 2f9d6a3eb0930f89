"""What a backend can do, as data. Declared means certified; not declared means refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = [
    "EVENTUAL",
    "STRONG",
    "Capabilities",
    "Consistency",
    "Level",
    "Limits",
    "bounded",
]

FLAGS: Final = (
    "conditional",
    "atomic_batch",
    "transactions",
    "ttl",
    "query",
    "aggregate",
    "intents",
    "snapshots",
    "durable",
)

Level = Literal["eventual", "bounded", "strong"]


@dataclass(frozen=True, slots=True)
class Consistency:
    """How fresh a read must be.

    Attributes:
        level: ``eventual`` (any cache, any replica), ``bounded`` or ``strong`` (the newest acknowledged write).
        max_staleness: For ``bounded``: the oldest that an answer may be, in seconds.
    """

    level: Level
    max_staleness: float | None = None


EVENTUAL: Final = Consistency("eventual")
STRONG: Final = Consistency("strong")


def bounded(seconds: float) -> Consistency:
    """Ask for nothing staler than `seconds`.

    Raises:
        ValueError: If `seconds` is negative or not finite.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError("a bound on staleness is a finite number of seconds, not negative")
    return Consistency("bounded", float(seconds))


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes beyond which a backend refuses, with `LimitExceeded`, before anything is sent. ``None`` is no limit.

    Attributes:
        max_value_bytes: Of a serialized value.
        max_field_bytes: Of one indexed string, or of one string of an indexed list, in UTF-8.
        max_batch: Operations or keys in one request; larger batches that are not atomic are chunked.
        max_atomic_ops: Operations, checks included, in one atomic batch.
        ttl_resolution: Seconds to which an expiry is exact.
    """

    max_value_bytes: int | None = 64 * 1024 * 1024
    max_field_bytes: int = 1024
    max_batch: int | None = None
    max_atomic_ops: int | None = None
    ttl_resolution: float = 0.001


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter declares. Every flag is off unless the adapter says otherwise.

    Attributes:
        conditional: Expectations other than ``ANY`` on single writes.
        atomic_batch: ``write`` with ``atomic=True``.
        transactions: Optimistic transactions, with checked queries, over ``atomic_batch``.
        ttl: Expiry of records.
        query: ``query`` and ``count`` with predicates, order and cursors.
        aggregate: ``aggregate``.
        intents: ``Prepare``, ``Release`` and ``Holds``: it takes part in coordinated transactions.
        snapshots: A read of several records, and a page of a query, are of one instant: no part of an atomic batch
            is seen without the rest of it. (A transaction that saw such a part does not commit, on any backend.)
        durable: An acknowledged write survives a crash of the process and of its machine.
        consistency: The levels that can be asked for.
        limits: See `Limits`.
    """

    conditional: bool = False
    atomic_batch: bool = False
    transactions: bool = False
    ttl: bool = False
    query: bool = False
    aggregate: bool = False
    intents: bool = False
    snapshots: bool = False
    durable: bool = False
    consistency: frozenset[Level] = frozenset({"eventual"})
    limits: Limits = field(default_factory=Limits)

    def names(self) -> tuple[str, ...]:
        """Return the names of the declared flags, in the order of this class."""
        return tuple(flag for flag in FLAGS if getattr(self, flag))
