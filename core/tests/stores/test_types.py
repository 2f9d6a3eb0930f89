"""Typed stores: what is stored comes back equal and of the same type, or is refused and nothing is written."""

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, NotRequired, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, computed_field, field_validator
from typing_extensions import TypedDict

from daystore.abc import Put, WriteBatch
from daystore.errors import ConfigError, CorruptRecord, SchemaError, SerializationError, UnknownCodec
from daystore.stores import Store

T = TypeVar("T")


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Kind(Enum):
    CHAT = "chat"


class Message(BaseModel):
    role: str


class ToolMessage(Message):
    tool: str


class Everything(BaseModel):
    """One field of each kind that a record can keep."""

    color: Color = Color.RED
    level: Level = Level.LOW
    kind: Kind | None = Kind.CHAT
    by_color: dict[Color, Kind] = {Color.RED: Kind.CHAT}
    when: datetime = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    day: date = date(2026, 1, 2)
    lasted: timedelta = timedelta(microseconds=1)
    price: Decimal = Decimal("1.10")
    uuid: UUID = UUID(int=1)
    data: bytes = b"\xff\x00"
    pair: tuple[int, str] = (1, "a")
    tags: set[str] = {"a", "b"}
    frozen: frozenset[int] = frozenset({1})
    big: int = 10**30
    zero: float = -0.0
    anything: Any = None


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = Field(alias="partNumber")


class Whole(BaseModel):
    """Aliases, computed fields, extra fields."""

    model_config = ConfigDict(extra="allow")

    parts: list[Part] = Field(validation_alias="Parts", serialization_alias="PARTS")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.parts)


class Box(BaseModel, Generic[T]):
    content: T


class Thread(BaseModel):
    messages: list[Message]


class Either(BaseModel):
    messages: list[ToolMessage | Message]


class Item(NamedTuple):
    name: str
    number: int


@dataclass
class Address:
    city: str
    since: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Person:
    name: str
    home: Address
    friends: list["Person"] = field(default_factory=list)
    color: Color = Color.RED


@dataclass(frozen=True, slots=True)
class Crate(Generic[T]):
    content: T


class Row(TypedDict):
    a: int
    b: NotRequired[str]


VALUES: dict[str, tuple[Any, Any]] = {
    "model": (Everything, Everything()),
    "model in any": (Everything, Everything(anything={"a": [1, None, 2.5, b"x"]})),
    "aliases": (Whole, Whole.model_validate({"Parts": [{"partNumber": 1}], "more": "x"})),
    "generic model": (Box[Box[int]], Box[Box[int]](content=Box[int](content=1))),
    "union of models": (Either, Either(messages=[ToolMessage(role="a", tool="t"), Message(role="b")])),
    "dataclass": (Person, Person("a", Address("b"), [Person("c", Address("d"))])),
    "generic dataclass": (Crate[int], Crate(1)),
    "typed dict": (Row, {"a": 1}),
    "int": (int, 5),
    "optional": (int | None, None),
    "list": (list[Color], [Color.RED]),
    "dict of models": (dict[str, Message], {"a": Message(role="x")}),
    "union": (Message | Address, Address("b")),
    "literal": (Literal["a", "b"], "a"),
    "named tuple": (Item, Item("a", 1)),
    "annotated": (Annotated[int, Field(gt=0)], 5),
    "enum": (Color, Color.RED),
    "datetime": (datetime, datetime(2026, 1, 1, tzinfo=UTC)),
}


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types in what has a repr of its own."""
    return type(a) is type(b) and a == b and sorted(repr(a)) == sorted(repr(b))  # a set has no order


@pytest.mark.parametrize("name", list(VALUES))
async def test_a_value_comes_back_equal_and_of_the_same_type(adapter: Any, name: str) -> None:
    value_type, value = VALUES[name]
    store: Store[Any] = Store(adapter, "notes", value_type)
    await store.set("k", value)
    found = await store.get("k", "missing")
    assert same(found, value)
    assert same((await store.get_batch(["k"]))["k"], value)
    assert same((await store.all().execute())[0], value)


async def test_a_generic_model_is_not_a_dict_when_it_comes_back(adapter: Any) -> None:
    """langchain-ai/langgraph#7037: its name could not be looked up, so a dict came back."""
    store = Store(adapter, "notes", Box[int])
    await store.set("k", Box[int](content=1))
    assert type(await store.get("k")) is Box[int]


class Private(BaseModel):
    name: str
    hidden: str = Field(default="", exclude=True)
    score: float = 0.0
    _cache: int = PrivateAttr(default=0)


def changed(**attributes: Any) -> Private:
    value = Private(name="a")
    for name, content in attributes.items():
        setattr(value, name, content)
    return value


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "subclass in a list of the base class": (
        Thread,
        Thread(messages=[ToolMessage(role="a", tool="secret-value")]),
        r"\.messages\[\] is a ToolMessage and would come back as a Message",
    ),
    "subclass of the store's type": (Message, ToolMessage(role="a", tool="secret-value"), "not ToolMessage"),
    "another type": (Message, {"role": "secret-value"}, "holds Message, not dict"),
    "model in any": (
        Everything,
        Everything(anything=Message(role="secret-value")),
        r"\.anything is a Message",
    ),
    "enum in any": (Everything, Everything(anything=Color.RED), r"\.anything is a Color"),
    "excluded field": (Private, changed(hidden="secret-value"), r"\.hidden would come back unequal"),
    "private attribute": (Private, changed(_cache=7), "private attributes"),
    "int in a float field": (Private, changed(score=1), r"\.score is a int and would come back as a float"),
    "value of another type": (Private, changed(name=5), "name"),
    "bool for int": (int, True, "holds int, not bool"),
    "item of another type": (list[int], [1, True], r"\[\] is a bool"),
    "typed dict with more": (Row, {"a": 1, "c": "secret-value"}, "other keys"),
    "not a number": (Private, changed(score=float("nan")), "finite|NaN"),
    "str enum for str": (Message, Message.model_construct(role=Color.RED), "Color"),
}


@pytest.mark.parametrize("name", list(REFUSED))
async def test_what_would_not_come_back_is_refused_and_nothing_is_written(adapter: Any, name: str) -> None:
    value_type, value, message = REFUSED[name]
    store: Store[Any] = Store(adapter, "notes", value_type)
    with pytest.raises(SerializationError, match=message) as refused:
        await store.set("k", value)
    assert "secret-value" not in str(refused.value)
    with pytest.raises(SerializationError):
        await store.set_batch({"k": value})
    assert adapter.calls == []


async def test_without_verification_the_loss_is_accepted(adapter: Any) -> None:
    store = Store(adapter, "notes", Thread, verify=False)
    await store.set("k", Thread(messages=[ToolMessage(role="a", tool="t")]))
    assert await store.get("k") == Thread(messages=[Message(role="a")])
    with pytest.raises(SerializationError, match="not Message"):
        await store.set("k", Message(role="a"))  # type: ignore[arg-type]


async def test_a_tuple_in_a_plain_place_comes_back_as_a_list(adapter: Any) -> None:
    store = Store(adapter, "notes", Everything)
    await store.set("k", Everything(anything=(1, (2,))))
    found = await store.get("k")
    assert found is not None
    assert found.anything == [1, [2]]


class Strict(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def short(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError(f"too long: {name}")
        return name


async def test_what_no_longer_fits_is_an_error_and_not_a_miss(adapter: Any) -> None:
    await Store(adapter, "notes").set("k", {"name": "secret-value"})
    store = Store(adapter, "notes", Strict)
    for call in (store.get("k", "default"), store.get_batch(["k"]), store.all().execute()):
        with pytest.raises(SchemaError, match=r"does not fit Strict: name \(value_error\)") as unfit:
            await call
        assert "secret-value" not in str(unfit.value)
        assert unfit.value.__cause__ is None
    assert await store.exists("k")


async def test_bytes_that_cannot_be_decoded_are_an_error_that_names_the_record(adapter: Any) -> None:
    store = Store(adapter, "notes")
    await store.set("fine", 1)
    await adapter.write(WriteBatch([Put("notes", "k", b"{", content_type="application/json")]))
    for call in (store.get("k", "default"), store.get_batch(["fine", "k"]), store.all().execute()):
        with pytest.raises(CorruptRecord) as corrupt:
            await call
        assert (corrupt.value.collection, corrupt.value.key) == ("notes", "k")
    assert await store.get("fine") == 1
    assert await store.exists("k")


@pytest.mark.parametrize("put", [{"content_type": "application/x-foreign"}, {"encodings": ("rot13",)}])
async def test_what_an_absent_serializer_or_codec_wrote_says_which(adapter: Any, put: Any) -> None:
    kept = {"content_type": "application/json"} | put
    await adapter.write(WriteBatch([Put("notes", "k", b"1", **kept)]))
    with pytest.raises(UnknownCodec, match=r"x-foreign|rot13") as unknown:
        await Store(adapter, "notes").get("k")
    assert unknown.value.codec in ("application/x-foreign", "rot13")
    assert (await adapter.get("notes", "k")).value == b"1"


class Versioned(BaseModel):
    __daystore_schema__ = "note"
    __daystore_version__: ClassVar[int] = 3

    name: str


@pytest.mark.parametrize(
    ("value_type", "value", "schema"),
    [
        (Message, Message(role="a"), ("Message", 1)),
        (Versioned, Versioned(name="a"), ("note", 3)),
        (Person, Person("a", Address("b")), ("Person", 1)),
        (Row, {"a": 1}, ("Row", 1)),
        (Box[int], Box[int](content=1), ("Box[int]", 1)),
        (int, 1, (None, None)),
        (None, 1, (None, None)),
    ],
    ids=str,
)
async def test_the_name_and_version_of_the_schema_are_in_the_record(
    adapter: Any, value_type: Any, value: Any, schema: object
) -> None:
    store: Store[Any] = Store(adapter, "notes", value_type)
    await store.set("k", value)
    record = await adapter.get("notes", "k")
    assert (record.schema, record.schema_version) == schema
    entry = await store.entry("k")
    assert entry is not None
    assert (entry.schema, entry.schema_version) == schema


def test_a_type_that_cannot_be_used_is_refused_when_the_store_is_made(adapter: Any) -> None:
    class Odd:
        pass

    class Wrong(BaseModel):
        __daystore_version__: ClassVar[int] = 0

    with pytest.raises(ConfigError, match="type of a store"):
        Store(adapter, "notes", Odd)
    with pytest.raises(ConfigError, match="__daystore_version__"):
        Store(adapter, "notes", Wrong)


async def test_any_is_any_plain_value(adapter: Any) -> None:
    store: Store[Any] = Store(adapter, "notes", Any)
    await store.set("k", {"a": b"x"})
    assert await store.get("k") == {"a": b"x"}
    with pytest.raises(SerializationError):
        await store.set("k", Message(role="a"))


def test_a_store_of_plain_values_imports_no_pydantic() -> None:
    code = (
        "import asyncio, sys\n"
        "from daystore.adapters.memory import MemoryAdapter\n"
        "from daystore.stores.store import Store\n"
        "from daystore import QueryFilter\n"
        "async def main():\n"
        "    async with MemoryAdapter() as adapter:\n"
        "        store = Store(adapter, 'notes', indexes={'a': str})\n"
        "        await store.set('k', {'a': 'x'}, ttl='1h')\n"
        "        assert await store.query(QueryFilter(tags={'a': 'x'})) == [{'a': 'x'}]\n"
        "asyncio.run(main())\n"
        "assert 'pydantic' not in sys.modules, 'pydantic'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
