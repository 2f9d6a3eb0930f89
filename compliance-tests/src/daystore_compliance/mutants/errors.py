"""Mutants whose errors are not those of the contract, or that tell too much, or that share too much."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from daystore.abc import (
    EVENTUAL,
    Aggregation,
    And,
    Clock,
    Compare,
    Consistency,
    GroupRow,
    Instant,
    Not,
    Op,
    Or,
    Order,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    RecordTransaction,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.abc.transaction import State
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import ConfigError, LimitExceeded, StoreClosed, TransactionConflict, VersionConflict
from daystore_compliance.mutants.base import mutant

# --- The tree of errors --------------------------------------------------------------------------------------


class _Stale(VersionConflict):
    """A conflict of its own kind."""


@mutant("err.taxonomy")
class ConflictsOfItsOwn(MemoryAdapter):
    """A conflict is a subclass of the contract's."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        error = super()._conflict(operation, index, now)
        if error is None:
            return None
        return _Stale(key=error.key, current=error.current, index=index, backend=self.name, operation="write")


@mutant("err.taxonomy")
class ConflictsAreFinal(MemoryAdapter):
    """A conflict says that trying again makes no sense."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        error = super()._conflict(operation, index, now)
        if error is not None:
            error.retryable = False
        return error


@mutant("err.taxonomy")
class ConflictsOfNobody(MemoryAdapter):
    """A conflict does not say which backend it comes from."""

    def _conflict(self, operation: Operation, index: int, now: Instant) -> VersionConflict | None:
        error = super()._conflict(operation, index, now)
        if error is not None:
            error.backend = None
        return error


@mutant("err.taxonomy")
class ClosedIsRetryable(MemoryAdapter):
    """What is done after the close may be tried again."""

    def _check_open(self) -> None:
        try:
            super()._check_open()
        except StoreClosed as error:
            error.retryable = True
            raise


@mutant("err.taxonomy", bugs=("google/go-cloud#3663",))
class CursorErrorsEscape(MemoryAdapter):
    """A cursor is decoded before anything looks at it, and what the decoder says reaches the caller."""

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """Decode it."""
        if query.cursor is not None:
            query.cursor.encode("ascii")
        return await super().query(query, consistency)


class _Causeless(RecordTransaction):
    async def commit(self) -> None:
        """Commit, and forget why it failed."""
        try:
            await super().commit()
        except TransactionConflict as error:
            error.__cause__ = None
            raise

    @property
    def state(self) -> State:
        """Where it stands."""
        return super().state


@mutant("err.causes")
class CausesAreLost(MemoryAdapter):
    """A commit that fails does not say of what."""

    def transaction(self) -> RecordTransaction:
        """Begin one."""
        return _Causeless(self)


# --- Whatever is asked for -----------------------------------------------------------------------------------


@mutant("err.extremes")
class LimitsOf64Bits(MemoryAdapter):
    """A limit beyond 64 bits is an error of the driver."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        (query.limit or 0).to_bytes(8, "big", signed=True)
        return await super()._query(query, consistency)


@mutant("err.extremes")
class ConditionsOf64Bits(MemoryAdapter):
    """Comparing with an integer beyond 64 bits is an error of the driver."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        if type(query.where) is Compare and type(query.where.value) is int:
            query.where.value.to_bytes(8, "big", signed=True)
        return await super()._count(query, consistency)


@mutant("err.extremes")
class NestsByRecursion(MemoryAdapter):
    """A condition that is nested deeply is an error of the interpreter."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        _expect_shallow(query.where, 100)
        return await super()._query(query, consistency)


def _expect_shallow(predicate: Any, left: int) -> None:
    if not left:
        raise RecursionError("maximum depth exceeded")
    if isinstance(predicate, Not):
        _expect_shallow(predicate.term, left - 1)
    elif isinstance(predicate, (And, Or)):
        for term in predicate.terms:
            _expect_shallow(term, left - 1)


@mutant("err.extremes")
class FewParameters(MemoryAdapter):
    """A request with too many values loses those beyond what the driver takes."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys[-999:], consistency)
        return [None] * (len(keys) - len(found)) + found


@mutant("err.extremes")
class NowhereIsAnError(MemoryAdapter):
    """A collection that was never written to is unknown to the driver."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        self._collections[query.collection]
        return await super()._count(query, consistency)


@mutant("err.extremes_aggregated")
class FewColumns(MemoryAdapter):
    """An aggregation with more functions than the driver has columns is an error of the driver."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        if len(aggregation.functions) + len(aggregation.group_by) > 16:
            raise OSError("too many columns in result set")
        return await super()._aggregate(query, aggregation, consistency)


@mutant("err.extremes")
class LimitsOfSomebody(MemoryAdapter):
    """What is too large is refused in the name of the driver."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        if query.order != Order() and "\0" in query.order.field:
            raise LimitExceeded("a name with NUL", backend="libdriver", operation="query")
        return await super()._query(query, consistency)


# --- Secrets -------------------------------------------------------------------------------------------------


class _Connecting(MemoryAdapter):
    """Takes URLs with a host and a password, as a server's adapter does. Base of mutants, and none itself."""

    url: str = ""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make one."""
        made = cls(**options)
        made.url = url
        return made


@mutant("err.auth_and_url", bugs=("google/adk-python#6791",))
class RefusesWithTheUrl(MemoryAdapter):
    """A URL that cannot be used is told as it is."""

    @classmethod
    def from_url(cls, url: str, **_options: Any) -> Self:
        """Refuse it."""
        raise ConfigError(f"cannot use {url}")


@mutant("err.auth_and_url")
class CauseHasTheUrl(MemoryAdapter):
    """The message is masked, and the driver's error behind it is not."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Refuse it."""
        try:
            int(url)
        except ValueError as error:
            raise ConfigError("cannot use this URL") from error
        return super().from_url(url, **options)


@mutant("err.auth_and_url")
class LogsTheUrl(_Connecting):
    """Opening logs where to."""

    async def _open(self) -> None:
        logging.getLogger("driver").debug("connecting to %s", self.url)
        await super()._open()


@mutant("err.auth_and_url")
class ShowsTheUrl(_Connecting):
    """The repr shows where it is connected to."""

    def __repr__(self) -> str:
        return f"<{self.name} {self.url}>"


@mutant("err.auth_and_url")
class DriverRefusesUrls(MemoryAdapter):
    """A URL that cannot be parsed is an error of the driver."""

    @classmethod
    def from_url(cls, url: str, **_options: Any) -> Self:
        """Parse it."""
        raise ValueError(f"no port within {len(url)} characters")


# --- Sharing -------------------------------------------------------------------------------------------------


@mutant("ns.two_instances", bugs=("jaredwray/keyv#1821",))
class LastNamespaceWins(MemoryAdapter):
    """The namespace is kept in the class, so everybody writes to that of the adapter opened last."""

    last: ClassVar[list[Any]] = []

    async def _open(self) -> None:
        await super()._open()
        self.last[:] = [self._collections]

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        own, self._collections = self._collections, self.last[0]
        try:
            return await super()._write(batch)
        finally:
            self._collections = own


@mutant("ns.two_instances")
class LastClockWins(MemoryAdapter):
    """The clock is kept in the class, so that of the adapter made last is everybody's."""

    last: ClassVar[list[Clock]] = []

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.last[:] = [self.clock]

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        own, self.clock = self.clock, self.last[0]
        try:
            return await super()._write(batch)
        finally:
            self.clock: Clock = own


@mutant("ns.two_instances", bugs=("redis-developer/langgraph-redis#187",))
class SharedQueryCache(MemoryAdapter):
    """The keys that a query found are kept for the next one, by collection and condition alone."""

    found: ClassVar[dict[str, tuple[Instant, list[str]]]] = {}

    async def _count(self, query: Query, consistency: Consistency) -> int:
        known = self.found.get(name := repr((query.collection, query.where)))
        if known is None or known[0] // 10_000_000_000 != self.clock() // 10_000_000_000:
            page = await self._query(Query(query.collection, query.where), consistency)
            known = self.found[name] = (self.clock(), [record.key for record in page.records])
        return len(known[1])


@mutant("ns.two_instances")
class SharedFieldNumbers(MemoryAdapter):
    """Each namespace numbers its fields as they come, and the numbers are remembered for all of them together."""

    numbers: ClassVar[dict[tuple[str, str], int]] = {}

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if isinstance(operation, Put):
            own = self.__dict__.setdefault("_own", {}).setdefault(operation.collection, [])
            own += [name for name in operation.fields if name not in own]
        return super()._apply(operation, now)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        where, own = query.where, self.__dict__.get("_own", {}).get(query.collection, [])
        if type(where) is Compare and where.op is Op.EQ and where.field in own:
            number = self.numbers.setdefault((query.collection, where.field), own.index(where.field))
            if number < len(own):
                query = replace(query, where=replace(where, field=own[number]))
        return await super()._query(query, consistency)


# --- Old answers ---------------------------------------------------------------------------------------------


class Cached(MemoryAdapter):
    """The reference with a cache that answers bounded reads as long as it may. It breaks nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cache: dict[object, tuple[Instant, Any]] = {}

    def is_fresh(self, fetched: Instant, consistency: Consistency) -> bool:
        """Tell whether an answer may still be given."""
        if consistency.level != "bounded":
            return False
        return self.clock() - fetched <= (consistency.max_staleness or 0) * 1_000_000

    def stamp(self, begun: Instant) -> Instant:
        """Return when an answer counts as fetched, once it is there."""
        return begun

    async def cached(
        self, name: object, consistency: Consistency, fetch: Callable[..., Awaitable[Any]], *arguments: object
    ) -> Any:
        """Return an answer from the cache, or fetch it."""
        known = self._cache.get(name)
        if known is not None and self.is_fresh(known[0], consistency):
            return known[1]
        begun = self.clock()
        answer = await fetch(*arguments, consistency)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._cache[name] = (self.stamp(begun), answer)
        return answer

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        name, fetch = (collection, *keys), super()._read
        found: list[Record | None] = await self.cached(name, consistency, fetch, collection, keys)
        return found

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        found: Page = await self.cached(repr(query), consistency, super()._query, query)
        return found


@mutant("con.bounded[fetch]")
class AgeFromTheEnd(Cached):
    """The age of an answer is counted from when it arrived."""

    def stamp(self, begun: Instant) -> Instant:
        """Return the present."""
        return self.clock()


@mutant("con.bounded[age]")
class BoundIsIgnored(Cached):
    """What is in the cache is good for a minute, whatever bound is given."""

    def is_fresh(self, fetched: Instant, consistency: Consistency) -> bool:
        """Look at the minute alone."""
        return consistency.level == "bounded" and self.clock() - fetched <= 60_000_000


@mutant("con.bounded[age]")
class StrongFromCache(Cached):
    """A strong read is answered from the cache if that is not older than some seconds."""

    def is_fresh(self, fetched: Instant, consistency: Consistency) -> bool:
        """Look at the seconds alone."""
        if consistency.level == "strong":
            return self.clock() - fetched <= 10_000_000
        return super().is_fresh(fetched, consistency)


@mutant("con.bounded[age]")
class BoundInMilliseconds(Cached):
    """The bound is taken for milliseconds by the one who gives it, and for seconds by the one who keeps it."""

    def is_fresh(self, fetched: Instant, consistency: Consistency) -> bool:
        """Multiply once more."""
        staleness = (consistency.max_staleness or 0) * 1_000
        return super().is_fresh(fetched, Consistency(consistency.level, staleness))
