"""get, set, delete, exists and their batches."""

from typing import Any

import pytest

from daystore.abc import STRONG, Outcome, WriteBatch, bounded
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import (
    BackendUnavailable,
    BatchError,
    InvalidKey,
    SerializationError,
    StoreClosed,
    UnsupportedOperation,
    VersionConflict,
)
from daystore.stores import Store


async def test_a_missing_key_is_none_or_the_default_and_nothing_is_stored(adapter: Any) -> None:
    store = Store(adapter, "notes")
    assert await store.get("k") is None
    assert await store.get("k", "default") == "default"
    assert await store.get("k", default=0) == 0
    assert not await store.exists("k")
    assert await store.entry("k") is None
    assert await store.count() == 0


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", b"", [], {}], ids=repr)
async def test_a_falsy_value_is_there(adapter: Any, value: object) -> None:
    store = Store(adapter, "notes")
    await store.set("k", value)
    found = await store.get("k", "default")
    assert found == value
    assert type(found) is type(value)
    assert await store.exists("k")
    assert await store.get_batch(["k"]) == {"k": value}
    assert await store.all().execute() == [value]


async def test_an_expired_key_is_the_default(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1, ttl=1)
    clock.advance(2)
    assert await store.get("k", "default") == "default"


async def test_every_write_has_another_version_and_set_returns_it(adapter: Any) -> None:
    store = Store(adapter, "notes")
    versions = [await store.set("k", "same") for _ in range(3)]
    assert len(set(versions)) == 3
    entry = await store.entry("k")
    assert entry is not None
    assert entry.version == versions[-1]


async def test_an_entry_tells_key_value_and_times(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes", indexes={"topic": str})
    await store.set("k", {"topic": "a"}, ttl=60)
    first = await store.entry("k")
    clock.advance(5)
    await store.set("k", {"topic": "b"})
    second = await store.entry("k")
    assert first is not None
    assert second is not None
    assert (second.key, second.value, second.fields) == ("k", {"topic": "b"}, {"topic": "b"})
    assert second.created_at == first.created_at == first.updated_at
    assert (second.updated_at - second.created_at).total_seconds() == 5
    assert first.expires_at is not None
    assert 60 <= (first.expires_at - first.created_at).total_seconds() < 60.001
    assert second.expires_at is None
    assert "topic" not in repr(second)


async def test_entries_are_the_same_on_every_path(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes={"n": int})
    await store.set("k", {"n": 1}, ttl=60)
    entry = await store.entry("k")
    assert (await store.entries(["k"]))["k"] == entry
    assert await store.where("n", "=", 1).entries() == [entry]
    assert [found async for found in store.scan()] == [entry]
    await store.set("k", {"n": 1}, keep_ttl=True)
    assert await store.entry("k") != entry


async def test_a_stale_version_is_a_conflict_and_changes_nothing(adapter: Any) -> None:
    store = Store(adapter, "notes")
    old = await store.set("k", 1)
    new = await store.set("k", 2)
    with pytest.raises(VersionConflict) as conflict:
        await store.set("k", 3, if_version=old)
    assert (conflict.value.current, conflict.value.key, conflict.value.retryable) == (new, "k", True)
    with pytest.raises(VersionConflict):
        await store.delete("k", if_version=old)
    assert await store.get("k") == 2
    assert await store.set("k", 3, if_version=new)
    assert await store.get("k") == 3


async def test_if_absent_writes_once(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1, if_absent=True, ttl=10)
    with pytest.raises(VersionConflict):
        await store.set("k", 2, if_absent=True)
    assert await store.get("k") == 1
    clock.advance(11)
    await store.set("k", 3, if_absent=True)
    assert await store.get("k") == 3


async def test_two_conditions_at_once_are_refused(adapter: Any) -> None:
    with pytest.raises(ValueError, match="not both"):
        await Store(adapter, "notes").set("k", 1, if_version="v", if_absent=True)


async def test_delete_tells_whether_there_was_a_record(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    version = await store.set("k", 1)
    assert await store.delete("k", if_version=version)
    assert not await store.delete("k")
    await store.set("k", 1, ttl=1)
    clock.advance(2)
    assert not await store.delete("k")


@pytest.mark.parametrize(("key", "error"), [("", InvalidKey), ("x" * 257, InvalidKey), (1, TypeError)])
async def test_a_bad_key_is_refused_before_anything_is_sent(
    adapter: Any, key: Any, error: type[Exception]
) -> None:
    store = Store(adapter, "notes")
    calls = [
        store.get(key),
        store.exists(key),
        store.entry(key),
        store.set(key, 1),
        store.delete(key),
        store.get_batch(["fine", key]),
        store.set_batch({"fine": 1, key: 1}),
        store.delete_batch(["fine", key]),
        store.update(key, lambda value: value, default=1),
        store.expire(key, 1),
        store.ttl(key),
    ]
    for call in calls:
        with pytest.raises(error):
            await call
    assert adapter.calls == []


async def test_what_the_caller_does_to_a_value_later_changes_nothing(adapter: Any) -> None:
    store = Store(adapter, "notes")
    value = {"list": [1]}
    await store.set("a", value)
    await store.set_batch({"b": value})
    value["list"].append(2)
    found: Any = await store.get("a")
    found["list"].append(3)
    assert await store.get("a") == await store.get("b") == {"list": [1]}


async def test_get_batch_is_in_the_order_asked_without_the_missing(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set_batch({"a": 1, "b": None, "c": 3})
    adapter.calls.clear()
    found = await store.get_batch(key for key in ["c", "missing", "a", "c", "b"])
    assert list(found.items()) == [("c", 3), ("a", 1), ("b", None)]
    assert adapter.calls == ["read"]


async def test_an_empty_batch_makes_no_round_trip(adapter: Any) -> None:
    store = Store(adapter, "notes")
    assert await store.get_batch([]) == {}
    assert await store.set_batch({}) == {}
    assert await store.set_batch(iter([]), atomic=True) == {}
    assert await store.delete_batch([]) == 0
    assert adapter.calls == []


async def test_one_string_is_not_taken_for_many_keys(adapter: Any) -> None:
    store = Store(adapter, "notes")
    with pytest.raises(TypeError, match="not one str"):
        await store.get_batch("abc")
    with pytest.raises(TypeError, match="not one str"):
        await store.delete_batch("abc")


@pytest.mark.parametrize("atomic", [False, True])
async def test_set_batch_takes_pairs_once_and_the_last_duplicate_wins(adapter: Any, atomic: bool) -> None:
    store = Store(adapter, "notes")
    versions = await store.set_batch(iter([("a", 1), ("b", 2), ("a", 3)]), atomic=atomic)
    assert await store.get_batch(["a", "b"]) == {"a": 3, "b": 2}
    entries = await store.entries(["a", "b"])
    assert versions == {key: entry.version for key, entry in entries.items()}
    assert len(set(versions.values())) == 2
    assert adapter.batches[0].atomic is atomic


async def test_one_bad_item_and_nothing_of_a_batch_is_written(adapter: Any) -> None:
    store = Store(adapter, "notes")
    with pytest.raises(SerializationError, match="item 1 of the batch") as refused:
        await store.set_batch({"secret-key": 1, "b": float("nan"), "c": 3})
    assert "secret-key" not in str(refused.value)
    assert adapter.calls == []


async def test_large_batches(adapter: Any) -> None:
    store = Store(adapter, "notes")
    items = {f"k{number:05}": number for number in range(2_500)}
    assert len(set((await store.set_batch(items)).values())) == 2_500
    assert await store.get_batch(items) == items
    assert await store.delete_batch([*items, "missing"]) == 2_500
    assert await store.count() == 0


async def test_delete_batch_counts_what_existed(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set_batch({"a": 1, "b": 2})
    await store.set("c", 3, ttl=1)
    clock.advance(2)
    assert await store.delete_batch(iter(["a", "c", "missing", "a"])) == 1
    assert await store.delete_batch(["b"], atomic=True) == 1


class Failing(MemoryAdapter):
    """Fails on some keys of a batch that is not atomic, as a backend under load does."""

    def __init__(self, *keys: str) -> None:
        super().__init__(timeout=None)
        self.keys = keys

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        good = [operation for operation in batch.operations if operation.key not in self.keys]
        done = iter(await super()._write(WriteBatch(good)))
        error = BackendUnavailable("busy")
        return [
            Outcome(None, False, error) if operation.key in self.keys else next(done)
            for operation in batch.operations
        ]


async def test_a_partial_failure_names_exactly_the_keys_that_failed() -> None:
    async with Failing("b", "d") as adapter:
        store = Store(adapter, "notes")
        with pytest.raises(BatchError) as failed:
            await store.set_batch({"a": 1, "b": 2, "c": 3, "d": 4})
        assert failed.value.failed == ("b", "d")
        assert isinstance(failed.value.errors["b"], BackendUnavailable)
        assert await store.get_batch("abcd"[index] for index in range(4)) == {"a": 1, "c": 3}
        with pytest.raises(BatchError) as failed:
            await store.delete_batch(["a", "b"])
        assert failed.value.failed == ("b",)
        with pytest.raises(BatchError) as failed:
            await store.set_batch({"b": 1})
        assert failed.value.failed == ("b",)
        with pytest.raises(BackendUnavailable):
            await store.set("b", 1)


async def test_clear_empties_its_own_collection_and_says_how_much(adapter: Any) -> None:
    store, other = Store(adapter, "notes"), Store(adapter, "notes2")
    await store.set_batch({f"k{number}": number for number in range(2_300)})
    await other.set("k", 1)
    assert await store.clear() == 2_300
    assert await store.count() == 0
    assert await other.get("k") == 1
    assert await store.clear() == 0


async def test_stores_with_one_collection_share_their_records(adapter: Any) -> None:
    await Store(adapter, "notes").set("k", 1)
    assert await Store(adapter, "others", collection="notes").get("k") == 1


async def test_consistency_of_the_store_and_of_the_call(adapter: Any) -> None:
    store = Store(adapter, "notes", consistency=bounded(5))
    await store.get("k")
    await store.get("k", consistency=STRONG)
    await store.where("key", "=", "k").execute()
    await store.all().consistency(STRONG).count()
    await store.all().consistency(STRONG).execute()
    assert adapter.consistencies == [bounded(5), STRONG, bounded(5), STRONG, STRONG]


async def test_a_backend_that_lacks_something_refuses_and_nothing_happens() -> None:
    from daystore.abc import Capabilities

    class Bare(MemoryAdapter):
        capabilities = Capabilities(query=True)

    async with Bare() as adapter:
        store = Store(adapter, "notes")
        await store.set("k", 1)
        for call in (
            store.set("k", 2, if_absent=True),
            store.set("k", 2, ttl=1),
            store.set_batch({"k": 2}, atomic=True),
            store.get("k", consistency=STRONG),
            store.aggregate(n=_count()).execute(),
        ):
            with pytest.raises(UnsupportedOperation):
                await call
        assert await store.get("k") == 1


def _count() -> Any:
    from daystore import Count

    return Count()


async def test_a_store_over_a_closed_adapter_says_so() -> None:
    store = Store(MemoryAdapter(), "notes")
    for call in (store.get("k"), store.get_batch([]), store.set("k", 1), store.set_batch({}), store.count()):
        with pytest.raises(StoreClosed):
            await call


def test_an_unknown_option_is_named_with_the_nearest_right_one(adapter: Any) -> None:
    with pytest.raises(TypeError, match="no option 'index'; did you mean 'indexes'"):
        Store(adapter, "notes", index=["a"])  # type: ignore[call-overload]


def test_a_store_is_described_without_its_data(adapter: Any) -> None:
    assert repr(Store(adapter, "notes")) == "<Store notes on memory>"


@pytest.mark.parametrize("name", ["Notes", "", "1a", "a" * 64, "a-b"])
def test_a_bad_collection_is_refused(adapter: Any, name: str) -> None:
    with pytest.raises(InvalidKey):
        Store(adapter, name)
