"""The checker of linearizability against histories whose answer is known, and against trying every order."""

import math
import random
import time
from collections.abc import Sequence
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daystore.abc import ABSENT, ANY, Version
from daystore.abc.record import Expect
from daystore_compliance.checkers.linearizability import Kind, Operation, State, check, overlaps

A, B, C = ("va", b"a"), ("vb", b"b"), ("vc", b"c")


def read(called: int, returned: int | None, state: State, **more: Any) -> Operation:
    return Operation("k", Kind.READ, called, returned, state, **more)


def write(called: int, returned: int | None, state: State, **more: Any) -> Operation:
    return Operation("k", Kind.WRITE, called, returned, state, **more)


def delete(called: int, returned: int | None, **more: Any) -> Operation:
    return Operation("k", Kind.DELETE, called, returned, **more)


GOOD: dict[str, list[Operation]] = {
    "nothing": [],
    "one after another": [write(0, 1, A), read(2, 3, A), write(4, 5, B), read(6, 7, B)],
    "a read beside a write sees the old": [write(0, 1, A), write(2, 9, B), read(3, 4, A), read(10, 11, B)],
    "a read beside a write sees the new": [write(0, 1, A), write(2, 9, B), read(3, 4, B), read(10, 11, B)],
    "two writes beside each other, in either order": [write(0, 9, A), write(1, 8, B), read(10, 11, A)],
    "the other order": [write(0, 9, A), write(1, 8, B), read(10, 11, B)],
    "three readers beside two writers": [
        *(write(0, 20, A), write(1, 19, B)),
        *(read(2, 3, None), read(4, 5, B), read(6, 18, A)),
    ],
    "one of two creators wins": [
        write(0, 5, A, expect=ABSENT),
        write(1, 4, B, expect=ABSENT, refused=True),
        read(6, 7, A),
    ],
    "a chain of conditions": [
        *(write(0, 1, A, expect=ABSENT), write(2, 3, B, expect="va"), write(4, 5, C, expect="vb")),
        *(write(6, 7, A, expect="vb", refused=True), read(8, 9, C)),
    ],
    "a delete and a new beginning": [
        *(write(0, 1, A, existed=False), delete(2, 3, existed=True), read(4, 5, None)),
        *(
            delete(6, 7, existed=False),
            write(8, 9, B, expect=ABSENT),
            delete(10, 11, expect="vb", existed=True),
        ),
    ],
    "an unknown write that was applied late": [
        write(0, None, A),
        *(write(1, 2, B), read(3, 4, B), read(5, 6, A), read(7, 8, A)),
    ],
    "an unknown write that never was": [write(0, None, A), write(1, 2, B), read(3, 4, B), read(5, 6, B)],
    "an unknown delete beside others": [
        *(write(0, 1, A), delete(2, None), read(3, 4, A), read(5, 6, None), write(7, 8, B, expect=ABSENT)),
        read(9, 10, B),
    ],
    "an unknown condition that held late": [
        *(write(0, 1, A), write(2, None, B, expect="va"), read(3, 4, A), read(5, 6, B)),
    ],
    "a read that never returned": [write(0, 1, A), read(2, None, B)],
}

BAD: dict[str, list[Operation]] = {
    "a stale read": [write(0, 1, A), write(2, 3, B), read(4, 5, A)],
    "a read that goes back": [write(0, 1, A), write(2, 9, B), read(3, 4, B), read(5, 6, A)],
    "two readers that see two orders": [
        *(write(0, 20, A), write(1, 19, B), read(2, 3, A), read(4, 5, B), read(6, 7, A)),
    ],
    "a lost write": [write(0, 1, A), write(2, 3, B), read(4, 5, A), read(6, 7, A)],
    "a lost first write": [write(0, 1, A), read(2, 3, None)],
    "a lost delete": [write(0, 1, A), delete(2, 3, existed=True), read(4, 5, A)],
    "a write that was applied twice": [write(0, 1, A), write(2, 3, B), read(4, 5, B), read(6, 7, A)],
    "a value that nobody wrote": [write(0, 1, A), read(2, 3, C)],
    "another value under a version": [write(0, 1, A), read(2, 3, ("va", b"other"))],
    "a write seen before its call": [read(0, 1, A), write(2, 3, A)],
    "two winners of one version": [
        *(write(0, 1, A), write(2, 7, B, expect="va"), write(3, 6, C, expect="va")),
    ],
    "two creators": [write(0, 5, A, expect=ABSENT), write(1, 4, B, expect=ABSENT)],
    "a condition refused though it held": [write(0, 1, A), write(2, 3, B, expect="va", refused=True)],
    "a refused write that was applied": [
        *(write(0, 1, A), write(2, 3, B, expect="vx", refused=True), read(4, 5, B)),
    ],
    "a version that came back (ABA)": [
        *(write(0, 1, A), write(2, 3, B), write(4, 5, ("vc", b"a")), write(6, 7, C, expect="va")),
    ],
    "a delete that met nothing": [write(0, 1, A), delete(2, 3, existed=False)],
    "two deletes of one record": [write(0, 1, A), delete(2, 5, existed=True), delete(3, 4, existed=True)],
    "an unknown write that came and went": [
        *(write(0, None, A), write(1, 2, B), read(3, 4, A), read(5, 6, B)),
    ],
    "an unknown write seen before its call": [read(0, 1, A), write(2, None, A)],
    "an unknown condition that could not hold": [
        *(write(0, 1, A), write(2, 3, B), write(4, None, C, expect="va"), read(5, 6, C)),
    ],
    "a delete that a condition did not see": [
        *(write(0, 1, A), delete(2, 9, existed=True), write(3, 8, B, expect="va"), read(10, 11, B)),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    assert check(GOOD[name]) is None
    assert check(reversed(GOOD[name])) is None


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    assert check(BAD[name]) is not None
    assert check(reversed(BAD[name])) is not None


def test_initial_state() -> None:
    assert check([read(0, 1, A)], {"k": A}) is None
    assert check([read(0, 1, None)], {"k": A}) is not None
    assert check([read(0, 1, None)], {"other": A}) is None


def test_keys_are_judged_apart() -> None:
    one = [write(0, 1, A), read(2, 3, A)]
    other = Operation("l", Kind.READ, 4, 5, A)
    assert check([*one, Operation("l", Kind.READ, 4, 5, None)]) is None
    witness = check([*one, other])
    assert witness is not None
    assert witness.operation is other
    assert list(witness.prefix) == []


def test_witness_is_the_operation_that_cannot_be_placed() -> None:
    stale = read(8, 9, A, client=3)
    history = [
        write(0, 1, A),
        write(2, 5, B, client=1),
        read(6, 7, B),
        stale,
        write(10, 11, C),
        read(12, 13, C),
    ]
    witness = check(history)
    assert witness is not None
    assert witness.operation is stale
    assert list(witness.possible) == [B]
    assert [o.called for o in witness.prefix] == [0, 2, 6]
    told = str(witness)
    assert "client 3's read of 'k' that found b'a' (version va) (called at 8, returned at 9)" in told
    assert "held b'b' (version vb)" in told


def test_witness_is_the_first_of_several() -> None:
    first, second = read(4, 5, C), Operation("l", Kind.READ, 2, 3, A)
    for history in ([write(0, 1, A), first, second], [second, write(0, 1, A), first]):
        witness = check(history)
        assert witness is not None
        assert witness.operation is second


def test_operations_in_words() -> None:
    assert str(read(1, 2, None)) == "client 0's read of 'k' that found nothing (called at 1, returned at 2)"
    unknown = str(write(1, None, A, expect=ABSENT, client=2))
    assert (
        unknown
        == "client 2's write of b'a' (version va) to 'k' where nothing is (called at 1, outcome unknown)"
    )
    refused = str(delete(1, 2, expect="0123456789", refused=True))
    assert refused == "client 0's delete of 'k' at version 012345, refused, (called at 1, returned at 2)"
    assert "that met a record" in str(delete(1, 2, existed=True))
    assert "that met nothing" in str(delete(1, 2, existed=False))


def test_overlaps() -> None:
    assert overlaps([write(0, 1, A), write(2, 3, B)]) == 0
    assert overlaps([write(0, 4, A), write(2, 3, B), read(5, 6, B)]) == 1
    assert overlaps([read(0, 9, A), read(1, 8, A)]) == 0
    assert overlaps([read(0, 9, A), write(1, 8, A), Operation("l", Kind.DELETE, 2, 3)]) == 1
    assert overlaps([write(0, None, A), read(5, 6, A)]) == 1


# --- Against every order --------------------------------------------------------------------------------------


def by_permutation(history: Sequence[Operation]) -> bool:
    """Try every order of every choice of what took effect."""
    known = [o for o in history if o.returned is not None]
    unknown = [o for o in history if o.returned is None and o.kind is not Kind.READ]
    return any(
        explains(order)
        for size in range(len(unknown) + 1)
        for chosen in combinations(unknown, size)
        for order in permutations([*known, *chosen])
    )


def explains(order: Sequence[Operation]) -> bool:
    state: State = None
    for index, operation in enumerate(order):
        if any(
            (math.inf if o.returned is None else o.returned) < operation.called for o in order[index + 1 :]
        ):
            return False
        holds = operation.expect is ANY or operation.expect == (ABSENT if state is None else state[0])
        if operation.kind is Kind.READ:
            if state != operation.state:
                return False
            continue
        if holds is operation.refused or operation.existed not in (None, state is not None):
            return False
        if holds:
            state = operation.state if operation.kind is Kind.WRITE else None
    return True


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """A few operations on one key, their results chosen from what could be, so that many are nearly right."""
    count = draw(st.integers(1, 6))
    instants = draw(st.permutations(range(2 * count)))
    states: list[State] = [None, A, B, C]
    expectations: list[Expect | Version] = [ANY, ANY, ABSENT, "va", "vb"]
    made = []
    for index in range(count):
        called, returned = sorted(instants[2 * index : 2 * index + 2])
        kind = draw(st.sampled_from([Kind.READ, Kind.READ, Kind.WRITE, Kind.WRITE, Kind.DELETE]))
        unknown = draw(st.integers(0, 5)) == 0
        if kind is Kind.READ:
            made.append(read(called, returned, draw(st.sampled_from(states))))
            continue
        made.append(
            Operation(
                "k",
                kind,
                called,
                None if unknown else returned,
                draw(st.sampled_from(states[1:])) if kind is Kind.WRITE else None,
                expect := draw(st.sampled_from(expectations)),
                refused=not unknown and expect is not ANY and draw(st.booleans()),
                existed=None if unknown else draw(st.sampled_from([None, None, True, False])),
            )
        )
    return made


def test_agrees_with_every_order() -> None:
    answers: list[bool] = []

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(histories())
    def run(history: list[Operation]) -> None:
        answers.append(check(history) is None)
        assert answers[-1] is by_permutation(history)

    run()
    assert 0.15 < sum(answers) / len(answers) < 0.85, "the histories that were tried are all of one kind"


# --- At the size of a case ------------------------------------------------------------------------------------


def simulated(seed: int, *, operations: int, clients: int, keys: int, broken: bool) -> list[Operation]:
    """Run clients on a register that is right, or that keeps the old record at one write of fifty."""
    rng = random.Random(seed)
    states: dict[str, State] = {f"k{number}": None for number in range(keys)}
    running: list[tuple[int, str, int]] = []
    history: list[Operation] = []
    instant = writes = 0
    while len(history) < operations:
        instant += 1
        if len(running) < clients and rng.random() < 0.6:
            running.append((instant, rng.choice(list(states)), len(running)))
            continue
        if not running:
            continue
        called, key, client = running.pop(rng.randrange(len(running)))
        state = states[key]
        match rng.randrange(4):
            case 0 | 1:
                made = Operation(key, Kind.READ, called, instant, state, client=client)
            case 2:
                written = (f"v{instant}", b"%d" % instant)
                stale = rng.random() < 0.5
                expect = "stale" if stale else ABSENT if state is None else state[0]
                made = Operation(
                    key, Kind.WRITE, called, instant, written, expect, refused=stale, client=client
                )
                writes += not stale
                if not stale and not (broken and writes % 50 == 0):
                    states[key] = written
            case _:
                made = Operation(key, Kind.DELETE, called, instant, existed=state is not None, client=client)
                states[key] = None
        history.append(made)
    finals = [Operation(key, Kind.READ, instant + 1, instant + 2, state) for key, state in states.items()]
    return [*history, *finals]


@pytest.mark.parametrize("keys", [1, 4])
def test_eight_hundred_operations_take_well_under_a_second(keys: int) -> None:
    for seed in range(3):
        good = simulated(seed, operations=800, clients=8, keys=keys, broken=False)
        bad = simulated(seed, operations=800, clients=8, keys=keys, broken=True)
        assert overlaps(good) > 300
        began = time.process_time()
        assert check(good) is None
        assert check(bad) is not None
        assert time.process_time() - began < 1
