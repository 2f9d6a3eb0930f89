"""From a batch to `Changes`, and from verdicts to outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Never, TypeVar

from daystore.abc import KEEP, Check, Clock, Delete, Outcome, Prepare, Put, Release, WriteBatch
from daystore.abc.record import Operation
from daystore_sql.catalog import Known
from daystore_sql.dialects.network import NetworkDialect
from daystore_sql.encoding import Entries, index_entries, pack_fields
from daystore_sql.judging import conflict_of
from daystore_sql.network.changes import Change, Kind, Verdict
from daystore_sql.records import pack_meta
from daystore_sql.session import Session
from daystore_sql.writing import indexed

__all__ = ["if_known", "knowing", "outcomes_of", "plan"]

T = TypeVar("T")

_KINDS: Final[dict[type, Kind]] = {Check: "check", Delete: "delete", Release: "release"}


class _Unknown(Exception):
    """There are names that the engine does not know."""


class _Nowhere:
    """In place of a connection, where nothing but what is known is to be used."""

    def execute(self, text: str, parameters: Sequence[object] = (), /) -> Never:
        raise _Unknown

    def executemany(self, text: str, rows: Sequence[Sequence[object]], /) -> Never:
        raise _Unknown

    def rollback(self) -> None: ...

    def close(self) -> None: ...


def knowing(dialect: NetworkDialect, namespace: str, clock: Clock, known: Known) -> Session:
    """Make a session that asks nobody, for `if_known`."""
    return Session(dialect, _Nowhere(), namespace, clock, known)


def if_known(work: Callable[..., T], *arguments: object) -> T | None:
    """Do something on a session that `knowing` has made; return ``None`` if it would have to ask the server.

    What is done instead is not done while an exception is handled: the errors that it may meet have nothing to do
    with that, and would tell of it as their context.
    """
    try:
        return work(*arguments)
    except _Unknown:
        return None


def plan(session: Session, batch: WriteBatch) -> tuple[list[Change], list[int]]:
    """Write numbers for the names of a batch; a session with a connection adds those that are new.

    Returns:
        The operations in the order in which their rows are locked, and the collections that are queried, in order.
    """
    changes = [_change(session, place, operation) for place, operation in enumerate(batch.operations)]
    if len(changes) > 1:
        changes.sort(key=lambda change: (change.scope, change.key))
    scopes = {session.catalog.added(check.query.collection).scope for check in batch.queries}
    return changes, sorted(scopes)


def _change(session: Session, place: int, operation: Operation) -> Change:
    names = session.catalog.added(operation.collection)
    key = operation.key.encode()
    if type(operation) is Prepare:
        shape, intent = names.added_shape({}), operation.intent
        return Change(place, names.scope, key, "prepare", operation.expect, shape=shape, intent=intent)
    if type(operation) is not Put:
        return Change(place, names.scope, key, _KINDS[type(operation)], operation.expect)
    fields, packed = operation.fields, None
    entries: Entries = {}
    if fields:
        packed, fields = pack_fields(fields), indexed(fields)
        entries = index_entries([(names.added_field(name), value) for name, value in fields.items()])
    return Change(
        place,
        names.scope,
        key,
        "put",
        operation.expect,
        operation.expires_at is KEEP,
        None if operation.expires_at is KEEP else operation.expires_at,
        names.added_shape(fields),
        operation.version.encode(),
        pack_meta(operation),
        packed,
        None,
        operation.value,
        entries,
    )


def outcomes_of(batch: WriteBatch, changes: Sequence[Change], verdicts: Sequence[Verdict]) -> list[Outcome]:
    """Return the outcomes of a batch, in its order.

    Raises:
        VersionConflict: If an expectation of an atomic batch did not hold.
    """
    operations = batch.operations
    outcomes: list[Outcome] = [Outcome(None, False)] * len(operations)
    for change, verdict in zip(changes, verdicts, strict=True):
        place = change.place
        operation = operations[place]
        if verdict.done:
            version = operation.version if type(operation) is Put else None
            outcomes[place] = Outcome(version, verdict.existed)
        else:
            error = conflict_of(operation, place, verdict.current, prepared=verdict.prepared)
            outcomes[place] = Outcome(None, False, error)
    if batch.atomic:
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
    return outcomes
