"""Times to live, as a store takes them."""

from datetime import timedelta
from typing import Any

import pytest

from daystore.stores import Store


@pytest.mark.parametrize("ttl", [timedelta(seconds=90), 90, 90.0, "90s", "1m30s"])
async def test_forms_of_a_time_to_live(adapter: Any, clock: Any, ttl: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1, ttl=ttl)
    deadline = clock.deadline(90)
    clock.move_to(deadline - 1)
    assert await store.get("k") == 1
    clock.move_to(deadline)
    assert await store.get("k") is None
    assert not await store.exists("k")
    assert await store.count() == 0
    assert await store.get_batch(["k"]) == {}


@pytest.mark.parametrize("offset", [0, 1, 999])
@pytest.mark.parametrize("seconds", [0.0014, 0.001, 1, 1.0005])
async def test_never_early_and_less_than_a_millisecond_late(
    adapter: Any, clock: Any, offset: int, seconds: float
) -> None:
    clock.align()
    clock.advance(microseconds=offset)
    store = Store(adapter, "notes")
    await store.set("k", 1, ttl=seconds)
    entry = await store.entry("k")
    assert entry is not None
    assert entry.expires_at is not None
    lived = (entry.expires_at - entry.created_at).total_seconds()
    assert seconds <= lived < seconds + 0.001


@pytest.mark.parametrize("ttl", [0, -1, 0.0, "0s", timedelta(0), timedelta(seconds=-1), float("nan"), "30"])
async def test_what_is_no_time_to_live_is_refused_and_nothing_is_written(adapter: Any, ttl: Any) -> None:
    store = Store(adapter, "notes")
    for call in (
        store.set("k", 1, ttl=ttl),
        store.set_batch({"k": 1}, ttl=ttl),
        store.expire("k", ttl),
        store.update("k", lambda value: value, default=1, ttl=ttl),
    ):
        with pytest.raises(ValueError, match=r"duration"):
            await call
    assert "write" not in adapter.calls
    with pytest.raises(ValueError, match=r"duration"):
        Store(adapter, "notes", ttl=ttl)


async def test_a_hundred_years(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1, ttl=timedelta(days=36_500))
    clock.advance(86_400 * 36_499)
    assert await store.get("k") == 1


async def test_overwriting_clears_it_unless_told_to_keep_it(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set_batch({"cleared": 1, "kept": 1}, ttl=10)
    await store.set("cleared", 2)
    await store.set("kept", 2, keep_ttl=True)
    clock.advance(11)
    assert await store.get_batch(["cleared", "kept"]) == {"cleared": 2}


async def test_ttl_and_keep_ttl_contradict_each_other(adapter: Any) -> None:
    with pytest.raises(ValueError, match="not both"):
        await Store(adapter, "notes").set("k", 1, ttl=1, keep_ttl=True)


async def test_the_store_s_own_and_how_a_call_overrides_it(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes", ttl="10s")
    await store.set("own", 1)
    await store.set("longer", 1, ttl=20)
    await store.set("for ever", 1, ttl=None)
    await store.set_batch({"own batch": 1})
    await store.set_batch({"for ever batch": 1}, ttl=None)
    clock.advance(11)
    assert set(await store.all().keys()) == {"longer", "for ever", "for ever batch"}


async def test_keeping_a_deadline_makes_no_record_immortal(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes", ttl=10)
    await store.set("kept", 1)
    await store.set("for ever", 1, ttl=None)
    clock.advance(5)
    version = await store.set("kept", 2, keep_ttl=True)
    await store.set("kept", 3, keep_ttl=True, if_version=version)
    await store.set("for ever", 2, keep_ttl=True)
    await store.set("new", 2, keep_ttl=True)
    await store.set("absent", 2, keep_ttl=True, if_absent=True)
    clock.advance(6)
    assert await store.all().keys() == ["absent", "for ever", "new"]
    clock.advance(5)
    assert await store.all().keys() == ["for ever"]


async def test_each_item_of_a_batch_expires(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set_batch({"a": 1, "b": 1, "c": 1}, ttl=1)
    clock.advance(2)
    assert await store.count() == 0


async def test_update_keeps_the_deadline_unless_it_is_given_another(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes", ttl=10)
    await store.set_batch({"kept": 0, "longer": 0, "for ever": 0})
    clock.advance(5)
    await store.update("kept", lambda n: n + 1)
    await store.update("longer", lambda n: n + 1, ttl=10)
    await store.update("for ever", lambda n: n + 1, ttl=None)
    await store.update("created", lambda n: n + 1, default=0)
    clock.advance(6)
    assert await store.get_batch(["kept", "longer", "for ever", "created"]) == {
        "longer": 1,
        "for ever": 1,
        "created": 1,
    }
    clock.advance(5)
    assert await store.all().keys() == ["for ever"]


async def test_expire_moves_the_deadline_and_keeps_everything_else(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes", indexes={"topic": str})
    version = await store.set("k", {"topic": "a"}, ttl=10)
    assert await store.expire("k", 20)
    clock.advance(15)
    entry = await store.entry("k")
    assert entry is not None
    assert (entry.value, entry.fields) == ({"topic": "a"}, {"topic": "a"})
    assert entry.version != version
    assert await store.where("topic", "=", "a").count() == 1
    clock.advance(6)
    assert not await store.exists("k")


async def test_persist_removes_the_deadline(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("k", 1, ttl=10)
    assert await store.persist("k")
    clock.advance(1_000)
    assert await store.get("k") == 1


async def test_expire_and_persist_of_what_is_not_there(adapter: Any, clock: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("expired", 1, ttl=1)
    clock.advance(2)
    for key in ("expired", "missing"):
        assert not await store.expire(key, 10)
        assert not await store.persist(key)
        assert await store.get(key) is None
        assert await store.ttl(key) is None


async def test_ttl_falls_with_the_clock(adapter: Any, clock: Any) -> None:
    clock.align()
    store = Store(adapter, "notes")
    await store.set("k", 1, ttl=10)
    await store.set("for ever", 1)
    assert await store.ttl("k") == timedelta(seconds=10)
    clock.advance(4)
    assert await store.ttl("k") == timedelta(seconds=6)
    assert await store.ttl("for ever") is None
