"""The query builder: ``store.where("topic", "=", "travel").order_by("updated_at", "desc").limit(10)``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from daystore.abc.capabilities import Consistency
from daystore.abc.query import Aggregation, Explanation, GroupRow, Order, Predicate, Query
from daystore.abc.record import Scalar
from daystore.query.aggregates import Count, Summary
from daystore.query.conditions import NO_VALUE, Condition, both, condition
from daystore.query.fields import Fields, unknown
from daystore.query.results import Entry, Page

__all__ = ["PAGE_SIZE", "Grouped", "Include", "QueryBuilder", "Source", "Totals"]

T = TypeVar("T")

PAGE_SIZE = 1000
"""Records that a stream of results asks for at a time."""

_DIRECTIONS = {"asc": False, "desc": True}


@dataclass(frozen=True, slots=True)
class Include:
    """A relation that results are wanted with.

    Attributes:
        relation: Its name.
        limit: Most related items of each result; ``None`` for the relation's own default.
    """

    relation: str
    limit: int | None = None


class Source(Protocol[T]):
    """What a builder needs of a store; a `Store` has it."""

    @property
    def collection(self) -> str:
        """The collection it works on."""
        ...

    @property
    def fields(self) -> Fields:
        """The fields that its queries may name."""
        ...

    def page_size(self, query: Query) -> int | None:
        """Return how many records to ask for at a time; ``None`` for all at once."""
        ...

    def check_relation(self, relation: str) -> None:
        """Refuse a relation that the store does not have."""
        ...

    async def select(
        self, query: Query, consistency: Consistency | None, include: Sequence[Include]
    ) -> Page[Entry[T]]:
        """Return one page of what a query finds."""
        ...

    async def tally(self, query: Query, consistency: Consistency | None) -> int:
        """Return how many records a query finds."""
        ...

    async def compute(
        self, query: Query, aggregation: Aggregation, consistency: Consistency | None
    ) -> list[GroupRow]:
        """Compute over what a query finds."""
        ...

    async def explain(self, query: Query) -> Explanation:
        """Tell how a query would be run."""
        ...


@dataclass(frozen=True, slots=True)
class QueryBuilder(Generic[T]):
    """A query under construction. Every method returns another builder; none changes this one.

    Made by a store: ``store.where(…)``, ``store.all()``. Await `execute`, `first`, `count`, `keys`,
    `entries`, `page`, or iterate with ``async for``, which asks for a page at a time and may be left at any
    point.
    """

    _source: Source[T]
    _query: Query
    _include: tuple[Include, ...] = ()
    _consistency: Consistency | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._query.collection}>"

    # --- Building -------------------------------------------------------------------------------------------

    @overload
    def where(self, field: Condition, /, *, allow_scan: bool = False) -> Self: ...
    @overload
    def where(
        self, field: str, op: str, value: object = NO_VALUE, /, *, allow_scan: bool = False
    ) -> Self: ...
    def where(
        self,
        field: str | Condition,
        op: str | None = None,
        value: object = NO_VALUE,
        /,
        *,
        allow_scan: bool = False,
    ) -> Self:
        """Keep what satisfies a condition too; see `Q` for the operators.

        Args:
            field: An index, ``key``, ``created_at``, ``updated_at``; or a whole condition made of `Q`.
            op: The operator.
            value: What to compare with.
            allow_scan: Allow fields that are not indexed, in this builder and those made of it: then every
                record is read and looked into. A dotted name is a path into the value.

        Raises:
            SchemaError: If the field is not indexed, and scanning not allowed.
            ValueError: If the operator is unknown, a datetime naive or a float not finite.
            TypeError: If the value is of a type that the operator does not take.
        """
        return self._narrow(condition(field, op, value), allow_scan=allow_scan)

    @overload
    def where_not(self, field: Condition, /, *, allow_scan: bool = False) -> Self: ...
    @overload
    def where_not(
        self, field: str, op: str, value: object = NO_VALUE, /, *, allow_scan: bool = False
    ) -> Self: ...
    def where_not(
        self,
        field: str | Condition,
        op: str | None = None,
        value: object = NO_VALUE,
        /,
        *,
        allow_scan: bool = False,
    ) -> Self:
        """Keep what does not satisfy a condition: the exact complement of `where`."""
        return self._narrow(~condition(field, op, value), allow_scan=allow_scan)

    def order_by(self, field: str, direction: str = "asc", *, allow_scan: bool = False) -> Self:
        """Order by one field instead of by key.

        Ties go by ascending key; records without the field are lowest.

        Args:
            field: An index, ``key``, ``created_at`` or ``updated_at``.
            direction: ``"asc"`` or ``"desc"``.
            allow_scan: As for `where`.

        Raises:
            SchemaError: If the field is not indexed, and scanning not allowed.
            ValueError: If the direction is another one.
        """
        if direction not in _DIRECTIONS:
            raise ValueError(f"unknown direction {direction!r}{unknown(str(direction), _DIRECTIONS)}")
        allow_scan = allow_scan or self._query.allow_scan
        self._source.fields.type_of(field, allow_scan=allow_scan)
        return self._with(order=Order(field, _DIRECTIONS[direction]), allow_scan=allow_scan)

    def limit(self, limit: int | None) -> Self:
        """Return at most so many results; 0 is none, ``None`` all of them.

        Raises:
            ValueError: If it is negative.
        """
        return self._with(limit=limit)

    def offset(self, offset: int) -> Self:
        """Pass over so many results first; for anything long, `page` with its cursor is faster and exact.

        Raises:
            ValueError: If it is negative, or the builder goes on after a cursor.
        """
        return self._with(offset=offset)

    def after(self, cursor: str | None) -> Self:
        """Go on after the page that gave out `cursor`; from the beginning if it is ``None``.

        Raises:
            ValueError: If the builder has an offset.
        """
        return self._with(cursor=cursor)

    def include(self, relation: str, limit: int | None = None) -> Self:
        """Load what belongs to the results together with them: one batch, not one call each.

        Args:
            relation: A relation that the store declares, such as ``"working_memory"`` of contexts.
            limit: Most items of each result; the relation has a default.

        Raises:
            ValueError: If the store has no such relation, or the limit is negative.
        """
        self._source.check_relation(relation)
        if limit is not None and limit < 0:
            raise ValueError("the limit of a relation is not negative")
        return replace(self, _include=(*self._include, Include(relation, limit)))

    def consistency(self, consistency: Consistency) -> Self:
        """Read with this consistency instead of the store's own."""
        return replace(self, _consistency=consistency)

    # --- Running --------------------------------------------------------------------------------------------

    async def execute(self) -> list[T]:
        """Return the values of what is found."""
        return [entry.value for entry in await self.entries()]

    async def entries(self) -> list[Entry[T]]:
        """Return what is found with keys, versions and times."""
        return (await self._page(self._query)).items

    async def keys(self) -> list[str]:
        """Return the keys of what is found."""
        return [entry.key for entry in await self.entries()]

    async def first(self) -> T | None:
        """Return the first value found; ``None`` if there is none."""
        limit = 1 if self._query.limit is None else min(1, self._query.limit)
        found = await self._page(replace(self._query, limit=limit))
        return found.items[0].value if found.items else None

    async def page(self, size: int, cursor: str | None = None) -> Page[T]:
        """Return one page.

        Args:
            size: Most results of the page.
            cursor: Of the page before; ``None`` for the first one.

        Raises:
            InvalidCursor: If the cursor is damaged or belongs to another query.
            ValueError: If the size is negative.
        """
        query = replace(self._query, limit=size)
        if cursor is not None:
            query = replace(query, cursor=cursor, offset=0)
        found = await self._page(query)
        return Page([entry.value for entry in found.items], found.cursor)

    async def count(self) -> int:
        """Return how many records there are, whatever limit, offset and cursor."""
        return await self._source.tally(self._query, self._consistency)

    async def explain(self) -> Explanation:
        """Tell how the backend would run this, and whether an index serves it."""
        return await self._source.explain(self._query)

    def aggregate(self, **functions: Summary | Count) -> Totals[T]:
        """Compute over everything that is found, whatever limit, offset and cursor.

        Args:
            functions: What to compute, by the name under which it is wanted: ``total=Sum("message_count")``.

        Raises:
            SchemaError: If a field is not indexed, and scanning not allowed.
            ValueError: If nothing is to be computed.
            TypeError: If something is not `Count`, `Sum`, `Avg`, `Min` or `Max`.
        """
        for name, function in functions.items():
            if not isinstance(function, (Summary, Count)):
                raise TypeError(f"{name!r} is Count(), Sum(…), Avg(…), Min(…) or Max(…)")
            if function.field is not None:
                self._source.fields.type_of(function.field, allow_scan=self._query.allow_scan)
        compiled = {name: function.compile() for name, function in functions.items()}
        return Totals(self, Aggregation(compiled))

    async def stream(self) -> AsyncGenerator[Entry[T], None]:
        """Yield what is found with keys, versions and times, a page at a time.

        Between two pages nothing is held anywhere: records may be written meanwhile, and the generator may be
        left at any point. A record that does not change is never missed and never repeated.
        """
        query, left = self._query, self._query.limit
        most = self._source.page_size(query)
        while True:
            size = left if most is None else most if left is None else min(most, left)
            page = await self._page(replace(query, limit=size))
            for entry in page.items:
                yield entry
            if left is not None:
                left -= len(page.items)
            if page.cursor is None or left == 0:
                return
            query = replace(query, cursor=page.cursor, offset=0)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield the values of what is found, a page at a time."""
        async with aclosing(self.stream()) as entries:
            async for entry in entries:
                yield entry.value

    # --- Helpers --------------------------------------------------------------------------------------------

    def _with(self, **changes: Any) -> Self:
        return replace(self, _query=replace(self._query, **changes))

    def _narrow(self, more: Condition, *, allow_scan: bool) -> Self:
        allow_scan = allow_scan or self._query.allow_scan
        compiled = more.compile(self._source.fields, allow_scan=allow_scan)
        where: Predicate | None = both(self._query.where, compiled)
        return self._with(where=where, allow_scan=allow_scan)

    async def _page(self, query: Query) -> Page[Entry[T]]:
        return await self._source.select(query, self._consistency, self._include)


@dataclass(frozen=True, slots=True)
class Totals(Generic[T]):
    """A computation over everything that a query finds. Made by `QueryBuilder.aggregate`."""

    _builder: QueryBuilder[T]
    _aggregation: Aggregation

    def group_by(self, *fields: str) -> Grouped[T]:
        """Compute for each combination of values of these fields.

        Raises:
            SchemaError: If a field is not indexed, and scanning not allowed.
            ValueError: If there is no field, one is named twice, or one has the name of a result.
        """
        if not fields:
            raise ValueError("group_by needs at least one field")
        for name in fields:
            self._builder._source.fields.type_of(name, allow_scan=self._builder._query.allow_scan)
            if name in self._aggregation.functions:
                raise ValueError(
                    f"{name!r} is a field to group by and the name of a result: rename the result"
                )
        return Grouped(self._builder, replace(self._aggregation, group_by=fields))

    async def execute(self) -> dict[str, Scalar | None]:
        """Return each result under its name."""
        rows = await _compute(self._builder, self._aggregation)
        return rows[0].values


@dataclass(frozen=True, slots=True)
class Grouped(Generic[T]):
    """A computation by groups. Made by `Totals.group_by`."""

    _builder: QueryBuilder[T]
    _aggregation: Aggregation

    async def execute(self) -> list[dict[str, Any]]:
        """Return a dict for each group, in the order of the groups' values: its fields, then the results.

        Records without a field are the group of ``None``; a group of lists has a `list`.
        """
        names = self._aggregation.group_by
        rows = await _compute(self._builder, self._aggregation)
        return [dict(zip(names, map(_shown, row.group), strict=True)) | row.values for row in rows]


async def _compute(builder: QueryBuilder[Any], aggregation: Aggregation) -> list[GroupRow]:
    return await builder._source.compute(builder._query, aggregation, builder._consistency)


def _shown(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
