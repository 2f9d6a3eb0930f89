"""Processes that kill themselves: at the line that was ordered, after what was told, and never unnoticed."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daystore_compliance import crash_scenarios
from daystore_compliance.case import REGISTRY, obstacle
from daystore_compliance.clock import START
from daystore_compliance.crashing import Death, Lines, Order, carry_out, spread
from daystore_compliance.mutants.crashes import FileTarget
from daystore_compliance.run import run_case
from daystore_compliance.suite import crashes
from daystore_compliance.target import Target

NAMESPACE = f"test-crashing-{os.getpid()}"
SCENARIOS = crash_scenarios.__name__


@pytest.fixture(autouse=True)
def target() -> Iterator[FileTarget]:
    made = FileTarget()
    with made.running():
        yield made
    for path in Path(tempfile.gettempdir()).glob(f"daystore-mutant-{NAMESPACE}*"):
        path.unlink()


def order(target: Target, scenario: str, **options: int | None) -> Death:
    return carry_out(
        Order(target.elsewhere(), NAMESPACE, f"{SCENARIOS}:{scenario}", now=START, **options)  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("first", "last", "number", "expected"),
    [
        (1, 9, 3, [1, 5, 9]),
        (1, 3, 10, [1, 2, 3]),
        (4, 4, 5, [4]),
        (7, 3, 5, [7]),
        (1, 100, 1, [1]),
    ],
)
def test_spread(first: int, last: int, number: int, expected: list[int]) -> None:
    assert spread(first, last, number) == expected


def lines_of(work: object) -> int:
    lines = Lines()
    with lines.counting():
        lines.arm()
        work()  # type: ignore[operator]
    return lines.count


def test_lines_are_counted_alike_each_time() -> None:
    def work() -> None:
        for number in range(10):
            str(number)

    first = lines_of(work)
    assert first >= 20
    assert lines_of(work) == first


def test_lines_of_other_threads_are_counted() -> None:
    def work() -> None:
        for number in range(10):
            str(number)

    def in_a_thread() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert lines_of(in_a_thread) >= lines_of(work)


def test_lines_of_the_standard_library_are_not_counted() -> None:
    def work(size: int) -> None:
        json.dumps(list(range(size)), indent=1)

    assert lines_of(lambda: work(1000)) == lines_of(lambda: work(1))


def test_nothing_is_counted_before_it_is_armed_nor_after_the_block() -> None:
    lines = Lines()
    with lines.counting():
        spread(1, 100, 50)
    assert lines.count == 0
    lines.arm()
    spread(1, 100, 50)
    assert lines.count == 0


def test_a_process_that_is_not_killed_tells_everything_and_its_lines(target: FileTarget) -> None:
    death = order(target, "versions")
    assert not death.was_killed
    assert [value for _, _, value in death.told] == [f"0 {index}" for index in range(3) for _ in "ab"]
    assert death.lines == sorted(death.lines)
    assert death.total is not None
    assert 0 < death.lines[0] < death.lines[-1] <= death.total


def test_a_process_dies_at_the_line_that_was_ordered(target: FileTarget) -> None:
    order(target, "versions")
    whole = order(target, "versions")  # finds what the one before it left, as each of the following does
    assert whole.total is not None
    for index in (0, 3, 5):
        before = order(target, "versions", line=whole.lines[index])
        order(target, "versions")
        after = order(target, "versions", line=whole.lines[index] + 1)
        order(target, "versions")
        assert before.was_killed
        assert len(before.told) == index
        assert after.lines == whole.lines[: index + 1]
    assert not order(target, "versions", line=whole.total + 1).was_killed


def test_a_process_dies_right_after_what_it_told(target: FileTarget) -> None:
    for number in (1, 3):
        death = order(target, "writes", told=number)
        assert death.was_killed
        assert len(death.told) == number


def test_what_fails_in_the_other_process_fails_here(target: FileTarget) -> None:
    with pytest.raises(AssertionError, match="no_such_scenario"):
        order(target, "no_such_scenario")
    assert not order(target, "writes").was_killed


def test_what_the_mutants_are_made_of_survives() -> None:
    ran = 0
    for made in [one for one in REGISTRY.values() if one.body.__module__ == crashes.__name__]:
        target = FileTarget()
        assert obstacle(made, target, FileTarget.adapter.capabilities) is None
        with target.running():
            run_case(made, target)
        ran += 1
    assert ran == 3
