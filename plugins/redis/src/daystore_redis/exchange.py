"""Asking the server of a shard: when to ask again, and what becomes of an error."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from daystore.errors import BackendUnavailable, StoreClosed
from daystore_redis.connection import Lost, NotSent, Refused
from daystore_redis.errors import BACKEND, unavailable
from daystore_redis.packing import command
from daystore_redis.pool import Pool, Request
from daystore_redis.scripts import Script
from daystore_redis.servers import Servers

__all__ = ["Exchange", "Unanswered", "answered_error", "unreachable"]

_ASKING: Final = command("ASKING")
_ELSEWHERE: Final = (ClusterDownError, MasterDownError, TryAgainError, ReadOnlyError)
"""What a server answers that cannot do it now, and has done nothing."""


class Unanswered(Exception):
    """Every attempt has failed. Its cause says why.

    Args:
        sent: Whether the server may have seen one of them.
    """

    def __init__(self, *, sent: bool) -> None:
        super().__init__()
        self.sent: bool = sent


class Exchange:
    """Requests and answers. It belongs to the event loop in which it is made.

    Args:
        servers: Where to send them.
    """

    def __init__(self, servers: Servers) -> None:
        self.servers: Servers = servers
        self._loop = asyncio.get_running_loop()
        self._closed = False

    async def close(self) -> None:
        """End all connections."""
        self._closed = True
        await self.servers.close()

    async def reconnect(self, shard: int) -> None:
        """End the connections to the server of a shard that nobody uses."""
        try:
            pool = await self.servers.pool_of(shard)
        except (NotSent, Refused):
            return  # asking will tell
        await pool.drop_idle()

    async def read(self, operation: str, shard: int, request: bytes, script: Script | None = None) -> Any:
        """Ask for something that changes nothing.

        Raises:
            BackendUnavailable: If the server cannot be reached, or answers with an error.
        """
        try:
            return await self.ask(shard, request, script)
        except Unanswered as error:
            raise unreachable(error.__cause__, operation) from error.__cause__
        except ResponseError as error:
            raise answered_error(error, operation) from error

    async def ask(self, shard: int, request: Request, script: Script | None = None, answers: int = 1) -> Any:
        """Ask until there is an answer, as often as the servers are worth it.

        What is asked has to be the same if it is done twice.

        Args:
            shard: Whose server is asked.
            request: Packed commands.
            script: Which script they call.
            answers: How many commands they are.

        Raises:
            Unanswered: If no attempt was answered.
            ResponseError: If that is the answer.
            BackendUnavailable: If the server does not let us in.
        """
        failure: BaseException | None = None
        sent = False
        for delay in self.servers.delays:
            if delay:
                await asyncio.sleep(delay)
            self._check_open(failure, sent=sent)
            try:
                pool = await self.servers.pool_of(shard)
                return await self._once(pool, request, script, answers)
            except MovedError as error:
                failure = error
                self.servers.learn(shard, (error.host, error.port))
            except AskError as error:
                failure = error
                try:
                    node = self.servers.pool_at((error.host, error.port))
                    return await self._once(node, _after_asking(request), script, answers, skip=1)
                except (NotSent, Lost) as lost:
                    failure, sent = lost.__cause__, sent or isinstance(lost, Lost)
            except _ELSEWHERE as error:
                failure = error
                self.servers.forget()
            except (NotSent, Lost) as error:
                failure, sent = error.__cause__, sent or isinstance(error, Lost)
                self._check_open(failure, sent=sent)
                self.servers.forget()
            except Refused as error:
                raise _refusal(error.__cause__) from error.__cause__
        raise Unanswered(sent=sent) from failure

    async def _once(
        self, pool: Pool, request: Request, script: Script | None, answers: int, skip: int = 0
    ) -> Any:
        """Ask one server; again, if it did not know the script. The first `skip` answers are not wanted."""
        try:
            return _wanted(await pool.ask(request, answers + skip), answers, skip)
        except NoScriptError:
            if script is None:
                raise
        await pool.ask(command("SCRIPT", "LOAD", script.text))
        return _wanted(await pool.ask(request, answers + skip), answers, skip)

    def _check_open(self, failure: BaseException | None, *, sent: bool) -> None:
        if self._closed or self._loop is not asyncio.get_running_loop():
            if sent:
                raise Unanswered(sent=True) from failure
            raise StoreClosed("the adapter was closed, or opened on another event loop", backend=BACKEND)


def _wanted(found: Any, answers: int, skip: int) -> Any:
    """Return what was asked for; of several answers the first one tells whether that was done."""
    if answers + skip == 1:
        return found
    if isinstance(found[skip], ResponseError):
        raise found[skip]
    return found[skip] if answers == 1 else found[skip:]


def _after_asking(request: Request) -> Request:
    """Tell a node that is taking over a slot that we know it."""
    return lambda ahead: _ASKING + (request if isinstance(request, bytes) else request(ahead))


def unreachable(cause: BaseException | None, operation: str) -> BackendUnavailable:
    """Make the error for a request that nobody has answered, or only by what it could not do."""
    if isinstance(cause, ReadOnlyError):
        return unavailable("the server is a replica, which cannot be written to", operation)
    if isinstance(cause, TryAgainError):
        return unavailable("the slot of these records is being moved to another node", operation)
    if isinstance(cause, ClusterDownError):
        return unavailable("the cluster has no master for these records", operation)
    return unavailable("the server cannot be reached", operation)


def _refusal(error: BaseException | None) -> BackendUnavailable:
    if isinstance(error, NoPermissionError):
        return answered_error(error, "open")
    return unavailable(
        "the server does not let us in: check user, password and number of the database in the URL",
        retryable=False,
    )


def answered_error(error: ResponseError, operation: str) -> BackendUnavailable:
    """Make our error of what a server has answered. It does not repeat the answer, which may quote a key."""
    if isinstance(error, OutOfMemoryError):
        return unavailable("the server has no memory left: nothing of this was applied", operation)
    if isinstance(error, NoPermissionError):
        return unavailable(
            "the user of the server may not do this: the documentation of daystore-redis lists the permissions "
            "that it needs",
            operation,
            retryable=False,
        )
    word = str(error).partition(" ")[0]
    retryable = word in ("BUSY", "MISCONF", "NOREPLICAS")
    return unavailable(f"the server answered with the error {word!r}", operation, retryable=retryable)
