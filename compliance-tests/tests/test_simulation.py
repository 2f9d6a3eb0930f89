"""The simulator: its judge against histories whose verdict is known, its world, and what it finds."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from daystore.errors import BackendUnavailable
from daystore_compliance.simulation.crashes import (
    LATE,
    Crash,
    Cut,
    Met,
    Mortal,
    requests_of,
    try_all,
    try_crash,
)
from daystore_compliance.simulation.history import Event, Scan, is_strictly_serializable
from daystore_compliance.simulation.mutants import MUTANTS, Mutant
from daystore_compliance.simulation.run import UNSERIALIZABLE, plan, run, shrink
from daystore_compliance.simulation.scenes import SCENES, Scene
from daystore_compliance.simulation.time import Stalled, VirtualLoop
from daystore_compliance.simulation.world import Fates, Process, World

A, B = ("s", "a"), ("s", "b")


def wrote(began: int, ended: int | None, **cells: bytes | None) -> Event:
    return Event("p", "write", began, ended, writes={("s", key): value for key, value in cells.items()})


def read(began: int, ended: int, **cells: bytes | None) -> Event:
    return Event("p", "read", began, ended, reads={("s", key): value for key, value in cells.items()})


GOOD = {
    "nothing": [],
    "one after the other": [wrote(1, 2, a=b"1"), read(3, 4, a=b"1")],
    "at the same time, either way": [wrote(1, 4, a=b"1"), read(2, 3, a=None)],
    "unknown, applied": [wrote(1, None, a=b"1"), read(3, 4, a=b"1")],
    "unknown, not applied": [wrote(1, None, a=b"1"), read(3, 4, a=None)],
    "unknown, applied late": [wrote(1, None, a=b"1"), read(3, 4, a=None), read(5, 6, a=b"1")],
    "deleted": [wrote(1, 2, a=b"1"), wrote(3, 4, a=None), read(5, 6, a=None)],
    "all of a store": [
        wrote(1, 2, a=b"1", b=b"2"),
        Event("p", "scan", 3, 4, scans=[Scan("s", {"a": b"1", "b": b"2"})]),
    ],
}
BAD = {
    "an acknowledged write is lost": [wrote(1, 2, a=b"1"), read(3, 4, a=None)],
    "a value from nowhere": [read(1, 2, a=b"1")],
    "before it was written": [read(1, 2, a=b"1"), wrote(3, 4, a=b"1")],
    "half of it": [wrote(1, 2, a=b"1", b=b"1"), read(3, 4, a=b"1", b=None)],
    "back in time": [wrote(1, 9, a=b"1"), read(2, 3, a=b"1"), read(4, 5, a=None)],
    "write skew": [
        Event("p", "t", 1, 9, reads={A: None, B: None}, writes={A: b"1"}),
        Event("q", "t", 2, 8, reads={A: None, B: None}, writes={B: b"1"}),
    ],
    "a phantom": [
        Event("p", "t", 1, 9, scans=[Scan("s", {})], writes={A: b"1"}),
        Event("q", "t", 2, 8, scans=[Scan("s", {})], writes={B: b"1"}),
    ],
    "unknown, and undone": [wrote(1, None, a=b"1"), read(3, 4, a=b"1"), read(5, 6, a=None)],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_history_that_an_order_explains_is_strictly_serializable(name: str) -> None:
    assert is_strictly_serializable(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_order_explains_is_not(name: str) -> None:
    assert not is_strictly_serializable(BAD[name])


def test_time_passes_by_waiting_and_an_hour_takes_none() -> None:
    loop = VirtualLoop()

    async def wait() -> float:
        before = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - before

    assert loop.run_until_complete(wait()) == pytest.approx(3600)
    with pytest.raises(Stalled):
        loop.run_until_complete(asyncio.Event().wait())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.close()


@pytest.mark.parametrize(
    ("fates", "applied", "answered"),
    [
        (Fates(), [1], True),
        (Fates(unsent=1.0), [], False),
        (Fates(unanswered=1.0), [1], False),
        (Fates(late=1.0), [1], False),
    ],
)
def test_the_fates_of_a_request(fates: Fates, applied: list[int], answered: bool) -> None:
    loop = VirtualLoop()
    done: list[int] = []

    async def one() -> bool:
        try:
            await Process(World(1, fates, loop)).request(lambda: done.append(1))
        except BackendUnavailable:
            return False
        finally:
            await asyncio.sleep(60)
        return True

    assert loop.run_until_complete(one()) is answered
    assert done == applied
    loop.close()


def test_the_dead_get_no_answer_and_send_nothing() -> None:
    loop = VirtualLoop()
    done: list[int] = []

    async def one() -> None:
        process = Process(World(1, Fates(death=1.0), loop))
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60):
                    await process.request(lambda: done.append(1))
        assert process.dead

    loop.run_until_complete(one())
    assert len(done) <= 1
    loop.close()


def test_a_seed_is_the_same_world_every_time() -> None:
    one, other = (run(plan(7)) for _ in range(2))
    assert one.history == other.history
    assert one.committed == other.committed > 0


def test_the_protocol_holds_in_a_hundred_worlds() -> None:
    results = [run(plan(seed)) for seed in range(100)]
    assert [result.plan.seed for result in results if result.problem is not None] == []
    assert sum(result.committed for result in results) > 300, "nothing was done"


@pytest.mark.parametrize("name", ["no_validation", "forgotten_too_early", "missing_taken_for_committed"])
def test_a_mistake_is_found_and_undone_and_its_seed_made_smaller(name: str) -> None:
    mutant: Mutant = next(one for one in MUTANTS if one.name == name)
    with mutant.made():
        seed = next(s for s in range(mutant.budget) if run(mutant.plan(s)).problem == UNSERIALIZABLE)
        small = shrink(run(mutant.plan(seed)))
        assert small.problem == UNSERIALIZABLE
        assert (small.plan.clients, small.plan.operations) <= (
            mutant.plan(seed).clients,
            mutant.plan(seed).operations,
        )
    assert run(mutant.plan(seed)).problem is None


def test_every_mistake_tells_what_it_is() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 16
    assert all(mutant.mistake.endswith(".") for mutant in MUTANTS)


@pytest.mark.parametrize(
    ("cut", "at_once", "later"),
    [
        (Cut.LOST, [1], [1]),
        (Cut.ALONE, [1, 3], [1, 3]),
        (Cut.UNANSWERED, [1, 2], [1, 2]),
        (Cut.LATE, [1], [1, 2]),
    ],
)
def test_a_process_dies_at_one_request_and_sends_nothing_after_it(
    cut: Cut, at_once: list[int], later: list[int]
) -> None:
    loop = VirtualLoop()
    done: list[int] = []

    async def one() -> None:
        process = Mortal(World(1, Fates(), loop), 2, cut)
        sent = []
        for numbers in ([1], [2, 3], [4]):
            sent += [
                asyncio.ensure_future(process.request(partial(done.append, number))) for number in numbers
            ]
            await asyncio.sleep(LATE / 10)
        assert process.dead
        assert sorted(done) == at_once
        await asyncio.sleep(2 * LATE)
        assert sorted(done) == later
        for task in sent:
            task.cancel()
        await asyncio.wait(sent)

    loop.run_until_complete(one())
    loop.close()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_the_protocol_holds_at_every_point_at_which_it_can_be_cut_off(scene: Scene) -> None:
    requests = requests_of(scene)
    assert requests >= 7, "to begin, two to prepare, to decide, two to settle, to forget"
    for at in range(1, requests + 1):
        tally = try_all(scene, at)
        assert tally.failed == []
        assert tally.once == len(Cut) * len(Met)
        assert tally.twice >= 2 * len(Met)


@pytest.mark.parametrize("name", ["forgotten_too_early", "rolled_back_by_the_clock", "rolled_forward_always"])
def test_a_mistake_is_found_at_one_of_these_points(name: str) -> None:
    mutant: Mutant = next(one for one in MUTANTS if one.name == name)
    with mutant.made():
        crashes = (
            Crash(SCENES[0], at, cut, met)
            for at in range(1, requests_of(SCENES[0]) + 1)
            for cut in Cut
            for met in Met
        )
        found = next((crash for crash in crashes if try_crash(crash)[0] is not None), None)
    assert found is not None
    assert try_crash(found)[0] is None
