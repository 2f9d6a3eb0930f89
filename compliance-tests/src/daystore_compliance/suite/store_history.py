"""Random histories of one store with all its options, against a model in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from daystore import Storage
from daystore.abc import from_instant
from daystore.errors import VersionConflict
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

Run = Callable[[Coroutine[Any, Any, Any]], Any]

KEYS = ("a", "A", "a ")
INDEXES = {"n": int, "tags": list[str]}

_KEY = st.sampled_from(KEYS)
_N = st.integers(0, 3)
_TAGS = st.sampled_from([None, [], ["x"], ["x", "y"]])
_TTL = st.sampled_from(["own", "own", None, 0.001, 1, 60, 86_400 * 365 * 300])
_IN = st.sampled_from(["alone", "alone", "other", "transaction"])


@dataclass
class Known:
    """What the model knows of a record."""

    value: dict[str, Any]
    version: str
    created: int
    updated: int
    expires: int | None

    @property
    def fields(self) -> dict[str, Any]:
        """The indexed values."""
        found = {"n": self.value["n"]}
        return found | ({} if self.value.get("tags") is None else {"tags": tuple(self.value["tags"])})


class StoreMachine(RuleBasedStateMachine):
    """Every operation of a store, by two adapters and in transactions."""

    env: Env
    run: Run
    own: ClassVar[int | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.storage: Storage = self.env.storage()
        self.store: Store[Any] = self.env.store(indexes=INDEXES)
        self.known: dict[str, Known] = {}
        self.seconds: float | None = None
        self.old: list[str] = ["never"]

    @initialize(seconds=st.sampled_from([None, 30]))
    def choose(self, seconds: float | None) -> None:
        """Choose how long records of this store live by themselves."""
        self.seconds = seconds
        self.store = self.env.store(indexes=INDEXES, ttl=seconds)
        self.other: Store[Any] = self.env.reading(self.store, indexes=INDEXES, ttl=seconds)

    # --- The model -----------------------------------------------------------------------------------------

    def alive(self) -> dict[str, Known]:
        """Return what is there."""
        now = self.env.clock()
        self.known = {k: r for k, r in self.known.items() if r.expires is None or now < r.expires}
        return self.known

    def end(self, ttl: Any) -> int | None:
        """Return the deadline that a write sets now."""
        seconds = self.seconds if ttl == "own" else ttl
        return None if seconds is None else self.env.clock.deadline(seconds)

    def wrote(self, key: str, value: dict[str, Any], expires: int | None, version: str | None) -> None:
        """Tell the model of a write; a version that was not told is looked up."""
        now, before = self.env.clock(), self.alive().get(key)
        version = version or self.run(self.store.entry(key)).version
        assert version not in self.old, "a write gave no new version"
        self.old.append(version)
        self.known[key] = Known(value, version, before.created if before else now, now, expires)

    def do(self, where: str, call: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """Call the store: itself, another one on the same data, or in a transaction."""
        if where != "transaction":
            return self.run(call(self.other if where == "other" else self.store))

        async def inside() -> Any:
            async with self.storage.transaction() as tx:
                return await call(tx[self.store])

        return self.run(inside())

    # --- Writing -------------------------------------------------------------------------------------------

    @rule(key=_KEY, n=_N, tags=_TAGS, ttl=_TTL, keep=st.booleans(), where=_IN)
    def set(self, key: str, n: int, tags: Any, ttl: Any, keep: bool, where: str) -> None:
        """Write, with or without a time to live, or keeping the one that is there."""
        value = {"n": n, "tags": tags}
        options: dict[str, Any] = {"keep_ttl": True} if keep else {} if ttl == "own" else {"ttl": ttl}
        before = self.alive().get(key)
        version = self.do(where, lambda store: store.set(key, value, **options))
        expires = before.expires if keep and before else self.end("own" if keep else ttl)
        self.wrote(key, value, expires, version)

    @rule(key=_KEY, n=_N, which=st.integers(0, 9), ttl=_TTL, keep=st.booleans(), where=_IN)
    def set_if(self, key: str, n: int, which: int, ttl: Any, keep: bool, where: str) -> None:
        """Write on a condition that may or may not hold."""
        before = self.alive().get(key)
        expected = before.version if before and which % 2 else self.old[which % len(self.old)]
        options: dict[str, Any] = {"if_absent": True} if which > 6 else {"if_version": expected}
        holds = before is None if which > 6 else before is not None and before.version == expected
        options |= {"keep_ttl": True} if keep else {} if ttl == "own" else {"ttl": ttl}
        value = {"n": n}
        if holds:
            version = self.do(where, lambda store: store.set(key, value, **options))
            expires = before.expires if keep and before else self.end("own" if keep else ttl)
            self.wrote(key, value, expires, version)
            return
        with raises(VersionConflict) as caught:
            self.do(where, lambda store: store.set(key, value, **options))
        assert caught.error.current == (before.version if before else None)

    @rule(keys=st.lists(_KEY, max_size=5), n=_N, ttl=_TTL, atomic=st.booleans(), where=_IN)
    def set_batch(self, keys: list[str], n: int, ttl: Any, atomic: bool, where: str) -> None:
        """Write many."""
        pairs = [(key, {"n": n, "tags": [str(place)]}) for place, key in enumerate(keys)]
        options = {"atomic": atomic} | ({} if ttl == "own" else {"ttl": ttl})
        versions = self.do(where, lambda store: store.set_batch(iter(pairs), **options))
        assert list(versions) == list(dict(pairs))
        for key, value in dict(pairs).items():
            self.wrote(key, value, self.end(ttl), versions[key])

    @rule(key=_KEY, n=_N, default=st.booleans(), patch=st.booleans(), ttl=_TTL, where=_IN)
    def update(self, key: str, n: int, default: bool, patch: bool, ttl: Any, where: str) -> None:
        """Update what may be missing, by a patch or a function."""
        before = self.alive().get(key)
        options: dict[str, Any] = {"default": {"n": 0, "made": True}} if default else {}
        options |= {} if ttl == "own" else {"ttl": ttl}
        change: Any = {"n": n} if patch else lambda value: {**value, "n": n}
        if before is None and not default:
            with raises(KeyError):
                self.do(where, lambda store: store.update(key, change, **options))
            return
        value = {**(before.value if before else {"made": True}), "n": n}
        assert self.do(where, lambda store: store.update(key, change, **options)) == value
        self.wrote(key, value, before.expires if before and ttl == "own" else self.end(ttl), None)

    @rule(key=_KEY, ttl=_TTL, where=_IN)
    def expire(self, key: str, ttl: Any, where: str) -> None:
        """Move a deadline, or remove it."""
        before, ttl = self.alive().get(key), None if ttl == "own" else ttl
        call = (lambda store: store.persist(key)) if ttl is None else lambda store: store.expire(key, ttl)
        assert self.do(where, call) is (before is not None)
        if before is not None:
            self.wrote(key, before.value, None if ttl is None else self.end(ttl), None)

    @rule(key=_KEY, stale=st.booleans(), conditional=st.booleans(), where=_IN)
    def delete(self, key: str, stale: bool, conditional: bool, where: str) -> None:
        """Delete, on a condition or without one."""
        before = self.alive().get(key)
        version = before.version if before and not stale else self.old[0]
        if conditional and (before is None or stale):
            with raises(VersionConflict):
                self.do(where, lambda store: store.delete(key, if_version=version))
            return
        options = {"if_version": version} if conditional else {}
        assert self.do(where, lambda store: store.delete(key, **options)) is (before is not None)
        self.known.pop(key, None)

    @rule(keys=st.lists(_KEY, max_size=4), atomic=st.booleans(), where=_IN)
    def delete_batch(self, keys: list[str], atomic: bool, where: str) -> None:
        """Delete many."""
        existed = sum(self.alive().pop(key, None) is not None for key in set(keys))
        assert self.do(where, lambda store: store.delete_batch(iter(keys), atomic=atomic)) == existed

    @rule(where=_IN, really=st.integers(0, 3))
    def clear(self, where: str, really: int) -> None:
        """Delete everything, now and then."""
        if really:
            return
        assert self.do(where, lambda store: store.clear()) == len(self.alive())
        self.known.clear()

    @rule(microseconds=st.sampled_from([1, 1000, 999_000, 1_000_000, 29_000_000, 61_000_000]))
    def wait(self, microseconds: int) -> None:
        """Let time pass."""
        self.env.clock.advance(microseconds=microseconds)

    # --- Reading -------------------------------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        """Everything that is there is what the model says, by every way of reading."""
        rows = dict(sorted(self.alive().items(), key=lambda item: item[0].encode()))
        self.run(self._agrees(rows))

    async def _agrees(self, rows: dict[str, Known]) -> None:
        store = self.other if len(self.old) % 2 else self.store
        values = {key: row.value for key, row in rows.items()}
        assert {entry.key: entry.value async for entry in store.scan()} == values
        assert await store.get_batch(KEYS) == values
        for key, entry in (await store.entries(KEYS)).items():
            row = rows[key]
            expires = None if row.expires is None else from_instant(row.expires)
            told = (entry.version, entry.created_at, entry.updated_at, entry.expires_at, dict(entry.fields))
            assert told == (
                row.version,
                from_instant(row.created),
                from_instant(row.updated),
                expires,
                row.fields,
            )
        key = KEYS[len(self.old) % len(KEYS)]
        row_ = rows.get(key)
        assert await store.exists(key) is (row_ is not None)
        assert await store.get(key, "missing") == (row_.value if row_ else "missing")
        left = None if row_ is None or row_.expires is None else row_.expires - self.env.clock()
        assert await store.ttl(key) == (None if left is None else timedelta(microseconds=left))
        assert await store.where("n", "=", 1).keys() == [k for k, r in rows.items() if r.value["n"] == 1]
        tagged = [k for k, r in rows.items() if "x" in (r.value.get("tags") or ())]
        assert await store.where("tags", "contains", "x").keys() == tagged
        assert await store.where("n", ">=", 2).count() == sum(r.value["n"] >= 2 for r in rows.values())


@case("opt.store_history", requires={"transactions", "query", "ttl"})
def store_history(env: Env, run: Run) -> None:
    """Any history of a store's operations, with any options, by any way, leaves what the model says."""

    class Machine(StoreMachine):
        pass

    Machine.env, Machine.run = env, staticmethod(run)
    run_state_machine_as_test(env.seeded(Machine), settings=env.hypothesis(15, 100, stateful_step_count=30))
