"""What becomes of single calls that are made at the same time, on a backend that answers when the test says so."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from daystore.abc import (
    ABSENT,
    EVENTUAL,
    STRONG,
    Consistency,
    Delete,
    Limits,
    Outcome,
    Put,
    Record,
    WriteBatch,
    bounded,
)
from daystore.abc.coalescing.coalescer import MOST_IDLE
from daystore.abc.coalescing.lanes import MOST_BYTES, MOST_CALLS, MOST_IN_FLIGHT
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    LimitExceeded,
    OperationTimeout,
    OutcomeUnknown,
    StoreClosed,
    VersionConflict,
)

T = TypeVar("T")
C = "c"


@dataclass
class Request:
    """What has reached the backend and waits there."""

    keys: list[str]
    batch: WriteBatch | None
    consistency: Consistency | None
    gate: asyncio.Future[None]

    def answer(self) -> None:
        self.gate.set_result(None)

    def fail(self, error: BaseException) -> None:
        self.gate.set_exception(error)


class Held(MemoryAdapter):
    """Keeps every request back until the test lets it go, and then is the reference."""

    coalesce = True

    def __init__(self, *, timeout: float | None = None, max_batch: int | None = None) -> None:
        super().__init__(timeout=timeout)
        self.capabilities = replace(MemoryAdapter.capabilities, limits=Limits(max_batch=max_batch))
        self.requests: list[Request] = []
        self.is_held = True
        self.refuses: dict[str, Exception] = {}

    async def _pass(self, keys: list[str], batch: WriteBatch | None, consistency: Consistency | None) -> None:
        request = Request(keys, batch, consistency, asyncio.get_running_loop().create_future())
        self.requests.append(request)
        if not self.is_held:
            asyncio.get_running_loop().call_soon(request.answer)
        await request.gate
        for key in keys:
            if key in self.refuses:
                raise self.refuses[key]

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        await self._pass(list(keys), None, consistency)
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        await self._pass([operation.key for operation in batch.operations], batch, None)
        return await super()._write(batch)

    @property
    def sent(self) -> list[list[str]]:
        return [request.keys for request in self.requests]

    async def release(self) -> None:
        """Answer everything, also what is still to come."""
        self.is_held = False
        for request in self.requests:
            if not request.gate.done():
                request.answer()
        await turn()


async def turn() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def start(*calls: Coroutine[Any, Any, T]) -> list[asyncio.Task[T]]:
    return [asyncio.create_task(call) for call in calls]


@pytest.fixture
def opened() -> Callable[..., Awaitable[Held]]:
    async def opened(**options: Any) -> Held:
        adapter = Held(**options)
        await adapter.open()
        return adapter

    return opened


Opened = Callable[..., Awaitable[Held]]


# --- What goes together -----------------------------------------------------------------------------------


async def test_lone_call_is_sent_at_once_in_the_callers_own_task(opened: Opened) -> None:
    adapter = await opened()
    for call in (adapter.set(C, "a", b"1"), adapter.get(C, "a")):
        before = len(asyncio.all_tasks())
        (task,) = start(call)
        await asyncio.sleep(0)
        assert adapter.sent[-1] == ["a"], "it has to be sent on the first step of its task"
        assert len(asyncio.all_tasks()) == before + 1
        adapter.requests[-1].answer()
        await task


async def test_gathered_writes_are_two_batches(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(C, f"k{n}", b"v") for n in range(200)))
    await turn()
    assert [len(keys) for keys in adapter.sent] == [1, 199]
    await adapter.release()
    versions = await asyncio.gather(*tasks)
    found = await adapter.get_batch(C, [f"k{n}" for n in range(200)])
    assert [record.version for record in found.values()] == versions
    assert len(adapter.requests) == 3


async def test_gathered_reads_are_two_batches_and_each_gets_its_own_record(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    await adapter.set_batch(Put(C, f"k{n}", b"%d" % n) for n in range(100))
    adapter.is_held = True
    adapter.requests.clear()
    tasks = start(*(adapter.get(C, f"k{n}") for n in range(120)))
    await turn()
    assert [len(keys) for keys in adapter.sent] == [1, 119]
    await adapter.release()
    found = await asyncio.gather(*tasks)
    assert [r and r.value for r in found] == [b"%d" % n for n in range(100)] + [None] * 20


async def test_what_comes_while_two_batches_are_under_way_goes_when_one_ends(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(adapter.set(C, "a", b""))
    await turn()
    tasks += start(adapter.set(C, "b", b""))
    await turn()
    tasks += start(*(adapter.set(C, key, b"") for key in "cde"))
    await turn()
    assert adapter.sent == [["a"], ["b"]]
    assert len(adapter.sent) == MOST_IN_FLIGHT
    tasks += start(adapter.set(C, "f", b""))
    await turn()
    adapter.requests[1].answer()
    await turn()
    assert adapter.sent == [["a"], ["b"], ["c", "d", "e", "f"]]
    await adapter.release()
    await asyncio.gather(*tasks)


async def test_batch_is_no_larger_than_the_backend_takes(opened: Opened) -> None:
    adapter = await opened(max_batch=7)
    adapter.is_held = False
    await asyncio.gather(*(adapter.set(C, f"k{n}", b"") for n in range(20)))
    await asyncio.gather(*(adapter.get(C, f"k{n}") for n in range(20)))
    assert [len(keys) for keys in adapter.sent] == [1, 7, 7, 5] * 2


async def test_backend_that_takes_one_at_a_time_is_left_alone(opened: Opened) -> None:
    adapter = await opened(max_batch=1)
    tasks = start(*(adapter.set(C, f"k{n}", b"") for n in range(5)))
    await turn()
    assert len(adapter.requests) == 5
    await adapter.release()
    await asyncio.gather(*tasks)


async def test_batch_is_no_larger_than_a_thousand(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    await asyncio.gather(*(adapter.get(C, f"k{n}") for n in range(MOST_CALLS + 11)))
    assert [len(keys) for keys in adapter.sent] == [1, MOST_CALLS, 10]


async def test_batch_is_no_larger_than_a_mebibyte_and_a_larger_value_goes_alone(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    sizes = [1, MOST_BYTES // 2, MOST_BYTES // 2, 1, 2 * MOST_BYTES, 1, 1]
    await asyncio.gather(*(adapter.set(C, f"k{n}", bytes(size)) for n, size in enumerate(sizes)))
    assert adapter.sent == [["k0"], ["k1", "k2"], ["k3"], ["k4"], ["k5", "k6"]]


async def test_levels_of_consistency_and_collections_of_reads_are_not_mixed(opened: Opened) -> None:
    adapter = await opened()
    levels = (EVENTUAL, STRONG, bounded(1), bounded(2))
    calls = [adapter.get(C, key, level) for level in levels for key in "ab"]
    tasks = start(*calls, *(adapter.get("d", key) for key in "ab"))
    await turn()
    assert all(keys in (["a"], ["b"]) for keys in adapter.sent)
    asked = [(request.keys, request.consistency) for request in adapter.requests]
    for level in levels:
        assert (["a"], level) in asked
        assert (["b"], level) in asked
    await adapter.release()
    await asyncio.gather(*tasks)


async def test_any_number_of_levels_leaves_nothing_behind(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    for n in range(3 * MOST_IDLE):
        await adapter.get(C, "a", bounded(n))
    assert adapter._coalescer is not None
    assert len(adapter._coalescer._reads) <= MOST_IDLE


async def test_writes_of_several_collections_go_together(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(name, "a", name.encode()) for name in ("c1", "c2", "c3")))
    await turn()
    assert adapter.sent == [["a"], ["a", "a"]]
    await adapter.release()
    await asyncio.gather(*tasks)
    assert [(r and r.value) for r in [await adapter.get(n, "a") for n in ("c1", "c2", "c3")]] == [
        b"c1",
        b"c2",
        b"c3",
    ]


async def test_batches_and_what_is_atomic_pass_unmerged(opened: Opened) -> None:
    adapter = await opened()
    batches = [
        WriteBatch([Put(C, "a", b"")]),
        WriteBatch([Put(C, "b", b"")], atomic=True),
        WriteBatch([Put(C, "c", b""), Delete(C, "d")]),
    ]
    tasks: list[asyncio.Task[Any]] = start(*map(adapter.write, batches))
    tasks += start(adapter.read(C, ["e"]), adapter.read(C, ["f", "g"]))
    await turn()
    assert adapter.sent == [["a"], ["b"], ["c", "d"], ["e"], ["f", "g"]]
    assert [request.batch for request in adapter.requests[:3]] == batches
    await adapter.release()
    await asyncio.gather(*tasks)


async def test_without_coalescing_every_call_is_a_request() -> None:
    adapter = Held()
    adapter.coalesce = False
    async with adapter:
        tasks = start(*(adapter.set(C, f"k{n}", b"") for n in range(20)))
        await turn()
        assert len(adapter.requests) == 20
        await adapter.release()
        await asyncio.gather(*tasks)


# --- One key ----------------------------------------------------------------------------------------------


async def test_reads_of_one_key_are_one_and_each_caller_may_change_its_record(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    await adapter.set_batch([Put(C, "a", b"1", fields={"f": 1})])
    adapter.is_held = True
    adapter.requests.clear()
    tasks = start(adapter.get(C, "x"), *(adapter.get(C, "a") for _ in range(5)))
    await turn()
    assert adapter.sent == [["x"], ["a"]]
    await adapter.release()
    found = [record for record in await asyncio.gather(*tasks) if record is not None]
    assert len(found) == 5
    for record in found:
        assert dict(record.fields) == {"f": 1}
        record.fields["f"] = 2  # type: ignore[index]
        record.value = b"changed"


async def test_read_does_not_join_one_that_was_sent_before(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    await adapter.set(C, "a", b"old")
    adapter.is_held = True
    (early,) = start(adapter.get(C, "a"))
    await turn()
    adapter.is_held = False
    await adapter.set(C, "a", b"new")
    adapter.is_held = True
    (late,) = start(adapter.get(C, "a"))
    await turn()
    assert adapter.sent[-1] == ["a"]
    assert len(adapter.requests) == 4
    await adapter.release()
    assert (await early) is not None
    record = await late
    assert record is not None
    assert record.value == b"new"


async def test_writes_of_one_key_go_one_after_the_other_in_their_order(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(C, "a", b"%d" % n) for n in range(4)), adapter.set(C, "b", b""))
    await turn()
    assert adapter.sent == [["a"], ["b"]], "the second write of a waits for the first one"
    adapter.requests[1].answer()
    await turn()
    assert len(adapter.requests) == 2, "it waits, though there is room for a batch"
    for number in range(3):
        adapter.requests[-1 if number else 0].answer()
        await turn()
        assert adapter.sent[2:] == [["a"]] * (number + 1)
    await adapter.release()
    versions = await asyncio.gather(*tasks)
    record = await adapter.get(C, "a")
    assert record is not None
    assert (record.value, record.version) == (b"3", versions[3])


async def test_conditional_writes_of_one_key_are_judged_in_their_order(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    tasks = start(*(adapter.set(C, "a", b"%d" % n, if_absent=True) for n in range(3)))
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in ended] == [str, VersionConflict, VersionConflict]


async def test_what_one_met_is_told_to_those_that_waited_for_it_and_fail_by_the_same(opened: Opened) -> None:
    """Sixteen that write at the version that they have read are three requests, however long each takes."""
    adapter = await opened()
    adapter.is_held = False
    version = await adapter.set(C, "a", b"")
    adapter.requests.clear()
    adapter.is_held = True
    tasks = start(*(adapter.set(C, "a", b"%d" % n, if_version=version) for n in range(16)))
    await turn()
    for number in range(2):
        assert len(adapter.sent) == number + 1
        adapter.requests[number].answer()
        await turn()
    assert len(adapter.sent) == 2
    failed = await failures(tasks)
    assert list(failed) == list(range(1, 16))
    current = await tasks[0]
    assert len({id(error) for error in failed.values()}) == 15
    for error in failed.values():
        assert isinstance(error, VersionConflict)
        assert (error.key, error.collection, error.current, error.index) == ("a", C, current, 0)


async def test_what_may_succeed_is_sent_and_so_is_what_came_after_it(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(C, "a", b"%d" % n, if_absent=True) for n in range(2)))
    tasks += start(adapter.set(C, "a", b"2", if_version="another"), adapter.set(C, "a", b"3"))
    tasks += start(adapter.set(C, "a", b"4", if_version="another"))
    await adapter.release()
    assert list(await failures(tasks)) == [1, 2, 4]
    batches = [request.batch.operations for request in adapter.requests if request.batch is not None]
    assert [put.value for (put,) in batches if isinstance(put, Put)] == [b"0", b"1", b"3", b"4"]


async def test_what_was_called_after_one_was_sent_is_not_judged_by_it(opened: Opened) -> None:
    """The record may have changed between the two, and its conflict has to tell the version that it met."""
    adapter = await opened()
    adapter.is_held = False
    await adapter.set(C, "a", b"")
    adapter.is_held = True
    tasks = start(*(adapter.set(C, "a", b"", if_version=f"{n}") for n in range(2)))
    await turn()
    adapter.requests[1].answer()
    await turn()
    tasks += start(adapter.set(C, "a", b"", if_version="2"))
    await turn()
    adapter.requests[2].answer()
    await turn()
    assert [task.done() for task in tasks] == [True, True, False]
    await adapter.release()
    assert list(await failures(tasks)) == [0, 1, 2]


# --- One that fails ---------------------------------------------------------------------------------------


async def failures(tasks: list[asyncio.Task[Any]]) -> dict[int, BaseException]:
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return {n: one for n, one in enumerate(ended) if isinstance(one, BaseException)}


async def test_condition_that_fails_is_told_as_if_it_were_alone(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    version = await adapter.set(C, "k3", b"there")
    tasks = start(*(adapter.set(C, f"k{n}", b"", if_absent=True) for n in range(6)))
    failed = await failures(tasks)
    assert list(failed) == [3]
    error = failed[3]
    assert isinstance(error, VersionConflict)
    assert (error.key, error.collection, error.current, error.index) == ("k3", C, version, 0)


@pytest.mark.parametrize("bad", [0, 1, 7, 19])
async def test_one_that_is_refused_does_not_fail_its_neighbours(opened: Opened, bad: int) -> None:
    adapter = await opened()
    adapter.is_held = False
    adapter.refuses = {f"k{bad}": LimitExceeded("too large", limit="max_key", actual=2, maximum=1)}
    for begin in (lambda n: adapter.set(C, f"k{n}", b""), lambda n: adapter.get(C, f"k{n}")):
        failed = await failures(start(*(begin(n) for n in range(20))))
        assert {n: type(error) for n, error in failed.items()} == {bad: LimitExceeded}
        error = failed[bad]
        assert isinstance(error, LimitExceeded)
        assert (error.limit, error.actual, error.maximum) == ("max_key", 2, 1)
    found = [key for key in [f"k{n}" for n in range(20)] if key in adapter._collections[C]]
    assert found == [f"k{n}" for n in range(20) if n != bad]


@pytest.mark.parametrize(
    "error", [BackendUnavailable("gone"), OutcomeUnknown("who knows"), StoreClosed("closed")]
)
async def test_what_all_have_met_all_are_told_and_nothing_is_sent_again(
    opened: Opened, error: DaystoreError
) -> None:
    adapter = await opened()
    for begin in (lambda n: adapter.set(C, f"k{n}", b""), lambda n: adapter.get(C, f"k{n}")):
        adapter.requests.clear()
        tasks = start(*(begin(n) for n in range(5)))
        await turn()
        adapter.requests[0].answer()
        adapter.requests[1].fail(error)
        failed = await failures(tasks)
        assert [type(one) for one in failed.values()] == [type(error)] * 4
        assert len(adapter.requests) == 2
        assert len({id(one) for one in [error, *failed.values()]}) == 5, "each has an exception of its own"


async def test_write_that_failed_for_an_unknown_reason_is_not_sent_again(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(C, f"k{n}", b"") for n in range(5)))
    await turn()
    reason = RuntimeError("a bug")
    adapter.requests[0].answer()
    adapter.requests[1].fail(reason)
    failed = await failures(tasks)
    assert [type(one) for one in failed.values()] == [OutcomeUnknown] * 4
    assert all(one.__cause__ is reason for one in failed.values())
    assert {getattr(one, "backend", None) for one in failed.values()} == {"memory"}
    assert len(adapter.requests) == 2


async def test_read_that_failed_for_an_unknown_reason_is_tried_apart(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    adapter.refuses = {"k3": RuntimeError("a bug")}
    failed = await failures(start(*(adapter.get(C, f"k{n}") for n in range(8))))
    assert {n: str(error) for n, error in failed.items()} == {3: "a bug"}


async def test_answer_of_the_wrong_length_is_not_given_to_anybody_else(opened: Opened) -> None:
    class Short(Held):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            return (await super()._write(batch))[:3]

    async with Short() as adapter:
        adapter.is_held = False
        failed = await failures(start(*(adapter.set(C, f"k{n}", b"") for n in range(5))))
        assert {n: type(error) for n, error in failed.items()} == dict.fromkeys(range(1, 5), OutcomeUnknown)


async def test_exception_of_one_caller_does_not_grow_when_others_raise_theirs(opened: Opened) -> None:
    adapter = await opened()
    cause = OSError("reset")
    error = BackendUnavailable("gone", backend="memory", operation="read", retryable=False)
    error.__cause__ = cause
    error.add_note("a note")
    tasks = start(*(adapter.get(C, key) for key in ("x", "a", "a", "b")))
    await turn()
    adapter.requests[0].answer()
    adapter.requests[1].fail(error)
    failed = await failures(tasks)
    depths = {n: len(traceback.extract_tb(one.__traceback__)) for n, one in failed.items()}
    first = failed[1]
    first.add_note("of the first caller")
    try:
        raise first
    except BackendUnavailable:
        pass
    for n in (2, 3):
        one = failed[n]
        assert isinstance(one, BackendUnavailable)
        assert str(one) == "gone [memory/read]"
        assert (one.retryable, one.__cause__, one.__notes__) == (False, cause, ["a note"])
        assert len(traceback.extract_tb(one.__traceback__)) == depths[n]


# --- Cancellation -----------------------------------------------------------------------------------------


async def test_cancelled_caller_is_let_go_and_the_batch_goes_on(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(C, f"k{n}", b"") for n in range(5)))
    await turn()
    tasks[2].cancel()
    await turn()
    assert tasks[2].cancelled()
    assert not tasks[1].done()
    await adapter.release()
    await asyncio.gather(*tasks[:2], *tasks[3:])
    assert set(adapter._collections[C]) == {f"k{n}" for n in range(5)}


async def test_what_nobody_waits_for_any_more_is_not_sent(opened: Opened) -> None:
    adapter = await opened()
    writes = start(*(adapter.set(C, "a", b"%d" % n) for n in range(4)))
    reads = start(adapter.get(C, "x"), adapter.get(C, "y"))
    await turn()
    reads += start(*(adapter.get(C, key) for key in ("p", "p", "q", "q")))
    for task in (*writes[1:3], *reads[2:5]):
        task.cancel()
    await adapter.release()
    await asyncio.gather(*writes, *reads, return_exceptions=True)
    assert adapter.sent == [["a"], ["x"], ["y"], ["a"], ["q"]]
    assert adapter._collections[C]["a"].value == b"3"
    assert not reads[5].cancelled()


async def test_lone_call_that_is_cancelled_lets_the_next_one_go(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(adapter.set(C, "a", b"1"), adapter.set(C, "a", b"2"))
    await turn()
    tasks[0].cancel()
    await turn()
    assert adapter.sent == [["a"], ["a"]]
    await adapter.release()
    assert await asyncio.gather(*tasks, return_exceptions=True)
    assert adapter._collections[C]["a"].value == b"2"


async def test_one_that_was_cancelled_is_not_sent_again_with_its_batch(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(C, f"k{n}", b"") for n in range(4)))
    await turn()
    tasks[2].cancel()
    await turn()
    adapter.is_held = False
    adapter.requests[0].answer()
    adapter.requests[1].fail(LimitExceeded("too large"))
    await asyncio.gather(*tasks, return_exceptions=True)
    assert adapter.sent == [["k0"], ["k1", "k2", "k3"], ["k1"], ["k3"]]
    assert set(adapter._collections[C]) == {"k0", "k1", "k3"}


def test_callers_of_a_loop_that_ends_are_cancelled() -> None:
    async def main() -> None:
        adapter = Held()
        await adapter.open()
        tasks.extend(start(*(adapter.set(C, f"k{n}", b"") for n in range(3))))
        await turn()
        assert len(adapter.requests) == 2

    tasks: list[asyncio.Task[str]] = []
    asyncio.run(main())
    assert all(task.cancelled() for task in tasks)


# --- Time -------------------------------------------------------------------------------------------------


async def test_time_in_the_queue_counts(opened: Opened) -> None:
    adapter = await opened(timeout=0.02)
    tasks = start(*(adapter.set(C, key, b"") for key in "aa"))
    reads = start(*(adapter.get(C, key) for key in "ab"))
    failed = await failures([*tasks, *reads])
    assert [type(one) for one in failed.values()] == [
        OutcomeUnknown,
        OutcomeUnknown,
        OperationTimeout,
        OperationTimeout,
    ]
    await turn()
    assert adapter.sent == [["a"], ["a"], ["b"]], "a write that never was sent is not sent afterwards"


async def test_batch_has_a_limit_of_its_own(opened: Opened) -> None:
    adapter = await opened(timeout=0.02)
    tasks = start(*(adapter.set(C, key, b"") for key in "abc"))
    await turn()
    tasks[1].cancel()
    tasks[2].cancel()
    await failures(tasks)
    await asyncio.sleep(0.05)
    assert adapter.requests[1].gate.cancelled(), "a batch that nobody waits for ends too"
    assert adapter._coalescer is not None
    await adapter._coalescer.drain()


# --- Closing and loops ------------------------------------------------------------------------------------


async def test_close_sends_what_waits_and_waits_for_it(opened: Opened) -> None:
    adapter = await opened()
    tasks = start(*(adapter.set(C, key, b"") for key in "abca"))
    await turn()
    (closing,) = start(adapter.close())
    await turn()
    assert not closing.done()
    with pytest.raises(StoreClosed):
        await adapter.set(C, "d", b"")
    adapter.requests[1].answer()
    await turn()
    assert not closing.done(), "a call that was sent alone is waited for, too"
    adapter.requests[0].answer()
    await turn()
    assert adapter.sent == [["a"], ["b", "c"], ["a"]]
    assert not closing.done()
    await adapter.release()
    await closing
    assert all(task.done() and task.exception() is None for task in tasks)


async def test_close_that_is_cancelled_closes_all_the_same(opened: Opened) -> None:
    closed = []

    class Closing(Held):
        async def _close(self) -> None:
            closed.append(self)

    adapter = Closing()
    await adapter.open()
    (task,) = start(adapter.set(C, "a", b""))
    await turn()
    (closing,) = start(adapter.close())
    await turn()
    closing.cancel()
    await turn()
    assert closing.cancelled()
    assert closed == [adapter]
    await adapter.release()
    await task


async def test_open_waits_for_a_close_that_is_under_way(opened: Opened) -> None:
    life = []

    class Living(Held):
        async def _open(self) -> None:
            life.append("open")

        async def _close(self) -> None:
            life.append("close")

    adapter = Living()
    await adapter.open()
    (task,) = start(adapter.set(C, "a", b""))
    await turn()
    again = start(adapter.close(), adapter.open())
    await turn()
    assert life == ["open"]
    await adapter.release()
    await asyncio.gather(task, *again)
    assert life == ["open", "close", "open"]
    await adapter.set(C, "b", b"")
    await adapter.close()


def test_another_loop_passes_it_by() -> None:
    adapter = Held()
    asyncio.run(adapter.open())

    async def main() -> None:
        tasks = start(*(adapter.set(C, f"k{n}", b"") for n in range(5)))
        tasks += start(*(adapter.set(C, f"r{n}", b"") for n in range(5)))
        reads = start(*(adapter.get(C, f"k{n}") for n in range(5)))
        await turn()
        assert len(adapter.requests) == 15
        await adapter.release()
        await asyncio.gather(*tasks, *reads)
        await adapter.close()

    asyncio.run(main())


async def test_adapter_is_opened_again_with_what_it_says_then(opened: Opened) -> None:
    adapter = await opened()
    await adapter.close()
    adapter.coalesce = False
    await adapter.open()
    tasks = start(*(adapter.set(C, f"k{n}", b"") for n in range(5)))
    await turn()
    assert len(adapter.requests) == 5
    await adapter.release()
    await asyncio.gather(*tasks)
    await adapter.close()


# --- Contexts ---------------------------------------------------------------------------------------------

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


async def test_context_of_a_caller_is_no_business_of_its_neighbours() -> None:
    seen: list[tuple[list[str], str]] = []

    class Seeing(Held):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            seen.append(([operation.key for operation in batch.operations], WHO.get()))
            return await super()._write(batch)

    async def caller(key: str) -> str:
        WHO.set(key)
        await adapter.set(C, key, b"")
        return WHO.get()

    async with Seeing() as adapter:
        WHO.set("the test")
        tasks = start(*map(caller, "abc"))
        await turn()
        await adapter.release()
        assert await asyncio.gather(*tasks) == ["a", "b", "c"]
    assert seen == [(["a"], "a"), (["b", "c"], "nobody")]


async def test_conditions_of_absence_hold_for_each(opened: Opened) -> None:
    adapter = await opened()
    adapter.is_held = False
    outcomes = await asyncio.gather(
        adapter.write(WriteBatch([Put(C, "x", b"")])),
        adapter.write(WriteBatch([Put(C, "a", b"", expect=ABSENT)])),
        adapter.write(WriteBatch([Delete(C, "a")])),
        adapter.write(WriteBatch([Delete(C, "b")])),
    )
    assert [(one.existed, one.version is None, one.error) for (one,) in outcomes] == [
        (False, False, None),
        (False, False, None),
        (True, True, None),
        (False, True, None),
    ]
