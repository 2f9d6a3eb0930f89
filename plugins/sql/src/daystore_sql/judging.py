"""What becomes of an operation, given the row that it meets: the same wherever it is judged."""

from __future__ import annotations

from enum import Enum

from daystore.abc import ABSENT, ANY, Expectation, Holds, Version
from daystore.abc.record import Operation
from daystore.errors import RecordPrepared, VersionConflict
from daystore_sql.errors import BACKEND

__all__ = ["Fate", "conflict_of", "fate_of"]


class Fate(Enum):
    """What becomes of an operation.

    Attributes:
        APPLIES: It is to be done.
        STANDS: An earlier attempt has done it: what it makes is there.
        FAILS: What it expects is not so.
        WAITS: The intent of a transaction is in its way.
    """

    APPLIES = "applies"
    STANDS = "stands"
    FAILS = "fails"
    WAITS = "waits"


def fate_of(
    expect: Expectation,
    version: Version | None,
    intent: bytes | None,
    *,
    makes: Version | None = None,
    prepares: bytes | None = None,
) -> Fate:
    """Judge an operation.

    Args:
        expect: What it expects.
        version: Of the record that it meets; ``None`` if that is not alive.
        intent: What the row carries, alive or not.
        makes: The version that a put makes.
        prepares: The intent that a prepare brings.
    """
    if type(expect) is Holds:
        if intent is not None and intent.startswith(expect.transaction):
            return Fate.APPLIES
        return Fate.STANDS if makes is not None and makes == version else Fate.FAILS
    if intent is not None:
        return Fate.STANDS if intent == prepares else Fate.WAITS
    if expect is ANY or (version is None if expect is ABSENT else version == expect):
        return Fate.APPLIES
    return Fate.FAILS


def conflict_of(
    operation: Operation, index: int, current: Version | None, *, prepared: bool
) -> VersionConflict:
    """Make the error of an operation that was not applied.

    Args:
        operation: The operation.
        index: Its place in the batch.
        current: Version of the live record; ``None`` if there is none.
        prepared: Whether an intent was in its way.
    """
    kind = RecordPrepared if prepared else VersionConflict
    return kind(
        key=operation.key,
        collection=operation.collection,
        current=current,
        index=index,
        backend=BACKEND,
        operation="write",
    )
