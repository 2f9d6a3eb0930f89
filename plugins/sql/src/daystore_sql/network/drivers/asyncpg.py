"""PostgreSQL by asyncpg."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg

from daystore_sql.network.driver import Lost, Refused, Row
from daystore_sql.network.drivers.postgresql import PostgreSQLDriver, ends_session

__all__ = ["AsyncpgConnection", "AsyncpgDriver"]

FAILURES: Final = (OSError, EOFError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises when the connection, and not the statement, is at fault."""


class AsyncpgDriver(PostgreSQLDriver):
    """Connects by asyncpg."""

    async def _connect(self, settings: Mapping[str, str], *, prepared: bool) -> AsyncpgConnection:
        try:
            connection = await asyncpg.connect(
                self._dsn,
                server_settings=dict(settings),
                statement_cache_size=1000 if prepared else 0,
                max_cached_statement_lifetime=0,
            )
        except asyncpg.PostgresError as error:
            raise Refused(error.sqlstate or "", str(error)) from error
        except (*FAILURES, TimeoutError) as error:
            raise Lost(sent=False) from error
        return AsyncpgConnection(connection, prepared=prepared)


class AsyncpgConnection:
    """A connection of asyncpg.

    Args:
        connection: The connection.
        prepared: Whether prepared statements last. Otherwise each statement is sent in a transaction, because
            asyncpg prepares it in one request and executes it in another.
    """

    def __init__(self, connection: Any, *, prepared: bool) -> None:
        self._connection = connection
        self._prepared = prepared
        self._is_busy = False

    async def is_direct(self) -> bool:
        """Compare the process of the server with the one that was told when the connection was made."""
        connection = self._connection
        try:
            async with _transaction(connection):
                statement = await connection.prepare("SELECT pg_backend_pid()", name="")
                pid: int = await statement.fetchval()
        except asyncpg.PostgresError as error:
            raise Refused(error.sqlstate or "", str(error)) from error
        except FAILURES as error:
            raise Lost(sent=True) from error
        return pid == int(connection.get_server_pid())

    @property
    def is_idle(self) -> bool:
        """Whether it is fit for the next caller."""
        connection = self._connection
        return not (self._is_busy or connection.is_closed() or connection.is_in_transaction())

    async def fetch(self, text: str, parameters: Sequence[object] = (), /) -> Sequence[Row]:
        """Execute one statement and return its rows."""
        self._is_busy = True  # and stays so if this is cancelled, or fails
        try:
            rows = await self._fetched(text, parameters)
        except asyncpg.PostgresError as error:
            code = error.sqlstate or ""
            if self._connection.is_closed() or ends_session(code):
                raise Lost(sent=True) from error
            self._is_busy = False
            raise Refused(code, str(error)) from error
        except FAILURES as error:
            raise Lost(sent=True) from error
        self._is_busy = False
        return rows

    async def _fetched(self, text: str, parameters: Sequence[object]) -> Sequence[Row]:
        connection = self._connection
        rows: Sequence[Row]
        if text.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            await connection.execute(text)  # for which nothing needs to be prepared
            return ()
        if self._prepared or connection.is_in_transaction():
            rows = await connection.fetch(text, *parameters)
            return rows
        async with _transaction(connection):
            rows = await connection.fetch(text, *parameters)
        return rows

    async def close(self) -> None:
        """End it, telling the server."""
        with suppress(asyncpg.PostgresError, *FAILURES, TimeoutError):
            await self._connection.close(timeout=1)

    def abort(self) -> None:
        """End it at once."""
        self._is_busy = True
        with suppress(RuntimeError):  # its event loop is closed already
            self._connection.terminate()


@asynccontextmanager
async def _transaction(connection: Any) -> AsyncIterator[None]:
    """Run a transaction, and roll back what the server has refused.

    Whatever else fails, or is cancelled, leaves a connection that nobody will use again. To roll back there could
    wait for ever: the answer that was lost is not followed by another one.
    """
    await connection.execute("BEGIN")
    try:
        yield
    except asyncpg.PostgresError:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
