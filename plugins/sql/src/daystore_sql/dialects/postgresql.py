"""PostgreSQL."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from sys import byteorder
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Insert,
    LargeBinary,
    Select,
    Table,
    and_,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Dialect as SQLAlchemyDialect

from daystore.abc import Instant
from daystore.abc.evaluate import exact_sum
from daystore.errors import DaystoreError
from daystore_sql.dialects import postgresql_errors
from daystore_sql.dialects import postgresql_statements as texts
from daystore_sql.dialects.base import Connection
from daystore_sql.dialects.network import NetworkDialect, ServerFacts
from daystore_sql.dialects.postgresql_putting import LEFT_OUT, only_puts, put_of
from daystore_sql.dialects.postgresql_writing import MISSED, parameters_of, verdicts_of
from daystore_sql.errors import unavailable
from daystore_sql.network.changes import Changes, Stale, Ticket, TooLate, Verdict
from daystore_sql.network.driver import DriverConnection, Refused, Row
from daystore_sql.network.positions import Position
from daystore_sql.schema import ds_shape

__all__ = ["POSTGRESQL", "PostgreSQLDialect"]

OLDEST = 130000
LAYOUT_LOCK = texts.LOCKS - 1
SHAPE_LOCK = texts.LOCKS - 2
KEPT = 3600 * 1_000_000
"""Microseconds for which it is remembered what became of a write."""


class PostgreSQLDialect(NetworkDialect):
    """PostgreSQL's way of saying things."""

    name = "postgresql"
    label = "PostgreSQL"
    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    begin_write = "BEGIN ISOLATION LEVEL READ COMMITTED"

    def __init__(self) -> None:
        super().__init__()
        self.sqlalchemy: SQLAlchemyDialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]

    # --- What every dialect tells ----------------------------------------------------------------------------

    def text(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Leave bytes as they are: PostgreSQL's text has no NUL."""
        return column

    def keys(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Unpack an array of bytes."""
        return select(func.unnest(cast(parameter, ARRAY(LargeBinary))))

    def key_list(self, keys: Sequence[str]) -> list[bytes]:
        """Pack keys as an array."""
        return [key.encode() for key in keys]

    def numbers(self, parameter: BindParameter[Any]) -> Select[Any]:
        """Unpack an array of integers."""
        return select(func.unnest(cast(parameter, ARRAY(BigInteger))))

    def number_list(self, numbers: Sequence[int]) -> list[int]:
        """Pack integers as an array."""
        return list(numbers)

    def hinted(self, query: Select[Any], table: FromClause, index: str) -> Select[Any]:
        """Leave it to the planner, which takes no hints."""
        return query

    def probe(self, query: Select[Any]) -> Select[Any]:
        """Keep the planner from making a join of it: that could read all that satisfies one condition."""
        return query.offset(literal_column("0"))

    def beside(
        self, table: FromClause, condition: ColumnElement[bool]
    ) -> tuple[FromClause, ColumnElement[bool]]:
        """Make it a subquery that refers to the row, for the same reason."""
        return self.probe(select(table).where(condition)).lateral(), true()

    def of_record(
        self, entry: FromClause, number: ColumnElement[Any], field: ColumnElement[Any]
    ) -> ColumnElement[bool]:
        """Leave no condition to the index by field: among few rows the planner takes one for the other."""
        return and_(entry.c.record == number, entry.c.field + literal_column("0") == field)

    def float_sum(self, real: ColumnElement[Any], whole: ColumnElement[Any]) -> ColumnElement[Any]:
        """Collect the bits of the floats: PostgreSQL's own sums add up errors."""
        return func.string_agg(func.float8send(real), literal_column("''::bytea"))

    def float_total(self, cell: Any, whole: int) -> float:
        """Add them up, rounding once."""
        numbers = array("d", cell)
        if byteorder == "little":
            numbers.byteswap()
        return float(exact_sum([*numbers, whole]))

    def least(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Compare bytes as their hexadecimal digits; PostgreSQL has no least of bytes before version 18."""
        return _of_digits(func.min, column)

    def greatest(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Compare bytes as their hexadecimal digits."""
        return _of_digits(func.max, column)

    def insert_name(self, table: Table, values: Mapping[str, BindParameter[Any]]) -> Insert:
        """Add it unless it is there. Shapes are added one after the other, so that they are seen in that order."""
        if table is not ds_shape:
            return insert(table).values(values).on_conflict_do_nothing()
        turn = select(func.pg_advisory_xact_lock(literal_column(f"{SHAPE_LOCK}"))).cte("turn")
        turn = turn.prefix_with("MATERIALIZED")
        row = select(*values.values()).select_from(turn)
        return insert(table).from_select(list(values), row).on_conflict_do_nothing()

    def tables(self, connection: Connection) -> set[str]:
        """Return the tables that are found without naming a schema."""
        rows = connection.execute(
            "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) "
            "AND relname LIKE 'ds\\_%'"
        )
        return {row[0] for row in rows.fetchall()}

    @contextmanager
    def exclusively(self, connection: Connection) -> Iterator[None]:
        """Hold an advisory lock."""
        connection.execute(self.begin_write)
        try:
            connection.execute(f"SELECT pg_advisory_xact_lock({LAYOUT_LOCK})")
            yield
        except BaseException:
            connection.rollback()
            raise
        connection.execute("COMMIT")

    def plan(self, connection: Connection, text: str, parameters: Sequence[object]) -> list[str]:
        """Return the lines of ``EXPLAIN``."""
        rows = connection.execute(f"EXPLAIN (COSTS OFF) {text}", parameters).fetchall()
        return [row[0] for row in rows]

    def about(self, connection: Connection) -> dict[str, str]:
        """Return the server's version."""
        text = "SELECT current_setting('server_version'), current_setting('synchronous_commit')"
        row = self.only_row(connection, text)
        return {"postgresql": row[0], "synchronous_commit": row[1]}

    def translate(self, error: Exception, operation: str) -> DaystoreError:
        """See `daystore_sql.dialects.postgresql_errors`."""
        return postgresql_errors.translate(error, operation)

    def is_locked(self, error: Exception) -> bool:
        """Tell by SQLSTATE."""
        return isinstance(error, Refused) and self.is_transient(error)

    def ends_connection(self, error: Exception) -> bool:
        """Say no: the pool looks at the connection itself."""
        return False

    # --- What those in a network tell ------------------------------------------------------------------------

    async def hello(self, connection: DriverConnection) -> ServerFacts:
        """Ask for the version, the clock and the settings."""
        _pid, version, number, time, durable = (await connection.fetch(texts.HELLO))[0]
        if number < OLDEST:
            raise unavailable(
                f"PostgreSQL {version} is too old: {OLDEST // 10000} or later is needed",
                "open",
                retryable=False,
            )
        return ServerFacts(version, time, durable)

    async def read(
        self, connection: DriverConnection, scope: int, keys: Sequence[str], now: Instant
    ) -> Sequence[Row]:
        """Read with one statement."""
        if len(keys) == 1:
            return await connection.fetch(texts.GET, (scope, keys[0].encode(), now))
        return await connection.fetch(
            texts.GET_MANY, (scope, [key.encode() for key in dict.fromkeys(keys)], now)
        )

    async def write(
        self, connection: DriverConnection, changes: Changes, ticket: Ticket, *, inside: bool
    ) -> Sequence[Verdict]:
        """Write with one statement; with a second one if something was in the way of mere puts."""
        if not inside and only_puts(changes):  # inside a transaction a failure would be the end of it
            try:
                rows = await connection.fetch(*put_of(changes, ticket))
            except Refused as error:
                if error.code != LEFT_OUT:
                    raise
            else:
                return verdicts_of(rows[0][0], iter(()))
        rows = await connection.fetch(texts.WRITE, parameters_of(changes, ticket))
        outcome, currents, stale, late, done, _, _ = rows[0]
        if stale:
            raise Stale
        if late or not done:
            raise TooLate
        return verdicts_of(outcome, iter(currents or ()))

    async def look(
        self, connection: DriverConnection, changes: Changes, ticket: Ticket
    ) -> Sequence[Verdict] | None:
        """Take the place of the ticket; where that is taken already, it tells the outcome."""
        if await connection.fetch(texts.RETURN, (ticket.id,)):
            return None
        rows = await connection.fetch(texts.OUTCOME, (ticket.id,))
        if not rows or rows[0][0] is None:
            return None
        outcome = rows[0][0].decode()
        missed = [change for change, digit in zip(changes.items, outcome, strict=True) if digit in MISSED]
        currents: list[bytes | None] = []
        if missed:
            places = ([change.scope for change in missed], [change.key for change in missed], changes.now)
            found = {row[0]: row[1] for row in await connection.fetch(texts.VERSIONS, places)}
            currents = [found.get(n) for n in range(1, len(missed) + 1)]
        return verdicts_of(outcome, iter(currents))

    async def lock_queries(self, connection: DriverConnection, scopes: Sequence[int]) -> None:
        """Take the advisory locks that every write shares."""
        await connection.fetch(texts.LOCK, (list(scopes),))

    async def sweep(self, connection: DriverConnection, now: Instant, most: int) -> int:
        """Delete expired records, and what became of writes long ago."""
        count: int = (await connection.fetch(texts.SWEEP, (now, most)))[0][0]
        if count < most:
            (_, _, _, time, _) = (await connection.fetch(texts.HELLO))[0]
            horizon = (time - KEPT).to_bytes(8, "big")
            await connection.fetch(texts.FORGET, (horizon, 100 * most))
        return count

    async def position(self, connection: DriverConnection) -> Position:
        """Ask where the log ends. Not all of it was written: a commit need not have been, to be acknowledged."""
        ((origin, timeline, place),) = await connection.fetch(texts.POSITION)
        return Position(origin, {timeline: place})

    async def replayed(self, connection: DriverConnection) -> Position:
        """Ask how far the log was replayed."""
        ((origin, timeline, place, follows),) = await connection.fetch(texts.REPLAYED)
        if not follows:
            raise unavailable("it is no replica: it does not follow another server")
        return Position(origin, {timeline: place})

    def is_transient(self, error: Refused) -> bool:
        """Tell by SQLSTATE."""
        return postgresql_errors.is_transient(error)


def _of_digits(function: Any, column: ColumnElement[Any]) -> ColumnElement[Any]:
    if not isinstance(column.type, LargeBinary):
        return function(column)  # type: ignore[no-any-return]
    digits = func.encode(column, literal_column("'hex'")).collate("C")
    return func.decode(function(digits), literal_column("'hex'"))


POSTGRESQL = PostgreSQLDialect()
