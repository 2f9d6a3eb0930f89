"""Locks by key, so that tasks of one process that update one record take turns instead of colliding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from daystore.errors import OperationTimeout, UnsupportedOperation

__all__ = ["KeyLocks", "locks_of"]


class _Turn:
    """The lock of one key, for as long as somebody holds it or waits for it."""

    __slots__ = ("lock", "owner", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.owner: asyncio.Task[object] | None = None
        self.users = 0


class KeyLocks:
    """A lock for each ``(collection, key)`` in use.

    They only save work: what is written is decided by the record's version, also between processes.
    """

    __slots__ = ("__weakref__", "_turns")

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], _Turn] = {}

    @asynccontextmanager
    async def hold(self, collection: str, key: str, seconds: float) -> AsyncIterator[None]:
        """Hold the lock of a key.

        Args:
            collection: The collection.
            key: The key.
            seconds: How long to wait for it.

        Raises:
            OperationTimeout: If others hold it for longer.
            UnsupportedOperation: If this very task holds it.
        """
        name = (collection, key)
        turn = self._turns.setdefault(name, _Turn())
        task = asyncio.current_task()
        if turn.owner is task:
            raise UnsupportedOperation(
                "a key is not updated from inside its own update: return the new value instead",
                operation="update",
            )
        turn.users += 1
        try:
            await _acquire(turn.lock, seconds)
            turn.owner = task
            try:
                yield
            finally:
                turn.owner = None
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[name]


async def _acquire(lock: asyncio.Lock, seconds: float) -> None:
    if not lock.locked():
        await lock.acquire()  # at once, without a timer
        return
    try:
        async with asyncio.timeout(seconds):
            await lock.acquire()
    except TimeoutError as error:
        raise OperationTimeout(
            f"waited {seconds:g} s for other updates of the same key; nothing was written", operation="update"
        ) from error


_locks: WeakKeyDictionary[object, KeyLocks] = WeakKeyDictionary()


def locks_of(adapter: object) -> KeyLocks:
    """Return the locks that all stores over an adapter share."""
    return _locks.setdefault(adapter, KeyLocks())
