"""`EventStore`: what happened, in order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Unpack

from daystore.abc.adapter import Adapter
from daystore.abc.clock import Clock, Instant
from daystore.stores.definition import StoreOptions, with_indexes
from daystore.stores.store import Store

__all__ = ["Event", "EventStore"]

INDEXES = ("type", "context_id")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        id: Its key. Ids order by time.
        type: What happened, such as ``"context.updated"``.
        payload: Any plain value.
        context_id: The context it belongs to, if any.
    """

    id: str
    type: str
    payload: Any = None
    context_id: str | None = None


class EventStore(Store[Event]):
    """Events in the order of their ids.

    An id is the instant at which the event was emitted, in microseconds, and a random part: later ids of one
    process are always higher, also if its clock stands still or is set back. Between processes the order is
    that of their clocks, and a transaction that commits late brings its events late, under the ids that they
    were given first.

    Args:
        adapter: The backend.
        name: Name of the store.
        options: As for `Store`, but for `indexes`.
    """

    def __init__(self, adapter: Adapter, name: str = "events", **options: Unpack[StoreOptions]) -> None:
        super().__init__(adapter, name, Event, **with_indexes(options, INDEXES))
        self._ids = _Ids(adapter.clock)

    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        """Record that something happened. In a transaction it happened only if that commits.

        Args:
            type: What happened.
            payload: Any plain value.
            context_id: The context it belongs to; what the payload names as ``context_id`` unless given.

        Returns:
            The event with its id.

        Raises:
            SerializationError: If the payload would not come back equal.
        """
        if context_id is None and isinstance(payload, dict) and isinstance(payload.get("context_id"), str):
            context_id = payload["context_id"]
        event = Event(self._ids.next(), type, payload, context_id)
        await self.set(event.id, event)
        return event

    async def read(
        self,
        *,
        context_id: str | None = None,
        type: str | None = None,  # noqa: A002
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """Return events in order.

        Args:
            context_id: Only those of this context.
            type: Only those of this type.
            after: The id of the last event that is known already; ``None`` to begin at the beginning.
            limit: Most events to return.

        Raises:
            ValueError: If the limit is negative.
        """
        query = self.all().limit(limit)
        if context_id is not None:
            query = query.where("context_id", "=", context_id)
        if type is not None:
            query = query.where("type", "=", type)
        if after is not None:
            query = query.where("key", ">", after)
        return await query.execute()


class _Ids:
    """Makes ids that order by time, and never one that is not higher than the one before."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: Instant = 0

    def next(self) -> str:
        self._last = max(self._clock(), self._last + 1)
        return f"{self._last:014x}{os.urandom(6).hex()}"
