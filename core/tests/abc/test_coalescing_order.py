"""The order of calls on a key holds, however a backend answers and whoever is cancelled: by random histories."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from daystore.abc import Consistency, Delete, Outcome, Put, Record, WriteBatch
from daystore.abc.coalescing.lanes import MOST_IN_FLIGHT
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import LimitExceeded

KEYS = ("a", "b", "c")
BAD = b"refused"

Step = tuple[str, int]
KINDS = ("put", "put", "put", "bad", "delete", "get", "get", "answer", "answer", "cancel", "turn")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 11)), max_size=80)


@dataclass
class Call:
    """A call, and what was known of its key when it was made."""

    kind: str
    key: str
    number: int
    task: asyncio.Task[object]
    states_before: int


@dataclass
class Backend(MemoryAdapter):
    """Applies a request when it is told to, and keeps what every key has been."""

    coalesce = True
    pending: list[asyncio.Future[None]] = field(default_factory=list)
    writing: list[str] = field(default_factory=list)
    reading: int = 0
    applied: dict[str, list[int]] = field(default_factory=lambda: {key: [] for key in KEYS})
    states: dict[str, list[bytes | None]] = field(default_factory=lambda: {key: [None] for key in KEYS})

    def __post_init__(self) -> None:
        MemoryAdapter.__init__(self)

    async def _held(self) -> None:
        gate = asyncio.get_running_loop().create_future()
        self.pending.append(gate)
        try:
            await gate
        finally:
            if gate in self.pending:
                self.pending.remove(gate)

    async def _read(
        self, collection: str, keys: Sequence[str], consistency: Consistency
    ) -> list[Record | None]:
        assert len(set(keys)) == len(keys)
        self.reading += 1
        assert self.reading <= MOST_IN_FLIGHT
        try:
            await self._held()
            return await super()._read(collection, keys, consistency)
        finally:
            self.reading -= 1

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        keys = [operation.key for operation in batch.operations]
        assert not set(keys) & set(self.writing), "a key is in two batches that are under way"
        self.writing += keys
        try:
            await self._held()
            for operation in batch.operations:
                if isinstance(operation, Put) and operation.value == BAD:
                    raise LimitExceeded("refused")
            outcomes = await super()._write(batch)
            for operation in batch.operations:
                assert isinstance(operation, Put | Delete)
                value = operation.value if isinstance(operation, Put) else None
                self.states[operation.key].append(value)
                if value is not None:
                    self.applied[operation.key].append(int(value))
            return outcomes
        finally:
            for key in keys:
                self.writing.remove(key)

    def answer(self, number: int) -> None:
        waiting = [gate for gate in self.pending if not gate.done()]
        if waiting:
            waiting[number % len(waiting)].set_result(None)


async def turn() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


class History:
    """Makes calls, and checks what becomes of them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.calls: list[Call] = []

    def call(self, kind: str, key: str) -> None:
        number = len(self.calls)
        value = BAD if kind == "bad" else b"%d" % number
        task: asyncio.Task[object]
        if kind == "get":
            task = asyncio.ensure_future(self.backend.get("c", key))
        elif kind == "delete":
            task = asyncio.ensure_future(self.backend.delete("c", key))
        else:
            task = asyncio.ensure_future(self.backend.set("c", key, value))
        self.calls.append(Call(kind, key, number, task, len(self.backend.states[key])))

    async def run(self, steps: list[Step]) -> None:
        for step, number in steps:
            if step == "answer":
                self.backend.answer(number)
            elif step == "turn":
                await turn()
            elif step == "cancel":
                if self.calls:
                    self.calls[-1 - number % len(self.calls)].task.cancel()
            else:
                self.call(step, KEYS[number % len(KEYS)])
            if number % 2:
                await asyncio.sleep(0)
        while not all(call.task.done() for call in self.calls) or self.backend.pending:
            await turn()
            self.backend.answer(0)

    def check(self) -> None:
        for call in self.calls:
            if call.task.cancelled():
                continue
            error = call.task.exception()
            assert isinstance(error, LimitExceeded) if call.kind == "bad" else error is None
            states = self.backend.states[call.key]
            if call.kind == "get":
                record = call.task.result()
                assert record is None or isinstance(record, Record)
                value = None if record is None else record.value
                assert value in states[call.states_before - 1 :], "a read has not seen what was acknowledged"
            elif call.kind == "put":
                assert b"%d" % call.number in states, "an acknowledged write was not applied"
        for numbers in self.backend.applied.values():
            assert numbers == sorted(set(numbers)), (
                "a write has overtaken an earlier one, or was applied twice"
            )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(STEPS)
def test_order_of_a_key_is_kept(steps: list[Step]) -> None:
    async def main() -> None:
        backend = Backend()
        await backend.open()
        history = History(backend)
        await history.run(steps)
        history.check()
        await backend.close()

    asyncio.run(main())
