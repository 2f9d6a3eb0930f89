"""Real bugs of batches: items that are lost, mixed up, applied by halves, or taken for something else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from daystore.abc import (
    ANY,
    EVENTUAL,
    Capabilities,
    Consistency,
    Delete,
    Instant,
    Outcome,
    Put,
    Record,
    Version,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, CorruptRecord, LimitExceeded
from daystore.stores import Store
from daystore_compliance.mutants.base import mutant


def done(operation: Operation) -> Outcome:
    """Return what a backend says of an operation that it did not do."""
    return Outcome(operation.version if isinstance(operation, Put) else None, existed=True)


@mutant("batch.store_empty", bugs=("run-llama/llama_index#23185",))
class EmptyItemsInsert(Store[Any]):
    """Writing no items writes one without a name."""

    async def set_batch(
        self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], **options: Any
    ) -> dict[str, Version]:
        """Write something."""
        values = dict(items)
        versions = await super().set_batch(values or {" ": None}, **options)
        return versions if values else {}


@mutant("batch.over_existing", bugs=("letta-ai/letta#949",))
class BatchInserts(MemoryAdapter):
    """A batch inserts: at the first key that exists it fails, and what came before is stored."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes, now = [], self.clock()
        for operation in batch.operations:
            exists = self._find(operation.collection, operation.key, now) is not None
            if (
                isinstance(operation, Put)
                and operation.expect is ANY
                and exists
                and len(batch.operations) > 1
            ):
                raise BackendUnavailable("duplicate key")
            outcomes += await super()._write(replace(batch, operations=[operation]))
        return outcomes


@mutant("batch.over_existing", bugs=("run-llama/llama_index#19285",))
class BatchNotIndexed(MemoryAdapter):
    """A batch does not index what a single write indexes."""

    async def set_batch(self, puts: Iterable[Put], *, atomic: bool = False) -> list[Version]:
        """Write without fields."""
        return await super().set_batch([replace(put, fields={}) for put in puts], atomic=atomic)


@mutant(
    "batch.atomic_replaces[batch]",
    "batch.atomic_replaces[transaction]",
    bugs=("openai/openai-agents-python#3116",),
)
class DeletesFirst(MemoryAdapter):
    """An atomic batch that deletes and writes does the one at once and the other later."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        deletes = [o for o in batch.operations if isinstance(o, Delete)]
        if not batch.atomic or not deletes or len(deletes) == len(batch.operations):
            return await super()._write(batch)
        now = self.clock()
        for index, operation in enumerate(batch.operations):
            if conflict := self._conflict(operation, index, now):
                raise conflict
        for check in batch.queries:
            self._check_query(check, batch.own)
        outcomes = {id(o): self._apply(o, now) for o in deletes}
        await asyncio.sleep(0)
        outcomes |= {id(o): self._apply(o, now) for o in batch.operations if id(o) not in outcomes}
        return [outcomes[id(o)] for o in batch.operations]


@mutant("del.clear_scoped", bugs=("aio-libs/aiocache#580",))
class ClearsTheBackend(Store[Any]):
    """Clearing a store empties the backend."""

    async def clear(self) -> int:
        """Empty it."""
        deleted = await super().clear()
        adapter: Any = self.adapter
        adapter._collections.clear()
        return deleted


@mutant("rec.bytes_exact", bugs=("dapr/components-contrib#4243",))
class BulkReadParses(MemoryAdapter):
    """Reading many parses what reading one does not: a record that cannot be parsed fails all of them."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        try:
            for record in found if len(keys) > 1 else ():
                if record is not None and record.value:
                    record.value.decode()
        except UnicodeDecodeError as error:
            raise CorruptRecord("a row cannot be parsed") from error
        return found


@mutant("batch.chunking", bugs=("dapr/components-contrib#648",))
class FirstTwentyFive(MemoryAdapter):
    """Of a batch that is not atomic the first 25 items are applied, and all are reported as done."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            return await super()._write(batch)
        outcomes = await super()._write(WriteBatch(batch.operations[:25]))
        return [*outcomes, *map(done, batch.operations[25:])]


@mutant("batch.chunking", "batch.order", bugs=("dapr/dapr#1955",))
class ChunksAsTheyCome(MemoryAdapter):
    """Parts of a large read run at once, and their answers stand in the order in which they came."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found: list[Record | None] = []

        async def part(start: int) -> None:
            for _ in range(3 - start // 10 % 3):
                await asyncio.sleep(0)
            found.extend(
                await super(ChunksAsTheyCome, self)._read(collection, keys[start : start + 10], consistency)
            )

        await asyncio.gather(*map(part, range(0, len(keys), 10)))
        return found


@mutant("batch.missing_marked", bugs=("sqlalchemy/dogpile.cache#197",))
class MissingAsNone(MemoryAdapter):
    """Missing keys are in the answer to a batch, as None."""

    async def get_batch(
        self, collection: str, keys: Iterable[str], consistency: Consistency = EVENTUAL
    ) -> dict[str, Any]:
        """Answer for every key."""
        wanted = list(dict.fromkeys(keys))
        return dict(zip(wanted, await self.read(collection, wanted, consistency), strict=True))


@mutant("batch.chunking", bugs=("google/go-cloud#2030",))
class PartsTwiceTooLarge(MemoryAdapter):
    """A batch is cut into parts of twice what the backend takes, which loses the rest of each."""

    capabilities: Capabilities = replace(
        MemoryAdapter.capabilities, limits=replace(MemoryAdapter.capabilities.limits, max_batch=500)
    )

    async def _write_chunks(self, batch: WriteBatch, size: int) -> list[Outcome]:
        return await super()._write_chunks(batch, 2 * size)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            return await super()._write(batch)
        outcomes = await super()._write(WriteBatch(batch.operations[:500]))
        return [*outcomes, *map(done, batch.operations[500:])]


@mutant("batch.version_per_item", bugs=("google/go-cloud#2726",))
class EqualItemsCollapse(MemoryAdapter):
    """Items of a batch that have equal values are one item."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        kept = {o.value if isinstance(o, Put) else id(o): o for o in batch.operations}
        outcomes = await super()._write(replace(batch, operations=list(kept.values())))
        known = {id(o): outcome for o, outcome in zip(kept.values(), outcomes, strict=True)}
        return [known.get(id(o), done(o)) for o in batch.operations]


@mutant("del.clear_scoped", bugs=("jaredwray/keyv#1222",))
class ClearSkipsColons(Store[Any]):
    """Clearing passes over keys in which a colon stands."""

    async def clear(self) -> int:
        """Delete the others."""
        return await self.delete_batch([key for key in await self.all().keys() if ":" not in key])


@mutant("del.clear_own", bugs=("jaredwray/keyv#1495",))
class ClearsTheLastOpened(Store[Any]):
    """Clearing a store clears the one that was opened last on the backend."""

    def __init__(self, adapter: Any, name: str, type: Any = None, **options: Any) -> None:  # noqa: A002 -- as that of Store
        super().__init__(adapter, name, type, **options)
        adapter.__dict__["_opened_last"] = self.collection

    async def clear(self) -> int:
        """Clear that one."""
        adapter: Any = self.adapter
        return await Store[Any](adapter, adapter._opened_last).clear()


@mutant("batch.atomic_all_or_none", bugs=("redis-developer/langgraph-redis#25",))
class AtomicBySlot(MemoryAdapter):
    """An atomic batch is split by the slots of its keys, and each part is atomic by itself."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        slots = {id(o): sum(o.key.encode()) % 4 for o in batch.operations}
        if not batch.atomic or len(set(slots.values())) < 2:
            return await super()._write(batch)
        outcomes: dict[int, Outcome] = {}
        for slot in sorted(set(slots.values())):
            part = [o for o in batch.operations if slots[id(o)] == slot]
            told = await super()._write(replace(batch, operations=part))
            outcomes |= dict(zip(map(id, part), told, strict=True))
        return [outcomes[id(o)] for o in batch.operations]


@mutant("batch.delete_literal[format]", bugs=("getmoto/moto#2431",))
class DeleteDecodesKeys(MemoryAdapter):
    """A batch of deletes decodes its keys once more, and reports success."""

    def _apply(self, operation: Operation, now: Instant) -> Outcome:
        if not isinstance(operation, Delete) or "%" not in operation.key:
            return super()._apply(operation, now)
        existed = self._find(operation.collection, operation.key, now) is not None
        super()._apply(replace(operation, key=unquote(operation.key) or operation.key), now)
        return Outcome(None, existed)


@mutant("batch.chunking", bugs=("salesforce/multicloudj#531",))
class DeletesThousandAtMost(MemoryAdapter):
    """More than a thousand deletes at once are refused."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if sum(isinstance(operation, Delete) for operation in batch.operations) > 1000:
            raise LimitExceeded("a request deletes a thousand objects at most")
        return await super()._write(batch)


@mutant("cas.batch", bugs=("temporalio/temporal#9486",))
class ConditionsUndoAtomic(MemoryAdapter):
    """An atomic batch with conditions is applied item by item, and what failed is told in the outcomes."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic and not batch.queries and any(o.expect is not ANY for o in batch.operations):
            return await super()._write(WriteBatch(batch.operations))
        return await super()._write(batch)
