"""Middleware: which hook runs when, with what, and what it can and cannot do."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from daystore.abc import Delete, Middleware, MiddlewareContext, Outcome, Put, Record
from daystore.errors import ConfigError, VersionConflict
from daystore.query import QueryFilter
from daystore.storage import Storage
from daystore.stores import Store

Log = list[tuple[str, str]]


class Watcher:
    """Notes every hook, and changes nothing."""

    def __init__(self, name: str, log: Log) -> None:
        self.name = name
        self.log = log
        self.contexts: list[MiddlewareContext] = []
        self.seen: list[Sequence[Any]] = []

    def _note(self, context: MiddlewareContext, hook: str) -> None:
        self.log.append((self.name, hook))
        self.contexts.append(context)

    async def before_read(self, context: MiddlewareContext) -> None:
        self._note(context, "before_read")

    def after_read(self, context: MiddlewareContext, records: list[Record | None]) -> list[Record | None]:
        self._note(context, "after_read")
        self.seen.append(records)
        return records

    async def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> list[Put | Delete]:
        self._note(context, "before_write")
        self.seen.append(operations)
        return operations

    def after_write(
        self, context: MiddlewareContext, operations: list[Put | Delete], outcomes: Sequence[Outcome]
    ) -> None:
        self._note(context, "after_write")
        self.seen.append(outcomes)

    async def on_error(self, context: MiddlewareContext, error: BaseException) -> None:
        self._note(context, f"on_error {type(error).__name__}")


class Reversing:
    """Turns the bytes of every value around, on the way in and on the way out."""

    def before_write(self, context: MiddlewareContext, operations: list[Put | Delete]) -> list[Put | Delete]:
        return [replace(o, value=o.value[::-1]) if isinstance(o, Put) else o for o in operations]

    async def after_read(
        self, context: MiddlewareContext, records: list[Record | None]
    ) -> list[Record | None]:
        return [replace(r, value=r.value[::-1]) if r else r for r in records]


class Marking:
    """Puts a byte before every value, on the way in, and takes it away, on the way out."""

    async def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> list[Put | Delete]:
        return [replace(o, value=b"!" + o.value) if isinstance(o, Put) else o for o in operations]

    def after_read(self, context: MiddlewareContext, records: list[Record | None]) -> list[Record | None]:
        assert all(r.value[:1] == b"!" for r in records if r)
        return [replace(r, value=r.value[1:]) if r else r for r in records]


@pytest.fixture
def log() -> Log:
    return []


async def test_before_in_order_and_after_in_reverse_each_once(adapter: Any, log: Log) -> None:
    store = Store(adapter, "notes", middleware=[Watcher("a", log), Watcher("b", log)])
    await store.set("k", 1)
    assert log == [(name, "before_write") for name in "ab"] + [(name, "after_write") for name in "ba"]
    log.clear()
    await store.get("k")
    assert log == [(name, "before_read") for name in "ab"] + [(name, "after_read") for name in "ba"]


async def test_what_is_written_goes_through_all_and_comes_back_the_same_way(adapter: Any) -> None:
    store = Store(adapter, "notes", middleware=[Marking(), Reversing()], indexes={"n": int})
    await store.set("k", {"n": 1})
    assert (await adapter.get("notes", "k")).value == b'{"n":1}'[::-1] + b"!"
    assert await store.get("k") == {"n": 1}
    await store.set_batch({"l": {"n": 2}})
    await store.update("l", {"n": 3})
    await store.expire("l", 10)
    await store.persist("k")
    expected = [{"n": 1}, {"n": 3}]
    assert list((await store.get_batch(["k", "l"])).values()) == expected
    assert await store.where("n", ">", 0).execute() == expected
    assert await store.query(QueryFilter()) == expected
    assert [entry.value async for entry in store.scan()] == expected
    assert await store.where("m", "exists", False, allow_scan=True).execute() == expected
    assert await store.exists("k")
    assert await store.delete("k")
    assert await store.clear() == 1


async def test_each_operation_is_one_call_with_all_its_records(adapter: Any, log: Log) -> None:
    watcher = Watcher("a", log)
    store = Store(adapter, "notes", middleware=[watcher])
    await store.set_batch({"a": 1, "b": 2, "c": 3})
    await store.get_batch(["c", "missing", "a"])
    await store.all().execute()
    await store.count()
    await store.delete_batch(["a", "b"])
    hooks = [(context.operation, hook) for context, (_, hook) in zip(watcher.contexts, log, strict=True)]
    assert hooks == [
        ("set_batch", "before_write"),
        ("set_batch", "after_write"),
        ("get_batch", "before_read"),
        ("get_batch", "after_read"),
        ("query", "before_read"),
        ("query", "after_read"),
        ("count", "before_read"),
        ("count", "after_read"),
        ("delete_batch", "before_write"),
        ("delete_batch", "after_write"),
    ]
    assert [len(seen) for seen in watcher.seen] == [3, 3, 3, 3, 0, 2, 2]
    first = watcher.contexts[0]
    assert (first.store, first.collection, first.keys) == ("notes", "notes", ("a", "b", "c"))
    assert not first.in_transaction
    assert first.started > 0
    assert watcher.contexts[4].query is not None


async def test_an_observer_changes_nothing_that_is_stored(adapter: Any, log: Log) -> None:
    plain = Store(adapter, "plain", indexes={"n": int})
    watched = Store(adapter, "watched", indexes={"n": int}, middleware=[Watcher("a", log)])
    for store in (plain, watched):
        await store.set("k", {"n": 1}, ttl=10)
        await store.update("k", {"n": 2})
    ours, theirs = [await adapter.get(name, "k") for name in ("plain", "watched")]
    assert replace(ours, version="") == replace(theirs, version="")


async def test_a_hook_that_is_absent_is_not_called(adapter: Any, log: Log) -> None:
    class OnlyErrors:
        """Has the hooks of the protocol, which do nothing and return nothing, as a subclass would."""

        before_read = Middleware.before_read
        after_read = Middleware.after_read
        before_write = Middleware.before_write
        after_write = Middleware.after_write

        def on_error(self, context: MiddlewareContext, error: BaseException) -> None:
            log.append(("only", type(error).__name__))

    store = Store(adapter, "notes", middleware=[OnlyErrors()])
    await store.set("k", 1)
    assert await store.get("k") == 1
    with pytest.raises(VersionConflict):
        await store.set("k", 2, if_absent=True)
    assert log == [("only", "VersionConflict")]


async def test_what_a_hook_raises_refuses_the_operation(adapter: Any, log: Log) -> None:
    class Refusing:
        def before_write(self, context: MiddlewareContext, operations: list[Any]) -> list[Any]:
            raise PermissionError("no")

    store = Store(adapter, "notes", middleware=[Watcher("a", log), Refusing()])
    with pytest.raises(PermissionError):
        await store.set("k", 1)
    assert log == [("a", "before_write"), ("a", "on_error PermissionError")]
    assert adapter.calls == []


async def test_on_error_runs_once_in_reverse_and_the_error_goes_on(adapter: Any, log: Log) -> None:
    store = Store(adapter, "notes", middleware=[Watcher("a", log), Watcher("b", log)])
    await store.set("k", 1)
    log.clear()
    with pytest.raises(VersionConflict):
        await store.set("k", 2, if_version="another")
    assert log[2:] == [("b", "on_error VersionConflict"), ("a", "on_error VersionConflict")]


async def test_a_value_that_cannot_be_decoded_is_an_error_for_middleware_too(adapter: Any, log: Log) -> None:
    await Store(adapter, "notes").set("k", "text")
    store = Store(adapter, "notes", int, middleware=[Watcher("a", log)])
    with pytest.raises(ValueError, match="does not fit"):
        await store.get("k")
    assert log[-1] == ("a", "on_error SchemaError")


async def test_on_error_runs_for_a_cancellation(adapter: Any, log: Log) -> None:
    store = Store(adapter, "notes", middleware=[Watcher("a", log)])
    task = asyncio.create_task(store.set("k", 1))
    await adapter.writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == [("a", "before_write"), ("a", "on_error CancelledError")]


async def test_an_on_error_that_fails_hides_nothing(adapter: Any, log: Log) -> None:
    class Clumsy:
        def on_error(self, context: MiddlewareContext, error: BaseException) -> None:
            raise RuntimeError("secret")

    store = Store(adapter, "notes", middleware=[Watcher("a", log), Clumsy()])
    await store.set("k", 1)
    with pytest.raises(VersionConflict) as conflict:
        await store.set("k", 2, if_absent=True)
    assert conflict.value.__notes__ == ["on_error of a middleware failed too: RuntimeError"]
    assert log[-1] == ("a", "on_error VersionConflict")


async def test_a_conflict_that_update_overcomes_is_no_error(adapter: Any, log: Log) -> None:
    watched = Store(adapter, "notes", middleware=[Watcher("a", log)])
    other = Store(adapter, "notes")
    await other.set("k", 0)
    attempts = 0

    async def disturbed(n: int) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await other.set("k", 10)
        return n + 1

    assert await watched.update("k", disturbed) == 11
    assert not [hook for _, hook in log if hook.startswith("on_error")]
    assert [hook for _, hook in log if hook == "after_write"] == ["after_write"]


@pytest.mark.parametrize("wrong", [None, [], "text"], ids=repr)
async def test_a_hook_has_to_return_as_many_as_it_got(adapter: Any, wrong: Any) -> None:
    class Losing:
        def before_write(self, context: MiddlewareContext, operations: list[Any]) -> Any:
            return wrong

    class Forgetting:
        def after_read(self, context: MiddlewareContext, records: list[Any]) -> Any:
            return wrong

    with pytest.raises(TypeError, match="before_write of a middleware"):
        await Store(adapter, "notes", middleware=[Losing()]).set("k", 1)
    with pytest.raises(TypeError, match="after_read of a middleware"):
        await Store(adapter, "notes", middleware=[Forgetting()]).get("k")
    assert "write" not in adapter.calls


def test_what_has_no_hook_is_no_middleware(adapter: Any) -> None:
    class Misspelt:
        def before_reed(self) -> None: ...

    with pytest.raises(ConfigError, match="Misspelt is no middleware"):
        Store(adapter, "notes", middleware=[Misspelt()])


async def test_in_a_transaction_after_write_waits_for_the_commit(adapter: Any, log: Log) -> None:
    watcher = Watcher("a", log)
    storage = Storage({"main": adapter})
    notes = storage.store("notes", middleware=[watcher])
    async with storage.transaction() as tx:
        await tx[notes].set("k", 1)
        await tx[notes].get("k")
        assert [hook for _, hook in log] == ["before_write", "before_read", "after_read"]
        assert all(context.in_transaction for context in watcher.contexts)
    assert log[-1] == ("a", "after_write")
    assert len(log) == 4


async def test_in_a_transaction_that_fails_on_error_runs_for_what_was_written(adapter: Any, log: Log) -> None:
    storage = Storage({"main": adapter})
    notes = storage.store("notes", middleware=[Watcher("a", log)])
    with pytest.raises(ZeroDivisionError):
        async with storage.transaction() as tx:
            await tx[notes].set("k", 1)
            raise ZeroDivisionError
    assert log == [("a", "before_write"), ("a", "on_error ZeroDivisionError")]
    log.clear()
    async with storage.transaction() as tx:
        await tx[notes].set("k", 1)
        tx.abort()
    assert log == [("a", "before_write"), ("a", "on_error TransactionClosed")]
    assert await notes.get("k") is None


async def test_a_failing_after_write_does_not_undo_or_repeat_a_commit(adapter: Any, log: Log) -> None:
    from daystore.errors import TransactionConflict

    class Late:
        def after_write(self, context: MiddlewareContext, operations: Any, outcomes: Any) -> None:
            raise TransactionConflict("of something else")

    storage = Storage({"main": adapter})
    notes = storage.store("notes", middleware=[Watcher("a", log), Late()])
    ran = 0

    async def body(tx: Any) -> None:
        nonlocal ran
        ran += 1
        await tx[notes].set("k", ran)
        await tx[notes].set("l", ran)

    with pytest.raises(TransactionConflict, match="something else"):
        await storage.transaction(body)
    assert ran == 1
    assert await Store(adapter, "notes").get_batch(["k", "l"]) == {"k": 1, "l": 1}


async def test_middleware_learns_of_a_commit_whose_task_was_cancelled(adapter: Any, log: Log) -> None:
    storage = Storage({"main": adapter})
    notes = storage.store("notes", middleware=[Watcher("a", log)])

    async def write() -> None:
        async with storage.transaction() as tx:
            await tx[notes].set("k", 1)

    task = asyncio.create_task(write())
    await adapter.writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == [("a", "before_write"), ("a", "after_write")]
    assert await Store(adapter, "notes").get("k") == 1
