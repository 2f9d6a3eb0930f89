"""Adapters around an adapter, which do to it what a network and a driver do: be slow, lose replies, do half.

For authors who test what stands above an adapter, and for the suite's own cases. A wrapper takes any
`StorageAdapter`, has its name, namespace, clock and capabilities, and is open when that is open. It passes on the
primitives of the adapter, each within the adapter's own time limit; everything above them (``get``, ``set_batch``,
waiting for transactions, commits …) is that of `StorageAdapter`, on top of the wrapper, so that nothing gets past
it, and nothing that only a primitive may do waits below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar

from daystore.abc import (
    Aggregation,
    Capabilities,
    Consistency,
    Explanation,
    GroupRow,
    Health,
    Outcome,
    Page,
    Query,
    Record,
    RecordTransaction,
    StorageAdapter,
    WriteBatch,
)
from daystore.abc.coordination import Participant
from daystore.errors import BackendUnavailable, ConfigError, OutcomeUnknown, VersionConflict

__all__ = ["ApplyThenRaise", "Latency", "PartialSuccess", "Wrapper"]

R = TypeVar("R")


class Wrapper(StorageAdapter):
    """Passes everything on to an adapter, and changes nothing. Base of the others, and of your own.

    Closing it closes the adapter.

    Args:
        adapter: Any adapter.

    Attributes:
        adapter: The adapter.

    Example:
        A backend that has become read-only::

            class ReadOnly(Wrapper):
                async def _write(self, batch):
                    raise BackendUnavailable("read-only", retryable=False)

            store = Store(ReadOnly(adapter), "notes")
    """

    def __init__(self, adapter: StorageAdapter) -> None:
        # The adapter keeps its own time limit; a second one would only hide which of them ran out.
        super().__init__(namespace=adapter.namespace, clock=adapter.clock, timeout=None)
        self.adapter = adapter
        self.name: str = adapter.name  # type: ignore[misc]  # it is the adapter's, and known only now
        self.capabilities = adapter.capabilities
        self.one_unit: bool = adapter.one_unit
        self._is_open = adapter._is_open
        if self._is_open:
            self._coordinator = self._new_coordinator()

    @classmethod
    def from_url(cls, url: str, **options: object) -> Self:  # noqa: ARG003 -- it takes none
        """Refuse: a wrapper is made of an adapter.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("a wrapper is made of an adapter, and not of a URL")

    def join(self, neighbours: Callable[[str], Participant | None]) -> None:
        """Make the other backends known to the adapter, too."""
        super().join(neighbours)
        self.adapter.join(neighbours)

    def transaction(self) -> AbstractAsyncContextManager[RecordTransaction]:
        """Begin a transaction of the adapter's own class, whose reads and commit pass through the wrapper."""
        begun = self.adapter.transaction()
        kind = type(begun) if isinstance(begun, RecordTransaction) else RecordTransaction
        return kind(self)

    async def _sent(self, request: Callable[[], Awaitable[R]]) -> R:
        """Make one request of the adapter, and return its answer. Every primitive goes through here."""
        return await request()

    async def _passed(self, operation: str, primitive: Callable[[], Coroutine[Any, Any, R]]) -> R:
        self.adapter._check_open()
        return await self._sent(self.adapter._in_time(operation, primitive))

    async def _open(self) -> None:
        await self.adapter.open()
        self.capabilities: Capabilities = self.adapter.capabilities

    async def _close(self) -> None:
        await self.adapter.close()

    async def _health(self) -> Health:
        return await self._sent(self.adapter.health)

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        return await self._passed("read", partial(self.adapter._read, collection, keys, consistency))

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        return await self._passed("write", partial(self.adapter._write, batch))

    async def _prepared(self, collection: str | None) -> list[tuple[str, Record]]:
        return await self._passed("read", partial(self.adapter._prepared, collection))

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return self.adapter._atomic_unit(collection, key)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        return await self._passed("query", partial(self.adapter._query, query, consistency))

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return await self._passed("count", partial(self.adapter._count, query, consistency))

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        return await self._passed(
            "aggregate", partial(self.adapter._aggregate, query, aggregation, consistency)
        )

    async def _explain(self, query: Query) -> Explanation:
        return await self._passed("explain", partial(self.adapter._explain, query))


class Latency(Wrapper):
    """Lets the event loop turn before each request and after its answer, as a network does. No time passes.

    So operations overlap, and can be cancelled on both sides of the moment at which they take effect, even on an
    adapter that never waits.

    Args:
        adapter: Any adapter.
        turns: How often the loop turns before a request, and as often after it.

    Raises:
        ValueError: If there are less than none.

    Example:
        Two read-modify-writes that really meet::

            store = Store(Latency(MemoryAdapter()), "counters")
            async with store.adapter:
                await asyncio.gather(*(store.update("n", add_one, default=0) for _ in range(2)))
                assert await store.get("n") == 2
    """

    def __init__(self, adapter: StorageAdapter, turns: int = 1) -> None:
        super().__init__(adapter)
        if turns < 0:
            raise ValueError("a number of turns is not negative")
        self.turns: int = turns

    async def _sent(self, request: Callable[[], Awaitable[R]]) -> R:
        await self._turn()
        answer = await request()
        await self._turn()
        return answer

    async def _turn(self) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)


class ApplyThenRaise(Wrapper):
    """Applies one write and then raises all the same, as if its reply had been lost on the way.

    Args:
        adapter: Any adapter.
        nth: Which write, counted from 1; a batch is one, and each part of a batch that is cut.
        error: What to raise; `OutcomeUnknown` unless given.

    Attributes:
        writes: How many writes there were. That it has reached `nth` shows that the error was raised.

    Raises:
        ValueError: If `nth` is not positive.

    Example:
        What is retried must not be applied twice::

            wrapped = ApplyThenRaise(adapter, nth=2)
            counters = Store(wrapped, "counters")
            await counters.set("n", 1)
            with pytest.raises(OutcomeUnknown):
                await counters.update("n", add_one)
            assert await counters.get("n") == 2
    """

    def __init__(self, adapter: StorageAdapter, nth: int = 1, error: Exception | None = None) -> None:
        super().__init__(adapter)
        if nth < 1:
            raise ValueError("writes are counted from 1")
        self.nth: int = nth
        self.writes: int = 0
        self._error = error or OutcomeUnknown(
            "the reply was lost: the write may or may not have been applied",
            backend=adapter.name,
            operation="write",
        )

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.writes += 1
        number = self.writes
        outcomes = await super()._write(batch)
        if number == self.nth:
            raise self._error
        return outcomes


class PartialSuccess(Wrapper):
    """Does not apply some items of batches, as a driver that says OK and lists them in its answer.

    Each of them has a `BackendUnavailable` in its outcome, and the others are applied. Batches that are atomic
    pass unchanged.

    Args:
        adapter: Any adapter.
        failing: The keys that fail; or a number, for each so many-th item of all that are written.

    Attributes:
        failed: The keys that have failed, in their order.

    Raises:
        ValueError: If the number is not positive.
        TypeError: If the keys are one string.

    Example:
        The error names exactly what was not written::

            store = Store(PartialSuccess(adapter, failing={"b"}), "notes")
            with pytest.raises(BatchError) as caught:
                await store.set_batch({"a": 1, "b": 2, "c": 3})
            assert list(caught.value.errors) == ["b"]
            assert await store.get_batch(["a", "b", "c"]) == {"a": 1, "c": 3}
    """

    def __init__(self, adapter: StorageAdapter, failing: Collection[str] | int) -> None:
        super().__init__(adapter)
        if isinstance(failing, str):
            raise TypeError("the keys that fail are a collection of str, not one str")
        if isinstance(failing, int) and failing < 1:
            raise ValueError("items are counted from 1")
        self._failing = failing
        self._items = 0
        self.failed: list[str] = []

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            return await super()._write(batch)
        refused = {index for index, one in enumerate(batch.operations) if self._fails(one.key)}
        self.failed += [batch.operations[index].key for index in sorted(refused)]
        kept = [one for index, one in enumerate(batch.operations) if index not in refused]
        applied = iter(await super()._write(replace(batch, operations=kept)))
        return [
            self._failure() if index in refused else _at(index, next(applied))
            for index in range(len(batch.operations))
        ]

    def _fails(self, key: str) -> bool:
        self._items += 1
        if isinstance(self._failing, int):
            return self._items % self._failing == 0
        return key in self._failing

    def _failure(self) -> Outcome:
        error = BackendUnavailable("the item was not applied", backend=self.name, operation="write")
        return Outcome(None, existed=False, error=error)


def _at(index: int, outcome: Outcome) -> Outcome:
    """Tell an outcome's place in the whole batch."""
    error: Any = outcome.error
    if isinstance(error, VersionConflict):
        error.index = index
    return outcome
