"""Queries and counts, on the thread of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from daystore.abc import Instant, Page, Position, Query, Record, sort_value
from daystore.abc.cursor import decode_cursor, encode_cursor
from daystore.abc.evaluate import evaluate_count, evaluate_query, field_of
from daystore_sql.catalog import CollectionNames
from daystore_sql.dialects.base import Text
from daystore_sql.parts import Part, parts_of
from daystore_sql.planning import Access, access_to
from daystore_sql.predicate import (
    BOUNDS,
    FALSE,
    TRUE,
    Leaf,
    Node,
    Place,
    all_of,
    is_large,
    normalise,
    point,
    span,
)
from daystore_sql.records import fetch_records, record_of
from daystore_sql.selects import (
    Alive,
    count_select,
    form_of,
    page_select,
    pick_select,
    size_select,
    values_of,
)
from daystore_sql.session import Session

__all__ = ["Search", "run_count", "run_query"]

NO_LIMIT = 2**61
"""More records than a collection has."""
PAGE = 10_000
"""Results up to this size are read in the order that is wanted, larger ones are found first and sorted then."""

Pick: TypeAlias = tuple[int, bytes, Place]
"""Number and key of a record, and its place in the order, if that is not by key."""


def run_query(session: Session, query: Query, now: Instant) -> Page:
    """Return one page of what a query finds; inside a transaction."""
    position = decode_cursor(query)
    names = session.catalog.collection(query.collection)
    if names is None or query.limit == 0:
        return Page([])
    search = Search(session, names, now)
    parts = parts_of(query, names, position)
    if any(is_large(part.node) for part in parts):
        return evaluate_query(search.everything(), query)
    limit = NO_LIMIT if query.limit is None else min(query.limit, NO_LIMIT)
    picks = search.pick_all(parts, limit + 1, min(query.offset, NO_LIMIT))
    page = Page(search.records_of(picks[:limit]))
    if len(picks) > limit:
        last = page.records[-1]
        place = sort_value(field_of(last, query.order.field))
        page.cursor = encode_cursor(query, Position(place, last.key))
    return page


def run_count(session: Session, query: Query, now: Instant) -> int:
    """Count what a query finds without limit, offset and cursor; inside a transaction."""
    names = session.catalog.collection(query.collection)
    if names is None:
        return 0
    search, node = Search(session, names, now), normalise(query.where, names)
    if node == FALSE:
        return 0
    if is_large(node):
        return evaluate_count(search.everything(), query)
    return search.count(by_key(node))


def by_key(node: Node) -> Part:
    """Make the part of all records that satisfy a predicate."""
    return Part(all_of((node, span("key", *BOUNDS["key"]))))


class Search:
    """Finds records of one collection.

    Args:
        session: Where to look, inside a transaction.
        names: Of the collection.
        now: The present instant.
    """

    def __init__(self, session: Session, names: CollectionNames, now: Instant) -> None:
        self._session = session
        self._names = names
        self._now = now
        self._found: dict[int, Record] = {}  # what was read where it was found

    @property
    def is_far(self) -> bool:
        """Whether each statement costs a round trip."""
        return self._session.dialect.is_far

    def access(self, part: Part, *, limited: bool) -> Access:
        """Choose how a part is found."""
        return access_to(part, self.size_of, limited=limited)

    def values(self, access: Access) -> dict[str, object]:
        """Return the parameters of a statement over an access."""
        values = values_of(access, self._session.dialect)
        values["scope"], values["now"] = self._names.scope, self._now
        return values

    def everything(self) -> list[Record]:
        """Return all live records of the collection, for what no statement can say."""
        return self.records_of(self.pick_all([by_key(TRUE)], NO_LIMIT, 0))

    def records_of(self, picks: Sequence[Pick]) -> list[Record]:
        """Return the records that were found, in that order."""
        numbers = [pick[0] for pick in picks]
        found = self._found if self._session.dialect.is_far else fetch_records(self._session, numbers)
        return [found[number] for number in numbers]

    def count(self, part: Part) -> int:
        """Count the records of a part."""
        access, dialect = self.access(part, limited=False), self._session.dialect
        key = ("count", form_of(access))
        found = self._session.run(key, lambda: count_select(access, dialect), self.values(access))
        number, *shape = found.fetchone()
        self._session.saw(shape)
        return int(number)

    def size_of(self, leaf: Leaf, most: int) -> int:
        """Count the entries of an index in a span, expired records among them, as far as `most`."""
        access, dialect = Access(Part(TRUE), (leaf,), TRUE, ordered=False), self._session.dialect
        values = self.values(access) | {"limit": most}
        key = ("size", form_of(access))
        text, names = dialect.text_of(key, lambda: size_select(access, dialect))
        return int(self._session.execute(text, [values[name] for name in names]).fetchone()[0])

    def pick_all(self, parts: list[Part], need: int, skip: int) -> list[Pick]:
        """Find the records of some parts, one after the other.

        Args:
            parts: The parts.
            need: Most records to find. Of the last of so many only its existence counts.
            skip: Records to pass over first.
        """
        picks: list[Pick] = []
        for part in parts:
            found = self._pick(part, need - len(picks), skip)
            picks += found
            if len(picks) >= need:
                break
            if skip:
                skip = 0 if found else skip - self.count(part)
        return picks

    def plan(self, access: Access, *, limited: bool, skip: int) -> list[str]:
        """Return the database's own plan for a part."""
        alive, backwards = _manner(access, limited=limited, skip=skip)
        text, names = self._text(access, alive, reverse_ties=backwards)
        values = self.values(access) | {"limit": 1, "offset": skip, "reach": 1}
        return self._session.dialect.plan(self._session.connection, text, [values[name] for name in names])

    def _pick(self, part: Part, need: int, skip: int) -> list[Pick]:
        limited = need <= PAGE
        access = self.access(part, limited=limited)
        alive, backwards = _manner(access, limited=limited, skip=skip)
        text, names = self._text(access, alive, reverse_ties=backwards)
        values = self.values(access)
        values["limit"], values["offset"], values["reach"] = need, skip, need + skip
        picks: list[Pick] = self._session.read(text, [values[name] for name in names]).fetchall()
        if self._session.dialect.is_far:
            picks = self._kept(picks, 2 if part.kind == "key" else 3)
        return self._straightened(part, picks, need) if backwards else picks

    def _text(self, access: Access, alive: Alive, *, reverse_ties: bool) -> Text:
        dialect = self._session.dialect
        key = ("pick", alive, reverse_ties, form_of(access))
        select = page_select if dialect.is_far else pick_select
        return dialect.text_of(key, lambda: select(access, dialect, alive, reverse_ties=reverse_ties))

    def _kept(self, rows: Sequence[Any], width: int) -> list[Pick]:
        """Keep the records of a page; return its picks, which have so many columns."""
        self._session.saw(rows[0][-1:])
        picks: list[Pick] = [tuple(row[:width]) for row in rows if row[0] is not None]
        self._found.update((row[0], record_of(row[width:-1])) for row in rows if row[0] is not None)
        return picks

    def _straightened(self, part: Part, picks: list[Pick], need: int) -> list[Pick]:
        """Order ties by ascending key in what came from an index read backwards.

        Where the limit cut the last tie, its first members are those that were not read: they are looked up. So
        a page costs the same however many records share a place.
        """
        tail: list[Pick] = []
        if len(picks) == need > 1 and picks[-1][2] == picks[-2][2]:
            place = picks[-1][2]
            picks = [pick for pick in picks if pick[2] != place]
            tie = Part(all_of((part.node, point(part.kind, place, part.field))))
            tail = self._pick(tie, need - len(picks), 0)
        ties = [list(tie) for _, tie in groupby(picks, key=itemgetter(2))]
        return [pick for tie in ties for pick in reversed(tie)] + tail


def _manner(access: Access, *, limited: bool, skip: int) -> tuple[Alive, bool]:
    """Say how expired records are kept out, and whether the index is read backwards, ties and all."""
    few, part = limited and not skip, access.part
    return "each" if few else "all", few and access.ordered and part.descending and part.kind != "key"
