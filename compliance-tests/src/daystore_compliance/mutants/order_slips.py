"""Mutants of order and pages: places that a sort or a cursor gets slightly wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from daystore.abc import Position, Query, Record, decode_cursor, encode_cursor
from daystore.abc.evaluate import field_of
from daystore_compliance.mutants.base import Stepwise, mutant


# §8 Order: "A list counts as missing."
@mutant("q.order_field[list]")
class ListsSortByTheirFirstItem(Stepwise):
    """Sorts a list field by its first item, as MongoDB does."""

    def place(self, record: Record, query: Query) -> Any:
        """Take the first item."""
        value = field_of(record, query.order.field)
        return (5, value[0]) if isinstance(value, tuple) and value else super().place(record, query)


# §8: "`0.0` and `-0.0`, which are equal"; "Ties are broken by ascending key".
@mutant("page.zero_ties")
class MinusZeroSortsFirst(Stepwise):
    """Sorts ``-0.0`` before ``0.0``, as a total order of floats does."""

    def ordered(self, records: Any, query: Query) -> list[Record]:
        """Move the negative ones."""

        def place(record: Record) -> Any:
            value = field_of(record, query.order.field)
            sign = math.copysign(1, value) if value == 0 and type(value) is float else 0
            return (self.place(record, query), sign)

        by_key = sorted(records, key=lambda record: record.key)
        return sorted(by_key, key=place, reverse=query.order.descending)


# §8 Order: values order within their type, and integers have 64 bits.
@mutant("q.order_field[int]")
class IntegersSortAsFloats(Stepwise):
    """Sorts integers as floats: beyond 2⁵³ neighbours are ties."""

    def place(self, record: Record, query: Query) -> Any:
        """Round."""
        rank, value = super().place(record, query)
        return (rank, int(float(value))) if rank == 2 else (rank, value)


# §8: "Strings compare by their UTF-8 bytes", all of them.
@mutant("page.confusable_keys[length]")
class SortsByTheFirst255(Stepwise):
    """Sorts texts by their first 255 characters, all that an index holds."""

    def place(self, record: Record, query: Query) -> Any:
        """Cut."""
        rank, value = super().place(record, query)
        return (rank, value[:255]) if rank == 5 and query.order.field != "key" else (rank, value)


# §8 Order: datetimes order as instants, to the microsecond.
@mutant("q.order_field[datetime]", bugs=("opsmill/infrahub-sdk-python#301", "ghaering/pysqlite#127"))
class WholeSecondsSortLast(Stepwise):
    """Sorts datetimes by their texts, in which a whole second comes after its fractions."""

    def place(self, record: Record, query: Query) -> Any:
        """Move the whole seconds behind their fractions."""
        rank, value = super().place(record, query)
        return (rank, value + 999_999.5) if rank == 4 and value % 1_000_000 == 0 else (rank, value)

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Keep the cursor exact."""
        if not part or part[-1] is records[-1]:
            return None
        return encode_cursor(query, Position(super().place(part[-1], query), part[-1].key))

    def position(self, query: Query) -> Any:
        """Move it as the records are."""
        found = decode_cursor(query)
        if found is not None and found.value[0] == 4 and found.value[1] % 1_000_000 == 0:  # type: ignore[operator]
            return Position((4, found.value[1] + 999_999.5), found.key)  # type: ignore[operator]
        return found


# §8 Pages: "Following cursors returns every record that did not change exactly once."
@mutant("page.missing_boundary")
class NothingIsBelowMissing(Stepwise):
    """Ends a descending walk at the first page that ends on a missing value: nothing is less than that."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Look below the position only."""
        if query.order.descending and position.value[0] == 0:
            return []
        return super().resumed(records, query, position)


# §8 Pages: the same.
@mutant("page.neighbour_values")
class CursorsRoundFloats(Stepwise):
    """Writes the float of a cursor with fifteen digits."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Round."""
        if not part or part[-1] is records[-1]:
            return None
        rank, value = self.place(part[-1], query)
        return encode_cursor(
            query, Position((rank, float(f"{value:.15g}") if rank == 3 else value), part[-1].key)
        )


# §8 Pages: the same.
@mutant("page.neighbour_values", bugs=("nensii21/devlink#1103",))
class CursorsHoldMilliseconds(Stepwise):
    """Writes the instant of a cursor in milliseconds."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Cut."""
        if not part or part[-1] is records[-1]:
            return None
        rank, value = self.place(part[-1], query)
        return encode_cursor(
            query, Position((rank, value // 1000 * 1000 if rank == 4 else value), part[-1].key)
        )


# §8 Pages: the same.
@mutant("page.confusable_keys[delimiter]")
class CursorsSplitAtABar(Stepwise):
    """Joins value and key of a cursor with a bar, and splits them at the first one."""

    def position(self, query: Query) -> Any:
        """Split."""
        found = decode_cursor(query)
        if found is None or found.value[0] != 5 or query.order.field == "key":
            return found
        value, _, key = f"{found.value[1]}|{found.key}".partition("|")
        return Position((5, value), key)


# §8 Pages: a cursor "holds the position of the last record".
@mutant("page.anchor_moved", bugs=("prisma/web#391",))
class CursorsLookTheRecordUp(Stepwise):
    """Goes on after where the cursor's record is today: it may have moved."""

    def position(self, query: Query) -> Any:
        """Look it up."""
        found = super().position(query)
        if found is None:
            return None
        record = self._find(query.collection, found.key, self.clock())
        return found if record is None else Position(self.place(record, query), found.key)


# §8 Pages: the same; the record may be gone.
@mutant("page.expired_cursor")
class CursorsEndWithTheirRecord(Stepwise):
    """Finds nothing after a cursor whose record has expired; after a deleted one it goes on."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Look for the record, dead or alive."""
        record = self._collections.get(query.collection, {}).get(position.key)
        if record is not None and not record.is_alive(self.clock()):
            return []
        return super().resumed(records, query, position)


# §8 Pages: "A page that has records has a cursor if, and only if, more records follow."
@mutant("page.zero_ties")
class OffsetPagesSeemEndless(Stepwise):
    """Gives every full page that was asked for with an offset a cursor, also the last one."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Judge by fullness."""
        if query.offset and part and len(part) == query.limit:
            return encode_cursor(query, Position(self.place(part[-1], query), part[-1].key))
        return super().cursor(part, records, query)


# §8 Pages: "no limit is everything"; "Nothing is cut off silently."
@mutant("page.large", bugs=("mem0ai/mem0#5752",))
class NoLimitIsAThousand(Stepwise):
    """Returns a thousand records at most if there is no limit, and says nothing."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut."""
        found = super().window(records, query)
        if query.limit is None and len(found) > 1000:
            del found[1000:], records[query.offset + 1000 :]
        return found


# §8 Pages: `offset` passes over so many records.
@mutant("q.offset_beyond_end", bugs=("meilisearch/meilisearch#947",))
class OffsetBeyondTheEndBeginsAgain(Stepwise):
    """Begins again if the offset lies beyond the last record."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Begin again."""
        if query.offset > len(records):
            query = replace(query, offset=0)
        return super().window(records, query)


# §8 Pages: "`limit` is the most that is returned".
@mutant("err.extremes")
class LimitsBeyond31BitsAreNothing(Stepwise):
    """Returns nothing for a limit of 2³¹ and more."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Overflow."""
        return [] if query.limit is not None and query.limit >= 2**31 else super().window(records, query)


# §8 Pages: `offset` is of what the query finds.
@mutant("q.expired_excluded", bugs=("nexspence/nexspence#296",))
class OffsetBeforeNegation(Stepwise):
    """Passes over records before it judges the predicate, if that contains a negation."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Count what does not match, too."""
        if query.offset and "Not(" in repr(query.where):
            everything = self.ordered(self._live(query.collection), query)
            passed = {record.key for record in everything[: query.offset]}
            left = [record for record in records if record.key not in passed]
            return left if query.limit is None else left[: query.limit]
        return super().window(records, query)
