"""From a part of a query to the index that it is found by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from daystore_sql.parts import MAX_ARMS, Part
from daystore_sql.predicate import BOUNDS, AllOf, AnyOf, Leaf, Node, point, top_terms

__all__ = ["Access", "Choice", "access_by", "access_to", "choices_of", "is_everything"]

ENOUGH = 1000
"""A set of this size is cheaper to sort than it would be to look for its members in another order."""
MUCH = 20_000
"""Where all is wanted, sets beyond this size are not told apart by counting."""
FEW = 32
"""Sets are counted as far as this first, and four times as far each time that all of them go on."""

Choice: TypeAlias = tuple[tuple[Leaf, ...], Node]
"""Spans that hold every record of a part, and the term of its predicate that says so."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a part is found.

    Attributes:
        part: What is looked for.
        arms: The spans whose indexes are read; the union of them, if there are several.
        rest: What is checked for each record found there.
        ordered: Whether the indexes are read in the order of the part, and only as far as is needed.
        smallest: Whether it was chosen because no other choice was counted to hold fewer records.
    """

    part: Part
    arms: tuple[Leaf, ...]
    rest: Node
    ordered: bool
    smallest: bool = False

    @property
    def merged(self) -> bool:
        """Whether several indexes are read in order."""
        return self.ordered and len(self.arms) > 1

    @property
    def united(self) -> bool:
        """Whether several indexes are read as a whole, whatever else is asked for."""
        return not self.ordered and len(self.arms) > 1


def access_to(part: Part, size_of: Callable[[Leaf, int], int], *, limited: bool) -> Access:
    """Choose the index that a part is found by.

    Args:
        part: The part.
        size_of: Counts the entries of an index in a span, as far as some number.
        limited: Whether only the first records are wanted; then an index in the order of the part is worth more
            than one with fewer records.
    """
    choices = choices_of(part, limited=limited)
    ordered = [choice for choice in choices if _is_ordered(choice[0], part)]
    if any(arms[0].kind != "key" and arms[0].points for arms, _ in ordered):
        # A range of keys is part of the very same walk, so it is no choice of its own.
        choices = [choice for choice in choices if choice[0][0].kind != "key"]
    narrow = [choice for choice in choices if not is_everything(choice[0])]
    if not narrow:
        return access_by(ordered[0], part)
    if len(narrow) == 1 and (not limited or narrow[0] in ordered):
        return access_by(narrow[0], part)
    best = _smallest(sorted(narrow, key=_promise), size_of, ENOUGH if limited else MUCH)
    if best is not None:
        return replace(access_by(best, part), smallest=True)
    # None is small: what comes in the right order, then, or what promises most.
    best = next((choice for choice in (*narrow, *choices) if choice in ordered and limited), narrow[0])
    return access_by(best, part)


def choices_of(part: Part, *, limited: bool) -> list[Choice]:
    """Return what a part can be found by; for `limited` see `access_to`."""
    return [(arms, term) for term in top_terms(part.node) if (arms := _arms(term, part, limited=limited))]


def _smallest(choices: list[Choice], size_of: Callable[[Leaf, int], int], most: int) -> Choice | None:
    """Return the choice with the fewest records; ``None`` if each has more than `most`.

    None is counted much further than the smallest one goes, so a large one costs little beside a small one.
    """
    for reach in _reaches(most):
        size, best = reach, None
        for choice in choices:
            counted = sum(size_of(arm, size) for arm in choice[0])
            if counted < size:
                size, best = counted, choice
        if best is not None:
            return best
    return None


def _reaches(most: int) -> Iterator[int]:
    reach = FEW
    while reach <= most:
        yield reach
        reach *= 4
    yield most + 1


def _promise(choice: Choice) -> tuple[bool, bool]:
    """Order choices by how few records they may hold: points before ranges, fields before keys."""
    arms, _ = choice
    return not all(leaf.points for leaf in arms), arms[0].kind == "key"


def access_by(choice: Choice, part: Part) -> Access:
    """Find a part by one of its choices."""
    arms, term = choice
    others = tuple(
        other
        for other in top_terms(part.node)
        if other is not term and not (isinstance(other, Leaf) and is_everything((other,)))
    )
    partly = isinstance(term, AnyOf) and not all(isinstance(choice, Leaf) for choice in term.terms)
    rest = AllOf((*others, term) if partly else others)
    return Access(part, arms, rest, _is_ordered(arms, part))


def _arms(term: Node, part: Part, *, limited: bool) -> tuple[Leaf, ...]:
    """Return spans one of which every record that satisfies a term lies in; none if there are no such spans."""
    if isinstance(term, Leaf):
        if limited and part.kind == "key" != term.kind and 1 < len(term.points) <= MAX_ARMS:
            return tuple(point(term.kind, place, term.field) for place in term.points)
        return (term,)
    if not isinstance(term, AnyOf) or len(term.terms) > MAX_ARMS:
        return ()
    arms: list[Leaf] = []
    for choice in term.terms:
        spans = [leaf for leaf in top_terms(choice) if isinstance(leaf, Leaf)]
        if not spans:
            return ()
        arms.append(max(spans, key=lambda leaf: bool(leaf.points)))
    return tuple(arms)


def _is_ordered(arms: tuple[Leaf, ...], part: Part) -> bool:
    """Tell whether the indexes can be read in the order of a part; those of several arms are merged."""
    if len(arms) == 1 and arms[0].column == (part.kind, part.field):
        return len(arms[0].points) <= 1
    return part.kind == "key" and all(leaf.kind != "key" and len(leaf.points) == 1 for leaf in arms)


def is_everything(arms: tuple[Leaf, ...]) -> bool:
    """Tell whether a span holds every record of the collection."""
    leaf = arms[0]
    return len(arms) == 1 and not leaf.points and (leaf.low, leaf.high) == BOUNDS.get(leaf.kind)
