"""What the tests here share: coroutine tests, a clock that stands still, a backend that keeps what was called."""

import asyncio
import inspect
from collections.abc import Sequence

import pytest

from daystore.abc import Aggregation, Consistency, GroupRow, Outcome, Page, Query, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.clock import ManualClock


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


class Recording(MemoryAdapter):
    """Gives way to other tasks in every call, as a real backend does, and keeps what was called."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock, timeout=None)
        self.calls: list[str] = []
        self.consistencies: list[Consistency] = []
        self.batches: list[WriteBatch] = []
        self.queries: list[Query] = []
        self.writing = asyncio.Event()

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        self.calls.append("read")
        self.consistencies.append(consistency)
        await asyncio.sleep(0)
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.calls.append("write")
        self.batches.append(batch)
        self.writing.set()
        await asyncio.sleep(0)
        return await super()._write(batch)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        self.calls.append("query")
        self.consistencies.append(consistency)
        self.queries.append(query)
        await asyncio.sleep(0)
        return await super()._query(query, consistency)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        self.calls.append("count")
        self.consistencies.append(consistency)
        return await super()._count(query, consistency)

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        self.calls.append("aggregate")
        self.consistencies.append(consistency)
        return await super()._aggregate(query, aggregation, consistency)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def adapter(clock: ManualClock) -> Recording:
    adapter = Recording(clock)
    asyncio.run(adapter.open())
    return adapter
