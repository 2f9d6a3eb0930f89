"""What happens when the server does not do what is asked, or its answers are lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from daystore.abc import ABSENT, Compare, Op, Put, Query, WriteBatch
from daystore.errors import BackendUnavailable, ConfigError, CorruptRecord, OutcomeUnknown, VersionConflict
from daystore_s3.adapter import S3Adapter
from daystore_s3.compliance import BUCKET, PASSWORD, USER, S3Target
from daystore_s3.sending import Answer, Denied, Sender, Unanswered

FIELDS = {"n": 1}


class Forgetful(BaseHTTPRequestHandler):
    """A server that ignores some conditions, and stores objects in a dictionary."""

    ignored: frozenset[str] = frozenset()
    objects: dict[str, bytes]

    def do_GET(self) -> None:
        """Answer with an object, or an empty listing."""
        if parse_qs(urlsplit(self.path).query):
            self._answer(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        elif (body := self.objects.get(self._name)) is None:
            self._answer(404)
        else:
            self._answer(200, body)

    def do_PUT(self) -> None:
        """Store an object."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = (
            "If-None-Match" in self.headers and self._name in self.objects
        ) or "If-Match" in self.headers
        if refused and not self.ignored & {
            name for name in ("If-None-Match", "If-Match") if name in self.headers
        }:
            self._answer(412)
        else:
            self.objects[self._name] = body
            self._answer(200)

    def do_DELETE(self) -> None:
        """Forget an object."""
        if "If-Match" in self.headers and "DELETE" not in self.ignored:
            self._answer(412)
        else:
            self.objects.pop(self._name, None)
            self._answer(204)

    @property
    def _name(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def forgetful(*ignored: str) -> Iterator[str]:
    """Run a server that ignores these, and return its URL."""
    handler = type("Handler", (Forgetful,), {"ignored": frozenset(ignored), "objects": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"s3://{USER}:{PASSWORD}@bucket?endpoint_url=http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("ignored", [("If-None-Match",), ("If-Match",), ("If-None-Match", "If-Match")])
def test_a_server_that_ignores_conditions_is_refused(ignored: tuple[str, ...]) -> None:
    """The error names what the server ignores."""
    with forgetful(*ignored) as url, pytest.raises(ConfigError, match=" and ".join(ignored)):
        asyncio.run(S3Adapter.from_url(url).open())


@pytest.mark.parametrize("ignored", [(), ("DELETE",)])
def test_conditional_deletes_are_tried(ignored: tuple[str, ...]) -> None:
    """Where the server deletes whatever is there, what was deleted is not taken away."""

    async def main() -> None:
        async with S3Adapter.from_url(url) as adapter:
            assert adapter.removes is not bool(ignored)

    with forgetful(*ignored) as url:
        asyncio.run(main())


def test_opening_whose_answers_are_lost_ends_in_an_error_of_ours(make: Callable[..., S3Adapter]) -> None:
    """Whichever request it is, opening succeeds or says that the server cannot be reached."""
    send, failed = Sender.send, 0

    async def main() -> int:
        nonlocal failed
        adapter = make()
        for nth in range(1, 40):
            sent = 0

            def sending(self: Sender, *arguments: Any, **options: Any) -> Answer:
                nonlocal sent
                sent += 1
                answer = send(self, *arguments, **options)
                if sent >= nth:  # noqa: B023 -- it is called before the next one
                    raise Unanswered(sent=True)
                return answer

            with patch.object(Sender, "send", sending):
                try:
                    await adapter.open()
                except BackendUnavailable:
                    failed += 1
            await adapter.close()
            if sent < nth:
                return nth
        raise AssertionError("opening takes forty requests")

    assert asyncio.run(main()) > 3
    assert failed > 2


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("applied", [True, False])
def test_a_write_whose_answer_is_lost_is_applied_once(
    make: Callable[..., S3Adapter], times: int, applied: bool
) -> None:
    """It succeeds, whether or not the request arrived, and is no conflict with itself."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("c", "k", b"old", fields=FIELDS)
            put = Put("c", "k", b"new", fields={"n": 2})
            with losing(times, applied=applied) as lost:
                (outcome,) = await adapter.write(WriteBatch([put]))
            assert (outcome.error, outcome.version, outcome.existed) == (None, put.version, True)
            assert len(lost) == (1 if applied else times)
            record = await adapter.get("c", "k")
            assert record is not None
            assert (record.value, record.version) == (b"new", put.version)
            create = Put("c", "other", b"new", expect=ABSENT)
            with losing(times, applied=applied):
                (outcome,) = await adapter.write(WriteBatch([create]))
            assert (outcome.error, outcome.existed) == (None, False)
            with pytest.raises(VersionConflict):
                await adapter.set("c", "other", b"newer", if_absent=True)

    asyncio.run(main())


@contextmanager
def losing(times: int, *, applied: bool) -> Iterator[list[str]]:
    """Lose the answers to so many writes of records, or the requests."""
    send, lost = Sender.send, list[str]()

    def sent(self: Sender, method: str, name: str = "", **options: Any) -> Answer:
        if method == "PUT" and "/r/" in name and len(lost) < times:
            lost.append(name)
            if applied:
                send(self, method, name, **options)
            raise Unanswered(sent=True)
        return send(self, method, name, **options)

    with patch.object(Sender, "send", sent):
        yield lost


def test_a_write_that_was_overtaken_is_known_by_its_successors(make: Callable[..., S3Adapter]) -> None:
    """Others write before it looks: so long as they are few, it is found to have been applied."""

    async def main(others: int) -> bool:
        async with make() as adapter, make() as other:
            await adapter.set("c", "k", b"old")
            send, first = Sender.send, [True]
            loop = asyncio.get_running_loop()

            def sent(self: Sender, method: str, name: str = "", **options: Any) -> Answer:
                answer = send(self, method, name, **options)
                if method == "PUT" and "/r/" in name and first and first.pop():
                    asyncio.run_coroutine_threadsafe(overtake(other, others), loop).result(20)
                    raise Unanswered(sent=True)
                return answer

            with patch.object(Sender, "send", sent):
                (outcome,) = await adapter.write(WriteBatch([Put("c", "k", b"mine")]))
            assert outcome.error is None or type(outcome.error) is OutcomeUnknown
            return outcome.error is None

    async def overtake(adapter: S3Adapter, times: int) -> None:
        for number in range(times):
            await adapter.set("c", "k", b"%d" % number)

    assert asyncio.run(main(3))
    assert not asyncio.run(main(12))


def test_an_object_that_is_no_record_is_told_and_left(
    make: Callable[..., S3Adapter], server: S3Target, client: Any
) -> None:
    """It is an error, never a missing record, and nothing overwrites it."""

    async def main() -> None:
        async with make() as adapter:
            name = adapter.places.record("c", "k")
            for body in (b"", b"\2", b"\1\0\0\0\2{}x", b"\1\0\0\0\xff{}", b"garbage"):
                client.put_object(Bucket=BUCKET, Key=name, Body=body)
                with pytest.raises(CorruptRecord):
                    await adapter.get("c", "k")
                with pytest.raises(CorruptRecord):
                    await adapter.set("c", "k", b"v")
                assert client.get_object(Bucket=BUCKET, Key=name)["Body"].read() == body

    asyncio.run(main())


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    """The error says what to check, and neither it nor its cause tells the password."""
    url = f"s3://{USER}:{PASSWORD}@bucket?endpoint_url=http://127.0.0.1:1"
    with pytest.raises(BackendUnavailable, match="endpoint_url") as caught:
        asyncio.run(S3Adapter.from_url(url).open())
    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r}"


@contextmanager
def denying(times: int) -> Iterator[list[str]]:
    """Deny so many writes of new objects, as MinIO does while it takes away the directory they would be in."""
    send, denied = Sender.send, list[str]()

    def sent(self: Sender, method: str, name: str = "", **options: Any) -> Answer:
        if method == "PUT" and len(denied) < times:
            denied.append(name)
            raise Denied
        return send(self, method, name, **options)

    with patch.object(Sender, "send", sent):
        yield denied


def test_a_write_that_is_denied_for_a_moment_is_sent_again(make: Callable[..., S3Adapter]) -> None:
    """One that stays denied is told, and has changed nothing."""

    async def main() -> None:
        async with make() as adapter:
            for times in range(1, 4):
                with denying(times) as denied:
                    await adapter.set("c", f"k{times}", b"v", fields={"n": times})
                assert len(denied) == times
                assert await adapter.count(Query("c", Compare("n", Op.EQ, times))) == 1
            with denying(1000), pytest.raises(BackendUnavailable, match="credentials") as caught:
                await adapter.set("c", "k1", b"other", fields={"n": 9})
            assert not caught.value.retryable
            record = await adapter.get("c", "k1")
            assert record is not None
            assert record.value == b"v"

    asyncio.run(main())


def test_wrong_credentials_and_buckets_are_told(server: S3Target) -> None:
    """The error says what is wrong."""
    wrong = server.url.replace(PASSWORD, "wrong-password")
    with pytest.raises(BackendUnavailable, match="secret key") as caught:
        asyncio.run(S3Adapter.from_url(wrong).open())
    assert not caught.value.retryable
    with pytest.raises(BackendUnavailable, match="bucket"):
        asyncio.run(S3Adapter.from_url(server.url.replace(f"@{BUCKET}", "@no-such-bucket")).open())
