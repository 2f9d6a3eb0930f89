"""``daystore certify``: run the suite against a backend in a process of its own, and write what it found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from daystore_compliance.certificate.contract import CURRENT
from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.certificate.waivers import FILE_NAME

__all__ = ["certify"]

# The run is the suite's own: no settings of the repository in which it happens to be started.
_SETTINGS: Final = """[pytest]
addopts =
filterwarnings =
    error::ResourceWarning
    error::pytest.PytestUnraisableExceptionWarning
    error::pytest.PytestUnhandledThreadExceptionWarning
"""
_MOST: Final = 8
"""Processes, unless more are asked for."""
_NO_TESTS: Final = 5
"""How pytest ends when nothing was left to run."""
_FOREIGN: Final = (
    *("PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_PLUGINS"),
    *("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"),
)


def certify(  # noqa: PLR0913 -- the options of a command
    target: str,
    *pytest_arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    url: str | None = None,
    image: str | None = None,
    contract: str = CURRENT,
    profile: str = "",
    level: Literal["quick", "full"] = "full",
    seed: int = 0,
    out: Path = Path("certificates"),
    waivers: Path | None = None,
    case: tuple[str, ...] = (),
    workers: int | None = None,
) -> int:
    """Hold a backend to the contract, and write its certificate.

    Ends with 0 if there is a certificate, 1 if a case failed, 2 for a waiver that is out of date or a capability
    that is declared and not there, 3 if the backend cannot be opened, 4 if not everything was run.

    Args:
        target: A target's name, a URL, or module:attribute.
        pytest_arguments: Further arguments for pytest, after "--". Its plugins have to be named there: -p NAME.
        url: Where the backend of a named target is.
        image: Of which container its server is made, such as valkey/valkey:8.
        contract: The version of the contract.
        profile: Only these profiles, separated by commas.
        level: quick takes seconds, full minutes.
        seed: What random choices are made from.
        out: Where the certificate goes.
        waivers: Cases that may fail; compliance-waivers.toml, if there is one.
        case: Only this case, and no certificate; may be repeated.
        workers: Processes to run at the same time, if pytest-xdist is there; one more than there are processors,
            as cases also wait, up to 8.
    """
    if waivers is None and Path(FILE_NAME).is_file():
        waivers = Path(FILE_NAME)
    options = [
        *("--daystore-target", target, "--daystore-level", level, "--daystore-seed", str(seed)),
        *("--daystore-contract", contract, "--daystore-profile", profile),
        *(("--daystore-url", url) if url is not None else ()),
        *(("--daystore-image", image) if image is not None else ()),
        *(("--daystore-waivers", str(waivers.resolve())) if waivers is not None else ()),
        *(argument for one in case for argument in ("--daystore-case", one)),
        *(() if case else ("--daystore-out", str(out.resolve()))),
        *_parallel(1 if case else workers),
    ]
    code = _run([*options, *pytest_arguments])
    if code == _NO_TESTS:
        sys.stderr.write("no case was run: none of those that were chosen applies to the target\n")
        return Exit.NOTHING
    if code < 0 or code > max(Exit):
        sys.stderr.write(f"no certificate: the run was ended before it could finish (exit code {code})\n")
        return Exit.NOTHING
    return code


def _parallel(workers: int | None) -> tuple[str, ...]:
    if find_spec("xdist") is None or workers == 1:
        return ()
    return (
        "-p",
        "xdist.plugin",
        "--numprocesses",
        str(min((os.cpu_count() or 1) + 1, _MOST) if workers is None else workers),
    )


def _run(arguments: list[str]) -> int:
    """Run pytest. In this process it could not rewrite the modules that are imported already."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # those that are installed for something else
    with tempfile.TemporaryDirectory(prefix="daystore-certify-") as folder:
        settings = Path(folder) / "pytest.ini"
        settings.write_text(_SETTINGS, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pytest", "-c", str(settings), "--rootdir", folder),
            *("-p", "daystore_compliance.plugin", "-p", "daystore_compliance.heap"),
            *("-p", "no:cacheprovider", "--noconftest", "-q"),
            *("--pyargs", "daystore_compliance.suite"),
        ]
        return _waited_for(subprocess.Popen([*command, *arguments], env=environment))


def _waited_for(run: subprocess.Popen[bytes]) -> int:
    """Wait for a run, however impatient somebody becomes: it ends the servers that it has started."""

    def terminate(number: int, _frame: FrameType | None) -> None:
        run.send_signal(number)

    before = signal.signal(signal.SIGTERM, terminate)
    interrupted = False
    try:
        while True:
            try:
                code = run.wait()
            except KeyboardInterrupt:
                interrupted = True  # the terminal has told the run as well
            else:
                return Exit.NOTHING if interrupted else code
    finally:
        signal.signal(signal.SIGTERM, before)
