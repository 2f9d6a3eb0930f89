"""What the work on one connection has at hand: the connection, its dialect, and the names it knows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Select

from daystore.abc import Clock
from daystore_sql.catalog import Catalog, Known
from daystore_sql.dialects.base import Connection, Cursor, Dialect
from daystore_sql.statements import Statements

__all__ = ["Session", "check_health", "in_snapshot"]

T = TypeVar("T")


class Session:
    """One connection. It belongs to one thread.

    Args:
        dialect: Of the database.
        connection: A connection of the driver, in autocommit mode.
        namespace: The namespace that the adapter was opened in.
        clock: Where the present instant comes from.
        known: What is known of the namespace already.

    Attributes:
        read: Executes a statement over records. Those of one `snapshot` see one state of the data.
        is_broken: Whether an error showed that the connection should not be used any more.
    """

    def __init__(
        self,
        dialect: Dialect,
        connection: Connection,
        namespace: str,
        clock: Clock,
        known: Known | None = None,
    ) -> None:
        self.dialect = dialect
        self.connection = connection
        self.clock = clock
        self.statements: Statements = dialect.statements
        self.execute: Callable[..., Cursor] = connection.execute
        self.read: Callable[..., Cursor] = connection.execute
        self.catalog: Catalog = Catalog(self, namespace, Known() if known is None else known)
        self.is_broken: bool = False

    def run(self, key: Hashable, build: Callable[[], Select[Any]], values: Mapping[str, object]) -> Cursor:
        """Execute a statement over records that is built when its key is met for the first time."""
        text, names = self.dialect.text_of(key, build)
        return self.read(text, [values[name] for name in names])

    def last_shape(self) -> int | None:
        """Return the highest number of a shape; ``None`` if there is none."""
        last: int | None = self.execute(self.statements.last_shape).fetchone()[0]
        return last

    def saw(self, shape: Sequence[Any] | None) -> None:
        """Take note of the highest number of a shape in a result, if it has one.

        Args:
            shape: Empty where nothing is told; ``None`` where a result that would have told it was empty.
        """

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of the data in all statements."""
        self.execute(self.dialect.begin_read)
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.execute("COMMIT")

    def undo(self) -> None:
        """Roll back, if a transaction is open, and forget the names that it may have added."""
        self.catalog.forget()
        try:
            self.connection.rollback()
        except self.dialect.driver_error:
            self.is_broken = True

    def told(self, error: Exception, operation: str) -> Exception:
        """Say an error in the words of the contract, if it is the driver's.

        Args:
            error: Any error.
            operation: What was being done; ``"commit"`` if it was the commit itself.
        """
        if not isinstance(error, self.dialect.driver_error):
            return error
        self.is_broken = self.is_broken or self.dialect.ends_connection(error)
        translated = self.dialect.translate(error, operation)
        translated.__cause__ = error
        return translated


def in_snapshot(session: Session, work: Callable[..., T], *arguments: object) -> T:
    """Do something at the present instant, seeing one state of the data.

    Args:
        session: Where.
        work: Called with the session, the arguments and the instant.
        *arguments: What it takes beside them.
    """
    with session.snapshot():
        return work(session, *arguments, session.clock())


def check_health(session: Session) -> dict[str, str]:
    """Write without changing anything, and return facts about the database."""
    session.execute(session.dialect.begin_write)
    session.execute(session.statements.touch)
    session.connection.rollback()
    return session.dialect.about(session.connection)
