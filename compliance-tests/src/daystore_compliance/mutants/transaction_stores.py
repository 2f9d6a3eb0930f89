"""Mutants that run a transaction again when they must not, or whose stores are others inside than outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from daystore import Transaction
from daystore.abc import (
    EVENTUAL,
    Adapter,
    Consistency,
    Delete,
    Outcome,
    Page,
    Query,
    WriteBatch,
)
from daystore.errors import (
    LimitExceeded,
    OutcomeUnknown,
    TransactionClosed,
    TransactionConflict,
    TransactionError,
    UnsupportedOperation,
    VersionConflict,
)
from daystore.storage import Storage
from daystore.stores import Store
from daystore.transactions import transaction as core
from daystore.transactions.retry import Retry
from daystore.transactions.target import TransactionTarget
from daystore.transactions.transaction import run
from daystore_compliance.mutants.base import MutantTarget, mutant
from daystore_compliance.mutants.capabilities import Minimal

Body = Callable[[Transaction], Awaitable[Any]]


class Transacts(Storage):
    """Has transactions of another class, and runs them in another way. Base of mutants, and none itself."""

    transaction_class: type[Transaction] = Transaction

    def transaction(self, body: Body | None = None, **options: Any) -> Any:
        """Begin one of them, or run a function in one."""
        if body is None:
            return self.transaction_class(self._find, self._backends)
        return self.running(body, Retry(options.get("deadline", 30.0), options.get("attempts")))

    async def running(self, body: Body, retry: Retry) -> Any:
        """Run a function."""
        return await run(lambda: self.transaction_class(self._find, self._backends), body, retry)


class Targets(Transaction):
    """Lets stores work through another target. Base of mutants, and none itself."""

    target_class: type[TransactionTarget] = TransactionTarget

    def _new_target(self, adapter: Adapter) -> TransactionTarget:
        return self.target_class(adapter)


# --- Running again ---------------------------------------------------------------------------------------------


class _RunsAgain(Transacts):
    errors: tuple[type[BaseException], ...] = ()

    async def running(self, body: Body, retry: Retry) -> Any:
        """Run it again after these errors, too."""
        while True:
            try:
                return await super().running(body, retry)
            except self.errors:
                self.errors = ()


@mutant("txn.unknown_not_retried", "txn.retry_errors")
class RunsUnknownAgain(_RunsAgain):
    """A transaction whose outcome is unknown is run again, and applied twice."""

    errors: tuple[type[BaseException], ...] = (OutcomeUnknown,)


@mutant("txn.retry_errors")
class RunsOthersConflictsAgain(_RunsAgain):
    """A conflict that the function met by itself is taken for one of the transaction."""

    errors: tuple[type[BaseException], ...] = (VersionConflict,)


@mutant("txn.retry_errors", "txn.retry_bounded")
class RunsAnythingAgain(_RunsAgain):
    """Whatever a function raises, it is run again."""

    errors: tuple[type[BaseException], ...] = (Exception,)


@mutant("txn.retry_errors")
class NothingIsFailure(Transacts):
    """A function that returns nothing is run again."""

    async def running(self, body: Body, retry: Retry) -> Any:
        """Look at the result."""
        return await super().running(body, retry) or await super().running(body, retry)


@mutant("txn.retry_pauses")
class DeadlineIgnored(Transacts):
    """What always conflicts is tried whatever the deadline says."""

    async def running(self, body: Body, retry: Retry) -> Any:
        """Try three times at least."""
        attempts = retry.attempts if retry.attempts is not None or retry.deadline else 3
        return await super().running(body, replace(retry, deadline=max(retry.deadline, 1), attempts=attempts))


# --- Life ------------------------------------------------------------------------------------------------------


@mutant("txn.used_once")
class UsedAgain(Transacts):
    """A transaction that has ended can be entered again."""

    class _Again(Transaction):
        async def __aenter__(self) -> Self:
            """Begin anew."""
            if self._ended:
                self._ended, self._target = False, None
                self._is_open = False
                self._views.clear()
            return await super().__aenter__()

    transaction_class: type[Transaction] = _Again


@mutant("txn.child_tasks")
class TasksInherit(Transacts):
    """A task that was begun inside a transaction is taken to be in it."""

    class _Inherits(Transaction):
        async def __aenter__(self) -> Self:
            """Look at the context alone."""
            outer = core._current.get()
            if outer is not None and not outer[1]._ended:
                raise TransactionClosed("nested")
            return await super().__aenter__()

    transaction_class: type[Transaction] = _Inherits


@mutant("txn.two_backends")
class AnyBackend(Transacts):
    """A store on another backend is written at once, beside the transaction."""

    class _Any(Transaction):
        def __getitem__(self, store: Any) -> Any:
            """Return a store of another backend as it is."""
            try:
                return super().__getitem__(store)
            except UnsupportedOperation:
                return store

    transaction_class: type[Transaction] = _Any


@mutant("txn.ignored_conflict")
class IgnoredConflictEnds(Transacts):
    """A block that met a conflict and went on ends well, with nothing applied."""

    class _EndsWell(Transaction):
        async def __aexit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            """Swallow what the end says."""
            try:
                await super().__aexit__(kind, error, trace)
            except TransactionConflict:
                raise
            except TransactionError:
                pass

    transaction_class: type[Transaction] = _EndsWell


# --- Stores inside ---------------------------------------------------------------------------------------------


@mutant("txn.core_inside")
class DeletesUncounted(Transacts):
    """Inside a transaction a delete that meets an own write says that there was nothing."""

    class _Uncounted(Targets):
        class _Target(TransactionTarget):
            async def write(self, batch: WriteBatch) -> list[Outcome]:
                """Forget own writes."""
                own = {key for _, key in self.records._writes}
                outcomes = await super().write(batch)
                return [
                    replace_existed(outcome) if isinstance(o, Delete) and o.key in own else outcome
                    for o, outcome in zip(batch.operations, outcomes, strict=True)
                ]

        target_class: type[TransactionTarget] = _Target

    transaction_class: type[Transaction] = _Uncounted


def replace_existed(outcome: Outcome) -> Outcome:
    """Return an outcome that says that nothing was there."""
    return outcome._replace(existed=False)


@mutant("txn.core_inside")
class FirstPageInside(Transacts):
    """Inside a transaction a query beside own writes has no further page."""

    class _First(Targets):
        class _Target(TransactionTarget):
            async def query(self, query: Query, _consistency: Consistency = EVENTUAL) -> Page:
                """Drop the cursor."""
                page = await super().query(query)
                return Page(page.records) if self.records._writes else page

        target_class: type[TransactionTarget] = _Target

    transaction_class: type[Transaction] = _First


@mutant("txn.store_limits")
class TooLargeAtCommit(Transacts):
    """What is too large is found out at the commit, which then leaves it out."""

    class _Late(Targets):
        class _Target(TransactionTarget):
            async def write(self, batch: WriteBatch) -> list[Outcome]:
                """Take it."""
                try:
                    return await super().write(batch)
                except LimitExceeded:
                    return [Outcome(getattr(o, "version", None), existed=True) for o in batch.operations]

        target_class: type[TransactionTarget] = _Target

    transaction_class: type[Transaction] = _Late


@mutant("con.transaction_strong")
class ReadsAnyInside(Transacts):
    """A transaction reads at the level that is weakest."""

    class _Weak(Targets):
        class _Target(TransactionTarget):
            def __init__(self, adapter: Adapter) -> None:
                super().__init__(adapter)
                self.records._consistency = EVENTUAL

        target_class: type[TransactionTarget] = _Target

    transaction_class: type[Transaction] = _Weak


# --- Middleware and levels -------------------------------------------------------------------------------------


@mutant("txn.middleware", bugs=("dapr/dapr#6134",))
class BatchesPastMiddleware(Transacts):
    """Reading many keys at once does not pass the middleware."""

    class _Past(Store[Any]):
        async def entries(self, keys: Iterable[str], **options: Any) -> Any:
            """Read without it."""
            access = self._access
            try:
                self._access = replace(access, chain=None)
                return await super().entries(keys, **options)
            finally:
                self._access = access

    def store(self, name: str, type: Any = None, **options: Any) -> Any:  # noqa: A002
        """Return one of these stores."""
        made = super().store(name, type, **options)
        if made.__class__ is Store:
            made.__class__ = self._Past
        return made


@mutant("txn.middleware")
class PlainInside(Transacts):
    """Inside a transaction middleware is not passed."""

    class _Plain(Transaction):
        def __getitem__(self, store: Any) -> Any:
            """Take the middleware away."""
            view = super().__getitem__(store)
            view._use(replace(view._access, chain=None))
            return view

    transaction_class: type[Transaction] = _Plain


@mutant("con.store_and_call")
class CountsAtTheStoresLevel(Store[Any]):
    """A count is read at the level of the store, whatever its call asks for."""

    async def count(self, *arguments: Any, **options: Any) -> int:
        """Forget the level."""
        return await super().count(*arguments, **{**options, "consistency": None})


@mutant("con.changes_read_fresh")
class ChangesReadAny(Store[Any]):
    """What is read to be changed is read at the level of the store."""

    async def update(self, key: str, change: Any, **options: Any) -> Any:
        """Have no stronger one."""
        self._access.target.__dict__["capabilities"] = replace(
            self._access.target.capabilities, consistency=frozenset({"eventual"})
        )
        return await super().update(key, change, **options)


class _Weaker(Store[Any]):
    async def update(self, key: str, change: Any, **options: Any) -> Any:
        try:
            return await super().update(key, change, **options)
        except UnsupportedOperation:
            found = await self.get(key)
            changed = change(found) if callable(change) else {**(found or {}), **change}
            await self.set(key, changed)
            return changed


@mutant("cap.store_refusals")
class UpdatesWithoutConditions(MutantTarget):
    """Where conditions are not declared an update writes without one."""

    adapter: type[Minimal] = Minimal

    def __init__(self) -> None:
        super().__init__(Minimal)
        self.store_type: type[Store[Any]] = _Weaker


class _Singly(Store[Any]):
    async def set_batch(self, items: Any, *, atomic: bool = False, **options: Any) -> Any:
        return await super().set_batch(items, **options)


@mutant("cap.store_refusals")
class BatchesAtomicallyAlmost(UpdatesWithoutConditions):
    """Where atomic batches are not declared one is written item by item."""

    def __init__(self) -> None:
        super().__init__()
        self.store_type: type[Store[Any]] = _Singly
