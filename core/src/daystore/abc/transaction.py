"""The optimistic transaction that every adapter with atomic batches gets.

Reads remember what they saw, writes stay in memory, and commit is one atomic batch that checks everything seen
and applies everything written. Nothing is locked and no connection is held in between.

H. T. Kung and J. T. Robinson, "On optimistic methods for concurrency control", ACM TODS 6(2), 1981.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from daystore.abc.capabilities import STRONG, Consistency
from daystore.abc.clock import Instant
from daystore.abc.evaluate import evaluate_aggregate, evaluate_query, without_window
from daystore.abc.query import Aggregation, GroupRow, Page, Query
from daystore.abc.record import (
    ABSENT,
    ANY,
    KEEP,
    Check,
    CheckQuery,
    Delete,
    Expectation,
    Operation,
    Put,
    Record,
    WriteBatch,
)
from daystore.errors import OutcomeUnknown, TransactionClosed, TransactionConflict, VersionConflict

if TYPE_CHECKING:
    from daystore.abc.adapter import Adapter

__all__ = ["RecordTransaction", "State"]

State = Literal["open", "committing", "committed", "aborted", "unknown"]
Name = tuple[str, str]

_commits: set[asyncio.Task[object]] = set()  # a commit whose caller was cancelled runs on to its end


class RecordTransaction:
    """One transaction over the records of one adapter. Made by ``adapter.transaction()``.

    Used as ``async with``: leaving the block commits, an exception in it leaves nothing behind. Not to be used
    from two tasks at once, nor after its end: both raise `TransactionClosed`.

    Args:
        adapter: An open adapter that declares ``transactions``.
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._seen: dict[Name, Record | None] = {}
        self._queried: set[Name] = set()
        self._queries: list[CheckQuery] = []
        self._writes: dict[Name, Put | Delete] = {}
        self._state: State = "open"
        self._busy = False
        self._commit: asyncio.Task[object] | None = None
        self._begun: bytes | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._alone = True
        self._coordinates = True
        levels = adapter.capabilities.consistency
        self._consistency = STRONG if "strong" in levels else Consistency(next(iter(levels)))

    # --- Life ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the transaction stands; ``unknown`` after a commit whose outcome could not be learned."""
        return self._state

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit after a block that ended well, otherwise abort."""
        if self._state == "open":
            if kind is None:
                await self.commit()
            else:
                self.end("aborted")
        await self.gone()

    def abort(self) -> None:
        """End without applying anything."""
        self._require_open()
        self.end("aborted")

    def end(self, state: State) -> None:
        """Note how the transaction has ended; for whoever commits it together with others."""
        self._state = state
        self._give_up()

    def _give_up(self) -> None:
        """Forget what was begun with the coordinator."""
        begun, self._begun = self._begun, None
        coordinator = self._adapter.coordinator
        if begun is not None and coordinator is not None:
            self._leaving = coordinator.discard(begun)

    async def gone(self) -> None:
        """Wait until nothing is left at the coordinator of what was given up."""
        if self._leaving is not None:
            await asyncio.shield(self._leaving)

    async def commit(self) -> None:
        """Check everything seen and apply everything written, at one instant.

        A cancellation while it runs propagates at once, and the commit goes on to its end: all of it or nothing.
        `settled` tells which.

        Raises:
            TransactionConflict: If another writer changed what was read. Nothing was applied.
            OutcomeUnknown: If it cannot be told whether it was applied.
            TransactionClosed: If the transaction has ended.
        """
        self._require_open()
        batch = self._batch()
        if batch is None:
            self.end("committed")
            return
        batch.own, self._begun = self._begun, None
        self._state = "committing"
        self._commit = asyncio.ensure_future(self._run_commit(batch))
        _commits.add(self._commit)
        self._commit.add_done_callback(_commit_done)
        await asyncio.shield(self._commit)

    async def settled(self) -> State:
        """Wait until a commit that was begun has ended, and tell how."""
        if self._commit is not None:
            await asyncio.wait([self._commit])
        return self._state

    async def _run_commit(self, batch: WriteBatch) -> None:
        try:
            await self._adapter.write(batch)
        except VersionConflict as error:
            self._state = "aborted"
            raise TransactionConflict(
                "another writer changed what this transaction read; nothing was applied, run it again",
                backend=self._adapter.name,
                operation="commit",
            ) from error
        except (OutcomeUnknown, asyncio.CancelledError):
            self._state = "unknown"
            raise
        except BaseException:
            self._state = "aborted"
            raise
        self._state = "committed"

    def alone(self) -> WriteBatch | None:
        """Return what a commit has to check and to apply; ``None`` for nothing."""
        return self._batch()

    def joined(self) -> WriteBatch | None:
        """Return what a commit together with others has to check and to apply; ``None`` for nothing."""
        self._alone = False
        return self._batch()

    def leave_to_others(self) -> bytes | None:
        """Coordinate nothing from now on, for others do; return what was begun with the coordinator."""
        self._coordinates = False
        begun, self._begun = self._begun, None
        return begun

    def begin_commit(self) -> None:
        """Take no more work: others commit it now, and `end` it.

        Raises:
            TransactionClosed: If the transaction has ended, or is in use by another task.
        """
        self._require_open()
        self._state = "committing"

    def _batch(self) -> WriteBatch | None:
        operations: list[Operation] = []
        for (collection, key), write in self._writes.items():
            if (collection, key) in self._seen:
                operations.append(replace(write, expect=_expect(self._seen[collection, key])))
            else:
                operations.append(write)
        for name, record in self._seen.items():
            if name not in self._writes and name not in self._queried:
                operations.append(Check(*name, _expect(record)))
        if not self._writes and self._saw_one_instant(len(operations) + len(self._queries)):
            return None
        return WriteBatch(operations, atomic=True, queries=self._queries)

    def _saw_one_instant(self, reads: int) -> bool:
        """Tell whether so many reads need no check: none, or one alone that cannot have seen half a commit."""
        if reads == 1 and self._alone:
            return not self._queries or self._adapter.coordinator is None
        return reads == 0

    # --- Reading -------------------------------------------------------------------------------------------

    async def read(self, collection: str, keys: Sequence[str]) -> list[Record | None]:
        """Read records by key, own writes included. What was read once is read the same again.

        Raises:
            TransactionClosed: If the transaction has ended or is in use by another task.
        """
        with self._use():
            await self._see(collection, [k for k in keys if (collection, k) not in self._writes])
        now = self._adapter.clock()
        return [self._view(collection, key, now) for key in keys]

    async def query(self, query: Query) -> Page:
        """Return one page of what a query finds, own writes included. It is run again at commit.

        Raises:
            TransactionClosed: If the transaction has ended or is in use by another task.
            TransactionConflict: If it finds a record changed since this transaction read it.
        """
        own = self._own(query.collection)
        wide = query
        if query.limit is not None and (own or query.offset):
            wide = replace(
                query, offset=0, limit=query.offset + query.limit + len(own) + 1 if query.limit else 0
            )
        elif query.offset:
            wide = replace(query, offset=0)
        page = await self._run(wide)
        if wide is query and not own:
            return page
        return evaluate_query(self._merge(page.records, own), query)

    async def count(self, query: Query) -> int:
        """Return how many records a query finds without limit, own writes included. It is run again at commit."""
        return len((await self.query(without_window(query))).records)

    async def aggregate(self, query: Query, aggregation: Aggregation) -> list[GroupRow]:
        """Compute over what a query finds without limit, own writes included. It is run again at commit."""
        page = await self.query(without_window(query))
        return evaluate_aggregate(page.records, without_window(query), aggregation)

    async def _run(self, query: Query) -> Page:
        with self._use():
            page = await self._adapter.query(query, self._consistency)
        collection = query.collection
        for record in page.records:
            name = (collection, record.key)
            if name in self._seen:
                seen = self._seen[name]
                if seen is None or seen.version != record.version:
                    self._state = "aborted"
                    raise TransactionConflict(
                        "another writer changed a record after this transaction read it; run it again",
                        backend=self._adapter.name,
                        operation="query",
                    )
            else:
                self._seen[name] = record
                self._queried.add(name)
        self._queries.append(self._check_of(query, page))
        return page

    def _check_of(self, query: Query, page: Page) -> CheckQuery:
        """Say what a commit depends on: the page, and that nothing came after it where it told so."""
        if query.limit and page.cursor is None:
            query = replace(query, limit=query.limit + 1)
        return CheckQuery(query, [(record.key, record.version) for record in page.records])

    async def _see(self, collection: str, keys: Sequence[str]) -> None:
        unseen = [key for key in dict.fromkeys(keys) if (collection, key) not in self._seen]
        if unseen:
            records = await self._adapter.read(collection, unseen, self._consistency)
            for key, record in zip(unseen, records, strict=True):
                self._seen[collection, key] = record

    # --- Writing -------------------------------------------------------------------------------------------

    async def write(self, operations: Sequence[Put | Delete]) -> list[bool]:
        """Keep changes for the commit.

        A change with an expectation reads the record first, and is judged at once against what this transaction
        sees and again at commit against what everybody sees. ``KEEP`` reads the record too.

        Returns:
            For each change whether this transaction saw a live record there before. A change without an
            expectation does not read; it then tells only of what the transaction knows already.

        Raises:
            VersionConflict: If an expectation does not hold. Nothing of this call is kept.
            TransactionClosed: If the transaction has ended or is in use by another task.
        """
        with self._use():
            for operation in operations:
                if operation.expect is not ANY or (type(operation) is Put and operation.expires_at is KEEP):
                    await self._see(operation.collection, [operation.key])
        now = self._adapter.clock()
        before = [self._view(o.collection, o.key, now) for o in operations]
        for index, (operation, record) in enumerate(zip(operations, before, strict=True)):
            _judge(operation, record, index, self._adapter.name)
        self._begin()
        for operation, record in zip(operations, before, strict=True):
            name = (operation.collection, operation.key)
            kept = replace(operation, expect=ANY)
            if type(kept) is Put and kept.expires_at is KEEP and name in self._writes:
                kept = replace(kept, expires_at=record.expires_at if record else None)
            self._writes[name] = kept
        return [record is not None for record in before]

    def _begin(self) -> None:
        """Begin with the coordinator as soon as there will be something to coordinate."""
        coordinator = self._adapter.coordinator
        if self._begun is not None or coordinator is None or coordinator.participant.one_unit:
            return
        if self._coordinates:
            self._begun = coordinator.begin()

    # --- What this transaction sees ------------------------------------------------------------------------

    def _view(self, collection: str, key: str, now: Instant) -> Record | None:
        name = (collection, key)
        base = self._seen.get(name)
        write = self._writes.get(name)
        if write is not None:
            base = None if isinstance(write, Delete) else _applied(write, base, now)
        return base if base is not None and base.is_alive(now) else None

    def _own(self, collection: str) -> dict[str, Put | Delete]:
        return {key: write for (place, key), write in self._writes.items() if place == collection}

    def _merge(self, records: list[Record], own: dict[str, Put | Delete]) -> list[Record]:
        now = self._adapter.clock()
        merged = [record for record in records if record.key not in own]
        for key, write in own.items():
            view = self._view(write.collection, key, now)
            if view is not None:
                merged.append(view)
        return merged

    # --- One user at a time --------------------------------------------------------------------------------

    def _require_open(self) -> None:
        if self._busy:
            raise TransactionClosed(
                "the transaction is in use by another task: a transaction belongs to one task at a time"
            )
        if self._state != "open":
            raise TransactionClosed(f"the transaction has ended ({self._state}): begin another one")

    @contextmanager
    def _use(self) -> Iterator[None]:
        self._require_open()
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


def _commit_done(task: asyncio.Task[object]) -> None:
    _commits.discard(task)
    if not task.cancelled():
        task.exception()  # its caller may be gone; the state tells


def _expect(record: Record | None) -> Expectation:
    return ABSENT if record is None else record.version


def _applied(put: Put, base: Record | None, now: Instant) -> Record:
    kept = base.expires_at if base is not None else None
    return Record(
        key=put.key,
        value=put.value,
        version=put.version,
        created_at=now if base is None else base.created_at,
        updated_at=now,
        expires_at=kept if put.expires_at is KEEP else put.expires_at,
        content_type=put.content_type,
        fields=dict(put.fields),
        schema=put.schema,
        schema_version=put.schema_version,
        encodings=put.encodings,
    )


def _judge(operation: Put | Delete, record: Record | None, index: int, backend: str) -> None:
    expect = operation.expect
    if expect is ANY or expect == (ABSENT if record is None else record.version):
        return
    raise VersionConflict(
        key=operation.key,
        collection=operation.collection,
        current=None if record is None else record.version,
        index=index,
        backend=backend,
        operation="write",
    )
