"""Writes: each is sent as often as it takes, and applied once.

A write carries the number of the slot that it comes from, and its own number there. The server keeps the number
and the answer of the last write from each slot, in the same step in which it applies it. So a write that is sent
again because its answer was lost gets that answer; and one that was given up and arrives late, after another one
from its slot, is refused. It is refused as well after its time limit, by the server's clock.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from daystore.abc import Clock, Instant, Outcome, Prepare, Put, WriteBatch
from daystore.abc.record import Operation
from daystore.abc.sortkeys import encode_instant
from daystore.errors import DaystoreError, OperationTimeout, VersionConflict
from daystore_redis.durability import Durability
from daystore_redis.errors import BACKEND, unknown
from daystore_redis.exchange import Exchange, Unanswered, answered_error, unreachable
from daystore_redis.keys import Places
from daystore_redis.operations import add_operations, conflict_of, outcomes_of, query_conflict
from daystore_redis.packing import command
from daystore_redis.pool import Request
from daystore_redis.scripts import COMMIT, WRITE, Script
from daystore_redis.searching import pack_checks

__all__ = ["Writer"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of the values and intents in one request, unless it is atomic or there is only one."""
DEADLINE: Final = 7
"""Where the time limit is among the arguments of a write."""
CLOCKS: Final = 3
"""How often a server's clock is learnt anew for one write."""
_INDEX: Final = struct.Struct(">I")


class Writer:
    """Sends writes.

    Args:
        exchange: By which to send them.
        places: Where records are.
        clock: Of the adapter.
        durability: What to wait for.
        native: Whether the server may expire records by itself, by its own clock.
        indexes: Whether records are to be found by queries.
        sweep_interval: Microseconds between two sweeps.
    """

    def __init__(
        self,
        exchange: Exchange,
        places: Places,
        clock: Clock,
        durability: Durability,
        *,
        native: bool,
        indexes: bool,
        sweep_interval: Instant,
    ) -> None:
        self._exchange = exchange
        self._places = places
        self._clock = clock
        self._durability = durability
        self._flags = b"n" * native + b"p" * (not indexes)
        self._sweep_interval = sweep_interval
        self._sweep_at: list[Instant] = [0] * len(places.prefixes)
        self._client = os.urandom(9).hex().encode()
        self._free: list[int] = []  # the last one is the next one: its late requests are refused soonest
        self._numbers: list[int] = []

    async def write(self, batch: WriteBatch, timeout: float | None) -> list[Outcome]:
        """Apply a batch.

        Args:
            batch: All of it in one shard, if it is atomic.
            timeout: Seconds after which it may not be applied any more.
        """
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        if batch.atomic:
            return await self._commit(batch, deadline)
        if len(self._sweep_at) == 1 and len(batch.operations) == 1:
            return await self._part(0, batch.operations, deadline)
        parts = self._parts(batch.operations)
        if len(parts) == 1 and len(self._sweep_at) == 1:
            return await self._part(0, batch.operations, deadline)
        return await self._in_parts(batch, parts, deadline)

    async def _in_parts(
        self, batch: WriteBatch, parts: list[tuple[int, list[int]]], deadline: float | None
    ) -> list[Outcome]:
        """Apply the parts, each by itself, and sweep the shards beside them that are due."""
        asked = [
            self._part(shard, [batch.operations[i] for i in indexes], deadline) for shard, indexes in parts
        ]
        asked += [self._part(shard, [], deadline) for shard in self._due({shard for shard, _ in parts})]
        found = (await asyncio.gather(*asked, return_exceptions=True))[: len(parts)]
        some = any(isinstance(part, list) for part in found)
        outcomes: list[Outcome] = [Outcome(None, False)] * len(batch.operations)
        for (_, indexes), part in zip(parts, found, strict=True):
            if isinstance(part, BaseException) and not (some and isinstance(part, DaystoreError)):
                raise part
            ended = [Outcome(None, False, part)] * len(indexes) if isinstance(part, DaystoreError) else part
            for index, outcome in zip(indexes, ended, strict=True):
                if isinstance(outcome.error, VersionConflict):
                    outcome.error.index = index  # until here it is that in the part
                outcomes[index] = outcome
        return outcomes

    def _due(self, busy: set[int]) -> list[int]:
        """Return the shards beside some that are due to be swept."""
        now = self._clock()
        return [shard for shard, at in enumerate(self._sweep_at) if now >= at and shard not in busy]

    def _parts(self, operations: Sequence[Operation]) -> list[tuple[int, list[int]]]:
        """Divide operations by shard, and so that no request is too large."""
        parts: list[tuple[int, list[int]]] = []
        open_parts: dict[int, tuple[list[int], int]] = {}
        for index, operation in enumerate(operations):
            shard = self._places.shard_of(operation.collection, operation.key.encode())
            size = _size_of(operation)
            indexes, total = open_parts.get(shard, ([], 0))
            if not indexes or total + size > MAX_BYTES:
                indexes, total = [], 0
                parts.append((shard, indexes))
            indexes.append(index)
            open_parts[shard] = (indexes, total + size)
        return parts

    async def _part(
        self, shard: int, operations: Sequence[Operation], deadline: float | None
    ) -> list[Outcome]:
        answer = await self._send(WRITE, shard, operations, b"", deadline, atomic=False)
        return outcomes_of(operations, answer)

    async def _commit(self, batch: WriteBatch, deadline: float | None) -> list[Outcome]:
        operations = batch.operations
        shard = 0
        if operations:
            shard = self._places.shard_of(operations[0].collection, operations[0].key.encode())
        script, checks = WRITE, b""
        if batch.queries:
            script, checks = COMMIT, pack_checks(batch, self._clock())
        answer = await self._send(script, shard, operations, checks, deadline, atomic=True)
        kind, why = answer[:1], answer[1:2]
        if kind == b"x":
            (index,) = _INDEX.unpack_from(answer, 2)
            raise conflict_of(operations[index], why, answer[6:], index)
        if kind == b"q":
            (index,) = _INDEX.unpack_from(answer, 2)
            raise query_conflict(batch.queries[index], why)
        return outcomes_of(operations, answer)

    # --- One request -----------------------------------------------------------------------------------------

    async def _send(
        self,
        script: Script,
        shard: int,
        operations: Sequence[Operation],
        checks: bytes,
        deadline: float | None,
        *,
        atomic: bool,
    ) -> bytes:
        now = self._clock()
        sweeps = now >= self._sweep_at[shard]
        flags = b"a" * atomic + b"s" * sweeps + self._flags
        slot, number = self._take_slot()
        try:
            arguments: list[bytes | str] = [
                b"EVALSHA",
                script.digest,
                *self._places.keys[shard],
                b"%b:%d" % (self._client, slot),
                b"%016d" % number,
                b"0",
                encode_instant(now),
                flags,
                checks,
            ]
            add_operations(arguments, operations, now)
            answer = await self._answered(shard, script, arguments, deadline)
        finally:
            self._free.append(slot)
        if sweeps:
            more = answer.startswith(b"s")
            answer = answer.removeprefix(b"s")
            self._sweep_at[shard] = now if more else now + self._sweep_interval
        return answer

    async def _answered(
        self, shard: int, script: Script, arguments: list[bytes | str], deadline: float | None
    ) -> bytes:
        wait, answers = b"", 1
        if self._durability.waits:
            wait, answers = self._durability.request(_left(deadline)), 2

        def packed(ahead: float) -> bytes:
            if deadline is not None:
                arguments[DEADLINE] = b"%d" % ((deadline + ahead) * 1_000_000)
            return command(*arguments) + wait

        try:
            found = await self._in_time(shard, packed, script, answers, deadline)
        except Unanswered as error:
            if error.sent:
                raise unknown(
                    "the answer was lost, and asking again did not tell whether the write was applied"
                ) from error.__cause__
            raise unreachable(error.__cause__, "write") from error.__cause__
        except ResponseError as error:
            raise _write_error(error) from error
        answer: bytes = found if answers == 1 else found[0]
        if answers == 1:
            return answer
        if not self._durability.is_met(found[1]):
            cause = found[1] if isinstance(found[1], ResponseError) else None
            raise unknown(
                "the write was applied, but not within the time limit where it has to be kept: check the "
                "append-only file and the replicas of the server"
            ) from cause
        return answer

    async def _in_time(
        self, shard: int, request: Request, script: Script, answers: int, deadline: float | None
    ) -> Any:
        """Ask; and where the server's clock was set since we asked for it, learn it anew and ask again."""
        for _ in range(CLOCKS):
            try:
                return await self._exchange.ask(shard, request, script, answers)
            except ResponseError as error:
                left = _left(deadline)
                if not _is_late(error) or left is None or left <= 0:
                    raise
                await self._exchange.reconnect(shard)
        return await self._exchange.ask(shard, request, script, answers)

    def _take_slot(self) -> tuple[int, int]:
        if not self._free:
            self._free.append(len(self._numbers))
            self._numbers.append(0)
        slot = self._free.pop()
        self._numbers[slot] += 1
        return slot, self._numbers[slot]


def _size_of(operation: Operation) -> int:
    if type(operation) is Put:
        return len(operation.value)
    return len(operation.intent) if type(operation) is Prepare else 0


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - asyncio.get_running_loop().time()


def _write_error(error: ResponseError) -> DaystoreError:
    if _is_late(error):
        return OperationTimeout(
            "the write arrived after its time limit: nothing of it was applied",
            backend=BACKEND,
            operation="write",
        )
    return answered_error(error, "write")


def _is_late(error: ResponseError) -> bool:
    return str(error).startswith("DAYSTORELATE")
