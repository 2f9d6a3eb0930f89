"""The errors of MySQL and MariaDB, and what to do about each."""

from __future__ import annotations

from typing import Final, NamedTuple

from daystore.errors import DaystoreError, OutcomeUnknown
from daystore_sql.errors import BACKEND, unavailable
from daystore_sql.network.driver import Lost, Refused

__all__ = [
    "DUPLICATE",
    "TOO_LARGE",
    "TOO_LATE",
    "code_of",
    "is_conflict",
    "is_locked",
    "is_loss",
    "is_there",
    "translate",
]

DUPLICATE: Final = 1062
"""The key of a row is there already."""
TOO_LARGE: Final = "1153"
"""A statement has more bytes than the server takes."""
TOO_LATE: Final = 1048
"""A column that must not be null is: how `daystore_sql.dialects.mysql_texts.note` says that it came late."""


class _Advice(NamedTuple):
    """What an error means, and whether the same call may succeed later without anybody's help."""

    message: str
    retryable: bool = True


_LOST: Final = frozenset({0, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927})
"""The server or the network ended the connection; 0 and 2000 to 2999 are the client's own."""

_LOCKED: Final = frozenset({1205, 3572})
"""Somebody else held a lock for too long."""

_CONFLICTS: Final = frozenset({1020, 1062, 1213}) | _LOCKED
"""Another writer was in the way: a deadlock, a record that changed, a key that came into being meanwhile."""

_GONE: Final = _Advice("the server cannot be reached, or it ended the connection: look whether it is running")
_BUSY: Final = _Advice(
    "the server has no connection left: raise its limit, or lower the option 'connections'"
)
_DENIED: Final = _Advice(
    "the server does not let this user in: correct the user, the password and the host that it is granted for",
    retryable=False,
)
_FORBIDDEN: Final = _Advice(
    "the user lacks a privilege: grant SELECT, INSERT, UPDATE and DELETE on the database, and CREATE, ALTER "
    "and INDEX to the one that opens it for the first time",
    retryable=False,
)
_READ_ONLY: Final = _Advice("the server only lets itself be read: name the primary server", retryable=False)
_FULL: Final = _Advice("the disk of the server is full; nothing was applied: make room and try again")
_MEMORY: Final = _Advice("the server has no memory left; nothing was applied")
_SLOW: Final = _Advice("the server stopped a statement that took too long")
_DAMAGED: Final = _Advice(
    "a table of the database is damaged; it was left as it is: restore a backup", retryable=False
)

_ADVICE: Final = {
    1021: _FULL,
    1034: _DAMAGED,
    1037: _MEMORY,
    1038: _MEMORY,
    1040: _BUSY,
    1041: _MEMORY,
    1044: _FORBIDDEN,
    1045: _DENIED,
    1047: _Advice("the node of the cluster is not ready: try again, or name another one"),
    1049: _Advice("the database does not exist: create it, or correct the URL", retryable=False),
    1114: _FULL,
    1142: _FORBIDDEN,
    1143: _FORBIDDEN,
    1146: _Advice(
        "a table of the layout is missing: open the adapter again, which makes it", retryable=False
    ),
    1153: _Advice(
        "a value is larger than the server takes; nothing was applied: raise its max_allowed_packet",
        retryable=False,
    ),
    1194: _DAMAGED,
    1203: _BUSY,
    1205: _Advice("a record stayed locked by another writer for too long: try again, or find who holds it"),
    1206: _Advice("the server has no room for more locks; nothing was applied: try a smaller batch"),
    1213: _Advice("other writers were in the way every time; nothing was applied: try again"),
    1226: _BUSY,
    1227: _FORBIDDEN,
    1251: _DENIED,
    1290: _READ_ONLY,
    1317: _SLOW,
    1461: _Advice("the server has no prepared statement left: raise its max_prepared_stmt_count"),
    1665: _Advice(
        "the server's binlog_format is STATEMENT, which does not go with short locks: set it to ROW or MIXED",
        retryable=False,
    ),
    1637: _Advice("the server has too many transactions: try again"),
    1698: _DENIED,
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    1969: _SLOW,
    2059: _DENIED,
    3024: _SLOW,
    3572: _Advice("a record is locked by another writer: try again"),
}


def code_of(error: BaseException) -> int:
    """Return the number of the server's error; 0 if it is none of the server's."""
    return int(error.code) if isinstance(error, Refused) else 0


def is_loss(code: int) -> bool:
    """Tell whether an error of the driver means that the connection is gone."""
    return code in _LOST or (2000 <= code < 3000 and code not in _ADVICE)


def is_locked(error: BaseException) -> bool:
    """Tell whether somebody else held a lock for too long."""
    return code_of(error) in _LOCKED


def is_conflict(error: BaseException) -> bool:
    """Tell whether nothing was applied because of another writer, so that trying again may help."""
    return code_of(error) in _CONFLICTS


def is_there(error: BaseException) -> bool:
    """Tell whether a table or an index that was to be made is there already."""
    return code_of(error) in (1050, 1061)


def translate(error: Exception, operation: str) -> DaystoreError:
    """Say a failure of the driver in the words of the contract; the caller raises it ``from`` the failure."""
    if operation == "commit" and isinstance(error, Lost):
        return OutcomeUnknown(
            "the connection was lost while a write was committed: it may or may not have been applied",
            backend=BACKEND,
            operation="write",
        )
    code = code_of(error)
    advice = _ADVICE.get(code)
    if advice is None:
        advice = _Advice(f"the server refused the operation with error {code}", False) if code else _GONE
    where = "write" if operation == "commit" else operation
    return unavailable(advice.message, where, retryable=advice.retryable)
