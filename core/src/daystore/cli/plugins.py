"""``daystore plugins``: what is installed, and what failed."""

from __future__ import annotations

import os
from dataclasses import asdict

from daystore.cli.output import print_json, print_line, print_table
from daystore.plugins import Plugins
from daystore.plugins.environment import is_strict
from daystore.plugins.report import Row, report

__all__ = ["plugins"]


def plugins(*, json: bool = False) -> int:
    """List what is installed, and what failed.

    Ends with 1 where a plugin failed and DAYSTORE_STRICT_PLUGINS is set.

    Args:
        json: Print JSON instead of a table.
    """
    strict = is_strict(os.environ)
    found = Plugins.load(strict=False)
    rows = report(found)
    if json:
        print_json([asdict(row) for row in rows])
    else:
        columns = ("name", "kind", "distribution", "version", "schemes", "capabilities", "status")
        print_table(columns, [_cells(row) for row in rows], wrapped={"capabilities", "schemes"})
        if any(row.reason for row in rows):
            print_line()
        for row in rows:
            if row.reason:
                print_line(f"{row.title} {row.status}: {row.reason}")
    return 1 if strict and found.failures else 0


def _cells(row: Row) -> tuple[str, ...]:
    schemes = ", ".join(row.schemes) or row.content_type
    capabilities = ", ".join(row.capabilities)
    return (row.name, row.kind, row.distribution, row.version, schemes, capabilities, row.status)
