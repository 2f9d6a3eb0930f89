"""Writes: each is one conditional request on one object, and what goes before and after it.

A write whose time is over, or that nobody waits for any more, stops before the request that would apply it. Once
that was sent it is carried to its end, and the next write of its key waits for that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from daystore.abc import Clock, Delete, Outcome, WriteBatch
from daystore.abc.record import Operation
from daystore.errors import DaystoreError
from daystore_s3.changing import Change
from daystore_s3.grouping import Group
from daystore_s3.known import Known, Place
from daystore_s3.objects import NOTHING
from daystore_s3.places import Places
from daystore_s3.reading import Sight
from daystore_s3.requests import Requests

__all__ = ["Writer"]

LONGEST_WRITE: Final = 60.0
"""Seconds after which no write that was begun is applied any more."""
PATIENCE: Final = 2.0
"""Seconds that others wait for a write that nobody waits for any more."""
WORTH_A_LISTING: Final = 10
"""From so many operations on it is listed which of their records there are, rather than asked one by one."""


class Writer:
    """Applies operations.

    Args:
        requests: By which to ask.
        places: Where records are.
        clock: Of the adapter.
        part_size: Bytes from which on a value is kept in parts.
    """

    def __init__(self, requests: Requests, places: Places, clock: Clock, *, part_size: int) -> None:
        self._requests = requests
        self._places = places
        self._clock = clock
        self._known = Known()
        self._part_size = part_size
        self._under_way: dict[Place, Change] = {}
        self._given_up: set[asyncio.Task[Outcome]] = set()

    async def write(self, batch: WriteBatch, timeout: float | None) -> list[Outcome]:
        """Apply each operation by itself.

        Args:
            batch: At most one operation, if it is atomic.
            timeout: Seconds after which nothing may be applied any more.
        """
        deadline = asyncio.get_running_loop().time() + (LONGEST_WRITE if timeout is None else timeout)
        missing: Mapping[Place, Sight] = {}
        if len(batch.operations) >= WORTH_A_LISTING:
            missing = await self._missing(batch.operations)
        changes = [
            Change(self._requests, self._places, operation, index, deadline, self._part_size)
            for index, operation in enumerate(batch.operations)
        ]
        try:
            found = await asyncio.gather(*self._begin(changes, missing), return_exceptions=True)
        except asyncio.CancelledError:
            self._give_up(changes)
            raise
        outcomes = []
        for outcome in found:
            if isinstance(outcome, DaystoreError) and not batch.atomic:
                outcomes.append(Outcome(None, False, outcome))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                outcomes.append(outcome)
        return outcomes

    def _begin(self, changes: Sequence[Change], missing: Mapping[Place, Sight]) -> list[Awaitable[Outcome]]:
        """Begin all whose keys are free, in a group for each collection; the others each when it is its turn."""
        free = [change for change in changes if change.place not in self._under_way]
        members = Counter(change.collection for change in free)
        groups = {name: Group(self._requests, self._places, name, n) for name, n in members.items()}
        asked: dict[Place, Awaitable[Outcome]] = {}
        for change in free:
            call = self._run(change, groups[change.collection], missing.get(change.place))
            asked[change.place] = asyncio.shield(self._started(change, call))
        return [
            asked.get(change.place) or self._in_turn(change, partial(self._run_alone, change))
            for change in changes
        ]

    def _give_up(self, changes: Sequence[Change]) -> None:
        """Stop what was not sent yet; what was is waited for by whoever reads soon."""
        for change in changes:
            change.give_up()
            if change.task is not None and change.applying:
                self._given_up.add(change.task)
                asyncio.get_running_loop().call_later(PATIENCE, self._given_up.discard, change.task)

    async def _run_alone(self, change: Change, sight: Sight | None) -> Outcome:
        return await self._run(change, self._alone(change.collection), sight)

    async def _run(self, change: Change, group: Group, sight: Sight | None) -> Outcome:
        return await change.run(self._clock, group, sight, self._known.get(change.place))

    def _alone(self, collection: str) -> Group:
        return Group(self._requests, self._places, collection, 1)

    def learn(self, collection: str, found: Mapping[str, Sight]) -> None:
        """Keep what a reader has seen, for the writes that may come."""
        for key, sight in found.items():
            self._known.learn((collection, key), sight)

    async def _missing(self, operations: Sequence[Operation]) -> dict[Place, Sight]:
        """Return where no records are, as far as one listing for each collection tells."""
        absent = Sight(None, NOTHING, asyncio.get_running_loop().time())
        keys: dict[str, dict[str, str]] = {}
        for operation in operations:
            name = self._places.record(operation.collection, operation.key)
            keys.setdefault(operation.collection, {})[name] = operation.key
        missing: dict[Place, Sight] = {}
        for collection, named in keys.items():
            first = min(named)
            listing = await self._requests.listing(self._places.records(collection), first[:-1])
            there = {item.name for item in listing.items}
            last = listing.last or max(named)
            missing |= {
                (collection, key): absent for name, key in named.items() if name <= last and name not in there
            }
        return missing

    def _started(self, change: Change, call: Coroutine[Any, Any, Outcome]) -> asyncio.Task[Outcome]:
        self._under_way[change.place] = change
        change.task = asyncio.ensure_future(call)
        change.task.add_done_callback(partial(self._ended, change.place))
        return change.task

    def _ended(self, place: Place, task: asyncio.Task[Outcome]) -> None:
        change = self._under_way.pop(place)
        if change.sight is None:
            self._known.forget(place)
        else:
            self._known.learn(place, change.sight)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; nobody may

    async def _in_turn(
        self, change: Change, call: Callable[[Sight | None], Coroutine[Any, Any, Outcome]]
    ) -> Outcome:
        """Begin when those of the same key that are under way have ended, with what they have seen meanwhile."""
        begun = asyncio.get_running_loop().time()
        sight: Sight | None = None
        while (before := self._under_way.get(change.place)) is not None:
            if before.task is not None:
                await asyncio.wait([before.task])
            sight = before.sight
        if sight is not None and sight.since <= begun:  # it may have been over when this was asked for
            sight = None
        return await asyncio.shield(self._started(change, call(sight)))

    async def expire(self, collection: str, key: str, deadline: str) -> None:
        """Take away a record that has expired, or a deadline that is no longer any record's.

        Args:
            collection: Where it is.
            key: Its key.
            deadline: The name of the deadline that is over.
        """
        until = asyncio.get_running_loop().time() + LONGEST_WRITE
        change = Change(self._requests, self._places, Delete(collection, key), 0, until, self._part_size)
        await self._in_turn(change, lambda _: change.expire(self._clock, self._alone(collection), deadline))

    async def settled(self) -> None:
        """Wait for what was sent and is not waited for any more, unless that takes long."""
        if waiting := [task for task in self._given_up if not task.done()]:
            await asyncio.wait(waiting, timeout=PATIENCE)

    async def drain(self, timeout: float | None = None) -> None:
        """Wait for what was begun, unless that takes long, or longer than a time limit in seconds."""
        if self._under_way:
            tasks = [change.task for change in self._under_way.values() if change.task is not None]
            await asyncio.wait(tasks, timeout=PATIENCE if timeout is None else min(timeout, PATIENCE))
