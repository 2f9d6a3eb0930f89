"""Printing: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_json", "print_line", "print_table"]

_UNBOUNDED = 100_000


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_line(text: str = "") -> None:
    """Print a line as it is: brackets are no markup."""
    sys.stdout.write(text + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, wrapped: Collection[str]) -> None:
    """Print a table as wide as the terminal; into a pipe each row is one line, however long.

    Args:
        columns: Their headings.
        rows: The cells, as plain text.
        wrapped: The columns that give way where the terminal is too narrow.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, highlight=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in wrapped)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else _UNBOUNDED
    Console(width=width, markup=False, highlight=False).print(table)
