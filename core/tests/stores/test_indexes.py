"""Indexes: how they are declared, what they take out of a value, and what they refuse."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NewType

import pytest
from pydantic import AwareDatetime, BaseModel, Field
from typing_extensions import TypedDict

from daystore.errors import ConfigError, InvalidKey, LimitExceeded, SerializationError
from daystore.stores import Index, Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UserId = NewType("UserId", str)


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Mixed(Enum):
    A = "a"
    B = 1


class Info(BaseModel):
    user: str | None = None


class Note(BaseModel):
    topic: str
    stars: int = 0
    score: float | None = None
    done: bool = False
    due: datetime | None = None
    tags: list[str] = []
    color: Color = Color.RED
    level: Level = Level.LOW
    state: Literal["open", "closed"] = "open"
    user: Annotated[UserId, Field(min_length=1)] | None = None
    seen: AwareDatetime = NOW
    info: Info | None = None
    key: str = "own"
    other: dict[str, str] = {}
    mixed: Mixed = Mixed.A
    number: int | float = 0
    counts: list[int] = []


@dataclass
class Inner:
    user: str


@dataclass
class Outer:
    inner: Inner


class Row(TypedDict):
    topic: str


async def fields(adapter: Any, store: Store[Any], value: Any) -> dict[str, Any]:
    await store.set("k", value)
    return dict((await adapter.get(store.collection, "k")).fields)


async def test_types_come_from_the_annotations(adapter: Any) -> None:
    names = ["topic", "stars", "score", "done", "due", "tags", "color", "level", "state", "user", "seen"]
    store = Store(adapter, "notes", Note, indexes=names)
    assert store.indexes == {
        "topic": str,
        "stars": int,
        "score": float,
        "done": bool,
        "due": datetime,
        "tags": list,
        "color": str,
        "level": int,
        "state": str,
        "user": str,
        "seen": datetime,
    }
    found = await fields(adapter, store, Note(topic="a", tags=["x", "y"], due=NOW))
    assert found == {
        "topic": "a",
        "stars": 0,
        "done": False,
        "due": NOW,
        "tags": ("x", "y"),
        "color": "red",
        "level": 1,
        "state": "open",
        "seen": NOW,
    }
    assert type(found["color"]) is str
    assert type(found["level"]) is int


async def test_paths_into_models_dataclasses_and_dicts(adapter: Any) -> None:
    by_model = Store(adapter, "a", Note, indexes=[Index("user", path="info.user")])
    assert by_model.indexes == {"user": str}
    assert await fields(adapter, by_model, Note(topic="a", info=Info(user="u"))) == {"user": "u"}
    assert await fields(adapter, by_model, Note(topic="a")) == {}
    by_dataclass = Store(adapter, "b", Outer, indexes=["inner.user"])
    assert await fields(adapter, by_dataclass, Outer(Inner("u"))) == {"inner.user": "u"}
    plain = Store(
        adapter, "c", indexes=[Index("user", str, path="info.user"), Index("dot", str, path=("a.b", "c"))]
    )
    assert await fields(adapter, plain, {"info": {"user": "u"}, "a.b": {"c": "d"}}) == {
        "user": "u",
        "dot": "d",
    }
    assert await fields(adapter, plain, {"info": "text"}) == {}
    assert await fields(adapter, plain, ["not a dict"]) == {}


async def test_a_typed_dict_and_a_mapping_of_types(adapter: Any) -> None:
    assert Store(adapter, "a", Row, indexes=["topic"]).indexes == {"topic": str}
    store = Store(adapter, "b", indexes={"topic": str, "tags": list[str], "stars": int | None})
    assert store.indexes == {"topic": str, "tags": list, "stars": int}
    assert await fields(adapter, store, {"topic": "a", "tags": ["x"], "stars": None, "more": 1}) == {
        "topic": "a",
        "tags": ("x",),
    }


async def test_annotations_that_only_a_function_can_see(adapter: Any) -> None:
    @dataclass
    class Local:
        user: str

    @dataclass
    class Holder:
        topic: "str"
        local: "Local | None" = None

    with pytest.raises(ConfigError, match="not fully defined"):
        Store(adapter, "notes", Holder)

    class Model(BaseModel):
        topic: "str"
        holder: "Holder"

    value = Model(topic="a", holder=Holder("b", Local("u")))
    with pytest.raises(ConfigError, match=r"say which of them it is: Index\('holder.topic', str\)"):
        Store(adapter, "notes", Model, indexes=["holder.topic"])
    store = Store(adapter, "notes", Model, indexes=["topic", Index("holder.topic", str)])
    assert await fields(adapter, store, value) == {"topic": "a", "holder.topic": "b"}


@pytest.mark.parametrize("name", ["key", "created_at", "updated_at"])
def test_the_record_s_own_names_are_taken(adapter: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=r"path='" + name):
        Store(adapter, "notes", indexes={name: str})


async def test_a_field_of_a_taken_name_is_indexed_under_another(adapter: Any) -> None:
    store = Store(adapter, "notes", Note, indexes=[Index("own_key", path="key")])
    assert await fields(adapter, store, Note(topic="a")) == {"own_key": "own"}
    assert await store.where("own_key", "=", "own").count() == 1
    assert await store.where("key", "=", "own").count() == 0


@pytest.mark.parametrize(
    ("value_type", "indexes", "message"),
    [
        (None, ["topic"], r"indexes=\{'topic': str\}"),
        (Note, ["topik"], "no field 'topik'"),
        (Note, ["info.name"], "no field 'info.name'"),
        (Note, ["other"], r"dict\[str, str\].*cannot be indexed"),
        (Note, ["mixed"], "Mixed.*cannot be indexed"),
        (Note, ["number"], "cannot be indexed"),
        (Note, ["counts"], r"list\[int\].*cannot be indexed"),
        (None, {"a": dict}, "dict.*cannot be indexed"),
        (None, {"a": set[str]}, "cannot be indexed"),
        (Note, ["topic", Index("topic")], "declared twice"),
        (Note, "topic", "list of names"),
    ],
)
def test_an_index_that_cannot_be_is_refused_when_the_store_is_made(
    adapter: Any, value_type: Any, indexes: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Store(adapter, "notes", value_type, indexes=indexes)


def test_a_bad_name_is_refused(adapter: Any) -> None:
    with pytest.raises(InvalidKey):
        Store(adapter, "notes", indexes={"": str})


@pytest.mark.parametrize(
    ("of_type", "value"),
    [
        (str, 1),
        (str, b"secret"),
        (int, True),
        (int, 1.0),
        (int, "1"),
        (float, "1"),
        (float, True),
        (float, 2**53 + 1),
        (float, 10**400),
        (bool, 1),
        (datetime, "2026-01-01"),
        (list[str], "secret"),
        (list[str], ["secret", 1]),
        (list[str], {"secret": 1}),
    ],
    ids=str,
)
async def test_a_value_of_another_type_is_refused_by_name_and_nothing_is_written(
    adapter: Any, of_type: Any, value: Any
) -> None:
    store = Store(adapter, "notes", indexes={"topic": of_type})
    with pytest.raises(SerializationError, match="'topic'") as refused:
        await store.set("k", {"topic": value})
    assert type(value).__name__ in str(refused.value) or "int" in str(refused.value)
    assert "secret" not in str(refused.value)
    with pytest.raises(SerializationError):
        await store.set_batch({"fine": {}, "k": {"topic": value}})
    assert adapter.calls == []


async def test_an_integer_beyond_what_can_be_indexed_is_refused(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes={"n": int})
    with pytest.raises(LimitExceeded):
        await store.set("k", {"n": 2**63})
    assert await store.count() == 0


async def test_an_exact_integer_is_a_float_for_a_float_index(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes={"score": float})
    found = await fields(adapter, store, {"score": 2**60})
    assert found == {"score": float(2**60)}
    assert type(found["score"]) is float
    assert await store.get("k") == {"score": 2**60}


async def test_overwriting_moves_a_record_in_its_indexes(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes={"topic": str})
    await store.set("k", {"topic": "a"})
    await store.set("k", {"topic": "b"})
    assert await store.where("topic", "=", "a").count() == 0
    await store.set("k", {})
    assert await store.where("topic", "exists").count() == 0
    await store.set_batch({"k": {"topic": "c"}})
    assert await store.where("topic", "=", "c").keys() == ["k"]
