"""Layers of configuration: a tree of plain values, and where each of them was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from daystore.config.problems import KeyPath

__all__ = ["DEFAULT_ORIGIN", "Layer", "Origin", "Tree", "leaves", "merge"]

Tree = dict[str, object]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written.

    Attributes:
        kind: What kind of place, strongest first: ``argument``, ``environment``, ``file``, ``mapping``,
            ``default``.
        where: The place itself: a file with its line, an environment variable …
        variables: The environment variables that a file's value takes in with ``${…}``.
        shown: The value with those of its variables masked whose name says that they are secret.
    """

    kind: Literal["argument", "environment", "file", "mapping", "default"]
    where: str
    variables: tuple[str, ...] = ()
    shown: str | None = None

    def __str__(self) -> str:
        return self.where + "".join(f" with ${{{variable}}}" for variable in self.variables)


DEFAULT_ORIGIN: Final = Origin("default", "default")


@dataclass(slots=True)
class Layer:
    """Values from one place.

    Attributes:
        tree: The values, in tables and lists.
        origins: Where things were written, by path. What has no entry was written where its table was.
    """

    tree: Tree = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> Origin:
        """Return where a value was written, or the table that it is in, or else the first thing inside it."""
        for length in range(len(path), -1, -1):
            if origin := self.origins.get(path[:length]):
                return origin
        inside = (origin for key, origin in self.origins.items() if key[: len(path)] == path)
        return next(inside, DEFAULT_ORIGIN)


def merge(lower: Layer, upper: Layer) -> Layer:
    """Lay one layer over another: tables are merged key by key, everything else is replaced as a whole."""
    merged = Layer(dict(lower.tree), dict(lower.origins))
    _merge_into(merged, merged.tree, upper, upper.tree, ())
    return merged


def _merge_into(merged: Layer, target: Tree, upper: Layer, tree: Mapping[str, object], path: KeyPath) -> None:
    for key, value in tree.items():
        here = (*path, key)
        existing = target.get(key)
        if isinstance(existing, dict) and isinstance(value, dict):
            target[key] = table = dict(existing)
            _merge_into(merged, table, upper, value, here)
            continue
        target[key] = value
        depth = len(here)
        merged.origins = {p: origin for p, origin in merged.origins.items() if p[:depth] != here}
        merged.origins[here] = upper.origin(here)
        merged.origins |= {p: origin for p, origin in upper.origins.items() if p[:depth] == here}


def leaves(tree: Mapping[str, object], path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Yield every value that is no table and no list, and every empty one of those, with its path."""
    for key, value in tree.items():
        yield from _leaves(value, (*path, key))


def _leaves(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(value, Mapping) and value:
        yield from leaves(value, path)
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value
