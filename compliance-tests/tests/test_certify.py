"""``daystore certify`` as somebody uses it, and misuses it."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daystore.errors import BackendUnavailable
from daystore_compliance.case import REGISTRY
from daystore_compliance.certificate.contract import CURRENT, contract
from daystore_compliance.certificate.document import Run as Tried
from daystore_compliance.certificate.document import document, to_json
from daystore_compliance.certificate.rendering import certificate_page
from daystore_compliance.certificate.results import Results
from daystore_compliance.certificate.verdict import judge
from daystore_compliance.masking import choice, masked, raised
from daystore_compliance.plan import Plan
from daystore_compliance.suite import load
from daystore_compliance.target import MemoryTarget, Target, resolve

load()

Run = Callable[..., tuple[int, str]]

TARGETS = """
import os

from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable
from daystore_compliance.target import MemoryTarget


class Stale(MemoryAdapter):
    def _conflict(self, operation, index, now):
        return None


class StaleTarget(MemoryTarget):
    name = "stale"
    adapter = Stale


class PlacedTarget(StaleTarget):
    name = "placed"

    def __init__(self, url):
        super().__init__()
        self.url = url


class Liar(MemoryAdapter):
    async def _aggregate(self, query, aggregation, consistency):
        raise NotImplementedError


class LiarTarget(MemoryTarget):
    name = "liar"
    adapter = Liar


class AwayTarget(MemoryTarget):
    name = "away"

    async def open(self, namespace, clock):
        raise BackendUnavailable("nobody answers at this address")


class LockedTarget(PlacedTarget):
    name = "locked"

    async def open(self, namespace, clock):
        raise BackendUnavailable(f"{self.url} does not take {self.url[14:21]}")


class Dies(MemoryAdapter):
    async def _read(self, collection, keys, consistency):
        if consistency.level == "strong":
            os._exit(7)
        return await super()._read(collection, keys, consistency)


class DiesTarget(MemoryTarget):
    name = "dies"
    adapter = Dies

    async def open(self, namespace, clock):
        adapter = MemoryAdapter if namespace == "daystore-compliance" else Dies
        self.adapter = adapter
        return await super().open(namespace, clock)
"""

HOSTILE = """
[pytest]
addopts = --maxfail=1 -x
asyncio_mode = auto
anyio_mode = auto
filterwarnings = error
python_files = nothing_*.py
"""


@pytest.fixture
def certify(tmp_path: Path) -> Run:
    """Runs the command in a repository with settings of its own."""
    (tmp_path / "targets.py").write_text(TARGETS)
    (tmp_path / "pytest.ini").write_text(HOSTILE)
    (tmp_path / "conftest.py").write_text("raise RuntimeError('the conftest of the host is not ours')\n")

    def run(*arguments: str, **environ: str) -> tuple[int, str]:
        end = arguments.index("--") if "--" in arguments else len(arguments)
        options = [*arguments[:end], "--level", "quick"]
        if "--workers" not in options:
            options += ["--workers", "1"]
        command = [sys.executable, "-m", "daystore.cli", "certify", *options, *arguments[end:]]
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    return run


CONSISTENCY = ("--profile", "consistency")


def test_certificate_is_written_in_every_form(certify: Run, tmp_path: Path) -> None:
    code, output = certify(
        "memory", *CONSISTENCY, "--out", "made", GITHUB_STEP_SUMMARY=str(tmp_path / "step.md")
    )
    assert code == 0, output
    assert "memory: certified (consistency ✔" in output
    certificate = json.loads((tmp_path / "made" / "memory.json").read_text())
    assert certificate["schema"] == "daystore-certificate/1"
    assert certificate["verdict"] == "certified"
    assert certificate["adapter"]["distribution"] == "daystore"
    assert certificate["suite"]["distribution"] == "daystore-compliance"
    assert certificate["contract"]["version"] == "1.0"
    assert len(certificate["contract"]["requirements_sha256"]) == 64
    assert certificate["reproduce"] == (
        "daystore certify memory --contract 1.0 --profile consistency --level quick --seed 0"
    )
    assert {case["outcome"] for case in certificate["cases"]} == {"passed"}
    assert json.loads((tmp_path / "made" / "memory-badge.json").read_text())["message"] == "consistency"
    assert (tmp_path / "made" / "memory.svg").read_text().startswith("<svg")
    page = (tmp_path / "made" / "memory.md").read_text()
    assert page.startswith("# memory: certified\n")
    assert (tmp_path / "step.md").read_text() == page
    assert list(certificate) == sorted(certificate)


def test_parallel_run_says_the_same(certify: Run, tmp_path: Path) -> None:
    for workers in ("1", "3"):
        code, output = certify("memory", *CONSISTENCY, "--out", f"out{workers}", "--workers", workers)
        assert code == 0, output
    one, other = (json.loads((tmp_path / f"out{n}" / "memory.json").read_text()) for n in (1, 3))
    assert one["profiles"] == other["profiles"]
    assert [c["id"] for c in one["cases"]] == [c["id"] for c in other["cases"]]


@pytest.mark.parametrize(
    "silly",
    [("-k", "strong"), ("--deselect", "consistency.py"), ("--lf",)],
)
def test_partial_run_is_no_certificate(certify: Run, tmp_path: Path, silly: tuple[str, ...]) -> None:
    code, output = certify("memory", *CONSISTENCY, "--", *silly)
    assert code == 4, output
    assert not (tmp_path / "certificates" / "memory.json").exists()
    if silly == ("--lf",):  # without a cache there is no such option
        return
    assert "no certificate:" in output
    assert "were not run" in output


def test_failure_teaches(certify: Run, tmp_path: Path) -> None:
    code, output = certify("targets:StaleTarget", "--case", "cas.stale_rejected")
    assert code == 1, output
    assert "A write at an old version is refused with the current one, and changes nothing." in output
    assert (
        "seed 0, level quick; again: daystore certify targets:StaleTarget --case cas.stale_rejected" in output
    )
    assert "the shortest operations that show it" in output
    assert "a script that shows it" in output
    assert not (tmp_path / "certificates").exists()


def test_failed_case_leaves_scripts_and_what_was_found(certify: Run, tmp_path: Path) -> None:
    code, output = certify("targets:StaleTarget", "--profile", "cas")
    assert code == 1, output
    assert "no certificate:" in output
    found = json.loads((tmp_path / "certificates" / "stale.failed.json").read_text())
    assert found["verdict"] == "not certified"
    failed = {case["id"] for case in found["cases"] if case["outcome"] == "failed"}
    assert "cas.stale_rejected" in failed
    script = tmp_path / "certificates" / "reproduce" / "stale-cas.stale_rejected.py"
    ran = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert "expected: VersionConflict" in ran.stdout
    assert not (tmp_path / "certificates" / "stale.json").exists()


def test_known_failures_can_be_waived(certify: Run, tmp_path: Path) -> None:
    code, output = certify("targets:StaleTarget", "--profile", "cas", "--out", "first")
    assert code == 1, output
    found = json.loads((tmp_path / "first" / "stale.failed.json").read_text())
    failed = [case["id"] for case in found["cases"] if case["outcome"] == "failed"]
    entry = (
        '[[waiver]]\ncase = "{}"\nreason = "known"\nissue = "https://example.org/1"\nexpires = 2999-01-01\n'
    )
    (tmp_path / "compliance-waivers.toml").write_text("".join(entry.format(case) for case in failed))
    code, output = certify("targets:StaleTarget", "--profile", "cas")
    assert code == 0, output
    assert "stale: certified with waivers" in output
    certificate = json.loads((tmp_path / "certificates" / "stale.json").read_text())
    assert certificate["profiles"]["cas"]["waived"] == len(failed)
    assert json.loads((tmp_path / "certificates" / "stale-badge.json").read_text())["message"].endswith(
        "(waivers)"
    )

    (tmp_path / "compliance-waivers.toml").write_text(entry.format("cas.aba") + entry.format("cas.no_such"))
    code, output = certify("memory", "--profile", "cas")
    assert code == 2, output
    assert "the waiver of cas.aba: the case passes, so it needs none" in output
    assert "the waiver of cas.no_such: there is no such case" in output
    assert not (tmp_path / "certificates" / "memory.json").exists()


def test_capability_that_is_not_there_is_a_lie(certify: Run) -> None:
    code, output = certify("targets:LiarTarget", *CONSISTENCY)
    assert code == 2, output
    assert "no certificate: aggregate is declared and not served: NotImplementedError" in output


def test_backend_that_cannot_be_opened_is_an_error(certify: Run) -> None:
    code, output = certify("targets:AwayTarget", *CONSISTENCY)
    assert code == 3, output
    assert "the target 'away' cannot be opened: BackendUnavailable: nobody answers at this address" in output
    assert "passed" not in output


@pytest.mark.parametrize("workers", ["1", "2"])
def test_process_that_dies_is_no_certificate(certify: Run, tmp_path: Path, workers: str) -> None:
    code, output = certify("targets:DiesTarget", *CONSISTENCY, "--workers", workers)
    assert code == 4, output
    assert "no certificate:" in output
    assert not (tmp_path / "certificates" / "dies.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nobody",), "no target is called 'nobody'"),
        (("memory", "--contract", "9.9"), "no contract '9.9': there are 1.0"),
        (("memory", "--profile", "speed"), "no profile 'speed': there are core"),
        (("memory", "--url", "redis://localhost"), "the target 'memory' takes no URL"),
        (("memory", "--case", "cas.nothing"), "no case is called 'cas.nothing'"),
        (("memory", "--case", "conn.cut_idle"), "no case was run"),
    ],
)
def test_mistakes_are_told(certify: Run, arguments: tuple[str, ...], told: str) -> None:
    code, output = certify(*arguments)
    assert code == 4, output
    assert told in output


def test_settings_of_the_host_do_not_matter(certify: Run, tmp_path: Path) -> None:
    """Its conftest would raise, its options would stop at the first failure, its warnings are errors."""
    code, output = certify(
        "memory", *CONSISTENCY, PYTEST_ADDOPTS="-k nothing", PYTEST_PLUGINS="no_such_plugin"
    )
    assert code == 0, output


def test_url_of_a_named_target(certify: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    code, output = certify("sql", "--url", url, *CONSISTENCY)
    assert code == 0, output
    assert (tmp_path / "mine.db").exists()
    certificate = (tmp_path / "certificates" / "sql.json").read_text()
    assert str(tmp_path) not in certificate, "a certificate names no place of the machine it was made on"
    assert json.loads(certificate)["adapter"]["distribution"] == "daystore-sql"


# --- Secrets --------------------------------------------------------------------------------------------------

URL = "redis://alice:hunter2@db.example:6379/0"
SHOWN = "redis://alice:***@db.example:6379/0"


class Placed(MemoryTarget):
    """A target with a name that takes a URL."""

    name = "placed"
    secrets = ("open sesame",)

    def __init__(self, url: str) -> None:
        super().__init__()
        self.text = url


@pytest.mark.parametrize("target", [resolve(URL), Placed(URL)])
def test_certificate_tells_no_secret(target: Target) -> None:
    capabilities = MemoryTarget.adapter.capabilities
    asked = contract(CURRENT, REGISTRY)
    verdict = judge(Results(), target, capabilities, REGISTRY, asked, waivers={}, today=dt.date(2026, 1, 1))
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    service = {"url": URL, "user": "alice", "pass": "hunter2"}
    run = Tried(target, "daystore.adapters.memory", capabilities, service, Plan(), now, now)
    content = document(run, verdict, Results(), REGISTRY, asked, {})
    assert "hunter2" not in to_json(content) + certificate_page(content)
    assert content["service"] == {"kind": "embedded", "pass": "***", "url": SHOWN, "user": "alice"}
    chosen = "placed --url URL" if target.name == "placed" else "URL"
    assert content["reproduce"] == f"daystore certify {chosen} --contract 1.0 --level quick --seed 0"


def test_target_is_chosen_again_without_its_secret() -> None:
    assert choice(MemoryTarget()) == "memory"
    assert choice(resolve("mutant:SilentLoser")) == "mutant:SilentLoser"
    assert choice(resolve(URL)) == f"'{SHOWN}'"
    assert choice(Placed(URL)) == f"placed --url '{SHOWN}'"
    assert choice(Placed("redis://db.example/0")) == "placed --url redis://db.example/0"


def test_what_is_raised_is_told_without_a_secret() -> None:
    told = raised(BackendUnavailable(f"{URL} refuses hunter2\nand more"), Placed(URL))
    assert told == f"BackendUnavailable: {SHOWN} refuses ***"
    assert raised(KeyError("a"), MemoryTarget()) == "KeyError: 'a'"
    assert masked("open sesame, h%75nter, hunter", Placed("x://u:h%75nter@h/0")) == "***, ***, ***"
    assert masked("plain words", Placed("redis://db.example/0")) == "plain words"
    assert len(raised(ValueError("x" * 1_000_000), MemoryTarget())) < 5_000


def test_run_tells_no_secret(certify: Run, tmp_path: Path) -> None:
    code, output = certify("targets:LockedTarget", "--url", URL, *CONSISTENCY)
    assert code == 3, output
    assert f"the target 'locked' cannot be opened: BackendUnavailable: {SHOWN} does not take ***" in output
    assert "hunter2" not in output

    code, output = certify("targets:PlacedTarget", "--url", URL, "--profile", "cas")
    assert code == 1, output
    assert f"again: daystore certify placed --url '{SHOWN}' --case cas." in output
    assert "hunter2" not in output
    made = [path for path in (tmp_path / "certificates").rglob("*") if path.is_file()]
    assert {path.suffix for path in made} == {".json", ".py"}
    assert not [path for path in made if "hunter2" in path.read_text()]
