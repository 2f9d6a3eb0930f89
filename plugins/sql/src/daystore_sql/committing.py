"""Groups of writes, committed together."""

from __future__ import annotations

from collections.abc import Sequence

from daystore.abc import Instant, Outcome, WriteBatch
from daystore.errors import DaystoreError, OutcomeUnknown
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
        results = [_applied(session, write.batch, now) for write in writes]
        stage = "commit"
        session.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is undone, and told to whom it concerns
        session.undo()
        told = [session.told(error, stage) for _ in writes]
        if len(writes) == 1 or session.dialect.is_locked(error) or isinstance(told[0], OutcomeUnknown):
            return [(write, None, failure) for write, failure in zip(writes, told, strict=True)]
        return [settled for write in writes for settled in commit_group(session, (write,))]
    return [
        (write, None, result) if isinstance(result, DaystoreError) else (write, result, None)
        for write, result in zip(writes, results, strict=True)
    ]


def _applied(session: Session, batch: WriteBatch, now: Instant) -> list[Outcome] | DaystoreError:
    try:
        return apply_batch(session, batch, now)
    except DaystoreError as error:
        return error  # nothing of this batch was applied
