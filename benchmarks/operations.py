"""Single and batched reads and writes."""

from __future__ import annotations

from benchmarks.measure import Figure, Workload, best, concurrent, sequential
from benchmarks.subjects import PAYLOAD, Subject

BATCH = 500
COLUMNS = ("set", "get", "set x50 tasks", "get x50 tasks", f"set_batch {BATCH}", f"get_batch {BATCH}")


def workload(subject: Subject, column: str, count: int) -> Workload:
    """Make the workload of one column; the keys are the same for all of them."""
    keys = [f"agent:3:message:{number:06}" for number in range(count)]
    batches = [keys[start : start + BATCH] for start in range(0, count, BATCH)]

    async def set_one(number: int) -> None:
        await subject.set(keys[number], PAYLOAD)

    async def get_one(number: int) -> None:
        await subject.get(keys[number])

    async def set_many() -> int:
        for batch in batches:
            await subject.set_batch(dict.fromkeys(batch, PAYLOAD))
        return count

    async def get_many() -> int:
        for batch in batches:
            await subject.get_batch(batch)
        return count

    return {
        "set": lambda: sequential(set_one, count),
        "get": lambda: sequential(get_one, count),
        "set x50 tasks": lambda: concurrent(set_one, count),
        "get x50 tasks": lambda: concurrent(get_one, count),
        f"set_batch {BATCH}": set_many,
        f"get_batch {BATCH}": get_many,
    }[column]


async def measure(subjects: dict[str, Subject], count: int, rounds: int) -> dict[str, dict[str, Figure]]:
    """Measure every column for every subject.

    Returns:
        The figures, by column, then by subject.
    """
    return {
        column: await best(
            {name: workload(subject, column, count) for name, subject in subjects.items()}, rounds
        )
        for column in COLUMNS
    }
