"""Is everything there that was acknowledged, and nothing by halves?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from daystore.cli.demo.worker import STEP
from daystore.storage import Storage

__all__ = ["Evidence", "Reported", "gather"]


@dataclass(frozen=True, slots=True)
class Reported:
    """What the worker said of one agent before it was killed.

    Attributes:
        agent: Its id.
        begun: The last step that it began.
        acknowledged: The last step that the storage acknowledged.
    """

    agent: str
    begun: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found of one agent afterwards, beside what the worker said.

    Attributes:
        reported: What the worker said.
        context: The last step that its context knows of.
        memory: The steps in its memory, in the order of the entries.
        events: The steps of its events, in their order.
    """

    reported: Reported
    context: int
    memory: list[int]
    events: list[int]

    @property
    def whole(self) -> set[int]:
        """The steps that are in all three places."""
        return set(range(1, self.context + 1)) & set(self.memory) & set(self.events)

    @property
    def lost(self) -> set[int]:
        """The steps that were acknowledged and are missing in at least one place."""
        return set(range(1, self.reported.acknowledged + 1)) - self.whole

    @property
    def halves(self) -> set[int]:
        """The steps that are in one place and not in all."""
        return (set(range(1, self.context + 1)) | set(self.memory) | set(self.events)) - self.whole

    @property
    def in_flight(self) -> set[int]:
        """The steps that were applied, though the worker was killed before it could say so."""
        return self.whole - set(range(1, self.reported.acknowledged + 1))

    @property
    def is_sound(self) -> bool:
        """Whether nothing is lost, by halves, out of order, there twice, or there though never begun."""
        steps = list(range(1, self.context + 1))
        return (
            self.memory == self.events == steps
            and self.reported.acknowledged <= self.context <= self.reported.begun
        )


async def gather(storage: Storage, reports: Iterable[Reported]) -> list[Evidence]:
    """Read everything that is stored of the agents.

    Args:
        storage: An open storage.
        reports: What the worker said of each agent.
    """
    found = []
    for reported in reports:
        context = await storage.contexts.get(reported.agent)
        memory = [entry["step"] async for entry in storage.memories.of(reported.agent)]
        events = await storage.events.read(context_id=reported.agent, type=STEP)
        steps = [event.payload["step"] for event in events]
        found.append(Evidence(reported, 0 if context is None else context.message_count, memory, steps))
    return found
