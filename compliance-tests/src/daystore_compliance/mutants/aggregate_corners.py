"""Mutants that compute rightly over plain fields, and wrongly where groups, lists and functions meet."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from daystore.abc import Aggregation, Compare, Consistency, Function, GroupRow, Op, Or, Query, Record
from daystore.abc.evaluate import evaluate_aggregate, field_of, without_window
from daystore_compliance.mutants.aggregation import Computed
from daystore_compliance.mutants.base import Stepwise, mutant


class Aggregated(Stepwise):
    """Aggregates other records than it finds. Base of mutants, and none itself."""

    def records(self, found: list[Record], query: Query, aggregation: Aggregation) -> list[Record]:
        """Return the records that are aggregated."""
        return found

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        everything = replace(without_window(query), where=None)
        found = self.records(self.found(query), query, aggregation)
        return evaluate_aggregate(found, everything, aggregation)


@mutant("agg.lists")
class OncePerMatch(Aggregated):
    """An aggregation counts a record once for each element of a list that matches."""

    def records(self, found: list[Record], query: Query, aggregation: Aggregation) -> list[Record]:
        """Repeat it."""
        where = query.where
        terms = where.terms if isinstance(where, Or) else (where,)
        wanted = [t for t in terms if isinstance(t, Compare) and t.op is Op.CONTAINS]
        if not wanted or len(wanted) < len(terms):
            return found
        return [
            record
            for record in found
            for term in wanted
            for item in (record.fields.get(term.field) or ())  # type: ignore[union-attr]
            if item == term.value
        ]


@mutant("agg.lists", "q.oracle")
class JoinsMultiply(Aggregated):
    """With two fields in an aggregation, a record counts once for each element of the list among them."""

    def records(self, found: list[Record], query: Query, aggregation: Aggregation) -> list[Record]:
        """Repeat it."""
        names = {f.field for f in aggregation.functions.values() if f.field} | set(aggregation.group_by)
        if len(names) < 2:
            return found
        repeated = []
        for record in found:
            lists = [v for name in names if isinstance(v := field_of(record, name), tuple)]
            repeated += [record] * math.prod(max(1, len(v)) for v in lists)
        return repeated


@mutant("agg.pairs", "q.oracle")
class SecondMissingDropped(Computed):
    """Records that have the first field of a group and not the second are in no group."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Drop them."""
        return [
            row for row in rows if len(row.group) < 2 or row.group[0] is None or row.group[-1] is not None
        ]


class Regrouped(Aggregated):
    """Changes the fields that make groups. Base of mutants, and none itself."""

    def change(self, value: Any) -> Any:
        """Return what is grouped by instead."""
        return value

    def records(self, found: list[Record], query: Query, aggregation: Aggregation) -> list[Record]:
        """Change them."""
        names = aggregation.group_by
        return [
            replace(r, fields={n: self.change(v) if n in names else v for n, v in r.fields.items()})
            for r in found
        ]


@mutant("agg.lists", "q.oracle")
class GroupsOfJoinedLists(Regrouped):
    """Lists are grouped by their elements joined with commas."""

    def change(self, value: Any) -> Any:
        """Join them."""
        return tuple(",".join(value).split(",")) if isinstance(value, tuple) else value


@mutant("agg.lists")
class GroupsOfSortedLists(Regrouped):
    """Lists of the same elements in another order are one group."""

    def change(self, value: Any) -> Any:
        """Sort them."""
        return tuple(sorted(value)) if isinstance(value, tuple) else value


@mutant("agg.lists")
class GroupsOfSets(Regrouped):
    """Lists of the same elements, however often, are one group."""

    def change(self, value: Any) -> Any:
        """Drop the repeated."""
        return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value


@mutant("agg.extremes")
class MinimumFolded(Stepwise):
    """Minimum and maximum of texts do not regard case."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        rows = await super()._aggregate(query, aggregation, consistency)
        found = self.found(query)
        for alias, function in aggregation.functions.items():
            if function.function not in (Function.MIN, Function.MAX) or aggregation.group_by:
                continue
            pick = min if function.function is Function.MIN else max
            values = [field_of(record, str(function.field)) for record in found]
            texts = [value for value in values if isinstance(value, str)]
            if isinstance(rows[0].values[alias], str):
                rows[0].values[alias] = pick(texts, key=str.casefold)
        return rows


@mutant("agg.extremes")
class ExtremesAsDoubles(Computed):
    """Minimum and maximum of integers pass through doubles."""

    def value(self, function: Function, value: Any) -> Any:
        """Round."""
        extreme = function in (Function.MIN, Function.MAX) and type(value) is int
        return int(float(value)) if extreme and abs(value) < 2**62 else value


@mutant("agg.float_exact")
class FloatsSummedInTurn(Stepwise):
    """Floats are added one after another, each time rounded."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        rows = await super()._aggregate(query, aggregation, consistency)
        if aggregation.group_by:
            return rows
        for alias, function in aggregation.functions.items():
            values = [field_of(record, str(function.field)) for record in self.found(query)]
            numbers = [value for value in values if type(value) in (int, float)]
            if function.function is Function.SUM and any(type(n) is float for n in numbers):
                total = 0.0
                for number in numbers:
                    total += number  # type: ignore[operator]
                rows[0].values[alias] = total
        return rows


@mutant("agg.aliases")
class AliasIsField(Stepwise):
    """A result named like the field of a group takes its place in the grouping."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        kept = tuple(name for name in aggregation.group_by if name not in aggregation.functions)
        rows = await super()._aggregate(query, replace(aggregation, group_by=kept), consistency)
        if kept == aggregation.group_by:
            return rows
        return [GroupRow((*row.group, None), row.values) for row in rows]


@mutant("agg.aliases")
class AliasesFolded(Computed):
    """Names of results are columns, whose case does not count: of two alike the last one stays."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Merge them."""
        for row in rows:
            folded = {alias.casefold(): value for alias, value in row.values.items()}
            row.values = {alias: folded[alias.casefold()] for alias in row.values}
        return rows


@mutant("agg.pairs")
class GroupsJoined(Computed):
    """The fields of a group are joined to one text: pairs that read alike are one group."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Keep the first of those alike."""
        kept: dict[str, GroupRow] = {}
        for row in rows:
            texts = [value for value in row.group if isinstance(value, str)]
            alike = len(texts) == len(row.group) > 1
            kept.setdefault("|".join(texts) if alike else f"{id(row)}", row)
        return list(kept.values())


@mutant("agg.pairs", "q.oracle")
class GroupsSwapped(Computed):
    """Groups by two fields come in the order of the second."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Sort them by it."""
        return sorted(rows, key=lambda row: str(row.group[-1])) if len(aggregation.group_by) == 2 else rows


@mutant("agg.groups_many")
class ThousandGroups(Computed):
    """After a thousand groups there are no more."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Cut them."""
        return rows[:1000]
