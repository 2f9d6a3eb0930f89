"""What only the memory adapter does; that it keeps the contract is the compliance suite's business."""

from __future__ import annotations

import asyncio

from daystore.abc import Instant, Prepare, Put, WriteBatch
from daystore.abc.coordination import Intent
from daystore.adapters.memory import SWEEP_INTERVAL, MemoryAdapter


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now: Instant = 1_000_000

    def __call__(self) -> Instant:
        return self.now


def held(adapter: MemoryAdapter) -> list[str]:
    return sorted(adapter._collections["notes"])


def test_the_space_of_expired_records_is_given_back_but_not_what_carries_an_intent() -> None:
    async def main() -> None:
        clock = Clock()
        async with MemoryAdapter(clock=clock) as adapter:
            soon = clock.now + 1_000
            puts = [Put("notes", "expired", b"", expires_at=soon), Put("notes", "alive", b"")]
            puts.append(Put("notes", "prepared", b"", expires_at=soon))
            await adapter.write(WriteBatch(puts))
            await adapter.write(
                WriteBatch([Prepare("notes", "prepared", Intent(bytes(16), "", None).pack())])
            )
            clock.now += SWEEP_INTERVAL
            await adapter.set("other", "k", b"")
            assert held(adapter) == ["alive", "prepared"]
            assert await adapter.read("notes", ["expired", "alive", "prepared"]) == [
                None,
                await adapter.get("notes", "alive"),
                None,
            ]

    asyncio.run(main())
