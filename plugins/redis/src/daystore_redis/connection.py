"""One connection to one server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

__all__ = ["Connection", "Lost", "Make", "NotSent", "Refused"]

FAILURES: Final = (OSError, EOFError, RedisError, asyncio.IncompleteReadError)

Make: TypeAlias = Callable[[], AbstractConnection]
"""Makes a connection of the driver, not yet connected."""

_TIME: Final = b"*1\r\n$4\r\nTIME\r\n"


class NotSent(Exception):
    """The request has not left: the server cannot have seen it. Its cause says why."""


class Lost(Exception):
    """The request was sent, and no answer came: the server may have seen it. Its cause says why."""


class Refused(Exception):
    """The server does not let us in, and will not later either. Its cause says why."""


class Connection:
    """One connection of the driver, of which it is certain what comes next on it.

    Args:
        driver: Not yet connected.
        timed: Whether the server's time is of interest.

    Attributes:
        ahead: By how many seconds the server's clock is at least ahead of the event loop's.
    """

    def __init__(self, driver: AbstractConnection, *, timed: bool) -> None:
        self._driver = driver
        self._timed = timed
        self._certain = False
        self.ahead: float = 0.0

    async def connect(self) -> None:
        """Connect, greet, and learn the server's time.

        Raises:
            NotSent: If the server cannot be reached.
            Refused: If it does not accept the credentials.
        """
        try:
            await self._driver.connect()  # type: ignore[no-untyped-call]
            if self._timed:
                await self._learn_time()
            self._certain = True
        except (AuthenticationError, ResponseError) as error:
            await self.close()
            raise Refused from error
        except FAILURES as error:
            await self.close()
            raise NotSent from error
        except Lost as error:
            raise NotSent from error.__cause__
        except BaseException:
            await self.close()
            raise

    async def _learn_time(self) -> None:
        """Learn by how much the server's clock is ahead; by too little rather than by too much."""
        seconds, micros = await self.ask(_TIME)
        self.ahead = int(seconds) + int(micros) / 1_000_000 - asyncio.get_running_loop().time()

    async def ask(self, request: bytes, answers: int = 1) -> Any:
        """Send packed commands and return the answer, a list if there are several.

        Args:
            request: One command or more.
            answers: How many.

        Raises:
            ResponseError: If that is the answer.
            Lost: If no answer came.
            NotSent: If the server is still starting.
        """
        driver = self._driver
        self._certain = False  # and stays so if this is cancelled, or fails
        try:
            await driver.send_packed_command(request, check_health=False)
            if answers == 1:
                answer = await driver.read_response()
            else:
                answer = [await self._answer() for _ in range(answers)]
        except ResponseError:
            self._certain = True
            raise
        except BusyLoadingError as error:  # the server has only begun to start
            raise NotSent from error
        except FAILURES as error:
            raise Lost from error
        self._certain = True
        return answer

    async def _answer(self) -> Any:
        try:
            return await self._driver.read_response()
        except ResponseError as error:
            return error

    async def is_usable(self) -> bool:
        """Tell whether the next thing that arrives will be the answer to the next request."""
        if not (self._certain and self._driver.is_connected):
            return False
        try:
            return not await self._driver.can_read()
        except FAILURES:
            return False

    async def close(self) -> None:
        """End it."""
        self._certain = False
        await self._driver.disconnect(nowait=True)
