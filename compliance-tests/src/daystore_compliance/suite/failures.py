"""Failures: an error is an error. It is never a miss, never a success, and leaves nothing taken behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final

from daystore.abc import (
    Compare,
    Consistency,
    Op,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    StorageAdapter,
    WriteBatch,
)
from daystore.errors import (
    BackendUnavailable,
    BatchError,
    CorruptRecord,
    DaystoreError,
    OperationTimeout,
    OutcomeUnknown,
    VersionConflict,
)
from daystore.stores import Store
from daystore_compliance.case import Level, case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq
from daystore_compliance.records import Records
from daystore_compliance.stepping import PATIENCE, at_speed, cut, promptly
from daystore_compliance.transacting import NEEDS, begin, put
from daystore_compliance.wrappers import PartialSuccess, Wrapper

AT_ONCE: Final = 1e-9
"""A time limit that is over as soon as an operation waits for anything."""


def _store_on(env: Env, adapter: StorageAdapter, name: str, **options: Any) -> Store[Any]:
    """Return a store like those of the environment, on another adapter."""
    return env.target.store_type(adapter, name, **{**env.target.store_options, **options})


# --- An error is no miss ------------------------------------------------------------------------------------


async def _expect_raised(
    error: type[DaystoreError], attempts: Sequence[Callable[[], Awaitable[object]]]
) -> None:
    for attempt in attempts:
        with raises(error):
            await attempt()


def _reads(store: Store[Any], key: str) -> list[Callable[[], Awaitable[object]]]:
    """Return the ways to a value by its key."""
    return [
        lambda: store.get(key),
        lambda: store.get(key, "default"),
        lambda: store.entry(key),
        lambda: store.get_batch(["good", key]),
        lambda: store.entries([key, "missing"]),
    ]


def _updates(store: Store[Any], key: str) -> list[Callable[[], Awaitable[object]]]:
    """Return the ways to change a value that read it before."""
    return [
        lambda: store.update(key, {"n": 2}),
        lambda: store.update(key, lambda value: value),
        lambda: store.update(key, {"n": 2}, default={"n": 0}),
        lambda: store.update(key, lambda value: value, default=lambda: {"n": 0}),
    ]


def _queries(store: Store[Any]) -> list[Callable[[], Awaitable[object]]]:
    """Return the ways to values by query."""

    async def scan() -> None:
        async for _ in store.scan():
            pass

    return [
        lambda: store.all().execute(),
        lambda: store.where("n", ">=", 1).execute(),
        lambda: store.where("n", "=", 1).limit(5).execute(),
        lambda: store.all().page(10),
        lambda: store.where("other", "=", 1, allow_scan=True).execute(),
        lambda: store.where("other", "=", 1, allow_scan=True).count(),
        scan,
    ]


@case("err.not_a_miss", requires={"conditional", "query", "ttl"})
async def not_a_miss(env: Env) -> None:
    """A record that cannot be read is an error on every way to it, never missing, never written over."""
    store = env.store(indexes={"n": int})
    await store.set("good", {"n": 1})
    records = env.records(store.collection)
    sample = await records.must_get("good")
    bad = Put(store.collection, "bad", b"\xff{", content_type=sample.content_type, fields={"n": 1})
    await env.adapter.write(WriteBatch([bad]))
    before = await records.state("bad", "missing")
    await _expect_raised(CorruptRecord, [*_reads(store, "bad"), *_updates(store, "bad"), *_queries(store)])
    with raises(VersionConflict):
        await store.set("bad", {"n": 3}, if_absent=True)
    assert await store.exists("bad")
    assert await store.count() == 2
    after = await records.state("bad", "missing")
    assert list(after) == list(before)
    for key, record in before.items():
        assert_same_record(after[key], record, "after reading what cannot be read")
    changes: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: store.expire("bad", 60),
        lambda: store.persist("bad"),
    )
    for change in changes:
        with suppress(CorruptRecord):
            assert await change() is True, "a record that cannot be read is taken for missing"
        kept = (await records.state("bad"))["bad"]
        assert (kept.value, kept.content_type, dict(kept.fields)) == (bad.value, bad.content_type, {"n": 1})
    assert await store.get("good") == {"n": 1}


class _Unreachable(Wrapper):
    """Fails to read, as behind a network that is down. Writes would arrive, and are counted."""

    def __init__(self, adapter: StorageAdapter) -> None:
        super().__init__(adapter)
        self.written: int = 0

    def _down(self) -> BackendUnavailable:
        return BackendUnavailable("the backend cannot be reached", backend=self.name, operation="read")

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        raise self._down()

    async def _query(self, query: Query, consistency: Consistency) -> Page:
        raise self._down()

    async def _count(self, query: Query, consistency: Consistency) -> int:
        raise self._down()

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        self.written += 1
        return await super()._write(batch)


@case("err.unreachable_not_a_miss", requires={"conditional", "query", "ttl", "atomic_batch"})
async def unreachable_not_a_miss(env: Env) -> None:
    """A backend that cannot be read is an error: not a missing record, not a default, and no reason to write."""
    plain, storage = env.store(indexes={"n": int}), env.storage()
    await plain.set("good", {"n": 1})
    await plain.set("old", {"n": 2}, ttl=60)
    keys = await storage.memories.append("m", ["first", "second"])
    before = await env.records(plain.collection).state("good", "old", "new")
    down = _Unreachable(env.adapter)
    store = _store_on(env, down, plain.collection, indexes={"n": int}, ttl=30)
    memories = env.target.storage_type({"main": down}).memories
    await _expect_raised(
        BackendUnavailable,
        [
            *_reads(store, "good"),
            *_updates(store, "old"),
            *_updates(store, "new"),
            *_queries(store),
            lambda: store.exists("good"),
            lambda: store.ttl("old"),
            lambda: store.expire("old", 10),
            lambda: store.persist("old"),
            lambda: store.set("old", {"n": 3}, keep_ttl=True),
            store.count,
            store.clear,
            lambda: memories.append("m", ["third"]),
            lambda: memories.window("m"),
            lambda: memories.windows(["m"]),
            lambda: memories.count("m"),
        ],
    )
    assert down.written == 0, "something was written on the strength of a read that failed"
    after = await env.records(plain.collection).state("good", "old", "new")
    assert list(after) == list(before)
    for key, record in before.items():
        assert_same_record(after[key], record, "while the backend could not be read")
    assert await storage.memories.get_batch(keys) == dict(zip(keys, ["first", "second"], strict=True))
    assert await storage.memories.count() == 2


# --- OK that is not -----------------------------------------------------------------------------------------


async def _expect_batch_error(run: Callable[[], Awaitable[object]], failed: list[str]) -> None:
    """Expect an error that names exactly these keys, in the order of the batch."""
    with raises(BatchError) as caught:
        await run()
    assert list(caught.error.errors) == failed, "a batch does not name exactly what has failed"
    assert list(caught.error.failed) == failed
    assert {type(error) for error in caught.error.errors.values()} == {BackendUnavailable}


@case("batch.ok_with_failures", requires={"conditional", "query"})
async def ok_with_failures(env: Env) -> None:
    """Items that fail inside a batch the driver calls OK are reported: exactly those, and the others are done."""
    plain = env.store()
    keys = [f"k{n:02}" for n in range(12)]
    failing = keys[3::4]
    others = [key for key in keys if key not in failing]
    partial = PartialSuccess(env.adapter, failing)
    store = _store_on(env, partial, plain.collection)
    await plain.set_batch({key: {"old": key} for key in keys[:8]})
    before = await plain.entries(keys)

    await _expect_batch_error(
        lambda: store.set_batch({key: {"new": key} for key in reversed(keys)}), failing[::-1]
    )
    entries = await env.reading(plain).entries(keys)
    assert {key: entry.value for key, entry in entries.items()} == {
        **{key: {"old": key} for key in failing if key in before},
        **{key: {"new": key} for key in others},
    }
    for key, entry in entries.items():
        is_old = key in before and entry.version == before[key].version
        assert is_old == (key in failing), "a version does not say whether its item was written"
    versions = {key: await plain.set(key, {"next": key}, if_version=entries[key].version) for key in others}
    assert len(set(versions.values())) == len(others)
    with raises(BackendUnavailable):
        await store.set(failing[0], {"new": 1})
    with raises(BackendUnavailable):
        await store.delete(failing[0])

    await _expect_batch_error(lambda: store.delete_batch(keys[:4]), failing[:1])
    assert list(await plain.entries(keys)) == [key for key in keys[3:] if key in others or key in before]
    await _expect_batch_error(store.clear, [key for key in failing if key in before])
    left = await env.reading(plain).entries(keys)
    assert {key: entry.version for key, entry in left.items()} == {
        key: before[key].version for key in failing if key in before
    }
    assert await plain.clear() == len(left)
    assert len(partial.failed) > 2 * len(failing), "nothing failed: nothing was tried"


# --- Commits ------------------------------------------------------------------------------------------------


class _Refuses(Wrapper):
    """Refuses every atomic batch, before it is applied."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        if batch.atomic:
            raise BackendUnavailable("the commit was refused", backend=self.name, operation="write")
        return await super()._write(batch)


class _Unanswered(Wrapper):
    """Applies atomic batches, and then loses their answers."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        if batch.atomic:
            raise OutcomeUnknown("the answer was lost", backend=self.name, operation="write")
        return outcomes


@case("txn.store_failed_commit_raises", requires=NEEDS)
async def store_failed_commit_raises(env: Env) -> None:
    """A transaction of stores whose commit fails raises; one that may have been applied is not run again."""
    env.storage()
    for adapter, error, applied in (
        (_Refuses(env.adapter), BackendUnavailable, False),
        (_Unanswered(env.adapter), OutcomeUnknown, True),
    ):
        storage = env.target.storage_type({"main": adapter})
        key = error.__name__
        runs = 0

        async def body(tx: Any, key: str = key) -> None:
            nonlocal runs
            runs += 1
            await tx.memories.set(key, {"n": await tx.memories.get(key, 0)})

        with raises(error):
            await storage.transaction(body)
        assert runs == 1, "a transaction whose outcome is not a conflict was run again"
        assert await storage.memories.get(key, "none") == ({"n": 0} if applied else "none")
        if not applied:
            with raises(error):
                async with storage.transaction() as tx:
                    await body(tx)
            assert await storage.memories.get(key, "none") == "none"


async def _expect_timeout(run: Callable[[], Awaitable[object]], error: type[Exception]) -> bool:
    """Run what may time out, and tell whether it did; another error is a failure."""
    raised: DaystoreError | None = None
    try:
        await run()
    except DaystoreError as failure:
        raised = failure
    if raised is None:
        return False
    assert type(raised) is error, f"a time-out is {error.__name__}, not {type(raised).__name__}"
    return True


@case("txn.timeout_releases", requires=NEEDS, variants={"direct": False, "slowed": True})
async def timeout_releases(env: Env, slowed: bool) -> None:
    """What times out, in a transaction or outside, raises, and gives back every lock and connection at once."""
    plain = env.records()
    adapter = at_speed(await env.open(env.namespace), slowed=slowed)
    records = plain.through(adapter)
    await records.fill(["kept"])
    usual = adapter.timeout
    timeouts = 0

    async def transact() -> None:
        async with begin(records) as tx:
            await tx.read(records.name, ["kept"])
            await put(tx, records, "kept", b"kept")

    async def commit() -> None:
        adapter.timeout = usual
        async with begin(records) as tx:
            await tx.read(records.name, ["kept"])
            await put(tx, records, "kept", b"kept")
            adapter.timeout = AT_ONCE

    for number in range(env.scale(10, 100)):
        for run, error in (
            (lambda: records.get("kept"), OperationTimeout),
            (records.count, OperationTimeout),
            (lambda: records.put("kept", b"kept"), OutcomeUnknown),
            (transact, OperationTimeout),
            (commit, OutcomeUnknown),
        ):
            adapter.timeout = AT_ONCE
            try:
                timeouts += await _expect_timeout(run, error)
            finally:
                adapter.timeout = usual
            value = await promptly(records.value("kept"), "a read after a time-out")
            assert value == b"kept", "a time-out leaves what is neither old nor new"
        await promptly(records.put(f"new-{number}"), "a write after a time-out")
        await promptly(plain.put("kept", b"kept"), "another adapter's write after a time-out")
        await promptly(transact(), "a transaction after a time-out")
    waits = (await cut(lambda: records.get("kept"), 1)).is_delivered  # else there is nothing to time out
    assert waits or not slowed
    assert timeouts or not waits, "nothing timed out: nothing was tried"
    await records.expect({"kept": b"kept", **{f"new-{n}": b"value" for n in range(env.scale(10, 100))}})


# --- Left half-way ------------------------------------------------------------------------------------------


def _descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def _connections(env: Env) -> int | None:
    return (await env.target.raw(env.adapter)).connections if "raw" in env.target.hooks else None


@case("page.abandoned_iterator", requires={"query"})
async def abandoned_iterator(env: Env) -> None:
    """An iteration that is closed, left or cancelled half-way, two hundred times, holds nothing afterwards."""
    store = env.store(indexes={"n": int})
    await store.set_batch({f"k{n}": {"n": n} for n in range(6)})
    large = env.store()
    await large.set_batch({f"k{n:04}": n for n in range(1_001)})  # more than a page: it would go on
    records = env.records(large.collection)

    async def leave(store: Store[Any], number: int) -> None:
        async with aclosing(store.scan()) as entries:
            assert (await anext(entries)).key.startswith("k")
        async for entry in store.scan():
            assert entry.value is not None
            break
        unfinished = store.scan()
        await anext(unfinished)
        await unfinished.aclose()
        task = asyncio.ensure_future(anext(store.scan()))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        page = await records.page(limit=2)
        assert len(page.records) == 2
        assert page.cursor is not None, "there are more records, so there is something to abandon"

    await leave(large, 3)
    before = (_descriptors(), threading.active_count(), await _connections(env))
    for number in range(200):
        await leave(store, number)
    for number in range(env.scale(1, 50)):
        await leave(large, number)
    for _ in range(10):  # what was left to the garbage collector is closed by the event loop
        await asyncio.sleep(0)
    after = (_descriptors(), threading.active_count(), await _connections(env))
    assert after[0] <= before[0] + 8, "iterations that were left hold file descriptors"
    assert after[1] <= before[1] + 8, "iterations that were left hold threads"
    assert after[2] is None or before[2] is None or after[2] <= before[2] + 8, "… hold connections"
    await promptly(store.set("k0", {"n": 100}), "a write after iterations that were left")
    patience = env.target.case_seconds / 6  # where every record costs a request, this takes a while
    assert await promptly(large.clear(), "deleting after iterations that were left", patience) == 1_001
    assert [entry.value["n"] async for entry in store.scan()] == [100, 1, 2, 3, 4, 5]


# --- Another event loop -------------------------------------------------------------------------------------


async def _elsewhere(work: Callable[[], Awaitable[object]]) -> list[BaseException]:
    """Run work on an event loop of another thread, and return what it raised. It may not hang."""
    errors: list[BaseException] = []

    def live() -> None:
        try:
            asyncio.run(_run())
        except BaseException as error:  # noqa: BLE001 -- it is the case's to judge
            errors.append(error)

    async def _run() -> None:
        await promptly(work(), "an adapter used from a second event loop")

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, 2 * PATIENCE)
    assert not thread.is_alive(), "an adapter used from a second event loop blocks its thread"
    return errors


@case("life.two_loops", level=Level.SHOULD)
async def two_loops(env: Env) -> None:
    """An adapter used from a second event loop answers right or refuses with a daystore error; it never hangs."""
    records = env.records()
    records = Records(env.adapter, env.adapter, records.name)
    known = {f"k{n}": b"value %d" % n for n in range(5)}
    await records.adapter.set_batch([records.a_put(key, value) for key, value in known.items()])
    wrote: list[str] = []

    async def write(key: str) -> None:
        await records.put(key, b"elsewhere")
        wrote.append(key)

    async def read() -> None:
        found = await asyncio.gather(*map(records.value, known))
        assert found == list(known.values()), "a second event loop gets other answers"
        assert await records.value("missing") is None

    async def find() -> None:
        if env.capabilities.query:
            assert await records.keys(Compare("key", Op.STARTSWITH, "k")) == list(known)

    await read()  # here first: an adapter may belong to the loop on which it is used first
    for number in range(3):
        for work in (read, lambda n=number: write(f"new-{n}"), find):
            for error in await _elsewhere(work):
                assert isinstance(error, (AssertionError, DaystoreError)), (
                    f"a second event loop meets {type(error).__name__}, which is no error of daystore"
                )
                if isinstance(error, AssertionError):
                    raise error
        await promptly(read(), "the first event loop, after a second one")
        await promptly(records.put("own", b"%d" % number), "the first event loop, after a second one")
    expected = {**known, "own": b"2", **dict.fromkeys(wrote, b"elsewhere")}
    state = await records.state(*expected, "new-0", "new-1", "new-2")
    found = {key: record.value for key, record in state.items()}
    assert strict_eq({key: found[key] for key in expected}, expected)
    assert found.keys() - expected.keys() <= {"new-0", "new-1", "new-2"}
