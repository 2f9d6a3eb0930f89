"""Mutants of backends with limits: what goes wrong where a request is cut into parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from daystore.abc import Capabilities, Consistency, Limits, Outcome, Put, Record, WriteBatch
from daystore.abc.capabilities import EVENTUAL
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant

_PARTS = 7


class _InParts(MemoryAdapter):
    """The reference with requests of at most seven operations or keys. It breaks nothing."""

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, limits=Limits(max_batch=_PARTS))


# §7: "it is cut into parts of `max_batch`"; §3: "Returns the live records in the order asked".
@mutant("batch.chunking")
class LastPartIsNotRead(_InParts):
    """Does not read the last part of many keys if it is a single one."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Leave it out."""
        found = await super().read(collection, keys, consistency)
        if len(keys) > _PARTS and len(keys) % _PARTS == 1:
            found[-1] = None
        return found


# §3: "Keys may repeat."
@mutant("batch.repeated_far_apart")
class RepeatedKeysAcrossPartsAreMissing(_InParts):
    """Reads a key that stands in two parts of a request in the first of them only."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Look at what was read."""
        found = await super().read(collection, keys, consistency)
        first: dict[str, int] = {}
        for index, key in enumerate(keys):
            if first.setdefault(key, index // _PARTS) != index // _PARTS:
                found[index] = None
        return found


# §7: "`atomic=True` is all or nothing. It is never cut".
@mutant("batch.atomic_large")
class AtomicBatchesAreCut(_InParts):
    """Cuts an atomic batch without checked queries into parts, each of which is atomic."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic or batch.queries or len(batch.operations) <= _PARTS:
            return await super()._write(batch)
        outcomes: list[Outcome] = []
        for start in range(0, len(batch.operations), _PARTS):
            outcomes += await super()._write(
                replace(batch, operations=batch.operations[start : start + _PARTS])
            )
        return outcomes


# §7: "`BatchError` names exactly those in `.errors`": a failure in a later part is of its own operation.
@mutant("opt.matrix[large]")
class FailuresAreOfTheFirstPart(_InParts):
    """Puts the failures of a later part at the places that they have in their part."""

    async def _write_chunks(self, batch: WriteBatch, size: int) -> list[Outcome]:
        outcomes = await super()._write_chunks(batch, size)
        moved = [o._replace(error=None) for o in outcomes]
        for index, outcome in enumerate(outcomes):
            if outcome.error is not None:
                moved[index % size] = moved[index % size]._replace(error=outcome.error)
        return moved


# §7: a batch that is cut is one batch: what fails in one part leaves the next alone.
@mutant("opt.matrix[large]")
class PartsStopAfterAConflict(_InParts):
    """Does not send the parts after one in which a condition failed, and says that they were applied."""

    async def _write_chunks(self, batch: WriteBatch, size: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        failed = False
        for start in range(0, len(batch.operations), size):
            part = batch.operations[start : start + size]
            if failed:
                outcomes += [Outcome(o.version if isinstance(o, Put) else None, False) for o in part]
                continue
            outcomes += await self._write(WriteBatch(part))
            failed = any(o.error is not None for o in outcomes)
        return outcomes
