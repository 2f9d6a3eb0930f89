"""Mutants whose pages do not cover a result."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote, unquote

import orjson

from daystore.abc import Consistency, Page, Position, Query, Record, encode_cursor
from daystore.errors import InvalidCursor
from daystore_compliance.mutants.base import Stepwise, mutant


class Offsets(Stepwise):
    """A cursor is an offset into the result. Base of mutants, and none itself."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Write the offset down."""
        done = len(part) + query.offset + int((query.cursor or "0").partition("/")[0])
        return f"{done}/{encode_cursor(query, Position((0, None), ''))}" if len(part) < len(records) else None

    def position(self, query: Query) -> Any:
        """Read the offset."""
        if query.cursor is None:
            return None
        offset, slash, rest = query.cursor.partition("/")
        if not slash or rest != encode_cursor(query, Position((0, None), "")):
            raise InvalidCursor("not of this query")
        return int(offset)

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Pass over so many records."""
        return records[position:]


@mutant("page.delete_before_cursor", "page.insert_before_cursor")
class OffsetCursor(Offsets):
    """A cursor is an offset into the present result."""


@mutant("page.delete_at_cursor")
class AnchoredCursor(Stepwise):
    """A cursor whose record is gone begins anew."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Look for the record."""
        if position.key not in {record.key for record in records}:
            return records
        return super().resumed(records, query, position)


@mutant("page.no_empty_tail")
class CursorAfterLast(Stepwise):
    """A full page has a cursor, also when it is the last."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Make one for every full page."""
        if part and query.limit == len(part):
            return encode_cursor(query, Position(self.place(part[-1], query), part[-1].key))
        return super().cursor(part, records, query)


@mutant("page.progress", "page.exact_cover[key]")
class CursorStandsStill(Stepwise):
    """A cursor goes on at the page that gave it out."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Stand still."""
        return records


@mutant("page.exact_cover[field]", "page.progress")
class ShortPages(Stepwise):
    """A page is one short of its limit."""

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut too early."""
        part = super().window(records, query)
        return part[:-1] if query.limit is not None and 1 < query.limit == len(part) else part


@mutant("page.exact_cover[key-down]")
class LosesOneAPage(Stepwise):
    """The first record of every further page is lost."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Pass over one too many."""
        return super().resumed(records, query, position)[1:]


@mutant("page.invalid_cursor", "page.store")
class AnyCursor(Stepwise):
    """A cursor is good for every query, and damage is no cursor."""

    def position(self, query: Query) -> Any:
        """Read it without a check."""
        try:
            raw = base64.urlsafe_b64decode((query.cursor or "") + "==")
            rank, value, key = orjson.loads(raw[12:])
        except ValueError:
            return None
        return Position((rank, int(value) if rank in (1, 2, 4) else value), key)


@mutant("page.cursor_reopen")
class CursorOfServer(Offsets):
    """A cursor is the name of something that the adapter remembers while it is open."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Remember it."""
        made = super().cursor(part, records, query)
        if made is not None:
            self.__dict__.setdefault("_cursors", set()).add(made)
        return made

    def position(self, query: Query) -> Any:
        """Remember it, or begin anew."""
        if query.cursor is not None and query.cursor not in self.__dict__.get("_cursors", ()):
            return None
        return super().position(query)

    async def _close(self) -> None:
        self.__dict__.pop("_cursors", None)


@mutant("page.cursor_opaque")
class CursorOnce(Stepwise):
    """A cursor is good once."""

    def position(self, query: Query) -> Any:
        """Forget it once it was used."""
        used = self.__dict__.setdefault("_used", set())
        if query.cursor is None:
            return None
        if query.cursor in used:
            raise InvalidCursor("used already")
        used.add(query.cursor)
        return super().position(query)


@mutant("page.equal_sort_keys", "page.missing_boundary")
class CursorWithoutKey(Stepwise):
    """A cursor knows the value of the order and not the key: equal ones are passed over."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Go on after the value."""
        rest = super().resumed(records, query, position)
        return (
            rest
            if query.order.field == "key"
            else [r for r in rest if self.place(r, query) != position.value]
        )


@mutant("page.missing_boundary")
class MissingLostAfterCursor(Stepwise):
    """Records without the field of the order are lost after a cursor."""

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Lose them."""
        rest = super().resumed(records, query, position)
        return rest if query.order.field != "f" else [r for r in rest if r.fields.get("f") is not None]


@mutant("page.sparse_filter")
class FiltersThePage(Stepwise):
    """A page is cut first and filtered then."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        if query.where is None or query.limit is None:
            return await super()._query(query, consistency)
        records = self.ordered(self._live(query.collection), query)
        position = self.position(query)
        if position is not None:
            records = self.resumed(records, query, position)
        part = self.window(records, query)
        shown = [self.shown(record) for record in part if self.matches(query.where, record)]
        return Page(shown, self.cursor(part, records, query))


@mutant("page.expired_page")
class ExpiredEndsPaging(Stepwise):
    """Expired records are dropped from a page, and an empty page is taken for the end."""

    def _live(self, collection: str) -> Any:
        return iter(list(self._collections.get(collection, {}).values()))

    async def _count(self, query: Query, consistency: Consistency) -> int:
        now = self.clock()
        return sum(record.is_alive(now) for record in self.found(query))

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        now = self.clock()
        alive = [record for record in page.records if record.is_alive(now)]
        return Page(alive, page.cursor if alive else None)


@mutant("page.expired_cursor")
class ExpiredAnchor(AnchoredCursor):
    """A cursor whose record has expired begins anew."""


@mutant("page.confusable_keys[format]")
class CursorUnquoted(Stepwise):
    """The key in a cursor is quoted once and unquoted twice."""

    def position(self, query: Query) -> Any:
        """Unquote it."""
        position = super().position(query)
        return None if position is None else position._replace(key=unquote(unquote(quote(position.key))))


@mutant("page.offset_once")
class OffsetNotInCursor(Stepwise):
    """The cursor of a page with an offset does not know of it."""

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Count from the beginning."""
        return super().cursor(records[: query.limit] if query.offset else part, records, query)
