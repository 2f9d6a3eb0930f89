"""Mutants whose contexts are found wrongly, and whose memories lose order, entries or borders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from daystore import Context
from daystore.abc import Compare, Op, Query
from daystore.adapters.memory import MemoryAdapter
from daystore.query.builder import QueryBuilder
from daystore.storage import Storage
from daystore.stores import ContextStore, EventStore, MemoryStore
from daystore.stores.definition import Definition
from daystore.stores.memories import WINDOW, _Head, _Keys
from daystore.stores.operation import Deferral, Target
from daystore_compliance.mutants.base import mutant

__all__ = ["OwnStores"]


class OwnStores(Storage):
    """Has agent's stores of other classes. Base of mutants, and none itself."""

    context_class: type[ContextStore] = ContextStore
    memory_class: type[MemoryStore[Any]] = MemoryStore
    event_class: type[EventStore] = EventStore

    def _own(self, name: str) -> Any:
        if name in self._stores:
            return super()._own(name)
        adapter, options = self._backend_of(name), self._options(name, {})
        if name == "contexts":
            made: Any = self.context_class(adapter, name, memories=self.memories, **options)
        else:
            kind = self.memory_class if name == "memories" else self.event_class
            made = kind(adapter, name, **options)
        return self._add(name, Definition(), made)


# --- Contexts ----------------------------------------------------------------------------------------------


@mutant("ctx.by_type")
class TypesByPrefix(OwnStores):
    """by_type finds every type that begins with the name."""

    class _Contexts(ContextStore):
        def by_type(self, type: str) -> QueryBuilder[Context]:  # noqa: A002
            """Look for the beginning."""
            return self.where("type", "startswith", type)

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.active_since")
class ActiveAfter(OwnStores):
    """What was active at the very instant asked for is not found."""

    class _Contexts(ContextStore):
        def active_since(self, moment: datetime) -> QueryBuilder[Context]:
            """Look for what came later."""
            return self.where("last_active", ">", moment).order_by("last_active", "desc")

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.active_since")
class OldestFirst(OwnStores):
    """The contexts that were active come with the oldest first."""

    class _Contexts(ContextStore):
        def active_since(self, moment: datetime) -> QueryBuilder[Context]:
            """Order upwards."""
            return self.where("last_active", ">=", moment).order_by("last_active")

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.touch_archive", "ctx.in_transaction")
class TouchedBySystemClock(OwnStores):
    """touch asks the clock of the machine instead of the adapter's."""

    class _Contexts(ContextStore):
        async def touch(self, id: str) -> Context:  # noqa: A002
            """Take the time of the machine."""
            return await self.update(id, {"last_active": datetime.now(UTC)})

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.touch_archive", "ctx.touch_keeps_ttl")
class TouchCreates(OwnStores):
    """touch and archive make a context where there is none."""

    class _Contexts(ContextStore):
        async def update(self, key: str, change: Any, **options: Any) -> Context:
            """Begin with a bare one."""
            return await super().update(key, change, default=Context(key), **options)

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.touch_keeps_ttl")
class TouchMakesImmortal(OwnStores):
    """touch takes the deadline of a context away."""

    class _Contexts(ContextStore):
        async def update(self, key: str, change: Any, **options: Any) -> Context:
            """Write without a deadline."""
            return await super().update(key, change, ttl=None, **options)

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.concurrent_changes")
class ReadsThenSets(OwnStores):
    """A context is updated by reading it and writing it, whoever wrote in between."""

    class _Contexts(ContextStore):
        async def update(self, key: str, change: Any, **options: Any) -> Context:
            """Read, wait, write."""
            found = await self.get(key)
            if found is None:
                raise KeyError(key)
            changed = await change(found) if callable(change) else replace(found, **change)
            await asyncio.sleep(0)
            await self.set(key, changed)
            return changed

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.round_trip")
class StoresWorkingMemory(OwnStores):
    """A context that was read is taken to have an empty working memory."""

    class _Contexts(ContextStore):
        async def get(self, key: str, default: Any = None, **options: Any) -> Any:
            """Attach nothing as if it were something."""
            found = await super().get(key, default, **options)
            if isinstance(found, Context):
                found._working_memory = []
            return found

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.indexes")
class AgentsNotIndexed(MemoryAdapter):
    """The agent of a context is indexed when it is created, and not when it changes."""

    def _apply(self, operation: Any, now: int) -> Any:
        old = self._find(operation.collection, operation.key, now)
        fields = getattr(operation, "fields", {})
        if old is not None and "agent_id" in fields and "agent_id" in old.fields:
            operation = replace(operation, fields={**fields, "agent_id": old.fields["agent_id"]})
        return super()._apply(operation, now)


@mutant("ctx.working_memory")
class MemoryOfItsOwnId(OwnStores):
    """The working memory of a context is the one of its id, whatever memory it names."""

    class _Contexts(ContextStore):
        async def _load_working_memory(self, contexts: list[Context], limit: int | None) -> None:
            windows = await self._memories.windows([c.id for c in contexts], limit or WINDOW)  # type: ignore[union-attr]
            for context in contexts:
                context._working_memory = windows[context.id]

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.shared_memory")
class OneListForAll(OwnStores):
    """Contexts of one memory share one list."""

    class _Contexts(ContextStore):
        async def _load_working_memory(self, contexts: list[Context], limit: int | None) -> None:
            await super()._load_working_memory(contexts, limit)
            lists: dict[str, list[Any]] = {}
            for context in contexts:
                name = context.memory_id or context.id
                context._working_memory = lists.setdefault(name, context.working_memory)

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.shared_memory")
class HundredMemories(OwnStores):
    """Of many contexts a hundred get their working memory."""

    class _Contexts(ContextStore):
        async def _load_working_memory(self, contexts: list[Context], limit: int | None) -> None:
            await super()._load_working_memory(contexts[:100], limit)
            for context in contexts[100:]:
                context._working_memory = []

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.working_memory")
class NoneIsAll(OwnStores):
    """No working memory asked for is the usual one."""

    class _Contexts(ContextStore):
        async def _load_working_memory(self, contexts: list[Context], limit: int | None) -> None:
            await super()._load_working_memory(contexts, limit or None)

    context_class: type[ContextStore] = _Contexts


@mutant("ctx.in_transaction")
class MemoryFromOutside(OwnStores):
    """In a transaction working memories are loaded from outside it."""

    class _Contexts(ContextStore):
        def bound(self, target: Target, defer: Deferral) -> Any:
            """Keep the memories of the storage."""
            store = super().bound(target, defer)
            store._memories = self._memories
            return store

    context_class: type[ContextStore] = _Contexts


# --- Memories ----------------------------------------------------------------------------------------------


class _Numbered(MemoryStore[Any]):
    """Appends by looking for the last entry. Base of mutants."""

    async def position(self, memory_id: str) -> int:
        """Return where the next entry goes."""
        last = await self.of(memory_id).order_by("key", "desc").limit(1).keys()
        return _Keys(memory_id).position(last[0]) + 1 if last else 0

    async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
        """Put the entries after the last one."""
        values = list(entries)
        start = await self.position(memory_id)
        await asyncio.sleep(0)
        items = {_Keys(memory_id).at(start + place): value for place, value in enumerate(values)}
        await self.set_batch(items, atomic=True, **options)
        return list(items)


@mutant("mem.many_writers")
class AppendsByLooking(OwnStores):
    """An append looks for the last entry and writes after it, whoever else does the same."""

    memory_class: type[MemoryStore[Any]] = _Numbered


@mutant("mem.deleted_entries")
class PositionIsCount(OwnStores):
    """The next entry is numbered by how many there are."""

    class _Counted(MemoryStore[Any]):
        async def _head(self, keys: _Keys) -> _Head:
            head = await super()._head(keys)
            return replace(head, next=await self.count(keys.memory_id))

    memory_class: type[MemoryStore[Any]] = _Counted


@mutant("mem.append")
class OrderOfTheWatch(OwnStores):
    """Entries are numbered by the clock."""

    class _Timed(_Numbered):
        async def position(self, memory_id: str) -> int:
            """Return the time."""
            return self.adapter.clock() % 16**11 + await self.count(memory_id)

    memory_class: type[MemoryStore[Any]] = _Timed


@mutant("mem.window", "ctx.working_memory")
class FirstEntries(OwnStores):
    """Many windows at once are the first entries."""

    class _First(MemoryStore[Any]):
        async def windows(self, memory_ids: Iterable[str], size: int = WINDOW) -> dict[str, list[Any]]:
            """Return beginnings."""
            if size < 0:
                raise ValueError("negative")
            return {one: await self.of(one).limit(size).execute() for one in memory_ids}

    memory_class: type[MemoryStore[Any]] = _First


@mutant("mem.window")
class WindowOfOneMore(OwnStores):
    """A window of nothing is a window of one."""

    class _AtLeastOne(MemoryStore[Any]):
        async def window(self, memory_id: str, size: int = WINDOW, **options: Any) -> list[Any]:
            """Return one at least."""
            return await super().window(memory_id, size or 1, **options)

    memory_class: type[MemoryStore[Any]] = _AtLeastOne


@mutant("mem.deleted_entries")
class ShortWindows(OwnStores):
    """Windows are short by the entries that were deleted in them."""

    class _Short(MemoryStore[Any]):
        async def windows(self, memory_ids: Iterable[str], size: int = WINDOW) -> dict[str, list[Any]]:
            """Look at the last places alone."""
            found = {}
            for memory_id in memory_ids:
                keys = _Keys(memory_id)
                head = await self._head(keys)
                places = [keys.at(n) for n in range(max(0, head.next - size), head.next)]
                found[memory_id] = list((await self.get_batch(places)).values())
            return found

    memory_class: type[MemoryStore[Any]] = _Short


@mutant("mem.families")
class ByPrefix(OwnStores):
    """The entries of a memory are those whose keys begin with its id."""

    class _Prefixed(MemoryStore[Any]):
        async def window(self, memory_id: str, size: int = WINDOW, **options: Any) -> list[Any]:
            """Look for the beginning."""
            where = Compare("key", Op.STARTSWITH, memory_id)
            return await QueryBuilder(self._source, Query(self.collection, where)).execute()

    memory_class: type[MemoryStore[Any]] = _Prefixed


@mutant("mem.ids")
class LongIdsCut(OwnStores):
    """The id of a memory is cut where it is too long."""

    class _Cut(MemoryStore[Any]):
        async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
            """Cut."""
            fits = memory_id[:243] if memory_id.isascii() and "/" not in memory_id else memory_id
            return await super().append(fits, entries, **options)

    memory_class: type[MemoryStore[Any]] = _Cut


@mutant("mem.all_or_none")
class AppendsOneByOne(OwnStores):
    """Entries are appended one after the other until one is refused."""

    class _Singly(MemoryStore[Any]):
        async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
            """Append each."""
            if isinstance(entries, (str, bytes, dict)):
                raise TypeError("put it into a list")
            keys: list[str] = []
            for one in entries:
                keys += await super().append(memory_id, [one], **options)
            return keys

    memory_class: type[MemoryStore[Any]] = _Singly


@mutant("mem.all_or_none")
class OneForMany(OwnStores):
    """A text that is appended is taken for its characters."""

    class _Iterates(MemoryStore[Any]):
        async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
            """Take whatever can be iterated over."""
            return await super().append(memory_id, list(entries), **options)

    memory_class: type[MemoryStore[Any]] = _Iterates


@mutant("mem.large_append", "mem.clear")
class ClearsAThousand(OwnStores):
    """Clearing a memory deletes a page of it at most, and leaves its bookkeeping."""

    class _Page(MemoryStore[Any]):
        async def clear(self, memory_id: str | None = None) -> int:
            """Delete a page."""
            keys = await (self.all() if memory_id is None else self.of(memory_id)).limit(500).keys()
            return await self.delete_batch(keys)

    memory_class: type[MemoryStore[Any]] = _Page


@mutant("mem.expiry")
class HeadDiesFirst(OwnStores):
    """The bookkeeping of a memory expires with its latest append, and is begun anew beside what is left."""

    class _Forgetful(MemoryStore[Any]):
        async def _head(self, keys: _Keys) -> _Head:
            head = await super()._head(keys)
            record = (await self._access.target.read(self._heads, [keys.memory_id]))[0]
            return head if record is not None else replace(head, next=0)

    memory_class: type[MemoryStore[Any]] = _Forgetful


@mutant("mem.expiry")
class AppendsForEver(OwnStores):
    """The store's own time to live is not that of what is appended."""

    class _ForEver(MemoryStore[Any]):
        async def append(self, memory_id: str, entries: Iterable[Any], *, ttl: Any = None) -> list[str]:
            """Append without a deadline unless one is given."""
            return await super().append(memory_id, entries, ttl=ttl)

    memory_class: type[MemoryStore[Any]] = _ForEver


@mutant("mem.in_transaction")
class AppendsAside(OwnStores):
    """In a transaction the bookkeeping of a memory is read outside it, so that appends overwrite each other."""

    class _Aside(MemoryStore[Any]):
        _outside: MemoryStore[Any] | None = None

        def bound(self, target: Target, defer: Deferral) -> Any:
            """Remember the store outside."""
            store = super().bound(target, defer)
            store._outside = self
            return store

        async def _head(self, keys: _Keys) -> _Head:
            return await super()._head(keys) if self._outside is None else await self._outside._head(keys)

    memory_class: type[MemoryStore[Any]] = _Aside
