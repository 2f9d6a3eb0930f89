"""The errors of this backend, which are those of the contract."""

from __future__ import annotations

from daystore.errors import BackendUnavailable, CorruptRecord, OutcomeUnknown

__all__ = ["BACKEND", "corrupt", "unavailable", "unknown"]

BACKEND = "s3"
"""Name of the adapter in errors."""


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


def corrupt(collection: str, key: str) -> CorruptRecord:
    """Make the error of an object that is no record."""
    return CorruptRecord(
        "the stored bytes are no record that this version of daystore-s3 can read; they were left as they are",
        collection=collection,
        key=key,
        backend=BACKEND,
    )
