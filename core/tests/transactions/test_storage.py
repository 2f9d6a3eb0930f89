"""`Storage`: backends and stores by name, opened and closed together."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from daystore import STRONG, Storage, Store
from daystore.abc import EVENTUAL, Health, bounded
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, ConfigError, StoreClosed, UnknownAdapter
from daystore.stores import ContextStore, EventStore, MemoryStore


class Note(BaseModel):
    topic: str


class Watched(MemoryAdapter):
    """Keeps when it was opened and closed, and fails if it is told to."""

    def __init__(self, log: list[str], name: str, *, fail: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.log = log
        self.label = name
        self.fail = fail

    async def _open(self) -> None:
        if "open" in self.fail:
            raise BackendUnavailable("refused", backend=self.name)
        self.log.append(f"open {self.label}")
        await super()._open()

    async def _close(self) -> None:
        self.log.append(f"close {self.label}")
        if "close" in self.fail:
            raise BackendUnavailable(f"cannot close {self.label}")

    async def _health(self) -> Health:
        if "health" in self.fail:
            raise BackendUnavailable("gone")
        return Health(True, {"label": self.label})


async def test_by_url() -> None:
    storage = Storage.open("memory://", namespace="mine", timeout=5)
    with pytest.raises(StoreClosed):
        await storage.contexts.get("c1")
    async with storage as opened:
        assert opened is storage
        notes = storage.store("notes", Note, indexes=["topic"])
        assert notes.adapter.namespace == "mine"
        await notes.set("a", Note(topic="x"))
        assert await notes.get("a") == Note(topic="x")
    with pytest.raises(StoreClosed):
        await notes.get("a")
    assert repr(storage) == "<Storage main=memory>"


def test_a_url_or_an_option_that_cannot_be_used() -> None:
    with pytest.raises(UnknownAdapter, match="memry"):
        Storage.open("memry://")
    with pytest.raises(ConfigError, match="no option"):
        Storage.open("memory://", namespac="a")
    with pytest.raises(ConfigError, match="at least one backend"):
        Storage({})
    with pytest.raises(ConfigError, match="no backend 'mian'; did you mean 'main'"):
        Storage({"main": MemoryAdapter()}, default="mian")


CONFIG: dict[str, object] = {
    "default": "fast",
    "backends": {"fast": {"url": "memory://"}, "slow": {"url": "memory://", "namespace": "archive"}},
    "stores": {
        "events": {"backend": "slow", "ttl": "30d", "consistency": "strong"},
        "notes": {"backend": "slow", "collection": "remarks", "consistency": {"bounded": 5}, "ttl": "1h"},
    },
}


async def test_by_configuration() -> None:
    async with Storage.from_config(CONFIG, {}) as storage:
        assert storage.contexts.adapter is storage.memories.adapter
        assert storage.events.adapter is not storage.contexts.adapter
        assert storage.events.adapter.namespace == "archive"
        notes = storage.store("notes", Note)
        assert (notes.name, notes.collection) == ("notes", "remarks")
        assert notes.adapter is storage.events.adapter
        await notes.set("a", Note(topic="x"))
        assert await notes.ttl("a") is not None
        assert notes._access.consistency == bounded(5)
        assert storage.events._access.consistency == STRONG
        assert storage.contexts._access.consistency == EVENTUAL
        assert storage.store("others").adapter is storage.contexts.adapter
        await storage.events.emit("a")
        (key,) = await storage.events.all().keys()
        assert await storage.events.ttl(key) is not None


async def test_what_code_says_wins_over_the_configuration() -> None:
    async with Storage.from_config(CONFIG, {}) as storage:
        notes = storage.store("notes", collection="own", ttl=None, consistency=EVENTUAL)
        await notes.set("a", 1)
        assert (notes.collection, await notes.ttl("a")) == ("own", None)
        assert notes._access.consistency == EVENTUAL


async def test_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('[backends.main]\nurl = "memory://"\n[stores.notes]\nttl = "1h"\n')
    async with Storage.from_config(path, {}) as storage:
        await storage.store("notes").set("a", 1)
        assert await storage.store("notes").ttl("a") is not None
    with pytest.raises(ConfigError):
        Storage.from_config(tmp_path / "missing.toml", {})


async def test_all_are_opened_and_closed() -> None:
    log: list[str] = []
    async with Storage({"a": Watched(log, "a"), "b": Watched(log, "b")}):
        assert log == ["open a", "open b"]
    assert sorted(log[2:]) == ["close a", "close b"]


async def test_if_one_cannot_be_opened_the_others_are_closed_again() -> None:
    log: list[str] = []
    storage = Storage(
        {"a": Watched(log, "a"), "b": Watched(log, "b", fail=("open",)), "c": Watched(log, "c")}
    )
    with pytest.raises(BackendUnavailable, match="refused") as failed:
        async with storage:
            pass
    assert failed.value.__notes__ == ["while opening the backend 'b'"]
    assert log == ["open a", "close a"]


async def test_all_are_closed_even_if_one_fails() -> None:
    log: list[str] = []
    storage = Storage({name: Watched(log, name, fail=("close",) if name != "c" else ()) for name in "abc"})
    with pytest.raises(BackendUnavailable, match="cannot close a") as failed:
        async with storage:
            pass
    assert log[3:] == ["close a", "close b", "close c"]
    assert any("'b'" in note for note in failed.value.__notes__)
    await storage.close()


async def test_the_error_of_the_block_is_what_counts() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Storage({"main": MemoryAdapter()}):
            raise ZeroDivisionError


async def test_health_tells_of_each_backend() -> None:
    log: list[str] = []
    async with Storage({"a": Watched(log, "a"), "b": Watched(log, "b", fail=("health",))}) as storage:
        assert await storage.health() == {
            "a": Health(True, {"label": "a"}),
            "b": Health(False, {"error": "gone"}),
        }


def test_the_same_name_is_the_same_store(adapter: Any) -> None:
    storage = Storage({"main": adapter})
    notes = storage.store("notes", Note, indexes=["topic"])
    assert storage.store("notes", Note, indexes=["topic"]) is notes
    assert storage.store("notes") is notes
    plain = storage.store("plain")
    assert storage.store("plain") is plain
    calls: list[Any] = [
        lambda: storage.store("notes", Note),
        lambda: storage.store("notes", Note, indexes=["topic"], ttl=5),
        lambda: storage.store("plain", Note),
        lambda: storage.store("contexts", Note),
        lambda: storage.store("events", ttl=5),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="another type or other options"):
            call()
    with pytest.raises(TypeError, match="no option 'indices'; did you mean 'indexes'"):
        storage.store("more", Note, indices=["topic"])  # type: ignore[call-overload]


def test_the_stores_of_every_storage(adapter: Any) -> None:
    storage = Storage({"main": adapter})
    assert type(storage.contexts) is ContextStore
    assert type(storage.memories) is MemoryStore
    assert type(storage.events) is EventStore
    assert storage.contexts is storage.contexts is storage.store("contexts")
    assert {storage.contexts.adapter, storage.memories.adapter, storage.events.adapter} == {adapter}
    assert [storage.contexts.name, storage.memories.name, storage.events.name] == [
        "contexts",
        "memories",
        "events",
    ]


async def test_stores_of_one_backend_share_what_updates_wait_for(adapter: Any) -> None:
    storage = Storage({"main": adapter})
    stores = [storage.store("notes"), Store(adapter, "notes")]
    await asyncio.gather(*(store.update("n", lambda n: n + 1, default=0) for store in stores * 8))
    assert await stores[0].get("n") == 16
