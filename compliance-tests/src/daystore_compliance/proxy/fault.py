"""Faults: what happens to which message."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Final

__all__ = ["REPLY", "REQUEST", "Action", "Direction", "Fault"]


class Direction(Enum):
    """Which way bytes go."""

    REQUEST = "request"
    REPLY = "reply"


REQUEST: Final = Direction.REQUEST
"""From the client to the server."""
REPLY: Final = Direction.REPLY
"""From the server to the client."""


class Action(Enum):
    """What is done to a message."""

    CUT = "cut"
    LOSE = "lose"
    HOLD = "hold"
    REPEAT = "repeat"


class Fault:
    """One fault that waits for its message: made by the methods of `FaultProxy`, which say what it does.

    Args:
        action: What is done to the message.
        direction: Whether it waits for a request or for a reply.
        nth: Which message from now on it strikes, over all connections; 1 is the next one.
        keep: Bytes of the message that still get through before a cut.
        lasting: Whether it strikes every message after that one, too.

    Attributes:
        hits: How many messages it has struck.
        struck: Set when it strikes for the first time.

    Raises:
        ValueError: If `nth` is not positive or `keep` is negative.
    """

    def __init__(
        self, action: Action, direction: Direction, nth: int = 1, *, keep: int = 0, lasting: bool = False
    ) -> None:
        if nth < 1 or keep < 0:
            raise ValueError(
                "a fault strikes the first message or a later one, and keeps no less than nothing"
            )
        self.action = action
        self.direction = direction
        self.keep = keep
        self.hits: int = 0
        self.struck: asyncio.Event = asyncio.Event()
        self._wait = nth
        self._lasting = lasting
        self._released = asyncio.Event()

    def strikes(self) -> bool:
        """Count a message that begins, and tell whether it is the one."""
        self._wait -= 1
        if self._wait > 0 or (self._wait < 0 and not self._lasting):
            return False
        self.hits += 1
        self.struck.set()
        return True

    def release(self) -> None:
        """Let go what is held; also done at the end of the block."""
        self._released.set()

    async def released(self) -> None:
        """Wait until what is held may go on."""
        await self._released.wait()

    def __repr__(self) -> str:
        return f"<Fault {self.action.value} {self.direction.value} hits={self.hits}>"
