"""The statements of MySQL and MariaDB that write, and those that read by key, as text.

Nothing but constants and places for parameters is ever part of a text.

A statement takes as many rows as there are places in it. There are few sizes, so that there are few texts: what is
fewer is filled up with one row again, and what is more goes into several statements.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final, TypeVar

from daystore_sql.schema import ds_field, ds_record

__all__ = [
    "SIZES",
    "chunks",
    "compound",
    "delete_entries",
    "delete_marks",
    "delete_records",
    "filled",
    "find",
    "insert_entries",
    "insert_record",
    "note",
    "prepare_record",
    "prepare_records",
    "put_records",
    "release_records",
    "update_record",
]

T = TypeVar("T")

SIZES: Final = tuple(sorted({*(1 << n for n in range(11)), *(3 << n for n in range(9))}))
"""How many rows a statement takes: 1, 2, 3, 4, 6, 8, 12 … 1024."""

_FILLING: Final = 65536
"""Bytes that may be sent in vain to fill up a statement."""

_RECORD: Final = tuple(f"`{column.name}`" for column in ds_record.c)
_CHANGED: Final = tuple(name for name in _RECORD if name not in ("`id`", "`scope`", "`key`"))
_ENTRY: Final = tuple(f"`{column.name}`" for column in ds_field.c)


def filled(rows: Sequence[T], sizes: Sequence[int] = SIZES) -> list[T]:
    """Fill up rows to the next size with the last of them."""
    size = sizes[bisect_left(sizes, len(rows))]
    return [*rows, *[rows[-1]] * (size - len(rows))]


def chunks(rows: Sequence[T], weight: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Divide rows into lists each of which is of one of the sizes.

    Args:
        rows: The rows.
        weight: How many bytes a row has.
        most: How many bytes a list may have, unless a single row has more.
    """
    waiting: list[T] = []
    weights: list[int] = []
    for row in rows:
        heavy = weight(row)
        if waiting and (len(waiting) == SIZES[-1] or sum(weights) + heavy > most):
            yield from _sized(waiting, weights)
            waiting, weights = [], []
        waiting.append(row)
        weights.append(heavy)
    if waiting:
        yield from _sized(waiting, weights)


def _sized(rows: list[T], weights: list[int]) -> Iterator[list[T]]:
    lightest = min(range(len(rows)), key=weights.__getitem__)
    missing = SIZES[bisect_left(SIZES, len(rows))] - len(rows)
    if missing * weights[lightest] <= _FILLING:
        yield rows + [rows[lightest]] * missing
        return
    while rows:
        size = max(size for size in SIZES if size <= len(rows))
        yield rows[:size]
        rows = rows[size:]


# --- Reading ---------------------------------------------------------------------------------------------------


@cache
def find(places: int) -> str:
    """Parameters: scope, keys. Columns: key, id, version, created_at, expires_at, fields, intent. Locks them."""
    return (
        "SELECT `key`, id, version, created_at, expires_at, fields, intent "  # noqa: S608
        "FROM ds_record FORCE INDEX (ds_record_key) "
        f"WHERE scope = ? AND `key` IN ({_places(places)}) ORDER BY `key` FOR UPDATE"
    )


# --- Writing ---------------------------------------------------------------------------------------------------


def insert_record() -> str:
    """Parameters: a record, in the order of the table. It must not be there."""
    return f"INSERT INTO ds_record ({', '.join(_RECORD)}) VALUES ({_places(len(_RECORD))})"  # noqa: S608


def update_record() -> str:
    """Parameters: a record from its shape on, in the order of the table; id."""
    return f"UPDATE ds_record SET {', '.join(f'{name} = ?' for name in _CHANGED)} WHERE id = ?"  # noqa: S608


@cache
def put_records(places: int, *, is_mariadb: bool) -> str:
    """Parameters: records, in the order of the table. What is there is replaced.

    Counts 1 for a record that was not there, 2 for one that was, and nothing for one that is the same.
    """
    return _put_rows(places, _CHANGED, is_mariadb=is_mariadb)


@cache
def prepare_records(places: int, *, is_mariadb: bool) -> str:
    """Parameters: records, in the order of the table. What is there takes the intent. Counts alike."""
    return _put_rows(places, ("intent",), is_mariadb=is_mariadb)


def _put_rows(places: int, changed: Sequence[str], *, is_mariadb: bool) -> str:
    alias, new = ("", "VALUES({})") if is_mariadb else (" AS new", "new.{}")
    changes = ", ".join(f"{name} = {new.format(name)}" for name in changed)
    return (
        f"INSERT INTO ds_record ({', '.join(_RECORD)}) "  # noqa: S608
        f"VALUES {_rows(places, len(_RECORD))}{alias} "
        f"ON DUPLICATE KEY UPDATE {changes}"
    )


def prepare_record() -> str:
    """Parameters: intent, id."""
    return "UPDATE ds_record SET intent = ? WHERE id = ?"


@cache
def release_records(places: int) -> str:
    """Parameters: ids. Removes the intents."""
    return f"UPDATE ds_record FORCE INDEX (PRIMARY) SET intent = NULL WHERE id IN ({_places(places)})"  # noqa: S608


@cache
def delete_records(places: int) -> str:
    """Parameters: ids. Deletes their index entries, too."""
    return (
        "DELETE r, f FROM ds_record AS r FORCE INDEX (PRIMARY) LEFT JOIN ds_field AS f FORCE INDEX (PRIMARY) "
        f"ON f.record = r.id WHERE r.id IN ({_places(places)})"
    )


@cache
def insert_entries(places: int) -> str:
    """Parameters: entries of the index of fields, in the order of the table; the same may be there twice."""
    return (
        f"INSERT INTO ds_field ({', '.join(_ENTRY)}) VALUES {_rows(places, len(_ENTRY))} "  # noqa: S608
        "ON DUPLICATE KEY UPDATE `key` = ds_field.`key`"
    )


@cache
def delete_entries(places: int) -> str:
    """Parameters: ids of records, all of whose entries are deleted."""
    return f"DELETE f FROM ds_field AS f FORCE INDEX (PRIMARY) WHERE f.record IN ({_places(places)})"


@cache
def delete_marks(places: int) -> str:
    """Parameters: ids of records, whose entries that stand for intents are deleted."""
    return (
        "DELETE f FROM ds_field AS f FORCE INDEX (PRIMARY) "
        f"WHERE f.record IN ({_places(places)}) AND f.field < 0"
    )


def note() -> str:
    """Parameters: deadline, ticket, outcome. Refused if the deadline has passed, or the ticket is known."""
    return (
        "INSERT INTO ds_commit (id, outcome) "
        "VALUES (IF(? >= TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)), ?, NULL), ?)"
    )


def compound(*statements: str) -> str:
    """Make one statement of several; it ends at the first that is refused. Only MariaDB takes it."""
    return f"BEGIN NOT ATOMIC {'; '.join(statements)}; END"


def _places(places: int) -> str:
    return ", ".join("?" * places)


def _rows(rows: int, places: int) -> str:
    return ", ".join([f"({_places(places)})"] * rows)
