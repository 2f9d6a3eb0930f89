"""Random histories against a model, with keys that are easily confused."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from daystore.abc import ABSENT, KEEP, Aggregate, Compare, FieldValue, Function, Not, Op, Order, Put
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.model import Row, aggregate, compare_groups, select
from daystore_compliance.records import Records

Run = Callable[[Coroutine[Any, Any, Any]], Any]

_FIELDS = st.dictionaries(
    st.sampled_from(["f", "g"]),
    st.sampled_from([0, 1, "1", "", "a", True, False, 1.0, ("a",), ("a", "b"), ()]),
    max_size=2,
)
_TTL = st.sampled_from([None, None, None, 0.001, 1, 60])
_VALUE = st.binary(max_size=4)
_INDEX = st.integers(0, 40)


class KeyValueMachine(RuleBasedStateMachine):
    """Writes, deletes, conditions, batches, time and queries on the keys of one family."""

    env: Env
    run: Run

    def __init__(self) -> None:
        super().__init__()
        self.records: Records = self.env.records()
        self.keys: tuple[str, ...] = ()
        self.rows: dict[str, Row] = {}
        self.versions: dict[str, str] = {}
        self.old: list[str] = ["never"]

    @initialize(family=st.sampled_from(sorted(FAMILIES)))
    def choose(self, family: str) -> None:
        """Choose the keys of this history."""
        self.keys = FAMILIES[family]

    def key(self, index: int) -> str:
        """Pick a key; few of them, so that histories meet."""
        return self.keys[index % min(len(self.keys), 6)]

    def alive(self) -> dict[str, Row]:
        """Return what the model says is there."""
        now = self.env.clock()
        self.rows = {k: r for k, r in self.rows.items() if r.expires_at is None or now < r.expires_at}
        return self.rows

    def wrote(
        self, key: str, version: str, fields: dict[str, FieldValue], value: bytes, expires: int | None
    ) -> None:
        """Tell the model of a write."""
        now = self.env.clock()
        old = self.alive().get(key)
        created = now if old is None else old.created_at
        assert version not in self.old, "a version was used twice"
        self.rows[key] = Row(key, fields, value, created, now, expires)
        self.versions[key] = version
        self.old.append(version)

    def deadline(self, seconds: float | None) -> int | None:
        """Make a deadline, where the backend has them."""
        if seconds is None or not self.env.capabilities.ttl:
            return None
        return self.env.clock.deadline(seconds)

    @rule(index=_INDEX, value=_VALUE, fields=_FIELDS, seconds=_TTL)
    def put(self, index: int, value: bytes, fields: dict[str, FieldValue], seconds: float | None) -> None:
        """Write a record."""
        key, expires = self.key(index), self.deadline(seconds)
        version = self.run(self.records.put(key, value, fields=fields, expires_at=expires))
        self.wrote(key, version, fields, value, expires)

    @rule(index=_INDEX, value=_VALUE)
    def put_keep(self, index: int, value: bytes) -> None:
        """Write a record and keep its deadline."""
        if not self.env.capabilities.ttl:
            return
        key = self.key(index)
        old = self.alive().get(key)
        version = self.run(self.records.put(key, value, expires_at=KEEP))
        self.wrote(key, version, {}, value, old.expires_at if old else None)

    @rule(index=_INDEX, value=_VALUE, stale=_INDEX, absent=st.booleans())
    def put_if(self, index: int, value: bytes, stale: int, absent: bool) -> None:
        """Write on a condition that may or may not hold."""
        if not self.env.capabilities.conditional:
            return
        key = self.key(index)
        there = key in self.alive()
        expected = self.versions[key] if there and stale % 2 else self.old[stale % len(self.old)]
        options: dict[str, Any] = {"if_absent": True} if absent else {"if_version": expected}
        holds = not there if absent else there and expected == self.versions[key]
        if holds:
            self.wrote(key, self.run(self.records.put(key, value, **options)), {}, value, None)
            return
        with raises(VersionConflict) as caught:
            self.run(self.records.put(key, value, **options))
        assert caught.error.current == (self.versions[key] if there else None)

    @rule(index=_INDEX)
    def delete(self, index: int) -> None:
        """Delete a record."""
        key = self.key(index)
        existed = self.alive().pop(key, None) is not None
        assert self.run(self.records.delete(key)) is existed

    @rule(index=_INDEX, stale=_INDEX)
    def delete_if(self, index: int, stale: int) -> None:
        """Delete on a condition that may or may not hold."""
        if not self.env.capabilities.conditional:
            return
        key = self.key(index)
        there = key in self.alive()
        expected = self.versions[key] if there and stale % 2 else self.old[stale % len(self.old)]
        if there and expected == self.versions[key]:
            assert self.run(self.records.delete(key, if_version=expected)) is True
            del self.rows[key]
            return
        with raises(VersionConflict) as caught:
            self.run(self.records.delete(key, if_version=expected))
        assert caught.error.current == (self.versions[key] if there else None)

    @rule(indexes=st.lists(_INDEX, min_size=1, max_size=4), value=_VALUE, checked=_INDEX, stale=st.booleans())
    def checked_batch(self, indexes: list[int], value: bytes, checked: int, stale: bool) -> None:
        """Write some and delete others at once, if another record is as it was."""
        if not (self.env.capabilities.atomic_batch and self.env.capabilities.conditional):
            return
        other = self.key(checked)
        keys = [key for key in dict.fromkeys(map(self.key, indexes)) if key != other]
        rows = self.alive()
        current = self.versions[other] if other in rows else ABSENT
        make = [self.records.a_delete if index % 2 else self.records.a_put for index, _ in enumerate(keys)]
        operations = [made(key) for made, key in zip(make, keys, strict=True)]
        check = self.records.a_check(other, "stale" if stale else current)
        if stale:
            with raises(VersionConflict):
                self.run(self.records.write(*operations, check, atomic=True))
            return
        existed = [key in rows for key in (*keys, other)]
        outcomes = self.run(self.records.write(*operations, check, atomic=True))
        assert [outcome.existed for outcome in outcomes] == existed
        for operation in operations:
            if isinstance(operation, Put):
                self.wrote(operation.key, operation.version, {}, operation.value, None)
            else:
                self.rows.pop(operation.key, None)

    @rule(indexes=st.lists(_INDEX, max_size=5), value=_VALUE, fields=_FIELDS, atomic=st.booleans())
    def set_batch(
        self, indexes: list[int], value: bytes, fields: dict[str, FieldValue], atomic: bool
    ) -> None:
        """Write several records at once."""
        keys = list(dict.fromkeys(self.key(index) for index in indexes))
        atomic = atomic and self.env.capabilities.atomic_batch
        puts = [self.records.a_put(key, value, fields=fields) for key in keys]
        versions = self.run(self.env.adapter.set_batch(puts, atomic=atomic))
        for key, version in zip(keys, versions, strict=True):
            self.wrote(key, version, fields, value, None)

    @rule(indexes=st.lists(_INDEX, max_size=5))
    def delete_batch(self, indexes: list[int]) -> None:
        """Delete several records at once."""
        keys = [self.key(index) for index in indexes]
        existed = sum(self.alive().pop(key, None) is not None for key in set(keys))
        assert self.run(self.env.adapter.delete_batch(self.records.name, keys)) == existed

    @rule(microseconds=st.sampled_from([1, 999, 1000, 1_000_000, 61_000_000]))
    def wait(self, microseconds: int) -> None:
        """Let time pass."""
        self.env.clock.advance(microseconds=microseconds)

    @rule(index=_INDEX, down=st.booleans())
    def query(self, index: int, down: bool) -> None:
        """Ask by prefix, field and order."""
        if not self.env.capabilities.query:
            return
        rows = self.alive().values()
        prefix = self.key(index)[:1]
        for where in (
            Compare("key", Op.STARTSWITH, prefix),
            Compare("f", Op.EQ, 1),
            Not(Compare("g", Op.LT, "a")),
        ):
            for by in ("key", "f", "updated_at"):
                expected = select(rows, where, by, descending=down)
                assert self.run(self.records.keys(where, Order(by, down))) == expected

    @rule(by=st.sampled_from(["g", "created_at"]), down=st.booleans(), limit=st.integers(2, 3))
    def pages(self, by: str, down: bool, limit: int) -> None:
        """Go through an order page by page, and skip some."""
        if not self.env.capabilities.query:
            return
        expected = select(self.alive().values(), None, by, descending=down)
        pages = self.run(self.records.walk(limit, by=Order(by, down)))
        assert [key for page in pages for key in page] == expected
        page = self.run(self.records.page(by=Order(by, down), limit=limit, offset=1))
        assert [record.key for record in page.records] == expected[1 : 1 + limit]
        assert (page.cursor is not None) is (1 + limit < len(expected))

    @rule(index=_INDEX)
    def compute(self, index: int) -> None:
        """Ask whether a record exists, and compute by group."""
        for key in {self.key(index), self.key(index + 1)}:
            assert self.run(self.env.adapter.exists(self.records.name, key)) is (key in self.alive())
        if not self.env.capabilities.aggregate:
            return
        functions = {
            "n": Aggregate(Function.COUNT),
            "sum": Aggregate(Function.SUM, "f"),
            "least": Aggregate(Function.MIN, "g"),
        }
        groups = self.run(self.records.aggregate(functions, ["g"]))
        compare_groups(groups, aggregate(self.alive().values(), functions, ["g"]))

    @rule()
    def reopen(self) -> None:
        """Close, and open again."""
        if "reopen" in self.env.target.hooks:
            self.run(self.env.reopen())
            self.records = self.env.records(self.records.name)

    @invariant()
    def agrees(self) -> None:
        """Everything that is there is what the model says, on every path."""
        rows = self.alive()
        state = self.run(self.records.state(*self.keys[:6]))
        assert {
            key: (r.value, dict(r.fields), r.created_at, r.updated_at, r.expires_at, r.version)
            for key, r in state.items()
        } == {
            key: (r.value, dict(r.fields), r.created_at, r.updated_at, r.expires_at, self.versions[key])
            for key, r in rows.items()
        }


@case("stateful.kv")
def key_value(env: Env, run: Run) -> None:
    """Any history of writes, conditions, batches, waits and reopenings leaves what the model says."""

    class Machine(KeyValueMachine):
        pass

    Machine.env, Machine.run = env, staticmethod(run)
    run_state_machine_as_test(env.seeded(Machine), settings=env.hypothesis(12, 300, stateful_step_count=25))
