"""Mutants that order, cut or count wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from daystore.abc import Consistency, Explanation, Page, Query, Record, sort_value
from daystore.abc.evaluate import field_of
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import Stepwise, mutant


@mutant("q.order_default")
class OrderOfInsertion(Stepwise):
    """Records come in the order of their insertion unless an order is asked for."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Leave them as they are."""
        return list(records) if query.order.field == "key" else super().ordered(records, query)


@mutant("q.order_field[str]", "q.order_total")
class TiesDescend(Stepwise):
    """In descending order ties descend as well."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Turn everything round."""
        place = sorted(records, key=lambda r: (self.place(r, query), r.key), reverse=query.order.descending)
        return list(place)


@mutant("q.order_field[int]", "q.order_mixed")
class MissingHighest(Stepwise):
    """Records without the field come last."""

    def place(self, record: Record, query: Query) -> Any:
        """Put them there."""
        rank, value = sort_value(field_of(record, query.order.field))
        return (9, "") if rank == 0 else (rank, value)


@mutant("q.order_field[int]", "q.numeric_order")
class OrdersAsText(Stepwise):
    """Numbers are ordered as text."""

    def place(self, record: Record, query: Query) -> Any:
        """Make text of them."""
        rank, value = sort_value(field_of(record, query.order.field))
        return (
            (rank, str(value))
            if query.order.field not in ("key", "created_at", "updated_at")
            else (rank, value)
        )


@mutant("q.order_mixed")
class OrdersNumbersTogether(Stepwise):
    """Integers and floats are ordered as one kind."""

    def place(self, record: Record, query: Query) -> Any:
        """Give them one rank."""
        rank, value = sort_value(field_of(record, query.order.field))
        return (2 if rank == 3 else rank, value)


@mutant("q.order_times")
class OrderOfTimesIgnored(Stepwise):
    """An order by time is the order of keys."""

    def place(self, record: Record, query: Query) -> Any:
        """Forget the time."""
        return (0, 0) if query.order.field.endswith("_at") else super().place(record, query)


@mutant("q.limit", "page.store")
class ZeroIsNoLimit(Stepwise):
    """A limit of 0 is no limit."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Take nothing for absent."""
        return records[query.offset :] if query.limit == 0 else super().window(records, query)


@mutant("q.limit", "page.large")
class HundredAtMost(Stepwise):
    """No page has more than a hundred records, and nothing says so."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut it."""
        return super().window(records, query)[:100]

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Say that there is no more."""
        return None if len(part) == 100 else super().cursor(part, records, query)


@mutant("q.offset_beyond_end")
class OffsetBeyondIgnored(Stepwise):
    """An offset beyond the end is ignored."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Begin at the beginning."""
        part = super().window(records, query)
        return part if part or not query.offset else records[: query.limit]


@mutant("q.offset")
class OffsetWithinLimit(Stepwise):
    """The limit counts what the offset passes over."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut too early."""
        return records[query.offset : query.limit]


@mutant("q.no_match")
class EmptyHasCursor(Stepwise):
    """A page of nothing has a cursor."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Make one up."""
        return super().cursor(part, records, query) if part else "more"


@mutant("q.count_equals_len")
class CountsThePage(Stepwise):
    """A count stops at the limit and one."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        found = len(self.found(query))
        return found if query.limit is None else min(found, query.limit + 1)


@mutant("q.expired_excluded", "ttl.expires_everywhere")
class CountsExpired(MemoryAdapter):
    """Queries and counts include expired records."""

    def _live(self, collection: str) -> Any:
        return iter(self._collections.get(collection, {}).values())


@mutant("q.while_writing")
class FailsBesideWrites(Stepwise):
    """A cursor is an offset into the present result."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Write the offset down."""
        return f"{len(part) + int(query.cursor or 0)}" if len(part) < len(records) else None

    def position(self, query: Query) -> Any:
        """Read the offset."""
        return None if query.cursor is None else int(query.cursor)

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Pass over so many records."""
        return records[position:]


@mutant("q.explain_answers")
class ExplainsValues(MemoryAdapter):
    """Explain quotes what a query compares with."""

    async def _explain(self, query: Query) -> Explanation:
        return Explanation(indexed=False, strategy="scan", detail=(repr(query.where),))


@mutant("q.scan", "page.large")
class ThousandOfAll(Stepwise):
    """Without a limit the first thousand records come, and nothing says so."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        await asyncio.sleep(0)
        page = await super()._query(query, consistency)
        return Page(page.records[:1000]) if query.limit is None or query.limit >= 1000 else page


@mutant("del.clear_scoped")
class ClearsFirstPage(MemoryAdapter):
    """A page of a thousand is taken for everything."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        return Page(page.records) if query.limit == 1000 else page
