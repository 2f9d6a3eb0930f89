"""Small transactions that are cut off at every point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from daystore_compliance.simulation.history import Cell

__all__ = ["SCENES", "Scene"]


@dataclass(frozen=True, slots=True)
class Scene:
    """A transaction that is cut off.

    Attributes:
        name: What it is, in words.
        stores: The kind of each store, by name.
        before: What is there before.
        reads: What it reads.
        writes: What it writes; ``None`` for a delete.
    """

    name: str
    stores: tuple[tuple[str, str], ...]
    before: Mapping[Cell, bytes]
    reads: tuple[Cell, ...]
    writes: Mapping[Cell, bytes | None]

    @property
    def cells(self) -> list[Cell]:
        """Every key that it is about."""
        return sorted({*self.before, *self.reads, *self.writes})


ONE: Final = (("s", "single"),)
A, B, C = ("s", "a"), ("s", "b"), ("s", "c")
SCENES: Final = (
    Scene("two keys of one store", ONE, {A: b"old", B: b"old"}, (), {A: b"new", B: b"new"}),
    Scene(
        "a key of each of two stores",
        (("s", "single"), ("t", "atomic")),
        {A: b"old", ("t", "a"): b"old"},
        (),
        {A: b"new", ("t", "a"): b"new"},
    ),
    Scene("a key that is read, and one that is written", ONE, {A: b"old", B: b"old"}, (A,), {B: b"new"}),
    Scene("a key that is absent, and one that is deleted", ONE, {A: b"old"}, (C,), {A: None}),
    Scene(
        "three keys, changed, made and deleted",
        ONE,
        {A: b"old", B: b"old"},
        (A,),
        {A: b"new", B: None, C: b"new"},
    ),
)
