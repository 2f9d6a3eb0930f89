"""What is checked before anything is sent, the same for every backend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from daystore.abc.names import check_field_name
from daystore.abc.record import ANY, KEEP, FieldValue, Holds, Prepare, Put, Release, WriteBatch
from daystore.errors import LimitExceeded, SerializationError, UnsupportedOperation

if TYPE_CHECKING:
    from daystore.abc.adapter import Adapter
    from daystore.abc.capabilities import Consistency, Limits

__all__ = ["check_batch", "check_consistency", "check_fields", "require"]

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
_ON_INTENTS = frozenset({Prepare, Release})
_INDEXABLE = frozenset({str, int, float, bool, datetime, tuple})


def require(adapter: Adapter, capability: str, operation: str | None = None) -> None:
    """Refuse what an adapter does not declare.

    Raises:
        UnsupportedOperation: If it does not declare `capability`.
    """
    if not getattr(adapter.capabilities, capability):
        raise UnsupportedOperation(
            f"this backend does not declare {capability!r}",
            capability=capability,
            backend=adapter.name,
            operation=operation or capability,
        )


def check_consistency(adapter: Adapter, consistency: Consistency) -> None:
    """Refuse a level that an adapter cannot give; it is never silently weakened.

    Raises:
        UnsupportedOperation: If the level is not among those declared.
    """
    if consistency.level not in adapter.capabilities.consistency:
        raise UnsupportedOperation(
            f"this backend cannot read with {consistency.level!r} consistency; "
            f"it declares: {', '.join(sorted(adapter.capabilities.consistency))}",
            capability=f"consistency={consistency.level}",
            backend=adapter.name,
            operation="read",
        )


def check_batch(adapter: Adapter, batch: WriteBatch) -> None:
    """Refuse a batch that the adapter does not declare it can apply, before any of it is applied.

    Raises:
        UnsupportedOperation: If it needs what is not declared.
        LimitExceeded: If an operation or the batch is too large.
        SerializationError: If the value of a field cannot be indexed.
    """
    can = adapter.capabilities
    limits = can.limits
    if batch.atomic:
        require(adapter, "atomic_batch", "write")
        if batch.queries:
            require(adapter, "transactions", "write")
        size = len(batch.operations) + len(batch.queries)
        if limits.max_atomic_ops is not None and size > limits.max_atomic_ops:
            raise _exceeded(
                adapter, "max_atomic_ops", size, limits.max_atomic_ops, "operations in one atomic batch"
            )
    for operation in batch.operations:
        if operation.expect is not ANY:
            require(adapter, "conditional", "write")
        if type(operation) in _ON_INTENTS or type(operation.expect) is Holds:
            require(adapter, "intents", "write")
        if type(operation) is Put:
            _check_put(adapter, operation, limits)


def _check_put(adapter: Adapter, put: Put, limits: Limits) -> None:
    if put.expires_at is not None and put.expires_at is not KEEP:  # without expiry there is nothing to keep
        require(adapter, "ttl", "write")
    if limits.max_value_bytes is not None and len(put.value) > limits.max_value_bytes:
        raise _exceeded(
            adapter, "max_value_bytes", len(put.value), limits.max_value_bytes, "bytes in one value"
        )
    if put.fields:
        check_fields(adapter, put.fields, limits)


def check_fields(adapter: Adapter, fields: Mapping[str, FieldValue], limits: Limits) -> None:
    """Refuse field values that could not be indexed exactly.

    Raises:
        SerializationError: If a value is of a type that cannot be indexed, naive, or not finite.
        LimitExceeded: If a string is too long or an integer has more than 64 bits.
        InvalidKey: If a name is outside the rules.
    """
    for name, value in fields.items():
        check_field_name(name)
        if type(value) not in _INDEXABLE:
            raise SerializationError(
                f"the field {name!r} is a {type(value).__name__}, which cannot be indexed: "
                "use str, int, float, bool, datetime or a list of str (held as a tuple)",
                backend=adapter.name,
            )
        if isinstance(value, str):
            _check_string(adapter, name, value, limits)
        elif isinstance(value, tuple):
            for item in value:
                _check_string(adapter, name, item, limits)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise SerializationError(f"the indexed float {name!r} is not finite", backend=adapter.name)
        elif isinstance(value, datetime):
            if value.utcoffset() is None:
                raise SerializationError(
                    f"the indexed datetime {name!r} has no time zone", backend=adapter.name
                )
        elif not MIN_INT <= value <= MAX_INT:
            what = f"bits in the indexed integer {name!r}, sign included"
            raise _exceeded(adapter, "int64", value.bit_length() + 1, 64, what)


def _check_string(adapter: Adapter, name: str, value: object, limits: Limits) -> None:
    if type(value) is not str:
        raise SerializationError(
            f"the indexed list {name!r} holds a {type(value).__name__}: only str can be indexed in a list",
            backend=adapter.name,
        )
    if value.isascii() and len(value) <= limits.max_field_bytes:
        return
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise SerializationError(
            f"the indexed string {name!r} has lone surrogates", backend=adapter.name
        ) from None
    if size > limits.max_field_bytes:
        raise _exceeded(
            adapter, "max_field_bytes", size, limits.max_field_bytes, f"bytes in the indexed string {name!r}"
        )


def _exceeded(adapter: Adapter, limit: str, actual: int, maximum: int, what: str) -> LimitExceeded:
    return LimitExceeded(
        f"{actual} {what}: this backend takes at most {maximum}",
        limit=limit,
        actual=actual,
        maximum=maximum,
        backend=adapter.name,
        operation="write",
    )
