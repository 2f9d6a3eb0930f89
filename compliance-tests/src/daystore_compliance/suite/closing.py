"""Closing while a server stalls: it ends in time, and whoever waits for a write is told the truth."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from daystore.abc import StorageAdapter
from daystore.errors import StoreClosed
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.faults import (
    assert_recovers,
    attempt,
    bounded,
    each,
    expect_gone,
    possible,
    proxied,
    warm,
)
from daystore_compliance.hindering import LEASE
from daystore_compliance.operations import WRITES, Write
from daystore_compliance.proxy import REPLY, Fault

BRIEF: Final = 0.3
"""The time limit, in seconds, of an adapter that is closed."""
UNHURRIED: Final = 20.0
"""Seconds that it may take to open it again, which is not what is looked at."""
MOST: Final = 40
"""Answers after which a write is taken for one that has no end."""
QUICK: Final = frozenset({"put", "delete_if", "batch", "atomic", "transaction"})
"""The writes that the quick level tries."""


@case("conn.close_amid", needs={"proxy"})
async def close_amid(env: Env) -> None:
    """Closing while answers to a write are held ends in time; the write's caller is told, and nothing is left."""
    for adapter in {env.adapter, env.records().reader}:
        if adapter.coordinator is not None:  # what is left behind is given up soon
            adapter.coordinator.resolver.lease = LEASE
    names = env.scale(QUICK, frozenset(WRITES))
    await each(
        {
            name: _at_every_answer(env, write)
            for name, write in WRITES.items()
            if name in names and possible(env, write.requires)
        }
    )


async def _at_every_answer(env: Env, write: Write) -> None:
    async with proxied(env) as (adapter, proxy):
        for nth in range(1, MOST):
            records = env.records()
            through = records.through(adapter)
            await write.prepare(records)
            await warm(through, 1)
            adapter.timeout = BRIEF
            with proxy.delay(REPLY, nth, lasting=True) as held:
                writing = asyncio.create_task(attempt(env, write, through, (StoreClosed,)))
                try:
                    await _held_or_done(held, writing)
                    await _close_in_time(adapter)
                finally:
                    await asyncio.wait([writing])
                    writing.exception()  # is seen, also where closing has failed
            errors = writing.result()
            await expect_gone(proxy)
            await write.verify(records, errors)
            adapter.timeout = UNHURRIED
            await adapter.open()
            if not (held.hits or errors):  # without a fault, and it was not too slow for the limit either
                assert nth > 1, "a write needs no answer"
                return
            await assert_recovers(env, through)
    raise AssertionError(f"one write takes {MOST} answers, or never ends well")


async def _held_or_done(held: Fault, writing: asyncio.Task[Any]) -> None:
    striking = asyncio.create_task(held.struck.wait())
    await asyncio.wait((striking, writing), return_when=asyncio.FIRST_COMPLETED)
    striking.cancel()


async def _close_in_time(adapter: StorageAdapter) -> None:
    begun = asyncio.get_running_loop().time()
    await bounded(adapter.close())
    took = asyncio.get_running_loop().time() - begun
    assert took < BRIEF + 2, f"closing, with a limit of {BRIEF} s, took {took:.1f} s"
