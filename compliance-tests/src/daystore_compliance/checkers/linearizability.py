"""Whether a history of reads and writes on single records is linearizable.

Each operation has to take effect at one instant between its call and its return, so that every result is the one
that a register with versions gives. The search is that of Wing and Gong ("Testing and verifying concurrent
objects", 1993), with the memory of Lowe ("Testing for linearizability", 2017): a set of operations that were
placed, together with the state they left, is never tried twice. Linearizability is local, so every key is judged
by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

from daystore.abc import ABSENT, ANY, Version
from daystore.abc.record import Expect

__all__ = ["Kind", "Operation", "State", "Witness", "check", "overlaps"]

State: TypeAlias = tuple[str, bytes] | None
"""What a record holds: its version and its value; ``None`` where there is none."""


class Kind(Enum):
    """What an operation does."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one client on one record.

    Attributes:
        key: Of the record.
        kind: What it does.
        called: Instant of its call, on a counter that all clients share.
        returned: Instant of its return; ``None`` if its outcome is unknown: it took effect at any instant after
            its call, or never.
        state: What a read found, or what a write writes.
        expect: The condition of a write or a delete.
        refused: Its condition did not hold, and it changed nothing.
        existed: Whether it met a live record; ``None`` if it did not tell.
        client: Who did it, for the explanation.
    """

    key: str
    kind: Kind
    called: int
    returned: int | None
    state: State = None
    expect: Expect | Version = ANY
    refused: bool = False
    existed: bool | None = None
    client: int = 0

    @property
    def changes(self) -> bool:
        """Whether the record is another one after it."""
        return self.kind is not Kind.READ and not self.refused

    def __str__(self) -> str:
        when = f"called at {self.called}, " + (
            "outcome unknown" if self.returned is None else f"returned at {self.returned}"
        )
        if self.kind is Kind.READ:
            what = f"read of {self.key!r} that found {_told(self.state)}"
        elif self.kind is Kind.WRITE:
            what = f"write of {_told(self.state)} to {self.key!r}"
        else:
            what = f"delete of {self.key!r}"
        if self.expect is not ANY:
            what += " where nothing is" if self.expect is ABSENT else f" at version {self.expect[:6]}"
        if self.refused:
            what += ", refused,"
        elif self.existed is not None:
            what += f" that met {'a record' if self.existed else 'nothing'}"
        return f"client {self.client}'s {what} ({when})"


@dataclass(frozen=True, slots=True)
class Witness:
    """Why a history is not linearizable.

    Attributes:
        operation: The one that cannot be placed.
        prefix: Everything on its key that was called before it returned; without it, all of that is linearizable.
        possible: Each state that the record may have had while it ran.
    """

    operation: Operation
    prefix: Sequence[Operation]
    possible: Sequence[State]

    def __str__(self) -> str:
        lines = [
            f"{self.operation} cannot have happened at one instant:",
            f"while it ran the record held {', or '.join(map(_told, self.possible)) or 'nothing explicable'}.",
            "Before it returned there were, on this key:",
        ]
        return "\n  ".join([*lines, *map(str, self.prefix[-20:])])


def _told(state: State) -> str:
    return "nothing" if state is None else f"{state[1]!r} (version {state[0][:6]})"


def check(history: Iterable[Operation], initial: Mapping[str, State] | None = None) -> Witness | None:
    """Judge a history.

    Args:
        history: The operations of all clients, in any order.
        initial: What the records held before; nothing, unless told otherwise.

    Returns:
        ``None`` if it is linearizable, else the operation that returned first of those that cannot be placed.
    """
    by_key: dict[str, list[Operation]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    witnesses = []
    for key, operations in by_key.items():
        state = (initial or {}).get(key)
        search = _Search(operations, state)
        if not search.succeeds():
            witnesses.append(_explain(search.operations, state))
    return min(witnesses, key=lambda witness: _end(witness.operation), default=None)


def overlaps(history: Iterable[Operation]) -> int:
    """Count the operations that were called while another one on the same key ran, one of the two a change."""
    running: dict[str, list[Operation]] = {}
    count = 0
    for operation in sorted(history, key=lambda o: o.called):
        beside = [o for o in running.get(operation.key, []) if _end(o) > operation.called]
        count += any(operation.changes or o.changes for o in beside)
        running[operation.key] = [*beside, operation]
    return count


def _end(operation: Operation) -> float:
    return math.inf if operation.returned is None else operation.returned


class _Impossible(Enum):
    IMPOSSIBLE = "impossible"


_IMPOSSIBLE: Final = _Impossible.IMPOSSIBLE


def _after(operation: Operation, state: State) -> State | _Impossible:
    """Return the state after an operation, if it gives its result in this state."""
    if operation.kind is Kind.READ:
        return state if state == operation.state else _IMPOSSIBLE
    if operation.expect is ANY:
        holds = True
    elif operation.expect is ABSENT:
        holds = state is None
    else:
        holds = state is not None and state[0] == operation.expect
    if operation.existed is not None and operation.existed is not (state is not None):
        return _IMPOSSIBLE
    if operation.refused:
        return _IMPOSSIBLE if holds else state
    if not holds:
        return _IMPOSSIBLE
    return operation.state if operation.kind is Kind.WRITE else None


class _Search:
    """The operations of one key, and the search for an order of them.

    A set of placed operations is an `int`, a bit for each; the lowest bits are those that were called first.
    """

    def __init__(self, operations: Iterable[Operation], initial: State) -> None:
        telling = (o for o in operations if o.returned is not None or o.changes)
        self.operations: list[Operation] = sorted(telling, key=lambda o: o.called)
        self.initial = initial
        self.tried: set[tuple[int, State]] = set()
        self._needed = sum(1 << i for i, o in enumerate(self.operations) if o.returned is not None)

    def succeeds(self) -> bool:
        """Look for an order that explains every operation that returned."""
        stack: list[tuple[int, State]] = [(0, self.initial)]
        while stack:
            placed, state = self._readers_first(*stack.pop())
            if placed & self._needed == self._needed:
                return True
            if (placed, state) in self.tried:
                continue
            self.tried.add((placed, state))
            soonest_last = sorted(self.enabled(placed), key=lambda i: -_end(self.operations[i]))
            for index in soonest_last:
                after = _after(self.operations[index], state)
                if not isinstance(after, _Impossible):
                    stack.append((placed | 1 << index, after))
        return False

    def enabled(self, placed: int) -> Iterator[int]:
        """Return the operations that may come next: those that were called before any other returned."""
        bound = math.inf
        first = (~placed & (placed + 1)).bit_length() - 1
        for index in range(first, len(self.operations)):
            operation = self.operations[index]
            if operation.called > bound:
                return
            if not placed >> index & 1:
                bound = min(bound, _end(operation))
                yield index

    def _readers_first(self, placed: int, state: State) -> tuple[int, State]:
        """Place what changes nothing and fits: to place it later cannot make more possible."""
        found = True
        while found:
            found = False
            for index in self.enabled(placed):
                operation = self.operations[index]
                if not operation.changes and _after(operation, state) == state:
                    placed |= 1 << index
                    found = True
        return placed, state


def _explain(operations: Sequence[Operation], initial: State) -> Witness:
    """Find the operation whose return made the history inexplicable, by halving."""
    ends = sorted(o.returned for o in operations if o.returned is not None)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if _Search(_before(operations, ends[middle]), initial).succeeds():
            low = middle + 1
        else:
            high = middle
    prefix = _before(operations, ends[low])
    search = _Search(prefix, initial)
    search.succeeds()
    blamed = max((o for o in prefix if o.returned is not None), key=_end)
    index = search.operations.index(blamed)
    possible = {state for placed, state in search.tried if index in search.enabled(placed)}
    told = sorted(possible, key=lambda state: ("", b"") if state is None else state)
    return Witness(blamed, [o for o in prefix if o is not blamed], told)


def _before(operations: Iterable[Operation], instant: int) -> list[Operation]:
    """Return a history as it was known at an instant: what had not returned may have taken effect, or not."""
    known = []
    for operation in operations:
        if operation.returned is not None and operation.returned <= instant:
            known.append(operation)
        elif operation.called < instant and operation.changes:
            known.append(replace(operation, returned=None, existed=None))
    return known
