"""Mutants of the store that call middleware in another way, or let it change what it only looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Self

from daystore.abc import Consistency, Delete, MiddlewareContext, Outcome, Put, Query, Record
from daystore.abc.adapter import Adapter
from daystore.middleware import Chain
from daystore.query.filter import QueryFilter
from daystore.query.results import Entry
from daystore.stores import Store
from daystore.stores.operation import Deferral, Operation, Watched
from daystore_compliance.mutants.base import mutant


class Rechained(Store[Any]):
    """A store whose middleware are composed by another class. It breaks nothing.

    Attributes:
        chained: The class.
    """

    chained: type[Chain] = Chain

    def __init__(self, adapter: Adapter, name: str, type: Any = None, **options: Any) -> None:  # noqa: A002 -- as there
        super().__init__(adapter, name, type, **options)
        if self._access.chain is not None:
            self._use(replace(self._access, chain=self.chained(options["middleware"])))


class _AllInOrder(Chain):
    def __init__(self, middleware: Sequence[object]) -> None:
        super().__init__(middleware)
        self._after_read = self._after_read[::-1]
        self._after_write = self._after_write[::-1]


@mutant("mw.order_once", "mw.order_once_inside")
class AfterHooksInOrder(Rechained):
    """What comes after an operation runs in the order of configuration too."""

    chained: type[_AllInOrder] = _AllInOrder


class _ErrorsInOrder(Chain):
    def __init__(self, middleware: Sequence[object]) -> None:
        super().__init__(middleware)
        self._on_error = self._on_error[::-1]


@mutant("mw.errors_once", "mw.order_once")
class ErrorHooksInOrder(Rechained):
    """Errors are told in the order of configuration."""

    chained: type[_ErrorsInOrder] = _ErrorsInOrder


class _EachByItself(Chain):
    async def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> list[Put | Delete]:
        changed: list[Put | Delete] = []
        for operation in operations:
            changed += await super().before_write(context, [operation])
        return changed


@mutant("mw.order_once")
class HooksForEachItem(Rechained):
    """A batch calls the hooks once for each of its items."""

    chained: type[_EachByItself] = _EachByItself


class _FirstAlone(Chain):
    async def on_error(self, context: MiddlewareContext, error: BaseException) -> None:
        for hook in self._on_error[:1]:
            await hook(context, error)


@mutant("mw.errors_once", "mw.order_once", "mw.errors_once_inside[error]")
class OneLearnsOfErrors(Rechained):
    """Only one middleware is told of an error."""

    chained: type[_FirstAlone] = _FirstAlone


class _NotOfCancellation(Chain):
    async def on_error(self, context: MiddlewareContext, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            await super().on_error(context, error)


@mutant("mw.errors_once")
class CancelsInSilence(Rechained):
    """Nobody is told of a cancellation."""

    chained: type[_NotOfCancellation] = _NotOfCancellation


class _GoesOn(Chain):
    async def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> list[Put | Delete]:
        given = operations
        try:
            return await super().before_write(context, operations)
        except PermissionError:
            return given


@mutant("mw.errors_once")
class RefusalsAreIgnored(Rechained):
    """What a hook raises before a write does not refuse it."""

    chained: type[_GoesOn] = _GoesOn


@mutant("mw.order_once", bugs=("dapr/dapr#6134",))
class BatchesGoPast(Store[Any]):
    """Reading many records goes past the middleware."""

    async def entries(
        self, keys: Iterable[str], *, consistency: Consistency | None = None
    ) -> dict[str, Entry[Any]]:
        """Read without them."""
        access, wanted = self._access, list(dict.fromkeys(keys))
        records = await access.target.read(self.collection, wanted, consistency or access.consistency)
        return {r.key: Entry(access.codec.value(r), r) for r in records if r is not None}


@mutant("mw.order_once", "mw.errors_once")
class CountsGoPast(Store[Any]):
    """Counting goes past the middleware."""

    async def count(
        self,
        filter: QueryFilter | None = None,  # noqa: A002 -- as there
        *,
        consistency: Consistency | None = None,
        allow_scan: bool = False,
    ) -> int:
        """Count all records without them."""
        if filter is None:
            access = self._access
            return await access.target.count(Query(self.collection), consistency or access.consistency)
        return await super().count(filter, consistency=consistency, allow_scan=allow_scan)


@mutant("mw.order_once_inside")
class AcknowledgesBeforeCommit(Store[Any]):
    """Inside a transaction a write is acknowledged to middleware when it is made."""

    def bound(self, target: Any, defer: Deferral) -> Self:
        """Return a store whose operations do not know of the transaction."""
        store = super().bound(target, defer)
        store._use(replace(store._access, defer=None))
        return store


@mutant("mw.errors_once_inside[error]", "mw.errors_once_inside[abort]", "mw.errors_once_inside[conflict]")
class FailsToCommitInSilence(Store[Any]):
    """Nobody is told that a transaction did not commit what was written in it."""

    def bound(self, target: Any, defer: Deferral) -> Self:
        """Return a store that tells of commits alone."""

        async def nobody(error: BaseException) -> None: ...

        return super().bound(target, lambda after, _: defer(after, nobody))


class _Rebuilt(Chain):
    async def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> list[Put | Delete]:
        changed = [
            replace(one, expires_at=None) if isinstance(one, Put) and len(operations) > 1 else one
            for one in operations
        ]
        return await super().before_write(context, changed)


@mutant("mw.neutral")
class WatchedBatchesLiveForEver(Rechained):
    """With middleware the items of a batch lose their expiry."""

    chained: type[_Rebuilt] = _Rebuilt


class _Stripped(Chain):
    async def after_read(
        self, context: MiddlewareContext, records: list[Record | None]
    ) -> list[Record | None]:
        found = await super().after_read(context, records)
        return [None if one is None else replace(one, created_at=one.updated_at) for one in found]


@mutant("mw.neutral")
class WatchedReadsLoseTheirAge(Rechained):
    """With middleware a record seems to have been created when it was last written."""

    chained: type[_Stripped] = _Stripped


class _Sorting(Chain):
    async def after_read(
        self, context: MiddlewareContext, records: list[Record | None]
    ) -> list[Record | None]:
        found = await super().after_read(context, records)
        return sorted(found, key=lambda one: one.key if one else "") if context.query is not None else found


@mutant("mw.neutral")
class WatchedQueriesAreSorted(Rechained):
    """With middleware the results of a query are in the order of their keys."""

    chained: type[_Sorting] = _Sorting


class _Late(Watched):
    async def write(
        self, operations: list[Put | Delete], *, atomic: bool = False, beside: Sequence[Put] = ()
    ) -> list[Outcome]:
        """Acknowledge what failed too."""
        outcomes = await super().write(operations, atomic=atomic, beside=beside)
        if self._defer is None and outcomes and all(one.error is not None for one in outcomes):
            await self._chain.after_write(self._context, operations, outcomes)
        return outcomes


@mutant("mw.order_once")
class AcknowledgesConflicts(Store[Any]):
    """A write whose condition did not hold is acknowledged to middleware, beside the error."""

    def _use(self, access: Any) -> None:
        super()._use(access)
        self._access = _Acknowledging(self._access)  # type: ignore[assignment]  # it does what one does


class _Acknowledging:
    """The access of a store, with another kind of operation."""

    def __init__(self, access: Any) -> None:
        self._inner = access

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def operation(self, name: str, keys: Sequence[str] = (), **options: Any) -> Operation:
        """Begin an operation."""
        made: Operation = self._inner.operation(name, keys, **options)
        if isinstance(made, Watched):
            return _Late(made._target, made._chain, made._context, made._defer)
        return made
