"""SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import BindParameter, ColumnElement, FromClause, LargeBinary, Select, Text, cast, func, select
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect as SQLAlchemyDialect
from sqlalchemy.sql.compiler import SQLCompiler

from daystore.errors import DaystoreError
from daystore_sql.dialects import sqlite_errors
from daystore_sql.dialects.base import Connection, Dialect

__all__ = ["SQLITE", "SQLiteDialect"]


class _Compiler(SQLiteCompiler):
    """SQLAlchemy's compiler, with SQLite's hints, which it leaves out, and without offsets nobody asks for."""

    limit_clause = SQLCompiler.limit_clause

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        return text


class SQLiteDialect(Dialect):
    """SQLite's way of saying things."""

    name = "sqlite"
    begin_read = "BEGIN"
    begin_write = "BEGIN IMMEDIATE"
    driver_error: type[Exception] = sqlite3.Error

    def __init__(self) -> None:
        super().__init__()
        dialect = SQLiteDialect_pysqlite(paramstyle="qmark")
        dialect.statement_compiler = _Compiler
        self.sqlalchemy: SQLAlchemyDialect = dialect

    def text(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Read the bytes as text; SQLite does not change them."""
        return cast(column, Text)

    def keys(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Unpack a JSON array of strings."""
        member = func.json_each(parameter).table_valued("value", name="j")
        return select(cast(member.c.value, LargeBinary))

    def key_list(self, keys: Sequence[str]) -> str | None:
        """Pack keys as a JSON array; SQLite's JSON has no NUL."""
        packed = orjson.dumps(keys).decode()
        return None if "\\u0000" in packed else packed

    def numbers(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Unpack a JSON array of integers."""
        member = func.json_each(parameter).table_valued("value", name="j")
        return select(member.c.value)

    def number_list(self, numbers: Sequence[int]) -> str:
        """Pack integers as a JSON array."""
        return orjson.dumps(numbers).decode()

    def hinted(self, query: Select[Any], table: FromClause, index: str) -> Select[Any]:
        """Say which index; without it, SQLite's guess depends on what it knows of the data."""
        return query.with_hint(table, f"INDEXED BY {index}", "sqlite")

    def float_sum(self, real: ColumnElement[Any], whole: ColumnElement[Any]) -> ColumnElement[Any]:
        """Sum with `FloatSum`."""
        return func.ds_float_sum(func.coalesce(real, whole))

    def tables(self, connection: Connection) -> set[str]:
        """Look into SQLite's own table."""
        return {
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        }

    @contextmanager
    def exclusively(self, connection: Connection) -> Iterator[None]:
        """Hold the lock of the file."""
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        except BaseException:
            connection.rollback()
            raise
        connection.execute("COMMIT")

    def plan(self, connection: Connection, text: str, parameters: Sequence[object]) -> list[str]:
        """Return the lines of ``EXPLAIN QUERY PLAN``."""
        rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters).fetchall()
        return [row[3] for row in rows]

    def about(self, connection: Connection) -> dict[str, str]:
        """Return SQLite's version, and how the file is kept."""
        facts = {"sqlite": sqlite3.sqlite_version}
        for pragma in ("journal_mode", "page_count", "page_size"):
            facts[pragma] = str(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
        return facts

    def translate(self, error: Exception, operation: str) -> DaystoreError:
        """See `daystore_sql.dialects.sqlite_errors`."""
        return sqlite_errors.translate(error, operation)

    def is_locked(self, error: Exception) -> bool:
        """Tell by SQLite's result code."""
        return sqlite_errors.is_locked(error)

    def ends_connection(self, error: Exception) -> bool:
        """Tell by SQLite's result code: after failures of files, look at the files anew."""
        return sqlite_errors.ends_connection(error)


SQLITE = SQLiteDialect()
