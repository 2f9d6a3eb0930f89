"""The pytest plugin, as somebody else's repository runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

WRONG = """
from dataclasses import replace

from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.target import MemoryTarget


class Ignores(MemoryAdapter):
    def _conflict(self, operation, index, now):
        return None


class WrongTarget(MemoryTarget):
    name = "wrong"
    adapter = Ignores


class Few(MemoryAdapter):
    capabilities = replace(MemoryAdapter.capabilities, ttl=False)


class FewTarget(MemoryTarget):
    name = "few"
    adapter = Few
"""


def _pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a process of its own, in a repository with hostile settings."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "wrong_target.py").write_text(WRONG)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\npython_files = only_*.py\npython_functions = only_*\npythonpath = .\nanyio_mode = auto\n"
    )
    (tmp_path / "only_own.py").write_text("def only_this():\n    assert True\n")
    return tmp_path


SUITE = ("--pyargs", "daystore_compliance.suite", "-q")


def test_suite_runs_whatever_the_host_calls_its_tests(host: Path) -> None:
    code, output = _pytest(host, *SUITE, "--daystore-target", "memory", "-k", "conditions or isolation")
    assert code == 0, output
    assert "daystore compliance" in output
    assert re.search(r"memory: (2\d) of \1 passed", output), output
    assert "not run: cap.ttl.refused (declared: ttl)" in output


def test_host_s_own_tests_are_left_alone(host: Path) -> None:
    code, output = _pytest(host, "only_own.py")
    assert code == 0, output
    assert "1 passed" in output
    assert "daystore compliance" not in output


def test_failure_tells_the_promise(host: Path) -> None:
    target = "wrong_target:WrongTarget"
    code, output = _pytest(host, *SUITE, "--daystore-target", target, "-k", "stale_rejected")
    assert code == 1, output
    assert "A write at an old version is refused with the current one, and changes nothing." in output
    assert "case cas.stale_rejected, must, since contract 1.0" in output
    assert "expected VersionConflict, and nothing was raised" in output
    assert "wrong: 0 of 1 passed" in output


def test_assertions_are_explained(host: Path) -> None:
    """The modules of cases are rewritten by pytest, so that a failure shows the values."""
    target = "wrong_target:WrongTarget"
    code, output = _pytest(host, *SUITE, "--daystore-target", target, "-k", "one_creator")
    assert code == 1
    assert "assert 16 == 1" in output


def test_undeclared_capability_is_tried_for_its_refusal(host: Path) -> None:
    code, output = _pytest(
        host, *SUITE, "--daystore-target", "wrong_target:FewTarget", "-k", "boundary or ttl_refused"
    )
    assert code == 0, output
    assert "few: 2 of 2 passed" in output  # cap.ttl.refused and page.missing_boundary
    assert "not run: ttl.boundary (undeclared: ttl)" in output


def test_several_targets_and_workers(host: Path) -> None:
    arguments = ("--daystore-target", "memory", "--daystore-target", "wrong_target:WrongTarget", "-n", "2")
    cases = ("--daystore-case", "cas.stale_rejected", "--daystore-case", "cas.aba")
    code, output = _pytest(host, *SUITE, *arguments, *cases)
    assert code == 1, output
    assert "memory: 2 of 2 passed" in output
    assert "wrong: 0 of 2 passed" in output


def test_unknown_target_is_a_usage_error(host: Path) -> None:
    code, output = _pytest(host, *SUITE, "--daystore-target", "nobody")
    assert code == 4
    assert "no target is called 'nobody': there are " in output


def test_level_and_seed_are_options(host: Path) -> None:
    arguments = ("--daystore-target", "memory", "--daystore-level", "full", "--daystore-seed", "5")
    code, output = _pytest(host, *SUITE, *arguments, "-k", "one_winner")
    assert code == 0, output
    code, output = _pytest(host, *SUITE, "--daystore-level", "slow")
    assert code == 4
