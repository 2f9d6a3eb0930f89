"""Operations to try on a failing network: every read, and every kind of write with its states before and after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from daystore.abc import Aggregate, Aggregation, Function, Record
from daystore.errors import BackendUnavailable, DaystoreError, OperationTimeout, OutcomeUnknown
from daystore.stores import Store
from daystore_compliance.records import Records

__all__ = ["READING", "READS", "WRITES", "WRITING", "Write"]

# --- Reads -------------------------------------------------------------------------------------------------

_COUNT: Final = Aggregation({"n": Aggregate(Function.COUNT)})

READS: Final[dict[str, tuple[Callable[[Records], Awaitable[Any]], frozenset[str]]]] = {
    "read": (lambda records: records.read("a", "b", "missing"), frozenset()),
    "query": (lambda records: records.page(), frozenset({"query"})),
    "count": (lambda records: records.count(), frozenset({"query"})),
    "aggregate": (lambda records: records.aggregate(_COUNT.functions), frozenset({"aggregate"})),
    "explain": (lambda records: records.adapter.explain(records.query()), frozenset({"query"})),
    "health": (lambda records: records.adapter.health(), frozenset()),
}
"""Everything that changes nothing: how it is done, and the capabilities that it needs."""


JSON: Final = "application/json"


# --- Writes ------------------------------------------------------------------------------------------------


WRITING: Final = (BackendUnavailable, OutcomeUnknown)
"""What a write may fail with when its connection does."""
READING: Final = (BackendUnavailable, OperationTimeout)
"""What a read may fail with then."""


@dataclass(frozen=True)
class Write:
    """One kind of write, on records whose state is known before and after.

    Attributes:
        do: Does it; returns the error of each key that has one, if they have errors of their own.
        before: Value by key.
        after: Value by key, once it was applied.
        requires: Capabilities without which it cannot be done.
        traceless: Whether nothing that it leaves tells whose it was, so that looking need not tell.
        whole: Whether it is all or nothing.
        reads: Whether it reads first.
        envelope: What the records that it wrote have beside their value.
    """

    do: Callable[[Records], Awaitable[Mapping[str, DaystoreError] | None]]
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    requires: frozenset[str] = frozenset()
    traceless: bool = False
    whole: bool = True
    reads: bool = False
    envelope: Mapping[str, Any] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[type[DaystoreError], ...]:
        """What it may fail with when its connection does."""
        return (*WRITING, OperationTimeout) if self.reads else WRITING

    async def prepare(self, records: Records) -> None:
        """Make the state before."""
        if self.before:
            puts = [records.a_put(k, v, content_type=JSON) for k, v in self.before.items()]
            await records.adapter.set_batch(puts)

    async def verify(self, records: Records, errors: Mapping[str, DaystoreError | None]) -> bool:
        """Expect the state that the errors tell, by key, and nothing else.

        Returns:
            Whether the write was applied.
        """
        keys = sorted({*self.before, *self.after})
        stored = await self._seen(records, keys, errors)
        for record in stored.values():
            for name, value in self.envelope.items() if record.value in self.after.values() else ():
                assert getattr(record, name) == value, f"a write was applied without its {name}"
        state = {key: record.value for key, record in stored.items()}
        assert state.keys() <= set(keys), "something is there that nobody wrote"
        changing = [key for key in keys if self.before.get(key) != self.after.get(key)]
        for key in changing:
            old, new, found, error = (
                self.before.get(key),
                self.after.get(key),
                state.get(key),
                errors.get(key),
            )
            if error is None:
                assert found == new, "a write that succeeded is not there, or not once"
            elif not isinstance(error, OutcomeUnknown):
                assert found == old, f"{type(error).__name__} is no answer to a write that was applied"
            else:
                assert found in (old, new), (
                    "a write of unknown outcome was applied otherwise than once or not"
                )
        applied = {state.get(key) == self.after.get(key) for key in changing}
        assert len(applied) == 1 or not self.whole, "half of a write was applied"
        for key in set(keys) - set(changing):
            assert state.get(key) == self.before[key], "a write has changed what it does not name"
        return applied == {True}

    async def _seen(
        self, records: Records, keys: list[str], errors: Mapping[str, DaystoreError | None]
    ) -> dict[str, Record]:
        """Look at the state; again where a write of unknown outcome may have landed while it was looked at.

        It lands once, or once for each key where it is not all or nothing: then all ways of reading agree.
        """
        unknown = sum(isinstance(error, OutcomeUnknown) for error in errors.values())
        for _ in range(min(unknown, 1) if self.whole else unknown):
            try:
                return await records.state(*keys)
            except AssertionError:
                continue
        return await records.state(*keys)


async def _put(records: Records) -> None:
    version = await records.put("a", b"new")
    assert type(version) is str


async def _if_version(records: Records) -> None:
    found = await records.must_get("a")
    await records.put("a", b"new", if_version=found.version)


async def _if_absent(records: Records) -> None:
    await records.put("a", b"new", if_absent=True)


async def _expiring(records: Records) -> None:
    await records.put("a", b"new", expires_at=_DEADLINE, fields={"n": 1})


async def _delete(records: Records) -> None:
    assert await records.delete("a") is True, "delete denies a record that it has deleted"


async def _delete_if(records: Records) -> None:
    found = await records.must_get("a")
    assert await records.delete("a", if_version=found.version) is True


async def _batch(records: Records) -> Mapping[str, DaystoreError]:
    operations = [records.a_put("a", b"new"), records.a_put("b", b"new"), records.a_put("c", b"new")]
    outcomes = await records.write(*operations)
    assert [o.version for o in outcomes if o.error is None] == [
        operation.version for operation, o in zip(operations, outcomes, strict=True) if o.error is None
    ]
    return {o.key: out.error for o, out in zip(operations, outcomes, strict=True) if out.error is not None}


async def _atomic(records: Records) -> None:
    await records.write(
        records.a_put("a", b"new"), records.a_put("b", b"new"), records.a_delete("c"), atomic=True
    )


async def _transaction(records: Records) -> None:
    async with records.adapter.transaction() as tx:
        await tx.read(records.name, ["b", "z"])
        await tx.write([records.a_put("a", b"new"), records.a_delete("c")])


async def _increment(records: Records) -> None:
    store: Store[int] = Store(records.adapter, records.name, int)
    await store.update("a", lambda value: value + 1)


_DEADLINE: Final = 4_000_000_000_000_000
_OLD: Final = {"a": b"old", "b": b"old", "c": b"old"}
_CONDITIONAL: Final = frozenset({"conditional"})

WRITES: Final[dict[str, Write]] = {
    "put": Write(_put, {"a": b"old"}, {"a": b"new"}),
    "put_new": Write(_put, {}, {"a": b"new"}),
    "if_version": Write(_if_version, {"a": b"old"}, {"a": b"new"}, _CONDITIONAL, reads=True),
    "if_absent": Write(_if_absent, {}, {"a": b"new"}, _CONDITIONAL),
    "expiring": Write(
        _expiring,
        {"a": b"old"},
        {"a": b"new"},
        frozenset({"ttl"}),
        envelope={"expires_at": _DEADLINE, "fields": {"n": 1}},
    ),
    "delete": Write(_delete, {"a": b"old"}, {}, traceless=True),
    "delete_if": Write(_delete_if, {"a": b"old"}, {}, _CONDITIONAL, traceless=True, reads=True),
    "batch": Write(_batch, {"a": b"old"}, {"a": b"new", "b": b"new", "c": b"new"}, whole=False),
    "atomic": Write(_atomic, _OLD, {"a": b"new", "b": b"new"}, frozenset({"atomic_batch"})),
    "transaction": Write(
        _transaction, _OLD, {"a": b"new", "b": b"old"}, frozenset({"transactions"}), reads=True
    ),
    "increment": Write(_increment, {"a": b"1"}, {"a": b"2"}, _CONDITIONAL, reads=True),
}
"""Every kind of write, by name."""
