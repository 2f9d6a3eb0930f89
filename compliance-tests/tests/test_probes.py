"""What an adapter declares is tried before the cases, by every process of a run."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from daystore.abc import Capabilities, Outcome, Query, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import UnsupportedOperation
from daystore_compliance.probes import lies


class Yielding(MemoryAdapter):
    """Lets somebody else have a turn after each write."""

    async def _write(self, batch: WriteBatch) -> list[Outcome]:
        outcomes = await super()._write(batch)
        await asyncio.sleep(0)
        return outcomes


class Unable(MemoryAdapter):
    """Declares what it cannot do."""

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, aggregate=True)

    async def aggregate(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
        """Refuse."""
        raise UnsupportedOperation("no")


def test_processes_that_ask_one_backend_at_once_find_the_same() -> None:
    """None of them meets what another one writes, and nothing is left."""

    async def main() -> None:
        async with Yielding() as adapter:
            assert await asyncio.gather(*(lies(adapter) for _ in range(3))) == [[], [], []]
            assert await adapter.count(Query("probe")) == 0

    asyncio.run(main())


def test_what_was_left_by_a_run_that_died_stands_in_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that somebody else runs keeps it for the next run."""

    async def main() -> None:
        async with MemoryAdapter() as adapter:
            with monkeypatch.context() as patch:
                patch.setattr(adapter, "delete_batch", _die)
                with pytest.raises(ConnectionAbortedError):
                    await lies(adapter)
            assert await adapter.count(Query("probe")) > 0
            assert await lies(adapter) == []

    asyncio.run(main())


async def _die(*_: object) -> None:
    raise ConnectionAbortedError


def test_what_is_declared_and_not_served_is_told() -> None:
    """By its name, so that nobody looks for it in the cases."""

    async def main() -> None:
        async with Unable() as adapter:
            assert await lies(adapter) == ["aggregate is declared and not served: UnsupportedOperation"]

    asyncio.run(main())
