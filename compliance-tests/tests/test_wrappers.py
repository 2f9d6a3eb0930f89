"""Wrappers: neutral as long as they have nothing to do, and exact in what they do."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from daystore.abc import ABSENT, Clock, Prepare, Put, Query, StorageAdapter, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    BackendUnavailable,
    BatchError,
    ConfigError,
    OperationTimeout,
    OutcomeUnknown,
    RecordPrepared,
    StoreClosed,
    VersionConflict,
)
from daystore.stores import Store
from daystore_compliance.case import REGISTRY, obstacle
from daystore_compliance.run import run_case
from daystore_compliance.suite import load
from daystore_compliance.target import MemoryTarget
from daystore_compliance.wrappers import ApplyThenRaise, Latency, PartialSuccess, Wrapper

load()

AREAS = sorted({case.area for case in REGISTRY.values()})
NOT_A_WRAPPER_S = {"sig.attributes"}  # a wrapper has the name of what it wraps, so its class has none
WRITING = ("batch", "cas", "del")
IDLE: dict[str, Callable[[StorageAdapter], StorageAdapter]] = {
    "wrapper": Wrapper,
    "latency": lambda adapter: Latency(adapter, turns=0),
    "apply-then-raise": lambda adapter: ApplyThenRaise(adapter, nth=10**9),
    "partial-success": lambda adapter: PartialSuccess(adapter, failing=()),
}


class WrappedTarget(MemoryTarget):
    wrap: Callable[[StorageAdapter], StorageAdapter]

    def __init__(self, wrap: Callable[[StorageAdapter], StorageAdapter]) -> None:
        super().__init__()
        self.wrap = wrap

    def fresh(self) -> "WrappedTarget":
        return WrappedTarget(self.wrap)

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        adapter = self.wrap(await super().open(namespace, clock))
        await adapter.open()
        return adapter


def _run_area(target: WrappedTarget, area: str) -> None:
    ran = 0
    cases = [case for case in REGISTRY.values() if case.area == area and case.id not in NOT_A_WRAPPER_S]
    for case in cases:
        if obstacle(case, target, MemoryAdapter.capabilities) is None:
            for variant in case.variants or [None]:
                run_case(case, target, variant=variant)
                ran += 1
    assert ran or all(case.undeclared or case.needs for case in cases)


@pytest.mark.parametrize("area", AREAS)
def test_adapter_behind_a_network_passes_the_suite(area: str) -> None:
    _run_area(WrappedTarget(Latency), area)


@pytest.mark.parametrize("area", WRITING)
@pytest.mark.parametrize("wrap", IDLE.values(), ids=IDLE)
def test_wrapper_with_nothing_to_do_is_neutral(
    wrap: Callable[[StorageAdapter], StorageAdapter], area: str
) -> None:
    _run_area(WrappedTarget(wrap), area)


def _run(body: Callable[[MemoryAdapter], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with MemoryAdapter() as adapter:
            await body(adapter)

    asyncio.run(run())


def test_wrapper_is_what_it_wraps() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        wrapped = Wrapper(adapter)
        assert (wrapped.name, wrapped.namespace) == (adapter.name, adapter.namespace)
        assert (wrapped.capabilities, wrapped.clock) == (adapter.capabilities, adapter.clock)
        await wrapped.set("c", "k", b"v")
        assert await adapter.exists("c", "k")
        assert (await wrapped.health()).ok
        assert await wrapped.explain(Query("c")) == await adapter.explain(Query("c"))
        await wrapped.close()
        with pytest.raises(StoreClosed):
            await adapter.get("c", "k")
        await wrapped.open()
        assert await adapter.exists("c", "k")

    _run(body)


def test_wrapper_is_not_made_of_a_url() -> None:
    with pytest.raises(ConfigError):
        Wrapper.from_url("memory://")


def test_prepare_through_a_wrapper_is_refused_at_once() -> None:
    """Below a wrapper nothing waits for an intent: two commits that hold what the other wants would never end."""

    async def main() -> None:
        adapter = Wrapper(Latency(MemoryAdapter()))
        async with adapter:
            assert adapter.coordinator is not None
            participant = adapter.coordinator.participant
            first, second = (WriteBatch([Prepare("notes", "k", bytes(15) + name)]) for name in (b"1", b"2"))
            assert (await participant.write(first))[0].error is None
            assert isinstance((await participant.write(second))[0].error, RecordPrepared)
            held = await participant.get("notes", "k")
            assert held is not None
            assert held.intent == first.operations[0].intent  # type: ignore[union-attr]

    asyncio.run(asyncio.wait_for(main(), 10))


def test_latency_lets_operations_overlap() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        slow = Latency(adapter)
        conflicts = 0

        async def increment() -> None:
            nonlocal conflicts
            while True:
                record = await slow.get("c", "n")
                number = int(record.value) if record else 0
                condition: dict[str, Any] = {"if_version": record.version} if record else {"if_absent": True}
                try:
                    await slow.set("c", "n", b"%d" % (number + 1), **condition)
                except VersionConflict:
                    conflicts += 1
                else:
                    return

        await asyncio.gather(*(increment() for _ in range(5)))
        record = await adapter.get("c", "n")
        assert record is not None
        assert record.value == b"5"
        assert conflicts == 4 + 3 + 2 + 1

    _run(body)


def test_latency_turns_before_and_after() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        task = asyncio.create_task(Latency(adapter, turns=3).set("c", "k", b"v"))
        seen = []
        while not task.done():
            await asyncio.sleep(0)
            seen.append(await adapter.exists("c", "k"))
        assert seen == [False] * 3 + [True] * 4

    _run(body)
    with pytest.raises(ValueError, match="not negative"):
        Latency(MemoryAdapter(), turns=-1)


def test_latency_leaves_the_time_limit_to_the_adapter() -> None:
    class Slow(MemoryAdapter):
        async def _read(self, *arguments: Any) -> Any:
            await asyncio.Event().wait()

    async def run() -> None:
        async with Slow(timeout=0.001) as adapter:
            with pytest.raises(OperationTimeout):
                await Latency(adapter).get("c", "k")

    asyncio.run(run())


def test_apply_then_raise_applies_and_raises_once() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        wrapped = ApplyThenRaise(adapter, nth=2)
        await wrapped.set("c", "a", b"1")
        with pytest.raises(OutcomeUnknown):
            await wrapped.set("c", "b", b"2")
        await wrapped.set("c", "c", b"3")
        assert list(await adapter.get_batch("c", "abc")) == ["a", "b", "c"]
        assert wrapped.writes == 3

    _run(body)
    with pytest.raises(ValueError, match="from 1"):
        ApplyThenRaise(MemoryAdapter(), nth=0)


def test_apply_then_raise_raises_what_it_is_given() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        error = BackendUnavailable("gone")
        with pytest.raises(BackendUnavailable) as caught:
            await ApplyThenRaise(adapter, error=error).set_batch([Put("c", "a", b"1"), Put("c", "b", b"2")])
        assert caught.value is error
        assert list(await adapter.get_batch("c", "ab")) == ["a", "b"]

    _run(body)


def test_apply_then_raise_leaves_an_update_applied_once() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        counters: Store[Any] = Store(ApplyThenRaise(adapter, nth=2), "counters")
        await counters.set("n", 1)
        with pytest.raises(OutcomeUnknown):
            await counters.update("n", lambda n: n + 1)
        assert await counters.get("n") == 2

    _run(body)


def test_partial_success_fails_the_keys_it_is_given() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        wrapped = PartialSuccess(adapter, failing={"b", "x"})
        store: Store[Any] = Store(wrapped, "notes")
        with pytest.raises(BatchError) as caught:
            await store.set_batch({"a": 1, "b": 2, "c": 3})
        assert list(caught.value.errors) == ["b"]
        assert await store.get_batch(["a", "b", "c"]) == {"a": 1, "c": 3}
        with pytest.raises(BackendUnavailable):
            await wrapped.set("c", "b", b"1")
        await wrapped.set_batch([Put("c", "b", b"1")], atomic=True)
        assert await adapter.exists("c", "b")
        assert wrapped.failed == ["b", "b"]

    _run(body)


def test_partial_success_fails_every_so_many_th() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        wrapped = PartialSuccess(adapter, failing=3)
        for batch in ("abcd", "efgh"):
            with pytest.raises(BatchError):
                await wrapped.set_batch([Put("c", key, b"v") for key in batch])
        assert wrapped.failed == ["c", "f"]
        assert list(await adapter.get_batch("c", "abcdefgh")) == list("abdegh")

    _run(body)
    with pytest.raises(ValueError, match="from 1"):
        PartialSuccess(MemoryAdapter(), failing=0)
    with pytest.raises(TypeError, match="not one str"):
        PartialSuccess(MemoryAdapter(), failing="abc")


def test_partial_success_keeps_the_place_of_a_conflict() -> None:
    async def body(adapter: MemoryAdapter) -> None:
        await adapter.set("c", "there", b"1")
        wrapped = PartialSuccess(adapter, failing={"bad"})
        outcomes = await wrapped.write(
            WriteBatch([Put("c", "bad", b"2"), Put("c", "new", b"2"), Put("c", "there", b"2", expect=ABSENT)])
        )
        assert [type(outcome.error) for outcome in outcomes] == [
            BackendUnavailable,
            type(None),
            VersionConflict,
        ]
        conflict = outcomes[2].error
        assert isinstance(conflict, VersionConflict)
        assert conflict.index == 2

    _run(body)
