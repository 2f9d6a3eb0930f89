"""Queries: prefixes, order, windows, counts, and what they leave out."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from daystore.abc import And, Compare, Explanation, FieldValue, Not, Op, Or, Order, Predicate, Query
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES, PREFIXES
from daystore_compliance.model import Row, select
from daystore_compliance.overlapping import going_on
from daystore_compliance.tables import PROBES, VALUES, fill_values


async def _expect_prefixes(env: Env, topic: str) -> None:
    records = env.records()
    table = PREFIXES[topic]
    keys = sorted({key for _, found, decoys in table for key in (*found, *decoys)}, reverse=True)
    await records.fill({key: {"text": key, "l": (key,)} for key in keys})
    for prefix, found, decoys in table:
        expected = sorted((key for key in keys if key[: len(prefix)] == prefix), key=str.encode)
        assert set(found) <= set(expected)
        assert not set(decoys) & set(expected)
        for name in ("key", "text"):
            where = Compare(name, Op.STARTSWITH, prefix)
            assert await records.keys(where) == expected
            assert await records.count(where) == len(expected)
            assert await records.keys(Not(where)) == sorted(set(keys) - set(expected), key=str.encode)
            assert [key for page in await records.walk(1, where) for key in page] == expected


@case("q.prefix_literal", requires={"query"})
async def prefix_literal(env: Env) -> None:
    """In a prefix the signs of LIKE, % and _ and the backslash, stand for themselves."""
    await _expect_prefixes(env, "literal")


@case("q.prefix_glob", requires={"query"})
async def prefix_glob(env: Env) -> None:
    """In a prefix the signs of globs, * ? [ ] { }, stand for themselves."""
    await _expect_prefixes(env, "glob")


@case("q.prefix_regex", requires={"query"})
async def prefix_regex(env: Env) -> None:
    """In a prefix the signs of regular expressions stand for themselves."""
    await _expect_prefixes(env, "regex")


@case("q.prefix_delimiters", requires={"query"})
async def prefix_delimiters(env: Env) -> None:
    """A prefix is characters, not a path: user:1 finds user:10 as well, and nothing is cut at a separator."""
    await _expect_prefixes(env, "delimiters")


@case("q.prefix_case", requires={"query"})
async def prefix_case(env: Env) -> None:
    """A prefix matches by exact characters: case, accents, blanks and NUL count."""
    await _expect_prefixes(env, "case")


@case("q.prefix_max_char", requires={"query"})
async def prefix_max_char(env: Env) -> None:
    """A prefix that ends in the last character there is, or before a gap, has its upper bound right."""
    await _expect_prefixes(env, "max_char")


@case("q.prefix_empty", requires={"query"})
async def prefix_empty(env: Env) -> None:
    """The empty prefix finds every record."""
    records = env.records()
    keys = FAMILIES["astral"]
    await records.fill(keys)
    assert await records.keys(Compare("key", Op.STARTSWITH, "")) == sorted(keys, key=str.encode)
    assert await records.count(Compare("key", Op.STARTSWITH, "")) == len(keys)


@case("q.prefix_exact_key", requires={"query"})
async def prefix_exact_key(env: Env) -> None:
    """A prefix that is a whole key finds that record too, and no record that nobody wrote."""
    records = env.records()
    await records.fill(["a", "a/b", "ab"])
    assert await records.keys(Compare("key", Op.STARTSWITH, "a")) == ["a", "a/b", "ab"]
    assert await records.keys(Compare("key", Op.STARTSWITH, "a/")) == ["a/b"]
    assert await records.keys(Compare("key", Op.STARTSWITH, "a/b")) == ["a/b"]
    assert await records.keys(Compare("key", Op.STARTSWITH, "a/b/")) == []


@case("q.order_default", requires={"query"})
async def order_default(env: Env) -> None:
    """Without an order records come by ascending key, however they were written, overwritten and deleted."""
    records = env.records()
    keys = [f"{prefix}{n}" for prefix in ("b", "a", "B", "aa", "") for n in (10, 9, 1)]
    env.random.shuffle(keys)
    for key in keys:
        await records.put(key, fields={"n": 1})
    await records.put(keys[0], fields={"n": 1})
    await records.delete(keys[1])
    await records.put(keys[1], fields={"n": 1})
    for where in (None, Compare("n", Op.EQ, 1), Compare("n", Op.IN, (1, 2)), Not(Compare("n", Op.EQ, 2))):
        assert await records.keys(where) == sorted(keys)
    await records.delete(keys[2])
    assert await records.keys() == sorted(set(keys) - {keys[2]})


@case("q.order_field", requires={"query"}, variants=tuple(VALUES))
async def order_field(env: Env, kind: str) -> None:
    """A field orders its records up or down, ties by ascending key in both, missing ones lowest."""
    records = env.records()
    values: list[FieldValue] = [*VALUES[kind], *VALUES[kind][::2]]
    names = [f"{number:02}" for number in range(len(values))]
    env.random.shuffle(names)
    rows = [Row(name, {"f": value}) for name, value in zip(names, values, strict=True)]
    rows += [Row("00-missing"), Row("zz-missing", {"other": 1})]
    await records.fill({row.key: row.fields for row in rows})
    for descending in (False, True):
        expected = select(rows, None, "f", descending=descending)
        assert await records.keys(by=Order("f", descending)) == expected
        assert await records.keys(by=Order("f", descending), limit=3) == expected[:3]
        some = Compare("key", Op.GE, "05")
        assert await records.keys(some, Order("f", descending)) == select(
            rows, some, "f", descending=descending
        )


@case("q.order_mixed", requires={"query"})
async def order_mixed(env: Env) -> None:
    """Records with values of different types have one total order, the same up and down but for ties."""
    records = env.records()
    rows = await fill_values(records)
    for descending in (False, True):
        expected = select(rows, None, "f", descending=descending)
        assert await records.keys(by=Order("f", descending)) == expected
    assert await records.keys(by=Order("key", descending=True)) == sorted((r.key for r in rows), reverse=True)
    assert await records.keys(by="never") == sorted(row.key for row in rows)
    assert await records.keys(by=Order("never", descending=True)) == sorted(row.key for row in rows)


@case("q.order_times", requires={"query"})
async def order_times(env: Env) -> None:
    """The times of a record order it like any field, from its first write on."""
    records = env.records()
    for key in ("c", "a", "b"):
        await records.put(key)
        env.clock.advance(microseconds=1)
    await records.put("c")
    assert await records.keys(by="created_at") == ["c", "a", "b"]
    assert await records.keys(by="updated_at") == ["a", "b", "c"]
    assert await records.keys(by=Order("updated_at", descending=True)) == ["c", "b", "a"]


@case("q.order_total", requires={"query"})
async def order_total(env: Env) -> None:
    """Ties are broken by key, so the same data has the same order however it came to be."""
    one, two = env.records(), env.records()
    keys = [f"k{n:02}" for n in range(30)]
    for place in (one, two):
        env.random.shuffle(keys)
        await place.fill({key: {"n": int(key[1:]) % 3} for key in keys})
    for order in (
        Order("n"),
        Order("n", descending=True),
        Order("never"),
        Order("created_at", descending=True),
    ):
        expected = select(
            [Row(key, {"n": int(key[1:]) % 3}) for key in keys],
            None,
            order.field,
            descending=order.descending,
        )
        assert await one.keys(by=order) == await two.keys(by=order) == expected


@case("q.limit", requires={"query"})
async def limit(env: Env) -> None:
    """A limit of 0 is an empty page, none is everything, a negative one a ValueError."""
    records = env.records()
    keys = [f"{n:03}" for n in range(150)]
    await records.fill(keys)
    for size in (0, 1, 2, 99, 100, 101, 149, 150, 151, 10_000):
        page = await records.page(limit=size)
        assert [record.key for record in page.records] == keys[:size]
    assert await records.keys() == keys
    assert await records.keys(Compare("key", Op.GE, "140"), limit=20) == keys[140:]
    with raises(ValueError):
        records.query(limit=-1)
    for bad in (1.0, "1", True):
        with raises(TypeError):
            records.query(limit=bad)


@case("q.offset", requires={"query"})
async def offset(env: Env) -> None:
    """An offset passes over that many records of the result, once; beyond the end there is nothing."""
    records = env.records()
    keys = [f"{n:02}" for n in range(20)]
    await records.fill({key: {"n": -int(key)} for key in keys})
    for skip in (0, 1, 10, 19):
        assert await records.keys(offset=skip) == keys[skip:]
        assert await records.keys(offset=skip, limit=3) == keys[skip : skip + 3]
        assert await records.keys(by="n", offset=skip, limit=3) == keys[::-1][skip : skip + 3]
    with raises(ValueError):
        records.query(offset=-1)
    with raises(ValueError):
        records.query(offset=1, cursor="x")


@case("q.offset_beyond_end", requires={"query"})
async def offset_beyond_end(env: Env) -> None:
    """An offset at or beyond the end finds nothing, with or without a limit."""
    records = env.records()
    await records.fill(["a", "b"])
    for skip in (2, 3, 1000):
        assert (await records.page(offset=skip)).records == []
        page = await records.page(offset=skip, limit=10)
        assert (page.records, page.cursor) == ([], None)
        assert await records.keys(Compare("key", Op.EQ, "a"), offset=skip) == []


@case("q.no_match", requires={"query"})
async def no_match(env: Env) -> None:
    """A query that finds nothing is an empty page without a cursor and a count of 0."""
    records = env.records()
    for _ in range(2):
        for where in (
            Compare("f", Op.EQ, "absent"),
            Compare("never", Op.EXISTS, True),
            Compare("key", Op.LT, ""),
        ):
            page = await records.page(where, limit=5)
            assert (page.records, page.cursor) == ([], None)
            assert await records.count(where) == 0
        await fill_values(records)


@case("q.count_equals_len", requires={"query"})
async def count_equals_len(env: Env) -> None:
    """A count is the length of the result without limit, offset and cursor, after every change."""
    records = env.records()
    rows = await fill_values(records)
    await records.put("int-01", fields={"f": "changed"})
    await records.delete("int-02")
    rows = [row for row in rows if row.key not in ("int-01", "int-02")] + [Row("int-01", {"f": "changed"})]
    predicates: list[Predicate | None] = [None, Compare("f", Op.EXISTS, True)]
    predicates += [Compare("f", op, probes[1]) for probes in PROBES.values() for op in (Op.EQ, Op.LE, Op.GT)]
    for where in predicates:
        expected = len(select(rows, where))
        assert await records.count(where) == expected
        first = await records.page(where, limit=1)
        for window in (
            {"limit": 0},
            {"limit": 1},
            {"offset": 3},
            {"limit": 2, "offset": 1},
            {"cursor": first.cursor},
        ):
            options: dict[str, Any] = dict(window)
            assert await env.adapter.count(records.query(where, **options)) == expected


@case("q.tags.update_moves", requires={"query"})
async def update_moves(env: Env) -> None:
    """Overwriting or deleting a record takes it out of every result that its old fields put it into."""
    records = env.records()
    await records.put("a", fields={"s": "old", "n": 1, "l": ("x", "y"), "gone": True})
    await records.put("b", fields={"s": "old", "n": 1, "l": ("x",)})
    await records.put("a", fields={"s": "new", "n": 2, "l": ("y", "z")})
    for where, expected in (
        (Compare("s", Op.EQ, "old"), ["b"]),
        (Compare("s", Op.EQ, "new"), ["a"]),
        (Compare("n", Op.LT, 2), ["b"]),
        (Compare("l", Op.CONTAINS, "x"), ["b"]),
        (Compare("l", Op.CONTAINS, "y"), ["a"]),
        (Compare("gone", Op.EXISTS, True), []),
    ):
        assert await records.keys(where) == expected
        assert await records.count(where) == len(expected)
    await records.delete("a")
    await records.put("a")
    for where in (Compare("s", Op.EXISTS, True), Compare("n", Op.GE, 0), Compare("l", Op.EXISTS, True)):
        assert await records.keys(where) == ["b"]


@case("q.other_collections", requires={"query"})
async def other_collections(env: Env) -> None:
    """A query looks into its own collection alone, whatever the others are called and hold."""
    names = ("q", "qq", "q_", "q_a", "q0", "a")
    for name in names:
        await env.records(name).fill({f"{name}-{n}": {"n": n} for n in range(3)})
    for name in names:
        records = env.records(name)
        for where in (
            None,
            Compare("n", Op.GE, 0),
            Or((Compare("n", Op.LE, 1), Compare("n", Op.GT, 1))),
            Not(Compare("n", Op.EQ, 9)),
        ):
            assert await records.keys(where) == [f"{name}-{n}" for n in range(3)]
            assert await records.count(where) == 3


@case("q.expired_excluded", requires={"query", "ttl"})
async def expired_excluded(env: Env) -> None:
    """An expired record is in no result, whatever the predicate, the order or the window."""
    records = env.records()
    deadline = env.clock.deadline(1)
    rows = [Row(f"{n:02}", {"n": n % 4}) for n in range(20)]
    await env.adapter.set_batch(
        [
            records.a_put(r.key, fields=r.fields, expires_at=deadline if n % 3 == 0 else None)
            for n, r in enumerate(rows)
        ]
    )
    env.clock.move_to(deadline)
    alive = [row for n, row in enumerate(rows) if n % 3]
    low = Compare("n", Op.LE, 1)
    for where in (None, low, Not(low), Or((low, Compare("n", Op.EQ, 3))), Compare("key", Op.STARTSWITH, "0")):
        for by in ("key", "n"):
            expected = select(alive, where, by)
            assert await records.keys(where, by) == expected
            assert await records.keys(where, by, limit=4, offset=1) == expected[1:5]
            assert await records.count(where) == len(expected)


@case("q.while_writing", requires={"query"})
async def while_writing(env: Env) -> None:
    """Paging beside writes and deletes never fails, and never repeats or loses a stable record."""
    records = env.records()
    stable = [f"s{n:02}" for n in range(40)]
    await records.fill(stable)
    done = False
    written = 0

    async def write() -> None:
        nonlocal written
        while not done:
            await records.put(f"t{written % 50:02}")
            await records.delete(f"t{(written - 25) % 50:02}")
            await env.adapter.set_batch([records.a_put(f"r{written % 9}"), records.a_put(f"u{written % 9}")])
            written += 1
            await asyncio.sleep(0)

    async def page() -> None:
        nonlocal done
        for _ in going_on(env.scale(5, 50), lambda: written > 5):
            found: list[str] = []
            cursor = None
            while True:
                part = await records.page(limit=7, cursor=cursor)
                found += [record.key for record in part.records]
                await asyncio.sleep(0)
                if part.cursor is None:
                    break
                cursor = part.cursor
            assert [key for key in found if key[0] == "s"] == stable
            assert len(found) == len(set(found))
        done = True

    await asyncio.gather(write(), page())
    assert written > 5, "the writer did not overlap with the reader"


@case("q.explain_answers", requires={"query"})
async def explain_answers(env: Env) -> None:
    """Explain answers for every kind of query, changes nothing, and shows no compared value."""
    records = env.records()
    await records.fill({"a": {"f": "x"}})
    secret = "a-secret-value"  # noqa: S105 -- not one
    wheres: tuple[Predicate | None, ...] = (
        None,
        Compare("f", Op.EQ, secret),
        Compare("key", Op.STARTSWITH, secret),
        Compare("f", Op.CONTAINS, secret),
        Not(Compare("f", Op.IN, (secret, 1))),
        And((Or((Compare("f", Op.GT, secret), Compare("updated_at", Op.EXISTS, True))),)),
    )
    for where in wheres:
        for by in ("key", "f", "updated_at"):
            explanation = await env.adapter.explain(records.query(where, by, limit=1))
            assert type(explanation) is Explanation
            assert type(explanation.indexed) is bool
            assert explanation.strategy
            assert secret not in repr(explanation)
    await records.expect({"a": b"a"})


FIELDS: Final = ("s", "n", "b", "l", "x")
_SCALARS: Final = st.sampled_from(["", "a", "b", "ab", "1", 0, 1, 2, -1, 0.0, 1.0, True, False])
_COMPARISONS: Final = st.one_of(
    st.builds(
        Compare,
        st.sampled_from([*FIELDS, "key"]),
        st.sampled_from([Op.EQ, Op.LT, Op.LE, Op.GT, Op.GE]),
        _SCALARS,
    ),
    st.builds(Compare, st.sampled_from(FIELDS), st.just(Op.IN), st.lists(_SCALARS, max_size=3).map(tuple)),
    st.builds(
        Compare,
        st.sampled_from([*FIELDS, "key"]),
        st.sampled_from([Op.STARTSWITH, Op.CONTAINS]),
        st.sampled_from(["", "a", "b", "1"]),
    ),
    st.builds(Compare, st.sampled_from(FIELDS), st.just(Op.EXISTS), st.just(True)),
)
PREDICATES: Final[st.SearchStrategy[Predicate]] = st.recursive(
    _COMPARISONS,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)
ROWS: Final = st.dictionaries(
    st.sampled_from(["a", "ab", "b", "B", "a_", "a%", "1", "10", "\u00e9", "a\0"]),
    st.dictionaries(
        st.sampled_from(FIELDS),
        st.one_of(_SCALARS, st.lists(st.sampled_from(["", "a", "b"]), max_size=2).map(tuple)),
    ),
    max_size=8,
)


@case("q.combined", requires={"query"})
def combined(env: Env, run: Any) -> None:
    """Any predicate, order and window over any records finds what the model finds."""

    @env.seeded
    @env.hypothesis(12, 1000)
    @given(
        ROWS,
        PREDICATES,
        st.sampled_from([*FIELDS, "key"]),
        st.booleans(),
        st.integers(0, 4),
        st.integers(0, 2),
    )
    def agree(
        fields: dict[str, dict[str, FieldValue]], where: Predicate, by: str, down: bool, size: int, skip: int
    ) -> None:
        run(_agree(env, fields, Query("x", where, Order(by, down), size, skip)))

    agree()


async def _agree(env: Env, fields: dict[str, dict[str, FieldValue]], query: Query) -> None:
    records = env.records()
    await records.fill(fields)
    rows = [Row(key, values) for key, values in fields.items()]
    where, order = query.where, query.order
    expected = select(rows, where, order.field, descending=order.descending)
    assert await records.keys(where, order) == expected
    assert await records.count(where) == len(expected)
    window = expected[query.offset : query.offset + (query.limit or 0)]
    assert await records.keys(where, order, limit=query.limit, offset=query.offset) == window
    assert [key for page in await records.walk(2, where, order) for key in page] == expected
