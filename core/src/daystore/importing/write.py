"""Writing runs into a storage: each a context, its messages the entries of a memory, and an event.

A run is written whole or not at all: its context, its memory and its event are applied by one transaction, which
holds as many whole runs as fit. Whenever an import ends, for whatever reason, another one goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from daystore.abc.clock import from_instant
from daystore.errors import DaystoreError, LimitExceeded, SerializationError, TranscriptError
from daystore.importing.runs import Run, read_runs
from daystore.stores.contexts import Context

if TYPE_CHECKING:
    from daystore.storage import Storage
    from daystore.transactions.transaction import Transaction

__all__ = ["BATCH", "EVENT", "IfExists", "Progress", "Survey", "import_file", "survey"]

BATCH = 200
"""Records of one transaction, unless another number is asked for."""

EVENT = "context.imported"
"""Type of the event that tells of each imported run."""

IfExists: TypeAlias = Literal["skip", "error", "overwrite"]

_BESIDE_MESSAGES = 5  # context, head and end of the memory, two checks of what was there, event


@dataclass(frozen=True, slots=True)
class Survey:
    """How much there is in a file.

    Attributes:
        runs: How many runs.
        messages: How many messages they have together.
    """

    runs: int
    messages: int


@dataclass(slots=True)
class Progress:
    """What an import has done so far.

    Attributes:
        imported: Runs that are new in the storage.
        replaced: Runs that took the place of what was there under their id.
        unchanged: Runs that were left out, because the same run was imported before.
        differing: Ids of runs that were left out, because something else is there under their id.
        messages: Messages written.
        messages_seen: Messages of all runs looked at.
    """

    imported: int = 0
    replaced: int = 0
    unchanged: int = 0
    differing: list[str] = field(default_factory=list)
    messages: int = 0
    messages_seen: int = 0

    @property
    def runs_seen(self) -> int:
        """Runs looked at."""
        return self.imported + self.replaced + self.unchanged + len(self.differing)

    def add(self, more: Progress) -> None:
        """Count what one more transaction has done."""
        self.imported += more.imported
        self.replaced += more.replaced
        self.unchanged += more.unchanged
        self.differing += more.differing
        self.messages += more.messages
        self.messages_seen += more.messages_seen


def survey(path: Path) -> Survey:
    """Read a whole file and check it, without writing anything.

    Args:
        path: A file of transcripts; see `daystore.importing.read_runs`.

    Raises:
        TranscriptError: If anything in it is not as it should be.
    """
    runs = messages = 0
    for run in read_runs(path):
        runs += 1
        messages += len(run.messages)
    return Survey(runs, messages)


async def import_file(
    storage: Storage,
    path: Path,
    *,
    default_type: str = "chat",
    batch: int = BATCH,
    if_exists: IfExists = "skip",
    progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Write the runs of a file into a storage. Check the file with `survey` first.

    Args:
        storage: An open storage whose contexts, memories and events are on one backend with transactions.
        path: A file of transcripts; see `daystore.importing.read_runs`.
        default_type: Type of the contexts of runs that name none.
        batch: Most records of one transaction. A run that has more is one transaction by itself.
        if_exists: What to do with a run whose id is there: ``skip`` it, raise an ``error`` before anything is
            written, or ``overwrite`` what is there.
        progress: Called after each transaction.

    Returns:
        What was done.

    Raises:
        TranscriptError: If a run cannot be read or stored, or is there and must not be. What was written until
            then are whole runs.
        ValueError: If `batch` is not positive.
    """
    if batch < 1:
        raise ValueError("a batch has at least one record")
    most = storage.contexts.adapter.capabilities.limits.max_atomic_ops
    size = batch if most is None else min(batch, most)
    if if_exists == "error":
        await _refuse_existing(storage, path, size)
    if if_exists == "overwrite":
        size = 1  # what is overwritten counts too, so each run is by itself
    importer = _Importer(storage, path, default_type, if_exists)
    done = Progress()
    async for group in _groups(path, size):
        done.add(await importer.write(group))
        if progress is not None:
            progress(done)
    return done


async def _refuse_existing(storage: Storage, path: Path, size: int) -> None:
    async for group in _groups(path, size):
        found = await storage.contexts.get_batch(run.id for run in group)
        for run in group:
            if run.id in found:
                raise _is_there(path, run)


def _is_there(path: Path, run: Run) -> TranscriptError:
    problem = "its id is in the storage already: skip what is there, or overwrite it"
    return TranscriptError(path, problem, run.position)


async def _groups(path: Path, size: int) -> AsyncIterator[list[Run]]:
    """Read a file in a thread, as groups of whole runs of up to so many records."""
    groups = _grouped(read_runs(path), size)
    while group := await asyncio.to_thread(next, groups, None):
        yield group


def _grouped(runs: Iterator[Run], size: int) -> Iterator[list[Run]]:
    group: list[Run] = []
    records = 0
    for run in runs:
        needed = len(run.messages) + _BESIDE_MESSAGES
        if group and records + needed > size:
            yield group
            group, records = [], 0
        group.append(run)
        records += needed
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class _Importer:
    """Writes groups of runs, each in one transaction."""

    storage: Storage
    path: Path
    default_type: str
    if_exists: IfExists

    async def write(self, runs: list[Run]) -> Progress:
        async def body(tx: Transaction) -> Progress:
            done = Progress()
            contexts = await tx.contexts.get_batch(run.id for run in runs)
            for run in runs:
                await self._write_run(tx, run, contexts.get(run.id), done)
            return done

        try:
            return await self.storage.transaction(body)
        except LimitExceeded as error:
            raise self._cannot_be_stored(runs[0], error) from error

    async def _write_run(self, tx: Transaction, run: Run, there: Context | None, done: Progress) -> None:
        done.messages_seen += len(run.messages)
        if there is not None or await tx.memories.window(run.id, 1):
            if self.if_exists == "error":
                raise _is_there(self.path, run)
            if self.if_exists == "skip":
                if there is not None and _digest(there) == run.digest:
                    done.unchanged += 1
                else:
                    done.differing.append(run.id)
                return
            await tx.memories.clear(run.id)
            done.replaced += 1
        else:
            done.imported += 1
        try:
            await tx.contexts.set(run.id, self._context(run))
            await tx.memories.append(run.id, run.messages)
            payload = {"context_id": run.id, "messages": len(run.messages), "file": self.path.name}
            await tx.events.emit(EVENT, payload)
        except (LimitExceeded, SerializationError) as error:
            raise self._cannot_be_stored(run, error) from error
        done.messages += len(run.messages)

    def _context(self, run: Run) -> Context:
        now = from_instant(self.storage.contexts.adapter.clock())
        ended = run.ended or run.started or now
        return Context(
            id=run.id,
            type=run.type or self.default_type,
            status=run.status or _outcome(run.reward),
            last_active=ended,
            message_count=len(run.messages),
            duration=max(0.0, (ended - run.started).total_seconds()) if run.started else 0.0,
            user_id=run.user_id,
            agent_id=run.agent_id,
            title=run.title,
            metadata={
                "run": run.rest,
                "import": {"file": self.path.name, "sha256": run.digest, "at": now, "started": run.started},
            },
        )

    def _cannot_be_stored(self, run: Run, error: DaystoreError) -> TranscriptError:
        return TranscriptError(self.path, f"cannot be stored: {error}", run.position)


def _outcome(reward: float | None) -> str:
    """Say in a word what a reward means, where the run itself does not."""
    if reward is None:
        return "completed"
    return "succeeded" if reward >= 1 else "failed" if reward <= 0 else "partial"


def _digest(context: Context) -> Any:
    imported = context.metadata.get("import")
    return imported.get("sha256") if isinstance(imported, dict) else None
