"""The pytest plugin that gives the cases their targets, and keeps their outcomes by id.

It does nothing to tests that are no cases. Its fixtures, options and markers all begin with ``daystore``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from daystore.abc import Capabilities
from daystore_compliance.case import Case, obstacle
from daystore_compliance.clock import ManualClock
from daystore_compliance.plan import Plan
from daystore_compliance.target import Target, installed, resolve

pytest.register_assert_rewrite(
    "daystore_compliance.checks",
    "daystore_compliance.model",
    "daystore_compliance.records",
    "daystore_compliance.suite",
)

SUITE: Final = Path(__file__).parent / "suite"
_REPORT: Final = "daystore_case"


@dataclass
class Session:
    """What one run of pytest knows of the suite.

    Attributes:
        targets: What is tried.
        capabilities: What each declares, by its name, once it was asked.
        outcomes: What became of each case, by target and id with the variant.
    """

    targets: list[Target]
    capabilities: dict[str, Capabilities] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)

    def declared(self, target: Target) -> Capabilities:
        """Ask a target what it declares, once."""
        if target.name not in self.capabilities:
            with target.running():
                self.capabilities[target.name] = asyncio.run(_ask(target))
        return self.capabilities[target.name]


async def _ask(target: Target) -> Capabilities:
    adapter = await target.open("daystore-compliance", ManualClock())
    try:
        return adapter.capabilities
    finally:
        await adapter.close()


_SESSION: Final = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite."""
    group = parser.getgroup("daystore", "certification of daystore backends")
    group.addoption(
        "--daystore-target",
        action="append",
        default=[],
        metavar="TARGET",
        help="a target's name, a URL, or module:attribute; may be repeated; default: the built-in ones",
    )
    group.addoption("--daystore-level", choices=("quick", "full"), default="quick", help="how hard to try")
    group.addoption(
        "--daystore-seed", type=int, default=0, metavar="N", help="what random choices are made from"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and find the targets that were asked for."""
    config.addinivalue_line("markers", "daystore_case(id): a case of the daystore compliance suite")
    try:
        targets = [resolve(text) for text in config.getoption("--daystore-target")]
    except LookupError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[_SESSION] = Session(targets or installed())


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the modules of cases, whatever the host calls its own test files."""
    if file_path.parent != SUITE or file_path.suffix != ".py" or file_path.name == "__init__.py":
        return None
    patterns = parent.config.getini("python_files")
    if parent.session.isinitpath(file_path) or any(file_path.match(pattern) for pattern in patterns):
        return None  # pytest collects it by itself
    return pytest.Module.from_parent(parent, path=file_path)


def case_of(item: object) -> Case | None:
    """Return the case behind a test function; ``None`` for any other test."""
    found = getattr(item, "daystore_case", None)
    return found if isinstance(found, Case) else None


def _target_of(item: pytest.Function) -> Target:
    target = item.callspec.params["daystore_target"]
    assert isinstance(target, Target)
    return target


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each case against each target, and with each of its variants."""
    found = case_of(metafunc.function)
    if found is None:
        return
    targets = metafunc.config.stash[_SESSION].targets
    names = [target.name for target in targets]
    metafunc.parametrize("daystore_target", targets, ids=names, scope="session", indirect=True)
    if found.variants:
        metafunc.parametrize("daystore_variant", list(found.variants))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out the cases that do not apply to their target; what they are is told at the end."""
    session = config.stash[_SESSION]
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        found = case_of(getattr(item, "function", None))
        if found is None or not isinstance(item, pytest.Function):
            kept.append(item)
            continue
        target = _target_of(item)
        applies = obstacle(found, target, session.declared(target)) is None
        (kept if applies else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


@pytest.fixture(scope="session")
def daystore_target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The target that is tried, with its storage provided."""
    target: Target = request.param
    with target.running():
        yield target


@pytest.fixture(scope="session")
def daystore_plan(pytestconfig: pytest.Config) -> Plan:
    """How hard to try."""
    return Plan(pytestconfig.getoption("--daystore-level"), pytestconfig.getoption("--daystore-seed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ARG001 -- pluggy
    """Mark a report with its case, and tell the promise where it was not kept."""
    report: pytest.TestReport = yield
    found = case_of(getattr(item, "function", None))
    if found is not None and isinstance(item, pytest.Function):
        variant = item.callspec.params.get("daystore_variant")
        name = found.id if variant is None else f"{found.id}[{variant}]"
        setattr(report, _REPORT, (_target_of(item).name, name))
        if report.failed:
            text = f"{found.promise}\n(case {name}, {found.level}, since contract {found.since})"
            report.sections.append(("the promise that was not kept", text))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the outcome of a case; with xdist this runs where all reports come together."""
    marked = getattr(report, _REPORT, None)
    if marked is not None and _RECORDER and (report.when == "call" or not report.passed):
        _RECORDER[-1].outcomes[tuple(marked)] = report.outcome


_RECORDER: Final[list[Session]] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to keep outcomes."""
    _RECORDER.append(session.config.stash[_SESSION])


def pytest_unconfigure() -> None:
    """Stop keeping outcomes."""
    _RECORDER.clear()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell for each target how many cases passed, and which were not run and why."""
    session = config.stash[_SESSION]
    if not session.outcomes:
        return
    from daystore_compliance.suite import load  # not before it is rewritten, nor without need

    terminalreporter.section("daystore compliance")
    for target in session.targets:
        outcomes = [outcome for (name, _), outcome in session.outcomes.items() if name == target.name]
        passed = outcomes.count("passed")
        terminalreporter.write_line(f"{target.name}: {passed} of {len(outcomes)} passed")
        for case_id, made in sorted(load().items()):
            if why := obstacle(made, target, session.declared(target)):
                terminalreporter.write_line(f"  not run: {case_id} ({why})")
