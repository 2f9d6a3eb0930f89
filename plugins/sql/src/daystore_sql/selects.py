"""From an access to the text of a statement.

Which statement it is follows from the form of the access alone; what is looked for is in its parameters. So a text
is built once for a form, and every later query of that form uses the text that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union,
)

from daystore_sql.dialects.base import Dialect
from daystore_sql.encoding import SCALARS
from daystore_sql.planning import Access
from daystore_sql.predicate import AllOf, Leaf, Node, NoneOf, leaves
from daystore_sql.schema import ds_field, ds_record, ds_shape
from daystore_sql.statements import is_alive

__all__ = [
    "Alive",
    "Found",
    "Row",
    "by_number",
    "count_select",
    "form_of",
    "page_select",
    "pick_select",
    "size_select",
    "values_of",
    "with_last_shape",
]

Alive: TypeAlias = Literal["each", "all"]
"""How expired records are kept out: by looking at each record that is found, which is best for a few, or by the
set of all that have expired, which saves looking at the records of many."""

_ONE: ColumnElement[int] = literal_column("1")
_LIMIT, _OFFSET, _REACH = (bindparam(name, type_=BigInteger) for name in ("limit", "offset", "reach"))
_INDEXES = {
    "key": "ds_record_key",
    "created_at": "ds_record_created",
    "updated_at": "ds_record_updated",
    "shape": "ds_record_shape",
    "field": "ds_field_sort",
}


# --- Forms and values ----------------------------------------------------------------------------------------


def form_of(access: Access) -> Hashable:
    """Return what the text of a statement over an access depends on."""
    part = access.part
    same = access.arms[0].column == (part.kind, part.field)
    arms = tuple(map(_leaf_form, access.arms))
    return arms, access.merged, _form(access.rest), part.kind, part.descending, same


def _form(node: Node) -> Hashable:
    if isinstance(node, Leaf):
        return _leaf_form(node)
    if isinstance(node, NoneOf):
        return "not", _leaf_form(node.leaf)
    return type(node) is AllOf, tuple(map(_form, node.terms))


def _leaf_form(leaf: Leaf) -> tuple[str, int]:
    return leaf.kind, _places(leaf)


def _places(leaf: Leaf) -> int:
    """How many parameters stand for the points of a leaf: a power of two, so that there are few texts."""
    size = len(leaf.points)
    if leaf.kind == "shape":
        return min(size, 2)
    return size if size < 2 else 1 << (size - 1).bit_length()


def values_of(access: Access, dialect: Dialect) -> dict[str, object]:
    """Return the parameters that stand for the leaves of an access."""
    values: dict[str, object] = {"order_field": access.part.field, "scalars": SCALARS[1]}
    for n, leaf in enumerate((*access.arms, *leaves(access.rest))):
        values[f"field_{n}"] = leaf.field
        places = _places(leaf)
        if not places:
            values[f"low_{n}"], values[f"high_{n}"] = leaf.low, leaf.high
        elif leaf.kind == "shape" and places > 1:
            values[f"points_{n}"] = dialect.number_list(leaf.points)  # type: ignore[arg-type]
        else:
            padded = leaf.points + leaf.points[-1:] * (places - len(leaf.points))
            values.update({f"point_{n}_{i}": place for i, place in enumerate(padded)})
    return values


# --- Building ------------------------------------------------------------------------------------------------


def by_number(query: Select[Any], table: FromClause) -> Select[Any]:
    """Have rows of a table found by the number of their record, as every database but MySQL does by itself."""
    return query.with_hint(table, "FORCE INDEX (PRIMARY)", "mysql")


class Row:
    """The record that an entry of an index stands for, inside a statement.

    Args:
        number: Column with the number of the record.
        key: Column with its key.
        dialect: Of the database.
        record: The record itself, where it is what is read.
        entry: The entry of the index of fields, where it is what is read.
    """

    def __init__(
        self,
        number: ColumnElement[Any],
        key: ColumnElement[Any],
        dialect: Dialect,
        record: FromClause | None = None,
        entry: FromClause | None = None,
    ) -> None:
        self.number = number
        self.key = key
        self.entry = entry
        self._dialect = dialect
        self._record = record

    def satisfies(self, condition: Callable[[FromClause], ColumnElement[bool]]) -> ColumnElement[bool]:
        """Whether a condition holds for the record."""
        if self._record is not None:
            return condition(self._record)
        record = ds_record.alias("r")
        found = select(_ONE).select_from(record).where(record.c.id == self.number, condition(record))
        return exists(self._dialect.probe(by_number(found, record)))

    def value(self, name: str) -> ColumnElement[Any]:
        """Return a column of the record."""
        if self._record is not None:
            return self._record.c[name]
        record = ds_record.alias("r")
        found = select(record.c[name]).where(record.c.id == self.number)
        return by_number(found, record).scalar_subquery()


class Found:
    """The records that an access finds, inside a statement.

    Args:
        access: The access.
        dialect: Of the database.
        alive: How expired records are kept out.
        arm: Which of its arms is meant; all of them, united, if none is named.
    """

    def __init__(self, access: Access, dialect: Dialect, alive: Alive, arm: int | None = None) -> None:
        self.source: FromClause
        self._dialect = dialect
        self._numbers = count(len(access.arms))
        self._hints: list[tuple[FromClause, str]] = []
        self.conditions: list[ColumnElement[bool]] = []
        one = 0 if len(access.arms) == 1 else arm
        self.row: Row = self._united(access.arms) if one is None else self._one(access.arms[one], one)
        self.conditions.append(self._condition(access.rest))
        self.conditions.append(self._alive(alive))

    def select(self, *columns: ColumnElement[Any], source: FromClause | None = None) -> Select[Any]:
        """Select columns of what is found."""
        query = select(*columns).select_from(self.source if source is None else source)
        return self._hinted(query).where(*self.conditions)

    def entries(self) -> Select[Any]:
        """Select 1 for each entry of the first index, whatever it stands for."""
        query = self._hinted(select(_ONE).select_from(self.source))
        return query.where(self.conditions[0])

    def _hinted(self, query: Select[Any]) -> Select[Any]:
        for table, index in self._hints:
            query = self._dialect.hinted(query, table, index)
        return query

    def _one(self, leaf: Leaf, n: int) -> Row:
        self.source, row, condition = self._read(leaf, n)
        self._hints.append((self.source, _INDEXES[leaf.kind]))
        self.conditions.append(condition)
        return row

    def _united(self, arms: Sequence[Leaf]) -> Row:
        queries = []
        for n, leaf in enumerate(arms):
            table, row, condition = self._read(leaf, n)
            query = select(row.number.label("record"), row.key.label("key")).where(condition)
            queries.append(self._dialect.hinted(query, table, _INDEXES[leaf.kind]))
        self.source = union(*queries).subquery("u")
        return Row(self.source.c.record, self.source.c.key, self._dialect)

    def _read(self, leaf: Leaf, n: int) -> tuple[FromClause, Row, ColumnElement[bool]]:
        if leaf.kind == "field":
            entry = ds_field.alias("d")
            condition = and_(
                entry.c.field == bindparam(f"field_{n}"), self._within(entry.c.sort_key, leaf, n)
            )
            return entry, Row(entry.c.record, entry.c.key, self._dialect, entry=entry), condition
        record = ds_record.alias("d")
        condition = self._within(record.c[leaf.kind], leaf, n)
        if leaf.kind != "shape":  # a shape belongs to one collection
            condition = and_(record.c.scope == bindparam("scope"), condition)
        return record, Row(record.c.id, record.c.key, self._dialect, record), condition

    def _condition(self, node: Node) -> ColumnElement[bool]:
        if isinstance(node, Leaf):
            return self._leaf_condition(node)
        if isinstance(node, NoneOf):
            return not_(self._leaf_condition(node.leaf))
        terms = [self._condition(term) for term in node.terms]
        return and_(true(), *terms) if isinstance(node, AllOf) else or_(false(), *terms)

    def _leaf_condition(self, leaf: Leaf) -> ColumnElement[bool]:
        n = next(self._numbers)
        if leaf.kind == "field":
            entry = ds_field.alias("x")
            of_record = self._dialect.of_record(entry, self.row.number, bindparam(f"field_{n}"))
            within = self._within(entry.c.sort_key, leaf, n)
            found = by_number(select(_ONE).select_from(entry).where(of_record, within), entry)
            return exists(self._dialect.probe(found))
        if leaf.kind == "key":
            return self._within(self.row.key, leaf, n)
        return self.row.satisfies(lambda record: self._within(record.c[leaf.kind], leaf, n))

    def _within(self, column: ColumnElement[Any], leaf: Leaf, n: int) -> ColumnElement[bool]:
        places = _places(leaf)
        if not places:
            return and_(column >= bindparam(f"low_{n}"), column < bindparam(f"high_{n}"))
        if places == 1:
            return column == bindparam(f"point_{n}_0")
        if leaf.kind == "shape":
            return column.in_(self._dialect.numbers(bindparam(f"points_{n}")))
        points: list[BindParameter[Any]] = [bindparam(f"point_{n}_{i}") for i in range(places)]
        return column.in_(points)

    def _alive(self, alive: Alive) -> ColumnElement[bool]:
        if alive == "each":
            return self.row.satisfies(is_alive)
        expired = ds_record.alias("e")
        return self.row.number.not_in(select(expired.c.id).where(expired.c.expires_at <= bindparam("now")))


def pick_select(access: Access, dialect: Dialect, alive: Alive, *, reverse_ties: bool) -> Select[Any]:
    """Select number, key and, unless the order is by key, the column that orders.

    Args:
        access: How the records are found.
        dialect: Of the database.
        alive: How expired records are kept out.
        reverse_ties: Order ties by descending key, as an index read backwards does.
    """
    if access.merged:
        return _merged_select(access, dialect, alive)
    found = Found(access, dialect, alive)
    columns = [found.row.number, found.row.key]
    if access.part.kind != "key":
        columns.append(_place(access, found.row, dialect))
    query = found.select(*columns).order_by(*_order(access, columns, reverse_ties=reverse_ties))
    return query.limit(_LIMIT).offset(_OFFSET)


def _order(
    access: Access, columns: Sequence[ColumnElement[Any]], *, reverse_ties: bool
) -> list[ColumnElement[Any]]:
    """Return the terms that order the columns of a pick."""
    part, (_, key, *places) = access.part, columns
    reverse = reverse_ties or (part.kind == "key" and part.descending)
    terms = [place.desc() if part.descending else place.asc() for place in places]
    return [*terms, key.desc() if reverse else key.asc()]


def page_select(access: Access, dialect: Dialect, alive: Alive, *, reverse_ties: bool) -> Select[Any]:
    """Select what `pick_select` does, with the columns of each record, and last the highest number of a shape.

    If nothing is found there is one row, in which all but the last column is null.
    """
    pick = pick_select(access, dialect, alive, reverse_ties=reverse_ties)
    names = ("number", "sort", "place")
    labelled = [column.label(name) for name, column in zip(names, pick.selected_columns, strict=False)]
    picked = pick.with_only_columns(*labelled, maintain_column_froms=True).subquery("p")
    table, one = ds_record.alias("q"), select(_last_shape().label("last")).subquery("s")
    record, condition = dialect.beside(table, table.c.id == picked.c.number)
    source = one.outerjoin(picked.join(record, condition), true())
    columns = list(picked.c)
    wanted: Select[Any] = select(*columns, *dialect.statements.columns_of(record), one.c.last).select_from(
        source
    )
    wanted = by_number(wanted, table).prefix_with("STRAIGHT_JOIN", dialect="mysql")
    return wanted.order_by(*_order(access, columns, reverse_ties=reverse_ties))


def with_last_shape(query: Select[Any]) -> Select[Any]:
    """Add the highest number of a shape as a last column."""
    return query.add_columns(_last_shape())


def _last_shape() -> ColumnElement[Any]:
    return select(func.max(ds_shape.c.id)).scalar_subquery()


def _merged_select(access: Access, dialect: Dialect, alive: Alive) -> Select[Any]:
    """Read each index by key, as far as ``reach``, and merge."""
    descending, firsts = access.part.descending, []
    for arm in range(len(access.arms)):
        found = Found(access, dialect, alive, arm)
        row = found.row
        query = found.select(row.number.label("record"), row.key.label("key"))
        first = query.order_by(row.key.desc() if descending else row.key.asc()).limit(_REACH)
        firsts.append(select(first.subquery(f"u{arm}")))
    united = union(*firsts).subquery("u").c
    key = united.key.desc() if descending else united.key.asc()
    return select(united.record, united.key).order_by(key).limit(_LIMIT).offset(_OFFSET)


def _place(access: Access, row: Row, dialect: Dialect) -> ColumnElement[Any]:
    part = access.part
    if part.kind != "field":
        return row.value(part.kind).label("place")
    if row.entry is not None and access.arms[0].column == ("field", part.field):
        return row.entry.c.sort_key
    entry = ds_field.alias("o")
    of_record = dialect.of_record(entry, row.number, bindparam("order_field"))
    scalar = entry.c.sort_key < bindparam("scalars")
    found = select(entry.c.sort_key).where(of_record, scalar)
    return by_number(found, entry).scalar_subquery().label("place")


def count_select(access: Access, dialect: Dialect) -> Select[Any]:
    """Select how many records an access finds."""
    query = Found(access, dialect, "all").select(func.count())
    return with_last_shape(query) if dialect.is_far else query


def size_select(access: Access, dialect: Dialect) -> Select[Any]:
    """Select how many entries an index has in a span, expired ones too, up to ``limit``."""
    found = Found(access, dialect, "each")
    return select(func.count()).select_from(found.entries().limit(_LIMIT).subquery("n"))
