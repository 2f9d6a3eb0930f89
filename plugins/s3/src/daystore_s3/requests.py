"""Requests: blocking calls on threads of their own, with one rule for trying again.

What changes nothing when it is done twice is repeated here: reads, and writes of objects whose names are never
used again. A conditional write is sent once; whoever sends it looks what became of it.
"""

from __future__ import annotations

import asyncio
import random
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from hashlib import md5
from typing import Final, TypeVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape as xml_escape

from daystore.errors import BackendUnavailable, StoreClosed
from daystore_s3.config import S3Config
from daystore_s3.errors import BACKEND, unavailable
from daystore_s3.sending import Answer, Busy, Denied, Refused, Sender, Unanswered
from daystore_s3.urls import Location

__all__ = ["Found", "Item", "Listing", "Requests", "pauses", "unreachable"]

T = TypeVar("T")

ATTEMPTS: Final = 5
PAUSE, LONGEST_PAUSE = 0.02, 1.0
PAGE: Final = 1_000
"""Names that a server lists at once."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object, or its beginning."""

    body: bytes
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Item:
    """An object as a listing tells of it."""

    name: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of a listing, and the instant of the server at which it was made.

    Attributes:
        items: The objects; what a server lists that is its own is left out.
        last: The last name of this part, if there are more; else empty.
        now: The present instant of the server.
    """

    items: list[Item]
    last: str
    now: datetime


def pauses(attempts: int = ATTEMPTS) -> Iterator[float]:
    """Return how long to wait before each attempt."""
    yield 0.0
    pause = PAUSE
    for _ in range(attempts - 1):
        yield random.uniform(0.5, 1.0) * pause  # noqa: S311 -- no secret
        pause = min(2 * pause, LONGEST_PAUSE)


class Requests:
    """Sends requests to one bucket.

    Args:
        location: Where it is.
        config: The options.
        limit: As for `Sender`.

    Attributes:
        sent: How many were sent.
    """

    def __init__(self, location: Location, config: S3Config, limit: Callable[[], float | None]) -> None:
        self._location = location
        self._config = config
        self._limit = limit
        self._threads = ThreadPoolExecutor(config.max_connections, thread_name_prefix="daystore-s3")
        self._sender: Sender | None = None
        self._is_ended = False
        self.sent: int = 0

    async def connect(self) -> None:
        """Find out where to send requests, and with which credentials."""
        self._sender = await self._run(lambda: Sender(self._location, self._config, self._limit))

    def end(self) -> None:
        """Break off what waits for an answer; what is asked from now on is told that the adapter was closed."""
        self._is_ended = True
        if self._sender is not None:
            self._sender.end()

    def close(self) -> None:
        """Give threads and connections back."""
        self.end()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._sender is not None:
            self._sender.close()

    # --- What is asked ---------------------------------------------------------------------------------------

    async def get(self, name: str, first: int | None = None) -> Found | None:
        """Return an object, or so many bytes of its beginning."""
        headers = {} if first is None else {"Range": f"bytes=0-{first - 1}"}
        try:
            answer = await self._repeated("read", lambda sender: sender.send("GET", name, headers=headers))
        except Refused:
            return None
        whole = answer.headers.get("Content-Range")
        size = len(answer.body) if whole is None else int(whole.rpartition("/")[2])
        return Found(answer.body, answer.headers.get("ETag", ""), size)

    async def listing(self, prefix: str, after: str = "", size: int = PAGE) -> Listing:
        """Return the names after one that begin with a prefix."""
        parameters: dict[str, str | int] = {"list-type": 2, "prefix": prefix, "max-keys": size}
        if after:
            parameters["start-after"] = after
        return await self._repeated(
            "query", lambda sender: _listing(prefix, sender.send("GET", parameters=parameters))
        )

    async def names(self, prefix: str, after: str = "", size: int = PAGE) -> AsyncIterator[Listing]:
        """Go through all names after one that begin with a prefix.

        Args:
            prefix: What they begin with.
            after: After which to begin.
            size: How many to ask for at first, where only some of them may be of use.
        """
        while True:
            listing = await self.listing(prefix, after, size)
            size = min(4 * size, PAGE)
            yield listing
            if not listing.last:
                return
            after = listing.last

    async def keep(self, name: str, body: bytes = b"") -> None:
        """Write an object whose name is used once."""
        await self._repeated("write", lambda sender: sender.send("PUT", name, body=body))

    async def drop(self, name: str) -> None:
        """Remove an object whose name is used once."""
        try:
            await self._repeated("write", lambda sender: sender.send("DELETE", name))
        except Refused:  # it is gone
            return

    async def drop_all(self, names: Iterable[str]) -> None:
        """Remove objects whose names are used once."""
        dropped = sorted(names)
        if len(dropped) == 1:
            await self.drop(dropped[0])
            return
        parts = [dropped[at : at + PAGE] for at in range(0, len(dropped), PAGE)]
        await asyncio.gather(*(self._drop_part(part) for part in parts))

    async def _drop_part(self, names: list[str]) -> None:
        objects = "".join(f"<Object><Key>{xml_escape(name)}</Key></Object>" for name in names)
        body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
        headers = {"Content-MD5": b64encode(md5(body, usedforsecurity=False).digest()).decode()}

        def send(sender: Sender) -> None:
            answer = sender.send("POST", parameters={"delete": ""}, headers=headers, body=body)
            if b"<Error>" in answer.body:
                raise Unanswered("some objects were not deleted", sent=True)

        await self._repeated("write", send)

    async def swap(self, name: str, body: bytes, etag: str | None) -> str:
        """Write an object where there is this one, or none. It is sent once; raises as `Sender.send`.

        Returns:
            The ETag of what was written.
        """
        headers = {"If-None-Match": "*"} if etag is None else {"If-Match": etag}
        answer = await self._once(lambda sender: sender.send("PUT", name, headers=headers, body=body))
        return answer.headers["ETag"]

    async def drop_if(self, name: str, etag: str) -> None:
        """Remove an object if it is still this one. It is sent once; raises as `Sender.send`."""
        await self._once(lambda sender: sender.send("DELETE", name, headers={"If-Match": etag}))

    # --- How it is asked -------------------------------------------------------------------------------------

    async def _repeated(self, operation: str, call: Callable[[Sender], T]) -> T:
        """Send what may be sent again."""
        cause: BaseException | None = None
        for pause in pauses():
            if pause:
                await asyncio.sleep(pause)
            try:
                return await self._once(call)
            except (Busy, Unanswered) as error:
                cause = error.__cause__ or error
        raise unreachable(cause, operation) from cause

    async def _once(self, call: Callable[[Sender], T]) -> T:
        if self._is_ended:
            raise StoreClosed("the adapter was closed: open it again", backend=BACKEND)
        self.sent += 1
        sender = self._sender
        assert sender is not None  # noqa: S101 -- connect() comes first
        return await self._run(lambda: call(sender))

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def unreachable(cause: BaseException | None, operation: str) -> BackendUnavailable:
    """Make the error of a server that does not do it, however often it is asked."""
    if isinstance(cause, Denied):
        needed = "s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"
        return unavailable(
            f"the credentials do not allow this: they need {needed}", operation, retryable=False
        )
    if isinstance(cause, Unanswered | Busy):
        return unavailable(f"the server cannot do it now ({cause}): try again later", operation)
    return unavailable("the server cannot be reached: check endpoint_url, and that it runs", operation)


def _is_servers(name: str) -> bool:
    """Tell whether a server that keeps objects as files has listed a directory, or a file that it is writing."""
    return name.endswith("/") or name.rpartition("/")[2].startswith(".")  # dots are escaped in names of ours


def _listing(prefix: str, answer: Answer) -> Listing:
    try:
        root = ET.fromstring(answer.body)  # noqa: S314 -- from our own server
    except ET.ParseError as error:
        raise Unanswered("a listing that cannot be read", sent=True) from error
    space = root.tag.rpartition("}")[0]
    space += "}" if space else ""
    if (root.findtext(f"{space}Prefix") or "") != prefix:
        raise Unanswered("the answer to another question", sent=True)
    items = [
        Item(
            one.findtext(f"{space}Key", ""),
            int(one.findtext(f"{space}Size", "0")),
            one.findtext(f"{space}ETag", ""),
            datetime.fromisoformat(one.findtext(f"{space}LastModified", "")),
        )
        for one in root.iter(f"{space}Contents")
    ]
    last = items[-1].name if items and root.findtext(f"{space}IsTruncated") == "true" else ""
    return Listing(
        [item for item in items if not _is_servers(item.name)],
        last,
        parsedate_to_datetime(answer.headers["Date"]),
    )
