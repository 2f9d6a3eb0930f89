"""update: read, change, write, and again if somebody else was faster."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from daystore.abc import STRONG, Outcome, WriteBatch, bounded
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    OperationTimeout,
    OutcomeUnknown,
    SchemaError,
    SerializationError,
    UnsupportedOperation,
    VersionConflict,
)
from daystore.stores import MemoryStore, Store
from daystore.stores.locks import locks_of


class Note(BaseModel):
    topic: str
    stars: int = 0


@dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    a: int
    b: str


OPTIONAL: Any = int | None


async def test_sixteen_tasks_with_fifty_increments_each_are_exact(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("n", 0)

    async def increment() -> None:
        for _ in range(50):
            await store.update("n", lambda n: n + 1)

    await asyncio.gather(*(increment() for _ in range(16)))
    assert await store.get("n") == 800


async def test_tasks_of_one_process_take_turns_and_do_not_collide(adapter: Any) -> None:
    stores = [Store(adapter, "notes"), Store(adapter, "other", collection="notes")]
    await asyncio.gather(*(store.update("n", lambda n: n + 1, default=0) for store in stores * 10))
    assert await stores[0].get("n") == 20
    assert adapter.calls.count("write") == 20


async def test_other_processes_are_found_out_by_the_version(adapter: Any, clock: Any) -> None:
    """Two adapters over the same data share no lock, as two processes do."""
    second = MemoryAdapter(clock=clock)
    await second.open()
    second._collections = adapter._collections
    stores = [Store(adapter, "notes"), Store(second, "notes")]
    ran = 0

    def increment(n: int) -> int:
        nonlocal ran
        ran += 1
        return n + 1

    async def many(store: Store[Any]) -> None:
        for _ in range(50):
            await store.update("n", increment, default=0)
            await asyncio.sleep(0)

    await asyncio.gather(*map(many, stores))
    assert await stores[0].get("n") == 100
    assert ran > 100  # they did get in each other's way


async def test_what_is_changed_is_read_as_fresh_as_can_be(adapter: Any) -> None:
    store = Store(adapter, "notes", consistency=bounded(60))
    await store.update("k", lambda n: n + 1, default=0)
    await store.expire("k", 60)
    await MemoryStore(adapter, consistency=bounded(60)).append("m", [1])
    await store.clear()
    assert set(adapter.consistencies) == {STRONG}


async def test_every_attempt_gets_a_fresh_value(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", {"items": []})
    seen = []

    async def add(value: dict[str, list[int]]) -> dict[str, list[int]]:
        seen.append(list(value["items"]))
        value["items"].append(len(seen))
        if len(seen) == 1:
            await store.set("k", {"items": [-1]})
        return value

    await store.update("k", add)
    assert seen == [[], [-1]]
    assert await store.get("k") == {"items": [-1, 2]}


async def test_a_default_is_never_changed(adapter: Any) -> None:
    store = Store(adapter, "notes")
    default: dict[str, list[int]] = {"items": []}

    def add(value: dict[str, list[int]]) -> dict[str, list[int]]:
        value["items"].append(1)
        return value

    assert await store.update("a", add, default=default) == {"items": [1]}
    assert await store.update("b", add, default=default) == {"items": [1]}
    assert await store.update("c", add, default=lambda: default) == {"items": [1]}
    assert default == {"items": [1]}  # what a function returns is its own


async def test_a_missing_key_without_default_is_a_key_error_without_the_key(adapter: Any) -> None:
    store = Store(adapter, "notes")
    with pytest.raises(KeyError, match="default") as missing:
        await store.update("secret-key", lambda value: value)
    assert "secret-key" not in str(missing.value)
    assert "write" not in adapter.calls


async def test_a_patch_of_a_dict(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", {"a": 1, "b": {"c": 1}})
    assert await store.update("k", {"b": {}, "d": 2}) == {"a": 1, "b": {}, "d": 2}
    assert await store.get("k") == {"a": 1, "b": {}, "d": 2}


async def test_a_patch_of_a_model(adapter: Any) -> None:
    store = Store(adapter, "notes", Note, indexes=["stars"])
    await store.set("k", Note(topic="a"))
    assert await store.update("k", {"stars": 5}) == Note(topic="a", stars=5)
    assert await store.where("stars", "=", 5).execute() == [Note(topic="a", stars=5)]


async def test_a_patch_of_a_dataclass_and_of_a_typed_dict(adapter: Any) -> None:
    points = Store(adapter, "points", Point)
    await points.set("k", Point(1))
    assert await points.update("k", {"y": 2}) == Point(1, 2)
    rows = Store(adapter, "rows", Row)
    await rows.set("k", {"a": 1, "b": "x"})
    assert await rows.update("k", {"a": 2}) == {"a": 2, "b": "x"}
    with pytest.raises(SchemaError, match="no field 'c'"):
        await rows.update("k", {"c": 2})


async def test_a_patch_with_an_unknown_field_names_the_nearest(adapter: Any) -> None:
    await Store(adapter, "a", Note).set("k", Note(topic="a"))
    await Store(adapter, "b", Point).set("k", Point(1))
    with pytest.raises(SchemaError, match="no field 'star'; did you mean 'stars'"):
        await Store(adapter, "a", Note).update("k", {"star": 1})
    with pytest.raises(SchemaError, match="no field 'z'"):
        await Store(adapter, "b", Point).update("k", {"z": 1})


async def test_a_patch_that_does_not_fit_is_refused_without_its_value(adapter: Any) -> None:
    store = Store(adapter, "notes", Note)
    await store.set("k", Note(topic="a"))
    with pytest.raises(SchemaError, match="stars") as refused:
        await store.update("k", {"stars": "secret-value"})
    assert "secret-value" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert await store.get("k") == Note(topic="a")


async def test_a_patch_of_what_has_no_fields(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1)
    with pytest.raises(TypeError, match="int"):
        await store.update("k", {"a": 1})
    with pytest.raises(TypeError, match="mapping or a function"):
        await store.update("k", 5)  # type: ignore[arg-type]


async def test_functions_plain_and_async(adapter: Any) -> None:
    store = Store(adapter, "notes", int)
    await store.set("k", 1)

    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return n * 2

    assert await store.update("k", lambda n: n + 1) == 2
    assert await store.update("k", double) == 4
    assert await store.get("k") == 4


async def test_a_function_that_returns_nothing_is_found_out(adapter: Any) -> None:
    notes, plain = Store(adapter, "notes", Note), Store(adapter, "plain")
    await notes.set("k", Note(topic="a"))
    await plain.set("k", {"a": 1})
    stores: list[Store[Any]] = [notes, plain]
    for store in stores:
        with pytest.raises(TypeError, match="returned None"):
            await store.update("k", lambda value: value.clear() if isinstance(value, dict) else None)
    assert await plain.get("k") == {"a": 1}


async def test_none_is_a_value_where_the_type_says_so(adapter: Any) -> None:
    store: Store[Any] = Store(adapter, "notes", OPTIONAL)
    await store.set("k", 1)
    assert await store.update("k", lambda value: value and None) is None
    assert await store.exists("k")


async def test_an_error_in_the_function_leaves_the_record_and_no_lock(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1)
    with pytest.raises(ZeroDivisionError):
        await store.update("k", lambda n: n / 0)
    assert await store.update("k", lambda n: n + 1) == 2
    assert locks_of(adapter)._turns == {}


async def test_a_new_value_that_cannot_be_stored_is_refused(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1)
    with pytest.raises(SerializationError):
        await store.update("k", lambda n: n and object())
    assert await store.get("k") == 1


async def test_when_others_never_stop_it_gives_up_and_says_so(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 0)

    async def disturbed(n: int) -> int:
        await store.set("k", n + 10)
        return n + 1

    with pytest.raises(VersionConflict, match="gave up after") as conflict:
        await store.update("k", disturbed, deadline=0.05)
    entry = await store.entry("k")
    assert entry is not None
    assert entry.value % 10 == 0
    assert (conflict.value.key, conflict.value.current) == ("k", entry.version)


async def test_a_deadline_of_zero_is_one_attempt(adapter: Any) -> None:
    store = Store(adapter, "notes")
    assert await store.update("k", lambda n: n + 1, default=0, deadline=0) == 1
    with pytest.raises(ValueError, match="deadline"):
        await store.update("k", lambda n: n + 1, deadline=-1)


async def test_an_update_inside_itself_is_refused_instead_of_hanging(adapter: Any) -> None:
    store = Store(adapter, "notes")

    async def nested(n: int) -> int:
        inner: int = await store.update("k", lambda m: m + 1, default=0)
        return inner

    with pytest.raises(UnsupportedOperation, match="inside its own update"):
        await store.update("k", nested, default=0)


async def test_waiting_for_another_update_ends_at_the_deadline(adapter: Any) -> None:
    store = Store(adapter, "notes")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(n: int) -> int:
        begun.set()
        await go_on.wait()
        return n + 1

    first = asyncio.create_task(store.update("k", slow, default=0))
    await begun.wait()
    with pytest.raises(OperationTimeout, match="nothing was written"):
        await store.update("k", lambda n: n + 1, default=0, deadline=0.01)
    assert await store.update("another", lambda n: n + 1, default=0) == 1
    go_on.set()
    assert await first == 1
    assert locks_of(adapter)._turns == {}


async def test_a_cancelled_update_lets_the_next_one_in(adapter: Any) -> None:
    store = Store(adapter, "notes")
    begun = asyncio.Event()

    async def forever(n: int) -> int:
        begun.set()
        await asyncio.Event().wait()
        return n

    holder = asyncio.create_task(store.update("k", forever, default=0))
    await begun.wait()
    waiter = asyncio.create_task(store.update("k", lambda n: n + 1, default=0))
    await asyncio.sleep(0)
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    assert await waiter == 1


async def test_an_unknown_outcome_is_not_tried_again() -> None:
    class Lost(MemoryAdapter):
        async def _write(self, batch: WriteBatch) -> list[Outcome]:
            await super()._write(batch)
            raise OutcomeUnknown("no reply")

    async with Lost() as adapter:
        store = Store(adapter, "notes")
        ran = 0

        def increment(n: int) -> int:
            nonlocal ran
            ran += 1
            return n + 1

        with pytest.raises(OutcomeUnknown):
            await store.update("k", increment, default=0)
        assert ran == 1
        assert await store.get("k") == 1
