"""Random histories of open transactions beside each other and beside others, against a model of what each saw."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Aggregate,
    Aggregation,
    Compare,
    Expectation,
    FieldValue,
    Function,
    Not,
    Op,
    Order,
    Predicate,
    Query,
    Record,
)
from daystore.errors import TransactionConflict, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises, typed
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.model import aggregate, compare_groups
from daystore_compliance.records import Records
from daystore_compliance.seen import Found, KeyRead, Open, QueryRead, Stored, find, merged, stored
from daystore_compliance.transacting import NEEDS, begin

Run = Callable[[Coroutine[Any, Any, Any]], Any]

MOST_OPEN: Final = 3
WHERES: Final[tuple[Predicate | None, ...]] = (
    None,
    Compare("f", Op.EQ, 1),
    Compare("f", Op.EXISTS, True),
    Not(Compare("g", Op.LT, "a")),
)
_FIELDS = st.dictionaries(
    st.sampled_from(["f", "g"]), st.sampled_from([0, 1, "1", "a", True, 1.0, ("a",)]), max_size=2
)
_VALUE = st.binary(max_size=3)
_INDEX = st.sampled_from([0, 0, 0, 1, 1, 2])  # so that transactions meet
_WHERE = st.sampled_from(range(len(WHERES) + 1))
_CHANGE = st.tuples(
    _INDEX,
    st.sampled_from(["put", "expiring", "keep", "keep", "delete"]),
    st.sampled_from(["any", "any", "any", "current", "absent", "stale"]),
)
_BESIDE = st.sampled_from(["put", "put", "expiring", "delete", "wait", "wait"])
_HOW = st.sampled_from(["query", "query", "count", "aggregate"])
_BY = st.sampled_from(["key", "f"])
_LIMIT = st.sampled_from([None, 0, 1, 2, 3])
_END = st.sampled_from(["commit", "commit", "commit", "abort", "error"])

_STEP: Final = st.one_of(
    st.tuples(st.just("beside"), _BESIDE, _INDEX, _VALUE, _FIELDS),
    st.tuples(st.just("read"), _INDEX, st.lists(_INDEX, min_size=1, max_size=3)),
    st.tuples(st.just("ask"), _INDEX, _HOW, _WHERE, _BY, st.booleans(), _LIMIT),
    *2 * (st.tuples(st.just("write"), _INDEX, st.lists(_CHANGE, min_size=1, max_size=3), _VALUE, _FIELDS),),
    st.tuples(st.just("rewrite"), _INDEX, _INDEX, st.sampled_from(["put", "expiring", "delete"]), _VALUE),
    st.tuples(st.just("overtake"), _INDEX, _INDEX, _BESIDE, st.booleans()),
    st.tuples(st.just("end"), _INDEX, _END),
)
"""One step of a history: a method and its arguments. One rule takes all of them: of several rules Hypothesis
leaves some out for a whole history, and a transaction that only ever reads meets nobody."""


class TransactionMachine(RuleBasedStateMachine):
    """Up to three transactions that run, and others that write beside them, on the keys of one family."""

    env: Env
    run: Run
    ends: dict[str, int]

    def __init__(self) -> None:
        super().__init__()
        self.records: Records = self.env.records()
        self.keys: tuple[str, ...] = ()
        self.rows: dict[str, Stored] = {}
        self.open: list[Open] = []

    @initialize(family=st.sampled_from(sorted(FAMILIES)))
    def choose(self, family: str) -> None:
        """Choose the keys of this history: one is there for a while, one for ever, and one is not there."""
        self.keys = FAMILIES[family][:3]
        self.beside("expiring", 0, b"0", {"f": 1})
        self.beside("put", 1, b"1", {"f": 1, "g": "a"})

    def teardown(self) -> None:
        """Commit what still runs."""
        while self.open:
            self.close(self.open.pop(), "commit")

    @rule(step=_STEP)
    def take(self, step: tuple[Any, ...]) -> None:
        """Take a step."""
        method, *arguments = step
        getattr(self, method)(*arguments)

    # --- Others --------------------------------------------------------------------------------------------

    def beside(self, what: str, index: int, value: bytes, fields: dict[str, FieldValue]) -> None:
        """Write or delete a record outside of every transaction, or let time pass."""
        key = self.key(index)
        if what == "wait":
            self.env.clock.advance(1)
            self.observe()
        elif what == "delete":
            assert self.run(self.records.delete(key)) is (key in self.alive())
            self.wrote(key, None)
        else:
            expires = self.deadline(0.5) if what == "expiring" else None
            version = self.run(self.records.put(key, value, fields=fields, expires_at=expires))
            self.wrote(key, Stored(key, fields, value, expires_at=expires, version=version))
        self.agrees()

    # --- Inside --------------------------------------------------------------------------------------------

    def read(self, which: int, indexes: list[int]) -> None:
        """Read records by key: own writes, then what was seen before, then what is there."""
        self.look(self.pick(which), list(dict.fromkeys(self.key(index) for index in indexes)))

    def look(self, running: Open, keys: Sequence[str]) -> None:
        """Read by key, and compare with what has to be seen."""
        clean, rows = running.clean, self.alive()
        found = self.attempt(running, running.tx.read(self.records.name, keys))
        if found is None:
            return
        for key, record in zip(keys, found, strict=True):
            if key in running.own:
                _same(record, self.living(running.own[key]), own=True)
            elif key in running.seen:
                if self.living(running.seen[key]) is running.seen[key]:  # what expired in between is open
                    _same(record, running.seen[key])
            else:
                if clean:
                    _same(record, rows.get(key))
                self.saw(running, key, stored(record), binding=clean or not running.vague)

    def ask(self, which: int, how: str, where: int, by: str, down: bool, limit: int | None) -> None:
        """Query, count or compute by group."""
        running = self.pick(which)
        query = Query(self.records.name, self.where(where), order=Order(by, down), limit=limit)
        if how == "count":
            self.count(running, query)
        elif how == "aggregate" and self.env.capabilities.aggregate:
            self.aggregate(running, query)
        else:
            self.query(running, query)

    def query(self, running: Open, query: Query) -> None:
        """Ask for records, with and without a limit."""
        clean = running.clean
        page = self.attempt(running, running.tx.query(query))
        if page is None:
            return
        found = [(record.key, record.version) for record in page.records]
        if clean:
            rows = merged(self.alive(), self.own(running))
            expected = find(rows, query)
            assert found == expected[: query.limit]
            for record in page.records:
                _same(record, rows[record.key], own=record.key in running.own)
            more = query.limit is not None and 0 < query.limit < len(expected)
            assert (page.cursor is not None) is more, "the cursor tells another thing than the records"
        running.vague = running.vague or (query.limit is not None and bool(running.own))
        self.found(running, query, found)
        for record in page.records:
            if record.key not in running.own:
                running.seen.setdefault(record.key, stored(record))

    def count(self, running: Open, query: Query) -> None:
        """Count, whatever the limit."""
        clean = running.clean
        number = self.attempt(running, running.tx.count(query))
        if number is not None and clean:
            assert number == len(self.found_all(running, query))
        running.vague = running.vague or not clean

    def aggregate(self, running: Open, query: Query) -> None:
        """Compute by group, whatever the limit."""
        clean = running.clean
        functions = {"n": Aggregate(Function.COUNT), "sum": Aggregate(Function.SUM, "f")}
        groups = self.attempt(running, running.tx.aggregate(query, Aggregation(functions, ("g",))))
        if groups is not None and clean:
            compare_groups(groups, aggregate(self.found_all(running, query), functions, ("g",)))
        running.vague = running.vague or not clean

    def found_all(self, running: Open, query: Query) -> list[Stored]:
        """Return what a query finds without its limit, and remember that the transaction read all of it."""
        rows = merged(self.alive(), self.own(running))
        expected = find(rows, query)
        self.found(running, replace(query, limit=None), expected)
        for key, _ in expected:
            if key not in running.own:
                running.seen.setdefault(key, rows[key])
        return [rows[key] for key, _ in expected]

    def write(
        self,
        which: int,
        changes: list[tuple[int, str, str]],
        value: bytes,
        fields: dict[str, FieldValue],
    ) -> None:
        """Change records; one condition that does not hold keeps all of it away."""
        running = self.pick(which)
        by_key = {self.key(index): (what, how) for index, what, how in changes}
        reading = [key for key, (what, how) in by_key.items() if what == "keep" or how != "any"]
        if not running.clean and (unseen := [key for key in reading if key not in running.seen]):
            self.look(running, unseen)
        if running not in self.open or any(self.expired(running.seen.get(key)) for key in by_key):
            return
        known = {key for key in by_key if key in running.own or key in running.seen}
        views = {key: self.view(running, key) for key in known.union(reading)}
        made = {key: self.made(key, *by_key[key], views.get(key), value, fields) for key in by_key}
        for key in reading:
            if key not in running.seen:
                self.saw(running, key, self.alive().get(key), binding=key not in running.own)
        operations = [operation for operation, _, _ in made.values()]
        for key, (_, _, holds) in made.items():
            if not holds:
                with raises(VersionConflict) as caught:
                    self.run(running.tx.write(operations))
                view = views[key]
                assert (caught.error.key, caught.error.current) == (key, view and view.version)
                return
        existed = self.run(running.tx.write(operations))
        for key, met in zip(by_key, existed, strict=True):
            if key in views:
                assert met is (views[key] is not None), "a write does not know what its transaction knows"
        running.own.update({key: row for key, (_, row, _) in made.items()})
        self.agrees()

    def rewrite(self, which: int, index: int, what: str, value: bytes) -> None:
        """Change a record twice, keep its deadline the second time, and read it."""
        self.write(which, [(index, what, "any")], value, {})
        self.write(which, [(index, "keep", "any")], value, {})
        self.read(which, [index])

    def overtake(self, which: int, index: int, what: str, writes: bool) -> None:
        """Change a record after it was read, then write another one or read a new one, and commit."""
        if what == "wait":
            self.beside("expiring", index, b"soon", {})
        while not self.pick(which).clean:
            self.end(which, "abort")
        self.read(which, [index])
        self.beside(what, index, b"later", {})
        if writes:
            self.write(which, [(index + 1, "put", "any")], b"beside", {})
        else:
            self.beside("put", index + 1, b"later", {})
            self.read(which, [index + 1])
        self.end(which, "commit")

    def end(self, which: int, how: str) -> None:
        """Commit if what was read is as it was, and otherwise leave nothing behind."""
        if self.open:
            self.close(self.open.pop(which % len(self.open)), how)

    def close(self, running: Open, how: str) -> None:
        """End a transaction."""
        running.observe(self.alive())
        if how == "abort":
            running.tx.abort()
        failure = (RuntimeError, RuntimeError("give up"), None) if how == "error" else (None, None, None)
        try:
            self.run(running.manager.__aexit__(*failure))
        except TransactionConflict:
            how = "conflict"
            assert not running.clean, "a conflict, though nobody changed what was read"
        self.ends[how] = self.ends.get(how, 0) + 1
        assert running.tx.state == ("committed" if how == "commit" else "aborted")
        if how == "commit":
            assert not running.doomed(), "committed, though what was read is no longer so"
            for key, row in running.own.items():
                self.wrote(key, row)
        self.agrees()

    def agrees(self) -> None:
        """What everybody sees is what was written outside and what was committed, and nothing else."""
        rows = self.alive()
        page = self.run(self.records.reader.query(Query(self.records.name)))
        assert [record.key for record in page.records] == sorted(rows)
        for record in page.records:
            _same(record, rows[record.key])

    # --- The model -----------------------------------------------------------------------------------------

    def key(self, index: int) -> str:
        """Pick a key."""
        return self.keys[index % len(self.keys)]

    def where(self, index: int) -> Predicate | None:
        """Pick a predicate; the last one is about keys."""
        return WHERES[index] if index < len(WHERES) else Compare("key", Op.GE, self.keys[1])

    def pick(self, which: int) -> Open:
        """Pick a transaction; begin it, and those before it, if it is not there."""
        while which % MOST_OPEN >= len(self.open):
            manager = begin(self.records)
            self.open.append(Open(manager, self.run(manager.__aenter__()), worlds=[dict(self.alive())]))
        return self.open[which % MOST_OPEN]

    def deadline(self, seconds: float) -> int | None:
        """Make a deadline, where the backend has them."""
        return self.env.clock.deadline(seconds) if self.env.capabilities.ttl else None

    def expired(self, row: Stored | None) -> bool:
        """Tell whether there was a record that is gone by now."""
        return row is not None and row.expires_at is not None and self.env.clock() >= row.expires_at

    def living(self, row: Stored | None) -> Stored | None:
        """Return a record unless it has expired."""
        return None if self.expired(row) else row

    def alive(self) -> dict[str, Stored]:
        """Return what everybody sees."""
        self.rows = {key: row for key, row in self.rows.items() if not self.expired(row)}
        return self.rows

    def own(self, running: Open) -> dict[str, Stored | None]:
        """Return what a transaction sees of its own writes."""
        return {key: self.living(row) for key, row in running.own.items()}

    def view(self, running: Open, key: str) -> Stored | None:
        """Return a record as a transaction sees it, which may be the first time."""
        for place in (running.own, running.seen, self.alive()):
            if key in place:
                return self.living(place[key])
        return None

    def made(
        self, key: str, what: str, how: str, view: Stored | None, value: bytes, fields: dict[str, FieldValue]
    ) -> tuple[Any, Stored | None, bool]:
        """Make a change: the operation, the record after it, and whether its condition holds."""
        version = view.version if view else "unknown"
        expects: dict[str, Expectation] = {"any": ANY, "absent": ABSENT, "current": version, "stale": "stale"}
        expect = expects[how]
        holds = how == "any" or (view is None if how == "absent" else view is not None and how == "current")
        if what == "delete":
            return self.records.a_delete(key, expect=expect), None, holds
        expires = self.deadline(1.5) if what == "expiring" else None
        put = self.records.a_put(key, value, fields=fields, expect=expect, expires_at=expires)
        if what == "keep" and self.env.capabilities.ttl:
            put.expires_at = KEEP
            expires = view.expires_at if view else None
        return put, Stored(key, fields, value, expires_at=expires, version=put.version), holds

    def saw(self, running: Open, key: str, row: Stored | None, *, binding: bool = True) -> None:
        """Remember that a transaction read a record."""
        running.seen[key] = row
        running.reads.append(KeyRead(key, row.version if row else None, binding))
        self.observe()

    def found(self, running: Open, query: Query, found: Found) -> None:
        """Remember that a transaction ran a query."""
        whole = find(self.alive(), query)
        running.reads.append(QueryRead(query, self.own(running), found, whole))

    def wrote(self, key: str, row: Stored | None) -> None:
        """Change what everybody sees, at this instant."""
        now, old = self.env.clock(), self.alive().pop(key, None)
        if row is not None:
            created = old.created_at if old else now
            self.rows[key] = Stored(key, row.fields, row.value, created, now, row.expires_at, row.version)
        self.observe()

    def observe(self) -> None:
        """Let every read look at what everybody sees now."""
        for running in self.open:
            running.observe(self.alive())

    def attempt(self, running: Open, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Read in a transaction; ``None`` if that tells already that it cannot commit."""
        try:
            return self.run(coroutine)
        except TransactionConflict:
            assert not running.clean, "a conflict, though nobody changed what was read"
            assert running.tx.state == "aborted"
            self.open.remove(running)
            return None


def _same(record: Record | None, row: Stored | None, *, own: bool = False) -> None:
    """Expect a record to be what the model says; the times of an own write are made at the commit."""
    assert (record is None) is (row is None), "a record is missing, or should be"
    if record is None or row is None:
        return
    assert (record.key, record.value, record.version) == (row.key, row.value, row.version)
    assert record.expires_at == row.expires_at
    assert _typed(record.fields) == _typed(row.fields)
    if not own:
        assert (record.created_at, record.updated_at) == (row.created_at, row.updated_at)


def _typed(fields: Mapping[str, FieldValue]) -> dict[str, object]:
    return {name: typed(value) for name, value in fields.items()}


@case("stateful.txn", requires=NEEDS | {"conditional"})
def transactions(env: Env, run: Run) -> None:
    """A transaction commits if nobody changed what it read, and only then, whatever others do beside it."""

    class Machine(TransactionMachine):
        pass

    Machine.env, Machine.run, Machine.ends = env, staticmethod(run), {}
    run_state_machine_as_test(env.seeded(Machine), settings=env.hypothesis(30, 150, stateful_step_count=25))
    assert Machine.ends.get("commit", 0) > 10, "hardly a transaction committed"
    assert Machine.ends.get("conflict", 0) > 0, "the transactions did not meet"
