"""Writing runs into a storage: exactly, whole, and as often as you like."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daystore import Storage
from daystore.importing import EVENT, Progress, TranscriptError, import_file, read_runs, survey

Write = Callable[[str, object], Path]
HELLO = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]

# Imports a file, and reports the progress after each transaction on a pipe.
IMPORT = """
import asyncio, os, sys
from pathlib import Path
from daystore import Storage
from daystore.importing import import_file
async def main():
    async with Storage.open(sys.argv[1]) as storage:
        await import_file(storage, Path(sys.argv[2]), batch=1, progress=lambda done: os.write(1, b"."))
asyncio.run(main())
"""


def on(url: str, body: Callable[[Storage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Storage.open(url) as storage:
            await body(storage)

    asyncio.run(main())


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'agent.db'}"


def runs(*numbers: int, **rest: object) -> list[dict[str, Any]]:
    return [
        {"id": f"run-{n}", "messages": [{"role": "user", "n": i} for i in range(n)], **rest} for n in numbers
    ]


async def everything(storage: Storage) -> dict[str, list[Any]]:
    """The memory of each context; fails if anything belongs to no context."""
    found = {
        entry.key: [item async for item in storage.memories.of(entry.key)]
        async for entry in storage.contexts.scan()
    }
    assert await storage.memories.count() == sum(map(len, found.values()))
    return found


async def assert_whole(storage: Storage, file: Path) -> int:
    """Everything in the storage is a whole run of the file; returns how many there are."""
    expected = {run.id: run for run in read_runs(file)}
    found = await everything(storage)
    events = await storage.events.read(type=EVENT)
    assert sorted(event.payload["context_id"] for event in events) == sorted(found)
    for key, memory in found.items():
        assert memory == expected[key].messages
        context = await storage.contexts.get(key)
        assert context is not None
        assert context.message_count == len(memory)
        assert context.metadata["run"] == expected[key].rest
    return len(found)


@pytest.mark.parametrize("url", ["memory://", "sqlite"])
def test_every_message_and_everything_beside_comes_back_exactly(
    url: str, database: str, transcripts: Path
) -> None:
    async def check(storage: Storage) -> None:
        await import_file(storage, transcripts)
        assert await assert_whole(storage, transcripts) == survey(transcripts).runs

    on(database if url == "sqlite" else url, check)


def test_order_of_keys_and_types_of_values_come_back(write: Write) -> None:
    text = '[{"z": 1, "role": "user", "a": 1.0, "big": 36893488147419103232, "e": {}, "n": [null]}]'

    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", text))
        [memory] = (await everything(storage)).values()
        assert json.dumps(memory) == text

    on("memory://", check)


def test_a_context_tells_of_its_run(write: Write) -> None:
    raw = {
        "id": "a/1",
        "type": "support",
        "reward": 0.5,
        "user_id": "u",
        "agent_id": "g",
        "title": "Grüße",
        "started_at": "2026-03-01T08:00:00Z",
        "ended_at": "2026-03-01T08:01:30Z",
        "messages": HELLO,
    }

    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", [raw]))
        [context] = await storage.contexts.where("type", "=", "support").execute()
        assert (context.id, context.status, context.message_count) == ("a/1", "partial", 2)
        assert (context.user_id, context.agent_id, context.title) == ("u", "g", "Grüße")
        assert context.last_active == datetime(2026, 3, 1, 8, 1, 30, tzinfo=UTC)
        assert context.duration == 90.0
        assert context.metadata["import"]["file"] == "a.json"
        [event] = await storage.events.read(context_id="a/1")
        assert (event.type, event.payload["messages"]) == (EVENT, 2)

    on("memory://", check)


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ({}, "completed"),
        ({"reward": 1}, "succeeded"),
        ({"reward": 0.0}, "failed"),
        ({"reward": 0.3}, "partial"),
        ({"reward": 1, "status": "disputed"}, "disputed"),
    ],
)
def test_the_status_is_that_of_the_run_or_of_its_reward(
    write: Write, rest: dict[str, object], status: str
) -> None:
    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", [{**rest, "messages": HELLO}]))
        assert [context.status for context in await storage.contexts.all().execute()] == [status]

    on("memory://", check)


def test_the_default_type_is_for_runs_that_name_none(write: Write) -> None:
    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", [*runs(1), *runs(2, type="own")]), default_type="task")
        assert {c.id: c.type async for c in storage.contexts.all()} == {"run-1": "task", "run-2": "own"}

    on("memory://", check)


def test_labels_too_long_to_be_indexed_stay_in_the_metadata(write: Write) -> None:
    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", runs(1, type="t" * 5000, user_id="u" * 5000)))
        [context] = await storage.contexts.all().execute()
        assert (context.type, context.user_id) == ("chat", None)
        assert context.metadata["run"]["type"] == "t" * 5000

    on("memory://", check)


# --- Again ------------------------------------------------------------------------------------------------


def test_importing_again_changes_nothing(database: str, sample: Path) -> None:
    async def check(storage: Storage) -> None:
        first = await import_file(storage, sample)
        before = [(entry.key, entry.version) async for entry in storage.memories.scan()]
        again = await import_file(storage, sample)
        assert (first.imported, again.imported, again.unchanged) == (8, 0, 8)
        assert again.messages == 0
        assert before == [(entry.key, entry.version) async for entry in storage.memories.scan()]
        assert await assert_whole(storage, sample) == 8

    on(database, check)


def test_another_run_under_the_same_id_is_left_out_and_named(write: Write) -> None:
    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", runs(1, 2)))
        other = [{"id": "run-2", "messages": HELLO}, *runs(1, 3)]
        done = await import_file(storage, write("b.json", other))
        assert (done.imported, done.unchanged, done.differing) == (1, 1, ["run-2"])
        assert (await storage.memories.window("run-2")) == runs(2)[0]["messages"]

    on("memory://", check)


def test_a_memory_without_a_context_is_not_mixed_with_a_run(write: Write) -> None:
    async def check(storage: Storage) -> None:
        await storage.memories.append("run-2", ["mine"])
        done = await import_file(storage, write("a.json", runs(1, 2)))
        assert (done.imported, done.differing) == (1, ["run-2"])
        assert await storage.memories.window("run-2") == ["mine"]

    on("memory://", check)


def test_overwriting_replaces_context_and_memory(database: str, write: Write) -> None:
    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", runs(5, 6)))
        await storage.memories.append("run-5", ["more"])
        other = write("b.json", [{"id": "run-5", "messages": HELLO}, *runs(7)])
        done = await import_file(storage, other, if_exists="overwrite")
        assert (done.imported, done.replaced, done.messages) == (1, 1, 9)
        assert await everything(storage) == {
            "run-5": HELLO,
            "run-6": runs(6)[0]["messages"],
            "run-7": runs(7)[0]["messages"],
        }
        assert await storage.memories.append("run-5", ["next"]) == ["run-5/000000000002"]

    on(database, check)


def test_error_writes_nothing_if_one_is_there(write: Write) -> None:
    async def check(storage: Storage) -> None:
        await import_file(storage, write("a.json", runs(30)))
        with pytest.raises(TranscriptError, match=r"\[29\]: its id is in the storage already"):
            await import_file(storage, write("b.json", runs(*range(1, 60))), if_exists="error", batch=20)
        assert await storage.contexts.count() == 1

    on("memory://", check)


# --- Transactions -----------------------------------------------------------------------------------------


def test_transactions_hold_whole_runs_up_to_the_batch(write: Write) -> None:
    seen: list[int] = []

    async def check(storage: Storage) -> None:
        def note(done: Progress) -> None:
            seen.append(done.runs_seen)

        await import_file(storage, write("a.json", runs(10, 11, 12, 100, 1, 2)), batch=40, progress=note)
        assert await storage.contexts.count() == 6

    on("memory://", check)
    assert seen == [2, 3, 4, 6]


def test_a_batch_is_positive(sample: Path) -> None:
    async def check(storage: Storage) -> None:
        with pytest.raises(ValueError, match="at least one record"):
            await import_file(storage, sample, batch=0)

    on("memory://", check)


def test_a_run_that_cannot_be_stored_is_named_and_leaves_whole_runs(write: Write) -> None:
    deep: object = None
    for _ in range(400):
        deep = [deep]
    file = write("a.json", [*runs(1, 2), {"id": "deep", "messages": [{"role": "user", "x": deep}]}])

    async def check(storage: Storage) -> None:
        with pytest.raises(TranscriptError, match=r"\[2\]: cannot be stored: "):
            await import_file(storage, file, batch=1)
        assert sorted(await everything(storage)) == ["run-1", "run-2"]

    on("memory://", check)


def test_a_broken_line_leaves_whole_runs(write: Write) -> None:
    file = write("a.jsonl", "\n".join(map(json.dumps, runs(1, 2))) + "\noops\n")

    async def check(storage: Storage) -> None:
        with pytest.raises(TranscriptError, match="line 3: not JSON"):
            await import_file(storage, file, batch=1)
        assert await everything(storage) == {"run-1": runs(1)[0]["messages"]}

    on("memory://", check)


@pytest.mark.parametrize("transactions", [1, 7, 30])
def test_a_kill_leaves_whole_runs_and_a_second_import_completes_it(
    database: str, write: Write, transactions: int
) -> None:
    file = write("a.json", runs(*range(1, 61)))
    with subprocess.Popen(
        [sys.executable, "-c", IMPORT, database, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.read(transactions) == b"." * transactions
        os.kill(worker.pid, signal.SIGKILL)

    async def after_the_kill(storage: Storage) -> None:
        assert transactions <= await assert_whole(storage, file) < 60

    async def completed(storage: Storage) -> None:
        there = await storage.contexts.count()
        done = await import_file(storage, file)
        assert (done.unchanged, done.imported) == (there, 60 - there)
        assert await assert_whole(storage, file) == 60

    on(database, after_the_kill)
    on(database, completed)
