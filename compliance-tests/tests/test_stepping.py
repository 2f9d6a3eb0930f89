"""Stepping: each point at which an operation can be cancelled, each once, and nothing that is swallowed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, OperationTimeout
from daystore_compliance import stepping
from daystore_compliance.stepping import (
    Cut,
    Moment,
    Points,
    at_both_speeds,
    at_speed,
    cut,
    cut_after,
    promptly,
)
from daystore_compliance.wrappers import Latency


class Operation:
    """Waits three times: for the loop, for a thread and for a future; it notes how far it gets."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def __call__(self) -> str:
        loop = asyncio.get_running_loop()
        self.steps.append("begun")
        await asyncio.sleep(0)
        self.steps.append("turned")
        await loop.run_in_executor(None, self.steps.append, "worked")
        self.steps.append("heard")
        future: asyncio.Future[None] = loop.create_future()
        loop.call_soon(self._answer, future)
        await future
        self.steps.append("ended")
        return "result"

    def _answer(self, future: asyncio.Future[None]) -> None:
        self.steps.append("answered")
        if not future.done():
            future.set_result(None)


def _cut(wait: int, moment: Moment = Moment.WAITING) -> tuple[Cut[str], list[str]]:
    operation = Operation()

    async def run() -> Cut[str]:
        made = await cut(operation, wait, moment)
        await asyncio.sleep(0)
        return made

    return asyncio.run(run()), operation.steps


def test_nothing_begins_before_the_start() -> None:
    made, steps = _cut(0)
    assert (made.is_delivered, type(made.error), steps) == (True, asyncio.CancelledError, [])


@pytest.mark.parametrize(
    ("wait", "moment", "expected"),
    [
        (1, Moment.WAITING, ["begun"]),
        (1, Moment.ANSWERED, ["begun"]),
        (2, Moment.ANSWERED, ["begun", "turned", "worked"]),
        (3, Moment.WAITING, ["begun", "turned", "worked", "heard", "answered"]),
        (3, Moment.ANSWERED, ["begun", "turned", "worked", "heard", "answered"]),
    ],
)
def test_cancelled_exactly_there(wait: int, moment: Moment, expected: list[str]) -> None:
    made, steps = _cut(wait, moment)
    assert made.is_delivered
    assert type(made.error) is asyncio.CancelledError
    assert steps == expected


def test_answered_means_that_the_answer_is_there() -> None:
    futures: list[asyncio.Future[str]] = []

    def answer(future: asyncio.Future[str]) -> None:
        if not future.done():
            future.set_result("answer")

    async def operation() -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        futures.append(future)
        asyncio.get_running_loop().call_soon(answer, future)
        return await future

    async def run() -> None:
        for moment in Moment:
            made = await cut(operation, 1, moment)
            assert type(made.error) is asyncio.CancelledError

    asyncio.run(run())
    waiting, answered = futures
    assert waiting.cancelled()
    assert answered.result() == "answer"


def test_operation_that_ends_before_is_left_alone() -> None:
    made, steps = _cut(4)
    assert (made.is_delivered, made.result, made.error) == (False, "result", None)
    assert steps[-1] == "ended"


def test_operation_sees_the_cancellation_and_may_clean_up() -> None:
    seen: list[str] = []

    async def operation() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned")

    made = asyncio.run(cut(operation, 1))
    assert (type(made.error), seen) == (asyncio.CancelledError, ["cleaned"])


def test_cancelled_after_turns() -> None:
    steps: list[int] = []

    async def operation() -> str:
        for step in range(3):
            steps.append(step)
            await asyncio.sleep(0)
        return "result"

    made = asyncio.run(cut_after(operation, 2))
    assert (made.is_delivered, type(made.error), steps) == (True, asyncio.CancelledError, [0, 1])
    made = asyncio.run(cut_after(operation, 9))
    assert (made.is_delivered, made.result, made.error) == (False, "result", None)


def _points(begin: Callable[[], Awaitable[Any]]) -> tuple[Points, list[str]]:
    async def run() -> tuple[Points, list[str]]:
        points, told = Points(), []
        while points.are_left:
            made = await points.cancel(begin)
            told.append(str(made) if made.is_delivered else "not cancelled")
        return points, told

    return asyncio.run(run())


def test_every_point_is_tried_once() -> None:
    points, told = _points(Operation())
    assert told == [
        "before its start",
        *("waiting at wait 1", "answered at wait 1"),
        *("waiting at wait 2", "answered at wait 2"),
        *("waiting at wait 3", "answered at wait 3"),
        "not cancelled",
    ]
    assert (points.number, points.delivered, points.waits) == (8, 7, 3)
    points.expect_tried(slowed=True)


def test_operation_that_never_waits_is_cancelled_before_its_start() -> None:
    async def operation() -> None:
        pass

    points, told = _points(operation)
    assert told == ["before its start", "not cancelled"]
    points.expect_tried(slowed=False)
    with pytest.raises(AssertionError, match="nothing was tried"):
        points.expect_tried(slowed=True)


def test_cancellation_that_is_swallowed_fails() -> None:
    async def swallows() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return "result"

    async def translates() -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise OperationTimeout("too long") from None

    with pytest.raises(AssertionError, match="ended with an answer"):
        _points(swallows)
    with pytest.raises(AssertionError, match="ended with OperationTimeout"):
        _points(translates)


def test_error_of_the_operation_is_its_own() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise BackendUnavailable("gone")

    with pytest.raises(BackendUnavailable):
        _points(fails)


def test_operation_without_an_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "MOST_WAITS", 5)

    async def endless() -> None:
        while True:  # noqa: ASYNC110 -- that it has no end is the point
            await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="after 5 waits"):
        _points(endless)


def test_points_that_were_left_out_are_noticed() -> None:
    with pytest.raises(AssertionError, match="not tried"):
        Points().expect_tried(slowed=False)


def test_what_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "PATIENCE", 0.001)
    with pytest.raises(AssertionError, match="a read hangs"):
        asyncio.run(promptly(asyncio.Event().wait(), "a read"))


def test_time_limit_of_the_operation_is_not_taken_for_hanging() -> None:
    async def times_out() -> None:
        raise OperationTimeout("too long")

    with pytest.raises(OperationTimeout):
        asyncio.run(promptly(times_out(), "a read"))


def test_both_speeds() -> None:
    assert at_both_speeds({"read": 1}) == {"read": (1, False), "read-slowed": (1, True)}
    adapter = MemoryAdapter()
    assert at_speed(adapter, slowed=False) is adapter
    assert isinstance(at_speed(adapter, slowed=True), Latency)
