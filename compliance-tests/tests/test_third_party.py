"""A backend of somebody else: its own repository, its own wheel, installed beside ours, certified by name."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from daystore_compliance.certificate.profiles import PROFILES

REPOSITORY = Path(__file__).parent / "third_party" / "daystore-dbm"

BUILD = """
import os, sys
from hatchling.build import build_wheel
os.chdir(sys.argv[2])
build_wheel(sys.argv[1])
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the third party's wheel, and everything that is installed here."""
    wheels = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, "-c", BUILD, wheels, REPOSITORY], check=True, capture_output=True)
    home = tmp_path_factory.mktemp("home") / "venv"
    venv.create(home, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / version / "site-packages"
    (wheel,) = wheels.glob("daystore_dbm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # What is installed beside it: the distributions of daystore and what they need.
    (site / "beside.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return home / "bin" / "python"


def run(python: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    ran = subprocess.run(
        [python, "-m", "daystore.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_it_is_found_by_name(python: Path, tmp_path: Path) -> None:
    code, output = run(python, tmp_path, "plugins", "--json")
    assert code == 0, output
    (row,) = (row for row in json.loads(output) if row["name"] == "dbm")
    assert (row["distribution"], row["version"], row["status"]) == ("daystore-dbm", "0.3.0", "ok")
    assert row["capabilities"] == ["conditional", "ttl", "query"]


def test_it_is_certified_for_what_it_declares(python: Path, tmp_path: Path) -> None:
    code, output = run(python, tmp_path, "certify", "dbm", "--level", "quick")
    assert code == 0, output
    certificate = json.loads((tmp_path / "certificates" / "dbm.json").read_text())
    assert certificate["verdict"] == "certified"
    assert certificate["adapter"]["distribution"] == "daystore-dbm"
    assert certificate["adapter"]["version"] == "0.3.0"
    assert certificate["adapter"]["contract_range"] == "daystore<0.2,>=0.1"
    assert certificate["certified"] == ["core", "query", "cas"]
    gaps = {gap.partition(":")[0]: gap for gap in certificate["gaps"]}
    assert set(gaps) == set(PROFILES) - {"core", "query", "cas"}
    assert "undeclared: atomic_batch" in gaps["atomic"]
    assert "undeclared: transactions" in gaps["txn"]
    outcomes = {case["id"]: case["outcome"] for case in certificate["cases"]}
    assert outcomes["cap.atomic_batch.refused"] == "passed", "what is not declared is tried for its refusal"
    assert outcomes["batch.atomic_all_or_none"] == "undeclared: atomic_batch"
    page = (tmp_path / "certificates" / "dbm.md").read_text()
    assert "## Not certified for" in page
    assert json.loads((tmp_path / "certificates" / "dbm-badge.json").read_text())["message"] == (
        "core+query+cas"
    )


def test_it_works_for_its_users(python: Path, tmp_path: Path) -> None:
    script = """
import asyncio
from daystore import Storage

async def main():
    async with Storage.open("dbm:///agent") as storage:
        notes = storage.store("notes", dict, indexes={"topic": str})
        await notes.set("n1", {"topic": "travel"})
    async with Storage.open("dbm:///agent") as storage:
        notes = storage.store("notes", dict, indexes={"topic": str})
        print(await notes.where("topic", "=", "travel").keys())

asyncio.run(main())
"""
    ran = subprocess.run([python, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "['n1']\n"), ran.stderr
