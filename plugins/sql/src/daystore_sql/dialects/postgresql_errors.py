"""PostgreSQL's errors, by SQLSTATE, and what to do about each."""

from __future__ import annotations

from typing import NamedTuple

from daystore.errors import DaystoreError
from daystore_sql.errors import unavailable
from daystore_sql.network.driver import Lost, Refused

__all__ = ["is_transient", "translate"]

TRANSIENT = frozenset({"40001", "40P01", "55P03", "22012"})
"""Serialization failure, deadlock, lock not available, and our own sign that a key was inserted meanwhile."""


class _Advice(NamedTuple):
    message: str
    retryable: bool = True


_ADVICE = {
    "28P01": _Advice("the server refuses the user or the password: correct the URL", False),
    "28000": _Advice("the server does not let this user in: correct the URL, or pg_hba.conf", False),
    "3D000": _Advice("the database does not exist: create it, or correct the URL", False),
    "42501": _Advice(
        "the user of the database may not do this: see the privileges that the documentation asks for", False
    ),
    "3F000": _Advice("the schema of the search path does not exist: create it", False),
    "42P01": _Advice("the tables are not there any more: open the adapter again", False),
    "25006": _Advice(
        "the server only lets itself be read, as a replica does: name the primary in the URL", False
    ),
    "53300": _Advice("the server has no connection left: allow it more, or open fewer"),
    "53100": _Advice("the disk of the server is full; nothing was applied: make room and try again"),
    "53200": _Advice("the server has no memory left; nothing was applied"),
    "57014": _Advice(
        "the server cancelled the statement, by its own time limit or by hand; nothing was applied"
    ),
    "57P03": _Advice("the server is starting or shutting down: try again"),
    "54000": _Advice("the request is larger than the server takes; nothing was applied", False),
}


def translate(error: Exception, operation: str) -> DaystoreError:
    """Say a failure in the words of the contract; the caller raises it ``from`` the driver's error."""
    if isinstance(error, Lost):
        return unavailable("the server cannot be reached, or has ended the connection", operation)
    code = error.code if isinstance(error, Refused) else ""
    if code in TRANSIENT:
        return unavailable("others were in the way for too long; nothing was applied: try again", operation)
    advice = _ADVICE.get(code) or _Advice(f"PostgreSQL refused the operation: SQLSTATE {code}", False)
    return unavailable(advice.message, operation, retryable=advice.retryable)


def is_transient(error: Refused) -> bool:
    """Tell whether nothing was applied and the same may succeed now."""
    return error.code in TRANSIENT
