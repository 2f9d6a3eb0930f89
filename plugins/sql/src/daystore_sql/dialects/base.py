"""What a dialect has to tell: everything else in this package is the same for every database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, ClassVar, Protocol

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Table,
    and_,
    func,
    insert,
    literal_column,
)
from sqlalchemy.engine import Dialect as SQLAlchemyDialect

from daystore.errors import DaystoreError
from daystore_sql.statements import Statements, compile_text

__all__ = ["Connection", "Cursor", "Dialect", "Text"]

Text = tuple[str, tuple[str, ...]]
"""The text of a statement, and the names of its parameters in the order of their places."""

_MAX_TEXTS = 2000

_HALF: ColumnElement[int] = literal_column("32")
_LOW_HALF: ColumnElement[int] = literal_column("4294967295")


class Cursor(Protocol):
    """What is used of a driver's cursor."""

    def fetchone(self) -> Any:
        """Return the next row; ``None`` after the last."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""


class Connection(Protocol):
    """What is used of a driver's connection, which is in autocommit mode."""

    def execute(self, text: str, parameters: Sequence[object] = ..., /) -> Cursor:
        """Execute a statement."""

    def executemany(self, text: str, rows: Sequence[Sequence[object]], /) -> object:
        """Execute a statement once for each row of parameters."""

    def rollback(self) -> None:
        """Roll back, if a transaction is open."""

    def close(self) -> None:
        """Close."""


class Dialect(ABC):
    """One database's way of saying things. It has no state but the texts of statements.

    Attributes:
        name: SQLAlchemy's name of the database.
        sqlalchemy: SQLAlchemy's dialect, with positional parameters.
        begin_read: Begins a transaction that sees one state of the data.
        begin_write: Begins a transaction that no other writer can come between.
        driver_error: What the driver's errors have in common.
        is_far: Whether each statement costs a round trip, so that one statement finds a page and reads it, too.
        spared: Indexes that it does without.
    """

    is_far: ClassVar[bool] = False
    spared: ClassVar[frozenset[str]] = frozenset()
    name: str
    sqlalchemy: SQLAlchemyDialect
    begin_read: str
    begin_write: str
    driver_error: type[Exception]

    def __init__(self) -> None:
        self._texts: dict[Hashable, Text] = {}

    @cached_property
    def statements(self) -> Statements:
        """The fixed statements."""
        return Statements(self)

    def text_of(self, key: Hashable, build: Callable[[], Select[Any]]) -> Text:
        """Return the text of a statement, built when its key is met for the first time."""
        text = self._texts.get(key)
        if text is None:
            text = compile_text(self, build())
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            self._texts[key] = text
        return text

    @abstractmethod
    def text(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Turn a column of UTF-8 into text that the driver returns as `str`."""

    @abstractmethod
    def keys(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Return a query for the members of a parameter made by `key_list`."""

    @abstractmethod
    def key_list(self, keys: Sequence[str]) -> object | None:
        """Pack keys into one parameter; ``None`` if these cannot be."""

    @abstractmethod
    def numbers(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Return a query for the members of a parameter made by `number_list`."""

    @abstractmethod
    def number_list(self, numbers: Sequence[int]) -> object:
        """Pack integers into one parameter."""

    @abstractmethod
    def hinted(self, query: Select[Any], table: FromClause, index: str) -> Select[Any]:
        """Make a query use an index, where the database lets itself be told."""

    def probe(self, query: Select[Any]) -> Select[Any]:
        """Have what a query looks up for one row looked up for each row, and never joined to all of them."""
        return query

    def beside(
        self, table: FromClause, condition: ColumnElement[bool]
    ) -> tuple[FromClause, ColumnElement[bool]]:
        """Return what to join, and on which condition, to look up rows of a table for each row as `probe` does."""
        return table, condition

    def of_record(
        self, entry: FromClause, number: ColumnElement[Any], field: ColumnElement[Any]
    ) -> ColumnElement[bool]:
        """Return the condition that an entry of the index of fields belongs to a record that is at hand."""
        return and_(entry.c.record == number, entry.c.field == field)

    def whole_sums(self, column: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """Return the sums of the upper and of the lower 32 bits of a column of integers."""
        return func.sum(column.bitwise_rshift(_HALF)), func.sum(column.bitwise_and(_LOW_HALF))

    @abstractmethod
    def float_sum(self, real: ColumnElement[Any], whole: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what `float_total` makes a sum of: that of a column of floats and one of integers."""

    def float_total(self, cell: Any, whole: int) -> float:
        """Return a sum, rounded once.

        Args:
            cell: What the database made of `float_sum`.
            whole: The sum of the integers alone.
        """
        return float(cell)

    def least(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the least value of a column."""
        return func.min(column)

    def greatest(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the greatest value of a column."""
        return func.max(column)

    def insert_name(self, table: Table, values: Mapping[str, BindParameter[Any]]) -> Insert:
        """Return the statement that adds a name, unless another writer has just done so.

        Numbers of shapes become visible to readers in their order: `daystore_sql.catalog` relies on it.
        """
        return insert(table).values(values)

    @abstractmethod
    def tables(self, connection: Connection) -> set[str]:
        """Return the names of the tables of a database."""

    def define(self, connection: Connection, text: str) -> None:
        """Make a table or an index."""
        connection.execute(text)

    @abstractmethod
    def exclusively(self, connection: Connection) -> AbstractContextManager[None]:
        """Lock everybody else out, in a transaction that an error undoes."""

    @abstractmethod
    def plan(self, connection: Connection, text: str, parameters: Sequence[object]) -> list[str]:
        """Return the database's own plan for a statement."""

    @abstractmethod
    def about(self, connection: Connection) -> dict[str, str]:
        """Return facts about the database, for people."""

    @abstractmethod
    def translate(self, error: Exception, operation: str) -> DaystoreError:
        """Say a driver's error in the words of the contract.

        Args:
            error: A `driver_error`.
            operation: What was being done; ``"commit"`` if it was the commit itself.
        """

    @abstractmethod
    def is_locked(self, error: Exception) -> bool:
        """Tell whether nothing is wrong but that somebody else holds a lock."""

    @abstractmethod
    def ends_connection(self, error: Exception) -> bool:
        """Tell whether a connection should not be used any more after an error."""
