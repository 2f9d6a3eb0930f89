"""Values: what is stored comes back equal and of the same type, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from daystore.errors import SerializationError
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.equality import as_stored, strict_eq


async def _keeps(env: Env, values: Iterable[Any]) -> None:
    """Write values by every path, bare and in containers, and expect them back by every other path."""
    store = env.store()
    wanted: dict[str, Any] = {}
    for index, value in enumerate(values):
        wanted |= {
            f"{index:03} a": value,
            f"{index:03} b in a list": [value, value],
            f"{index:03} c in a dict": {"v": value},
        }
    single = dict(list(wanted.items())[::2])
    batch = {key: value for key, value in wanted.items() if key not in single}
    for key, value in single.items():
        await store.set(key, value)
    await store.set_batch(batch)
    for place in (store, env.reading(store)):
        missing = object()
        found = {key: await place.get(key, missing) for key in wanted}
        _expect_same(found, wanted, "get")
        _expect_same(await place.get_batch(wanted), wanted, "get_batch")
        if env.capabilities.query:
            entries = [entry async for entry in place.scan()]
            _expect_same({entry.key: entry.value for entry in entries}, wanted, "scan")


def _expect_same(found: dict[str, Any], wanted: dict[str, Any], path: str) -> None:
    assert list(found) == list(wanted), f"{path} finds other keys"
    for key, value in wanted.items():
        assert strict_eq(found[key], as_stored(value)), f"{path} returns {found[key]!r} for {value!r}"


async def _refuses(env: Env, values: Iterable[Any]) -> None:
    """Expect each value to be refused, bare and in containers, alone and in a batch, with nothing written."""
    store = env.store()
    await store.set("old", "old")
    for value in values:
        for wrapped in (value, [value], {"v": [1, value]}):
            for key in ("old", "new"):
                with raises(SerializationError):
                    await store.set(key, wrapped)
            with raises(SerializationError):
                await store.set_batch({"first": 1, "old": wrapped, "last": 3})
    assert await store.get_batch(["first", "last", "new", "old"]) == {"old": "old"}
    await env.records(store.collection).state("old", "first", "last", "new")
    assert await env.reading(store).get("old") == "old"


@case("rt.json.scalars")
async def json_scalars(env: Env) -> None:
    """None, True, False, 0, 1, "", "0" and their like come back each of its own type."""
    await _keeps(
        env, [None, True, False, 0, 1, -1, 0.0, 1.0, "", "0", "1", "None", "null", "true", "[]", b"", b"0"]
    )


@case("rt.int.bounds")
async def int_bounds(env: Env) -> None:
    """Integers of any size come back exactly, on both sides of every power that a format may stop at."""
    powers = [2**n for n in (7, 8, 15, 16, 31, 32, 53, 63, 64, 100)]
    numbers = [sign * (power + step) for power in powers for step in (-1, 0, 1) for sign in (1, -1)]
    await _keeps(env, [*numbers, 10**300, -(10**300), 1_763_868_000_123_456_789])


@case("rt.bool_not_int")
async def bool_not_int(env: Env) -> None:
    """A truth value is never the number that it equals, bare, in a list or in a dict."""
    await _keeps(env, [True, False, [True, 1, False, 0], {"a": True, "b": 1}, [[True], [1]]])


@case("rt.int_not_float")
async def int_not_float(env: Env) -> None:
    """1 and 1.0 come back as what they were, also nested, also when large."""
    await _keeps(
        env, [1, 1.0, [1, 1.0, -1, -1.0], {"a": 1.0, "b": 1}, 1e16, 10**16, 2.0**53, 2**53, 1e22, 10**22]
    )


@case("rt.float.edge")
async def float_edge(env: Env) -> None:
    """Floats come back to the last bit, negative zero and the smallest and largest among them."""
    extremes = [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e308, 1e21, 1e-6, 1e-7, 3.0e8]
    fractions = [0.1, 0.1 + 0.2, 1 / 3, 123456789.123456789, 9007199254740993.0]
    await _keeps(env, [0.0, -0.0, *extremes, *(-number for number in extremes), *fractions])


@case("rt.float.nonfinite")
async def float_nonfinite(env: Env) -> None:
    """NaN and the infinities are refused, and nothing is written in their place."""
    await _refuses(env, [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("sNaN")])


@case("rt.bytes.all256")
async def bytes_all256(env: Env) -> None:
    """Every byte comes back as it was, in values of type bytes."""
    await _keeps(env, [bytes(range(256)), bytes(range(255, -1, -1)), b"\0", b"\r\n", b"a\0b", b"\xff" * 1000])


@case("rt.bytes.invalid_utf8")
async def bytes_invalid_utf8(env: Env) -> None:
    """Bytes that are no text stay bytes, and bytes that are text do not become it."""
    await _keeps(
        env, [b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"1", "1", b"text", "text", b"YQ==", "YQ=="]
    )


@case("rt.str.unicode")
async def str_unicode(env: Env) -> None:
    """Text comes back code point by code point: astral, combining, right to left, with and without a mark."""
    texts = [
        "\u00e9",
        "e\u0301",
        "\U0001f600",
        "\U0001f468\u200d\U0001f469",
        "\u202eabc",
        "\ufeffa",
        "\u05d0\u05d1",
    ]
    texts += [
        "\uffff",
        "\U0010ffff",
        "\ue000",
        "\u2028\u2029",
        "\u00df\u1e9e",
        "\ufb01",
        "\r\n\t",
        "\x7f\x80\x85",
    ]
    await _keeps(env, [*texts, {text: text for text in texts}, "".join(texts) * 50])


@case("rt.str.nul")
async def str_nul(env: Env) -> None:
    """NUL is a character of a text like any other, in values and in the keys of dicts."""
    await _keeps(env, ["\0", "a\0b", "\0\0", "a\0", "\0a", {"\0": 1, "a\0": "\0", "a": 2}, ["\0", ""]])


@case("rt.str.lone_surrogate")
async def str_lone_surrogate(env: Env) -> None:
    """Half of a surrogate pair is no text: it is refused, in a value and in the key of a dict."""
    await _refuses(env, ["\ud800", "a\udfffb", "\udc80", "\ude00\ud83d", {"\ud800": 1}, {"a": {"\udfff": 1}}])


@case("rt.str.lookalikes")
async def str_lookalikes(env: Env) -> None:
    """Text that looks like a number, a constant, an encoding or a date stays text."""
    texts = [
        "1e5",
        "0x10",
        "83528e0696",
        "NaN",
        "Infinity",
        "-0",
        "00",
        "true",
        "null",
        "~",
        "yes",
        "1_000",
        "0b1",
    ]
    texts += [
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "P1D",
        "aGVsbG8=",
        "68656c6c6f",
        "\\x00",
        "%20",
        "{}",
        '"a"',
    ]
    texts += ["8d7a3f3e-9a6f-4c55-9c6b-0d2e5c1a7b11", "b'a'", "None", "!!int 1", "1.50", "$1", "{0}"]
    await _keeps(env, [*texts, texts, {text: text for text in texts}])


@case("rt.tag_lookalikes")
async def tag_lookalikes(env: Env) -> None:
    """Plain lists and dicts that look like an encoding of something else stay what they are."""
    tags = [
        "~ds:int",
        "~ds:bytes",
        "~ds:list",
        "~ds:",
        "__type__",
        "$binary",
        "$date",
        "$oid",
        "py/object",
        "!set",
    ]
    values: list[Any] = [{tag: "1"} for tag in tags] + [[tag, "1f"] for tag in tags] + [[tag] for tag in tags]
    values += [
        {"$numberDouble": "1003.0"},
        {"Key": "a", "Value": 1},
        [["a", 1]],
        [{"a": 1}, {"b": 2}],
        {"0": 1},
    ]
    values += [
        {"__type__": "datetime", "value": "x"},
        {"_id": 1, "$set": {"a": 1}},
        [["~ds:list", ["~ds:set", 1]]],
    ]
    await _keeps(env, values)


@case("rt.empty_containers")
async def empty_containers(env: Env) -> None:
    """Empty text, bytes, lists, dicts and sets come back empty and of their type, and are not missing."""
    empties: list[Any] = [
        "",
        b"",
        [],
        {},
        set(),
        frozenset(),
        [[]],
        [{}],
        {"": ""},
        {"a": []},
        [None],
        [[], {}, ""],
    ]
    await _keeps(env, empties)
    store = env.store()
    for value in empties:
        await store.set("k", value)
        assert await store.exists("k")
        assert strict_eq(await store.get("k", "missing"), value)


def _nested(depth: int, leaf: Any = 1) -> Any:
    value = leaf
    for level in range(depth):
        value = [value] if level % 2 else {"d": value}
    return value


@case("rt.nested_depth")
async def nested_depth(env: Env) -> None:
    """A hundred levels of nesting come back; ten thousand, or a list in itself, are refused cleanly."""
    await _keeps(env, [_nested(90), _nested(90, b"\0"), [_nested(50), _nested(60, None)]])
    store = env.store()
    await store.set("deep", _nested(100))
    assert strict_eq(await store.get("deep"), _nested(100))
    endless: list[Any] = []
    endless.append(endless)
    for value in (_nested(10_000), endless, {"a": endless}):
        with raises(SerializationError):
            await store.set("refused", value)
    assert not await store.exists("refused")


@case("rt.dict.order_and_keys")
async def dict_order_and_keys(env: Env) -> None:
    """Dicts keep their order, their keys may be any text, and keys that are no text are refused."""
    keys = [
        "z",
        "a",
        "",
        " ",
        "a.b",
        "$a",
        "1",
        "01",
        "key",
        "A",
        "\u00e9",
        "e\u0301",
        "_id",
        "constructor",
        "\0",
        "'",
    ]
    await _keeps(
        env, [{key: index for index, key in enumerate(keys)}, dict.fromkeys(reversed(keys)), {"b": 1, "a": 2}]
    )
    bad: list[Any] = [
        {1: 1},
        {None: 1},
        {True: 1},
        {b"a": 1},
        {1.5: 1},
        {("a",): 1},
        {"a": {2: 2}},
        {"a": 1, 1: 2},
    ]
    await _refuses(env, bad)


@case("rt.datetime")
async def datetimes(env: Env) -> None:
    """Aware datetimes keep their microseconds, their wall-clock time and their offset; naive ones are refused."""
    zones = [
        UTC,
        timezone(timedelta(hours=5, minutes=30)),
        timezone(-timedelta(hours=9, minutes=30)),
        ZoneInfo("UTC"),
    ]
    zones += [ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), timezone(timedelta(seconds=3723))]
    moments = [datetime(2026, 7, 1, 2, 30, 0, 123_456, tzinfo=zone) for zone in zones]
    moments += [datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold) for fold in (0, 1)]
    moments += [
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    moments += [datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
    await _keeps(env, moments)
    await _refuses(env, [datetime(2026, 1, 1), datetime.min])  # noqa: DTZ001, DTZ901 -- naive on purpose


@case("rt.date_timedelta")
async def dates_and_timedeltas(env: Env) -> None:
    """Dates and durations come back as such, to the microsecond and below zero; a bare time is refused."""
    durations = [
        timedelta(),
        timedelta(microseconds=1),
        -timedelta(microseconds=1),
        timedelta(days=1, seconds=1),
    ]
    durations += [
        timedelta.max,
        timedelta.min,
        timedelta(days=-1, microseconds=999_999),
        timedelta(weeks=5000),
    ]
    await _keeps(env, [date(2026, 2, 28), date.min, date.max, date(1969, 12, 31), *durations])
    await _refuses(env, [time(12, 30), time(12, 30, tzinfo=UTC)])


@case("rt.decimal_uuid")
async def decimals_and_uuids(env: Env) -> None:
    """Decimals keep every digit and trailing zero, UUIDs their identity; neither becomes a float or text."""
    numbers = [
        "0",
        "-0",
        "1.50",
        "1.5",
        "1E+3",
        "1000",
        "0.1",
        "1E-30",
        "123456789012345678901234567890.12",
        "-7",
    ]
    await _keeps(
        env, [*map(Decimal, numbers), UUID(int=0), UUID(int=2**128 - 1), UUID(int=1), str(UUID(int=1))]
    )


@case("rt.sets")
async def sets(env: Env) -> None:
    """Sets and frozensets come back as such, with the types of what is in them."""
    await _keeps(
        env, [{1, 2}, {"1", 1}, {b"a", "a"}, frozenset({1, None}), {True}, {1.0}, {frozenset({1}), "x"}]
    )


@case("rt.tuple_is_list")
async def tuple_is_list(env: Env) -> None:
    """A tuple comes back as a list, with everything in it as it was: the one change that values undergo."""
    await _keeps(env, [(), (1,), (1, "1", b"1", None), ((1, 2), [3, (4,)]), {"a": (1, (2,))}, [()]])


class _Colour(StrEnum):
    RED = "red"


class _Number(IntEnum):
    ONE = 1


class _Plain(Enum):
    A = "a"


class _Point(NamedTuple):
    x: int
    y: int


class _Text(str):
    __slots__ = ()


class _Int(int):
    pass


class _Dict(dict[str, int]):
    pass


@case("rt.subclasses")
async def subclasses(env: Env) -> None:
    """Enums, named tuples and subclasses come back as their own type or not at all, never plainer."""
    store = env.store()
    values: list[Any] = [_Colour.RED, _Number.ONE, _Plain.A, _Point(1, 2), _Text("a"), _Int(1), _Dict(a=1)]
    values += [type("L", (list,), {})([1]), type("B", (bytes,), {})(b"a"), type("F", (float,), {})(1.0)]
    for index, value in enumerate(values):
        for wrapped in (value, [value], {"v": value}):
            key = f"{index}{type(wrapped).__name__}"
            try:
                await store.set(key, wrapped)
            except SerializationError:
                assert not await store.exists(key)
            else:
                assert strict_eq(await store.get(key), wrapped), f"{type(value).__name__} came back plainer"


@case("rt.unknown_types")
async def unknown_types(env: Env) -> None:
    """What is none of the contract's types is refused, and never stored as its text."""
    values: list[Any] = [
        object(),
        int,
        len,
        1j,
        range(3),
        bytearray(b"a"),
        memoryview(b"a"),
        iter([1]),
        Ellipsis,
    ]
    await _refuses(env, [*values, ValueError("x"), (item for item in "ab"), {1: 2}.keys(), NotImplemented])


@case("rt.overwrite_type")
async def overwrite_type(env: Env) -> None:
    """A value may be overwritten by one of any other type, and nothing of the old one remains."""
    store = env.store()
    values: list[Any] = [{"a": 1}, b"\0", None, [1], "text", 1, {"b": 2}, 1.5, True, {1}, "", {}]
    for value in values:
        await store.set("k", value)
        assert strict_eq(await env.reading(store).get("k", "missing"), value)
    for value in values[::-1]:
        await store.set_batch({"k": value})
        assert strict_eq(await env.reading(store).get("k", "missing"), value)


@case("rt.no_alias_nested")
async def no_alias_nested(env: Env) -> None:
    """Changing a nested part of a value that was handed over or returned changes nothing that is stored."""
    store = env.store(indexes={"n": int, "tags": list[str]})
    value: dict[str, Any] = {"n": 1, "tags": ["a"], "deep": {"list": [1, {"x": 1}]}}
    kept = {"n": 1, "tags": ["a"], "deep": {"list": [1, {"x": 1}]}}
    await store.set("a", value)
    batch = {"b": value}
    await store.set_batch(batch)
    value["deep"]["list"][1]["x"] = 2
    value["tags"].append("b")
    value["n"] = 5
    batch.clear()
    for key in ("a", "b"):
        for _ in range(2):
            found: Any = await store.get(key)
            assert strict_eq(found, kept)
            found["deep"]["list"].append("changed")
            found["tags"].clear()
    if env.capabilities.query:
        (one, two) = await store.where("n", "=", 1).execute()
        one["deep"]["list"].clear()
        assert strict_eq(two, kept)
        assert strict_eq(await store.where("tags", "contains", "a").execute(), [kept, kept])


@case("rt.values_untouched")
async def values_untouched(env: Env) -> None:
    """A value that is handed over is not changed, neither by being written nor by being refused."""
    store = env.store()
    value: dict[str, Any] = {
        "b": [1, (2, {3})],
        "a": {"x": b"1", "d": Decimal("1.0")},
        "t": datetime(2026, 1, 1, tzinfo=UTC),
    }
    kept: dict[str, Any] = {
        "b": [1, (2, {3})],
        "a": {"x": b"1", "d": Decimal("1.0")},
        "t": datetime(2026, 1, 1, tzinfo=UTC),
    }
    await store.set("k", value)
    await store.set_batch({"l": value})
    assert strict_eq(value, kept)
    value["bad"] = object()
    with raises(SerializationError):
        await store.set("k", value)
    with raises(SerializationError):
        await store.set_batch({"ok": kept, "k": value})
    del value["bad"]
    assert strict_eq(value, kept)


SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(minutes=-210))])),
    st.dates(),
    st.timedeltas(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.frozensets(SCALARS),
    ),
    max_leaves=12,
)


@case("rt.hypothesis")
def any_value(env: Env, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Any value of the contract's types, however nested, comes back equal and of the same type."""
    store = env.store()
    other = env.reading(store)

    @env.seeded
    @env.hypothesis(20, 1000)
    @given(VALUES)
    def comes_back(value: Any) -> None:
        run(store.set("k", value))
        found = run(other.get("k", "missing"))
        assert strict_eq(found, value)

    comes_back()
