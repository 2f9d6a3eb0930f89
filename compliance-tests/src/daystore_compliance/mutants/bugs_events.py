"""Real bugs of events: numbered twice, out of order, lost late, or apart from what was committed with them."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from daystore import Event
from daystore.abc import Outcome, Put, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.stores import EventStore
from daystore.stores.operation import Deferral, Target
from daystore_compliance.mutants.agent_stores import OwnStores
from daystore_compliance.mutants.base import mutant


class _EmitsTwice(EventStore):
    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        event = await super().emit(type, payload, context_id=context_id)
        again = replace(event, id=self._ids.next())
        await self.set(again.id, again)
        return event


@mutant("evt.in_commit", "evt.order_per_context", "txn.agent_stores", bugs=("etcd-io/etcd#17247",))
class EmitsTwice(OwnStores):
    """An event is stored twice, under two ids."""

    event_class: type[EventStore] = _EmitsTwice


class _SkipsAtBoundary(EventStore):
    async def read(self, *, after: str | None = None, **options: Any) -> list[Event]:
        found = await super().read(after=after, **options)
        return found if after is None or await self.exists(after) else found[1:]


@mutant("evt.read_after", "evt.retention", bugs=("etcd-io/etcd#19179",))
class SkipsAtBoundary(OwnStores):
    """Reading on after an event that is no longer kept skips the one that follows."""

    event_class: type[EventStore] = _SkipsAtBoundary


@mutant("evt.late_commit", bugs=("k3s-io/kine#226",))
class FillsGaps(MemoryAdapter):
    """Numbers below the newest event are taken for gaps, and an event that commits late under one is lost."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        newest = max(self._collections.get("events", {}), default="")
        late = [o for o in batch.operations if o.collection == "events" and o.key < newest]
        kept = [o for o in batch.operations if o not in late or not isinstance(o, Put)]
        outcomes = iter(await super()._write(replace(batch, operations=kept)))
        return [next(outcomes) if o in kept else Outcome(None, existed=False) for o in batch.operations]


class _SameNumber(EventStore):
    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        last = await self.all().order_by("key", "desc").first()
        self._ids._last = max(self.adapter.clock() - 1, int(last.id, 16) if last else 0)
        await asyncio.sleep(0)  # the other one looks
        event = Event(f"{self._ids._last + 1:014x}", type, payload, context_id)
        await self.set(event.id, event)
        return event


@mutant("evt.unique", bugs=("temporalio/temporal#2802",))
class NumbersAfterTheLast(OwnStores):
    """The number of an event is one more than the last that is found, and two at once get the same."""

    event_class: type[EventStore] = _SameNumber


class _HashOrder(EventStore):
    async def read(self, *, limit: int | None = None, **options: Any) -> list[Event]:
        found = await super().read(**options)
        return sorted(found, key=lambda event: hashlib.sha256(event.id.encode()).digest())[:limit]


@mutant("evt.order_per_context", "evt.in_commit", "evt.filters", bugs=("temporalio/temporal#7922",))
class NoOrder(OwnStores):
    """Events are read without an order."""

    event_class: type[EventStore] = _HashOrder


@mutant("evt.with_record", bugs=("dapr/dapr#6788",))
class EventsFirst(MemoryAdapter):
    """The events of a commit can be read before what they tell of."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        events = [o for o in batch.operations if o.collection == "events"]
        if not batch.atomic or not events or len(events) == len(batch.operations):
            return await super()._write(batch)
        now = self.clock()
        for index, operation in enumerate(batch.operations):
            if conflict := self._conflict(operation, index, now):
                raise conflict
        for check in batch.queries:
            self._check_query(check, batch.own)
        outcomes = {id(operation): self._apply(operation, now) for operation in events}
        await asyncio.sleep(0)
        for operation in batch.operations:
            if id(operation) not in outcomes:
                outcomes[id(operation)] = self._apply(operation, now)
        return [outcomes[id(operation)] for operation in batch.operations]


_topics: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, EventStore]] = WeakKeyDictionary()


class _FirstTopic(EventStore):
    async def set(self, key: str, value: Event, **options: Any) -> str:
        topics = _topics.setdefault(asyncio.get_running_loop(), {})
        topic = topics.setdefault(self.name, self)
        if topic.adapter is self.adapter:
            return await super().set(key, value, **options)
        return await EventStore.set(topic, key, value, **options)


@mutant("evt.stores_apart", bugs=("dapr/dapr#7964",))
class FirstTopicOnly(OwnStores):
    """Topics are kept by the name of their store, and all storages emit to the first one's."""

    event_class: type[EventStore] = _FirstTopic


# --- Their nearest relatives -------------------------------------------------------------------------------


class _EmitsOutside(EventStore):
    _outside: EventStore | None = None
    _defer: Deferral | None = None

    def bound(self, target: Target, defer: Deferral) -> _EmitsOutside:
        """Remember where the others write, and what to do after the commit."""
        store = super().bound(target, defer)
        store._outside, store._defer = self, defer
        return store

    async def set(self, key: str, value: Event, **options: Any) -> str:
        return await EventStore.set(self._outside or self, key, value, **options)


@mutant("evt.in_commit", "evt.retried_once", "txn.agent_stores")
class EmitsOutside(OwnStores):
    """Events of a transaction are written at once."""

    event_class: type[EventStore] = _EmitsOutside


class _EmitsAfterwards(_EmitsOutside):
    async def set(self, key: str, value: Event, **options: Any) -> str:
        outside = self._outside
        if outside is None or self._defer is None:
            return await super().set(key, value, **options)

        async def after() -> None:
            await outside.set(key, value, **options)

        async def failed(error: BaseException) -> None:
            pass

        self._defer(after, failed)
        return ""


@mutant("evt.in_commit", "evt.with_record")
class EmitsAfterwards(OwnStores):
    """Events of a transaction are written after its commit, by themselves."""

    event_class: type[EventStore] = _EmitsAfterwards


class _AfterIsInclusive(EventStore):
    async def read(self, *, after: str | None = None, **options: Any) -> list[Event]:
        return await super().read(after=None if after is None else after[:-1], **options)


@mutant("evt.read_after", "evt.filters")
class ReadsLastAgain(OwnStores):
    """Reading on after an event returns it again."""

    event_class: type[EventStore] = _AfterIsInclusive


class _ByTheClock(EventStore):
    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        self._ids._last = 0
        return await super().emit(type, payload, context_id=context_id)


@mutant("evt.order_per_context", "evt.in_commit")
class OrderOfTheClock(OwnStores):
    """The order of events is that of the clock alone, also when it stands still or is set back."""

    event_class: type[EventStore] = _ByTheClock


class _OneAnInstant(EventStore):
    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        event = await super().emit(type, payload, context_id=context_id)
        await self.delete(event.id)
        short = replace(event, id=event.id[:14])
        await self.set(short.id, short)
        return short


@mutant("evt.unique")
class OneAnInstant(OwnStores):
    """The id of an event is its instant: of two processes at one instant one loses its event."""

    event_class: type[EventStore] = _OneAnInstant


class _PayloadDecides(EventStore):
    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        if isinstance(payload, dict) and payload.get("context_id") is not None:
            context_id = str(payload["context_id"])
        return await super().emit(type, payload, context_id=context_id)


@mutant("evt.payload")
class PayloadDecides(OwnStores):
    """What a payload calls its context is taken for it, whatever it is and whatever was given."""

    event_class: type[EventStore] = _PayloadDecides


@mutant("evt.many_in_commit")
class ThousandEventsACommit(MemoryAdapter):
    """Of a large commit a thousand events are kept."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        extra = [o for o in batch.operations if o.collection == "events"][1000:] if batch.atomic else []
        for operation in extra:
            self._collections["events"].pop(operation.key, None)
        return outcomes


@mutant("evt.filters")
class OneFilterForEvents(OwnStores):
    """Of context and type only one is looked at."""

    class _OneFilter(EventStore):
        async def read(self, *, context_id: str | None = None, **options: Any) -> list[Event]:
            """Forget the type where there is a context."""
            if context_id is not None:
                options["type"] = None
            return await super().read(context_id=context_id, **options)

    event_class: type[EventStore] = _OneFilter


@mutant("evt.filters")
class EmptyContextIsNone(OwnStores):
    """The context of the empty name is none."""

    class _Named(EventStore):
        async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
            """Look whether there is a name."""
            return await super().emit(type, payload, context_id=context_id or None)

    event_class: type[EventStore] = _Named
