"""Mutants of stores: what a user holds, with a shortcut that is not quite right."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from daystore.abc import Query, Record
from daystore.abc.record import Delete, Put
from daystore.storage import Storage
from daystore.stores import Store
from daystore.stores.contexts import Context, ContextStore
from daystore.stores.events import Event, EventStore
from daystore.stores.memories import WINDOW, MemoryStore
from daystore.stores.rewriting import rewrite
from daystore_compliance.mutants.base import mutant


class Own(Storage):
    """A storage with stores of other classes. It breaks nothing."""

    kinds: ClassVar[Mapping[str, Any]] = {}

    def _own(self, name: str) -> Store[Any]:
        if name in self._stores or name not in self.kinds:
            return super()._own(name)
        from daystore.stores.definition import Definition

        more: dict[str, Any] = {"memories": self.memories} if name == "contexts" else {}
        store = self.kinds[name](self._backend_of(name), name, **more, **self._options(name, {}))
        return self._add(name, Definition(), store)


# §2: "`get(key, default)` returns the value, or the default if there is no live record."
@mutant("miss.falsy")
class EmptyContainersAreTheDefault(Store[Any]):
    """Returns the default for a stored empty list or dict."""

    async def get(self, key: str, default: Any = None, **options: Any) -> Any:
        """Take emptiness for absence."""
        value = await super().get(key, default, **options)
        return default if value in ([], {}) else value


# §2: "`ttl(key)` tells the deadline"; §9: to the millisecond.
@mutant("ttl.expire_always")
class TtlIsInSeconds(Store[Any]):
    """Tells the time to live in whole seconds."""

    async def ttl(self, key: str) -> timedelta | None:
        """Cut."""
        left = await super().ttl(key)
        return None if left is None else timedelta(seconds=left // timedelta(seconds=1))


# §2: "`expire(key, ttl)` sets the deadline": nothing else of the record changes but its version.
@mutant("ttl.expire_always")
class ExpireForgetsTheIndex(Store[Any]):
    """Writes a record without its fields when it sets a deadline: no query finds it."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Leave the fields out."""
        expiry = self._access.expiry(ttl)

        async def attempt(record: Record | None) -> tuple[Put | None, bool]:
            if record is None:
                return None, False
            put = self._access.codec.again(record, expiry)
            return (put if ttl is None else replace(put, fields={})), True

        return await rewrite(self._access, "expire", key, attempt)


# §2: the builtin `update` takes a patch "whose items replace those of the value".
@mutant("cas.update_patch_shallow")
class PatchesMergeDeeply(Store[Any]):
    """Merges a dict in a patch with the dict that is there, where it should replace it."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Merge."""
        if not isinstance(change, Mapping):
            return await super().update(key, change, **options)

        def merged(value: Any) -> Any:
            patch = dict(change)
            if isinstance(value, dict):
                for name, item in change.items():
                    if isinstance(item, dict) and isinstance(value.get(name), dict):
                        patch[name] = {**value[name], **item}
            return self._access.codec.shape.merge(value, patch)

        return await super().update(key, merged, **options)


# §6: "`update` […] tries again with fresh data when somebody else was faster."
@mutant("cas.update_fresh_argument", bugs=("http4k/http4k#1598",))
class RetriesKeepTheFirstValue(Store[Any]):
    """Hands, after a conflict, the value of the first attempt to the function again."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Remember it."""
        if isinstance(change, Mapping):
            return await super().update(key, change, **options)
        seen: list[Any] = []

        def once(value: Any) -> Any:
            if not seen:
                seen.append(copy.deepcopy(value))
            return change(copy.deepcopy(seen[0]))

        return await super().update(key, once, **options)


# §9: "`ttl=None` overrides it."
@mutant("ttl.updates", bugs=("matthiasmullie/scrapbook#51",))
class UpdateCannotPersist(Store[Any]):
    """Takes ``ttl=None`` in an update for no ttl at all: the record keeps its deadline."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Drop it."""
        if options.get("ttl", 0) is None:
            del options["ttl"]
        return await super().update(key, change, **options)


# §7: "`delete_batch(keys)` returns how many of the keys existed."
@mutant("batch.store_order")
class DeletedKeysAreCountedAsAsked(Store[Any]):
    """Counts a key that is asked for twice twice, if it existed."""

    async def delete_batch(self, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Count it again."""
        asked = list(keys)
        there = set(await self.entries(dict.fromkeys(asked)))
        await super().delete_batch(asked, atomic=atomic)
        return sum(key in there for key in asked)


# §2: "`clear()` deletes every record of the collection in this namespace."
@mutant("del.clear_scoped", bugs=("sulu/SuluArticleBundle#108",))
class ClearSkipsEverySecondPage(Store[Any]):
    """Goes on in a collection that it clears by offset: what moved forward meanwhile is passed over."""

    async def _clear(self, where: Any) -> int:
        offset, deleted = 0, 0
        while True:
            query = Query(self.collection, where, limit=1000, offset=offset, allow_scan=True)
            async with self._access.operation("clear", query=query) as operation:
                page = await operation.query(query, self._access.freshest)
                changes: list[Put | Delete] = [Delete(self.collection, r.key) for r in page.records]
                deleted += sum(outcome.existed for outcome in await operation.write(changes))
            if len(page.records) < 1000:
                return deleted
            offset += 1000


# §7: "`get_batch(keys)` returns a dictionary in the order asked."
@mutant("batch.many_by_key", bugs=("basho/riak-python-client#477",))
class EntriesComeSorted(Store[Any]):
    """Returns entries of more than eight keys in the order of their keys."""

    async def entries(self, keys: Iterable[str], **options: Any) -> Any:
        """Sort."""
        found = await super().entries(keys, **options)
        return dict(sorted(found.items())) if len(found) > 8 else found


# --- Memories: what `append` and the docstrings of `MemoryStore` say


class _NoFallback(MemoryStore[Any]):
    async def windows(self, memory_ids: Iterable[str], size: int = WINDOW) -> dict[str, list[Any]]:
        """Return what stands at the last positions, however little."""
        ids = list(memory_ids)
        found = {}
        for memory_id in ids:
            entries = await self.of(memory_id).entries()
            head = (await self._access.target.read(self._heads, [memory_id]))[0]
            end = head.fields["next"] if head is not None else 0
            wanted = [e for e in entries if int(e.key.rpartition("/")[2], 16) >= end - size]  # type: ignore[operator]
            found[memory_id] = [entry.value for entry in wanted]
        return found


# "Return the last entries of a memory": `.include("working_memory")` shows the window.
@mutant("mem.deleted_entries")
class WindowsShrinkByDeletes(Own):
    """Shows fewer entries in the working memory of a context when the last ones were deleted."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _NoFallback}


class _Counting(MemoryStore[Any]):
    async def _head(self, keys: Any) -> Any:
        head = await super()._head(keys)
        count = await super().count(keys.memory_id)
        return replace(head, next=count)


# "the order of entries is the order of appends".
@mutant("mem.deleted_entries")
class NextPositionIsTheCount(Own):
    """Appends at the position that is the number of entries: after a delete it writes over the last one."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _Counting}


class _ZeroIsDefault(MemoryStore[Any]):
    async def windows(self, memory_ids: Iterable[str], size: int = WINDOW) -> dict[str, list[Any]]:
        """Take no size for the default."""
        return await super().windows(memory_ids, size or WINDOW)


# "`limit`: Most related items of each result".
@mutant("ctx.working_memory")
class NoWorkingMemoryIsTheDefault(Own):
    """Includes the usual number of entries where a limit of 0 asks for none."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _ZeroIsDefault}


class _SlashFirst(MemoryStore[Any]):
    @staticmethod
    def _slashed(memory_id: str) -> str:
        return memory_id.replace("~1", "/") if "~1" in memory_id else memory_id

    async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
        """Escape in the wrong order."""
        return await super().append(self._slashed(memory_id), entries, **options)

    async def window(self, memory_id: str, size: int = WINDOW, **options: Any) -> list[Any]:
        """Escape in the wrong order."""
        return await super().window(self._slashed(memory_id), size, **options)


# "No two memories share one [key]"; §4: "Distinct strings are distinct keys".
@mutant("mem.families")
class MemoriesEscapeTwice(Own):
    """Escapes the slash before the tilde: the memories ``a/b`` and ``a~1b`` are one."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _SlashFirst}


class _NewestFirst(MemoryStore[Any]):
    async def append(self, memory_id: str, entries: Iterable[Any], **options: Any) -> list[str]:
        """Turn around what is more than ten."""
        found = entries if isinstance(entries, (str, bytes, Mapping)) else list(entries)
        if isinstance(found, list) and len(found) > 10:
            keys = await super().append(memory_id, found[::-1], **options)
            return keys[::-1]
        return await super().append(memory_id, found, **options)


# "Add entries at the end of a memory, one after the other".
@mutant("mem.large_append", bugs=("langflow-ai/langflow#9186",))
class LongAppendsAreTurnedAround(Own):
    """Appends more than ten entries at once in the reverse order."""

    kinds: ClassVar[Mapping[str, Any]] = {"memories": _NewestFirst}


# --- Events: they are in the order of their ids, which only rise


class _SetBack(EventStore):
    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        """Follow the clock when it goes back."""
        now = self._access.target.clock()
        if now < self._ids._last - 1_000_000:
            self._ids._last = now - 1
        return await super().emit(type, payload, context_id=context_id)


@mutant("evt.order_per_context", bugs=("status-im/status-app#8153",))
class IdsFollowTheClockBack(Own):
    """Gives events lower ids than before when the clock is set back by more than a second."""

    kinds: ClassVar[Mapping[str, Any]] = {"events": _SetBack}


class _Filtered(EventStore):
    async def read(
        self,
        *,
        context_id: str | None = None,
        type: str | None = None,  # noqa: A002
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """Filter by type what was found with the limit."""
        found = await super().read(context_id=context_id, after=after, limit=limit)
        return [event for event in found if type is None or event.type == type]


# "`limit`: Most events to return": of those of the type.
@mutant("evt.filters", bugs=("oceanbase/powercontext#1014",))
class EventsAreFilteredAfterTheLimit(Own):
    """Filters events by their type after it has cut them at the limit."""

    kinds: ClassVar[Mapping[str, Any]] = {"events": _Filtered}


class _PayloadWins(EventStore):
    async def emit(self, type: str, payload: Any = None, *, context_id: str | None = None) -> Event:  # noqa: A002
        """Prefer the payload."""
        if isinstance(payload, dict) and isinstance(payload.get("context_id"), str):
            context_id = payload["context_id"]
        return await super().emit(type, payload, context_id=context_id)


# An event belongs to the context that was given, and to that of its payload only if none was.
@mutant("evt.payload")
class PayloadNamesTheContext(Own):
    """Lets the payload of an event name its context although one was given."""

    kinds: ClassVar[Mapping[str, Any]] = {"events": _PayloadWins}


# --- Contexts


class _FirstOnly(ContextStore):
    def _relations(self) -> Any:
        return {"working_memory": self._load_once}

    async def _load_once(self, contexts: Sequence[Context], limit: int | None) -> None:
        await self._load_working_memory(list(contexts), limit)
        seen: set[str] = set()
        for context in contexts:
            memory = context.memory_id or context.id
            if memory in seen:
                context._working_memory = []
            seen.add(memory)


# "`memory_id`: The memory that belongs to it": two contexts may share one.
@mutant("ctx.shared_memory")
class SharedMemoryIsShownOnce(Own):
    """Shows a memory that belongs to several contexts of a result in the first of them only."""

    kinds: ClassVar[Mapping[str, Any]] = {"contexts": _FirstOnly}


def _as_it_is(context: Context) -> Context:
    return context


class _Creating(ContextStore):
    async def touch(self, id: str) -> Context:  # noqa: A002
        """Begin a context that is not there."""
        return await self.update(id, _as_it_is, default=Context(id))


# There has to be a context of that id, else it is a `KeyError`.
@mutant("ctx.touch_archive")
class TouchBeginsAContext(Own):
    """Makes a context of an id that there is none of, when it is touched."""

    kinds: ClassVar[Mapping[str, Any]] = {"contexts": _Creating}
