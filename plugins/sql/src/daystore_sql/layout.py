"""The layout of the tables in a database: made, brought up to date, or refused.

Processes that open a database at the same time do this one after the other, under the database's own lock.
Alembic, which is slow to import, is imported only where an older layout has to be changed.
"""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.schema import CreateIndex, CreateTable

from daystore_sql.dialects.base import Connection, Dialect
from daystore_sql.errors import unavailable
from daystore_sql.schema import HEAD, LAYOUT, METADATA, REVISIONS, ds_layout

__all__ = ["create", "prepare"]


def prepare(connection: Connection, dialect: Dialect) -> None:
    """Bring a database to the layout of this version.

    Raises:
        BackendUnavailable: If its layout is from a newer version. It is left as it is.
    """
    if _is_current(connection, dialect):
        return
    with dialect.exclusively(connection):
        if _is_current(connection, dialect):
            return  # another process was faster
        if LAYOUT in dialect.tables(connection):
            from daystore_sql.migrations import upgrade

            upgrade(connection, dialect)
        else:
            create(connection, dialect)


def create(connection: Connection, dialect: Dialect) -> None:
    """Make the tables in a database that has none of them."""
    for table in METADATA.sorted_tables:
        connection.execute(str(CreateTable(table).compile(dialect=dialect.sqlalchemy)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            connection.execute(str(CreateIndex(index).compile(dialect=dialect.sqlalchemy)))
    stamp = insert(ds_layout).values(version_num=HEAD)
    connection.execute(str(stamp.compile(dialect=dialect.sqlalchemy)), (HEAD,))


def _is_current(connection: Connection, dialect: Dialect) -> bool:
    if LAYOUT not in dialect.tables(connection):
        return False
    stamps = str(select(ds_layout.c.version_num).compile(dialect=dialect.sqlalchemy))
    versions = [row[0] for row in connection.execute(stamps).fetchall()]
    for version in versions:
        if version not in REVISIONS:
            raise unavailable(
                f"the database has the layout {version!r}, which is from a newer version of daystore-sql "
                f"(this one knows {HEAD!r}); it was left as it is: upgrade daystore-sql",
                "open",
                retryable=False,
            )
    return versions == [HEAD]
