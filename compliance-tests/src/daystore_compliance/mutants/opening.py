"""Mutants that cannot bear it when an answer is lost while they are opened."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import ClassVar

from daystore.errors import BackendUnavailable, ConfigError
from daystore_compliance.mutants.base import mutant
from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.pool import FAILURES, Connection, NotSent, Pool
from daystore_compliance.wire.protocol import read_frame, write_frame
from daystore_compliance.wire.target import WireTarget


class _Endless(WireAdapter):
    async def _open(self) -> None:
        timeout, self.timeout = self.timeout, None
        try:
            await super()._open()
        finally:
            self.timeout = timeout


@mutant("conn.open_lost_reply[swallowed]")
class OpensWithoutLimit(WireTarget):
    """Opening has no time limit: it waits for an answer that never comes."""

    adapter: type[WireAdapter] = _Endless


class _Careless(Pool):
    made: ClassVar[list[asyncio.StreamWriter]] = []

    async def _connect(self) -> Connection:
        """Connect and greet, and leave a connection as it is whose greeting does not come."""
        try:
            reader, writer = await asyncio.open_connection(*self._address)
            self.made.append(writer)
            write_frame(writer, self._hello)
            greeting = await read_frame(reader)
        except FAILURES as failure:
            raise NotSent from failure
        return self.connection_class(reader, writer, greeting)


class _Leaving(WireAdapter):
    pool_class: type[Pool] = _Careless


@mutant("conn.open_lost_reply[swallowed]")
class LeavesHalfMadeConnections(WireTarget):
    """Opening that fails leaves the connection behind that it was making."""

    adapter: type[WireAdapter] = _Leaving


class _Raw(WireAdapter):
    async def _open(self) -> None:
        try:
            await super()._open()
        except BackendUnavailable as error:
            raise error.__cause__ or error from None


@mutant("conn.open_lost_reply[all_cut]")
class OpeningRaisesWhatTheDriverRaises(WireTarget):
    """Opening that fails ends in the driver's error."""

    adapter: type[WireAdapter] = _Raw


class _Lazy(WireAdapter):
    async def _open(self) -> None:
        with suppress(BackendUnavailable):
            await super()._open()


@mutant("conn.open_lost_reply[all_cut]")
class OpensWithoutAServer(WireTarget):
    """Opening works, whether or not the server answers."""

    adapter: type[WireAdapter] = _Lazy


class _Once(WireAdapter):
    _has_failed: bool = False

    async def _open(self) -> None:
        if self._has_failed:
            raise ConfigError("it was tried before")
        try:
            await super()._open()
        except BackendUnavailable:
            self._has_failed = True
            raise


@mutant("conn.open_lost_reply[all_cut]")
class OpensOnlyOnce(WireTarget):
    """An adapter that could not be opened once can never be opened again."""

    adapter: type[WireAdapter] = _Once
