"""The plots: SVG files, the same for the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.growth import Growth
from benchmarks.operations import COLUMNS, GET, SET, Figures

_SETTINGS: Any = {
    "svg.hashsalt": "daystore",  # the same names inside the file each time
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
}
_OURS = ("#0b6e99", "#4fa3c7", "#9ccbe0", "#c9e4f0")
_RAW = ("#4d4d4d", "#7d7d7d", "#a6a6a6", "#c9c9c9")
_PEERS = ("#d98032", "#b3a02c", "#a0518c", "#7a9a3a")


def operations(path: Path, title: str, figures: Figures) -> None:
    """Draw operations a second for every column, and processor time for single reads and writes."""
    import matplotlib.pyplot as plt

    subjects = list(next(iter(figures.values())))
    colours = _colours(subjects)
    with plt.rc_context(_SETTINGS):
        figure = plt.figure(figsize=(15, 0.72 * len(subjects) + 1.6))
        grid = figure.add_gridspec(2, len(COLUMNS) // 2 + 1)
        figure.suptitle(title)
        places = [(row, column) for column in range(len(COLUMNS) // 2) for row in range(2)]
        for name, (row, column) in zip(COLUMNS, places, strict=True):
            axes = figure.add_subplot(grid[row, column])
            rates = {who: found.per_second / 1e3 for who, found in figures[name].items()}
            _bars(axes, f"{name}: 1,000/s", subjects, rates, colours)
            if column:
                axes.set_yticklabels([])
        for row, name in enumerate((SET, GET)):
            axes = figure.add_subplot(grid[row, len(COLUMNS) // 2])
            cpu = {who: found.cpu for who, found in figures[name].items()}
            _bars(axes, f"{name}: CPU, µs", subjects, cpu, colours)
            axes.set_yticklabels([])
        _save(figure, path)


def growth(path: Path, title: str, found: Growth) -> None:
    """Draw microseconds over the number of records, where what stays the same is level."""
    import matplotlib.pyplot as plt

    with plt.rc_context(_SETTINGS):
        figure, axes = plt.subplots(figsize=(8, 4.5))
        for operation, sizes in found.items():
            axes.plot(list(sizes), [figure.wall for figure in sizes.values()], marker="o", label=operation)
        axes.set(xscale="log", ylim=(0, None), xlabel="records", ylabel="µs an operation", title=title)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        _save(figure, path)


def _bars(
    axes: Any, title: str, subjects: list[str], values: dict[str, float], colours: dict[str, str]
) -> None:
    present = [values.get(subject, 0) for subject in subjects]
    bars = axes.barh(subjects, present, color=[colours[subject] for subject in subjects])
    axes.bar_label(bars, [f"{value:.3g}" if value else "–" for value in present], padding=2, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_title(title, fontsize=9)
    axes.grid(axis="y", visible=False)


def _colours(subjects: list[str]) -> dict[str, str]:
    """Raw drivers are grey, daystore is blue, peers have colours of their own."""
    left = {"raw": iter(_RAW), "daystore": iter(_OURS), "peer": iter(_PEERS)}
    kinds = {subject: subject.replace(",", " ").split()[0] for subject in subjects}
    return {subject: next(left[kind if kind in left else "peer"]) for subject, kind in kinds.items()}


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
