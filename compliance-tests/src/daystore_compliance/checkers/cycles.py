"""Cycles of dependencies between transactions, and their names.

A transaction comes before another because the other wrote over it (``ww``), read what it wrote (``wr``), wrote
over what it read (``rw``), or began after its end (``rt``). The names are those of Adya, "Weak consistency", 1999.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

__all__ = ["Edge", "shortest_cycles"]

Edge: TypeAlias = tuple[str, str, str, str]
"""From, to, kind, and the reason in words."""

_Step: TypeAlias = tuple[str, str, str]
"""From, to and kind."""

_PATHS: Final = (
    ("ww",),
    ("ww", "wr"),
    ("ww", "wr", "rw"),
    ("ww", "rt"),
    ("ww", "wr", "rt"),
    ("ww", "wr", "rw", "rt"),
)
"""What a cycle may be closed with, the worst anomaly first."""


def shortest_cycles(edges: Iterable[Edge]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Return a shortest cycle of each kind: its name, the transactions on it, and each edge in words."""
    graph = _Graph(edges)
    shortest: dict[str, list[_Step]] = {}
    for kinds in _PATHS:
        for cycle in graph.cycles(kinds):
            name = _name([kind for _, _, kind in cycle])
            if name not in shortest or len(cycle) < len(shortest[name]):
                shortest[name] = cycle
    for name, cycle in shortest.items():
        told = "; ".join(f"{graph.reasons[step]} [{step[2]}]" for step in cycle)
        yield name, tuple(one for one, _, _ in cycle), told


def _name(kinds: Sequence[str]) -> str:
    overtaken = kinds.count("rw")
    name = "G2" if overtaken > 1 else "G-single" if overtaken else "G1c" if "wr" in kinds else "G0"
    return f"{name}-realtime" if "rt" in kinds else name


class _Graph:
    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges: dict[str, list[tuple[str, str]]] = {}  # target and kind, by source
        self.reasons: dict[_Step, str] = {}
        for one, two, kind, reason in edges:
            if one != two and (one, two, kind) not in self.reasons:
                self.reasons[one, two, kind] = reason
                self.edges.setdefault(one, []).append((two, kind))
                self.edges.setdefault(two, [])

    def cycles(self, kinds: Collection[str]) -> Iterator[list[_Step]]:
        """Return for each dependency that lies on one a shortest cycle, closed by edges of these kinds."""
        component = self.components({*kinds, "rw"})
        for step in self.reasons:
            start, end, kind = step
            if kind != "rt" and component[start] == component[end]:
                path = self.path(end, start, kinds)
                if path is not None:
                    yield [step, *path]

    def path(self, start: str, end: str, kinds: Collection[str]) -> list[_Step] | None:
        """Return a shortest path."""
        came: dict[str, tuple[str, str]] = {start: ("", "")}
        queue = deque([start])
        while queue:
            name = queue.popleft()
            if name == end:
                break
            for target, kind in self.edges[name]:
                if kind in kinds and target not in came:
                    came[target] = (name, kind)
                    queue.append(target)
        else:
            return None
        path: list[_Step] = []
        while end != start:
            before, kind = came[end]
            path.append((before, end, kind))
            end = before
        return path[::-1]

    def components(self, kinds: Collection[str]) -> dict[str, int]:
        """Return for each transaction the number of its strongly connected component (Tarjan, 1972)."""
        order: dict[str, int] = {}
        low: dict[str, int] = {}
        component: dict[str, int] = {}
        unassigned: list[str] = []
        work: list[tuple[str, Iterator[tuple[str, str]]]] = []

        def visit(name: str) -> None:
            order[name] = low[name] = len(order)
            unassigned.append(name)
            work.append((name, iter(self.edges[name])))

        for root in self.edges:
            if root not in order:
                visit(root)
            while work:
                name, targets = work[-1]
                for target, kind in targets:
                    if kind in kinds and target not in order:
                        visit(target)
                        break
                    if kind in kinds and target not in component:
                        low[name] = min(low[name], order[target])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[name])
                    while low[name] == order[name] and name not in component:
                        component[unassigned.pop()] = order[name]
        return component
