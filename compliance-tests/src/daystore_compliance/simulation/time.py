"""An event loop whose time passes only by waiting: a simulated hour takes no time, and every run is the same."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Stalled", "VirtualLoop"]


class Stalled(AssertionError):
    """Everybody waits for something that nobody will do."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Jumps to the next timer whenever there is nothing else to do. It has no files and no signals."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass until the next timer.

        Raises:
            Stalled: If there is none.
        """
        if timeout is None:
            raise Stalled("everybody waits, and no timer is set")
        if timeout > 0:
            self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
