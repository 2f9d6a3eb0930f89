"""Mutants of aggregates: sums, groups and extremes that go wrong in corners."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from daystore.abc import Aggregate, Aggregation, Consistency, Function, GroupRow, Query, Record
from daystore.abc.evaluate import evaluate_aggregate, field_of, without_window
from daystore_compliance.mutants.base import Stepwise, mutant


class _Computed(Stepwise):
    """Computes one function at a time. It breaks nothing."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Return the result of a function over the records of a group, given the right one."""
        return value

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        rows = await super()._aggregate(query, aggregation, consistency)
        found = self.found(query)
        for row in rows:
            members = [
                r
                for r in found
                if all(
                    type(field_of(r, n)) is type(v) and field_of(r, n) == v
                    for n, v in zip(aggregation.group_by, row.group, strict=True)
                )
            ]
            row.values = {
                alias: self.computed(aggregation.functions[alias], members, value)
                for alias, value in row.values.items()
            }
        return rows


def _values(function: Aggregate, records: list[Record]) -> list[Any]:
    values = [field_of(record, function.field) for record in records] if function.field else []
    return [value for value in values if value is not None]


# §8: "`avg`: their sum divided by their number": of integers and floats.
@mutant("agg.mixed", bugs=("sirius-db/sirius#1231",))
class AverageDividesByBools(_Computed):
    """Counts booleans among the numbers by which an average divides."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Divide by more."""
        values = _values(function, records)
        numbers = sum(type(v) in (int, float) for v in values)
        bools = sum(type(v) is bool for v in values)
        return (
            value * numbers / (numbers + bools)
            if function.function is Function.AVG and numbers and bools
            else value
        )


# §8: "`avg`: their sum divided by their number", and a sum of integers is exact, however large.
@mutant("agg.exact_int", bugs=("MonetDB/MonetDB#173", "MonetDB/MonetDB#1838"))
class AverageOverflows(_Computed):
    """Adds the integers of an average up in 64 bits, which wrap around."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Wrap."""
        numbers = [v for v in _values(function, records) if type(v) is int]
        if function.function is Function.AVG and numbers and not -(2**63) <= sum(numbers) < 2**63:
            return ((sum(numbers) + 2**63) % 2**64 - 2**63) / len(numbers)
        return value


# §8: "With a float among them it is a `float`, correctly rounded".
@mutant("agg.mixed_exact")
class MixedSumsRoundTwice(_Computed):
    """Rounds the sum of the integers before it adds the floats."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Round twice."""
        values = _values(function, records)
        ints = [v for v in values if type(v) is int]
        floats = [v for v in values if type(v) is float]
        if function.function is Function.SUM and ints and floats:
            return float(sum(ints)) + sum(floats) if abs(sum(ints)) > 2**53 else value
        return value


# §8: "`min`, `max`: the first or last value in the order above": every int comes before every float.
@mutant("agg.extremes_by_pairs")
class ExtremesCrossNumbers(_Computed):
    """Finds the smallest and largest of integers and floats together, as numbers."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Compare numbers."""
        numbers = [v for v in _values(function, records) if type(v) in (int, float)]
        if function.function in (Function.MIN, Function.MAX) and type(value) in (int, float) and numbers:
            return (min if function.function is Function.MIN else max)(numbers)
        return value


# §8: "`count`: […] with a field those that have it".
@mutant("agg.lists")
class ListsAreNotCounted(_Computed):
    """Does not count a list when it counts the records that have a field."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Count scalars."""
        if function.function is Function.COUNT and function.field is not None:
            return sum(not isinstance(v, tuple) for v in _values(function, records))
        return value


# §8: "A sum of integers is an exact `int`, however large."
@mutant("agg.exact_int")
class SumSaturates(_Computed):
    """Stops a sum of integers at the largest number of 64 bits."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Saturate."""
        return min(value, 2**63 - 1) if function.function is Function.SUM and type(value) is int else value


# §8: "`sum` […] of nothing: `0`".
@mutant("agg.sum_types")
class SumOfNoNumbersIsNone(_Computed):
    """Sums a group whose field holds no numbers, though it holds something, to nothing, as SQL does."""

    def computed(self, function: Aggregate, records: list[Record], value: Any) -> Any:
        """Sum to nothing."""
        values = _values(function, records)
        if function.function is Function.SUM and values and not any(type(v) in (int, float) for v in values):
            return None
        return value


class _Grouped(Stepwise):
    """Groups by changed values. It breaks nothing."""

    def grouped(self, record: Record, names: tuple[str, ...]) -> Record:
        """Return a record as it is grouped."""
        return record

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        everything = replace(without_window(query), where=None)
        found = [self.grouped(record, aggregation.group_by) for record in self.found(query)]
        return evaluate_aggregate(found, everything, aggregation)


def _with(record: Record, names: tuple[str, ...], change: Any) -> Record:
    fields = {n: change(v) if n in names else v for n, v in record.fields.items()}
    return replace(record, fields=fields)


# §8: "so are equal lists": lists in another order are other lists.
@mutant("agg.lists")
class GroupsOfListsIgnoreOrder(_Grouped):
    """Groups lists as sets: in whatever order their items are, they are one group."""

    def grouped(self, record: Record, names: tuple[str, ...]) -> Record:
        """Sort the items."""
        return _with(record, names, lambda v: tuple(sorted(v)) if isinstance(v, tuple) else v)


# §8: groups by instants, which are exact to the microsecond.
@mutant("agg.datetimes")
class GroupsOfMilliseconds(_Grouped):
    """Groups datetimes by their milliseconds."""

    def grouped(self, record: Record, names: tuple[str, ...]) -> Record:
        """Cut."""
        return _with(
            record,
            names,
            lambda v: v.replace(microsecond=v.microsecond // 1000 * 1000) if isinstance(v, datetime) else v,
        )


# §8: "A query groups by any number of fields."
@mutant("agg.pairs")
class GroupsAreJoinedTexts(Stepwise):
    """Makes one text of the two values of a group, with a bar between them, and splits it again."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        names = aggregation.group_by
        everything = replace(without_window(query), where=None)
        found = self.found(query)
        if len(names) == 2 and not {"key", "created_at", "updated_at"} & set(names):
            found = [self._joined(record, *names) for record in found]
        return evaluate_aggregate(found, everything, aggregation)

    def _joined(self, record: Record, first: str, second: str) -> Record:
        a, b = record.fields.get(first), record.fields.get(second)
        if isinstance(a, str) and isinstance(b, str):
            a, _, b = f"{a}|{b}".partition("|")
            return replace(record, fields={**record.fields, first: a, second: b})
        return record


# §8: "Nothing is cut off silently", and every group has its row.
@mutant("agg.groups_many")
class AHundredGroupsAreShown(Stepwise):
    """Returns the first hundred groups."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        return (await super()._aggregate(query, aggregation, consistency))[:100]


# §8: "`count` is exactly how many records the query finds without limit, offset and cursor."
@mutant("q.count_equals_len")
class CountStartsAtTheOffset(Stepwise):
    """Counts what comes after the offset."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return max(0, await super()._count(query, consistency) - query.offset)


# §8: "`aggregate` computes over the same records", without the window.
@mutant("agg.window_ignored")
class AggregatesRespectTheLimit(Stepwise):
    """Computes over the page that the query shows."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        found = self.window(self.ordered(self.found(query), query), query)
        return evaluate_aggregate(found, replace(without_window(query), where=None), aggregation)
