"""SQLite's databases: files and memory, how they are named, and how a connection to one is made ready."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from daystore.abc import Clock
from daystore.abc.evaluate import exact_sum
from daystore.errors import ConfigError
from daystore_sql.config import SQLConfig
from daystore_sql.dialects.sqlite_errors import is_locked, translate, why_not_open
from daystore_sql.engine import LaneEngine
from daystore_sql.errors import unavailable

__all__ = ["FloatSum", "SQLiteDatabase"]

OLDEST = (3, 35, 0)
_CHECK_EVERY = 100_000
"""Steps of SQLite's machine, some milliseconds, after which it is asked whether anybody still waits."""


class FloatSum:
    """The sum of numbers, rounded once, as an aggregate function of SQLite, whose own one adds up errors."""

    def __init__(self) -> None:
        self._numbers: list[int | float] = []

    def step(self, number: float | None) -> None:
        """Take a number."""
        if number is not None:
            self._numbers.append(number)

    def finalize(self) -> float:
        """Return the sum; infinite beyond the range of floats."""
        return float(exact_sum(self._numbers))


@dataclass(frozen=True, slots=True)
class SQLiteDatabase:
    """One database.

    Attributes:
        path: Its file; ``None`` for one in memory.
        mode: ``rwc`` to make the file if it is missing, ``rw`` to insist on it, ``ro`` only to read.
        config: Options of the adapter.
    """

    path: str | None
    mode: str
    config: SQLConfig

    @classmethod
    def from_url(cls, url: str, config: SQLConfig) -> SQLiteDatabase:
        """Read a URL: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite:///:memory:``.

        Raises:
            ConfigError: If it is none of these.
        """
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise ConfigError(
                "not a URL of SQLite; write sqlite:///relative.db or sqlite:////absolute.db"
            ) from None
        if parsed.host or parsed.username or parsed.password or parsed.port:
            raise ConfigError(
                "a URL of SQLite names no host: write three slashes before a relative path "
                "(sqlite:///agent.db) and four before an absolute one"
            )
        options = {name: str(value) for name, value in parsed.query.items()}
        mode = options.pop("mode", "rwc")
        if options or mode not in ("rwc", "rw", "ro"):
            raise ConfigError(
                "a URL of SQLite takes the parameter 'mode' (rwc, rw or ro) and no other; "
                "the options of the adapter are given beside it, or in it as daystore_<option>"
            )
        path = parsed.database
        return cls(None if path in (None, "", ":memory:") else path, mode, config)

    @property
    def is_durable(self) -> bool:
        """Whether an acknowledged write survives a crash of the machine."""
        return not self.is_memory and self.config.synchronous == "full"

    @property
    def is_far(self) -> bool:
        """Say no: it is in this process."""
        return False

    def engine(self, namespace: str, clock: Clock, timeout: Callable[[], float | None]) -> LaneEngine:
        """Make the engine of an adapter. What is done here waits for locks alone, as long as the options say."""
        return LaneEngine(self, namespace, clock)

    @property
    def is_memory(self) -> bool:
        """Whether it is in memory."""
        return self.path is None

    def connect(self, is_abandoned: Callable[[], bool], *, writes: bool) -> sqlite3.Connection:
        """Open a connection, in autocommit mode, for the calling thread.

        Args:
            is_abandoned: Whether nobody waits any more for what a reading connection does.
            writes: Whether it is to write.

        Raises:
            BackendUnavailable: If it cannot be opened.
        """
        if sqlite3.sqlite_version_info < OLDEST:
            raise unavailable(
                f"SQLite {sqlite3.sqlite_version} is too old: {'.'.join(map(str, OLDEST))} or later is needed",
                "open",
                retryable=False,
            )
        try:
            connection = sqlite3.connect(
                ":memory:" if self.path is None else f"file:{quote(str(Path(self.path)))}?mode={self.mode}",
                timeout=self.config.busy_timeout,
                isolation_level=None,
                cached_statements=512,
                uri=self.path is not None,
            )
        except sqlite3.Error as error:
            raise self._told(error) from error
        try:
            self._set_up(connection, is_abandoned, writes=writes)
        except sqlite3.Error as error:
            connection.close()
            raise self._told(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(
        self, connection: sqlite3.Connection, is_abandoned: Callable[[], bool], *, writes: bool
    ) -> None:
        connection.execute(f"PRAGMA cache_size = {-1024 * self.config.cache_mib}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_aggregate("ds_float_sum", 1, FloatSum)  # type: ignore[arg-type]
        if not writes:
            connection.execute("PRAGMA query_only = ON")
            connection.set_progress_handler(is_abandoned, _CHECK_EVERY)
            return
        connection.execute(f"PRAGMA synchronous = {self.config.synchronous.upper()}")
        if self.path is not None and self.mode != "ro":
            self._use_log(connection)
        (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        if encoding != "UTF-8":
            raise unavailable(
                f"the database keeps text as {encoding}, and this backend needs UTF-8: open another file",
                "open",
                retryable=False,
            )

    def _use_log(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait by itself while several processes change the journal of a new file.
        deadline = time.monotonic() + self.config.busy_timeout
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
                continue
            break
        if mode != "wal":
            raise unavailable(
                "the file system of the database cannot hold SQLite's write-ahead log: use a local disk",
                "open",
                retryable=False,
            )

    def _told(self, error: sqlite3.Error) -> Exception:
        reason = None
        if self.path is not None and not is_locked(error):
            reason = why_not_open(self.path, self.mode)
        return translate(error, "open") if reason is None else unavailable(reason, "open")
