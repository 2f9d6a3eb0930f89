"""Answers that are lost, late, or somebody else's: what was done is done once, and never denied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from daystore.abc import Compare, Op
from daystore.errors import BackendUnavailable, DaystoreError, OperationTimeout, OutcomeUnknown
from daystore_compliance.case import Level, case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.faults import (
    assert_recovers,
    at_every_point,
    attempt,
    bounded,
    check_error,
    each,
    possible,
    proxied,
    settled,
    warm,
)
from daystore_compliance.operations import READS, WRITES, WRITING, Write
from daystore_compliance.proxy import REPLY, REQUEST, Fault, FaultProxy
from daystore_compliance.records import Records


def _brief(env: Env) -> float:
    """Return the time limit of an adapter that is going to wait in vain: seconds in which the server is met."""
    return env.target.case_seconds / 300


def _writes(env: Env) -> dict[str, Write]:
    return {name: write for name, write in WRITES.items() if possible(env, write.requires)}


# --- The answer to a write is lost -------------------------------------------------------------------------


@case("conn.lost_reply", needs={"proxy"})
async def lost_reply(env: Env) -> None:
    """A write whose reply is lost is found by its version: it succeeds, once, and is no conflict with itself."""
    for keep in (0, 5):
        await each({name: _answered(env, write, keep) for name, write in _writes(env).items()})


async def _answered(env: Env, write: Write, keep: int) -> None:
    silent = await at_every_point(env, write, lambda proxy, nth: proxy.drop_reply(nth, keep=keep))
    assert write.traceless or not silent, "what was applied can be found by its version, and was not"


@case("conn.lost_look", needs={"proxy"})
async def lost_look(env: Env) -> None:
    """Where the next reply is lost as well, or every one from then on, a write is still applied at most once."""
    silent: list[int] = []
    once = {name: _looked_for(env, write) for name, write in _writes(env).items()}
    lasting = {f"{name}, lasting": _unanswered(env, write, silent) for name, write in _writes(env).items()}
    await each({**once, **lasting})
    assert sum(silent) > 0, "no write was applied without an answer"


async def _looked_for(env: Env, write: Write) -> None:
    async with proxied(env, timeout=2.0) as (adapter, proxy):
        for nth in range(1, 40):
            records = env.records()
            await write.prepare(records)
            through = records.through(adapter)
            await warm(through, 1)
            with proxy.drop_reply(nth) as first, proxy.drop_reply(nth + 1) as second:
                errors = await attempt(env, write, through)
            await settled(adapter)
            await write.verify(records, errors)
            if not first.hits:
                assert nth > 1, "no reply was lost"
                return
            assert second.hits or errors or nth > 1, "nothing was asked after the reply was lost"
            await assert_recovers(env, through)
    raise AssertionError("one write takes forty messages")


async def _unanswered(env: Env, write: Write, silent: list[int]) -> None:
    timeout = max(
        1.0, env.target.case_seconds / 60
    )  # it is waited for: short, where a write does not take as long
    silent.append(
        await at_every_point(env, write, lambda proxy, nth: proxy.drop_reply(nth, lasting=True), timeout)
    )


@case("conn.lost_reply_overtaken", needs={"proxy"})
async def lost_reply_overtaken(env: Env) -> None:
    """A write whose reply is lost after another writer has written on top of it is never applied again."""
    simple = {name: write for name, write in _writes(env).items() if not write.reads}
    await each({name: _overtaken(env, write) for name, write in simple.items()})


async def _overtaken(env: Env, write: Write) -> None:
    for nth in range(1, 40):
        records = env.records()
        await write.prepare(records)
        async with proxied(env, timeout=2.0) as (adapter, proxy):
            through = records.through(adapter)
            await warm(through, 1)
            with proxy.delay(REPLY, nth) as fault:
                writing = asyncio.ensure_future(attempt(env, write, through))
                await bounded(fault.struck.wait())
                if await records.value("a") != write.after.get("a"):  # it takes more than this one message
                    fault.release()
                    await bounded(writing)
                    continue
                await records.put("a", b"newer")
                newer = await records.must_get("a")
                env.clock.advance(1)
                assert proxy.cut(), "nothing was cut"
                errors = await bounded(writing)
            assert_same_record(await records.get("a"), newer, "after a write that was overtaken, get")
            if (error := errors.get("a")) is not None:
                assert type(error) is OutcomeUnknown, f"{type(error).__name__} for a write that was applied"
            await assert_recovers(env, through)
            assert_same_record(await records.get("a"), newer, "later, get")
            return
    raise AssertionError("no reply came after the write was applied")


@case("conn.unknown_keeps", needs={"proxy"})
async def unknown_keeps(env: Env) -> None:
    """What a write of unknown outcome has written stays, whatever the adapter does afterwards."""
    records = env.records()
    await records.put("first", fields={"n": 0})  # an adapter that notes names has noted these
    unknown = 0
    for nth in range(1, 40):
        async with proxied(env, timeout=2.0) as (adapter, proxy):
            through = records.through(adapter)
            await warm(through, 1)
            key = f"k{nth}"
            put = records.a_put(key, b"kept", fields={"n": nth})
            with proxy.drop_reply(nth, lasting=True) as fault:
                error = await _error_of(env, through.write(put))
            found = await records.get(key)
            if not fault.hits:
                break
            if error is None:  # it was answered, and what was lost came after it
                assert found is not None, "a write succeeded that was not applied"
            elif found is not None:
                assert type(error) is OutcomeUnknown, "a write that was applied is denied"
                unknown += 1
            assert found is None or found.version == put.version
            await assert_recovers(env, through)
            await through.put("other")
        after = await records.get(key)
        assert (after is None) == (found is None), "the outcome of a write changed after it was told"
        if found is not None:
            assert_same_record(after, found, "after the adapter has recovered and closed, get")
            if env.capabilities.query:
                assert await records.keys(Compare("n", Op.EQ, nth)) == [key]
    assert unknown > 0, "no write of unknown outcome was applied"


async def _error_of(env: Env, writing: Awaitable[Any]) -> DaystoreError | None:
    failure: DaystoreError | None
    try:
        failure = (await bounded(writing))[0].error
    except DaystoreError as error:
        failure = error
    if failure is not None:
        check_error(env, failure, WRITING)
    return failure


# --- A request arrives late --------------------------------------------------------------------------------


@case("conn.late_apply", needs={"proxy"}, level=Level.SHOULD)
async def late_apply(env: Env) -> None:
    """A write that arrives after its time limit overwrites nothing that was written since."""
    for kind in ("put", "delete"):
        records = env.records()
        await records.put("a", b"old")
        async with proxied(env) as (adapter, proxy):
            through = records.through(adapter)
            await warm(through, 1)
            adapter.timeout = _brief(env)
            with proxy.delay(REQUEST) as fault:
                with raises(OutcomeUnknown):
                    await bounded(through.put("a", b"late") if kind == "put" else through.delete("a"))
                assert fault.hits == 1, "no request was delayed"
                await records.put("a", b"newer")
                newer = await records.must_get("a")
                answered = proxy.traffic.replies
            await _until(proxy, answered)
            assert_same_record(await records.get("a"), newer, "after a request that arrived late, get")


async def _until(proxy: FaultProxy, answered: int) -> None:
    """Wait until a request that was let go has been answered, or refused by the end of its connection."""
    for _ in range(100):
        if proxy.traffic.replies > answered or not proxy.live:
            return
        await asyncio.sleep(0.005)


# --- The answer to a read is lost, late or another's ---------------------------------------------------------


@case("conn.reads_repeated", needs={"proxy"}, level=Level.SHOULD)
async def reads_repeated(env: Env) -> None:
    """A read whose request or reply is lost with its connection is asked again."""
    records = env.records()
    await records.fill(["a", "b"])
    async with proxied(env, timeout=5.0) as (adapter, proxy):
        through = records.through(adapter)
        for do, requires in READS.values():
            if not possible(env, requires):
                continue
            expected = await do(through)
            for strike in (proxy.drop_request, proxy.drop_reply):
                with strike() as fault:
                    assert await bounded(do(through)) == expected
                assert fault.hits == 1, "nothing was lost"


STRAYS: Final[dict[str, Callable[[FaultProxy], Any]]] = {
    "lost": lambda proxy: proxy.drop_one(REPLY),
    "repeated": lambda proxy: proxy.repeat(),
    "late": lambda proxy: proxy.delay(REPLY),
    "cancelled": lambda proxy: proxy.delay(REPLY),
}


@case("conn.stray_reply", needs={"proxy"}, variants=STRAYS)
async def stray_reply(env: Env, stray: Callable[[FaultProxy], Any]) -> None:
    """A reply that is lost, late, repeated or no longer wanted never becomes the answer to another request."""
    operations = {name: do for name, (do, requires) in READS.items() if possible(env, requires)}
    await each({name: _astray(env, stray, do) for name, do in {**operations, "write": _write}.items()})


async def _write(records: Records) -> None:
    await records.put("k0", b"k0", fields={"n": 0})


async def _astray(env: Env, stray: Callable[[FaultProxy], Any], do: Callable[[Records], Any]) -> None:
    records = env.records()
    keys = [f"k{number}" for number in range(8)]
    await records.fill({key: {"n": number} for number, key in enumerate(keys)})
    cancelled = stray is STRAYS["cancelled"]
    async with proxied(env) as (adapter, proxy):
        through = records.through(adapter)
        await warm(through, 1)
        adapter.timeout = 5.0 if cancelled else _brief(env)
        with stray(proxy) as fault:
            await _end(env, fault, do(through), cancelled=cancelled)
            assert fault.hits == 1, "nothing was astray"
            adapter.timeout = 5.0
        for number, key in enumerate(keys):
            assert await bounded(through.value(key)) == key.encode(), "an answer to another request"
            if env.capabilities.query:
                assert await bounded(through.keys(Compare("n", Op.EQ, number))) == [key]
                assert await bounded(through.count(Compare("n", Op.LT, number))) == number
        found = await bounded(asyncio.gather(*(through.value(key) for key in keys)))
        assert found == [key.encode() for key in keys]


async def _end(env: Env, fault: Fault, operation: Awaitable[Any], *, cancelled: bool) -> None:
    """Let the operation end by its answer, by its time limit, or by cancellation; and what is held come late."""
    task = asyncio.ensure_future(operation)
    if cancelled:
        await bounded(fault.struck.wait())
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), "a cancellation did not reach its caller"
    else:
        try:
            await bounded(task)
        except DaystoreError as error:
            check_error(env, error, (BackendUnavailable, OperationTimeout, OutcomeUnknown))
    fault.release()
