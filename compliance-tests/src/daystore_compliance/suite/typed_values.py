"""Typed stores: models and dataclasses come back as themselves, or are refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel

from daystore.errors import SchemaError, SerializationError
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq

T = TypeVar("T")

_EAST = timezone(timedelta(hours=2))


class Status(StrEnum):
    """A field of text that is more than text."""

    OPEN = "open"
    DONE = "done"


class Part(BaseModel):
    """What a note may have several of."""

    name: str
    size: int = 0


class SpecialPart(Part):
    """A part with more to it."""

    extra: bytes


class Note(BaseModel):
    """A model with fields of many types."""

    title: str
    status: Status = Status.OPEN
    tags: list[str] = []
    parts: list[Part] = []
    at: datetime | None = None
    price: Decimal | None = None
    raw: bytes = b""
    id: UUID | None = None
    limits: tuple[int, int] = (0, 0)
    labels: set[str] = set()
    score: float = 0.0


class Box(BaseModel, Generic[T]):
    """A generic model."""

    content: T


@dataclass
class Task:
    """A dataclass with nested ones."""

    name: str
    steps: list[Task] = field(default_factory=list)
    due: datetime | None = None
    weight: float = 1.0


NOTES = (
    Note(title=""),
    Note(
        title="\0 \U0001f600",
        status=Status.DONE,
        tags=["b", "a", "a"],
        parts=[Part(name="x"), Part(name="", size=2**70)],
        at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        price=Decimal("1.50"),
        raw=bytes(range(256)),
        id=UUID(int=7),
        limits=(-1, 2**64),
        labels={"x", "y"},
        score=-0.0,
    ),
)


@case("rt.models")
async def models(env: Env) -> None:
    """Pydantic models come back as themselves with every field, through each path of a typed store."""
    store = env.store(Note, indexes=["title", "tags", "at"])
    await store.set("0", NOTES[0])
    await store.set_batch({"1": NOTES[1]})
    for place in (store, env.reading(store, Note, indexes=["title", "tags", "at"])):
        assert strict_eq([await place.get("0"), await place.get("1")], list(NOTES))
        assert strict_eq(await place.get_batch(["1", "0"]), {"1": NOTES[1], "0": NOTES[0]})
        if env.capabilities.query:
            assert strict_eq(await place.where("tags", "contains", "a").execute(), [NOTES[1]])
            assert strict_eq(await place.where("title", "=", "").execute(), [NOTES[0]])


@case("rt.generic_models")
async def generic_models(env: Env) -> None:
    """A store of a generic model returns that model, with the types of its parameter."""
    store = env.store(Box[int])
    await store.set("k", Box[int](content=1))
    assert strict_eq(await store.get("k"), Box[int](content=1))
    lists = env.store(Box[list[Part]])
    value = Box[list[Part]](content=[Part(name="a")])
    await lists.set("k", value)
    assert strict_eq(await lists.get("k"), value)


@case("rt.dataclasses")
async def dataclasses(env: Env) -> None:
    """Dataclasses come back as themselves, nested ones too, and a store of typed dicts returns dicts."""
    store = env.store(Task)
    value = Task(
        "a", [Task("b", weight=-0.0), Task("c", [Task("d")])], datetime(2026, 1, 1, 0, 0, 0, 1, _EAST)
    )
    await store.set("k", value)
    assert strict_eq(await env.reading(store, Task).get("k"), value)
    plain = env.store(dict[str, list[int]])
    await plain.set("k", {"b": [2**70], "a": []})
    assert strict_eq(await plain.get("k"), {"b": [2**70], "a": []})


@case("rt.subclass_fields")
async def subclass_fields(env: Env) -> None:
    """A nested subclass keeps its own fields or is refused; it is never cut down to its base class."""
    store = env.store(Note)
    value = Note(title="x", parts=[SpecialPart(name="a", extra=b"1"), Part(name="b")])
    try:
        await store.set("k", value)
    except SerializationError:
        assert not await store.exists("k")
    else:
        assert strict_eq(await store.get("k"), value)
    unions = env.store(Box[list[SpecialPart | Part]])
    boxed = Box[list[SpecialPart | Part]](content=[SpecialPart(name="a", extra=b"1"), Part(name="b")])
    await unions.set("k", boxed)
    assert strict_eq(await unions.get("k"), boxed)


@case("rt.typed_refused")
async def typed_refused(env: Env) -> None:
    """A typed store refuses what is not of its type, and says so when what is stored does not fit it."""
    store = env.store(Part)
    await store.set("k", Part(name="old"))
    bad: tuple[Any, ...] = (
        {"name": "x"},
        "text",
        None,
        Note(title="x"),
        SpecialPart(name="x", extra=b""),
        [Part(name="x")],
    )
    for value in bad:
        with raises(SerializationError):
            await store.set("k", value)
        with raises(SerializationError):
            await store.set_batch({"first": Part(name="x"), "k": value})
    assert strict_eq(await store.get("k"), Part(name="old"))
    assert not await store.exists("first")
    untyped = env.reading(store)
    await untyped.set("other", {"title": "no part"})
    with raises(SchemaError, hides=["no part"]):
        await env.reading(store, Part).get("other")
    assert await untyped.get("other") == {"title": "no part"}, "a record that does not fit was changed"
