"""Intents as cases prepare them: below everything that would resolve them, by transactions that are pending."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from daystore.abc import (
    Delete,
    Expectation,
    Holds,
    Outcome,
    Prepare,
    Put,
    Query,
    Record,
    Release,
    StorageAdapter,
    WriteBatch,
)
from daystore.abc.coordination import Coordinator, Intent, Participant, Status, StatusLog
from daystore.abc.record import TRANSACTION_BYTES, Operation
from daystore.errors import VersionConflict
from daystore_compliance.checks import assert_same_records
from daystore_compliance.records import Records
from daystore_compliance.wrappers import Wrapper

__all__ = ["NEEDS", "Below", "bare", "below", "expect_done", "expect_refused", "expect_waiting", "seen"]

NEEDS: Final = frozenset({"intents", "conditional"})
LONG: Final = 3600.0
"""A lease, in seconds, that no case outlives: nobody gives up a transaction because the machine is slow."""
GLANCE: Final = 0.1
"""Seconds for which what has to wait is watched. What would not wait ends long before."""


@dataclass(frozen=True, slots=True)
class Below:
    """The records of a collection as the coordinated commit sees them.

    Attributes:
        collection: Name of the collection.
        participant: The primitives of the adapter.
        log: The status records of the namespace.
        begun: The transactions that were begun.
    """

    collection: str
    participant: Participant
    log: StatusLog
    begun: list[bytes] = field(default_factory=list)

    async def begin(self) -> bytes:
        """Begin a transaction, and return its name: it is pending until `decide`."""
        transaction = os.urandom(TRANSACTION_BYTES)
        await self.log.create(transaction)
        self.begun.append(transaction)
        return transaction

    async def decide(self, transaction: bytes, status: Status | None) -> None:
        """Decide a transaction; ``None`` forgets it, and what is not known has aborted."""
        known = await self.log.read(transaction)
        assert known is not None, "the status record of a transaction is gone"
        if status is None:
            await self.log.remove(transaction, known.version)
        else:
            await self.log.change(transaction, known.version, status)

    # --- Writing -------------------------------------------------------------------------------------------

    async def apply(self, *operations: Operation) -> list[Outcome]:
        """Apply operations, each on its own."""
        return await self.participant.write(WriteBatch(operations))

    async def atomically(self, *operations: Operation) -> list[Outcome]:
        """Apply operations together; only what lies in one atomic unit of the adapter."""
        return await self.participant.raw_write(WriteBatch(operations, atomic=True))

    async def prepare(
        self, operation: Put | Delete, transaction: bytes, *, existed: bool, expect: Expectation | None = None
    ) -> bytes:
        """Prepare a change, and return its intent.

        Args:
            operation: The change.
            transaction: Whose change it is.
            existed: Whether there is a live record, as the adapter has to say.
            expect: Expectation of the prepare; that of the operation if it is not given.
        """
        packed = Intent(transaction, "", operation).pack()
        expect = operation.expect if expect is None else expect
        assert not isinstance(expect, Holds)
        (made,) = await self.apply(Prepare(operation.collection, operation.key, packed, expect))
        expect_done(made, version=None, existed=existed)
        return packed

    # --- Reading -------------------------------------------------------------------------------------------

    async def get(self, key: str) -> Record | None:
        """Read one record as it is stored, intent included."""
        return await self.participant.get(self.collection, key)

    async def intents(self, *keys: str) -> list[bytes | None]:
        """Return the intents beside some records."""
        found = await self.participant.raw_read(self.collection, keys, self.participant.consistency)
        return [None if record is None else record.intent for record in found]

    async def listed(self, *, everywhere: bool = False) -> dict[tuple[str, str], Record]:
        """Return what is prepared in the collection, or in all of them, by collection and key."""
        found = await self.participant.prepared(None if everywhere else self.collection)
        by_place = {(name, record.key): record for name, record in found}
        assert len(by_place) == len(found), "what is prepared is listed twice"
        return by_place

    # --- The end -------------------------------------------------------------------------------------------

    async def clean(self) -> None:
        """Take back what is prepared and the status records, so that nothing waits for them."""
        for collection, record in await self.participant.prepared(None):
            assert record.intent is not None
            await self.apply(Release(collection, record.key, Holds(record.intent[:TRANSACTION_BYTES])))
        for transaction in self.begun:
            known = await self.log.read(transaction)
            if known is not None:
                await self.log.remove(transaction, known.version)


def expect_done(made: Outcome, *, version: str | None, existed: bool) -> None:
    """Expect that an operation was applied, and what it told."""
    if made.error is not None:
        raise made.error
    assert (made.version, made.existed) == (version, existed)
    assert type(made.existed) is bool


def expect_refused(
    error: Any, kind: type[VersionConflict], records: Records, key: str, live: str | None
) -> None:
    """Expect exactly this class of error, and everything that it tells.

    Args:
        error: What was raised, or stands in an outcome.
        kind: The class.
        records: The collection.
        key: Key of the record.
        live: Version of the live record; ``None`` if there is none.
    """
    assert type(error) is kind, f"expected {kind.__name__}, got {error!r}"
    told = (error.key, error.collection, error.current, error.operation, error.backend)
    assert told == (key, records.name, live, "write", records.adapter.name)


@asynccontextmanager
async def below(records: Records) -> AsyncIterator[Below]:
    """Go below the adapter of a collection; what was prepared and is left at the end of the block is taken back.

    Nobody who meets an intent gives its transaction up meanwhile, however slow the machine is.
    """
    _coordinator(records.reader)
    participant = _coordinator(records.adapter).participant
    raw = Below(records.name, participant, StatusLog(participant))
    try:
        yield raw
    finally:
        await raw.clean()


def _coordinator(adapter: StorageAdapter) -> Coordinator:
    while isinstance(adapter, Wrapper):  # there is nothing between an adapter and its own primitives
        adapter = adapter.adapter
    assert adapter.coordinator is not None, "an open adapter that declares intents has a coordinator"
    adapter.coordinator.resolver.lease = LONG
    return adapter.coordinator


def bare(record: Record) -> Record:
    """Return a record without its intent."""
    return replace(record, intent=None)


async def seen(records: Records, *keys: str) -> dict[str, Record]:
    """Return what everybody sees, the same on every path and through both adapters, but for the intents.

    Args:
        records: The collection.
        keys: Every key that is or could be there.
    """
    known: list[Record] | None = None
    for adapter in (records.adapter, records.reader):
        found = {r.key: bare(r) for r in (await adapter.query(Query(records.name))).records}
        there = [key for key in keys if key in found]
        assert sorted(there) == sorted(found), "a query finds what nobody wrote, or finds it twice"
        read = [bare(r) for r in await adapter.read(records.name, keys) if r is not None]
        assert_same_records(read, [found[key] for key in there], "read")
        batch = await adapter.get_batch(records.name, keys)
        assert_same_records([bare(r) for r in batch.values()], read, "get_batch")
        for key in keys:
            assert await adapter.exists(records.name, key) is (key in found), "exists says otherwise"
        assert await adapter.count(Query(records.name)) == len(found), "count and query disagree"
        if known is not None:
            assert_same_records(list(found.values()), known, "the other adapter")
        known = list(found.values())
    return {record.key: record for record in known or ()}


async def expect_waiting(tasks: Sequence[asyncio.Task[object]], why: str) -> None:
    """Expect of tasks that none of them ends while it is watched; if one does, all are cancelled."""
    done, _ = await asyncio.wait(tasks, timeout=GLANCE, return_when=asyncio.FIRST_COMPLETED)
    if done:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise AssertionError(why)
