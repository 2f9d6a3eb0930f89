"""The checker of isolation against histories whose anomaly is known, and against stores of known isolation."""

import random
import time
from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest

from daystore_compliance.checkers.isolation import (
    LEVELS,
    Append,
    Outcome,
    Read,
    Transaction,
    check,
    ruled_out,
)

ABORTED, UNKNOWN = Outcome.ABORTED, Outcome.UNKNOWN


def history(*rows: tuple[Any, ...], **final: tuple[int, ...]) -> list[Transaction]:
    """Make a history: rows of begin, end, steps and outcome; ``x+1`` appends 1 to x, ``x=12`` reads 1 and 2."""
    made = [
        Transaction(f"T{number}", [_step(text) for text in steps.split()], began, ended, *outcome)
        for number, (began, ended, steps, *outcome) in enumerate(rows, 1)
    ]
    finals = [Read(key, items) for key, items in final.items()]
    return [*made, Transaction("end", finals, 1000, 1001)]


def _step(text: str) -> Append | Read:
    key, sign, items = text[0], text[1], tuple(int(digit) for digit in text[2:])
    return Append(key, items[0]) if sign == "+" else Read(key, items)


CLEAN: dict[str, list[Transaction]] = {
    "nothing": history(),
    "one after another": history((0, 1, "x= x+1"), (2, 3, "x=1 x+2 x=12"), (4, 5, "x=12"), x=(1, 2)),
    "beside each other": history((0, 5, "x+1 y+1"), (1, 6, "x=1 y=1 x+2"), (2, 4, "x= y="), x=(1, 2), y=(1,)),
    "an abort that nobody saw": history((0, 1, "x+1", ABORTED), (2, 3, "x= x+2"), x=(2,)),
    "what an aborted transaction read": history((0, 9, "x= y=1", ABORTED), (1, 2, "x+1 y+1"), x=(1,), y=(1,)),
    "unknown, and it was": history((0, None, "x+1 y+1", UNKNOWN), (2, 3, "x=1 y=1"), x=(1,), y=(1,)),
    "unknown, and it was late": history((0, None, "x+1", UNKNOWN), (2, 3, "x= x+2"), (4, 5, "x=2"), x=(2, 1)),
    "unknown, and it was not": history((0, None, "x+1", UNKNOWN), (2, 3, "x= x+2"), x=(2,)),
    "blind appends": history((0, 5, "x+1 x+2"), (1, 6, "x+3 y+3"), x=(1, 2, 3), y=(3,)),
}

BAD: dict[str, tuple[list[Transaction], str, set[str]]] = {
    "writes that cross": (
        history((0, 9, "x+1 y+1"), (1, 8, "x+2 y+2"), x=(1, 2), y=(2, 1)),
        "read-uncommitted",
        {"G0"},
    ),
    "an item twice": (
        history((0, 1, "x+1"), (2, 3, "x=11"), x=(1, 1)),
        "read-uncommitted",
        {"duplicate element"},
    ),
    "two orders": (
        history((0, 9, "x+1"), (1, 8, "x+2"), (2, 7, "x=1"), (3, 6, "x=2"), x=(1, 2)),
        "read-uncommitted",
        {"incompatible order"},
    ),
    "a committed append that is gone": (
        history((0, 1, "x+1"), (2, 3, "x= x+2"), x=(2,)),
        "read-uncommitted",
        {"lost append"},
    ),
    "one of two appends of an unknown commit": (
        history((0, None, "x+1 y+1", UNKNOWN), (2, 3, "x=1"), x=(1,), y=()),
        "read-uncommitted",
        {"lost append"},
    ),
    "an item that nobody appended": (
        history((0, 1, "x+1"), (2, 3, "x=17"), x=(1, 7)),
        "read-uncommitted",
        {"unwritten element"},
    ),
    "a read of what was aborted": (
        history((0, 9, "x+1", ABORTED), (1, 2, "x=1"), x=()),
        "read-committed",
        {"G1a"},
    ),
    "an abort that stays": (history((0, 1, "x+1", ABORTED), x=(1,)), "read-committed", {"G1a"}),
    "a read in the midst of a transaction": (
        history((0, 9, "x+1 x+2"), (1, 2, "x=1"), x=(1, 2)),
        "read-committed",
        {"G1b", "G-single"},
    ),
    "two that read each other": (
        history((0, 9, "x+1 y=2"), (1, 8, "y+2 x=1"), x=(1,), y=(2,)),
        "read-committed",
        {"G1c"},
    ),
    "a read skew": (
        history((0, 9, "x= y=1"), (1, 2, "x+1 y+1"), x=(1,), y=(1,)),
        "snapshot",
        {"G-single"},
    ),
    "a lost update": (
        history((0, 9, "x= x+1"), (1, 8, "x= x+2"), x=(1, 2)),
        "snapshot",
        {"lost update", "G-single"},
    ),
    "a read that is not repeated": (
        history((0, 9, "x= x=1"), (1, 2, "x+1"), x=(1,)),
        "snapshot",
        {"internal", "G-single"},
    ),
    "own appends that are not seen": (history((0, 9, "x+1 x="), x=(1,)), "snapshot", {"internal"}),
    "a write skew": (
        history((0, 9, "x= y+1"), (1, 8, "y= x+2"), x=(2,), y=(1,)),
        "serializable",
        {"G2"},
    ),
    "three that each read what the next writes": (
        history((0, 9, "x= y+1"), (1, 8, "y= z+2"), (2, 7, "z= x+3"), x=(3,), y=(1,), z=(2,)),
        "serializable",
        {"G2"},
    ),
    "a stale read": (
        history((0, 1, "x+1"), (2, 3, "x="), x=(1,)),
        "strict-serializable",
        {"G-single-realtime"},
    ),
    "writes against time": (
        history((0, 1, "x+1"), (2, 3, "x+2"), x=(2, 1)),
        "strict-serializable",
        {"G0-realtime"},
    ),
    "a read before the write": (
        history((0, 1, "x=1"), (2, 3, "x+1"), x=(1,)),
        "strict-serializable",
        {"G1c-realtime"},
    ),
    "two writes seen in two orders": (
        history((0, 20, "x+1"), (1, 21, "y+2"), (2, 5, "x=1 y="), (3, 6, "x= y=2"), x=(1,), y=(2,)),
        "serializable",
        {"G2"},
    ),
    "a stale read beside others": (
        history((0, 5, "x+1"), (6, 8, "y= z+3"), (7, 9, "z= x="), (4, 10, "y+2"), x=(1,), y=(2,), z=(3,)),
        "strict-serializable",
        {"G-single-realtime"},
    ),
    "two that did not see, and time between": (
        history((0, 9, "x= z+1"), (1, 2, "x+2"), (3, 4, "z="), x=(2,), z=(1,)),
        "strict-serializable",
        {"G2-realtime"},
    ),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean(name: str) -> None:
    assert check(CLEAN[name]) == []
    assert ruled_out(check(reversed(CLEAN[name]))) == ()


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    transactions, weakest, expected = BAD[name]
    anomalies = check(transactions)
    assert {anomaly.name for anomaly in anomalies} == expected
    assert ruled_out(anomalies) == LEVELS[LEVELS.index(weakest) :]
    assert {a.name for a in check(reversed(transactions))} == expected


def test_every_anomaly_has_a_history() -> None:
    from daystore_compliance.checkers import isolation

    assert {name for _, _, names in BAD.values() for name in names} == isolation._FORBIDDEN_FROM.keys()


def test_explanation_names_the_cycle() -> None:
    (anomaly,) = check(BAD["a write skew"][0])
    assert set(anomaly.transactions) == {"T1", "T2"}
    told = str(anomaly)
    assert told.startswith("G2: ")
    assert "T1 did not see 2 of T2 in 'x' [rw]" in told
    assert "T2 did not see 1 of T1 in 'y' [rw]" in told


def test_shortest_cycle_is_told() -> None:
    rows = [(n, 100 + n, f"x={''.join(map(str, range(n)))} x+{n}") for n in range(6)]
    skew = (50, 160, "y= x=012345"), (51, 161, "y+9 x=012345 x+7")
    transactions = history(
        *rows, *skew, (52, 162, "x=0123457 y=9 z+1"), x=(0, 1, 2, 3, 4, 5, 7), y=(9,), z=(1,)
    )
    assert check(transactions) == []
    transactions = history(*rows, (50, 160, "y= x=0123457"), skew[1], x=(0, 1, 2, 3, 4, 5, 7), y=(9,))
    (anomaly,) = check(transactions)
    assert (anomaly.name, len(anomaly.transactions)) == ("G-single", 2)


# --- What is no history ---------------------------------------------------------------------------------------


def test_history_ends_with_a_read_of_every_list() -> None:
    transactions = history((0, 1, "x+1 y+1"), x=(1,))
    with pytest.raises(ValueError, match="no read at the end, after everything has ended, of y"):
        check(transactions)
    with pytest.raises(ValueError, match="no read at the end"):
        check(history((0, 1, "x+1 y+1"), (2, 3, "y=1")))
    with pytest.raises(ValueError, match="no read at the end"):
        check([*history((0, 1, "x+1")), Transaction("late", [Append("x", 2)], 2000, 2001)])
    early = Transaction("early", [Read("x", (1,))], 5, 6)
    with pytest.raises(ValueError, match="no read at the end"):
        check([*history((0, 9, "x+1")), early])


def test_items_are_unique() -> None:
    with pytest.raises(ValueError, match="appended twice"):
        check(history((0, 1, "x+1"), (2, 3, "x+1"), x=(1,)))


# --- Stores whose isolation is known --------------------------------------------------------------------------


class Store:
    """Lists, and transactions on them that run in turns, at one isolation level."""

    def __init__(self, level: str) -> None:
        self.level = level
        self.lists: dict[str, list[tuple[int, int]]] = {}  # items with who appended them
        self.commits: list[tuple[set[str], set[str]]] = []  # what each commit read and wrote
        self.buffers: dict[int, list[tuple[str, int]]] = {}
        self.starts: dict[int, tuple[int, dict[str, list[tuple[int, int]]]]] = {}
        self.reads: dict[int, set[str]] = {}

    def begin(self, number: int) -> None:
        self.buffers[number], self.reads[number] = [], set()
        self.starts[number] = len(self.commits), {key: list(items) for key, items in self.lists.items()}

    def read(self, number: int, key: str) -> tuple[int, ...]:
        self.reads[number].add(key)
        snapshot = self.level in ("snapshot", "serializable", "strict-serializable")
        base = (self.starts[number][1] if snapshot else self.lists).get(key, [])
        own = [] if self.level == "read-uncommitted" else [i for k, i in self.buffers[number] if k == key]
        return (*(item for item, _ in base), *own)

    def append(self, number: int, key: str, item: int) -> None:
        self.buffers[number].append((key, item))
        if self.level == "read-uncommitted":
            self.lists.setdefault(key, []).append((item, number))

    def commit(self, number: int) -> bool:
        written = {key for key, _ in self.buffers[number]}
        depends = {"snapshot": written, "serializable": written | self.reads[number]}.get(self.level, set())
        since = self.commits[self.starts[number][0] :]
        if self.level == "serializable" and not written:
            depends = set()  # its snapshot was consistent
        if any(depends & writes for _, writes in since):
            self.abort(number)
            return False
        if self.level != "read-uncommitted":
            for key, item in self.buffers[number]:
                self.lists.setdefault(key, []).append((item, number))
        self.commits.append((self.reads[number], written))
        return True

    def abort(self, number: int) -> None:
        if self.level == "read-uncommitted":
            for key, items in self.lists.items():
                self.lists[key] = [entry for entry in items if entry[1] != number]


class Stale(Store):
    """Four of five transactions see what the one before them saw."""

    def begin(self, number: int) -> None:
        super().begin(number)
        if number % 5:
            self.starts[number] = self.starts[number - 1]


def simulated(store: Store, seed: int, transactions: int = 200) -> list[Transaction]:
    """Run transactions of eight clients on four lists, a step at a time."""
    rng, items, instants = random.Random(seed), count(1), count()
    running: dict[int, tuple[int, list[Append | Read]]] = {}
    made: list[Transaction] = []
    numbers = iter(range(transactions))
    while len(made) < transactions:
        if len(running) < 8 and (number := next(numbers, None)) is not None:
            store.begin(number)
            running[number] = (next(instants), [])
        number = rng.choice(list(running))
        began, steps = running[number]
        key = rng.choice("wxyz")
        if len(steps) < rng.randrange(2, 6):
            if rng.random() < 0.5:
                item = next(items)
                store.append(number, key, item)
                steps.append(Append(key, item))
            else:
                steps.append(Read(key, store.read(number, key)))
            continue
        if aborts := rng.random() < 0.1:
            store.abort(number)
        committed = not aborts and store.commit(number)
        outcome = Outcome.COMMITTED if committed else Outcome.ABORTED
        del running[number]
        made.append(Transaction(f"T{number}", steps, began, next(instants), outcome))
    final = [Read(key, tuple(item for item, _ in store.lists.get(key, []))) for key in "wxyz"]
    return [*made, Transaction("end", final, next(instants), next(instants))]


def weakest(levels: Iterable[str]) -> str | None:
    return next(iter(levels), None)


@pytest.mark.parametrize("seed", range(5))
def test_stores_are_told_apart(seed: int) -> None:
    found = {level: check(simulated(Store(level), seed)) for level in LEVELS[:4]}
    assert weakest(ruled_out(found["read-uncommitted"])) in ("read-uncommitted", "read-committed")
    assert "G1a" in {anomaly.name for anomaly in found["read-uncommitted"]}
    assert weakest(ruled_out(found["read-committed"])) == "snapshot"
    assert weakest(ruled_out(found["snapshot"])) == "serializable"
    assert found["serializable"] == []


@pytest.mark.parametrize("seed", range(5))
def test_stale_snapshots_are_serializable_and_not_strict(seed: int) -> None:
    assert ruled_out(check(simulated(Stale("serializable"), seed))) == ("strict-serializable",)


def test_a_thousand_transactions_take_a_second() -> None:
    transactions = simulated(Store("serializable"), 0, 1000)
    began = time.process_time()
    assert check(transactions) == []
    assert time.process_time() - began < 1
    began = time.process_time()
    assert check(simulated(Store("read-committed"), 0, 300))
    assert time.process_time() - began < 3
