"""A server that is killed while many write to it: what is there afterwards, and how the adapter goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from daystore.abc import Compare, Op, Put, WriteBatch
from daystore.abc.record import Delete
from daystore.errors import BackendUnavailable, DaystoreError, OperationTimeout, OutcomeUnknown
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.faults import PATIENCE, assert_recovers, bounded, check_error
from daystore_compliance.records import Records
from daystore_compliance.transacting import NEEDS, begin

WRITERS = 8
ALIKE = 4
"""Records that one step of a writer changes; one more comes and one goes."""
ERRORS = (BackendUnavailable, OperationTimeout, OutcomeUnknown)


@dataclass
class _Writer:
    """Somebody who overwrites the same records again and again, a step at a time.

    Attributes:
        number: Which one.
        places: Collections over which the records are spread.
        seen: The step that was there after the last crash; ``None`` for nothing.
        acknowledged: The last step that was acknowledged since.
        tried: The last step that was tried.
        failure: What became of that one, if it failed.
    """

    number: int
    places: list[Records]
    seen: int | None = None
    acknowledged: int | None = None
    tried: int = 0
    failure: DaystoreError | None = None

    def step(self) -> list[Put | Delete]:
        """Return what the next step changes."""
        self.tried += 1
        base = self._last
        value, fields = b"%d" % self.tried, {"step": f"{self.number}:{self.tried}"}
        names = enumerate(sorted(self._keys(self.tried)))
        puts = [self._place(index).a_put(key, value, fields=fields) for index, key in names]
        gone = [] if base is None else [self._place(ALIKE).a_delete(f"{self.number}-at-{base}")]
        return [*puts, *gone]

    @property
    def _last(self) -> int | None:
        """The last step that is known to have been applied."""
        return self.seen if self.acknowledged is None else self.acknowledged

    def _place(self, index: int) -> Records:
        return self.places[index % len(self.places)]

    async def expect(self, env: Env) -> None:
        """Expect that one step is there, whole and in every index, and that it is one that may be."""
        found = {
            key: (int(record.value), record.fields["step"])
            for place in self.places
            for key, record in (await place.state()).items()
            if key.startswith(f"{self.number}-")
        }
        steps = {step for step, _ in found.values()}
        assert len(steps) <= 1, (
            f"of one step a part was applied: steps {sorted(steps)} are there side by side"
        )
        step = steps.pop() if steps else None
        expected = set() if step is None else self._keys(step)
        assert set(found) == expected, "of one step a part was applied"
        for one in {step, self.seen, self.acknowledged, self.tried} - {None}:
            wanted = Compare("step", Op.EQ, f"{self.number}:{one}")
            indexed = {key for place in self.places for key in await place.keys(wanted)}
            assert indexed == (expected if one == step else set()), "an index disagrees with its records"
        self._judge(env, step)
        self.seen, self.acknowledged = step, None

    def _keys(self, step: int) -> set[str]:
        return {*(f"{self.number}-{index}" for index in range(ALIKE)), f"{self.number}-at-{step}"}

    def _judge(self, env: Env, step: int | None) -> None:
        if isinstance(self.failure, BackendUnavailable) and self.tried != self._last:
            assert step != self.tried, "a step that was told not to have been applied is there"
        if env.capabilities.durable:
            assert step in (self._last, self.tried), "a step that was acknowledged is not there"


Step = Callable[[_Writer], Awaitable[object]]


async def _killed_amid(env: Env, writers: list[_Writer], take: Step, after: int) -> None:
    """Let all of them write, and kill the server once so many steps were acknowledged, with others in flight."""
    due = asyncio.Event()
    taken = 0

    async def write(writer: _Writer) -> None:
        nonlocal taken
        writer.failure = None
        while writer.failure is None:
            try:
                await bounded(take(writer))
            except DaystoreError as error:
                check_error(env, error, ERRORS)
                writer.failure = error
            else:
                writer.acknowledged = writer.tried
                taken += 1
            if taken >= after:
                due.set()
        due.set()

    writing = [asyncio.create_task(write(writer)) for writer in writers]
    try:
        await due.wait()
        assert taken >= after, "a writer failed before the server was killed"
        await asyncio.to_thread(env.target.kill)
        await asyncio.gather(*writing)  # each ends with the step that the kill has met
    finally:
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)


async def _survives(env: Env, places: int, take: Callable[[list[Records]], Step]) -> None:
    """Kill a server of this case's own again and again, and look at what is there each time."""
    target = env.target.private()
    with target.running():
        own = Env(target, env.plan)
        await own.start()
        try:
            own.adapter.timeout = PATIENCE / 2
            records = [own.records().through(own.adapter) for _ in range(places)]
            writers = [_Writer(number, records) for number in range(WRITERS)]
            for after in (WRITERS, *range(3 * WRITERS, own.scale(4, 8) * WRITERS, WRITERS + 1)):
                await _killed_amid(own, writers, take(records), after)
                await asyncio.to_thread(target.restart)
                for place in records:
                    await assert_recovers(own, place)
                for writer in writers:
                    await writer.expect(own)
        finally:
            await own.stop()


@case("life.kill_server_batch", requires={"atomic_batch", "query"}, needs={"crash"})
async def kill_server_batch(env: Env) -> None:
    """A server killed amid atomic batches has each whole or not at all; the adapter goes on without reopening."""

    def batches(records: list[Records]) -> Step:
        (place,) = records

        async def take(writer: _Writer) -> None:
            await place.adapter.write(WriteBatch(writer.step(), atomic=True))

        return take

    await _survives(env, 1, batches)


@case("life.kill_server_commit", requires=NEEDS, needs={"crash"})
async def kill_server_commit(env: Env) -> None:
    """A server killed amid commits has each whole or not at all; the adapter goes on without reopening."""

    def commits(records: list[Records]) -> Step:
        async def take(writer: _Writer) -> None:
            async with begin(records[0]) as tx:
                await tx.read(records[0].name, [f"{writer.number}-0"])
                await tx.write(writer.step())

        return take

    await _survives(env, 2, commits)
