"""A session on a connection that is far away: one statement in autocommit, or several in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from daystore.abc import Clock
from daystore_sql.catalog import Known
from daystore_sql.dialects.base import Cursor
from daystore_sql.dialects.network import NetworkDialect
from daystore_sql.network.bridge import BridgedConnection
from daystore_sql.session import Session

__all__ = ["LoneSession", "NeedsSnapshot", "Outdated"]


class NeedsSnapshot(Exception):
    """The work takes more than one statement over records: do it again in a transaction."""


class Outdated(Exception):
    """Meanwhile there are shapes that were not known: do the work again."""


class LoneSession(Session):
    """A session for work that takes one statement over records, which sees one state of the data by itself.

    What the work asks beside it, for names and for sizes, is asked before. Names are only ever added, and each new
    one comes with a new shape; so the statement tells the highest number of a shape that it saw, and if that is
    not the one that the names were taken to be complete for, the work is done again.

    Args:
        dialect: As for `Session`.
        connection: As for `Session`.
        namespace: As for `Session`.
        clock: As for `Session`.
        known: As for `Session`; what the engine knows.
    """

    def __init__(
        self,
        dialect: NetworkDialect,
        connection: BridgedConnection,
        namespace: str,
        clock: Clock,
        known: Known,
    ) -> None:
        super().__init__(dialect, connection, namespace, clock, known)
        self.read: Callable[..., Cursor] = self._read_once
        self._known = known
        self._last_shape = known.last_shape
        self._has_read = False
        self._was_asked = False

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Do nothing: the one statement sees one state."""
        yield

    def last_shape(self) -> int | None:
        """Return the highest number of a shape that anybody here has seen."""
        self._was_asked = True
        return self._last_shape

    def check(self) -> None:
        """Ask for it after all, if it was relied on and no statement over records has told.

        Raises:
            Outdated: If there is a higher one.
        """
        if self._was_asked and not self._has_read:
            self.saw(self.execute(self.statements.last_shape).fetchone())

    def saw(self, shape: Sequence[Any] | None) -> None:
        """Compare it with what was taken for granted."""
        if shape is None:
            raise NeedsSnapshot
        if shape[0] != self._last_shape:
            self._known.last_shape = shape[0]
            raise Outdated

    def _read_once(self, text: str, parameters: Sequence[object] = ()) -> Cursor:
        if self._has_read:
            raise NeedsSnapshot
        self._has_read = True
        return self.execute(text, parameters)
