"""SQLite's errors, and what to do about each."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from daystore.errors import DaystoreError, OutcomeUnknown
from daystore_sql.errors import BACKEND, unavailable

__all__ = ["ends_connection", "is_locked", "translate", "why_not_open"]


_EFFECTIVE = os.access in os.supports_effective_ids


class _Advice(NamedTuple):
    """What an error means, and whether the same call may succeed later without anybody's help."""

    message: str
    retryable: bool = True


_ADVICE = {
    sqlite3.SQLITE_BUSY: _Advice(
        "the database stayed locked by another process for as long as the option 'busy_timeout' allows: "
        "try again, or find who holds it"
    ),
    sqlite3.SQLITE_LOCKED: _Advice("the database is locked by another connection: try again"),
    sqlite3.SQLITE_PROTOCOL: _Advice("too many processes wait for the same lock of the database: try again"),
    sqlite3.SQLITE_FULL: _Advice(
        "the disk is full, or the database has reached the size that it may have; nothing was applied: "
        "make room and try again"
    ),
    sqlite3.SQLITE_IOERR: _Advice(
        "the operating system could not read or write the database file: look at the disk and its free space"
    ),
    sqlite3.SQLITE_CANTOPEN: _Advice(
        "a file of the database cannot be opened: its directory must exist and allow this user to write, "
        "and the process must not have too many open files"
    ),
    sqlite3.SQLITE_NOMEM: _Advice("SQLite has no memory left; nothing was applied"),
    sqlite3.SQLITE_READONLY: _Advice(
        "the database cannot be written to; nothing was applied: give this user the right to write to the file "
        "and to its directory, or open another file",
        retryable=False,
    ),
    sqlite3.SQLITE_NOTADB: _Advice(
        "the file is not an SQLite database, or it is encrypted; it was left as it is: open another file",
        retryable=False,
    ),
    sqlite3.SQLITE_CORRUPT: _Advice(
        "the database file is damaged; it was left as it is: restore a backup, "
        "or save what can be read with the command '.recover' of the sqlite3 shell",
        retryable=False,
    ),
    sqlite3.SQLITE_TOOBIG: _Advice(
        "a value is larger than SQLite takes; nothing was applied", retryable=False
    ),
}


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code; 0 if the error has none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_locked(error: BaseException) -> bool:
    """Tell whether somebody else held a lock for too long."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def ends_connection(error: BaseException) -> bool:
    """Tell whether a file behind the connection failed."""
    return primary_code(error) in (
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    )


def translate(error: Exception, operation: str) -> DaystoreError:
    """Say an error of the driver in the words of the contract; the caller raises it ``from`` the error."""
    code = primary_code(error)
    if operation == "commit" and code == sqlite3.SQLITE_IOERR:
        return OutcomeUnknown(
            "the operating system failed while a write was made durable: it may or may not have been applied",
            backend=BACKEND,
            operation="write",
        )
    advice = _ADVICE.get(code)
    if advice is None:
        advice = _Advice(
            f"SQLite refused the operation: {getattr(error, 'sqlite_errorname', 'misuse')}", False
        )
    where = "write" if operation == "commit" else operation
    return unavailable(advice.message, where, retryable=advice.retryable)


def why_not_open(path: str, mode: str) -> str | None:
    """Find out why a database file cannot be opened.

    Args:
        path: The file, as the user named it.
        mode: How it was to be opened: ``rwc``, ``rw`` or ``ro``.

    Returns:
        What is wrong and what to do; ``None`` if nothing is found.
    """
    file = Path(path)
    directory = file.parent
    if file.is_dir():
        return f"{path!r} is a directory: name a file in it"
    if not directory.exists():
        return f"the directory of {path!r} does not exist: create it, or correct the path"
    if not directory.is_dir():
        return f"{str(directory)!r} is a file, so {path!r} cannot be in it: correct the path"
    if mode != "rwc" and not file.exists():
        return f"{path!r} does not exist, and mode={mode} does not create it"
    try:
        os.close(os.open(path if file.exists() else directory, os.O_RDONLY))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return "too many open files: close some, or raise the limit of the process"
        return f"{path!r} cannot be opened: {error.strerror}"
    if mode == "ro":
        return None
    if not os.access(directory, os.W_OK, effective_ids=_EFFECTIVE):
        return f"the directory of {path!r} does not allow this user to write, which SQLite's log needs"
    if file.exists() and not os.access(path, os.W_OK, effective_ids=_EFFECTIVE):
        return f"{path!r} does not allow this user to write"
    return None
