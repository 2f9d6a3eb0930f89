"""Predicates: every comparison with every type means the same on every backend."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from daystore.abc import And, Compare, FieldValue, Not, Op, Or, Predicate, Scalar, from_instant
from daystore_compliance.case import case
from daystore_compliance.checks import typed
from daystore_compliance.env import Env
from daystore_compliance.model import Row, select
from daystore_compliance.records import Records
from daystore_compliance.tables import PROBES, fill_values

SIDED: Final = (Op.EQ, Op.LT, Op.LE, Op.GT, Op.GE)
TEXTS: Final = (
    "",
    "a",
    "A",
    "a%",
    "a_",
    "1",
    "\u00e9",
    "e",
    "\0",
    "\U0001f600",
    "b",
    "ab",
    "nothing",
    "a,b",
    "'",
)


def _variants() -> dict[str, tuple[Predicate, ...]]:
    """Every operator with every type of value, on the field ``f``."""
    table: dict[str, tuple[Predicate, ...]] = {}
    for kind, probes in PROBES.items():
        for op in SIDED:
            table[f"{op.name.lower()}-{kind}"] = tuple(Compare("f", op, probe) for probe in probes)
        several: tuple[tuple[Scalar, ...], ...] = (probes[:1], probes[1:4], probes, probes[-1:], ())
        table[f"in-{kind}"] = tuple(Compare("f", Op.IN, items) for items in several)
    mixed: tuple[Scalar, ...] = (1, "1", True, 0.5, datetime(1970, 1, 1, tzinfo=UTC))
    table["in-mixed"] = (Compare("f", Op.IN, mixed), Compare("f", Op.IN, (1, 1, 1)))
    table["startswith"] = tuple(Compare("f", Op.STARTSWITH, text) for text in TEXTS)
    table["contains"] = tuple(Compare("f", Op.CONTAINS, text) for text in TEXTS)
    table["exists"] = tuple(Compare(name, Op.EXISTS, True) for name in ("f", "F", "other", "never"))
    return table


VARIANTS: Final = _variants()


async def _expect(records: Records, rows: Iterable[Row], predicate: Predicate) -> None:
    """Expect of a predicate and of its complement what the model says, by query and by count."""
    rows = list(rows)
    for where in (predicate, Not(predicate), Not(Not(predicate))):
        expected = select(rows, where)
        assert await records.keys(where) == expected
        assert await records.count(where) == len(expected)


@case("q.ops.matrix", requires={"query"}, variants=VARIANTS)
async def ops_matrix(env: Env, predicates: tuple[Predicate, ...]) -> None:
    """A comparison finds exactly what satisfies it with its own type, and its negation the rest."""
    records = env.records()
    rows = await fill_values(records)
    for predicate in predicates:
        await _expect(records, rows, predicate)


@case("q.ops.key", requires={"query"}, variants=[op.name.lower() for op in Op])
async def ops_key(env: Env, name: str) -> None:
    """Every comparison works on the key, by the order of its UTF-8 bytes."""
    records, op = env.records(), Op[name.upper()]
    keys = ("a", "A", "b", "ab", "a%", "a_", "1", "10", "9", "\u00e9", "\U0001f600", "\uffff", "a\0", "a ")
    await records.fill(keys)
    rows = [Row(key) for key in keys]
    probes: tuple[Scalar, ...] = (*keys, "", "missing", "\U0010ffff", 1, True, 1.0)
    if op is Op.EXISTS:
        await _expect(records, rows, Compare("key", op, True))
    elif op is Op.IN:
        await _expect(records, rows, Compare("key", op, ("a", "missing", "\uffff", "a", 1)))
    else:
        for probe in probes if op in SIDED else [p for p in probes if isinstance(p, str)]:
            await _expect(records, rows, Compare("key", op, probe))


@case("q.ops.times", requires={"query"}, variants=("created_at", "updated_at"))
async def ops_times(env: Env, name: str) -> None:
    """Every comparison works on the times of a record, to the microsecond, from its first write on."""
    records = env.records()
    rows = {}
    for number in range(6):
        key = f"k{number}"
        await records.put(key)
        rows[key] = Row(key, created_at=env.clock(), updated_at=env.clock())
        env.clock.advance(microseconds=1 if number % 2 else 999)
    for key in ("k1", "k4"):
        await records.put(key)
        rows[key].updated_at = env.clock()
        env.clock.advance(microseconds=1)
    moments = sorted({moment for row in rows.values() for moment in (row.created_at, row.updated_at)})
    for moment in (moments[0] - 1, *moments, moments[-1] + 1):
        for op in SIDED:
            await _expect(records, rows.values(), Compare(name, op, from_instant(moment)))
    await _expect(records, rows.values(), Compare(name, Op.IN, tuple(map(from_instant, moments[1:4]))))
    await _expect(records, rows.values(), Compare(name, Op.EXISTS, True))
    await _expect(records, rows.values(), Compare(name, Op.EQ, moments[0]))


@case("q.complement", requires={"query"})
async def complement(env: Env) -> None:
    """A predicate and its negation part the collection: every record is in exactly one of them."""
    records = env.records()
    rows = await fill_values(records)
    everything = sorted(row.key for row in rows)
    for predicates in VARIANTS.values():
        for predicate in predicates[::4]:
            found = await records.keys(predicate)
            rest = await records.keys(Not(predicate))
            assert sorted(found + rest) == everything


@case("q.empty_in", requires={"query"})
async def empty_in(env: Env) -> None:
    """In nothing finds nothing, and not in nothing finds everything."""
    records = env.records()
    rows = await fill_values(records)
    for name in ("f", "never", "key", "updated_at"):
        nothing = Compare(name, Op.IN, ())
        assert await records.keys(nothing) == []
        assert await records.count(nothing) == 0
        assert await records.keys(Not(nothing)) == sorted(row.key for row in rows)
        assert await records.count(Not(nothing)) == len(rows)


@case("q.ne_alone", requires={"query"})
async def ne_alone(env: Env) -> None:
    """Unequal alone finds what is unequal and what lacks the field, and nothing that is equal."""
    records = env.records()
    await records.fill({"a": {"f": 1}, "b": {"f": 2}, "c": {}, "d": {"f": "1"}})
    assert await records.keys(Not(Compare("f", Op.EQ, 1))) == ["b", "c", "d"]
    assert await records.count(Not(Compare("f", Op.EQ, 1))) == 3
    assert await records.keys(Not(Compare("key", Op.EQ, "b"))) == ["a", "c", "d"]


@case("q.numeric_order", requires={"query"})
async def numeric_order(env: Env) -> None:
    """Numbers compare as numbers: 9 < 10, negatives below zero, integers exactly beyond 2**53."""
    records = env.records()
    numbers = [2**53 + 1, 10, 9, -1, 2**53, -10, 0, -9, 100, 2**53 - 1, 2**63 - 1, 2**63 - 2, -(2**63), 1]
    await records.fill({f"{number}": {"n": number, "x": float(number) + 0.25} for number in numbers})
    assert await records.keys(by="n") == [str(number) for number in sorted(numbers)]
    for number in numbers:
        below = sorted(str(other) for other in numbers if other < number)
        assert sorted(await records.keys(Compare("n", Op.LT, number))) == below
        assert await records.keys(Compare("n", Op.EQ, number)) == [str(number)]
        assert await records.keys(Compare("n", Op.EQ, float(number))) == []
    small = sorted((number for number in numbers if abs(number) <= 100), reverse=True)
    where = And((Compare("x", Op.LE, 100.25), Compare("x", Op.GE, -9.75)))
    found = await records.page(where, by="x")
    assert [int(record.key) for record in found.records] == small[::-1]


@case("q.tags.type_exact", requires={"query"})
async def type_exact(env: Env) -> None:
    """1, 1.0, "1" and True are four values, and so are 0, 0.0, "", "0" and False: none equals another."""
    records = env.records()
    values: dict[str, FieldValue] = {"int": 1, "float": 1.0, "str": "1", "bool": True, "list": ("1",)}
    values |= {"int0": 0, "float0": 0.0, "str0": "0", "empty": "", "false": False, "none": ()}
    await records.fill({key: {"f": value} for key, value in values.items()})
    for key, value in values.items():
        if isinstance(value, tuple):
            continue
        assert await records.keys(Compare("f", Op.EQ, value)) == [key]
        assert await records.keys(Compare("f", Op.IN, (value,))) == [key]
        assert await records.count(Not(Compare("f", Op.EQ, value))) == len(values) - 1


@case("q.tags.falsy_filter", requires={"query"})
async def falsy_filter(env: Env) -> None:
    """A comparison with 0, 0.0, False or the empty string is a comparison, not the absence of one."""
    records = env.records()
    rows = await fill_values(records)
    for value in (0, 0.0, False, ""):
        for op in SIDED:
            expected = select(rows, Compare("f", op, value))
            assert await records.keys(Compare("f", op, value)) == expected
    assert await records.keys(Compare("f", Op.STARTSWITH, "")) == [
        row.key for row in sorted(rows, key=lambda row: row.key) if isinstance(row.get("f"), str)
    ]
    assert await records.keys(Compare("f", Op.CONTAINS, "")) == ["list-01"]


@case("q.tags.all_of", requires={"query"})
async def all_of(env: Env) -> None:
    """A list is searched element by element: several must all be there, in any order, each whole."""
    records = env.records()
    rows = {
        "ab": ("a", "b"),
        "ba": ("b", "a"),
        "a": ("a",),
        "abc": ("c", "b", "a"),
        "joined": ("a,b", "ab", "a b"),
        "twice": ("a", "a"),
        "empty": (),
    }
    await records.fill({**{key: {"l": value} for key, value in rows.items()}, "absent": {"m": ("a", "b")}})
    both = And((Compare("l", Op.CONTAINS, "a"), Compare("l", Op.CONTAINS, "b")))
    assert await records.keys(both) == ["ab", "abc", "ba"]
    assert await records.keys(Compare("l", Op.CONTAINS, "a")) == ["a", "ab", "abc", "ba", "twice"]
    assert await records.count(Compare("l", Op.CONTAINS, "a")) == 5
    assert await records.keys(Compare("l", Op.EXISTS, True)) == sorted(rows)
    assert await records.keys(Not(Compare("l", Op.CONTAINS, "a"))) == ["absent", "empty", "joined"]
    assert await records.keys(Compare("l", Op.EQ, "a")) == []


@case("q.startswith_contains", requires={"query"})
async def startswith_contains(env: Env) -> None:
    """Prefixes and elements match by exact characters, whole elements; nothing is a pattern."""
    records = env.records()
    texts = (
        "note",
        "Note",
        "NOTE",
        "notes",
        "not",
        "n_te",
        "n%",
        "no te",
        "note ",
        "\u00f1ote",
        "n\u0303ote",
        "*",
    )
    await records.fill({f"{index:02}": {"s": text, "l": (text, "x")} for index, text in enumerate(texts)})
    for text in texts:
        starts = [f"{index:02}" for index, other in enumerate(texts) if other[: len(text)] == text]
        assert await records.keys(Compare("s", Op.STARTSWITH, text)) == starts
        assert await records.keys(Compare("l", Op.CONTAINS, text)) == [f"{texts.index(text):02}"]
        assert await records.keys(Compare("l", Op.STARTSWITH, text)) == []
        assert await records.keys(Compare("s", Op.CONTAINS, text)) == []


@case("q.logic", requires={"query"})
async def logic(env: Env) -> None:
    """And, or and not nest to any shape, also empty, and an or never leaves its collection."""
    records, other = env.records(), env.records()
    rows = await fill_values(records)
    await other.fill({"foreign": {"f": 1, "other": 1}})
    one, two, three = Compare("f", Op.GE, 1), Compare("other", Op.LT, 5), Compare("key", Op.STARTSWITH, "str")
    shapes: tuple[Predicate, ...] = (
        Or((one, two)),
        And((Or((one, three)), two)),
        Or((one, And((two, three)))),
        Not(Or((one, two, three))),
        And((Not(one), Not(Or((two, Not(three)))))),
        Or((Not(one), one)),
        And((Not(one), one)),
        And(()),
        Or(()),
        Not(And(())),
        Or((Or(()), And((two,)))),
        And((Or((And((Or((And((one, two)),)),)),)),)),
        Not(Not(Not(And((two, Not(Not(three))))))),
    )
    for shape in shapes:
        await _expect(records, rows, shape)
    assert await other.keys(Or((Compare("f", Op.EQ, 1), Not(Compare("f", Op.EQ, 1))))) == ["foreign"]


@case("q.logic_wide", requires={"query"})
async def logic_wide(env: Env) -> None:
    """An or of 300 terms, a chain of 60 negations and an in of 1,500 values are answered like small ones."""
    records = env.records()
    await records.fill({f"{number:04}": {"n": number} for number in range(400)})
    odd = tuple(range(1, 600, 2))
    expected = [f"{number:04}" for number in odd if number < 400]
    wide = Or(tuple(Compare("n", Op.EQ, number) for number in odd))
    assert await records.keys(wide) == expected
    assert await records.count(wide) == len(expected)
    for numbers in (range(100, 1600), range(1599, 99, -1)):
        many = Compare("n", Op.IN, tuple(numbers))
        assert await records.count(many) == 300
        assert await records.keys(many) == [f"{number:04}" for number in range(100, 400)]
    deep: Predicate = Compare("n", Op.LT, 2)
    for _ in range(60):
        deep = Not(deep)
    assert await records.keys(deep) == ["0000", "0001"]


@case("q.field_names_are_data", requires={"query"})
async def field_names_are_data(env: Env) -> None:
    """The name of a field is data, whatever it looks like, and means that field alone."""
    records = env.records()
    names = (
        *(
            "a",
            "A",
            "a.b",
            "a b",
            "a'",
            'a"',
            "a`",
            "a]",
            "$a",
            "a;--",
            "' OR 1=1 --",
            '"x" OR "1"="1',
            "a\0b",
        ),
        *(
            "\u00e9",
            "e\u0301",
            "value",
            "version",
            "expires_at",
            "collection",
            "namespace",
            "f.a",
            "%s",
            ":a",
            "?",
        ),
    )
    await records.fill({f"{index:02}": {name: "x"} for index, name in enumerate(names)})
    for index, name in enumerate(names):
        key = f"{index:02}"
        assert await records.keys(Compare(name, Op.EQ, "x")) == [key]
        assert await records.count(Compare(name, Op.EXISTS, True)) == 1
        assert await records.keys(Compare(name, Op.STARTSWITH, "x"), by=name) == [key]
        assert await records.keys(by=name) == [k for k in await records.keys() if k != key] + [key]


@case("q.tags.operator_injection", requires={"query"})
async def operator_injection(env: Env) -> None:
    """What a field is compared with is data: operators and quotes of any language mean themselves."""
    records = env.records()
    texts = (
        *(
            '{"$gt":""}',
            "$ne",
            "' OR '1'='1",
            "'; DROP TABLE x; --",
            '" OR ""="',
            "\\' OR 1=1 --",
            "1 OR 1=1",
        ),
        *(
            "*",
            "%",
            "_",
            ".*",
            "@f:{a}",
            "-a",
            '"a b"',
            "a|b",
            "(a)",
            "[1 2]",
            "~a",
            "{{a}}",
            "${a}",
            "%s",
            "\r\nDEL f",
        ),
        *(
            "return redis.call('FLUSHALL')",
            "../../etc/passwd",
            "NULL",
            "undefined",
            "\0",
            "<!--",
            "x' UNION SELECT 1",
        ),
    )
    await records.fill({f"{index:02}": {"f": text, "l": (text,)} for index, text in enumerate(texts)})
    for index, text in enumerate(texts):
        key = f"{index:02}"
        assert await records.keys(Compare("f", Op.EQ, text)) == [key]
        assert await records.keys(Compare("f", Op.IN, (text, "other"))) == [key]
        assert await records.keys(Compare("l", Op.CONTAINS, text)) == [key]
        assert key in await records.keys(Compare("f", Op.STARTSWITH, text))
        assert await records.count(Not(Compare("f", Op.EQ, text))) == len(texts) - 1
        assert await records.keys(Compare("key", Op.EQ, text)) == []
    assert await records.count() == len(texts)


@case("q.time.half_open", requires={"query"})
async def half_open(env: Env) -> None:
    """A range of time takes its start and not its end, at the microsecond."""
    records = env.records()
    begin = env.clock()
    for number in range(5):
        await records.put(f"k{number}", fields={"at": from_instant(env.clock())})
        env.clock.advance(microseconds=1)
    start, end = from_instant(begin + 1), from_instant(begin + 3)
    for name in ("updated_at", "created_at", "at"):
        within = And((Compare(name, Op.GE, start), Compare(name, Op.LT, end)))
        assert await records.keys(within) == ["k1", "k2"]
        assert await records.keys(Not(within)) == ["k0", "k3", "k4"]
        none = And((Compare(name, Op.GE, start), Compare(name, Op.LT, start)))
        assert await records.keys(none) == []


@case("q.time.tz", requires={"query"})
async def time_zones(env: Env) -> None:
    """Datetimes compare as instants, whatever their zone, also in the hour that is there twice."""
    records = env.records()
    berlin = ZoneInfo("Europe/Berlin")
    early = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0)
    late = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    other = datetime(2026, 10, 25, 6, 0, tzinfo=ZoneInfo("Asia/Kolkata"))  # the instant of `early`
    await records.fill({"early": {"at": early}, "late": {"at": late}, "other": {"at": other}})
    assert await records.keys(Compare("at", Op.EQ, early.astimezone(UTC))) == ["early", "other"]
    assert await records.keys(Compare("at", Op.EQ, early)) == ["early", "other"]
    assert await records.keys(Compare("at", Op.EQ, late)) == ["late"]
    assert await records.keys(Compare("at", Op.LT, late)) == ["early", "other"]
    assert await records.keys(by="at") == ["early", "other", "late"]
    for key, moment in (("early", early), ("late", late), ("other", other)):
        assert typed((await records.must_get(key)).fields["at"]) == typed(moment)


@case("q.time.pre_epoch_far", requires={"query"})
async def pre_epoch_far(env: Env) -> None:
    """Moments before 1970, in the year 1 and in 9999 keep their microseconds and their order."""
    records = env.records()
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2262, 4, 12, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    await records.fill({f"{index}": {"at": moment} for index, moment in reversed(list(enumerate(moments)))})
    assert await records.keys(by="at") == [str(index) for index in range(len(moments))]
    for index, moment in enumerate(moments):
        assert await records.keys(Compare("at", Op.EQ, moment)) == [str(index)]
        assert await records.keys(Compare("at", Op.LT, moment)) == [str(n) for n in range(index)]
        assert (await records.must_get(str(index))).fields["at"] == moment


@case("q.range_bounds", requires={"query"})
async def range_bounds(env: Env) -> None:
    """A range with one bound, with two and with bounds of different types is judged bound by bound."""
    records = env.records()
    rows = await fill_values(records)
    moment = datetime(2026, 3, 29, 12, tzinfo=UTC)
    pairs: tuple[tuple[Scalar, Scalar], ...] = (
        (-9, 10),
        (-9.0, 10.0),
        ("a", "b"),
        (False, True),
        (moment - timedelta(seconds=1), moment + timedelta(hours=2)),
        (1, "z"),
        (1, 2.0),
        (10, -10),
        ("", "\U0010ffff"),
    )
    for low, high in pairs:
        for below in (Op.LT, Op.LE):
            for above in (Op.GT, Op.GE):
                await _expect(records, rows, And((Compare("f", above, low), Compare("f", below, high))))
                await _expect(records, rows, Or((Compare("f", below, low), Compare("f", above, high))))


@case("q.no_duplicates", requires={"query"})
async def no_duplicates(env: Env) -> None:
    """A record that satisfies a query in several ways is found once."""
    records = env.records()
    await records.fill({"a": {"l": ("x", "x", "y"), "n": 1}, "b": {"l": ("y", "x"), "n": 2}, "c": {"n": 1}})
    x, y = Compare("l", Op.CONTAINS, "x"), Compare("l", Op.CONTAINS, "y")
    for where in (x, Or((x, y)), And((x, y)), Or((x, y, Compare("n", Op.IN, (1, 2, 1)), x))):
        expected = ["a", "b", "c"] if isinstance(where, Or) and len(where.terms) > 2 else ["a", "b"]
        assert await records.keys(where) == expected
        assert await records.count(where) == len(expected)
        assert [key for page in await records.walk(1, where) for key in page] == expected
