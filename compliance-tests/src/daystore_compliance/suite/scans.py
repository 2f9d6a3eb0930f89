"""Scans: a question to a store without the indexes, or with some, has the answer of the store that has all."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

from daystore import Avg, Count, Max, Min, Q, Sum
from daystore.errors import LimitExceeded
from daystore.query.builder import QueryBuilder
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

INDEXES: Final = {"n": int, "kind": str, "tags": list[str]}
SOME: Final[tuple[dict[str, Any], ...]] = ({}, {"n": int}, {"kind": str, "tags": list[str]})
CONDITIONS: Final[tuple[Any, ...]] = (
    None,
    Q("n", ">=", 3),
    Q("kind", "=", "x"),
    Q("n", "<", 2) | Q("kind", "=", "y"),
    Q("kind", "=", "z") | Q("tags", "contains", "a") | Q("n", "=", 5),
    Q("n", ">=", 2) & Q("kind", "!=", "y"),
    ~(Q("kind", "=", "x") & Q("n", ">", 3)),
    (Q("kind", "=", "x") | Q("n", "<", 4)) & ~Q("tags", "contains", "b"),
    Q("key", "startswith", "k0") & Q("kind", "exists", False),
    Q("n", "not in", [1, 2, 3]) & (Q("kind", "in", ["x", "z"]) | Q("n", "exists", False)),
)
ORDERS: Final = (
    ("key", "asc"),
    ("key", "desc"),
    ("n", "asc"),
    ("n", "desc"),
    ("kind", "asc"),
    ("kind", "desc"),
)
TOTALS: Final[dict[str, Any]] = {"all": Count(), "have": Count("n"), "sum": Sum("n"), "avg": Avg("n")}
TOTALS_TOO: Final[dict[str, Any]] = {"least": Min("kind"), "most": Max("n")}


def _asked(store: Store[Any], condition: Any, order: tuple[str, str]) -> QueryBuilder[Any]:
    builder = store.all(allow_scan=True)
    if condition is not None:
        builder = builder.where(condition)
    return builder.order_by(*order)


async def _walk(builder: QueryBuilder[Any], size: int) -> list[list[Any]]:
    """Return the pages of a query, and at most one more than there can be."""
    pages, cursor = [], None
    for _ in range(20):
        page = await builder.page(size, cursor)
        pages.append(page.items)
        cursor = page.cursor
        if cursor is None:
            break
    return pages


async def _answers(builder: QueryBuilder[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"keys": await builder.keys(), "count": await builder.count()}
    for limit, offset in ((0, 0), (3, 2), (None, 3)):
        window = builder.limit(limit).offset(offset)
        found[f"{limit} after {offset}"] = await window.execute()
        found[f"{limit} after {offset}, streamed"] = [entry.value async for entry in window.stream()]
    for size, offset in ((3, 0), (4, 1)):
        found[f"pages of {size} after {offset}"] = await _walk(builder.offset(offset), size)
    found["totals"] = await builder.aggregate(**TOTALS, **TOTALS_TOO).execute()
    for group in (("kind", "n"), ("tags",)):
        found[f"groups by {group}"] = await builder.aggregate(**TOTALS).group_by(*group).execute()
    return found


@case("q.scan_as_indexed", requires={"query", "aggregate"})
async def scan_as_indexed(env: Env) -> None:
    """Whatever is asked of fields that no index holds is answered as with an index: pages, counts and groups."""
    full = env.store(indexes=INDEXES)
    kinds = ("x", "y", "z", None)
    tags: tuple[list[str] | None, ...] = (["a"], ["a", "b"], [])
    rows = {f"k{n:02}": {"n": n * 5 % 13, "kind": kinds[n % 4], "tags": tags[n % 3]} for n in range(16)}
    rows["k03"] = {"kind": "x"}
    await full.set_batch(rows)
    few = [(CONDITIONS[c], ORDERS[o]) for c, o in ((1, 1), (5, 0), (4, 1), (7, 3), (3, 2), (9, 5))]
    thorough = env.scale(0, 1) == 1
    shapes = list(product(CONDITIONS, ORDERS)) if thorough else few
    answers = set()
    for number, (condition, order) in enumerate(shapes):
        expected = await _answers(_asked(full, condition, order))
        answers.add(repr(expected["keys"]))
        for indexes in SOME if thorough else SOME[:1] if number < 4 else SOME[1:2]:
            scanning = env.reading(full, indexes=indexes)
            found = await _answers(_asked(scanning, condition, order))
            for name, answer in expected.items():
                assert found[name] == answer, (
                    f"{name} of {condition} by {order} with the indexes {list(indexes)}"
                )
    assert len(answers) >= len(shapes) // 2, "the questions all find the same"


@case("q.scan_explained", requires={"query"})
async def scan_explained(env: Env) -> None:
    """A query that names a field without an index is never said to be indexed, whatever else is said to it."""
    store = env.store(indexes={"n": int})
    await store.set_batch({f"k{n}": {"n": n, "kind": "x"} for n in range(4)})
    scan = store.where("kind", "=", "x", allow_scan=True)
    for builder in (
        scan,
        scan.limit(1),
        scan.where("n", "=", 1),
        scan.limit(1).offset(1),
        scan.where("key", "=", "k1").limit(1),
        store.all(allow_scan=True).order_by("kind").limit(1),
        scan.order_by("n", "desc").limit(2),
    ):
        found = await builder.explain()
        assert found.indexed is False, f"{found.strategy} is said to be indexed"


@case("q.float_index_of_ints", requires={"query", "aggregate"})
async def float_index_of_ints(env: Env) -> None:
    """A whole number in a float index is found, ordered and added as the float it is; its value stays an int."""
    store = env.store(indexes={"x": float})
    numbers = {"a": 3, "b": 2.5, "c": 3.0, "d": -1, "e": 0, "f": 2**53}
    await store.set_batch({key: {"x": number} for key, number in numbers.items()})
    for wanted in (3, 3.0):
        assert await store.where("x", "=", wanted).keys() == ["a", "c"]
        assert await store.where("x", "in", [wanted]).keys() == ["a", "c"]
        assert await store.where("x", "<", wanted).keys() == ["b", "d", "e"]
    assert await store.all().order_by("x").keys() == ["d", "e", "b", "a", "c", "f"]
    assert await store.where("x", "<=", 3).aggregate(sum=Sum("x"), least=Min("x")).execute() == {
        "sum": 7.5,
        "least": -1.0,
    }
    groups = await store.where("x", ">", 2).aggregate(n=Count()).group_by("x").execute()
    assert [(type(group["x"]), group["x"], group["n"]) for group in groups] == [
        (float, 2.5, 1),
        (float, 3.0, 2),
        (float, 2.0**53, 1),
    ]
    found = {key: value["x"] for key, value in (await env.reading(store).get_batch(numbers)).items()}
    assert {key: (type(x), x) for key, x in found.items()} == {
        key: (type(x), x) for key, x in numbers.items()
    }


@case("q.indexed_to_the_limit", requires={"query"})
async def indexed_to_the_limit(env: Env) -> None:
    """A text is indexed up to the last byte that the backend declares, and one byte more is refused aloud."""
    store = env.store(indexes={"t": str, "l": list[str]})
    most = env.capabilities.limits.max_field_bytes
    sizes = sorted(
        {size for size in (1, 100, 255, 256, 500, 501, 767, 768, 1000, most - 1, most) if 0 < size <= most}
    )
    texts = {f"{size:08}": "x" * (size - 1) + "y" for size in sizes}
    await store.set_batch({key: {"t": text, "l": [text, "z"]} for key, text in texts.items()})
    for key, text in texts.items():
        assert await store.where("t", "=", text).keys() == [key], f"{len(text)} bytes"
        assert await store.where("l", "contains", text).keys() == [key], f"{len(text)} bytes in a list"
        longer = [other for other, some in texts.items() if some.startswith(text[:-1])]
        assert await store.where("t", "startswith", text[:-1]).keys() == longer
    assert await store.where("t", "exists").count() == len(texts)
    assert await store.all().order_by("t").keys() == sorted(texts, key=texts.__getitem__)
    for wrong in (
        {"t": "x" * (most + 1)},
        {"l": ["z", "x" * (most + 1)]},
        {"t": "\u00e9" * (most // 2) + "xy"},
    ):
        with raises(LimitExceeded):
            await store.set("new", wrong)
        assert await store.exists("new") is False
