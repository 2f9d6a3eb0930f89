"""Mutants that are closed amid a write: they do not end in time, say what is wrong, or leave something behind."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from daystore.abc import Outcome, WriteBatch
from daystore.errors import OutcomeUnknown, StoreClosed
from daystore_compliance.mutants.base import mutant
from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.pool import Connection, Pool
from daystore_compliance.wire.target import WireTarget


class _Denying(WireAdapter):
    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        try:
            return await super()._write(batch)
        except OutcomeUnknown:
            if self._pool is None or self._pool.closed:
                raise StoreClosed("the adapter was closed", backend=self.name) from None
            raise


@mutant("conn.close_amid")
class DeniesWhatItHasSent(WireTarget):
    """Who waits for a write when the adapter is closed is told that it was closed, as if nothing had been sent."""

    adapter: type[WireAdapter] = _Denying


class _Patient(WireAdapter):
    _going: ClassVar[set[asyncio.Event]] = set()

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        ended = asyncio.Event()
        self._going.add(ended)
        try:
            return await super()._write(batch)
        finally:
            ended.set()
            self._going.discard(ended)

    async def close(self) -> None:
        """Wait for everything that was asked first, however long that takes."""
        for ended in list(self._going):
            await ended.wait()
        await super().close()

    def _limit(self, operation: str) -> AbstractAsyncContextManager[object]:
        return _NoLimit()


class _NoLimit:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *exc: object) -> None: ...


@mutant("conn.close_amid")
class ClosesWhenAllIsAnswered(WireTarget):
    """Closing waits for every answer, and none has a time limit."""

    adapter: type[WireAdapter] = _Patient


class _Forgetful(Pool):
    left: ClassVar[list[Connection]] = []

    async def close(self) -> None:
        """Close what is idle, and leave what waits for an answer as it is."""
        self.left.extend(self._busy)
        self._busy.clear()
        await super().close()

    async def _given_back(self, connection: Connection) -> None:
        if connection not in self.left:
            await super()._given_back(connection)


class _Leaving(WireAdapter):
    pool_class: type[Pool] = _Forgetful


@mutant("conn.close_amid")
class ClosesIdleConnectionsOnly(WireTarget):
    """Closing leaves the connections open on which somebody waits."""

    adapter: type[WireAdapter] = _Leaving
