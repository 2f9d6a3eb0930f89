"""Bytes that are no value are a `CorruptRecord`, whatever is wrong with them; what others wrote is read."""

import math
import pickle
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daystore.codec.serializers.json import JSONSerializer
from daystore.errors import CorruptRecord, UnknownCodec
from daystore_compliance.equality import strict_eq

JSON = JSONSerializer()
relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a loaded machine is no failure
SECRET = "hunter2"

NOT_JSON = {
    "nothing": b"",
    "only space": b" ",
    "cut text": b'"abc',
    "cut list": b"[1,2",
    "cut dict": b'{"a":1',
    "cut key": b'{"a',
    "cut number": b"-",
    "cut word": b"tru",
    "two values": b"1 2",
    "tail": b"[1]\0",
    "not UTF-8": b'"\xff"',
    "cut UTF-8": b'"\xe2\x82"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "escaped lone surrogate": b'"\\ud800"',
    "byte order mark": b"\xef\xbb\xbf1",
    "UTF-16": "[1]".encode("utf-16"),
    "NaN": b"NaN",
    "infinity": b"[Infinity]",
    "number too large for a float": b"1e999",
    "raw control character": b'"\n"',
    "comma too many": b"[1,]",
    "comment": b"[1] // one",
    "single quotes": b"{'a':1}",
    "deeper than can be read": b"[" * 100_000 + b"]" * 100_000,
    "compressed": b"\x28\xb5\x2f\xfd\x04\x00",
}

DAMAGED = {
    "unknown tag": b'["~ds:complex","1j"]',
    "empty tag": b'["~ds:"]',
    "tag with a space": b'["~ds:int ","1f"]',
    "nothing after it": b'["~ds:int"]',
    "too much after it": b'["~ds:date","2026-01-01","x"]',
    "int of decimal digits that are none": b'["~ds:int","xyz"]',
    "int with underscore": b'["~ds:int","1_0"]',
    "int with prefix": b'["~ds:int","0x1f"]',
    "int as number": b'["~ds:int",5]',
    "int as bool": b'["~ds:int",true]',
    "bytes not base64": b'["~ds:bytes","A"]',
    "bytes with a space": b'["~ds:bytes","AA ==" ]',
    "bytes not ASCII": '["~ds:bytes","é"]'.encode(),
    "bytes as number": b'["~ds:bytes",1]',
    "datetime without offset": b'["~ds:datetime","2026-01-01T00:00:00"]',
    "datetime that never was": b'["~ds:datetime","2026-02-30T00:00:00+00:00"]',
    "datetime as number": b'["~ds:datetime",1]',
    "datetime of a zone outside": b'["~ds:datetime","2026-01-01T00:00:00+00:00","../../etc/passwd"]',
    "datetime of an absolute zone": b'["~ds:datetime","2026-01-01T00:00:00+00:00","/etc/passwd"]',
    "datetime of a zone with NUL": b'["~ds:datetime","2026-01-01T00:00:00+00:00","a\\u0000b"]',
    "datetime of a directory": b'["~ds:datetime","2026-01-01T00:00:00+00:00","America"]',
    "datetime of a very long zone": b'["~ds:datetime","2026-01-01T00:00:00+00:00","%s"]' % (b"a" * 5000),
    "datetime of an empty zone": b'["~ds:datetime","2026-01-01T00:00:00+00:00",""]',
    "datetime of a numeric zone": b'["~ds:datetime","2026-01-01T00:00:00+00:00",1]',
    "datetime of fold 2": b'["~ds:datetime","2026-01-01T00:00:00+00:00",null,2]',
    "datetime of a text fold": b'["~ds:datetime","2026-01-01T00:00:00+00:00",null,"1"]',
    "date with time": b'["~ds:date","2026-01-01T00:00:00"]',
    "date of a week": b'["~ds:date","2026-W01-1"]',
    "timedelta without point": b'["~ds:timedelta","1"]',
    "timedelta too long": b'["~ds:timedelta","99999999999999999999.000000"]',
    "timedelta of too many digits": b'["~ds:timedelta","%s.000000"]' % (b"9" * 5000),
    "timedelta as number": b'["~ds:timedelta",1.5]',
    "decimal NaN": b'["~ds:decimal","NaN"]',
    "decimal infinity": b'["~ds:decimal","Infinity"]',
    "decimal with spaces": b'["~ds:decimal"," 1"]',
    "decimal with small e": b'["~ds:decimal","1e+5"]',
    "decimal as number": b'["~ds:decimal",1.5]',
    "decimal as list": b'["~ds:decimal",[0,[1],0]]',
    "decimal in decimal": b'["~ds:decimal",["~ds:decimal","1"]]',
    "uuid without hyphens": b'["~ds:uuid","00000000000000000000000000000001"]',
    "uuid cut": b'["~ds:uuid","00000000-0000"]',
    "uuid as number": b'["~ds:uuid",1]',
    "set with an element twice": b'["~ds:set",1,1]',
    "set with equal elements": b'["~ds:frozenset",1,true]',
    "set of lists": b'["~ds:set",[1]]',
    "set of dicts": b'["~ds:frozenset",{}]',
    "set of sets": b'["~ds:set",["~ds:set"]]',
    "inside": b'{"a":[1,{"b":["~ds:set",["~ds:date","x"]]}]}',
}


@pytest.mark.parametrize("data", (NOT_JSON | DAMAGED).values(), ids=NOT_JSON | DAMAGED)
def test_what_is_no_value_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptRecord):
        JSON.loads(data)


def test_unknown_zone_is_told_from_damage_and_says_what_to_install() -> None:
    with pytest.raises(UnknownCodec, match="install or update tzdata") as caught:
        JSON.loads(b'["~ds:datetime","2026-01-01T00:00:00+00:00","Mars/Olympus"]')
    assert caught.value.codec == "tzdata"
    assert "Olympus" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        f'["~ds:decimal","{SECRET}"]',
        f'["~ds:{SECRET}","1"]',
        f'["~ds:uuid","{SECRET}"]',
        f'["~ds:date","{SECRET}"]',
        f'["~ds:datetime","2026-01-01T00:00:00+00:00","{SECRET}"]',
        f'{{"{SECRET}": {SECRET}',
    ],
)
def test_error_quotes_nothing(data: str) -> None:
    with pytest.raises(CorruptRecord) as caught:
        JSON.loads(data.encode())
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)


def test_stored_bytes_are_never_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "trapped",))

    with pytest.raises(CorruptRecord):
        JSON.loads(pickle.dumps(Trap()))
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' { "a" : [ 1 , 2.0 , null ] }\n', {"a": [1, 2.0, None]}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'"\\u00e9\\ud83d\\ude00\\/"', "\u00e9\U0001f600/"),
        (b'[ "~ds:timedelta" , "1.500000" ]', timedelta(seconds=1.5)),
        (b'["~ds:list"]', []),
        (b'{"~ds:int":"1f"}', {"~ds:int": "1f"}),
        (b'[[1,"~ds:int","1f"]]', [[1, "~ds:int", "1f"]]),
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
    ],
)
def test_json_of_others_is_read(data: bytes, value: object) -> None:
    assert strict_eq(JSON.loads(data), value)


def test_integer_of_others_beyond_64_bits_becomes_the_nearest_float() -> None:
    assert strict_eq(JSON.loads(b"[18446744073709551616]"), [2.0**64])
    assert strict_eq(JSON.loads(b"-123456789012345678901234567890"), -1.2345678901234568e29)
    back = JSON.loads(b"36893488147419103232")
    assert isinstance(back, float)
    assert math.isfinite(back)


def test_damage_in_one_value_does_not_touch_the_next() -> None:
    with pytest.raises(CorruptRecord):
        JSON.loads(b'["~ds:set",1,1]')
    assert JSON.loads(b'["~ds:set",1]') == {1}


def loads_or_corrupt(data: bytes) -> None:
    with suppress(CorruptRecord):
        JSON.loads(data)


@relaxed
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_corrupt(data: bytes) -> None:
    loads_or_corrupt(data)


STORED = [
    JSON.dumps(value)
    for value in (
        {"id": "c1", "tags": ["a", "b"], "n": 12, "x": 34.25, "none": None, "ok": True, "é": "\U0001f600"},
        [{"a": {b"x", 2**80}}, frozenset({"b"}), ["~ds:x", "y"], timedelta(1), -1.5],
    )
] + [
    b'{"at":["~ds:datetime","2026-10-25T02:30:00+01:00","Europe/Berlin",1],"cost":["~ds:decimal","1.50"]}',
    b'[["~ds:uuid","8d7a3f3e-9a6f-4c55-9c6b-0d2e5c1a7b11"],["~ds:date","2026-10-25"],["~ds:int","-1ffffffffffffffff"]]',
]


SNIPPETS = [b'"', b"[", b"]", b",", b"0", b"-", b"\xff", b"~ds:", b"\\"]


@relaxed
@given(st.data())
def test_damaged_bytes_are_a_value_or_corrupt(data: st.DataObject) -> None:
    stored = bytearray(data.draw(st.sampled_from(STORED)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stored)))
        match data.draw(st.sampled_from(["change", "insert", "drop", "cut"])):
            case "change":
                stored[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case "insert":
                stored[at:at] = data.draw(
                    st.sampled_from([b'"', b"[", b"]", b",", b"0", b"-", b"\xff", b"~ds:", b"\\"])
                )
            case "drop":
                del stored[at : at + data.draw(st.integers(1, 8))]
            case _:
                del stored[at:]
    loads_or_corrupt(bytes(stored))


TAGS = st.sampled_from(
    ["int", "bytes", "datetime", "date", "timedelta", "decimal", "uuid", "set", "frozenset", "list", ""]
)
PAYLOADS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["1", "-1f", "AA==", "2026-01-01", "2026-01-01T00:00:00+00:00", "UTC", "1.000000", "NaN", "1E+5"]
    ),
)


@relaxed
@given(
    st.recursive(
        PAYLOADS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.text(max_size=3), inner, max_size=3),
            st.tuples(TAGS, st.lists(inner, max_size=4)).map(lambda pair: [f"~ds:{pair[0]}", *pair[1]]),
        ),
        max_leaves=12,
    )
)
def test_any_payload_of_any_tag_is_a_value_or_corrupt(plain: object) -> None:
    loads_or_corrupt(orjson.dumps(plain))
