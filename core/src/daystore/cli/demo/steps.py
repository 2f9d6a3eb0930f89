"""The steps of the demo."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from daystore.cli.demo import examples
from daystore.cli.demo.crash import kill_in_mid_write
from daystore.cli.demo.proof import Reported, gather
from daystore.cli.demo.screen import Screen
from daystore.cli.importer import import_with_progress, say_count
from daystore.importing import Survey
from daystore.storage import Storage
from daystore.stores.contexts import Context

__all__ = ["Demo", "one_line", "prove"]

AGENTS = ["agent-1", "agent-2", "agent-3", "agent-4"]
STEPS_BEFORE_THE_KILL = 200
TASKS, INCREMENTS = 16, 50


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo on one backend.

    Attributes:
        screen: Where it is shown.
        url: The backend.
        namespace: Where the histories go. What else the demo writes goes to namespaces beside it.
    """

    screen: Screen
    url: str
    namespace: str

    async def run(self, file: Path, checked: Survey) -> bool:
        """Run all steps.

        Args:
            file: The transcripts to import.
            checked: What `survey` said of them.

        Returns:
            Whether everything came out as promised.
        """
        async with AsyncExitStack() as stack:
            storage = await stack.enter_async_context(self._open())
            await self._import(storage, file, checked)
            shared = await self._is_shared()
            if shared:
                await stack.aclose()
                if not await self._kill():
                    return False
                storage = await stack.enter_async_context(self._open())
            else:
                self._leave_out_kill(storage)
            await self._find(storage)
            await self._remember(storage)
            await self._add_up(storage)
            if not shared:
                return await self._count([storage])
            one = await stack.enter_async_context(self._open("-count"))
            other = await stack.enter_async_context(self._open("-count"))
            return await self._count([one, other])

    async def clean(self) -> None:
        """Delete everything that the demo wrote."""
        for beside in ("", "-crash", "-count"):
            async with self._open(beside) as storage:
                await storage.contexts.clear()
                await storage.memories.clear()
                await storage.events.clear()

    def _open(self, beside: str = "") -> Storage:
        return Storage.open(self.url, namespace=self.namespace + beside)

    async def _is_shared(self) -> bool:
        """Tell whether a second storage sees what the first one wrote, as one in memory does not."""
        async with self._open() as another:
            return await another.contexts.count() > 0

    # --- The steps ------------------------------------------------------------------------------------------

    async def _import(self, storage: Storage, file: Path, checked: Survey) -> None:
        self.screen.step("Existing histories, imported")
        started = time.perf_counter()
        done = await import_with_progress(storage, file, checked)
        seconds = time.perf_counter() - started
        events = await storage.events.count()
        self.screen.say(
            f"{say_count(done.imported, 'run')} as contexts, {say_count(done.messages, 'message')} as entries of "
            f"their memories, {say_count(events, 'event')} to tell of it, in {seconds:.2f} s. Each run was "
            "written whole: its context, its memory and its event in one transaction."
        )

    async def _kill(self) -> bool:
        self.screen.step("A process, killed while it writes")
        self.screen.say(
            f"Another process does steps for {len(AGENTS)} agents at a time. Each step is one transaction: the "
            "agent's context moves on, its memory grows by an entry, an event is emitted. The process reports "
            "what the storage has acknowledged. Then it is killed, at a random moment."
        )
        killed = await kill_in_mid_write(self.url, f"{self.namespace}-crash", AGENTS, STEPS_BEFORE_THE_KILL)
        self.screen.say(
            f"Process {killed.pid} is dead ({_how(killed.code)}). It had reported {killed.acknowledged:,} "
            f"acknowledged steps, and was in the middle of {killed.open} more. Opened again, the storage holds:"
        )
        async with self._open("-crash") as storage:
            proven = await prove(self.screen, storage, killed.reports)
        self.screen.say(
            "This was the end of a process. Whether a backend also promises to survive the end of its machine, "
            "its capability 'durable' tells: daystore plugins.",
            "dim",
        )
        return proven

    def _leave_out_kill(self, storage: Storage) -> None:
        self.screen.step("A process, killed while it writes: left out")
        self.screen.say(
            f"What the backend {storage.contexts.adapter.name!r} holds here ends with the process, so there is "
            "nothing to find again after a kill. Without --url the demo shows it on SQLite."
        )

    async def _find(self, storage: Storage) -> None:
        self.screen.step("Contexts by type and time")
        self.screen.code(examples.types)
        kinds = await examples.types(storage)
        rows = [(k["type"], k["contexts"], _time(k["first"]), _time(k["last"])) for k in kinds]
        self.screen.table(("type", "contexts", "first active", "last active"), rows)
        most = max(kinds, key=lambda k: int(k["contexts"]))
        since = most["first"] + (most["last"] - most["first"]) / 2
        self.screen.code(examples.recent)
        self.screen.say(f"with kind = {most['type']!r} and since = {_time(since)}", "dim")
        found = await examples.recent(storage, most["type"], since)
        contexts = [(c.id, c.type, c.status, c.message_count, _time(c.last_active)) for c in found]
        self.screen.table(("context", "type", "status", "messages", "last active"), contexts, wide="context")

    async def _remember(self, storage: Storage) -> None:
        self.screen.step("The working memory of one context")
        [context] = await storage.contexts.all().order_by("message_count", "desc").limit(1).execute()
        self.screen.code(examples.window)
        self.screen.say(f"with context.id = {context.id!r}, which has {context.message_count} entries", "dim")
        entries = await examples.window(storage, context)
        first = context.message_count - len(entries) + 1
        rows = [(first + place, entry["role"], one_line(entry)) for place, entry in enumerate(entries)]
        self.screen.table(("entry", "role", "content"), rows, wide="content")

    async def _add_up(self, storage: Storage) -> None:
        self.screen.step("Added up by group")
        self.screen.code(examples.outcomes)
        outcomes = [tuple(row.values()) for row in await examples.outcomes(storage)]
        self.screen.table(("type", "status", "runs", "messages", "messages a run"), outcomes)
        self.screen.say("No index holds the reward, so this one says that every record may be looked into:")
        self.screen.code(examples.rewards)
        rewards = [tuple(row.values()) for row in await examples.rewards(storage)]
        self.screen.table(("type", "runs with a reward", "average reward"), rewards)

    async def _count(self, storages: list[Storage]) -> bool:
        self.screen.step("One value, changed by many at once")
        self.screen.code(examples.increment)
        await storages[0].contexts.set("counter", Context("counter", type="counter"))

        async def many(storage: Storage) -> None:
            for _ in range(INCREMENTS):
                await examples.increment(storage, "counter")

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for task in range(TASKS):
                group.create_task(many(storages[task % len(storages)]))
        seconds = time.perf_counter() - started
        counter = await storages[0].contexts.get("counter")
        found = 0 if counter is None else counter.message_count
        over = ", half of them through another connection" if len(storages) > 1 else ""
        self.screen.say(f"{TASKS} tasks, each with {INCREMENTS} increments{over}, in {seconds:.2f} s:")
        if found == TASKS * INCREMENTS:
            self.screen.good(f"the count is {found}, exactly")
        else:
            self.screen.bad(f"the count is {found}, and should be {TASKS * INCREMENTS}")
        return found == TASKS * INCREMENTS


async def prove(screen: Screen, storage: Storage, reports: list[Reported]) -> bool:
    """Compare what a killed worker reported with what is stored, and show it.

    Args:
        screen: Where to show it.
        storage: The storage it wrote to, open.
        reports: What it said.

    Returns:
        Whether everything acknowledged is there, and nothing by halves.
    """
    evidence = await gather(storage, reports)
    columns = ("agent", "acknowledged", "in context", "in memory", "in events", "lost", "by halves")
    rows = [
        (
            e.reported.agent,
            e.reported.acknowledged,
            e.context,
            len(e.memory),
            len(e.events),
            len(e.lost),
            len(e.halves),
        )
        for e in evidence
    ]
    total: list[object] = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
    screen.table(columns, [*rows, ("all", *total)])
    acknowledged = sum(e.reported.acknowledged for e in evidence)
    if not all(e.is_sound for e in evidence):
        wrong = sum(not e.is_sound for e in evidence)
        screen.bad(f"what is stored of {wrong} of {len(evidence)} agents is not what was acknowledged")
        return False
    screen.good(
        f"all {acknowledged:,} acknowledged steps are there, in all three places and in order; none by halves"
    )
    if more := sum(len(e.in_flight) for e in evidence):
        screen.say(f"{more} more had been committed, but the kill came before the report. Whole, too.")
    return True


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"code {code}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def one_line(message: dict[str, Any]) -> str:
    """Put a message of any shape into one line."""
    content = message.get("content")
    parts = [] if content is None else [content if isinstance(content, str) else _json(content)]
    calls = message.get("tool_calls")
    parts += [_call(call) for call in (calls if isinstance(calls, list) else [])]
    return " ".join(" ".join(parts).split())


def _call(call: object) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return f"→ {_json(call)}"
    return f"→ {function.get('name')}({function.get('arguments')})"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
