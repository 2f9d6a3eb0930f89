"""The errors of this backend, which are those of the contract."""

from __future__ import annotations

from typing import Final

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    LimitExceeded,
    OperationTimeout,
    OutcomeUnknown,
)

__all__ = [
    "BACKEND",
    "UNACKNOWLEDGED",
    "error_of",
    "error_of_code",
    "is_lost",
    "is_passing",
    "too_large",
    "unavailable",
    "unknown",
]

BACKEND: Final = "mongo"
"""Name of the adapter in errors."""

_AUTHENTICATION: Final = frozenset({18, 8000})
_UNAUTHORIZED: Final = frozenset({13})
_REFUSED: Final = frozenset({10058, 10107, 13435})
"""What a server answers that is no primary, and has done nothing."""
_STOPPING: Final = frozenset({91, 189, 11600, 11602, 13436})
"""What a server answers that stops, or steps down; it may have done what it was asked."""
_LATE: Final = frozenset({50, 262})
_BROKEN: Final = (ConnectionFailure, ProtocolError)
"""What the driver raises of a connection that ended, or on which came what is no answer to the request."""
_TOO_LARGE: Final = frozenset({10334, 17280, 17419, 17420})
"""What a server answers where a document would become too large."""
UNACKNOWLEDGED: Final = (
    "the write was applied, but the majority of the servers has not acknowledged it in time"
)


def unavailable(message: str, operation: str | None = None, *, retryable: bool = True) -> BackendUnavailable:
    """Make the error of a server that does not do what it is asked.

    Args:
        message: What is wrong and what to do.
        operation: What was asked for.
        retryable: Whether the same call may succeed later without anybody's help.
    """
    return BackendUnavailable(message, backend=BACKEND, operation=operation, retryable=retryable)


def unknown(message: str) -> OutcomeUnknown:
    """Make the error of a write of which nobody can tell whether it was applied."""
    return OutcomeUnknown(message, backend=BACKEND, operation="write")


def too_large() -> LimitExceeded:
    """Make the error of a record that does not fit into a document."""
    return LimitExceeded(
        "the record does not fit into a document of MongoDB, which holds 16 MiB with everything that is prepared "
        "beside it: store less in one record, or in fewer fields",
        limit="max_value_bytes",
        backend=BACKEND,
        operation="write",
    )


def is_passing(error: PyMongoError) -> bool:
    """Tell whether the same request may be answered if it is asked again."""
    if isinstance(error, OperationFailure):
        return error.code in _REFUSED | _STOPPING
    if isinstance(error, ServerSelectionTimeoutError):
        return False  # the driver has waited for a server already
    return isinstance(error, _BROKEN)


def is_lost(error: PyMongoError) -> bool:
    """Tell whether a server may have done what it did not acknowledge."""
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError):
        return False
    if isinstance(error, OperationFailure | NotPrimaryError):
        return _code_of(error) in _STOPPING | _LATE
    return isinstance(error, _BROKEN) and not error.has_error_label("RetryableError")


def error_of(error: PyMongoError, operation: str) -> DaystoreError:
    """Make our error of a driver's. It does not repeat what that says, which may quote a key or an address."""
    code = _code_of(error)
    if isinstance(error, ExecutionTimeout):
        return OperationTimeout("no answer in time", backend=BACKEND, operation=operation)
    if code in _AUTHENTICATION:
        return unavailable(
            "the server does not let us in: check user, password and authSource of the URL",
            operation,
            retryable=False,
        )
    if code in _UNAUTHORIZED:
        return unavailable(
            "the user of the server may not do this: the documentation of daystore-mongo lists the permissions "
            "that it needs",
            operation,
            retryable=False,
        )
    if isinstance(error, _BROKEN) or code in _REFUSED | _STOPPING:
        return unavailable(
            "no server is reached at the address of the URL, or none of them is the primary: look whether it runs",
            operation,
        )
    if isinstance(error, ConfigurationError):
        return unavailable(
            "the driver does not work with this server or this URL: MongoDB has to be 4.4 or later",
            operation,
            retryable=False,
        )
    return error_of_code(code, operation)


def error_of_code(code: int | None, operation: str) -> DaystoreError:
    """Make our error of a code with which a server has answered."""
    if code in _TOO_LARGE:
        return too_large()
    return unavailable(f"the server answered with the error {code}", operation, retryable=False)


def _code_of(error: PyMongoError) -> int | None:
    if isinstance(error, OperationFailure):
        return error.code
    if isinstance(error, NotPrimaryError):
        details = error.details
        return details.get("code") if isinstance(details, dict) else None
    return None
