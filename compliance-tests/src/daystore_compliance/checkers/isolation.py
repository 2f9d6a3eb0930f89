"""Which isolation levels a history of transactions rules out.

Transactions append unique items to lists, and read lists. A list that was read tells the order in which its items
were appended, and so which transaction depends on which; a cycle of dependencies is an anomaly, and its edges say
which. This is a small Elle: Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental
observations", VLDB 2020; the anomalies have the names of Adya, "Weak consistency", 1999.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final, TypeAlias

from daystore_compliance.checkers.cycles import Edge, shortest_cycles

__all__ = ["LEVELS", "Anomaly", "Append", "Outcome", "Read", "Transaction", "check", "ruled_out"]

Item: TypeAlias = int | str | bytes

LEVELS: Final = (
    "read-uncommitted",
    "read-committed",
    "snapshot",
    "serializable",
    "strict-serializable",
)
"""The isolation levels, weakest first. What rules one out rules out those after it."""

_FORBIDDEN_FROM: Final[dict[str, str]] = {
    "G0": "read-uncommitted",
    "duplicate element": "read-uncommitted",
    "incompatible order": "read-uncommitted",
    "lost append": "read-uncommitted",
    "unwritten element": "read-uncommitted",
    "G1a": "read-committed",
    "G1b": "read-committed",
    "G1c": "read-committed",
    "G-single": "snapshot",
    "internal": "snapshot",
    "lost update": "snapshot",
    "G2": "serializable",
    "G0-realtime": "strict-serializable",
    "G1c-realtime": "strict-serializable",
    "G-single-realtime": "strict-serializable",
    "G2-realtime": "strict-serializable",
}
"""The weakest level that each anomaly rules out."""


class Outcome(Enum):
    """What became of a transaction."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Append:
    """An item that a transaction appended to a list."""

    key: str
    item: Item


@dataclass(frozen=True, slots=True)
class Read:
    """The list that a transaction read; its own appends are in it."""

    key: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction did, in its order, and when.

    Attributes:
        name: Who it is, for the explanation.
        steps: Its appends and reads.
        began: Instant of its begin, on a counter that all clients share.
        ended: Instant of its end; ``None`` if its outcome is unknown.
        outcome: See `Outcome`. Reads of a transaction that did not commit are not judged.
    """

    name: str
    steps: Sequence[Append | Read]
    began: int
    ended: int | None
    outcome: Outcome = Outcome.COMMITTED


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that an isolation level forbids.

    Attributes:
        name: The name in the literature.
        transactions: Names of those that take part; a cycle in its order.
        told: What happened.
    """

    name: str
    transactions: tuple[str, ...]
    told: str

    def __str__(self) -> str:
        return f"{self.name}: {self.told}"


def ruled_out(anomalies: Iterable[Anomaly]) -> tuple[str, ...]:
    """Return the levels that a history with these anomalies does not have, weakest first."""
    weakest = min((LEVELS.index(_FORBIDDEN_FROM[a.name]) for a in anomalies), default=len(LEVELS))
    return LEVELS[weakest:]


def check(history: Iterable[Transaction]) -> list[Anomaly]:
    """Judge a history.

    Args:
        history: All transactions, in any order. The last ones read every list after all others have ended: an
            append that nobody sees proves nothing, and neither does a history that nobody looked at.

    Returns:
        Every kind of anomaly that is in it; of cycles of one kind a shortest one.

    Raises:
        ValueError: If the quiescent read of a list at the end is missing, or an item is appended twice.
    """
    observed = _Observed(sorted(history, key=lambda t: t.began))
    edges = [*observed.dependencies(), *_realtime(observed.committed)]
    cycles = (Anomaly(name, names, told) for name, names, told in shortest_cycles(edges))
    return [*observed.anomalies(), *cycles]


# --- What was observed ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one committed read saw of others: a list without the reader's own appends at its end."""

    reader: Transaction
    key: str
    items: tuple[Item, ...]


class _Observed:
    """The order of the items of each list, who appended them, and who saw them."""

    def __init__(self, history: Sequence[Transaction]) -> None:
        self.writers: dict[tuple[str, Item], Transaction] = {}
        self.appended: dict[tuple[str, str], list[Item]] = {}  # by key and transaction
        for transaction in history:
            for step in transaction.steps:
                if isinstance(step, Append):
                    if (step.key, step.item) in self.writers:
                        raise ValueError(f"{step.item!r} is appended twice: items tell nothing unless unique")
                    self.writers[step.key, step.item] = transaction
                    self.appended.setdefault((step.key, transaction.name), []).append(step.item)
        self.final = _final_reads(history)
        self.committed = self._committed(history)
        self.seen = [seen for transaction in self.committed for seen in _seen(transaction)]
        self.orders = self._orders()

    def _committed(self, history: Sequence[Transaction]) -> list[Transaction]:
        """Return what committed; what a committed transaction saw of one with unknown outcome proves it did."""
        certain = [t for t in history if t.outcome is Outcome.COMMITTED]
        shown = {(s.key, item) for t in certain for s in t.steps if isinstance(s, Read) for item in s.items}
        proven = {self.writers[name].name for name in shown if name in self.writers}
        return [
            t
            for t in history
            if t.outcome is Outcome.COMMITTED or (t.outcome is Outcome.UNKNOWN and t.name in proven)
        ]

    def _orders(self) -> dict[str, tuple[Item, ...]]:
        """Return the order of the items of each list: that of the end, and what the longest read goes on with."""
        orders = dict(self.final)
        for seen in self.seen:
            if len(seen.items) > len(orders.get(seen.key, ())):
                orders[seen.key] = seen.items
        return orders

    # --- What needs no cycle -----------------------------------------------------------------------------

    def anomalies(self) -> Iterator[Anomaly]:
        """Return one of each kind that is found by looking at single reads."""
        named: dict[str, Anomaly] = {}
        found = (
            self._elements(),
            self._prefixes(),
            self._lost_appends(),
            self._lost_updates(),
            self._internal(),
        )
        for anomalies in found:
            for anomaly in anomalies:
                named.setdefault(anomaly.name, anomaly)
        yield from named.values()

    def _elements(self) -> Iterator[Anomaly]:
        for seen in self.seen:
            reader, read = seen.reader.name, f"{seen.reader.name} read {seen.key!r} as {list(seen.items)}"
            if len(set(seen.items)) < len(seen.items):
                yield Anomaly("duplicate element", (reader,), f"{read}, with an item twice")
            for item in seen.items:
                writer = self.writers.get((seen.key, item))
                if writer is None:
                    yield Anomaly("unwritten element", (reader,), f"{read}; nobody appended {item!r}")
                elif writer.outcome is Outcome.ABORTED:
                    told = f"{read}; {item!r} is of {writer.name}, which aborted"
                    yield Anomaly("G1a", (writer.name, reader), told)
            last = self.writers.get((seen.key, seen.items[-1])) if seen.items else None
            if last is not None and last is not seen.reader:
                appended = self.appended[seen.key, last.name]
                if appended[-1] != seen.items[-1]:
                    told = f"{read}; {last.name} appended {appended[-1]!r} after {seen.items[-1]!r}"
                    yield Anomaly("G1b", (last.name, reader), told)

    def _prefixes(self) -> Iterator[Anomaly]:
        for seen in self.seen:
            order = self.orders[seen.key]
            if order[: len(seen.items)] != seen.items:
                told = (
                    f"{seen.reader.name} read {seen.key!r} as {list(seen.items)}, another read {list(order)}"
                )
                yield Anomaly("incompatible order", (seen.reader.name,), told)

    def _lost_appends(self) -> Iterator[Anomaly]:
        committed = {transaction.name for transaction in self.committed}
        for (key, item), writer in self.writers.items():
            if writer.name in committed and item not in self.final[key]:
                told = f"{writer.name} appended {item!r} to {key!r} and committed; at the end it is not there"
                yield Anomaly("lost append", (writer.name,), told)

    def _lost_updates(self) -> Iterator[Anomaly]:
        first: dict[tuple[str, tuple[Item, ...]], Transaction] = {}
        for seen in self.seen:
            if (seen.key, seen.reader.name) in self.appended:
                other = first.setdefault((seen.key, seen.items), seen.reader)
                if other is not seen.reader:
                    told = (
                        f"{other.name} and {seen.reader.name} both read {seen.key!r} as {list(seen.items)}, "
                    )
                    yield Anomaly(
                        "lost update", (other.name, seen.reader.name), told + "appended, and committed"
                    )

    def _internal(self) -> Iterator[Anomaly]:
        for transaction in self.committed:
            known: dict[str, tuple[Item, ...]] = {}
            own: dict[str, tuple[Item, ...]] = {}
            for step in transaction.steps:
                if isinstance(step, Append):
                    own[step.key] = (*own.get(step.key, ()), step.item)
                    continue
                mine = own.get(step.key, ())
                base = step.items[: len(step.items) - len(mine)]
                if step.items[len(base) :] != mine or known.setdefault(step.key, base) != base:
                    told = f"{transaction.name} read {step.key!r} as {list(step.items)}; before, it had read "
                    told += f"{list(known.get(step.key, ()))}, and itself appended {list(mine)}"
                    yield Anomaly("internal", (transaction.name,), told)

    # --- What depends on what ----------------------------------------------------------------------------

    def dependencies(self) -> Iterator[Edge]:
        """Return which transaction comes before which, and why, as the orders of the lists tell."""
        committed = {transaction.name for transaction in self.committed}
        of = {place: writer.name for place, writer in self.writers.items() if writer.name in committed}
        for key, order in self.orders.items():
            for before, after in pairwise(order):
                if (one := of.get((key, before))) and (two := of.get((key, after))):
                    yield one, two, "ww", f"{two} appended {after!r} to {key!r} after {before!r} of {one}"
        for seen in self.seen:
            reader, key, order, place = seen.reader.name, seen.key, self.orders[seen.key], len(seen.items)
            if order[:place] != seen.items:
                continue
            if place and (writer := of.get((key, order[place - 1]))):
                yield writer, reader, "wr", f"{reader} read {order[place - 1]!r} of {writer} in {key!r}"
            if place < len(order) and (writer := of.get((key, order[place]))):
                yield reader, writer, "rw", f"{reader} did not see {order[place]!r} of {writer} in {key!r}"


def _final_reads(history: Sequence[Transaction]) -> dict[str, tuple[Item, ...]]:
    """Return each list as it was read when all was over."""
    changing = [t for t in history if any(isinstance(step, Append) for step in t.steps)]
    over = max((t.began if t.ended is None else t.ended for t in changing), default=-1)
    final: dict[str, tuple[Item, ...]] = {}
    for transaction in history:
        if transaction.began > over and transaction.outcome is Outcome.COMMITTED:
            final |= {step.key: step.items for step in transaction.steps if isinstance(step, Read)}
    if missing := {step.key for t in history for step in t.steps} - final.keys():
        raise ValueError(f"no read at the end, after everything has ended, of {', '.join(sorted(missing))}")
    return final


def _seen(transaction: Transaction) -> Iterator[_Seen]:
    """Return what a transaction that committed read of others."""
    if transaction.outcome is not Outcome.COMMITTED:
        return
    own: dict[str, list[Item]] = {}
    for step in transaction.steps:
        if isinstance(step, Append):
            own.setdefault(step.key, []).append(step.item)
            continue
        mine = tuple(own.get(step.key, ()))
        ends_so = bool(mine) and step.items[-len(mine) :] == mine
        yield _Seen(transaction, step.key, step.items[: -len(mine)] if ends_so else step.items)


def _realtime(transactions: Sequence[Transaction]) -> Iterator[Edge]:
    """Return who ended before whom began; what follows from two of these edges is left out."""
    for one in transactions:
        if one.ended is None:
            continue
        bound: float = float("inf")
        for two in transactions:  # in the order of their begin
            if two.began > bound:
                break
            if two.began > one.ended:
                yield one.name, two.name, "rt", f"{one.name} ended before {two.name} began"
                bound = min(bound, bound if two.ended is None else two.ended)
