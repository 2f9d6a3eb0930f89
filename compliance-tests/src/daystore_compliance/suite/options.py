"""Options in all their combinations: what is there, what is written and expected, and by which way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from daystore.abc import ABSENT, ANY, KEEP, Check, Compare, Delete, Not, Op, Outcome, Put, Record, new_version
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records

STATES: Final = ("absent", "live", "mortal", "expired", "deleted", "reborn", "revived")
EXPECTED: Final = ("any", "absent", "current", "old", "foreign")
SIZES: Final = (0, 1, 300, 5000, 70_000)
LIFE: Final = 100.0

Change = Put | Delete | Check


@dataclass(frozen=True, slots=True)
class Cell:
    """One change of one record, and what has to become of both.

    Attributes:
        change: What is asked for.
        before: The live record that it meets.
        holds: Whether its expectation holds.
        after: The live record that it leaves.
    """

    change: Change
    before: Record | None
    holds: bool
    after: Record | None

    def expect(self, outcome: Outcome) -> None:
        """Expect what the backend tells of it."""
        version = self.change.version if isinstance(self.change, Put) and self.holds else None
        told = (outcome.version, type(outcome.error))
        assert told == (version, type(None) if self.holds else VersionConflict), _words(self)
        if self.holds:
            assert outcome.existed is (self.before is not None), _words(self)
        else:
            self.expect_conflict(outcome.error)

    def expect_conflict(self, error: Any, index: int | None = None) -> None:
        """Expect a conflict that tells the truth."""
        current = None if self.before is None else self.before.version
        assert (error.key, error.collection) == (self.change.key, self.change.collection), _words(self)
        assert error.current == current, _words(self)
        assert index is None or error.index == index, _words(self)


def _words(cell: Cell) -> str:
    return f"{type(cell.change).__name__} {cell.change.key}"


class Grid:
    """Every change of every state, each under a key of its own.

    Args:
        records: The collection.
        env: The surroundings of the case.
        copies: How often; small values if more than once.
    """

    def __init__(self, records: Records, env: Env, copies: int = 1) -> None:
        self.sizes: tuple[int, ...] = SIZES if copies == 1 else SIZES[:3]
        self.records = records
        self.env = env
        self.names: list[str] = [f"{state}-{n}" for n in range(copies) for state in STATES]
        self.live: dict[str, Record] = {}
        self.old: dict[str, list[str]] = {}

    async def prepare(self) -> None:
        """Bring every record into its state, and let those that expire be expired at the end."""
        keys = [f"{name}-{label}" for name in self.names for label, *_ in _changes()]
        soon, late = self.env.clock.deadline(3), self.env.clock.deadline(LIFE)
        steps: dict[str, tuple[Any, ...]] = {
            "absent": (),
            "live": (None, None),
            "mortal": (soon, late),
            "expired": (None, soon),
            "deleted": (late, None, "delete"),
            "reborn": (late, "delete", None),
            "revived": (soon, "wait", None),
        }
        for step in range(3):
            if step == 2:
                self.env.clock.advance(5)
            await self._step(keys, steps, step)
            self.env.clock.advance(1)

    async def _step(self, keys: list[str], steps: dict[str, tuple[Any, ...]], step: int) -> None:
        now = self.env.clock()
        batch: list[Change] = []
        for key in keys:
            todo = steps[key.partition("-")[0]]
            what = todo[step] if step < len(todo) else "wait"
            if what == "wait":
                continue
            if what == "delete":
                batch.append(self.records.a_delete(key))
                self.live.pop(key)
                continue
            put = self.records.a_put(key, b"old" * (step + 1), expires_at=what, fields={"old": step, "n": -1})
            put.content_type = "t/old"
            self.live[key] = _after(put, self._alive(key), now)
            self.old.setdefault(key, []).append(put.version)
            batch.append(put)
        for outcome in await self.records.write(*batch):
            assert outcome.error is None

    def _alive(self, key: str) -> Record | None:
        record = self.live.get(key)
        return record if record is not None and record.is_alive(self.env.clock()) else None

    def cells(self, *kinds: type[Any]) -> list[Cell]:
        """Return the changes, in random order, with what has to become of them now."""
        late = self.env.clock.deadline(50)
        made = []
        for name in self.names:
            for number, (label, kind, expected, expiry) in enumerate(_changes()):
                if kind in kinds:
                    made.append(
                        self._cell(
                            f"{name}-{label}", kind, expected, late if expiry is True else expiry, number
                        )
                    )
        self.env.random.shuffle(made)
        return made

    def _cell(self, key: str, kind: type[Any], expected: str, expiry: Any, number: int) -> Cell:
        before, old = self._alive(key), self.old.get(key, [])
        current = before.version if before else old[-1] if old else new_version()
        expect: Any = {"any": ANY, "absent": ABSENT, "current": current, "foreign": new_version()}.get(
            expected, old[0] if len(old) > 1 else new_version()
        )
        holds = expect is ANY or expect == (ABSENT if before is None else before.version)
        if kind is not Put:
            change = kind(self.records.name, key, expect)
            return Cell(change, before, holds, before if kind is Check or not holds else None)
        value = bytes([number % 256]) * self.sizes[number % len(self.sizes)]
        put = self.records.a_put(
            key, value, expect=expect, expires_at=expiry, fields={"n": number, "new": True}
        )
        put.content_type = f"t/{number}"
        return Cell(put, before, holds, _after(put, before, self.env.clock()) if holds else before)

    async def verify(self, cells: Sequence[Cell] = (), *, later: bool = True) -> None:
        """Expect what the changes have to leave, by every way of looking, and again as time goes by."""
        left = self.live | {cell.change.key: cell.after for cell in cells}
        await self._verify(left)
        ends = {r.expires_at for r in left.values() if r and r.expires_at and r.is_alive(self.env.clock())}
        for end in sorted(ends) if later else ():
            self.env.clock.move_to(end - 1)
            await self._verify(left)
            self.env.clock.move_to(end)
        if ends and later:
            await self._verify(left)

    async def _verify(self, left: Mapping[str, Record | None]) -> None:
        records, now = self.records, self.env.clock()
        alive = {key: r for key, r in sorted(left.items()) if r is not None and r.is_alive(now)}
        found = await records.state(*left)
        assert list(found) == list(alive), "other records are there"
        for key, record in found.items():
            assert_same_record(record, alive[key], key)
        if self.env.capabilities.query:
            for where, test in _QUESTIONS.items():
                assert await records.keys(where) == [key for key, r in alive.items() if test(r.fields)]


_QUESTIONS: Final[dict[Any, Callable[[Any], bool]]] = {
    Compare("old", Op.EXISTS, True): lambda fields: "old" in fields,
    Compare("new", Op.EQ, True): lambda fields: "new" in fields,
    Compare("n", Op.LT, 0): lambda fields: fields["n"] < 0,
    Not(Compare("old", Op.GE, 1)): lambda fields: fields.get("old", 0) < 1,
}


def _changes() -> Iterator[tuple[str, type[Any], str, Any]]:
    for expected in EXPECTED:
        for label, expiry in (("never", None), ("late", True), ("keep", KEEP)):
            yield f"put-{expected}-{label}", Put, expected, expiry
        yield f"delete-{expected}", Delete, expected, None
        if expected != "any":
            yield f"check-{expected}", Check, expected, None


def _after(put: Put, before: Record | None, now: int) -> Record:
    kept = None if before is None else before.expires_at
    return Record(
        key=put.key,
        value=put.value,
        version=put.version,
        created_at=now if before is None else before.created_at,
        updated_at=now,
        expires_at=kept if put.expires_at is KEEP else put.expires_at,
        content_type=put.content_type,
        fields=dict(put.fields),
    )


async def _alone(records: Records, cells: Sequence[Cell]) -> None:
    for cell in cells:
        cell.expect((await records.write(cell.change))[0])


async def _together(records: Records, cells: Sequence[Cell]) -> None:
    outcomes = await records.write(*(cell.change for cell in cells))
    for cell, outcome in zip(cells, outcomes, strict=True):
        cell.expect(outcome)


async def _in_pairs(records: Records, cells: Sequence[Cell]) -> None:
    for start in range(0, len(cells), 2):
        await _together(records, cells[start : start + 2])


@case(
    "opt.matrix",
    requires={"conditional", "ttl"},
    variants=("alone", "pairs", "batch", "large", "second", "reopen"),
)
async def matrix(env: Env, way: str) -> None:
    """Every change of every state of a record, under every expectation and expiry, means what was promised."""
    grid = Grid(env.records(), env, 8 if way == "large" else 1)
    await grid.prepare()
    records = grid.records
    if way == "second" and "second" in env.target.hooks:
        records = records.through(await env.second())
    if way == "reopen" and "reopen" in env.target.hooks:
        await env.reopen()
        records = grid.records = env.records(records.name).through(env.adapter)
    cells = grid.cells(Put, Delete, Check)
    assert len({(cell.holds, cell.before is None, type(cell.change)) for cell in cells}) == 12
    if way == "alone":
        cells = cells[: env.scale(60, len(cells))]
    await {"alone": _alone, "pairs": _in_pairs}.get(way, _together)(records, cells)
    await grid.verify(cells, later=way != "large")


@case("opt.matrix_atomic", requires={"conditional", "ttl", "atomic_batch"}, variants=("few", "many"))
async def matrix_atomic(env: Env, way: str) -> None:
    """In atomic batches, small and large, every change means what it means alone; one that fails undoes all."""
    grid = Grid(env.records(), env)
    await grid.prepare()
    cells = grid.cells(Put, Delete, Check)
    good, bad = [c for c in cells if c.holds], [c for c in cells if not c.holds]
    assert good
    assert bad
    size = min(env.capabilities.limits.max_atomic_ops or 500, 500 if way == "many" else 5)
    for cell in bad[: env.scale(20, len(bad))]:
        others = good[: size - 1]
        place = env.random.randrange(len(others) + 1)
        changes = [c.change for c in (*others[:place], cell, *others[place:])]
        with raises(VersionConflict) as caught:
            await grid.records.write(*changes, atomic=True)
        cell.expect_conflict(caught.error, place)
    await grid.verify(later=False)
    for start in range(0, len(good), size):
        part = good[start : start + size]
        outcomes = await grid.records.write(*(cell.change for cell in part), atomic=True)
        for cell, outcome in zip(part, outcomes, strict=True):
            cell.expect(outcome)
    await grid.verify(cells)


@case("opt.matrix_transaction", requires={"conditional", "ttl", "transactions", "query"})
async def matrix_transaction(env: Env) -> None:
    """In a transaction every change means what it means alone; what is refused leaves the rest to commit."""
    grid = Grid(env.records(), env)
    await grid.prepare()
    cells = grid.cells(Put, Delete)
    async with env.adapter.transaction() as tx:
        for cell in cells:
            if cell.holds:
                existed = await tx.write([cell.change])  # type: ignore[list-item] # no checks were asked for
                assert cell.change.expect is ANY or existed == [cell.before is not None]
                continue
            with raises(VersionConflict) as caught:
                await tx.write([cell.change])  # type: ignore[list-item]
            cell.expect_conflict(caught.error)
        seen = await tx.read(grid.records.name, [cell.change.key for cell in cells])
        for cell, record in zip(cells, seen, strict=True):
            assert (record is None) == (cell.after is None)
            if record is not None and cell.after is not None:
                # A change that expects nothing reads nothing, so it knows of no earlier time.
                created = record.created_at if cell.change.expect is ANY else cell.after.created_at
                assert_same_record(record, replace(cell.after, created_at=created), "the transaction")
        await grid.verify(later=False)
    await grid.verify(cells)
