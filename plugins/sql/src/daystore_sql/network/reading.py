"""What is read on one server, with as few statements as will do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from daystore.abc import Record
from daystore_sql.network.bridge import bridged
from daystore_sql.network.driver import DriverConnection
from daystore_sql.network.planning import if_known
from daystore_sql.network.server import Server
from daystore_sql.network.session import NeedsSnapshot, Outdated
from daystore_sql.records import record_of

__all__ = ["Reader", "Run"]

T = TypeVar("T")


class Run(Protocol):
    """Does something on a connection of a server, once or until it succeeds."""

    async def __call__(self, operation: str, do: Callable[[DriverConnection], Awaitable[T]], /) -> T:
        """Do it.

        Args:
            operation: What is being done, for errors.
            do: Does it.
        """


class Reader:
    """Reads on one server.

    Args:
        server: Which.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._needs_snapshot: set[object] = set()

    async def read_records(self, run: Run, collection: str, keys: Sequence[str]) -> list[Record | None]:
        """Read records by key, with one statement."""
        server = self._server
        names = if_known(server.knowing.catalog.collection, collection)
        if names is None:
            names = await self.ask(run, "read", lambda session: session.catalog.collection(collection))
        if names is None:
            return [None] * len(keys)
        scope, dialect, now = names.scope, server.dialect, server.clock()
        rows = await run("read", lambda c: dialect.read(c, scope, keys, now))
        if len(keys) == 1:
            return [record_of(rows[0]) if rows else None]
        found = {record.key: record for record in map(record_of, rows)}
        return _spread(keys, found)

    async def read(self, run: Run, operation: str, work: Callable[..., T], *arguments: object) -> T:
        """Do something that only reads: with one statement over records if that will do, else in a transaction."""
        key = (work, *(_form(argument) for argument in arguments))
        for _ in range(3):
            if key in self._needs_snapshot:
                break
            try:
                return await run(operation, lambda c: bridged(self._alone, c, work, arguments))
            except Outdated:
                continue
            except NeedsSnapshot:
                if len(self._needs_snapshot) > 1000:
                    self._needs_snapshot.clear()
                self._needs_snapshot.add(key)
        return await self.ask(run, operation, work, *arguments)

    def _alone(self, connection: DriverConnection, work: Callable[..., T], arguments: Sequence[object]) -> T:
        session = self._server.lone_session(connection)
        result = work(session, *arguments)
        session.check()
        return result

    async def ask(self, run: Run, operation: str, work: Callable[..., T], *arguments: object) -> T:
        """Do something on a connection: `work` begins and ends its own transactions."""
        return await run(operation, lambda c: bridged(lambda: work(self._server.session(c), *arguments)))


def _spread(keys: Sequence[str], found: dict[str, Record]) -> list[Record | None]:
    """Return the records of keys that may repeat; no two places hold the same object."""
    if len(set(keys)) == len(keys):
        return list(map(found.get, keys))
    given: set[str] = set()
    records: list[Record | None] = []
    for key in keys:
        record = found.get(key)
        records.append(record.copy() if record is not None and key in given else record)
        given.add(key)
    return records


def _form(argument: object) -> object:
    """Return what tells queries apart that take more than one statement from those that do not."""
    order, cursor = getattr(argument, "order", None), getattr(argument, "cursor", None)
    return type(argument), getattr(argument, "collection", None), order, cursor is None
