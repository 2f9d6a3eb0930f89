"""PostgreSQL by psycopg 3."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg import waiting
from psycopg.conninfo import make_conninfo
from psycopg.types.numeric import Int8

from daystore_sql.network.driver import Lost, Refused, Row
from daystore_sql.network.drivers.postgresql import UNKNOWN_PARAMETER, PostgreSQLDriver, ends_session

__all__ = ["PsycopgConnection", "PsycopgDriver"]

IDLE: Final = psycopg.pq.TransactionStatus.IDLE
KEPT: Final = 1000
"""Prepared statements of a connection."""


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection that a cancellation leaves as it is; it is thrown away then, without waiting for the server."""

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return await waiting.wait_async(gen, self.pgconn.socket, interval=interval)


class PsycopgDriver(PostgreSQLDriver):
    """Connects by psycopg."""

    async def _connect(self, settings: Mapping[str, str], *, prepared: bool) -> PsycopgConnection:
        options = {"options": " ".join(f"-c {name}={value}" for name, value in settings.items())}
        try:
            connection = await _Connection.connect(
                make_conninfo(self._dsn, **(options if settings else {})),
                autocommit=True,
                prepare_threshold=0 if prepared else None,
                cursor_factory=psycopg.AsyncRawCursor,
            )
        except psycopg.Error as error:
            code = error.sqlstate or _code_of(str(error))
            if code == UNKNOWN_PARAMETER or (code and not ends_session(code)):
                raise Refused(code, str(error)) from error
            raise Lost(sent=False) from error
        except asyncio.CancelledError as error:
            # Otherwise whoever keeps the error keeps a connection that is half made.
            traceback.clear_frames(error.__traceback__)
            raise
        connection.prepared_max = KEPT
        return PsycopgConnection(connection)


def _code_of(message: str) -> str:
    """Return the SQLSTATE of a refusal to log in, which libpq tells in words only."""
    for words, code in _REFUSALS.items():
        if words in message:
            return code
    return ""


_REFUSALS: Final = {
    "unsupported startup parameter": UNKNOWN_PARAMETER,
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "does not exist": "3D000",
    "too many clients": "53300",
    "too many connections": "53300",
    "remaining connection slots": "53300",
}


class PsycopgConnection:
    """A connection of psycopg.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._is_busy = False
        self._is_waiting = False

    async def is_direct(self) -> bool:
        """Compare the process of the server with the one that was told when the connection was made."""
        try:
            cursor = self._connection.cursor()
            await cursor.execute("SELECT pg_backend_pid()", prepare=False)
            row = await cursor.fetchone()
        except psycopg.Error as error:
            raise Lost(sent=True) from error
        return row is not None and row[0] == self._connection.info.backend_pid

    @property
    def is_idle(self) -> bool:
        """Whether it is fit for the next caller."""
        connection = self._connection
        if self._is_busy or connection.closed or connection.pgconn.transaction_status != IDLE:
            return False
        # Nobody listens to an idle connection: what there is to be heard is no answer to the next request.
        poll = select.poll()
        poll.register(connection.pgconn.socket, select.POLLIN)
        return not poll.poll(0)

    async def fetch(self, text: str, parameters: Sequence[object] = (), /) -> Sequence[Row]:
        """Execute one statement and return its rows."""
        self._is_busy = True  # and stays so if this is cancelled, or fails
        self._is_waiting = True
        try:
            cursor = self._connection.cursor(binary=True)
            prepare = False if text.startswith(("BEGIN", "COMMIT", "ROLLBACK")) else None
            values = [_sized(parameter) for parameter in parameters]
            await cursor.execute(text, values or None, prepare=prepare)
            rows: Sequence[Row] = await cursor.fetchall() if cursor.description is not None else ()
        except psycopg.Error as error:
            code = error.sqlstate or ""
            if self._connection.closed or not code or ends_session(code):
                raise Lost(sent=True) from error
            self._is_busy = False
            raise Refused(code, str(error)) from error
        except OSError as error:
            raise Lost(sent=True) from error
        finally:
            self._is_waiting = False
        self._is_busy = False
        return rows

    async def close(self) -> None:
        """End it, telling the server."""
        self._connection.pgconn.finish()

    def abort(self) -> None:
        """End it at once. Whoever waits for an answer finds that there is none."""
        self._is_busy = True
        if self._is_waiting:  # for this very file descriptor, which others would get if it was closed
            with suppress(OSError, psycopg.Error), self._same_socket() as same:
                same.shutdown(socket.SHUT_RDWR)
        else:
            self._connection.pgconn.finish()

    def _same_socket(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self._connection.pgconn.socket))


def _sized(parameter: object) -> object:
    """Give integers one size: psycopg takes the smallest for each, and prepares every combination anew."""
    if type(parameter) is int:
        return Int8(parameter)
    if type(parameter) is list and type(next((p for p in parameter if p is not None), None)) is int:
        return [None if member is None else Int8(member) for member in parameter]
    return parameter
