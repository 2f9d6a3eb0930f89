"""Mutants that page rightly, but for one window, one kind of value or one change in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from daystore.abc import And, Not, Or, Position, Predicate, Query, Record, encode_cursor
from daystore.abc.cursor import decode_cursor
from daystore.errors import BackendUnavailable
from daystore_compliance.mutants.base import Stepwise, mutant


@mutant("page.neighbour_values")
class CursorFloatsRounded(Stepwise):
    """A cursor holds fifteen digits of a float."""

    def position(self, query: Query) -> Any:
        """Round it."""
        position = super().position(query)
        if position is None or position.value[0] != 3:
            return position
        return position._replace(value=(3, float(f"{position.value[1]:.15g}")))


@mutant("q.long_texts")
class CursorTextCut(Stepwise):
    """A cursor holds the first hundred characters of a text."""

    def position(self, query: Query) -> Any:
        """Cut it."""
        position = super().position(query)
        if position is None or position.value[0] != 5 or query.order.field == "key":
            return position
        return position._replace(value=(5, position.value[1][:100]))


@mutant("page.anchor_moved", "txn.oracle")
class CursorLooksUpAnchor(Stepwise):
    """A cursor is the key of the last record, whose place in the order is looked up when it goes on."""

    def position(self, query: Query) -> Any:
        """Look it up."""
        position = super().position(query)
        if position is None:
            return None
        record = self._find(query.collection, position.key, self.clock())
        return position if record is None else Position(self.place(record, query), record.key)


@mutant("q.oracle", "txn.oracle")
class CursorLeavesCollection(Stepwise):
    """The condition of a cursor is an unbracketed or: after it the records of other collections are found."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Find ties everywhere."""
        for name in self._collections:
            if name != query.collection:
                records = records + [r for r in self._live(name) if self.place(r, query) == position.value]
        return super().resumed(self.ordered(records, query), query, position)


@mutant("q.oracle", "txn.oracle")
class CursorForgetsPredicate(Stepwise):
    """After a cursor ties are found whatever the predicate says."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Find them all."""
        if query.order.field == "key" or query.where is None:
            return super().resumed(records, query, position)
        keys = {record.key for record in records}
        ties = [
            r
            for r in self._live(query.collection)
            if self.place(r, query) == position.value and r.key not in keys
        ]
        return super().resumed(self.ordered([*records, *ties], query), query, position)


@mutant("page.foreign_cursors")
class CursorIgnoresJoin(Stepwise):
    """The digest in a cursor does not tell an and from an or."""

    def position(self, query: Query) -> Any:
        """Read it as one of either."""
        where = query.where
        if query.cursor is None or not isinstance(where, (And, Or)):
            return super().position(query)
        other: Predicate = Or(where.terms) if isinstance(where, And) else And(where.terms)
        try:
            return super().position(query)
        except ValueError:
            return decode_cursor(replace(query, where=other))


@mutant("page.foreign_cursors", "txn.oracle")
class CursorIgnoresNot(Stepwise):
    """The digest in a cursor does not tell a negation inside a predicate."""

    def position(self, query: Query) -> Any:
        """Read it without them."""
        return None if query.cursor is None else decode_cursor(self._plain(query))

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Make it without them."""
        made = super().cursor(part, records, query)
        if made is None:
            return None
        return encode_cursor(self._plain(query), Position(self.place(part[-1], query), part[-1].key))

    def _plain(self, query: Query) -> Query:
        if not isinstance(query.where, And):
            return query
        terms = tuple(t.term if isinstance(t, Not) else t for t in query.where.terms)
        return replace(query, where=And(terms))


@mutant("q.huge_windows")
class HugeLimitFails(Stepwise):
    """A limit of more than 32 bits fails."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Fail."""
        if query.limit is not None and query.limit >= 2**31:
            raise BackendUnavailable("integer out of range")
        return super().window(records, query)


@mutant("q.huge_windows")
class HugeLimitWraps(Stepwise):
    """Limit and offset together wrap at 64 bits."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Wrap."""
        if query.limit is not None and query.limit + query.offset >= 2**63:
            return []
        return super().window(records, query)


@mutant("q.oracle")
class OffsetDownIgnored(Stepwise):
    """In a descending order with a predicate an offset is ignored."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Ignore it."""
        if query.order.descending and query.where is not None and query.order.field.endswith("_at"):
            return records[: query.limit]
        return super().window(records, query)


@mutant("q.large_windows", "page.ten_thousand")
class OffsetBeyondThousand(Stepwise):
    """An offset of more than a thousand is a thousand."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut it."""
        return super().window(records, replace(query, offset=min(query.offset, 1000)))


@mutant("q.large_windows")
class OrderOfFirstThousand(Stepwise):
    """An order by a field with a limit puts the first thousand records in order, and no others."""

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Cut before it orders."""
        records = list(records)
        if query.order.field != "key" and query.limit is not None:
            records = sorted(records, key=lambda record: record.key)[:1000]
        return super().ordered(records, query)


@mutant("q.large_windows", "page.ten_thousand")
class LimitOfAThousandCuts(Stepwise):
    """A page of more than 1,024 records has 1,024, and a cursor."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut it."""
        part = super().window(records, query)
        return part[:1024] if query.limit is not None else part


@mutant("q.large_windows", "page.anchor_moved", "page.ten_thousand")
class CursorWithoutLimitIgnored(Stepwise):
    """Without a limit a cursor is ignored."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Begin anew."""
        return records if query.limit is None else super().resumed(records, query, position)


@mutant("q.long_texts", "page.neighbour_values", "page.after_deletes")
class LastPageDown(Stepwise):
    """In a descending order the page before the last has no cursor, if a single record follows."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Forget it."""
        if query.order.descending and part and records[-2:-1] == part[-1:]:
            return None
        return super().cursor(part, records, query)


@mutant("q.oracle")
class EmptyPageHasCursor(Stepwise):
    """A page of no records, by its limit of 0, has a cursor."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Make one of the beginning."""
        if not part and records and query.limit == 0:
            return encode_cursor(query, Position((0, None), ""))
        return super().cursor(part, records, query)


@mutant("page.anchor_moved", "page.neighbour_values")
class PagesOfUpdatedSkip(Stepwise):
    """Times in a cursor are whole milliseconds, rounded up."""

    def position(self, query: Query) -> Any:
        """Round them."""
        position = super().position(query)
        if position is None or position.value[0] != 4 or query.order.descending:
            return position
        return position._replace(value=(4, position.value[1] + -position.value[1] % 1000))
