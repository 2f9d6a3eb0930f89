"""Running one case against one target, on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from daystore.errors import DaystoreError
from daystore_compliance.case import Case
from daystore_compliance.env import Env
from daystore_compliance.plan import Plan
from daystore_compliance.reproduce.trace import Trace
from daystore_compliance.target import Target

__all__ = ["run_case", "trace_of"]

_THREAD_SECONDS: Final = 2.0
_TRACE: Final = "_daystore_trace"

T = TypeVar("T")


def run_case(case: Case, target: Target, *, variant: str | None = None, plan: Plan | None = None) -> None:
    """Run a case, and then see whether it left a task or a thread behind.

    Args:
        case: The case; it must apply to the target.
        target: A started target.
        variant: Name of the variant, for a case that has variants.
        plan: How hard to try.

    Raises:
        AssertionError: If the promise was not kept, or something was left behind.
        TimeoutError: If it took longer than the target's ``case_seconds``.
    """
    __tracebackhide__ = True
    plan = plan or Plan()
    arguments = () if variant is None else (case.variants[variant],)
    before = set(threading.enumerate())
    with asyncio.Runner() as runner:
        env = Env(target, plan)

        def run(coroutine: Coroutine[Any, Any, T]) -> T:
            __tracebackhide__ = True
            return runner.run(_timed(coroutine, target.case_seconds))

        try:
            run(env.start())
            if case.is_async:
                run(case.body(env, *arguments))
            else:
                case.body(env, run, *arguments)
        except DaystoreError as error:
            told = f"{type(error).__name__} was raised where none was promised: {error}"
            raise _with_trace(AssertionError(told), env.trace) from error
        except BaseException as error:
            _with_trace(error, env.trace)
            raise
        finally:
            run(env.stop())
        runner.run(_expect_no_tasks())
    _expect_no_threads(before)


def trace_of(error: BaseException) -> Trace | None:
    """Return what the case that failed with an error had done to its adapters."""
    return getattr(error, _TRACE, None)


def _with_trace(error: BaseException, trace: Trace) -> BaseException:
    setattr(error, _TRACE, trace)
    return error


async def _timed(coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
    __tracebackhide__ = True
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await coroutine
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"the case did not end within {seconds:g} s") from None
        raise


async def _expect_no_tasks() -> None:
    for _ in range(10):  # what was told to end gets the turns of the loop that it needs to do so
        await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, f"tasks that outlive the adapter's close: {left}"


def _expect_no_threads(before: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - before:
        thread.join(_THREAD_SECONDS)
        assert not thread.is_alive(), f"a thread that outlives the adapter's close: {thread.name}"
