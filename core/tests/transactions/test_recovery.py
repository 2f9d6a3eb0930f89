"""What processes that died left behind is ended by any storage that is open, also if nobody meets it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

from daystore.abc import Delete, Outcome, Prepare, Put, WriteBatch
from daystore.abc.coordination import STATUS_COLLECTION, Coordinator, Intent, Status, StatusLog
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable
from daystore.storage import Storage
from daystore.transactions.recovery import Recovery

DEAD = bytes(range(16))


class Singles(MemoryAdapter):
    """Only single writes are atomic. It tells when a transaction has been forgotten."""

    one_unit: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.forgotten = asyncio.Event()
        self.down = 0

    def _new_coordinator(self) -> Coordinator | None:
        return Coordinator(self._participant(), self._neighbour, lease=0.02)

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return collection, key

    async def _prepared(self, collection: str | None) -> Any:
        if self.down:
            self.down -= 1
            raise BackendUnavailable("down", backend="memory")
        return await super()._prepared(collection)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        if isinstance(batch.operations[0], Delete) and batch.operations[0].collection == STATUS_COLLECTION:
            self.forgotten.set()
        return outcomes


async def leave_behind(adapter: MemoryAdapter, status: Status) -> None:
    """Do what a process does that dies in the middle of a commit."""
    await adapter.set("notes", "k", b"old")
    log = StatusLog(adapter._participant())
    version = await log.create(DEAD)
    await adapter._write(
        WriteBatch([Prepare("notes", "k", Intent(DEAD, "", Put("notes", "k", b"new")).pack())])
    )
    if status is not Status.PENDING:
        await log.change(DEAD, version, status, [("", "notes", "k")])


async def value_below(adapter: MemoryAdapter) -> tuple[bytes, bytes | None]:
    """Look without ending what is met."""
    record = await adapter._participant().get("notes", "k")
    assert record is not None
    return record.value, record.intent


async def test_an_open_storage_ends_what_nobody_meets() -> None:
    adapter = Singles()
    async with adapter:
        await leave_behind(adapter, Status.COMMITTED)
        async with Storage({"main": adapter}), asyncio.timeout(10):
            await adapter.forgotten.wait()
            assert await value_below(adapter) == (b"new", None)
            assert await adapter._prepared(None) == []


async def test_what_stays_undecided_is_aborted_after_the_lease() -> None:
    async with Singles() as adapter:
        await leave_behind(adapter, Status.PENDING)
        recovery = Recovery({"main": adapter}, interval=3600)  # left over: it looks again after a lease
        recovery.start()
        async with asyncio.timeout(10):
            await adapter.forgotten.wait()
        assert await value_below(adapter) == (b"old", None)
        await recovery.stop()


async def test_a_backend_that_is_away_hinders_nobody_and_is_looked_at_when_it_is_back() -> None:
    async with Singles() as away, Singles() as there:
        for adapter in (away, there):
            await leave_behind(adapter, Status.COMMITTED)
        away.down = 3
        recovery = Recovery({"away": away, "there": there}, interval=0.01)
        recovery.start()
        async with asyncio.timeout(10):
            await there.forgotten.wait()
            await away.forgotten.wait()
        assert away.down == 0
        await recovery.stop()


async def test_the_task_ends_with_the_storage() -> None:
    before = asyncio.all_tasks()
    async with Singles() as adapter, Storage({"main": adapter}):
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before


async def test_one_backend_that_commits_by_itself_is_not_looked_at() -> None:
    before = asyncio.all_tasks()
    async with MemoryAdapter() as adapter, Storage({"main": adapter}):
        assert not Recovery({"main": adapter}).is_needed
        assert asyncio.all_tasks() == before
