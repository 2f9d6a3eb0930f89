"""What an adapter moves: records, and the batches of changes that make them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from daystore.abc.names import check_collection, check_key

if TYPE_CHECKING:
    from daystore.abc.clock import Instant
    from daystore.abc.query import Query
    from daystore.errors import DaystoreError

__all__ = [
    "ABSENT",
    "ANY",
    "KEEP",
    "Check",
    "CheckQuery",
    "Delete",
    "Expect",
    "Expectation",
    "Expiry",
    "FieldValue",
    "Holds",
    "Operation",
    "Outcome",
    "Prepare",
    "Put",
    "Record",
    "Release",
    "Scalar",
    "Version",
    "WriteBatch",
    "new_version",
]

Scalar: TypeAlias = str | int | float | bool | datetime
"""One indexed value. Two scalars of different types are different values: ``1``, ``1.0``, ``"1"``, ``True``."""

FieldValue: TypeAlias = Scalar | tuple[str, ...]
"""The value of an indexed field: a scalar, or a list of strings (held as a tuple, so that it cannot change)."""

Version: TypeAlias = str
"""Opaque, compared for equality only, and never used twice by anybody, not even after a delete."""


MAX_SCHEMA_VERSION: Final = 2**63 - 1
"""What the integers of every database hold."""

TRANSACTION_BYTES: Final = 16
"""Length of the name of a coordinated transaction, with which each of its intents begins."""


def new_version() -> Version:
    """Return a version nobody has used: 96 random bits in hexadecimal, 24 characters."""
    return os.urandom(12).hex()


class Expect(Enum):
    """What a change may expect of the record it meets, beside a definite version."""

    ANY = "any"
    ABSENT = "absent"


class Keep(Enum):
    """See `KEEP`."""

    KEEP = "keep"


ANY: Final = Expect.ANY
"""Whatever is there, if anything."""
ABSENT: Final = Expect.ABSENT
"""No live record: never written, deleted, or expired."""
KEEP: Final = Keep.KEEP
"""As the expiry of a `Put`: keep the deadline of the record that is overwritten, if it is alive and has one."""


@dataclass(frozen=True, slots=True)
class Holds:
    """As the expectation of a change: the record carries the intent of this transaction.

    Attributes:
        transaction: What the intent begins with.

    Raises:
        ValueError: If that is not `TRANSACTION_BYTES` long.
    """

    transaction: bytes

    def __post_init__(self) -> None:
        if len(self.transaction) != TRANSACTION_BYTES:
            raise ValueError(f"the name of a transaction has {TRANSACTION_BYTES} bytes")

    def __repr__(self) -> str:
        return f"Holds({self.transaction.hex()})"


Expectation: TypeAlias = Expect | Version | Holds
Expiry: TypeAlias = "Instant | Literal[Keep.KEEP] | None"


@dataclass(slots=True)
class Record:
    """One record as a backend holds it. Treat it as frozen: adapters hand out copies, nobody changes them.

    Attributes:
        key: Its name in the collection.
        value: The serialized object; opaque to the adapter.
        version: Changed by every write.
        created_at: Instant of the first write since the key was last absent.
        updated_at: Instant of the last write.
        expires_at: Instant, in whole milliseconds, from which the record is gone; ``None`` for never.
        content_type: Media type of the serializer that made `value`.
        fields: The indexed values, by field name. A field without a value is not in the mapping.
        schema: Name of the schema of the object, if it has one.
        schema_version: Version of that schema, from 0 to 2**63-1.
        encodings: What was applied to the serialized bytes, first to last, such as ``("zstd", "aes256gcm")``.
        intent: A prepared change of a coordinated transaction beside the committed state; opaque but for the
            name of the transaction at its beginning.
    """

    key: str
    value: bytes
    version: Version
    created_at: Instant
    updated_at: Instant
    expires_at: Instant | None = None
    content_type: str = "application/octet-stream"
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    schema: str | None = None
    schema_version: int | None = None
    encodings: tuple[str, ...] = ()
    intent: bytes | None = None

    def is_alive(self, now: Instant) -> bool:
        """Tell whether the record still exists at `now`: a record is gone from its expiry instant on."""
        return self.expires_at is None or now < self.expires_at

    def copy(self) -> Record:
        """Return a copy that shares nothing that can change."""
        return Record(
            self.key,
            self.value,
            self.version,
            self.created_at,
            self.updated_at,
            self.expires_at,
            self.content_type,
            dict(self.fields),
            self.schema,
            self.schema_version,
            self.encodings,
            self.intent,
        )

    def __repr__(self) -> str:
        return (
            f"Record(version={self.version!r}, content_type={self.content_type!r}, bytes={len(self.value)})"
        )


@dataclass(slots=True)
class Put:
    """Write one record, if the expectation holds.

    A `Put` carries the version that the record will have. It is made once and sent as often as it takes: a
    backend that finds this very version stored knows that an earlier attempt arrived.

    Raises:
        TypeError: If the key, the collection, the value or the version of the schema is of the wrong type.
        InvalidKey: If the key or the collection is outside the rules.
        ValueError: If the expiry is not a whole number of milliseconds, or the version of the schema is not
            from 0 to 2**63-1.
    """

    collection: str
    key: str
    value: bytes
    expect: Expectation = ANY
    expires_at: Expiry = None
    content_type: str = "application/octet-stream"
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    schema: str | None = None
    schema_version: int | None = None
    encodings: tuple[str, ...] = ()
    version: Version = field(default_factory=new_version)

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_key(self.key)
        if type(self.value) is not bytes:
            raise TypeError(f"the value of a record is bytes, not {type(self.value).__name__}")
        if type(self.expires_at) is int and self.expires_at % 1000:
            raise ValueError("an expiry is a whole number of milliseconds")
        if self.schema_version is not None:
            _check_schema_version(self.schema_version)

    def __repr__(self) -> str:
        return f"Put({self.collection}, expect={self.expect!r}, bytes={len(self.value)})"


def _check_schema_version(version: object) -> None:
    if type(version) is not int:
        raise TypeError(f"the version of a schema is an int, not {type(version).__name__}")
    if not 0 <= version <= MAX_SCHEMA_VERSION:
        raise ValueError(f"the version of a schema is from 0 to 2**63-1, not {version}")


@dataclass(slots=True)
class Delete:
    """Delete one record, if the expectation holds. Deleting what is absent is not an error under ``ANY``.

    Raises:
        TypeError: If the key or the collection is of the wrong type.
        InvalidKey: If the key or the collection is outside the rules.
    """

    collection: str
    key: str
    expect: Expectation = ANY

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_key(self.key)

    def __repr__(self) -> str:
        return f"Delete({self.collection}, expect={self.expect!r})"


@dataclass(slots=True)
class Check:
    """Change nothing, but make the batch depend on the version of a record (or on its absence).

    Raises:
        TypeError: If the key or the collection is of the wrong type.
        InvalidKey: If the key or the collection is outside the rules.
    """

    collection: str
    key: str
    expect: Expectation

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_key(self.key)

    def __repr__(self) -> str:
        return f"Check({self.collection}, expect={self.expect!r})"


@dataclass(slots=True)
class Prepare:
    """Put an intent beside what is there, if the expectation holds; nothing else changes, not even the version.

    Where there is no live record the intent stands alone, and the record stays absent for everybody. As long as
    it is there, every other operation on the key is refused with `RecordPrepared`, except those that expect
    that it `Holds`. Preparing again what carries this very intent already is no error.

    Raises:
        TypeError: If the key, the collection or the intent is of the wrong type.
        InvalidKey: If the key or the collection is outside the rules.
        ValueError: If the intent is too short to begin with the name of a transaction.
    """

    collection: str
    key: str
    intent: bytes
    expect: Expect | Version = ANY

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_key(self.key)
        if type(self.intent) is not bytes:
            raise TypeError(f"an intent is bytes, not {type(self.intent).__name__}")
        if len(self.intent) < TRANSACTION_BYTES:
            raise ValueError(f"an intent begins with the {TRANSACTION_BYTES} bytes that name its transaction")

    def __repr__(self) -> str:
        return f"Prepare({self.collection}, expect={self.expect!r}, bytes={len(self.intent)})"


@dataclass(slots=True)
class Release:
    """Remove the intent of a transaction and leave the record as it is, if it `Holds` one.

    Raises:
        TypeError: If the key, the collection or the expectation is of the wrong type.
        InvalidKey: If the key or the collection is outside the rules.
    """

    collection: str
    key: str
    expect: Holds

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_key(self.key)
        if type(self.expect) is not Holds:
            raise TypeError("what is released is expected to hold an intent")


@dataclass(slots=True)
class CheckQuery:
    """Change nothing, but make an atomic batch depend on what a query finds.

    The query is run again inside the batch, also when it found nothing before; it must find the same records at
    the same versions, in the same order.

    Attributes:
        query: The query as it was run, limit, offset and cursor included.
        found: ``(key, version)`` of every record that it found then.
    """

    query: Query
    found: Sequence[tuple[str, Version]]

    def __repr__(self) -> str:
        return f"CheckQuery({self.query.collection}, found={len(self.found)})"


Operation: TypeAlias = Put | Delete | Check | Prepare | Release


@dataclass(slots=True)
class WriteBatch:
    """Changes that go to an adapter together.

    Attributes:
        operations: The changes. No key of a collection appears twice.
        atomic: All or nothing, every expectation judged at one instant. Otherwise each on its own.
        queries: Queries that an atomic batch depends on. One whose collection has a record with an intent is
            refused with `RecordPrepared`: what that transaction changes may be what the query looks for.
        own: The coordinated transaction that the batch belongs to, if it does: its own intents do not stand in
            the way of its queries.

    Raises:
        ValueError: If a key appears twice, or if a batch that is not atomic depends on queries.
    """

    operations: Sequence[Operation]
    atomic: bool = False
    queries: Sequence[CheckQuery] = ()
    own: bytes | None = None

    def __post_init__(self) -> None:
        if self.queries and not self.atomic:
            raise ValueError("only an atomic batch can depend on queries")
        if len(self.operations) > 1 and len({(o.collection, o.key) for o in self.operations}) < len(
            self.operations
        ):
            raise ValueError("a key appears at most once in a batch")


class Outcome(NamedTuple):
    """What became of one operation of a batch.

    Attributes:
        version: The new version after a `Put`, ``None`` after a `Delete` or a `Check`.
        existed: Whether a live record was there before.
        error: In a batch that is not atomic, why this operation was not applied.
    """

    version: Version | None
    existed: bool
    error: DaystoreError | None = None
