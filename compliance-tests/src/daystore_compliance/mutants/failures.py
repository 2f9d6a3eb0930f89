"""Mutants that hide a failure, or do not clean up behind one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from daystore.abc import Consistency, Page, Query, Record, RecordTransaction
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    BackendUnavailable,
    BatchError,
    CorruptRecord,
    DaystoreError,
    OperationTimeout,
    OutcomeUnknown,
)
from daystore.storage import Storage
from daystore.stores import Store
from daystore.transactions import Transaction
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.transactions import Begins

# --- Errors taken for misses --------------------------------------------------------------------------------


class _Defaults(Store[Any]):
    """Takes an error of a read for a miss. Base of mutants, and none itself."""

    hidden: type[DaystoreError]

    async def get(self, key: str, default: Any = None, **options: Any) -> Any:
        """Return the default in its place."""
        try:
            return await super().get(key, default, **options)
        except DaystoreError as error:
            if type(error) is self.hidden:
                return default
            raise


@mutant("err.not_a_miss", "ser.corrupt_value")
class UnreadableIsMissing(_Defaults):
    """A record that cannot be decoded is the default."""

    hidden: type[DaystoreError] = CorruptRecord


@mutant("err.unreachable_not_a_miss")
class UnreachableIsDefault(_Defaults):
    """A record that cannot be reached is the default."""

    hidden: type[DaystoreError] = BackendUnavailable


@mutant("err.not_a_miss")
class BatchLeavesOut(Store[Any]):
    """Records that cannot be decoded are left out of a batch that is read."""

    async def entries(self, keys: Iterable[str], **options: Any) -> Any:
        """Read one by one, and leave out what cannot be decoded."""
        found: dict[str, Any] = {}
        for key in dict.fromkeys(keys):
            with suppress(CorruptRecord):
                found |= await super().entries([key], **options)
        return found


class _Overwrites(Store[Any]):
    """Writes the default over what it could not read. Base of mutants, and none itself."""

    hidden: type[DaystoreError]

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Begin with the default in its place."""
        try:
            return await super().update(key, change, **options)
        except DaystoreError as error:
            if type(error) is not self.hidden or "default" not in options:
                raise
        default = options["default"]
        await self.set(key, default() if callable(default) else default)
        return await self.get(key)


@mutant("err.not_a_miss", "ser.corrupt_value")
class OverwritesUnreadable(_Overwrites):
    """An update writes its default over a record that cannot be decoded."""

    hidden: type[DaystoreError] = CorruptRecord


@mutant("err.unreachable_not_a_miss")
class OverwritesUnreachable(_Overwrites):
    """An update writes its default where the record cannot be reached."""

    hidden: type[DaystoreError] = BackendUnavailable


@mutant("err.unreachable_not_a_miss")
class DeniesUnreachable(Store[Any]):
    """A record that cannot be reached does not exist."""

    async def exists(self, key: str, **options: Any) -> bool:
        """Deny it."""
        try:
            return await super().exists(key, **options)
        except BackendUnavailable:
            return False


# --- Failures taken for success -----------------------------------------------------------------------------


@mutant("batch.ok_with_failures", bugs=("mongodb/mongo-python-driver#800",))
class TakesOkForDone(Store[Any]):
    """The items of a batch that failed are not told of, because the batch as a whole went well."""

    async def set_batch(self, items: Any, **options: Any) -> Any:
        """Return versions of all of them."""
        values = dict(items)
        try:
            return await super().set_batch(values, **options)
        except BatchError:
            return dict.fromkeys(values, "")


@mutant("batch.ok_with_failures")
class NamesTheWholeBatch(Store[Any]):
    """A batch of deletes of which one fails is said to have failed as a whole."""

    async def delete_batch(self, keys: Iterable[str], **options: Any) -> int:
        """Name all keys."""
        wanted = list(keys)
        try:
            return await super().delete_batch(wanted, **options)
        except BatchError as error:
            first = next(iter(error.errors.values()))
            raise BatchError("the batch failed", errors=dict.fromkeys(wanted, first)) from error


@mutant("batch.ok_with_failures")
class ClearsInSilence(Store[Any]):
    """What could not be deleted by clear is not told of."""

    async def clear(self) -> int:
        """Say nothing."""
        try:
            return await super().clear()
        except BatchError:
            return 0


class _DropsCommitErrors(RecordTransaction):
    async def commit(self) -> None:
        with suppress(BackendUnavailable):
            await super().commit()


@mutant("txn.failed_commit_raises")
class DropsCommitErrors(Begins):
    """A commit that the backend refuses looks like one that succeeds."""

    transaction_class: type[RecordTransaction] = _DropsCommitErrors


class _TakesUnknownForAborted(RecordTransaction):
    async def commit(self) -> None:
        try:
            await super().commit()
        except OutcomeUnknown:
            self._state = "aborted"
            raise


@mutant("txn.failed_commit_raises")
class TakesUnknownForAborted(Begins):
    """A commit whose reply is lost is said to be aborted."""

    transaction_class: type[RecordTransaction] = _TakesUnknownForAborted


class _Silent(Transaction):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(BackendUnavailable):
            await super().__aexit__(kind, error, trace)


@mutant("txn.store_failed_commit_raises")
class DropsStoreCommitErrors(Storage):
    """A transaction of stores whose commit is refused ends as if it had been applied."""

    def transaction(self, body: Callable[[Transaction], Awaitable[Any]] | None = None, **options: Any) -> Any:
        """Begin one that says nothing."""
        return super().transaction(body, **options) if body is not None else _Silent(self._find)


@mutant("txn.store_failed_commit_raises")
class RunsLostCommitAgain(Storage):
    """A transaction whose commit may have been applied is run again."""

    def transaction(self, body: Callable[[Transaction], Awaitable[Any]] | None = None, **options: Any) -> Any:
        """Begin one, or run it up to twice."""
        return super().transaction() if body is None else self._run(body, options)

    async def _run(self, body: Callable[[Transaction], Awaitable[Any]], options: dict[str, Any]) -> Any:
        try:
            return await super().transaction(body, **options)
        except OutcomeUnknown:
            return await super().transaction(body, **options)


# --- What is taken and not given back -----------------------------------------------------------------------


class _KeepsItsLock(RecordTransaction):
    async def read(self, collection: str, keys: Sequence[str]) -> list[Record | None]:
        shared = self._adapter.__dict__
        if shared.get("_is_locked"):
            raise BackendUnavailable("locked by another session", operation="read")
        try:
            return await super().read(collection, keys)
        except OperationTimeout:
            shared["_is_locked"] = True
            raise


@mutant("txn.timeout_releases[slowed]")
class TimeoutKeepsLock(Begins):
    """A transaction whose read times out keeps its lock."""

    transaction_class: type[RecordTransaction] = _KeepsItsLock


@mutant("page.abandoned_iterator", bugs=("mongodb/mongo-python-driver#1372",))
class CursorsStayOpen(MemoryAdapter):
    """A page keeps a cursor open until the next one is asked for, and there are at most a hundred and fifty."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cursors = 0

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        self._cursors = max(0, self._cursors - (query.cursor is not None)) + (page.cursor is not None)
        if self._cursors > 150:
            raise BackendUnavailable("too many open cursors", backend=self.name, operation="query")
        return page


@mutant("page.abandoned_iterator")
class ScanHoldsLock(Store[Any]):
    """A scan takes one of a hundred places, and gives it back when it has come to its end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._places = 100

    def scan(self, what: Any = None) -> AsyncGenerator[Any, None]:
        """Take a place."""
        return self._held(super().scan(what))

    async def _held(self, entries: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        if not self._places:
            raise BackendUnavailable("too many scans", operation="query")
        self._places -= 1
        async for entry in entries:
            yield entry
        self._places += 1


class _AtHome(MemoryAdapter):
    """Knows the event loop on which it was used first. Base of mutants, and none itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def elsewhere(self, keys: Sequence[str]) -> list[Record | None]:
        """Read on another event loop."""
        raise RuntimeError("is bound to a different event loop")

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            return await self.elsewhere(keys)
        return await super()._read(collection, keys, consistency)


@mutant("life.two_loops")
class CrashesElsewhere(_AtHome):
    """A read on a second event loop raises an error of the driver."""


@mutant("life.two_loops")
class HangsElsewhere(_AtHome):
    """A read on a second event loop waits for ever."""

    async def elsewhere(self, keys: Sequence[str]) -> list[Record | None]:
        """Wait for a reply that goes to the first event loop."""
        await asyncio.Event().wait()
        return []


@mutant("life.two_loops")
class MissesElsewhere(_AtHome):
    """A read on a second event loop finds nothing."""

    async def elsewhere(self, keys: Sequence[str]) -> list[Record | None]:
        """Find nothing."""
        return [None] * len(keys)
