"""From a batch of changes to the statements of MySQL and MariaDB that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from daystore.abc import Instant
from daystore.abc.record import TRANSACTION_BYTES
from daystore_sql.dialects import mysql_texts as texts
from daystore_sql.dialects.mysql_errors import TOO_LARGE
from daystore_sql.network.changes import Change, Ticket, Verdict
from daystore_sql.network.driver import Refused
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection
from daystore_sql.schema import ds_record

__all__ = ["Old", "Step", "Work", "of_ids"]

Row: TypeAlias = tuple[object, ...]

_EPOCH: Final = 1_735_689_600_000_000
"""2025-01-01: the numbers of records begin with the time since then, so that new ones come last in their table."""
_OVERHEAD: Final = 128
"""Bytes of a row beside those that are bytes themselves."""
_INTENT: Final = list(ds_record.c.keys()).index("intent")


class Old(NamedTuple):
    """A row that is there, alive or not: the columns of `mysql_texts.find`.

    Attributes:
        key: Its key.
        id: Its number.
        version: Its version.
        created_at: Instant of the first write.
        expires_at: Its expiry.
        fields: Its fields, packed.
        intent: Its intent.
    """

    key: bytes
    id: int
    version: bytes
    created_at: Instant
    expires_at: Instant | None
    fields: bytes | None
    intent: bytes | None


@dataclass(frozen=True, slots=True)
class Step:
    """A statement that changes something.

    Attributes:
        text: The statement.
        parameters: Its parameters.
        affects: How many rows it has to change, where that is to be looked at.
    """

    text: str
    parameters: Sequence[object]
    affects: int | None = None


class Work:
    """Collects what a batch changes.

    The number of a new record is the time of the ticket and some random bits. Should another record have it, which
    one in millions has, this is noticed as a duplicate, and the batch is sent again with another ticket.

    An intent has an entry in the index of fields: see `daystore_sql.intents`.

    Args:
        now: The present instant.
        ticket: By what the attempt is known.
        connection: Where it is sent.
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
        self._placed: list[Row] = []
        self._prepared: list[Row] = []
        self._released: list[int] = []
        self._unmarked: list[int] = []
        self._deleted: list[int] = []
        self._stripped: list[int] = []
        self._entries: list[Row] = []

    def do(self, item: Change, old: Old | None, verdict: Verdict) -> None:
        """Collect what an item changes."""
        if item.kind == "put":
            self._put(item, old, old if verdict.existed else None)
        elif item.kind == "prepare":
            self._prepare(item, old)
        elif old is None:
            return
        elif item.kind == "delete":
            self._deleted.append(old.id)
        elif item.kind == "release":
            self._released.append(old.id)
            self._unmarked.append(old.id)

    def _put(self, item: Change, old: Old | None, live: Old | None) -> None:
        number = self._number() if old is None else old.id
        created_at = self._now if live is None else live.created_at
        expires_at = item.expires_at if not item.keeps else None if live is None else live.expires_at
        times = (created_at, self._now, expires_at)
        row = self._row(number, item, times)
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
        if old is not None and old.intent is not None:
            self._unmarked.append(number)

    def _prepare(self, item: Change, old: Old | None) -> None:
        """Where there is nothing, a record that expired at the beginning is put beside the intent."""
        number = self._number() if old is None else old.id
        (self._placed if old is None else self._prepared).append(self._row(number, item, (0, 0, 0)))
        transaction = (item.intent or b"")[:TRANSACTION_BYTES]
        self._entries.append((number, -item.scope, transaction, item.key, None, None))

    def _row(self, number: int, item: Change, times: tuple[Instant, Instant, Instant | None]) -> Row:
        content = (item.meta, item.fields, item.intent, item.value)
        row: Row = (number, item.scope, item.key, item.shape, item.version, *times, *content)
        if _weight(row) > self._connection.packet:
            raise Refused(TOO_LARGE)  # as the server would, and then it would end the connection
        return row

    def _number(self) -> int:
        self._next += 1
        return self._first | (self._next & (2**22 - 1))

    def steps(self) -> list[Step]:
        """Return the statements."""
        steps = [of_ids(texts.delete_records, some) for some in _parts(self._deleted)]
        steps += self._puts()
        steps += self._prepares()
        steps += [of_ids(texts.release_records, some) for some in _parts(self._released)]
        steps += [of_ids(texts.delete_marks, some) for some in _parts(self._unmarked)]
        steps += [of_ids(texts.delete_entries, some) for some in _parts(self._stripped)]
        for rows in texts.chunks(self._entries, _weight, self._connection.packet // 2):
            steps.append(Step(texts.insert_entries(len(rows)), [cell for row in rows for cell in row]))
        return steps

    def _puts(self) -> list[Step]:
        if len(self._new) + len(self._replaced) + len(self._repeated) == 1:
            return [Step(texts.insert_record(), row) for row in self._new] or [
                _update(*self._replaced, *self._repeated)
            ]
        steps = [_many(texts.put_records, rows, self._connection) for rows in self._chunks(self._repeated)]
        return steps + self._counted(texts.put_records, self._new, self._replaced)

    def _prepares(self) -> list[Step]:
        if len(self._placed) + len(self._prepared) == 1:
            return [Step(texts.insert_record(), row) for row in self._placed] or [
                Step(texts.prepare_record(), (row[_INTENT], row[0])) for row in self._prepared
            ]
        return self._counted(texts.prepare_records, self._placed, self._prepared)

    def _counted(self, text: Callable[..., str], new: list[Row], old: list[Row]) -> list[Step]:
        """Return statements that insert some rows and change others, and count how many they meet of each."""
        known = {row[0] for row in old}
        steps = []
        for rows in self._chunks(new + old):
            affects = sum(2 if number in known else 1 for number in {row[0] for row in rows})
            steps.append(replace(_many(text, rows, self._connection), affects=affects))
        return steps

    def _chunks(self, rows: list[Row]) -> Iterator[list[Row]]:
        rows = sorted(rows, key=itemgetter(1, 2))  # by scope and key
        return texts.chunks(rows, _weight, self._connection.packet // 2)


def _many(text: Callable[..., str], rows: list[Row], connection: AsyncmyConnection) -> Step:
    cells = [cell for row in rows for cell in row]
    return Step(text(len(rows), is_mariadb=connection.is_mariadb), cells)


def _update(row: Row) -> Step:
    number, _scope, _key, *rest = row
    return Step(texts.update_record(), (*rest, number))


def of_ids(text: Callable[[int], str], ids: list[int]) -> Step:
    """Make a statement that takes the numbers of records."""
    some = texts.filled(ids)
    return Step(text(len(some)), some)


def _parts(ids: list[int]) -> list[list[int]]:
    most = texts.SIZES[-1]
    return [ids[start : start + most] for start in range(0, len(ids), most)]


def _weight(row: Row) -> int:
    return _OVERHEAD + sum(len(cell) for cell in row if type(cell) is bytes)
