"""Giving back the space of expired records."""

from __future__ import annotations

from daystore.abc import Instant
from daystore_sql.session import Session

__all__ = ["SWEPT_AT_ONCE", "sweep"]

SWEPT_AT_ONCE = 200


def sweep(session: Session, now: Instant) -> int:
    """Delete some records that have expired at `now`, with their index entries.

    They are found and deleted in one transaction of a writer, so one that is written again meanwhile stays. So
    does one that carries an intent: a prepared change must outlive the record that it changes.

    Returns:
        How many were deleted.
    """
    texts = session.statements
    if session.execute(texts.expired, (now, 1)).fetchone() is None:
        return 0
    session.execute(session.dialect.begin_write)
    try:
        expired = session.execute(texts.expired, (now, SWEPT_AT_ONCE)).fetchall()
        session.connection.executemany(texts.delete_fields, expired)
        session.connection.executemany(texts.delete_record, expired)
        session.execute("COMMIT")
    except BaseException:
        session.undo()
        raise
    return len(expired)
