"""Mutants that do not survive the death of their server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daystore.abc import Capabilities, Check, WriteBatch
from daystore_compliance.mutants.base import mutant
from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.pool import Lost, NotSent
from daystore_compliance.wire.server import Space, WireServer
from daystore_compliance.wire.target import WireTarget


class _Piecemeal(Space):
    """Keeps each operation of an atomic batch by itself, and takes its time for it, as a disk does."""

    def splits(self, batch: WriteBatch) -> bool:
        """Whether a batch is taken apart."""
        return batch.atomic

    async def _write(self, batch: WriteBatch, marks: Sequence[str]) -> Any:
        if not self.splits(batch):
            return await super()._write(batch, marks)
        outcomes = []
        for operation, mark in zip(batch.operations, marks, strict=True):
            outcomes += await super()._write(WriteBatch([operation]), [mark])
            await asyncio.sleep(0.001)
        return outcomes


class _PiecemealServer(WireServer):
    space: type[Space] = _Piecemeal


@mutant("life.kill_server_batch", "life.kill_server_commit")
class KeepsBatchesPiecemeal(WireTarget):
    """An atomic batch is kept one operation after the other."""

    server: type[WireServer] = _PiecemealServer


class _Commits(_Piecemeal):
    def splits(self, batch: WriteBatch) -> bool:
        """Whether a batch is the commit of a transaction that has read."""
        return batch.atomic and any(isinstance(one, Check) or one.expect for one in batch.operations)


class _CommitServer(WireServer):
    space: type[Space] = _Commits


@mutant("life.kill_server_commit")
class KeepsCommitsPiecemeal(WireTarget):
    """What is committed with a condition is kept one operation after the other."""

    server: type[WireServer] = _CommitServer


class _Durable(WireAdapter):
    capabilities: Capabilities = replace(WireAdapter.capabilities, durable=True)


class _Late(Space):
    """Keeps what was written when the next write comes."""

    async def _write(self, batch: WriteBatch, marks: Sequence[str]) -> Any:
        disk, self.disk = self.disk, None
        outcomes = await super()._write(batch, marks)
        self.disk = disk
        waiting = self.__dict__.setdefault("_waiting", [])
        if disk is not None:
            disk.extend(waiting)
        waiting[:] = [(self._now, batch, marks)]
        return outcomes


class _LateServer(WireServer):
    space: type[Space] = _Late


@mutant("life.kill_server_batch", "life.kill_server_commit")
class KeepsTheLastWriteInMemory(WireTarget):
    """Declares to be durable, and the last write that was acknowledged is in memory alone."""

    adapter: type[WireAdapter] = _Durable
    server: type[WireServer] = _LateServer


class _Sulks(WireAdapter):
    async def _ask(self, *arguments: Any) -> Any:
        if "_given_up" in self.__dict__:
            raise NotSent from ConnectionError("given up")
        try:
            return await super()._ask(*arguments)
        except (Lost, NotSent):
            self.__dict__["_given_up"] = True
            raise


@mutant("life.kill_server_batch", "life.kill_server_commit")
class GivesUpItsServer(WireTarget):
    """After its server has gone once the adapter never connects again."""

    adapter: type[WireAdapter] = _Sulks
