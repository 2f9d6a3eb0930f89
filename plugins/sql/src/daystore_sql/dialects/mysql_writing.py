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

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from daystore.abc import ABSENT, ANY, Instant
from daystore_sql.dialects import mysql_texts as texts
from daystore_sql.dialects.mysql_errors import DUPLICATE, TOO_LARGE, TOO_LATE, code_of, is_conflict
from daystore_sql.network.changes import Change, Changes, Stale, Ticket, TooLate, Verdict
from daystore_sql.network.driver import Refused
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection

__all__ = ["look", "sweep", "write"]

Row: TypeAlias = tuple[object, ...]

_GAPS: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_BEGIN: Final = "START TRANSACTION"
_EPOCH: Final = 1_735_689_600_000_000
"""2025-01-01: the numbers of records begin with the time since then, so that new ones come last in their table."""
_FORGET: Final = (
    "DELETE FROM ds_commit WHERE id < UNHEX(LPAD(HEX("
    "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) - 3600000000), 16, '0')) ORDER BY id LIMIT 1000"
)
"""Forgets tickets that are older than an hour."""
_COMPOUND: Final = 400
"""Parameters that go into one compound statement; more would make too many different texts."""
_OVERHEAD: Final = 128
"""Bytes of a row beside those that are bytes themselves."""


class _Old(NamedTuple):
    """A row that is there, alive or not: the columns of `mysql_texts.find`."""

    key: bytes
    id: int
    version: bytes
    created_at: Instant
    expires_at: Instant | None
    fields: bytes | None


@dataclass(frozen=True, slots=True)
class _Step:
    """A statement that changes something, and how many rows it has to change, where that is to be looked at."""

    text: str
    parameters: Sequence[object]
    affects: int | None = None


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
        work = _Work(changes.now, ticket, connection)
        for item, found, verdict in zip(changes.items, old, verdicts, strict=True):
            if verdict.done:
                work.do(item, found, verdict)
        note = _Step(texts.note(), (ticket.deadline, ticket.id, _outcome(verdicts)))
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


async def _found(connection: AsyncmyConnection, changes: Changes, *, inside: bool) -> list[_Old | None]:
    """Begin, unless that was done, and lock the rows of a batch; return the row of each item."""
    found: dict[tuple[int, bytes], _Old] = {}
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
            found.update({(scope, row[0]): _Old(*row) for row in answer.rows})
            begin = []
    return [found.get((item.scope, item.key)) for item in changes.items]


def _needs_gaps(changes: Changes) -> bool:
    """Tell whether a batch may depend on the absence of something that it does not write."""
    return changes.atomic and any(item.kind != "put" for item in changes.items)


def _verdict(item: Change, old: _Old | None, now: Instant) -> Verdict:
    live = _live(old, now)
    current = None if live is None else live.version.decode()
    expect = item.expect
    done = expect is ANY or (live is None if expect is ABSENT else current == expect)
    return Verdict(done, live is not None, None if done else current)


def _live(old: _Old | None, now: Instant) -> _Old | None:
    return None if old is None or (old.expires_at is not None and old.expires_at <= now) else old


# --- Changing --------------------------------------------------------------------------------------------------


class _Work:
    """Collects what a batch changes.

    The number of a new record is the time of the ticket and some random bits. Should another record have it, which
    one in millions has, this is noticed as a duplicate, and the batch is sent again with another ticket.
    """

    def __init__(self, now: Instant, ticket: Ticket, connection: AsyncmyConnection) -> None:
        self._now = now
        self._connection = connection
        time = max(int.from_bytes(ticket.id[:8], "big") - _EPOCH, 0) >> 10
        self._first = (time & (2**41 - 1)) << 22
        self._next = int.from_bytes(ticket.id[8:12], "big")
        self._new: list[Row] = []
        self._replaced: list[Row] = []
        self._repeated: list[Row] = []
        self._deleted: list[int] = []
        self._stripped: list[int] = []
        self._entries: list[Row] = []

    def do(self, item: Change, old: _Old | None, verdict: Verdict) -> None:
        """Collect what an item changes."""
        if item.kind == "put":
            self._put(item, old, old if verdict.existed else None)
        elif item.kind == "delete" and old is not None:
            self._deleted.append(old.id)

    def _put(self, item: Change, old: _Old | None, live: _Old | None) -> None:
        number = self._number() if old is None else old.id
        created_at = self._now if live is None else live.created_at
        expires_at = item.expires_at if not item.keeps else None if live is None else live.expires_at
        times = (created_at, self._now, expires_at)
        content = (item.meta, item.fields, item.intent, item.value)
        row: Row = (number, item.scope, item.key, item.shape, item.version, *times, *content)
        if _weight(row) > self._connection.packet:
            raise Refused(TOO_LARGE)  # as the server would, and then it would end the connection
        if old is None:
            self._new.append(row)
        elif old.version == item.version:
            self._repeated.append(row)  # which may change nothing, and then would not count
        else:
            self._replaced.append(row)
        if old is None or old.fields != item.fields:
            if old is not None and old.fields is not None:
                self._stripped.append(number)
            self._entries += [(number, *entry, item.key, *numbers) for entry, numbers in item.entries.items()]

    def _number(self) -> int:
        self._next += 1
        return self._first | (self._next & (2**22 - 1))

    def steps(self) -> list[_Step]:
        """Return the statements."""
        steps = [_of_ids(texts.delete_records, some) for some in _parts(self._deleted)]
        steps += self._puts()
        steps += [_of_ids(texts.delete_entries, some) for some in _parts(self._stripped)]
        for rows in texts.chunks(self._entries, _weight, self._connection.packet // 2):
            steps.append(_Step(texts.insert_entries(len(rows)), [cell for row in rows for cell in row]))
        return steps

    def _puts(self) -> list[_Step]:
        if len(self._new) + len(self._replaced) + len(self._repeated) == 1:
            return [_Step(texts.insert_record(), row) for row in self._new] or [
                _update(*self._replaced, *self._repeated)
            ]
        steps = [self._replacement(rows) for rows in self._chunks(self._repeated)]
        replaced = {row[0] for row in self._replaced}
        for rows in self._chunks(self._new + self._replaced):
            affects = sum(2 if number in replaced else 1 for number in {row[0] for row in rows})
            steps.append(self._replacement(rows, affects))
        return steps

    def _chunks(self, rows: list[Row]) -> Iterator[list[Row]]:
        rows = sorted(rows, key=itemgetter(1, 2))  # by scope and key
        return texts.chunks(rows, _weight, self._connection.packet // 2)

    def _replacement(self, rows: list[Row], affects: int | None = None) -> _Step:
        text = texts.put_records(len(rows), is_mariadb=self._connection.is_mariadb)
        return _Step(text, [cell for row in rows for cell in row], affects)


def _update(row: Row) -> _Step:
    number, _scope, _key, *rest = row
    return _Step(texts.update_record(), (*rest, number))


def _of_ids(text: Callable[[int], str], ids: list[int]) -> _Step:
    some = texts.filled(ids)
    return _Step(text(len(some)), some)


def _parts(ids: list[int]) -> list[list[int]]:
    most = texts.SIZES[-1]
    return [ids[start : start + most] for start in range(0, len(ids), most)]


def _weight(row: Row) -> int:
    return _OVERHEAD + sum(len(cell) for cell in row if type(cell) is bytes)


async def _change(connection: AsyncmyConnection, steps: Sequence[_Step], *, inside: bool) -> None:
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


async def _execute(connection: AsyncmyConnection, step: _Step) -> None:
    answer = await connection.execute(step.text, step.parameters)
    if step.affects is not None and answer.affected != step.affects:
        raise Stale


def _outcome(verdicts: Sequence[Verdict]) -> bytes:
    return bytes(48 + 2 * verdict.done + verdict.existed for verdict in verdicts)


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
    return [Verdict(mark >= 50, bool(mark & 1)) for mark in outcome]


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
            step = _of_ids(texts.delete_records, [row[0] for row in rows])
            await connection.execute(step.text, step.parameters)
        await connection.execute("COMMIT")
    except Refused:
        with suppress(Refused):
            await connection.execute("ROLLBACK")
        raise
    return len(rows)
