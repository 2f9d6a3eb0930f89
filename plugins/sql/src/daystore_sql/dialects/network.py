"""What the dialect of a database in a network has to tell beyond what every dialect tells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from daystore.abc import Instant
from daystore_sql.dialects.base import Connection, Dialect
from daystore_sql.network.changes import Changes, Ticket, Verdict
from daystore_sql.network.driver import DriverConnection, DriverFailure, Lost, Refused, Row
from daystore_sql.network.positions import Position

__all__ = ["NetworkDialect", "ServerFacts"]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself when a connection is made.

    Attributes:
        version: Of the server, for people.
        time: Its clock, in microseconds: what `Ticket.deadline` is measured by.
        durable: Whether it waits for the disk before it acknowledges a commit.
        largest: Most bytes of a value that it takes; ``None`` if that is of no concern.
    """

    version: str
    time: int
    durable: bool
    largest: int | None = None


class NetworkDialect(Dialect):
    """A database in a network. The methods that the hot paths take are asynchronous and take a connection.

    Attributes:
        label: The database's name, for people.
    """

    is_far: ClassVar[bool] = True
    driver_error: type[Exception] = DriverFailure
    label: str

    @staticmethod
    def only_row(connection: Connection, text: str) -> Row:
        """Return the row of a statement that always has one.

        Raises:
            Lost: If there is none: that was the answer to another statement, sent twice on the way.
        """
        row: Row | None = connection.execute(text).fetchone()
        if row is None:
            raise Lost(sent=True)
        return row

    @abstractmethod
    async def hello(self, connection: DriverConnection) -> ServerFacts:
        """Make a new connection ready, with one statement if possible, and say what the server is.

        Raises:
            BackendUnavailable: If the server cannot be used.
        """

    @abstractmethod
    async def read(
        self, connection: DriverConnection, scope: int, keys: Sequence[str], now: Instant
    ) -> Sequence[Row]:
        """Read live records, with one statement: rows with the columns of `records.record_of`, in any order."""

    @abstractmethod
    async def write(
        self, connection: DriverConnection, changes: Changes, ticket: Ticket, *, inside: bool
    ) -> Sequence[Verdict]:
        """Apply changes, in a transaction that also notes the ticket and the outcome.

        Args:
            connection: Where.
            changes: What to change.
            ticket: By what this attempt is known.
            inside: Whether a transaction is open, which the caller ends; else the changes are committed here.

        Returns:
            A verdict for each of the items, in their order. If the changes are atomic and one is not done, then
            nothing was applied.

        Raises:
            Stale: If nothing was applied because of others, and the same may be sent again.
            TooLate: If the deadline has passed, or `look` was called for the ticket.
        """

    @abstractmethod
    async def look(
        self, connection: DriverConnection, changes: Changes, ticket: Ticket
    ) -> Sequence[Verdict] | None:
        """Find out what became of changes whose answer was lost.

        Returns:
            What `write` would have returned; ``None`` if they were not applied, and from now on cannot be.
        """

    @abstractmethod
    async def lock_queries(self, connection: DriverConnection, scopes: Sequence[int]) -> None:
        """Keep everybody else from writing to some collections until the end of the transaction.

        It is followed by queries and a `write` in the same transaction, begun with `begin_write`. Every other
        `write` takes the weaker lock that does not go together with this one.
        """

    @abstractmethod
    async def sweep(self, connection: DriverConnection, now: Instant, most: int) -> int:
        """Delete at most so many expired records that carry no intent, passing over those that others hold.

        Returns:
            How many were deleted.
        """

    @abstractmethod
    async def position(self, connection: DriverConnection) -> Position:
        """Return a position of the primary that is not before anything that it has acknowledged."""

    @abstractmethod
    async def replayed(self, connection: DriverConnection) -> Position:
        """Return the position up to which a replica shows everything.

        Raises:
            BackendUnavailable: If it is no replica.
        """

    @abstractmethod
    def is_transient(self, error: Refused) -> bool:
        """Tell whether nothing was applied and the same transaction may succeed now: a deadlock, a conflict."""
