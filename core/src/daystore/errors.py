"""Every error daystore raises, in one tree.

::

    DaystoreError
    ├── ConfigError (ValueError)              the configuration cannot be used
    │   └── UnknownAdapter (LookupError)      no plugin answers to that name or URL scheme
    ├── InvalidKey (ValueError)               a key, collection, namespace or field name outside the rules
    ├── LimitExceeded (ValueError)            larger than the backend declares it can hold
    ├── SerializationError (ValueError)       a value that would not come back equal: nothing was written
    ├── CorruptRecord (ValueError)            stored bytes that cannot be decoded; never treated as a miss
    │   ├── UnknownCodec (LookupError)        … because a serializer or codec is not installed
    │   └── DecryptionError                   … because no key opens them
    ├── SchemaError (ValueError)              a value that does not fit its schema, or a schema that cannot be used
    ├── VersionConflict                       an expectation did not hold; the state is unchanged
    │   └── RecordPrepared                    … because a transaction over several records is being committed
    ├── TransactionError
    │   ├── TransactionConflict               somebody else changed what the transaction read; run it again
    │   └── TransactionClosed                 used after its end, from a second task, or nested
    ├── OutcomeUnknown                        the write may or may not have been applied
    ├── BatchError                            some items of a non-atomic batch failed; names exactly which
    ├── UnsupportedOperation (NotImplementedError)   not declared by this backend; nothing was done
    ├── InvalidCursor (ValueError)            a cursor that is garbage or belongs to another query
    ├── BackendUnavailable (ConnectionError)  the backend cannot be reached or refuses to work
    ├── OperationTimeout (TimeoutError)       the operation took longer than it may
    ├── StoreClosed (RuntimeError)            used before open or after close
    └── TranscriptError (ValueError)          a file of agents' histories that cannot be imported

``retryable`` says whether the same call, made again, may succeed. Messages carry no key, no value and no
credential: what a handler needs for its work stands in attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BackendUnavailable",
    "BatchError",
    "ConfigError",
    "CorruptRecord",
    "DaystoreError",
    "DecryptionError",
    "InvalidCursor",
    "InvalidKey",
    "LimitExceeded",
    "OperationTimeout",
    "OutcomeUnknown",
    "RecordPrepared",
    "SchemaError",
    "SerializationError",
    "StoreClosed",
    "TransactionClosed",
    "TransactionConflict",
    "TransactionError",
    "TranscriptError",
    "UnknownAdapter",
    "UnknownCodec",
    "UnsupportedOperation",
    "VersionConflict",
]


class DaystoreError(Exception):
    """Base of every error raised by daystore.

    Args:
        message: What happened and, where it helps, what to do. Free of keys, values and credentials.
        backend: Name of the adapter concerned, such as ``"sql"``.
        operation: Name of the operation concerned, such as ``"write"``.
    """

    retryable: bool = False

    def __init__(self, message: str, *, backend: str | None = None, operation: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.backend = backend
        self.operation = operation

    def __str__(self) -> str:
        where = "/".join(part for part in (self.backend, self.operation) if part)
        return f"{self.message} [{where}]" if where else self.message


class ConfigError(DaystoreError, ValueError):
    """The configuration cannot be used; the message names the key, the file and the nearest spelling."""


class UnknownAdapter(ConfigError, LookupError):
    """No installed plugin answers to that name or URL scheme."""


class InvalidKey(DaystoreError, ValueError):
    """A key, collection, namespace or field name outside the rules of the contract."""


class LimitExceeded(DaystoreError, ValueError):
    """Something is larger than the backend declares it can hold; nothing was written.

    Args:
        message: As for `DaystoreError`.
        limit: Name of the limit, such as ``"max_value_bytes"``.
        actual: The size that was asked for, in the limit's unit.
        maximum: The largest that is allowed, in the limit's unit.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        actual: int | None = None,
        maximum: int | None = None,
        backend: str | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, backend=backend, operation=operation)
        self.limit = limit
        self.actual = actual
        self.maximum = maximum


class SerializationError(DaystoreError, ValueError):
    """The value would not come back equal and of the same type, so it was refused; nothing was written."""


class CorruptRecord(DaystoreError, ValueError):
    """Stored bytes cannot be decoded. The record is neither treated as missing nor deleted.

    Args:
        message: As for `DaystoreError`.
        collection: Collection of the record, where known.
        key: Key of the record, where known.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
    """

    def __init__(
        self,
        message: str,
        *,
        collection: str | None = None,
        key: str | None = None,
        backend: str | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, backend=backend, operation=operation)
        self.collection = collection
        self.key = key


class UnknownCodec(CorruptRecord, LookupError):
    """A record was written with a serializer or codec that is not installed; the message says which.

    Args:
        message: As for `DaystoreError`.
        codec: The content type or encoding that nothing here can decode.
        collection: Collection of the record, where known.
        key: Key of the record, where known.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
    """

    def __init__(
        self,
        message: str,
        *,
        codec: str | None = None,
        collection: str | None = None,
        key: str | None = None,
        backend: str | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, collection=collection, key=key, backend=backend, operation=operation)
        self.codec = codec


class DecryptionError(CorruptRecord):
    """No available key opens the record, or it was tampered with."""


class SchemaError(DaystoreError, ValueError):
    """A value does not fit its schema, or the schema itself cannot be used."""


class VersionConflict(DaystoreError):
    """An expectation did not hold. The state is unchanged.

    Args:
        message: As for `DaystoreError`.
        key: Key whose expectation failed; ``None`` when a checked query gave another result.
        collection: Its collection.
        current: The record's current version; ``None`` when the key is absent.
        index: Position of the failed operation in its batch.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
    """

    retryable: bool = True

    def __init__(
        self,
        message: str = "the record is not at the expected version",
        *,
        key: str | None = None,
        collection: str | None = None,
        current: str | None = None,
        index: int | None = None,
        backend: str | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, backend=backend, operation=operation)
        self.key = key
        self.collection = collection
        self.current = current
        self.index = index


class RecordPrepared(VersionConflict):
    """The record carries the intent of a transaction that is being committed. The state is unchanged.

    Args:
        message: As for `DaystoreError`.
        key: Key of the record; ``None`` when it stands in the way of a checked query.
        collection: Its collection.
        current: As for `VersionConflict`.
        index: As for `VersionConflict`.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
    """

    def __init__(
        self,
        message: str = "the record is held by a transaction that is being committed: try again",
        *,
        key: str | None = None,
        collection: str | None = None,
        current: str | None = None,
        index: int | None = None,
        backend: str | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(
            message,
            key=key,
            collection=collection,
            current=current,
            index=index,
            backend=backend,
            operation=operation,
        )


class TransactionError(DaystoreError):
    """Base of what can go wrong with a transaction as such."""


class TransactionConflict(TransactionError):
    """Another writer changed what the transaction read or queried. Nothing was applied: run it again."""

    retryable: bool = True


class TransactionClosed(TransactionError, RuntimeError):
    """The transaction cannot be used: it has ended, is in use by another task, or would be nested."""


class OutcomeUnknown(DaystoreError):
    """The write may or may not have been applied, and looking did not tell. Read before trying again."""


class BatchError(DaystoreError):
    """Some items of a non-atomic batch failed; the others were applied.

    Args:
        message: As for `DaystoreError`.
        errors: The error of each failed key. Every key of the batch not named here was applied.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
    """

    def __init__(
        self,
        message: str,
        *,
        errors: Mapping[str, DaystoreError],
        backend: str | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, backend=backend, operation=operation)
        self.errors: dict[str, DaystoreError] = dict(errors)

    @property
    def failed(self) -> Sequence[str]:
        """The keys that failed, in the order of the batch."""
        return tuple(self.errors)


class UnsupportedOperation(DaystoreError, NotImplementedError):
    """The backend does not declare this ability. Nothing was done.

    Args:
        message: As for `DaystoreError`.
        capability: Name of the missing capability, such as ``"atomic_batch"``.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
    """

    def __init__(
        self,
        message: str,
        *,
        capability: str | None = None,
        backend: str | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, backend=backend, operation=operation)
        self.capability = capability


class InvalidCursor(DaystoreError, ValueError):
    """The cursor is damaged, or it was given out for another query."""


class BackendUnavailable(DaystoreError, ConnectionError):
    """The backend cannot be reached, or refuses to work (locked, read-only, disk full, corrupt).

    Args:
        message: As for `DaystoreError`.
        backend: As for `DaystoreError`.
        operation: As for `DaystoreError`.
        retryable: Whether the same call may succeed later without anybody's help.
    """

    retryable: bool = True

    def __init__(
        self,
        message: str,
        *,
        backend: str | None = None,
        operation: str | None = None,
        retryable: bool = True,
    ) -> None:
        super().__init__(message, backend=backend, operation=operation)
        self.retryable = retryable


class OperationTimeout(DaystoreError, TimeoutError):
    """The operation took longer than it may."""

    retryable: bool = True


class StoreClosed(DaystoreError, RuntimeError):
    """The adapter, store or storage is not open: enter it with ``async with``, and not after its end."""


class TranscriptError(DaystoreError, ValueError):
    """A file of transcripts that cannot be imported; the message names the file, the place and what to do.

    Args:
        path: The file.
        problem: What is wrong there and, where it helps, what was expected.
        position: Where in the file, such as ``"line 4"`` or ``"[3].traj[5]"``; empty for the file as a whole.
    """

    def __init__(self, path: Path, problem: str, position: str = "") -> None:
        super().__init__(f"{path}{', ' if position else ''}{position}: {problem}")
        self.path = path
        self.problem = problem
        self.position = position
