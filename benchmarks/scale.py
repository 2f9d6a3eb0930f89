"""Does the cost stay the same when the data grows a hundredfold?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Workload, best, sequential

SIZES = (1_000, 100_000)
MATCHES = 20  # records of one topic, at either size
CALLS = 200


async def measure(folder: Path, rounds: int) -> dict[str, dict[int, Figure]]:
    """Measure get, an indexed query, a count and a cursor page on SQLite at each size.

    Returns:
        The figures, by operation, then by number of records.
    """
    from daystore import Storage

    figures: dict[str, dict[int, Figure]] = {}
    for size in SIZES:
        async with Storage.open(f"sqlite:///{folder}/scale-{size}.db") as storage:
            notes = storage.store("notes", indexes={"topic": str, "rank": int})
            for start in range(0, size, 1_000):
                numbers = range(start, start + 1_000)
                await notes.set_batch(
                    {f"note:{n:06}": {"topic": f"topic-{n % (size // MATCHES)}", "rank": n} for n in numbers}
                )
            for name, figure in (await best(_workloads(notes, size), rounds)).items():
                figures.setdefault(name, {})[size] = figure
    return figures


def _workloads(notes: Any, size: int) -> dict[str, Workload]:
    middle = notes.where("rank", ">=", size // 2).order_by("rank")
    topic = notes.where("topic", "=", "topic-7")

    async def get(number: int) -> None:
        await notes.get(f"note:{number * (size // CALLS):06}")

    async def query(_: int) -> None:
        await topic.limit(10).execute()

    async def ordered(_: int) -> None:
        await notes.all().order_by("rank", "desc").limit(10).execute()

    async def count(_: int) -> None:
        await topic.count()

    async def pages() -> int:
        cursor = None
        for _ in range(20):
            page = await middle.page(10, cursor)
            cursor = page.cursor
        return 20

    return {
        "get by key": lambda: sequential(get, CALLS),
        "query by indexed field, limit 10": lambda: sequential(query, CALLS),
        "query in order of a field, limit 10": lambda: sequential(ordered, CALLS),
        f"count of {MATCHES} matches": lambda: sequential(count, CALLS),
        "cursor page of 10": pages,
    }
