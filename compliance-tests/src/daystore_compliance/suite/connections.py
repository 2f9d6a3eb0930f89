"""Connections that fail: cut, stalled, refused, and everything that an operation may meet on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final

from daystore.errors import BackendUnavailable, DaystoreError, OperationTimeout, OutcomeUnknown
from daystore_compliance.case import case
from daystore_compliance.checks import raises
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
    warm,
)
from daystore_compliance.operations import READING, READS, WRITES, Write
from daystore_compliance.proxy import REPLY, REQUEST, Fault, FaultProxy
from daystore_compliance.records import Records

Cut = Callable[[FaultProxy], object]

BRIEF: Final = 0.2
"""The time limit, in seconds, of an adapter that is going to wait in vain."""

ENOUGH: Final = 1.0
"""The time limit, in seconds, of one that has to meet a fault before it may give up, on a busy machine too."""


# --- Connections that end ----------------------------------------------------------------------------------


@case(
    "conn.cut_idle",
    needs={"proxy"},
    variants={"reset": lambda proxy: proxy.cut(), "ended": lambda proxy: proxy.cut(gently=True)},
)
async def cut_idle(env: Env, cut: Cut) -> None:
    """After idle connections were cut the next operation works, or is BackendUnavailable once."""
    records = env.records()
    await records.fill(["a", "b"])
    async with proxied(env) as (adapter, proxy):
        through = records.through(adapter)
        for wide in (1, 8):
            await warm(through, wide)
            assert proxy.live > 0, "there was no connection to cut"
            assert cut(proxy), "nothing was cut"
            failed = 0
            for number in range(10):
                try:
                    if number % 2:
                        await bounded(through.put(f"new{wide}{number}"))
                    else:
                        assert await bounded(through.value("a")) == b"a"
                except DaystoreError as error:
                    check_error(env, error, (BackendUnavailable,))
                    failed += 1
            assert failed <= 1, f"{failed} operations failed after one cut"
        assert await through.value("b") == b"b"


@case(
    "conn.refused_then_back",
    needs={"proxy"},
    variants=["refused", "gone"],
)
async def refused_then_back(env: Env, how: str) -> None:
    """While its server is gone an adapter is BackendUnavailable; when it is back it works, without reopening."""
    records = env.records()
    await records.fill(["a"])
    async with proxied(env, timeout=5.0) as (adapter, proxy):
        through = records.through(adapter)
        await warm(through)
        async with _gone(proxy, how):
            for _ in range(3):
                with raises(BackendUnavailable) as caught:
                    await bounded(through.get("a"))
                check_error(env, caught.error, (BackendUnavailable,))
            errors = await attempt(env, WRITES["put_new"], env.records().through(adapter))
            assert errors.get("a") is not None, "a write succeeded without a server"
            with raises(BackendUnavailable):
                await bounded(env.target.at(proxy.host, proxy.port).open(env.namespace, env.clock))
        assert how == "gone" or proxy.traffic.refused > 0, "nothing was refused"
        await assert_recovers(env, through)
        assert await through.value("a") == b"a"
    await records.expect({"a": b"a"}, "probe")


@asynccontextmanager
async def _gone(proxy: FaultProxy, how: str) -> AsyncIterator[None]:
    if how == "gone":
        async with proxy.down():
            yield
    else:
        with proxy.refuse():
            proxy.cut()
            yield


@case("conn.cut_before_send", needs={"proxy"})
async def cut_before_send(env: Env) -> None:
    """A write whose request never arrived, or only its beginning, is not applied, or once if it is sent again."""
    for keep in (0, 40):
        await each(
            {
                name: _unsent(env, write, keep)
                for name, write in WRITES.items()
                if possible(env, write.requires)
            }
        )


async def _unsent(env: Env, write: Write, keep: int) -> None:
    await at_every_point(env, write, lambda proxy, nth: proxy.drop_request(nth, keep=keep))


# --- Connections that wait ---------------------------------------------------------------------------------


@case("conn.stall", needs={"proxy"})
async def stall(env: Env) -> None:
    """On a connection that stalls every operation ends at the time limit of the adapter, and none hangs."""
    records = env.records()
    await records.fill(["a", "b"])
    async with proxied(env) as (adapter, proxy):
        through = records.through(adapter)
        await warm(through)
        adapter.timeout = BRIEF
        before = proxy.traffic.requests
        reads = [do for do, requires in READS.values() if possible(env, requires)]
        with proxy.stall():
            started = asyncio.get_running_loop().time()
            ended = await asyncio.gather(
                *(_in_time(do(through)) for do in reads), _in_time(through.put("w")), return_exceptions=True
            )
            took = asyncio.get_running_loop().time() - started
        assert proxy.traffic.requests > before, "nothing was sent into the stall"
        assert took < BRIEF + 2, f"a limit of {BRIEF} s took {took:.1f} s"
        for error in ended[:-1]:
            assert type(error) is OperationTimeout, f"a read that takes too long ended with {error!r}"
        assert type(ended[-1]) is OutcomeUnknown, f"a write that takes too long ended with {ended[-1]!r}"
        adapter.timeout = 5.0
        await assert_recovers(env, through)
        assert await through.value("a") == b"a"
    state = await records.state("w")
    assert {key: record.value for key, record in state.items() if key != "w"} == {"a": b"a", "b": b"b"}


async def _in_time(operation: Any) -> Any:
    task = asyncio.ensure_future(operation)
    await asyncio.wait([task], timeout=BRIEF + 2)
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=BRIEF + 2)
        return "nothing: it hangs"
    return await task


@case("conn.many_waiters", needs={"proxy"})
async def many_waiters(env: Env) -> None:
    """Of a hundred operations on a stalled connection half are cancelled: the others get their answers."""
    records = env.records()
    keys = [f"k{number:03}" for number in range(100)]
    await records.fill(keys)
    async with proxied(env, timeout=3.0) as (adapter, proxy):
        through = records.through(adapter)
        await warm(through)
        for _ in range(4):  # a pool that shrinks each time has nothing left at the end
            with proxy.stall():
                waiting = [asyncio.ensure_future(bounded(through.value(key))) for key in keys]
                done, _pending = await asyncio.wait(waiting, timeout=0.03)
                assert not done, "something was answered during the stall"
                for task in waiting[::2]:
                    task.cancel()
                await asyncio.wait(waiting[::2])
            assert all(task.cancelled() for task in waiting[::2])
            assert await asyncio.gather(*waiting[1::2]) == [key.encode() for key in keys[1::2]]
        await assert_recovers(env, through)


async def _any(records: Records, turn: int) -> object:
    if turn % 2:
        return await records.value("k15")
    return await (records.put("w", b"%d" % turn) if turn % 3 else records.delete("w"))


@case("conn.cancelled_under_load", needs={"proxy"})
async def cancelled_under_load(env: Env) -> None:
    """A hundred cancellations on a slow network: no answer goes to another, no connection is left behind."""
    records = env.records()
    keys = [f"k{number:02}" for number in range(16)]
    await records.fill(keys)
    async with proxied(env, timeout=3.0) as (adapter, proxy):
        through = records.through(adapter)
        await warm(through)
        usual = max(proxy.live, 1)
        cancelled = 0
        for turn in range(env.scale(100, 1000)):
            with proxy.delay(env.random.choice([REQUEST, REPLY])) as fault:
                victim = asyncio.ensure_future(_any(through, turn))
                others: asyncio.Future[Any] = asyncio.gather(*(through.value(key) for key in keys[:3]))
                if turn % 4:  # in mid-request, otherwise anywhere before
                    await bounded(fault.struck.wait())
                for _ in range(env.random.randrange(8)):
                    await asyncio.sleep(0)
                victim.cancel()
                await asyncio.wait([victim])
                cancelled += victim.cancelled()
            assert await bounded(others) == [key.encode() for key in keys[:3]], "an answer to another"
            assert await bounded(through.value(keys[turn % 16])) == keys[turn % 16].encode()
        assert cancelled > 20, "nothing was cancelled while it waited"
        await _settle(lambda: proxy.live <= usual)
        assert proxy.live <= usual, f"{proxy.live} connections are open where {usual} were"
    assert (await records.state("w")).keys() - {"w"} == set(keys)


async def _settle(true: Callable[[], bool]) -> None:
    """Give the other ends of connections a moment to notice that ours are closed."""
    for _ in range(200):
        if true():
            return
        await asyncio.sleep(0.005)


# --- Everything --------------------------------------------------------------------------------------------


@asynccontextmanager
async def _cut(proxy: FaultProxy) -> AsyncIterator[Callable[[], bool]]:
    cut = proxy.cut()
    yield lambda: cut > 0


@asynccontextmanager
async def _refuse(proxy: FaultProxy) -> AsyncIterator[Callable[[], bool]]:
    with proxy.refuse():
        cut = proxy.cut()
        yield lambda: cut > 0


@asynccontextmanager
async def _down(proxy: FaultProxy) -> AsyncIterator[Callable[[], bool]]:
    async with proxy.down():
        yield lambda: True


@asynccontextmanager
async def _stall(proxy: FaultProxy) -> AsyncIterator[Callable[[], bool]]:
    before = proxy.traffic.requests
    with proxy.stall():
        yield lambda: proxy.traffic.requests > before


def _strike(strike: Callable[[FaultProxy], AbstractContextManager[Fault]]) -> Any:
    @asynccontextmanager
    async def struck(proxy: FaultProxy) -> AsyncIterator[Callable[[], bool]]:
        with strike(proxy) as fault:
            yield lambda: fault.hits > 0

    return struck


FAULTS: Final[dict[str, Any]] = {
    "cut": _cut,
    "refused": _refuse,
    "gone": _down,
    "stalled": _stall,
    "request_cut": _strike(lambda proxy: proxy.drop_request()),
    "half_request": _strike(lambda proxy: proxy.drop_request(keep=30)),
    "requests_cut": _strike(lambda proxy: proxy.drop_request(lasting=True)),
    "reply_cut": _strike(lambda proxy: proxy.drop_reply()),
    "half_reply": _strike(lambda proxy: proxy.drop_reply(keep=10)),
    "replies_cut": _strike(lambda proxy: proxy.drop_reply(lasting=True)),
    "request_lost": _strike(lambda proxy: proxy.drop_one(REQUEST)),
    "reply_lost": _strike(lambda proxy: proxy.drop_one(REPLY)),
    "reply_repeated": _strike(lambda proxy: proxy.repeat()),
}


@case("conn.matrix", needs={"proxy"}, variants=FAULTS)
async def matrix(env: Env, fault: Any) -> None:
    """Every operation under every fault is right, or one of the errors for it, and the adapter recovers."""
    reads = {n: _reading(env, fault, do) for n, (do, needed) in READS.items() if possible(env, needed)}
    writes = {n: _writing(env, fault, w) for n, w in WRITES.items() if possible(env, w.requires)}
    await each(reads | writes)


async def _reading(env: Env, fault: Any, do: Callable[[Records], Any]) -> None:
    records = env.records()
    await records.fill(["a", "b"])
    async with proxied(env) as (adapter, proxy):
        through = records.through(adapter)
        expected = await do(through)
        adapter.timeout = ENOUGH
        async with fault(proxy) as happened:
            try:
                found = await bounded(do(through))
            except DaystoreError as error:
                check_error(env, error, READING)
            else:
                assert found == expected, "another answer than without the fault"
            assert happened(), "the fault did not happen"
        adapter.timeout = 5.0
        await assert_recovers(env, through)
        assert await bounded(do(through)) == expected
    await records.expect({"a": b"a", "b": b"b"}, "probe")


async def _writing(env: Env, fault: Any, write: Write) -> None:
    records = env.records()
    await write.prepare(records)
    async with proxied(env) as (adapter, proxy):
        through = records.through(adapter)
        await warm(through, 1)
        adapter.timeout = ENOUGH
        async with fault(proxy) as happened:
            errors = await attempt(env, write, through)
            assert happened(), "the fault did not happen"
        adapter.timeout = 5.0
        await assert_recovers(env, through)
    await write.verify(records, errors)
