"""Every value of the contract comes back equal and of the same type, or is refused and says why."""

import json
import struct
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Context, Decimal, localcontext
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import orjson
import pytest
from pydantic import BaseModel, TypeAdapter

from daystore.codec.serializers.json import JSONSerializer
from daystore.codec.values import MAX_DEPTH
from daystore.errors import SerializationError
from daystore_compliance.equality import strict_eq

JSON = JSONSerializer()
BERLIN = ZoneInfo("Europe/Berlin")
SECRET = "hunter2"


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Plain(Enum):
    A = "a"


class Bits(Flag):
    A = 1


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Dict(dict[str, object]):
    pass


class List(list[object]):
    pass


class Set(set[object]):
    pass


class Bytes(bytes):
    pass


class Moment(datetime):
    pass


class Money(Decimal):
    pass


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 (a plain subclass of tuple, as users have them)


@dataclass
class Point:
    x: int = 1


class Note(BaseModel):
    text: str = "a"


def aware(text: str, zone: tzinfo | None = None, fold: int = 0) -> datetime:
    value = datetime.fromisoformat(text)
    return value.replace(tzinfo=zone or value.tzinfo, fold=fold)


PLAIN: dict[str, object] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "empty text": "",
    "text zero": "0",
    "texts that look like other values": [
        "1e5",
        "0x10",
        "true",
        "null",
        "NaN",
        "00",
        "83528e0696",
        "[]",
        "2026-01-01",
    ],
    "int at every bound": [
        sign * (2**bits + step) for sign in (1, -1) for bits in (7, 8, 31, 32, 53, 63) for step in (-1, 0)
    ],
    "largest unsigned 64": 2**64 - 1,
    "float that is whole": 1.0,
    "minus zero": -0.0,
    "smallest float": 5e-324,
    "largest float": 1.7976931348623157e308,
    "floats of many digits": [0.1, 1 / 3, 2.0**53 + 2, 1e16, 123456789.123456789],
    "floats beside none": [None, 0.5, 1e308, -1e308, 2.0**1009, None],
    "bool, int and float in one list": [True, 1, 1.0, False, 0, 0.0],
    "astral text": "\U0001f600\U0010ffff",
    "combining text": ["\u00e9", "e\u0301"],
    "right to left text": "\u05e9\u05dc\u05d5\u05dd \u202eabc",
    "byte order mark": "\ufeffa",
    "control characters": "".join(map(chr, range(32))) + "\x7f\u2028",
    "empty containers": [[], {}, [[]], {"": {}}],
    "keys": {"": 1, ".": 2, "a.b": 3, "$gt": 4, "\0": 5, "\u00e9": 6, "e\u0301": 7, "1": 8, "__proto__": 9},
    "keys out of order": {"b": 1, "a": 2, "c": {"z": 1, "y": 2}},
    "lists that look like marks of others": [
        ["$date", 1],
        ["~", 1],
        ["~ds", 1],
        ["~/src", "~ds"],
        [["x", "~ds:set"]],
    ],
    "dicts that look like tags": [
        {"~ds:int": "1f"},
        {"~ds:list": []},
        {"$date": "2026-01-01"},
        {"a": "~ds:int"},
    ],
    "text that quotes a tag": 'he said ["~ds:int","1f"]',
}

TAGGED: dict[str, object] = {
    "int over 64 bits": [2**64, -(2**63) - 1, 10**300, -(10**300)],
    "every byte": bytes(range(256)),
    "no bytes": b"",
    "bytes that are not text": b"\xff\xfe",
    "bytes beside text": [b"1", "1", 1],
    "instant in UTC": datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
    "instant with an offset": aware("2026-03-01T12:00:00.000001+05:30"),
    "offset to the microsecond": datetime(
        1900, 1, 1, tzinfo=timezone(timedelta(seconds=1172, microseconds=1))
    ),
    "instant in a zone": datetime(2026, 7, 1, 12, tzinfo=BERLIN),
    "both passes of a repeated hour": [
        aware("2026-10-25T02:30:00", BERLIN),
        aware("2026-10-25T02:30:00", BERLIN, fold=1),
    ],
    "hour that clocks skip": [
        aware("2026-03-29T02:30:00", BERLIN),
        aware("2026-03-29T02:30:00", BERLIN, fold=1),
    ],
    "fold without a zone": aware("2026-03-01T12:00:00+01:00", fold=1),
    "first and last instant": [
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime.min.replace(tzinfo=BERLIN),
        datetime.max.replace(tzinfo=BERLIN),
    ],
    "zone that is UTC": datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
    "date": [date(2026, 2, 28), date.min, date.max],
    "timedelta": [
        timedelta(0),
        timedelta(microseconds=1),
        timedelta(microseconds=-1),
        timedelta(days=-1, microseconds=999999),
        timedelta.min,
        timedelta.max,
    ],
    "decimal": [
        Decimal(text) for text in ("1.50", "-0.00", "0E-10", "1E+400", "1E-400", "12345678901234567890.123")
    ],
    "uuid": UUID("8d7a3f3e-9a6f-4c55-9c6b-0d2e5c1a7b11"),
    "uuid that knows its origin": UUID(int=5, is_safe=SafeUUID.safe),
    "set": {1, "a", None, 2.5},
    "empty sets": [set(), frozenset()],
    "set of every hashable type": {
        None,
        True,
        -1.5,
        2**70,
        "~ds:set",
        b"x",
        date(2026, 1, 1),
        timedelta(1),
        Decimal("1.50"),
        UUID(int=1),
        datetime(2026, 1, 1, tzinfo=BERLIN),
        frozenset({frozenset({"deep"})}),
    },
    "list that looks like a tag": ["~ds:int", "1f"],
    "list that looks like an unknown tag": ["~ds:"],
    "list that looks like an escaped list": ["~ds:list", "~ds:list", ["~ds:list"]],
    "set whose only element looks like a tag": {"~ds:decimal"},
    "dict whose values look like tags": {"~ds:set": ["~ds:set", 1, 1], "a": {"~ds:int": ["~ds:int", "zz"]}},
    "tags beside look-alikes": [
        ["~ds:date", "2026-01-01"],
        date(2026, 1, 1),
        {"x": ["~ds:uuid", UUID(int=1)]},
    ],
}


@pytest.mark.parametrize("value", (PLAIN | TAGGED).values(), ids=PLAIN | TAGGED)
def test_value_comes_back_the_same(value: object) -> None:
    assert strict_eq(JSON.loads(JSON.dumps(value)), value)


@pytest.mark.parametrize("value", (PLAIN | TAGGED).values(), ids=PLAIN | TAGGED)
def test_value_comes_back_the_same_beside_any_other(value: object) -> None:
    for mixed in ([value, b"", None], {"a": [{"b": value}], "c": {2**80}}, [date.max, {"k": value}, -1.5]):
        assert strict_eq(JSON.loads(JSON.dumps(mixed)), mixed)


@pytest.mark.parametrize("value", PLAIN.values(), ids=PLAIN)
def test_what_json_can_say_is_stored_as_plain_json(value: object) -> None:
    assert strict_eq(json.loads(JSON.dumps(value)), value)


@pytest.mark.parametrize("value", TAGGED.values(), ids=TAGGED)
def test_what_json_cannot_say_is_still_json(value: object) -> None:
    assert b"~ds:" in JSON.dumps(value)
    json.loads(JSON.dumps(value))


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (2**64, b'["~ds:int","10000000000000000"]'),
        (b"\x00\x01\xff", b'["~ds:bytes","AAH/"]'),
        (aware("2026-10-25T02:30:00+02:00"), b'["~ds:datetime","2026-10-25T02:30:00+02:00"]'),
        (
            aware("2026-07-01T02:30:00", BERLIN),
            b'["~ds:datetime","2026-07-01T02:30:00+02:00","Europe/Berlin"]',
        ),
        (
            aware("2026-10-25T02:30:00", BERLIN, fold=1),
            b'["~ds:datetime","2026-10-25T02:30:00+01:00","Europe/Berlin",1]',
        ),
        (aware("2026-01-01T00:00:00+00:00", fold=1), b'["~ds:datetime","2026-01-01T00:00:00+00:00",null,1]'),
        (date(2026, 10, 25), b'["~ds:date","2026-10-25"]'),
        (timedelta(seconds=-5400, microseconds=-1), b'["~ds:timedelta","-5400.000001"]'),
        (Decimal("1.50"), b'["~ds:decimal","1.50"]'),
        (UUID(int=1), b'["~ds:uuid","00000000-0000-0000-0000-000000000001"]'),
        ({"a"}, b'["~ds:set","a"]'),
        (frozenset({1}), b'["~ds:frozenset",1]'),
        (["~ds:int", "1f"], b'["~ds:list","~ds:int","1f"]'),
    ],
)
def test_stored_form_never_changes(value: object, stored: bytes) -> None:
    assert JSON.dumps(value) == stored
    assert strict_eq(JSON.loads(stored), value)


def test_int_of_more_digits_than_python_prints_comes_back_the_same() -> None:
    for value in (10**5000, -(10**5000)):
        assert JSON.loads(JSON.dumps([value])) == [value]


def test_tuple_comes_back_as_list() -> None:
    stored = JSON.dumps({"plain": (1, (2, ())), "tagged": (b"x", ("~ds:int",))})
    assert strict_eq(JSON.loads(stored), {"plain": [1, [2, []]], "tagged": [b"x", ["~ds:int"]]})


def test_decimal_is_exact_under_any_context() -> None:
    with localcontext(Context(prec=1, capitals=0)):
        stored = JSON.dumps(Decimal("1.234567E+50"))
    assert strict_eq(JSON.loads(stored), Decimal("1.234567E+50"))
    with localcontext(Context(prec=1, capitals=0)):
        assert strict_eq(JSON.loads(stored), Decimal("1.234567E+50"))


def test_zone_of_a_parser_comes_back_as_its_fixed_offset() -> None:
    value = TypeAdapter(datetime).validate_python("2026-03-01T12:00:00+05:30")
    assert type(value.tzinfo) is not timezone
    assert strict_eq(JSON.loads(JSON.dumps(value)), aware("2026-03-01T12:00:00+05:30"))


def test_zone_read_from_a_file_without_a_name_comes_back_as_its_offset(tmp_path: Path) -> None:
    tzif = (
        b"TZif"
        + bytes(16)
        + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
        + struct.pack(">lbb", 3600, 0, 0)
        + b"TST\0"
    )
    (tmp_path / "zone").write_bytes(tzif)
    with (tmp_path / "zone").open("rb") as file:
        nameless = ZoneInfo.from_file(file)
    back = JSON.loads(JSON.dumps(datetime(2026, 1, 1, 12, tzinfo=nameless)))
    assert strict_eq(back, aware("2026-01-01T12:00:00+01:00"))
    with (tmp_path / "zone").open("rb") as file:
        misnamed = ZoneInfo.from_file(file, key="Mars/Olympus")
    with pytest.raises(SerializationError):
        JSON.dumps(datetime(2026, 1, 1, 12, tzinfo=misnamed))


class Folding(tzinfo):
    """A zone of somebody's own that goes by fold."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1 if moment is not None and moment.fold else 2)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return SECRET


class Unsure(Folding):
    def utcoffset(self, moment: datetime | None) -> None:  # type: ignore[override]
        return None


REFUSED: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "NaN of other bits": struct.unpack("d", struct.pack("Q", 0xFFF0000000000001))[0],
    "naive datetime": datetime(2026, 1, 1),  # noqa: DTZ001
    "datetime without offset": datetime(2026, 1, 1, tzinfo=Unsure()),
    "datetime whose offset python cannot parse": datetime(
        2026, 1, 1, tzinfo=timezone(timedelta(microseconds=-1))
    ),
    "datetime whose zone would be lost": datetime(2026, 1, 1, tzinfo=Folding()),
    "time": time(12, 30),
    "aware time": time(12, 30, tzinfo=UTC),
    "lone high surrogate": "a\ud800",
    "lone low surrogate": "\udfff",
    "lone surrogate as key": {"\ud800": 1},
    "int key": {1: "a"},
    "bool key": {True: "a"},
    "none key": {None: "a"},
    "float key": {1.5: "a"},
    "bytes key": {b"a": "a"},
    "tuple key": {(1, 2): "a"},
    "date key": {date(2026, 1, 1): "a"},
    "uuid key": {UUID(int=1): "a"},
    "enum key": {Colour.RED: "a"},
    "str subclass key": {Text("a"): "a"},
    "bytearray": bytearray(b"a"),
    "memoryview": memoryview(b"a"),
    "str enum": Colour.RED,
    "int enum": Level.ONE,
    "enum": Plain.A,
    "flag": Bits.A,
    "namedtuple": Pair(1, 2),
    "str subclass": Text("a"),
    "int subclass": Number(1),
    "float subclass": Real(1.5),
    "bytes subclass": Bytes(b"a"),
    "dict subclass": Dict(a=1),
    "ordered dict": OrderedDict(a=1),
    "default dict": defaultdict(int, a=1),
    "list subclass": List([1]),
    "set subclass": Set([1]),
    "datetime subclass": Moment(2026, 1, 1, tzinfo=UTC),
    "decimal subclass": Money("1.50"),
    "dataclass": Point(),
    "dataclass itself": Point,
    "model": Note(),
    "namespace": SimpleNamespace(a=1),
    "deque": deque([1]),
    "range": range(3),
    "generator": (i for i in range(3)),
    "dict view": {"a": 1}.keys(),
    "complex": 1j,
    "ellipsis": ...,
    "not implemented": NotImplemented,
    "type": int,
    "function": len,
    "exception": ValueError("a"),
    "path": Path("a"),
    "fragment of JSON": orjson.Fragment(b"1"),
    "decimal NaN": Decimal("NaN"),
    "decimal signalling NaN": Decimal("sNaN"),
    "decimal infinity": Decimal("-Infinity"),
    "tuple in a set": {(1, 2)},
    "enum in a set": {Colour.RED},
    "infinity in a set": frozenset({float("inf")}),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_would_not_come_back_is_refused(value: object) -> None:
    with pytest.raises(SerializationError):
        JSON.dumps(value)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_would_not_come_back_is_refused_everywhere_inside(value: object) -> None:
    for holder in (
        [None, value],
        (value,),
        {"a": value},
        {"a": [{"b": (1, [value, value])}]},
        [b"tagged", {"a": value}, None],
        ["~ds:looks like a tag", value],
    ):
        with pytest.raises(SerializationError):
            JSON.dumps(holder)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("mantissa", [0, 1, 2**51, 2**52 - 1, 0x7F << 40, 0xFF << 40])
def test_no_float_that_is_not_finite_passes_for_none(shared: bool, sign: int, mantissa: int) -> None:
    bits = struct.pack("Q", sign << 63 | 0x7FF << 52 | mantissa)
    value = struct.unpack("d", bits)[0]
    values = [value, value] if shared else list(struct.unpack("d", bits))
    del value
    for holder in (values, [None, *values], {"a": None, "b": values, "c": -1, "d": "\x7f"}):
        with pytest.raises(SerializationError):
            JSON.dumps(holder)


@pytest.mark.parametrize(
    "value", [[None, -1, "g------\x7f", "\x7f"], [None, *([1.9999999999999998] * 3), -(2**62)]]
)
def test_what_resembles_such_a_float_is_stored(value: list[object]) -> None:
    assert strict_eq(JSON.loads(JSON.dumps(value)), value)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": 1, SECRET: [0, 1, {SECRET: Colour.RED}]}, "dict value 1, list item 2, dict value 0"),
        ({"a": {SECRET: 1, 2: SECRET}}, "dict value 0"),
        ([SECRET, {SECRET: SECRET + "\ud800"}], "list item 1, dict value 0"),
        ([SECRET, {SECRET + "\ud800": 1}], "list item 1"),
        ([{SECRET: {Text(SECRET): 1}}], "list item 0, dict value 0"),
        ({SECRET: {frozenset({SECRET, float("nan")})}}, "dict value 0, in a set, in a set"),
        (["~ds:" + SECRET, [float("nan")]], "list item 1, list item 0"),
        ([[datetime(2026, 1, 1, tzinfo=Folding())]], "list item 0, list item 0"),
        ([{SECRET: Text(SECRET)}, Decimal(1)], "list item 0, dict value 0"),
    ],
)
def test_error_tells_where_and_quotes_nothing(value: object, where: str) -> None:
    with pytest.raises(SerializationError) as caught:
        JSON.dumps(value)
    assert f"(at {where}; counted from 0)" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
        error = error.__cause__


def test_error_of_the_value_itself_names_no_place() -> None:
    with pytest.raises(
        SerializationError, match=r"^the value cannot be stored: an object of type Point: use a typed"
    ):
        JSON.dumps(Point())


def containers() -> Iterator[tuple[str, tuple[int, int, object]]]:
    def nested(levels: int, kind: str, leaf: object) -> object:
        value = leaf
        for _ in range(levels):
            match kind:
                case "list":
                    value = [value]
                case "tuple":
                    value = (value,)
                case "dict":
                    value = {"k": value}
                case _:
                    value = frozenset({value})
        return value

    for kind in ("list", "tuple", "dict", "frozenset"):
        for levels in (100, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 10_000):
            yield f"{kind} {levels} plain", (levels, levels, nested(levels, kind, 1))
            yield f"{kind} {levels} tagged", (levels, levels + 1, nested(levels, kind, b"x"))


CONTAINERS = dict(containers())


def depth_and_leaf(value: object) -> tuple[int, object]:
    depth = 0
    while isinstance(value, (list, tuple, dict, frozenset)):
        value = next(iter(value.values() if isinstance(value, dict) else value))
        depth += 1
    return depth, value


@pytest.mark.parametrize("case", CONTAINERS)
def test_depth_up_to_the_limit_is_kept_and_beyond_it_is_refused(case: str) -> None:
    levels, stored_levels, value = CONTAINERS[case]
    if stored_levels <= MAX_DEPTH:
        assert depth_and_leaf(JSON.loads(JSON.dumps(value))) == (levels, depth_and_leaf(value)[1])
    else:
        with pytest.raises(SerializationError, match=f"nested deeper than {MAX_DEPTH} levels"):
            JSON.dumps(value)


def test_depth_does_not_depend_on_the_callers_stack() -> None:
    value = CONTAINERS[f"list {MAX_DEPTH - 1} tagged"][2]

    def call_deep_down(frames: int) -> object:
        try:
            return call_deep_down(frames + 1)
        except RecursionError:
            return None

    def within(frames: int) -> object:
        return JSON.loads(JSON.dumps(value)) if frames == 0 else within(frames - 1)

    assert call_deep_down(0) is None
    assert depth_and_leaf(within(800)) == (MAX_DEPTH - 1, b"x")


def test_value_that_holds_itself_is_refused() -> None:
    in_list: list[object] = []
    in_list.append(in_list)
    in_dict: dict[str, object] = {}
    in_dict["a"] = [in_dict]
    in_tuple: list[object] = []
    in_tuple.append((in_tuple,))
    many_times: list[object] = []
    many_times.extend([many_times] * 500)
    for value in (in_list, in_dict, in_tuple, many_times, [b"x", in_list]):
        with pytest.raises(SerializationError, match="holds itself"):
            JSON.dumps(value)


def test_same_object_twice_is_no_cycle() -> None:
    part: list[object] = [1, b"x"]
    assert strict_eq(JSON.loads(JSON.dumps([part, {"a": part}, part])), [part, {"a": part}, part])


@pytest.mark.parametrize("value", (PLAIN | TAGGED | REFUSED).values(), ids=PLAIN | TAGGED | REFUSED)
def test_argument_is_left_as_it_was(value: object) -> None:
    parts = [value, (value,), {"k": value}]
    shape = [type(part) for part in parts]
    before = repr(parts)
    with suppress(SerializationError):
        JSON.dumps({"value": value, "parts": parts})
    assert repr(parts) == before
    assert [type(part) for part in parts] == shape
    assert parts[0] is value


def test_result_shares_nothing_with_argument_or_other_results() -> None:
    value = {"list": [1, [b"x"]], "set": {1}}
    stored = JSON.dumps(value)
    untouched = deepcopy(value)
    value["list"].append(2)  # type: ignore[attr-defined]
    first = JSON.loads(stored)
    assert strict_eq(first, untouched)
    first["list"][1].append(3)  # type: ignore[index]
    first["set"].add(3)  # type: ignore[index]
    assert strict_eq(JSON.loads(stored), untouched)
