"""The layout of the tables in a database: made, brought up to date, or refused.

Processes that open a database at the same time do this one after the other, under the database's own lock.
Alembic, which is slow to import, is imported only where an older layout has to be changed.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy import insert
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from daystore_sql.dialects.base import Connection, Dialect
from daystore_sql.errors import unavailable
from daystore_sql.schema import HEAD, LAYOUT, REVISIONS, ds_layout, tables

__all__ = ["create", "is_current", "prepare"]


def prepare(connection: Connection, dialect: Dialect) -> None:
    """Bring a database to the layout of this version.

    Raises:
        BackendUnavailable: If its layout is from a newer version. It is left as it is.
    """
    if is_current(connection, dialect):
        return
    with dialect.exclusively(connection):
        if is_current(connection, dialect):
            return  # another process was faster
        if _versions(connection, dialect):
            from daystore_sql.migrations import upgrade

            upgrade(connection, dialect)
        else:
            create(connection, dialect)


def create(connection: Connection, dialect: Dialect) -> None:
    """Make the tables in a database that has none of them, or where making them was interrupted."""
    for text in _texts(dialect):
        dialect.define(connection, text)
    stamp = insert(ds_layout).values(version_num=HEAD)
    connection.execute(str(stamp.compile(dialect=dialect.sqlalchemy)), (HEAD,))


@cache
def _texts(dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that make the tables and their indexes."""
    elements: list[DDLElement] = []
    for table in tables(dialect.name):
        indexes = sorted(
            (i for i in table.indexes if i.name not in dialect.spared), key=lambda i: str(i.name)
        )
        elements += [CreateTable(table), *map(CreateIndex, indexes)]
    return tuple(str(element.compile(dialect=dialect.sqlalchemy)) for element in elements)


def _versions(connection: Connection, dialect: Dialect) -> list[str]:
    """Return the stamp; nothing where there are no tables, or making them was interrupted."""
    if LAYOUT not in dialect.tables(connection):
        return []
    return [row[0] for row in connection.execute(dialect.statements.layouts).fetchall()]


def is_current(connection: Connection, dialect: Dialect) -> bool:
    """Tell whether a database has the layout of this version.

    Raises:
        BackendUnavailable: If its layout is from a newer version.
    """
    versions = _versions(connection, dialect)
    for version in versions:
        if version not in REVISIONS:
            raise unavailable(
                f"the database has the layout {version!r}, which is from a newer version of daystore-sql "
                f"(this one knows {HEAD!r}); it was left as it is: upgrade daystore-sql",
                "open",
                retryable=False,
            )
    return versions == [HEAD]
