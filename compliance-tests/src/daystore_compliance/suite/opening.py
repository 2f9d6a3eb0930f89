"""Opening over a connection that loses answers: it works, or ends in an error, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from daystore.abc import StorageAdapter
from daystore.errors import BackendUnavailable, DaystoreError, OperationTimeout, StoreClosed
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.faults import assert_recovers, bounded, check_error, expect_gone, proxied, warm
from daystore_compliance.proxy import REPLY, Fault, FaultProxy

BRIEF: Final = 0.5
"""The time limit, in seconds, of an adapter that may wait in vain while it is opened."""

MOST: Final = 60
"""Answers that are lost at most, one in each attempt, before opening is taken never to end without a loss."""

Loss = Callable[[FaultProxy, int], AbstractContextManager[Fault]]

LOSSES: Final[dict[str, Loss]] = {
    "cut": lambda proxy, nth: proxy.drop_reply(nth),
    "half": lambda proxy, nth: proxy.drop_reply(nth, keep=5),
    "swallowed": lambda proxy, nth: proxy.drop_one(REPLY, nth),
    "all_cut": lambda proxy, nth: proxy.drop_reply(nth, lasting=True),
}
"""How answers are lost, from the n-th on or only that one."""


@case("conn.open_lost_reply", needs={"proxy"}, variants=LOSSES)
async def open_lost_reply(env: Env, lose: Loss) -> None:
    """Opening while answers are lost works or is an error in time, leaves nothing behind, and works afterwards."""
    records = env.records()
    await records.fill(["a"])
    async with proxied(env) as (adapter, proxy):
        await bounded(adapter.close())
        before = asyncio.all_tasks()
        through = records.through(adapter)
        for nth in range(1, MOST):
            await bounded(adapter.close())
            adapter.timeout = BRIEF
            with lose(proxy, nth) as loss:
                worked = await _opened(env, adapter)
            assert not (worked and nth == 1 and lose is LOSSES["all_cut"]), "opening works without any answer"
            adapter.timeout = 5.0
            await bounded(adapter.open())
            assert await bounded(through.value("a")) == b"a"
            if not loss.hits:
                break
            await assert_recovers(env, through)
        else:
            raise AssertionError(f"{MOST} answers were lost, and opening takes more still")
        assert nth > 1, "no answer was lost: opening asked nothing"
        await warm(through)
        await bounded(adapter.close())
        await expect_gone(proxy, before)
    await records.expect({"a": b"a"}, "probe")


async def _opened(env: Env, adapter: StorageAdapter) -> bool:
    """Open an adapter while answers are lost; tell whether that worked, and expect that it is closed if not."""
    begun = asyncio.get_running_loop().time()
    try:
        await bounded(adapter.open())
    except DaystoreError as error:
        check_error(env, error, (BackendUnavailable, OperationTimeout))
    else:
        return True
    finally:
        took = asyncio.get_running_loop().time() - begun
        assert took < BRIEF + 2, f"a limit of {BRIEF} s took {took:.1f} s"
    with raises(StoreClosed):
        await adapter.health()
    return False
