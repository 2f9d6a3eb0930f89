"""What a dialect has to tell: everything else in this package is the same for every database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Protocol

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select
from sqlalchemy.engine import Dialect as SQLAlchemyDialect

from daystore.errors import DaystoreError
from daystore_sql.statements import Statements, compile_text

__all__ = ["Connection", "Cursor", "Dialect", "Text"]

Text = tuple[str, tuple[str, ...]]
"""The text of a statement, and the names of its parameters in the order of their places."""

_MAX_TEXTS = 2000


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
    """

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

    @abstractmethod
    def float_sum(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the sum of a column with floats in it, as exact as the database can."""

    @abstractmethod
    def tables(self, connection: Connection) -> set[str]:
        """Return the names of the tables of a database."""

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
