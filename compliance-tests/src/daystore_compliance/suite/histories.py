"""Histories of concurrent clients, judged as a whole: is there an order that explains what everybody saw?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Final

from daystore.abc import (
    ABSENT,
    ANY,
    EVENTUAL,
    STRONG,
    Capabilities,
    Compare,
    Consistency,
    Delete,
    Expectation,
    Holds,
    Op,
    Outcome,
    Put,
    Record,
    RecordTransaction,
    StorageAdapter,
)
from daystore.errors import TransactionConflict, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checkers import isolation, linearizability
from daystore_compliance.checkers.isolation import Append, Read, Transaction
from daystore_compliance.checkers.isolation import Outcome as Fate
from daystore_compliance.checkers.linearizability import Kind, Operation, State
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.transacting import NEEDS, begin

CLIENTS: Final = 8
KEYS: Final = ("k", "k:", "k:1", "l")


async def _adapters(env: Env, where: str) -> Sequence[StorageAdapter]:
    """Return the adapters of the clients: the one, or several on the same data where the target can."""
    if where == "one" or "second" not in env.target.hooks:
        return [env.adapter]
    return [env.adapter, await env.second(), await env.second()]


def _strongest(adapter: StorageAdapter) -> Consistency:
    return STRONG if "strong" in adapter.capabilities.consistency else EVENTUAL


async def _turns(rng: random.Random, most: int) -> None:
    """Give others a few turns."""
    for _ in range(rng.randrange(most + 1)):
        await asyncio.sleep(0)


# --- Registers ------------------------------------------------------------------------------------------------


class _Client:
    """A client that reads and writes single records, and writes down what it did and what came of it.

    Args:
        number: Which client.
        records: Through which it works.
        keys: The keys it works on.
        history: Where it writes down.
        instants: The counter that all clients share.
        rng: Of which its choices are.
    """

    def __init__(
        self,
        number: int,
        records: Records,
        keys: Sequence[str],
        history: list[Operation],
        instants: count[int],
        rng: random.Random,
    ) -> None:
        self.number = number
        self.records = records
        self.keys = keys
        self.history = history
        self.instants = instants
        self.rng = rng
        self.known: dict[str, str] = {}  # the version of each record when this client last saw it
        self.level = _strongest(records.adapter)
        self.judged = self.level is STRONG  # a read that may be old proves nothing

    async def run(self, operations: int) -> None:
        """Do as many operations."""
        choices: list[Callable[[str], Awaitable[None]]] = [self.read, self.read_two, self.query]
        choices += [self.write, self.write_if, self.write_if, self.create, self.delete, self.delete_if]
        if not self.records.adapter.capabilities.query:
            choices.remove(self.query)
        for _ in range(operations):
            await self.rng.choice(choices)(self.rng.choice(self.keys))
            await _turns(self.rng, 2)

    # --- Reading -----------------------------------------------------------------------------------------

    async def read(self, key: str) -> None:
        """Read one record."""
        await self._read([key])

    async def read_two(self, key: str) -> None:
        """Read two records at once."""
        await self._read([key, self.keys[self.keys.index(key) - 1]])

    async def _read(self, keys: Sequence[str]) -> None:
        called = next(self.instants)
        await self._linger()
        found = await self.records.adapter.read(self.records.name, keys, self.level)
        await self._linger()
        self._saw(keys, found, called)

    async def query(self, key: str) -> None:
        """Find one record by a query."""
        called = next(self.instants)
        query = self.records.query(Compare("key", Op.EQ, key))
        page = await self.records.adapter.query(query, self.level)
        self._saw([key], page.records or [None], called)

    def _saw(self, keys: Sequence[str], found: Sequence[Record | None], called: int) -> None:
        returned = next(self.instants)
        for key, record in zip(keys, found, strict=True):
            state: State = None if record is None else (record.version, record.value)
            if record is not None:
                self.known[key] = record.version
            if self.judged:
                self.history.append(Operation(key, Kind.READ, called, returned, state, client=self.number))

    # --- Writing -----------------------------------------------------------------------------------------

    async def write(self, key: str) -> None:
        """Write, whatever is there."""
        await self._change(self._put(key, ANY))

    async def write_if(self, key: str) -> None:
        """Write at the version that this client knows."""
        await self._change(self._put(key, self.known.get(key, ABSENT)))

    async def create(self, key: str) -> None:
        """Write where nothing is."""
        await self._change(self._put(key, ABSENT))

    async def delete(self, key: str) -> None:
        """Delete, whatever is there."""
        await self._change(self.records.a_delete(key))

    async def delete_if(self, key: str) -> None:
        """Delete at the version that this client knows."""
        await self._change(self.records.a_delete(key, expect=self.known.get(key, "unknown")))

    def _put(self, key: str, expect: Expectation) -> Put:
        value = b"%d by %d" % (len(self.history), self.number)
        return self.records.a_put(key, value, expect=expect)

    async def _change(self, operation: Put | Delete) -> None:
        atomic = self.rng.random() < 0.3 and self.records.adapter.capabilities.atomic_batch
        called = next(self.instants)
        await self._linger()
        try:
            outcome = (await self.records.write(operation, atomic=atomic))[0]
        except VersionConflict as error:
            outcome = Outcome(None, existed=False, error=error)
        await self._linger()
        self._did(operation, outcome, called)

    def _did(self, operation: Put | Delete, outcome: Outcome, called: int) -> None:
        put, error = isinstance(operation, Put), outcome.error
        if error is not None and not isinstance(error, VersionConflict):
            raise error
        assert not isinstance(operation.expect, Holds), "no client of a history prepares"
        returned = next(self.instants)
        self.history.append(
            Operation(
                operation.key,
                Kind.WRITE if put else Kind.DELETE,
                called,
                returned,
                (operation.version, operation.value) if isinstance(operation, Put) else None,
                operation.expect,
                refused=error is not None,
                existed=None if error is not None else outcome.existed,
                client=self.number,
            )
        )
        if error is None and isinstance(operation, Put):
            self.known[operation.key] = operation.version
        elif error is not None and error.current is not None:
            self.known[operation.key] = error.current

    async def _linger(self) -> None:
        if self.rng.random() < 0.3:  # not always: an operation that takes long has many excuses
            await _turns(self.rng, 2)


@case("cas.linearizable", requires={"conditional"}, variants=("one", "apart"))
async def linearizable(env: Env, where: str) -> None:
    """What eight clients read and write beside each other has an order that explains every single result."""
    adapters = await _adapters(env, where)
    overlapping = conflicts = 0
    for number in range(env.scale(2, 10)):
        records, history, instants = env.records(), list[Operation](), count()
        keys = ["a", "A", "a "][: 1 + number % 3]
        clients = [
            _Client(
                client,
                records.through(adapters[client % len(adapters)]),
                keys,
                history,
                instants,
                random.Random(f"{env.plan.seed} {number} {client}"),
            )
            for client in range(CLIENTS)
        ]
        await asyncio.gather(*(client.run(env.scale(60, 100)) for client in clients))
        state = await records.state(*keys)
        clients[0]._saw(keys, [state.get(key) for key in keys], next(instants))
        witness = linearizability.check(history)
        assert witness is None, str(witness)
        overlapping += linearizability.overlaps(history)
        conflicts += sum(operation.refused for operation in history)
    assert overlapping > 20, "the clients did not overlap"
    assert conflicts > 20, "the clients did not meet"


# --- Lists ----------------------------------------------------------------------------------------------------


class _Appender:
    """A client that reads lists and appends to them in transactions, and writes down what it did.

    Args:
        number: Which client.
        records: Through which it works.
        history: Where it writes down.
        instants: The counter that all clients share.
        rng: Of which its choices are.
    """

    def __init__(
        self,
        number: int,
        records: Records,
        history: list[Transaction],
        instants: count[int],
        rng: random.Random,
    ) -> None:
        self.number = number
        self.records = records
        self.history = history
        self.instants = instants
        self.rng = rng

    async def run(self, transactions: int) -> None:
        """Run as many transactions."""
        for _ in range(transactions):
            await (self.append_outside() if self.rng.random() < 0.1 else self.transact())
            await _turns(self.rng, 2)

    async def transact(self) -> None:
        """Run one transaction, and do not try again if it conflicts."""
        steps: list[Append | Read] = []
        began = next(self.instants)
        outcome = Fate.ABORTED
        tx = None
        only_reads = self.rng.random() < 0.3
        try:
            async with begin(self.records) as tx:
                for _ in range(self.rng.randint(1, 4)):
                    steps += await self._step(tx, self.rng.randrange(3 if only_reads else 6))
                    await _turns(self.rng, 2)
                if self.rng.random() < 0.05:
                    tx.abort()
            if tx.state == "committed":
                outcome = Fate.COMMITTED
        except TransactionConflict:
            pass
        self._note(steps, began, outcome)

    async def _step(self, tx: RecordTransaction, what: int) -> list[Append | Read]:
        match what:
            case 0:
                keys = self.rng.sample(KEYS, 2)
                found = await tx.read(self.records.name, keys)
                return [Read(key, _items(record)) for key, record in zip(keys, found, strict=True)]
            case 1 | 2:
                return await self._query(tx)
            case _:
                return await self._append(tx, self.rng.choice(KEYS))

    async def _query(self, tx: RecordTransaction) -> list[Append | Read]:
        """Read all lists by one query, or those after a key."""
        after = self.rng.choice(KEYS[:2])
        page = await tx.query(self.records.query(Compare("key", Op.GE, after)))
        found = {record.key: record for record in page.records}
        return [Read(key, _items(found.get(key))) for key in KEYS if key >= after]

    async def _append(self, tx: RecordTransaction, key: str) -> list[Append | Read]:
        before = (await tx.read(self.records.name, [key]))[0]
        await _turns(self.rng, 1)
        item = next(self.instants)
        await tx.write([self.records.a_put(key, _joined(before, item))])
        return [Read(key, _items(before)), Append(key, item)]

    async def append_outside(self) -> None:
        """Append by a conditional write, without a transaction."""
        key, began = self.rng.choice(KEYS), next(self.instants)
        before = (
            await self.records.adapter.read(self.records.name, [key], _strongest(self.records.adapter))
        )[0]
        await _turns(self.rng, 1)
        item = next(self.instants)
        expect = ABSENT if before is None else before.version
        (outcome,) = await self.records.write(self.records.a_put(key, _joined(before, item), expect=expect))
        if outcome.error is not None and not isinstance(outcome.error, VersionConflict):
            raise outcome.error
        steps: list[Append | Read] = [Read(key, _items(before)), Append(key, item)]
        committed = outcome.error is None
        self._note(steps, began, Fate.COMMITTED if committed else Fate.ABORTED)

    def _note(self, steps: Sequence[Append | Read], began: int, outcome: Fate) -> None:
        name = f"T{len(self.history)} of client {self.number}"
        self.history.append(Transaction(name, tuple(steps), began, next(self.instants), outcome))


def _items(record: Record | None) -> tuple[int, ...]:
    return () if record is None else tuple(map(int, record.value.split(b",")))


def _joined(record: Record | None, item: int) -> bytes:
    return b"%d" % item if record is None else b"%s,%d" % (record.value, item)


@case("txn.isolation_claim", requires=NEEDS, variants=("one", "apart"))
async def isolation_claim(env: Env, where: str) -> None:
    """What transactions beside each other read and append has none of the anomalies that serializable forbids."""
    adapters = await _adapters(env, where)
    committed = aborted = 0
    for number in range(env.scale(2, 10)):
        records, history, instants = env.records(), list[Transaction](), count()
        clients = [
            _Appender(
                client,
                records.through(adapters[client % len(adapters)]),
                history,
                instants,
                random.Random(f"{env.plan.seed} {number} {client}"),
            )
            for client in range(CLIENTS)
        ]
        await asyncio.gather(*(client.run(env.scale(20, 50)) for client in clients))
        state = await records.state(*KEYS)
        final = tuple(Read(key, _items(state.get(key))) for key in KEYS)
        clients[0]._note(final, next(instants), Fate.COMMITTED)
        anomalies = isolation.check(history)
        told = "\n".join(map(str, anomalies))
        assert _claimed(env.capabilities) not in isolation.ruled_out(anomalies), told
        committed += sum(t.outcome is Fate.COMMITTED and bool(t.steps) for t in history)
        aborted += sum(t.outcome is Fate.ABORTED for t in history)
    assert committed > 20, "hardly a transaction committed"
    assert aborted > 20, "the transactions did not meet"


def _claimed(capabilities: Capabilities) -> str:
    """Return the level that is promised; real time is a matter of strong reads."""
    return "strict-serializable" if "strong" in capabilities.consistency else "serializable"
