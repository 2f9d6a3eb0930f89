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
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Dialect as SQLAlchemyDialect

from daystore.abc import Holds, Instant
from daystore.abc.evaluate import exact_sum
from daystore.errors import DaystoreError
from daystore_sql.dialects import postgresql_errors
from daystore_sql.dialects import postgresql_statements as texts
from daystore_sql.dialects.base import Connection
from daystore_sql.dialects.network import NetworkDialect, ServerFacts
from daystore_sql.errors import unavailable
from daystore_sql.network.changes import Changes, Stale, Ticket, TooLate, Verdict
from daystore_sql.network.driver import DriverConnection, Refused, Row
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
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('synchronous_commit')"
        ).fetchone()
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
        return await connection.fetch(texts.GET_MANY, (scope, [key.encode() for key in keys], now))

    async def write(
        self, connection: DriverConnection, changes: Changes, ticket: Ticket, *, inside: bool
    ) -> Sequence[Verdict]:
        """Write with one statement."""
        rows = await connection.fetch(texts.WRITE, _parameters(changes, ticket))
        outcome, currents, stale, late, done, _, _ = rows[0]
        if stale:
            raise Stale
        if late or not done:
            raise TooLate
        return _verdicts(outcome, iter(currents or ()))

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
        missed = [change for change, digit in zip(changes.items, outcome, strict=True) if digit in _MISSED]
        currents: list[bytes | None] = []
        if missed:
            places = ([change.scope for change in missed], [change.key for change in missed], changes.now)
            found = {row[0]: row[1] for row in await connection.fetch(texts.VERSIONS, places)}
            currents = [found.get(n) for n in range(1, len(missed) + 1)]
        return _verdicts(outcome, iter(currents))

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

    def is_transient(self, error: Refused) -> bool:
        """Tell by SQLSTATE."""
        return postgresql_errors.is_transient(error)


def _of_digits(function: Any, column: ColumnElement[Any]) -> ColumnElement[Any]:
    if not isinstance(column.type, LargeBinary):
        return function(column)  # type: ignore[no-any-return]
    digits = func.encode(column, literal_column("'hex'")).collate("C")
    return func.decode(function(digits), literal_column("'hex'"))


# --- Writes --------------------------------------------------------------------------------------------------

_KINDS = {"check": 0, "put": 1, "delete": 2, "prepare": 128, "release": 128}


def _parameters(changes: Changes, ticket: Ticket) -> tuple[object, ...]:
    items = changes.items
    holds_places = changes.atomic and len(items) > 1
    modes = bytearray()
    expected: list[bytes | None] = []
    numbers: list[int] = []
    entries: list[tuple[int, bytes]] = []
    values: list[tuple[int | None, float | None]] = []
    for n, change in enumerate(items, 1):
        expect, mode = change.expect, _KINDS[change.kind]
        mode |= 16 * change.keeps | 32 * (holds_places and change.kind in ("check", "delete"))
        if isinstance(expect, str):
            expected.append(expect.encode("utf-8", "surrogatepass"))
            mode |= 8
        elif isinstance(expect, Holds):
            expected.append(expect.transaction)
            mode |= 64
        else:
            expected.append(None)
            mode |= 4 * (expect.value == "absent")
        modes.append(mode)
        if change.entries:
            numbers += [n] * len(change.entries)
            entries += change.entries.keys()
            values += change.entries.values()
    scopes = [change.scope for change in items]
    return (
        sorted(set(scopes)),
        scopes,
        [change.key for change in items],
        _brief(expected),
        bytes(modes),
        [change.version for change in items],
        _brief([change.expires_at for change in items]),
        [change.shape for change in items],
        [change.meta for change in items],
        _brief([change.fields for change in items]),
        _brief([change.intent for change in items]),
        [change.value for change in items],
        len(items),
        numbers,
        [field for field, _ in entries],
        [sort_key for _, sort_key in entries],
        [whole for whole, _ in values],
        [real for _, real in values],
        changes.now,
        ticket.deadline,
        changes.atomic,
        ticket.id,
    )


def _brief(column: list[Any]) -> list[Any]:
    """Leave out a column of nulls: the server fills up what is short."""
    return column if any(cell is not None for cell in column) else []


_DIGITS = {chr(mark): Verdict.of_mark(mark) for mark in range(ord("0"), ord("8"))}
_MISSED = frozenset(digit for digit, verdict in _DIGITS.items() if verdict.existed and not verdict.done)


def _verdicts(outcome: str, currents: Iterator[bytes | None]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for digit in outcome:
        verdict = _DIGITS[digit]
        if digit in _MISSED:
            current = next(currents, None)
            verdict = verdict._replace(current=None if current is None else current.decode())
        verdicts.append(verdict)
    return verdicts


POSTGRESQL = PostgreSQLDialect()
