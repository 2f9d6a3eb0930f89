"""Mutants made from real bugs of queries: what is found, and in which order."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from daystore.abc import (
    EVENTUAL,
    And,
    Compare,
    Consistency,
    Delete,
    Instant,
    Op,
    Or,
    Outcome,
    Page,
    Predicate,
    Query,
    Record,
    from_instant,
    sort_value,
)
from daystore.abc.evaluate import field_of
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, SchemaError
from daystore.query.builder import QueryBuilder
from daystore.query.conditions import NO_VALUE
from daystore.stores import Store
from daystore_compliance.mutants.base import Stepwise, mutant
from daystore_compliance.mutants.predicates import SIDED, Coerced, TextPrefix

ATTRIBUTES: Final = ("key", "created_at", "updated_at")


def first_field(predicate: Predicate | None) -> str | None:
    """Return the first field that a predicate compares, where an index could drive the query."""
    if isinstance(predicate, Compare):
        return predicate.field
    terms = predicate.terms if isinstance(predicate, (And, Or)) else ()
    return next((name for term in terms if (name := first_field(term)) is not None), None)


@mutant("q.ops.matrix[ge-int]", "q.same_field", bugs=("google/adk-python#453",))
class OrderOfPlanner(Stepwise):
    """Where no order is asked for, records come in the order of the index that drives the query."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Order by the field of the index."""
        found = super().ordered(records, query)
        driving = first_field(query.where)
        if query.order.field != "key" or query.order.descending or driving in (None, "key"):
            return found
        return sorted(found, key=lambda record: sort_value(field_of(record, str(driving))))


@mutant("q.field_names_are_data", bugs=("langchain-ai/langgraph#5666",))
class NamesSpliced(Stepwise):
    """The name of a field is spliced into a statement, which a quote breaks open."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Let everything through."""
        return bool(re.search(r"""['"] or """, compare.field, re.IGNORECASE)) or super().compare(
            compare, record
        )


@mutant("q.numeric_order", bugs=("langchain-ai/langgraph#7684", "dapr/components-contrib#3218"))
class RangesAsText(Stepwise):
    """Numbers are equal as numbers, and less and greater as text."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare text where a side is asked for."""
        found, value = field_of(record, compare.field), compare.value
        if compare.op in SIDED and type(found) is type(value) and type(value) in (int, float):
            compare = replace(compare, field="f", value=str(value))
            record = replace(record, fields={"f": str(found)})
        return super().compare(compare, record)


@mutant("q.no_match", bugs=("langchain-ai/langgraphjs#2504",))
class UnknownFieldDropped(Stepwise):
    """A comparison with a field that no record has is no condition."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Let everything through."""
        known = any(
            field_of(other, compare.field) is not None
            for records in self._collections.values()
            for other in records.values()
        )
        return not known or super().compare(compare, record)


@mutant("q.unknown_field", bugs=("langchain-ai/langgraphjs#2504",))
class UnindexedDropped(Store[Any]):
    """A condition on a field that is not indexed is dropped, and all records come back."""

    def where(
        self, field: Any, op: Any = None, value: Any = NO_VALUE, /, *, allow_scan: bool = False
    ) -> QueryBuilder[Any]:
        """Begin a query without it."""
        try:
            return super().where(field, op, value, allow_scan=allow_scan)
        except SchemaError:
            return self.all()


@mutant("q.prefix_joined", bugs=("langchain-ai/langgraphjs#2826",))
class PrefixCutWhenJoined(Stepwise):
    """A prefix that is joined with another condition is cut behind its first separator."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Cut it."""
        if isinstance(predicate, And) and len(predicate.terms) > 1:
            predicate = And(tuple(map(self._cut, predicate.terms)))
        return super().matches(predicate, record)

    def _cut(self, term: Predicate) -> Predicate:
        if isinstance(term, Compare) and term.field == "key" and term.op is Op.STARTSWITH:
            return replace(term, value="".join(re.split(r"(?<=[/:.])", str(term.value))[:1]))
        return term


@mutant("q.ops.matrix[eq-str]", bugs=("langchain-ai/langgraphjs#581",))
class FieldsInsideValue(Stepwise):
    """Fields are kept inside the encoded value, where no query finds them."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Find nothing."""
        return compare.field in ATTRIBUTES and super().compare(compare, record)


@mutant("q.logic", bugs=("langchain-ai/langgraphjs#582",))
class EmptyWhereFails(Stepwise):
    """A predicate that says nothing is an empty clause, which the server refuses."""

    def found(self, query: Query) -> list[Record]:
        """Refuse it."""
        if query.where == And(()):
            raise BackendUnavailable("syntax error near the end of the statement")
        return super().found(query)


@mutant("q.order_default", bugs=("run-llama/llama_index#22963",))
class DeleteReverses(Stepwise):
    """After a deletion the records that stay come in reverse."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Delete):
            self.__dict__.setdefault("_turned", set()).add(operation.collection)
        return super()._apply(operation, now)

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Turn them round."""
        found = super().ordered(records, query)
        turned = query.collection in self.__dict__.get("_turned", ()) and query.order.field == "key"
        return found[::-1] if turned else found


@mutant("del.returns_existed", bugs=("run-llama/llama_index#22963",))
class DeletingTheLastFails(MemoryAdapter):
    """Deleting the only record of a collection fails: writing back an empty rest is refused."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        outcome = super()._apply(operation, now)
        if isinstance(operation, Delete) and outcome.existed and not self._collections[operation.collection]:
            raise BackendUnavailable("wrong number of arguments")
        return outcome


@mutant("q.ops.matrix[eq-int]", bugs=("dapr/components-contrib#1583", "dapr/components-contrib#1594"))
class NumbersFail(Stepwise):
    """A comparison with anything but a string fails."""

    def found(self, query: Query) -> list[Record]:
        """Fail."""
        where = query.where
        if isinstance(where, Compare) and where.op is Op.EQ and type(where.value) in (int, float, bool):
            raise BackendUnavailable("expected a string")
        return super().found(query)


@mutant("q.numeric_order", bugs=("dapr/components-contrib#2818",))
class OrderAcrossShardsFails(Stepwise):
    """An order by a field fails as soon as the records lie in more than one shard."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Fail."""
        records = list(records)
        if query.order.field != "key" and len({len(record.key.encode()) % 4 for record in records}) > 1:
            raise BackendUnavailable("cross partition query with order is not supported")
        return super().ordered(records, query)


@mutant("q.prefix_case", bugs=("dapr/components-contrib#4087",))
class PrefixAsciiFolded(TextPrefix):
    """A prefix matches the other case of ASCII letters."""

    def begins(self, text: str, prefix: str) -> bool:
        """Fold them, and nothing beyond."""
        return text.encode().lower().startswith(prefix.encode().lower())


@mutant("q.prefix_literal", bugs=("apache/iceberg#10167",))
class PrefixEscapesItself(TextPrefix):
    """In a prefix % and _ are escaped with a backslash, and the backslash is not."""

    def begins(self, text: str, prefix: str) -> bool:
        """Match as LIKE does, where a backslash makes the next character literal."""
        pattern = re.sub(r"([%_])", r"\\\1", prefix) + "%"
        parts = re.findall(r"\\.|.", pattern, re.DOTALL)
        wild = {"%": ".*", "_": "."}
        regex = "".join(
            re.escape(part[-1]) if len(part) > 1 else wild.get(part, re.escape(part)) for part in parts
        )
        return re.fullmatch(regex, text, re.DOTALL) is not None


@mutant("q.prefix_literal", bugs=("apache/iceberg#10167",))
class PrefixEscapesWithBang(TextPrefix):
    """A prefix is escaped with an exclamation mark, which itself is not escaped."""

    def begins(self, text: str, prefix: str) -> bool:
        """Let the mark make the next character literal."""
        if prefix.endswith("!"):
            return text == prefix[:-1] + "%"
        return text.startswith(prefix)


class Neighbours(Stepwise):
    """Looks into other collections as well. Base of mutants, and none itself."""

    def belongs(self, other: str, collection: str) -> bool:
        """Tell whether another collection is taken for this one."""
        return other == collection

    def found(self, query: Query) -> list[Record]:
        """Return what is found in all of them."""
        names = [name for name in self._collections if self.belongs(name, query.collection)]
        return [record for name in names for record in self._live(name) if self.matches(query.where, record)]


@mutant("q.other_collections", bugs=("apache/iceberg#10443",))
class CollectionsByBeginning(Neighbours):
    """A query finds the records of every collection whose name begins with that of its own."""

    def belongs(self, other: str, collection: str) -> bool:
        """Look at the beginning."""
        return other.startswith(collection)


@mutant("q.other_collections", bugs=("apache/iceberg#10443",))
class CollectionsAsLike(Neighbours):
    """The underscore in the name of a collection stands for any character."""

    def belongs(self, other: str, collection: str) -> bool:
        """Match as LIKE does."""
        return re.fullmatch(collection.replace("_", "."), other) is not None


@mutant("key.families[like]", bugs=("apache/iceberg#8340",))
class ExistsAsLike(MemoryAdapter):
    """Whether a record exists is asked with LIKE."""

    async def exists(self, collection: str, key: str, consistency: Consistency = EVENTUAL) -> bool:
        """Match as LIKE does."""
        pattern = re.compile(re.escape(key).replace("_", ".").replace("%", ".*"), re.DOTALL)
        return any(pattern.fullmatch(record.key) for record in self._live(collection))


@mutant("q.while_writing", bugs=("apache/jclouds#JCLOUDS-1137",))
class ListsThenFetches(Stepwise):
    """A query lists keys and then fetches each, and fails where one is gone meanwhile."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        await asyncio.sleep(0)
        records = await self._read(query.collection, [record.key for record in page.records], consistency)
        if None in records:
            raise BackendUnavailable("no such object")
        return Page([record for record in records if record is not None], page.cursor)


@mutant("q.prefix_literal", bugs=("jaredwray/keyv#1784",))
class PrefixUnderscoreWild(TextPrefix):
    """In a prefix % is escaped, and _ stands for any character."""

    def begins(self, text: str, prefix: str) -> bool:
        """Match as LIKE does."""
        return re.match(re.escape(prefix).replace("_", "."), text, re.DOTALL) is not None


@mutant("q.ops.matrix[in-int]", "q.key_in", bugs=("mastra-ai/mastra#20303",))
class CountsFirstOfIn(Stepwise):
    """A query looks for all values of an in, a count for the first of them."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return await super()._count(replace(query, where=self._first(query.where)), consistency)

    def _first(self, predicate: Predicate | None) -> Predicate | None:
        if isinstance(predicate, Compare) and isinstance(predicate.value, tuple):
            return replace(predicate, value=predicate.value[:1])
        return predicate


@mutant("q.ops.times[updated_at]", "q.time.half_open", bugs=("mem0ai/mem0#4406",))
class TimesAsTextOfZones(Stepwise):
    """updated_at is written as text of one zone, and compared with text of another."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare the texts."""
        if compare.field != "updated_at" or not isinstance(compare.value, datetime):
            return super().compare(compare, record)
        pacific = timezone(timedelta(hours=-8))
        text = from_instant(record.updated_at).astimezone(pacific).isoformat()
        wanted = compare.value.astimezone(UTC).isoformat()
        return super().compare(replace(compare, field="f", value=wanted), replace(record, fields={"f": text}))


@mutant("q.ops.times[updated_at]", "q.order_times", bugs=("mem0ai/mem0#4499",))
class UpdatedOnlyByUpdates(Stepwise):
    """updated_at is empty until the first overwriting, and queries on it lose new records."""

    def found(self, query: Query) -> list[Record]:
        """Drop them where they would be ordered."""
        found = super().found(query)
        if query.order.field == "updated_at":
            return [record for record in found if record.updated_at != record.created_at]
        return found

    def compare(self, compare: Compare, record: Record) -> bool:
        """Find no time."""
        empty = compare.field == "updated_at" and record.updated_at == record.created_at
        return not empty and super().compare(compare, record)


@mutant("q.ops.matrix[ge-datetime]", "q.time.half_open", bugs=("mem0ai/mem0#4591",))
class RangesAreNumeric(Stepwise):
    """A range is one of numbers: one of datetimes finds nothing."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Find nothing."""
        timed = compare.op in SIDED and isinstance(compare.value, datetime)
        return not timed and super().compare(compare, record)


@mutant("q.ops.matrix[ge-int]", "q.range_bounds", bugs=("mem0ai/mem0#4622",))
class RangeNeedsBothBounds(Stepwise):
    """A bound counts only if the other one of the same field stands beside it."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Forget a single one."""
        terms = predicate.terms if isinstance(predicate, And) else (predicate,)
        ops: dict[str, set[Op]] = {}
        for term in terms:
            if isinstance(term, Compare):
                ops.setdefault(term.field, set()).add(term.op)
        kept = [
            term
            for term in terms
            if not (isinstance(term, Compare) and term.op in SIDED) or {Op.GE, Op.LE} <= ops[term.field]
        ]
        if len(kept) == len(terms):
            return super().matches(predicate, record)
        return all(super(RangeNeedsBothBounds, self).matches(term, record) for term in kept)


@mutant("q.ops.matrix[lt-int]", bugs=("mem0ai/mem0#6550",))
class EveryOperatorEquals(Stepwise):
    """Every comparison is taken for equality."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare for equality."""
        return super().compare(replace(compare, op=Op.EQ) if compare.op in SIDED else compare, record)


@mutant("q.numeric_order", bugs=("redis/redis-py#4000",))
class IntegersAsDoubles(Coerced):
    """Integers are compared as doubles."""

    def coerced(self, value: Any) -> Any:
        """Pass through a double."""
        return int(float(value)) if type(value) is int else value


@mutant("q.order_field[datetime]", bugs=("temporalio/temporal#2578",))
class TimesDownFail(Stepwise):
    """A descending order by a datetime names a column that is not there."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Fail."""
        records = list(records)
        if query.order.descending and any(
            isinstance(field_of(record, query.order.field), datetime) for record in records
        ):
            raise BackendUnavailable("no such column")
        return super().ordered(records, query)


@mutant("q.time.tz", bugs=("temporalio/temporal#3628",))
class EqualWithZone(Stepwise):
    """Datetimes are equal only if their zones are."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare the zones as well."""
        found, value = field_of(record, compare.field), compare.value
        if compare.op is Op.EQ and isinstance(found, datetime) and isinstance(value, datetime):
            return found == value and found.utcoffset() == value.utcoffset()
        return super().compare(compare, record)


@mutant("q.ops.times[updated_at]", bugs=("temporalio/temporal#3952",))
class TimesKeptRounded(Stepwise):
    """updated_at is kept rounded up to milliseconds, and compared with what is not rounded."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare the rounded time."""
        rounded = record.updated_at + -record.updated_at % 1000
        return super().compare(compare, replace(record, updated_at=rounded))


@mutant("q.other_collections", "q.expired_excluded", bugs=("temporalio/temporal#3967",))
class OrLeavesItsScope(Stepwise):
    """An or stands unbracketed beside the conditions of its scope: it finds the foreign and the expired."""

    def found(self, query: Query) -> list[Record]:
        """Bind the first term to the scope, and no other."""
        where = query.where
        if not isinstance(where, Or) or len(where.terms) < 2:
            return super().found(query)
        found = {id(record): record for record in super().found(replace(query, where=where.terms[0]))}
        rest = Or(where.terms[1:])
        for records in self._collections.values():
            found |= {id(record): record for record in records.values() if self.matches(rest, record)}
        return list(found.values())


@mutant("q.tags.operator_injection", bugs=("temporalio/temporal#4755",))
class TokensAsExpressions(Stepwise):
    """What is searched for is an expression, in which - negates, * is anything and quotes group."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Parse it."""
        value = compare.value
        if compare.op in (Op.CONTAINS, Op.STARTSWITH) and isinstance(value, str):
            if value.startswith("-"):
                return not super().compare(replace(compare, value=value[1:]), record)
            compare = replace(compare, value=value.replace('"', "").rstrip("*"))
        return super().compare(compare, record)


@mutant("q.prefix_exact_key", bugs=("thanos-io/thanos#1544",))
class MarkersListed(Stepwise):
    """A prefix that ends in a slash also finds an empty record of that name, which nobody wrote."""

    def found(self, query: Query) -> list[Record]:
        """Make it up."""
        found, where = super().found(query), query.where
        if isinstance(where, Compare) and where.op is Op.STARTSWITH and where.field == "key" and found:
            name = str(where.value)
            if name.endswith("/") and all(record.key != name for record in found):
                found.append(replace(found[0], key=name, value=b"", fields={}))
        return found
