"""Mutants of consistency: caches that are asked for more than they know."""

from __future__ import annotations

from collections.abc import Sequence

from daystore.abc import Aggregation, Consistency, GroupRow, Instant, Outcome, Page, Query, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant


class _Cached(MemoryAdapter):
    """Remembers answers for five seconds, and forgets them when it writes. It breaks nothing by itself."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._cache: dict[object, tuple[Instant, object]] = {}

    def cached(self, name: object, fresh: object) -> object:
        """Return what is remembered, or remember what is fresh."""
        now = self.clock()
        when, answer = self._cache.get(name, (now, fresh))
        if now - when > 5_000_000:
            when, answer = now, fresh
        self._cache[name] = (when, answer)
        return answer

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self._cache.clear()
        return await super()._write(batch)


# §11: "`bounded(seconds)`: nothing that was overwritten longer ago than this".
@mutant("con.bounded[age]")
class BoundsAreFiveSeconds(_Cached):
    """Answers a bounded read from a cache of five seconds, whatever the bound."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        if consistency.level != "bounded":
            return found
        return [
            self.cached((collection, key), record)  # type: ignore[misc]
            for key, record in zip(keys, found, strict=True)
        ]


# §11: "`STRONG`: the newest acknowledged write", of every read.
@mutant("con.strong_after_write")
class StrongCountsAreCached(_Cached):
    """Answers a strong count from a cache; reads and queries are strong."""

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return self.cached(("count", repr(query)), await super()._count(query, consistency))  # type: ignore[return-value]


# §11: the same.
@mutant("con.strong_after_write")
class StrongAggregatesAreCached(_Cached):
    """Answers a strong aggregate from a cache; reads, queries and counts are strong."""

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        fresh = await super()._aggregate(query, aggregation, consistency)
        return self.cached(("aggregate", repr(query), repr(aggregation)), fresh)  # type: ignore[return-value]


# §11: the same, of queries.
@mutant("life.second_sees_everything")
class StrongPagesAreCached(_Cached):
    """Answers a strong query that has a limit from a cache."""

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        page = await super()._query(query, consistency)
        return page if query.limit is None else self.cached(("page", repr(query)), page)  # type: ignore[return-value]
