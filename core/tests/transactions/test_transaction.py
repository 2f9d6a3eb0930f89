"""Transactions over stores: what they see, what they leave behind, and what they refuse."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from daystore import Context, Count, Q, QueryFilter, Sum
from daystore.abc import Capabilities, Limits, Outcome, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    ConfigError,
    LimitExceeded,
    OutcomeUnknown,
    SerializationError,
    StoreClosed,
    TransactionClosed,
    TransactionConflict,
    UnsupportedOperation,
    VersionConflict,
)
from daystore.storage import Storage
from daystore.transactions import Transaction


@dataclass
class Note:
    topic: str
    n: int = 0


@pytest.fixture
def storage(adapter: Any) -> Storage:
    storage = Storage({"main": adapter})
    storage.store("notes", Note, indexes=["topic", "n"])
    return storage


async def test_everything_of_a_block_appears_at_once(storage: Storage) -> None:
    notes = storage.store("notes")
    async with storage.transaction() as tx:
        await tx.store("notes").set_batch({"a": Note("x"), "b": Note("x")})
        await tx.contexts.set("c1", Context("c1"))
        await tx.memories.append("c1", ["first", "second"])
        await tx.events.emit("context.created", {"context_id": "c1"})
        assert await notes.count() == await storage.contexts.count() == 0
        assert await storage.memories.count() == await storage.events.count() == 0
    assert await notes.count() == 2
    assert await storage.contexts.exists("c1")
    assert await storage.memories.window("c1") == ["first", "second"]
    assert [event.type for event in await storage.events.read(context_id="c1")] == ["context.created"]


async def test_a_commit_is_one_write(storage: Storage, adapter: Any) -> None:
    async with storage.transaction() as tx:
        await tx.store("notes").get("a")
        await tx.store("notes").set("b", Note("x"))
        await tx.memories.append("m", [1])
        await tx.events.emit("e")
        assert "write" not in adapter.calls
    assert adapter.calls.count("write") == 1
    assert adapter.batches[0].atomic


async def test_an_error_leaves_nothing_behind_and_goes_on(storage: Storage, adapter: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with storage.transaction() as tx:
            await tx.store("notes").set("a", Note("x"))
            raise ZeroDivisionError
    assert "write" not in adapter.calls


async def test_abort_leaves_nothing_behind(storage: Storage) -> None:
    async with storage.transaction() as tx:
        await tx.store("notes").set("a", Note("x"))
        tx.abort()
        with pytest.raises(TransactionClosed):
            await tx.store("notes").get("a")
    assert await storage.store("notes").count() == 0


async def test_the_whole_surface_sees_the_transaction_s_own_writes(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    await notes.set_batch({"a": Note("x", 1), "b": Note("x", 2), "c": Note("y", 3)})
    async with storage.transaction() as tx:
        inside = tx[notes]
        assert inside is tx.store("notes")
        version = await inside.set("d", Note("x", 4))
        assert await inside.update("a", {"n": 10}) == Note("x", 10)
        assert await inside.update("a", lambda note: Note(note.topic, note.n + 1)) == Note("x", 11)
        assert await inside.delete("b")
        assert not await inside.delete("b")
        assert not await inside.delete("missing")
        assert await inside.delete_batch(["c", "missing"]) == 1
        assert await inside.set_batch([("e", Note("z", 5))])
        assert await inside.get("a") == Note("x", 11)
        assert await inside.get("b") is None
        assert await inside.get_batch(["e", "b", "d"]) == {"e": Note("z", 5), "d": Note("x", 4)}
        assert await inside.exists("e")
        entry = await inside.entry("d")
        assert entry is not None
        assert entry.version == version
        assert await inside.where("topic", "=", "x").order_by("n", "desc").keys() == ["a", "d"]
        assert await inside.query(QueryFilter(tags={"topic": "z"})) == [Note("z", 5)]
        assert await inside.where(Q("n", ">", 4)).limit(1).keys() == ["a"]
        assert await inside.count() == 3
        assert [found.key async for found in inside.scan()] == ["a", "d", "e"]
        stats = inside.aggregate(count=Count(), total=Sum("n"))
        assert await stats.execute() == {"count": 3, "total": 20}
        assert (await stats.group_by("topic").execute())[0] == {"topic": "x", "count": 2, "total": 15}
        assert await inside.expire("e", 60)
        assert await inside.ttl("e") is not None
        assert await inside.persist("e")
        assert await notes.get("a") == Note("x", 1)  # outside nothing has changed
    assert await notes.all().keys() == ["a", "d", "e"]
    after = await notes.entry("d")
    assert after is not None
    assert after.version == version
    async with storage.transaction() as tx:
        assert await tx[notes].clear() == 3
        assert await tx[notes].count() == 0
    assert await notes.count() == 0


async def test_memories_inside_see_their_own_appends(storage: Storage) -> None:
    await storage.memories.append("m", [1])
    async with storage.transaction() as tx:
        await tx.memories.append("m", [2])
        await tx.memories.append("m", [3, 4])
        await tx.memories.append("new", ["a"])
        assert await tx.memories.window("m", 3) == [2, 3, 4]
        assert await tx.memories.windows(["m", "new"], 2) == {"m": [3, 4], "new": ["a"]}
        assert await tx.memories.count("m") == 4
        await tx.contexts.set("m", Context("m"))
        (context,) = await tx.contexts.all().include("working_memory").execute()
        assert context.working_memory == [1, 2, 3, 4]
    assert await storage.memories.window("m") == [1, 2, 3, 4]
    async with storage.transaction() as tx:
        assert await tx.memories.clear("m") == 4
    assert await storage.memories.count() == 1


async def test_two_that_append_to_one_memory_do_not_overwrite_each_other(storage: Storage) -> None:
    await storage.memories.append("m", ["first"])
    with pytest.raises(TransactionConflict):
        async with storage.transaction() as tx:
            await tx.memories.append("m", ["inside"])
            await storage.memories.append("m", ["outside"])
    assert await storage.memories.window("m") == ["first", "outside"]


@pytest.mark.parametrize("read", ["get", "missing", "query", "count", "nothing found"])
async def test_a_change_of_what_was_read_is_a_conflict(storage: Storage, read: str) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    await notes.set("a", Note("x"))
    with pytest.raises(TransactionConflict) as conflict:
        async with storage.transaction() as tx:
            match read:
                case "get":
                    await tx[notes].get("a")
                    await notes.set("a", Note("x", 1))
                case "missing":
                    await tx[notes].get("b")
                    await notes.set("b", Note("x"))
                case "query":
                    await tx[notes].where("topic", "=", "x").execute()
                    await notes.set("b", Note("x"))
                case "count":
                    await tx[notes].count()
                    await notes.delete("a")
                case _:
                    await tx[notes].where("topic", "=", "z").execute()
                    await notes.set("z", Note("z"))
            await tx[notes].set("result", Note("r"))
    assert conflict.value.retryable
    assert not await notes.exists("result")


async def test_what_was_written_and_not_read_is_no_conflict(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    async with storage.transaction() as tx:
        await tx[notes].set("a", Note("inside"))
        await notes.set("a", Note("outside"))
    assert await notes.get("a") == Note("inside")


async def test_conditions_inside_are_judged_by_what_the_transaction_sees(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    version = await notes.set("a", Note("x"))
    async with storage.transaction() as tx:
        with pytest.raises(VersionConflict):
            await tx[notes].set("a", Note("y"), if_absent=True)
        own = await tx[notes].set("a", Note("y"), if_version=version)
        with pytest.raises(VersionConflict):
            await tx[notes].delete("a", if_version=version)
        await tx[notes].set("a", Note("z"), if_version=own)
    assert await notes.get("a") == Note("z")


async def test_a_body_runs_again_with_fresh_reads_until_it_gets_through(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    await notes.set("a", Note("x"))
    ran = 0

    async def body(tx: Transaction) -> int:
        nonlocal ran
        ran += 1
        note = await tx[notes].get("a")
        assert note is not None
        if ran < 3:
            await notes.set("a", Note("x", note.n + 10))
        await tx[notes].set("a", Note("x", note.n + 1))
        return note.n

    assert await storage.transaction(body) == 20
    assert ran == 3
    assert await notes.get("a") == Note("x", 21)


async def test_sixteen_tasks_with_fifty_transactions_each_are_exact(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    await notes.set("a", Note("x"))
    ran = 0

    async def body(tx: Transaction) -> None:
        nonlocal ran
        ran += 1
        note = await tx[notes].get("a")
        assert note is not None
        await tx[notes].set("a", Note("x", note.n + 1))

    async def many() -> None:
        for _ in range(50):
            await storage.transaction(body)

    await asyncio.gather(*(many() for _ in range(16)))
    assert await notes.get("a") == Note("x", 800)
    assert ran > 800  # there were conflicts


@pytest.mark.parametrize(
    ("limits", "most"), [({"attempts": 3}, 3), ({"deadline": 0.05}, None), ({"deadline": 0}, 1)]
)
async def test_it_gives_up_in_the_end(storage: Storage, limits: Any, most: int | None) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    ran = 0

    async def body(tx: Transaction) -> None:
        nonlocal ran
        ran += 1
        await tx[notes].get("a")
        await notes.set("a", Note("x", ran))
        await tx[notes].set("b", Note("x"))

    with pytest.raises(TransactionConflict):
        await storage.transaction(body, **limits)
    assert ran == (most or ran)
    assert ran > 1 or limits == {"deadline": 0}
    assert not await notes.exists("b")


async def test_pauses_are_random_and_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    from daystore.transactions.retry import Retry

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("daystore.transactions.retry.asyncio.sleep", sleep)
    for _ in range(200):
        attempts = Retry(attempts=12).start()
        while await attempts.again():
            pass
        assert attempts.made == 12
    for nth in range(11):
        longest = min(0.005 * 1.5 ** (nth + 1), 0.5)
        own = pauses[nth::11]
        assert all(0 <= pause <= longest for pause in own)
        assert max(own) > longest * 0.8
        assert min(own) < longest * 0.2
    with pytest.raises(ValueError, match="at least one attempt"):
        Retry(attempts=0)


async def test_another_error_than_a_conflict_is_not_tried_again(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    await notes.set("a", Note("x"))
    ran = 0

    async def body(tx: Transaction) -> None:
        nonlocal ran
        ran += 1
        await tx[notes].set("a", Note("y"), if_version="stale")

    with pytest.raises(VersionConflict):
        await storage.transaction(body)
    assert ran == 1


async def test_an_unknown_outcome_is_told_and_not_tried_again(clock: Any) -> None:
    class Lost(MemoryAdapter):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            await super()._write(batch)
            raise OutcomeUnknown("no reply")

    storage = Storage({"main": Lost(clock=clock)})
    ran = 0

    async def body(tx: Transaction) -> None:
        nonlocal ran
        ran += 1
        await tx.events.emit("a")

    async with storage:
        with pytest.raises(OutcomeUnknown):
            await storage.transaction(body)
        assert ran == 1
        assert await storage.events.count() == 1


async def test_a_conflict_that_is_caught_and_ignored_is_not_taken_for_success(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    await notes.set("a", Note("x"))
    with pytest.raises(TransactionClosed):
        async with storage.transaction() as tx:
            await tx[notes].set("b", Note("x"))
            await tx[notes].get("a")
            await notes.set("a", Note("x", 1))
            with pytest.raises(TransactionConflict):
                await tx[notes].where("topic", "=", "x").execute()
    assert not await notes.exists("b")


async def test_after_the_end_every_method_is_refused(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    async with storage.transaction() as tx:
        view, memories = tx[notes], tx.memories
        query = view.where("topic", "=", "x")
    calls = [
        view.get("a"),
        view.get_batch([]),
        view.entry("a"),
        view.exists("a"),
        view.set("a", Note("x")),
        view.set_batch({}),
        view.delete("a"),
        view.delete_batch([]),
        view.update("a", {"n": 1}),
        view.expire("a", 1),
        view.persist("a"),
        view.ttl("a"),
        view.clear(),
        view.count(),
        view.query(QueryFilter()),
        query.execute(),
        query.count(),
        query.aggregate(n=Count()).execute(),
        anext(view.scan()),
        memories.append("m", [1]),
        memories.append("m", []),
        memories.window("m"),
        memories.windows(["m"]),
        memories.clear("m"),
    ]
    for call in calls:
        with pytest.raises(TransactionClosed):
            await call
    for look in (lambda: tx.contexts, lambda: tx[notes], lambda: tx.store("notes"), tx.abort):
        with pytest.raises(TransactionClosed):
            look()
    with pytest.raises(TransactionClosed, match="used once"):
        async with tx:
            pass
    with pytest.raises(TransactionClosed, match="not begun"):
        _ = storage.transaction().contexts


async def test_transactions_do_not_nest_in_one_task(storage: Storage) -> None:
    other = Storage({"main": MemoryAdapter()})

    async def body(tx: Transaction) -> None:
        await tx.events.emit("inner")

    async with storage.transaction() as tx:
        await tx.events.emit("outer")
        for inner in (storage, other):
            with pytest.raises(TransactionClosed, match="do not nest"):
                async with inner.transaction():
                    pass
            with pytest.raises(TransactionClosed, match="do not nest"):
                await inner.transaction(body)
    assert [event.type for event in await storage.events.read()] == ["outer"]
    await storage.transaction(body)
    assert await storage.events.count() == 2


async def test_another_task_may_have_a_transaction_of_its_own(storage: Storage) -> None:
    async def body(tx: Transaction) -> None:
        await tx.events.emit("of the task")

    async with storage.transaction() as tx:
        await asyncio.create_task(storage.transaction(body))
        await tx.events.emit("outer")
    assert [event.type for event in await storage.events.read()] == ["of the task", "outer"]


async def test_two_tasks_in_one_transaction_are_refused(storage: Storage) -> None:
    with pytest.raises(TransactionClosed, match="another task"):
        async with storage.transaction() as tx:
            await asyncio.gather(tx.store("notes").get("a"), tx.store("notes").get("b"))


async def test_writes_of_others_are_no_part_of_it(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])

    async def other() -> None:
        await notes.set("of another task", Note("x"))

    with pytest.raises(ZeroDivisionError):
        async with storage.transaction() as tx:
            await tx[notes].set("inside", Note("x"))
            await asyncio.create_task(other())
            await notes.set("beside", Note("x"))
            raise ZeroDivisionError
    assert await notes.all().keys() == ["beside", "of another task"]


async def test_a_store_of_another_storage_is_refused_with_a_reason(adapter: Any) -> None:
    second = MemoryAdapter()
    storage = Storage({"main": adapter})
    async with storage, second:
        other = Storage({"second": second}).store("elsewhere")
        with pytest.raises(UnsupportedOperation, match="one storage"):
            async with storage.transaction() as tx:
                await tx.events.emit("a")
                await tx[other].set("a", 1)
        assert await storage.events.count() == 0
        async with storage.transaction() as tx:
            await tx[other].set("a", 1)
        assert await other.get("a") == 1


async def test_a_backend_without_transactions_refuses_before_anything() -> None:
    class Bare(MemoryAdapter):
        capabilities = Capabilities(conditional=True, atomic_batch=True, query=True)

    async with Storage({"main": Bare()}) as storage:
        with pytest.raises(UnsupportedOperation, match="transactions"):
            async with storage.transaction() as tx:
                await tx.events.emit("a")


async def test_what_is_too_large_or_cannot_be_stored_is_refused_at_once(adapter: Any) -> None:
    adapter.capabilities = Capabilities(
        conditional=True,
        atomic_batch=True,
        transactions=True,
        query=True,
        consistency=frozenset({"eventual", "strong"}),
        limits=Limits(max_value_bytes=100, max_atomic_ops=3),
    )
    storage = Storage({"main": adapter})
    plain = storage.store("plain")
    async with storage.transaction() as tx:
        with pytest.raises(LimitExceeded):
            await tx[plain].set("a", "x" * 101)
        with pytest.raises(SerializationError):
            await tx[plain].set("a", object())
        await tx[plain].set("b", "small")
    assert await plain.all().keys() == ["b"]
    with pytest.raises(LimitExceeded):
        async with storage.transaction() as tx:
            for number in range(4):
                await tx[plain].set(f"k{number}", 1)
    assert await plain.all().keys() == ["b"]


async def test_a_store_that_nobody_made_is_named_with_the_nearest(storage: Storage) -> None:
    async with storage.transaction() as tx:
        with pytest.raises(ConfigError, match="did you mean 'notes'"):
            tx.store("note")


async def test_a_closed_storage_says_so() -> None:
    storage = Storage({"main": MemoryAdapter()})
    with pytest.raises(StoreClosed):
        async with storage.transaction() as tx:
            await tx.contexts.get("c1")


async def test_a_cancellation_before_the_commit_leaves_nothing_behind(storage: Storage, adapter: Any) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    begun = asyncio.Event()

    async def body(tx: Transaction) -> None:
        await tx[notes].set("a", Note("x"))
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(storage.transaction(body))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "write" not in adapter.calls
    await storage.transaction(lambda tx: tx[notes].set("b", Note("x")))
    assert await notes.all().keys() == ["b"]


async def test_a_cancellation_in_the_commit_is_all_or_nothing(storage: Storage, adapter: Any) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])

    async def write() -> None:
        async with storage.transaction() as tx:
            await tx[notes].set_batch({"a": Note("x"), "b": Note("x")})

    task = asyncio.create_task(write())
    await adapter.writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    assert await notes.count() in (0, 2)


async def test_many_open_transactions_hold_nothing(storage: Storage) -> None:
    notes = storage.store("notes", Note, indexes=["topic", "n"])
    everybody = asyncio.Barrier(50)

    async def one(number: int) -> None:
        async with storage.transaction() as tx:
            await tx[notes].set(f"k{number}", Note("x"))
            await everybody.wait()

    await asyncio.gather(*map(one, range(50)))
    assert await notes.count() == 50
