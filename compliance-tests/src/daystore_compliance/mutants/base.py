"""How mutants are made: the reference adapter taken apart into steps, each of which can be done wrongly."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from daystore.abc import (
    ANY,
    Aggregation,
    And,
    Capabilities,
    Compare,
    Consistency,
    GroupRow,
    Holds,
    Not,
    Page,
    Position,
    Predicate,
    Query,
    Record,
    Release,
    decode_cursor,
    encode_cursor,
    sort_value,
)
from daystore.abc.evaluate import evaluate_aggregate, field_of, matcher, without_window
from daystore.abc.order import is_after
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore.storage import Storage
from daystore.stores import Store
from daystore_compliance.target import MemoryTarget, Target

__all__ = ["MUTANTS", "Mutant", "MutantTarget", "Stepwise", "mutant", "unconditional"]

M = TypeVar("M", bound=type[Any])


@dataclass(frozen=True, slots=True)
class Mutant:
    """A backend, or what stands before it, that breaks a promise.

    Attributes:
        name: Name of its class.
        breaks: What it does wrong, in one line.
        killed_by: Ids of the cases that must find it out, ``id[variant]`` for one variant of a case.
        part: The class itself: an adapter, a serializer, a store, a storage or a whole target.
        bugs: The real bugs that it is made from, as ``owner/repository#number``.
    """

    name: str
    breaks: str
    killed_by: tuple[str, ...]
    part: type[Any]
    bugs: tuple[str, ...] = ()

    def target(self) -> Target:
        """Return the mutant as the suite sees it, with no data."""
        if issubclass(self.part, Target):
            return self.part()
        return MutantTarget(self.part)

    @property
    def capabilities(self) -> Capabilities:
        """What it declares."""
        adapter = getattr(self.part, "adapter", self.part)
        found = getattr(adapter, "capabilities", MemoryAdapter.capabilities)
        assert isinstance(found, Capabilities)
        return found


MUTANTS: Final[dict[str, Mutant]] = {}
"""Every mutant that has been imported, by name. `daystore_compliance.mutants.load` imports all of them."""


def mutant(*killed_by: str, bugs: Sequence[str] = ()) -> Callable[[M], M]:
    """Enter a class into the registry, with the cases that must find it out.

    Args:
        killed_by: See `Mutant`; the case named for it comes first.
        bugs: See `Mutant`.

    Raises:
        ValueError: If the name is taken, no case is named, or the class does not say what it does wrong.
    """

    def enter(kind: M) -> M:
        breaks = inspect.cleandoc(kind.__doc__ or "")
        if kind.__name__ in MUTANTS:
            raise ValueError(
                f"the mutant {kind.__name__} needs a name of its own: {MUTANTS[kind.__name__].part} has it"
            )
        if not killed_by or not breaks or "\n" in breaks:
            raise ValueError(f"the mutant {kind.__name__} needs a line of what it breaks, and cases")
        MUTANTS[kind.__name__] = Mutant(kind.__name__, breaks, killed_by, kind, tuple(bugs))
        return kind

    return enter


def unconditional(operation: Operation) -> Operation:
    """Return a change that expects nothing, instead of a version. What it is to hold it still expects."""
    if isinstance(operation, Release) or isinstance(operation.expect, Holds):
        return operation
    return replace(operation, expect=ANY)


class MutantTarget(MemoryTarget):
    """The reference with one part of it replaced.

    Args:
        part: A class of adapters, serializers, stores or storages.
    """

    def __init__(self, part: type[Any] = MemoryAdapter) -> None:
        super().__init__()
        self._part = part
        self.name: str = part.__name__
        if issubclass(part, MemoryAdapter):
            self.adapter = part
        elif issubclass(part, Store):
            self.store_type = part
        elif issubclass(part, Storage):
            self.storage_type = part
        else:
            self.store_options: Mapping[str, Any] = {"serializer": part()}

    def fresh(self) -> Target:
        """Return another one, without data."""
        return MutantTarget(self._part)


class Stepwise(MemoryAdapter):
    """The reference adapter with its queries done step by step. It breaks nothing."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Judge a record."""
        if predicate is None:
            return True
        if isinstance(predicate, Not):
            return not self.matches(predicate.term, record)
        if isinstance(predicate, Compare):
            return self.compare(predicate, record)
        judged = [self.matches(term, record) for term in predicate.terms]
        return all(judged) if isinstance(predicate, And) else any(judged)

    def compare(self, compare: Compare, record: Record) -> bool:
        """Judge a record by one comparison."""
        return matcher(compare)(record)

    def found(self, query: Query) -> list[Record]:
        """Return the live records that satisfy a query."""
        return [record for record in self._live(query.collection) if self.matches(query.where, record)]

    def place(self, record: Record, query: Query) -> Any:
        """Return where a record comes in the order of a query, but for its key."""
        return sort_value(field_of(record, query.order.field))

    def ordered(self, records: Iterable[Record], query: Query) -> list[Record]:
        """Put records in order."""
        by_key = sorted(records, key=lambda record: record.key)
        return sorted(by_key, key=lambda record: self.place(record, query), reverse=query.order.descending)

    def position(self, query: Query) -> Any:
        """Read the cursor of a query."""
        return decode_cursor(query)

    def resumed(self, records: list[Record], query: Query, position: Any) -> list[Record]:
        """Return the records after a position."""
        down = query.order.descending
        return [r for r in records if is_after(self.place(r, query), r.key, position, descending=down)]

    def window(self, records: list[Record], query: Query) -> list[Record]:
        """Cut one page out."""
        end = len(records) if query.limit is None else query.offset + query.limit
        return records[query.offset : end]

    def cursor(self, part: list[Record], records: list[Record], query: Query) -> str | None:
        """Make the cursor after a page; ``None`` after the last one."""
        if not part or part[-1] is records[-1]:
            return None
        return encode_cursor(query, Position(self.place(part[-1], query), part[-1].key))

    def shown(self, record: Record) -> Record:
        """Return a record as a query shows it."""
        return record.copy()

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        records = self.ordered(self.found(query), query)
        position = self.position(query)
        if position is not None:
            records = self.resumed(records, query, position)
        part = self.window(records, query)
        return Page([self.shown(record) for record in part], self.cursor(part, records, query))

    async def _count(self, query: Query, consistency: Consistency) -> int:
        return len(self.found(query))

    async def _aggregate(
        self, query: Query, aggregation: Aggregation, consistency: Consistency
    ) -> list[GroupRow]:
        everything = replace(without_window(query), where=None)
        return evaluate_aggregate(self.found(query), everything, aggregation)
