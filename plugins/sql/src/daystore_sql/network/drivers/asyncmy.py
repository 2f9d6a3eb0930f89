"""asyncmy: MySQL and MariaDB.

Statements with parameters are prepared on the server and executed by the binary protocol: what is looked for and
what is stored travels beside the statement, never in it, and no escaping of the driver's is ever relied on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from ssl import SSLContext
from typing import Any, Final, NamedTuple

from asyncmy import connect
from asyncmy.errors import MySQLError

from daystore_sql.dialects.mysql_errors import is_loss
from daystore_sql.network.driver import Lost, Refused, Row

__all__ = ["Answer", "AsyncmyConnection", "AsyncmyDriver"]

_MOST_PREPARED: Final = 128
"""Statements that a connection keeps prepared. Unless told otherwise a server has 16,382 for all connections."""


class Answer(NamedTuple):
    """What a statement did.

    Attributes:
        rows: Its rows.
        affected: How many rows it changed; one that replaces a row counts 2.
    """

    rows: Sequence[Row]
    affected: int


class AsyncmyConnection:
    """One connection: see `daystore_sql.network.driver.DriverConnection`.

    Args:
        raw: Of the driver.
        orphans: Where to leave its name if it is ended while the server may still be at work for it.

    Attributes:
        name: By which the server knows it: that of a lock that only it ever takes. Unlike the server's numbers, it
            never becomes another's when the server starts again.
        is_mariadb: Whether the server is MariaDB.
        compounds: Whether the server takes several statements as one, with parameters.
        packet: Most bytes that the server takes in one statement.
    """

    def __init__(self, raw: Any, orphans: set[str]) -> None:
        self.name: str = f"daystore.{token_hex(12)}"
        self._raw = raw
        self._orphans = orphans
        self._prepared: dict[str, Any] = {}
        self._is_certain = True
        self._is_ended = False
        self.is_mariadb: bool = "MariaDB" in raw.get_server_info()
        self.compounds: bool = self.is_mariadb
        self.packet: int = 2**20

    @property
    def number(self) -> int:
        """By which the server knows it as long as it runs."""
        number: int = self._raw.thread_id()
        return number

    @property
    def is_idle(self) -> bool:
        """Whether it is alive, without a request under way or a transaction open."""
        return self._is_certain and self._is_quiet and not self._raw.get_transaction_status()

    @property
    def _is_quiet(self) -> bool:
        """Whether it is alive, and nothing came that nobody asked for."""
        raw = self._raw
        return raw.connected and not raw._stream_broken and raw._proto.length == raw._proto.pos

    async def fetch(self, text: str, parameters: Sequence[object] = (), /) -> Sequence[Row]:
        """Execute one statement, or without parameters several, and return the rows of the last."""
        return (await self.execute(text, parameters)).rows

    async def execute(self, text: str, parameters: Sequence[object] = ()) -> Answer:
        """Execute one statement, or without parameters several, and say what it did.

        Raises:
            Refused: If the server answers with an error.
            Lost: If it does not answer.
        """
        if not self._is_quiet:
            self.abort()
            raise Lost(sent=False)
        self._is_certain = False  # and stays so unless an answer comes that tells where the server stands
        try:
            result = await (self._executed(text, parameters) if parameters else self._queried(text))
        except MySQLError as error:
            if (refused := _refused(error)) is not None:
                raise refused from error
            self.abort()
            raise Lost(sent=True) from error
        except Exception as error:  # what the driver cannot read leaves it out of step
            self.abort()
            raise Lost(sent=True) from error
        self._is_certain = True
        return Answer(result.rows or (), result.affected_rows)

    async def _executed(self, text: str, parameters: Sequence[object]) -> Any:
        prepared = self._prepared
        statement = prepared.pop(text, None)
        if statement is None:
            statement = await self._raw.prepare(text)
            if not self._is_quiet:
                raise ConnectionError("something came that nobody asked for")
            if len(prepared) >= _MOST_PREPARED:
                await prepared.pop(next(iter(prepared))).close()
        prepared[text] = statement  # the last one used comes last
        return await statement.execute(tuple(parameters))

    async def _queried(self, text: str) -> Any:
        raw = self._raw
        await raw.query(text)
        while raw._result.has_next:
            await raw.next_result()
        return raw._result

    async def reap(self) -> None:
        """End what the server may still be doing for connections that are gone, and give back its locks."""
        while self._orphans:
            name = self._orphans.pop()
            with suppress(Refused):  # it has ended by itself
                await self.execute(f"KILL IS_USED_LOCK('{name}')")

    async def close(self) -> None:
        """End it, telling the server."""
        self._is_ended = True
        self._prepared.clear()
        with suppress(Exception):
            await self._raw.ensure_closed()

    def abort(self) -> None:
        """End it at once, whatever goes on."""
        raw = self._raw
        if not self._is_ended and not self.is_idle:
            self._orphans.add(self.name)
        self._is_ended = True
        self._prepared.clear()
        if raw._transport is not None:  # the driver itself closes one whose request is cancelled
            with suppress(RuntimeError):  # its event loop is closed
                raw._transport.abort()
        raw.close()


def _refused(error: MySQLError) -> Refused | None:
    """Return what the server has answered; ``None`` if it has not."""
    number = error.args[0] if error.args else None
    if type(number) is not int or is_loss(number):
        return None
    return Refused(str(number), str(error.args[-1]))


@dataclass(frozen=True, slots=True)
class AsyncmyDriver:
    """Makes connections to one server.

    Attributes:
        host: Of the server.
        port: Of the server.
        user: Who logs in.
        password: Of the user.
        database: The database.
        socket: Path of the server's socket, instead of host and port.
        ssl: How TLS is spoken; ``None`` for not at all.
        connect_timeout: Seconds to wait for a connection.
        orphans: Names of connections that the server may not know to be gone.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    socket: str | None = None
    ssl: SSLContext | None = None
    connect_timeout: float = 10.0
    orphans: set[str] = field(default_factory=set, repr=False, compare=False)

    async def connect(self) -> AsyncmyConnection:
        """Connect and log in.

        Raises:
            Refused: If the server answers with an error.
            Lost: If it cannot be reached.
        """
        try:
            raw = await connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password.encode(),  # the driver would take it for Latin-1
                database=self.database,
                unix_socket=self.socket,
                ssl=self.ssl,
                connect_timeout=self.connect_timeout,
                charset="utf8mb4",
                autocommit=None,
                program_name="daystore",
            )
        except MySQLError as error:
            raise _refused(error) or Lost(sent=False) from error
        except Exception as error:
            raise Lost(sent=False) from error
        return AsyncmyConnection(raw, self.orphans)
