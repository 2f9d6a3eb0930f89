"""Batches of changes, on the thread of the writing connection and inside a transaction of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from daystore.abc import (
    KEEP,
    Delete,
    FieldValue,
    Instant,
    Outcome,
    Prepare,
    Put,
    Release,
    WriteBatch,
)
from daystore.abc.names import RESERVED_FIELDS
from daystore.abc.record import Operation
from daystore.errors import LimitExceeded, VersionConflict
from daystore_sql.catalog import CollectionNames
from daystore_sql.encoding import MAX_INT, MIN_INT, index_entries, pack_fields, unpack_fields
from daystore_sql.errors import BACKEND
from daystore_sql.intents import check_no_intents
from daystore_sql.judging import Fate, conflict_of, fate_of
from daystore_sql.reading import run_query
from daystore_sql.records import lookups_by_key, pack_meta
from daystore_sql.session import Session

__all__ = ["apply_batch", "check_queries", "check_sizes", "indexed"]

Row: TypeAlias = tuple[object, ...]
"""The parameters of a statement."""


class Old(NamedTuple):
    """A row that is there, alive or not.

    Attributes:
        key: Its key.
        number: Its number.
        version: Its version.
        expires_at: Its expiry.
        shape: Number of its shape.
        fields: Its fields, packed.
        intent: Its intent.
    """

    key: str
    number: int
    version: str
    expires_at: Instant | None
    shape: int
    fields: bytes | None
    intent: bytes | None


def check_sizes(batch: WriteBatch) -> None:
    """Refuse what no column can hold, before anything is sent.

    Raises:
        LimitExceeded: If an expiry is out of range.
    """
    for operation in batch.operations:
        expiry = operation.expires_at if type(operation) is Put else None
        if type(expiry) is int and not MIN_INT <= expiry <= MAX_INT:
            raise LimitExceeded(
                "an expiry that far away cannot be stored",
                limit="int64",
                actual=expiry.bit_length() + 1,
                maximum=64,
                backend=BACKEND,
                operation="write",
            )


def apply_batch(session: Session, batch: WriteBatch, now: Instant) -> list[Outcome]:
    """Apply a batch, all expectations judged against the state before it.

    Raises:
        VersionConflict: If an expectation of an atomic batch does not hold. Nothing was changed.
    """
    operations = batch.operations
    found = _find(session, operations)
    alive = [old if old is None or old.expires_at is None or now < old.expires_at else None for old in found]
    fates = list(map(_fate, operations, found, alive))
    conflicts = {
        index: conflict_of(
            operations[index],
            index,
            None if (live := alive[index]) is None else live.version,
            prepared=fate is Fate.WAITS,
        )
        for index, fate in enumerate(fates)
        if fate is Fate.FAILS or fate is Fate.WAITS
    }
    if batch.atomic:
        for conflict in conflicts.values():
            raise conflict
        if batch.queries:
            check_queries(session, batch, now)
    work = _Work(session, now)
    outcomes = []
    for index, (operation, live) in enumerate(zip(operations, alive, strict=True)):
        if index in conflicts:
            outcomes.append(Outcome(None, False, conflicts[index]))
            continue
        if fates[index] is Fate.APPLIES:
            work.do(operation, found[index], live)
        version = operation.version if type(operation) is Put else None
        outcomes.append(Outcome(version, live is not None))
    work.execute()
    return outcomes


def _find(session: Session, operations: Sequence[Operation]) -> list[Old | None]:
    """Return the row that each operation meets."""
    texts = session.statements
    if len(operations) == 1:
        operation = operations[0]
        names = session.catalog.collection(operation.collection)
        if names is None:
            return [None]
        row = session.execute(texts.find, (names.scope, operation.key.encode())).fetchone()
        return [None if row is None else Old(*row)]
    keys: dict[str, list[str]] = {}
    for operation in operations:
        keys.setdefault(operation.collection, []).append(operation.key)
    found: dict[tuple[str, str], Old] = {}
    for collection, some in keys.items():
        names = session.catalog.collection(collection)
        if names is not None:
            many, few = texts.find_many, texts.find_few
            for lookup in lookups_by_key(session, names.scope, some, (), many=many, few=few):
                for row in session.execute(*lookup).fetchall():
                    found[collection, row[0]] = Old(*row)
    return [found.get((operation.collection, operation.key)) for operation in operations]


def _fate(operation: Operation, old: Old | None, live: Old | None) -> Fate:
    return fate_of(
        operation.expect,
        None if live is None else live.version,
        None if old is None else old.intent,
        makes=operation.version if type(operation) is Put else None,
        prepares=operation.intent if type(operation) is Prepare else None,
    )


def check_queries(session: Session, batch: WriteBatch, now: Instant) -> None:
    """Run the checked queries of a batch again.

    Raises:
        VersionConflict: If one does not find the same records at the same versions, or its collection has an
            intent that is not the batch's own.
    """
    check_no_intents(session, batch.queries, batch.own)
    for check in batch.queries:
        page = run_query(session, check.query, now)
        if [(record.key, record.version) for record in page.records] != list(check.found):
            raise VersionConflict(
                "a query that this batch depends on finds something else now",
                collection=check.query.collection,
                backend=BACKEND,
                operation="write",
            )


class _Work:
    """Collects what a batch changes, and changes it with one statement for each kind of change."""

    def __init__(self, session: Session, now: Instant) -> None:
        self._session = session
        self._now = now
        self._last_number: int | None = None
        self._deleted: list[Row] = []
        self._inserted: list[Row] = []
        self._updated: dict[tuple[bool, bool, bool], list[Row]] = {}
        self._marked: list[Row] = []
        self._entries_deleted: list[Row] = []
        self._entries_inserted: list[Row] = []

    def do(self, operation: Operation, old: Old | None, live: Old | None) -> None:
        """Collect what an operation changes."""
        if type(operation) is Put:
            self._put(operation, old, live)
        elif type(operation) is Prepare and old is None:
            self._insert_placeholder(operation)
        elif old is None:
            return
        elif type(operation) is Delete:
            self._deleted.append((old.number,))
        elif type(operation) is Prepare:
            self._marked.append((operation.intent, old.number))
        elif type(operation) is Release:
            self._marked.append((None, old.number))

    def _put(self, put: Put, old: Old | None, live: Old | None) -> None:
        expires_at = put.expires_at
        if expires_at is KEEP:
            expires_at = None if live is None else live.expires_at
        fields = pack_fields(put.fields) if put.fields else None
        version, meta, now = put.version.encode(), pack_meta(put), self._now
        if old is None:
            names = self._session.catalog.added(put.collection)
            number, key = self._new_number(), put.key.encode()
            shape = self._change_entries(number, key, None, put, names)
            times = (now, now, expires_at)
            content = (meta, fields, None, put.value)
            self._inserted.append((number, names.scope, key, shape, version, *times, *content))
            return
        shape = old.shape
        if fields != old.fields:
            names, key = self._session.catalog.added(put.collection), put.key.encode()
            shape = self._change_entries(old.number, key, old.fields, put, names)
        reshaped, recreated = shape != old.shape, live is None
        row: Row = (now, expires_at, version, meta, fields, put.value)
        if reshaped:
            row += (shape,)
        if recreated:
            row += (now,)
        held = old.intent is not None
        self._updated.setdefault((reshaped, recreated, held), []).append((*row, old.number))

    def _insert_placeholder(self, prepare: Prepare) -> None:
        """Insert what an intent stands beside where there is nothing: a record that expired at the beginning."""
        names = self._session.catalog.added(prepare.collection)
        number, key, shape = self._new_number(), prepare.key.encode(), names.added_shape({})
        content = (None, None, prepare.intent, b"")
        self._inserted.append((number, names.scope, key, shape, b"", 0, 0, 0, *content))

    def execute(self) -> None:
        """Change what was collected."""
        texts = self._session.statements
        self._run(texts.delete_fields, self._deleted)
        self._run(texts.delete_record, self._deleted)
        self._run(texts.insert_record, self._inserted)
        for (shape, created, held), rows in self._updated.items():
            self._run(texts.update_record(shape=shape, created=created, held=held), rows)
        self._run(texts.set_intent, self._marked)
        self._run(texts.delete_field, self._entries_deleted)
        self._run(texts.insert_field, self._entries_inserted)

    def _run(self, text: str, rows: list[Row]) -> None:
        if len(rows) == 1:
            self._session.execute(text, rows[0])
        elif rows:
            self._session.connection.executemany(text, rows)

    def _new_number(self) -> int:
        # No other writer comes between, so the numbers after the highest one are ours.
        if self._last_number is None:
            (highest,) = self._session.execute(self._session.statements.last_record).fetchone()
            self._last_number = highest or 0
        self._last_number += 1
        return self._last_number

    def _change_entries(
        self, number: int, key: bytes, before: bytes | None, put: Put, names: CollectionNames
    ) -> int:
        """Change the index entries of a record from those of its packed fields; return its shape."""
        if not put.fields and before is None:
            return names.added_shape({})
        after = indexed(put.fields)
        new = index_entries([(names.added_field(name), value) for name, value in after.items()])
        if before is not None:
            known = indexed(unpack_fields(before))
            old = index_entries([(names.added_field(name), value) for name, value in known.items()])
            self._entries_deleted += [(number, *entry) for entry in old.keys() - new.keys()]
            new = {entry: numbers for entry, numbers in new.items() if entry not in old}
        self._entries_inserted += [(number, *entry, key, *numbers) for entry, numbers in new.items()]
        return names.added_shape(after)


def indexed(fields: Mapping[str, FieldValue]) -> Mapping[str, FieldValue]:
    """Leave out what is named like a record's own column: a query by that name means the record's own."""
    if RESERVED_FIELDS.isdisjoint(fields):
        return fields
    return {name: value for name, value in fields.items() if name not in RESERVED_FIELDS}
