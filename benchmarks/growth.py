"""Does the cost stay the same when the data grow a thousandfold?"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.measure import Figure, Step, Workload, best, sequential
from daystore import Storage

FEWEST = 1_000
BATCH = 1_000
MATCHES = 20  # records of one topic, however many there are
CALLS = 200
PAGES = 20
OPERATIONS = 5
FILL_SECONDS = 1_200.0

Growth = dict[str, dict[int, Figure]]
"""By operation, then by number of records."""


def sizes(most: int) -> list[int]:
    """Return the numbers of records to measure at: tenfold each time."""
    found = [FEWEST]
    while found[-1] * 10 <= most:
        found.append(found[-1] * 10)
    return found


def runs(most: int, rounds: int) -> int:
    """Return how many batches and runs `measure` makes."""
    found = sizes(most)
    return found[-1] // BATCH + len(found) * rounds * OPERATIONS


async def measure(
    url: str, most: int, rounds: int, settle: Callable[[], Awaitable[None]], step: Step
) -> Growth:
    """Let one store grow, and measure get, an indexed query, a count and a cursor page at each size.

    Ends early, with the sizes that were reached, if it took longer than `FILL_SECONDS` to fill.

    Args:
        url: Of the backend.
        most: Records at the end.
        rounds: How often each is measured.
        settle: Called when a size is reached.
        step: Told what goes on.
    """
    figures: Growth = {}
    spent, filled = 0.0, 0
    async with Storage.open(url, namespace="growth") as storage:
        notes = storage.store("notes", indexes={"topic": str, "rank": int})
        for size in sizes(most):
            begun = time.monotonic()
            topics = Topics(filled, size)
            for start in range(filled, size, BATCH):
                step(f"{start:,} records")
                await notes.set_batch({_key(n): topics.value(n) for n in range(start, start + BATCH)})
                if spent + time.monotonic() - begun > FILL_SECONDS:
                    return figures
            spent, filled = spent + time.monotonic() - begun, size
            await settle()
            await _prove(notes, topics)
            for name, figure in (await best(_workloads(notes, topics), rounds, step)).items():
                figures.setdefault(name, {})[size] = figure
    return figures


async def _prove(notes: Any, topics: Topics) -> None:
    """Make sure that the answers are right, before their speed says anything."""
    topic = notes.where("topic", "=", topics.name(0))
    if await topic.count() != MATCHES or await notes.get(_key(topics.size - 1)) is None:
        raise RuntimeError(f"the answers are wrong among {topics.size:,} records, so they cannot be measured")


def _key(number: int) -> str:
    return f"note:{number:07}"


class Topics:
    """How records from `first` to `size` are spread over topics: `MATCHES` of them have each, far apart."""

    def __init__(self, first: int, size: int) -> None:
        self.size, self.number = size, (size - first) // MATCHES

    def name(self, number: int) -> str:
        """Return the topic of a record."""
        return f"topic-{self.size}-{number % self.number}"

    def value(self, number: int) -> dict[str, Any]:
        """Return a record."""
        return {"topic": self.name(number), "rank": number, "text": "The train leaves at 09:40. " * 4}


def _workloads(notes: Any, topics: Topics) -> dict[str, Workload]:
    size = topics.size
    stride = 7_919  # a prime: calls that follow each other ask for records far apart
    middle = notes.where("rank", ">=", size // 2).order_by("rank")

    async def get(number: int) -> None:
        await notes.get(_key(number * stride % size))

    async def query(number: int) -> None:
        await notes.where("topic", "=", topics.name(number * stride)).limit(10).execute()

    async def ordered(_: int) -> None:
        await notes.all().order_by("rank", "desc").limit(10).execute()

    async def count(number: int) -> None:
        await notes.where("topic", "=", topics.name(number * stride)).count()

    async def pages() -> int:
        cursor = None
        for _ in range(PAGES):
            page = await middle.page(10, cursor)
            cursor = page.cursor
        return PAGES

    return {
        "get by key": lambda: sequential(get, CALLS),
        "query by indexed field, limit 10": lambda: sequential(query, CALLS),
        "query in order of a field, limit 10": lambda: sequential(ordered, CALLS),
        f"count of {MATCHES} matches": lambda: sequential(count, CALLS),
        "cursor page of 10": pages,
    }
