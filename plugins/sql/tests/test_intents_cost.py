"""What intents cost on a server, and what becomes of them when replies are lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from daystore.abc import (
    EVENTUAL,
    CheckQuery,
    Delete,
    Holds,
    Outcome,
    Prepare,
    Put,
    Query,
    Release,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore_compliance.proxy import FaultProxy
from daystore_sql.adapter import SQLAdapter
from daystore_sql.session import Session

from .test_intents import INTENT, OTHER, OWN, Make, done, make, one_statement_at_a_time

__all__ = ["make"]

SERVERS = ("mariadb", "mariadb, statement by statement", "postgresql")


NAMES = ("prepare", "prepare again", "put", "prepare, new", "release", "prepare many", "release many", "find")
ROUND_TRIPS = {
    # Lock and look; change and commit. Of many the records, their entries, and the note go one by one.
    "mariadb": dict(zip(NAMES, (2, 2, 2, 2, 2, 4, 4, 1), strict=True)),
    # Begin; lock and look; the record; its entry; the note; commit.
    "mariadb, statement by statement": dict(zip(NAMES, (6, 4, 6, 6, 6, 6, 6, 1), strict=True)),
    "postgresql": dict.fromkeys(NAMES, 1),
}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a server."""
    kind, _, one_by_one = request.param.partition(", ")
    if one_by_one:
        one_statement_at_a_time(monkeypatch)
    url: str = request.getfixturevalue(kind)
    return url


@asynccontextmanager
async def proxied(url: str, **options: Any) -> AsyncIterator[tuple[SQLAdapter, FaultProxy]]:
    """Yield an adapter that is connected through a proxy."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    options = {"namespace": os.urandom(6).hex(), "sweep_interval": 1e6, **options}
    async with FaultProxy(parts.hostname, parts.port) as proxy:
        netloc = f"{parts.netloc.rpartition('@')[0]}@{proxy.host}:{proxy.port}"
        async with SQLAdapter.from_url(parts._replace(netloc=netloc).geturl(), **options) as adapter:
            yield adapter, proxy


def test_they_are_found_without_looking_at_the_other_records(make: Make) -> None:
    """By the index of intents, or where there is none by their entries in the index of fields."""

    async def main() -> None:
        async with make() as store:
            await store.set_batch([Put("things", f"k{n}", b"", fields={"f": n}) for n in range(2000)])
            await done(store, Prepare("things", "k7", INTENT))
            await store._prepared(None)
            await store._prepared("things")
            batch = WriteBatch([Put("more", "m", b"")], True, [CheckQuery(Query("nothing"), [])])
            await store._write(batch)

            def plans(session: Session) -> list[str]:
                names, found = session.catalog.collection("things"), []
                assert names is not None
                values: dict[str, object] = {"namespace": session.catalog.namespace, "collection": b"things"}
                values |= {"scope": names.scope, "own": OTHER}
                for key in ("foreign intent", ("prepared", True), ("prepared", False)):
                    text, order = session.dialect._texts[key]
                    found += session.dialect.plan(session.connection, text, [values[name] for name in order])
                return found

            plan = await store._opened.ask_writer("test", plans)
            index = "ds_field_sort" if "PRIMARY" in "".join(plan) else "ds_record_intent"
            assert sum(index in line for line in plan) == 3, plan
            assert not any("Seq Scan on ds_record" in line or "ALL" in line.split() for line in plan)

    asyncio.run(main())


def test_round_trips(server: str, request: pytest.FixtureRequest) -> None:
    """One takes as many as a put; a batch takes as many whatever its size."""
    kind = request.node.callspec.params["server"]

    async def main() -> dict[str, int]:
        async with proxied(server, connections=1) as (store, proxy):
            keys = [f"k{n:03}" for n in range(300)]
            await store.set_batch([Put("things", key, b"") for key in keys[:150]])
            taken: dict[str, int] = {}

            async def trips(name: str, do: Callable[[], Awaitable[Any]]) -> None:
                before = proxy.traffic.requests
                await do()
                taken[name] = proxy.traffic.requests - before

            async def turn() -> None:
                def batch(operations: list[Operation]) -> Callable[[], Awaitable[Any]]:
                    return lambda: done(store, *operations)

                held = Holds(OWN)
                await trips("prepare", batch([Prepare("things", "k000", INTENT)]))
                await trips("prepare again", batch([Prepare("things", "k000", INTENT)]))
                await trips("put", batch([Put("things", "k000", b"", held)]))
                await trips("prepare, new", batch([Prepare("things", "new", INTENT)]))
                await trips("release", batch([Release("things", "new", held)]))
                await trips("prepare many", batch([Prepare("things", key, INTENT) for key in keys]))
                await trips("release many", batch([Release("things", key, held) for key in keys]))
                await trips("find", lambda: store._prepared(None))
                await done(store, Delete("things", "new"), *(Delete("things", key) for key in keys[150:]))

            await turn()  # the first time statements are prepared
            await turn()
            return taken

    assert asyncio.run(main()) == ROUND_TRIPS[kind]


# --- Replies that are lost ---------------------------------------------------------------------------------------

HELD = Holds(OWN)
WRITES: dict[str, list[Operation]] = {
    "prepare": [Prepare("things", "live", OTHER), Prepare("things", "nothing", OTHER)],
    "release": [Release("things", "held", HELD), Release("things", "alone", HELD)],
    "put": [Put("things", "held", b"new", HELD, fields={"f": 2}), Put("things", "alone", b"new", HELD)],
    "delete": [Delete("things", "held", HELD), Delete("things", "alone", HELD)],
    "refused": [Put("things", "held", b"new"), Delete("things", "alone"), Prepare("things", "live", OTHER)],
}


@pytest.mark.parametrize(
    ("name", "atomic"),
    [(name, atomic) for name in WRITES for atomic in (False, True) if not (atomic and name == "refused")],
)
def test_lost_replies(server: str, name: str, atomic: bool) -> None:
    """Whichever reply is lost, the outcome is told exactly."""
    batch = WriteBatch(WRITES[name], atomic=atomic)

    async def prepared(store: SQLAdapter) -> None:
        held = [record.key for _, record in await store._prepared("things")]
        for tx in (OWN, OTHER):
            if held:
                await store._write(WriteBatch([Release("things", key, Holds(tx)) for key in held]))
        await store._write(
            WriteBatch([Delete("things", key) for key in ("live", "held", "alone", "nothing")])
        )
        await done(store, *(Put("things", key, b"", fields={"f": 1}) for key in ("live", "held")))
        await done(store, Prepare("things", "held", INTENT), Prepare("things", "alone", INTENT))

    async def main() -> None:
        async with SQLAdapter.from_url(server, namespace=os.urandom(6).hex()) as other:
            await prepared(other)
            expected = await other._write(batch)
            left = await state(other)
            for nth in range(1, 60):
                await prepared(other)
                async with proxied(server, namespace=other.namespace, connections=2) as (store, proxy):
                    await store._read("things", ["live"], EVENTUAL)
                    await store._write(WriteBatch([Delete("things", "none")]))
                    with proxy.drop_reply(nth) as fault:
                        found = await store._write(batch)
                assert list(map(told, found)) == list(map(told, expected))
                assert await state(other) == left
                if not fault.hits:
                    return
        raise AssertionError("one write takes sixty round trips")

    asyncio.run(main())


async def state(store: SQLAdapter) -> list[tuple[object, ...] | None]:
    """Return what tells records apart, but for their times and their versions."""
    found = await store._read("things", ["live", "held", "alone", "nothing"], EVENTUAL)
    return [None if r is None else (r.value, r.expires_at, r.fields, r.intent) for r in found]


def told(outcome: Outcome) -> tuple[object, ...]:
    return outcome.version, outcome.existed, type(outcome.error)
