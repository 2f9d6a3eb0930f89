"""The code that reads, which is the same for every database and knows nothing of event loops, run on one.

It runs in a greenlet, as in SQLAlchemy's own asyncio: where it executes a statement, the greenlet hands the
request to the event loop and is resumed with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy.util.concurrency import await_only, greenlet_spawn

from daystore_sql.network.driver import DriverConnection, Row

__all__ = ["BridgedConnection", "bridged"]

T = TypeVar("T")


async def bridged(work: Callable[..., T], *arguments: object) -> T:
    """Run what executes statements on bridged connections, and wait for its end."""
    result: T = await greenlet_spawn(work, *arguments)
    return result


class _Rows:
    """The rows of a statement, as a cursor."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def fetchone(self) -> Any:
        """Return the first row; ``None`` if there is none. What is asked once here is never asked twice."""
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        return list(self._rows)


class BridgedConnection:
    """A connection as `daystore_sql.dialects.base.Connection` has it, inside `bridged`.

    Args:
        connection: Of the driver.
    """

    def __init__(self, connection: DriverConnection) -> None:
        self.driver: DriverConnection = connection

    def execute(self, text: str, parameters: Sequence[object] = (), /) -> _Rows:
        """Execute a statement."""
        return _Rows(await_only(self.driver.fetch(text, parameters)))

    def executemany(self, text: str, rows: Sequence[Sequence[object]], /) -> None:
        """Execute a statement once for each row of parameters."""
        for row in rows:
            self.execute(text, row)

    def rollback(self) -> None:
        """Roll back, if a transaction is open."""
        if not self.driver.is_idle:
            self.execute("ROLLBACK")

    def close(self) -> None:
        """End the connection."""
        self.driver.abort()
