"""Aggregations, computed by the database.

Integers are summed in two halves, because their sum can have more bits than any integer of a database. Fields are
joined to the records, one join each, so an aggregation over many fields takes several statements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func

from daystore.abc import (
    Aggregate,
    Aggregation,
    FieldValue,
    Function,
    GroupRow,
    Instant,
    Query,
    Scalar,
    from_instant,
)
from daystore.abc.evaluate import evaluate_aggregate, group_key
from daystore_sql.catalog import CollectionNames
from daystore_sql.dialects.base import Dialect
from daystore_sql.encoding import LIST, SINGLES, decode_scalar, type_range, unpack_fields
from daystore_sql.planning import Access
from daystore_sql.predicate import FALSE, OWN, Leaf, is_large, normalise
from daystore_sql.reading import Search, by_key
from daystore_sql.schema import ds_field
from daystore_sql.selects import Found, by_number, form_of, with_last_shape
from daystore_sql.session import Session

__all__ = ["run_aggregate"]

MOST_GROUPING, MOST_COMPUTED = 20, 40
"""Fields of one statement, beyond which a database might refuse it: SQLite joins 64 tables at most."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A column of the records that are aggregated.

    Attributes:
        kind: ``key``, ``created_at``, ``updated_at``, ``field``, or ``nothing`` for a field that no record has.
        field: Number of the field.
        floats: Whether it is summed and there are floats in it, anywhere in the collection. Where a statement
            costs a round trip, none is spent on finding that out.
    """

    kind: str
    field: int = 0
    floats: bool = False


Columns: TypeAlias = "dict[str, tuple[Slot, ColumnElement[Any] | None, Any]]"
"""By name: the slot, the column that tells its values apart, and the columns of its index entry."""


def run_aggregate(session: Session, query: Query, aggregation: Aggregation, now: Instant) -> list[GroupRow]:
    """Compute an aggregation over what a query finds; inside a transaction."""
    names = session.catalog.collection(query.collection)
    node = FALSE if names is None else normalise(query.where, names)
    if names is None or node == FALSE:
        return evaluate_aggregate((), query, aggregation)
    search = Search(session, names, now)
    if is_large(node) or len(aggregation.group_by) > MOST_GROUPING:
        return evaluate_aggregate(search.everything(), query, aggregation)
    access = search.access(by_key(node), limited=False)
    stages = _stages(aggregation)
    found = [_rows(session, search, names, access, stage) for stage in stages]
    if stages[0] is aggregation:
        return found[0]
    # All see the same records, so they have the same groups, in the same order.
    return [_joined(rows, aggregation) for rows in zip(*found, strict=True)]


# --- Stages --------------------------------------------------------------------------------------------------


def _stages(aggregation: Aggregation) -> list[Aggregation]:
    """Split an aggregation into some that one statement each can compute, the same function once.

    Returns:
        The aggregation itself, or those that it was split into, whose functions are named by `_name`.
    """
    functions = aggregation.functions.values()
    fields = list(dict.fromkeys(a.field for a in functions))
    if len(fields) <= MOST_COMPUTED and len(functions) <= MOST_COMPUTED:
        return [aggregation]
    parts = [frozenset(fields[n : n + MOST_COMPUTED]) for n in range(0, len(fields), MOST_COMPUTED)]
    return [
        Aggregation({_name(a): a for a in functions if a.field in part}, aggregation.group_by)
        for part in parts
    ]


def _name(aggregate: Aggregate) -> str:
    return f"{aggregate.function.value} {aggregate.field or ''}"


def _joined(rows: Sequence[GroupRow], aggregation: Aggregation) -> GroupRow:
    """Make the row of a group from its rows of all stages."""
    found = {name: value for row in rows for name, value in row.values.items()}
    return GroupRow(rows[0].group, {alias: found[_name(a)] for alias, a in aggregation.functions.items()})


def _rows(
    session: Session, search: Search, names: CollectionNames, access: Access, aggregation: Aggregation
) -> list[GroupRow]:
    """Compute an aggregation with one statement."""
    slots = _slots(aggregation, names, search)
    rows = [
        _group_row(row, aggregation, slots, session)
        for row in _fetch(session, search, access, aggregation, slots)
        if row[0]
        or not aggregation.group_by  # without a column to group by, SQL makes a group of nothing, too
    ]
    return sorted(rows, key=lambda row: group_key(row.group))


def _slots(aggregation: Aggregation, names: CollectionNames, search: Search) -> dict[str, Slot]:
    functions = [a for a in aggregation.functions.values() if a.field is not None]
    summed = {a.field for a in functions if a.function is Function.SUM or a.function is Function.AVG}
    wanted = dict.fromkeys((*aggregation.group_by, *(str(a.field) for a in functions)))
    return {name: _slot(name, names, search, is_summed=name in summed) for name in wanted}


def _slot(name: str, names: CollectionNames, search: Search, *, is_summed: bool) -> Slot:
    if name in OWN:
        return Slot(name)
    field = names.field(name)
    if field is None:
        return Slot("nothing")
    low, high = type_range(0.0)
    floats = Leaf("field", field, low=low, high=high)
    return Slot("field", field, is_summed and (search.is_far or search.size_of(floats, 1) > 0))


def _fetch(
    session: Session, search: Search, access: Access, aggregation: Aggregation, slots: dict[str, Slot]
) -> list[Sequence[Any]]:
    order = list(slots)
    functions = tuple(
        (a.function.value, -1 if a.field is None else order.index(a.field))
        for a in aggregation.functions.values()
    )
    forms = tuple((slot.kind, slot.floats) for slot in slots.values())
    key = ("aggregate", form_of(access), forms, len(aggregation.group_by), functions)
    values = search.values(access) | {"singles": SINGLES}
    values.update({f"slot_{n}": slot.field for n, slot in enumerate(slots.values())})
    build = lambda: _select(access, aggregation, slots, session.dialect)  # noqa: E731
    rows: list[Sequence[Any]] = session.run(key, build, values).fetchall()
    if session.dialect.is_far:
        session.saw(rows[0][-1:] if rows else None)
    return rows


# --- The statement -------------------------------------------------------------------------------------------


def _select(
    access: Access, aggregation: Aggregation, slots: dict[str, Slot], dialect: Dialect
) -> Select[Any]:
    found = Found(access, dialect, "all")
    source = found.source
    columns: Columns = {}
    entries = []
    for n, (name, slot) in enumerate(slots.items()):
        if slot.kind == "field":
            entry = ds_field.alias(f"v{n}")
            of_record = dialect.of_record(entry, found.row.number, bindparam(f"slot_{n}"))
            single = entry.c.sort_key < bindparam("singles")
            joined, condition = dialect.beside(entry, and_(of_record, single))
            source = source.outerjoin(joined, condition)
            columns[name] = slot, joined.c.sort_key, joined.c
            entries.append(entry)
        elif slot.kind == "key":
            columns[name] = slot, found.row.key, None
        else:
            columns[name] = slot, None if slot.kind == "nothing" else found.row.value(slot.kind), None
    groups = [column for name in aggregation.group_by if (column := columns[name][1]) is not None]
    results = [c for a in aggregation.functions.values() for c in _results(a, columns, dialect)]
    query = found.select(func.count(), *groups, *results, source=source).group_by(*groups)
    for entry in entries:
        query = by_number(query, entry)
    return with_last_shape(query) if dialect.is_far else query


def _results(aggregate: Aggregate, columns: Columns, dialect: Dialect) -> Iterator[ColumnElement[Any]]:
    """Yield the columns that one function is made of; `_result` reads them."""
    function = aggregate.function
    if aggregate.field is None:
        return
    slot, column, entry = columns[aggregate.field]
    if column is None:
        return
    if function is Function.COUNT:
        yield func.count(column)
    elif function is Function.MIN or function is Function.MAX:
        if slot.kind == "field":
            column = case((column < bindparam("scalars"), column))
        yield dialect.least(column) if function is Function.MIN else dialect.greatest(column)
    elif slot.kind == "field":
        yield func.count(entry.whole)
        yield from dialect.whole_sums(entry.whole)
        if slot.floats:
            yield func.count(entry.real)
            yield dialect.float_sum(entry.real, entry.whole)


# --- Its rows ------------------------------------------------------------------------------------------------


def _group_row(
    row: Sequence[Any], aggregation: Aggregation, slots: dict[str, Slot], session: Session
) -> GroupRow:
    cells = iter(row)
    records = next(cells)
    group = tuple(_group_value(name, slots[name], cells, session) for name in aggregation.group_by)
    values = {
        alias: records if a.field is None else _result(a.function, slots[a.field], cells, session.dialect)
        for alias, a in aggregation.functions.items()
    }
    return GroupRow(group, values)


def _group_value(name: str, slot: Slot, cells: Iterator[Any], session: Session) -> FieldValue | None:
    if slot.kind == "nothing":
        return None
    cell = next(cells)
    if slot.kind == "field" and cell is not None and cell[0] == LIST:
        # The index knows a list by its digest; some record has it in full.
        (packed,) = session.read(session.statements.list_of, (slot.field, cell)).fetchone()
        return unpack_fields(packed)[name]
    return _value(slot, cell)


def _value(slot: Slot, cell: Any) -> Scalar | None:
    if cell is None:
        return None
    if slot.kind == "field":
        return decode_scalar(cell)
    return str(cell, "utf-8") if slot.kind == "key" else from_instant(cell)


def _result(function: Function, slot: Slot, cells: Iterator[Any], dialect: Dialect) -> Scalar | None:
    numeric = function is Function.SUM or function is Function.AVG
    if slot.kind == "nothing" or (numeric and slot.kind != "field"):
        return 0 if function is Function.COUNT or function is Function.SUM else None
    first = next(cells)
    if function is Function.COUNT:
        return int(first)
    if not numeric:
        return _value(slot, first)
    high, low = next(cells), next(cells)
    count, whole = first, (int(high or 0) << 32) + int(low or 0)
    total: int | float = whole
    if slot.floats:
        floats, float_sum = next(cells), next(cells)
        count += floats
        total = dialect.float_total(float_sum, whole) if floats else whole
    if function is Function.SUM:
        return total
    return total / count if count else None
