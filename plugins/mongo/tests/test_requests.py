"""What the server is asked, command by command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    STRONG,
    Aggregate,
    Aggregation,
    Check,
    Compare,
    Delete,
    Function,
    Holds,
    Op,
    Order,
    Prepare,
    Put,
    Query,
    Release,
    StorageAdapter,
    WriteBatch,
    bounded,
)
from daystore.abc.capabilities import EVENTUAL, Consistency
from daystore_mongo.adapter import MongoAdapter
from daystore_mongo.applying import Applier
from daystore_mongo.connection import concerns_of
from daystore_mongo.operations import Step

from .conftest import Requests

Do = Callable[[StorageAdapter], Awaitable[Any]]

TX = bytes(16)
GROUPS = Aggregation({"n": Aggregate(Function.SUM, "n")}, ("s",))
PUTS = [Put("c", f"k{n}", b"v", fields={"n": n, "s": "x", "l": ("a",)}) for n in range(500)]
DESCENDING = Order("n", descending=True)
BY_S = Order("s", descending=True)


@pytest.mark.parametrize(
    ("do", "sent"),
    [
        (lambda a: a.get("c", "k1"), ["find"]),
        (lambda a: a.get("c", "missing"), ["find"]),
        (lambda a: a.get_batch("c", [f"k{n}" for n in range(500)]), ["find"]),
        (lambda a: a.set("c", "k1", b"v", fields={"n": 1, "s": "x"}), ["update"]),
        (lambda a: a.set("c", "new", b"v", if_absent=True), ["update"]),
        (lambda a: a.delete("c", "k1"), ["delete"]),
        (lambda a: a.set_batch(PUTS), ["update"]),
        (lambda a: a.delete_batch("c", [f"k{n}" for n in range(500)]), ["update", "delete"]),
        (lambda a: a.write(WriteBatch([Check("c", "x", ABSENT)])), ["find"]),
        (lambda a: a.write(WriteBatch([Put("c", "k1", b"", "stale")])), ["update", "find"]),
        (lambda a: a.write(WriteBatch([Delete("c", "missing")])), ["delete", "find"]),
        (lambda a: a._write(WriteBatch([Prepare("c", "k1", TX)])), ["update"]),
        (lambda a: a.query(Query("c", Compare("n", Op.LT, 9), Order("n"), limit=5)), ["find"]),
        (lambda a: a.query(Query("c", order=DESCENDING, limit=5)), ["find"]),
        (lambda a: a.query(Query("c", order=BY_S, limit=5)), ["find", "find"]),
        (lambda a: a.query(Query("c")), ["find"]),
        (lambda a: a.count(Query("c", Compare("n", Op.LT, 9))), ["aggregate"]),
        (lambda a: a.aggregate(Query("c"), GROUPS), ["aggregate"]),
        (lambda a: a.explain(Query("c")), ["listIndexes"]),
        (lambda a: a.get_batch("c", []), []),
        (lambda a: a.set_batch([]), []),
    ],
)
def test_an_operation_takes_these_commands(
    make: Callable[..., MongoAdapter], requests: Requests, do: Do, sent: list[str]
) -> None:
    """An operation is one command, but for what is said in the documentation."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set_batch(PUTS[:100])
            requests.clear()
            await do(adapter)
            assert requests.names == sent

    asyncio.run(main())


def test_a_roll_forward_is_one_command(make: Callable[..., MongoAdapter], requests: Requests) -> None:
    """What holds an intent is written, deleted or released by one command."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set_batch(PUTS[:3])
            for operation in (
                Put("c", "k0", b"new", Holds(TX)),
                Delete("c", "k1", Holds(TX)),
                Release("c", "k2", Holds(TX)),
            ):
                await adapter._write(WriteBatch([Prepare("c", operation.key, TX)]))
                requests.clear()
                (outcome,) = await adapter._write(WriteBatch([operation]))
                assert outcome.error is None
                assert len(requests.names) == 1

    asyncio.run(main())


def test_an_index_is_made_when_a_field_is_first_written(
    make: Callable[..., MongoAdapter], requests: Requests
) -> None:
    """The first write of a field makes its index; another adapter asks for it once, too."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"", fields={"a": 1})
            assert requests.names.count("createIndexes") == 1
            await adapter.set("c", "k", b"", fields={"a": 2})
            assert requests.names.count("createIndexes") == 1
            await adapter.set("c", "k", b"", fields={"a": 3, "b.$%\0": ("x",)})
            assert requests.names.count("createIndexes") == 2
            names = {index["name"] for index in requests.sent[-2][1]["indexes"]}
            assert names == {"l.b%2e%24%25%00"}
            for where in (Compare("a", Op.EQ, 3), Compare("b.$%\0", Op.CONTAINS, "x")):
                assert (await adapter.explain(Query("c", where))).indexed

    asyncio.run(main())


def test_writes_are_acknowledged_by_the_majority_from_the_disk(
    make: Callable[..., MongoAdapter], requests: Requests
) -> None:
    """Every command that changes something says so, and is not repeated by the driver."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"", fields={"a": 1})
            await adapter.delete("c", "k")
            await adapter.set_batch(PUTS[:3])
            await adapter.delete_batch("c", ["k0", "k1"])

    asyncio.run(main())
    changes = [
        command for name, command in requests.sent if name in ("insert", "update", "delete", "createIndexes")
    ]
    assert len(changes) > 5
    for command in changes:
        assert command["writeConcern"] == {"w": "majority", "j": True}
        assert "txnNumber" not in command


@pytest.mark.parametrize(
    ("level", "replicated", "secondary", "concern", "staleness"),
    [
        (STRONG, False, True, "local", None),
        (STRONG, True, True, "linearizable", None),
        (EVENTUAL, True, False, "local", None),
        (EVENTUAL, True, True, "local", -1),
        (bounded(60), True, True, "local", None),
        (bounded(120), True, True, "local", 120),
        (bounded(120), True, False, "local", None),
    ],
)
def test_a_read_is_as_fresh_as_it_has_to_be(
    level: Consistency, replicated: bool, secondary: bool, concern: str, staleness: int | None
) -> None:
    """Only what may be stale comes from a secondary, and no staler than it may be."""
    found, preference = concerns_of(level, replicated=replicated, secondary=secondary)
    assert found.level == concern
    assert (None if preference is None else preference.max_staleness) == staleness


def test_a_write_waits_for_a_cancelled_one_of_the_same_record(
    make: Callable[..., MongoAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent goes on: what is written after it stands in the end."""
    asyncio.run(_cancelled_and_later(make(), monkeypatch))


async def _cancelled_and_later(adapter: MongoAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, free = asyncio.Event(), asyncio.Event()
    take = Applier._take

    async def held(self: Applier, step: Step) -> bool | None:
        asked.set()
        await free.wait()
        return await take(self, step)

    monkeypatch.setattr(Applier, "_take", held)
    async with adapter:
        cancelled = asyncio.ensure_future(adapter.write(WriteBatch([Put("c", "k", b"cancelled")])))
        await asked.wait()
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        monkeypatch.setattr(Applier, "_take", take)
        later = asyncio.ensure_future(adapter.write(WriteBatch([Put("c", "k", b"later")])))
        await adapter.set("c", "another", b"")  # which is not held up
        assert not later.done()
        free.set()
        await later
        found = await adapter.get("c", "k")
        assert found is not None
        assert found.value == b"later"
