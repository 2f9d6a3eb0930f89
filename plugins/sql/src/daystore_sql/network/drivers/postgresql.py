"""What both drivers of PostgreSQL do alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, Protocol

from daystore_sql.network.driver import DriverConnection, Refused

__all__ = ["SETTINGS", "UNKNOWN_PARAMETER", "PostgreSQLDriver", "ServerConnection", "ends_session"]

SETTINGS: Final = {
    "enable_bitmapscan": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "work_mem": "64MB",
}
"""Run-time parameters of a session. Every statement here is made to be run by indexes, in a way that does not
depend on what the server happens to know of the data; and each is planned once."""


class ServerConnection(DriverConnection, Protocol):
    """A connection that can tell a server from a pooler."""

    async def is_direct(self) -> bool:
        """Tell whether the server itself is at the other end: a pooler makes up a process of its own."""


class PostgreSQLDriver(ABC):
    """Connects, and finds out the first time whether there is a pooler in between.

    Behind a pooler that gives a client another server for each transaction, nothing of a session lasts: neither
    run-time parameters nor, unless the pooler sees to it, prepared statements.

    Args:
        dsn: Where the server is and who asks.
        prepared: Whether prepared statements last. ``None``: it is found out.
    """

    def __init__(self, dsn: str, *, prepared: bool | None) -> None:
        self._dsn = dsn
        self._prepared = prepared
        self._direct: bool | None = None

    async def connect(self) -> DriverConnection:
        """Connect and log in."""
        if self._direct is None:
            connection = await self._first()
            if connection is not None:
                return connection
        if self._direct:
            return await self._connect(SETTINGS, prepared=self._prepared is not False)
        if self._prepared is None:
            return await self._first_behind()
        return await self._connect({}, prepared=self._prepared)

    async def _first(self) -> ServerConnection | None:
        try:
            connection = await self._connect(SETTINGS, prepared=self._prepared is not False)
        except Refused as error:
            if error.code != UNKNOWN_PARAMETER:
                raise
            self._direct = False  # poolers refuse run-time parameters that they do not know
            return None
        try:
            self._direct = await connection.is_direct()
        except BaseException:
            connection.abort()
            raise
        if self._direct:
            return connection
        connection.abort()
        return None

    async def _first_behind(self) -> ServerConnection:
        connection = await self._connect({}, prepared=True)
        try:
            self._prepared = await _keeps_statements(connection)
        except BaseException:
            connection.abort()
            raise
        if self._prepared:
            return connection
        connection.abort()  # amid the transaction: the pooler ends that of the server, and the statement with it
        return await self._connect({}, prepared=False)

    @abstractmethod
    async def _connect(self, settings: Mapping[str, str], *, prepared: bool) -> ServerConnection:
        """Connect with some run-time parameters, with or without prepared statements that last."""


async def _keeps_statements(connection: ServerConnection) -> bool:
    """Tell whether a pooler makes prepared statements last: PgBouncer gives them names of its own then."""
    await connection.fetch("BEGIN")
    try:
        ((keeps,),) = await connection.fetch(RENAMED)
    except Refused:  # somebody else has left a statement of this name on the server
        return False
    if keeps:
        await connection.fetch("COMMIT")
    return bool(keeps)


RENAMED: Final = "SELECT count(*) > 0 FROM pg_prepared_statements WHERE starts_with(name, 'PGBOUNCER_')"
UNKNOWN_PARAMETER: Final = "08P01"


def ends_session(code: str) -> bool:
    """Tell by SQLSTATE whether an error ends the session, whatever became of the statement."""
    return code.startswith(("08", "57P"))
