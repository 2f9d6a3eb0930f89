"""One request: the driver says where to send it and signs it, and it is sent without the driver's further layers.

That takes a third of the time that the driver takes. These calls block, so they are made on threads.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit
from weakref import WeakSet
from xml.etree import ElementTree as ET

import boto3.session
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from daystore_s3.config import S3Config
from daystore_s3.errors import unavailable
from daystore_s3.urls import Location

__all__ = ["Answer", "Busy", "Denied", "Refused", "Sender", "Unanswered"]

_SESSION: Final = boto3.session.Session()  # it loads the descriptions of services once, which takes a while
_MAKING: Final = threading.Lock()  # and makes one client at a time

LEAST_SILENCE: Final = 1.0
"""Seconds that the server may be silent however short the time limit of an operation is."""
EMPTY: Final = 416
"""The status of an object that has no beginning, since it has no bytes."""
ADVICE: Final = {
    "InvalidAccessKeyId": "the server does not know this access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "NoSuchBucket": "there is no such bucket: create it",
    "PermanentRedirect": "the bucket is in another region: say which with region=",
    "AuthorizationHeaderMalformed": "the bucket is in another region: say which with region=",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
}


class Refused(Exception):
    """A condition did not hold, or there is no such object. Nothing was changed by this request."""


class Busy(Exception):
    """The server is busy with the same object. Nothing was changed."""


class Denied(Busy):
    """The credentials do not allow this. Nothing was changed.

    MinIO says so of a write, too, while it takes away the directory that the object would be in.
    """


class Unanswered(Exception):
    """There was no answer, or one that says nothing.

    Attributes:
        sent: Whether the request may have arrived.
    """

    def __init__(self, message: str = "", *, sent: bool) -> None:
        super().__init__(message)
        self.sent: bool = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server has answered."""

    headers: Mapping[str, str]
    body: bytes


class Sender:
    """Sends requests to one bucket.

    Args:
        location: Where it is.
        config: The options.
        limit: Returns the seconds that an operation may take at present; longer no answer is waited for.
    """

    def __init__(self, location: Location, config: S3Config, limit: Callable[[], float | None]) -> None:
        with _MAKING:
            client: Any = _SESSION.client(
                "s3",
                endpoint_url=location.endpoint_url,
                region_name=location.region or (None if location.endpoint_url is None else "us-east-1"),
                aws_access_key_id=location.access_key,
                aws_secret_access_key=location.secret_key,
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "auto" if location.endpoint_url is None else "path"},
                ),
            )
            where = {"Bucket": location.bucket, "Key": "-"}
            try:
                self._base: str = client.generate_presigned_url("get_object", where).partition("/-?")[0]
            except (BotoCoreError, ClientError) as error:
                raise unavailable(
                    "there are no credentials: put them into the environment, or into the URL as "
                    "s3://access_key:secret_key@bucket",
                    retryable=False,
                ) from error
            credentials = client._request_signer._credentials
            self._auth = S3SigV4Auth(credentials, "s3", client.meta.region_name)
            client.close()
        self._path = urlsplit(self._base).path
        self._pool = urllib3.connection_from_url(self._base, maxsize=config.max_connections, block=True)
        self._connected: WeakSet[Any] = WeakSet()
        self._is_ended = False
        self._pool.ConnectionCls = _watched(self._pool.ConnectionCls, self._watch)
        self._config = config
        self._limit = limit

    def end(self) -> None:
        """Break off every request that waits for an answer, and every one that begins."""
        self._is_ended = True
        for connection in list(self._connected):
            _break(connection)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _watch(self, connection: Any) -> None:
        self._connected.add(connection)
        if self._is_ended:
            _break(connection)

    def send(
        self,
        method: str,
        name: str = "",
        *,
        parameters: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request.

        Raises:
            Refused: If its condition does not hold, or there is no such object.
            Busy: If it can be tried again at once.
            Unanswered: If it is not known what became of it.
            BackendUnavailable: If the server refuses it for good.
        """
        target = f"/{quote(name, safe='/~')}"
        if parameters:
            target += "?" + urlencode(parameters, quote_via=quote)
        request = AWSRequest(method, self._base + target, headers=dict(headers or {}), data=body)
        try:
            self._auth.add_auth(request)
            response = self._pool.urlopen(
                method,
                self._path + target,
                body=body if method in ("PUT", "POST") else None,
                headers=dict(request.headers.items()),
                retries=False,
                timeout=urllib3.Timeout(self._config.connect_timeout, self._silence()),
            )
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise Unanswered(sent=False) from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Unanswered(sent=True) from error
        if response.status < 300:
            return Answer(response.headers, response.data)
        if response.status == EMPTY:
            return Answer(response.headers, b"")
        raise _failure(response.status, response.data)

    def _silence(self) -> float:
        limit = self._limit()
        longest = self._config.read_timeout
        return longest if limit is None else min(longest, max(limit, LEAST_SILENCE))


def _watched(kind: Any, watch: Callable[[Any], None]) -> Any:
    """Return a class of connections of which each is shown when it has connected."""

    class Watched(kind):  # type: ignore[misc]  # whichever class the pool has
        def connect(self) -> None:
            super().connect()
            watch(self)

    return Watched


def _break(connection: Any) -> None:
    """Let the thread that waits for an answer go on: closing would not wake it."""
    if connection.sock is not None:
        with suppress(OSError):  # it was ended by the server
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # also where it is one of TLS


def _failure(status: int, body: bytes) -> Exception:
    code = _code(body)
    if code == "AccessDenied":
        return Denied()
    if code in ADVICE:
        return unavailable(ADVICE[code], retryable=False)
    if status in (404, 412):
        return Refused()
    if status == 409:
        return Busy()
    if status >= 500 or status in (408, 429) or code in ("SlowDown", "RequestTimeout"):
        return Unanswered(f"{status} {code}", sent=True)
    return unavailable(f"the server refuses the request: {status} {code}".rstrip(), retryable=False)


def _code(body: bytes) -> str:
    try:
        return ET.fromstring(body).findtext("Code", "")  # noqa: S314 -- from our own server
    except ET.ParseError:
        return ""
