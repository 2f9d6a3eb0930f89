"""A transaction over the stores of a storage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from daystore.abc.adapter import Adapter
from daystore.errors import TransactionClosed, TransactionConflict
from daystore.transactions.joint import CommitPlan, JointTransaction
from daystore.transactions.retry import Retry
from daystore.transactions.target import TransactionTarget

if TYPE_CHECKING:
    from daystore.stores.contexts import ContextStore
    from daystore.stores.events import EventStore
    from daystore.stores.memories import MemoryStore
    from daystore.stores.store import Store

__all__ = ["Transaction", "run"]

S = TypeVar("S", bound="Store[Any]")
R = TypeVar("R")

_current: ContextVar[tuple[asyncio.Task[Any] | None, Transaction] | None] = ContextVar(
    "daystore_transaction", default=None
)
_endings: set[asyncio.Task[None]] = set()  # the end of a transaction whose task was cancelled goes on


class Transaction:
    """Stores as one transaction sees them: ``async with storage.transaction() as tx``.

    What is read is remembered, what is written stays in memory until the end of the block; then everything is
    checked and applied at one instant, or nothing is. Inside, reads and queries see the transaction's own
    writes.

    The stores of the storage itself may be used meanwhile, but they are no part of the transaction.

    The stores may be on several backends: then the commit is coordinated, which takes more round trips; `explain`
    tells.

    Args:
        find: Finds a store of the storage by its name.
        backends: The backends of the storage, by name.
        coordinator: Which of them decides over a transaction on several; see `JointTransaction`.
    """

    def __init__(
        self,
        find: Callable[[str], Store[Any]],
        backends: Mapping[str, Adapter] | None = None,
        coordinator: str | None = None,
    ) -> None:
        self._find = find
        self._joint = JointTransaction(backends or {}, coordinator)
        self._targets: dict[int, TransactionTarget] = {}
        self._views: dict[Store[Any], Store[Any]] = {}
        self._after: list[
            tuple[Callable[[], Awaitable[None]], Callable[[BaseException], Awaitable[None]]]
        ] = []
        self._is_open = False
        self._ended = False
        self._committed = False

    # --- The stores -----------------------------------------------------------------------------------------

    @property
    def contexts(self) -> ContextStore:
        """The contexts."""
        return self.store("contexts")  # type: ignore[return-value]

    @property
    def memories(self) -> MemoryStore[Any]:
        """The memories."""
        return self.store("memories")  # type: ignore[return-value]

    @property
    def events(self) -> EventStore:
        """The events."""
        return self.store("events")  # type: ignore[return-value]

    def store(self, name: str) -> Store[Any]:
        """Return a store of the storage, by name, as this transaction sees it.

        Raises:
            UnsupportedOperation: If its backend has no transactions, or cannot take part in one together with
                the backends used so far.
            TransactionClosed: If the transaction is not open.
        """
        self._require_open()
        return self[self._find(name)]

    def __getitem__(self, store: S) -> S:
        """Return a store as this transaction sees it; raises as `store`."""
        self._require_open()
        view = self._views.get(store)
        if view is None:
            view = self._views[store] = store.bound(self._target_on(store.adapter), self._defer)
        return view  # type: ignore[return-value]

    def _target_on(self, adapter: Adapter) -> TransactionTarget:
        target = self._targets.get(id(adapter))
        if target is None:
            target = self._new_target(adapter)
            self._joint.join(adapter, target.records)
            self._targets[id(adapter)] = target
        return target

    def _new_target(self, adapter: Adapter) -> TransactionTarget:
        return TransactionTarget(adapter)

    def explain(self) -> CommitPlan:
        """Say how what was done so far would be committed: by one backend or coordinated, and how durable.

        Raises:
            TransactionClosed: If the transaction is not open.
        """
        self._require_open()
        return self._joint.explain()

    def _defer(
        self, after: Callable[[], Awaitable[None]], failed: Callable[[BaseException], Awaitable[None]]
    ) -> None:
        self._after.append((after, failed))

    # --- Life -----------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """End without applying anything; the block then ends without an error.

        Raises:
            TransactionClosed: If the transaction is not open.
        """
        self._require_open()
        self._joint.abort()
        self._ended = True

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            TransactionClosed: If the task is in a transaction already, or this one has been used.
        """
        if self._is_open or self._ended:
            raise TransactionClosed("a transaction is used once: begin another one")
        task = asyncio.current_task()
        outer = _current.get()
        if outer is not None and outer[0] is task and not outer[1]._ended:
            raise TransactionClosed(
                "this task is in a transaction already, and transactions do not nest: use the outer one"
            )
        _current.set((task, self))
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit after a block that ended well, otherwise leave nothing behind.

        Raises:
            TransactionConflict: If another writer changed what was read. Nothing was applied.
            OutcomeUnknown: If it cannot be told whether it was applied.
            TransactionClosed: If a conflict inside the block was caught and ignored. Nothing was applied.
        """
        _current.set(None)
        aborted, self._ended = self._ended, True
        if aborted or error is not None:
            self._joint.abort()
            await self._joint.gone()
            await self._tell_failure(error or TransactionClosed("the transaction was aborted"))
        elif not self._after:
            await self._commit()
        else:
            # Middleware learns of a commit also when the task that waits for it is cancelled.
            ending = asyncio.ensure_future(self._commit())
            _endings.add(ending)
            ending.add_done_callback(_forget)
            await asyncio.shield(ending)

    async def _commit(self) -> None:
        if not self._targets:
            return
        try:
            await self._joint.commit()
        except BaseException as error:
            await self._tell_failure(error)
            raise
        self._committed = True
        failures = []
        for after, _ in self._after:
            try:
                await after()
            except Exception as failure:  # noqa: BLE001 - the others have to learn of the commit all the same
                failures.append(failure)
        if failures:
            raise failures[0]

    async def _tell_failure(self, error: BaseException) -> None:
        for _, failed in self._after:
            await failed(error)

    def _require_open(self) -> None:
        if not self._is_open:
            raise TransactionClosed("the transaction has not begun: use it with 'async with'")
        if self._ended:
            raise TransactionClosed("the transaction has ended: begin another one")


def _forget(ending: asyncio.Task[None]) -> None:
    _endings.discard(ending)
    if not ending.cancelled():
        ending.exception()  # whoever waited for it may be gone


async def run(
    begin: Callable[[], Transaction], body: Callable[[Transaction], Awaitable[R]], retry: Retry
) -> R:
    """Run `body` in a transaction, and again in another one as long as others get in its way.

    Args:
        begin: Makes a transaction.
        body: What to do in it; it runs again from the beginning after a conflict, with fresh reads.
        retry: How long to go on.

    Returns:
        What the body returned.

    Raises:
        TransactionConflict: If there were conflicts until the end. Nothing was applied.
        OutcomeUnknown: If it cannot be told whether it was applied. It is not tried again.
    """
    attempts = retry.start()
    while True:
        transaction = begin()
        try:
            async with transaction:
                return await body(transaction)
        except TransactionConflict:
            if transaction._committed or not await attempts.again():
                raise
