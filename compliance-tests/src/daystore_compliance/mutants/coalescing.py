"""Mutants that merge single calls, and do it wrongly."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from daystore.abc import Consistency, Outcome, Record, StorageAdapter, WriteBatch
from daystore.abc.coalescing import Coalescer
from daystore.abc.coalescing.calls import Name, Read, Write
from daystore.abc.coalescing.lanes import MOST_IN_FLIGHT, ReadLane, WriteLane
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant
from daystore_compliance.wire.coalescing import CoalescingMemoryAdapter


class _Coalescer(Coalescer):
    """Has other lanes. Base of mutants' coalescers."""

    write_lane: ClassVar[type[WriteLane]] = WriteLane
    read_lane: ClassVar[type[ReadLane]] = ReadLane

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        lane = self._writes
        self._writes = self.write_lane(
            lane._ask_backend, lane._most, lane._limit, lane._tell_ended, backend=lane._backend
        )

    def _new_lane(self, kind: Any, consistency: Consistency) -> ReadLane:
        lane = super()._new_lane(kind, consistency)
        lane = self.read_lane(lane._ask_backend, lane._most, lane._limit, lane._tell_ended)
        self._reads[kind] = lane
        return lane


def _made(kind: type[Coalescer]) -> Callable[[StorageAdapter], Coalescer | None]:
    def new(adapter: StorageAdapter) -> Coalescer | None:
        size = adapter.capabilities.limits.max_batch
        return kind(adapter._read, adapter._write, adapter._limit, backend=adapter.name, max_batch=size)

    return new


# --- Answers ------------------------------------------------------------------------------------------------


@mutant("coal.neighbours")
class OneFailsItsNeighbours(MemoryAdapter):
    """A condition that does not hold fails the whole of a batch that is not atomic."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        conflicts = [
            conflict
            for index, operation in enumerate(batch.operations)
            if (conflict := self._conflict(operation, index, self.clock()))
        ]
        if conflicts and not batch.atomic:
            return [Outcome(None, False, conflicts[0]) for _ in batch.operations]
        return await super()._write(batch)


class _ShiftedReads(ReadLane):
    async def _ask(self, calls: list[Read]) -> None:
        records = await self._ask_backend([read.key for read in calls])
        for read, record in zip(calls, [*records[1:], records[0]], strict=True):
            read.answer(record)


class _Shifted(_Coalescer):
    read_lane = _ShiftedReads


@mutant("coal.same_as_alone", "coal.cancelled_neighbour")
class AnswersTheNextCaller(CoalescingMemoryAdapter):
    """Reads that were merged are answered one place further."""

    _new_coalescer = _made(_Shifted)


class _ShiftedWrites(WriteLane):
    async def _ask(self, calls: list[Write]) -> None:
        outcomes = await self._ask_backend(WriteBatch([write.operation for write in calls]))
        for write, outcome in zip(calls, [*outcomes[1:], outcomes[0]], strict=True):
            write.answer(outcome)


class _ShiftedOutcomes(_Coalescer):
    write_lane = _ShiftedWrites


@mutant("coal.same_as_alone", "coal.cancelled_neighbour")
class TellsTheNextWriter(CoalescingMemoryAdapter):
    """Writes that were merged are told what became of the next one."""

    _new_coalescer = _made(_ShiftedOutcomes)


class _RawOutcomes(WriteLane):
    async def _ask(self, calls: list[Write]) -> None:
        outcomes = await self._ask_backend(WriteBatch([write.operation for write in calls]))
        for write, outcome in zip(calls, outcomes, strict=True):
            for future in write.futures:
                if not future.done():
                    future.set_result(outcome)


class _Raw(_Coalescer):
    write_lane = _RawOutcomes


@mutant("coal.neighbours")
class TellsThePlaceInItsBatch(CoalescingMemoryAdapter):
    """A conflict of a merged write tells its place among writes that the caller does not know."""

    _new_coalescer = _made(_Raw)


class _SharingReads(ReadLane):
    async def _ask(self, calls: list[Read]) -> None:
        records = await self._ask_backend([read.key for read in calls])
        for read, record in zip(calls, records, strict=True):
            for future in read.futures:
                if not future.done():
                    future.set_result(record)


class _Sharing(_Coalescer):
    read_lane = _SharingReads


@mutant("coal.own_copies")
class SharesOneRecord(CoalescingMemoryAdapter):
    """Those who read one key at once get one object."""

    _new_coalescer = _made(_Sharing)


# --- Order --------------------------------------------------------------------------------------------------


class _LastFirst(WriteLane):
    def _follow(self, name: Name) -> None:
        self._behind[name] = deque(reversed(self._behind[name]))
        super()._follow(name)


class _Overtaking(_Coalescer):
    write_lane = _LastFirst


@mutant("coal.key_order")
class OvertakesWrites(CoalescingMemoryAdapter):
    """Of writes of one key that wait, the last goes first."""

    _new_coalescer = _made(_Overtaking)


class _Joining(ReadLane):
    def _next(self) -> list[Read]:
        reads = super()._next()
        self._waiting.update((read.key, read) for read in reads)
        return reads

    def _release(self, calls: list[Read]) -> None:
        for read in calls:
            if self._waiting.get(read.key) is read:
                del self._waiting[read.key]


class _Stale(_Coalescer):
    read_lane = _Joining


@mutant("coal.reads_own_writes")
class JoinsReadsUnderWay(CoalescingMemoryAdapter):
    """A read of a key that is being read already gets that answer, which may be older than the question."""

    _new_coalescer = _made(_Stale)


# --- Cancellation and the end -------------------------------------------------------------------------------


class _Fragile(WriteLane):
    async def _ask(self, calls: list[Write]) -> None:
        await super()._ask([call for call in calls if call.is_wanted])
        if any(future.cancelled() for call in calls for future in call.futures):
            raise asyncio.CancelledError

    async def _run(self, calls: list[Write]) -> None:
        await asyncio.sleep(0)
        if not all(call.is_wanted for call in calls):
            for call in calls:
                call.drop()
        await super()._run(calls)


class _CancelsAll(_Coalescer):
    write_lane = _Fragile


@mutant("coal.cancelled_neighbour")
class CancelsNeighbours(CoalescingMemoryAdapter):
    """A caller that is cancelled takes with it those whose writes were merged with its own."""

    _new_coalescer = _made(_CancelsAll)


class _Undrained(Coalescer):
    async def drain(self) -> None:
        """Wait for nothing."""


@mutant("coal.drained_on_close")
class ClosesAtOnce(CoalescingMemoryAdapter):
    """Closing does not wait for the calls that it has accepted."""

    _new_coalescer = _made(_Undrained)


# --- A batch that fails -------------------------------------------------------------------------------------


class _Again(WriteLane):
    def _may_ask_again(self, error: Exception) -> bool:
        return True


class _SendsAgain(_Coalescer):
    write_lane = _Again


@mutant(
    "coal.failed_batch[unknown]",
    "coal.failed_batch[foreign]",
    "coal.failed_batch[unavailable]",
)
class SendsMergedWritesAgain(CoalescingMemoryAdapter):
    """Merged writes are sent again one by one, whatever has failed, and also if they may have been applied."""

    _new_coalescer = _made(_SendsAgain)


class _Never(WriteLane):
    def _may_ask_again(self, error: Exception) -> bool:
        return False


class _NeverAgain(_Coalescer):
    write_lane = _Never


@mutant("coal.failed_batch[refused]")
class RefusesAllForOne(CoalescingMemoryAdapter):
    """A batch that is refused for one of the writes in it fails all of them."""

    _new_coalescer = _made(_NeverAgain)


class _OneException(WriteLane):
    async def _send(self, calls: list[Write]) -> None:
        try:
            await self._ask(calls)
        except Exception as error:  # noqa: BLE001 -- that is what is wrong
            for future in (future for call in calls for future in call.futures):
                future.set_exception(error)


class _SharesException(_Coalescer):
    write_lane = _OneException


@mutant("coal.failed_batch[unavailable]", "coal.failed_batch[unknown]")
class SharesOneException(CoalescingMemoryAdapter):
    """Callers whose writes have failed together raise one and the same exception object."""

    _new_coalescer = _made(_SharesException)


class _Foreign(WriteLane):
    def _told(self, error: Exception, calls: list[Write]) -> Exception:
        return error


class _TellsForeign(_Coalescer):
    write_lane = _Foreign


@mutant("coal.failed_batch[foreign]")
class TellsTheDriversError(CoalescingMemoryAdapter):
    """Callers of merged writes that failed for a reason unknown are not told that they may have been applied."""

    _new_coalescer = _made(_TellsForeign)


# --- What is sent -------------------------------------------------------------------------------------------


class _Single(WriteLane):
    def _next(self) -> list[Write]:
        self._most = 1
        return super()._next()


class _Merges(_Coalescer):
    write_lane = _Single


@mutant("coal.few_requests")
class MergesNothing(CoalescingMemoryAdapter):
    """Writes wait for each other, and each is a request all the same."""

    _new_coalescer = _made(_Merges)


class _Hesitant(WriteLane):
    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Wait for others, even if there are none."""
        for _ in range(3):
            await asyncio.sleep(0)
        return await super().write(batch)


class _Hesitates(_Coalescer):
    write_lane = _Hesitant


@mutant("coal.few_requests")
class WaitsForCompany(CoalescingMemoryAdapter):
    """A lone write waits for others before it is sent."""

    _new_coalescer = _made(_Hesitates)


class _Levelled(Coalescer):
    def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> Awaitable[list[Record | None]]:
        """Read at the level at which the collection was read first."""
        known = next((kind for kind in self._reads if kind[0] == collection), None)
        if known is not None:
            consistency = Consistency(known[1], known[2])  # type: ignore[arg-type]
        return super().read(collection, keys, consistency)


@mutant("coal.few_requests")
class MergesLevels(CoalescingMemoryAdapter):
    """Reads of two levels of consistency are merged, at the level of the first."""

    _new_coalescer = _made(_Levelled)


class _Leaking(WriteLane):
    def _send_waiting(self) -> None:
        while self._in_flight < MOST_IN_FLIGHT and (calls := self._next()):
            self._in_flight += 1
            task = self._loop.create_task(self._run(calls))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class _Leaks(_Coalescer):
    write_lane = _Leaking


@mutant("coal.contexts")
class LeaksContexts(CoalescingMemoryAdapter):
    """Merged writes are made in the context of one of their callers."""

    _new_coalescer = _made(_Leaks)
