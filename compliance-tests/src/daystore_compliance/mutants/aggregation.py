"""Mutants that compute something else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daystore.abc import Aggregation, Consistency, Function, GroupRow, Query, Record
from daystore.abc.evaluate import evaluate_aggregate, without_window
from daystore_compliance.mutants.base import Stepwise, mutant


class Computed(Stepwise):
    """Changes the results of an aggregation. Base of mutants, and none itself."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        rows = await super()._aggregate(query, aggregation, consistency)
        return self.rows(rows, aggregation)

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Return what is answered instead."""
        for row in rows:
            for alias, aggregate in aggregation.functions.items():
                row.values[alias] = self.value(aggregate.function, row.values[alias])
        return rows

    def value(self, function: Function, value: Any) -> Any:
        """Return what is answered instead of one result."""
        return value


@mutant("agg.exact_int")
class SumsInFloats(Computed):
    """Integers are summed as floats."""

    def value(self, function: Function, value: Any) -> Any:
        """Pass through a float."""
        return int(float(value)) if function is Function.SUM and type(value) is int else value


@mutant("agg.exact_int")
class SumsWrap(Computed):
    """Sums wrap at 64 bits."""

    def value(self, function: Function, value: Any) -> Any:
        """Wrap."""
        if function is Function.SUM and type(value) is int:
            return (value + 2**63) % 2**64 - 2**63
        return value


@mutant("agg.empty")
class SumOfNothing(Computed):
    """Where there is no number to add, there is no sum."""

    def value(self, function: Function, value: Any) -> Any:
        """Take nothing for absent."""
        return None if function is Function.SUM and value == 0 else value


@mutant("agg.empty")
class AverageOfNothing(Computed):
    """The average of nothing is zero."""

    def value(self, function: Function, value: Any) -> Any:
        """Make it up."""
        return 0.0 if function is Function.AVG and value is None else value


@mutant("agg.sum_types")
class SumsAreFloats(Computed):
    """Every sum is a float."""

    def value(self, function: Function, value: Any) -> Any:
        """Convert."""
        return float(value) if function is Function.SUM and value is not None else value


@mutant("miss.unknown_collection", "agg.empty")
class NoRowForNothing(Computed):
    """Over nothing there is no row at all."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Drop it."""
        empty = {alias for alias, aggregate in aggregation.functions.items() if aggregate.field is None}
        return [row for row in rows if not empty or any(row.values[alias] for alias in empty)]


@mutant("agg.group_order")
class GroupsByName(Computed):
    """Groups come in the order of their text."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Sort them."""
        return sorted(rows, key=lambda row: str(row.group))


class Grouped(Stepwise):
    """Changes the fields before an aggregation. Base of mutants, and none itself."""

    def change(self, value: Any) -> Any:
        """Return what is aggregated instead."""
        return value

    def found(self, query: Query) -> list[Record]:
        """Return records with changed fields."""
        return [
            replace(record, fields={name: self.change(value) for name, value in record.fields.items()})
            for record in super().found(query)
        ]


@mutant("agg.groups_typed", "agg.oracle[bool]")
class GroupsAsText(Grouped):
    """Groups are named by text."""

    def change(self, value: Any) -> Any:
        """Make text of it."""
        return str(value)


@mutant("agg.groups_typed")
class GroupsNumbersTogether(Grouped):
    """Equal numbers of different types are one group."""

    def change(self, value: Any) -> Any:
        """Make an integer of what equals one."""
        return int(value) if isinstance(value, (bool, float)) and value == int(value) else value


@mutant("agg.group_text")
class GroupsFolded(Grouped):
    """Groups of strings do not regard case and blanks."""

    def change(self, value: Any) -> Any:
        """Fold it."""
        return value.casefold().strip() if isinstance(value, str) else value


@mutant("agg.datetimes", "agg.oracle[datetime]")
class GroupsByDay(Grouped):
    """Instants are grouped by the day."""

    def change(self, value: Any) -> Any:
        """Round to midnight."""
        return (
            value.replace(hour=0, minute=0, second=0, microsecond=0) if hasattr(value, "utcoffset") else value
        )


@mutant("agg.mixed")
class SumsReadText(Grouped):
    """Text that reads as a number is summed."""

    def change(self, value: Any) -> Any:
        """Read it."""
        return int(value) if isinstance(value, str) and value.isdigit() else value


@mutant("agg.oracle[missing]", "agg.groups_typed", "agg.store")
class MissingIsNoGroup(Computed):
    """Records without the field are in no group."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Drop them."""
        return [row for row in rows if None not in row.group]


@mutant("agg.window_ignored")
class AggregatesThePage(Stepwise):
    """An aggregation looks at the page that its query asks for."""

    def found(self, query: Query) -> list[Record]:
        """Cut a page."""
        return self.window(self.ordered(super().found(query), query), query)

    async def _query(self, query: Query, consistency: Consistency) -> Any:
        return await super(Stepwise, self)._query(query, consistency)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return await super(Stepwise, self)._count(query, consistency)


@mutant("agg.where")
class AggregatesEverything(Stepwise):
    """An aggregation looks at the whole collection."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        return await super()._aggregate(replace(query, where=None), aggregation, consistency)


@mutant("agg.only_live")
class AggregatesExpired(Stepwise):
    """An aggregation looks at expired records."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        records = self._collections.get(query.collection, {}).values()
        found = [record for record in records if self.matches(query.where, record)]
        return evaluate_aggregate(found, replace(without_window(query), where=None), aggregation)


@mutant("agg.large")
class AggregatesThousand(Stepwise):
    """An aggregation stops after a thousand records."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        kept = self._collections.get(query.collection, {})
        self._collections[query.collection] = dict(list(kept.items())[:1000])
        try:
            return await super()._aggregate(query, aggregation, consistency)
        finally:
            self._collections[query.collection] = kept
