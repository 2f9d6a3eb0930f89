"""The kill matrix: which cases find out which mutants. It is committed, and no row of it may shrink."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

__all__ = ["FILE", "lost_kills", "matrix_text", "read_matrix"]

FILE: Final = "kills.json"

Matrix = Mapping[str, list[str]]


def read_matrix(path: Path | None = None) -> dict[str, list[str]]:
    """Read a matrix: for each mutant the cases that find it out.

    Args:
        path: A file; the one that comes with the suite unless given.
    """
    file = path or files("daystore_compliance") / FILE
    content: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
    return content


def matrix_text(matrix: Matrix) -> str:
    """Write a matrix as text, a line for each mutant."""
    rows = [f" {json.dumps(name)}: {json.dumps(sorted(cases))}" for name, cases in sorted(matrix.items())]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def lost_kills(old: Matrix, new: Matrix) -> list[str]:
    """Say which mutants are found out by fewer cases than before, or are gone."""
    told = []
    for name, cases in sorted(old.items()):
        if name not in new:
            told.append(f"{name}: the mutant is gone")
        elif lost := sorted(set(cases) - set(new[name])):
            told.append(f"{name}: no longer found out by {', '.join(lost)}")
    return told
