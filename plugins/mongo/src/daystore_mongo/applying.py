"""Applying operations to one collection.

The answer to a bulk tells which of its documents were inserted and which were in the way, and of the others only
how many were met. So the steps that insert go together in one bulk, whose answer tells of each what became of it.
All others are requests of their own, several at a time. What has not met its condition is looked at and judged.

A write whose answer was lost is looked for by its version. It is sent again only where its condition makes sure
that it is not applied twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from daystore.abc import Instant, Outcome, Put, new_version
from daystore.abc.record import Operation
from daystore.errors import DaystoreError
from daystore_mongo.connection import Collection, Connection, Lost
from daystore_mongo.documents import Document, id_of
from daystore_mongo.errors import UNACKNOWLEDGED, error_of_code, unknown
from daystore_mongo.operations import LOST, Step, judge, settle, steps_of, tombstone

__all__ = ["Applier", "Numbered", "Plan", "each"]

T = TypeVar("T")
Numbered: TypeAlias = tuple[int, Operation]
"""An operation, and its place in a batch."""
Plan: TypeAlias = tuple[Numbered, Sequence[Step]]
Outcomes: TypeAlias = dict[int, Outcome]

DUPLICATE: Final = 11000
SEEN: Final = {"v": 1, "c": 1, "u": 1, "x": 1, "h": 1, "i": 1}


async def each(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all of them at once. None goes on when this was cancelled or one has failed."""
    if len(asked) == 1:
        return [await asked[0]]
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


class Applier:
    """Applies operations to a collection at an instant.

    Args:
        connection: By which to send them.
        name: Of the collection.
        now: The instant.
    """

    def __init__(self, connection: Connection, name: str, now: Instant) -> None:
        self._connection = connection
        self._collection: Collection = connection.collection(name)
        self._now = now

    # --- One operation -----------------------------------------------------------------------------------------

    async def one(self, numbered: Numbered, steps: Sequence[Step]) -> Outcomes:
        """Apply one operation, step by step, until it is done or cannot be."""
        index, operation = numbered
        try:
            return {index: await self._until_done(index, operation, steps)}
        except DaystoreError as error:
            return _failed([(numbered, steps)], error)

    async def _until_done(self, index: int, operation: Operation, steps: Sequence[Step]) -> Outcome:
        while True:
            lost: BaseException | None = None
            try:
                existed = await self._take_first(steps)
                if existed is not None:
                    return Outcome(_version(operation), existed)
            except Lost as error:
                lost = error.__cause__
            document = (await self._look_at([operation])).get(id_of(operation.key))
            decide = judge if lost is None else settle
            found = decide(operation, index, document, self._now)
            if isinstance(found, Outcome):
                return found
            if found is not None:
                raise found from lost

    async def _take_first(self, steps: Sequence[Step]) -> bool | None:
        """Take the first step that meets its condition; tell whether it met a live record, `None` if none did."""
        for step in steps:
            existed = await self._connection.write(lambda step=step: self._take(step))  # type: ignore[misc]
            if existed is not None:
                return existed
        return None

    async def _take(self, step: Step) -> bool | None:
        if step.change is None:
            deleted = await self._collection.delete_one(step.where)
            return step.existed if deleted.deleted_count else None
        try:
            updated = await self._collection.update_one(step.where, step.change, upsert=step.inserts)
        except DuplicateKeyError:
            return None
        if updated.upserted_id is not None:
            return False
        return step.existed if updated.matched_count else None

    async def _look_at(self, operations: Sequence[Operation]) -> dict[str, Document]:
        """Return what there is of the records that operations are about."""
        identifiers = [id_of(operation.key) for operation in operations]

        async def ask() -> list[Document]:
            async with self._collection.find({"_id": {"$in": identifiers}}, SEEN) as cursor:
                return await cursor.to_list()

        try:
            return {found["_id"]: found for found in await self._connection.read("write", ask)}
        except DaystoreError as error:
            raise unknown(LOST) from error

    # --- Many --------------------------------------------------------------------------------------------------

    async def bulk(self, planned: Sequence[Plan]) -> Outcomes:
        """Apply operations whose first steps insert by one request, and those that something was in the way of."""
        if len(planned) == 1:
            return await self.one(*planned[0])
        try:
            outcomes, again = await self._together(planned)
        except Lost as lost:
            return await self._settle(planned, lost.__cause__)
        except DaystoreError as error:
            return _failed(planned, error)
        return await self._rest(outcomes, again)

    async def _rest(self, outcomes: Outcomes, again: Sequence[Plan]) -> Outcomes:
        for part in await each([self.one(*plan) for plan in again]):
            outcomes |= part
        return outcomes

    async def _settle(self, planned: Sequence[Plan], cause: BaseException | None) -> Outcomes:
        """Find out what became of a bulk whose answer was lost."""
        try:
            seen = await self._look_at([operation for (_, operation), _ in planned])
        except DaystoreError as error:
            return _failed(planned, error)
        outcomes: Outcomes = {}
        again = []
        for plan in planned:
            index, operation = plan[0]
            found = settle(operation, index, seen.get(id_of(operation.key)), self._now)
            if found is None:
                again.append(plan)
            elif isinstance(found, Outcome):
                outcomes[index] = found
            else:
                found.__cause__ = cause
                outcomes[index] = Outcome(None, False, found)
        return await self._rest(outcomes, again)

    async def delete(self, numbered: Sequence[Numbered]) -> Outcomes:
        """Delete records, whatever their versions.

        They are made to tombstones by one request, whose answer tells of each whether there was a live record, and
        removed by another. What is not removed has expired for everybody, and is swept.
        """
        version = new_version()
        planned = [
            (one, [tombstone(one[1], version, self._now), *steps_of(one[1], self._now, native=False)])
            for one in numbered
        ]
        try:
            outcomes, again = await self._together(planned)
        except Lost as lost:
            error = unknown(LOST)
            error.__cause__ = lost.__cause__
            return _failed(planned, error)
        except DaystoreError as error:
            return _failed(planned, error)
        made = [id_of(operation.key) for index, operation in numbered if index in outcomes]
        with suppress(Lost, DaystoreError):
            await self._connection.write(
                lambda: self._collection.delete_many({"_id": {"$in": made}, "v": version})
            )
        return await self._rest(outcomes, [(one, steps[1:]) for one, steps in again])

    async def _together(self, planned: Sequence[Plan]) -> tuple[Outcomes, list[Plan]]:
        """Take all first steps by one request; return outcomes, and the plans that something was in the way of."""
        requests = [UpdateOne(steps[0].where, steps[0].change or {}, upsert=True) for _, steps in planned]

        async def ask() -> Mapping[str, Any]:
            try:
                return (await self._collection.bulk_write(requests, ordered=False)).bulk_api_result
            except BulkWriteError as error:
                return error.details

        answer = await self._connection.write(ask)
        inserted = {found["index"] for found in answer["upserted"]}
        codes = {found["index"]: found["code"] for found in answer["writeErrors"]}
        outcomes: Outcomes = {}
        again = []
        for place, plan in enumerate(planned):
            (index, operation), steps = plan
            code = codes.get(place)
            if code == DUPLICATE:
                again.append(plan)
            elif code is not None:
                outcomes[index] = Outcome(None, False, error_of_code(code, "write"))
            elif answer["writeConcernErrors"]:
                outcomes[index] = Outcome(None, False, unknown(UNACKNOWLEDGED))
            else:
                outcomes[index] = Outcome(_version(operation), steps[0].existed and place not in inserted)
        return outcomes, again


def _version(operation: Operation) -> str | None:
    return operation.version if isinstance(operation, Put) else None


def _failed(planned: Sequence[Plan], error: DaystoreError) -> Outcomes:
    return {index: Outcome(None, False, error) for (index, _), _ in planned}
