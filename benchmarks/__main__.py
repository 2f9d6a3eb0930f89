"""One command, the tables: ``python -m benchmarks [--quick] [--only sqlite|memory|scale|import]``."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import imports, operations, scale
from benchmarks.measure import Figure
from benchmarks.subjects import memory_subjects, sqlite_subjects

PARTS = ("sqlite", "memory", "scale", "import")


def operations_table(title: str, figures: dict[str, dict[str, Figure]]) -> Table:
    """Lay out operations a second, microseconds of processor time, and the ratio to the first subject."""
    table = Table(title=title, caption="operations/s · CPU µs each · speed against the first row")
    table.add_column("subject")
    for column in figures:
        table.add_column(column, justify="right")
    subjects = list(next(iter(figures.values())))
    for subject in subjects:
        cells = []
        for measured in figures.values():
            figure, floor = measured[subject], measured[subjects[0]]
            ratio = figure.per_second / floor.per_second
            cells.append(f"{figure.per_second:,.0f}/s · {figure.cpu:.0f} µs · {ratio:.0%}")
        table.add_row(subject, *cells)
    return table


def scale_table(figures: dict[str, dict[int, Figure]]) -> Table:
    """Lay out microseconds at each size, and their ratio."""
    table = Table(title="SQLite: the same operation at two sizes", caption="µs each, by the clock")
    table.add_column("operation")
    for size in scale.SIZES:
        table.add_column(f"{size:,} records", justify="right")
    table.add_column("ratio", justify="right")
    for name, sizes in figures.items():
        small, large = (sizes[size].wall for size in scale.SIZES)
        table.add_row(name, f"{small:.0f} µs", f"{large:.0f} µs", f"{large / small:.2f}")
    return table


def imports_table(figures: dict[str, float]) -> Table:
    """Lay out milliseconds."""
    table = Table(title="Import")
    table.add_column("what")
    table.add_column("ms", justify="right")
    for name, milliseconds in figures.items():
        table.add_row(name, f"{milliseconds:.0f}")
    return table


async def run(console: Console, parts: list[str], *, quick: bool) -> None:
    """Measure and print the parts asked for."""
    count, rounds = (500, 2) if quick else (2_000, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "sqlite" in parts:
            async with sqlite_subjects(folder) as subjects:
                found = await operations.measure(subjects, count, rounds)
            console.print(operations_table(f"Embedded on disk, {count:,} values of 455 bytes", found))
        if "memory" in parts:
            async with memory_subjects() as subjects:
                found = await operations.measure(subjects, count, rounds)
            console.print(operations_table(f"In memory, {count:,} values of 455 bytes", found))
        if "scale" in parts:
            console.print(scale_table(await scale.measure(folder, rounds)))
    if "import" in parts:
        console.print(imports_table(imports.measure(3 if quick else 10)))


def main() -> None:
    """Read the arguments, say what machine this is, measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer values and rounds")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; repeat for several")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} "
        f"{platform.machine()}; best of several interleaved rounds; read the ratios"
    )
    asyncio.run(run(console, arguments.only or list(PARTS), quick=arguments.quick))


if __name__ == "__main__":
    main()
