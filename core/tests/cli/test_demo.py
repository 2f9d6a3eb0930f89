"""``daystore demo``: it runs end to end, says what is so, and its proof fails when something is missing."""

import asyncio
import io
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from daystore import Storage
from daystore.cli import main
from daystore.cli.demo.crash import kill_in_mid_write
from daystore.cli.demo.proof import Evidence, Reported, gather
from daystore.cli.demo.screen import Screen
from daystore.cli.demo.steps import one_line, prove
from daystore.cli.demo.worker import take_step
from daystore.errors import DaystoreError
from daystore.stores import Context


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


Command = Callable[..., Done]
DEMO = [sys.executable, "-W", "error", "-m", "daystore.cli", "demo"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


@pytest.fixture
def command(temporary: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process, on a screen of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Done:
        code = main(arguments)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


def words(text: str) -> str:
    """The text in one line, so that it does not matter where lines were broken."""
    return " ".join(text.split())


# --- End to end ---------------------------------------------------------------------------------------------


def test_the_demo_runs_end_to_end_and_leaves_nothing_behind(temporary: Path) -> None:
    environ = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(DEMO, capture_output=True, text=True, check=False, env=environ, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    said = words(done.stdout)
    assert "8 runs of agents, 82 messages" in said
    assert "8 runs as contexts, 82 messages as entries of their memories, 8 events to tell of it" in said
    proven = re.search(r"✓ all (\d+) acknowledged steps are there, in all three places and in order", said)
    assert proven is not None
    assert int(proven[1]) >= 200
    total = re.search(r"all +(\d+) +(\d+) +(\d+) +(\d+) +0 +0\n", done.stdout)
    assert total is not None
    assert total[1] == proven[1]
    assert total[2] == total[3] == total[4]
    assert "research   succeeded      1          9             9.00" in done.stdout
    assert "✓ the count is 800, exactly" in said
    assert "daystore import FILE" in said
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert not list(temporary.iterdir())


def test_it_takes_transcripts_and_a_url_and_leaves_the_rest_of_a_database_alone(
    command: Command, temporary: Path
) -> None:
    file = temporary / "runs.json"
    file.write_text('[[{"role": "user", "content": "\\u001b[2J[bold]Grüße[/bold]"}]]')
    url = f"sqlite:///{temporary / 'mine.db'}"

    async def prepare() -> None:
        async with Storage.open(url) as storage:
            await storage.contexts.set("mine", Context("mine"))

    async def what_is_left() -> list[str]:
        async with Storage.open(url) as storage:
            return await storage.contexts.all().keys()

    asyncio.run(prepare())
    done = command("demo", "--transcripts", str(file), "--url", url)
    assert done.code == 0
    assert "1 run of agents, 1 message, from" in words(done.stdout)
    assert " [2J[bold]Grüße[/bold]" in done.stdout
    assert "✓ the count is 800, exactly" in done.stdout
    assert asyncio.run(what_is_left()) == ["mine"]


def test_memory_leaves_out_the_kill_and_says_so(command: Command) -> None:
    done = command("demo", "--url", "memory://")
    assert done.code == 0
    assert "A process, killed while it writes: left out" in done.stdout
    assert "the backend 'memory'" in words(done.stdout)
    assert "✓ the count is 800, exactly" in done.stdout


def test_it_keeps_what_it_wrote_on_request(command: Command) -> None:
    done = command("demo", "--keep")
    kept = re.search(r"What it wrote is kept:\n(sqlite://\S+), namespace demo\n", done.stdout)
    assert kept is not None

    async def count() -> int:
        async with Storage.open(kept[1], namespace="demo") as storage:
            return await storage.contexts.count()

    assert asyncio.run(count()) == 8


def test_a_missing_file(command: Command, temporary: Path) -> None:
    done = command("demo", "--transcripts", "none.json")
    assert (done.code, done.stdout) == (1, "")
    assert "none.json: there is no such file" in done.stderr
    assert not list(temporary.iterdir())


def test_a_file_of_another_shape(command: Command, temporary: Path) -> None:
    file = temporary / "runs.json"
    file.write_text('[{"task_id": 1}]')
    done = command("demo", "--transcripts", str(file))
    assert (done.code, done.stdout) == (1, "")
    assert "[0]: a run is an object with its messages under 'traj' or 'messages'" in done.stderr


def test_without_the_sql_plugin_it_says_what_else_there_is(temporary: Path) -> None:
    environ = {**os.environ, "DAYSTORE_DISABLE_PLUGINS": "sql"}
    done = subprocess.run(DEMO, capture_output=True, text=True, check=False, env=environ, timeout=60)
    assert done.returncode == 2
    assert "no plugin brings the URL scheme 'sqlite'" in done.stderr
    assert "daystore demo --url memory://" in done.stderr
    assert not list(temporary.iterdir())


def test_a_backend_that_cannot_be_opened(command: Command) -> None:
    done = command("demo", "--url", "sqlite:///none/agent.db")
    assert done.code == 1
    assert "BackendUnavailable" in done.stderr


# --- The proof ----------------------------------------------------------------------------------------------


def proof_of(
    acknowledged: int, tamper: Callable[[Storage], Awaitable[object]] | None, begun: int = 0
) -> tuple[bool, str]:
    """Take three steps, tamper with the storage, and look whether the proof notices."""
    output = io.StringIO()
    screen = Screen(Console(file=output, width=200))
    reports = [Reported("a", max(begun, acknowledged), acknowledged)]

    async def run() -> bool:
        async with Storage.open("memory://") as storage:
            await storage.contexts.set("a", Context("a"))
            for step in (1, 2, 3):
                await take_step(storage, "a", step)
            if tamper is not None:
                await tamper(storage)
            return await prove(screen, storage, reports)

    return asyncio.run(run()), output.getvalue()


async def forget_an_entry(storage: Storage) -> None:
    assert await storage.memories.delete("a/000000000001")


async def forget_an_event(storage: Storage) -> None:
    [last] = await storage.events.all().order_by("key", "desc").limit(1).execute()
    assert await storage.events.delete(last.id)


async def turn_back_the_context(storage: Storage) -> None:
    await storage.contexts.update("a", {"message_count": 2})


async def forget_the_last_step(storage: Storage) -> None:
    await turn_back_the_context(storage)
    await forget_an_event(storage)
    assert await storage.memories.delete("a/000000000002")


async def write_twice(storage: Storage) -> None:
    await storage.memories.append("a", [{"step": 3}])


async def mix_up(storage: Storage) -> None:
    await storage.memories.set("a/000000000000", {"step": 2})
    await storage.memories.set("a/000000000001", {"step": 1})


async def forget_everything(storage: Storage) -> None:
    await storage.contexts.clear()
    await storage.memories.clear()
    await storage.events.clear()


def test_the_proof_holds_where_everything_is_there() -> None:
    ok, said = proof_of(3, None)
    assert ok
    assert "all 3 acknowledged steps are there" in said


def test_a_step_committed_but_not_reported_is_no_fault() -> None:
    ok, said = proof_of(2, None, begun=3)
    assert ok
    assert "all 2 acknowledged steps are there" in said
    assert "1 more had been committed" in said


@pytest.mark.parametrize(
    "tamper",
    [
        forget_an_entry,
        forget_an_event,
        turn_back_the_context,
        forget_the_last_step,
        write_twice,
        mix_up,
        forget_everything,
    ],
)
def test_the_proof_fails_when_something_is_missing_or_by_halves(
    tamper: Callable[[Storage], Awaitable[object]],
) -> None:
    ok, said = proof_of(3, tamper)
    assert not ok
    assert "✗" in said
    assert "✓" not in said


def test_the_proof_fails_for_steps_that_nobody_began() -> None:
    ok, _ = proof_of(1, None, begun=2)
    assert not ok


def test_lost_steps_and_halves_are_counted() -> None:
    evidence = Evidence(Reported("a", 6, 4), context=4, memory=[1, 2, 4], events=[1, 2, 3, 4, 5])
    assert (evidence.lost, evidence.halves, evidence.in_flight) == ({3}, {3, 5}, set())
    assert not evidence.is_sound


def test_a_demo_whose_proof_fails_ends_with_1_and_keeps_the_evidence(
    command: Command, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    async def tampered(storage: Storage, reports: list[Reported]) -> list[Evidence]:
        await storage.memories.delete("agent-2/000000000003")
        return await gather(storage, reports)

    monkeypatch.setattr("daystore.cli.demo.steps.gather", tampered)
    done = command("demo")
    assert done.code == 1
    assert "✗ what is stored of 1 of 4 agents is not what was acknowledged" in words(done.stdout)
    assert "What was written is kept" in words(done.stdout)
    assert list(temporary.glob("daystore-demo-*/demo.db"))


def test_a_worker_that_cannot_work_is_told_of(temporary: Path) -> None:
    with pytest.raises(DaystoreError, match="the worker ended by itself: BackendUnavailable: "):
        asyncio.run(kill_in_mid_write("sqlite:///none/agent.db", "x", ["a"], 10))


# --- The screen ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"role": "user", "content": "a\n  b"}, "a b"),
        ({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, "→ f({})"),
        ({"content": [{"type": "text", "text": "é"}]}, '[{"type": "text", "text": "é"}]'),
        ({"content": "x", "tool_calls": [{"type": "odd"}, 5]}, 'x → {"type": "odd"} → 5'),
        ({"tool_calls": "odd"}, ""),
    ],
)
def test_a_message_of_any_shape_fits_into_a_line(message: dict[str, object], line: str) -> None:
    assert one_line(message) == line


def test_a_table_of_nothing_and_a_narrow_screen(tmp_path: Path) -> None:
    output = io.StringIO()
    screen = Screen(Console(file=output, width=30))
    screen.table(("entry", "content"), [], wide="content")
    screen.table(("entry", "content"), [(1, "x" * 200)], wide="content")
    assert max(map(len, output.getvalue().splitlines())) <= 30
