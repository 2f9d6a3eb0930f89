"""How a case is run: its own loop, a time limit, and nothing left behind."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daystore.errors import BackendUnavailable
from daystore_compliance import run as run_module
from daystore_compliance.case import REGISTRY, Case
from daystore_compliance.clock import START
from daystore_compliance.env import Env
from daystore_compliance.plan import Plan
from daystore_compliance.run import run_case
from daystore_compliance.suite import load
from daystore_compliance.target import MemoryTarget

load()


def _case(body: Callable[..., Any], **changes: Any) -> Case:
    return replace(REGISTRY["cas.aba"], body=body, **changes)


def test_failure_is_the_case_s_own() -> None:
    async def fails(env: Env) -> None:
        raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine"):
        run_case(_case(fails), MemoryTarget())


def test_unpromised_error_of_daystore_is_a_failure() -> None:
    async def raises(env: Env) -> None:
        raise BackendUnavailable("gone")

    with pytest.raises(AssertionError, match="BackendUnavailable was raised where none was promised"):
        run_case(_case(raises), MemoryTarget())


def test_other_errors_are_not_taken_for_a_verdict() -> None:
    async def crashes(env: Env) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_case(_case(crashes), MemoryTarget())


def test_task_that_is_left_fails_the_case() -> None:
    async def leaves(env: Env) -> None:
        env.task = asyncio.create_task(asyncio.Event().wait(), name="left-behind")  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="left-behind"):
        run_case(_case(leaves), MemoryTarget())


def test_thread_that_is_left_fails_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_THREAD_SECONDS", 0.01)
    end = threading.Event()

    async def leaves(env: Env) -> None:
        threading.Thread(target=end.wait, name="left-behind", daemon=True).start()

    try:
        with pytest.raises(AssertionError, match="left-behind"):
            run_case(_case(leaves), MemoryTarget())
    finally:
        end.set()


def test_case_that_hangs_is_ended() -> None:
    target = MemoryTarget()
    target.case_seconds = 0.05

    async def hangs(env: Env) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="did not end within"):
        run_case(_case(hangs), target)


def test_timeout_of_the_case_itself_is_told_apart() -> None:
    async def times_out(env: Env) -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        run_case(_case(times_out), MemoryTarget())


def test_plain_function_gets_a_way_to_run_coroutines() -> None:
    seen = []

    def body(env: Env, run: Callable[[Any], Any], variant: str) -> None:
        seen.append((run(env.adapter.get("c", "k")), variant))

    run_case(_case(body, variants={"v": "argument"}), MemoryTarget(), variant="v")
    assert seen == [(None, "argument")]


def test_level_and_seed_reach_the_case() -> None:
    seen = []

    async def body(env: Env) -> None:
        seen.append((env.scale(1, 2), env.random.random()))

    for plan in (Plan(), Plan("full", 7), Plan("full", 7)):
        run_case(_case(body), MemoryTarget(), plan=plan)
    assert [scale for scale, _ in seen] == [1, 2, 2]
    assert seen[1] == seen[2] != seen[0]


def test_clock_stands_until_it_is_moved() -> None:
    async def body(env: Env) -> None:
        assert env.clock() == env.clock() == env.adapter.clock() == START
        assert START % 1000, "a whole millisecond would hide rounding"
        assert env.clock.advance(1.5) == START + 1_500_000
        assert env.clock.deadline(0) % 1000 == 0
        assert 0 < env.clock.deadline(0) - env.clock() < 1000
        assert env.clock.align() % 1000 == 0
        assert env.clock.deadline(1) == env.clock() + 1_000_000

    run_case(_case(body), MemoryTarget())


def test_adapters_are_closed_when_a_case_fails() -> None:
    opened = []

    async def fails(env: Env) -> None:
        opened.extend([env.adapter, await env.open("other")])
        raise AssertionError

    with pytest.raises(AssertionError):
        run_case(_case(fails), MemoryTarget())
    assert len(opened) == 2
    assert all(repr(adapter).endswith("closed>") for adapter in opened)


def test_storage_that_stays_is_cleaned() -> None:
    class Stays(MemoryTarget):
        disposable = False

    left: list[Any] = []

    async def fills(env: Env) -> None:
        await env.records().fill([f"k{n}" for n in range(5)])
        await env.store().set("k", 1)
        left.append(env.adapter)

    run_case(_case(fills), Stays())
    assert not any(left[0]._collections.values())


def test_same_seed_tries_the_same() -> None:
    tried: list[list[int]] = []

    def body(env: Env, run: Callable[[Any], Any]) -> None:
        seen: list[int] = []

        @env.seeded
        @env.hypothesis(10, 10)
        @given(st.integers())
        def look(number: int) -> None:
            seen.append(number)

        look()
        tried.append(seen)

    for number in (0, 0, 5, 5, 6):
        run_case(_case(body), MemoryTarget(), plan=Plan(seed=number))
    assert tried[0] == tried[1]
    assert tried[2] == tried[3]
    assert tried[2] != tried[4]
