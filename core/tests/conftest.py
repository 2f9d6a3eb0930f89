"""Plugins as real distributions: built as wheels and installed into directories of their own."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "plugins" / "fixtures"
PACKAGES = "daystore_fixture_"

# Builds the wheel of each directory named; a process of its own, as hatchling reads the working directory.
BUILD = """
import os, sys
from hatchling.build import build_wheel
for directory in sys.argv[2:]:
    os.chdir(directory)
    build_wheel(sys.argv[1])
"""


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The wheel of each fixture, by the name of its directory."""
    built = tmp_path_factory.mktemp("wheels")
    directories = sorted(path.parent for path in FIXTURES.glob("*/pyproject.toml"))
    subprocess.run([sys.executable, "-c", BUILD, built, *directories], check=True, capture_output=True)
    found = {
        path.name.split("-")[0].removeprefix(PACKAGES).replace("_", "-"): path for path in built.iterdir()
    }
    assert sorted(found) == [directory.name for directory in directories]
    return found


@pytest.fixture
def install(
    wheelhouse: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Install fixtures by name for the length of a test; returns the directory they are installed in."""
    site = tmp_path / "site-packages"
    site.mkdir()

    def install_fixtures(*names: str) -> Path:
        for name in names:
            with zipfile.ZipFile(wheelhouse[name]) as wheel:
                wheel.extractall(site)
        return site

    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    )
    yield install_fixtures
    for module in [name for name in sys.modules if name.startswith(PACKAGES)]:
        del sys.modules[module]


@pytest.fixture
def daystore(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a process of its own, in an empty directory."""
    directory = tmp_path / "work"
    directory.mkdir()

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "daystore.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=directory,
            env={**os.environ, **environ},
            timeout=60,
        )

    return run
