"""Cancellation: it goes to the caller, leaves nothing half done, and the next operation gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from daystore.abc import (
    Aggregate,
    Aggregation,
    Compare,
    Function,
    Op,
    Outcome,
    Predicate,
    Put,
    Record,
    WriteBatch,
)
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq
from daystore_compliance.records import Records
from daystore_compliance.stepping import Points, at_both_speeds, at_speed, promptly

KEYS: Final = tuple(f"base-{n}" for n in range(8))
BASE: Final = Compare("key", Op.STARTSWITH, "base-")
WAITERS: Final = 200


# --- Every operation, at every point ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One operation.

    Attributes:
        run: Runs it.
        answer: What it returns when nothing cancels it.
        change: What it makes of which keys: the value before and after it, ``None`` for none.
        whole: Whether it is all or nothing.
        apart: Whether it goes on in a task of its own when its caller is cancelled, as commits do.
    """

    run: Callable[[], Awaitable[Any]]
    answer: Any
    change: Mapping[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    whole: bool = True
    apart: bool = False

    def check(self, state: Mapping[str, bytes]) -> None:
        """Expect each key as it was before or as it is after, and all alike of what is whole."""
        done = set()
        for key, (before, after) in self.change.items():
            found = state.get(key)
            assert found in (before, after), "a cancelled write left what is neither old nor new"
            done.add(found == after)
        assert len(done) <= 1 or not self.whole, "a cancelled operation was applied in part"


Prepare: TypeAlias = Callable[[Records, int], Awaitable[_Attempt]]


class _Scene:
    """A collection in which operations are cancelled, and a model of what is in it."""

    def __init__(self, env: Env, *, slowed: bool) -> None:
        plain = env.records()
        self.env = env
        self.records = Records(at_speed(env.adapter, slowed=slowed), plain.reader, plain.name)
        self.known: dict[str, bytes] = {}
        self.cancelled: list[_Attempt] = []

    async def begin(self) -> None:
        """Write what the operations read."""
        puts = [self.records.a_put(key, fields={"n": n}) for n, key in enumerate(KEYS)]
        await self.records.adapter.set_batch(puts)
        self.known = {key: key.encode() for key in KEYS}

    async def expect_own_answers(self, number: int) -> None:
        """Expect the next operations to be answered, each with its own answer."""
        records = self.records
        one = KEYS[(number + 1) % len(KEYS)]  # none that the cancelled operation begins with
        assert await records.value(one) == one.encode(), "the next read gets another one's answer"
        found = await asyncio.gather(*map(records.value, KEYS))
        assert found == [key.encode() for key in KEYS], "reads at once get each other's answers"
        key, value = f"next-{number}", b"next-%d" % number
        put = records.a_put(key, value)
        assert await records.write(put) == [Outcome(put.version, existed=False)]
        read = await records.read(key, one, "missing")
        assert [r and r.value for r in read] == [value, one.encode(), None]
        if self.env.capabilities.query:
            assert await records.keys(Compare("key", Op.EQ, key)) == [key]
            assert await records.count(BASE) == len(KEYS)
        assert await records.delete(key) is True
        assert await records.value(key) is None

    async def expect_state(self) -> None:
        """Expect what was written, and of what was cancelled all or nothing."""
        open_keys = [key for attempt in self.cancelled for key in attempt.change]
        found = await self.records.state(*self.known, *open_keys)
        state = {key: record.value for key, record in found.items()}
        for attempt in self.cancelled:
            attempt.check(state)
        assert {key: value for key, value in state.items() if key not in open_keys} == self.known

    def take(self, attempt: _Attempt, *, ended: bool) -> None:
        """Take note of what an attempt that came to its end has changed, or of one that was not begun."""
        for key, (before, after) in attempt.change.items():
            value = after if ended else before
            if value is not None:
                self.known[key] = value


async def _at_every_point(env: Env, prepare: Prepare, *, slowed: bool) -> None:
    scene = _Scene(env, slowed=slowed)
    await scene.begin()
    points = Points()
    apart = False
    while points.are_left:
        number = points.number
        attempt = await prepare(scene.records, number)
        apart = attempt.apart
        made = await points.cancel(attempt.run)
        await promptly(scene.expect_own_answers(number), "an operation after one that was cancelled")
        if not made.is_delivered:
            assert strict_eq(made.result, attempt.answer), "what nobody cancels gets another one's answer"
        if made.is_delivered and made.wait:
            scene.cancelled.append(attempt)
        else:
            scene.take(attempt, ended=not made.is_delivered)
        await promptly(scene.expect_state(), "looking after a cancellation")
    points.expect_tried(slowed=slowed, apart=apart)


async def _read(records: Records, number: int) -> _Attempt:
    wanted = (KEYS[number % 8], "missing", KEYS[(number + 3) % 8])

    async def run() -> list[bytes | None]:
        return [None if r is None else r.value for r in await records.read(*wanted)]

    return _Attempt(run, [wanted[0].encode(), None, wanted[2].encode()])


async def _get_batch(records: Records, number: int) -> _Attempt:
    wanted = [KEYS[(number + n) % 8] for n in (5, 2, 7)]

    async def run() -> dict[str, bytes]:
        found = await records.adapter.get_batch(records.name, [*wanted, "missing"])
        return {key: record.value for key, record in found.items()}

    return _Attempt(run, {key: key.encode() for key in wanted})


async def _write(records: Records, number: int) -> _Attempt:
    put = records.a_put(f"written-{number}")
    return _written(records, [put], {}, atomic=False)


async def _overwrite(records: Records, number: int) -> _Attempt:
    key = f"overwritten-{number}"
    await records.put(key, b"before")
    return _written(records, [records.a_put(key)], {key: b"before"}, atomic=False)


async def _batch(records: Records, number: int, *, atomic: bool = False) -> _Attempt:
    keys = [f"batch-{number}-{n:02}" for n in range(20)]
    await records.adapter.set_batch([records.a_put(key, b"before") for key in keys[::2]])
    puts = [records.a_put(key) for key in keys]
    return _written(records, puts, dict.fromkeys(keys[::2], b"before"), atomic=atomic)


async def _atomic_batch(records: Records, number: int) -> _Attempt:
    return await _batch(records, number, atomic=True)


async def _conditional(records: Records, number: int) -> _Attempt:
    key = f"conditional-{number}"
    version = await records.put(key, b"before")
    return _written(records, [records.a_put(key, expect=version)], {key: b"before"}, atomic=False)


def _written(records: Records, puts: list[Put], before: dict[str, bytes], *, atomic: bool) -> _Attempt:
    return _Attempt(
        lambda: records.write(*puts, atomic=atomic),
        [Outcome(put.version, put.key in before) for put in puts],
        {put.key: (before.get(put.key), put.value) for put in puts},
        whole=atomic or len(puts) == 1,
        apart=atomic and not records.adapter.one_unit,
    )


async def _delete(records: Records, number: int) -> _Attempt:
    key = f"deleted-{number}"
    await records.put(key, b"before")
    return _Attempt(lambda: records.delete(key), True, {key: (b"before", None)})


async def _delete_if(records: Records, number: int) -> _Attempt:
    key = f"deleted-{number}"
    version = await records.put(key, b"before")
    return _Attempt(lambda: records.delete(key, if_version=version), True, {key: (b"before", None)})


@case(
    "cancel.every_op_every_point",
    variants=at_both_speeds(
        {
            "read": _read,
            "get_batch": _get_batch,
            "write": _write,
            "overwrite": _overwrite,
            "batch": _batch,
            "delete": _delete,
        }
    ),
)
async def every_op_every_point(env: Env, tried: tuple[Prepare, bool]) -> None:
    """An operation cancelled at any point raises CancelledError; the next ones get their own answers."""
    await _at_every_point(env, tried[0], slowed=tried[1])


@case(
    "cancel.conditional_every_point",
    requires={"conditional", "atomic_batch"},
    variants=at_both_speeds({"write": _conditional, "delete": _delete_if, "atomic_batch": _atomic_batch}),
)
async def conditional_every_point(env: Env, tried: tuple[Prepare, bool]) -> None:
    """A conditional or atomic write cancelled at any point is applied whole or not, and holds nobody up."""
    await _at_every_point(env, tried[0], slowed=tried[1])


async def _query(records: Records, number: int) -> _Attempt:
    size = 2 + number % 3
    cursor = (await records.page(BASE, limit=size)).cursor

    async def run() -> list[str]:
        return await records.keys(BASE, limit=3, cursor=cursor)

    return _Attempt(run, list(KEYS[size : size + 3]))


async def _count(records: Records, number: int) -> _Attempt:
    where = Compare("key", Op.STARTSWITH, KEYS[number % 8])
    return _Attempt(lambda: records.count(where), 1)


async def _aggregate(records: Records, number: int) -> _Attempt:
    functions = {"sum": Aggregate(Function.SUM, "n")}
    where: Predicate = Compare("n", Op.GE, number % 8)

    async def run() -> object:
        rows = await records.adapter.aggregate(records.query(where), Aggregation(functions))
        return [dict(row.values) for row in rows]

    return _Attempt(run, [{"sum": sum(range(number % 8, 8))}])


@case(
    "cancel.query_every_point",
    requires={"query", "aggregate"},
    variants=at_both_speeds({"page": _query, "count": _count, "aggregate": _aggregate}),
)
async def query_every_point(env: Env, tried: tuple[Prepare, bool]) -> None:
    """A query, count or aggregate cancelled at any point raises CancelledError; the next get their own answers."""
    await _at_every_point(env, tried[0], slowed=tried[1])


# --- Nothing half done --------------------------------------------------------------------------------------


def _puts(records: Records, number: int, expires_at: int, keys: int) -> list[Put]:
    return [
        records.a_put(
            f"k{n}",
            b"%d of %d" % (n, number),
            fields={"n": number, "t": f"text {number}.", "l": ("x", str(number))},
            expires_at=expires_at + 1000 * number,
            content_type=f"type/{number}",
            schema=f"schema {number}",
            encodings=(f"coding {number}",),
        )
        for n in range(keys)
    ]


def _made(put: Put, created_at: int, now: int) -> Record:
    """Return the record that a write makes."""
    assert isinstance(put.expires_at, int)
    return Record(
        put.key,
        put.value,
        put.version,
        created_at,
        now,
        put.expires_at,
        put.content_type,
        put.fields,
        put.schema,
        put.schema_version,
        put.encodings,
    )


async def _expect_whole(records: Records, old: Mapping[str, Record], new: Mapping[str, Record]) -> set[bool]:
    """Expect each record to be the old or the new one, on every path and in every index.

    Returns:
        Whether records are new; both, if some are.
    """

    async def versions() -> list[str | None]:
        return [None if record is None else record.version for record in await records.read(*old)]

    for _ in old:  # a write that goes on may land while it is looked at, and then one looks again
        before = await versions()
        try:
            return await _look(records, old, new)
        except AssertionError:
            if await versions() == before:
                raise
    return await _look(records, old, new)


async def _look(records: Records, old: Mapping[str, Record], new: Mapping[str, Record]) -> set[bool]:
    state = await records.state(*old)
    assert list(state) == sorted(old), "a cancelled write has removed records, or made others"
    moved = {key for key, record in state.items() if record.version != old[key].version}
    for key, record in state.items():
        assert_same_record(record, (new if key in moved else old)[key], "after a cancellation")
    for records_of, keys in ((new, moved), (old, old.keys() - moved)):
        entries = dict(next(iter(records_of.values())).fields)
        number, text, listed = entries["n"], entries["t"], entries["l"]
        assert isinstance(text, str)
        assert isinstance(listed, tuple)
        expected = sorted(keys)
        for where in (
            Compare("n", Op.EQ, number),
            Compare("t", Op.STARTSWITH, text),
            Compare("l", Op.CONTAINS, listed[1]),
        ):
            assert await records.keys(where) == expected, "an index and its records disagree"
            assert await records.count(where) == len(expected), "an index and its records disagree"
    return {key in moved for key in old}


async def _no_half(env: Env, keys: int, *, atomic: bool, slowed: bool) -> None:
    plain = env.records()
    records = Records(at_speed(env.adapter, slowed=slowed), plain.reader, plain.name)
    end = env.clock.deadline(3600)
    created_at = env.clock()
    puts = _puts(records, 0, end, keys)
    await records.write(*puts)
    old = {put.key: _made(put, created_at, created_at) for put in puts}
    points = Points()
    while points.are_left:
        now = env.clock.advance(1)
        puts = _puts(records, points.number + 1, end, keys)
        new = {put.key: _made(put, created_at, now) for put in puts}
        made = await points.cancel(lambda puts=puts: records.write(*puts, atomic=atomic))  # type: ignore[misc]
        await promptly(records.put("another"), "a write after one that was cancelled")
        await records.delete("another")
        moved = await _expect_whole(records, old, new)
        assert len(moved) == 1 or not (atomic or keys == 1), "a cancelled atomic write was applied in part"
        if not made.is_delivered or not made.wait:
            assert moved == {not made.is_delivered}
        now = env.clock.advance(1)  # whatever became of it, go on from one state of all of them
        puts = _puts(records, 1000 + points.number, end, keys)
        await records.write(*puts)
        old = {put.key: _made(put, created_at, now) for put in puts}
    points.expect_tried(slowed=slowed, apart=atomic and not env.adapter.one_unit)


@case(
    "cancel.no_half_write",
    requires={"query", "ttl"},
    variants=at_both_speeds({"one": 1, "batch": 5}),
)
async def no_half_write(env: Env, tried: tuple[int, bool]) -> None:
    """A cancelled write leaves the old record or the new one: value, fields, indexes, deadline and version."""
    await _no_half(env, tried[0], atomic=False, slowed=tried[1])


@case(
    "cancel.no_half_batch",
    requires={"query", "ttl", "atomic_batch"},
    variants=at_both_speeds({"atomic": 5}),
)
async def no_half_batch(env: Env, tried: tuple[int, bool]) -> None:
    """A cancelled atomic batch is applied to all of its records or to none, entry by entry and index by index."""
    await _no_half(env, tried[0], atomic=True, slowed=tried[1])


# --- Before the start, all at once, and after the end -------------------------------------------------------


@case("cancel.before_start")
async def before_start(env: Env) -> None:
    """A task that is cancelled before it first runs has sent nothing."""
    # Opened past the environment, so that nothing stands between the call and the adapter's own method.
    adapter = await env.target.open(env.namespace, env.clock)
    try:
        records = env.records().through(adapter)
        await records.fill(["kept"])
        version = (await records.must_get("kept")).version
        changes: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: adapter.write(WriteBatch([records.a_put("kept", b"changed")])),
            lambda: adapter.write(WriteBatch([records.a_put("new"), records.a_delete("kept")])),
            lambda: adapter.set(records.name, "kept", b"changed"),
            lambda: adapter.delete(records.name, "kept"),
            lambda: adapter.set_batch([records.a_put("new")]),
            lambda: adapter.delete_batch(records.name, ["kept"]),
        )
        for change in changes:
            task = asyncio.ensure_future(change())
            task.cancel()
            with raises(asyncio.CancelledError):
                await task
            for _ in range(3):
                await asyncio.sleep(0)
            await records.expect({"kept": b"kept"}, "new")
            assert (await records.must_get("kept")).version == version, "a write that never began was applied"
    finally:
        await adapter.close()


async def _connections(env: Env) -> int | None:
    return (await env.target.raw(env.adapter)).connections if "raw" in env.target.hooks else None


async def _expect_connections(env: Env, most: int | None) -> None:
    """Expect no more connections than before; a server may need a moment to notice that one was closed."""
    now = await _connections(env)
    for _ in range(100):
        if most is None or now is None or now <= most:
            return
        await asyncio.sleep(0.01)
        now = await _connections(env)
    raise AssertionError(f"cancelled operations leak connections: {now} after {most}")


@case("cancel.pool_exhaustion", variants={"direct": False, "slowed": True})
async def pool_exhaustion(env: Env, slowed: bool) -> None:
    """Two hundred waiters cancelled at once give back what they held: the adapter answers, all are its own."""
    plain = env.records()
    records = Records(at_speed(env.adapter, slowed=slowed), plain.reader, plain.name)
    await records.fill(KEYS)
    written = {f"w{n}": b"w%d" % n for n in range(0, WAITERS, 2)}

    def begin() -> list[asyncio.Future[Any]]:
        operations: list[Coroutine[Any, Any, object]] = [
            records.put(f"w{n}", b"w%d" % n) if n % 2 == 0 else records.value(KEYS[n % 8])
            for n in range(WAITERS)
        ]
        return [asyncio.ensure_future(operation) for operation in operations]

    await asyncio.gather(*begin())
    await records.expect({**written, **{key: key.encode() for key in KEYS}})
    await records.adapter.delete_batch(records.name, written)
    connections = await _connections(env)
    for turns in range(1, 4):
        waiting = begin()
        for _ in range(turns):
            await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        ended = await promptly(asyncio.gather(*waiting, return_exceptions=True), "a cancelled operation")
        kinds = {type(one) for one in ended if isinstance(one, BaseException)}
        assert kinds <= {asyncio.CancelledError}, "a cancelled operation ends with another error"
        assert not slowed or turns > 2 or kinds, "nothing was cancelled: nothing was tried"
        found = await promptly(asyncio.gather(*map(records.value, KEYS * 4)), "a read after the cancellation")
        assert found == [key.encode() for key in KEYS * 4], "a read gets another one's answer"
        await promptly(records.put("after", b"%d" % turns), "a write after the cancellation")
        state = await promptly(_at_rest(records, "after", *KEYS, *written), "looking after the cancellation")
        assert state.pop("after").value == b"%d" % turns
        assert {key: r.value for key, r in state.items()}.items() <= ({**written, **_base()}).items()
        await _expect_connections(env, connections)


async def _at_rest(records: Records, *keys: str) -> dict[str, Record]:
    """Return what is there while nothing changes: a cancelled write may still be on its way."""
    while True:
        before = await records.read(*keys)
        try:
            state = await records.state(*keys)
        except AssertionError:
            if await records.read(*keys) == before:
                raise
        else:
            return state


def _base() -> dict[str, bytes]:
    return {key: key.encode() for key in KEYS}
