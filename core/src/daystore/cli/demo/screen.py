"""How the demo looks."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

__all__ = ["Screen"]

_INDENT = (0, 0, 0, 3)
_GAP = 3


class Screen:
    """Prints steps, each with a heading, what it ran and what came of it.

    Args:
        console: Where to; the standard output unless given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._steps = 0
        self._after_table = False

    def title(self, text: str) -> None:
        """Print the head of it all."""
        self._console.print(Text(text, style="bold"))

    def step(self, heading: str) -> None:
        """Begin a step."""
        self._steps += 1
        self._after_table = False
        self._console.print()
        self._console.rule(Text(f"{self._steps}  {heading}", style="bold cyan"), align="left", style="cyan")

    def say(self, text: str, style: str = "") -> None:
        """Print a paragraph as it is: brackets are no markup."""
        self._print(Text(_printable(text), style=style))

    def line(self, text: str) -> None:
        """Print a line that is never broken, for copying."""
        self._console.print(Text(_printable(text)), soft_wrap=True)

    def good(self, text: str) -> None:
        """Print what came out as it should."""
        self.say(f"✓ {text}", "bold green")

    def bad(self, text: str) -> None:
        """Print what did not."""
        self.say(f"✗ {text}", "bold red")

    def code(self, function: Callable[..., Any]) -> None:
        """Print the body of the very function that is run."""
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
        [definition] = ast.parse("\n".join(lines)).body
        first = cast("ast.AsyncFunctionDef", definition).body[1]  # after the docstring
        code = textwrap.dedent("\n".join(lines[first.lineno - 1 :])).strip()
        text = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(code)
        text.rstrip()
        self._print(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, wide: str = "") -> None:
        """Print a table. Numbers stand right.

        Args:
            columns: The headings.
            rows: The cells.
            wide: The column that is cut off where the screen is too narrow.
        """
        cells = [[_cell(value) for value in row] for row in rows]
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        if wide:
            self._cut(columns, cells, columns.index(wide))
        for place, heading in enumerate(columns):
            numbers = all(row[place].justify == "right" for row in cells)
            table.add_column(heading, no_wrap=True, justify="right" if numbers else "left")
        for row in cells:
            table.add_row(*row)
        self._console.print()
        self._print(table)
        self._after_table = True

    def _cut(self, columns: Sequence[str], cells: Sequence[Sequence[Text]], wide: int) -> None:
        left = self._console.width - _INDENT[3] - _GAP * (len(columns) - 1)
        for place, heading in enumerate(columns):
            if place != wide:
                left -= max([cell_len(heading), *(row[place].cell_len for row in cells)])
        for row in cells:
            row[wide].truncate(max(left, cell_len(columns[wide])), overflow="ellipsis")

    def _print(self, what: Text | Table) -> None:
        if self._after_table:
            self._console.print()
            self._after_table = False
        self._console.print(Padding(what, _INDENT, expand=False))


def _cell(value: object) -> Text:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Text("-" if value is None else _printable(str(value)))
    return Text(f"{value:,}" if isinstance(value, int) else f"{value:,.2f}", justify="right")


def _printable(text: str) -> str:
    """Take out what could move the cursor or turn the text around: it comes from files."""
    return "".join(character if character.isprintable() else " " for character in text)
