"""What a batch changes, ready to be sent: every name is a number, every expectation is written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self, TypeAlias

from daystore.abc import Expectation, Instant
from daystore_sql.encoding import Entries
from daystore_sql.judging import Fate, fate_of

__all__ = ["Change", "Changes", "Kind", "Stale", "Ticket", "TooLate", "Verdict", "verdict_of"]

Kind: TypeAlias = Literal["put", "delete", "check", "prepare", "release"]


@dataclass(slots=True)
class Change:
    """One operation. Treat it as frozen: it is sent as often as it takes.

    Attributes:
        place: Its place in the batch.
        scope: Number of the collection; 0 if nothing was ever written to it.
        key: Its key.
        kind: What it does.
        expect: What the live record has to be, or what intent it has to carry.
        keeps: Whether a put keeps the expiry of the live record, if there is one.
        expires_at: Of the new record, unless it is kept.
        shape: Of the new record, as everything below.
        version: Its version.
        meta: See `daystore_sql.records.pack_meta`.
        fields: Its fields, packed.
        intent: What a prepare puts beside the record.
        value: Its value.
        entries: The index entries that it will have.
    """

    place: int
    scope: int
    key: bytes
    kind: Kind
    expect: Expectation
    keeps: bool = False
    expires_at: Instant | None = None
    shape: int = 0
    version: bytes = b""
    meta: bytes = b""
    fields: bytes | None = None
    intent: bytes | None = None
    value: bytes = b""
    entries: Entries = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """A batch.

    Attributes:
        items: Its operations in the order in which their rows are locked: by scope and key.
        atomic: Whether nothing is changed unless every expectation holds.
        now: The present instant, for expiry and the times of the records.
    """

    items: Sequence[Change]
    atomic: bool
    now: Instant


class Ticket(NamedTuple):
    """By what one attempt to write is known to the server.

    Attributes:
        id: Its name: 8 bytes with the server's time, and 8 random ones.
        deadline: Microseconds of the server's clock, after which the server applies nothing of it.
    """

    id: bytes
    deadline: int


class Verdict(NamedTuple):
    """What became of an operation.

    Attributes:
        done: Whether its expectation held. It was applied then, unless the batch is atomic and another's did not.
        existed: Whether there was a live record.
        current: Its version, where the expectation did not hold.
        prepared: Whether it was not done because of an intent.
        stands: Whether it was done by an earlier attempt, so that nothing is to be changed.
    """

    done: bool
    existed: bool
    current: str | None = None
    prepared: bool = False
    stands: bool = False

    @property
    def mark(self) -> int:
        """What is noted of it with the ticket: a digit."""
        return 48 + 4 * self.prepared + 2 * self.done + self.existed

    @classmethod
    def of_mark(cls, mark: int, current: str | None = None) -> Self:
        """Read what was noted."""
        bits = mark - 48
        return cls(bits & 2 > 0, bits & 1 > 0, current, prepared=bits & 4 > 0)


def verdict_of(item: Change, current: str | None, intent: bytes | None) -> Verdict:
    """Judge an operation.

    Args:
        item: The operation.
        current: Version of the live record that it meets, if there is one.
        intent: What the row carries, alive or not.
    """
    makes = item.version.decode() if item.kind == "put" else None
    fate = fate_of(item.expect, current, intent, makes=makes, prepares=item.intent)
    done = fate is Fate.APPLIES or fate is Fate.STANDS
    return Verdict(
        done,
        current is not None,
        None if done else current,
        prepared=fate is Fate.WAITS,
        stands=fate is Fate.STANDS,
    )


class Stale(Exception):
    """Others were at work on the same records. Nothing was applied, and the same changes may be sent again."""


class TooLate(Exception):
    """The server refused the changes: their deadline has passed, or somebody looked and found them missing."""
