"""Every task of the workspace, one session each.

`nox -l` lists them, `nox -s NAME` runs one, `nox -s NAME -- ARGUMENTS` hands it arguments.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
PYTHONS = ["3.11", "3.12", "3.13"]
# Directory of each distribution, and the package in it, in the order in which they depend on each other.
DISTRIBUTIONS = {
    "core": "daystore",
    "plugins/mongo": "daystore_mongo",
    "plugins/redis": "daystore_redis",
    "plugins/s3": "daystore_s3",
    "plugins/sql": "daystore_sql",
    "compliance-tests": "daystore_compliance",
}
EXTRAS = {
    "core": "[cli,yaml]",
    "plugins/sql": "[mysql,postgresql,psycopg]",
    "compliance-tests": "[docker]",
}
EDITABLE = [directory + EXTRAS.get(directory, "") for directory in DISTRIBUTIONS]
# What the suite certifies here; `wire` is its own reference, reached through a network that it can break.
EMBEDDED = ["memory", "sql", "sql-durable", "sql-memory", "wire"]
# What it certifies on servers that it starts itself.
SERVED = [
    "redis",
    "redis-durable",
    "redis-cluster",
    "redis-shards",
    "valkey",
    "mariadb",
    "mongo",
    "postgresql",
    "postgresql-psycopg",
    "postgresql-replica",
    "sql-pgbouncer",
    "s3",
]
# Those that wait longer for their servers than they keep a processor busy.
WAITING = {"mongo", "redis-shards", "s3"}
# Those that beside all the others run only these profiles, and all of them alone: one whose quick level takes a
# quarter of an hour, and one that is PostgreSQL again, where a pooler makes a difference.
PARTLY = {"s3": "atomic,intents,txn,durability", "sql-pgbouncer": "cas,atomic,txn,durability,faults"}
BACKENDS = [*EMBEDDED, *SERVED]
NO_SERVER = 3  # how `daystore certify` ends where it cannot open the backend
LOCK = "requirements.txt"
LOCK_HEADER = "# Written by `nox -s lock`: what the distributions and the tasks need, pinned with hashes.\n"

# Executed in the environment of the built wheels: everything must come from there, nothing from the checkout.
FROM_WHEELS = """
import importlib, pathlib, sys
for name in sys.argv[1:]:
    folder = pathlib.Path(importlib.import_module(name).__file__).parent
    assert folder.is_relative_to(sys.prefix), f"{name} comes from {folder}, not from its wheel"
    assert (folder / "py.typed").exists(), f"the wheel of {name} has no py.typed"
"""


THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def pyenv_interpreters() -> list[str]:
    """The `bin` directory of the newest pyenv interpreter of each Python that is tested.

    pyenv's shims fail for a version that is not selected, so the real directories go before them.
    """
    root = os.environ.get("PYENV_ROOT")
    if not root and (pyenv := shutil.which("pyenv")):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
    versions = Path(root or Path.home() / ".pyenv") / "versions"

    def patch_level(directory: Path) -> int:
        return int(directory.name.split(".")[2])

    directories = []
    for python in PYTHONS:
        found = [path for path in versions.glob(f"{python}.*") if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
        directories += [str(path / "bin") for path in sorted(found, key=patch_level)[-1:]]
    return directories


os.environ["PATH"] = os.pathsep.join([*pyenv_interpreters(), os.environ["PATH"]])
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
# Tests start many processes, and each would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
# A Python that is missing is named and passed over; with CI set, nox makes it an error.
nox.options.sessions = ["lint", "types", "imports", "tests"]


def install(session: nox.Session, *groups: str, packages: list[str] = EDITABLE) -> None:
    """Install dependency groups and packages, all in the pinned versions, hashes checked."""
    arguments = [argument for group in groups for argument in ("--group", group)]
    for package in packages:
        arguments += [package] if package.startswith("/") else ["--editable", package]
    session.install("--constraints", LOCK, "--build-constraints", LOCK, *arguments)


def run_pytest(session: nox.Session) -> None:
    """Run the tests, then hold the embedded backends to the contract; `certify` does it for the others."""
    session.run("pytest", "--numprocesses=auto", *session.posargs)
    if not session.posargs:
        certify_embedded(session)


def certify_embedded(session: nox.Session) -> None:
    """Run the suite on the backends that need no server, with this Python and these dependencies."""
    targets = ("--daystore-target", "memory", "--daystore-target", "sql")
    session.run("pytest", "--numprocesses=auto", "--pyargs", "daystore_compliance.suite", *targets)


@nox.session
def demo(session: nox.Session) -> None:
    """Show the main job end to end: agents' histories stored, queried, and found again after a kill."""
    install(session)
    session.run("daystore", "demo", *session.posargs)


# A machine that has only a newer Python than those promised runs the tests on that one, not on none.
@nox.session(python=PYTHONS if THIS_PYTHON in PYTHONS else [*PYTHONS, THIS_PYTHON])
def tests(session: nox.Session) -> None:
    """Run the tests of every distribution, on each Python."""
    install(session, "test")
    run_pytest(session)


@nox.session
def certify(session: nox.Session) -> None:
    """Certify every backend, at the full level; `-- redis sql --level quick` for some, quickly."""
    install(session, "test")
    names = [argument for argument in session.posargs if argument in BACKENDS] or BACKENDS
    options = [argument for argument in session.posargs if argument not in BACKENDS]
    out = str(Path(session.create_tmp()).resolve() / "certificates")
    failed: list[str] = []
    missing: list[str] = []
    for name in names:
        try:
            more = ["--workers", str(2 * (os.cpu_count() or 1))] if name in WAITING else []
            if name in PARTLY and "quick" in options and names is BACKENDS:
                session.warn(f"{name}: only {PARTLY[name]}; all by `nox -s certify -- {name} --level quick`")
                more += ["--profile", PARTLY[name]]
            session.run("daystore", "certify", name, "--out", out, *more, *options)
        except CommandFailed as error:
            (missing if error.return_code == NO_SERVER else failed).append(name)
    session.log(f"certified: {', '.join(sorted({*names} - {*failed, *missing})) or 'none'}")
    if missing:
        session.warn(f"no server to be had here, so not certified: {', '.join(missing)}")
    if failed or (missing and os.environ.get("CI")):
        session.error(f"not certified: {', '.join([*failed, *missing])}")


@nox.session
def selftest(session: nox.Session) -> None:
    """Put the suite on trial: every mutant found out by the cases named for it; `-- --quick` for one a case."""
    install(session, "test")
    session.run("daystore", "selftest", *(session.posargs or ["--seeds", "1"]))


@nox.session
def simulate(session: nox.Session) -> None:
    """Run the coordinated commit in simulated worlds: `nox -s simulate -- --seeds N`, or the mistakes it finds."""
    install(session, "test")
    if session.posargs:
        session.run("daystore", "simulate", *session.posargs)
    else:
        session.run("daystore", "simulate")
        session.run("daystore", "simulate", "--crashes")
        session.run("daystore", "simulate", "--mutants")


@nox.session
def money(session: nox.Session) -> None:
    """Move money across five backends while processes and servers die: `nox -s money -- --seconds N`."""
    install(session, "test")
    session.run("daystore", "money", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests once more and tell which lines and branches none of them reaches."""
    install(session, "test")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "--numprocesses=auto", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the lock; `-- --fix` corrects what ruff can correct."""
    install(session, "lint", packages=[])
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))
    if pins(compile_lock(session)) != pins((ROOT / LOCK).read_text()):
        session.error(f"{LOCK} does not pin what the pyproject.toml files declare: run `nox -s lock`")


@nox.session
def types(session: nox.Session) -> None:
    """Check with mypy in strict mode, and with a second checker that the public API is typed completely."""
    install(session, "bench", "test", "types", "tasks")
    session.run("mypy", "noxfile.py", "benchmarks")
    for directory in DISTRIBUTIONS:
        session.run("mypy", f"{directory}/src", f"{directory}/tests")
    # The second checker finds no editable installs, and judges a package as its users get it.
    packages = [str(ROOT / directory) for directory in DISTRIBUTIONS]
    session.install("--build-constraints", LOCK, "--no-deps", "--reinstall", *packages)
    for package in DISTRIBUTIONS.values():
        session.run("basedpyright", "--ignoreexternal", "--verifytypes", package)


@nox.session
def imports(session: nox.Session) -> None:
    """Check who may import whom, and that each distribution declares exactly what it imports."""
    install(session, "imports")
    session.run("lint-imports", "--no-cache")
    for directory, package in DISTRIBUTIONS.items():
        with session.chdir(ROOT / directory):
            session.run("deptry", "src", "--known-first-party", package)


@nox.session(reuse_venv=False)
def wheels(session: nox.Session) -> None:
    """Build every distribution, and use the wheels in a fresh environment: nothing is missing in them.

    What a wheel can do wrong is to lack a file or an entry point. Each file of a package is looked for, and then
    the installed suite certifies the installed backends that need no server.
    """
    built = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(built, ignore_errors=True)
    # Wheels are built from the source distributions, so a file missing there is missing here.
    build = ("uv", "build", "--all-packages", "--build-constraints", LOCK, "--out-dir", str(built), "--quiet")
    session.run(*build, external=True)
    wheel = {package: str(next(built.glob(f"{package}-*.whl"))) for package in DISTRIBUTIONS.values()}
    for directory, package in DISTRIBUTIONS.items():
        source = ROOT / directory / "src"
        files = {str(path.relative_to(source)) for path in source.rglob("*") if is_source(path)}
        if missing := files - set(ZipFile(wheel[package]).namelist()):
            session.error(f"the wheel of {package} lacks {', '.join(sorted(missing))}")

    install(session, packages=[wheel["daystore"]])
    session.run("python", "-c", FROM_WHEELS, "daystore")
    extras = (EXTRAS.get(directory, "") for directory in DISTRIBUTIONS)
    packages = [file + extra for file, extra in zip(wheel.values(), extras, strict=True)]
    install(session, "test", packages=packages)
    session.run("python", "-c", FROM_WHEELS, *wheel)
    session.run("daystore", "demo")
    certify_embedded(session)


def is_source(path: Path) -> bool:
    """Tell whether a file belongs into a wheel, and is not left by having run the package."""
    return path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)


@nox.session(python=PYTHONS[0], reuse_venv=False)
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest version of every dependency that the distributions declare."""
    packages = [argument for package in EDITABLE for argument in ("--editable", package)]
    session.install("--resolution", "lowest-direct", "--group", "test", *packages)
    run_pytest(session)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/, warnings are errors; `-- serve` shows it while it is written."""
    install(session, "docs")
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against raw drivers and against peers, and print the table."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write requirements.txt anew; `-- --upgrade` takes the newest versions instead of keeping what fits."""
    (ROOT / LOCK).write_text(LOCK_HEADER + compile_lock(session, *session.posargs))


def compile_lock(session: nox.Session, *options: str) -> str:
    """What requirements.txt has to say, without addresses; the pins that it has are kept where they fit."""
    target = Path(session.create_tmp()).resolve() / LOCK
    shutil.copyfile(ROOT / LOCK, target)
    session.run(
        "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", PYTHONS[0],
        "--no-header", "--no-annotate", "--all-extras", "--group", "dev",
        *(f"--no-emit-package={package.replace('_', '-')}" for package in DISTRIBUTIONS.values()),
        *(f"{directory}/pyproject.toml" for directory in DISTRIBUTIONS),
        f"--output-file={target}", *options,
        external=True,
    )  # fmt: skip
    return target.read_text()


def pins(lock_text: str) -> list[str]:
    """The pinned versions of a lock; its hashes may grow, when a release gets another wheel."""
    return re.findall(r"^\S+==.*?(?= *\\?$)", lock_text, flags=re.MULTILINE)
