"""What is known of a write whose answer was lost, from the last changes of the keys that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daystore.abc import Check, Outcome, Put, WriteBatch
from daystore.abc.record import Operation
from daystore.errors import OutcomeUnknown
from daystore_compliance.wire.journal import Change

__all__ = ["judge", "unknown"]


def unknown() -> OutcomeUnknown:
    """Make the error for what cannot be told."""
    return OutcomeUnknown(
        "the answer was lost, and looking did not tell whether the write was applied",
        backend="wire",
        operation="write",
    )


def judge(
    batch: WriteBatch, marks: Sequence[str], changes: Sequence[Change | None]
) -> Mapping[int, Outcome] | None:
    """Judge a batch by what has become of its keys since before it was sent.

    Args:
        batch: What was sent. The server will refuse it from now on, should it still be under way.
        marks: What we called each operation.
        changes: The last change of each operation's key since then; ``None`` where there was none.

    Returns:
        The outcomes that are certain, by position. The other operations were not applied: they may be sent
        again. ``None`` if nothing can be told of an atomic batch.
    """
    own = [change is not None and change.mark == mark for change, mark in zip(changes, marks, strict=True)]
    settled: dict[int, Outcome] = {}
    for index, (operation, change) in enumerate(zip(batch.operations, changes, strict=True)):
        if isinstance(operation, Check):
            continue
        if own[index] and change is not None:
            settled[index] = _applied(operation, existed=change.existed)
        elif change is not None:
            if batch.atomic:
                return None
            settled[index] = Outcome(None, False, unknown())
    if batch.atomic and settled:  # all of it, then: what is unchanged was deleted, and not there
        rest = set(range(len(batch.operations))) - settled.keys()
        settled |= {i: _applied(o, existed=isinstance(o.expect, str)) for i, o in _at(batch, rest)}
    return settled


def _at(batch: WriteBatch, indexes: set[int]) -> list[tuple[int, Operation]]:
    return [(index, batch.operations[index]) for index in sorted(indexes)]


def _applied(operation: Operation, *, existed: bool) -> Outcome:
    return Outcome(operation.version if isinstance(operation, Put) else None, existed)
