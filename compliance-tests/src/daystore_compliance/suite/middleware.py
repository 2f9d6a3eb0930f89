"""Middleware around the operations of a store: each hook exactly once, and nothing else is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from daystore.abc import Delete, MiddlewareContext, Outcome, Put, Record
from daystore.errors import CorruptRecord, TransactionConflict
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq
from daystore_compliance.store_steps import INDEXES, NEEDS, STEPS

Log = list[tuple[str, str, str]]
"""Who was called, for which operation, and by which hook."""


class Watcher:
    """Notes each hook and changes nothing.

    Args:
        name: By which it is noted.
        log: Where it notes.
        reached: Set when an operation gets here, which then waits for ever; ``None`` for not waiting.
    """

    def __init__(self, name: str, log: Log, reached: asyncio.Event | None = None) -> None:
        self.name = name
        self.log = log
        self.reached = reached

    def _note(self, context: MiddlewareContext, hook: str) -> None:
        self.log.append((self.name, context.operation, hook))

    async def _wait(self) -> None:
        if self.reached is not None:
            self.reached.set()
            await asyncio.Event().wait()

    async def before_read(self, context: MiddlewareContext) -> None:
        """Note it."""
        self._note(context, "before_read")
        await self._wait()

    async def after_read(
        self, context: MiddlewareContext, records: list[Record | None]
    ) -> list[Record | None]:
        """Note it."""
        self._note(context, "after_read")
        return list(records)

    async def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> list[Put | Delete]:
        """Note it."""
        self._note(context, "before_write")
        await self._wait()
        return list(operations)

    def after_write(
        self, context: MiddlewareContext, operations: list[Put | Delete], outcomes: Sequence[Outcome]
    ) -> None:
        """Note it."""
        assert len(operations) == len(outcomes)
        self._note(context, "after_write")

    def on_error(self, context: MiddlewareContext, error: BaseException) -> None:
        """Note it."""
        self._note(context, f"on_error {type(error).__name__}")


def _calls(operation: str, kinds: str, error: str = "") -> Log:
    """Return the calls of two middleware, ``a`` before ``b``, that an operation makes; see `Step.hooks`."""
    meaning = {
        "R": [("ab", "before_read"), ("ba", "after_read")],
        "W": [("ab", "before_write"), ("ba", "after_write")],
        "r": [("ab", "before_read")],
        "w": [("ab", "before_write")],
        "E": [("ba", f"on_error {error}")],
    }
    return [(name, operation, hook) for kind in kinds for names, hook in meaning[kind] for name in names]


def _expected(hooks: str, error: object, *, deferred: bool = False) -> Log:
    """Return the calls of a step; inside a transaction without those that wait for its commit."""
    words = hooks.split()
    log: Log = []
    for operation, kinds in zip(words[::2], words[1::2], strict=True):
        log += _calls(operation, kinds.replace("W", "w") if deferred else kinds, str(error))
    return log


def _watched(env: Env, log: Log, **options: Any) -> Store[Any]:
    return env.store(indexes=INDEXES, middleware=[Watcher("a", log), Watcher("b", log)], **options)


# --- Every hook once -----------------------------------------------------------------------------------------


@case("mw.order_once", requires=NEEDS)
async def order_once(env: Env) -> None:
    """Each operation calls each hook once: before it in the order of configuration, after it in reverse."""
    log: Log = []
    store = _watched(env, log)
    for name, step in STEPS.items():
        log.clear()
        seen = await step.run(store)
        assert log == _expected(step.hooks, seen), f"the hooks of {name}"
    log.clear()
    expiring = env.reading(store, indexes=INDEXES, ttl=60, middleware=[Watcher("a", log), Watcher("b", log)])
    await expiring.set("new", {"n": 1}, keep_ttl=True)
    assert log == _calls("set", "RW")


@case("mw.order_once_inside", requires=NEEDS | {"transactions"})
async def order_once_inside(env: Env) -> None:
    """Inside a transaction each hook is called once too, and after_write when everything has been committed."""
    log: Log = []
    storage, visible = env.storage(), []
    store = _watched(env, log)
    plain = env.reading(store, indexes=INDEXES)

    class Looks:
        async def after_write(self, _context: object, _operations: object, _outcomes: object) -> None:
            visible.append(await plain.count())

    looking = env.store(middleware=[Looks()])
    writes: Log = []
    async with storage.transaction() as tx:
        await tx[looking].set("first", {"n": 0})
        for name, step in STEPS.items():
            log.clear()
            seen = await step.run(tx[store])
            assert log == _expected(step.hooks, seen, deferred=True), f"the hooks of {name} in a transaction"
            writes += [call for call in _expected(step.hooks, seen) if call[2] == "after_write"]
        assert visible == []
        log.clear()
    assert log == writes, "after_write of a transaction"
    assert visible == [3], "after_write came before the commit"


@case("mw.errors_once", requires=NEEDS)
async def errors_once(env: Env) -> None:
    """An operation that fails, is refused or is cancelled tells each middleware once, and the error goes on."""
    log: Log = []
    store = _watched(env, log)
    await env.reading(store).set("k", {"n": 1})
    damaged = Put(store.collection, "bad", b"\xff", content_type="application/json")
    await env.records(store.collection).write(damaged)

    class Refuses:
        def before_write(self, _context: object, _operations: object) -> None:
            raise PermissionError

        def before_read(self, _context: object) -> None:
            raise PermissionError

    watchers = [Watcher("a", log), Watcher("b", log)]
    refusing = env.reading(store, middleware=[*watchers, Refuses()])
    with raises(CorruptRecord):
        await store.get("bad")
    assert log == _calls("get", "RE", "CorruptRecord")
    attempts: tuple[tuple[str, str, Callable[[Store[Any]], Awaitable[Any]]], ...] = (
        ("set", "wE", lambda s: s.set("k", {"n": 2})),
        ("delete", "wE", lambda s: s.delete("k")),
        ("get_batch", "rE", lambda s: s.get_batch(["k"])),
        ("count", "rE", lambda s: s.count()),
        ("update", "rE", lambda s: s.update("k", {"n": 2})),
    )
    for operation, kinds, attempt in attempts:
        log.clear()
        with raises(PermissionError):
            await attempt(refusing)
        assert log == _calls(operation, kinds, "PermissionError"), operation
        log.clear()
        reached = asyncio.Event()
        waiting = env.reading(store, middleware=[watchers[0], Watcher("b", log, reached)])
        running = asyncio.ensure_future(attempt(waiting))
        await reached.wait()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled(), "a cancellation does not reach the caller"
        assert log == _calls(operation, kinds, "CancelledError"), operation
    assert await env.reading(store).get("k") == {"n": 1}, "what was refused was done"


@case("mw.errors_once_inside", requires=NEEDS | {"transactions"}, variants=("error", "abort", "conflict"))
async def errors_once_inside(env: Env, how: str) -> None:
    """What was written in a transaction that does not commit tells each middleware once of its error."""
    log: Log = []
    storage, store = env.storage(), _watched(env, log)
    plain = env.reading(store)
    await plain.set("k", {"n": 1})
    try:
        async with storage.transaction() as tx:
            await tx[store].update("k", {"n": 2})
            await tx[store].delete("k")
            assert log == _calls("update", "Rw") + _calls("delete", "w")
            log.clear()
            if how == "conflict":
                await plain.set("k", {"n": 3})
            elif how == "abort":
                tx.abort()
            else:
                _fail()
    except (ArithmeticError, TransactionConflict) as error:
        told = type(error).__name__
    else:
        told = "TransactionClosed"
    assert told == {"error": "ArithmeticError", "abort": "TransactionClosed"}.get(how, "TransactionConflict")
    assert log == _calls("update", "E", told) + _calls("delete", "E", told)
    assert await plain.get("k") == {"n": 3 if how == "conflict" else 1}


def _fail() -> None:
    raise ArithmeticError


# --- Nothing else changes ------------------------------------------------------------------------------------


async def _same_records(env: Env, one: Store[Any], other: Store[Any], after: str) -> int:
    """Expect the same records in two collections, but for their versions; return how many."""
    found, expected = await _state(env, one), await _state(env, other)
    assert list(found) == list(expected), f"other records after {after}"
    for key, record in found.items():
        assert_same_record(record, expected[key], f"a record after {after}")
    return len(found)


async def _state(env: Env, store: Store[Any]) -> Mapping[str, Record]:
    state = await env.records(store.collection).state("a", "t")
    return {key: replace(record, version="") for key, record in state.items()}


@case("mw.neutral", requires=NEEDS)
async def neutral(env: Env) -> None:
    """Middleware that only looks changes nothing that is stored and nothing that is read, on any path."""
    plain, watched = env.store(indexes=INDEXES), _watched(env, [])
    most = 0
    for name, step in STEPS.items():
        expected = await step.run(plain)
        assert strict_eq(await step.run(watched), expected), f"another answer to {name}"
        if "W" in step.hooks:
            most = max(most, await _same_records(env, watched, plain, name))
        env.clock.advance(1)
    assert most > 5, "too little was stored to tell"
