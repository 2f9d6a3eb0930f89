"""Mutants that do not survive being killed. They keep the data of the reference in files that processes share."""

from __future__ import annotations

import pickle
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from daystore import Storage, Transaction
from daystore.abc import Capabilities, Clock, Outcome, Put, StorageAdapter, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.stores import EventStore
from daystore_compliance.mutants.base import mutant
from daystore_compliance.target import MemoryTarget, Raw, Target

__all__ = ["FileAdapter", "FileTarget"]


class FileAdapter(MemoryAdapter):
    """The reference with its data in a file, written whole at each write. It breaks nothing, one at a time.

    A power failure could undo what it declares ``durable``; a process that is killed cannot.
    """

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, durable=True)

    @property
    def path(self) -> Path:
        """The file of its namespace."""
        return Path(tempfile.gettempdir()) / f"daystore-mutant-{self.namespace}"

    async def _open(self) -> None:
        await super()._open()
        if self.path.exists():
            self._collections = pickle.loads(self.path.read_bytes())  # noqa: S301 -- written here

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        self.save()
        return outcomes

    def save(self) -> None:
        """Write everything, at one instant."""
        beside = self.path.with_suffix(".new")
        beside.write_bytes(pickle.dumps(self._collections))
        beside.replace(self.path)


class FileTarget(MemoryTarget):
    """A target of adapters in a file. It breaks nothing."""

    name = "file"
    hooks: frozenset[str] = frozenset({"process", "raw", "reopen"})
    adapter: type[MemoryAdapter] = FileAdapter

    def __init__(self) -> None:
        super().__init__()
        self._paths: set[Path] = set()

    def fresh(self) -> Target:
        """Return another one."""
        return type(self)()

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an adapter on the file of its namespace."""
        adapter = self.adapter(namespace=namespace, clock=clock)
        assert isinstance(adapter, FileAdapter)
        self._paths.add(adapter.path)
        await adapter.open()
        return adapter

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the records in the file."""
        assert isinstance(adapter, FileAdapter)
        kept = pickle.loads(adapter.path.read_bytes()) if adapter.path.exists() else {}  # noqa: S301 -- as above
        return Raw(sum(map(len, kept.values())), 0)

    def elsewhere(self) -> str:
        """Return the name of this class: the files are where they are."""
        return f"{type(self).__module__}:{type(self).__name__}"

    def stop(self) -> None:
        """Remove the files."""
        for path in self._paths:
            for one in path.parent.glob(f"{path.name}*"):
                one.unlink()


class _Piecemeal(FileAdapter):
    """Saves after each operation of a batch."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if not batch.atomic:
            return await super()._write(batch)
        now = self.clock()
        self.judge(batch)
        outcomes = []
        for operation in batch.operations:
            outcomes.append(self._apply(operation, now))
            self.save()
        return outcomes

    def judge(self, batch: WriteBatch) -> None:
        """Raise if the batch must not be applied."""
        for index, operation in enumerate(batch.operations):
            if conflict := self._conflict(operation, index, self.clock()):
                raise conflict
        for check in batch.queries:
            self._check_query(check, batch.own)


@mutant("txn.crash_mid_commit")
class CommitsPiecemeal(FileTarget):
    """A commit is kept one record after the other."""

    adapter: type[_Piecemeal] = _Piecemeal


class _IndexLater(FileAdapter):
    """Keeps the fields of records in a file of their own, written after that of the records."""

    async def _open(self) -> None:
        await super()._open()
        if self._index.exists():
            for key, fields in pickle.loads(self._index.read_bytes()).items():  # noqa: S301 -- written here
                if key[1] in (records := self._collections.get(key[0], {})):
                    records[key[1]].fields = fields

    @property
    def _index(self) -> Path:
        return self.path.with_suffix(".index")

    def save(self) -> None:
        """Write the records, and then the index."""
        kept = self._collections
        fields = {(c, key): record.fields for c, records in kept.items() for key, record in records.items()}
        self._collections = {
            c: {key: replace(record, fields={}) for key, record in records.items()}
            for c, records in kept.items()
        }
        super().save()
        self._collections = kept
        sum(step for step in range(20))  # takes a while, as a request to a server does
        self._index.write_bytes(pickle.dumps(fields))


@mutant("txn.crash_mid_commit")
class IndexesLater(FileTarget):
    """Records are kept first, and what is indexed of them in a second step."""

    adapter: type[_IndexLater] = _IndexLater


class _Buffered(FileAdapter):
    """Keeps every second write in memory until the next one."""

    def save(self) -> None:
        """Skip one of two."""
        self.__dict__["_saves"] = self.__dict__.get("_saves", 0) + 1
        if not self.__dict__["_saves"] % 2:
            super().save()

    async def _close(self) -> None:
        FileAdapter.save(self)
        await super()._close()


@mutant("life.kill_service_durable", "txn.crash_mid_commit")
class SavesEverySecondWrite(FileTarget):
    """A write is acknowledged and waits in memory for the next one."""

    adapter: type[_Buffered] = _Buffered


class _Unsaved(FileAdapter):
    """Saves nothing."""

    def save(self) -> None:
        """Keep it in memory."""


@mutant("life.kill_service_durable", bugs=("JoshuaC215/agent-service-toolkit#263",))
class DurableInMemory(FileTarget):
    """Declares to be durable, and keeps everything in memory."""

    adapter: type[_Unsaved] = _Unsaved


class _LateDeletes(FileAdapter):
    """Saves what is written, and what is deleted with the next write."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if any(isinstance(operation, Put) for operation in batch.operations):
            return await super()._write(batch)
        return await MemoryAdapter._write(self, batch)

    async def _close(self) -> None:
        self.save()
        await super()._close()


@mutant("life.kill_service_durable")
class DeletesWaitForWrites(FileTarget):
    """A delete is acknowledged and kept with the next write."""

    adapter: type[_LateDeletes] = _LateDeletes


class _Transaction(Transaction):
    @property
    def events(self) -> EventStore:
        """The events, outside the transaction."""
        return self._find("events")  # type: ignore[return-value]


class _EventsBeside(Storage):
    def transaction(self, *arguments: Any, **options: Any) -> Any:
        """Begin one whose events go their own way."""
        return super().transaction(*arguments, **options) if arguments else _Transaction(self._find)


@mutant("txn.crash_mid_commit")
class EmitsBeside(FileTarget):
    """What a transaction emits is written at once, beside its commit."""

    storage_type: ClassVar[type[Storage]] = _EventsBeside  # type: ignore[misc]


class _OwnVersions(FileAdapter):
    """Gives versions of its own. Base of mutants, and none itself."""

    def next_version(self, put: Put) -> str:
        """Return a version for a write."""
        raise NotImplementedError

    async def write(self, batch: WriteBatch) -> list[Outcome]:
        """Write under them."""
        own = [
            replace(o, version=self.next_version(o)) if isinstance(o, Put) else o for o in batch.operations
        ]
        return await super().write(replace(batch, operations=own))


class _Counted(_OwnVersions):
    """Counts its writes in memory; opening begins after the highest version that is kept."""

    def next_version(self, put: Put) -> str:
        """Count on."""
        if "_count" not in self.__dict__:
            kept = [r.version for records in self._collections.values() for r in records.values()]
            self.__dict__["_count"] = max((int(version, 16) for version in kept), default=0)
        self.__dict__["_count"] += 1
        return f"{self.__dict__['_count']:024x}"


@mutant("cas.unique_after_crash")
class CountsVersionsInMemory(FileTarget):
    """Versions are counted from the highest that is still there."""

    adapter: type[_Counted] = _Counted


class _Seeded(_OwnVersions):
    """Draws versions from a generator that each opening seeds alike."""

    def next_version(self, put: Put) -> str:
        """Draw one."""
        chance = self.__dict__.setdefault("_chance", random.Random(self.namespace))
        return f"{chance.getrandbits(96):024x}"


@mutant("cas.unique_after_crash")
class DrawsVersionsAlike(FileTarget):
    """Each process draws the same versions."""

    adapter: type[_Seeded] = _Seeded
