"""MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, cast

import orjson
from sqlalchemy import (
    CHAR,
    BindParameter,
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Table,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.mysql.base import MySQLDialect as SQLAlchemyMySQL
from sqlalchemy.dialects.mysql.base import MySQLTypeCompiler
from sqlalchemy.engine import Dialect as SQLAlchemyDialect

from daystore.abc import Instant
from daystore.errors import DaystoreError
from daystore_sql.dialects import mysql_errors, mysql_replicas, mysql_writing
from daystore_sql.dialects.base import Connection
from daystore_sql.dialects.mysql_floats import float_parts, float_total
from daystore_sql.dialects.network import NetworkDialect, ServerFacts
from daystore_sql.errors import unavailable
from daystore_sql.network.changes import Changes, Ticket, Verdict
from daystore_sql.network.driver import DriverConnection, Lost, Refused, Row
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection
from daystore_sql.network.positions import Position
from daystore_sql.schema import ds_layout, ds_record, ds_shape
from daystore_sql.statements import is_seen

__all__ = ["MYSQL", "MySQLDialect"]

_OLDEST: Final = {True: (10, 6), False: (8, 0, 20)}
"""Of MariaDB, and of MySQL."""

_BESIDE: Final = 512 * 1024
"""Bytes of a statement beside the value of a record: its key, its fields, their names."""

_SETTINGS: Final = (
    "autocommit = 1",
    "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "time_zone = '+00:00'",
    "completion_type = 'NO_CHAIN'",
    "sql_select_limit = 18446744073709551615",
    "max_sort_length = 4096",  # more than any key or sort key has; what is longer would be sorted by its beginning
    "lock_wait_timeout = 30",
    "innodb_lock_wait_timeout = 5",
)
"""What no setting of the server's may change."""
_OF_MARIADB: Final = (
    "in_predicate_conversion_threshold = 0",  # lists of keys are looked up, however long
    "optimizer_switch = 'exists_to_in=off'",  # what is checked for each record is no reason to begin elsewhere
    "max_statement_time = 600",
)
_OF_MYSQL: Final = (
    "optimizer_switch = 'semijoin=off'",
    "max_execution_time = 600000",
)

_PLAN: Final = {10: (1, 2, 3, 5), 12: (1, 2, 4, 6)}
"""What is told of the columns of ``EXPLAIN``: of MariaDB, and of MySQL, which has two more."""
_NOTABLE: Final = ("Using temporary", "Using filesort")

_FACTS: Final = (
    "SELECT VERSION(), TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)), @@max_allowed_packet, "
    "@@innodb_flush_log_at_trx_commit = 1 AND (@@log_bin = 0 OR @@sync_binlog = 1)"
)


class _Types(MySQLTypeCompiler):
    """SQLAlchemy's names of types, but for bytes: those that can be part of an index, and those of any size."""

    def visit_BLOB(self, type_: Any, **kw: Any) -> str:  # noqa: N802 -- SQLAlchemy's name
        return f"VARBINARY({type_.length})" if type_.length else "LONGBLOB"


class MySQLDialect(NetworkDialect):
    """The way of MySQL and MariaDB to say things."""

    name = "mysql"
    # It would hold every record, there being no indexes on some rows: see `daystore_sql.intents`.
    spared: ClassVar[frozenset[str]] = frozenset({"ds_record_intent"})
    label = "MySQL"
    begin_read = (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; "
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    )
    # There every plain SELECT locks what it reads, and the gaps between: what was found stays found.
    begin_write = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION"

    def __init__(self) -> None:
        super().__init__()
        dialect = SQLAlchemyMySQL(paramstyle="qmark")
        dialect.type_compiler_instance = _Types(dialect)
        self.sqlalchemy: SQLAlchemyDialect = dialect

    # --- Parts of statements -----------------------------------------------------------------------------------

    def text(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Read the bytes as text; only their type changes."""
        return sql_cast(column, CHAR)

    def keys(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Unpack a JSON array of keys in hexadecimal."""
        return select(func.unhex(_member(parameter, "VARCHAR(512)")))

    def key_list(self, keys: Sequence[str]) -> str:
        """Pack keys as a JSON array of strings in hexadecimal: JSON holds no bytes."""
        return orjson.dumps([key.encode().hex() for key in keys]).decode()

    def numbers(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Unpack a JSON array of integers."""
        return select(_member(parameter, "BIGINT"))

    def number_list(self, numbers: Sequence[int]) -> str:
        """Pack integers as a JSON array."""
        return orjson.dumps(list(numbers)).decode()

    def hinted(self, query: Select[Any], table: FromClause, index: str) -> Select[Any]:
        """Say which index."""
        return query.with_hint(table, f"FORCE INDEX ({index})", "mysql")

    def whole_sums(self, column: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """Sum without halves: the sum is a decimal number of up to 65 digits."""
        return literal_column("0"), func.sum(column)

    def float_sum(self, real: ColumnElement[Any], whole: ColumnElement[Any]) -> ColumnElement[Any]:
        """See `daystore_sql.dialects.mysql_floats`."""
        return float_parts(real)

    def float_total(self, cell: Any, whole: int) -> float:
        """See `daystore_sql.dialects.mysql_floats`."""
        return float_total(cell, whole)

    def insert_name(self, table: Table, values: Mapping[str, BindParameter[Any]]) -> Insert:
        """Ignore a duplicate. For a shape, first lock a row that stands for all of them, until it is committed."""
        add = insert(table).prefix_with("IGNORE")
        if table is not ds_shape:
            return add.values(values)
        row = select(*values.values()).select_from(ds_layout).with_for_update()
        return add.from_select(list(values), row)

    # --- The server --------------------------------------------------------------------------------------------

    async def hello(self, connection: DriverConnection) -> ServerFacts:
        """Pin what statements rely on, give the connection its name, and end what goes on for those before it."""
        own = cast(AsyncmyConnection, connection)
        settings = ", ".join(_SETTINGS + (_OF_MARIADB if own.is_mariadb else _OF_MYSQL))
        ((version, time, packet, durable),) = await own.fetch(
            f"SET {settings}; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; "
            f"DO GET_LOCK('{own.name}', 0); {_FACTS}"
        )
        if _number(version) < _OLDEST[own.is_mariadb]:
            raise unavailable(
                f"the server has version {version}, which is too old: MariaDB 10.6 or MySQL 8.0.20 or later "
                "is needed",
                "open",
                retryable=False,
            )
        own.packet = packet
        await own.reap()
        return ServerFacts(version, time, bool(durable), largest=packet - _BESIDE)

    def tables(self, connection: Connection) -> set[str]:
        """Ask for those of the database."""
        return {row[0] for row in connection.execute("SHOW TABLES").fetchall()}

    @contextmanager
    def exclusively(self, connection: Connection) -> Iterator[None]:
        """Take a lock by name. Statements that make tables commit by themselves, so an error undoes nothing."""
        name = "CONCAT('daystore.', MD5(DATABASE()))"
        (taken,) = connection.execute(f"SELECT GET_LOCK({name}, 25)").fetchone()
        if taken != 1:
            raise unavailable(
                "another process is changing the layout of the database, and takes long: try again", "open"
            )
        try:
            yield
        finally:
            connection.execute(f"DO RELEASE_LOCK({name})")

    def define(self, connection: Connection, text: str) -> None:
        """Go on where an earlier attempt to make the tables was interrupted."""
        try:
            connection.execute(text)
        except Refused as error:
            if not mysql_errors.is_there(error):
                raise

    def plan(self, connection: Connection, text: str, parameters: Sequence[object]) -> list[str]:
        """Return the lines of ``EXPLAIN``: table, way and index, and whether something is sorted or kept aside.

        The rest depends on how many rows there are, and on how often the statement was executed.
        """
        lines = []
        for row in connection.execute(f"EXPLAIN {text}", parameters).fetchall():
            named = [str(row[place]) for place in _PLAN[len(row)] if row[place] is not None]
            lines.append(" ".join(named + [word for word in _NOTABLE if word in (row[-1] or "")]))
        return lines

    def about(self, connection: Connection) -> dict[str, str]:
        """Return the server's version, and how it keeps what is committed."""
        text = "SELECT VERSION(), @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog"
        names = ("version", "innodb_flush_log_at_trx_commit", "log_bin", "sync_binlog")
        return dict(zip(names, map(str, self.only_row(connection, text)), strict=True))

    # --- Reading and writing -----------------------------------------------------------------------------------

    async def read(
        self, connection: DriverConnection, scope: int, keys: Sequence[str], now: Instant
    ) -> Sequence[Row]:
        """Look keys up one by one, or in a list that has a place for each."""
        if len(keys) == 1:
            return await connection.fetch(self.statements.get, (scope, keys[0].encode(), now))
        places = 1 << (len(keys) - 1).bit_length()
        text, _ = self.text_of(("read", places), lambda: self._read(places))
        packed = [key.encode() for key in keys]
        return await connection.fetch(text, (scope, *packed, *packed[-1:] * (places - len(keys)), now))

    def _read(self, places: int) -> Select[Any]:
        t = ds_record.c
        keys = t.key.in_([BindParameter(f"key_{n}") for n in range(places)])
        query = select(*self.statements.columns_of(ds_record)).where(t.scope == BindParameter("scope"), keys)
        return self.hinted(query, ds_record, "ds_record_key").where(is_seen(ds_record))

    async def write(
        self, connection: DriverConnection, changes: Changes, ticket: Ticket, *, inside: bool
    ) -> Sequence[Verdict]:
        """See `daystore_sql.dialects.mysql_writing`."""
        return await mysql_writing.write(cast(AsyncmyConnection, connection), changes, ticket, inside=inside)

    async def look(
        self, connection: DriverConnection, changes: Changes, ticket: Ticket
    ) -> Sequence[Verdict] | None:
        """See `daystore_sql.dialects.mysql_writing`."""
        return await mysql_writing.look(cast(AsyncmyConnection, connection), ticket)

    async def lock_queries(self, connection: DriverConnection, scopes: Sequence[int]) -> None:
        """Do nothing: in a transaction begun by `begin_write` queries lock what they read."""

    async def sweep(self, connection: DriverConnection, now: Instant, most: int) -> int:
        """See `daystore_sql.dialects.mysql_writing`."""
        return await mysql_writing.sweep(cast(AsyncmyConnection, connection), now, most)

    # --- Replicas ----------------------------------------------------------------------------------------------

    async def position(self, connection: DriverConnection) -> Position:
        """See `daystore_sql.dialects.mysql_replicas`."""
        return await mysql_replicas.position(cast(AsyncmyConnection, connection))

    async def replayed(self, connection: DriverConnection) -> Position:
        """See `daystore_sql.dialects.mysql_replicas`."""
        return await mysql_replicas.replayed(cast(AsyncmyConnection, connection))

    # --- Errors ------------------------------------------------------------------------------------------------

    def translate(self, error: Exception, operation: str) -> DaystoreError:
        """See `daystore_sql.dialects.mysql_errors`."""
        return mysql_errors.translate(error, operation)

    def is_locked(self, error: Exception) -> bool:
        """Tell by the server's number."""
        return mysql_errors.is_locked(error)

    def is_transient(self, error: Refused) -> bool:
        """Tell by the server's number."""
        return mysql_errors.is_conflict(error)

    def ends_connection(self, error: Exception) -> bool:
        """Tell whether it is lost."""
        return isinstance(error, Lost)


def _member(parameter: BindParameter[Any], kind: str) -> ColumnElement[Any]:
    """Return the members of a JSON array, as a column of a type."""
    columns: ColumnElement[Any] = literal_column(f"'$[*]' COLUMNS (value {kind} PATH '$')")
    table = func.json_table(parameter.op(",")(columns)).table_valued("value", name="j")
    return cast("ColumnElement[Any]", table.c.value)


def _number(version: str) -> tuple[int, ...]:
    """Return the number that the name of a version begins with."""
    digits = version.partition("-")[0].split(".")
    return tuple(int(part) for part in digits if part.isdigit())


MYSQL = MySQLDialect()
