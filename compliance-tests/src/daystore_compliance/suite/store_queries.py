"""Queries as a user writes them: by filter, by builder, over declared indexes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from daystore import Avg, Count, Max, Min, Q, QueryFilter, Sum
from daystore.abc import Compare, Not, Op, Predicate, from_instant
from daystore.errors import InvalidCursor, SchemaError, SerializationError
from daystore.stores import Index, Store
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.families import PREFIXES
from daystore_compliance.model import Row, aggregate, select

MOMENT: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)
INDEXES: Final = {"topic": str, "n": int, "x": float, "ok": bool, "at": datetime, "tags": list[str]}
QUERY: Final = {"query"}


def _notes() -> dict[str, dict[str, Any]]:
    return {
        f"k{n:02}": {
            "topic": ("travel", "Travel", "work", "")[n % 4],
            "n": n - 5,
            "x": n / 4,
            "ok": n % 3 == 0,
            "at": MOMENT + timedelta(hours=n),
            "tags": ["a", "b", "c"][: n % 4],
            "body": f"never searched {n}",
            **({"rare": n} if n == 7 else {}),
        }
        for n in range(16)
    }


async def _filled(env: Env) -> tuple[Store[Any], list[Row]]:
    store = env.store(indexes=INDEXES)
    notes = _notes()
    await store.set_batch(notes)
    await store.set("zz-bare", {"body": "no field at all"})
    rows = [
        Row(key, {name: tuple(v) if isinstance(v := note[name], list) else v for name in INDEXES})
        for key, note in notes.items()
    ]
    return env.reading(store, indexes=INDEXES), [*rows, Row("zz-bare")]


CONDITIONS: Final[dict[str, tuple[tuple[str, str, Any], Predicate]]] = {
    "=": (("topic", "=", "travel"), Compare("topic", Op.EQ, "travel")),
    "!=": (("topic", "!=", "travel"), Not(Compare("topic", Op.EQ, "travel"))),
    "<": (("n", "<", 0), Compare("n", Op.LT, 0)),
    "<=": (("n", "<=", 0), Compare("n", Op.LE, 0)),
    ">": (("at", ">", MOMENT), Compare("at", Op.GT, MOMENT)),
    ">=": (("x", ">=", 2.5), Compare("x", Op.GE, 2.5)),
    "in": (("n", "in", [1, 3, 99]), Compare("n", Op.IN, (1, 3, 99))),
    "not in": (("n", "not in", [1, 3, 99]), Not(Compare("n", Op.IN, (1, 3, 99)))),
    "in nothing": (("n", "in", []), Compare("n", Op.IN, ())),
    "not in nothing": (("n", "not in", []), Not(Compare("n", Op.IN, ()))),
    "startswith": (("topic", "startswith", "T"), Compare("topic", Op.STARTSWITH, "T")),
    "contains": (("tags", "contains", "b"), Compare("tags", Op.CONTAINS, "b")),
    "exists": (("topic", "exists", True), Compare("topic", Op.EXISTS, True)),
    "not exists": (("topic", "exists", False), Not(Compare("topic", Op.EXISTS, True))),
    "false": (("ok", "=", False), Compare("ok", Op.EQ, False)),
    "empty": (("topic", "=", ""), Compare("topic", Op.EQ, "")),
    "key": (("key", ">=", "k1"), Compare("key", Op.GE, "k1")),
}


@case("q.store_ops", requires=QUERY, variants=CONDITIONS)
async def store_ops(env: Env, condition: tuple[tuple[str, str, Any], Predicate]) -> None:
    """Every operator a user may write finds exactly what it says, alone, negated and joined with another."""
    (name, op, value), predicate = condition
    store, rows = await _filled(env)
    found = store.where(name, op, value)
    assert await found.keys() == select(rows, predicate)
    assert await found.count() == len(select(rows, predicate))
    assert await store.all().where_not(name, op, value).keys() == select(rows, Not(predicate))
    assert await found.where("key", "<", "k08").keys() == [k for k in select(rows, predicate) if k < "k08"]
    either = store.where(Q(name, op, value) | Q("key", "=", "zz-bare"))
    assert await either.keys() == sorted({*select(rows, predicate), "zz-bare"})


@case("q.store_values", requires=QUERY)
async def store_values(env: Env) -> None:
    """A query returns whole values, with keys, versions and times where asked."""
    store, _ = await _filled(env)
    notes = _notes()
    found = await store.where("n", ">", 8).execute()
    assert found == [notes["k14"], notes["k15"]]
    assert await store.where("n", ">", 8).order_by("n", "desc").first() == notes["k15"]
    assert await store.where("n", ">", 800).first() is None
    entries = await store.where("n", ">", 8).entries()
    records = env.records(store.collection)
    for entry in entries:
        record = await records.must_get(entry.key)
        assert (entry.value, entry.version) == (notes[entry.key], record.version)
        assert (entry.created_at, entry.updated_at) == (
            from_instant(record.created_at),
            from_instant(record.updated_at),
        )


@case("q.filter", requires=QUERY)
async def plain_filter(env: Env) -> None:
    """A QueryFilter finds by prefix, tags and time what the same builder finds, and in the order of keys."""
    store, _ = await _filled(env)
    notes = _notes()

    async def keys(**options: Any) -> list[str]:
        found = await store.query(QueryFilter(**options))
        assert await store.count(QueryFilter(**options)) >= len(found)
        return [key for note in found for key, other in notes.items() if other == note]

    assert len(await store.query(QueryFilter())) == 17
    assert await keys(prefix="k1") == [f"k{n}" for n in range(10, 16)]
    assert await keys(tags={"topic": "travel", "ok": True}) == ["k00", "k12"]
    assert await keys(tags={"tags": "c"}) == ["k03", "k07", "k11", "k15"]
    assert await keys(tags={"tags": ["b", "a"]}, prefix="k0") == ["k02", "k03", "k06", "k07"]
    assert await keys(tags={"n": 0}) == ["k05"]
    assert await keys(tags={"ok": False}, limit=2, offset=1) == ["k02", "k04"]
    assert await store.count(QueryFilter(tags={"ok": False}, limit=2, offset=1)) == 10
    assert await keys(limit=0) == []
    between = (MOMENT + timedelta(hours=2), MOMENT + timedelta(hours=4))
    assert await keys(time_range=between, time_field="at") == ["k02", "k03"]
    assert await keys(time_range=between, time_field="at", tags={"topic": "work"}) == ["k02"]
    with raises(ValueError):
        QueryFilter(limit=-1)
    with raises(ValueError):
        QueryFilter(offset=-1)


@case("q.filter_prefix", requires=QUERY, variants=tuple(PREFIXES))
async def filter_prefix(env: Env, topic: str) -> None:
    """The prefix of a filter is literal."""
    store = env.store()
    table = PREFIXES[topic]
    keys = {key for _, found, decoys in table for key in (*found, *decoys)}
    await store.set_batch({key: key for key in keys})
    for prefix, _, _ in table:
        expected = sorted((key for key in keys if key[: len(prefix)] == prefix), key=str.encode)
        assert await store.query(QueryFilter(prefix=prefix)) == expected
        assert await store.count(QueryFilter(prefix=prefix)) == len(expected)


@case("q.time.range", requires=QUERY)
async def time_range(env: Env) -> None:
    """A time range is half-open, on updated_at unless told otherwise, and open where it has None."""
    store = env.store()
    begin = env.clock()
    for number in range(5):
        await store.set(f"k{number}", number)
        env.clock.advance(microseconds=1)
    moments = [from_instant(begin + number) for number in range(6)]

    async def found(start: int | None, end: int | None, **options: Any) -> list[int]:
        edges = tuple(None if edge is None else moments[edge] for edge in (start, end))
        return await store.query(QueryFilter(time_range=edges, **options))  # type: ignore[arg-type] # it is a pair

    assert await found(1, 3) == [1, 2]
    assert await found(None, 2) == [0, 1]
    assert await found(3, None) == [3, 4]
    assert await found(None, None) == [0, 1, 2, 3, 4]
    await store.set("k1", 1)
    assert await found(1, 3) == [2]
    assert await found(1, 3, time_field="created_at") == [1, 2]
    assert await found(5, None) == [1]


@case("q.time.empty_and_inverted", requires=QUERY)
async def empty_and_inverted(env: Env) -> None:
    """A range without length finds nothing; an inverted one, or a naive datetime, is a ValueError."""
    store = env.store(indexes={"at": datetime})
    await store.set("k", {"at": MOMENT})
    later = MOMENT + timedelta(microseconds=1)
    assert await store.query(QueryFilter(time_range=(MOMENT, MOMENT), time_field="at")) == []
    assert len(await store.query(QueryFilter(time_range=(MOMENT, later), time_field="at"))) == 1
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 -- naive on purpose
    for edges in ((later, MOMENT), (naive, None), (None, naive)):
        with raises(ValueError):
            QueryFilter(time_range=edges)
    with raises(ValueError):
        store.where("at", ">", naive)
    with raises(SerializationError):
        await store.set("k", {"at": naive})


@case("q.unknown_field", requires=QUERY)
async def unknown_field(env: Env) -> None:
    """A field that is not indexed is refused wherever it is named, and no condition is dropped."""
    store, _ = await _filled(env)
    builder = store.all()
    for attempt in (
        lambda: store.where("body", "=", "x"),
        lambda: store.where("body", "!=", "x"),
        lambda: store.where(Q("n", "=", 1) | Q("body", "=", "x")),
        lambda: builder.where("Topic", "=", "travel"),
        lambda: builder.order_by("body"),
        lambda: builder.aggregate(total=Sum("body")),
        lambda: builder.aggregate(total=Count()).group_by("body"),
    ):
        with raises(SchemaError) as caught:
            attempt()
        assert "index" in caught.error.message
    for options in ({"tags": {"body": "x"}}, {"time_range": (None, MOMENT), "time_field": "body"}):
        filter_: Any = QueryFilter(**options)
        with raises(SchemaError):
            await store.query(filter_)
        with raises(SchemaError):
            await store.count(filter_)


@case("q.allow_scan", requires=QUERY)
async def allow_scan(env: Env) -> None:
    """With allow_scan a field that is not indexed is looked for in the values, and the answer is right."""
    store, _ = await _filled(env)
    notes = _notes()
    found = await store.where("body", "=", "never searched 3", allow_scan=True).keys()
    assert found == ["k03"]
    assert await store.where("rare", "exists", True, allow_scan=True).keys() == ["k07"]
    rest = await store.where("body", "!=", "never searched 3", allow_scan=True).keys()
    assert rest == [*(key for key in notes if key != "k03"), "zz-bare"]
    assert await store.where("body", "startswith", "never searched 1", allow_scan=True).count() == 7
    both = store.where("ok", "=", True).where("body", "!=", "never searched 3", allow_scan=True)
    assert await both.keys() == ["k00", "k06", "k09", "k12", "k15"]
    last = store.all(allow_scan=True).order_by("body", "desc", allow_scan=True).limit(2)
    assert await last.keys() == ["zz-bare", "k09"]


@case("q.index_types")
async def index_types(env: Env) -> None:
    """A value whose indexed part is of another type is refused, and nothing is written; None is no value."""
    store = env.store(indexes=INDEXES)
    await store.set("k", {"n": 1})
    bad: tuple[dict[str, Any], ...] = (
        *({"n": "1"}, {"n": True}, {"n": 1.0}, {"topic": 1}, {"ok": 1}, {"x": "1"}, {"at": "2026-01-01"}),
        *({"tags": "a"}, {"tags": [1]}, {"tags": ["a", None]}, {"tags": {"a"}}, {"topic": b"a"}, {"x": True}),
    )
    for value in bad:
        for key in ("k", "new"):
            with raises(SerializationError):
                await store.set(key, value)
        with raises(SerializationError):
            await store.set_batch({"first": {"n": 1}, "k": value})
    assert await store.get_batch(["k", "new", "first"]) == {"k": {"n": 1}}
    await store.set("none", {"n": None, "topic": None, "tags": []})
    if env.capabilities.query:
        assert await store.where("n", "exists", False).keys() == ["none"]
        assert await store.where("tags", "exists", True).keys() == ["none"]


@case("q.index_paths", requires=QUERY)
async def index_paths(env: Env) -> None:
    """An index may lie inside a value, and a dot in a name is told apart from a path."""
    store = env.store(
        indexes=[Index("user", str, "info.user"), Index("dotted", str, ("info.user",)), Index("info.n", int)]
    )
    await store.set("path", {"info": {"user": "a", "n": 1}})
    await store.set("dotted", {"info.user": "a", "info.n": 1})
    await store.set("neither", {"info": ["user"]})
    assert await store.where("user", "=", "a").keys() == ["path"]
    assert await store.where("dotted", "=", "a").keys() == ["dotted"]
    assert await store.where("info.n", "=", 1).keys() == ["path"]


@case("q.store_updates", requires=QUERY)
async def store_updates(env: Env) -> None:
    """What a store overwrites, patches and deletes is found by its new parts only."""
    store = env.store(indexes=INDEXES)
    await store.set("k", {"topic": "old", "tags": ["x"]})
    await store.set("k", {"topic": "new", "tags": ["y"]})
    assert await store.where("topic", "=", "old").keys() == []
    assert await store.where("tags", "contains", "y").keys() == ["k"]
    await store.update("k", {"topic": "newer", "tags": []})
    assert await store.where("topic", "=", "new").count() == 0
    assert await store.where("topic", "=", "newer").count() == 1
    assert await store.where("tags", "contains", "y").keys() == []
    await store.set("k", {"n": 1})
    assert await store.where("topic", "exists", True).keys() == []
    assert await store.where("n", "=", 1).keys() == ["k"]
    await store.delete("k")
    assert await store.where("n", "exists", True).keys() == []


@case("q.scan", requires=QUERY)
async def scan(env: Env) -> None:
    """A scan yields everything that matches once, however much, and may be left at any point."""
    store = env.store(indexes={"n": int})
    size = env.scale(2050, 10_050)
    await store.set_batch({f"{n:05}": {"n": n} for n in range(size)})
    assert [entry.key async for entry in store.scan()] == [f"{n:05}" for n in range(size)]
    assert len([entry async for entry in store.scan(QueryFilter(prefix="000"))]) == 100
    found = [value["n"] async for value in store.where("n", ">=", 3).order_by("n", "desc")]
    assert found == list(range(size - 1, 2, -1))
    assert [value["n"] async for value in store.where("n", ">=", 3).limit(1500)] == list(range(3, 1503))
    stream = store.scan()
    assert (await anext(stream)).key == "00000"
    await stream.aclose()
    await store.set("00000", {"n": -1})
    assert await store.count() == size
    assert [entry async for entry in env.store().scan()] == []


@case("page.store", requires=QUERY)
async def store_pages(env: Env) -> None:
    """The pages of a builder cover its result, and their cursor is good for this query alone."""
    store, rows = await _filled(env)
    builder = store.where("n", ">", -100).order_by("topic", "desc")
    expected = await builder.keys()
    assert expected == select(rows, Compare("n", Op.GT, -100), "topic", descending=True)
    everything = await builder.execute()
    for size in (1, 3, 16, 17):
        found: list[Any] = []
        cursor = None
        for _ in range(len(expected) // size + 2):
            page = await builder.page(size, cursor)
            found += page.items
            cursor = page.cursor
            if cursor is None:
                break
        assert found == everything
    cursor = (await builder.page(3)).cursor
    assert await builder.after(cursor).execute() == everything[3:]
    for other in (store.all(), builder.order_by("topic"), builder.where("ok", "=", True)):
        with raises(InvalidCursor):
            await other.page(3, cursor)
    assert await builder.limit(0).execute() == []
    assert await builder.offset(99).execute() == []


@case("agg.store", requires={"query", "aggregate"})
async def store_aggregates(env: Env) -> None:
    """The aggregates of a store are exact, grouped by any indexes, over what its query finds."""
    store, rows = await _filled(env)
    functions: dict[str, Any] = {
        "records": Count(),
        "have": Count("n"),
        "total": Sum("n"),
        "mean": Avg("x"),
        "first": Min("at"),
        "last": Max("topic"),
    }
    compiled = {name: function.compile() for name, function in functions.items()}
    assert await store.aggregate(**functions).execute() == aggregate(rows, compiled)[()]
    groups = await store.aggregate(**functions).group_by("topic", "ok").execute()
    by_hand = aggregate(rows, compiled, ["topic", "ok"])
    assert len(groups) == len(by_hand)
    for group in groups:
        name = tuple((type(group[field]).__name__, group[field]) for field in ("topic", "ok"))
        assert {alias: group[alias] for alias in functions} == by_hand[name]
    nothing = await store.where("n", ">", 999).aggregate(total=Sum("n"), mean=Avg("n"), n=Count()).execute()
    assert nothing == {"total": 0, "mean": None, "n": 0}
    limited = await store.all().limit(1).aggregate(n=Count()).execute()
    assert limited == {"n": 17}
