"""``daystore import``: what it says, where it writes, and how it fails."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest

from daystore.cli import main

Command = Callable[..., "Done"]
SAMPLE = str(files("daystore") / "data" / "sample-transcripts.json")
HELLO = [{"role": "user", "content": "hello"}]
DATABASE = ("--url", "sqlite:///agent.db")


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which the command runs."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def command(work: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process."""

    def run(*arguments: str) -> Done:
        code = main(arguments)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


def test_it_says_what_it_did_and_what_was_there_already(command: Command) -> None:
    first = command("import", SAMPLE, *DATABASE)
    assert (first.code, first.stderr) == (0, "")
    assert "8 runs with 82 messages imported from" in first.stdout
    again = command("import", SAMPLE, *DATABASE)
    assert again.code == 0
    assert "0 runs with 0 messages imported" in again.stdout
    assert "8 runs left out, imported before." in again.stdout


def test_it_says_what_is_in_the_way(command: Command, work: Path) -> None:
    (work / "a.json").write_text(json.dumps([{"id": f"r{n}", "messages": HELLO} for n in range(5)]))
    (work / "b.json").write_text(json.dumps([{"id": f"r{n}", "messages": HELLO * 2} for n in range(5)]))
    assert command("import", "a.json", *DATABASE).code == 0
    skipped = command("import", "b.json", *DATABASE)
    assert skipped.code == 0
    assert "5 runs LEFT OUT" in skipped.stdout
    assert "(r0, r1, r2, …)" in skipped.stdout
    assert "--if-exists overwrite" in skipped.stdout
    refused = command("import", "b.json", *DATABASE, "--if-exists", "error")
    assert refused.code == 1
    assert "b.json, [0]: its id is in the storage already" in refused.stderr
    replaced = command("import", "b.json", *DATABASE, "--if-exists", "overwrite")
    assert "5 runs of them replaced what was there." in replaced.stdout


def test_a_terminal_shows_a_bar_and_a_pipe_does_not(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("import", SAMPLE, *DATABASE).stderr == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = command("import", SAMPLE, "--url", "sqlite:///other.db").stderr
    assert "8/8" in shown
    assert "82 messages" in shown


def test_another_namespace_keeps_both(command: Command) -> None:
    assert command("import", SAMPLE, *DATABASE).code == 0
    other = command("import", SAMPLE, "--url", "sqlite:///agent.db?daystore_namespace=other")
    assert "8 runs with 82 messages imported" in other.stdout


def test_the_backend_can_come_from_a_configuration(
    command: Command, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "mine.toml").write_text('[backends.main]\nurl = "sqlite:///agent.db"\n')
    assert command("import", SAMPLE, "--config", "mine.toml").code == 0
    assert "8 runs left out" in command("import", SAMPLE, *DATABASE).stdout
    monkeypatch.setenv("DAYSTORE_BACKENDS__MAIN__URL", "sqlite:///agent.db")
    assert "8 runs left out" in command("import", SAMPLE).stdout


def test_memory_is_told_to_keep_nothing(command: Command) -> None:
    assert "keeps nothing beyond the process" in command("import", SAMPLE, "--url", "memory://").stdout


def test_without_a_place_to_import_to(command: Command) -> None:
    done = command("import", SAMPLE)
    assert done.code == 2
    assert "say where to import to: --url sqlite:///agent.db, or --config" in done.stderr


def test_with_two_places_to_import_to(command: Command) -> None:
    done = command("import", SAMPLE, *DATABASE, "--config", "mine.toml")
    assert done.code == 2
    assert "not both" in done.stderr


def test_with_a_batch_of_nothing(command: Command) -> None:
    assert command("import", SAMPLE, *DATABASE, "--batch", "0").code == 2


def test_a_backend_that_is_not_installed(daystore: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = daystore("import", SAMPLE, *DATABASE, DAYSTORE_DISABLE_PLUGINS="sql")
    assert done.returncode == 2
    assert "no plugin brings the URL scheme 'sqlite'" in done.stderr


def test_a_directory_that_is_not_there(command: Command) -> None:
    done = command("import", SAMPLE, "--url", "sqlite:///none/agent.db")
    assert done.code == 1
    assert "BackendUnavailable" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", None, "there is no such file"),
        ("a.json", b"", "the file is empty"),
        ("a.json", b"[{]", "not JSON: Expecting property name enclosed in double quotes at line 1, column 3"),
        ("a.json.gz", b"[]", "not a gzip file"),
        ("a.json.gz", gzip.compress(b"[" * 500, mtime=0)[:-9], "damaged or cut off"),
        ("a.json", b'{"runs": []}', "a run is an object with its messages under 'traj' or 'messages'"),
        (
            "a.json",
            b'[{"traj": [{"content": "x"}]}]',
            "a.json, [0].traj[0]: a message is an object whose 'role'",
        ),
        ("a.jsonl", b'[{"role": "user"}]\nx', "a.jsonl, line 2: not JSON"),
    ],
)
def test_a_bad_file_is_explained_and_nothing_is_written(
    command: Command, work: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (work / name).write_bytes(content)
    done = command("import", name, *DATABASE)
    assert done.code == 1
    assert message in done.stderr
    assert not (work / "agent.db").exists()


def test_a_file_that_cannot_be_read(command: Command, work: Path) -> None:
    (work / "a.json").symlink_to("/proc/self/mem")
    done = command("import", "a.json", *DATABASE)
    assert done.code == 1
    assert "a.json: cannot be read: Input/output error" in done.stderr


def test_an_interrupted_import_says_how_to_go_on(command: Command, work: Path) -> None:
    messages = HELLO * 50
    lines = (json.dumps({"id": f"r{n}", "messages": messages}) for n in range(2000))
    (work / "a.jsonl").write_text("\n".join(lines))
    arguments = [sys.executable, "-m", "daystore.cli", "import", "a.jsonl", *DATABASE, "--batch", "1"]
    with subprocess.Popen(
        arguments, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "of 2,000 runs" in process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert "each of them whole. The same command goes on from there." in said
