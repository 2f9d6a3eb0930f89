"""Status records: what has become of a transaction, decided by one conditional write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import orjson

from daystore.abc.coordination.participant import Participant
from daystore.abc.query import Query
from daystore.abc.record import ABSENT, Delete, Expect, Put, Record, Version, WriteBatch
from daystore.errors import CorruptRecord

__all__ = ["STATUS_COLLECTION", "Place", "Status", "StatusLog", "StatusRecord"]

STATUS_COLLECTION: Final = "daystore_transactions"
"""The collection of the status records, in the namespace of the coordinator."""

Place = tuple[str, str, str]
"""Name of a backend (empty for the coordinator itself), collection and key."""


class Status(Enum):
    """Where a transaction stands."""

    PENDING = "pending"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """What a status record says.

    Attributes:
        transaction: The transaction.
        version: Version of the record; each beat of the heart changes it.
        status: Where it stands.
        places: Where its intents are; known once it has committed.
    """

    transaction: bytes
    version: Version
    status: Status
    places: tuple[Place, ...] = ()


class StatusLog:
    """The status records of one coordinator.

    Args:
        participant: The adapter that has them.
    """

    __slots__ = ("_participant",)

    def __init__(self, participant: Participant) -> None:
        self._participant = participant

    async def create(self, transaction: bytes) -> Version:
        """Begin a transaction, as pending.

        Raises:
            DaystoreError: If it cannot be told that the record is there. Then nothing may be prepared.
        """
        return await self._put(transaction, Status.PENDING, (), ABSENT)

    async def change(
        self, transaction: bytes, at: Version, status: Status, places: Sequence[Place] = ()
    ) -> Version:
        """Decide, or beat.

        Raises:
            VersionConflict: If the record is not at that version any more.
            OutcomeUnknown: If it cannot be told whether it was changed.
        """
        return await self._put(transaction, status, places, at)

    async def read(self, transaction: bytes) -> StatusRecord | None:
        """Return what is known of a transaction; ``None`` means that it has aborted, or is long done.

        Raises:
            CorruptRecord: If the record cannot be read.
        """
        record = await self._participant.get(STATUS_COLLECTION, transaction.hex())
        return None if record is None else _status_record(record)

    async def remove(self, transaction: bytes, at: Version) -> None:
        """Forget a transaction none of whose intents is left."""
        await self._write(Delete(STATUS_COLLECTION, transaction.hex(), at))

    async def all(self) -> list[StatusRecord]:
        """Return every status record that there is."""
        page = await self._participant.query(Query(STATUS_COLLECTION))
        return [_status_record(record) for record in page.records]

    async def _put(
        self, transaction: bytes, status: Status, places: Sequence[Place], expect: Expect | Version
    ) -> Version:
        value = orjson.dumps({"status": status.value, "places": places})
        put = Put(STATUS_COLLECTION, transaction.hex(), value, expect, content_type="application/json")
        await self._write(put)
        return put.version

    async def _write(self, operation: Put | Delete) -> None:
        outcome = (await self._participant.write(WriteBatch((operation,))))[0]
        if outcome.error is not None:
            raise outcome.error


def _status_record(record: Record) -> StatusRecord:
    try:
        said = orjson.loads(record.value)
        return StatusRecord(
            bytes.fromhex(record.key),
            record.version,
            Status(said["status"]),
            tuple((backend, collection, key) for backend, collection, key in said["places"]),
        )
    except (orjson.JSONDecodeError, KeyError, ValueError, TypeError) as error:
        raise CorruptRecord(
            "the status record of a transaction cannot be read", collection=STATUS_COLLECTION, key=record.key
        ) from error
