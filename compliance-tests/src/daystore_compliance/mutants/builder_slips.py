"""Mutants of the query builder and of a store's short ways: an option that is read, and then not quite meant."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

from daystore.abc import Not, Query
from daystore.abc.record import Record
from daystore.errors import VersionConflict
from daystore.query.builder import QueryBuilder
from daystore.query.filter import QueryFilter
from daystore.query.results import Entry, Page
from daystore.stores import Store
from daystore.stores.expiry import NOT_GIVEN
from daystore_compliance.mutants.base import mutant


class _Building(Store[Any]):
    """A store with a query builder of its own. It breaks nothing."""

    builder: ClassVar[type[QueryBuilder[Any]]] = QueryBuilder

    def all(self, *, allow_scan: bool = False) -> QueryBuilder[Any]:
        """Begin a query that finds everything."""
        return self.builder(self._source, Query(self.collection, allow_scan=allow_scan))

    def _filtered(self, what: Any, consistency: Any, *, allow_scan: bool) -> QueryBuilder[Any]:
        found = super()._filtered(what, consistency, allow_scan=allow_scan)
        return self.builder(found._source, found._query, found._include, found._consistency)


@dataclass(frozen=True, slots=True)
class _FirstFromTheStart(QueryBuilder[Any]):
    async def first(self) -> Any:
        """Forget the offset."""
        return await QueryBuilder.first(self.offset(0))


# §8: an offset passes over records, whatever is asked for.
@mutant("q.builder_ends")
class FirstIgnoresTheOffset(_Building):
    """Forgets the offset of a query when only its first result is wanted."""

    builder: ClassVar[type[_FirstFromTheStart]] = _FirstFromTheStart


@dataclass(frozen=True, slots=True)
class _Endless(QueryBuilder[Any]):
    def stream(self) -> AsyncGenerator[Entry[Any], None]:
        """Forget a limit of more than ten."""
        limit = self._query.limit
        return QueryBuilder.stream(self.limit(None) if limit is not None and limit > 10 else self)


# §8: "`limit` is the most that is returned", also of a stream.
@mutant("q.builder_ends")
class StreamsOutrunTheirLimit(_Building):
    """Streams everything if the limit is more than ten."""

    builder: ClassVar[type[_Endless]] = _Endless


@dataclass(frozen=True, slots=True)
class _StreamsFromStart(QueryBuilder[Any]):
    def stream(self) -> AsyncGenerator[Entry[Any], None]:
        """Forget the cursor."""
        return QueryBuilder.stream(self.after(None))


# §8: a cursor goes on after its page, whatever is asked for.
@mutant("q.builder_ends")
class StreamsForgetTheCursor(_Building):
    """Streams from the beginning although the query goes on after a cursor."""

    builder: ClassVar[type[_StreamsFromStart]] = _StreamsFromStart


@dataclass(frozen=True, slots=True)
class _NegatesAll(QueryBuilder[Any]):
    def where_not(self, field: Any, op: Any = None, *value: Any, allow_scan: bool = False) -> Any:
        """Negate the whole."""
        narrowed = self.where(field, *(() if op is None else (op, *value)), allow_scan=allow_scan)
        whole = narrowed._query.where
        return narrowed if whole is None else narrowed._with(where=Not(whole))


# §8: "joined with and": each `where_not` is a term of its own.
@mutant("q.where_not_chained")
class WhereNotNegatesEverything(_Building):
    """Negates with ``where_not`` all that was said before, too."""

    builder: ClassVar[type[_NegatesAll]] = _NegatesAll


@dataclass(frozen=True, slots=True)
class _CountsPage(QueryBuilder[Any]):
    async def count(self) -> int:
        """Respect the limit."""
        found = await QueryBuilder.count(self)
        return found if self._query.limit is None else min(found, self._query.limit)


# §8: "`count` is exactly how many records the query finds without limit".
@mutant("q.builder_ends")
class BuildersCountTheirPage(_Building):
    """Counts no more than the limit of a builder."""

    builder: ClassVar[type[_CountsPage]] = _CountsPage


@dataclass(frozen=True, slots=True)
class _PageRespectsLimit(QueryBuilder[Any]):
    async def page(self, size: int, cursor: str | None = None) -> Page[Any]:
        """Skip the offset on every page."""
        found = await QueryBuilder.page(self, size, cursor)
        if cursor is not None and self._query.offset:
            return Page(found.items[self._query.offset :], found.cursor)
        return found


# §8: "Following cursors returns every record […] exactly once": the offset is of the whole.
@mutant("page.builder_offset_once")
class EveryPageHasTheOffset(_Building):
    """Passes over the offset of a query on each of its pages."""

    builder: ClassVar[type[_PageRespectsLimit]] = _PageRespectsLimit


# §8: "`limit`: 0 is an empty page".
@mutant("q.filter_window")
class FilterLimitZeroIsNone(Store[Any]):
    """Takes a limit of 0 in a filter for none."""

    async def query(self, filter: QueryFilter, **options: Any) -> list[Any]:  # noqa: A002
        """Drop it."""
        if filter.limit == 0:
            filter = replace(filter, limit=None)  # noqa: A001
        return await super().query(filter, **options)


# §7: "pairs of which the last of equal keys wins".
@mutant("batch.last_wins")
class FirstOfEqualKeysWins(Store[Any]):
    """Keeps the first of pairs with equal keys."""

    async def set_batch(self, items: Any, **options: Any) -> Any:
        """Keep the first."""
        if hasattr(items, "keys"):
            return await super().set_batch(items, **options)
        kept: dict[str, Any] = {}
        for key, value in items:
            kept.setdefault(key, value)
        return await super().set_batch(kept, **options)


# §7: `set_batch` returns the new versions by key.
@mutant("batch.many_by_key")
class VersionsOfABatchAreShifted(Store[Any]):
    """Returns the versions of a batch of more than three under each other's keys."""

    async def set_batch(self, items: Any, **options: Any) -> Any:
        """Shift."""
        versions = await super().set_batch(items, **options)
        values = list(versions.values())
        return dict(zip(versions, values[1:] + values[:1], strict=True)) if len(values) > 3 else versions


# §9: "`ttl=` gives the time from now, […] as seconds", to the millisecond.
@mutant("opt.store_history")
class FractionsOfSecondsAreRoundedUp(Store[Any]):
    """Rounds a time to live that is a float up to whole seconds."""

    async def set(self, key: str, value: Any, **options: Any) -> Any:
        """Round."""
        if type(options.get("ttl")) is float and options["ttl"] > 0:
            options["ttl"] = math.ceil(options["ttl"])
        return await super().set(key, value, **options)


# §2, `update`: "Unless given, the record keeps the deadline that it has"; none is one, too.
@mutant("ttl.updates")
class UpdateGivesTheDefaultDeadline(Store[Any]):
    """Gives an immortal record the store's own time to live when it is updated."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Look whether it has a deadline."""
        if options.get("ttl", NOT_GIVEN) is NOT_GIVEN and self._access.ttl is not None:
            record = (await self._access.target.read(self.collection, [key]))[0]
            if record is not None and record.expires_at is None:
                options["ttl"] = timedelta(microseconds=self._access.ttl)
        return await super().update(key, change, **options)


# §2, `expire`: "Returns whether there was a live record".
@mutant("ttl.expire_always")
class PersistTellsOfChange(Store[Any]):
    """Says of a record that has no deadline that there was none to persist."""

    async def persist(self, key: str) -> bool:
        """Compare."""
        there = await self.entry(key)
        return await super().persist(key) and there is not None and there.expires_at is not None


# §1: `created_at` and `updated_at` of an entry are those of its record.
@mutant("batch.many_by_key")
class EntriesOfBatchesShowTheWrite(Store[Any]):
    """Shows the time of the last write as that of creation, when several entries are read."""

    async def entries(self, keys: Iterable[str], **options: Any) -> Any:
        """Show it."""
        found = await super().entries(keys, **options)
        if len(found) < 2:
            return found
        return {key: Entry(e.value, _young(e._record)) for key, e in found.items()}


def _young(record: Record) -> Record:
    return replace(record, created_at=record.updated_at)


# §6: "A condition that does not hold is `VersionConflict`".
@mutant("opt.store_history")
class ConditionalDeleteOfNothingIsQuiet(Store[Any]):
    """Says of a conditional delete of what is absent that there was nothing, and raises nothing."""

    async def delete(self, key: str, *, if_version: str | None = None) -> bool:
        """Swallow it."""
        try:
            return await super().delete(key, if_version=if_version)
        except VersionConflict as conflict:
            if conflict.current is None:
                return False
            raise


# §5: "A stored `None` is not a missing key."
@mutant("rt.every_path")
class BatchesDropNone(Store[Any]):
    """Leaves a stored ``None`` out of what is read for several keys."""

    async def get_batch(self, keys: Iterable[str], **options: Any) -> Any:
        """Drop it."""
        return {k: v for k, v in (await super().get_batch(keys, **options)).items() if v is not None}


# §2, `update`: "default: The value to begin with if there is no record": the function is applied to it.
@mutant("cas.update_creators")
class DefaultsAreNotChanged(Store[Any]):
    """Writes the default of an update as it is, without the function, if there is no record."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Write it."""
        if callable(change) and "default" in options and not await self.exists(key):
            return await super().update(key, lambda value: value, **options)
        return await super().update(key, change, **options)


# §5: "Changing an argument or a result in place never changes what is stored", and update's function gets a copy.
@mutant("cas.update_default_kept")
class DefaultObjectIsHandedOut(Store[Any]):
    """Hands the very object that was given as the default to the function, which may change it."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Hand it out."""
        default = options.get("default", NOT_GIVEN)
        if default is not NOT_GIVEN and not callable(default):
            options["default"] = lambda: default
        return await super().update(key, change, **options)
