"""`strict_eq` is the judge of every round trip: what it cannot tell apart, no case can."""

import struct
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel

from daystore_compliance.equality import strict_eq

NAN = float("nan")
OTHER_NAN = struct.unpack("d", struct.pack("Q", 0x7FF8000000000001))[0]
BERLIN = ZoneInfo("Europe/Berlin")


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 (the plain form is what is told apart from a tuple)


@dataclass(frozen=True, slots=True)
class Point:
    x: float


@dataclass(frozen=True)
class OtherPoint:
    x: float


class Note(BaseModel):
    text: str = ""
    score: float = 0.0


DIFFERENT = {
    "bool and int": (True, 1),
    "int and float": (1, 1.0),
    "zero and minus zero": (0.0, -0.0),
    "NaNs of other bits": (NAN, OTHER_NAN),
    "none and false": (None, False),
    "str and bytes": ("a", b"a"),
    "bytes and bytearray": (b"a", bytearray(b"a")),
    "str and enum": ("red", Colour.RED),
    "int and enum": (1, Level.ONE),
    "str and subclass": ("a", Text("a")),
    "composed and decomposed text": ("\u00e9", "e\u0301"),
    "list and tuple": ([1], (1,)),
    "tuple and namedtuple": ((1, 2), Pair(1, 2)),
    "set and frozenset": ({1}, frozenset({1})),
    "sets of int and bool": ({1}, {True}),
    "sets of int and float": (frozenset({1}), frozenset({1.0})),
    "sets of other size": ({1}, {1, 2}),
    "sets of other elements": ({1, 3}, {1, 2}),
    "sets within sets": ({frozenset({1})}, {frozenset({True})}),
    "dict and subclass": ({"a": 1}, OrderedDict(a=1)),
    "dicts in other order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "dicts with other key types": ({"red": 1}, {Colour.RED: 1}),
    "dicts with other values": ({"a": 1}, {"a": True}),
    "dicts of other size": ({"a": 1}, {"a": 1, "b": 2}),
    "lists of other length": ([1], [1, 2]),
    "lists in other order": ([1, 2], [2, 1]),
    "deep inside": ({"a": [({"b": (1, [2.0])},)]}, {"a": [({"b": (1, [2])},)]}),
    "decimals of other precision": (Decimal("1.0"), Decimal("1.00")),
    "decimal zeros of other sign": (Decimal(0), Decimal("-0")),
    "decimal and int": (Decimal(1), 1),
    "date and datetime": (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
    "naive and aware": (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
    "same instant, other offset": (
        datetime(2026, 1, 1, 12, tzinfo=UTC),
        datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),
    ),
    "zone and fixed offset": (
        datetime(2026, 1, 1, tzinfo=BERLIN),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ),
    "zones of the same offset": (
        datetime(2026, 1, 1, tzinfo=BERLIN),
        datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Paris")),
    ),
    "first and second pass of a repeated hour": (
        datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
        datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    ),
    "one microsecond": (timedelta(days=1), timedelta(days=1, microseconds=1)),
    "uuid and text": (UUID(int=1), str(UUID(int=1))),
    "dataclass fields": (Point(0.0), Point(-0.0)),
    "dataclasses of other class": (Point(1.0), OtherPoint(1.0)),
    "model fields": (Note(score=0.0), Note(score=-0.0)),
    "model and dict": (Note(), {"text": "", "score": 0.0}),
}

SAME = {
    "none": (None, None),
    "bool": (True, True),
    "int": (10**30, 10**30),
    "minus zero": (-0.0, -0.0),
    "NaN": (NAN, float("nan")),
    "text": ("caf\u00e9", "caf\u00e9"),
    "bytes": (b"\x00\xff", b"\x00\xff"),
    "list": ([1, [2.0, None]], [1, [2.0, None]]),
    "tuple": ((1, ()), (1, ())),
    "dict": ({"a": 1, "b": [2]}, {"a": 1, "b": [2]}),
    "set in another order of insertion": ({1, 9, "a", 2.5}, {"a", 2.5, 9, 1}),
    "set of frozensets": ({frozenset({1})}, {frozenset({1})}),
    "decimal": (Decimal("1.50"), Decimal("1.50")),
    "datetime": (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=timezone(timedelta(0)))),
    "datetime in a zone": (
        datetime(2026, 1, 1, tzinfo=BERLIN),
        datetime(2026, 1, 1, tzinfo=ZoneInfo.no_cache("Europe/Berlin")),
    ),
    "date": (date(2026, 1, 1), date(2026, 1, 1)),
    "timedelta": (timedelta(1), timedelta(1)),
    "uuid": (UUID(int=7), UUID(int=7)),
    "enum": (Colour.RED, Colour.RED),
    "dataclass": (Point(0.5), Point(0.5)),
    "model": (Note(text="a"), Note(text="a")),
}


@pytest.mark.parametrize(("a", "b"), DIFFERENT.values(), ids=DIFFERENT)
def test_tells_apart(a: object, b: object) -> None:
    assert not strict_eq(a, b)
    assert not strict_eq(b, a)


@pytest.mark.parametrize(("a", "b"), SAME.values(), ids=SAME)
def test_takes_as_the_same(a: object, b: object) -> None:
    assert strict_eq(a, b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT.values(), ids=DIFFERENT)
def test_tells_apart_inside_every_container(a: object, b: object) -> None:
    assert not strict_eq([0, a], [0, b])
    assert not strict_eq((0, a), (0, b))
    assert not strict_eq({"k": a}, {"k": b})
