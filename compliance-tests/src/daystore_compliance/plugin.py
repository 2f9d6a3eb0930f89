"""The pytest plugin that gives the cases their targets, and keeps their outcomes by id.

It does nothing to tests that are no cases. Its fixtures, options and markers all begin with ``daystore``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from daystore_compliance.case import Case, obstacle
from daystore_compliance.certificate.contract import CURRENT, versions
from daystore_compliance.certificate.profiles import PROFILES, profile_of
from daystore_compliance.certificate.results import Result, Results
from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.certificate.waivers import FILE_NAME, WaiverError, read_waivers
from daystore_compliance.masking import masked, raised
from daystore_compliance.plan import Plan
from daystore_compliance.services import ServiceTarget, ServiceUnavailable
from daystore_compliance.session import Session
from daystore_compliance.target import Target, installed, resolve

pytest.register_assert_rewrite(
    "daystore_compliance.checks",
    "daystore_compliance.crash_scenarios",
    "daystore_compliance.faults",
    "daystore_compliance.model",
    "daystore_compliance.operations",
    "daystore_compliance.questions",
    "daystore_compliance.records",
    "daystore_compliance.suite",
)

SUITE: Final = Path(__file__).parent / "suite"
_REPORT: Final = "daystore_case"
_SERVERS: Final = "daystore_servers"
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
    group.addoption("--daystore-url", metavar="URL", help="where the backend of the named target is")
    group.addoption(
        "--daystore-image",
        metavar="IMAGE",
        help="the container image of which the named target's server is made",
    )
    group.addoption(
        "--daystore-profile", default="", metavar="NAMES", help="only these profiles, separated by commas"
    )
    group.addoption(
        "--daystore-case", action="append", default=[], metavar="ID", help="only this case; may be repeated"
    )
    group.addoption("--daystore-contract", default=CURRENT, metavar="VERSION", help="the contract to certify")
    group.addoption(
        "--daystore-waivers", metavar="FILE", help=f"cases that may fail; {FILE_NAME}, if there is one"
    )
    group.addoption("--daystore-out", metavar="DIR", help="write certificates there, and end as they say")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and find out what was asked for."""
    config.addinivalue_line("markers", "daystore_case(id): a case of the daystore compliance suite")
    try:
        config.stash[_SESSION] = _session(config)
    except (LookupError, WaiverError) as error:
        raise pytest.UsageError(str(error)) from None


def _session(config: pytest.Config) -> Session:
    option = config.getoption
    texts, url, image = option("--daystore-target"), option("--daystore-url"), option("--daystore-image")
    out = option("--daystore-out")
    for name, given in {"--daystore-url": url, "--daystore-image": image}.items():
        if given is not None and len(texts) != 1:
            raise LookupError(f"{name} is of one target: name it with --daystore-target")
    if option("--daystore-contract") not in versions():
        raise LookupError(
            f"there is no contract {option('--daystore-contract')!r}: there are {', '.join(versions())}"
        )
    profiles = frozenset(filter(None, option("--daystore-profile").split(",")))
    if unknown := profiles - PROFILES.keys():
        raise LookupError(f"there is no profile {min(unknown)!r}: there are {', '.join(PROFILES)}")
    waivers = option("--daystore-waivers")
    file = Path(waivers) if waivers else config.invocation_params.dir / FILE_NAME
    return Session(
        [resolve(text, url, image) for text in texts] or installed(),
        Plan(option("--daystore-level"), option("--daystore-seed")),
        profiles,
        frozenset(option("--daystore-case")),
        read_waivers(file) if waivers or file.is_file() else {},
        option("--daystore-contract"),
        Path(out) if out else None,
    )


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


def _variant_of(item: pytest.Function) -> str | None:
    variant = item.callspec.params.get("daystore_variant")
    return None if variant is None else str(variant)


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
    there = {found.id for item in items if (found := case_of(getattr(item, "function", None)))}
    if there and (unknown := session.cases - there):
        raise pytest.UsageError(f"no case is called {min(unknown)!r}: 'daystore cases' lists all of them")
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        found = case_of(getattr(item, "function", None))
        if found is None or not isinstance(item, pytest.Function):
            kept.append(item)
            continue
        target = _target_of(item)
        wanted = not session.cases or found.id in session.cases
        wanted = wanted and (not session.profiles or profile_of(found) in session.profiles)
        # A server is not started for a list of cases, so what its backend declares is not known.
        unknown_to_us = config.option.collectonly and isinstance(target, ServiceTarget)
        applies = wanted and (unknown_to_us or obstacle(found, target, session.declared(target)) is None)
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
    return pytestconfig.stash[_SESSION].plan


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Mark a report with what became of its case, and explain a promise that was not kept."""
    report: pytest.TestReport = yield
    found = case_of(getattr(item, "function", None))
    if found is None or not isinstance(item, pytest.Function):
        return report
    target, variant = _target_of(item), _variant_of(item)
    error = call.excinfo.value if call.excinfo is not None else None
    if report.when == "call" or not report.passed:
        reason = "" if error is None else raised(error, target)[:200]
        result = Result(found.id, variant, report.outcome, call.duration, reason)
        setattr(report, _REPORT, (target.name, result.to_dict()))
    if report.failed and error is not None:
        _explain(report, item, found, error)
    return report


def _explain(report: pytest.TestReport, item: pytest.Function, found: Case, error: BaseException) -> None:
    from daystore_compliance.reproduce.report import sections

    session = item.config.stash[_SESSION]
    if found.id in session.waivers:
        waiver = session.waivers[found.id]
        report.outcome = "skipped"
        report.wasxfail = f"waived until {waiver.expires}: {waiver.reason} ({waiver.issue})"
        return
    variant = _variant_of(item)
    told = sections(found, variant, _target_of(item), session.plan, error, session.out)
    report.sections.extend(told)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the outcome of a case; with xdist this runs where all reports come together."""
    marked = getattr(report, _REPORT, None)
    if marked is not None and _RECORDER:
        name, result = marked
        _RECORDER[-1].results.setdefault(name, Results()).add(Result.from_dict(result))


_RECORDER: Final[list[Session]] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to keep outcomes; a target that was named has to answer before anything is collected."""
    config = session.config
    ours = config.stash[_SESSION]
    _RECORDER.append(ours)
    if _is_worker(config):
        ours.servers.use(config.workerinput[_SERVERS])  # type: ignore[attr-defined]
    elif config.getoption("--daystore-target"):
        for target in ours.targets:
            if config.option.collectonly and isinstance(target, ServiceTarget):
                continue
            try:
                ours.servers.start(target)
                ours.ask(target)
            except ServiceUnavailable as error:
                pytest.exit(masked(str(error), target), returncode=Exit.UNAVAILABLE)
            except Exception as error:  # noqa: BLE001 -- whatever it is, there is nothing to try
                told = f"the target {target.name!r} cannot be opened: {raised(error, target)}"
                pytest.exit(told, returncode=Exit.UNAVAILABLE)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist which servers the run has."""
    node.workerinput[_SERVERS] = node.config.stash[_SESSION].servers.known


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop keeping outcomes, and end the servers of the run."""
    _RECORDER.clear()
    if not _is_worker(config) and _SESSION in config.stash:
        config.stash[_SESSION].servers.stop()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the certificates that were asked for, and end as the worst of them says."""
    config = session.config
    ours = config.stash[_SESSION]
    if ours.out is None or _is_worker(config) or config.option.collectonly:
        return
    if session.exitstatus in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR, Exit.UNAVAILABLE):
        return
    from daystore_compliance.suite import load

    registry = load()
    for target in ours.targets:
        ours.verdicts[target.name] = ours.certify(target, registry)
    session.exitstatus = max(verdict.exit for verdict, _ in ours.verdicts.values())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell for each target how many cases passed, which were not run and why, and the verdict."""
    session = config.stash[_SESSION]
    if not session.results and not session.verdicts:
        return
    from daystore_compliance.summary import lines

    terminalreporter.section("daystore compliance")
    for target in session.targets:
        for line in lines(session, target):
            terminalreporter.write_line(line)
