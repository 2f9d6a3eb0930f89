"""Random histories of records, random questions about them, and the model's judgement of the answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from daystore.abc import (
    Aggregate,
    Aggregation,
    And,
    Compare,
    FieldValue,
    Function,
    Not,
    Op,
    Or,
    Order,
    Page,
    Predicate,
    Query,
    Scalar,
    from_instant,
)
from daystore_compliance.checks import typed
from daystore_compliance.env import Env
from daystore_compliance.model import Row, aggregate, compare_groups, matches, select
from daystore_compliance.records import Records

__all__ = ["KEYS", "NAMES", "POOLS", "Asked", "Chance", "Question", "Step", "live_through"]

_NOON: Final = datetime(2026, 3, 29, 12, tzinfo=UTC)
_INDIA: Final = timezone(timedelta(hours=5, minutes=30))
_TIMES: Final = ("created_at", "updated_at")
_BASE: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for the beginning of a history in what times are compared with."""

POOLS: Final[dict[str, tuple[FieldValue, ...]]] = {
    "s": ("a", "A", "", "ab", "a_b", "a%b", "1", "10", "9", "\u00e9", "\uffff", "\U0001f600", "B"),
    "n": (1, 0, -1, 2, 9, 10, 2**53, 2**53 + 1, -(2**63), 2**63 - 1),
    "x": (1.0, 0.0, -0.0, 9.0, 10.0, 0.5, -1.5, 0.1 + 0.2, 0.3, 1e300, 5e-324),
    "b": (True, False),
    "t": (
        *(_NOON, _NOON.astimezone(_INDIA), _NOON + timedelta(microseconds=1), _NOON - timedelta(hours=1)),
        *(
            (_NOON + timedelta(hours=1)).astimezone(_INDIA),
            datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ),
    ),
    "l": (("a",), (), ("a", "b"), ("b", "a"), ("a", "a"), ("",), ("A", "ab"), ("a,b",), ("b",)),
}
POOLS["m.n"] = tuple(values[index] for index in (0, 1) for values in POOLS.values())
"""Values by field; the last field holds every type."""

KEYS: Final = (
    *("a", "b", "a/", "a/b", "a/b/c", "a/c", "ab", "A", "Ab", "a_b", "a%", "a%b", "axb", "b:1", "b:10", "b/"),
    *(
        "b/a",
        "B",
        "\u00e9",
        "\U0001f600",
        "\uffff",
        "-a",
        "!a",
        "!",
        "a\\",
        "a b",
        "a\0",
        "a.b",
        "a*",
        "1",
        "10",
    ),
    *("9", *(f"k{n:02}" for n in range(15))),
)
NAMES: Final = ("key", *POOLS, *_TIMES)

_OFFSETS: Final = (0, 1, 999, 1000, 1001, 1999, 2000, 3_000_000)
_OTHERS: Final[tuple[Scalar, ...]] = (1, True, "1", 1.0, 0, "", _NOON, False, 0.0)
_TEXTS: Final = ("a", "", "b", "A", "a/", "a/b", "a_", "b:1", "a,b", "\u00e9", "ab", "-a")
_OPS: Final = (*Op, Op.EQ, Op.EQ, Op.IN)

Step = tuple[dict[str, tuple[dict[str, FieldValue], bool]], list[str], int]
"""What is written with which fields, and whether it expires; what is deleted then; how much time passes."""


@dataclass(frozen=True)
class Question:
    """One query, every window on it, and one computation over it."""

    where: Predicate | None
    by: str
    descending: bool
    limit: int
    offset: int
    size: int
    of: str
    group_by: tuple[str, ...]

    @property
    def order(self) -> Order:
        """The order asked for."""
        return Order(self.by, self.descending)

    @property
    def functions(self) -> dict[str, Aggregate]:
        """Every function over one field, and over another one beside it."""
        found = {function.value: Aggregate(function, self.of) for function in Function}
        return {**found, "records": Aggregate(Function.COUNT), "n": Aggregate(Function.SUM, "n")}

    def since(self, begin: int) -> Question:
        """Return the question with its times counted from an instant."""
        return replace(self, where=_since(self.where, from_instant(begin) - _BASE))


def _since(predicate: Predicate | None, delta: timedelta) -> Any:
    if predicate is None:
        return None
    if isinstance(predicate, Not):
        return Not(_since(predicate.term, delta))
    if not isinstance(predicate, Compare):
        return type(predicate)(tuple(_since(term, delta) for term in predicate.terms))
    if predicate.field not in _TIMES:
        return predicate
    if isinstance(predicate.value, tuple):
        return replace(predicate, value=tuple(_moved(item, delta) for item in predicate.value))
    return replace(predicate, value=_moved(predicate.value, delta))


def _moved(value: Scalar, delta: timedelta) -> Scalar:
    return value + delta if isinstance(value, datetime) and value.year == _BASE.year else value


class Chance:
    """Makes histories and questions from one source of random choices.

    Args:
        random: The source; the same one makes the same choices.
    """

    def __init__(self, random: random.Random) -> None:
        self.random = random

    def row(self) -> dict[str, FieldValue]:
        """Make the fields of a record, of which some are missing."""
        share = self.random.choice((0.0, 0.5, 0.8, 0.8, 1.0))
        return {n: self.random.choice(values) for n, values in POOLS.items() if self.random.random() < share}

    def step(self) -> Step:
        """Make a part of a history."""
        keys = self.random.sample(KEYS, self.random.randrange(5, 30))
        written = {key: (self.row(), self.random.random() < 0.2) for key in keys}
        deleted = self.random.sample(KEYS, self.random.randrange(4))
        return written, deleted, self.random.choice((0, 1, 999, 1000))

    def value(self, name: str) -> Scalar:
        """Choose what a field is compared with: mostly of its own type, and mostly there."""
        if self.random.random() < 0.1:
            return self.random.choice(_OTHERS)
        if name in _TIMES:
            return _BASE + timedelta(microseconds=self.random.choice(_OFFSETS))
        values: tuple[FieldValue, ...] = KEYS if name == "key" else POOLS.get(name, _OTHERS)
        value = self.random.choice(values)
        return value if not isinstance(value, tuple) else "".join(value[:1])

    def comparison(self, name: str) -> Compare:
        """Compare a field."""
        op = self.random.choice(_OPS)
        if op is Op.EXISTS:
            return Compare(name, op, True)
        if op is Op.IN:
            return Compare(
                name, op, tuple(self.value(name) for _ in range(self.random.choice((0, 1, 2, 3, 6))))
            )
        if op in (Op.STARTSWITH, Op.CONTAINS):
            if op is Op.STARTSWITH and name not in ("s", "m.n"):
                name = "key"
            text = str(self.random.choice(KEYS if name == "key" else _TEXTS))
            return Compare(
                name if op is Op.STARTSWITH else "l", op, text[: self.random.choice((1, 2, 2, 3, 9))]
            )
        return Compare(name, op, self.value(name))

    def predicate(self, depth: int, name: str | None = None) -> Predicate:
        """Nest comparisons in and, or and not; those that stand together often look at the same field."""
        kind = self.random.choice(("and", "and", "or", "or", "not", "one", "one")) if depth else "one"
        name = name or self.random.choice(NAMES)
        if kind == "one":
            return self.comparison(name)
        if kind == "not":
            return Not(self.predicate(depth - 1, name))
        same = name if self.random.random() < 0.5 else None
        terms = tuple(
            self.predicate(depth - 1, same) for _ in range(self.random.choice((0, 1, 2, 2, 2, 3, 3)))
        )
        return And(terms) if kind == "and" else Or(terms)

    def question(self) -> Question:
        """Make a question."""
        chance = self.random
        return Question(
            self.predicate(chance.choice((1, 2, 2, 3))) if chance.random() < 0.9 else None,
            chance.choice((*NAMES, "never")),
            chance.random() < 0.5,
            chance.randrange(8),
            chance.choice((0, 0, 1, 2, 5, 30)),
            chance.choice((4, 9, 20)),
            chance.choice((*POOLS, "key", "updated_at")),
            tuple(chance.sample((*POOLS, "key", "created_at"), chance.randrange(3))),
        )


async def live_through(env: Env, records: Records, steps: Sequence[Step]) -> list[Row]:
    """Write a history, let what expires expire, and return what the model says is left."""
    rows: dict[str, Row] = {}
    for written, deleted, wait in steps:
        deadline = env.clock.deadline(1)
        puts = []
        for key, (fields, dies) in written.items():
            expires = deadline if dies and env.capabilities.ttl else None
            puts.append(records.a_put(key, fields=fields, expires_at=expires))
            created = rows[key].created_at if key in rows else env.clock()
            rows[key] = Row(key, fields, key.encode(), created, env.clock(), expires)
        await env.adapter.set_batch(puts)
        await env.adapter.delete_batch(records.name, deleted)
        rows = {key: row for key, row in rows.items() if key not in deleted}
        env.clock.advance(microseconds=wait)
    env.clock.advance(2)
    return [row for row in rows.values() if row.expires_at is None]


class Asked:
    """Where questions are asked: a collection from outside, or from inside a transaction."""

    def __init__(self, place: Any, collection: str) -> None:
        self._place = place
        self._collection = collection

    async def page(self, question: Question, **window: Any) -> Page:
        """Return one page."""
        query = Query(self._collection, question.where, question.order, **window)
        page: Page = await self._place.query(query)
        return page

    async def judge(self, question: Question, rows: Sequence[Row], *, thorough: bool = True) -> None:
        """Expect what the model says, as a query and as a count.

        Args:
            question: What is asked.
            rows: What is there.
            thorough: Whether to ask for every window, by cursor, and for a computation as well.
        """
        try:
            expected = select(rows, question.where, question.by, descending=question.descending)
            await self._found(question, rows, expected)
            if thorough:
                await self._windows(question, expected)
                await self._computed(question, rows)
        except AssertionError as error:
            raise AssertionError(f"{error}\nasked was {question}") from error

    async def _found(self, question: Question, rows: Sequence[Row], expected: list[str]) -> None:
        by_key = {row.key: row for row in rows}
        page = await self.page(question)
        found = [record.key for record in page.records]
        lost = {key: dict(by_key[key].fields) for key in expected if key not in found}
        extra = {record.key: dict(record.fields) for record in page.records if record.key not in expected}
        assert not lost, f"lost: {lost}"
        assert not extra, f"found besides: {extra}"
        assert found == expected, "found in another order"
        assert page.cursor is None, "all were found, and a cursor says there are more"
        for record in page.records:
            assert _told(record.fields) == _told(by_key[record.key].fields)
            assert record.value == by_key[record.key].value
        count = await self._place.count(Query(self._collection, question.where, question.order))
        assert count == len(expected), f"{count} counted, {len(expected)} are there"

    async def _computed(self, question: Question, rows: Sequence[Row]) -> None:
        kept = [row for row in rows if matches(question.where, row)]
        query = Query(self._collection, question.where, question.order, question.limit, question.offset)
        assert await self._place.count(query) == len(kept), "a window changes the count"
        groups = await self._place.aggregate(query, Aggregation(question.functions, question.group_by))
        compare_groups(groups, aggregate(kept, question.functions, question.group_by))
        places = [tuple(map(_place, row.group)) for row in groups]
        assert places == sorted(places), "groups are out of order"

    async def _windows(self, question: Question, expected: list[str]) -> None:
        limit, offset = question.limit, question.offset
        page = await self.page(question, limit=limit, offset=offset)
        assert [record.key for record in page.records] == expected[offset : offset + limit], "another window"
        more = limit > 0 and offset + limit < len(expected)
        assert (page.cursor is not None) == more, "a cursor says otherwise whether there are more"
        if page.cursor is not None:
            rest = await self.page(question, cursor=page.cursor)
            assert [record.key for record in rest.records] == expected[offset + limit :], "another rest"
        page = await self.page(question, offset=offset)
        assert [record.key for record in page.records] == expected[offset:], "another end"
        walked: list[str] = []
        cursor = None
        while True:
            page = await self.page(question, limit=question.size, cursor=cursor)
            walked += [record.key for record in page.records]
            assert walked == expected[: len(walked)], "pages in another order"
            assert page.records or not walked, "a page after the last one"
            if page.cursor is None:
                break
            assert len(page.records) == question.size, "a page is short though more follows"
            cursor = page.cursor
        assert walked == expected, "the pages end too early"


def _told(fields: Mapping[str, FieldValue]) -> dict[str, Any]:
    return {name: typed(value) for name, value in fields.items()}


def _place(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    return ([bool, int, float, datetime, str, tuple].index(type(value)) + 1, value)
