"""Corners of typed values: aliases, defaults, unions, excluded fields, and what looks alike in a looser type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from daystore.errors import SerializationError
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq


class Level(IntEnum):
    """Numbers with names."""

    LOW = 0
    HIGH = 1


class Colour(Enum):
    """Names of values of several types."""

    RED = "red"
    ONE = 1
    PAIR = (1, 2)


class Aliased(BaseModel):
    """Fields under other names."""

    model_config: ClassVar[ConfigDict] = ConfigDict(populate_by_name=True)
    first: int = Field(alias="First Name")
    type_: str = Field(default="x", serialization_alias="type", validation_alias="kind")


class Defaults(BaseModel):
    """Fields that need not be given."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")
    none: int | None = None
    zero: int | None = 5
    items: list[int] = [1]
    at: datetime | None = None


class Cat(BaseModel):
    """One kind of pet."""

    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    """Another kind of pet."""

    kind: Literal["dog"] = "dog"
    lives: float = 1.0


class Pets(BaseModel):
    """Unions, told apart by a field and by nothing."""

    told: Annotated[Cat | Dog, Field(discriminator="kind")]
    untold: list[Cat | Dog | None] = []
    scalar: int | float | str | bool | None = None
    moment: datetime | date | str | None = None
    exact: Decimal | float | None = None
    data: bytes | str | None = None


class Hidden(BaseModel):
    """A field that is not written out."""

    shown: int = 1
    hidden: int = Field(default=0, exclude=True)


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: float


@dataclass(frozen=True)
class Leaf:
    """A frozen dataclass."""

    name: str
    sizes: tuple[int, ...] = ()


class Everything(BaseModel):
    """Containers of what JSON cannot say."""

    levels: dict[str, Level] = {}
    colours: list[Colour] = []
    point: Point | None = None
    leaves: list[Leaf] = []
    by_date: dict[date, int] = {}
    by_number: dict[int, str] = {}
    ids: frozenset[UUID] = frozenset()
    spans: tuple[timedelta, ...] = ()
    anything: Any = None
    plain: dict[str, Any] = {}


_DAY: Final = date(2026, 1, 2)
_NOON: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)

VALUES: Final[tuple[Any, ...]] = (
    Aliased(first=1, type_="y"),
    Defaults(),
    Defaults.model_validate({"none": 0, "zero": None, "items": [], "extra": {"a": [1, 1.0]}}),
    Defaults(at=_NOON, zero=0),
    Pets(told=Dog(lives=9.0), untold=[Cat(), Dog(), None]),
    *(Pets(told=Cat(), scalar=scalar) for scalar in (1, 1.0, "1", True, "true", None, "", 0, 2**70)),
    *(Pets(told=Cat(), moment=moment) for moment in (_NOON, _DAY, "2026-01-02", "2026-01-02T12:00:00Z", "")),
    *(Pets(told=Cat(), exact=exact) for exact in (Decimal("1.50"), 1.5, Decimal(0), 0.0)),
    *(Pets(told=Cat(), data=data) for data in (b"1", "1", b"\xff", "YQ==", b"")),
    Hidden(shown=2),
    Hidden(hidden=3),
    Everything(),
    Everything(levels={"a": Level.LOW}, colours=list(Colour), point=Point(1, 2.0), leaves=[Leaf("a", (1,))]),
    Everything(
        by_date={_DAY: 1}, by_number={1: "a", -1: ""}, ids=frozenset([UUID(int=1)]), spans=(timedelta(1),)
    ),
    *(
        Everything(anything=value)
        for value in (1, True, 1.0, b"1", "1", _DAY, Decimal("1.0"), [1, [2.0]], {"a": b"x"})
    ),
    Everything(plain={"a": [_NOON, {"b": None}], "": False}),
    Leaf("x", (1, 2)),
)


@case("rt.model_corners")
async def model_corners(env: Env) -> None:
    """A model comes back equal in every field and its type, or is refused; it is never something close to it."""
    kept = 0
    for kind in dict.fromkeys(type(value) for value in VALUES):
        store = env.store(kind)
        other = env.reading(store, kind)
        written: dict[str, Any] = {}
        for number, value in enumerate(VALUES):
            if type(value) is not kind:
                continue
            try:
                await store.set(f"k{number:02}", value)
            except SerializationError:
                assert not await store.exists(f"k{number:02}")
                continue
            written[f"k{number:02}"] = value
            await store.set_batch({f"l{number:02}": value})
            written[f"l{number:02}"] = value
        for place in (store, other):
            found = await place.get_batch(written)
            assert list(found) == list(written)
            for key, value in written.items():
                assert strict_eq(found[key], value), f"{value!r} came back as {found[key]!r}"
                assert strict_eq(await place.get(key), value)
                assert getattr(found[key], "model_extra", None) == getattr(value, "model_extra", None)
        kept += len(written)
    assert kept > len(VALUES), "most of the models were refused"


@case("rt.model_indexes", requires={"query"})
async def model_indexes(env: Env) -> None:
    """The indexed parts of models are found by their values: defaults, enum members and aliases, too."""
    pets = env.store(Pets, indexes={"scalar": int, "told.kind": str})
    await pets.set_batch(
        {"a": Pets(told=Cat(), scalar=1), "b": Pets(told=Dog()), "c": Pets(told=Dog(), scalar=0)}
    )
    assert await pets.where("scalar", "=", 1).keys() == ["a"]
    assert await pets.where("scalar", "<=", 0).keys() == ["c"]
    assert await pets.where("told.kind", "=", "dog").keys() == ["b", "c"]
    plain = env.store(Defaults, indexes={"zero": int, "none": int})
    await plain.set_batch({"a": Defaults(), "b": Defaults(zero=None), "c": Defaults(none=0)})
    assert await plain.where("zero", "=", 5).keys() == ["a", "c"]
    assert await plain.where("none", "exists", True).keys() == ["c"]
    assert await plain.update("a", {"zero": 0}) == Defaults(zero=0)
    assert await plain.where("zero", "=", 0).keys() == ["a"]
    assert strict_eq(await plain.where("zero", "exists", False).execute(), [Defaults(zero=None)])
    aliased = env.store(Aliased, indexes=["first"])
    await aliased.set("a", Aliased(first=7))
    assert await aliased.where("first", "=", 7).keys() == ["a"]
