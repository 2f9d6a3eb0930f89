"""Mutants that are right in every plain query, and wrong where two things of a query meet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from daystore.abc import And, Compare, Consistency, Not, Op, Or, Page, Predicate, Query, Record, WriteBatch
from daystore.abc.evaluate import field_of
from daystore.abc.record import Outcome
from daystore.errors import BackendUnavailable
from daystore_compliance.mutants.base import Stepwise, mutant
from daystore_compliance.mutants.predicates import SIDED, Coerced


class Rewritten(Stepwise):
    """Rewrites a predicate before it is judged. Base of mutants, and none itself."""

    def rewritten(self, predicate: Predicate) -> Predicate:
        """Return what is judged instead, one level deep."""
        return predicate

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Judge it."""
        return super().matches(None if predicate is None else self.rewritten(predicate), record)


@mutant("q.prefix_joined")
class PrefixHidesRange(Rewritten):
    """A prefix of the key is a range of it, and takes the place of another one beside it."""

    def rewritten(self, predicate: Predicate) -> Predicate:
        """Drop the other range."""
        if not isinstance(predicate, And):
            return predicate
        keys = [t for t in predicate.terms if isinstance(t, Compare) and t.field == "key"]
        if not any(t.op is Op.STARTSWITH for t in keys):
            return predicate
        return And(tuple(t for t in predicate.terms if t not in keys or t.op not in SIDED))


@mutant("q.prefix_joined", "q.same_field")
class LastOfAFieldWins(Rewritten):
    """The terms of an and are a mapping by field and operator: of two alike the last one counts."""

    def rewritten(self, predicate: Predicate) -> Predicate:
        """Make the mapping."""
        if not isinstance(predicate, And):
            return predicate
        kept: dict[Any, Predicate] = {}
        for term in predicate.terms:
            plain = isinstance(term, Compare) and term.op is not Op.CONTAINS
            kept[(term.field, term.op) if plain else id(term)] = term  # type: ignore[union-attr]
        return And(tuple(kept.values()))


@mutant("q.same_field")
class OrMergedToIn(Stepwise):
    """An or of equalities of one field is an in, whose values are numbers where they equal one."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Look the value up."""
        if isinstance(predicate, Or) and len(predicate.terms) > 1:
            equal = [t for t in predicate.terms if isinstance(t, Compare) and t.op is Op.EQ]
            if len(equal) == len(predicate.terms) and len({t.field for t in equal}) == 1:
                return field_of(record, equal[0].field) in [t.value for t in equal]
        return super().matches(predicate, record)


@mutant("q.same_field")
class UnknownInsideOr(Stepwise):
    """Inside an or, a negated comparison with a missing field is false."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Judge by three values there."""
        if isinstance(predicate, Or):
            return any(self._known(term, record) and self.matches(term, record) for term in predicate.terms)
        return super().matches(predicate, record)

    def _known(self, term: Predicate, record: Record) -> bool:
        if not (isinstance(term, Not) and isinstance(term.term, And)):
            return True
        terms = term.term.terms
        return all(not isinstance(t, Compare) or field_of(record, t.field) is not None for t in terms)


@mutant("q.same_field", "q.oracle")
class NegatedOrIsOr(Rewritten):
    """A negated and is the and of its negated terms."""

    def rewritten(self, predicate: Predicate) -> Predicate:
        """Push the not inside, and leave the and."""
        if isinstance(predicate, Not) and isinstance(predicate.term, And) and len(predicate.term.terms) == 3:
            return And(tuple(map(Not, predicate.term.terms)))
        return predicate


@mutant("q.key_in")
class OrderOfInList(Stepwise):
    """Records found by a list of keys come in the order of the list."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Take its order."""
        where, found = query.where, super().ordered(records, query)
        plain = query.order.field == "key" and not query.order.descending
        if plain and isinstance(where, Compare) and where.field == "key" and isinstance(where.value, tuple):
            places = {key: place for place, key in reversed(list(enumerate(where.value)))}
            return sorted(found, key=lambda record: places[record.key])
        return found


@mutant("q.oracle", "txn.oracle")
class CountDropsMissing(Stepwise):
    """A count joins the field of the order, and loses the records that lack it."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return sum(field_of(record, query.order.field) is not None for record in self.found(query))


@mutant("q.oracle")
class DownDropsMissing(Stepwise):
    """A descending order with a predicate loses the records without the field."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Lose them."""
        found = super().ordered(records, query)
        if query.order.descending and isinstance(query.where, Or):
            return [record for record in found if field_of(record, query.order.field) is not None]
        return found


@mutant("q.long_texts")
class TextCutInIndex(Coerced):
    """An index holds the first 255 characters of a text."""

    def coerced(self, value: Any) -> Any:
        """Cut it."""
        return value[:255] if isinstance(value, str) else value


@mutant("q.long_texts")
class TextOrderCut(Stepwise):
    """An order looks at the first 255 characters of a text."""

    def place(self, record: Record, query: Query) -> Any:
        """Cut it."""
        rank, value = super().place(record, query)
        return (rank, value[:255] if isinstance(value, str) and query.order.field != "key" else value)


@mutant("page.neighbour_values", "q.oracle")
class IntegersOrderedAsDoubles(Stepwise):
    """Integers are ordered as doubles."""

    def place(self, record: Record, query: Query) -> Any:
        """Pass through a double."""
        rank, value = super().place(record, query)
        return (rank, int(float(value)) if rank == 2 else value)


@mutant("q.oracle", "txn.oracle")
class CreatedMovesWithUpdate(Stepwise):
    """created_at is compared as the time of the last write."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Take the other time."""
        return super().compare(compare, replace(record, created_at=record.updated_at))


@mutant("q.range_bounds")
class NegatedTimesFail(Stepwise):
    """A negated range of times fails on first use."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Fail."""
        term = predicate.term if isinstance(predicate, Not) else None
        if isinstance(term, Or) and any(
            isinstance(t, Compare) and t.op in SIDED and isinstance(t.value, datetime) for t in term.terms
        ):
            raise BackendUnavailable("no such function")
        return super().matches(predicate, record)


@mutant("q.rows_agree")
class TornRows(Stepwise):
    """A query finds keys, and reads the records later: they may no longer be what was looked for."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        await asyncio.sleep(0)
        records = await self._read(query.collection, [record.key for record in page.records], consistency)
        return Page([record for record in records if record is not None], page.cursor)


@mutant("txn.read_your_writes")
class AtomicKeepsOldEntries(Stepwise):
    """An atomic batch leaves the old entries of an index behind, which still find the record."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        stale: dict[Any, Record] = self.__dict__.setdefault("_stale", {})
        for operation in batch.operations:
            place = (operation.collection, operation.key)
            old = self._find(*place, self.clock())
            stale.pop(place, None)
            if batch.atomic and old is not None:
                stale[place] = old
        return await super()._write(batch)

    def found(self, query: Query) -> list[Record]:
        """Find by old entries as well."""
        stale = self.__dict__.get("_stale", {})
        return [
            record
            for record in self._live(query.collection)
            if self.matches(query.where, record)
            or ((old := stale.get((query.collection, record.key))) and self.matches(query.where, old))
        ]


@mutant("q.in_many")
class ManyInCut(Stepwise):
    """Of the values of an in after the 32,766th none counts."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Cut them."""
        value = compare.value
        return super().compare(
            replace(compare, value=value[:32_766]) if isinstance(value, tuple) else compare, record
        )


@mutant("q.order_names")
class NamesSplicedIntoOrder(Stepwise):
    """The name of the field of an order is spliced into a statement, where a word behind it turns it round."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Turn it round."""
        name, blank, word = query.order.field.rpartition(" ")
        if blank and word.casefold() == "desc":
            order = replace(query.order, field=name, descending=True)
            return super().ordered(records, replace(query, order=order))
        return super().ordered(records, query)


@mutant("q.ops.matrix[startswith]")
class ListsComparedAsText(Stepwise):
    """A list of one element is equal to it."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Unpack it."""
        found = field_of(record, compare.field)
        if compare.op is Op.STARTSWITH and isinstance(found, tuple) and len(found) == 2:
            record = replace(record, fields={**record.fields, compare.field: found[0]})
        return super().compare(compare, record)
