"""Operations as the arguments of a script, and its answer as their outcomes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Check,
    CheckQuery,
    Delete,
    Expectation,
    Holds,
    Instant,
    Outcome,
    Prepare,
    Put,
    Release,
)
from daystore.abc.record import Operation
from daystore.errors import RecordPrepared, VersionConflict
from daystore_redis.errors import BACKEND
from daystore_redis.records import pack_intent, pack_record

__all__ = ["add_operations", "conflict_of", "outcomes_of", "query_conflict"]

_LENGTH: Final = struct.Struct(">H")
_VERBS: Final = {Delete: b"D", Check: b"C", Prepare: b"I", Release: b"R"}


def add_operations(arguments: list[bytes | str], operations: Sequence[Operation], now: Instant) -> None:
    """Add operations to the arguments of a script; see ``write.lua``."""
    for operation in operations:
        if type(operation) is Put:
            verb = b"K" if operation.expires_at is KEEP else b"P"
        else:
            verb = _VERBS[type(operation)]
        arguments += (verb + _expected(operation.expect), operation.collection, operation.key)
        if type(operation) is Put:
            arguments.append(pack_record(operation, now))
        elif type(operation) is Prepare:
            arguments.append(pack_intent(operation.intent))


def _expected(expect: Expectation) -> bytes:
    if expect is ANY:
        return b"*"
    if expect is ABSENT:
        return b"-"
    if isinstance(expect, Holds):
        return b"@" + expect.transaction
    return b"=" + expect.encode()


# --- Answers -------------------------------------------------------------------------------------------------


_APPLIED: Final = (b"0", b"1")
_REFUSED: Final = {b"c": VersionConflict, b"p": RecordPrepared}


def outcomes_of(operations: Sequence[Operation], answer: bytes) -> list[Outcome]:
    """Return what the answer of a script says of each operation."""
    outcomes = []
    at = 0
    for index, operation in enumerate(operations):
        what = answer[at : at + 1]
        at += 1
        if what in _APPLIED:
            version = operation.version if type(operation) is Put else None
            outcomes.append(Outcome(version, what == b"1"))
        else:
            (length,) = _LENGTH.unpack_from(answer, at)
            at += 2 + length
            conflict = conflict_of(operation, what, answer[at - length : at], index)
            outcomes.append(Outcome(None, False, conflict))
    return outcomes


def conflict_of(operation: Operation, why: bytes, current: bytes, index: int) -> VersionConflict:
    """Make the error of an operation that was refused, given why, and the version that is there, if any."""
    return _REFUSED[why](
        key=operation.key,
        collection=operation.collection,
        current=current.decode() or None,
        index=index,
        backend=BACKEND,
        operation="write",
    )


def query_conflict(check: CheckQuery, why: bytes) -> VersionConflict:
    """Make the error of a batch whose query does not find any more what it found, or may not, given why."""
    message = (
        "a transaction that is being committed may change what a query of this batch finds: try again"
        if why == b"p"
        else "a query that this batch depends on finds something else now"
    )
    return _REFUSED[why](message, collection=check.query.collection, backend=BACKEND, operation="write")
