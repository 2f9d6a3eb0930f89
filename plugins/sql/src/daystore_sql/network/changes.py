"""What a batch changes, ready to be sent: every name is a number, every expectation is written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from daystore.abc import Expectation, Instant
from daystore_sql.encoding import Entries

__all__ = ["Change", "Changes", "Kind", "Stale", "Ticket", "TooLate", "Verdict"]

Kind: TypeAlias = Literal["put", "delete", "check"]


@dataclass(slots=True)
class Change:
    """One operation. Treat it as frozen: it is sent as often as it takes.

    Attributes:
        place: Its place in the batch.
        scope: Number of the collection; 0 if nothing was ever written to it.
        key: Its key.
        kind: What it does.
        expect: What the live record has to be.
        keeps: Whether a put keeps the expiry of the live record, if there is one.
        expires_at: Of the new record, unless it is kept.
        shape: Of the new record, as everything below.
        version: Its version.
        meta: See `daystore_sql.records.pack_meta`.
        fields: Its fields, packed.
        intent: Its intent.
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
    """

    done: bool
    existed: bool
    current: str | None = None


class Stale(Exception):
    """Others were at work on the same records. Nothing was applied, and the same changes may be sent again."""


class TooLate(Exception):
    """The server refused the changes: their deadline has passed, or somebody looked and found them missing."""
