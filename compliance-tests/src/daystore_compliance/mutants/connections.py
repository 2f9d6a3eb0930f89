"""Mutants on a network: what adapters make of connections that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from daystore.abc import ANY, Consistency, Delete, Outcome, Put, Record, WriteBatch
from daystore.errors import BackendUnavailable, DaystoreError, OperationTimeout, OutcomeUnknown
from daystore_compliance.mutants.base import mutant
from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.pool import FAILURES, Connection, Lost, NotSent, Pool
from daystore_compliance.wire.protocol import read_frame, write_frame
from daystore_compliance.wire.target import PASSWORD, WireTarget

# --- The reply of a write is lost --------------------------------------------------------------------------

Found = Mapping[int, Outcome]


class _Blind(WireAdapter):
    async def _look(self, deadline: Any, batch: WriteBatch, *rest: Any) -> Found:
        return {}


@mutant(
    "conn.lost_reply",
    "conn.lost_reply_overtaken",
    "conn.lost_look",
    bugs=("delta-io/delta#7345", "delta-io/delta-rs#2580"),
)
class RetriesBlindly(WireTarget):
    """A write whose reply was lost is sent again without looking."""

    adapter: type[WireAdapter] = _Blind


class _Conditional(WireAdapter):
    async def _look(self, deadline: Any, batch: WriteBatch, *rest: Any) -> Found:
        if any(operation.expect is not ANY for operation in batch.operations):
            return {}
        return await super()._look(deadline, batch, *rest)


@mutant("conn.lost_reply", bugs=("apache/iceberg#12818",))
class ConflictsWithItself(WireTarget):
    """A conditional write whose reply was lost is sent again, and meets what it wrote itself."""

    adapter: type[WireAdapter] = _Conditional


class _Many(WireAdapter):
    async def _look(self, deadline: Any, batch: WriteBatch, *rest: Any) -> Found:
        if len(batch.operations) > 1 and not batch.atomic:
            return {}
        return await super()._look(deadline, batch, *rest)


@mutant("conn.lost_reply_overtaken")
class RetriesBatches(WireTarget):
    """A batch whose reply was lost is sent again without looking; a single write is not."""

    adapter: type[WireAdapter] = _Many


class _Optimist(WireAdapter):
    async def _look(self, deadline: Any, batch: WriteBatch, *rest: Any) -> Found:
        return {i: Outcome(getattr(o, "version", None), True) for i, o in enumerate(batch.operations)}


@mutant("conn.cut_before_send", "conn.matrix[request_cut]")
class AssumesSuccess(WireTarget):
    """A write whose reply was lost is taken for applied without looking."""

    adapter: type[WireAdapter] = _Optimist


class _Pessimist(WireAdapter):
    async def _look(self, deadline: Any, batch: WriteBatch, *rest: Any) -> Found:
        raise OutcomeUnknown("who knows", backend=self.name) from ConnectionError()


@mutant("conn.lost_reply")
class NeverLooks(WireTarget):
    """A write whose reply was lost is of unknown outcome, although its version would tell."""

    adapter: type[WireAdapter] = _Pessimist


class _Denies(WireAdapter):
    async def _look(self, deadline: Any, *rest: Any) -> Found:
        try:
            return await super()._look(deadline, *rest)
        except OutcomeUnknown as error:
            raise self._unavailable("write") from error


@mutant("conn.unknown_keeps", "conn.lost_look", "conn.matrix[replies_cut]")
class DeniesWhatItCannotSee(WireTarget):
    """A write of unknown outcome is told as one that was not applied."""

    adapter: type[WireAdapter] = _Denies


class _Tidy(WireAdapter):
    _rubbish: tuple[Delete, ...] = ()

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        rubbish, self._rubbish = self._rubbish, ()
        try:
            if rubbish:
                await super()._write(WriteBatch(rubbish))
            return await super()._write(batch)
        except OutcomeUnknown:
            puts = [o for o in batch.operations if isinstance(o, Put)]
            self._rubbish = tuple(Delete(put.collection, put.key, put.version) for put in puts)
            raise


@mutant("conn.unknown_keeps", "conn.matrix[replies_cut]")
class CleansUpAfterUnknown(WireTarget):
    """What a write of unknown outcome may have left is deleted with the next write."""

    adapter: type[WireAdapter] = _Tidy


class _OneByOne(WireAdapter):
    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic or batch.queries or any(o.expect is not ANY for o in batch.operations):
            return await super()._write(batch)
        outcomes = []
        for operation in batch.operations:
            outcomes += await super()._write(WriteBatch([operation], atomic=True))
        return outcomes


@mutant("conn.lost_look", "conn.matrix[replies_cut]")
class SendsAtomicOneByOne(WireTarget):
    """An atomic batch without conditions goes over the network one operation at a time."""

    adapter: type[WireAdapter] = _OneByOne


class _Timeless(WireAdapter):
    def _deadline(self) -> float | None:
        return None

    async def _exchange(self, connection: Connection, *rest: Any) -> Any:
        self._abandoned.clear()
        return await super()._exchange(connection, *rest)


@mutant("conn.late_apply")
class AppliesLate(WireTarget):
    """A request that arrives after its time limit is applied all the same."""

    adapter: type[WireAdapter] = _Timeless


# --- Reads -------------------------------------------------------------------------------------------------


class _AsksOnce(WireAdapter):
    async def _repeat(self, do: str, *arguments: Any, deadline: float | None = None) -> Any:
        try:
            return await self._ask(deadline or self._deadline(), do, *arguments)
        except (NotSent, Lost) as error:
            raise self._unavailable(do) from error.__cause__


@mutant("conn.reads_repeated")
class AsksOnce(WireTarget):
    """A read whose connection fails is not asked again."""

    adapter: type[WireAdapter] = _AsksOnce


class _Missing(WireAdapter):
    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        try:
            return await super()._read(collection, keys, consistency)
        except BackendUnavailable:
            return [None for _ in keys]


@mutant("conn.refused_then_back", "conn.matrix[refused]", bugs=("agno-agi/agno#7879",))
class UnreachableIsMissing(WireTarget):
    """A record that cannot be reached is missing."""

    adapter: type[WireAdapter] = _Missing


# --- Which reply belongs to which request ------------------------------------------------------------------


class _Trusting(Connection):
    async def ask(self, request: dict[str, Any]) -> Any:
        """Take whatever comes next for the answer."""
        self._last += 1
        self.usable = False
        reply = await self._exchanged(request)
        self.usable = True
        return self._unwrapped(reply)

    async def _exchanged(self, request: dict[str, Any]) -> Any:
        try:
            write_frame(self._writer, {**request, "id": self._last, "deadline": None})
            await self._writer.drain()
            return await read_frame(self._reader)
        except FAILURES as failure:
            raise Lost from failure

    def _unwrapped(self, reply: Any) -> Any:
        self.number = reply["number"]
        if isinstance(reply["answer"], DaystoreError):
            raise reply["answer"]
        return reply["answer"]


class _TrustingPool(Pool):
    connection_class: type[Connection] = _Trusting


class _TrustingAdapter(WireAdapter):
    pool_class: type[Pool] = _TrustingPool


@mutant("conn.stray_reply[repeated]", "conn.matrix[reply_repeated]", bugs=("redis/redis-py#4260",))
class TakesAnyReply(WireTarget):
    """Whatever comes next on a connection is taken for the answer, also what was there before."""

    adapter: type[WireAdapter] = _TrustingAdapter


class _Reused(_Trusting):
    async def ask(self, request: dict[str, Any]) -> Any:
        """Stay usable when nobody waits for the answer any longer."""
        self._last += 1
        try:
            return self._unwrapped(await self._exchanged(request))
        except Lost:
            self.usable = False
            raise


class _ReusedPool(Pool):
    connection_class: type[Connection] = _Reused


class _ReusedAdapter(WireAdapter):
    pool_class: type[Pool] = _ReusedPool


@mutant(
    "conn.stray_reply[cancelled]",
    "conn.stray_reply[late]",
    "conn.cancelled_under_load",
    bugs=("redis/redis-py#2632", "redis/redis-py#2665", "long2ice/asyncmy#103"),
)
class ReusesAfterCancel(WireTarget):
    """A connection goes back to the pool while the reply of a cancelled request is still to come."""

    adapter: type[WireAdapter] = _ReusedAdapter


# --- Connections -------------------------------------------------------------------------------------------


class _Stale(Pool):
    async def _taken(self) -> Connection:
        return self._idle.pop() if self._idle and not self.closed else await super()._taken()

    async def drop_idle(self) -> None:
        """Keep them."""
        if self.closed:
            await super().drop_idle()


class _StaleAdapter(WireAdapter):
    pool_class: type[Pool] = _Stale


@mutant(
    "conn.cut_idle[reset]",
    "conn.cut_idle[ended]",
    bugs=("google/adk-python#733", "langchain-ai/langgraph#5675"),
)
class HandsOutDeadConnections(WireTarget):
    """After a cut each connection of the pool fails an operation before it is replaced."""

    adapter: type[WireAdapter] = _StaleAdapter


class _Careless(Pool):
    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Give back what went well, and forget what did not."""
        await self._turns.acquire()
        connection = await self._taken()
        self._busy.add(connection)
        yield connection
        await self._given_back(connection)
        self._turns.release()


class _CarelessAdapter(WireAdapter):
    pool_class: type[Pool] = _Careless


@mutant("conn.cancelled_under_load", "conn.many_waiters", bugs=("redis/redis-py#2995",))
class LosesConnections(WireTarget):
    """A connection whose operation was cancelled or failed is neither closed nor given back."""

    adapter: type[WireAdapter] = _CarelessAdapter


class _Leaking(Pool):
    async def _given_back(self, connection: Connection) -> None:
        if connection.usable or self.closed:
            await super()._given_back(connection)  # otherwise it stays open, and nobody has it


class _LeakingAdapter(WireAdapter):
    pool_class: type[Pool] = _Leaking


@mutant("conn.cancelled_under_load")
class LeaksOnCancel(WireTarget):
    """A connection whose operation was cancelled is replaced, and never closed."""

    adapter: type[WireAdapter] = _LeakingAdapter


class _Greedy(Pool):
    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Take two."""
        async with super().connection() as connection:
            await asyncio.sleep(0)
            async with super().connection():
                yield connection


class _GreedyAdapter(WireAdapter):
    pool_class: type[Pool] = _Greedy


@mutant("conn.many_waiters", bugs=("xorbitsai/xagent#955",))
class TakesTwoConnections(WireTarget):
    """An operation that holds a connection waits for a second one of the same pool."""

    adapter: type[WireAdapter] = _GreedyAdapter


class _Once(Pool):
    _failed = False

    async def _connect(self) -> Connection:
        if self._failed:
            raise NotSent from ConnectionError("it failed before")
        try:
            return await super()._connect()
        except NotSent:
            self._failed = True
            raise


class _OnceAdapter(WireAdapter):
    pool_class: type[Pool] = _Once


@mutant("conn.refused_then_back", "conn.matrix[refused]", "conn.matrix[gone]")
class NeverReconnects(WireTarget):
    """An adapter that could not connect once never tries again."""

    adapter: type[WireAdapter] = _OnceAdapter


class _Endless(WireAdapter):
    def _limit(self, operation: str) -> AbstractAsyncContextManager[object]:
        return nullcontext()


@mutant("conn.stall", "conn.matrix[stalled]", "conn.matrix[reply_lost]")
class IgnoresTimeLimit(WireTarget):
    """An operation waits as long as its connection does."""

    adapter: type[WireAdapter] = _Endless


# --- Errors ------------------------------------------------------------------------------------------------


class _Raw(WireAdapter):
    async def _ask(self, deadline: float | None, do: str, *arguments: Any) -> Any:
        try:
            return await super()._ask(deadline, do, *arguments)
        except NotSent as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise


@mutant(
    "conn.refused_then_back",
    "conn.matrix[refused]",
    "conn.matrix[gone]",
    bugs=("google/go-cloud#3663",),
)
class LetsDriverErrorsOut(WireTarget):
    """An error of the driver leaves the adapter as it is."""

    adapter: type[WireAdapter] = _Raw


class _Talkative(WireAdapter):
    def _unavailable(self, do: str) -> BackendUnavailable:
        url = f"wire://:{self._password}@{self._address[0]}:{self._address[1]}"
        return BackendUnavailable(f"{url} cannot be reached", backend=self.name, operation=do)


@mutant("conn.refused_then_back", "conn.matrix[gone]", bugs=("google/adk-python#6791",))
class TellsPassword(WireTarget):
    """An error of the connection shows the URL, password included."""

    adapter: type[WireAdapter] = _Talkative
    secrets: tuple[str, ...] = (PASSWORD,)


class _Causeless(WireAdapter):
    async def _repeat(self, do: str, *arguments: Any, deadline: float | None = None) -> Any:
        try:
            return await super()._repeat(do, *arguments, deadline=deadline)
        except BackendUnavailable as error:
            error.__cause__ = None
            raise


@mutant("conn.refused_then_back")
class LosesTheCause(WireTarget):
    """The driver's error is not told as the cause of ours."""

    adapter: type[WireAdapter] = _Causeless


class _Silent(WireAdapter):
    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            return await super()._write(batch)
        except BackendUnavailable:
            return [Outcome(getattr(operation, "version", None), False) for operation in batch.operations]


@mutant("conn.refused_then_back", bugs=("celery/celery#8588",))
class SwallowsUnavailable(WireTarget):
    """A write that could not be sent looks like one that was applied."""

    adapter: type[WireAdapter] = _Silent


class _Retryable(WireAdapter):
    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Raise what the time limit raises."""
        try:
            return await super().write(batch)
        except OutcomeUnknown as error:
            raise error.__cause__ if isinstance(error.__cause__, OperationTimeout) else error from None


@mutant("conn.stall", "conn.matrix[stalled]")
class TimedOutIsRetryable(WireTarget):
    """A write that took too long is told as one that may be sent again."""

    adapter: type[WireAdapter] = _Retryable
