"""Glue between cases and the fault proxy: an adapter behind it, and what may become of an operation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

from daystore.abc import StorageAdapter
from daystore.errors import DaystoreError, StoreClosed
from daystore_compliance.env import Env
from daystore_compliance.operations import READING, Write
from daystore_compliance.proxy import Fault, FaultProxy
from daystore_compliance.records import Records

__all__ = [
    "assert_recovers",
    "at_every_point",
    "attempt",
    "bounded",
    "check_error",
    "each",
    "expect_gone",
    "possible",
    "proxied",
    "settled",
    "warm",
]

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds after which an operation hangs, whatever its own time limit is."""
GONE: Final = 12.0
"""Seconds after which nothing is left of what has failed: what is under way may end by itself."""
LOOK: Final = 0.01
"""Seconds between two looks for it."""


@asynccontextmanager
async def proxied(
    env: Env, *, timeout: float | None = None
) -> AsyncIterator[tuple[StorageAdapter, FaultProxy]]:
    """Open an adapter that reaches its server through a proxy, on the data of the case.

    Args:
        env: Of the case, which says that it ``needs={"proxy"}``.
        timeout: Seconds an operation may take. It is assigned to `StorageAdapter.timeout`, from which every
            adapter takes its time limit anew for each call.
    """
    async with FaultProxy(*env.target.address) as proxy:
        adapter = await env.target.at(proxy.host, proxy.port).open(env.namespace, env.clock)
        try:
            if timeout is not None:
                adapter.timeout = timeout
            yield adapter, proxy
        finally:
            await bounded(adapter.close())


async def bounded(operation: Awaitable[T]) -> T:
    """Wait for an operation, and fail if it hangs, or if it raises what is no error of daystore."""
    task = asyncio.ensure_future(operation)
    try:
        await asyncio.wait([task], timeout=PATIENCE)
        assert task.done(), f"the operation still hangs after {PATIENCE:g} s"
        return await task
    except (DaystoreError, AssertionError):
        raise
    except Exception as error:
        raise AssertionError(f"a driver's {type(error).__name__} left the adapter: {error}") from error
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)


async def warm(records: Records, wide: int = 8) -> None:
    """Have the adapter make its connections: as many as it wants for `wide` operations at once."""
    await asyncio.gather(*(bounded(records.get("warm")) for _ in range(wide)))


# --- What may become of them -------------------------------------------------------------------------------


async def attempt(
    env: Env, write: Write, records: Records, also: tuple[type[DaystoreError], ...] = ()
) -> Mapping[str, DaystoreError | None]:
    """Do a write whose connection may fail.

    Args:
        env: Of the case.
        write: What is done.
        records: Where.
        also: What it may fail with besides.

    Returns:
        The error of each key; the keys that are not there have succeeded.
    """
    keys = {*write.before, *write.after}
    try:
        errors = await bounded(write.do(records)) or {}
    except DaystoreError as error:
        check_error(env, error, (*write.errors, *also))
        return dict.fromkeys(keys, error)
    for failure in errors.values():
        check_error(env, failure, (*write.errors, *also))
    return errors


def check_error(env: Env, error: BaseException, allowed: tuple[type[DaystoreError], ...]) -> None:
    """Expect one of the errors that a failing connection may cause: told by its class, and telling no secret."""
    names = " or ".join(kind.__name__ for kind in allowed)
    told = f"{type(error).__name__}: {error}"
    assert isinstance(error, DaystoreError), (
        f"expected {names}, and a driver's error left the adapter: {told}"
    )
    assert type(error) in allowed, f"expected {names}, got {told}"
    assert error.backend == env.adapter.name, "an error says which backend it comes from"
    assert error.__cause__ is not None or type(error) is StoreClosed, (
        f"{type(error).__name__} has lost the error that it comes from"
    )
    secrets: tuple[str, ...] = getattr(env.target, "secrets", ())
    for secret in secrets:
        assert secret not in f"{error} {error!r} {error.args}", "an error tells a secret"


async def assert_recovers(env: Env, records: Records) -> None:
    """Expect that an adapter works again by itself: its next operation may fail once, the ones after may not."""
    try:
        await bounded(records.get("probe"))
    except DaystoreError as error:
        check_error(env, error, READING)
    for number in range(3):
        text = b"%d" % number
        await bounded(records.put("probe", text))
        assert await bounded(records.value("probe")) == text
    await bounded(records.delete("probe"))


async def expect_gone(proxy: FaultProxy, before: set[asyncio.Task[Any]] | None = None) -> None:
    """Expect that no connection is left, and no task that was not there before, unless none are given."""

    def left() -> set[asyncio.Task[Any]]:
        return set() if before is None else asyncio.all_tasks() - before

    for _ in range(round(GONE / LOOK)):
        if not proxy.live and not left():
            break
        await asyncio.sleep(LOOK)
    assert not proxy.live, f"{proxy.live} connections are left of an adapter that is closed"
    assert not left(), "a task is left of an adapter that is closed"


async def settled(adapter: StorageAdapter) -> None:
    """Wait until a commit that goes on after its caller was answered has ended, so that the state stays."""
    if adapter.coordinator is not None:
        await bounded(adapter.coordinator.drain(PATIENCE))


def possible(env: Env, requires: frozenset[str]) -> bool:
    """Tell whether the backend declares what an operation needs."""
    return requires <= set(env.capabilities.names())


async def each(named: Mapping[str, Awaitable[Any]]) -> None:
    """Do all of them at once, and tell by name which has failed."""
    ended = await asyncio.gather(*named.values(), return_exceptions=True)
    for name, error in zip(named, ended, strict=True):
        if isinstance(error, BaseException):
            error.add_note(f"of: {name}")
            raise error


async def at_every_point(
    env: Env,
    write: Write,
    strike: Callable[[FaultProxy, int], AbstractContextManager[Fault]],
    timeout: float = PATIENCE / 2,
) -> int:
    """Do a write again and again, with the fault one message later each time, until it meets no message.

    Args:
        env: Of the case.
        write: What is done.
        strike: Makes the fault that strikes the n-th message from then on.
        timeout: Seconds an operation may take.

    Returns:
        How often the write failed, or was of unknown outcome, although it was applied.
    """
    silent = 0
    async with proxied(env) as (adapter, proxy):
        for nth in range(1, 40):
            records = env.records()
            through = records.through(adapter)
            await write.prepare(records)
            await warm(through, 1)
            adapter.timeout = timeout
            with strike(proxy, nth) as fault:
                errors = await attempt(env, write, through)
            adapter.timeout = PATIENCE
            await settled(adapter)
            applied = await write.verify(records, errors)
            silent += applied and bool(errors)
            if not fault.hits:
                assert nth > 1, "the fault struck nothing"
                assert not errors, "a write failed without a fault"
                return silent
            await assert_recovers(env, through)
    raise AssertionError("one write takes forty messages")
