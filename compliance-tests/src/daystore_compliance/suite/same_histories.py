"""Random histories of the same keys in several places, each against a model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from daystore.abc import ABSENT, KEEP, Aggregate, Compare, Function, Op, Put
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.model import Row
from daystore_compliance.records import Records


@dataclass
class _Place:
    """A collection, and what the model says is in it."""

    records: Records
    rows: dict[str, Row] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def alive(self, now: int) -> dict[str, Row]:
        self.rows = {k: r for k, r in self.rows.items() if r.expires_at is None or now < r.expires_at}
        return self.rows

    def wrote(self, put: Put, now: int) -> None:
        old = self.alive(now).get(put.key)
        expires: Any = put.expires_at
        if put.expires_at is KEEP:
            expires = None if old is None else old.expires_at
        created = now if old is None else old.created_at
        self.rows[put.key] = Row(put.key, dict(put.fields), put.value, created, now, expires)
        self.versions[put.key] = put.version

    async def agrees(self, now: int, keys: Sequence[str]) -> None:
        rows = self.alive(now)
        state = await self.records.state(*keys)
        assert {
            key: (r.value, dict(r.fields), r.created_at, r.updated_at, r.expires_at, r.version)
            for key, r in state.items()
        } == {
            key: (r.value, dict(r.fields), r.created_at, r.updated_at, r.expires_at, self.versions[key])
            for key, r in rows.items()
        }
        assert await self.records.keys(Compare("f", Op.GE, 0)) == sorted(
            k for k, r in rows.items() if r.fields
        )
        sums = await self.records.aggregate({"n": Aggregate(Function.SUM, "f")})
        assert sums[0].values["n"] == sum(int(str(row.fields.get("f", 0))) for row in rows.values())


class _History:
    """Random writes of the same few keys in several places."""

    def __init__(self, env: Env, spaces: Sequence[Sequence[_Place]]) -> None:
        self.env = env
        self.spaces = spaces
        self.keys = ("a", "A", "b:k", "k")
        self.number = 0

    def put(self, place: _Place, key: str, **options: Any) -> Put:
        self.number += 1
        chance = self.env.random.random()
        expires = self.env.clock.deadline(self.env.random.choice((0.001, 1, 60))) if chance < 0.4 else None
        return place.records.a_put(
            key,
            b"%d" % self.number,
            expires_at=KEEP if chance > 0.8 else expires,
            fields={"f": self.number} if self.number % 3 else {},
            **options,
        )

    async def step(self) -> None:
        """Do one thing in one place."""
        random, now = self.env.random, self.env.clock()
        space = random.choice(self.spaces)
        place, key = random.choice(space), random.choice(self.keys)
        match random.choice(
            ("put", "put", "batch", "atomic", "stale", "fresh", "delete", "delete all", "wait")
        ):
            case "put":
                put = self.put(place, key)
                await place.records.write(put)
                place.wrote(put, now)
            case "batch" | "atomic" as how:
                puts = [(p, self.put(p, k)) for p in space for k in random.sample(self.keys, 2)]
                await place.records.write(*(put for _, put in puts), atomic=how == "atomic")
                for one, put in puts:
                    one.wrote(put, now)
            case "stale":
                await self.refused(place, key, now)
            case "fresh":
                there = key in place.alive(now)
                put = self.put(place, key, expect=place.versions[key] if there else ABSENT)
                assert (await place.records.write(put))[0].error is None, "a condition that holds was refused"
                place.wrote(put, now)
            case "delete":
                assert await place.records.delete(key) is (place.alive(now).pop(key, None) is not None)
            case "delete all":
                existed = len(place.alive(now))
                assert await place.records.adapter.delete_batch(place.records.name, self.keys) == existed
                place.rows.clear()
            case _:
                self.env.clock.advance(microseconds=random.choice((1, 1000, 1_000_000, 61_000_000)))

    async def refused(self, place: _Place, key: str, now: int) -> None:
        """Expect what is true of the same key elsewhere to be no condition here."""
        there = key in place.alive(now)
        elsewhere = [
            p.versions[key] for space in self.spaces for p in space if p is not place and key in p.versions
        ]
        for version in elsewhere[:2]:
            with raises(VersionConflict) as caught:
                await place.records.put(key, b"refused", if_version=version)
            assert caught.error.current == (place.versions[key] if there else None)
        if there:
            with raises(VersionConflict):
                await place.records.put(key, b"refused", if_absent=True)

    async def agrees(self) -> None:
        """Look everywhere."""
        for space in self.spaces:
            for place in space:
                await place.agrees(self.env.clock(), self.keys)


@case("ns.same_histories", requires={"query", "aggregate", "ttl", "conditional", "atomic_batch"})
async def same_histories(env: Env) -> None:
    """Histories of the same keys in many collections and namespaces never touch each other, in any entry."""
    spaces = []
    for suffix in ("", ":a", "a"):
        adapter = await env.open(env.namespace + suffix)
        spaces.append([_Place(Records(adapter, adapter, name)) for name in ("a", "a_old")])
    history = _History(env, spaces)
    for number in range(env.scale(180, 3000)):
        await history.step()
        if number % 9 == 0:
            await history.agrees()
    later = await env.open(env.namespace + "opened-later")
    await Records(later, later, "a").expect({}, *history.keys)
    await history.agrees()
    assert history.number > 100, "nearly nothing was written"
