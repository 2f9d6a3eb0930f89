"""Transactions over the records of one backend or of several."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daystore.abc.adapter import Adapter
from daystore.abc.coordination import Coordinator, Part
from daystore.abc.record import WriteBatch
from daystore.abc.transaction import RecordTransaction
from daystore.errors import (
    ConfigError,
    OutcomeUnknown,
    TransactionConflict,
    UnsupportedOperation,
    VersionConflict,
)

__all__ = ["CommitPlan", "JointTransaction"]

_commits: set[asyncio.Task[None]] = set()  # a commit whose caller was cancelled runs on to its end


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """How a transaction will commit, as far as it is known.

    Attributes:
        path: ``nothing`` if there is nothing to commit, ``atomic`` for one atomic write of one backend,
            ``coordinated`` for intents and a status record.
        backends: Names of the backends concerned.
        coordinator: Name of the backend whose status record decides; ``None`` unless coordinated.
        durable: Whether what it commits survives a crash of every machine: only if all backends concerned, the
            coordinator included, are durable.
    """

    path: Literal["nothing", "atomic", "coordinated"]
    backends: tuple[str, ...]
    coordinator: str | None
    durable: bool


class JointTransaction:
    """The transactions over records of several backends, which commit together.

    If one backend alone is concerned in the end, it commits by itself.

    Args:
        backends: The backends of the storage, by name.
        coordinator: Which of them decides; otherwise the first durable one that is concerned, or the first.

    Raises:
        ConfigError: If there is no such backend.
    """

    def __init__(self, backends: Mapping[str, Adapter], coordinator: str | None = None) -> None:
        if coordinator is not None and coordinator not in backends:
            raise ConfigError(f"there is no backend {coordinator!r} that could coordinate a transaction")
        self._backends = backends
        self._wanted = coordinator
        self._joined: dict[str, RecordTransaction] = {}
        self._adapters: dict[str, Adapter] = {}
        self._coordinator: str | None = None
        self._begun: bytes | None = None
        self._leaving: list[asyncio.Task[None]] = []

    def join(self, adapter: Adapter, records: RecordTransaction) -> None:
        """Let a transaction over the records of a backend commit together with the others.

        Raises:
            UnsupportedOperation: If there are several then, and one cannot take part in that.
        """
        name = next((name for name, one in self._backends.items() if one is adapter), "")
        joined = {**self._joined, name: records}
        if self._joined:
            if "" in joined:
                raise UnsupportedOperation(
                    "a transaction holds stores of the backends of one storage, and this store is on another one: "
                    "make its backend one of the storage's, or use two transactions",
                    capability="transactions",
                    backend=adapter.name,
                    operation="transaction",
                )
            self._coordinate(joined)
        self._joined = joined
        self._adapters[name] = adapter

    def _coordinate(self, joined: Mapping[str, RecordTransaction]) -> None:
        """Begin with the coordinator, now that there will be something to coordinate, or take over what was."""
        for name in joined:
            adapter = self._backends[name]
            if adapter.coordinator is None:
                raise UnsupportedOperation(
                    f"a transaction over several backends needs all of them to keep intents, and {name!r} does "
                    "not: put the stores on the same backend, or use two transactions",
                    capability="intents",
                    backend=adapter.name,
                    operation="transaction",
                )
        if self._coordinator is None:
            durable = [name for name in joined if self._backends[name].capabilities.durable]
            self._coordinator = self._wanted or next(iter(durable or joined))
        for name, records in joined.items():
            begun = records.leave_to_others()
            if begun is not None and name == self._coordinator:
                self._begun = begun
            elif begun is not None:
                self._leave(name, begun)
        if self._begun is None:
            self._begun = self._chosen().begin()

    def _chosen(self) -> Coordinator:
        assert self._coordinator is not None  # noqa: S101 - several have joined
        return self._coordinator_of(self._coordinator)

    def _coordinator_of(self, name: str) -> Coordinator:
        found = self._backends[name].coordinator
        if found is None:
            raise UnsupportedOperation(
                f"the backend {name!r} keeps no intents, so it cannot coordinate a transaction",
                capability="intents",
                operation="transaction",
            )
        return found

    def _leave(self, name: str, begun: bytes) -> None:
        leaving = self._coordinator_of(name).discard(begun)
        if leaving is not None:
            self._leaving.append(leaving)

    def explain(self) -> CommitPlan:
        """Say how what was done so far would be committed."""
        batches = self._batches()
        if not batches:
            return CommitPlan("nothing", (), None, durable=True)
        concerned = [self._adapters[name] for name in batches]
        if len(batches) == 1:
            (name,) = batches
            coordinator = concerned[0].coordinator
            atomic = coordinator is None or coordinator.participant.is_one_unit(batches[name])
            durable = concerned[0].capabilities.durable
            return CommitPlan(
                "atomic" if atomic else "coordinated", (name,), None if atomic else name, durable=durable
            )
        assert self._coordinator is not None  # noqa: S101 - several have joined
        concerned.append(self._backends[self._coordinator])
        durable = all(adapter.capabilities.durable for adapter in concerned)
        return CommitPlan("coordinated", tuple(batches), self._coordinator, durable=durable)

    def _batches(self) -> dict[str, WriteBatch]:
        if len(self._joined) < 2:
            found = {name: records.alone() for name, records in self._joined.items()}
        else:
            found = {name: records.joined() for name, records in self._joined.items()}
        return {name: batch for name, batch in found.items() if batch is not None}

    def abort(self) -> None:
        """End without applying anything."""
        for records in self._joined.values():
            if records.state == "open":
                records.abort()
        self._give_up()

    def _give_up(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None and self._coordinator is not None:
            self._leave(self._coordinator, begun)

    async def gone(self) -> None:
        """Wait until nothing is left at the coordinators of what was given up."""
        for records in self._joined.values():
            await records.gone()
        for leaving in self._leaving:
            await asyncio.shield(leaving)

    async def commit(self) -> None:
        """Check everything seen and apply everything written, at one instant.

        A cancellation while it runs propagates at once, and the commit goes on to its end.

        Raises:
            TransactionConflict: If another writer changed what was read. Nothing was applied.
            OutcomeUnknown: If it cannot be told whether it was applied.
            TransactionClosed: If one of the transactions has ended already. Nothing was applied.
        """
        if len(self._joined) < 2:
            for records in self._joined.values():
                await records.commit()
            return
        try:
            batches = self._batches()
            for records in self._joined.values():
                records.begin_commit()
        except BaseException:
            self._give_up()
            raise
        task = asyncio.ensure_future(self._run(batches))
        _commits.add(task)
        task.add_done_callback(_done)
        await asyncio.shield(task)

    async def _run(self, batches: Mapping[str, WriteBatch]) -> None:
        try:
            if len(batches) == 1:
                ((name, batch),) = batches.items()
                if name == self._coordinator:
                    batch.own, self._begun = self._begun, None
                self._give_up()
                await self._adapters[name].write(batch)
            elif batches:
                await self._commit_parts(batches)
            else:
                self._give_up()
        except VersionConflict as error:
            self._end("aborted")
            raise TransactionConflict(
                "another writer changed what this transaction read; nothing was applied, run it again",
                backend=error.backend,
                operation="commit",
            ) from error
        except (OutcomeUnknown, asyncio.CancelledError):
            self._end("unknown")
            raise
        except BaseException:
            self._end("aborted")
            raise
        self._end("committed")

    async def _commit_parts(self, batches: Mapping[str, WriteBatch]) -> None:
        chosen = self._chosen()
        parts = []
        for name, batch in batches.items():
            coordinator = self._backends[name].coordinator
            if coordinator is None:
                raise UnsupportedOperation(
                    "a backend was closed while a transaction used it", operation="commit"
                )
            own = "" if name == self._coordinator else name
            parts.append(Part(coordinator.participant, own, batch))
        begun, self._begun = self._begun, None
        await chosen.commit(parts, begun, name=self._coordinator or "")

    def _end(self, state: Literal["aborted", "committed", "unknown"]) -> None:
        for records in self._joined.values():
            records.end(state)


def _done(task: asyncio.Task[None]) -> None:
    _commits.discard(task)
    if not task.cancelled():
        task.exception()  # its caller may be gone; the states tell
