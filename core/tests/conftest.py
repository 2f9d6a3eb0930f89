"""What the tests share: coroutine tests, a backend that keeps what was called, plugins as real distributions."""

import asyncio
import inspect
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from daystore.abc import Aggregation, Consistency, GroupRow, Outcome, Page, Query, Record, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.clock import ManualClock

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


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


class Recording(MemoryAdapter):
    """Gives way to other tasks in every call, as a real backend does, and keeps what was called."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock, timeout=None)
        self.calls: list[str] = []
        self.consistencies: list[Consistency] = []
        self.batches: list[WriteBatch] = []
        self.queries: list[Query] = []
        self.writing = asyncio.Event()

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        self.calls.append("read")
        self.consistencies.append(consistency)
        await asyncio.sleep(0)
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.calls.append("write")
        self.batches.append(batch)
        self.writing.set()
        await asyncio.sleep(0)
        return await super()._write(batch)

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        self.calls.append("query")
        self.consistencies.append(consistency)
        self.queries.append(query)
        await asyncio.sleep(0)
        return await super()._query(query, consistency)

    async def _count(self, query: Query, consistency: Consistency) -> int:
        self.calls.append("count")
        self.consistencies.append(consistency)
        return await super()._count(query, consistency)

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        self.calls.append("aggregate")
        self.consistencies.append(consistency)
        return await super()._aggregate(query, aggregation, consistency)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def adapter(clock: ManualClock) -> Recording:
    adapter = Recording(clock)
    asyncio.run(adapter.open())
    return adapter
