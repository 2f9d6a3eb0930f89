"""Runs that need a server: one for all their processes, and none afterwards, however they end."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "tiny_service"
DAYSTORE = [sys.executable, "-m", "daystore.cli"]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of processes that have the tiny target, and leave their files here."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("DAYSTORE_")}
    path = os.pathsep.join([str(FOLDER), *filter(None, [own.get("PYTHONPATH")])])
    return {**own, "PYTHONPATH": path, "TMPDIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    def run(*arguments: str, **more: str) -> tuple[int, str]:
        made = subprocess.run(
            [*DAYSTORE, *arguments],
            cwd=tmp_path,
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return made.returncode, made.stdout + made.stderr

    return run


def _starts(folder: Path) -> int:
    file = folder / "tiny-starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


def _left(folder: Path) -> list[str]:
    ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    processes = [line for line in ps.stdout.splitlines() if "tiny_server.py" in line and str(folder) in line]
    return [*map(str, folder.glob("daystore-tiny-*")), *processes]


CASES = ("--profile", "consistency", "--level", "quick")


def test_processes_of_a_run_share_one_server(run: Run, tmp_path: Path) -> None:
    code, output = run("certify", "tiny", *CASES, "--workers", "2")
    assert code == 0, output
    assert _starts(tmp_path) == 1
    assert not _left(tmp_path)


def test_certificate_names_what_runs_the_server(run: Run, tmp_path: Path) -> None:
    code, output = run("certify", "tiny", *CASES, "--workers", "1")
    assert code == 0, output
    assert '"kind": "process"' in (tmp_path / "certificates" / "tiny.json").read_text()
    assert _starts(tmp_path) == 1
    assert not _left(tmp_path)


def test_list_of_cases_starts_no_server(run: Run, tmp_path: Path) -> None:
    code, output = run("certify", "tiny", "--case", "cas.aba", "--", "--collect-only")
    assert code == 0, output
    assert "aba[tiny]" in output
    assert _starts(tmp_path) == 0


def test_unreachable_server_is_an_error(run: Run, tmp_path: Path) -> None:
    """No skip, no other server: whoever names one wants that one."""
    url = "tiny://:swordfish-77@127.0.0.1:9"
    for code, output in (
        run("certify", "tiny", *CASES, "--url", url),
        run("certify", "tiny", *CASES, DAYSTORE_TINY_URL=url),
    ):
        assert code == 3, output
        assert "the tiny server at tiny://:***@127.0.0.1:9 does not answer" in output
        assert "swordfish" not in output
        assert "passed" not in output
    assert _starts(tmp_path) == 0


def test_server_that_is_never_ready_is_an_error(run: Run, tmp_path: Path) -> None:
    code, output = run("certify", "tiny_target:NeverTarget", *CASES)
    assert code == 3, output
    assert "was not ready after 0.3 s" in output
    assert not _left(tmp_path)


def test_image_is_of_a_service(run: Run) -> None:
    code, output = run("certify", "memory", *CASES, "--image", "redis:8")
    assert code == 4
    assert "the target 'memory' has no image" in output
    code, output = run("certify", "tiny", *CASES, "--image", "redis:8", "--url", "tiny://127.0.0.1:9")
    assert code == 4
    assert "a URL names a server that runs, an image one to start" in output


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGINT, "1"), (signal.SIGINT, "2"), (signal.SIGTERM, "2")]
)
def test_interrupted_run_leaves_nothing(
    number: signal.Signals, workers: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    command = [*DAYSTORE, "certify", "hangs:HangsTarget", *CASES, "--workers", workers]
    environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    fifo = tmp_path / "hanging"
    os.mkfifo(fifo)
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        fifo.read_text()  # until a case is under way
        assert _left(tmp_path)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as the terminal does
        else:
            process.send_signal(number)
        assert process.wait(60) == 4
    assert not _left(tmp_path)


HANGS = """
import asyncio
from pathlib import Path

from tiny_target import TinyTarget


class HangsTarget(TinyTarget):
    name = "hangs"

    async def open(self, namespace, clock):
        if namespace.startswith("case-"):
            await asyncio.to_thread(Path("hanging").write_text, "a case runs")
            await asyncio.sleep(600)
        return await super().open(namespace, clock)
"""


# --- daystore services ---------------------------------------------------------------------------------------


@pytest.fixture
def services(run: Run) -> Iterator[Run]:
    yield lambda *arguments, **more: run("services", *arguments, **more)
    run("services", "down")


def test_up_list_down(services: Run, run: Run, tmp_path: Path) -> None:
    code, output = services("list")
    assert code == 0, output
    assert "tiny: does not run; built here, DAYSTORE_TINY_URL\n" in output
    code, export = services("up", "tiny")
    assert code == 0, export
    word, assignment = shlex.split(export)
    name, _, url = assignment.partition("=")
    assert (word, name) == ("export", "DAYSTORE_TINY_URL")
    assert services("up", "tiny") == (0, export), "a second one was started"
    code, output = services("list")
    assert code == 0
    assert f"tiny: runs, a local process, at {url.replace('swordfish-77', '***')}\n" in output
    code, output = run("certify", "tiny", *CASES, DAYSTORE_TINY_URL=url)
    assert code == 0, output
    assert _starts(tmp_path) == 1
    assert services("down", "tiny") == (0, "tiny has ended\n")
    assert not _left(tmp_path)
    code, output = services("down", "tiny")
    assert code == 4
    assert "no tiny was started" in output
    code, output = services("list")
    assert "tiny: does not run" in output


def test_down_ends_no_other_process(services: Run, tmp_path: Path) -> None:
    """A process that has got the number of one that has gone is left alone."""
    services("up", "tiny")
    (record,) = (tmp_path / "state" / "daystore" / "services").glob("*.json")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        kept = record.read_text()
        pid = kept.partition('"processes": "')[2].partition(":")[0]
        record.write_text(kept.replace(f'"{pid}:', f'"{other.pid}:'))
        code, output = services("down", "tiny")
        assert code == 4, output
        assert other.poll() is None
        other.communicate(b"\n")
    record.write_text(kept)
    assert services("down") == (0, "tiny has ended\n")
    assert not _left(tmp_path)


def test_up_of_what_is_not_there(services: Run, tmp_path: Path) -> None:
    code, output = services("up", "tinny")
    assert code == 4
    assert output.endswith("no service is called 'tinny': did you mean tiny?\n")
    code, output = services("up", "tiny", "--image", "daystore/no-such-image:1")
    assert code == 3
    assert "daystore/no-such-image:1" in output
    assert not _left(tmp_path)
