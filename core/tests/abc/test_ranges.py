"""Predicates as ranges of sort keys find what the predicates themselves do."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from daystore.abc import And, Compare, Not, Op, Or, Predicate, Record, from_instant
from daystore.abc.evaluate import matcher
from daystore.abc.ranges import FALSE, TRUE, AllOf, AnyOf, Leaf, Node, NoneOf, is_point, normalise
from daystore.abc.sortkeys import sort_keys

MOMENTS = [0, 1, 10**15]
NAMES = ["f", "g", "key", "created_at", "updated_at"]
STRINGS = ["", "a", "ab", "a\0", "A", "\0", "é", "\U0010ffff"]
SCALARS: list[Any] = [
    *(0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)),
    *(0.0, -0.0, 1.0, -1.5, 5e-324, 1e308),
    *(False, True, datetime(2024, 2, 29, tzinfo=UTC), *map(from_instant, MOMENTS)),
    *STRINGS,
]


class Chance(random.Random):
    """What is stored and asked."""

    def record(self) -> Record:
        """Return a record with some fields."""
        fields: dict[str, Any] = {}
        for name in self.sample(NAMES[:2], self.randrange(3)):
            is_list = self.random() < 0.2
            fields[name] = (
                tuple(self.choices(STRINGS, k=self.randrange(3))) if is_list else self.choice(SCALARS)
            )
        key = self.choice(STRINGS[1:])
        created, updated = sorted(self.choices(MOMENTS, k=2))
        return Record(key, b"", "v", created, updated, fields=fields)

    def compare(self) -> Compare:
        """Return a comparison."""
        name, op = self.choice(NAMES), self.choice(list(Op))
        wide = [*SCALARS, 2**63, -(10**40)]
        if op is Op.IN:
            return Compare(name, op, tuple(self.choices(wide, k=self.randrange(5))))
        if op is Op.EXISTS:
            return Compare(name, op, True)
        if op in (Op.STARTSWITH, Op.CONTAINS):
            return Compare(name, op, self.choice(STRINGS))
        return Compare(name, op, self.choice(wide))

    def predicate(self, depth: int = 3) -> Predicate:
        """Return a predicate."""
        how = self.randrange(6) if depth else 0
        if how < 3:
            return self.compare()
        if how == 3:
            return Not(self.predicate(depth - 1))
        terms = tuple(self.predicate(depth - 1) for _ in range(self.randrange(4)))
        return And(terms) if how == 4 else Or(terms)


def _found_by(record: Record, field: str) -> list[bytes]:
    if field == "key":
        return [record.key.encode()]
    own = {"created_at": record.created_at, "updated_at": record.updated_at}
    if field in own:
        return sort_keys(from_instant(own[field]))
    return sort_keys(record.fields[field]) if field in record.fields else []


def _holds(node: Node, record: Record) -> bool:
    if isinstance(node, NoneOf):
        return not _holds(node.leaf, record)
    if isinstance(node, Leaf):
        found = _found_by(record, node.field)
        return any(low <= key < high for key in found for low, high in node.ranges)
    return (all if isinstance(node, AllOf) else any)(_holds(term, record) for term in node.terms)


def _leaves(node: Node) -> list[Leaf]:
    if isinstance(node, AllOf | AnyOf):
        return [leaf for term in node.terms for leaf in _leaves(term)]
    return [node.leaf if isinstance(node, NoneOf) else node]


@pytest.mark.parametrize("seed", range(5))
def test_a_record_lies_in_the_ranges_if_it_meets_the_predicate(seed: int) -> None:
    """Over random predicates and records the ranges agree with the reference."""
    chance = Chance(seed)
    records = [chance.record() for _ in range(60)]
    for _ in range(400):
        predicate = chance.predicate()
        node, matches = normalise(predicate), matcher(predicate)
        assert [_holds(node, record) for record in records] == [matches(record) for record in records], (
            predicate
        )


@pytest.mark.parametrize("seed", range(5))
def test_ranges_are_sorted_and_apart(seed: int) -> None:
    """Who looks them up one after the other finds each entry once, in its order."""
    chance = Chance(seed)
    for _ in range(400):
        for leaf in _leaves(normalise(chance.predicate())):
            ends = [end for ends in leaf.ranges for end in ends]
            assert ends
            assert ends == sorted(ends)
            assert all(low < high for low, high in leaf.ranges)


def test_a_negation_stands_only_before_leaves() -> None:
    """De Morgan drives it inwards."""
    a, b = Compare("f", Op.EQ, 1), Compare("g", Op.EQ, 2)
    first, second = normalise(a), normalise(b)
    assert isinstance(first, Leaf)
    assert isinstance(second, Leaf)
    assert normalise(Not(And((a, Not(b))))) == AnyOf((second, NoneOf(first)))


def test_bounds_of_one_field_become_one_range() -> None:
    """So an index is walked between both, and not from one of them on."""
    node = normalise(And((Compare("f", Op.GE, 1), Compare("f", Op.LT, 5))))
    assert isinstance(node, Leaf)
    assert len(node.ranges) == 1


def test_points_beside_each_other_stay_points() -> None:
    """They are looked up one by one, as equalities, in whichever way the query says it."""
    of_a_set = normalise(Compare("f", Op.IN, (3, 1, 2, 1)))
    of_a_union = normalise(Or(tuple(Compare("f", Op.EQ, n) for n in (1, 2, 3))))
    assert isinstance(of_a_set, Leaf)
    assert of_a_set == of_a_union
    assert [is_point("f", ends) for ends in of_a_set.ranges] == [True] * 3


@pytest.mark.parametrize(
    ("predicate", "node"),
    [
        (None, TRUE),
        (And(()), TRUE),
        (Or(()), FALSE),
        (Compare("key", Op.EXISTS, True), TRUE),
        (Compare("created_at", Op.EQ, "a"), FALSE),
        (Compare("f", Op.EQ, 2**63), FALSE),
        (Compare("f", Op.IN, ()), FALSE),
        (And((Compare("f", Op.LT, 1), Compare("f", Op.GT, 1))), FALSE),
        (Or((Compare("f", Op.EQ, 1), Compare("key", Op.EXISTS, True))), TRUE),
    ],
)
def test_what_is_constant_is_seen(predicate: Predicate | None, node: Node) -> None:
    """Nothing is looked up for what no record, or every one, meets."""
    assert normalise(predicate) == node
