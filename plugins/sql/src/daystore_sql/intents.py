"""The intents of a namespace: all of them, and those that are in the way of a checked query.

They are found by an index of their own, so that it costs as much as there are intents. Where the database has no
indexes on some rows, each has an entry in the index of fields instead, as if the transaction were the value of a
field whose number is that of the collection, negated: no name has such a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, LargeBinary, Select, bindparam, func, select
from sqlalchemy import literal_column as literal

from daystore.abc import CheckQuery, Record
from daystore.abc.record import TRANSACTION_BYTES
from daystore.errors import RecordPrepared
from daystore_sql.dialects.base import Dialect
from daystore_sql.errors import BACKEND
from daystore_sql.records import record_of
from daystore_sql.schema import ds_field, ds_record, ds_scope
from daystore_sql.selects import by_number
from daystore_sql.session import Session

__all__ = ["check_no_intents", "run_prepared"]

_INDEX = "ds_record_intent"


def run_prepared(session: Session, collection: str | None) -> list[tuple[str, Record]]:
    """Return everything that carries an intent, alive or not, as collection and record, with one statement.

    Args:
        session: Where to look.
        collection: Where; in all collections of the namespace if it is ``None``.
    """
    dialect, everywhere = session.dialect, collection is None
    values = {"namespace": session.catalog.namespace, "collection": (collection or "").encode()}
    rows = session.run(
        ("prepared", everywhere), lambda: _prepared(dialect, everywhere=everywhere), values
    ).fetchall()
    return [(name if type(name) is str else name.decode(), record_of(row)) for name, *row in rows]


def check_no_intents(session: Session, queries: Sequence[CheckQuery], own: bytes | None) -> None:
    """Look for intents in the collections of checked queries, with one statement for each collection.

    Args:
        session: Where, inside the transaction that depends on the queries.
        queries: The queries.
        own: The transaction whose intents do not matter.

    Raises:
        RecordPrepared: If there is one of another transaction.
    """
    dialect = session.dialect
    text, order = dialect.text_of("foreign intent", lambda: _foreign(dialect))
    for collection in dict.fromkeys(check.query.collection for check in queries):
        names = session.catalog.collection(collection)
        if names is None:
            continue
        values = {"scope": names.scope, "own": own or b""}
        if session.execute(text, [values[name] for name in order]).fetchone() is not None:
            raise RecordPrepared(
                "a transaction that is being committed may change what a query of this batch finds: try again",
                collection=collection,
                backend=BACKEND,
                operation="write",
            )


def _prepared(dialect: Dialect, *, everywhere: bool) -> Select[Any]:
    """Select collection and record of what carries an intent."""
    scope, record = ds_scope.alias("s"), ds_record.alias("r")
    columns = (dialect.text(scope.c.collection), *dialect.statements.columns_of(record))
    query: Select[Any] = select(*columns).where(scope.c.namespace == bindparam("namespace"))
    if not everywhere:
        query = query.where(scope.c.collection == bindparam("collection"))
    if _INDEX not in dialect.spared:
        query = query.select_from(scope.join(record, record.c.scope == scope.c.id))
        return dialect.hinted(query.where(record.c.intent.is_not(None)), record, _INDEX)
    entry = ds_field.alias("d")
    source = scope.join(entry, entry.c.field == -scope.c.id).join(record, record.c.id == entry.c.record)
    query = query.select_from(source).prefix_with("STRAIGHT_JOIN", dialect="mysql")
    return by_number(dialect.hinted(query, entry, "ds_field_sort"), record)


def _foreign(dialect: Dialect) -> Select[Any]:
    """Select 1 if a collection has an intent of a transaction other than ``own``."""
    scope, own = bindparam("scope", type_=BigInteger), bindparam("own", type_=LargeBinary)
    table: FromClause
    conditions: tuple[ColumnElement[bool], ...]
    if _INDEX not in dialect.spared:
        table, index = ds_record.alias("r"), _INDEX
        transaction = func.substr(table.c.intent, literal("1"), literal(str(TRANSACTION_BYTES)))
        conditions = (table.c.scope == scope, table.c.intent.is_not(None), transaction != own)
    else:
        table, index = ds_field.alias("d"), "ds_field_sort"
        conditions = (table.c.field == -scope, table.c.sort_key != own)
    query: Select[Any] = select(literal("1")).select_from(table).where(*conditions).limit(literal("1"))
    return dialect.hinted(query, table, index)
