"""`MemoryStore`: what an agent remembers, entry after entry.

Each entry is a record of its own, so adding one costs the same however long the memory is. Its key is the
memory's id and the entry's position, ``m1/00000000002a``. The next position stands in a record beside them
(the *head*, in a collection of its own), which every append moves on in the same atomic batch, and only if
nobody else did meanwhile. So the order of entries is the order of appends, across tasks and processes and
whatever their clocks say. Where there is no head, a memory goes on after its last entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, Unpack, cast, overload

from daystore.abc.adapter import Adapter
from daystore.abc.capabilities import Consistency
from daystore.abc.clock import Instant
from daystore.abc.names import MAX_KEY_BYTES, check_collection, check_key
from daystore.abc.query import Compare, Op, Order, Query
from daystore.abc.record import ABSENT, Delete, Expectation, Put, Record, WriteBatch, new_version
from daystore.errors import CorruptRecord, InvalidKey
from daystore.query.builder import PAGE_SIZE, QueryBuilder
from daystore.query.filter import QueryFilter
from daystore.stores.access import raise_failed
from daystore.stores.definition import StoreOptions
from daystore.stores.expiry import NOT_GIVEN, NotGiven, Ttl
from daystore.stores.operation import Operation
from daystore.stores.rewriting import in_turns
from daystore.stores.store import Store

__all__ = ["MAX_MEMORY_ID_BYTES", "WINDOW", "MemoryStore"]

T = TypeVar("T")

_DIGITS = 12
_HEADS = "_heads"

MAX_MEMORY_ID_BYTES = MAX_KEY_BYTES - 1 - _DIGITS
"""Longest id of a memory in UTF-8, in which ``/`` and ``~`` count twice: 243 bytes."""

WINDOW = 20
"""Entries of a window, unless another number is asked for."""


@dataclass(frozen=True, slots=True)
class _Head:
    """Where a memory goes on.

    Attributes:
        next: The position of the next entry.
        expect: What the head's record has to be when it is moved on.
        expires_at: When it expires; never before an entry does.
    """

    next: int
    expect: Expectation
    expires_at: Instant | None


class MemoryStore(Store[T]):
    """Entries of memories, in the order in which they were appended.

    Each memory is a list by itself, named by an id of at most 243 bytes in which ``/`` and ``~`` count twice.
    As a `Store` it holds the entries of all memories, each under the key that `append` returned.

    Args:
        adapter: The backend.
        name: Name of the store.
        type: Type of the entries; ``None`` for any plain values.
        options: As for `Store`.
    """

    @overload
    def __init__(
        self: MemoryStore[Any],
        adapter: Adapter,
        name: str = "memories",
        type: None = None,
        **options: Unpack[StoreOptions],
    ) -> None: ...
    @overload
    def __init__(
        self, adapter: Adapter, name: str, type: type[T], **options: Unpack[StoreOptions]
    ) -> None: ...
    def __init__(
        self,
        adapter: Adapter,
        name: str = "memories",
        type: Any = None,  # noqa: A002 - the contract's name
        **options: Unpack[StoreOptions],
    ) -> None:
        super().__init__(adapter, name, type, **options)
        self._heads = self.collection + _HEADS
        check_collection(self._heads)

    # --- Writing --------------------------------------------------------------------------------------------

    async def append(
        self, memory_id: str, entries: Iterable[T], *, ttl: Ttl | NotGiven = NOT_GIVEN
    ) -> list[str]:
        """Add entries at the end of a memory, one after the other: all of them or none.

        Args:
            memory_id: The memory; it begins to exist with its first entry.
            entries: The entries, consumed once.
            ttl: How long they live; as for `set`.

        Returns:
            Their keys.

        Raises:
            SerializationError: If one would not come back equal. Nothing was written.
            InvalidKey: If the id is empty or too long.
            VersionConflict: If others kept appending until the deadline. Nothing was written.
            LimitExceeded: If they are more than the backend writes at one instant. Nothing was written.
        """
        if isinstance(entries, (str, bytes, Mapping)):
            raise TypeError("entries are a list or another iterable: to append one, put it into a list")
        keys = _Keys(memory_id)
        access = self._access
        async with access.operation("append", (memory_id,)) as operation:
            values = {keys.at(position): value for position, value in enumerate(entries)}
            expiry = cast("Instant | None", access.expiry(ttl))
            puts = cast("list[Put]", self._puts(values, expiry))
            if not puts:
                await operation.write([])  # nothing is sent, but a store that is closed says so
                return []
            return await in_turns(
                access, self._heads, memory_id, lambda: self._append(operation, keys, puts, expiry)
            )

    async def _append(
        self, operation: Operation, keys: _Keys, puts: Sequence[Put], expiry: Instant | None
    ) -> list[str]:
        head = await self._head(keys)
        numbered: list[Put | Delete] = [
            replace(put, key=keys.at(head.next + place), version=new_version())
            for place, put in enumerate(puts)
        ]
        moved = Put(
            self._heads,
            keys.memory_id,
            b"",
            expect=head.expect,
            expires_at=None if head.expires_at is None or expiry is None else max(head.expires_at, expiry),
            fields={"next": head.next + len(puts)},
        )
        await operation.write(numbered, atomic=True, beside=[moved])
        return [put.key for put in numbered]

    async def clear(self, memory_id: str | None = None) -> int:
        """Delete the entries of a memory; of every memory without an id. What is appended meanwhile may stay.

        Returns:
            How many there were.
        """
        if memory_id is not None:
            deleted = await self._clear(_Keys(memory_id).all)
            await self._delete_heads([memory_id])
            return deleted
        deleted = await super().clear()
        query = Query(self._heads, limit=PAGE_SIZE)
        while True:
            page = await self._access.target.query(query, self._access.freshest)
            await self._delete_heads([record.key for record in page.records])
            if page.cursor is None:
                return deleted
            query = replace(query, cursor=page.cursor)

    async def _delete_heads(self, memory_ids: Sequence[str]) -> None:
        target = self._access.target
        deletes = [Delete(self._heads, memory_id) for memory_id in memory_ids]
        raise_failed(deletes, await target.write(WriteBatch(deletes)), target.name)

    # --- Reading --------------------------------------------------------------------------------------------

    def of(self, memory_id: str) -> QueryBuilder[T]:
        """Begin a query on the entries of one memory, in the order in which they were appended.

        Iterate over it with ``async for``, or take it page by page with ``page``.
        """
        return QueryBuilder(self._source, Query(self.collection, _Keys(memory_id).all))

    async def window(
        self, memory_id: str, size: int = WINDOW, *, consistency: Consistency | None = None
    ) -> list[T]:
        """Return the last entries of a memory, in the order in which they were appended.

        Args:
            memory_id: The memory.
            size: Most entries to return.
            consistency: How fresh the answer must be; the store's own unless given.

        Raises:
            ValueError: If the size is negative.
        """
        query = Query(self.collection, _Keys(memory_id).all, Order("key", descending=True), limit=size)
        found = await QueryBuilder(self._source, query, _consistency=consistency).execute()
        return found[::-1]

    async def windows(self, memory_ids: Iterable[str], size: int = WINDOW) -> dict[str, list[T]]:
        """Return the windows of many memories with two reads in all, not one for each.

        An entry that was made to live longer than everything else of its memory is in it only after the next
        append.

        Args:
            memory_ids: The memories, consumed once.
            size: Most entries of each.

        Raises:
            ValueError: If the size is negative.
        """
        if size < 0:
            raise ValueError("the size of a window is not negative")
        memories = {memory_id: _Keys(memory_id) for memory_id in memory_ids}
        heads = await self._access.target.read(self._heads, list(memories), self._access.consistency)
        places = {memory_id: _places(record, size) for memory_id, record in zip(memories, heads, strict=True)}
        wanted = [memories[memory_id].at(place) for memory_id, found in places.items() for place in found]
        entries = await self.get_batch(wanted)
        windows = {}
        for memory_id, keys in memories.items():
            found = [entries[key] for key in map(keys.at, places[memory_id]) if key in entries]
            if len(found) < len(places[memory_id]) and places[memory_id].start > 0:
                found = await self.window(
                    memory_id, size
                )  # entries were deleted: there are others before them
            windows[memory_id] = found
        return windows

    async def count(
        self,
        filter: QueryFilter | str | None = None,  # noqa: A002 - the contract's word
        *,
        consistency: Consistency | None = None,
        allow_scan: bool = False,
    ) -> int:
        """Return how many entries a memory has, given its id; or how many entries a filter finds."""
        if not isinstance(filter, str):
            return await super().count(filter, consistency=consistency, allow_scan=allow_scan)
        query = Query(self.collection, _Keys(filter).all)
        return await QueryBuilder(self._source, query, _consistency=consistency).count()

    # --- Heads ----------------------------------------------------------------------------------------------

    async def _head(self, keys: _Keys) -> _Head:
        access = self._access
        record = (await access.target.read(self._heads, [keys.memory_id], access.freshest))[0]
        if record is not None:
            return _Head(_next(record), record.version, record.expires_at)
        last = Query(self.collection, keys.all, Order("key", descending=True), limit=1)
        found = (await access.target.query(last, access.freshest)).records
        if not found:
            return _Head(0, ABSENT, 0)
        return _Head(keys.position(found[0].key) + 1, ABSENT, found[0].expires_at)


class _Keys:
    """The keys of one memory's entries. No two memories share one, and none begins with another one's.

    ``~`` and ``/`` are written as ``~0`` and ``~1``, so the first ``/`` ends the id.

    Raises:
        TypeError: If the id is not a `str`.
        InvalidKey: If it is empty or too long.
    """

    __slots__ = ("_prefix", "all", "memory_id")

    def __init__(self, memory_id: str) -> None:
        check_key(memory_id)
        self.memory_id = memory_id
        self._prefix = memory_id.replace("~", "~0").replace("/", "~1") + "/"
        if len(self._prefix.encode()) > MAX_MEMORY_ID_BYTES + 1:
            raise InvalidKey(
                f"the id of a memory has at most {MAX_MEMORY_ID_BYTES} bytes in UTF-8, '/' and '~' count double"
            )
        self.all = Compare("key", Op.STARTSWITH, self._prefix)

    def at(self, position: int) -> str:
        return f"{self._prefix}{position:0{_DIGITS}x}"

    def position(self, key: str) -> int:
        return int(key[len(self._prefix) :], 16)


def _next(head: Record) -> int:
    position = head.fields.get("next")
    if type(position) is not int:
        raise CorruptRecord("the head of a memory does not say where its next entry goes")
    return position


def _places(head: Record | None, size: int) -> range:
    end = 0 if head is None else _next(head)
    return range(max(0, end - size), end)
