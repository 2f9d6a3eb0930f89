"""Groups of writes, committed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from daystore.abc import Instant, Outcome, WriteBatch
from daystore.errors import DaystoreError, OutcomeUnknown, VersionConflict
from daystore_sql.jobs import Settled, Write
from daystore_sql.session import Session
from daystore_sql.writing import apply_batch

__all__ = ["commit_group"]


def commit_group(session: Session, writes: Sequence[Write]) -> list[Settled]:
    """Apply batches in one transaction, each whole or not at all.

    A conflict is found before anything of its batch is applied, so it concerns nobody else. After any other
    failure everything is rolled back, and each batch is applied in a transaction of its own: the others do not
    suffer for the one that cannot be.
    """
    stage = "write"
    try:
        session.execute(session.dialect.begin_write)
        now = session.clock()
        settled = [result for together in _rounds(writes) for result in _applied(session, together, now)]
        stage = "commit"
        session.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is undone, and told to whom it concerns
        session.undo()
        told = [session.told(error, stage) for _ in writes]
        if len(writes) == 1 or session.dialect.is_locked(error) or isinstance(told[0], OutcomeUnknown):
            return [(write, None, failure) for write, failure in zip(writes, told, strict=True)]
        return [result for write in writes for result in commit_group(session, (write,))]
    return settled


def _rounds(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """Yield writes, in their order, that can be applied as if they were one batch.

    They are not atomic and no two of them concern the same record. An atomic one goes alone.
    """
    together: list[Write] = []
    seen: set[tuple[str, str]] = set()
    for write in writes:
        concerned = {(operation.collection, operation.key) for operation in write.batch.operations}
        if together and (write.batch.atomic or together[-1].batch.atomic or not seen.isdisjoint(concerned)):
            yield together
            together, seen = [], set()
        together.append(write)
        seen |= concerned
    yield together


def _applied(session: Session, writes: Sequence[Write], now: Instant) -> list[Settled]:
    if len(writes) > 1:
        return _applied_as_one(session, writes, now)
    try:
        return [(writes[0], apply_batch(session, writes[0].batch, now), None)]
    except DaystoreError as error:
        return [(writes[0], None, error)]  # nothing of this batch was applied


def _applied_as_one(session: Session, writes: Sequence[Write], now: Instant) -> list[Settled]:
    operations = [operation for write in writes for operation in write.batch.operations]
    outcomes = iter(apply_batch(session, WriteBatch(operations), now))
    settled: list[Settled] = []
    for write in writes:
        own: list[Outcome] = list(islice(outcomes, len(write.batch.operations)))
        for index, outcome in enumerate(own):
            if isinstance(outcome.error, VersionConflict):
                outcome.error.index = index
        settled.append((write, own, None))
    return settled
