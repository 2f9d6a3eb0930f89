"""Single calls that are made at the same time: as the adapter sends them, and merged into batches by the core."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from daystore.abc import Consistency, Outcome, Put, Record, StorageAdapter, WriteBatch, bounded
from daystore.errors import (
    BackendUnavailable,
    DaystoreError,
    LimitExceeded,
    OutcomeUnknown,
    StoreClosed,
    VersionConflict,
)
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.coalescing import Coalescing, Requests
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.stepping import promptly

CALLERS: Final = 200
BOTH: Final = {"own": False, "coalesced": True}
"""The adapter as it is, and behind the core's coalescing, whether it coalesces itself or not."""


@asynccontextmanager
async def _records(env: Env, *, coalesced: bool, behind: type[Requests] = Requests) -> AsyncIterator[Records]:
    plain = env.records()
    if not coalesced:
        yield plain
        return
    async with Coalescing(behind(env.adapter)) as adapter:
        yield Records(adapter, plain.reader, plain.name)


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def _at_once(*calls: Awaitable[Any]) -> list[Any]:
    return await promptly(asyncio.gather(*calls, return_exceptions=True), "one of many calls at once")


# --- The same as alone --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mixed:
    """Calls of every kind on keys of their own, and what there was before."""

    records: Records
    versions: dict[str, str]
    conditional: bool

    @staticmethod
    async def prepared(records: Records, *, conditional: bool) -> _Mixed:
        keys = [f"k{n:03}" for n in range(0, CALLERS, 2)]
        puts = [records.a_put(key, b"before", fields={"n": 0}) for key in keys]
        await records.adapter.set_batch(puts)
        return _Mixed(records, {put.key: put.version for put in puts}, conditional)

    def call(self, number: int) -> Awaitable[object]:
        key = f"k{number:03}"
        kinds = (self._put, self._put_if_same, self._put_if_absent, self._delete, self._get, self._exists)
        return kinds[number // 2 % len(kinds)](key)

    async def _put(self, key: str) -> object:
        put = self.records.a_put(key, b"after " + key.encode(), fields={"n": 1})
        return self._told(put, await self.records.write(put))

    async def _put_if_same(self, key: str) -> object:
        if not self.conditional:
            return await self._put(key)
        put = self.records.a_put(key, b"same", expect=self.versions.get(key, "another"))
        return self._told(put, await self.records.write(put))

    async def _put_if_absent(self, key: str) -> object:
        if not self.conditional:
            return await self._put(key)
        try:
            await self.records.put(key, b"absent", if_absent=True)
        except VersionConflict as error:
            return type(error), error.key, error.index, error.current == self.versions[key]
        return "written"

    async def _delete(self, key: str) -> object:
        return await self.records.delete(key)

    async def _get(self, key: str) -> object:
        return await self.records.value(key)

    async def _exists(self, key: str) -> object:
        return await self.records.adapter.exists(self.records.name, key)

    @staticmethod
    def _told(put: Put, outcomes: list[Outcome]) -> object:
        (outcome,) = outcomes
        return outcome.version == put.version, outcome.existed, type(outcome.error)


@case("coal.same_as_alone", variants=BOTH)
async def same_as_alone(env: Env, coalesced: bool) -> None:
    """Two hundred single calls at once are answered, and leave what they leave, as one after the other."""
    conditional = env.capabilities.conditional
    alone = await _Mixed.prepared(env.records(), conditional=conditional)
    expected = [await alone.call(number) for number in range(CALLERS)]
    async with _records(env, coalesced=coalesced) as records:
        together = await _Mixed.prepared(records, conditional=conditional)
        found = await _at_once(*(together.call(number) for number in range(CALLERS)))
        assert found == expected, "calls made at once are answered as they are not alone"
        keys = [f"k{n:03}" for n in range(CALLERS)]
        left, right = await alone.records.state(*keys), await records.state(*keys)
        assert list(left) == list(right)
        for key, record in right.items():
            record.version = left[key].version
            assert_same_record(record, left[key], "state after calls at once")


@case("coal.neighbours", requires={"conditional"}, variants=BOTH)
async def neighbours(env: Env, coalesced: bool) -> None:
    """Of many writes at once those fail whose condition does not hold, each with its own error, and no others."""
    for bad in ((0,), (1,), (25,), (49,), (0, 1, 2, 30, 49), tuple(range(50))):
        async with _records(env, coalesced=coalesced) as records:
            versions = {n: await records.put(f"k{n}", b"old") for n in bad}
            made = await _at_once(*(records.put(f"k{n}", b"new", if_absent=True) for n in range(50)))
            failed = {n: one for n, one in enumerate(made) if isinstance(one, BaseException)}
            assert set(failed) == set(bad), (
                "a write fails for another one's condition, or does not for its own"
            )
            for n, error in failed.items():
                assert type(error) is VersionConflict
                told = (error.key, error.collection, error.current, error.index)
                assert told == (f"k{n}", records.name, versions[n], 0)
            assert len({id(error) for error in failed.values()}) == len(bad), "two callers get one exception"
            await records.expect({f"k{n}": b"old" if n in bad else b"new" for n in range(50)})


# --- One key ------------------------------------------------------------------------------------------------


@case("coal.key_order", variants=BOTH)
async def key_order(env: Env, coalesced: bool) -> None:
    """Single writes of one key that were merged take effect in the order of the calls; each is applied once."""
    async with _records(env, coalesced=coalesced) as records:
        adapter, keys = records.adapter, ("a", "b", "c")
        changes = [
            records.a_put(key, b"%d" % step) if step % 2 == 0 else records.a_delete(key)
            for step in range(11)
            for key in keys
        ]
        outcomes = [one for (one,) in await _at_once(*(records.write(change) for change in changes))]
        assert all(outcome.error is None for outcome in outcomes)
        state = await records.state(*keys)
        if adapter.coalesce:
            existed = [outcome.existed for outcome in outcomes]
            assert existed == [not isinstance(change, Put) for change in changes], (
                "a write overtakes another one"
            )
            assert {key: record.value for key, record in state.items()} == dict.fromkeys(keys, b"10")
        puts = {change.version for change in changes if isinstance(change, Put)}
        assert {record.version for record in state.values()} <= puts


class _LateAnswers(Requests):
    """Answers a read when it is some time that it has looked: writes are acknowledged meanwhile."""

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        found = await super()._read(collection, keys, consistency)
        await _turn(10)
        return found


@case("coal.reads_own_writes", variants=BOTH)
async def reads_own_writes(env: Env, coalesced: bool) -> None:
    """Amid many reads of a key, a read that begins after a write was acknowledged sees it or a later one."""
    async with _records(env, coalesced=coalesced, behind=_LateAnswers) as records:
        await records.fill(["a", "b"])
        acknowledged = {"a": -1, "b": -1}
        level = Consistency("strong") if "strong" in env.capabilities.consistency else Consistency("eventual")

        async def look(key: str) -> None:
            at_least = acknowledged[key]
            record = await records.adapter.get(records.name, key, level)
            assert record is not None
            seen = -1 if record.value == key.encode() else int(record.value)
            assert seen >= at_least, "a read does not see what was acknowledged before it began"

        async def write(key: str) -> None:
            for number in range(10):
                await _turn(3 * number % 11)  # at another moment of the reads that are under way each time
                await records.put(key, b"%d" % number)
                acknowledged[key] = number
                await look(key)

        async def read(key: str, pause: int) -> None:
            for _ in range(10):
                await _turn(pause)
                await look(key)

        tasks = [write(key) for key in acknowledged]
        tasks += [read(key, pause) for key in acknowledged for pause in range(10)]
        for ended in await _at_once(*tasks):
            if ended is not None:
                raise ended
        await records.expect({"a": b"9", "b": b"9"})


@case("coal.own_copies", variants=BOTH)
async def own_copies(env: Env, coalesced: bool) -> None:
    """Each of many who read one key at once gets a record of its own; changing it changes nobody else's."""
    async with _records(env, coalesced=coalesced) as records:
        await records.fill({"a": {"n": 1, "t": "x"}, "b": {}})
        found: list[Record] = await _at_once(*(records.must_get(key) for key in "b" + "a" * 50))
        found = found[1:]
        assert len({id(record) for record in found}) == 50
        expected = await records.must_get("a")
        for record in found:
            assert_same_record(record, expected, "one of many reads of a key")
            record.value = b"changed"
            record.fields["n"] = 2  # type: ignore[index]
        await records.expect({"a": b"a", "b": b"b"})


# --- Cancellation and the end -------------------------------------------------------------------------------


@case("coal.cancelled_neighbour", variants=BOTH)
async def cancelled_neighbour(env: Env, coalesced: bool) -> None:
    """Of many calls at once some are cancelled: the others get their own answers, and are applied."""
    async with _records(env, coalesced=coalesced) as records:
        await records.fill(["kept"])
        for turns in range(8):
            keys = [f"k{turns}-{n:02}" for n in range(30)]
            puts = [records.a_put(key) for key in keys]
            writing = [asyncio.ensure_future(records.write(put)) for put in puts]
            reading = [asyncio.ensure_future(records.value(key)) for key in ["kept", "none"] * 15]
            await _turn(turns)
            for task in (*writing[::3], *reading[::3]):
                task.cancel()
            written, read = await _at_once(*writing), await _at_once(*reading)
            for n, put in enumerate(puts):
                if n % 3 or not isinstance(written[n], asyncio.CancelledError):
                    assert written[n] == [Outcome(put.version, existed=False)], "a neighbour loses its answer"
                if n % 3 or not isinstance(read[n], asyncio.CancelledError):
                    assert read[n] == (None if n % 2 else b"kept"), "a neighbour gets another answer"
            await _at_once(*(records.delete(key) for key in keys[::3]))
            left = {key: key.encode() for n, key in enumerate(keys) if n % 3}
            await records.expect({**left, "kept": b"kept"}, *keys)
            assert await records.adapter.delete_batch(records.name, left) == len(left)


@case("coal.drained_on_close")
async def drained_on_close(env: Env) -> None:
    """Closing sends what was accepted and waits for its answers; afterwards nothing is accepted."""
    plain = env.records()
    expected: dict[str, bytes] = {}
    for turns in range(1, 8):
        adapter = Coalescing(Requests(env.adapter))
        await adapter.open()
        records = Records(adapter, plain.reader, plain.name)
        keys = [f"k{turns}-{n}" for n in range(40)]
        calls = [asyncio.ensure_future(records.put(key, key.encode())) for key in (*keys, *keys[:3])]
        await _turn(turns)
        await promptly(adapter.close(), "closing with calls under way")
        assert all(call.done() for call in calls), "closing does not wait for what was accepted"
        for ended in await _at_once(*calls):
            assert type(ended) is str, "what was accepted before closing is not answered"
        with raises(StoreClosed):
            await records.put("late")
        expected |= {key: key.encode() for key in keys}
        await plain.expect(expected, "late")


# --- A batch that fails -------------------------------------------------------------------------------------


class _Failing(Requests):
    """Fails batches of several writes, after or before they are applied."""

    def __init__(self, adapter: StorageAdapter, error: Exception, *, applies: bool, only: str | None) -> None:
        super().__init__(adapter)
        self._error = error
        self._applies = applies
        self._only = only

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        keys = [operation.key for operation in batch.operations]
        fails = len(keys) > 1 if self._only is None else self._only in keys
        if not fails:
            return await super()._write(batch)
        if self._applies:
            await super()._write(batch)
        else:
            self.writes.append(keys)
            await _turn(1)
        raise self._error


@dataclass(frozen=True, slots=True)
class _Failure:
    """How a batch fails, and what its callers are told."""

    error: Callable[[], Exception]
    told: type[DaystoreError]
    applies: bool
    only: str | None = None


FAILURES: Final = {
    "unknown": _Failure(lambda: OutcomeUnknown("the reply was lost"), OutcomeUnknown, applies=True),
    "unavailable": _Failure(lambda: BackendUnavailable("no server"), BackendUnavailable, applies=False),
    "foreign": _Failure(lambda: RuntimeError("a driver's own"), OutcomeUnknown, applies=True),
    "refused": _Failure(lambda: LimitExceeded("too large"), LimitExceeded, applies=False, only="k7"),
}


@case("coal.failed_batch", variants=FAILURES)
async def failed_batch(env: Env, failure: _Failure) -> None:
    """What merged writes met together each is told, and none is sent again; what one has met, only that one."""
    plain = env.records()
    error = failure.error()
    below = _Failing(env.adapter, error, applies=failure.applies, only=failure.only)
    if env.capabilities.limits.max_batch == 1:
        return  # nothing is merged
    async with Coalescing(below) as adapter:
        records = Records(adapter, plain.reader, plain.name)
        puts = [records.a_put(f"k{n}") for n in range(20)]
        ended = await _at_once(*(records.write(put) for put in puts))
    failed = {n: one for n, one in enumerate(ended) if isinstance(one, BaseException)}
    assert {type(one) for one in failed.values()} == {failure.told}
    assert len({id(one) for one in (error, *failed.values())}) == len(failed) + 1, "exceptions are shared"
    applied = {put.key: put.version for n, put in enumerate(puts) if failure.applies or n not in failed}
    state = await plain.state(*(put.key for put in puts))
    assert {key: record.version for key, record in state.items()} == applied
    sent = [key for keys in below.writes for key in keys]
    if failure.only is None:
        assert len(failed) > 1, "nothing was merged: nothing was tried"
        assert sorted(sent) == sorted(put.key for put in puts), (
            "a write that may have been applied is sent again"
        )
    else:
        assert set(failed) == {7}, "one bad write fails its neighbours"
        # Batches whose writes were applied, and those that failed as a whole before.
        done = [key for keys in below.writes if failure.only not in keys for key in keys]
        assert sorted(done) == sorted(applied), "a write is applied twice"


# --- What is sent -------------------------------------------------------------------------------------------


@case("coal.few_requests")
async def few_requests(env: Env) -> None:
    """A lone call is one request, sent at once; two hundred at once are as few as the backend's limit allows."""
    below = Requests(env.adapter)
    size = env.capabilities.limits.max_batch or CALLERS
    most = 2 + math.ceil(CALLERS / size) if size > 1 else CALLERS
    plain = env.records()
    async with Coalescing(below) as adapter:
        records = Records(adapter, plain.reader, plain.name)
        for key in "abc":
            task = asyncio.ensure_future(records.put(key))
            await _turn(1)
            assert below.writes[-1:] == [[key]], "a lone call is not sent at once"
            await task
            assert await records.value(key) == b"value"
        assert (below.writes, [keys for keys, _ in below.reads]) == ([["a"], ["b"], ["c"]],) * 2
        below.writes.clear()
        below.reads.clear()
        await _at_once(*(records.put(f"k{n}") for n in range(CALLERS)))
        assert len(below.writes) <= most
        levels = sorted(env.capabilities.consistency)
        asked = [bounded(1) if level == "bounded" else Consistency(level) for level in levels]
        calls = [
            (f"{level.level}{n}", adapter.get(records.name, f"{level.level}{n}", level))
            for n in range(CALLERS // len(asked))
            for level in asked
        ]
        await _at_once(*(call for _, call in calls))
    assert len(below.reads) <= most * len(asked)
    for keys, consistency in below.reads:
        assert all(key.startswith(consistency.level) for key in keys), "reads of two levels are merged"
    assert sorted(key for keys, _ in below.reads for key in keys) == sorted(key for key, _ in calls)


_CALLER: ContextVar[str | None] = ContextVar("_CALLER", default=None)


class _Seeing(Requests):
    """Notes in whose context each request is made."""

    def __init__(self, adapter: StorageAdapter) -> None:
        super().__init__(adapter)
        self.seen: list[tuple[list[str], str | None]] = []

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        self.seen.append((list(keys), _CALLER.get()))
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.seen.append(([operation.key for operation in batch.operations], _CALLER.get()))
        return await super()._write(batch)


@case("coal.contexts")
async def contexts(env: Env) -> None:
    """A merged request is made in nobody's context, and a lone one in that of its caller."""
    below = _Seeing(env.adapter)
    plain = env.records()
    async with Coalescing(below) as adapter:
        records = Records(adapter, plain.reader, plain.name)

        async def caller(key: str) -> None:
            _CALLER.set(key)
            await records.put(key)
            await records.get(key)
            assert _CALLER.get() == key

        await _at_once(*(caller(f"k{n}") for n in range(50)))
        if env.capabilities.limits.max_batch != 1:
            assert any(len(keys) > 1 for keys, _ in below.seen), "nothing was merged: nothing was tried"
    for keys, seen in below.seen:
        assert seen in ((None, keys[0]) if len(keys) == 1 else (None,)), "a caller's context is another one's"
