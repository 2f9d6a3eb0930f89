"""Mutants made from bugs that real stores had with whole records: what a write, delete or open takes along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from daystore.abc import (
    EVENTUAL,
    Compare,
    Consistency,
    Delete,
    Instant,
    Outcome,
    Put,
    Query,
    Record,
    WriteBatch,
)
from daystore.abc.evaluate import matcher
from daystore.abc.query import Predicate
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable
from daystore.storage import Storage
from daystore.stores import MemoryStore, Store
from daystore_compliance.mutants.base import Stepwise, mutant

_OFFSET = round(timedelta(hours=5, minutes=30).total_seconds()) * 1_000_000


@mutant("q.ops.times[updated_at]", bugs=["mastra-ai/mastra#20831"])
class TwoClocks(Stepwise):
    """The updated_at that queries compare is that of the record in another zone."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Look at the wall clock."""
        if compare.field == "updated_at":
            record = replace(record, updated_at=record.updated_at + _OFFSET)
        return matcher(compare)(record)


@mutant("ns.memories", bugs=["mem0ai/mem0#3928"])
class ForgetsEverybody(Storage):
    """Clearing one memory clears all of them."""

    @property
    def memories(self) -> MemoryStore[Any]:
        """Return a store that means too much."""
        return _ForgetsAll(self._backend_of("memories"), "memories")


class _ForgetsAll(MemoryStore[Any]):
    async def clear(self, memory_id: str | None = None) -> int:
        """Delete one, and then the rest."""
        deleted = await super().clear(memory_id)
        await super().clear()
        return deleted


@mutant("life.reopen_often", bugs=["zarr-developers/zarr-python#2359"])
class OpenTakesFirst(MemoryAdapter):
    """Opening deletes the first record of each collection."""

    async def _open(self) -> None:
        await super()._open()
        for records in self._collections.values():
            records.pop(min(records, default=""), None)


@mutant("q.no_duplicates", bugs=["agno-agi/agno#7393"])
class FiltersUnsetEntry(Stepwise):
    """A query looks only at records that have an entry which a plain write never sets."""

    def found(self, query: Query) -> list[Record]:
        """Leave the others out."""
        return [record for record in super().found(query) if record.schema_version is not None]


@mutant("del.clear_scoped", bugs=["dhis2/dhis2-core#23978"])
class ClearsOnePage(Store[Any]):
    """Clearing takes the first page for everything."""

    async def _clear(self, where: Predicate | None) -> int:
        query = Query(self.collection, where, limit=1000, allow_scan=True)
        page = await self.adapter.query(query)
        return await self.delete_batch([record.key for record in page.records])


@mutant("ns.stores_side_by_side", bugs=["jaredwray/keyv#1821"])
class LastStoreRules(Store[Any]):
    """Making another store on an adapter changes the collection of those that are there."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.adapter.__dict__["_latest"] = (self._access, self._source)

    def __getattribute__(self, name: str) -> Any:
        """Look at what was made last."""
        if name in ("_access", "_source"):
            latest = super().__getattribute__("_adapter").__dict__.get("_latest")
            if latest is not None:
                return latest[name == "_source"]
        return super().__getattribute__(name)


@mutant("rec.shared_values", bugs=["temporalio/temporal#2323"])
class SharesBlobs(MemoryAdapter):
    """Equal values are kept once, and go with the first of their records that is deleted."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        outcome = super()._apply(operation, now)
        if isinstance(operation, Delete) and old is not None:
            for records in self._collections.values():
                for record in records.values():
                    if record.value == old.value:
                        record.value = b""
        return outcome


@mutant("del.reclaimed", bugs=["temporalio/temporal#11233"])
class LeavesRows(MemoryAdapter):
    """Delete leaves rows in a table beside the records, where no operation looks."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        old = self._find(operation.collection, operation.key, now)
        if isinstance(operation, Delete) and old is not None:
            self._collections.setdefault("beside records", {})[operation.key] = old
        return super()._apply(operation, now)


@mutant("rt.envelope_all_paths", bugs=["redis/redis-py#2735"])
class ReadsNoMap(MemoryAdapter):
    """Reading by key takes the reply that holds the fields for an empty one."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        return [None if record is None else replace(record, fields={}) for record in found]


@mutant("miss.exists_agrees", bugs=["dapr/components-contrib#230"])
class MissingIsAnError(MemoryAdapter):
    """Reading what is not there is an error."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read, or complain."""
        found = await super().read(collection, keys, consistency)
        if None in found:
            raise BackendUnavailable("the backend answered 404", backend=self.name, operation="read")
        return found


@mutant("miss.empty_value", bugs=["dapr/components-contrib#2723"])
class RefusesNothing(MemoryAdapter):
    """A value of zero bytes is refused."""

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write what is something."""
        if any(isinstance(o, Put) and not o.value for o in batch.operations):
            raise BackendUnavailable("the value is required", backend=self.name, operation="write")
        return await super().write(batch)
