"""Mutants that do not survive their close, or share what is not theirs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any, ClassVar

from daystore.abc import EVENTUAL, Consistency, Health, Outcome, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant


@mutant("life.close_idempotent_and_use_after", "life.open_twice")
class UsableWhenClosed(MemoryAdapter):
    """Nothing asks whether the adapter is open."""

    def _check_open(self) -> None:
        """Let everything through."""


@mutant("life.close_reopen_durable", "life.reopen_often", "ttl.restart")
class ForgetsAtClose(MemoryAdapter):
    """Closing drops the data."""

    async def _close(self) -> None:
        self._collections.clear()


@mutant("life.open_twice")
class OpensAfresh(MemoryAdapter):
    """Opening what is open begins anew."""

    async def open(self) -> None:
        """Drop the data of an open adapter."""
        if self._is_open:
            self._collections.clear()
        await super().open()


@mutant("life.close_reopen_durable")
class ReopensWithoutFields(MemoryAdapter):
    """What is indexed is lost at a close."""

    async def _close(self) -> None:
        for records in self._collections.values():
            for record in records.values():
                record.fields = {}


@mutant("life.second_instance", "con.strong_after_write")
class ReadsItsCache(MemoryAdapter):
    """Reading answers from a cache that nobody else's writes reach."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        cache = self.__dict__.setdefault("_cache", {})
        found = await super()._read(collection, keys, consistency)
        return [cache.setdefault((collection, key), record) for key, record in zip(keys, found, strict=True)]

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        for operation in batch.operations:
            self.__dict__.setdefault("_cache", {}).pop((operation.collection, operation.key), None)
        return await super()._write(batch)


@mutant("life.health")
class UnwellHealth(MemoryAdapter):
    """Health tells facts that are no text."""

    async def _health(self) -> Health:
        return Health(ok=True, detail={"records": 1})  # type: ignore[dict-item]


@mutant("life.after_errors")
class BreaksAfterConflicts(MemoryAdapter):
    """Each conflict keeps one of ten connections."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self.__dict__.get("_lost", 0) > 10:
            raise ConnectionError("no connection left")
        outcomes = await super()._write(batch)
        lost = sum(outcome.error is not None for outcome in outcomes)
        self.__dict__["_lost"] = self.__dict__.get("_lost", 0) + lost
        return outcomes


@mutant("life.side_by_side")
class AnswersOthers(MemoryAdapter):
    """Of two reads at once each gets the other's answer."""

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Ask, wait, and answer what was asked last."""
        self.__dict__["_asked"] = keys
        await asyncio.sleep(0)
        return await super().read(collection, self.__dict__["_asked"], consistency)


@mutant("life.repr")
class TellsItsData(MemoryAdapter):
    """The repr of the adapter shows what is in it."""

    def __repr__(self) -> str:
        return f"<{self._collections}>"


class SharedStorage(MemoryAdapter):
    """Keeps all namespaces in one place. Base of mutants, and none itself."""

    async def _open(self) -> None:
        await super()._open()
        place: Any = self.clock
        self._collections = place.__dict__.setdefault("shared", {}).setdefault(self.place(), {})

    def place(self) -> str:
        """Return where the data of this namespace is kept."""
        return self.namespace


@mutant("ns.isolated")
class NamespaceByPart(SharedStorage):
    """The end of a namespace's name does not count."""

    def place(self) -> str:
        """Cut it."""
        return self.namespace[:38]


@mutant("ns.isolated", "ns.conditions", "ns.cursor")
class NamespaceIgnored(SharedStorage):
    """All namespaces share everything."""

    def place(self) -> str:
        """Forget the name."""
        return ""


@mutant("ns.isolated")
class NamespaceFolded(SharedStorage):
    """Namespaces do not regard case."""

    def place(self) -> str:
        """Fold it."""
        return self.namespace.casefold()


@mutant("ns.names")
class NamespaceUnchecked(MemoryAdapter):
    """A namespace may be anything."""

    def __init__(self, *, namespace: Any = "daystore", **options: Any) -> None:
        super().__init__(**options)
        self.namespace = namespace


@mutant("life.first_open_race")
class FirstOpenWipes(MemoryAdapter):
    """Opening looks whether there is data, waits, and begins with none."""

    async def _open(self) -> None:
        virgin = not self._collections
        await asyncio.sleep(0)
        await super()._open()
        self.__dict__["_fresh"] = virgin

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if self.__dict__.pop("_fresh", False):
            self._collections.clear()
        return await super()._write(batch)


@mutant("life.close_leaks_nothing")
class KeepsDescriptors(MemoryAdapter):
    """Closing gives nothing back."""

    kept: ClassVar[list[int]] = []

    async def _open(self) -> None:
        await super()._open()
        self.kept.append(os.open(os.devnull, os.O_RDONLY))


@mutant("life.close_in_flight")
class FailsInFlight(MemoryAdapter):
    """An operation that is running when the adapter closes fails with an error of its driver."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not self._is_open:
            raise AttributeError("connection is None")
        return await super()._read(collection, keys, consistency)
