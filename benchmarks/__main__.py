"""One command: ``python -m benchmarks [--quick] [--only PART] [--url SERVER=URL]``."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import goals, growth, imports, operations, transactions
from benchmarks.backends import BACKENDS, Backend
from benchmarks.measure import Step
from benchmarks.report import Report, growth_report, imports_report, operations_report, transactions_report
from benchmarks.servers import server
from daystore_compliance.services import ServiceUnavailable

RESULTS = Path(__file__).parent / "results"
PARTS = (
    "sqlite",
    "memory",
    "redis",
    "postgresql",
    "mariadb",
    "mongo",
    "s3",
    "s3-20ms",
    "transactions",
    "growth",
    "import",
)
GROWING = [f"growth-{name}" for name, backend in BACKENDS.items() if backend.grows]
SERVERS = [name for name, backend in BACKENDS.items() if backend.target]


@dataclass(frozen=True)
class Run:
    """What was asked for.

    Attributes:
        parts: What to measure.
        urls: Of servers that run, by backend.
        out: Where results are written; ``None`` for nowhere.
        most: Records at the end of growing.
        count: Values of each subject.
        rounds: How often each is measured.
        console: Where tables and progress go.
    """

    parts: frozenset[str]
    urls: Mapping[str, str]
    out: Path | None
    most: int
    count: int
    rounds: int
    console: Console = field(default_factory=Console)

    def measure(self) -> list[str]:
        """Measure all parts, and return what kept some of them from being measured."""
        failures = []
        for name, backend in BACKENDS.items():
            wanted = [part for part in (name, f"growth-{name}") if part in self.parts]
            if not wanted:
                continue
            provided = (
                server(backend.target, self.urls.get(name), backend.latency)
                if backend.target
                else nullcontext("")
            )
            try:
                with provided as url:
                    for part in wanted:
                        self.finish(asyncio.run(self.part(part, name, backend, url)))
            except (LookupError, ServiceUnavailable) as error:
                failures.append(f"{name}: {error}")
        if "transactions" in self.parts:
            try:
                with transactions.servers(self.urls) as urls:
                    self.finish(asyncio.run(self.transact(urls)))
            except (LookupError, ServiceUnavailable) as error:
                failures.append(f"transactions: {error}")
        if "import" in self.parts:
            self.finish(imports_report(machine(), imports.measure(2 * self.rounds)))
        return failures

    async def part(self, part: str, name: str, backend: Backend, url: str) -> Report:
        """Measure one part on one server."""
        rounds = f"best of {self.rounds} interleaved rounds; read the ratios"
        about = f"{machine()}; {await backend.module.version(url)}; {rounds}"
        async with backend.module.workspace(url) as place:
            if part == name:
                return await self.compare(name, backend, place, about)
            return await self.grow(part, backend, place, about)

    async def compare(self, part: str, backend: Backend, place: str, about: str) -> Report:
        """Measure daystore beside raw drivers and peers."""
        async with backend.module.subjects(place) as found:
            subjects = dict(found.subjects)
            count = min(self.count, backend.most or self.count)
            with self.progress(part, operations.runs(self.rounds, len(subjects))) as step:
                figures = await operations.measure(subjects, count, self.rounds, step)
        title = f"{backend.title}: {count:,} values of 455 bytes"
        return operations_report(part, title, about, figures, goals.judge(part, figures, found.floors))

    async def transact(self, urls: Mapping[str, str]) -> Report:
        """Measure transactions on one backend and across two."""
        versions = [await BACKENDS[name].module.version(url) for name, url in urls.items()]
        count = min(self.count, 300)
        about = f"{machine()}; {'; '.join(versions)}; {count} transactions, best of {self.rounds} rounds"
        with (
            TemporaryDirectory() as folder,
            self.progress("transactions", transactions.runs(self.rounds)) as step,
        ):
            sqlite = f"sqlite:///{folder}/bench.db"
            figures = await transactions.measure(urls, sqlite, count, self.rounds, step)
        return transactions_report(about, figures)

    async def grow(self, part: str, backend: Backend, place: str, about: str) -> Report:
        """Measure daystore among more and more records."""

        async def settle() -> None:
            await backend.module.settle(place)

        with self.progress(part, growth.runs(self.most, self.rounds)) as step:
            figures = await growth.measure(place, self.most, self.rounds, settle, step)
        title = f"{backend.title}: the same operation among more and more records"
        return growth_report(part, title, about, figures, goals.judge_growth(figures, self.most))

    def finish(self, report: Report) -> None:
        """Print a report, and write it if that was asked for."""
        report.show(self.console)
        if self.out is not None:
            report.write(self.out)

    @contextmanager
    def progress(self, part: str, total: int) -> Iterator[Step]:
        """Show how far a part is."""
        columns = (
            TextColumn(part),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("", total=total)
            yield lambda told: progress.update(task, advance=1, description=told)


def machine() -> str:
    """Say what this is measured on."""
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    )


def address(text: str) -> tuple[str, str]:
    """Read ``SERVER=URL``."""
    name, equals, url = text.partition("=")
    if name not in SERVERS or not equals or "://" not in url:
        raise argparse.ArgumentTypeError(f"write SERVER=URL, with one of {', '.join(SERVERS)}")
    return name, url


def records(text: str) -> int:
    """Read a number of records."""
    number = int(text.replace(",", "").replace("_", ""))
    if number < growth.FEWEST * 10:
        raise argparse.ArgumentTypeError(f"growing takes at least {growth.FEWEST * 10:,} records")
    return number


def main() -> None:
    """Read the arguments and measure; end with 1 if a part could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer values and rounds, nothing is written unless --out"
    )
    parser.add_argument(
        "--only",
        metavar="PART",
        action="append",
        choices=(*PARTS, *GROWING),
        help=f"{', '.join(PARTS)}, or growth-BACKEND; repeat for several",
    )
    parser.add_argument(
        "--url",
        metavar="SERVER=URL",
        action="append",
        type=address,
        default=[],
        help="of a server that runs; repeat for several",
    )
    parser.add_argument(
        "--max-records",
        metavar="NUMBER",
        type=records,
        default=100_000,
        help="records at the end of growing (100,000)",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help=f"folder for the results ({RESULTS.name}/ beside the benchmarks)",
    )
    arguments = parser.parse_args()
    parts = set(arguments.only or PARTS)
    if "growth" in parts:
        parts.update(GROWING)
    count, rounds = (500, 2) if arguments.quick else (2_000, 5)
    run = Run(
        parts=frozenset(parts),
        urls=dict(arguments.url),
        out=arguments.out or (None if arguments.quick else RESULTS),
        most=arguments.max_records,
        count=count,
        rounds=rounds,
        console=Console(width=None if sys.stdout.isatty() else 220),
    )
    if failures := run.measure():
        run.console.print("\nNot measured:", *failures, sep="\n", markup=False)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
