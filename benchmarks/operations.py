"""Single and batched reads and writes."""

from __future__ import annotations

from functools import partial

from benchmarks.measure import Figure, Step, Workload, best, concurrent, sequential
from benchmarks.subjects import BatchSubject, Subject

BATCH = 500
PASSES = 3  # of all batches in one run, which would be short otherwise

SET, GET = "set", "get"
SET_64, GET_64 = "set, 64 tasks", "get, 64 tasks"
SET_200, GET_200 = "set, 200 tasks", "get, 200 tasks"
SET_BATCH, GET_BATCH = f"set_batch of {BATCH}", f"get_batch of {BATCH}"
COLUMNS = (SET, GET, SET_64, GET_64, SET_200, GET_200, SET_BATCH, GET_BATCH)

Figures = dict[str, dict[str, Figure]]
"""By column, then by subject; a subject is missing where it cannot do what the column asks."""


def workloads(subject: Subject, count: int) -> dict[str, Workload]:
    """Make the workloads of all columns that a subject is able to run; their keys are the same."""
    keys = [f"agent:3:message:{number:06}" for number in range(count)]
    payload = subject.payload

    async def set_one(number: int) -> None:
        await subject.set(keys[number], payload)

    async def get_one(number: int) -> None:
        await subject.get(keys[number])

    found: dict[str, Workload] = {
        SET: lambda: sequential(set_one, count),
        GET: lambda: sequential(get_one, count),
        SET_64: lambda: concurrent(set_one, count, 64),
        GET_64: lambda: concurrent(get_one, count, 64),
        SET_200: lambda: concurrent(set_one, count, 200),
        GET_200: lambda: concurrent(get_one, count, 200),
    }
    if isinstance(subject, BatchSubject):
        found |= _batches(subject, keys)
    return found


def _batches(subject: BatchSubject, keys: list[str]) -> dict[str, Workload]:
    batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]

    async def set_many() -> int:
        for batch in batches * PASSES:
            await subject.set_batch(dict.fromkeys(batch, subject.payload))
        return len(keys) * PASSES

    async def get_many() -> int:
        for batch in batches * PASSES:
            await subject.get_batch(batch)
        return len(keys) * PASSES

    return {SET_BATCH: set_many, GET_BATCH: get_many}


async def prove(name: str, subject: Subject) -> None:
    """Make sure that a subject keeps what it is given, before its speed says anything.

    Raises:
        RuntimeError: If it does not.
    """
    keys = [f"proof:{number}" for number in range(10)]
    await subject.set(keys[0], subject.payload)
    kept = await subject.get(keys[0]) is not None
    if isinstance(subject, BatchSubject):
        await subject.set_batch(dict.fromkeys(keys, subject.payload))
        kept = kept and len(await subject.get_batch(keys)) == len(keys)
    if not kept:
        raise RuntimeError(f"{name} did not return what it was given, so it cannot be measured")


def runs(rounds: int, subjects: int) -> int:
    """Return how many runs `measure` makes at most."""
    return len(COLUMNS) * rounds * subjects


def _tell(step: Step, column: str, subject: str) -> None:
    step(f"{column}: {subject}")


async def measure(subjects: dict[str, Subject], count: int, rounds: int, step: Step) -> Figures:
    """Measure every column for every subject."""
    for name, subject in subjects.items():
        await prove(name, subject)
    able = {name: workloads(subject, count) for name, subject in subjects.items()}
    return {
        column: await best(
            {name: own[column] for name, own in able.items() if column in own},
            rounds,
            partial(_tell, step, column),
        )
        for column in COLUMNS
    }
