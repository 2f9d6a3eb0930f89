"""Commits that nobody can bring to their end: closing ends all the same, and others end what was left behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from daystore.abc import STRONG, StorageAdapter
from daystore.abc.coordination.resolver import Pauses
from daystore.errors import BackendUnavailable, DaystoreError, OutcomeUnknown
from daystore.transactions.joint import CommitPlan
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.hindering import (
    NEEDS,
    NEW,
    OLD,
    Hindered,
    Pair,
    Step,
    committed_of,
    decides,
    left_behind,
    pair,
    prepares,
    recovered,
)
from daystore_compliance.stepping import promptly

BRIEF: Final = 0.2
"""The time limit, in seconds, of an adapter that is closed amid a commit."""

LATER: Final = ({"n": 100}, {"n": 200})


@dataclass(frozen=True, slots=True)
class _End:
    """Where a commit meets a coordinator that does not answer any more.

    Attributes:
        step: The first request without an answer.
        arrives: Whether it is applied.
        error: What the caller is told if the backend fails instead of answering.
        values: What is there when others have ended the transaction.
    """

    step: Step
    arrives: bool
    error: type[DaystoreError]
    values: tuple[Any, Any]


ENDS: Final = {
    "prepared": _End(prepares, True, BackendUnavailable, OLD),
    "undecided": _End(decides, False, OutcomeUnknown, OLD),
    "decided": _End(decides, True, OutcomeUnknown, NEW),
}


async def _told(commit: asyncio.Task[None]) -> Any:
    """Return what a commit ended with: nothing, or the error that its caller was told."""
    (ended,) = await promptly(asyncio.gather(commit, return_exceptions=True), "a commit")
    return ended


async def _closed_amid(left: Pair, end: _End) -> float:
    """Close the coordinator of a commit that waits for it, and return how long that took."""
    stuck = Hindered(left.adapters[0], end.step, end.arrives, waits=True)
    commit = asyncio.create_task(left.commit(NEW))
    await promptly(stuck.met.wait(), "a commit")
    assert not commit.done(), "the commit does not wait for its coordinator"
    left.adapters[0].timeout = BRIEF
    begun = asyncio.get_running_loop().time()
    await promptly(left.adapters[0].close(), f"closing, whose time limit is {BRIEF} s,")
    took = asyncio.get_running_loop().time() - begun
    told = await _told(commit)
    assert type(told) is OutcomeUnknown, f"who waited for the commit was told {told!r}"
    assert (told.backend, told.retryable) == (left.adapters[0].name, False)
    return took


async def _expect_ended(others: Pair, values: tuple[Any, Any]) -> None:
    """Expect that nothing is left of a transaction but its changes, and that the next one goes well."""
    for adapter in others.adapters:
        assert await left_behind(adapter) == (0, 0), "something of an abandoned transaction is left"
    assert await others.values() == values
    await promptly(others.commit(LATER), "the next transaction")
    assert await others.values() == LATER


@case("txn.across_close", requires=NEEDS, needs={"second"}, variants=ENDS)
async def across_close(env: Env, end: _End) -> None:
    """Closing amid a commit without an answer ends in time; who waited is told, and others end the commit."""
    left, others = await pair(env), await pair(env)
    await others.write(OLD)
    took = await _closed_amid(left, end)
    assert BRIEF / 2 < took < BRIEF + 2, f"a commit was given {BRIEF} s, and closing took {took:.1f} s"
    await promptly(recovered(*others.adapters), "giving up what was left behind")
    await _expect_ended(others, end.values)


@case("txn.across_silent", requires=NEEDS, needs={"second"}, variants=ENDS)
async def across_silent(env: Env, end: _End) -> None:
    """A transaction of uncertain end gives no sign of life: after the lease others end it and write on."""
    left, others = await pair(env), await pair(env)
    await others.write(OLD)
    failing = Hindered(left.adapters[0], end.step, end.arrives, waits=False)
    told = await _told(asyncio.create_task(left.commit(NEW)))
    assert failing.met.is_set(), "the commit did not meet the failure"
    assert type(told) is end.error, f"the caller was told {told!r}"
    assert (await left_behind(others.adapters[0]))[1] > 0, "the transaction has an end that is certain"
    failing.answering.set()  # from now on a sign of life would be heard
    await promptly(others.here.set("a", LATER[0]), "a write of what was left behind")
    if "strong" in env.capabilities.consistency:
        assert await promptly(others.there.get("b", consistency=STRONG), "a strong read") == end.values[1]
    await promptly(recovered(*others.adapters), "giving up what was left behind")
    await _expect_ended(others, (LATER[0], end.values[1]))


@case("txn.across_recovery", requires=NEEDS, needs={"second"}, variants=ENDS)
async def across_recovery(env: Env, end: _End) -> None:
    """An open storage ends what was left behind by itself, though nobody reads or writes the records."""
    left, others = await pair(env), await pair(env)
    await others.write(OLD)
    await _closed_amid(left, end)
    found = [await left_behind(adapter) for adapter in others.adapters]
    assert [intents for intents, _ in found] == [1, 1], "the transaction was not left in the middle"
    async with others.storage:
        await _expect_nothing_left(*others.adapters)
        await _expect_ended(others, end.values)


async def _expect_nothing_left(*adapters: StorageAdapter) -> None:
    """Expect that no intent and no status record is left before long: they go in their own time."""
    pauses = Pauses()

    async def found() -> None:
        while [await left_behind(adapter) for adapter in adapters] != [(0, 0)] * len(adapters):
            await pauses.wait()

    await promptly(
        found(), "the end of what a transaction has left, or of something that it should not have left,"
    )


@case("txn.across_coordinator", requires=NEEDS, variants=("one", "two", "third"))
async def across_coordinator(env: Env, name: str) -> None:
    """The status record of a transaction is in the backend that was chosen to coordinate, and nowhere else."""
    names = {"one": "", "two": "-other", "third": "-third"}
    backends = {one: await env.open(env.namespace + ending) for one, ending in names.items()}
    storage = env.target.storage_type(backends, coordinator=name)
    here, there = (env.target.store_type(backends[one], "notes") for one in ("one", "two"))
    await here.set("a", OLD[0])
    held = Hindered(backends[name], decides, arrives=True, waits=True)

    async def committed() -> CommitPlan:
        async with storage.transaction() as tx:
            await tx[here].set("a", NEW[0])
            await tx[there].set("b", NEW[1])
            return tx.explain()

    commit = asyncio.create_task(committed())
    try:
        await promptly(_either(held.met.wait(), commit), "a commit")
        found = {one: await committed_of(adapter) for one, adapter in backends.items()}
        assert found == {one: int(one == name) for one in names}, "the decision is in another backend"
    finally:
        held.answering.set()
    plan = await promptly(commit, "a commit")
    durable = env.capabilities.durable
    assert plan == CommitPlan("coordinated", ("one", "two"), name, durable=durable)
    assert (await here.get("a"), await there.get("b")) == NEW
    await _expect_nothing_left(*backends.values())


async def _either(met: Any, commit: asyncio.Task[Any]) -> None:
    """Wait until a commit is held or has ended."""
    meeting = asyncio.ensure_future(met)
    await asyncio.wait((meeting, commit), return_when=asyncio.FIRST_COMPLETED)
    meeting.cancel()
