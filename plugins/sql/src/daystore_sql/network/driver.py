"""What is used of a driver: connections that fetch, and two ways to fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

__all__ = ["Driver", "DriverConnection", "DriverFailure", "Lost", "Refused", "Row"]

Row: TypeAlias = Sequence[Any]


class DriverFailure(Exception):
    """A request failed; the driver's own error is the cause."""


class Refused(DriverFailure):
    """The server answered with an error: the statement changed nothing.

    Args:
        code: SQLSTATE, or the server's own number where that says more.
        message: The server's words. They may quote what was sent, so they are never shown.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class Lost(DriverFailure):
    """The connection failed.

    Args:
        sent: Whether the server may have seen the request.
    """

    def __init__(self, *, sent: bool) -> None:
        super().__init__("the connection was lost")
        self.sent = sent


class DriverConnection(Protocol):
    """One connection, in autocommit mode unless a statement began a transaction. It has one caller at a time."""

    @property
    def is_idle(self) -> bool:
        """Whether it is alive, without a request under way or a transaction open: fit for the next caller."""

    async def fetch(self, text: str, parameters: Sequence[object] = (), /) -> Sequence[Row]:
        """Execute one statement and return its rows, as tuples or what unpacks like them.

        Raises:
            Refused: If the server answers with an error.
            Lost: If it does not answer. The connection is not idle from then on.
        """

    async def close(self) -> None:
        """End it, telling the server. Never raises for a connection that has failed."""

    def abort(self) -> None:
        """End it at once, whatever goes on."""


class Driver(Protocol):
    """Makes connections."""

    async def connect(self) -> DriverConnection:
        """Connect and log in.

        Raises:
            Refused: If the server answers with an error.
            Lost: If it cannot be reached.
        """
