"""What was found, as tables: printed, and written as Markdown beside a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import plots
from benchmarks.goals import Verdict
from benchmarks.growth import Growth
from benchmarks.measure import Figure
from benchmarks.operations import Figures

NOT_ABLE = "–"


@dataclass(frozen=True)
class Sheet:
    """One table. The first column is text, the others are numbers.

    Attributes:
        title: What it shows.
        header: Over the columns.
        rows: The cells.
        note: How to read it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def table(self) -> Table:
        """Lay it out for a terminal."""
        table = Table(title=self.title, caption=self.note or None)
        for number, column in enumerate(self.header):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Lay it out for a page."""
        lines = [f"## {self.title}", ""]
        lines.append(_line(self.header))
        lines.append(_line(["---", *["---:"] * (len(self.header) - 1)]))
        lines += [_line(row) for row in self.rows]
        if self.note:
            lines += ["", self.note]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Report:
    """What one part has found.

    Attributes:
        name: Of its files.
        title: Over all of it.
        about: The machine, the versions, the amount.
        sheets: The tables.
        draw: Draws the plot into a file; `None` if there is none.
    """

    name: str
    title: str
    about: str
    sheets: Sequence[Sheet]
    draw: Callable[[Path], None] | None = None

    def show(self, console: Console) -> None:
        """Print it."""
        console.rule(self.title)
        console.print(self.about)
        for sheet in self.sheets:
            console.print(sheet.table())

    def write(self, folder: Path) -> None:
        """Write ``<name>.md`` and ``<name>.svg``."""
        folder.mkdir(parents=True, exist_ok=True)
        blocks = [f"# {self.title}", self.about]
        if self.draw is not None:
            self.draw(folder / f"{self.name}.svg")
            blocks.append(f"![{self.title}]({self.name}.svg)")
        blocks += [sheet.markdown() for sheet in self.sheets]
        (folder / f"{self.name}.md").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def operations_report(
    name: str, title: str, about: str, figures: Figures, verdicts: Sequence[Verdict]
) -> Report:
    """Report operations a second and processor time, each beside the first row's."""

    sheets = [*_speed_and_cpu(figures), *_goals(verdicts)]
    return Report(name, title, about, sheets, lambda path: plots.operations(path, title, figures))


def transactions_report(about: str, figures: Figures) -> Report:
    """Report transactions a second and processor time, each beside the bare transaction's."""
    title = "Transactions that read two records and write both"
    return Report("transactions", title, about, _speed_and_cpu(figures))


def _speed_and_cpu(figures: Figures) -> list[Sheet]:
    def speed(ours: Figure, raw: Figure) -> str:
        return f"{ours.per_second:,.0f} · {ours.per_second / raw.per_second:.0%}"

    def cpu(ours: Figure, raw: Figure) -> str:
        return f"{ours.cpu:.3g} · {ours.cpu / raw.cpu:.2f}" if ours.cpu < 1_000 else f"{ours.cpu:,.0f}"

    return [
        _by_subject("Speed", figures, speed, "Operations a second, and the share of the first row's."),
        _by_subject(
            "Processor time",
            figures,
            cpu,
            "Microseconds of the client's CPU an operation, and how many times the first row's.",
        ),
    ]


def _by_subject(title: str, figures: Figures, cell: Callable[[Figure, Figure], str], note: str) -> Sheet:
    subjects = list(next(iter(figures.values())))
    rows = []
    for subject in subjects:
        cells = [
            cell(column[subject], column[subjects[0]]) if subject in column else NOT_ABLE
            for column in figures.values()
        ]
        rows.append([subject, *cells])
    return Sheet(title, ["subject", *figures], rows, note)


def growth_report(name: str, title: str, about: str, growth: Growth, verdicts: Sequence[Verdict]) -> Report:
    """Report microseconds at each size, and the ratio of the largest to the smallest."""
    sizes = list(next(iter(growth.values())))
    rows = []
    for operation, found in growth.items():
        ratio = found[sizes[-1]].wall / found[sizes[0]].wall
        rows.append([operation, *(f"{found[size].wall:,.0f}" for size in sizes), f"{ratio:.2f}"])
    header = ["operation", *(f"{size:,} records" for size in sizes), "largest / smallest"]
    sheets = [Sheet("Growth", header, rows, "Microseconds an operation, by the clock."), *_goals(verdicts)]
    return Report(name, title, about, sheets, lambda path: plots.growth(path, title, growth))


def imports_report(about: str, figures: dict[str, float]) -> Report:
    """Report milliseconds."""
    rows = [[name, f"{milliseconds:.0f}"] for name, milliseconds in figures.items()]
    return Report("import", "Import", about, [Sheet("Import", ["what", "ms"], rows)])


def _goals(verdicts: Sequence[Verdict]) -> list[Sheet]:
    rows = [
        [verdict.what, verdict.goal, verdict.measured, "reached" if verdict.reached else "missed"]
        for verdict in verdicts
    ]
    return [Sheet("Goals", ["of which", "goal", "measured", "verdict"], rows)] if rows else []
