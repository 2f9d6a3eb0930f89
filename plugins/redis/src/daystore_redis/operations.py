"""Operations as the arguments of a script, and its answer as their outcomes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from daystore.abc import ABSENT, ANY, KEEP, Delete, Expectation, Instant, Outcome, Put
from daystore.abc.record import Operation
from daystore.errors import VersionConflict
from daystore_redis.errors import BACKEND
from daystore_redis.records import pack_record

__all__ = ["add_operations", "conflict_of", "outcomes_of"]

_LENGTH: Final = struct.Struct(">H")


def add_operations(arguments: list[bytes | str], operations: Sequence[Operation], now: Instant) -> None:
    """Add operations to the arguments of a script; see ``write.lua``."""
    for operation in operations:
        if type(operation) is Put:
            verb = b"K" if operation.expires_at is KEEP else b"P"
            arguments += (
                verb + _expected(operation.expect),
                operation.collection,
                operation.key,
                pack_record(operation, now),
            )
        else:
            verb = b"D" if type(operation) is Delete else b"C"
            arguments += (verb + _expected(operation.expect), operation.collection, operation.key)


def _expected(expect: Expectation) -> bytes:
    if expect is ANY:
        return b"*"
    if expect is ABSENT:
        return b"-"
    return b"=" + expect.encode()


# --- Answers -------------------------------------------------------------------------------------------------


def outcomes_of(operations: Sequence[Operation], answer: bytes) -> list[Outcome]:
    """Return what the answer of a script says of each operation."""
    outcomes = []
    at = 0
    for index, operation in enumerate(operations):
        what = answer[at]
        at += 1
        if what == 99:  # 'c'
            (length,) = _LENGTH.unpack_from(answer, at)
            at += 2 + length
            outcomes.append(Outcome(None, False, conflict_of(operation, answer[at - length : at], index)))
        else:
            version = operation.version if type(operation) is Put else None
            outcomes.append(Outcome(version, what == 49))  # '1'
    return outcomes


def conflict_of(operation: Operation, current: bytes, index: int) -> VersionConflict:
    """Make the error of an expectation that did not hold, given the version that is there, if any."""
    return VersionConflict(
        key=operation.key,
        collection=operation.collection,
        current=current.decode() or None,
        index=index,
        backend=BACKEND,
        operation="write",
    )
