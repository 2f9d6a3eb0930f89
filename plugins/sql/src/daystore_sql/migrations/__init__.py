"""Changes of the layout, run by Alembic on the connection that holds the lock."""

from __future__ import annotations

from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from daystore_sql.dialects.base import Connection, Dialect

__all__ = ["upgrade"]

SCRIPTS = "daystore_sql:migrations"


class _Held:
    """A connection whose transaction and end are somebody else's business."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        """Leave it to the holder of the lock."""

    def rollback(self) -> None:
        """Leave it to the holder of the lock."""

    def close(self) -> None:
        """Leave it to the holder of the lock."""


def upgrade(connection: Connection, dialect: Dialect, scripts: str = SCRIPTS) -> None:
    """Bring a database from whatever layout it has, if any, to the newest one.

    Args:
        connection: A connection of the driver, inside a transaction that locks out everybody else.
        dialect: Of the database.
        scripts: Where the revisions are.
    """
    config = Config()
    config.set_main_option("script_location", scripts)
    engine = create_engine(f"{dialect.name}://", creator=lambda: _Held(connection), poolclass=StaticPool)
    try:
        with engine.connect() as wrapped:
            config.attributes["connection"] = wrapped
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise (error.orig or error) from error
