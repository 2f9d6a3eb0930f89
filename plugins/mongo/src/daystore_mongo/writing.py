"""Writes: each is sent as often as it takes, and applied once.

A server goes on with what it was sent, whether or not somebody waits for the answer. So a write that was cancelled
goes on here as well, and a later one of the same record waits for it: otherwise the two could arrive the other way
round. When its time limit is over its connection is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TypeAlias

from daystore.abc import ANY, Clock, Delete, Instant, Outcome, Put, WriteBatch
from daystore.errors import DaystoreError, LimitExceeded
from daystore_mongo.applying import Applier, Numbered, Plan, each
from daystore_mongo.connection import Connection
from daystore_mongo.errors import unknown
from daystore_mongo.filters import list_path, path_of
from daystore_mongo.layout import Indexes
from daystore_mongo.operations import steps_of
from daystore_mongo.sweeping import Sweeper

__all__ = ["Writer"]

PATIENCE: Final = 2.0
"""Seconds that others wait for a write that nobody waits for any more."""

Place: TypeAlias = tuple[str, str]


class Writer:
    """Applies batches, the operations of each collection by requests of their own.

    Args:
        connection: By which to send them.
        indexes: Of the collections.
        sweeper: Who reclaims the space of what has expired.
        clock: Of the adapter.
        native: Whether the server may remove expired records by itself, by its own clock.
    """

    def __init__(
        self, connection: Connection, indexes: Indexes, sweeper: Sweeper, clock: Clock, *, native: bool
    ) -> None:
        self._connection = connection
        self._indexes = indexes
        self._sweeper = sweeper
        self._clock = clock
        self._native = native
        self._left: dict[Place, asyncio.Task[list[Outcome]]] = {}

    async def write(self, batch: WriteBatch, timeout: float | None) -> list[Outcome]:
        """Apply a batch.

        Args:
            batch: One that is atomic has one operation, which is atomic by itself.
            timeout: Seconds that it may take.
        """
        places = [(operation.collection, operation.key) for operation in batch.operations]
        while left := {task for place in places if (task := self._left.get(place)) is not None}:
            await asyncio.wait(left)
        writing = asyncio.ensure_future(self._in_time(batch, timeout))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._leave(places, writing)
            raise

    def _leave(self, places: list[Place], writing: asyncio.Task[list[Outcome]]) -> None:
        """Let a write go on that nobody waits for."""
        self._left |= dict.fromkeys(places, writing)
        patience = asyncio.get_running_loop().call_later(PATIENCE, writing.cancel)

        def ended(_: object) -> None:
            patience.cancel()
            for place in places:
                self._left.pop(place, None)
            if not writing.cancelled():
                writing.exception()  # there is nobody to be told

        writing.add_done_callback(ended)

    async def drain(self) -> None:
        """Wait for what goes on."""
        if self._left:
            await asyncio.wait(set(self._left.values()))

    async def _in_time(self, batch: WriteBatch, timeout: float | None) -> list[Outcome]:
        try:
            async with asyncio.timeout(timeout):
                return await self._apply(batch)
        except TimeoutError as error:
            raise unknown("the write took too long: it may or may not have been applied") from error

    async def _apply(self, batch: WriteBatch) -> list[Outcome]:
        now = self._clock()
        groups: dict[str, list[Numbered]] = {}
        for index, operation in enumerate(batch.operations):
            groups.setdefault(operation.collection, []).append((index, operation))
        parts = await each([self._group(name, part, now) for name, part in groups.items()])
        outcomes = {index: outcome for part in parts for index, outcome in part.items()}
        if batch.atomic and (error := outcomes[0].error) is not None:
            raise error
        return [outcomes[index] for index in range(len(batch.operations))]

    async def _group(self, name: str, numbered: list[Numbered], now: Instant) -> dict[int, Outcome]:
        """Apply the operations of one collection."""
        try:
            paths = list(_paths(numbered))
            if self._indexes.lacks(name, paths):
                await self._indexes.make(name, paths)
            await self._sweeper.sweep(name, now)
        except DaystoreError as error:
            return {index: Outcome(None, False, error) for index, _ in numbered}
        applier = Applier(self._connection, name, now)
        asked: list[Coroutine[Any, Any, dict[int, Outcome]]] = []
        deletes = [one for one in numbered if isinstance(one[1], Delete) and one[1].expect is ANY]
        if len(deletes) > 1:
            asked.append(applier.delete(deletes))
            numbered = [one for one in numbered if one not in deletes]
        planned: list[Plan] = []
        refused: dict[int, Outcome] = {}
        for index, operation in numbered:
            try:
                planned.append(((index, operation), steps_of(operation, now, native=self._native)))
            except LimitExceeded as error:
                refused[index] = Outcome(None, False, error)
        together = [plan for plan in planned if plan[1] and plan[1][0].inserts]
        if together:
            asked.append(applier.bulk(together))
        asked += [applier.one(one, steps) for one, steps in planned if not (steps and steps[0].inserts)]
        parts = [refused, *await each(asked)]
        return {index: outcome for part in parts for index, outcome in part.items()}


def _paths(numbered: list[Numbered]) -> Iterator[str]:
    """Return where the documents of operations have fields."""
    for _, operation in numbered:
        if isinstance(operation, Put):
            for field, value in operation.fields.items():
                yield list_path(field) if isinstance(value, tuple) else path_of(field)
