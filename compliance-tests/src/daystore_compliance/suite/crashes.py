"""Processes that are killed while they write, and what is there afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from daystore import Storage
from daystore.abc import Compare, Op, Put, Query, Record, StorageAdapter, Version
from daystore.abc.coordination import Coordinator
from daystore.abc.coordination.resolver import Pauses
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.crash_scenarios import STEPS, notes_of, step
from daystore_compliance.crashing import Death, Order, carry_out, spread
from daystore_compliance.env import Env
from daystore_compliance.records import Records

SCENARIOS: Final = "daystore_compliance.crash_scenarios"
COMMITTED: Final = ("notes", "events", "memories", "memories_heads")


def _dies(
    env: Env, scenario: str, number: int = 0, *, line: int | None = None, told: int | None = None
) -> Death:
    env.clock.advance(1)  # between processes the order of events is that of their clocks
    name = f"{SCENARIOS}:{scenario}"
    order = Order(env.target.elsewhere(), env.namespace, name, number, env.clock(), line, told)
    return carry_out(order)


@asynccontextmanager
async def _opened(env: Env) -> AsyncIterator[StorageAdapter]:
    """Open the data as the next process would."""
    adapter = await env.target.open(env.namespace, env.clock)
    try:
        if adapter.coordinator is not None:
            await _recovered(adapter.coordinator)
        yield adapter
    finally:
        await adapter.close()


async def _recovered(coordinator: Coordinator) -> None:
    """Finish coordinated transactions of the dead, as a storage does by itself; without waiting long for them."""
    coordinator.resolver.lease = 0.02
    pauses = Pauses()
    while await coordinator.recover():
        await pauses.wait()


async def _keys(adapter: StorageAdapter, collection: str) -> list[str]:
    return [record.key for record in (await adapter.query(Query(collection))).records]


# --- In the middle of a commit -------------------------------------------------------------------------------


@dataclass
class _Turns:
    """What has to be there: every turn that was committed, and every note that was written by itself."""

    committed: list[int] = field(default_factory=list)
    alone: list[int] = field(default_factory=list)

    def notes(self) -> dict[str, dict[str, object]]:
        """Return the notes by key."""
        notes: dict[str, dict[str, object]] = {}
        for turn in self.alone:
            notes[f"alone-{turn}"] = {"turn": turn, "tag": "alone"}
        for turn in self.committed:
            notes[f"kept-{turn}"] = {"turn": turn, "tag": "kept"}
        for turn in self.committed[-1:]:
            notes["head"] = {"turn": turn, "tag": "head"}
            notes[f"passing-{turn}"] = {"turn": turn, "tag": "passing"}
        return dict(sorted(notes.items()))

    async def expect(self, storage: Storage, adapter: StorageAdapter, turn: int) -> None:
        """Expect exactly that, on every path, and in the index of the newest turn."""
        notes, expected = notes_of(storage), self.notes()
        found = await Records(adapter, adapter, notes.collection).state(*expected)
        assert list(found) == list(expected), "other notes are there than were committed"
        assert await notes.get_batch(found) == expected
        for one in {turn, *self.committed[-2:]}:
            keys = [key for key, note in expected.items() if note["turn"] == one]
            assert await notes.where("turn", "=", one).keys() == keys, "an index disagrees with its records"
        for tag in ("head", "kept", "passing", "alone"):
            keys = [key for key, note in expected.items() if note["tag"] == tag]
            assert await notes.where("tag", "=", tag).keys() == keys, "an index disagrees with its records"
        events = await storage.events.read(type="turn")
        assert [event.payload for event in events] == self.committed, "an event without its commit, or none"
        entries = await storage.memories.window("m", len(self.committed) + 2)
        assert entries == self.committed, "an entry of a memory without its commit, or none"


@case("txn.crash_mid_commit", requires={"transactions", "query", "conditional"}, needs={"process"})
async def crash_mid_commit(env: Env) -> None:
    """A process killed at any point of a commit leaves all of it or nothing, and all that went before."""
    _dies(env, "commits")
    emptied = await _emptied(env, *COMMITTED)
    turns = _Turns([0, 1], [0, 1])
    _dies(env, "commits", 0)
    whole = _dies(env, "commits", 1)
    assert whole.total is not None
    committed = whole.lines[-1]
    assert committed > 20, "too few points for a commit"
    points = spread(1, committed, env.scale(6, 80)) + spread(committed + 1, whole.total, env.scale(2, 10))
    lost = 0
    for turn, point in enumerate(points, start=2):
        death = _dies(env, "commits", turn, line=point)
        turns.alone.append(turn)
        async with _opened(env) as adapter:
            storage = env.target.storage_type({"main": adapter})
            if await notes_of(storage).get("head") == {"turn": turn, "tag": "head"}:
                turns.committed.append(turn)
            else:
                assert death.told == ["alone"], "a commit that was acknowledged is not there"
                lost += 1
            await turns.expect(storage, adapter, turn)
    assert 0 < lost < len(points), "no process died before its commit was applied, or none after"
    assert await _emptied(env, *COMMITTED) == emptied, "a crash left something that no delete takes away"


async def _emptied(env: Env, *collections: str) -> tuple[int, int] | None:
    """Delete everything, and return what is physically left where that can be seen."""
    async with _opened(env) as adapter:
        for collection in collections:
            env.records(collection)  # it is emptied at the end, whatever happens until then
            await adapter.delete_batch(collection, await _keys(adapter, collection))
            assert await _keys(adapter, collection) == []
        if "raw" not in env.target.hooks:
            return None
        raw = await env.target.raw(adapter)
        return raw.records, raw.entries


# --- Versions ------------------------------------------------------------------------------------------------


@case("cas.unique_after_crash", requires={"conditional"}, needs={"process"})
async def unique_after_crash(env: Env) -> None:
    """A version is never used again after a crash, also where the record that had it is gone."""
    env.records("versions")
    owners: dict[str, tuple[str, str]] = {}
    last = 0

    def saw(version: Any, key: str, value: str) -> None:
        assert type(version) is str
        assert owners.setdefault(version, (key, value)) == (key, value), "a version was used twice"

    whole = _dies(env, "versions")
    assert whole.total is not None
    points = spread(whole.total // 4, whole.lines[-1], env.scale(5, 40))
    for number, point in enumerate([None, *points]):
        death = whole if point is None else _dies(env, "versions", number, line=point)
        for told in death.told:
            saw(*told)
        async with _opened(env) as adapter:
            records = Records(adapter, adapter, "versions")
            for record in (await adapter.get_batch(records.name, ["a", "b"])).values():
                saw(record.version, record.key, record.value.decode())
            for version, (key, _) in list(owners.items())[last:]:
                current = await records.get(key)
                if current is None or current.version != version:
                    with raises(VersionConflict):
                        await records.put(key, b"stale", if_version=version)
        last = len(owners)
    assert last > 10, "too few versions were seen"


# --- Acknowledged ------------------------------------------------------------------------------------------


@case("life.kill_service_durable", requires={"durable"}, needs={"process"})
async def kill_service_durable(env: Env) -> None:
    """What a process was acknowledged is there, each record whole, though it was killed right after."""
    env.records("kept")
    everything = [one.key for operations in STEPS for one in operations]
    for number in (None, *spread(1, len(STEPS), env.scale(4, len(STEPS)))):
        death = _dies(env, "writes", told=number)
        assert death.was_killed == (number is not None)
        assert len(death.told) == (number or len(STEPS))
        expected, gone = _after(env, death.told)
        async with _opened(env) as adapter:
            records = Records(adapter, adapter, "kept")
            found = await records.state(*expected, *gone)
            assert list(found) == sorted(expected), "a process that was killed lost what was acknowledged"
            for key, record in expected.items():
                assert_same_record(found[key], record, "a killed process")
                if env.capabilities.query:
                    assert key in await records.keys(Compare("n", Op.EQ, record.fields["n"]))
                    assert key in await records.keys(Compare("tags", Op.CONTAINS, f"t{record.fields['n']}"))
            await adapter.delete_batch(records.name, everything)


def _after(env: Env, told: list[list[Version | None]]) -> tuple[dict[str, Record], set[str]]:
    """Return the records that have to be there after some acknowledged steps, and the keys that must not."""
    now = env.clock()
    expected: dict[str, Record] = {}
    gone: set[str] = set()
    for number, versions in enumerate(told):
        for one, version in zip(step(number, env.capabilities, now).operations, versions, strict=True):
            if isinstance(one, Put):
                assert type(version) is str
                expires_at = one.expires_at if isinstance(one.expires_at, int) else None
                expected[one.key] = Record(
                    one.key, one.value, version, now, now, expires_at, fields=dict(one.fields)
                )
            else:
                assert version is None
                del expected[one.key]
                gone.add(one.key)
    return expected, gone - expected.keys()
