"""Batches of changes on MySQL and MariaDB.

A write is a short transaction at READ COMMITTED: the rows that it names are locked, in the order of their
keys, and looked at; then everything is changed with few statements, and the ticket is noted. A key that is
absent has no row to lock. Two writers that make it at the same time meet at the unique index of keys: the
second is told that the key is a duplicate, or that more rows were changed than it knew of; it undoes its
transaction and starts again. Where an atomic batch depends on the absence of a key without writing it, the
transaction is at REPEATABLE READ, which locks the gap where the key would be.

MariaDB takes several statements as one, so that a put takes two round trips: lock and look, change and
commit. MySQL takes them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from typing import Final

from daystore.abc import Instant
from daystore_sql.dialects import mysql_texts as texts
from daystore_sql.dialects.mysql_changing import Old, Step, Work, of_ids
from daystore_sql.dialects.mysql_errors import DUPLICATE, TOO_LATE, code_of, is_conflict
from daystore_sql.network.changes import Change, Changes, Stale, Ticket, TooLate, Verdict, verdict_of
from daystore_sql.network.driver import Refused
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection

__all__ = ["look", "sweep", "write"]

_GAPS: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_BEGIN: Final = "START TRANSACTION"
_FORGET: Final = (
    "DELETE FROM ds_commit WHERE id < UNHEX(LPAD(HEX("
    "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) - 3600000000), 16, '0')) ORDER BY id LIMIT 1000"
)
"""Forgets tickets that are older than an hour."""
_COMPOUND: Final = 400
"""Parameters that go into one compound statement; more would make too many different texts."""


async def write(
    connection: AsyncmyConnection, changes: Changes, ticket: Ticket, *, inside: bool
) -> Sequence[Verdict]:
    """See `daystore_sql.dialects.network.NetworkDialect.write`."""
    await connection.reap()
    try:
        old = await _found(connection, changes, inside=inside)
        verdicts = [
            _verdict(item, found, changes.now) for item, found in zip(changes.items, old, strict=True)
        ]
        if changes.atomic and not all(verdict.done for verdict in verdicts):
            if not inside:
                await connection.execute("ROLLBACK")
            return verdicts
        work = Work(changes.now, ticket, connection)
        for item, found, verdict in zip(changes.items, old, verdicts, strict=True):
            if verdict.done and not verdict.stands:
                work.do(item, found, verdict)
        note = Step(texts.note(), (ticket.deadline, ticket.id, _outcome(verdicts)))
        await _change(connection, [*work.steps(), note], inside=inside)
    except Refused as error:
        if not inside:
            await connection.execute("ROLLBACK")
        if code_of(error) == TOO_LATE:
            raise TooLate from error
        if is_conflict(error):
            raise Stale from error
        raise
    except Stale:
        if not inside:
            await connection.execute("ROLLBACK")
        raise
    return verdicts


# --- Looking before --------------------------------------------------------------------------------------------


async def _found(connection: AsyncmyConnection, changes: Changes, *, inside: bool) -> list[Old | None]:
    """Begin, unless that was done, and lock the rows of a batch; return the row of each item."""
    found: dict[tuple[int, bytes], Old] = {}
    begin = [] if inside else [_GAPS, _BEGIN] if _needs_gaps(changes) else [_BEGIN]
    if begin and not connection.compounds:
        await connection.execute("; ".join(begin))
        begin = []
    for scope, items in groupby(changes.items, key=lambda item: item.scope):
        keys = [item.key for item in items]
        for start in range(0, len(keys), texts.SIZES[-1]):
            some = texts.filled(keys[start : start + texts.SIZES[-1]])
            text = texts.find(len(some))
            answer = await connection.execute(texts.compound(*begin, text) if begin else text, (scope, *some))
            found.update({(scope, row[0]): Old(*row) for row in answer.rows})
            begin = []
    return [found.get((item.scope, item.key)) for item in changes.items]


def _needs_gaps(changes: Changes) -> bool:
    """Tell whether a batch may depend on the absence of something that it does not write."""
    return changes.atomic and any(item.kind in ("check", "delete") for item in changes.items)


def _verdict(item: Change, old: Old | None, now: Instant) -> Verdict:
    if old is None:
        return verdict_of(item, None, None)
    is_alive = old.expires_at is None or now < old.expires_at
    return verdict_of(item, old.version.decode() if is_alive else None, old.intent)


# --- Changing --------------------------------------------------------------------------------------------------


async def _change(connection: AsyncmyConnection, steps: Sequence[Step], *, inside: bool) -> None:
    """Execute statements, as few as possible at a time, and commit unless the caller does.

    Raises:
        Stale: If one has changed more or fewer rows than it had to.
    """
    commit = [] if inside else ["COMMIT"]
    if not connection.compounds:
        for step in steps:
            await _execute(connection, step)
        if commit:
            await connection.execute("COMMIT")
        return
    last = [step for step in steps if step.affects is None]
    if sum(len(step.parameters) for step in last) > _COMPOUND:
        last = last[-1:]  # the note
    for step in steps:
        if step not in last:
            await _execute(connection, step)
    text = texts.compound(*(step.text for step in last), *commit)
    await connection.execute(text, [cell for step in last for cell in step.parameters])


async def _execute(connection: AsyncmyConnection, step: Step) -> None:
    answer = await connection.execute(step.text, step.parameters)
    if step.affects is not None and answer.affected != step.affects:
        raise Stale


def _outcome(verdicts: Sequence[Verdict]) -> bytes:
    return bytes(verdict.mark for verdict in verdicts)


# --- Looking afterwards ----------------------------------------------------------------------------------------


async def look(connection: AsyncmyConnection, ticket: Ticket) -> Sequence[Verdict] | None:
    """See `daystore_sql.dialects.network.NetworkDialect.look`."""
    await connection.reap()
    try:
        await connection.execute("INSERT INTO ds_commit (id, outcome) VALUES (?, NULL)", (ticket.id,))
    except Refused as error:
        if code_of(error) != DUPLICATE:
            raise
    else:
        return None
    ((outcome,),) = await connection.fetch("SELECT outcome FROM ds_commit WHERE id = ?", (ticket.id,))
    if outcome is None:
        return None
    return [Verdict.of_mark(mark) for mark in outcome]


async def sweep(connection: AsyncmyConnection, now: Instant, most: int) -> int:
    """Delete expired records, and tickets that nobody will look for any more; return how many records.

    Those of others are passed over; so are those that carry an intent.
    """
    expired = await connection.fetch(
        "SELECT id FROM ds_record FORCE INDEX (ds_record_expires) WHERE expires_at <= ? LIMIT 1", (now,)
    )
    await connection.execute(_FORGET)
    if not expired:
        return 0
    await connection.execute(_BEGIN)
    try:
        rows = await connection.fetch(
            "SELECT id FROM ds_record FORCE INDEX (ds_record_expires) WHERE expires_at <= ? AND intent IS NULL "
            "ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED",
            (now, min(most, texts.SIZES[-1])),
        )
        if rows:
            step = of_ids(texts.delete_records, [row[0] for row in rows])
            await connection.execute(step.text, step.parameters)
        await connection.execute("COMMIT")
    except Refused:
        with suppress(Refused):
            await connection.execute("ROLLBACK")
        raise
    return len(rows)
