"""Mutants of what stands before an adapter: stores that refuse too little, and transactions that never end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from daystore.abc import Consistency, Outcome, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import SchemaError, SerializationError
from daystore.query.builder import PAGE_SIZE, QueryBuilder
from daystore.storage import Storage
from daystore.stores import Store
from daystore.transactions.transaction import Transaction
from daystore_compliance.mutants.base import mutant, unconditional


@mutant("batch.last_wins")
class FirstOfPairsWins(Store[Any]):
    """Of equal keys in the pairs of a batch the first one wins."""

    async def set_batch(
        self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], **options: Any
    ) -> dict[str, str]:
        """Keep the first ones."""
        kept: dict[str, Any] = {}
        for key, value in items.items() if isinstance(items, Mapping) else items:
            kept.setdefault(key, value)
        return await super().set_batch(kept, **options)


@mutant("q.unknown_field")
class DropsUnknownFields(Store[Any]):
    """A condition on a field that is not indexed is dropped, and the query finds everything."""

    def where(self, *condition: Any, **options: Any) -> QueryBuilder[Any]:
        """Find everything."""
        try:
            return super().where(*condition, **options)
        except SchemaError:
            return self.all()


@mutant("rt.typed_refused")
class TakesAnyType(Store[Any]):
    """A value that is not of the store's type is dropped without a word."""

    async def set(self, key: str, value: Any, **options: Any) -> str:
        """Pretend to have written it."""
        try:
            return await super().set(key, value, **options)
        except SerializationError:
            return "written"


@mutant("ttl.zero_negative")
class ZeroIsForever(Store[Any]):
    """A time to live of zero means for ever."""

    async def set(self, key: str, value: Any, **options: Any) -> str:
        """Forget the zero."""
        if options.get("ttl") == 0:
            options["ttl"] = None
        return await super().set(key, value, **options)


class _Reopens(Transaction):
    def _require_open(self) -> None:
        """Let everything through."""


@mutant("txn.store_after_end")
class TransactionsNeverEnd(Storage):
    """After its end a transaction still gives out its stores."""

    def transaction(self, *arguments: Any, **options: Any) -> Any:
        """Begin one that does not know its end."""
        begun = super().transaction(*arguments, **options)
        if isinstance(begun, Transaction):
            begun.__class__ = _Reopens
        return begun


@mutant("del.clear_goes_on")
class ClearStopsAtAFailure(Store[Any]):
    """A clear stops at the first page on which a record cannot be deleted."""

    async def clear(self) -> int:
        """Clear page by page, and give up early."""
        deleted = 0
        while keys := await self.all().limit(PAGE_SIZE).keys():
            deleted += await self.delete_batch(keys)
        return deleted


@mutant("mem.damaged_head")
class DamagedHeadIsNone(MemoryAdapter):
    """The bookkeeping of a memory that cannot be read counts as missing."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        if not collection.endswith("_heads"):
            return found
        return [record if record is not None and "next" in record.fields else None for record in found]

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        free = [unconditional(o) if o.collection.endswith("_heads") else o for o in batch.operations]
        return await super()._write(replace(batch, operations=free))
