"""What can be computed over the results of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daystore.abc.query import Aggregate, Function

__all__ = ["Avg", "Count", "Max", "Min", "Sum", "Summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Base of the functions below.

    Attributes:
        field: An index of the store, or ``key``, ``created_at``, ``updated_at``.
    """

    function: ClassVar[Function]

    field: str

    def compile(self) -> Aggregate:
        """Make an aggregate of the contract."""
        return Aggregate(self.function, self.field)


@dataclass(frozen=True, slots=True)
class Count:
    """How many records there are; with a field, how many have it.

    Attributes:
        field: The field, or ``None`` to count records.
    """

    function: ClassVar[Function] = Function.COUNT

    field: str | None = None

    def compile(self) -> Aggregate:
        """Make an aggregate of the contract."""
        return Aggregate(self.function, self.field)


@dataclass(frozen=True, slots=True)
class Sum(Summary):
    """The sum of the numbers in a field: an exact `int` of integers, ``0`` of nothing."""

    function: ClassVar[Function] = Function.SUM


@dataclass(frozen=True, slots=True)
class Avg(Summary):
    """The average of the numbers in a field; ``None`` of nothing."""

    function: ClassVar[Function] = Function.AVG


@dataclass(frozen=True, slots=True)
class Min(Summary):
    """The lowest value of a field; ``None`` of nothing."""

    function: ClassVar[Function] = Function.MIN


@dataclass(frozen=True, slots=True)
class Max(Summary):
    """The highest value of a field; ``None`` of nothing."""

    function: ClassVar[Function] = Function.MAX
