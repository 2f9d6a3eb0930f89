"""`Store`: what a user holds. A collection of an adapter with a type, indexes, serializer and middleware."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from daystore.abc.adapter import Adapter, expectation
from daystore.abc.capabilities import Consistency
from daystore.abc.names import check_collection
from daystore.abc.query import Predicate, Query
from daystore.abc.record import ABSENT, ANY, KEEP, Delete, Expiry, Outcome, Put, Record, Version
from daystore.errors import SerializationError
from daystore.middleware import Chain
from daystore.query.aggregates import Count, Summary
from daystore.query.builder import PAGE_SIZE, QueryBuilder, Totals
from daystore.query.conditions import NO_VALUE, Condition
from daystore.query.fields import Fields, FieldType
from daystore.query.filter import QueryFilter
from daystore.query.results import Entry
from daystore.stores.access import Access, raise_failed
from daystore.stores.codec import RecordCodec
from daystore.stores.definition import Definition, StoreOptions
from daystore.stores.expiry import NOT_GIVEN, NotGiven, Ttl, microseconds
from daystore.stores.indexes import extractor, resolve
from daystore.stores.operation import Deferral, Operation, Target
from daystore.stores.rewriting import beginning, changed, rewrite
from daystore.stores.shape import shape_of
from daystore.stores.source import Loader, StoreSource
from daystore.transactions.retry import DEFAULT

if TYPE_CHECKING:
    from daystore.abc.serializer import Serializer
    from daystore.plugins import Plugins

__all__ = ["Store"]

T = TypeVar("T")
D = TypeVar("D")


class Store(Generic[T]):
    """Values of one type in one collection, by key.

    Args:
        adapter: The backend; it has to be open when the store is used.
        name: Name of the store, and of its collection unless the options say otherwise.
        type: A pydantic model, a dataclass, a ``TypedDict``, a scalar type …; ``None`` for any plain values.
        options: See `StoreOptions`.

    Raises:
        ConfigError: If the type, an index, a middleware or the serializer cannot be used.
        InvalidKey: If the collection is outside the rules.
        ValueError: If the time to live is not positive.
        TypeError: If there is no such option.
    """

    @overload
    def __init__(
        self: Store[Any], adapter: Adapter, name: str, type: None = None, **options: Unpack[StoreOptions]
    ) -> None: ...
    @overload
    def __init__(
        self, adapter: Adapter, name: str, type: type[T], **options: Unpack[StoreOptions]
    ) -> None: ...
    def __init__(
        self,
        adapter: Adapter,
        name: str,
        type: Any = None,  # noqa: A002 - the contract's name
        **options: Unpack[StoreOptions],
    ) -> None:
        definition = Definition.of(type, options)
        collection = name if definition.collection is None else definition.collection
        check_collection(collection)
        shape = shape_of(definition.type)
        indexes = resolve(definition.indexes, shape.type)
        self._adapter = adapter
        self._indexes = {index: field_type for index, (_, field_type) in indexes.items()}
        codec = RecordCodec[T](
            collection,
            shape,
            _serializer(definition.serializer, definition.plugins),
            extractor(indexes) if indexes else None,
            definition.plugins,
            verify=definition.verify and shape.type is not None,  # a serializer is exact for plain values
        )
        self._use(
            Access(
                store=name,
                collection=collection,
                target=adapter,
                codec=codec,
                fields=Fields(name, self._indexes),
                consistency=definition.consistency,
                ttl=microseconds(definition.ttl),
                chain=Chain(definition.middleware) if definition.middleware else None,
            )
        )

    def _use(self, access: Access[T]) -> None:
        self._access = access
        self._source = StoreSource(access, self._relations())

    def _relations(self) -> Mapping[str, Loader]:
        """Return what results can be wanted with, by name."""
        return {}

    def bound(self, target: Target, defer: Deferral) -> Self:
        """Return this store inside a transaction. For `Transaction`; users write ``tx[store]``."""
        store = copy.copy(self)
        store._use(replace(self._access, target=target, defer=defer))
        return store

    @property
    def name(self) -> str:
        """Its name."""
        return self._access.store

    @property
    def collection(self) -> str:
        """The collection of its records."""
        return self._access.collection

    @property
    def adapter(self) -> Adapter:
        """The backend it is on."""
        return self._adapter

    @property
    def indexes(self) -> Mapping[str, FieldType]:
        """What can be queried, beside ``key``, ``created_at`` and ``updated_at``: names and types."""
        return dict(self._indexes)

    def __repr__(self) -> str:
        where = " in a transaction" if self._access.defer is not None else ""
        return f"<{type(self).__name__} {self.name} on {self._adapter.name}{where}>"

    # --- Reading --------------------------------------------------------------------------------------------

    @overload
    async def get(self, key: str, *, consistency: Consistency | None = None) -> T | None: ...
    @overload
    async def get(self, key: str, default: D, *, consistency: Consistency | None = None) -> T | D: ...
    async def get(self, key: str, default: Any = None, *, consistency: Consistency | None = None) -> Any:
        """Return the value of a key.

        Args:
            key: The key.
            default: What to return when there is no live record. A stored ``None`` is returned as it is.
            consistency: How fresh the answer must be; the store's own unless given.

        Raises:
            CorruptRecord: If the record cannot be decoded.
            SchemaError: If what is stored does not fit the store's type.
            InvalidKey: If the key is outside the rules.
        """
        access = self._access
        async with access.operation("get", (key,), consistency=consistency) as operation:
            record = (await operation.read((key,), consistency or access.consistency))[0]
            return default if record is None else access.codec.value(record)

    async def entry(self, key: str, *, consistency: Consistency | None = None) -> Entry[T] | None:
        """Return the value of a key with its version and times; ``None`` without one. Raises as `get`."""
        return (await self.entries([key], consistency=consistency)).get(key)

    async def exists(self, key: str, *, consistency: Consistency | None = None) -> bool:
        """Tell whether a key has a live record."""
        access = self._access
        async with access.operation("exists", (key,), consistency=consistency) as operation:
            return (await operation.read((key,), consistency or access.consistency))[0] is not None

    async def get_batch(self, keys: Iterable[str], *, consistency: Consistency | None = None) -> dict[str, T]:
        """Return the values of many keys, in the order asked, without the missing. Raises as `get`."""
        found = await self.entries(keys, consistency=consistency)
        return {key: entry.value for key, entry in found.items()}

    async def entries(
        self, keys: Iterable[str], *, consistency: Consistency | None = None
    ) -> dict[str, Entry[T]]:
        """Return the entries of many keys, in the order asked, without the missing. Raises as `get`."""
        access = self._access
        wanted = _distinct(keys)
        async with access.operation("get_batch", wanted, consistency=consistency) as operation:
            records = await operation.read(wanted, consistency or access.consistency)
            return {
                record.key: Entry(access.codec.value(record), record)
                for record in records
                if record is not None
            }

    async def ttl(self, key: str) -> timedelta | None:
        """Return how long a record still lives; ``None`` if it never expires, and if there is none."""
        access = self._access
        async with access.operation("ttl", (key,)) as operation:
            record = (await operation.read((key,), access.consistency))[0]
        if record is None or record.expires_at is None:
            return None
        return timedelta(microseconds=max(0, record.expires_at - access.target.clock()))

    # --- Writing --------------------------------------------------------------------------------------------

    async def set(
        self,
        key: str,
        value: T,
        *,
        ttl: Ttl | NotGiven = NOT_GIVEN,
        keep_ttl: bool = False,
        if_version: Version | None = None,
        if_absent: bool = False,
    ) -> Version:
        """Write a value.

        Args:
            key: The key.
            value: The value.
            ttl: How long it lives: a `timedelta`, seconds, ``"30d"``, ``None`` for ever; the store's own
                unless given.
            keep_ttl: Keep the deadline of the record that is overwritten. A new record gets the store's own.
            if_version: Write only if the record is at this version.
            if_absent: Write only if there is no live record.

        Returns:
            The new version.

        Raises:
            SerializationError: If it would not come back equal and of the same type. Nothing was written.
            VersionConflict: If the condition did not hold. Nothing was written.
            ValueError: If `ttl` is not positive, or options contradict each other.
        """
        expect = expectation(if_version, if_absent=if_absent)
        access = self._access
        expiry = access.expiry(ttl, keep=keep_ttl)
        if (
            keep_ttl and access.ttl is not None
        ):  # a new record has no deadline to keep, but is not immortal either
            if expect is ANY:
                return await self._set_keeping(key, value)
            if expect is ABSENT:
                expiry = access.expiry(NOT_GIVEN)
        async with access.operation("set", (key,)) as operation:
            put = access.codec.put(key, value, expiry, expect)
            await access.write_one(operation, put)
        return put.version

    async def _set_keeping(self, key: str, value: T) -> Version:
        """Write a value with the deadline that its record has, or with the store's own if there is no record."""

        async def attempt(record: Record | None) -> tuple[Put, Version]:
            expiry = KEEP if record is not None else self._access.expiry(NOT_GIVEN)
            put = self._access.codec.put(key, value, expiry, ABSENT if record is None else record.version)
            return put, put.version

        return await rewrite(self._access, "set", key, attempt)

    async def delete(self, key: str, *, if_version: Version | None = None) -> bool:
        """Delete a record.

        Args:
            key: The key.
            if_version: Delete only if the record is at this version.

        Returns:
            Whether there was a live one.

        Raises:
            VersionConflict: If the condition did not hold. Nothing was deleted.
        """
        change = Delete(self.collection, key, expectation(if_version))
        async with self._access.operation("delete", (key,)) as operation:
            return (await self._access.write_one(operation, change)).existed

    async def set_batch(
        self,
        items: Mapping[str, T] | Iterable[tuple[str, T]],
        *,
        ttl: Ttl | NotGiven = NOT_GIVEN,
        atomic: bool = False,
    ) -> dict[str, Version]:
        """Write many values.

        Args:
            items: A mapping, or pairs of keys and values, consumed once; the last of equal keys wins.
            ttl: As for `set`, for each of them.
            atomic: All of them or none.

        Returns:
            The new versions, by key.

        Raises:
            SerializationError: If one would not come back equal and of the same type. Nothing was written.
            BatchError: If some could not be written; it names exactly those.
        """
        values = dict(items)
        access = self._access
        async with access.operation("set_batch", tuple(values)) as operation:
            expiry = access.expiry(ttl)
            puts = self._puts(values, expiry)
            outcomes = await operation.write(puts, atomic=atomic)
            raise_failed(puts, outcomes, access.target.name)
        return {put.key: put.version for put in puts if isinstance(put, Put)}

    async def delete_batch(self, keys: Iterable[str], *, atomic: bool = False) -> int:
        """Delete many records.

        Args:
            keys: The keys, consumed once.
            atomic: All of them or none.

        Returns:
            How many there were.

        Raises:
            BatchError: If some could not be deleted; it names exactly those.
        """
        wanted = _distinct(keys)
        async with self._access.operation("delete_batch", wanted) as operation:
            return await self._delete(operation, wanted, atomic=atomic)

    async def clear(self) -> int:
        """Delete every record of the collection, in this namespace, page by page.

        Returns:
            How many there were.

        Raises:
            BatchError: If some could not be deleted; it names exactly those.
        """
        return await self._clear(None)

    async def _clear(self, where: Predicate | None) -> int:
        query = Query(self.collection, where, limit=PAGE_SIZE, allow_scan=True)
        deletes: list[Put | Delete] = []
        outcomes: list[Outcome] = []
        while True:
            async with self._access.operation("clear", query=query) as operation:
                page = await operation.query(query, self._access.freshest)
                found: list[Put | Delete] = [Delete(self.collection, r.key) for r in page.records]
                # What cannot be deleted is told at the end, when everything else is.
                outcomes += await operation.write(found)
                deletes += found
            if page.cursor is None:
                break
            query = replace(query, cursor=page.cursor)
        raise_failed(deletes, outcomes, self._access.target.name)
        return sum(outcome.existed for outcome in outcomes)

    async def _delete(self, operation: Operation, keys: Iterable[str], *, atomic: bool = False) -> int:
        deletes: list[Put | Delete] = [Delete(self.collection, key) for key in keys]
        outcomes = await operation.write(deletes, atomic=atomic)
        raise_failed(deletes, outcomes, self._access.target.name)
        return sum(outcome.existed for outcome in outcomes)

    def _puts(self, values: Mapping[str, T], expiry: Expiry) -> list[Put | Delete]:
        puts: list[Put | Delete] = []
        for position, (key, value) in enumerate(values.items()):
            try:
                puts.append(self._access.codec.put(key, value, expiry))
            except SerializationError as error:
                raise SerializationError(f"item {position} of the batch: {error.message}") from error
        return puts

    # --- Changing -------------------------------------------------------------------------------------------

    async def update(
        self,
        key: str,
        change: Mapping[str, object] | Callable[[T], T | Awaitable[T]],
        *,
        default: T | Callable[[], T] | NotGiven = NOT_GIVEN,
        ttl: Ttl | NotGiven = NOT_GIVEN,
        deadline: float = DEFAULT.deadline,
    ) -> T:
        """Read a value, change it, and write it if nobody else did meanwhile; otherwise begin again.

        Args:
            key: The key.
            change: A patch, whose items replace those of the value; or a function, plain or async, that gets
                the value and returns the new one. It may run several times, each time with a fresh value.
            default: The value to begin with if there is no record, or a function that makes it.
            ttl: As for `set`. Unless given, the record keeps the deadline that it has; a new one gets the
                store's own.
            deadline: Seconds after which no further attempt is begun. What the function itself takes is not
                interrupted.

        Returns:
            The new value.

        Raises:
            KeyError: If there is no live record and no default.
            VersionConflict: If others kept changing the record until the deadline. Nothing was written.
            OperationTimeout: If other updates of this process kept the key until the deadline.
            SchemaError: If the patch names a field that the value does not have, or does not fit its type.
            TypeError: If the function returned ``None`` though that is none of the store's values.
            SerializationError: If the new value would not come back equal. Nothing was written.
        """

        async def attempt(record: Record | None) -> tuple[Put, T]:
            codec = self._access.codec
            value = beginning(default) if record is None else codec.value(record)
            new = await changed(codec.shape, value, change)
            expiry = self._access.expiry(ttl, keep=record is not None and ttl is NOT_GIVEN)
            expect = ABSENT if record is None else record.version
            return codec.put(key, new, expiry, expect), new

        return await rewrite(self._access, "update", key, attempt, deadline)

    async def expire(self, key: str, ttl: Ttl) -> bool:
        """Give a record another time to live, from now on. It gets a new version; its value stays.

        Args:
            key: The key.
            ttl: As for `set`; ``None`` for ever.

        Returns:
            Whether there was a live record.

        Raises:
            ValueError: If `ttl` is not positive.
        """
        expiry = self._access.expiry(ttl)

        async def attempt(record: Record | None) -> tuple[Put | None, bool]:
            return (None, False) if record is None else (self._access.codec.again(record, expiry), True)

        return await rewrite(self._access, "expire", key, attempt)

    async def persist(self, key: str) -> bool:
        """Let a record live for ever. It gets a new version; its value stays.

        Returns:
            Whether there was a live record.
        """
        return await self.expire(key, None)

    # --- Finding --------------------------------------------------------------------------------------------

    def all(self, *, allow_scan: bool = False) -> QueryBuilder[T]:
        """Begin a query that finds everything.

        Args:
            allow_scan: Allow fields that are not indexed: then every record is read and looked into. A dotted
                name is a path into the value.
        """
        return QueryBuilder(self._source, Query(self.collection, allow_scan=allow_scan))

    @overload
    def where(self, field: Condition, /, *, allow_scan: bool = False) -> QueryBuilder[T]: ...
    @overload
    def where(
        self, field: str, op: str, value: object = NO_VALUE, /, *, allow_scan: bool = False
    ) -> QueryBuilder[T]: ...
    def where(
        self, field: Any, op: Any = None, value: object = NO_VALUE, /, *, allow_scan: bool = False
    ) -> QueryBuilder[T]:
        """Begin a query with a condition; see `QueryBuilder.where`."""
        return self.all().where(field, op, value, allow_scan=allow_scan)

    async def query(
        self,
        filter: QueryFilter,  # noqa: A002 - the contract's word
        *,
        consistency: Consistency | None = None,
        allow_scan: bool = False,
    ) -> list[T]:
        """Return the values that a filter finds, in the order of their keys.

        Raises:
            SchemaError: If it names a field that is not indexed, and scanning is not allowed.
        """
        return await self._filtered(filter, consistency, allow_scan=allow_scan).execute()

    async def count(
        self,
        filter: QueryFilter | None = None,  # noqa: A002
        *,
        consistency: Consistency | None = None,
        allow_scan: bool = False,
    ) -> int:
        """Return how many records a filter finds, whatever its limit and offset; without one, all."""
        return await self._filtered(filter, consistency, allow_scan=allow_scan).count()

    def aggregate(self, **functions: Summary | Count) -> Totals[T]:
        """Compute over all records; see `QueryBuilder.aggregate`."""
        return self.all().aggregate(**functions)

    def scan(self, what: QueryFilter | QueryBuilder[T] | None = None) -> AsyncGenerator[Entry[T], None]:
        """Yield everything that matches, with keys, versions and times, a page at a time.

        Between two pages nothing is held anywhere: records may be written meanwhile, and the generator may be
        left at any point.

        Args:
            what: A filter, a query of this store, or ``None`` for everything.

        Raises:
            ValueError: If the query is one of another store.
        """
        if not isinstance(what, QueryBuilder):
            return self._filtered(what, None, allow_scan=False).stream()
        if what._source is not self._source:
            raise ValueError("the query belongs to another store, or to this one outside the transaction")
        return what.stream()

    def _filtered(
        self, what: QueryFilter | None, consistency: Consistency | None, *, allow_scan: bool
    ) -> QueryBuilder[T]:
        if what is None:
            query = Query(self.collection, allow_scan=allow_scan)
        elif isinstance(what, QueryFilter):
            where = what.compile(self._access.fields, allow_scan=allow_scan)
            query = Query(self.collection, where, limit=what.limit, offset=what.offset, allow_scan=allow_scan)
        else:
            raise TypeError(f"a filter is a QueryFilter, not {type(what).__name__}")
        return QueryBuilder(self._source, query, _consistency=consistency)


def _serializer(serializer: str | Serializer, plugins: Plugins | None) -> Serializer:
    if not isinstance(serializer, str):
        return serializer
    from daystore.plugins import default_plugins

    return (plugins or default_plugins()).serializer(serializer)


def _distinct(keys: Iterable[str]) -> list[str]:
    if isinstance(keys, (str, bytes)):
        raise TypeError("keys are a list or another iterable of str, not one str")
    return list(dict.fromkeys(keys))
