"""Read, change, write, and again if somebody else wrote in between."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any, TypeVar

from daystore.abc.record import Put, Record
from daystore.errors import VersionConflict
from daystore.stores.access import Access
from daystore.stores.expiry import NOT_GIVEN
from daystore.stores.locks import locks_of
from daystore.stores.operation import Operation
from daystore.stores.shape import Shape
from daystore.transactions.retry import DEFAULT, Retry

__all__ = ["Attempt", "beginning", "changed", "in_turns", "rewrite"]

T = TypeVar("T")
R = TypeVar("R")

Attempt = Callable[[Record | None], Awaitable[tuple[Put | None, R]]]
"""Makes of a record, or of its absence, what to write if anything, and what to return."""


async def rewrite(
    access: Access[Any], name: str, key: str, attempt: Attempt[R], deadline: float = DEFAULT.deadline
) -> R:
    """Read a record and write what `attempt` makes of it, until nobody else writes in between.

    Args:
        access: The store.
        name: Name of the operation.
        key: The key.
        attempt: Gets the record, each time a fresh one. What it makes has to expect that very record.
        deadline: Seconds after which no further attempt is begun.

    Raises:
        VersionConflict: If others kept changing the record until the deadline.
        OperationTimeout: If other tasks of this process kept the key until the deadline.
    """
    async with access.operation(name, (key,), consistency=access.freshest) as operation:
        return await in_turns(
            access, access.collection, key, lambda: _once(access, operation, key, attempt), deadline
        )


async def _once(access: Access[Any], operation: Operation, key: str, attempt: Attempt[R]) -> R:
    record = (await operation.read((key,), access.freshest))[0]
    put, result = await attempt(record)
    if put is not None:
        await access.write_one(operation, put)
    return result


async def in_turns(
    access: Access[Any],
    collection: str,
    key: str,
    attempt: Callable[[], Awaitable[R]],
    deadline: float = DEFAULT.deadline,
) -> R:
    """Run `attempt` until it meets no conflict. Tasks of this process take turns, others are waited for.

    Args:
        access: The store.
        collection: Of the key.
        key: What they take turns by.
        attempt: Raises `VersionConflict` where somebody else was faster.
        deadline: Seconds after which no further attempt is begun.

    Raises:
        VersionConflict: If there were conflicts until the deadline.
        OperationTimeout: If other tasks of this process kept the key until the deadline.
    """
    if access.defer is not None:  # a transaction sees to conflicts at its commit
        return await attempt()
    attempts = (DEFAULT if deadline == DEFAULT.deadline else Retry(deadline)).start()
    async with locks_of(access.target).hold(collection, key, attempts.seconds_left):
        while True:
            try:
                return await attempt()
            except VersionConflict as conflict:
                if not await attempts.again():
                    raise VersionConflict(
                        f"others kept changing the record: gave up after {attempts.made} attempts",
                        key=key,
                        collection=collection,
                        current=conflict.current,
                        backend=access.target.name,
                        operation=conflict.operation,
                    ) from conflict


async def changed(
    shape: Shape[T], value: T, change: Mapping[str, object] | Callable[[T], T | Awaitable[T]]
) -> T:
    """Return what a patch or a function makes of a value.

    Raises:
        TypeError: If `change` is neither, or the function returned ``None`` and that is none of the values.
        SchemaError: If the patch does not fit.
    """
    if isinstance(change, Mapping):
        return shape.merge(value, change)
    if not callable(change):
        raise TypeError(f"an update is a mapping or a function, not {type(change).__name__}")
    made = change(value)
    result: T = await made if isawaitable(made) else made
    if result is None and not shape.takes_none:
        raise TypeError("the function of an update returned None: it has to return the new value")
    return result


def beginning(default: Any) -> Any:
    """Return a fresh default, so that no attempt sees what another one did to it.

    Raises:
        KeyError: If there is none.
    """
    if default is NOT_GIVEN:
        raise KeyError("there is no live record under this key; give default=… to create one")
    return default() if callable(default) else copy.deepcopy(default)
