"""Queries where two things meet: terms on one field, long texts, long lists, large windows, writes in between."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from daystore.abc import And, Compare, Not, Op, Or, Order, Page, Predicate, Query
from daystore.errors import BackendUnavailable
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.model import Row, select
from daystore_compliance.overlapping import going_on

_KEYS: Final = (
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a/bc",
    "a/c",
    "ab",
    "b:1:x",
    "b:1:y",
    "b:10",
    "b:2",
    "a.b.c",
    "a.c",
)


def _prefixed() -> list[Predicate]:
    """Join prefixes of the key with other terms, on the key and beside it."""
    others: tuple[Predicate, ...] = (
        Compare("n", Op.GE, 4),
        Not(Compare("n", Op.EQ, 4)),
        Compare("key", Op.GT, "a/b"),
        Compare("key", Op.LT, "b:10"),
        Compare("key", Op.IN, ("b:2", "a/c", "a/b", "a")),
        Compare("key", Op.STARTSWITH, "a/b/"),
        Not(Compare("key", Op.STARTSWITH, "a/b")),
    )
    joined: list[Predicate] = []
    for prefix in ("a", "a/", "a/b", "a/b/", "b:1", "b:1:", "a.b", "a.b."):
        begins = Compare("key", Op.STARTSWITH, prefix)
        for other in others:
            joined += [
                And((begins, other)),
                And((other, begins)),
                Or((begins, other)),
                And((begins, Not(other))),
            ]
    return joined


@case("q.prefix_joined", requires={"query"})
async def prefix_joined(env: Env) -> None:
    """A prefix means the same alone and joined with other terms: none of them replaces or shortens it."""
    records = env.records()
    rows = [Row(key, {"n": number}) for number, key in enumerate(_KEYS)]
    await records.fill({row.key: row.fields for row in rows})
    for where in _prefixed():
        expected = select(rows, where)
        assert await records.keys(where) == expected
        assert await records.count(where) == len(expected)


@case("q.same_field", requires={"query"})
async def same_field(env: Env) -> None:
    """Terms on one field are judged one by one: none is merged with another, overridden or retyped."""
    records = env.records()
    values: tuple[Any, ...] = (1, 1.0, True, "1", 2, 0, "", False, 3, 3.5)
    rows = [Row(f"k{index:02}", {"f": value}) for index, value in enumerate(values)] + [Row("none")]
    await records.fill({row.key: row.fields for row in rows})
    one, two, true = Compare("f", Op.EQ, 1), Compare("f", Op.EQ, 2), Compare("f", Op.EQ, True)
    low, high = Compare("f", Op.GE, 1), Compare("f", Op.LE, 2)
    listed = Compare("f", Op.IN, (1, "1", 3))
    for where in (
        *(
            And((one, two)),
            And((two, one)),
            Or((one, true)),
            Or((one, two)),
            Or((true, Compare("f", Op.EQ, 1.0))),
        ),
        *(And((low, Compare("f", Op.GE, 2))), And((Compare("f", Op.GE, 2), low)), And((low, high, Not(one)))),
        *(And((listed, Not(one))), And((listed, high)), Or((listed, two)), And((Not(one), Not(two)))),
        *(Not(And((one, one))), Not(And((low, high, one))), Not(Or((one, two))), Or((Not(one), Not(two)))),
        *(
            Or((Not(And((one, low))), one)),
            Or((two, Not(And((low, high))))),
            And((Or((one, two)), Or((two, true)))),
        ),
        *(Compare("f", Op.IN, (1, 1, 2)), And((Compare("f", Op.IN, (1, 2)), Compare("f", Op.IN, (2, 3))))),
    ):
        for predicate in (where, Not(where)):
            expected = select(rows, predicate)
            assert await records.keys(predicate) == expected
            assert await records.count(predicate) == len(expected)


@case("q.key_in", requires={"query"})
async def key_in(env: Env) -> None:
    """Records looked for by a list of keys come once each, in the order of the query and not of the list."""
    records = env.records()
    await records.fill({key: {"n": -number} for number, key in enumerate("edcba")})
    where = Compare("key", Op.IN, ("d", "a", "missing", "e", "a", "b"))
    assert await records.keys(where) == ["a", "b", "d", "e"]
    assert await records.keys(where, Order("key", descending=True)) == ["e", "d", "b", "a"]
    assert await records.keys(where, "n") == ["a", "b", "d", "e"]
    assert await records.walk(3, where) == [["a", "b", "d"], ["e"]]
    assert await records.count(where) == 4


@case("q.long_texts", requires={"query"})
async def long_texts(env: Env) -> None:
    """Texts that differ only at their end are told apart, ordered and paged by it, however long they are."""
    records = env.records()
    limit = env.capabilities.limits.max_field_bytes
    sizes = sorted({size for size in (64, 191, 255, 256, 512, 767, 1024, limit) if size <= min(limit, 1024)})
    texts = [("x" * (size - 1)) + last for size in sizes for last in "ba"]
    rows = [Row(f"k{index:02}", {"f": text, "l": (text,)}) for index, text in enumerate(texts)]
    await records.fill({row.key: row.fields for row in rows})
    for text in texts:
        for where in (
            *(Compare("f", op, text) for op in (Op.EQ, Op.LT, Op.GE, Op.STARTSWITH)),
            *(Compare("l", Op.CONTAINS, text), Compare("f", Op.IN, (text, "x"))),
        ):
            assert await records.keys(where) == select(rows, where)
    for descending in (False, True):
        expected = select(rows, None, "f", descending=descending)
        assert await records.keys(by=Order("f", descending)) == expected
        walked = await records.walk(1, None, Order("f", descending))
        assert [key for page in walked for key in page] == expected


@case("q.in_many", requires={"query"})
async def in_many(env: Env) -> None:
    """An in of 40,000 values, of texts and of keys, and an or of 1,500 terms find what small ones find."""
    records = env.records()
    await records.fill({f"k{number}": {"n": number, "s": f"{number}"} for number in (1, 20_000, 39_999)})
    numbers = range(10, 40_010)
    for where in (
        Compare("n", Op.IN, tuple(numbers)),
        Compare("s", Op.IN, tuple(map(str, numbers))),
        Compare("key", Op.IN, tuple(f"k{number}" for number in numbers)),
    ):
        assert await records.keys(where) == ["k20000", "k39999"]
        assert await records.count(Not(where)) == 1
    wide = tuple(Compare("n", Op.EQ, number) for number in range(18_501, 20_001))
    assert await records.keys(Or(wide)) == ["k20000"]
    assert await records.keys(And(tuple(map(Not, wide)))) == ["k1", "k39999"]


@case("q.order_names", requires={"query"})
async def order_names(env: Env) -> None:
    """The name of a field that orders is data: no word, sign or quote in it is understood."""
    records = env.records()
    await records.fill({f"k{number}": {"n": -number} for number in range(4)})
    for name in (
        "n DESC",
        "n desc",
        "-n",
        "n,key",
        "n; --",
        'n" DESC --',
        "n COLLATE NOCASE",
        "RANDOM()",
        "2",
        "n.n",
    ):
        assert await records.keys(by=name) == ["k0", "k1", "k2", "k3"]
        assert await records.keys(by=Order(name, descending=True)) == ["k0", "k1", "k2", "k3"]
        assert await records.keys(Compare("n", Op.LT, 0), name) == ["k1", "k2", "k3"]
    await records.fill({f"k{number}": {"n DESC": number % 2, "n": -number} for number in range(4)})
    assert await records.keys(by="n DESC") == ["k0", "k2", "k1", "k3"]


@case("q.rows_agree", requires={"query"})
async def rows_agree(env: Env) -> None:
    """Beside writes, each record of a result is as it was when it satisfied the query: fields and value."""
    records = env.records()
    names = [f"k{number}" for number in range(8)]
    low = Compare("n", Op.EQ, 0)
    done = False
    turns = 0

    async def write() -> None:
        nonlocal turns
        while not done:
            turns += 1
            for name in names:
                await records.put(name, f"{turns % 2}".encode(), fields={"n": turns % 2})
                await asyncio.sleep(0)

    async def read() -> None:
        nonlocal done
        try:
            for _ in going_on(env.scale(20, 200), lambda: turns > 2):
                for record in (await records.page(low, Order("n", descending=True))).records:
                    assert (record.value, record.fields["n"]) == (b"0", 0)
                await asyncio.sleep(0)
        finally:
            done = True

    await records.fill({name: {"n": 0} for name in names})
    for name in names:
        await records.put(name, b"0", fields={"n": 0})
    await asyncio.gather(write(), read())
    assert turns > 2, "the writer did not overlap with the reader"


@case("q.huge_windows", requires={"query"})
async def huge_windows(env: Env) -> None:
    """A limit or an offset beyond 32 and 64 bits is one like any other."""
    records = env.records()
    keys = [f"k{number}" for number in range(5)]
    await records.fill({key: {"n": 1} for key in keys})
    cursor = (await records.page(limit=2)).cursor
    for huge in (2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30):
        for where in (None, Compare("n", Op.EQ, 1)):
            assert await records.keys(where, limit=huge) == keys
            assert await records.keys(where, limit=huge, offset=2) == keys[2:]
            assert await records.keys(where, offset=huge) == []
            assert await records.keys(where, limit=3, offset=huge) == []
            assert await records.count(where) == 5
        assert await records.keys(limit=huge, cursor=cursor) == keys[2:]


_WINDOWS: Final = ((99, 1), (100, 101), (150, None), (3, 1000), (999, 2), (1001, 10), (0, 1025), (1023, 200))


@case("q.large_windows", requires={"query"})
async def large_windows(env: Env) -> None:
    """Windows around 100, 1,000 and 1,024 are cut exactly, in any order, with a predicate and without."""
    records = env.records()
    size = 1300
    rows = [Row(f"{number:04}", {"n": -(number // 2), "even": number % 2 == 0}) for number in range(size)]
    await records.fill({row.key: row.fields for row in rows})
    for where, order in (
        (None, Order()),
        (Compare("even", Op.EQ, True), Order()),
        (None, Order("n")),
        (Not(Compare("n", Op.EQ, 3)), Order("n", descending=True)),
        (Compare("n", Op.LE, 0), Order("key", descending=True)),
    ):
        expected = select(rows, where, order.field, descending=order.descending)
        for offset, limit in (
            (99, 1),
            (100, 101),
            (150, None),
            (3, 1000),
            (999, 2),
            (1001, 10),
            (0, 1025),
            (1023, 200),
        ):
            page = await records.page(where, order, offset=offset, limit=limit)
            end = len(expected) if limit is None else offset + limit
            assert [record.key for record in page.records] == expected[offset:end]
            assert (page.cursor is not None) == (end < len(expected))
            if page.cursor is not None:
                assert await records.keys(where, order, cursor=page.cursor) == expected[end:]


class _Failing:
    """An adapter whose query fails once, at its second page; everything else is the adapter's."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter
        self.left = 2

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def query(self, query: Query, *arguments: Any, **options: Any) -> Page:
        """Fail at the second call."""
        self.left -= 1
        if self.left == 0:
            raise BackendUnavailable("made to fail", backend="test", operation="query")
        page: Page = await self._adapter.query(query, *arguments, **options)
        return page


@case("q.scan_failure", requires={"query"})
async def scan_failure(env: Env) -> None:
    """A page that cannot be read ends a scan with its error, never as if that were all there is."""
    plain = env.store()
    await plain.set_batch({f"{number:04}": number for number in range(1100)})
    for whole in (True, False):
        failing: Any = _Failing(env.adapter)
        store = env.target.store_type(failing, plain.collection)
        found: list[str] = []
        with raises(BackendUnavailable):
            async for entry in store.scan() if whole else store.where("key", ">", "0").stream():
                found.append(entry.key)  # noqa: PERF401 -- what came before the error is looked at
        assert failing.left == 0, "nothing failed"
        assert found == [f"{number:04}" for number in range(len(found))]
        assert len([entry async for entry in store.scan()]) == 1100
