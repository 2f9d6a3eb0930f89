"""The coordinated commit, step by step; that it keeps its promise whatever happens is the simulator's business."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    EVENTUAL,
    KEEP,
    STRONG,
    Check,
    Delete,
    Outcome,
    Prepare,
    Put,
    Query,
    WriteBatch,
)
from daystore.abc.coordination import STATUS_COLLECTION, Coordinator, Intent, Status, StatusLog
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    BackendUnavailable,
    CorruptRecord,
    OutcomeUnknown,
    TransactionConflict,
    UnsupportedOperation,
    VersionConflict,
)
from daystore.storage import Storage
from daystore.transactions.joint import CommitPlan

NAME = bytes(range(16))
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


class Singles(MemoryAdapter):
    """Applies one operation after the other, and notes every request."""

    one_unit: bool = False
    fails: Callable[[WriteBatch], BaseException | None] = staticmethod(lambda _batch: None)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.requests: list[str] = []

    def _new_coordinator(self) -> Coordinator | None:
        return Coordinator(self._participant(), self._neighbour, lease=0.05)

    def _atomic_unit(self, collection: str, key: str) -> Hashable:
        return collection, key

    async def _read(self, collection: str, keys: Any, consistency: Any) -> Any:
        self.requests.append(f"read {collection}")
        await asyncio.sleep(0)
        return await super()._read(collection, keys, consistency)

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        kinds = sorted({type(one).__name__ for one in batch.operations})
        self.requests.append(f"{'/'.join(kinds)} {batch.operations[0].collection}")
        await asyncio.sleep(0)
        outcomes: list[Outcome] = []
        for one in batch.operations:
            outcomes += await super()._write(WriteBatch([one]))
        if (failure := self.fails(batch)) is not None:
            raise failure
        return outcomes


async def statuses(adapter: MemoryAdapter) -> int:
    return len((await adapter.query(Query(STATUS_COLLECTION))).records)


@pytest.mark.parametrize(
    "change",
    [
        None,
        Delete("notes", "k"),
        Put("notes", "k", b""),
        Put(
            "notes",
            "k",
            bytes(range(256)) * 300,
            expires_at=5_000,
            content_type="a/b; c=\u00e9",
            fields={
                "s": "x\0y",
                "i": -1,
                "f": 0.5,
                "b": True,
                "t": datetime(2026, 1, 2, tzinfo=UTC),
                "l": ("a", ""),
            },
            schema="S",
            schema_version=2**63 - 1,
            encodings=("zstd", "a,b"),
        ),
        Put("notes", "k", b"1", expires_at=KEEP, schema=""),
    ],
)
def test_an_intent_comes_back_as_it_was(change: Any) -> None:
    intent = Intent(NAME, "main \u00e9", change)
    packed = intent.pack()
    assert packed.startswith(NAME)
    assert Intent.unpack(packed, "notes", "k") == intent


@pytest.mark.parametrize(("keep", "version"), [(17, b"\x01"), (25, b"\x01"), (1000, b"\x02")])
def test_a_damaged_intent_is_told(keep: int, version: bytes) -> None:
    packed = Intent(NAME, "", Put("notes", "k", b"1")).pack()
    damaged = (packed[:16] + version + packed[17:])[:keep]
    with pytest.raises(CorruptRecord):
        Intent.unpack(damaged, "notes", "k")


async def test_a_commit_takes_three_round_trips_after_the_reads() -> None:
    async with Singles() as adapter:
        await adapter.set("notes", "a", b"0")
        await adapter.set("notes", "b", b"0")
        async with adapter.transaction() as tx:
            await tx.read("notes", ["a", "b"])
            await tx.write([Put("notes", "a", b"1"), Put("notes", "b", b"1")])
            await asyncio.sleep(0.01)  # an agent thinks; the status record is created meanwhile
            adapter.requests.clear()
        assert adapter.requests[:3] == ["Prepare notes", f"Put {STATUS_COLLECTION}", "Put notes"]
        assert [r.value for r in (await adapter.query(Query("notes"))).records] == [b"1", b"1"]
        await asyncio.sleep(0.01)
        assert adapter.requests[3:] == [f"Delete {STATUS_COLLECTION}"]
        assert await statuses(adapter) == 0


async def test_a_conflict_leaves_nothing_and_names_the_operation() -> None:
    async with Singles() as adapter:
        await adapter.set("notes", "b", b"0")
        batch = WriteBatch(
            [Put("notes", "a", b"1"), Put("notes", "b", b"1", ABSENT), Delete("notes", "c")], atomic=True
        )
        with pytest.raises(VersionConflict) as caught:
            await adapter.write(batch)
        assert (caught.value.key, caught.value.index) == ("b", 1)
        with pytest.raises(VersionConflict) as caught:
            await adapter.write(
                WriteBatch([Put("notes", "a", b"1"), Check("notes", "b", "stale")], atomic=True)
            )
        assert (caught.value.key, caught.value.index) == ("b", 1)
        assert await adapter.get("notes", "a") is None
        assert await adapter._prepared(None) == []
        assert await statuses(adapter) == 0


async def test_a_prepare_whose_answer_is_lost_is_looked_for() -> None:
    async with Singles() as adapter:
        adapter.fails = lambda batch: (
            OutcomeUnknown("lost") if isinstance(batch.operations[0], Prepare) else None
        )
        outcomes = await adapter.write(
            WriteBatch([Put("notes", "a", b"1"), Delete("notes", "b")], atomic=True)
        )
        assert [one.existed for one in outcomes] == [False, False]
        assert (await adapter.get_batch("notes", ["a"]))["a"].value == b"1"


async def test_a_commit_whose_answer_is_lost_has_one_outcome_that_is_told() -> None:
    async with Singles() as adapter:
        lost = 0

        def fails(batch: WriteBatch) -> BaseException | None:
            nonlocal lost
            (operation, *_) = batch.operations
            if isinstance(operation, Put) and b"committed" in operation.value and not lost:
                lost += 1
                return OutcomeUnknown("lost")
            return None

        adapter.fails = fails
        await adapter.write(WriteBatch([Put("notes", "a", b"1"), Put("notes", "b", b"1")], atomic=True))
        assert lost == 1
        assert len(await adapter.get_batch("notes", ["a", "b"])) == 2


async def prepared(adapter: MemoryAdapter, status: Status | None, change: Any) -> StatusLog:
    """Leave behind what the owner of a transaction has when it dies."""
    assert adapter.coordinator is not None
    log = StatusLog(adapter.coordinator.participant)
    version = await log.create(NAME)
    await adapter._write(WriteBatch([Prepare("notes", "k", Intent(NAME, "", change).pack())]))
    if status is None:
        await log.remove(NAME, version)
    elif status is not Status.PENDING:
        await log.change(NAME, version, status, [("", "notes", "k")])
    return log


@pytest.mark.parametrize("consistency", ["eventual", "strong"])
@pytest.mark.parametrize(
    ("status", "value"), [(Status.COMMITTED, b"new"), (Status.ABORTED, b"old"), (None, b"old")]
)
async def test_a_reader_ends_what_was_decided(consistency: str, status: Status | None, value: bytes) -> None:
    async with Singles() as adapter:
        await adapter.set("notes", "k", b"old")
        await prepared(adapter, status, Put("notes", "k", b"new"))
        level = STRONG if consistency == "strong" else EVENTUAL
        record = await adapter.get("notes", "k", level)
        assert record is not None
        assert (record.value, record.intent) == (value, None)
        assert await adapter._prepared(None) == []


async def test_a_strong_reader_waits_for_the_living_and_gives_up_the_dead_after_the_lease() -> None:
    async with Singles() as adapter:
        await adapter.set("notes", "k", b"old")
        await prepared(adapter, Status.PENDING, Put("notes", "k", b"new"))
        eventual = await adapter.get("notes", "k")
        assert eventual is not None
        assert eventual.value == b"old"
        before = asyncio.get_running_loop().time()
        strong = await adapter.get("notes", "k", STRONG)
        assert strong is not None
        assert (strong.value, strong.intent) == (b"old", None)
        assert asyncio.get_running_loop().time() - before >= 0.04


async def recovered(coordinator: Coordinator) -> None:
    """Look again and again until nothing is left: a lease has to pass."""
    async with asyncio.timeout(10):
        left = 1
        while left:
            left = await coordinator.recover()
            await asyncio.sleep(0.01)


async def test_recovery_applies_what_was_committed_and_forgets_it() -> None:
    async with Singles() as adapter:
        await adapter.set("notes", "k", b"old")
        await prepared(adapter, Status.COMMITTED, Put("notes", "k", b"new"))
        assert adapter.coordinator is not None
        await recovered(adapter.coordinator)
        assert await adapter._prepared(None) == []
        assert await statuses(adapter) == 0
        assert (await adapter.get_batch("notes", ["k"]))["k"].value == b"new"


async def test_a_cancelled_commit_runs_on_to_its_end() -> None:
    async with Singles() as adapter:
        batch = WriteBatch([Put("notes", "a", b"1"), Put("notes", "b", b"1")], atomic=True)
        task = asyncio.ensure_future(adapter.write(batch))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await adapter.close()
        await adapter.open()
        assert len(await adapter.get_batch("notes", ["a", "b"])) in (0, 2)
        assert await adapter._prepared(None) == []
        assert await statuses(adapter) == 0


async def test_a_transaction_that_cannot_be_ended_gives_no_sign_of_life() -> None:
    """Otherwise its heart would beat as long as the process lives, and nobody could ever give it up."""
    async with Singles(timeout=0.05) as adapter:

        def fails(batch: WriteBatch) -> BaseException | None:
            status = batch.operations[0].collection == STATUS_COLLECTION
            return BackendUnavailable("down") if down and status else None

        down = False
        adapter.fails = fails

        async def break_down(batch: WriteBatch) -> list[Outcome]:
            nonlocal down
            down = down or isinstance(batch.operations[0], Prepare)
            return await Singles._write(adapter, batch)

        adapter._write = break_down  # type: ignore[method-assign]
        adapter._coordinator = adapter._new_coordinator()
        with pytest.raises(OutcomeUnknown):
            await adapter.write(WriteBatch([Put("notes", "a", b"1"), Put("notes", "b", b"1")], atomic=True))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, lasting = await asyncio.wait(others, timeout=5)
            assert not lasting


async def test_closing_leaves_a_commit_to_others_whose_backend_does_not_answer() -> None:
    """Close takes no longer than one request may; what was decided is still there, and who waits is told so."""
    shelf = MemoryAdapter()

    class Stuck(Singles):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            if isinstance(batch.operations[0], Put | Delete) and batch.operations[0].collection == "notes":
                deciding.set()
                await asyncio.Event().wait()
            return await super()._write(batch)

    deciding = asyncio.Event()
    async with shelf:
        adapter = Stuck(timeout=None)
        adapter._collections = shelf._collections
        await adapter.open()
        batch = WriteBatch([Put("notes", "a", b"1"), Put("notes", "b", b"1")], atomic=True)
        writing = asyncio.ensure_future(adapter.write(batch))
        await asyncio.wait_for(deciding.wait(), 5)
        adapter.timeout = 0.05
        await asyncio.wait_for(adapter.close(), 5)
        with pytest.raises(OutcomeUnknown):
            await writing
        assert asyncio.all_tasks() == {asyncio.current_task()}

        async with Singles() as later:
            later._collections = shelf._collections
            assert (await later.get_batch("notes", ["a", "b"])).keys() == {"a", "b"}


async def test_an_unknown_coordinator_is_told_to_the_strong_and_no_matter_to_the_others() -> None:
    async with Singles() as adapter:
        await adapter.set("notes", "k", b"old")
        intent = Intent(NAME, "elsewhere", Delete("notes", "k"))
        await adapter._write(WriteBatch([Prepare("notes", "k", intent.pack())]))
        with pytest.raises(BackendUnavailable, match="'elsewhere'"):
            await adapter.get("notes", "k", STRONG)
        assert (await adapter.get_batch("notes", ["k"]))["k"].value == b"old"


# --- Several backends -----------------------------------------------------------------------------------------


class Durable(Singles):
    capabilities = replace(MemoryAdapter.capabilities, durable=True)


async def test_stores_of_two_backends_commit_together() -> None:
    async with Storage({"fast": MemoryAdapter(), "safe": Durable()}) as storage:
        here = storage.store("here")
        there = type(here)(storage._backends["safe"], "there")
        async with storage.transaction() as tx:
            assert tx.explain() == CommitPlan("nothing", (), None, durable=True)
            await tx[here].set("a", 1)
            assert tx.explain() == CommitPlan("atomic", ("fast",), None, durable=False)
            await tx[there].set("b", 2)
            assert tx.explain() == CommitPlan("coordinated", ("fast", "safe"), "safe", durable=False)
        assert (await here.get("a"), await there.get("b")) == (1, 2)
        with pytest.raises(TransactionConflict):
            async with storage.transaction() as tx:
                assert await tx[here].get("a") == 1
                await tx[there].set("b", 3)
                await here.set("a", 5)
        assert (await here.get("a"), await there.get("b")) == (5, 2)
        with pytest.raises(ZeroDivisionError):
            async with storage.transaction() as tx:
                await tx[here].set("a", 6)
                await tx[there].set("b", 6)
                raise ZeroDivisionError
        assert (await here.get("a"), await there.get("b")) == (5, 2)
        for adapter in storage._backends.values():
            assert await adapter._prepared(None) == []


async def test_the_coordinator_can_be_chosen_and_has_to_be_there() -> None:
    async with Storage({"a": MemoryAdapter(), "b": MemoryAdapter()}, coordinator="b") as storage:
        here = storage.store("here")
        there = type(here)(storage._backends["b"], "there")
        async with storage.transaction() as tx:
            await tx[here].set("a", 1)
            await tx[there].set("b", 2)
            assert tx.explain().coordinator == "b"
    with pytest.raises(ValueError, match="'c'"):
        Storage({"a": MemoryAdapter()}, coordinator="c")


async def test_a_backend_that_keeps_no_intents_is_refused_beside_another_one() -> None:
    class Bare(MemoryAdapter):
        capabilities = MemoryAdapter.capabilities.__class__(
            conditional=True, atomic_batch=True, transactions=True
        )

    async with Storage({"a": MemoryAdapter(), "b": Bare()}) as storage:
        here = storage.store("here")
        there = type(here)(storage._backends["b"], "there")
        with pytest.raises(UnsupportedOperation, match="intents"):
            async with storage.transaction() as tx:
                await tx[here].set("a", 1)
                await tx[there].set("b", 2)
        assert await here.get("a") is None


@pytest.mark.parametrize("coordinator", [None, "one", "two", "third"])
async def test_a_transaction_over_several_backends_makes_one_status_record(coordinator: str | None) -> None:
    """Only the backend that decides gets one, also where another has been written to before it was known."""
    backends = {name: Singles() for name in ("one", "two", "third")}
    async with Storage(backends, coordinator=coordinator) as storage:
        one = storage.store("notes")
        two = type(one)(backends["two"], "notes")
        async with storage.transaction() as tx:
            await tx[one].set("k", 1)
            await tx[two].set("k", 2)
        assert (await one.get("k"), await two.get("k")) == (1, 2)
        assert [await statuses(adapter) for adapter in backends.values()] == [0, 0, 0]
    made = {name: adapter.requests.count(f"Put {STATUS_COLLECTION}") for name, adapter in backends.items()}
    chosen = coordinator or "one"
    # it is made, and changed when it is decided; what was begun alone before the other joined is given up
    expected = dict.fromkeys(backends, 0) | {chosen: 2}
    if chosen != "one":
        expected["one"] = made["one"]
        assert made["one"] <= 1
    assert made == expected


@pytest.mark.parametrize("turns", range(1, 12))
def test_no_cancelled_atomic_batch_lands_after_a_later_write(turns: int) -> None:
    """Wherever its commit is when its caller is cancelled, also before it has prepared anything."""

    async def main() -> None:
        async with Singles() as adapter:
            batch = WriteBatch([Put("notes", "a", b"old"), Put("notes", "b", b"old")], atomic=True)
            writing = asyncio.create_task(adapter.write(batch))
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
            await adapter.set("notes", "a", b"new")
            coordinator = adapter.coordinator
            assert coordinator is not None
            await coordinator.drain(None)
            assert not coordinator.outliving, "what has ended is still waited for"
            record = await adapter.get("notes", "a")
            assert record is not None
            assert record.value == b"new"

    asyncio.run(main())
